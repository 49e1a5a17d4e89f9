// Asks before what cannot be taken back; choosing a channel chooses "only these".
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});
document.addEventListener("change", (event) => {
  if (event.target.name === "channels" && event.target.checked) {
    event.target.closest("fieldset").querySelector('[name="sees"][value="some"]').checked = true;
  }
});
