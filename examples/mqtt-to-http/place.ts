// buildings/BUILDING/sensors/SENSOR/state
interface Report { celsius: number; building?: string; sensor?: string }

export default (report: Report, ctx: { headers: Record<string, string> }): Report => {
  const [, building, , sensor] = ctx.headers["mqtt-topic"].split("/");
  return { ...report, building, sensor };
};
