//! `convert` from and to CSV: its options, as the format has them.

use std::sync::Arc;

use formats::csv::{CsvOptions, Reader};
use message::{Dialect, Fault};

use super::source::number_format;
use crate::model::Convert;

/// Reads payloads by it.
pub(super) fn reader(convert: &Convert) -> Result<Reader, Fault> {
    Reader::new(&CsvOptions {
        numbers: convert.numbers.iter().map(|path| path.to_string()).collect(),
        booleans: convert.booleans.iter().map(|path| path.to_string()).collect(),
        number_format: number_format(convert),
        ..options(convert)
    })
}

/// Reads again what it writes; every field is a text.
pub(super) fn output_reader(convert: &Convert) -> Result<Reader, Fault> {
    Reader::new(&options(convert))
}

/// Writes documents by it.
pub(super) fn dialect(convert: &Convert) -> Result<Arc<Dialect>, Fault> {
    options(convert).dialect()
}

fn options(convert: &Convert) -> CsvOptions {
    convert.csv.as_ref().map(|csv| csv.format()).unwrap_or_default()
}
