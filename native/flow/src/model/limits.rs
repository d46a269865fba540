//! `limits:` what the pipeline, one message and one script may cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rate;

/// Caps. What is not written has its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most messages that are taken in; more are answered with 429. Without it: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Most messages that wait at one step; more are answered with 429. The stream itself never holds more
    /// than 1,000 of a pipeline, or 10,000 when `backlog` is above 1,000; any other number is looked at about
    /// once a second, so that a burst may pass it.
    #[schemars(range(min = 1, max = 10_000))]
    pub backlog: u32,
    /// Payload, bytes. A node refuses a pipeline that asks for more than the NATS server's `max_payload`, 8 MiB and
    /// 32 KiB for the embedded one; the default is lowered to what the server takes.
    #[schemars(range(min = 1, max = 67_108_864))]
    pub bytes: u32,
    /// Nested elements, objects or lists.
    #[schemars(range(min = 1, max = 1_000))]
    pub depth: u32,
    /// Values of one document.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub nodes: u32,
    /// Attributes of one XML element.
    #[schemars(range(min = 1, max = 10_000))]
    pub attributes: u32,
    /// An XML name, bytes.
    #[schemars(range(min = 1, max = 65_536))]
    pub name_bytes: u32,
    /// Steps that one expression may take. A node refuses a pipeline that asks for more than its operator allows, 1,000,000
    /// by default.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub fuel: u32,
    /// Messages that one message may become.
    #[schemars(range(min = 1, max = 1_000))]
    pub outputs: u32,
    /// Bytes of all of them together.
    #[schemars(range(min = 1, max = 16_777_216))]
    pub output_bytes: u32,
    /// Caps on a script.
    #[serde(skip_serializing_if = "ScriptLimits::is_default")]
    pub script: ScriptLimits,
}

/// Caps on one call of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScriptLimits {
    /// CPU time for one message, milliseconds. A node refuses a pipeline that asks for more than its operator allows, 100
    /// by default.
    #[schemars(range(min = 1, max = 10_000))]
    pub cpu_ms: u32,
    /// Memory, MiB. A node refuses a pipeline that asks for more than its operator allows, 256 by default.
    #[schemars(range(min = 1, max = 1_024))]
    pub memory_mb: u32,
    /// Stack, KiB.
    #[schemars(range(min = 64, max = 4_096))]
    pub stack_kb: u32,
}

/// The backlog of a pipeline that names none.
const BACKLOG: u32 = 1_000;

impl Default for Limits {
    fn default() -> Self {
        let base = message::Limits::default();
        Limits {
            rate: None,
            backlog: BACKLOG,
            bytes: narrow(base.bytes),
            depth: narrow(base.depth),
            nodes: narrow(base.nodes),
            attributes: narrow(base.attributes),
            name_bytes: narrow(base.name_bytes),
            fuel: u32::try_from(base.fuel).unwrap_or(u32::MAX),
            outputs: narrow(base.outputs),
            output_bytes: narrow(base.output_bytes),
            script: ScriptLimits::default(),
        }
    }
}

impl Default for ScriptLimits {
    fn default() -> Self {
        let base = message::Limits::default();
        ScriptLimits { cpu_ms: base.script_cpu_ms, memory_mb: base.script_memory_mb, stack_kb: base.script_stack_kb }
    }
}

impl Limits {
    pub(super) fn is_default(&self) -> bool {
        *self == Limits::default()
    }

    /// As the steps and parsers take them.
    #[must_use]
    pub fn for_message(&self) -> message::Limits {
        message::Limits {
            bytes: self.bytes as usize,
            depth: self.depth as usize,
            nodes: self.nodes as usize,
            attributes: self.attributes as usize,
            name_bytes: self.name_bytes as usize,
            fuel: self.fuel.into(),
            outputs: self.outputs as usize,
            output_bytes: self.output_bytes as usize,
            script_cpu_ms: self.script.cpu_ms,
            script_memory_mb: self.script.memory_mb,
            script_stack_kb: self.script.stack_kb,
        }
    }
}

impl ScriptLimits {
    fn is_default(&self) -> bool {
        *self == ScriptLimits::default()
    }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
