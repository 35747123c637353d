// The window of one item, and those like it.

import { get } from "./api.js";
import { button, byId, element, nameOf, timings } from "./dom.js";
import { about, titleButton } from "./rows.js";

export async function show(itemId, state, model, actions) {
  const dialog = byId("item");
  if (!itemId) {
    if (dialog.open) dialog.close();
    return;
  }
  const found = await get("item", new URLSearchParams({ item: itemId, version: state.version }));
  const item = found.item, all = model.summary?.items;
  const similar = found.similar.map((one) =>
    element("li", { "data-item": one.item_id },
      element("div", {}, titleButton(one, actions), element("p", { class: "meta" }, about(one, all))),
      element("span", { class: "score", title: "Cosine" }, one.score.toFixed(2))));
  dialog.replaceChildren(
    element("form", { method: "dialog" }, element("button", { class: "remove", "aria-label": "Close" }, "×")),
    element("h2", { id: "item-title", tabindex: "-1" }, nameOf(item)),
    element("p", { class: "meta" }, element("span", {}, `id ${item.item_id}`), about(item, all)),
    element("div", { class: "buttons" }, button("Add to history", () => actions.add(item.item_id))),
    element("h3", {}, "Similar"),
    similar.length ? element("ol", { class: "rows compact" }, similar) : element("p", { class: "faint" }, "The model does not know this item."),
    timings(found.calls),
  );
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  byId("item-title").focus();
}
