// What a request is made of: who, history, context and filters.

import { get } from "./api.js";
import { button, byId, count, element, nameOf, plural, time } from "./dom.js";
import { about, titleButton } from "./rows.js";
import { search } from "./search.js";

const NARROW = matchMedia("(max-width: 44rem)");
const first = () => (NARROW.matches ? 3 : 8); // Entries of a history shown at first.

function itemEntry(item, all) {
  return [element("span", {}, nameOf(item)), element("span", { class: "meta" }, about(item, all))];
}

function userEntry(user) {
  const had = `${plural(user.interactions, "interaction", "interactions")}, the last `;
  return [element("span", {}, user.user_id), element("span", { class: "meta" }, element("span", {}, had, time(user.last_timestamp)))];
}

export function searches(model, version, actions) {
  const find = (path, key) => async (text) =>
    (await get(path, new URLSearchParams({ find: text, version: version() })))[key];
  const findItems = find("items", "items");
  byId("find-user").replaceChildren(search({
    id: "user-search", label: "Find a user", placeholder: "id", find: find("users", "users"),
    show: userEntry, pick: (user) => actions.user(user.user_id), enter: actions.user,
  }));
  byId("find-item").replaceChildren(search({
    id: "item-search", label: "Add an item", placeholder: "title or id", find: findItems,
    show: (item) => itemEntry(item, model.summary?.items), pick: (item) => actions.add(item.item_id),
    enter: (text) => actions.adding(findItems(text).then((found) => found[0]?.item_id || text)),
  }));
}

export function who(state, answer) {
  const said = [];
  if (!state.user) said.push(element("strong", {}, "A visitor"), state.add.length ? " with the history below" : ": what anybody gets who is not known");
  else if (answer.history === null) said.push(element("strong", {}, `User ${state.user}`), ": no history travels with this version, or the user is unknown; the model answers with what it knows");
  else said.push(element("strong", {}, `User ${state.user}`));
  byId("who").replaceChildren(...said);
}

export function history(state, answer, actions) {
  const entries = answer.history || [];
  const rows = entries.map((item, place) =>
    element("li", { "data-item": item.item_id, hidden: place >= first() && !item.added },
      element("div", {},
        titleButton(item, actions),
        element("p", { class: "meta" },
          element("span", {}, item.added ? "added, as if just now" : time(item.timestamp)))),
      button("×", () => (item.added ? actions.unadd(item.item_id) : actions.drop(item.item_id)),
        { class: "remove", "aria-label": `Remove ${nameOf(item)} from the history` })));
  const list = element("ul", { class: "rows entries" }, rows);
  const more = rows.filter((row) => row.hidden);
  const shown = [entries.length ? list : element("p", { class: "faint" }, "Empty. Add an item to see what it changes.")];
  if (more.length) {
    const all = button(`Show all ${count(entries.length)}`, () => {
      more.forEach((row) => (row.hidden = false));
      more[0].querySelector("button").focus();
      all.remove();
    });
    shown.push(all);
  }
  byId("history").replaceChildren(...shown);
  byId("history-title").textContent = entries.length ? `History (${count(entries.length)})` : "History";
  byId("reset").hidden = !(state.add.length || state.drop.length || state.exclude.length);
}

function choices(id, values) {
  return element("datalist", { id }, values.map((value) => element("option", { value })));
}

export function context(model, state, actions) {
  const fields = Object.entries(model.context).map(([name, { number, values }]) => {
    const id = `context-${name}`;
    const input = element("input", {
      id, value: state.context[name], placeholder: "unknown", autocomplete: "off",
      inputmode: number ? "decimal" : "text", list: number ? null : `${id}-values`,
      onchange: (event) => actions.context(name, event.target.value.trim()),
    });
    return element("div", { class: "field" }, element("label", { for: id }, name), input, !number && choices(`${id}-values`, values));
  });
  const at = element("input", {
    id: "at", type: "datetime-local", value: state.at ? new Date(state.at * 1000).toISOString().slice(0, 16) : "",
    onchange: (event) => actions.at(event.target.value ? String(Date.parse(`${event.target.value}Z`) / 1000) : ""),
  });
  fields.push(element("div", { class: "field" }, element("label", { for: "at" }, "Moment (UTC; empty is now)"), at));
  byId("context").replaceChildren(...fields);
}

function chip(text, remove, label) {
  return element("li", { class: "chip" }, text, button("×", remove, { class: "remove", "aria-label": label }));
}

export function filters(model, state, names, actions) {
  if (model.filters === null) {
    byId("filters").replaceChildren(element("p", { class: "faint" }, "This version has no filters."));
    return;
  }
  const fields = Object.entries(model.filters).map(([name, values]) => {
    const id = `filter-${name}`, chosen = state.filter[name] || [];
    const input = element("input", {
      id, placeholder: chosen.length ? "or …" : "any", autocomplete: "off", list: `${id}-values`,
      onchange: (event) => event.target.value.trim() && actions.filter(name, [...chosen, event.target.value.trim()]),
    });
    const chips = chosen.map((value) =>
      chip(value, () => actions.filter(name, chosen.filter((one) => one !== value)), `Remove the filter ${name}: ${value}`));
    return element("div", { class: "field" }, element("label", { for: id }, `Only ${name}`), input, choices(`${id}-values`, values), element("ul", { class: "chips" }, chips));
  });
  const hidden = state.exclude.map((id) => chip(names.get(id) || id, () => actions.unexclude(id), `Show ${names.get(id) || id} again`));
  if (hidden.length) fields.push(element("div", { class: "field" }, element("span", {}, "Hidden"), element("ul", { class: "chips" }, hidden)));
  byId("filters").replaceChildren(...fields);
}
