type Line = { sku: string; warehouse: string; quantity: number };

export default (msg: { id: string; lines: Line[] }) => {
  const parcels = new Map<string, Line[]>();
  for (const line of msg.lines) {
    const lines = parcels.get(line.warehouse);
    if (lines) lines.push(line);
    else parcels.set(line.warehouse, [line]);
  }
  return [...parcels].map(([warehouse, lines], at) => ({
    order: msg.id,
    parcel: at + 1,
    of: parcels.size,
    warehouse,
    lines: lines.map(({ sku, quantity }) => ({ sku, quantity })),
  }));
};
