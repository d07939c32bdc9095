"use strict";

/* Charts: a Vega view for each panel, its rows those of the models and the task that are picked. */

const NONE = "-";

/** A value as the page's tables write it. */
function shown(value) {
  if (value === null || value === undefined || value === "") return NONE;
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (value !== 0 && (size < 0.0005 || size >= 1e21)) return value.toExponential(1).replace("e+", "e");
  const text = value.toFixed(3);
  return text.replace(/\.?0+$/, "").replace(/^-0$/, "0");
}

/** A cell of a figure's table: a value, or both ends of an interval. */
function cell(row, names) {
  if (names.length === 1) return shown(row[names[0]]);
  const [low, high] = names.map((name) => row[name]);
  return low === null || high === null ? NONE : `${shown(low)} to ${shown(high)}`;
}

class Chart {
  constructor(figure, data) {
    this.figure = figure;
    this.data = data;
    this.task = "";
    const named = (values) => Object.fromEntries(data.fields.map((name, at) => [name, values[at]]));
    this.rows = Object.fromEntries(
      Object.entries(data.rows).map(([task, rows]) => [task, rows.map(named)]),
    );
    this.views = [];
    figure.querySelectorAll("[data-zoom]").forEach((button) =>
      button.addEventListener("click", () => this.zoom(Number(button.dataset.zoom))),
    );
  }

  /** The rows that are picked: of all panels, or of one; what is of none in particular is of each. */
  picked(models, where = {}) {
    return (this.rows[this.task] || []).filter(
      (row) =>
        (row.model === undefined || row.model === null || models.has(row.model)) &&
        Object.entries(where).every(([name, value]) => row[name] === null || row[name] === value),
    );
  }

  /** The picked rows of the chart itself, without those of its layers. */
  own(models, where = {}) {
    return this.picked(models, where).filter((row) => row.layer === undefined || row.layer === null);
  }

  /** Draws every panel. */
  async draw(models) {
    const places = this.figure.querySelectorAll(".drawing");
    for (const [at, panel] of this.data.panels.entries()) {
      const spec = structuredClone(this.data.specs[panel.spec]);
      spec.$schema = "https://vega.github.io/schema/vega-lite/v6.json";
      spec.description = panel.words;
      spec.datasets = { rows: this.picked(models, panel.where) };
      this.ends(at).forEach(([name, value]) => {
        spec.params.find((param) => param.name === name).value = value;
      });
      const drawn = await vegaEmbed(places[at], spec, {
        renderer: "svg",
        actions: false,
        tooltip: (handler, event, item, value) => tip(this.data.columns, event, item, value),
      });
      this.views.push(drawn.view);
      // a finger has no place to rest: it taps
      drawn.view.addEventListener("click", (event, item) =>
        tip(this.data.columns, event, item, item && item.tooltip),
      );
      // one picture in words; its numbers are in the table beneath
      places[at].setAttribute("role", "img");
      places[at].firstElementChild.setAttribute("aria-hidden", "true");
    }
    this.hide(models);
  }

  /** The ends of a panel's axes: those of the task. */
  ends(at) {
    const ends = ((this.data.ends || {})[this.task] || [])[at] || [];
    return ends.map((value, n) => [["x_low", "x_high", "y_low", "y_high"][n], value]);
  }

  /** Shows other models or another task. */
  async pick(models, task) {
    this.task = task;
    for (const [at, view] of this.views.entries()) {
      view.data("rows", this.picked(models, this.data.panels[at].where));
      this.ends(at).forEach(([name, value]) => view.signal(name, value));
      await view.runAsync();
    }
    this.hide(models);
    this.fill(models);
  }

  /** Hides panels of models that aren't picked, and of what the task doesn't have. */
  hide(models) {
    this.figure.querySelectorAll(".panel").forEach((panel, at) => {
      panel.hidden = !this.own(models, this.data.panels[at].where).length;
    });
    this.figure.querySelector(".nothing").hidden = this.own(models).length > 0;
    this.figure.querySelector(".counts").textContent = this.data.captions[this.task] || "";
  }

  /** Writes the table beneath. */
  fill(models) {
    const body = this.figure.querySelector("tbody");
    const rows = this.own(models);
    this.figure.querySelector(".count").textContent = rows.length;
    const numbers = [...this.figure.querySelectorAll("thead th")].map((head) => head.className);
    body.replaceChildren(
      ...rows.map((row) => {
        const line = document.createElement("tr");
        if (row.model !== undefined) line.dataset.model = row.model;
        this.data.columns.forEach(([, names], at) => {
          const place = line.insertCell();
          place.textContent = cell(row, names);
          place.className = numbers[at];
        });
        return line;
      }),
    );
  }

  /** Zooms about the middle: by a factor, or back to everything (0). */
  zoom(factor) {
    for (const view of this.views) {
      const zoomed = Object.keys(view.getState().signals).filter((name) => /^zoom_[xy]0?$/.test(name));
      for (const name of zoomed) view.signal(name, factor ? this.nearer(view, name, factor) : null);
      view.run();
    }
  }

  nearer(view, name, factor) {
    const scale = view.scale(name[5]);
    const [low, high] = scale.range();
    const [middle, reach] = [(low + high) / 2, ((high - low) * factor) / 2];
    return [scale.invert(middle - reach), scale.invert(middle + reach)];
  }
}

/** Shows the row under the pointer, as the table has it. */
function tip(columns, event, item, value) {
  const box = document.getElementById("tip");
  const row = value && item && item.datum;
  if (!row && event.pointerType === "touch") return;
  box.hidden = !row;
  if (box.hidden) return;
  const list = document.createElement("dl");
  for (const [title, names] of columns) {
    const [head, said] = ["dt", "dd"].map((tag) => document.createElement(tag));
    head.textContent = title;
    said.textContent = cell(row, names);
    list.append(head, said);
  }
  box.replaceChildren(list);
  const { width, height } = box.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - width - 6);
  const top = event.clientY + 16 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 16;
  box.style.left = `${Math.max(4, left)}px`;
  box.style.top = `${Math.max(4, top)}px`;
}
