// A text field that offers what is found while one types: ARIA's combobox with a list.

import { element } from "./dom.js";

const PAUSE_MILLISECONDS = 80;

/* options:
 *   id, label, placeholder
 *   find(text): a promise of what is found
 *   show(found): children of its entry
 *   pick(found): chosen from the list
 *   enter(text): Enter without a choice, also before the list is there
 */
export function search({ id, label, placeholder, find, show, pick, enter }) {
  const list = element("ul", { id: `${id}-list`, role: "listbox", "aria-label": label, hidden: true });
  const input = element("input", {
    id, placeholder, role: "combobox", type: "text", autocomplete: "off", spellcheck: "false",
    "aria-expanded": "false", "aria-controls": `${id}-list`, "aria-autocomplete": "list",
  });
  let found = [], active = -1, timer, asked = 0;

  function close() {
    asked += 1;
    clearTimeout(timer);
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    active = -1;
  }
  function choose(one) {
    close();
    input.value = "";
    pick(one);
  }
  function activate(place) {
    active = found.length ? (place + found.length) % found.length : -1;
    [...list.children].forEach((entry, at) => entry.setAttribute("aria-selected", String(at === active)));
    if (active < 0) return;
    input.setAttribute("aria-activedescendant", list.children[active].id);
    list.children[active].scrollIntoView({ block: "nearest" });
  }
  async function open() {
    const mine = ++asked;
    const answer = await find(input.value.trim());
    if (mine !== asked) return;
    found = answer;
    list.replaceChildren(...found.map((one, place) =>
      element("li", { id: `${id}-${place}`, role: "option", "aria-selected": "false",
        onmousedown: (event) => event.preventDefault(), onclick: () => choose(one) }, show(one))));
    if (!found.length) list.append(element("li", { class: "faint", role: "presentation" }, "Nothing found"));
    list.hidden = false;
    active = -1;
    input.setAttribute("aria-expanded", "true");
  }
  input.addEventListener("input", () => {
    clearTimeout(timer);
    found = []; // Of another text.
    active = -1;
    timer = setTimeout(open, PAUSE_MILLISECONDS);
  });
  input.addEventListener("focus", () => input.value || open());
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) open();
      else activate(active + (event.key === "ArrowDown" ? 1 : active < 0 ? 0 : -1));
    } else if (event.key === "Escape") {
      close();
    } else if (event.key === "Enter") {
      if (active >= 0) choose(found[active]);
      else if (input.value.trim()) {
        const text = input.value.trim();
        close();
        input.value = "";
        enter(text);
      }
    }
  });
  return element("div", { class: "search" }, element("label", { for: id }, label), input, list);
}
