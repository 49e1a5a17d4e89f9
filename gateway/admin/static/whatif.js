// The slider of the what-if page: the line follows the hand at once, the figures as soon as the server has them.
"use strict";

const form = document.querySelector("form.ask");
const field = document.getElementById("threshold");
const slider = document.getElementById("slider");
const steps = slider.dataset.steps.split(" ").map(Number);
const output = form.querySelector("output");
let asked = new AbortController();
let waiting = 0;

function words(seconds) {
  if (seconds === Infinity) return "never";
  const parts = [];
  for (const [unit, name] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]) {
    if (seconds >= unit) parts.push(`${Math.floor(seconds / unit)} ${name}`);
    seconds %= unit;
  }
  return parts.join(" ") || "0 s";
}

function say(span) {
  output.value = span;
  slider.setAttribute("aria-valuetext", span);
}

function place() {
  const written = field.value.trim().toLowerCase();
  const seconds = written === "never" ? Infinity : Number(written);
  if (written === "" || Number.isNaN(seconds)) return;
  const step = steps.findIndex((one) => one >= seconds);
  slider.value = step < 0 ? steps.length - 1 : step;
  say(words(seconds));
}

function moveLine(seconds) {
  for (const chart of document.querySelectorAll("svg.gaps")) {
    const mark = chart.querySelector(".mark.chosen");
    const width = chart.viewBox.baseVal.width;
    const x = Number(chart.dataset.left) + Math.log2(Math.max(seconds, 0.7)) * Number(chart.dataset.scale);
    mark.setAttribute("transform", `translate(${Math.min(x, width - 12)} 0)`);
    const text = mark.querySelector("text");
    text.textContent = words(seconds);
    text.setAttribute("text-anchor", x > width * 0.6 ? "end" : "start");
    text.setAttribute("x", x > width * 0.6 ? -5 : 5);
  }
}

async function show() {
  const address = `${form.action}?${new URLSearchParams([...new FormData(form)].filter(([, value]) => value))}`;
  asked.abort();
  asked = new AbortController();
  const answer = document.getElementById("answer");
  answer.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(address, { signal: asked.signal });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = response.ok && page.getElementById("answer");
    // A refusal, a login that ended: the whole page says what is wrong.
    if (!fresh) return location.assign(address);
    answer.replaceWith(fresh);
    history.replaceState(null, "", address);
  } catch (error) {
    if (error.name !== "AbortError") location.assign(address);
  }
}

slider.addEventListener("input", () => {
  const seconds = steps[Number(slider.value)];
  field.value = seconds;
  field.removeAttribute("aria-invalid");
  say(words(seconds));
  moveLine(seconds);
  clearTimeout(waiting);
  waiting = setTimeout(show, 150);
});
field.addEventListener("input", place);
for (const choice of form.querySelectorAll("select")) choice.addEventListener("change", show);

slider.closest(".slide").hidden = false;
place();
