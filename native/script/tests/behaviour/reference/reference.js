// The same script on a view of the message, and on what JSON.parse makes of its text.
//
// What leaves the reference is JSON.stringify's, except for the differences that docs/scripts.md names:
// - where JSON.stringify would write null or {} for something that is no JSON value, the message fails;
// - half a surrogate pair fails;
// - a list that is returned stands for several messages; null for none; undefined fails.
// Numbers are compared by their value, since untouched ones keep their digits.

const proxies = new WeakSet();
const proxy = (value, traps = {}) => {
  const made = new Proxy(value, traps);
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

/// JSON.stringify asks wrapped numbers and strings for their primitive only after `check`, which would not see a NaN.
const WRAPPED = [[Number, Number.prototype.valueOf], [String, String.prototype.valueOf]];
const primitive = (value) => {
  const found = WRAPPED.find(([, valueOf]) => {
    try {
      valueOf.call(value);
      return true;
    } catch {
      return false;
    }
  });
  return found ? found[0](value) : value;
};

/// Called by JSON.stringify for every value, after `toJSON`.
function check(key, given) {
  const value = typeof given === "object" ? primitive(given) : given;
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
        caught(error);
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

/// Scripts that met the end of the stack: after how many calls is the engine's business, and a view's calls need less
/// or more of it than those of plain objects.
const deep = new Set();
/// The script that runs.
let running;
const caught = (error, log) => {
  if (error instanceof RangeError && error.message === "Maximum call stack size exceeded") deep.add(running);
  log?.push(error?.name);
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

/// The script on what JSON.parse makes of the text, written by JSON.stringify.
const run = (text, script, state, log) => {
  const value = JSON.parse(text);
  const is_canonical = JSON.stringify(value) === text;
  let returned;
  try {
    returned = script(value, state, log);
  } catch (error) {
    caught(error, log);
    return { is_canonical, failed: "threw" };
  }
  try {
    return { is_canonical, texts: messages(returned) };
  } catch (error) {
    caught(error);
    return { is_canonical, failed: "wrote" };
  }
};

export default (msg, ctx) => {
  const [mode, index] = ctx.id.split(" ");
  if (mode === "normal") return { texts: msg.texts.map((text) => JSON.stringify(JSON.parse(text))) };
  if (mode === "log") return { log: shown(seen.log) };
  const state = kept.get(ctx.id) ?? {};
  kept.set(ctx.id, state);
  const script = scripts[index];
  running = index;
  const log = [];
  if (mode === "view") {
    seen.log = log;
    try {
      return script(msg, state, log);
    } catch (error) {
      caught(error, log);
      throw error;
    }
  }
  const reference = run(msg.text, script, state, log);
  return { log: shown(log), is_deep: deep.has(index), ...reference };
};
