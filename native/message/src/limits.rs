//! Caps on what one message may cost. Every parser and step takes them; none has its own.

/// The caps for one pipeline. `Default` is what a pipeline file without `limits` gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Payload, bytes.
    pub bytes: usize,
    /// Nested elements, objects or lists.
    pub depth: usize,
    /// Nodes of one document.
    pub nodes: usize,
    /// Attributes of one element.
    pub attributes: usize,
    /// Element or attribute name, bytes.
    pub name_bytes: usize,
    /// Steps one expression may take.
    pub fuel: u64,
    /// Messages one message may become.
    pub outputs: usize,
    /// Bytes of all of them together.
    pub output_bytes: usize,
    /// CPU time of a script for one message, milliseconds.
    pub script_cpu_ms: u32,
    /// Heap of a customer's scripts, MiB.
    pub script_memory_mb: u32,
    /// Native stack of a script, KiB.
    pub script_stack_kb: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bytes: 8 << 20,
            depth: 256,
            nodes: 1_000_000,
            attributes: 256,
            name_bytes: 1024,
            fuel: 100_000,
            outputs: 1_000,
            output_bytes: 16 << 20,
            script_cpu_ms: 5,
            script_memory_mb: 32,
            script_stack_kb: 512,
        }
    }
}
