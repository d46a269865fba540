//! Files and folders that vanish, and come back.

use std::fs;
use std::time::Duration;

use connectors::file::source::Rows;
use connectors::{Health, Source};
use harness::run;
use message::Code;
use serde_json::json;

use super::host::{Files, close, connected, fails, looks, places, refused, settle, store, take, texts, until};

#[test]
fn a_folder_that_vanishes_is_failing_and_its_files_are_known_when_it_is_back() {
    run(async {
        let files = Files::new();
        files.put("a", "1\n");
        files.put("b", "2\n3\n");
        let mut source = files.source(Rows::Lines).await;
        let mut taken = take(&source, 3).await;
        taken.sort_by_key(super::host::text);
        settle(&source, &taken[..2]);
        let away = files.base().join("away");
        fs::rename(files.inbox(), &away).unwrap();
        for round in 0..2 {
            fails(&source, Code::FileMissing).await;
            assert!(!files.inbox().exists(), "nothing hides that it is not there");
            if round == 0 {
                source.close(Duration::ZERO).await;
                source = files.source(Rows::Lines).await;
            }
        }
        fs::rename(&away, files.inbox()).unwrap();
        let again = take(&source, 1).await;
        assert_eq!((texts(&again), places(&again)), (vec!["3".to_owned()], places(&taken[2..])));
        settle(&source, &again);
        until("up again", || source.health() == Health::Up).await;
        looks(&files, &source, "c").await;
    });
}

#[test]
fn files_are_known_when_an_empty_folder_was_in_the_place_of_theirs() {
    run(async {
        let files = Files::new();
        files.put("a", "1\n");
        files.put("b", "2\n");
        let mut source = files.source(Rows::Lines).await;
        store(&source, 2).await;
        let away = files.base().join("away");
        fs::rename(files.inbox(), &away).unwrap();
        fs::create_dir(files.inbox()).unwrap();
        looks(&files, &source, "c").await;
        for name in ["d", "e"] {
            looks(&files, &source, name).await;
            close(&source).await;
            source = files.source(Rows::Lines).await;
        }
        fs::rename(files.inbox(), files.base().join("empty")).unwrap();
        fs::rename(&away, files.inbox()).unwrap();
        looks(&files, &source, "f").await;
        files.append("a", "3\n");
        assert_eq!(store(&source, 1).await, ["3"]);
        looks(&files, &source, "g").await;
    });
}

#[test]
fn another_folder_is_made() {
    run(async {
        let files = Files::new();
        let source = files.source(Rows::Lines).await;
        looks(&files, &source, "a").await;
        close(&source).await;
        let mut options = files.options(Rows::Lines);
        options.path = "other".into();
        let source = connected(options).await;
        until("it is made", || files.base().join("acme/other").exists()).await;
        until("up", || source.health() == Health::Up).await;
    });
}

#[test]
fn what_was_read_of_a_file_that_is_removed_is_delivered() {
    for text in ["1\n2\n3\n".to_owned(), format!("1\n2\n3\n{}\n", "x".repeat(2_000))] {
        run(async {
            let files = Files::new();
            files.put("a", &text);
            let source = files.of_short_lines().await;
            let first = take(&source, 1).await;
            source.settle(first[0].item, refused(Code::LimitBacklog));
            if text.len() > 1_000 {
                fails(&source, Code::FileTooLong).await;
            }
            files.remove("a");
            files.put("b", "4\n");
            let mut read = texts(&take(&source, 4).await);
            read.sort();
            assert_eq!(read, ["1", "2", "3", "4"]);
        });
    }
}

#[test]
fn a_file_that_is_removed_does_not_fail_any_more() {
    run(async {
        let files = Files::new();
        files.put("a", format!("1\n{}\n", "x".repeat(2_000)));
        let source = files.of_short_lines().await;
        assert_eq!(store(&source, 1).await, ["1"]);
        fails(&source, Code::FileTooLong).await;
        files.rename("a", ".a");
        until("up again", || source.health() == Health::Up).await;
        files.rename(".a", "a");
        fails(&source, Code::FileTooLong).await;
        looks(&files, &source, "b").await;
    });
}

#[test]
fn a_file_that_somebody_puts_away_and_back_moves_without_a_message() {
    run(async {
        let files = Files::new();
        files.put("a", "1\n");
        let source = files.moving().await;
        let taken = take(&source, 1).await;
        files.rename("a", ".a");
        looks(&files, &source, "b").await;
        settle(&source, &taken);
        looks(&files, &source, "c").await;
        looks(&files, &source, "d").await;
        files.rename(".a", "a");
        until("it has moved", || files.base().join("acme/done/a").exists()).await;
        looks(&files, &source, "e").await;
    });
}

#[test]
fn files_that_are_missing_for_long_or_are_too_many_are_forgotten() {
    run(async {
        let files = Files::new();
        let source = files.source(Rows::Lines).await;
        for name in ["a", "b"] {
            looks(&files, &source, name).await;
            // It keeps its inode, which another file would have otherwise.
            files.rename(name, &format!(".{name}"));
        }
        looks(&files, &source, "c").await;
        until("two of them are missed", || {
            let state = std::fs::read_to_string(files.state().join("files.json")).unwrap();
            state.matches("\"gone\":").count() == 3 && state.matches("\"gone\":null").count() == 1
        })
        .await;
        close(&source).await;
        let names = |state: &serde_json::Value| -> Vec<String> {
            state["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
        };
        files.edit_state(|state| {
            let mut known = names(state);
            known.sort();
            assert_eq!(known, ["a", "b", "c"]);
            for file in state["files"].as_array_mut().unwrap() {
                if file["name"] == "a" {
                    file["gone"] = (file["gone"].as_u64().unwrap() - 8 * 24 * 60 * 60).into();
                    file["missed"] = (7 * 24 * 6).into();
                }
            }
            let template = state["files"].as_array().unwrap().iter().find(|file| file["name"] == "b").unwrap().clone();
            for number in 0..10_000_u64 {
                let mut file = template.clone();
                file["id"] = format!("{number:032x}").into();
                file["name"] = format!("more{number}").into();
                file["inode"] = (u64::MAX - number).into();
                file["gone"] = json!(file["gone"].as_u64().unwrap() - 60 + number.min(1));
                state["files"].as_array_mut().unwrap().push(file);
            }
        });
        let source = files.source(Rows::Lines).await;
        looks(&files, &source, "d").await;
        close(&source).await;
        files.edit_state(|state| {
            let known = names(state);
            assert_eq!(known.len(), 10_002, "those that are missing, and those that are there");
            assert!(known.contains(&"b".to_owned()) && known.contains(&"c".to_owned()));
            assert!(!known.contains(&"a".to_owned()) && !known.contains(&"more0".to_owned()));
        });
    });
}
