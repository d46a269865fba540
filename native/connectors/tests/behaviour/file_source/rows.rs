//! What a message is: the whole file, a line, a row.

use connectors::file::source::{Done, FileSource, Rows};
use connectors::{Health, Source};
use formats::csv::{CsvOptions, Header};
use harness::run;
use message::Code;

use super::host::{Files, connected, csv, fails, store, take, text, until};

fn typed() -> CsvOptions {
    CsvOptions { delimiter: ';', numbers: vec!["qty".into()], booleans: vec!["paid".into()], ..CsvOptions::default() }
}

#[test]
fn rows_of_csv_become_objects_with_their_types() {
    run(async {
        let files = Files::new();
        files.put("a.csv", "\u{feff}\"sku;\";qty;paid\r\n\r\nA;1;true\r\n\"B\"\"\n\";;0");
        let source = files.source(csv(&typed())).await;
        let taken = take(&source, 2).await;
        let texts: Vec<String> = taken.iter().map(text).collect();
        assert_eq!(texts, [r#"{"sku;":"A","qty":1,"paid":true}"#, r#"{"sku;":"B\"\n","qty":null,"paid":false}"#]);
        assert!(taken.iter().all(|incoming| incoming.fault.is_none() && &*incoming.content_type == "application/json"));
        assert_eq!(taken[0].headers, b"File-Name: a.csv\r\nFile-Offset: 22\r\n");
    });
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", "\u{feff}{\"a\":1}\n{\"a\":2}\n");
        files.put("b.ndjson", "\u{feff}");
        let source = files.source(Rows::Lines).await;
        let taken = take(&source, 2).await;
        assert_eq!(taken.iter().map(text).collect::<Vec<_>>(), [r#"{"a":1}"#, r#"{"a":2}"#]);
        assert_eq!(taken[0].headers, b"File-Name: a.ndjson\r\nFile-Offset: 3\r\n");
    });
}

#[test]
fn columns_are_named_where_there_is_no_header() {
    run(async {
        let files = Files::new();
        files.put("a.csv", "\u{feff}1,2\n3,4\n");
        let columns = vec!["a".into(), "b".into()];
        let source = files.source(csv(&CsvOptions { header: Header::None, columns, ..CsvOptions::default() })).await;
        assert_eq!(store(&source, 2).await, [r#"{"a":"1","b":"2"}"#, r#"{"a":"3","b":"4"}"#]);
    });
}

#[test]
fn a_row_that_does_not_fit_says_why_and_hides_no_other() {
    run(async {
        let files = Files::new();
        files.put("a.csv", "sku;qty;paid\nA;1;true\nB;x;true\nC;1\nD;\"2\"x;1\nE\0;1;1\nF;3;1\n\"G;3;1\n");
        let source = files.source(csv(&typed())).await;
        let taken = take(&source, 7).await;
        let told = taken.iter().map(|incoming| {
            let fault = incoming.fault.as_ref().map(|fault| (fault.code(), fault.place().offset.unwrap()));
            (text(incoming), &*incoming.content_type, fault)
        });
        let bad = |row: &str, code: Code, at: usize| (row.to_owned(), "text/csv", Some((code, at)));
        let good = |row: &str| (row.to_owned(), "application/json", None);
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                good(r#"{"sku":"A","qty":1,"paid":true}"#),
                bad("B;x;true\n", Code::ConvertNotANumber, 24),
                bad("C;1\n", Code::ConvertCsvColumns, 31),
                bad("D;\"2\"x;1\n", Code::ConvertCsvQuote, 40),
                bad("E\0;1;1\n", Code::ConvertCsvEncoding, 45),
                good(r#"{"sku":"F","qty":3,"paid":true}"#),
                bad("\"G;3;1\n", Code::ConvertCsvQuote, 57),
            ]
        );
    });
}

#[test]
fn lines_are_messages_and_a_last_one_without_an_end_is_one() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", "{\"a\":1}\r\n\n  \n{\"a\":\"\0\"}\n{\"a\":");
        let source = files.source(Rows::Lines).await;
        assert_eq!(store(&source, 3).await, ["{\"a\":1}", "{\"a\":\"\0\"}", "{\"a\":"]);
    });
}

#[test]
fn a_whole_file_is_one_message_by_its_name() {
    run(async {
        let files = Files::new();
        for (name, text) in [("a.xml", "<a/>\n"), ("b.JSON", "1"), ("c d%ü.bin", "\0"), ("e", "")] {
            files.put(name, text);
        }
        let source = files.source(Rows::Whole).await;
        let mut taken = take(&source, 3).await;
        taken.sort_by_key(|incoming| incoming.headers.clone());
        let told: Vec<(String, &str)> = taken.iter().map(|one| (text(one), &*one.content_type)).collect();
        assert_eq!(
            told,
            [("<a/>\n".to_owned(), "application/xml"), ("1".to_owned(), "application/json"), ("\0".to_owned(), "")]
        );
        assert!(taken[2].headers.starts_with(b"File-Name: c%20d%25%C3%BC.bin\r\n"));
    });
}

#[test]
fn only_names_that_fit_the_pattern_are_read() {
    run(async {
        let files = Files::new();
        for name in ["b1.csv", "b2.csv.tmp", ".b3.csv", "B4.csv", "b10.csv"] {
            files.put(name, format!("{name}\n"));
        }
        std::fs::create_dir(files.inbox().join("b5.csv")).unwrap();
        let mut options = files.options(Rows::Lines);
        options.pattern = "b[0-9]*.csv".into();
        let source = connected(options).await;
        let mut read = store(&source, 2).await;
        read.sort();
        assert_eq!(read, ["b1.csv", "b10.csv"]);
    });
}

#[test]
fn compressed_files_are_read_by_their_name() {
    use std::io::Write;

    run(async {
        let files = Files::new();
        // Two members, as `cat a.gz b.gz` makes them.
        let mut bytes = Vec::new();
        for text in ["sku;qty;paid\nA;1;true\nB;", "2;false\n"] {
            let mut encoder = flate2::write::GzEncoder::new(bytes, flate2::Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            bytes = encoder.finish().unwrap();
        }
        files.put("a.csv.gz", &bytes);
        let source = files.source(csv(&typed())).await;
        let rows = store(&source, 2).await;
        assert_eq!(rows, [r#"{"sku":"A","qty":1,"paid":true}"#, r#"{"sku":"B","qty":2,"paid":false}"#]);
        files.put("torn.csv.gz", &bytes[..bytes.len() - 10]);
        assert_eq!(store(&source, 1).await, [r#"{"sku":"A","qty":1,"paid":true}"#]);
        fails(&source, Code::FileGzip).await;
        files.overwrite("torn.csv.gz", &bytes);
        assert_eq!(store(&source, 1).await, [r#"{"sku":"B","qty":2,"paid":false}"#]);
        super::host::until("up again", || source.health() == connectors::Health::Up).await;
    });
}

#[test]
fn a_file_of_csv_without_a_row_is_done() {
    run(async {
        let files = Files::new();
        for (name, text) in
            [("a", ""), ("b", "\u{feff}"), ("c", "\r\n\n"), ("d", "sku;qty;paid"), ("e", "sku;qty;paid\n")]
        {
            files.put(name, text);
        }
        let mut options = files.options(csv(&typed()));
        options.done = Done::Delete;
        let source = connected(options).await;
        until("all are done", || ["a", "b", "c", "d", "e"].iter().all(|name| !files.exists(name))).await;
        assert_eq!(source.health(), Health::Up);
    });
}

#[test]
fn rows_that_are_appended_to_an_empty_file_of_csv_are_read() {
    run(async {
        let files = Files::new();
        files.put("a.csv", "\n\n");
        let source = files.source(csv(&typed())).await;
        looks(&files, &source).await;
        files.append("a.csv", "sku;qty;paid\nA;1;true\n");
        assert_eq!(store(&source, 1).await, [r#"{"sku":"A","qty":1,"paid":true}"#]);
    });
}

/// A file that was put there later has been read.
async fn looks(files: &Files, source: &FileSource) {
    files.put("b.csv", "sku;qty;paid\nB;1;true\n");
    assert_eq!(store(source, 1).await, [r#"{"sku":"B","qty":1,"paid":true}"#]);
}
