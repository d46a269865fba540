use std::sync::Arc;

use formats::csv::{CsvOptions, Empty, Header, LineEnd, Reader};
use message::{Document, Limits};
use proptest::prelude::*;

use super::{read, texts};
use crate::model::{Model, number};

fn dialect() -> impl Strategy<Value = CsvOptions> {
    let choices = (
        prop::sample::select(vec![(',', '"'), (';', '"'), ('\t', '\''), ('|', '`')]),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    choices.prop_map(|((delimiter, quote), has_header, names_columns, empty, crlf)| CsvOptions {
        delimiter,
        quote: Some(quote),
        header: if has_header { Header::Names } else { Header::None },
        columns: if has_header && !names_columns { Vec::new() } else { texts(&["t", "n", "b", "a b"]) },
        numbers: texts(&["n"]),
        booleans: texts(&["b"]),
        empty: if empty { Empty::Null } else { Empty::Text },
        line_end: if crlf { LineEnd::CrLf } else { LineEnd::Lf },
        ..CsvOptions::default()
    })
}

fn table() -> impl Strategy<Value = Vec<(String, Option<String>, Option<bool>, String)>> {
    let text = || "[a,;|'\"`\t \r\n\u{feff}é]{0,6}";
    proptest::collection::vec((text(), proptest::option::of(number()), any::<Option<bool>>(), text()), 1..8)
}

fn model(rows: &[(String, Option<String>, Option<bool>, String)]) -> Model {
    let row = |(text, number, boolean, other): &(String, Option<String>, Option<bool>, String)| {
        Model::Object(vec![
            ("t".into(), Model::Text(text.clone())),
            ("n".into(), number.clone().map_or(Model::Null, Model::Number)),
            ("b".into(), boolean.map_or(Model::Null, Model::Bool)),
            ("a b".into(), Model::Text(other.clone())),
        ])
    };
    Model::List(rows.iter().map(row).collect())
}

fn emit(document: &mut Document, options: &CsvOptions) -> Vec<u8> {
    document.set_dialect(&options.dialect().unwrap());
    let mut out = Vec::new();
    formats::csv::emit(document, &mut out).unwrap();
    out
}

fn token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", ",", ",", "\"", "\"\"", "\n", "\r\n", "\r", " ", "\"x\"", "\"y\nz\"", "1"])
}

/// What the csv crate reads: it takes rows of any length, and a quote anywhere.
fn oracle(source: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(source);
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_written_reads_as_what_it_was(rows in table(), options in dialect()) {
        let expected = model(&rows);
        let mut document = Document::default();
        let root = expected.build(&mut document);
        document.set_root(root);
        let written = emit(&mut document, &options);
        let mut read = read(&options, &written).unwrap();
        prop_assert_eq!(Model::read(read.root()), expected);
        prop_assert_eq!(emit(&mut read, &options), written);
    }

    #[test]
    fn what_is_read_is_what_the_csv_crate_reads(tokens in proptest::collection::vec(token(), 0..16)) {
        let source = tokens.concat();
        let Ok(document) = read(&CsvOptions::default(), source.as_bytes()) else { return Ok(()) };
        let theirs = oracle(source.as_bytes());
        let (header, theirs) = theirs.split_first().unwrap();
        let ours: Vec<Vec<(String, String)>> = document
            .root()
            .items()
            .map(|row| row.members().map(|(key, value)| (key.into(), value.text().unwrap().into())).collect())
            .collect();
        let theirs: Vec<Vec<(String, String)>> =
            theirs.iter().map(|row| header.iter().cloned().zip(row.iter().cloned()).collect()).collect();
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn well_formed_tables_of_even_rows_are_taken(rows in proptest::collection::vec(["[a \"\n,]{0,4}", "[a \"\n,]{1,4}"], 1..6)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["a", "b"]).unwrap();
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let document = read(&CsvOptions::default(), &writer.into_inner().unwrap()).unwrap();
        let ours: Vec<Vec<String>> =
            document.root().items().map(|row| row.members().map(|(_, value)| value.text().unwrap().into()).collect()).collect();
        prop_assert_eq!(ours, rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>());
    }

    /// Cut into records in pieces of any size, a table gives the rows that it gives as a whole.
    #[test]
    fn row_by_row_is_as_the_whole(rows in table(), options in dialect(), step in 1..40_usize) {
        let mut document = Document::default();
        let root = model(&rows).build(&mut document);
        document.set_root(root);
        let source = emit(&mut document, &options);
        let reader = Reader::new(&options).unwrap();
        let (mut at, mut columns, mut read) = (0, None, Vec::new());
        while at < source.len() {
            let length = (1..).map(|steps| (at + steps * step).min(source.len())).find_map(|end| {
                reader.record_length(&source[at..end], end == source.len())
            }).unwrap();
            let record = &source[at..at + length];
            at += length;
            if columns.is_none() {
                columns = Some(match reader.fixed_columns() {
                    Some(fixed) => fixed.clone(),
                    None => reader.columns(record, &Limits::default()).unwrap(),
                });
                if reader.has_header() {
                    continue;
                }
            }
            reader.row(columns.as_ref().unwrap(), record, &Limits::default(), &mut document).unwrap();
            read.push(Model::read(document.root()));
        }
        prop_assert_eq!(Model::List(read), model(&rows));
    }

    #[test]
    fn any_bytes_are_read_or_refused_with_a_place(source in proptest::collection::vec(any::<u8>(), 0..60), options in dialect()) {
        match read(&options, &source) {
            // A header without a row is no table to be written.
            Ok(document) => drop(formats::csv::emit(&document, &mut Vec::new())),
            Err(fault) => {
                prop_assert!(fault.place().offset.is_some_and(|offset| offset <= source.len()), "{}", fault);
                prop_assert!(fault.place().line.is_some() && fault.place().column.is_some(), "{}", fault);
            }
        }
    }
}

#[test]
fn a_reader_is_shared_by_threads() {
    let reader = Arc::new(Reader::new(&CsvOptions::default()).unwrap());
    let other = Arc::clone(&reader);
    std::thread::spawn(move || other.parse(b"a\n1\n", &Limits::default(), &mut Document::default()).unwrap())
        .join()
        .unwrap();
}
