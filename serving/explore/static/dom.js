// Elements, whose texts are always texts: nothing here takes markup.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

export function button(text, onclick, attributes = {}) {
  return element("button", { type: "button", onclick, ...attributes }, text);
}

export const byId = (id) => document.getElementById(id);

const whole = new Intl.NumberFormat("en");
export const count = (value) => whole.format(value);
export const plural = (value, one, many) => `${count(value)} ${value === 1 ? one : many}`;

export function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
}

export function score(value) {
  return value < 0 ? `−${(-value).toFixed(2)}` : value.toFixed(2);
}

const moments = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });

// Unix seconds as an element; 0 is not known.
export function time(seconds) {
  if (!seconds) return "time unknown";
  const moment = new Date(seconds * 1000);
  return element("time", { datetime: moment.toISOString(), title: "UTC" }, moments.format(moment));
}

// How long each call of the model server took.
export function timings(calls) {
  return element("p", { class: "timings" }, calls.map((call) =>
    element("span", {}, `${call.signature} `, element("b", {}, `${call.milliseconds.toFixed(1)} ms`))));
}

export const nameOf = (item) => item.title || item.item_id;
