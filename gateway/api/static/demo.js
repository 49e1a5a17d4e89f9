// What /chat/demo adds to the widget: it opens it, copies the snippet, and leads to the conversation's session.
"use strict";

(() => {
  const at = (id) => document.getElementById(id);

  at("open").addEventListener("click", () => window.gatewayChat?.open());

  at("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(at("code").textContent);
      at("copied").textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(at("code"));
      at("copied").textContent = "Press Ctrl+C to copy what is selected.";
    }
  });

  addEventListener("gateway-chat", ({ detail }) => {
    if (!detail.session_id) return;
    at("link").href = at("link").dataset.sessions + detail.session_id;
    at("session").hidden = false;
    at("waiting").hidden = true;
  });
})();
