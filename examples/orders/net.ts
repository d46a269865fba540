// What the ERP wants and the order does not say: the net amount in cents' precision, and how many pieces.

type Item = { "@sku": string; name: string; price: number; quantity: number };
type Order = { "@id": string; country: string; total: number; net: number; pieces?: number; items: { item: Item[] } };

const cents = (amount: number): number => Math.round(amount * 100) / 100;

export default (msg: { order: Order }) => {
  const order = msg.order;
  order.net = cents(order.net);
  order.pieces = order.items.item.reduce((sum, item) => sum + item.quantity, 0);
  return msg;
};
