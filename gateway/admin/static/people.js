// Choosing a channel chooses "only these".
document.addEventListener("change", (event) => {
  if (event.target.name === "channels" && event.target.checked) {
    event.target.closest("fieldset").querySelector('[name="sees"][value="some"]').checked = true;
  }
});
