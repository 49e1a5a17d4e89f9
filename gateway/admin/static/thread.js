// What makes a session's page quicker to work with. Everything here can be done without it, too.
"use strict";

(() => {
  const drafts = { key: (form) => `written:${form.dataset.draft}`, sent: (form) => `sent:${form.dataset.draft}` };

  // A message that is being written outlives a reload and a page that is refreshed around it.
  drafts.keep = (form) => {
    const field = form.querySelector("textarea[name=text]");
    const kind = form.querySelector("[name=kind]:checked").value;
    if (field.value) sessionStorage.setItem(drafts.key(form), JSON.stringify({ kind, text: field.value }));
    else sessionStorage.removeItem(drafts.key(form));
  };
  drafts.bring = () => {
    for (const form of document.querySelectorAll("form[data-draft]")) {
      const field = form.querySelector("textarea[name=text]");
      const kept = JSON.parse(sessionStorage.getItem(drafts.key(form)) || "null");
      if (field.value || !kept) continue;
      field.value = kept.text;
      // A note for ourselves must not come back as something to send.
      if (kept.kind === "note") form.querySelector("[name=kind][value=note]").checked = true;
    }
  };
  // It is dropped when the message is there, which may be in another session: its id holds the form's nonce.
  drafts.drop = () => {
    for (const key of Object.keys(sessionStorage).filter((name) => name.startsWith("sent:"))) {
      const nonce = sessionStorage.getItem(key);
      if (!location.hash.includes(nonce) && !document.querySelector(`.message[id*="${nonce}"]`)) continue;
      sessionStorage.removeItem(key);
      sessionStorage.removeItem(key.replace("sent:", "written:"));
    }
  };

  const newest = () => [...document.querySelectorAll("#messages .message")].pop();
  // What is written covers the end of what is read.
  const bottom = () => {
    const composer = document.querySelector(".composer");
    const covers = composer && getComputedStyle(composer).position === "sticky";
    return covers ? composer.getBoundingClientRect().top : innerHeight;
  };
  const isAtEnd = () => Boolean(newest()) && newest().getBoundingClientRect().top < bottom();
  const isShown = () => !newest() || newest().getBoundingClientRect().bottom <= bottom();
  const goToEnd = () => newest()?.scrollIntoView({ block: "center" });

  // What is read stays where it is when earlier messages are put above it, in the pane or the page that scrolls.
  const paneOf = (element) => {
    if (!element.parentElement) return element;
    return getComputedStyle(element).overflowY === "auto" ? element : paneOf(element.parentElement);
  };
  const keepPlace = ({ message, top }) => {
    paneOf(message).scrollTop += message.getBoundingClientRect().top - top;
  };

  // A page of earlier messages may end on the day the next one begins with.
  const joinDays = () => {
    let before = "";
    for (const heading of document.querySelectorAll(".messages .day")) {
      heading.hidden = heading.dataset.day === before;
      before = heading.dataset.day;
    }
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("form[data-draft] textarea")) {
      event.preventDefault();
      event.target.form.requestSubmit();
    }
    if (event.key === "Escape") {
      for (const menu of document.querySelectorAll("details.menu[open]")) {
        menu.open = false;
        if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
      }
    }
  });
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-draft]");
    if (!form || !["text", "kind"].includes(event.target.name)) return;
    sessionStorage.removeItem(drafts.sent(form));
    drafts.keep(form);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("form[data-draft]")) return;
    drafts.keep(form);
    sessionStorage.setItem(drafts.sent(form), form.elements.nonce.value);
    // Pressed twice, it would be sent once anyway; this shows that it was heard.
    setTimeout(() => { form.querySelector("button[type=submit]").disabled = true; });
  });
  addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("form[data-draft] button:disabled")) button.disabled = false;
  });

  // What was opened stays open when the messages around it are refreshed.
  htmx.registerExtension("keep-open", {
    htmx_before_morph_attr: (element, change) => !(change.attrName === "open" && element.matches("details")),
  });
  let followed = false, kept = null;
  document.addEventListener("htmx:before:swap", (event) => {
    followed = isAtEnd();
    const message = event.detail.ctx.sourceElement.closest("#earlier") && document.querySelector(".message");
    kept = message && { message, top: message.getBoundingClientRect().top };
  });
  document.addEventListener("htmx:after:swap", () => {
    joinDays();
    drafts.bring();
    if (kept) keepPlace(kept);
    else if (followed && !document.activeElement.matches("textarea, input")) goToEnd();
  });

  drafts.drop();
  drafts.bring();
  joinDays();
  // What is to be put right is looked at first.
  const isElsewhere = location.hash || document.querySelector("[autofocus]");
  if (!isElsewhere && !isShown()) goToEnd();
})();
