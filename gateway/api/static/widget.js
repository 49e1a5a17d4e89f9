// The chat widget of docs/api/widget.md; widget.html has its looks and words. No dependencies, no build step.
(async () => {
  let { src, dataset: { key, title, color = "", position, userToken: user } } = document.currentScript;
  const base = src.split("chat/widget.js")[0], place = "gateway-chat:" + key;
  let nudge = new AbortController(), gap = 0, store = {}, back,
    // Whose messages these are, in which session, after which it goes on, before which there are more.
    me, session, after = "", before;

  // Where a browser keeps nothing for the site, this page alone remembers.
  try { store = localStorage; } catch {}
  const kept = () => ({ queue: [], seen: "", ...JSON.parse(store[place] ?? "{}") });
  const keep = (change) => { store[place] = JSON.stringify({ ...kept(), ...change }); };
  // What a signed-in person wrote is neither shown to the next one at this browser nor sent in their name.
  const queue = () => kept().queue.filter(({ user_id }) => !user_id || user_id == me);

  const html = await fetch(base + "chat/widget.html");
  const { head, body } = new DOMParser().parseFromString(await html.text(), "text/html");
  const host = document.createElement("gateway-chat"), root = host.attachShadow({ mode: "open" }),
    sheet = new CSSStyleSheet();
  sheet.replaceSync(head.textContent);
  root.adoptedStyleSheets = [sheet];
  root.append(...body.children);
  const [launcher, panel, heading, close, log, more, list, dots, notice, field, send, model] = root.querySelectorAll("[id]");
  if (title) heading.textContent = title;
  host.style.setProperty("--accent", color);
  host.dataset.position = position;
  document.documentElement.append(host);

  const tell = (detail) => dispatchEvent(new CustomEvent("gateway-chat", { detail }));
  const show = ({ id, content, message_type, created_at, user_id, metadata: { client_id = id } }) => {
    const line = list.children.namedItem(client_id) ?? model.content.firstElementChild.cloneNode(true);
    const [words, time] = line.children, at = created_at ?? "~";
    if (user && user_id) me = user_id;
    if (line.at == at) return;
    line.at = at;
    line.id = client_id;
    line.className = message_type;
    words.textContent = content;
    if (created_at) time.textContent = new Date(at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    list.insertBefore(line, [...list.children].find((other) => other.at > at));
  };
  // Counts what came while the panel was closed, on this page or before.
  const count = () => {
    const { seen } = kept();
    const fresh = [...list.querySelectorAll(".assistant")].filter(({ at }) => at > seen);
    launcher.dataset.unread = fresh.length || "";
    if (!panel.hidden) keep({ seen: fresh.at(-1)?.at ?? seen });
  };

  const ask = async (path, body) => {
    const asked = user, token = asked ?? kept().token;
    const answer = await fetch(base + "api/chat/" + path, {
      method: body && "POST",
      headers: { "Content-Type": "application/json", ...(token && { Authorization: "Bearer " + token }) },
      body: JSON.stringify(body),
      signal: body ? AbortSignal.timeout(4e4) : nudge.signal
    });
    const said = await answer.json();
    // An answer for somebody who is no longer the one at this page is nobody's.
    if (asked == user && (answer.ok || answer.status == 422)) return said;
    throw said;
  };
  const history = async () => {
    const { items, next_cursor } = await ask("history?limit=30&before=" + before);
    items.forEach(show);
    before = next_cursor;
    more.hidden = !before;
  };
  const deliver = async (lock) => {
    for (let one; lock && (one = queue()[0]); ) {
      // A visitor's token lasts 30 days; a new one is for the same visitor.
      if (!user && !(kept().until > Date.now() + 1e9)) {
        const { token, expires_at } = await ask("tokens", { key });
        keep({ token, until: Date.parse(expires_at) });
      }
      const { reply, session_id, user_message, detail } = await ask(`sessions/${session||"new"}/messages?wait=0`, one);
      if (reply == "kept") throw reply;
      keep({ queue: kept().queue.filter(({ id }) => id != one.id) });
      // What is refused for good says why, and stands in nobody's way.
      if (detail) list.children[one.id].lastChild.textContent = detail;
      else {
        show(user_message);
        if (session != session_id) session = after = "";
      }
    }
  };
  const listen = async () => {
    if (!session) {
      before = "";
      const { items: [latest] } = await ask("sessions?limit=1");
      await history();
      session = latest?.id;
    }
    if (!session) return;
    const { items, cursor, pending, continued_in } =
      await ask(`sessions/${session}/messages?wait=${panel.hidden?0:20}&after=${after}`);
    items.forEach(show);
    dots.hidden = !pending;
    session = continued_in ?? session;
    after = continued_in ? "" : cursor;
    if (items[0] || pending) gap = 1;
    count();
    tell({ session_id: session, items });
  };

  const wake = () => {
    queue().forEach(show);
    gap = 0;
    nudge.abort();
    nudge = new AbortController();
  };
  const turn = (open) => {
    if (panel.hidden != open) return;
    if (open) back = document.activeElement;
    panel.hidden = !open;
    launcher.hidden = open;
    launcher.focus();
    (open ? field : back)?.focus();
    count();
    wake();
  };
  const say = () => {
    const content = field.value.trim();
    if (!content) return;
    const one = { id: `${Date.now()}-${Math.random()}`, content, message_type: "user", user_id: me, metadata: {} };
    keep({ queue: [...kept().queue, one] });
    field.value = "";
    log.scrollTop = 0;
    wake();
  };
  const identify = (token) => {
    user = token;
    me = null;
    session = after = "";
    list.replaceChildren();
    wake();
  };

  self.gatewayChat = {
    open: launcher.onclick = () => turn(true),
    close: close.onclick = () => turn(false),
    identify
  };
  send.onclick = say;
  more.onclick = () => history().catch(wake);
  field.onkeydown = (event) => {
    if (event.key != "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    say();
  };
  // Not `&&`: a handler that gives false takes every other key away.
  panel.onkeydown = ({ key }) => key != "Escape" || turn(false);
  for (const name of ["online", "storage", "visibilitychange"]) {
    addEventListener(name, ({ key = place }) => key == place && wake());
  }
  // Whatever hangs, hangs no longer than this.
  setInterval(wake, 9e4);
  wake();

  for (;;) {
    gap = Math.min(gap * 1.5 + 1, panel.hidden ? 90 : 8);
    try {
      // Where two tabs share what is unsent, one sends it.
      await (navigator.locks?.request(place, { ifAvailable: true }, deliver) ?? deliver(1));
      if (!document.hidden && (user ? kept().seen || !panel.hidden : kept().token)) await listen();
      notice.hidden = true;
    } catch ({ name, status }) {
      if (name != "AbortError") {
        notice.hidden = false;
        tell({ status });
      }
      if (status == 404) session = after = "";
      if (status == 401 && !user) keep({ token: "", until: 0 });
    }
    await new Promise((done) => {
      nudge.signal.onabort = done;
      setTimeout(done, gap * 1e3 * Math.random());
    });
  }
})();
