// Reads the address, asks, and shows; every action changes the address and does so again.

import { get } from "./api.js";
import { byId, count, element, nameOf } from "./dom.js";
import * as item from "./item.js";
import * as lists from "./lists.js";
import * as panels from "./panels.js";
import { movements } from "./rows.js";
import { read, write } from "./state.js";

let state = read();
let asking = new AbortController();
let before = null; // The list that was shown last, to see what moved.
const models = new Map();
const names = new Map(); // Titles of the items that were shown.

const without = (values, one) => values.filter((value) => value !== one);
const changed = (change) => () => go({ ...state, ...change });

const actions = {
  user: (user) => go({ ...state, user, add: [], drop: [] }),
  add: (id) => go({ ...state, add: [id, ...without(state.add, id)], item: "" }),
  adding: (found) => doing(async () => actions.add(await found)),
  unadd: (id) => go({ ...state, add: without(state.add, id) }),
  drop: (id) => go({ ...state, drop: [...without(state.drop, id), id] }),
  exclude: (id) => go({ ...state, exclude: [...without(state.exclude, id), id] }),
  unexclude: (id) => go({ ...state, exclude: without(state.exclude, id) }),
  open: (id) => go({ ...state, item: id }),
  at: (at) => go({ ...state, at }),
  context: (name, value) => go({ ...state, context: { ...state.context, [name]: value } }),
  filter: (name, values) => go({ ...state, filter: { ...state.filter, [name]: values } }),
};

function go(wanted) {
  state = wanted;
  write(state);
  return refresh();
}

async function modelOf(version) {
  const model = await get("model", new URLSearchParams({ version }));
  models.set(version, model);
  return model;
}

function showModel(model) {
  document.title = `Explore ${model.name}`;
  byId("name").textContent = document.title;
  const about = model.summary;
  byId("about").textContent = about
    ? `${count(about.users)} users · ${count(about.items)} items · ${count(about.interactions)} interactions until ${new Date(about.last_timestamp * 1000).toISOString().slice(0, 10)}`
    : "Nothing travels with this version, or --model-dir was not given: users and items are shown by their ids.";
  byId("someone").hidden = !about;
  const own = model.versions.includes(state.version) || !state.version ? [] : [state.version];
  byId("version").replaceChildren(
    element("option", { value: "" }, `newest (${model.versions[0]})`),
    ...[...own, ...model.versions].map((version) => element("option", { value: version }, version)));
  byId("version").value = state.version;
  byId("compare").value = state.compare;
  byId("compare-choices").replaceChildren(...model.versions.map((value) => element("option", { value })));
}

// Draws anew, and puts the focus where it was, or else on the list that it was in.
function draw(...shows) {
  const held = document.activeElement, panel = held.closest("#lists, #history, #context, #filters");
  const name = held.id || held.getAttribute("aria-label") || held.textContent;
  shows.forEach((show) => show());
  if (!panel || held.isConnected) return;
  const same = [...panel.querySelectorAll("button, input")].find((one) => [one.id, one.getAttribute("aria-label"), one.textContent].includes(name));
  const instead = { history: byId("item-search"), lists: panel }[panel.id] || panel.querySelector("input");
  (same || instead)?.focus({ preventScroll: true });
}

function remember(answer) {
  for (const one of [...(answer.retrieved || []), ...answer.recommended]) names.set(one.item_id, nameOf(one));
}

// While work is done the lists are busy, and what goes wrong is shown.
async function doing(work, signal) {
  byId("lists").setAttribute("aria-busy", "true");
  byId("error").hidden = true;
  try {
    await work();
  } catch (error) {
    if (error.name === "AbortError") return;
    byId("error").textContent = error.message;
    byId("error").hidden = false;
  }
  if (!signal?.aborted) byId("lists").setAttribute("aria-busy", "false");
}

function refresh() {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  return doing(() => ask(signal).catch(async (error) => {
    if (error.name !== "AbortError" && !models.size) showModel(await modelOf("")); // For another version to be chosen.
    throw error;
  }), signal);
}

async function ask(signal) {
  const asked = state, versions = asked.compare ? [asked.version, asked.compare] : [asked.version];
  const sides = [];
  for (const version of versions) {
    const model = await modelOf(version);
    sides.push({ model, answer: await lists.asked(asked, version, signal) });
  }
  if (signal.aborted) return;
  const [first, second] = sides;
  sides.forEach((side) => remember(side.answer));
  first.moved = before && !second ? movements(first.answer.recommended, before) : new Map();
  if (second) second.moved = movements(second.answer.recommended, first.answer.recommended);
  before = first.answer.recommended;
  showModel(first.model);
  draw(
    () => panels.who(asked, first.answer),
    () => panels.history(asked, first.answer, actions),
    () => panels.context(first.model, asked, actions),
    () => panels.filters(first.model, asked, names, actions),
    () => lists.show(sides, actions),
  );
  byId("status").textContent = lists.said(first.answer, (second || first).moved);
  await item.show(asked.item, asked, first.model, actions);
  for (const [place, side] of sides.entries()) {
    if (side.answer.history?.length) side.why = await lists.reasonsFor(asked, versions[place], side.answer, signal);
  }
  if (!signal.aborted && sides.some((side) => side.why)) draw(() => lists.show(sides, actions));
}

byId("visitor").addEventListener("click", changed({ user: "", add: [], drop: [] }));
byId("reset").addEventListener("click", () => go({ ...state, add: [], drop: [], exclude: [] }));
byId("someone").addEventListener("click", () => doing(async () => {
  const { users } = await get("users", new URLSearchParams({ find: "", version: state.version }));
  await actions.user(users[0].user_id);
}));
byId("version").addEventListener("change", (event) => go({ ...state, version: event.target.value }));
byId("compare").addEventListener("change", (event) => go({ ...state, compare: event.target.value.trim() }));
byId("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(location.href);
  byId("copy").textContent = "Copied";
  setTimeout(() => (byId("copy").textContent = "Copy link"), 1500);
});
byId("item").addEventListener("close", () => state.item && go({ ...state, item: "" }));
addEventListener("popstate", () => {
  state = read();
  refresh();
});

panels.searches({ get summary() { return models.get(state.version)?.summary; } }, () => state.version, actions);
refresh();
