const show = (value) => {
  if (value === undefined) return "undefined";
  if (typeof value === "function") return "function";
  if (typeof value === "symbol") return "symbol";
  if (typeof value === "object" && value !== null) return JSON.stringify(value) ?? "undefined";
  return Object.is(value, -0) ? "-0" : typeof value + " " + String(value);
};

const walk = (root, path) => {
  let at = root;
  for (const key of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) break;
    const next = at[key];
    if (typeof next !== "object" || next === null) break;
    at = next;
  }
  return at;
};

const copy = (value) => JSON.parse(JSON.stringify(value));
const note = Symbol("note");

const kinds = [
  (at, { key }) => show(at[key]),
  (at, { key, value }) => { at[key] = copy(value); return show(at[key]); },
  (at, { key }) => delete at[key],
  (at) => Object.keys(at).join("|"),
  (at) => JSON.stringify(at),
  (at, { key }) => key in at,
  (at) => JSON.stringify({ ...at }),
  (at, { key }) => { const own = Object.getOwnPropertyDescriptor(at, key); return own && show({ ...own, get: !!own.get, set: !!own.set }); },
  (at, { key, value }) => { Object.defineProperty(at, key, { value: copy(value) }); return show(at[key]); },
  (at, { key, value }) => { Object.defineProperty(at, key, { value: copy(value), enumerable: true, configurable: true, writable: true }); return show(at[key]); },
  (at, { key }) => { Object.defineProperty(at, key, { get() { return "got" }, set(value) { this.was = value }, enumerable: true, configurable: true }); return show(at[key]); },
  (at) => { Object.freeze(at); return Object.isFrozen(at); },
  (at) => { Object.seal(at); return Object.isSealed(at) + " " + Object.isFrozen(at); },
  (at) => { Object.preventExtensions(at); return Object.isExtensible(at); },
  (at) => { let seen = ""; for (const key in at) seen += key + "|"; return seen; },
  (at) => Object.entries(at).map(([key, value]) => key + "=" + show(value)).join("|"),
  (at, { value }) => { Object.assign(at, typeof value === "string" ? null : copy(value)); return JSON.stringify(at); },
  (at, { key }) => { const { [key]: out, ...rest } = at; return show(out) + JSON.stringify(rest); },
  (at) => Array.isArray(at) + Object.prototype.toString.call(at) + (at instanceof Object) + at.constructor?.name + typeof at,
  (at, { value }) => Array.isArray(at) ? at.push(copy(value)) : "no list",
  (at) => Array.isArray(at) ? JSON.stringify([at.length, at.map(show), at.slice(1), at.includes(1), at.indexOf(null)]) : "no list",
  (at) => Array.isArray(at) ? JSON.stringify([at.shift(), at.reverse()]) : "no list",
  (at, { key, other }, root) => { const from = walk(root, other); at[key] = from === at || JSON.stringify(from)?.length > 2000 ? 1 : copy(from); return show(at); },
  (at, { key, other }, root) => { const from = walk(root, other); if (!Object.hasOwn(at, key)) return "none"; const before = at[key]; at[key] = from; let cyclic = false; try { JSON.stringify(root) } catch { cyclic = true } if (cyclic || JSON.stringify(root).length > 20000) { at[key] = before; return "cyclic" } return show(at); },
  (at, { key }) => at[key] === at[key] || Number.isNaN(at[key]),
  (at, { key }) => Object.hasOwn(at, key) + " " + at.propertyIsEnumerable?.(key),
  (at, { key }) => { const out = {}; for (const [name, value] of Object.entries(at)) out[name + "x"] = value; return JSON.stringify(out) + show(out[key]); },
  (at) => Reflect.ownKeys(at).map(String).join("|"),
  (at) => { at[note] = 1; return Object.getOwnPropertySymbols(at).length + Object.keys(at).join("|"); },
  (at, { key, value }) => Reflect.set(at, key, copy(value)) + show(at[key]),
  (at, { key, value }) => { const child = Object.create(at); child[key] = copy(value); return Object.keys(child).join("|") + show(at[key]); },
  (at, { value }) => { Object.setPrototypeOf(at, Array.isArray(at) ? Array.prototype : { inherited: 1 }); return show(at.inherited) + JSON.stringify(at); },
];

const perform = (root, operations) => operations.map((operation) => {
  const at = walk(root, operation.path);
  if (typeof at !== "object" || at === null) return "leaf " + show(at);
  // Lists of millions of holes are the business of other tests.
  if (Array.isArray(at) && (operation.key === "length" || operation.value?.length !== undefined)) return "length";
  try {
    return operation.kind + " " + String(kinds[operation.kind](at, operation, root));
  } catch (error) {
    return operation.kind + " " + error.constructor.name;
  }
});

export default (msg) => {
  const parsed = JSON.parse(msg.text);
  const operations = JSON.parse(JSON.stringify(msg.operations));
  const viewLog = perform(msg.document, operations);
  const parsedLog = perform(parsed, operations);
  return [{ result: msg.document }, { result: parsed }, { log: viewLog }, { log: parsedLog }];
};
