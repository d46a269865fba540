//! One delivery of one pipeline.

use bytes::Bytes;
use connectors::Delivery;

/// Lives as long as the tests do.
pub fn delivery(payload: &str, content_type: &'static str) -> Delivery<'static> {
    Delivery {
        id: "1",
        payload: Box::leak(Box::new(Bytes::copy_from_slice(payload.as_bytes()))),
        content_type,
        customer: "acme",
        pipeline: "orders",
        headers: b"",
        address: None,
    }
}

pub fn json(payload: &str) -> Delivery<'static> {
    delivery(payload, "application/json")
}
