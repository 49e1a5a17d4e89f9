// Asks before what cannot be taken back.
document.addEventListener("submit", (event) => {
  const question = event.target.elements.namedItem("question");
  if (!question) return;
  if (!window.confirm(question.value)) { event.preventDefault(); return; }
  const sure = Object.assign(document.createElement("input"), { type: "hidden", name: "sure", value: "yes" });
  question.after(sure);
});
