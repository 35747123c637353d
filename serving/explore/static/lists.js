// The lists of one version, or of two side by side.

import { get } from "./api.js";
import { byId, element, timings } from "./dom.js";
import { candidates, recommended } from "./rows.js";
import { request } from "./state.js";

export const asked = (state, version, signal) => get("lists", request(state, version), signal);

export async function reasonsFor(state, version, answer, signal) {
  const address = request(state, version);
  answer.recommended.forEach((item) => address.append("item", item.item_id));
  return get("reasons", address, signal);
}

// What a screen reader is told.
export function said(answer, moved) {
  const kinds = [...moved.values()].map((one) => one.kind);
  const fresh = kinds.filter((kind) => kind === "in").length;
  return `${answer.recommended.length} recommended` + (kinds.length ? `: ${fresh} new here, ${kinds.length - fresh} moved` : "");
}

function card(id, title, note, ...content) {
  return element("section", { class: "card", id, "aria-labelledby": `${id}-title` },
    element("h2", { id: `${id}-title` }, title), element("p", { class: "faint" }, note), ...content);
}

// A second stage that would not help is given no weight.
function stages(candidates) {
  const asBefore = candidates.length > 1 && candidates.every((one, place) => one.final === place + 1);
  return asBefore ? "After both stages, of which the second leaves the order as it is" : "After both stages";
}

function column(side, { model, answer, why, moved, actions, compared }) {
  const filtered = answer.calls.some((call) => call.signature === "recommend_filtered");
  const options = { summary: model.summary, count: model.summary?.items, why: why?.reasons, moved, actions, filters: model.filters !== null };
  const version = compared ? ` by version ${answer.version}` : "";
  const lists = [card(`recommended${side}`, `Recommended${version}`,
    stages(answer.retrieved || []) + (filtered ? ", from what the filters leave." : "."),
    recommended(answer.recommended, options))];
  if (answer.retrieved) {
    lists.push(card(`candidates${side}`, `Candidates${version}`,
      filtered ? "What the first stage proposes without the filters, and → the place that the second gives it." : "What the first stage proposes, and → the place that the second gives it.",
      ...candidates(answer.retrieved, actions)));
  }
  return [timings([...answer.calls, ...(why?.calls || []).map((call) => ({ ...call, signature: `${call.signature} for the reasons` }))]), ...lists];
}

// sides: one or two, each with model, answer, why and moved.
export function show(sides, actions) {
  const compared = sides.length > 1;
  const columns = sides.map((side, place) =>
    element("div", { class: compared ? "side" : "sides" }, column(place ? "-2" : "", { ...side, actions, compared })));
  byId("lists").replaceChildren(element("div", { class: compared ? "sides" : "" }, columns));
}
