"use strict";

/* Examples: one item at a time, by model, within the models and the task that are picked. */

const FOLDED = 600; // characters of a text beyond which it is folded
const SECONDS = 8; // that a canvas takes to fill in
const MASK = "▁";

/** A new element with a class and text. */
function made(tag, name = "", text = "") {
  const found = document.createElement(tag);
  if (name) found.className = name;
  if (text) found.textContent = text;
  return found;
}

class Examples {
  constructor(place, all) {
    this.place = place;
    this.all = all;
    this.at = 0;
    this.select = place.querySelector("select");
    this.select.addEventListener("change", () => this.show(0));
    place.querySelectorAll("[data-step]").forEach((button) =>
      button.addEventListener("click", () => this.show(this.at + Number(button.dataset.step))),
    );
  }

  /** Offers the examples of these models and of this task; "" is any. */
  pick(models, task) {
    this.own = this.all.filter(
      (one) => (!one.model || models.has(one.model)) && (!task || !one.task || one.task === task),
    );
    const names = [...new Set(this.own.map((one) => one.model))];
    const before = this.select.value;
    this.select.replaceChildren(new Option("all", ""), ...names.map((name) => new Option(name)));
    this.select.value = names.includes(before) ? before : "";
    this.show(0);
  }

  show(at) {
    const model = this.select.value;
    const found = this.own.filter((one) => !model || one.model === model);
    this.at = found.length ? (at + found.length) % found.length : 0;
    const one = found[this.at];
    const said = one ? `${this.at + 1} of ${found.length}: ${one.model}, ${one.title}` : "none of these";
    this.place.querySelector(".at").textContent = said;
    clearInterval(this.playing);
    this.place.querySelector(".example").replaceChildren(...(one ? one.parts.flatMap((part) => this.part(part)) : []));
  }

  part(part) {
    const head = made("h4", "", part.label);
    if (part.kind === "canvas") return [head, ...this.filling(part)];
    if (part.kind === "text") return [head, this.text(part.text)];
    const text = made("pre");
    for (const [kind, piece] of part.pieces) {
      text.append(kind === "same" ? piece : made(kind === "new" ? "ins" : "del", "", piece));
    }
    return [head, text];
  }

  /** A text; a long one folded, with its end in sight, since questions stand there. */
  text(text) {
    if (text.length <= FOLDED) return made("pre", "", text);
    const both = made("div");
    const folded = made("details");
    folded.append(made("summary", "", `All ${text.length} characters`), made("pre", "", text));
    both.append(made("pre", "", `… ${text.slice(-FOLDED / 2)}`), folded);
    return both;
  }

  filling(part) {
    const last = Math.max(0, ...part.places.map(([step]) => step));
    const row = made("div", "filling");
    const play = made("button", "", "Play");
    const slider = made("input");
    const said = made("output");
    const canvas = made("p", "canvas");
    play.type = "button";
    Object.assign(slider, { type: "range", min: 0, max: last, value: last });
    slider.setAttribute("aria-label", `Step of: ${part.label}`);
    const places = part.places.map(([step, text]) => ({ step, text, seen: made("span", "place") }));
    canvas.append(...places.map((place) => place.seen));
    const show = () => {
      const now = Number(slider.value);
      said.textContent = `step ${now} of ${last}`;
      for (const { step, text, seen } of places) {
        const written = step > 0 && step <= now;
        seen.textContent = written ? text : MASK;
        seen.className = `place${written ? "" : " hidden"}${written && step === now ? " now" : ""}`;
      }
    };
    slider.addEventListener("input", show);
    play.addEventListener("click", () => this.play(play, slider, show, last));
    show();
    row.append(play, slider, said);
    return [row, canvas];
  }

  /** Fills a canvas in step by step; at once where motion isn't wanted. */
  play(button, slider, show, last) {
    const running = button.textContent === "Pause";
    clearInterval(this.playing);
    button.textContent = running ? "Play" : "Pause";
    if (running) return;
    if (Number(slider.value) >= last) slider.value = 0;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const advance = () => {
      slider.value = still ? last : Number(slider.value) + 1;
      show();
      if (Number(slider.value) < last) return;
      clearInterval(this.playing);
      button.textContent = "Play";
    };
    this.playing = setInterval(advance, (1000 * SECONDS) / Math.max(last, 8));
    if (still) advance();
  }
}
