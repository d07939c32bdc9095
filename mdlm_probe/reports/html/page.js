"use strict";

/* The page: which models and tasks are picked, light or dark, and what is printed. */

const DATA = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;
const charts = [...document.querySelectorAll("figure.chart")].map(
  (figure) => new Chart(figure, DATA.sections[figure.dataset.section].charts[figure.dataset.chart]),
);
const examples = [...document.querySelectorAll("details.examples")].map(
  (place) => new Examples(place, DATA.sections[place.dataset.section].examples),
);

function models() {
  const boxes = document.querySelectorAll("#models input:checked");
  return new Set([...boxes].map((box) => box.value));
}

function task(section) {
  const select = document.getElementById(`${section}-task`);
  return select ? select.value : "";
}

/** Shows what is picked, in a section or in all. */
async function pick(section = "") {
  root.dataset.picked = "";
  const kept = models();
  document.querySelectorAll("[data-model]").forEach((row) => {
    row.hidden = !kept.has(row.dataset.model);
  });
  for (const one of examples) {
    const own = one.place.dataset.section;
    if (!section || own === section) one.pick(kept, task(own));
  }
  for (const chart of charts) {
    const own = chart.figure.dataset.section;
    if (!section || own === section) await chart.pick(kept, task(own));
  }
  root.dataset.picked = "yes";
}

document.getElementById("models").addEventListener("change", () => pick());
document.querySelectorAll("select[data-section]").forEach((select) => {
  select.value = "";
  select.addEventListener("change", () => pick(select.dataset.section));
});
document.addEventListener("scroll", () => (document.getElementById("tip").hidden = true), true);

/* ---------------------------------------------------------------- tables that are too wide */

const widths = new ResizeObserver((found) => {
  for (const { target } of found) {
    const box = target.closest(".box");
    box.toggleAttribute("data-wide", box.scrollWidth > box.clientWidth + 1);
  }
});
document.querySelectorAll(".box, .box > table").forEach((each) => widths.observe(each));

/* ---------------------------------------------------------------- light and dark */

const button = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
}

function themed() {
  button.setAttribute("aria-pressed", String(isDark()));
}

button.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  themed();
});
dark.addEventListener("change", themed);
themed();

/* ---------------------------------------------------------------- print: all but long tables */

let opened = [];

function open() {
  if (opened.length) return;
  opened = [...document.querySelectorAll("details:not([open]):not([data-long])")];
  for (const one of opened) one.open = true;
}

function close() {
  for (const one of opened) one.open = false;
  opened = [];
}

addEventListener("beforeprint", open);
addEventListener("afterprint", close);
matchMedia("print").addEventListener("change", (now) => (now.matches ? open() : close()));

/* ---------------------------------------------------------------- begin */

(async () => {
  for (const one of examples) one.pick(models(), "");
  for (const chart of charts) await chart.draw(models());
  root.dataset.drawn = "yes";
})();
