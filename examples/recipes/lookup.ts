type Context = { lookup(table: string, key: unknown): any };

export default (msg: { sku: string; quantity: number; currency: string; name?: string; amount?: number }, ctx: Context) => {
  const article = ctx.lookup("articles", msg.sku);
  if (article === null) throw new Error(`no article ${msg.sku}`);
  const rate = ctx.lookup("rates", msg.currency);
  if (rate === null) throw new Error(`no rate of ${msg.currency}`);
  msg.name = article.name;
  msg.amount = Math.round(msg.quantity * article.price * rate * 100) / 100;
  return msg;
};
