//! What is installed in one step.

use std::sync::Arc;

use crate::compile::Pipeline;
use crate::engine::registry::Secrets;

/// A pipeline to be put in place of its earlier revision.
pub struct Install {
    pub pipeline: Arc<Pipeline>,
    pub secrets: Secrets,
    pub canary: Option<CanaryInstall>,
}

/// What runs a share of a pipeline's messages beside its active revision.
pub struct CanaryInstall {
    pub pipeline: Arc<Pipeline>,
    /// Of all messages: 1 to 1,000,000.
    pub millionths: u32,
}

impl From<(Arc<Pipeline>, Secrets)> for Install {
    fn from((pipeline, secrets): (Arc<Pipeline>, Secrets)) -> Install {
        Install { pipeline, secrets, canary: None }
    }
}

pub type Installs = Vec<Install>;
