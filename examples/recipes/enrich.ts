type Reading = { sensor: string; celsius: number };
type Context = { id: string; now: number; headers: Record<string, string> };

const LEVELS: [number, string][] = [[80, "alarm"], [60, "warning"], [-273.15, "ok"]];

export default (msg: Reading, ctx: Context) => ({
  ...msg,
  fahrenheit: Math.round((msg.celsius * 9) / 5 * 10 + 320) / 10,
  level: LEVELS.find(([from]) => msg.celsius >= from)?.[1] ?? "impossible",
  region: ctx.headers["x-region"] ?? "unknown",
  // The same when the message comes again: its id and its time do not change.
  received: { id: ctx.id, at: new Date(ctx.now).toISOString() },
});
