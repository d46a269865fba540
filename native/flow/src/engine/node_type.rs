//! Which part of a message's way a node serves. `vrsky run` serves all of it; a cluster runs each type
//! as a deployment of its own, so that it scales by its own load.

use serde::Deserialize;

use super::subjects::LaneType;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeType {
    /// HTTP and NATS ins. A NATS in is taken through its steps where it comes in: no lane lies between.
    Incoming,
    /// Converters, filters and scripts, of what HTTP ins have stored.
    Logic,
    /// Outs that are not NATS.
    Outgoing,
}

impl NodeType {
    pub const ALL: [NodeType; 3] = [NodeType::Incoming, NodeType::Logic, NodeType::Outgoing];

    /// The lane that it takes its messages from.
    #[must_use]
    pub const fn lane(self) -> Option<LaneType> {
        match self {
            NodeType::Incoming => None,
            NodeType::Logic => Some(LaneType::Logic),
            NodeType::Outgoing => Some(LaneType::Outgoing),
        }
    }

    pub(super) fn all() -> Vec<NodeType> {
        NodeType::ALL.to_vec()
    }
}
