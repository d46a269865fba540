//! The kinds of connectors there are. Nothing else lists them.

use crate::kind::{SinkKind, SourceKind};
use crate::{file, http, mqtt, nats, stdout};

/// In the order in which they are shown.
static SOURCES: [&dyn SourceKind; 4] =
    [&http::HttpSourceKind, &file::FileSourceKind, &nats::NatsSourceKind, &mqtt::MqttSourceKind];
static SINKS: [&dyn SinkKind; 5] =
    [&http::HttpSinkKind, &file::FileSinkKind, &stdout::StdoutSinkKind, &nats::NatsSinkKind, &mqtt::MqttSinkKind];

#[must_use]
pub fn sources() -> &'static [&'static dyn SourceKind] {
    &SOURCES
}

#[must_use]
pub fn sinks() -> &'static [&'static dyn SinkKind] {
    &SINKS
}

/// The kind of source with this name.
#[must_use]
pub fn source(name: &str) -> Option<&'static dyn SourceKind> {
    SOURCES.iter().copied().find(|kind| kind.name() == name)
}

/// The kind of sink with this name.
#[must_use]
pub fn sink(name: &str) -> Option<&'static dyn SinkKind> {
    SINKS.iter().copied().find(|kind| kind.name() == name)
}
