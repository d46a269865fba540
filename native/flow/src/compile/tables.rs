//! `tables`, read.

use std::sync::Arc;

use formats::table::{CsvOptions, JsonOptions, Options, parse};
use message::{Code, Fault, Table, Tables};

use super::files::Files;
use super::rules::escaped;
use crate::model::{PipelineFile, TableFile};

/// Every table, and the texts that they were read from, in the order of the file. One that cannot be read is a fault and
/// empty, so that expressions that look into it are not faulty as well.
pub fn compile<'t>(file: &PipelineFile, files: &'t dyn Files, faults: &mut Vec<Fault>) -> (Tables, Vec<&'t str>) {
    let mut texts = Vec::new();
    let tables = file.tables.iter().map(|(name, table)| {
        let pointer = format!("/tables/{}", escaped(name));
        let read = options(table, &pointer).and_then(|options| read(table, &options, &pointer, files, &mut texts));
        let read = read.unwrap_or_else(|fault| {
            faults.push(fault);
            Table::default()
        });
        (name.as_str().into(), Arc::new(read))
    });
    (tables.collect(), texts)
}

fn read<'t>(
    table: &TableFile,
    options: &Options,
    pointer: &str,
    files: &'t dyn Files,
    texts: &mut Vec<&'t str>,
) -> Result<Table, Fault> {
    let Some(text) = files.text(&table.file) else {
        let reason = format!("the table `{}` is not there", &*table.file);
        return Err(Fault::new(Code::ConfigFileNotFound, reason).at_pointer(format!("{pointer}/file")));
    };
    texts.push(text);
    parse(text, options).map_err(|fault| match fault.place().pointer.clone() {
        Some(option) => fault.at_pointer(format!("{pointer}{option}")),
        None => fault.at_pointer(format!("{pointer}/file")).in_file(&*table.file),
    })
}

fn options(table: &TableFile, pointer: &str) -> Result<Options, Fault> {
    let pointed = |(code, key, reason): Wrong| Fault::new(code, reason).at_pointer(format!("{pointer}{key}"));
    let name = table.file.to_ascii_lowercase();
    if name.ends_with(".json") {
        json(table).map(Options::Json).map_err(pointed)
    } else if name.ends_with(".csv") {
        csv(table).map(Options::Csv).map_err(pointed)
    } else {
        Err(pointed((Code::ConfigInvalidValue, "/file", "a table's file ends with `.csv` or `.json`")))
    }
}

/// What is wrong with an option: its code, its pointer from the table, and why.
type Wrong = (Code, &'static str, &'static str);

fn json(table: &TableFile) -> Result<JsonOptions, Wrong> {
    let given = [
        ("/delimiter", table.delimiter.is_some()),
        ("/numbers", !table.numbers.is_empty()),
        ("/booleans", !table.booleans.is_empty()),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((option, _)) => Err((Code::ConfigInvalidValue, option, "the option belongs to a table in CSV")),
        None => Ok(JsonOptions { key: table.key.clone() }),
    }
}

fn csv(table: &TableFile) -> Result<CsvOptions, Wrong> {
    let Some(key) = table.key.clone() else {
        return Err((Code::ConfigMissingKey, "", "a table in CSV wants the `key`, the column that finds a row"));
    };
    let delimiter = match table.delimiter.as_deref().map(str::as_bytes) {
        None => b',',
        Some([byte]) if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r' | 0) => *byte,
        Some(_) => {
            let reason = "the delimiter is one character of ASCII, and neither a quote nor the end of a line";
            return Err((Code::ConfigInvalidValue, "/delimiter", reason));
        }
    };
    Ok(CsvOptions { delimiter, key, numbers: table.numbers.clone(), booleans: table.booleans.clone() })
}
