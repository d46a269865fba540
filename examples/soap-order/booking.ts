type Item = { "@sku": string; quantity: number };
type Order = { "@id": string; customer: { name: string; city: string }; total: number; item: Item[] };

// The order as the service's own request. The declarations of its namespaces are attributes like any other.
export default (msg: { Envelope: { Body: { PlaceOrder: Order } } }) => {
  const order = msg.Envelope.Body.PlaceOrder;
  return {
    "soap:Envelope": {
      "@xmlns:soap": "http://schemas.xmlsoap.org/soap/envelope/",
      "@xmlns:b": "urn:erp.example",
      "soap:Body": {
        "b:Book": {
          "b:reference": order["@id"],
          "b:name": order.customer.name,
          "b:city": order.customer.city,
          "b:total": order.total.toFixed(2),
          "b:line": order.item.map((item) => ({ "@sku": item["@sku"], "@pieces": String(item.quantity) })),
        },
      },
    },
  };
};
