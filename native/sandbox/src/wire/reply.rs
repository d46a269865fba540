//! What a worker answers, and how the host checks it.
//!
//! ```text
//! frame   length of what follows, 4 bytes │ number of the task │ nanoseconds │ said │ outcome
//! said    lines, each level, line of the file, text │ lines left out
//! outcome UNCHANGED │ WRITTEN roots, texts and nodes added │ FAULT code, reason, place
//! ```

use std::time::Duration;

use message::packed::{Unpack, put_bytes, put_number};
use message::{Code, Document, Extent, Fault, Limits, PartsBudget, PartsCheck, Place, Stage};

use script::{Level, Line, MAX_LINE_BYTES, MAX_LINES, Said};

use super::{Damaged, OrDamaged};

const UNCHANGED: u8 = 1;
const WRITTEN: u8 = 2;
const FAULT: u8 = 3;

/// Bytes of a frame's length.
const LENGTH: usize = 4;

/// What a fault's texts have at most, bytes. The runtime's are shorter.
const MAX_TEXT: usize = 4096;

/// Nesting of what a script returned: its own levels, and below them those of the message.
const MAX_DEPTH: usize = 2048;

/// For everything in a frame that is no text, node or root.
const FRAME_ROOM: usize = 4 * MAX_TEXT + MAX_LINES * (MAX_LINE_BYTES + 32);

// -- the worker's side -------------------------------------------------------------------------------

/// Writes one frame: how long the script ran and what it said, and the rest. `before`: the document's extent before the script ran.
pub fn put_frame(
    out: &mut Vec<u8>,
    index: usize,
    (used, said): (Duration, &Said),
    document: &Document,
    before: Extent,
    outcome: &Result<Vec<u32>, Fault>,
) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    put_number(out, index as u64);
    put_number(out, u64::try_from(used.as_nanos()).unwrap_or(u64::MAX));
    put_said(out, said);
    match outcome {
        Ok(roots) if is_unchanged(document, before, roots) => out.push(UNCHANGED),
        Ok(roots) => {
            out.push(WRITTEN);
            put_number(out, roots.len() as u64);
            roots.iter().for_each(|root| put_number(out, (*root).into()));
            document.write_parts(before, out);
        }
        Err(fault) => put_fault(out, fault),
    }
    let length = u32::try_from(out.len() - start - LENGTH).unwrap_or(u32::MAX);
    out[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
}

fn put_said(out: &mut Vec<u8>, said: &Said) {
    put_number(out, said.lines.len() as u64);
    for line in &said.lines {
        put_number(out, line.level as u64);
        put_number(out, line.line.unwrap_or(0).into());
        put_bytes(out, line.text.as_bytes());
    }
    put_number(out, said.left_out.into());
}

/// Whether the script returned the message as it came.
fn is_unchanged(document: &Document, before: Extent, roots: &[u32]) -> bool {
    document.is_unchanged() && document.extent() == before && roots == [document.root_index()]
}

fn put_fault(out: &mut Vec<u8>, fault: &Fault) {
    out.push(FAULT);
    let code = Code::ALL.iter().position(|code| *code == fault.code()).unwrap_or(usize::MAX);
    put_number(out, code as u64);
    let Place { file, field, line, column, .. } = fault.place();
    for text in [Some(fault.reason()), file.as_deref(), field.as_deref()] {
        put_bytes(out, short(text.unwrap_or_default()).as_bytes());
    }
    for number in [line, column] {
        put_number(out, number.unwrap_or(0).into());
    }
}

fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

// -- the host's side ---------------------------------------------------------------------------------

/// The replies to a request, as far as they have come.
#[derive(Default)]
pub struct Replies {
    bytes: Vec<u8>,
    /// What was read of them.
    read: usize,
}

/// One checked reply.
pub struct Reply {
    /// As the worker says.
    pub used: Duration,
    pub said: Said,
    pub outcome: Result<Vec<u32>, Fault>,
}

impl Replies {
    /// Where what comes is appended.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Forgets everything; gives back what an unusually large reply needed.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(1 << 20);
        self.read = 0;
    }

    /// Whether there is nothing that was not read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read == self.bytes.len()
    }

    /// The reply to task `index`, if it is there whole: written into the task's `document`, checked against the task's
    /// `limits`.
    ///
    /// # Errors
    /// When the bytes are none that a worker of ours writes. The document is then as it was.
    pub fn next_reply(
        &mut self,
        index: usize,
        document: &mut Document,
        limits: &Limits,
        check: &mut PartsCheck,
    ) -> Result<Option<Reply>, Damaged> {
        let rest = &self.bytes[self.read..];
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > largest(limits) {
            return Err(Damaged("a reply is longer than the limits allow"));
        }
        let Some(frame) = rest.get(..length) else { return Ok(None) };
        let reply = read_frame(&mut Unpack(frame), index, document, limits, check)?;
        self.read += LENGTH + length;
        // What is left moves to the front now and then, so that a stream of replies does not pile up.
        if self.read > 1 << 20 {
            self.bytes.drain(..self.read);
            self.read = 0;
        }
        Ok(Some(reply))
    }
}

/// Bytes of a frame at most.
fn largest(limits: &Limits) -> usize {
    let nodes = limits.nodes.saturating_mul(32);
    let roots = limits.outputs.saturating_mul(5);
    FRAME_ROOM.saturating_add(limits.output_bytes).saturating_add(nodes).saturating_add(roots)
}

fn read_frame(
    from: &mut Unpack<'_>,
    index: usize,
    document: &mut Document,
    limits: &Limits,
    check: &mut PartsCheck,
) -> Result<Reply, Damaged> {
    if from.size() != Some(index) {
        return Err(Damaged("a reply is to another task"));
    }
    let used = Duration::from_nanos(from.number().or_damaged("a reply's time")?);
    let said = read_said(from).or_damaged("what a script said")?;
    let outcome = match from.byte() {
        Some(UNCHANGED) => Ok(vec![document.root_index()]),
        Some(WRITTEN) => Ok(read_written(from, document, limits, check)?),
        Some(FAULT) => Err(read_fault(from)?),
        _ => return Err(Damaged("a reply's outcome")),
    };
    if !from.0.is_empty() {
        // The only outcome that has changed the document has been checked whole, but it is not what was sent.
        return Err(Damaged("a reply has more bytes than it says"));
    }
    Ok(Reply { used, said, outcome })
}

fn read_said(from: &mut Unpack<'_>) -> Option<Said> {
    let count = from.size().filter(|count| *count <= MAX_LINES)?;
    let mut lines = Vec::new();
    for _ in 0..count {
        let level = *Level::ALL.get(from.size()?)?;
        let line = Some(u32::try_from(from.number()?).ok()?).filter(|line| *line > 0);
        let text = from.text().filter(|text| text.len() <= MAX_LINE_BYTES)?;
        lines.push(Line { level, line, text: text.replace(|c: char| c.is_control(), "\u{fffd}") });
    }
    Some(Said { lines, left_out: u32::try_from(from.number()?).ok()? })
}

fn read_written(
    from: &mut Unpack<'_>,
    document: &mut Document,
    limits: &Limits,
    check: &mut PartsCheck,
) -> Result<Vec<u32>, Damaged> {
    let count = from.size().filter(|count| *count <= limits.outputs).or_damaged("a reply has too many messages")?;
    let root = |from: &mut Unpack<'_>| u32::try_from(from.number()?).ok();
    let roots: Vec<u32> = (0..count).map(|_| root(from)).collect::<Option<_>>().or_damaged("a reply's messages")?;
    let budget = PartsBudget { bytes: limits.output_bytes, nodes: limits.nodes, depth: MAX_DEPTH };
    let before = document.extent();
    if document.read_parts(from, &roots, &budget, check).is_err() || !from.0.is_empty() {
        document.cut(before);
        return Err(Damaged("a reply's document"));
    }
    document.mark_edited();
    Ok(roots)
}

fn read_fault(from: &mut Unpack<'_>) -> Result<Fault, Damaged> {
    let code = from.size().and_then(|index| Code::ALL.get(index).copied());
    let code = code.filter(|code| code.stage() == Stage::Script || *code == Code::InternalPanic);
    let code = code.or_damaged("a fault's code")?;
    let mut text = || {
        let text = from.text().filter(|text| text.len() <= MAX_TEXT)?;
        // The runtime writes none; they could do harm in a terminal or a log.
        Some(text.replace(|c: char| c.is_control(), "\u{fffd}"))
    };
    let [reason, file, field] = [text(), text(), text()].map(|text| text.or_damaged("a fault's text"));
    let mut number = || from.number().and_then(|number| u32::try_from(number).ok());
    let [line, column] = [number(), number()].map(|number| number.or_damaged("a fault's place"));
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let known = |number: u32| Some(number).filter(|number| *number > 0);
    let place = Place {
        file: some(file?),
        field: some(field?),
        line: known(line?),
        column: known(column?),
        ..Place::default()
    };
    Ok(Fault::new(code, reason?).at_place(place))
}
