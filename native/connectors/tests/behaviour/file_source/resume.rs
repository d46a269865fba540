//! What comes again after a stop or a crash, and with which places.

use connectors::file::source::{FileSource, Rows};
use connectors::{Settled, Source};
use formats::csv::CsvOptions;
use harness::run;
use message::Code;

use super::host::{
    Files, close, connected, csv, fails, looks, places, refused, settle, store, stored, take, text, texts, until,
};

fn lines(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|at| format!("{{\"a\":{at}}}")).collect()
}

#[test]
fn what_was_not_stored_comes_again_with_the_same_places() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", lines(0..6).join("\n"));
        let source = files.source(Rows::Lines).await;
        let first = take(&source, 5).await;
        // The first three are stored without a gap; the fifth beyond one.
        for at in [1, 0, 2, 4] {
            source.settle(first[at].item, stored());
        }
        source.close(std::time::Duration::ZERO).await;
        let source = files.source(Rows::Lines).await;
        let second = take(&source, 2).await;
        assert_eq!(second.iter().map(text).collect::<Vec<_>>(), [&lines(3..4)[..], &lines(5..6)].concat());
        assert_eq!(places(&second)[0], places(&first)[3]);
        second.iter().for_each(|incoming| source.settle(incoming.item, stored()));
        close(&source).await;
        let source = files.source(Rows::Lines).await;
        files.put("b.ndjson", "last\n");
        assert_eq!(store(&source, 1).await, ["last"], "nothing of what is stored comes again");
    });
}

#[test]
fn what_is_stored_behind_a_gap_does_not_come_again_over_many_stops() {
    let rows = lines(0..2_000);
    let gzip = |text: &str| {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    for (name, bytes) in [("a.ndjson", rows.join("\n").into_bytes()), ("a.ndjson.gz", gzip(&rows.join("\n\n")))] {
        run(async {
            let files = Files::new();
            files.put(name, bytes);
            let mut came: Vec<String> = Vec::new();
            let mut turn = 0;
            while came.len() < rows.len() {
                let source = files.source(Rows::Lines).await;
                let batch = take(&source, (rows.len() - came.len()).min(700)).await;
                // Every third of them is refused, the first one among these; in the end none is.
                let is_stored = |at: usize| turn > 6 || !at.is_multiple_of(3);
                for (at, incoming) in batch.iter().enumerate() {
                    if is_stored(at) {
                        source.settle(incoming.item, stored());
                        came.push(text(incoming));
                    } else {
                        source.settle(incoming.item, refused(Code::LimitBacklog));
                    }
                }
                source.close(std::time::Duration::ZERO).await;
                turn += 1;
            }
            came.sort_unstable();
            let mut expected = rows.clone();
            expected.sort_unstable();
            assert_eq!(came, expected);
        });
    }
}

#[test]
fn nothing_is_passed_over_in_a_file_that_was_written_to_meanwhile() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", "11\n22\n33\n");
        let source = files.source(Rows::Lines).await;
        let first = take(&source, 3).await;
        source.settle(first[1].item, stored());
        source.close(std::time::Duration::ZERO).await;
        // As long as it was up to there, and another line in the place of the one that is stored.
        files.put("a.ndjson", "11\n44\n33\n55\n");
        let source = files.source(Rows::Lines).await;
        assert_eq!(store(&source, 4).await, ["11", "44", "33", "55"]);
    });
}

#[test]
fn rows_before_a_place_that_cannot_be_read_come_again_after_a_stop() {
    use std::io::Write;

    let rows = lines(0..1_000);
    let long = format!("{}\n{}\n", rows.join("\n"), "x".repeat(2_000));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(rows.join("\n").as_bytes()).unwrap();
    let mut torn = encoder.finish().unwrap();
    torn.truncate(torn.len() * 4 / 5);
    for (name, bytes, code) in
        [("a.ndjson", long.into_bytes(), Code::FileTooLong), ("a.ndjson.gz", torn, Code::FileGzip)]
    {
        run(async {
            let files = Files::new();
            files.put(name, bytes);
            let mut options = files.options(Rows::Lines);
            options.limits.bytes = 1_000;
            let source = connected(options.clone()).await;
            let first = take(&source, 700).await;
            fails(&source, code).await;
            settle(&source, &first[..10]);
            until("it is written down", || {
                let state = std::fs::read_to_string(files.state().join("files.json")).unwrap();
                !state.contains("\"offset\":0,")
            })
            .await;
            source.close(std::time::Duration::ZERO).await;
            let source = connected(options).await;
            let second = take(&source, 690).await;
            assert_eq!(texts(&second), rows[10..700]);
            assert_eq!(places(&second), places(&first)[10..]);
            fails(&source, code).await;
        });
    }
}

#[test]
fn a_file_of_the_same_text_has_other_places_and_a_renamed_one_the_same() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", "{}\n");
        files.put("b.ndjson", "{}\n");
        let source = files.source(Rows::Lines).await;
        let first = take(&source, 2).await;
        assert_ne!(places(&first)[0], places(&first)[1]);
        source.close(std::time::Duration::ZERO).await;
        std::fs::remove_file(files.inbox().join("b.ndjson")).unwrap();
        std::fs::rename(files.inbox().join("a.ndjson"), files.inbox().join("c.ndjson")).unwrap();
        let source = files.source(Rows::Lines).await;
        let second = take(&source, 1).await;
        assert!(places(&first).contains(&places(&second)[0]));
    });
}

#[test]
fn csv_goes_on_behind_its_header_also_in_a_compressed_file() {
    use std::io::Write;

    for name in ["a.csv", "a.csv.gz"] {
        run(async {
            let files = Files::new();
            let text = "a,b\n1,2\n3,\"4\n\"\n5,6\n";
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            files.put(name, if name.ends_with("gz") { encoder.finish().unwrap() } else { text.into() });
            let source = files.source(csv(&CsvOptions::default())).await;
            store(&source, 1).await;
            close(&source).await;
            let source = files.source(csv(&CsvOptions::default())).await;
            assert_eq!(store(&source, 2).await, [r#"{"a":"3","b":"4\n"}"#, r#"{"a":"5","b":"6"}"#]);
        });
    }
}

#[test]
fn what_is_appended_is_read_on() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", "1\n");
        let source = files.source(Rows::Lines).await;
        assert_eq!(store(&source, 1).await, ["1"]);
        files.append("a.ndjson", "2\n");
        assert_eq!(store(&source, 1).await, ["2"]);
        close(&source).await;
        files.append("a.ndjson", "3\n");
        let source = files.source(Rows::Lines).await;
        assert_eq!(store(&source, 1).await, ["3"]);
    });
}

#[test]
fn a_file_in_the_place_of_another_is_read_from_its_start() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", "1\n2\n");
        let source = files.source(Rows::Lines).await;
        store(&source, 2).await;
        files.put("a.ndjson", "3\n4\n5\n");
        assert_eq!(store(&source, 3).await, ["3", "4", "5"]);
        files.put("a.ndjson", "6\n");
        assert_eq!(store(&source, 1).await, ["6"]);
    });
}

#[test]
fn a_message_that_was_refused_or_returned_comes_again_as_another_item() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", "1\n2\n3\n");
        let source = files.source(Rows::Lines).await;
        let taken = take(&source, 3).await;
        source.settle(taken[0].item, refused(Code::LimitBacklog));
        fails(&source, Code::LimitBacklog).await;
        source.settle(taken[1].item, stored());
        source.settle(taken[2].item, Settled::Returned { payload: taken[2].payload.clone() });
        let again = take(&source, 2).await;
        let mut texts: Vec<String> = again.iter().map(text).collect();
        texts.sort();
        assert_eq!(texts, ["1", "3"]);
        assert!(again.iter().all(|one| taken.iter().all(|before| before.item != one.item)));
        assert!(places(&again).iter().all(|place| places(&taken).contains(place)));
    });
}

#[test]
fn a_disk_with_another_number_holds_the_same_files() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", "1\n2\n");
        files.put("b.ndjson", "3\n");
        let source = files.source(Rows::Lines).await;
        let mut first = take(&source, 3).await;
        first.sort_by_key(text);
        settle(&source, &[&first[..1], &first[2..]].concat());
        source.close(std::time::Duration::ZERO).await;
        // As it was written down while the disk had another number.
        files.edit_state(|state| {
            for file in state["files"].as_array_mut().unwrap() {
                file["device"] = 1.into();
            }
        });
        let source = files.source(Rows::Lines).await;
        let second = take(&source, 1).await;
        assert_eq!((texts(&second), places(&second)), (vec!["2".to_owned()], places(&first[1..2])));
        settle(&source, &second);
        looks(&files, &source, "c").await;
        close(&source).await;
        let state = std::fs::read_to_string(files.state().join("files.json")).unwrap();
        assert!(!state.contains("device"), "{state}");
    });
}

#[test]
fn no_two_sources_read_the_same_files() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", "1\n");
        let first = files.source(Rows::Lines).await;
        take(&first, 1).await;
        let second = files.source(Rows::Lines).await;
        fails(&second, Code::FileInUse).await;
        first.close(std::time::Duration::ZERO).await;
        assert_eq!(store(&second, 1).await, ["1"]);
    });
}

#[test]
fn a_source_that_is_dropped_gives_the_files_back() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", "1\n");
        let first = files.source(Rows::Lines).await;
        take(&first, 1).await;
        drop(first);
        let second = files.source(Rows::Lines).await;
        assert_eq!(store(&second, 1).await, ["1"]);
    });
}

#[test]
fn no_more_is_read_than_may_be_unsettled_and_no_more_given_than_asked_for() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", lines(0..100).join("\n"));
        let mut options = files.options(Rows::Lines);
        (options.max_messages, options.max_bytes) = (10, 1 << 20);
        let source = connected(options).await;
        let mut taken = take(&source, 10).await;
        assert!(source.read_batch(10, usize::MAX, std::time::Duration::from_millis(20)).await.unwrap().is_empty());
        let settle = |taken: Vec<connectors::Incoming>| taken.iter().for_each(|one| source.settle(one.item, stored()));
        settle(std::mem::take(&mut taken));
        // A line of two digits has 8 bytes: two of them are what 20 bytes hold.
        let batch = take(&source, 1).await;
        until("more is read", || true).await;
        settle(batch);
        let mut read = 11;
        while read < 100 {
            let batch = source.read_batch(50, 20, super::host::LONG).await.unwrap();
            assert!((1..=2).contains(&batch.len()), "{}", batch.len());
            read += batch.len();
            settle(batch);
        }
    });
}

/// Lines that begin alike for far more than a file's first bytes, and then do not.
fn export(of: &str, count: usize) -> String {
    let line = |at: usize| if at < 2_000 { format!("same {at}\n") } else { format!("{of} {at}\n") };
    (0..count).map(line).collect()
}

fn all_lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_file_that_another_is_written_over_while_the_source_is_stopped_is_read_from_its_start() {
    let first = export("first", 30_000);
    let second = export("second and longer", 40_000);
    for (before, after) in [(first.as_str(), second.as_str()), ("", second.as_str())] {
        run(async {
            let files = Files::new();
            files.put("a.txt", before);
            let source = files.source(Rows::Lines).await;
            if before.is_empty() {
                looks(&files, &source, "z.txt").await;
                // Nothing stood in it when it was seen first.
                files.put("a.txt", &first);
            }
            let batch = take(&source, 4_000).await;
            settle(&source, &batch[..3_500]);
            source.close(std::time::Duration::ZERO).await;
            files.put("a.txt", after);
            let source = files.source(Rows::Lines).await;
            let mut came = Vec::new();
            while came.len() < 40_000 {
                came.extend(store(&source, 1_000).await);
            }
            assert_eq!(came, all_lines(after));
        });
    }
}

#[test]
fn a_file_that_another_is_written_over_while_it_is_read_is_read_from_its_start() {
    run(async {
        let files = Files::new();
        files.put("a.txt", export("first", 30_000));
        let source = files.source(Rows::Lines).await;
        // It holds as many as it may, and reads on when these are stored.
        let mut came = take(&source, 3_000).await;
        let second = export("second and longer", 40_000);
        files.put("a.txt", &second);
        settle(&source, &came);
        let wanted = all_lines(&second);
        while came.last().map(text) != wanted.last().cloned() {
            let batch = take(&source, 1).await;
            settle(&source, &batch);
            came.extend(batch);
        }
        let came = texts(&came);
        let start = came.iter().rposition(|line| *line == wanted[0]).unwrap();
        assert_eq!(came[start..], wanted);
        assert_eq!(came[..start], all_lines(&export("first", 30_000))[..start]);
    });
}

/// Alike at their beginnings and ends: some lines in the middle are others, of the same length.
fn stock(of: &str) -> String {
    (0..20_000).map(|at| format!("{at:06} {}\n", if (3_000..8_000).contains(&at) { of } else { "100" })).collect()
}

async fn store_all(source: &FileSource, count: usize) -> Vec<String> {
    let mut came = Vec::new();
    while came.len() < count {
        came.extend(store(source, (count - came.len()).min(1_000)).await);
    }
    came
}

#[test]
fn a_file_that_is_written_over_in_its_middle_is_read_from_its_start() {
    run(async {
        let files = Files::new();
        files.put("a.txt", stock("200"));
        let source = files.source(Rows::Lines).await;
        store_all(&source, 20_000).await;
        // Of the same length, and with a line more.
        for after in [stock("300"), stock("400") + "last\n"] {
            files.overwrite("a.txt", &after);
            let wanted = all_lines(&after);
            assert_eq!(store_all(&source, wanted.len()).await, wanted);
        }
        close(&source).await;
        let after = stock("500") + "last\nand one\n";
        files.overwrite("a.txt", &after);
        let source = files.source(Rows::Lines).await;
        assert_eq!(store_all(&source, 20_002).await, all_lines(&after));
        looks(&files, &source, "z.txt").await;
    });
}

#[test]
fn a_file_that_an_earlier_build_has_read_goes_on_and_is_proven_from_then_on() {
    run(async {
        let files = Files::new();
        files.put("a.txt", stock("200"));
        let source = files.source(Rows::Lines).await;
        store_all(&source, 20_000).await;
        close(&source).await;
        files.edit_state(|state| {
            let file = state["files"][0].as_object_mut().unwrap();
            assert!(file.remove("all").is_some_and(|all| all.is_u64()) && file.remove("unproven").is_some());
        });
        files.append("a.txt", "more\n");
        let source = files.source(Rows::Lines).await;
        assert_eq!(store(&source, 1).await, ["more"]);
        let after = stock("300") + "more\nlast\n";
        files.overwrite("a.txt", &after);
        assert_eq!(store_all(&source, 20_002).await, all_lines(&after));
    });
}

#[test]
fn a_long_log_is_read_on_and_proven_in_time() {
    run(async {
        let files = Files::new();
        let line = |at: usize| format!("{at} {}\n", "x".repeat(900_000));
        let log: String = (0..120).map(line).collect();
        files.put("a.log", &log);
        let source = files.source(Rows::Lines).await;
        for _ in 0..120 {
            store(&source, 1).await;
        }
        // This one takes all that may be read again for a while.
        files.append("a.log", "1\n");
        assert_eq!(store(&source, 1).await, ["1"]);
        // In one go, as far as the source can see.
        files.rename("a.log", "../away.log");
        let log = log.replace("\n57 x", "\n57 y") + "1\n2\n";
        files.overwrite("../away.log", &log);
        files.rename("../away.log", "a.log");
        let wanted = all_lines(&log);
        let mut came = store(&source, 1).await;
        while !came.ends_with(&wanted) {
            assert!(came.len() <= wanted.len(), "the line that was appended, and the file from its start");
            came.extend(store(&source, 1).await);
        }
        assert!(came.len() == wanted.len() || came[0] == "2");
    });
}

#[test]
fn a_gzip_file_that_gets_a_further_member_is_read_on() {
    let member = |text: &str| {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    run(async {
        let files = Files::new();
        let mut bytes = member("1\n2\n");
        files.put("a.ndjson.gz", &bytes);
        let source = files.source(Rows::Lines).await;
        assert_eq!(store(&source, 2).await, ["1", "2"]);
        bytes.extend(member("3\n"));
        files.put("a.ndjson.gz", &bytes);
        assert_eq!(store(&source, 1).await, ["3"]);
        close(&source).await;
        // Another text in its place is read as a whole.
        files.put("a.ndjson.gz", [member("1\n7\n"), member("3\n4\n")].concat());
        let source = files.source(Rows::Lines).await;
        assert_eq!(store(&source, 4).await, ["1", "7", "3", "4"]);
    });
}

#[test]
fn a_file_of_which_lines_were_read_is_read_as_a_whole_from_its_start() {
    run(async {
        let files = Files::new();
        files.put("a.txt", "1\n2\n3\n");
        let source = files.source(Rows::Lines).await;
        let batch = take(&source, 3).await;
        settle(&source, &batch[..1]);
        let first = places(&batch)[0].clone();
        source.close(std::time::Duration::ZERO).await;
        let source = files.source(Rows::Whole).await;
        let whole = take(&source, 1).await;
        assert_eq!(texts(&whole), ["1\n2\n3\n"]);
        assert_ne!(places(&whole)[0], first, "it is not its first line");
    });
}
