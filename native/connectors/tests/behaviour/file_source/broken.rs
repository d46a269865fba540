//! Files that cannot be read on: which ones, where, and why.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use connectors::file::source::{FileSource, Rows};
use connectors::{Health, Source};
use formats::csv::CsvOptions;
use harness::run;
use message::{Code, Fault};

use super::host::{Files, connected, csv, fails, store, text, until};

/// The name, the code and the byte of each fault, in the order of names, when there are so many.
async fn faults(source: &FileSource, count: usize) -> Vec<(String, Code, Option<usize>)> {
    let mut found: Vec<Fault> = Vec::new();
    until("each is reported", || {
        found.extend(source.take_item_faults());
        found.len() >= count
    })
    .await;
    let mut told: Vec<_> =
        found.iter().map(|fault| (fault.place().file.clone().unwrap(), fault.code(), fault.place().offset)).collect();
    told.sort_by(|one, other| one.0.cmp(&other.0));
    told
}

/// Ten thousand of them are more than any tool writes; a file of gigabytes of them would take minutes.
#[test]
fn a_gzip_of_many_empty_members_is_given_up_and_one_of_many_with_text_is_not() {
    run(async {
        let files = Files::new();
        let member = |text: &str| {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(text.as_bytes()).unwrap();
            packed.finish().unwrap()
        };
        files.put("empty.gz", [member("").repeat(10_000), member("1\n")].concat());
        let source = connected(files.options(Rows::Lines)).await;
        let told = faults(&source, 1).await;
        assert_eq!((told[0].0.as_str(), told[0].1), ("empty.gz", Code::FileGzip));
        fs::remove_file(files.inbox().join("empty.gz")).unwrap();
        files.put("full.gz", [member("").repeat(500), member("1\n").repeat(2_000)].concat());
        let texts = store(&source, 2_000).await;
        assert!(texts.iter().all(|text| text == "1"));
        assert!(source.take_item_faults().is_empty());
    });
}

#[test]
fn each_file_that_cannot_be_read_on_is_reported_once_with_its_place() {
    run(async {
        let files = Files::new();
        files.put("bad-header.csv", "a;a\n1;2\n");
        files.put("long.csv", format!("a\n1\n{}\n", "x".repeat(2_000)));
        files.put("no.csv.gz", "a\n1\n");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        packed.write_all(b"a\n1\n2\n").unwrap();
        let packed = packed.finish().unwrap();
        files.put("torn.csv.gz", &packed[..packed.len() - 9]);
        let mut options = files.options(csv(&CsvOptions { delimiter: ';', ..CsvOptions::default() }));
        options.limits.bytes = 1_000;
        let source = connected(options).await;
        let told = faults(&source, 4).await;
        let names: Vec<(&str, Code)> = told.iter().map(|(name, code, _)| (name.as_str(), *code)).collect();
        assert_eq!(
            names,
            [
                ("bad-header.csv", Code::ConvertCsvHeader),
                ("long.csv", Code::FileTooLong),
                ("no.csv.gz", Code::FileGzip),
                ("torn.csv.gz", Code::FileGzip),
            ]
        );
        assert_eq!(told[1].2, Some(4), "the byte where the row begins");
        assert!(told.iter().all(|(_, _, offset)| offset.is_some()));
        until("all are counted", || source.broken_items().is_some_and(|(items, _)| items == 4)).await;
        // One that is gone is none of them, though its message is in hand; nor is a file that is whole again, which is
        // read when what was read of it is stored. No later look reports anything anew.
        fs::remove_file(files.inbox().join("torn.csv.gz")).unwrap();
        files.put("long.csv", "a\n1\n22\n");
        until("three are left", || source.broken_items().is_some_and(|(items, _)| items == 3)).await;
        store(&source, 2).await;
        until("two are left", || source.broken_items().is_some_and(|(items, _)| items == 2)).await;
        assert!(source.take_item_faults().is_empty());
    });
}

#[test]
fn a_file_by_another_name_is_reported_by_that() {
    run(async {
        let files = Files::new();
        files.put("a.gz", "no gzip");
        let source = files.source(Rows::Lines).await;
        assert_eq!(faults(&source, 1).await[0].0, "a.gz");
        files.rename("a.gz", "b.gz");
        assert_eq!(faults(&source, 1).await[0].0, "b.gz");
        assert_eq!(source.broken_items().map(|(items, _)| items), Some(1));
    });
}

#[test]
fn another_in_of_the_same_folder_is_refused_by_whatever_path_it_comes() {
    run(async {
        let files = Files::new();
        files.put("a.csv", "1\n");
        let rows = Rows::Lines;
        let first = files.source(rows.clone()).await;
        assert_eq!(store(&first, 1).await, ["1"]);
        let second = |number: usize, pattern: &str| {
            let mut options = files.options(rows.clone());
            symlink(files.base(), files.state().with_file_name(format!("link{number}"))).unwrap();
            options.base = files.state().with_file_name(format!("link{number}"));
            options.state = files.state().with_file_name(format!("state{number}"));
            pattern.clone_into(&mut options.pattern);
            connected(options)
        };
        let other = second(1, "a*").await;
        fails(&other, Code::ConfigConflict).await;
        first.close(super::host::LONG).await;
        drop(first);
        until("it has the folder now", || other.health() == Health::Up).await;
        let third = second(2, "b*").await;
        files.put("b.csv", "2\n");
        let batch = super::host::take(&third, 1).await;
        assert_eq!(text(&batch[0]), "2");
    });
}

#[test]
fn a_file_whose_name_is_no_utf_8_is_reported_and_counted_until_it_is_renamed() {
    use std::os::unix::ffi::OsStrExt as _;
    run(async {
        let files = Files::new();
        let latin_1 = |name: &[u8]| files.inbox().join(std::ffi::OsStr::from_bytes(name));
        std::fs::write(latin_1(b"auftr\xe4ge.csv"), "1\n").unwrap();
        // Does not fit.
        std::fs::write(latin_1(b"auftr\xe4ge.txt"), "2\n").unwrap();
        let options = connectors::file::source::SourceOptions { pattern: "*.csv".into(), ..files.options(Rows::Lines) };
        let source = connected(options).await;
        assert_eq!(faults(&source, 1).await, [("auftr%E4ge.csv".to_owned(), Code::FileRead, None)]);
        assert_eq!(source.broken_items().map(|(count, _)| count), Some(1));
        fails(&source, Code::FileRead).await;
        std::fs::rename(latin_1(b"auftr\xe4ge.csv"), latin_1(b"auftraege.csv")).unwrap();
        assert_eq!(super::host::store(&source, 1).await, ["1"]);
        until("it is as it should be", || source.broken_items().is_none() && source.health() == Health::Up).await;
    });
}
