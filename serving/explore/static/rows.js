// Items in lists.

import { button, count, element, nameOf, plural, score, signed } from "./dom.js";

const FIRST = 20; // Candidates shown at first.

export const titleButton = (item, actions) => button(nameOf(item), () => actions.open(item.item_id), { class: "title" });

export function about(item, items) {
  const words = Object.entries(item.features || {}).map(([name, values]) =>
    element("span", { title: name }, (values.every((value) => !Number.isNaN(Number(value))) ? `${name} ` : "") + values.join(", ")));
  if (item.place) {
    const title = `${plural(item.interactions, "interaction", "interactions")}, place ${count(item.place)} of ${count(items)} by number`;
    words.push(element("span", { title }, `popularity #${count(item.place)}`));
  }
  return words;
}

const small = (text, label, onclick) => button(text, onclick, { class: "small", "aria-label": label, title: label });

function badges(item, summary, moved) {
  const made = [];
  if (moved) made.push(element("span", { class: `badge ${moved.kind}` }, moved.text));
  if (item.had) made.push(element("span", { class: "badge had", title: "In the history" }, `had ${count(item.had)}×`));
  else if (summary?.repeats && item.had === 0) made.push(element("span", { class: "badge new", title: "Not in the history" }, "new"));
  return made;
}

function predicted(item) {
  const { predicted_rating: rating, positive_probability: positive } = item.predicted || {};
  const words = [];
  if (rating !== undefined) words.push(element("span", { title: "The ranker's predicted rating" }, `rating ${rating.toFixed(1)}`));
  if (positive !== undefined) words.push(element("span", { title: "The ranker's probability of a positive interaction" }, `positive ${Math.round(100 * positive)} %`));
  if (item.candidate) words.push(element("span", { title: "Place in the first stage" }, `candidate #${item.candidate}`));
  return words;
}

function reasons(found) {
  if (!found?.length) return null;
  return element("p", { class: "why" }, "Because of ", ...found.flatMap((one, place) => [
    place ? ", " : "",
    element("span", { title: `Without it the score would be ${one.difference.toFixed(2)} lower` },
      `${nameOf(one)} `, element("b", {}, signed(one.difference))),
  ]));
}

// What is recommended. why: reasons by item; moved: by item, against another list.
export function recommended(items, { summary, count: all, why, moved, actions, filters }) {
  if (!items.length) return element("p", { class: "faint" }, "Nothing is left to recommend.");
  return element("ol", { class: "rows" }, items.map((item) => {
    const named = nameOf(item);
    return element("li", { "data-item": item.item_id },
      element("div", {},
        element("div", { class: "head" }, titleButton(item, actions), badges(item, summary, moved?.get(item.item_id))),
        element("p", { class: "meta" }, about(item, all), predicted(item)),
        reasons(why?.[item.item_id])),
      element("div", { class: "right" },
        element("span", { class: "score", title: "Score of both stages" }, score(item.score)),
        small("Add", `Add ${named} to the history`, () => actions.add(item.item_id)),
        filters && small("Hide", `Hide ${named}`, () => actions.exclude(item.item_id))));
  }));
}

// What the first stage found, and where the second puts it.
export function candidates(items, actions) {
  const shown = items.map((item, place) =>
    element("li", { "data-item": item.item_id, hidden: place >= FIRST },
      element("div", { class: "head" }, titleButton(item, actions)),
      element("span", { class: "score", title: "Score of the first stage" }, score(item.score)),
      element("span", { class: "final", title: "Place after the second stage" },
        element("span", { class: "unseen" }, "place after the second stage: "), `→ ${item.final}`)));
  const list = element("ol", { class: "rows compact" }, shown);
  if (items.length <= FIRST) return [list];
  const all = button(`Show all ${items.length}`, () => {
    shown.forEach((row) => (row.hidden = false));
    shown[FIRST].querySelector("button").focus();
    all.remove();
  });
  return [list, all];
}

// How each item of a list has moved against another: new in it, up or down; what stayed has no entry.
export function movements(items, before) {
  const places = new Map(before.map((item, place) => [item.item_id, place]));
  const moved = new Map();
  items.forEach(({ item_id: id }, place) => {
    const step = places.has(id) ? places.get(id) - place : null;
    if (step === null) moved.set(id, { kind: "in", text: "new here" });
    else if (step > 0) moved.set(id, { kind: "up", text: `▲ ${step}` });
    else if (step < 0) moved.set(id, { kind: "down", text: `▼ ${-step}` });
  });
  return moved;
}
