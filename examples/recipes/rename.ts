type Order = { orderNo: number; customer: { firstName: string; lastName: string }; grossTotal?: number; placed: string };

const RATE = 0.081;
const cents = (amount: number): number => Math.round(amount * 100) / 100;

export default (msg: Order) => {
  if (msg.grossTotal === undefined) throw new Error("an order without grossTotal");
  const net = cents(msg.grossTotal / (1 + RATE));
  return {
    number: msg.orderNo,
    buyer: `${msg.customer.firstName} ${msg.customer.lastName}`,
    net,
    tax: cents(msg.grossTotal - net),
    date: new Date(msg.placed).toISOString(),
  };
};
