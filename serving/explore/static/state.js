// What is asked, kept in the address: a link shows the same again, and so do Back and Forward.

const LISTS = ["add", "drop", "exclude"];
const TEXTS = ["user", "at", "version", "compare", "item"];

export function read() {
  const address = new URLSearchParams(location.search);
  const state = { context: {}, filter: {} };
  for (const name of TEXTS) state[name] = address.get(name) || "";
  for (const name of LISTS) state[name] = address.getAll(name);
  for (const [key, value] of address) {
    if (key.startsWith("context.")) state.context[key.slice(8)] = value;
    if (key.startsWith("filter.")) (state.filter[key.slice(7)] ||= []).push(value);
  }
  return state;
}

// The part of the address that the server reads, too.
export function request(state, version = state.version) {
  const address = new URLSearchParams();
  const put = (name, value) => value && address.append(name, value);
  put("user", state.user);
  put("at", state.at);
  for (const name of LISTS) state[name].forEach((value) => put(name, value));
  Object.entries(state.context).forEach(([name, value]) => put(`context.${name}`, value));
  Object.entries(state.filter).forEach(([name, values]) => values.forEach((value) => put(`filter.${name}`, value)));
  put("version", version);
  return address;
}

export function write(state) {
  const address = request(state);
  for (const name of ["compare", "item"]) if (state[name]) address.append(name, state[name]);
  const query = address.toString();
  const wanted = location.pathname + (query && `?${query}`);
  if (wanted !== location.pathname + location.search) history.pushState(null, "", wanted);
}
