//! A fan-out as bytes, from the node that has run some steps to the one that runs the next: everything that the steps
//! have made of an input, so that it becomes the same as where one node runs them all.
//!
//! | what passes from step to step | how it is handed over |
//! |---|---|
//! | the document: values, attributes, untouched text, format, conventions, dialect | a tree (`message::document::tree`); nothing where no value was changed |
//! | a part's place among the results of scripts: its number, its seeds, its order | its path |
//! | what is through already: outputs with their outs and URLs, drops, failures | leaves, in the order in which they came |
//! | sums against `limits` | the budget |
//! | the payload and the headers as they came: dead letters, expressions, `ctx.headers` | beside it, as they came |
//!
//! Stages and outs are numbers of one revision: another one cannot read it, and begins with the message as it came.

use message::packed::{Unpack, put_bytes, put_number};
use message::{Code, Fault, Format, Outs, Place};

use super::{FanOut, Leaf, Output, OutputBudget, PartPath, Rendered};
use crate::compile::Addresses;

const OUTPUT: u8 = 0;
const DROPPED: u8 = 1;
const FAILED: u8 = 2;
const FORMATS: [Option<Format>; 4] = [None, Some(Format::Json), Some(Format::Xml), Some(Format::Csv)];

impl FanOut {
    /// Appends it, for [`FanOut::read`].
    pub fn write(&self, out: &mut Vec<u8>) {
        self.budget.write(out);
        put_number(out, self.leaves.len() as u64);
        for (path, leaf) in &self.leaves {
            path.write(out);
            put_leaf(leaf, out);
        }
        put_bytes(out, &self.bytes);
        self.onward.write(out);
    }

    /// Becomes what [`FanOut::write`] has written. Nothing is in it yet.
    ///
    /// # Errors
    /// `deliver/bad-handover`; then it has to be cleared.
    pub fn read(&mut self, state: &[u8]) -> Result<(), Fault> {
        let read = self.try_read(&mut Unpack(state));
        read.ok_or_else(|| Fault::new(Code::DeliverBadHandover, "what another node has handed over cannot be read"))
    }

    fn try_read(&mut self, from: &mut Unpack<'_>) -> Option<()> {
        self.budget = OutputBudget::read(from)?;
        for _ in 0..from.size()? {
            let leaf = (PartPath::read(from)?, read_leaf(from)?);
            self.leaves.push(leaf);
        }
        self.bytes.extend_from_slice(from.bytes()?);
        self.onward.read(from)?;
        let rendered = |leaf: &Leaf| match leaf {
            Leaf::Output(Output { rendered, .. }) | Leaf::Failed { rendered, .. } => rendered.clone(),
            Leaf::Dropped { .. } => None,
        };
        let mut ranges = self.leaves.iter().filter_map(|(_, leaf)| rendered(leaf));
        ranges.all(|rendered| self.bytes.get(rendered.range).is_some()).then_some(())?;
        from.0.is_empty().then_some(())
    }
}

fn put_leaf(leaf: &Leaf, out: &mut Vec<u8>) {
    match leaf {
        Leaf::Output(Output { outs, rendered, addresses }) => {
            out.push(OUTPUT);
            put_number(out, outs.0);
            put_rendered(rendered.as_ref(), out);
            put_number(out, addresses.len() as u64);
            for (target, address) in addresses {
                put_number(out, *target as u64);
                out.push(u8::from(address.is_ok()));
                match address {
                    Ok(address) => put_bytes(out, address.as_bytes()),
                    Err(fault) => put_fault(fault, out),
                }
            }
        }
        Leaf::Dropped { stage } => {
            out.push(DROPPED);
            put_number(out, *stage as u64);
        }
        Leaf::Failed { fault, rendered } => {
            out.push(FAILED);
            put_fault(fault, out);
            put_rendered(rendered.as_ref(), out);
        }
    }
}

fn read_leaf(from: &mut Unpack<'_>) -> Option<Leaf> {
    Some(match from.byte()? {
        OUTPUT => {
            let (outs, rendered) = (Outs(from.number()?), read_rendered(from)?);
            let mut addresses = Addresses::new();
            for _ in 0..from.size()? {
                let target = from.size()?;
                let is_ok = from.byte()? != 0;
                let address = if is_ok { Ok(from.text()?.to_owned()) } else { Err(read_fault(from)?) };
                addresses.push((target, address));
            }
            Leaf::Output(Output { outs, rendered, addresses })
        }
        DROPPED => Leaf::Dropped { stage: from.size()? },
        FAILED => Leaf::Failed { fault: read_fault(from)?, rendered: read_rendered(from)? },
        _ => return None,
    })
}

fn put_rendered(rendered: Option<&Rendered>, out: &mut Vec<u8>) {
    let Some(Rendered { range, format }) = rendered else { return out.push(0) };
    let format = FORMATS.iter().position(|known| known == format).unwrap_or_default();
    put_number(out, format as u64 + 1);
    put_number(out, range.start as u64);
    put_number(out, range.end as u64);
}

#[allow(clippy::option_option)] // the outer one: whether it can be read
fn read_rendered(from: &mut Unpack<'_>) -> Option<Option<Rendered>> {
    let Some(format) = from.size()?.checked_sub(1) else { return Some(None) };
    let format = *FORMATS.get(format)?;
    let range = from.size()?..from.size()?;
    Some(Some(Rendered { range, format }))
}

fn put_fault(fault: &Fault, out: &mut Vec<u8>) {
    let Place { file, pointer, line, column, offset, field, step } = fault.place();
    put_bytes(out, fault.code().as_str().as_bytes());
    put_bytes(out, fault.reason().as_bytes());
    for text in [file, pointer, field, step] {
        out.push(u8::from(text.is_some()));
        put_bytes(out, text.as_deref().unwrap_or_default().as_bytes());
    }
    let offset = offset.map(|offset| offset as u64);
    for number in [line.map(u64::from), column.map(u64::from), offset] {
        put_number(out, number.map_or(0, |number| number.saturating_add(1)));
    }
}

fn read_fault(from: &mut Unpack<'_>) -> Option<Fault> {
    let code = from.text()?;
    let code = *Code::ALL.iter().find(|known| known.as_str() == code)?;
    let fault = Fault::new(code, from.text()?);
    let mut text = || {
        let is_there = from.byte()? != 0;
        let text = from.text()?.to_owned();
        Some(is_there.then_some(text))
    };
    let (file, pointer, field, step) = (text()?, text()?, text()?, text()?);
    let mut number = || Some(from.number()?.checked_sub(1));
    let (line, column, offset) = (number()?, number()?, number()?);
    let small = |number: Option<u64>| number.map(u32::try_from).transpose().ok();
    let (line, column) = (small(line)?, small(column)?);
    let offset = offset.map(usize::try_from).transpose().ok()?;
    Some(fault.at_place(Place { file, pointer, line, column, offset, field, step }))
}
