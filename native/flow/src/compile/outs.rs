//! `out`, each compiled by its kind.

use std::sync::Arc;

use connectors::kind::{Route, SinkSpec, Template};
use connectors::nats::Publish;
use message::{Code, Document, Fault};

use super::{Pipeline, beneath};
use crate::model::{Out, Outs};

/// One out.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    pub kind: String,
    /// Of the kind in the file, such as `/out/erp/http`.
    pub pointer: String,
    pub spec: Arc<dyn SinkSpec>,
}

/// The addresses of one message, by the position of their out: only outs that have placeholders are in it.
pub type Addresses = Vec<(usize, Result<String, Fault>)>;

impl Target {
    /// What the shard publishes to, where it is the sink itself.
    #[must_use]
    pub fn publish(&self) -> Option<&Publish> {
        match self.spec.route() {
            Route::Publish(publish) => Some(publish),
            Route::Lane => None,
        }
    }

    /// The address for one message; `None` for an out whose address is the same for all.
    ///
    /// # Errors
    /// The field whose value makes no address, such as `http/bad-url`.
    pub fn address(&self, document: &Document) -> Result<Option<String>, Fault> {
        self.spec.template().map(|template| template.render(document)).transpose()
    }

    /// The address in what a message carries from [`Pipeline::addresses`]; `None` when another template made it, since
    /// the pipeline may have been replaced in between.
    ///
    /// [`Pipeline::addresses`]: super::Pipeline::addresses
    #[must_use]
    pub fn carried<'u>(&self, text: &'u str) -> Option<&'u str> {
        text.strip_prefix(self.spec.template()?.hash())?.strip_prefix(' ')
    }

    /// Whether the address has placeholders, which a message's fields fill in.
    #[must_use]
    pub fn reads_payload(&self) -> bool {
        self.spec.template().is_some()
    }
}

impl Pipeline {
    /// The addresses with placeholders of these outs, as the message carries them. What is emitted does not say how
    /// it is to be read: its numbers, its attributes are known to the document alone.
    #[must_use]
    pub fn addresses(&self, document: &Document, outs: message::Outs) -> Addresses {
        let carried = |template: &dyn Template| Ok(format!("{} {}", template.hash(), template.render(document)?));
        let chosen = outs.iter().filter_map(|out| Some((out, self.outs.get(out)?.spec.template()?)));
        chosen.map(|(out, template)| (out, carried(template))).collect()
    }
}

pub fn compile(outs: &Outs, faults: &mut Vec<Fault>) -> Box<[Target]> {
    let targets = outs.list().into_iter().filter_map(|(name, out, pointer)| {
        let pointer = format!("{pointer}/{}", out.connector().kind);
        let compiled = spec(out).map_err(|found| faults.extend(beneath(&pointer, found))).ok();
        let kind = out.connector().kind.clone();
        compiled.map(|spec| Target { name: name.to_owned(), kind, pointer, spec })
    });
    targets.collect()
}

fn spec(out: &Out) -> Result<Arc<dyn SinkSpec>, Vec<Fault>> {
    let connector = out.connector();
    let unknown = || {
        let reason = format!("this build has no sink `{}`", connector.kind);
        vec![Fault::new(Code::ConfigInvalidValue, reason).at_pointer("")]
    };
    out.kind().ok_or_else(unknown)?.compile(&connector.options)
}
