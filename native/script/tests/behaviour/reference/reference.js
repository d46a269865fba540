// The same script on a view of the message, and on what JSON.parse makes of its text.
//
// What leaves the reference is JSON.stringify's, except for the differences that docs/scripts.md names:
// - where JSON.stringify would write null or {} for something that is no JSON value, the message fails;
// - half a surrogate pair fails;
// - a list that is returned stands for several messages; null for none; undefined fails.
// Numbers are compared by their value, since untouched ones keep their digits.

const proxies = new WeakSet();
const proxy = (value) => {
  const made = new Proxy(value, {});
  proxies.add(made);
  return made;
};

class Forbidden extends Error {}
const forbid = (what) => {
  throw new Forbidden(what);
};

/// The classes that scripts make here, known by what they hold: their prototypes may be changed.
const BRANDS = [Date.prototype.getTime, Map.prototype.keys];
const isBranded = (value) => BRANDS.some((method) => {
  try {
    method.call(value);
    return true;
  } catch {
    return false;
  }
});

/// Called by JSON.stringify for every value, after `toJSON`.
function check(key, value) {
  if (!key.isWellFormed() && value !== undefined) forbid("key");
  switch (typeof value) {
    case "function":
    case "symbol":
    case "bigint":
      return forbid(typeof value);
    case "number":
      return Number.isFinite(value) ? value : forbid("number");
    case "string":
      return value.isWellFormed() ? value : forbid("string");
    case "object":
      if (value === null) return value;
      if (proxies.has(value)) forbid("proxy");
      if (isBranded(value)) forbid("class");
      return value;
    default:
      return value;
  }
}

const message = (value) => JSON.stringify(value, check) ?? forbid("undefined");

const messages = (value) => {
  if (value === null) return [];
  if (!Array.isArray(value) || proxies.has(value)) return [message(value)];
  const texts = [];
  const { length } = value;
  for (let index = 0; index < length; index++) texts.push(message(value[index]));
  return texts;
};

/// A value as the log shows it.
const show = (value) => {
  switch (typeof value) {
    case "object":
      if (value === null) return "null";
      try {
        return `${Array.isArray(value) ? "list" : "object"} ${JSON.stringify(value)}`.slice(0, 4000);
      } catch (error) {
        return `object ${error.name}`;
      }
    case "function":
      return "function";
    case "number":
      return Object.is(value, -0) ? "-0" : `number ${value}`;
    case "bigint":
    case "symbol":
    case "undefined":
      return typeof value;
    default:
      return `${typeof value} ${value}`;
  }
};

const sym = Symbol("sym");
/// Lists of millions of holes are the business of other tests.
const put = (at, key, value) => {
  if (!(Array.isArray(at) && Number(key) > 40)) at[key] = value;
};
const kept = new Map();
/// What the last script read.
const seen = {};
const shown = (log) => log.map((line) => String(line).toWellFormed());

export default (msg, ctx) => {
  const [mode, index] = ctx.id.split(" ");
  if (mode === "normal") return { texts: msg.texts.map((text) => JSON.stringify(JSON.parse(text))) };
  if (mode === "log") return { log: shown(seen.log) };
  const state = kept.get(ctx.id) ?? {};
  kept.set(ctx.id, state);
  const script = scripts[index];
  const log = [];
  if (mode === "view") {
    seen.log = log;
    try {
      return script(msg, state, log);
    } catch (error) {
      log.push(error?.name);
      throw error;
    }
  }
  const value = JSON.parse(msg.text);
  const is_canonical = JSON.stringify(value) === msg.text;
  let returned;
  try {
    returned = script(value, state, log);
  } catch (error) {
    log.push(error?.name);
    return { log: shown(log), is_canonical, failed: "threw" };
  }
  try {
    return { log: shown(log), is_canonical, texts: messages(returned) };
  } catch (error) {
    return { log: shown(log), is_canonical, failed: "wrote" };
  }
};
