// What a script of a pipeline finds, for editors and the TypeScript compiler. There is no browser and no Node.js: no
// `fetch`, no timers, no `process`. Use it with `"lib": ["es2024"]` and `"types": []`, as `vrsky init --script` writes it.
//
//   export default ((msg, ctx) => ({ ...msg, seen: ctx.now })) satisfies Vrsky.Script<{ total: number }>;

declare namespace Vrsky {
  /** One message: whatever JSON can hold. */
  type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

  /**
   * What a script gives: one message, a list of messages (`[]` for none), or `null` to drop the message. Functions, symbols,
   * bigints, `NaN` and promises inside of a value are refused when the script runs. There is no `undefined`: a forgotten
   * `return` is an error.
   */
  type Result = (object & { then?: never }) | string | number | boolean | null;

  /** The default export of a script. `Message` is the shape of what comes in; it is not checked when the script runs. */
  type Script<Message = any> = (msg: Message, ctx: Context) => Result | Promise<Result>;

  /** A lookup table of the pipeline. */
  interface Table<Row = any> {
    /** The row of a key, a copy; `null` when there is none. */
    readonly get: (key: string | number | bigint | boolean | null | undefined) => Row | null;
    readonly has: (key: string | number | bigint | boolean | null | undefined) => boolean;
  }

  /** The message that is being run. It cannot be written to. */
  interface Context {
    /** The id of the message; the same when it is delivered again. */
    readonly id: string;
    readonly customer: string;
    readonly pipeline: string;
    readonly revision: string;
    /** When the message was accepted, in milliseconds since 1970. `Date.now()` gives the same. */
    readonly now: number;
    /** By their names in lower case; of a repeated header the first. */
    readonly headers: Readonly<Record<string, string | undefined>>;
    /** From 0 up to 1; follows from the message, so that it is the same when the message is delivered again. */
    readonly random: () => number;
    /** A UUID of version 4; follows from the message, another one at each call. */
    readonly uuid: () => string;
    /** The row of a lookup table of the pipeline, a copy; `null` when the key has none. */
    readonly lookup: <Row = any>(
      table: string,
      key: string | number | bigint | boolean | null | undefined,
    ) => Row | null;
    /** A lookup table of the pipeline; throws where the pipeline has none of this name. */
    readonly table: <Row = any>(name: string) => Table<Row>;
  }

  type Algorithm = "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512";
  type Encoding = "hex" | "base64" | "base64url";
  type Bytes = ArrayBuffer | ArrayBufferView;
  type Integers =
    | Int8Array
    | Uint8Array
    | Uint8ClampedArray
    | Int16Array
    | Uint16Array
    | Int32Array
    | Uint32Array
    | BigInt64Array
    | BigUint64Array;

  interface Crypto {
    /** The digest of a text, in UTF-8, or of bytes. */
    digest(algorithm: Algorithm, data: string | Bytes): Uint8Array<ArrayBuffer>;
    digest(algorithm: Algorithm, data: string | Bytes, encoding: Encoding): string;
    hmac(algorithm: Algorithm, key: string | Bytes, data: string | Bytes): Uint8Array<ArrayBuffer>;
    hmac(algorithm: Algorithm, key: string | Bytes, data: string | Bytes, encoding: Encoding): string;
    /** At most 65,536 bytes. They follow from the message and are no secret. */
    getRandomValues<T extends Integers>(array: T): T;
    /** Follows from the message. */
    randomUUID(): string;
    readonly subtle: {
      digest(algorithm: Algorithm | { name: Algorithm }, data: Bytes): Promise<ArrayBuffer>;
    };
  }

  interface Console {
    debug(...values: unknown[]): void;
    log(...values: unknown[]): void;
    info(...values: unknown[]): void;
    warn(...values: unknown[]): void;
    error(...values: unknown[]): void;
  }
}

/** Lines for whoever looks after the pipeline: in `vrsky dry-run`, `vrsky tap` and the node's log. */
declare const console: Vrsky.Console;
declare const crypto: Vrsky.Crypto;

/** From base64 to a text of one character for each byte. */
declare function atob(data: string): string;
/** From a text of characters up to U+00FF to base64. */
declare function btoa(data: string): string;
/** A deep copy. Nothing can be transferred. */
declare function structuredClone<T>(value: T): T;

declare class TextEncoder {
  readonly encoding: "utf-8";
  encode(input?: string): Uint8Array<ArrayBuffer>;
  encodeInto(source: string, destination: Uint8Array): { read: number; written: number };
}

declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  decode(input?: Vrsky.Bytes): string;
}

declare class URL {
  constructor(url: string | URL, base?: string | URL);
  static canParse(url: string | URL, base?: string | URL): boolean;
  static parse(url: string | URL, base?: string | URL): URL | null;
  href: string;
  readonly origin: string;
  protocol: string;
  username: string;
  password: string;
  host: string;
  hostname: string;
  port: string;
  pathname: string;
  search: string;
  readonly searchParams: URLSearchParams;
  hash: string;
  toString(): string;
  toJSON(): string;
}

declare class URLSearchParams {
  constructor(init?: string | URLSearchParams | Iterable<readonly [string, string]> | Record<string, string>);
  readonly size: number;
  append(name: string, value: string): void;
  delete(name: string, value?: string): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string, value?: string): boolean;
  set(name: string, value: string): void;
  sort(): void;
  toString(): string;
  forEach(each: (value: string, name: string, params: URLSearchParams) => void, self?: unknown): void;
  entries(): IteratorObject<[string, string], undefined>;
  keys(): IteratorObject<string, undefined>;
  values(): IteratorObject<string, undefined>;
  [Symbol.iterator](): IteratorObject<[string, string], undefined>;
}
