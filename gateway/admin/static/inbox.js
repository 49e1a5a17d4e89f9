// The inbox in motion: news as they come, keys, notifications. Without it every page still works by its links.

(() => {
  "use strict";

  const POLL = 2500, RETRY = 60000, SETTLE = 250, LEADS_ON = 10000;
  const inbox = document.getElementById("inbox");
  if (!inbox) return;
  const opened = document.querySelector("[data-open]");
  const list = () => document.getElementById("list");
  const rows = () => [...document.querySelectorAll("#list .row > a")];
  const bare = document.title;

  // --- What is new -----------------------------------------------------------------------------------------------

  let polling = null, settling = null, stale = false;
  const concerned = new Set();

  const refresh = () => {
    settling = null;
    if (document.hidden && !wantsNotices()) { stale = true; return; }
    stale = false;
    htmx.trigger("#list", "changed");
    const all = concerned.has("*");
    const shown = opened && (all || concerned.has(opened.dataset.open));
    if (shown && document.getElementById("messages")) htmx.trigger("#messages", "changed");
    if (shown && !away) sayseen();
    concerned.clear();
  };

  const soon = (ids) => {
    (ids.length ? ids : ["*"]).forEach((id) => concerned.add(id));
    settling ??= setTimeout(refresh, SETTLE);
  };

  const sayseen = () => {
    if (!document.hidden && opened?.dataset.seen) {
      const token = JSON.parse(document.body.getAttribute("hx-headers:inherited") || "{}");
      fetch(opened.dataset.seen, { method: "POST", headers: token, redirect: "manual" }).catch(() => {});
    }
  };

  // News are asked for while nothing tells of them, and while what was asked for last did not come.
  let linked = true, away = false;

  const keepup = () => {
    if (!linked || away) polling ??= setInterval(() => soon([]), POLL);
    else if (polling) polling = clearInterval(polling) ?? null;
    showlive();
  };

  const showlive = () => { const mark = document.getElementById("live"); if (mark) mark.hidden = polling !== null; };

  // What was shown stays, though it is of before, until there is something newer.
  const heard = (status) => {
    const was = away;
    away = status < 200 || status > 299;
    if (was && !away) soon([]);
    const mark = document.getElementById("away");
    const why = status === 503 ? "The database is away" : "The gateway does not answer";
    if (away) mark.textContent = `${why}: this is how it was before. What is new appears by itself.`;
    mark.hidden = !away;
    keepup();
  };

  let missed = false;

  const listen = () => {
    const source = new EventSource(inbox.dataset.live);
    source.onopen = () => { linked = true; keepup(); if (missed) soon([]); missed = false; };
    source.addEventListener("changed", (event) => soon(JSON.parse(event.data)));
    source.onerror = () => {
      missed = true;
      linked = false;
      keepup();
      // No seat is free, or the login ended. A stream that merely ended is opened again by the browser.
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, RETRY);
    };
    addEventListener("pagehide", () => source.close(), { once: true });
  };

  document.addEventListener("visibilitychange", () => { if (!document.hidden && stale) soon([]); });

  // A form that was sent leads on by itself, and would not if the page were loaded anew meanwhile.
  let sent = 0;
  addEventListener("submit", (event) => { if (!event.defaultPrevented) sent = Date.now(); });

  // A login that ended answers with the login page, and a session that is gone with a page that says so: show those
  // instead of putting them into the list. What is wrong for a while is no reason to lose what is shown.
  document.addEventListener("htmx:before:response", (event) => {
    const answer = event.detail.ctx.response.raw;
    const leads = answer.redirected || answer.status === 404;
    if (!leads) heard(answer.status);
    if (answer.ok && !leads) return;
    event.preventDefault();
    if (leads && Date.now() - sent > LEADS_ON) location.reload();
  });
  document.addEventListener("htmx:error", (event) => { if (!event.detail.ctx?.response) heard(0); });

  document.addEventListener("htmx:after:swap", () => { showlive(); title(); notify(); });

  const title = () => {
    const count = Number(list()?.dataset.unread || 0);
    document.title = count ? `(${count}) ${bare}` : bare;
  };

  // --- Notifications ---------------------------------------------------------------------------------------------

  const KEY = "gateway-notify";
  const button = document.getElementById("notify");
  const wantsNotices = () =>
    "Notification" in window && Notification.permission === "granted" && localStorage.getItem(KEY) === "yes";
  let known = null;

  const calling = () => [...document.querySelectorAll("#calling li")];

  const notify = () => {
    const now = calling();
    const fresh = known ? now.filter((one) => !known.has(one.dataset.key)) : [];
    known = new Set(now.map((one) => one.dataset.key));
    if (!wantsNotices()) return;
    for (const one of fresh) {
      const notice = new Notification(one.dataset.title, { body: one.textContent, tag: one.dataset.key });
      notice.onclick = () => { window.focus(); location.assign(one.dataset.href); };
    }
  };

  if (button && "Notification" in window) {
    const show = () => {
      const on = wantsNotices();
      button.hidden = Notification.permission === "denied";
      button.textContent = on ? "Notifications on" : "Notify me";
      button.setAttribute("aria-pressed", String(on));
    };
    button.addEventListener("click", async () => {
      const on = wantsNotices();
      if (!on && Notification.permission !== "granted") await Notification.requestPermission();
      localStorage.setItem(KEY, on ? "no" : "yes");
      show();
    });
    show();
  }

  // --- Keys ------------------------------------------------------------------------------------------------------

  const isWriting = (element) => element.closest("input, textarea, select, [contenteditable]") !== null;

  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    let at = all.indexOf(document.activeElement);
    if (at < 0) at = all.findIndex((row) => row.hasAttribute("aria-current"));
    const next = at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + step));
    all[next].focus();
  };

  const keys = {
    j: () => move(1),
    k: () => move(-1),
    "/": () => document.getElementById("q")?.focus(),
    r: () => document.querySelector("#reply textarea")?.focus(),
    "?": () => document.getElementById("keys").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.isComposing;
    if (!plain || isWriting(event.target) || document.querySelector("dialog[open]")) return;
    const act = keys[event.key];
    if (act) { event.preventDefault(); act(); }
  });

  for (const hint of document.querySelectorAll(".keys-hint")) hint.hidden = false;

  // --- Where one was ---------------------------------------------------------------------------------------------

  const place = "gateway-list";
  addEventListener("pagehide", () => sessionStorage.setItem(place, `${location.search} ${inbox.scrollTop}`));
  const [search, top] = (sessionStorage.getItem(place) || " 0").split(" ");
  if (search === location.search) inbox.scrollTop = Number(top);

  title();
  notify();
  listen();
})();
