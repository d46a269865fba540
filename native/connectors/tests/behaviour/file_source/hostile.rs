//! Folders and files that are not as one would like them.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use connectors::file::source::Rows;
use connectors::{Health, Source};
use formats::csv::CsvOptions;
use harness::run;
use message::Code;

use super::host::{Files, brings_nothing_until, connected, csv, fails, store, stored, take, text, until};

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    run(async {
        let files = Files::new();
        let mut options = files.options(Rows::Whole);
        options.settle_for = Duration::from_millis(500);
        let source = connected(options).await;
        let mut writes = 0;
        brings_nothing_until(&source, "it has been left alone", || {
            writes += 1;
            files.put("a.json", format!("{{\"writes\":{writes}"));
            writes == 100
        })
        .await;
        files.put("a.json", "{\"writes\":101}");
        assert_eq!(store(&source, 1).await, ["{\"writes\":101}"]);
    });
}

#[test]
fn a_file_that_becomes_shorter_while_it_is_read_is_read_anew() {
    run(async {
        let files = Files::new();
        let line = format!("{}\n", "x".repeat(999));
        files.put("a.ndjson", line.repeat(4_000));
        let mut options = files.options(Rows::Lines);
        options.max_messages = 10;
        let source = connected(options).await;
        let first = take(&source, 10).await;
        File::options().write(true).open(files.inbox().join("a.ndjson")).unwrap().set_len(2_000).unwrap();
        first.iter().for_each(|incoming| source.settle(incoming.item, stored()));
        // What was read ahead still comes; then the file as it is now, at other places.
        loop {
            let batch = take(&source, 1).await;
            source.settle(batch[0].item, stored());
            let number =
                |one: &connectors::Incoming| one.place.as_deref().unwrap().split('-').next().unwrap().to_owned();
            if number(&batch[0]) != number(&first[0]) {
                break;
            }
        }
        assert_eq!(store(&source, 1).await.len(), 1);
        until("up again", || source.health() == Health::Up).await;
        assert!(source.read_batch(1, 1, Duration::from_millis(20)).await.unwrap().is_empty());
    });
}

#[test]
fn a_file_that_is_rewritten_in_its_place_while_it_is_read_does_not_mix() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", "old\n".repeat(1_000));
        let mut options = files.options(Rows::Lines);
        options.max_messages = 10;
        let source = connected(options).await;
        let first = take(&source, 10).await;
        files.overwrite("a.ndjson", "new\n".repeat(1_000));
        first.iter().for_each(|incoming| source.settle(incoming.item, stored()));
        let (mut old, mut new) = (10, 0);
        while new < 1_000 {
            for incoming in take(&source, 1).await {
                if text(&incoming) == "new" {
                    new += 1
                } else {
                    old += 1
                }
                assert!(new == 0 || text(&incoming) == "new");
                source.settle(incoming.item, stored());
            }
        }
        assert!(old < 1_000);
    });
}

#[test]
fn a_folder_that_may_not_be_read_is_failing_until_it_may() {
    if rustix_is_root() {
        // Root may read everything.
        return run(async {
            let files = Files::new();
            fs::remove_dir(files.inbox()).unwrap();
            fs::write(files.inbox(), "no folder").unwrap();
            let source = files.source(Rows::Lines).await;
            fails(&source, Code::FileOutside).await;
            fs::remove_file(files.inbox()).unwrap();
            until("up again", || source.health() == Health::Up).await;
            files.put("a", "1\n");
            assert_eq!(store(&source, 1).await, ["1"]);
        });
    }
    run(async {
        let files = Files::new();
        files.put("a", "1\n");
        fs::set_permissions(files.inbox(), Permissions::from_mode(0o000)).unwrap();
        let source = files.source(Rows::Lines).await;
        fails(&source, Code::FileRead).await;
        fs::set_permissions(files.inbox(), Permissions::from_mode(0o755)).unwrap();
        assert_eq!(store(&source, 1).await, ["1"]);
    });
}

fn rustix_is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

#[test]
fn a_state_that_is_broken_is_failing_and_nothing_is_read_twice() {
    run(async {
        let files = Files::new();
        files.put("a", "1\n");
        fs::create_dir(files.state()).unwrap();
        fs::write(files.state().join("files.json"), "{").unwrap();
        let source = files.source(Rows::Lines).await;
        fails(&source, Code::FileState).await;
        let mut tries = 0;
        brings_nothing_until(&source, "it is mended", || {
            tries += 1;
            tries > 5
        })
        .await;
        fs::remove_file(files.state().join("files.json")).unwrap();
        assert_eq!(store(&source, 1).await, ["1"]);
    });
}

#[test]
fn a_line_that_is_longer_than_a_message_leaves_the_file_and_goes_past_it() {
    run(async {
        let files = Files::new();
        let good = "good\n".repeat(1_000);
        files.put("a", format!("{good}{}\n", "x".repeat(2_000)));
        let source = files.of_short_lines().await;
        store(&source, 1_000).await;
        fails(&source, Code::FileTooLong).await;
        files.put("b", "4\n");
        assert_eq!(store(&source, 1).await, ["4"]);
        // In an order in which the file is right at any time, since the source may look in between.
        File::options().write(true).open(files.inbox().join("a")).unwrap().set_len(5_000).unwrap();
        files.append("a", "better\n");
        assert_eq!(store(&source, 1).await, ["better"], "mended by hand behind what was stored");
        until("up again", || source.health() == Health::Up).await;
    });
}

#[test]
fn a_header_that_cannot_be_read_leaves_the_file() {
    run(async {
        let files = Files::new();
        for (name, text) in [("a", "sku,sku\n1,2\n"), ("b", ""), ("c", "\"torn\n1\n")] {
            files.put(name, text);
        }
        let source = files.source(csv(&CsvOptions::default())).await;
        files.put("d", "a\n1\n");
        assert_eq!(store(&source, 1).await, [r#"{"a":"1"}"#]);
        until("failing", || matches!(source.health(), Health::Failing(_))).await;
        assert!(["a", "b", "c"].iter().all(|name| files.exists(name)));
    });
}

#[test]
fn pipes_and_devices_are_no_files() {
    run(async {
        let files = Files::new();
        let fifo = files.inbox().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        files.put("a", "1\n");
        let source = files.source(Rows::Lines).await;
        assert_eq!(store(&source, 1).await, ["1"]);
    });
}

#[test]
fn a_storm_of_renames_loses_nothing() {
    run(async {
        let files = Files::new();
        let source = files.source(Rows::Lines).await;
        let mut read = std::collections::BTreeSet::new();
        for round in 0..100 {
            fs::write(files.base().join("new"), format!("{round}\n")).unwrap();
            fs::rename(files.base().join("new"), files.inbox().join("a")).unwrap();
            read.extend(store(&source, 1).await);
        }
        assert_eq!(read.len(), 100);
    });
}
