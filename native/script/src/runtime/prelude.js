// Run once in every new context, before the script: what a message sees must be the same on every
// delivery and on every node, and nothing a script does to the shared objects may last.
(now) => {
  "use strict";
  const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf, freeze } = Object;
  const { ownKeys, apply, construct } = Reflect;
  const hasOwn = Object.prototype.hasOwnProperty;

  // -- the clock stands at the time of the message ------------------------------------------------
  const HostDate = Date;
  function MessageDate(...parts) {
    if (new.target === undefined) return new HostDate(now()).toString();
    return construct(HostDate, parts.length === 0 ? [now()] : parts, new.target === MessageDate ? HostDate : new.target);
  }
  defineProperty(MessageDate, "name", { value: "Date", configurable: true });
  defineProperty(MessageDate, "length", { value: 7, configurable: true });
  defineProperty(MessageDate, "prototype", { value: HostDate.prototype, writable: false });
  const statics = { now: () => now(), parse: HostDate.parse, UTC: HostDate.UTC };
  for (const name of ownKeys(statics)) {
    defineProperty(MessageDate, name, { value: statics[name], writable: true, configurable: true });
  }
  defineProperty(HostDate.prototype, "constructor", { value: MessageDate, writable: true, configurable: true });
  defineProperty(globalThis, "Date", { value: MessageDate, writable: true, configurable: true });

  // -- what waits, shares memory, looks at the collector or makes code of text is not there --------
  for (const name of ["Atomics", "SharedArrayBuffer", "WeakRef", "FinalizationRegistry", "performance", "eval", "gc", "navigator"]) {
    delete globalThis[name];
  }
  // A script could otherwise rewrite the traces from which an error's line is read.
  delete Error.prepareStackTrace;
  delete Error.stackTraceLimit;
  // The constructors of functions cannot work (there is no compiler here); without them, looking for
  // one by `(function () {}).constructor` finds something that says so.
  const refuse = function Function() {
    throw new TypeError("code cannot be made from text in a script");
  };
  const kinds = [function () {}, function* () {}, async function () {}, async function* () {}];
  for (const kind of kinds) {
    defineProperty(getPrototypeOf(kind), "constructor", { value: refuse, writable: false, configurable: false });
  }
  const functionPrototype = getPrototypeOf(refuse);
  defineProperty(refuse, "prototype", { value: functionPrototype, writable: false });
  defineProperty(globalThis, "Function", { value: refuse, writable: true, configurable: true });

  // -- languages are not there -----------------------------------------------------------------------
  // The engine would take a locale and go on as if none had been given: dates, numbers and orders that look
  // right and are wrong. failure.rs knows the error by its name.
  const noLocale = (name, instead) => {
    const error = new TypeError(`\`${name}\` takes no locale and no options in a script; ${instead}`);
    defineProperty(error, "name", { value: "LocaleError" });
    throw error;
  };
  const withoutLocale = (prototype, name, instead) => {
    const original = prototype[name];
    const call = original.call.bind(original);
    const { length } = original;
    const methods = {
      [name](first, second, third) {
        if ((length === 0 && first !== undefined) || second !== undefined || third !== undefined) noLocale(name, instead);
        return call(this, first);
      },
    };
    defineProperty(methods[name], "length", { value: length, configurable: true });
    defineProperty(prototype, name, { value: methods[name], writable: true, configurable: true });
  };
  for (const name of ["toLocaleString", "toLocaleDateString", "toLocaleTimeString"]) {
    withoutLocale(HostDate.prototype, name, "make the text of `toISOString()` or of the UTC methods of Date");
  }
  for (const kind of [Number, BigInt, Array, getPrototypeOf(Uint8Array)]) {
    withoutLocale(kind.prototype, "toLocaleString", "make the text of `toFixed()` or `String()`");
  }
  withoutLocale(String.prototype, "localeCompare", "compare with `<` and `>`, which order by code units");
  withoutLocale(String.prototype, "toLocaleUpperCase", "use `toUpperCase()`");
  withoutLocale(String.prototype, "toLocaleLowerCase", "use `toLowerCase()`");

  // -- frozen, all the way ------------------------------------------------------------------------
  // A frozen prototype would forbid `object.toString = ...` on everything that inherits from it, and
  // `this.name = ...` in a class that extends Error. So there a plain value becomes a getter, and a
  // setter that defines the property on the object itself.
  const overridable = [Object.prototype, functionPrototype, Array.prototype];
  for (const name of ownKeys(globalThis)) {
    if (typeof name !== "string" || !/Error$/.test(name)) continue;
    overridable.push(globalThis[name].prototype);
  }
  const behind = [];
  const enable = (object, key) => {
    const own = getOwnPropertyDescriptor(object, key);
    if (!own.configurable || !("value" in own)) return;
    const value = own.value;
    behind.push(value);
    const get = () => value;
    const set = function (replacement) {
      if (this === object || this === null || (typeof this !== "object" && typeof this !== "function")) {
        throw new TypeError(`cannot assign to read-only property ${String(key)}`);
      }
      if (apply(hasOwn, this, [key])) this[key] = replacement;
      else defineProperty(this, key, { value: replacement, writable: true, enumerable: true, configurable: true });
    };
    defineProperty(object, key, { get, set, enumerable: own.enumerable, configurable: false });
  };
  for (const object of overridable) {
    if (object === Array.prototype) continue;
    for (const key of ownKeys(object)) {
      if (typeof key === "string") enable(object, key);
    }
  }

  const seen = new Set();
  const waiting = [globalThis];
  const visit = (value) => {
    if (value === null || (typeof value !== "object" && typeof value !== "function") || seen.has(value)) return;
    seen.add(value);
    waiting.push(value);
  };
  // Reached by getters only.
  for (const value of behind) visit(value);
  // Reached by syntax only.
  for (const value of kinds) visit(getPrototypeOf(value)), visit(value.prototype && getPrototypeOf(value.prototype));
  visit(getPrototypeOf([][Symbol.iterator]()));
  visit(getPrototypeOf(""[Symbol.iterator]()));
  visit(getPrototypeOf(new Map()[Symbol.iterator]()));
  visit(getPrototypeOf(new Set()[Symbol.iterator]()));
  visit(getPrototypeOf("".matchAll(/./g)));
  visit(getPrototypeOf([].values().map((value) => value)));
  visit(getPrototypeOf(Iterator.from({ next() {} })));
  visit(getPrototypeOf(Iterator.concat([])));
  while (waiting.length > 0) {
    const object = waiting.pop();
    freeze(object);
    visit(getPrototypeOf(object));
    for (const key of ownKeys(object)) {
      const own = getOwnPropertyDescriptor(object, key);
      visit(own.value), visit(own.get), visit(own.set);
    }
  }

  // -- the kind of a function that gives an iterator; undefined for any other ----------------------
  const names = ["a generator", "an async generator"];
  const unfit = [kinds[1], kinds[3]].map(getPrototypeOf);
  return (exported) => names[unfit.indexOf(getPrototypeOf(exported))];
};
