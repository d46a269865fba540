//! One delivery of one pipeline.

use bytes::Bytes;
use connectors::Delivery;

pub fn delivery(payload: &str, content_type: &str) -> Delivery {
    Delivery {
        id: "1".into(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        content_type: content_type.into(),
        customer: "acme".into(),
        pipeline: "orders".into(),
        headers: Bytes::new(),
        url: None,
    }
}

pub fn json(payload: &str) -> Delivery {
    delivery(payload, "application/json")
}
