// What scripts expect of a platform, beyond the language. Run in a script's context when one of these is first named; by
// then everything it is built on is frozen. `native` holds the functions of mod.rs.
(native) => {
  "use strict";
  const { freeze, isFrozen, getPrototypeOf, getOwnPropertyDescriptor, defineProperty } = Object;
  const { ownKeys } = Reflect;

  const named = (name, message) => {
    const error = new Error(message);
    defineProperty(error, "name", { value: name });
    return error;
  };
  /** As a USVString: half a surrogate pair becomes U+FFFD, as the standards have it. */
  const text = (value) => `${value}`.toWellFormed();
  // By the getters of the language: own properties of a buffer may say anything.
  const getter = (kind, name) => Function.prototype.call.bind(getOwnPropertyDescriptor(kind.prototype, name).get);
  const size = getter(ArrayBuffer, "byteLength");
  const [ofArray, ofView] = [getPrototypeOf(Uint8Array), DataView].map((kind) =>
    ["buffer", "byteOffset", "byteLength"].map((name) => getter(kind, name)));
  /** A view of the bytes of a buffer or of any view of one. Its length is fixed, whatever becomes of the buffer. */
  const bytesOf = (data, what) => {
    const kind = native.classOf(data);
    if (kind === "ArrayBuffer") return new Uint8Array(data, 0, size(data));
    if (ArrayBuffer.isView(data)) {
      const [buffer, offset, length] = kind === "DataView" ? ofView : ofArray;
      return new Uint8Array(buffer(data), offset(data), length(data));
    }
    throw new TypeError(`${what} is an ArrayBuffer, a typed array or a DataView`);
  };
  const tag = (kind, name) => defineProperty(kind.prototype, Symbol.toStringTag, { value: name, configurable: true });

  // -- text and bytes -----------------------------------------------------------------------------
  const atob = function atob(data) {
    const decoded = native.atob(`${data}`);
    if (decoded === null) throw named("InvalidCharacterError", "atob: the text is no base64");
    return decoded;
  };
  const btoa = function btoa(data) {
    const encoded = native.btoa(`${data}`);
    if (encoded === null) throw named("InvalidCharacterError", "btoa: the text has characters above U+00FF; encode it with TextEncoder first");
    return encoded;
  };

  class TextEncoder {
    get encoding() {
      return "utf-8";
    }
    encode(input = "") {
      return native.encode(text(input));
    }
    encodeInto(source, destination) {
      if (native.classOf(destination) !== "Uint8Array") throw new TypeError("encodeInto writes into a Uint8Array");
      const room = destination.length;
      let [read, written] = [0, 0];
      source = text(source);
      for (const character of source) {
        const point = character.codePointAt(0);
        const size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        if (written + size > room) break;
        read += character.length;
        written += size;
      }
      destination.set(native.encode(source.slice(0, read)));
      return { read, written };
    }
  }
  tag(TextEncoder, "TextEncoder");

  class TextDecoder {
    #encoding;
    #fatal;
    #ignoreBOM;
    constructor(label = "utf-8", options = {}) {
      const encoding = native.encodingOf(`${label}`);
      if (encoding === null) throw new RangeError(`TextDecoder: \`${`${label}`.slice(0, 40)}\` is no encoding`);
      this.#encoding = encoding;
      this.#fatal = Boolean(options?.fatal);
      this.#ignoreBOM = Boolean(options?.ignoreBOM);
    }
    get encoding() {
      return this.#encoding;
    }
    get fatal() {
      return this.#fatal;
    }
    get ignoreBOM() {
      return this.#ignoreBOM;
    }
    decode(input, options) {
      if (options?.stream) throw new TypeError("TextDecoder: there is no `stream` in a script; join the parts first");
      const bytes = input === undefined ? new Uint8Array() : bytesOf(input, "what is decoded");
      const decoded = native.decode(this.#encoding, bytes, this.#fatal, this.#ignoreBOM);
      if (decoded === null) throw new TypeError(`TextDecoder: the bytes are no ${this.#encoding}`);
      return decoded;
    }
  }
  tag(TextDecoder, "TextDecoder");

  // -- copies -------------------------------------------------------------------------------------
  const errors = { __proto__: null, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
  const arrays = { __proto__: null };
  const wrapped = { __proto__: null, Number, String, Boolean, BigInt };
  for (const name of ownKeys(globalThis)) {
    if (typeof name === "string" && /^(?:Big)?(?:Int|Uint|Float)\d+(?:Clamped)?Array$/.test(name)) arrays[name] = globalThis[name];
  }
  const dataClone = (what) => named("DataCloneError", `structuredClone: ${what} cannot be copied`);
  const dateTime = Function.prototype.call.bind(Date.prototype.getTime);

  const copy = (value, seen) => {
    if (typeof value === "symbol") throw dataClone("a symbol");
    if (typeof value === "function") throw dataClone("a function");
    if (typeof value !== "object" || value === null) return value;
    const known = seen.get(value);
    if (known !== undefined) return known;
    const keep = (made) => {
      seen.set(value, made);
      return made;
    };
    const members = (made) => {
      for (const key of Object.keys(value)) {
        defineProperty(made, key, { value: copy(value[key], seen), writable: true, enumerable: true, configurable: true });
      }
      return made;
    };
    const kind = native.classOf(value);
    switch (kind) {
      case "Object":
      case "Arguments":
        return members(keep({}));
      case "Array": {
        const made = keep([]);
        made.length = value.length;
        return members(made);
      }
      case "Date":
        return keep(new Date(dateTime(value)));
      case "Number":
      case "String":
      case "Boolean":
      case "BigInt":
        return keep(Object(wrapped[kind].prototype.valueOf.call(value)));
      case "RegExp":
        return keep(new RegExp(value.source, value.flags));
      case "Map": {
        const made = keep(new Map());
        for (const [key, member] of [...Map.prototype.entries.call(value)]) made.set(copy(key, seen), copy(member, seen));
        return made;
      }
      case "Set": {
        const made = keep(new Set());
        for (const member of [...Set.prototype.values.call(value)]) made.add(copy(member, seen));
        return made;
      }
      case "Error": {
        const made = keep(new (errors[value.name] ?? Error)(""));
        for (const name of ["message", "stack", "cause"]) {
          const own = getOwnPropertyDescriptor(value, name);
          if (own && "value" in own) {
            const member = name === "cause" ? copy(own.value, seen) : `${own.value}`;
            defineProperty(made, name, { value: member, writable: true, enumerable: false, configurable: true });
          }
        }
        return made;
      }
      case "ArrayBuffer":
        return keep(ArrayBuffer.prototype.slice.call(value, 0));
      case "DataView": {
        const [buffer, offset, length] = ofView;
        return keep(new DataView(copy(buffer(value), seen), offset(value), length(value)));
      }
    }
    const list = arrays[kind];
    if (list !== undefined) {
      const [buffer, offset, length] = ofArray;
      return keep(new list(copy(buffer(value), seen), offset(value), length(value) / list.BYTES_PER_ELEMENT));
    }
    throw dataClone(`\`${kind}\``);
  };
  const structuredClone = function structuredClone(value, options) {
    if (options?.transfer !== undefined && [...options.transfer].length > 0) throw dataClone("what is to be transferred");
    return copy(value, new Map());
  };

  // -- digests and random values -------------------------------------------------------------------
  const algorithm = (name) => {
    const asked = `${typeof name === "object" && name !== null ? name.name : name}`;
    const known = native.algorithmOf(asked);
    if (known === null) throw named("NotSupportedError", `crypto: \`${asked.slice(0, 40)}\` is not among SHA-1, SHA-256, SHA-384 and SHA-512`);
    return known;
  };
  const input = (data, what) => {
    if (typeof data !== "string") return bytesOf(data, `${what} is a text,`);
    if (!data.isWellFormed()) throw new TypeError(`crypto: ${what} holds half a surrogate pair`);
    return native.encode(data);
  };
  const shown = (bytes, encoding) => {
    if (encoding === undefined) return bytes;
    const shown = native.shown(bytes, `${encoding}`);
    if (shown === null) throw new TypeError("crypto: the encoding is `hex`, `base64` or `base64url`, or left out for bytes");
    return shown;
  };
  const subtle = {
    async digest(name, data) {
      return native.digest(algorithm(name), bytesOf(data, "what is digested")).buffer;
    },
  };
  const crypto = {
    digest(name, data, encoding) {
      return shown(native.digest(algorithm(name), input(data, "what is digested")), encoding);
    },
    hmac(name, key, data, encoding) {
      return shown(native.hmac(algorithm(name), input(key, "the key"), input(data, "what is signed")), encoding);
    },
    getRandomValues(array) {
      if (!/^(?:Big)?(?:Int|Uint)\d+(?:Clamped)?Array$/.test(native.classOf(array))) {
        throw named("TypeMismatchError", "crypto.getRandomValues fills a typed array of integers");
      }
      if (array.byteLength > 65536) throw named("QuotaExceededError", "crypto.getRandomValues fills at most 65,536 bytes");
      native.fill(bytesOf(array, "what is filled"));
      return array;
    },
    randomUUID() {
      return native.uuid();
    },
    subtle,
  };

  // -- addresses ----------------------------------------------------------------------------------
  const pairsOf = (init) => {
    const pairs = [];
    if (typeof init === "object" && init !== null || typeof init === "function") {
      const iterate = init[Symbol.iterator];
      if (iterate !== undefined && iterate !== null) {
        for (const pair of init) {
          const entry = [...pair];
          if (entry.length !== 2) throw new TypeError("URLSearchParams: each entry is a pair of a name and a value");
          pairs.push([text(entry[0]), text(entry[1])]);
        }
        return pairs;
      }
      const found = new Map();
      for (const key of Object.keys(init)) found.set(text(key), text(init[key]));
      return [...found];
    }
    const query = text(init);
    return native.parseQuery(query[0] === "?" ? query.slice(1) : query);
  };

  let linkedTo, replacePairs;
  class URLSearchParams {
    #pairs = [];
    #changed = null;
    static {
      linkedTo = (pairs, changed) => {
        const params = new URLSearchParams();
        params.#pairs = pairs;
        params.#changed = changed;
        return params;
      };
      replacePairs = (params, pairs) => {
        params.#pairs = pairs;
      };
    }
    constructor(init = "") {
      this.#pairs = pairsOf(init);
    }
    #change(pairs) {
      this.#pairs = pairs;
      this.#changed?.(this.toString());
    }
    get size() {
      return this.#pairs.length;
    }
    append(name, value) {
      [name, value] = [text(name), text(value)];
      this.#pairs.push([name, value]);
      this.#change(this.#pairs);
    }
    delete(name, value) {
      [name, value] = [text(name), value === undefined ? value : text(value)];
      this.#change(this.#pairs.filter((pair) => pair[0] !== name || (value !== undefined && pair[1] !== value)));
    }
    get(name) {
      name = text(name);
      return this.#pairs.find((pair) => pair[0] === name)?.[1] ?? null;
    }
    getAll(name) {
      name = text(name);
      return this.#pairs.filter((pair) => pair[0] === name).map((pair) => pair[1]);
    }
    has(name, value) {
      [name, value] = [text(name), value === undefined ? value : text(value)];
      return this.#pairs.some((pair) => pair[0] === name && (value === undefined || pair[1] === value));
    }
    set(name, value) {
      [name, value] = [text(name), text(value)];
      let isSet = false;
      const pairs = this.#pairs.filter((pair) => {
        if (pair[0] !== name) return true;
        if (isSet) return false;
        pair[1] = value;
        return (isSet = true);
      });
      if (!isSet) pairs.push([name, value]);
      this.#change(pairs);
    }
    sort() {
      this.#change(this.#pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)));
    }
    toString() {
      return native.writeQuery(this.#pairs.flat());
    }
    forEach(each, self) {
      for (let at = 0; at < this.#pairs.length; at++) {
        const [name, value] = this.#pairs[at];
        each.call(self, value, name, this);
      }
    }
    /** Sees what is added or taken away meanwhile. */
    #iterate(take) {
      let at = 0;
      return {
        __proto__: iterator,
        next: () => {
          if (at >= this.#pairs.length) return { value: undefined, done: true };
          return { value: take(this.#pairs[at++]), done: false };
        },
      };
    }
    entries() {
      return this.#iterate(([name, value]) => [name, value]);
    }
    keys() {
      return this.#iterate((pair) => pair[0]);
    }
    values() {
      return this.#iterate((pair) => pair[1]);
    }
  }
  const iterator = Object.create(Iterator.prototype, {
    [Symbol.toStringTag]: { value: "URLSearchParams Iterator", configurable: true },
  });
  defineProperty(URLSearchParams.prototype, Symbol.iterator, { value: URLSearchParams.prototype.entries });
  tag(URLSearchParams, "URLSearchParams");

  const names = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];
  const HREF = 0;
  const SEARCH = 9;
  const parse = (url, base) => native.parseUrl(text(url), base === undefined ? null : text(base));
  const query = (parts) => native.parseQuery(parts[SEARCH].slice(1));
  let partsOf, set, fromParts;
  class URL {
    #parts;
    #params = null;
    static {
      partsOf = (url) => url.#parts;
      set = (url, index, value) => {
        const parts = native.setUrl(url.#parts[HREF], index, text(value));
        if (parts === null) {
          if (index === HREF) throw new TypeError("URL: the text is no address");
          return;
        }
        url.#parts = parts;
        if (url.#params !== null && (index === HREF || index === SEARCH)) replacePairs(url.#params, query(parts));
      };
      fromParts = (parts) => {
        const url = new URL("a:");
        url.#parts = parts;
        return url;
      };
    }
    constructor(url, base) {
      const parts = parse(url, base);
      if (parts === null) throw new TypeError(`URL: \`${`${url}`.slice(0, 100)}\` is no address${base === undefined ? "" : " with this base"}`);
      this.#parts = parts;
    }
    static canParse(url, base) {
      return parse(url, base) !== null;
    }
    static parse(url, base) {
      const parts = parse(url, base);
      return parts === null ? null : fromParts(parts);
    }
    get searchParams() {
      this.#params ??= linkedTo(query(this.#parts), (search) => {
        const parts = native.setUrl(this.#parts[HREF], SEARCH, search);
        if (parts !== null) this.#parts = parts;
      });
      return this.#params;
    }
    toString() {
      return this.#parts[HREF];
    }
    toJSON() {
      return this.#parts[HREF];
    }
  }
  names.forEach((name, index) => {
    const own = {
      get [name]() {
        return partsOf(this)[index];
      },
      set [name](value) {
        set(this, index, value);
      },
    };
    const { get, set: assign } = getOwnPropertyDescriptor(own, name);
    const setter = name === "origin" ? undefined : assign;
    defineProperty(URL.prototype, name, { get, set: setter, enumerable: true, configurable: true });
  });
  tag(URL, "URL");

  // -- what a script says to whoever looks after it ---------------------------------------------------
  const console = {};
  ["debug", "log", "info", "warn", "error"].forEach((name, level) => {
    const methods = {
      [name](...values) {
        native.say(level, new Error().stack, ...values.map((value) => (typeof value === "string" ? value.slice(0, 8192) : value)));
      },
    };
    console[name] = methods[name];
  });

  // -- lookup tables -----------------------------------------------------------------------------------
  const tableOf = function table(name) {
    name = `${name}`;
    native.hasRow(name, null);
    return freeze({
      get: freeze((key) => native.rowOf(name, key)),
      has: freeze((key) => native.hasRow(name, key)),
    });
  };

  const library = { URL, URLSearchParams, TextEncoder, TextDecoder, structuredClone, atob, btoa, crypto, console, tableOf };
  const waiting = [library, iterator];
  while (waiting.length > 0) {
    const object = waiting.pop();
    if (object === null || (typeof object !== "object" && typeof object !== "function") || isFrozen(object)) continue;
    freeze(object);
    waiting.push(getPrototypeOf(object));
    for (const key of ownKeys(object)) {
      const own = getOwnPropertyDescriptor(object, key);
      waiting.push(own.value, own.get, own.set);
    }
  }
  return library;
};
