//! Names come and go; the file stays the same.

use std::fs;
use std::time::Duration;

use connectors::Source;
use connectors::file::source::{Done, Rows};
use harness::run;

use super::host::{Files, close, looks, places, settle, store, take, texts, until};

#[test]
fn a_file_that_is_renamed_while_its_rows_are_in_hand_comes_once() {
    run(async {
        let files = Files::new();
        files.put("a", "1\n2\n");
        let source = files.source(Rows::Lines).await;
        let taken = take(&source, 2).await;
        files.rename("a", "b");
        looks(&files, &source, "c").await;
        settle(&source, &taken);
        looks(&files, &source, "d").await;
        looks(&files, &source, "e").await;
        close(&source).await;
        let source = files.source(Rows::Lines).await;
        looks(&files, &source, "f").await;
    });
}

#[test]
fn a_file_that_is_renamed_just_before_it_is_done_comes_once() {
    run(async {
        let files = Files::new();
        let source = files.source(Rows::Lines).await;
        for round in 0..50 {
            let name = format!("a{round}");
            files.put(&name, "1\n");
            let taken = take(&source, 1).await;
            assert_eq!(texts(&taken), ["1"]);
            settle(&source, &taken);
            files.rename(&name, &format!("b{round}"));
        }
        looks(&files, &source, "c").await;
        looks(&files, &source, "d").await;
    });
}

#[test]
fn a_file_that_is_renamed_while_its_rows_are_in_hand_moves_by_its_new_name() {
    run(async {
        let files = Files::new();
        files.put("a", "1\n2\n");
        let source = files.moving().await;
        let taken = take(&source, 2).await;
        files.rename("a", "b");
        settle(&source, &taken);
        until("it has moved", || files.base().join("acme/done/b").exists()).await;
        looks(&files, &source, "c").await;
        looks(&files, &source, "d").await;
    });
}

#[test]
fn what_is_appended_to_a_renamed_file_is_read_on() {
    run(async {
        let files = Files::new();
        files.put("a", "1\n");
        let source = files.source(Rows::Lines).await;
        assert_eq!(store(&source, 1).await, ["1"]);
        close(&source).await;
        files.rename("a", "b");
        let source = files.source(Rows::Lines).await;
        looks(&files, &source, "c").await;
        files.append("b", "2\n");
        assert_eq!(store(&source, 1).await, ["2"]);
        looks(&files, &source, "d").await;
    });
}

#[test]
fn what_is_appended_to_a_file_that_is_renamed_with_its_rows_in_hand_is_read_on() {
    run(async {
        let files = Files::new();
        files.put("a", "1\n");
        let source = files.moving().await;
        let taken = take(&source, 1).await;
        files.rename("a", "b");
        files.append("b", "2\n");
        settle(&source, &taken);
        assert_eq!(store(&source, 1).await, ["2"]);
        until("it has moved", || files.base().join("acme/done/b").exists()).await;
    });
}

#[test]
fn two_names_of_one_file_are_one_file() {
    run(async {
        let files = Files::new();
        files.put("a", "1\n2\n");
        fs::hard_link(files.inbox().join("a"), files.inbox().join("b")).unwrap();
        let source = files.source(Rows::Lines).await;
        let taken = take(&source, 2).await;
        assert_eq!(texts(&taken), ["1", "2"]);
        looks(&files, &source, "c").await;
        settle(&source, &taken);
        looks(&files, &source, "d").await;
        files.remove("a");
        looks(&files, &source, "e").await;
        source.close(Duration::ZERO).await;
        let source = files.source(Rows::Lines).await;
        looks(&files, &source, "f").await;
    });
}

#[test]
fn all_names_of_one_file_are_put_away_when_it_is_done() {
    for done in [Done::Delete, Done::Move { folder: "done".into() }] {
        run(async {
            let files = Files::new();
            files.put("a", "1\n2\n");
            fs::hard_link(files.inbox().join("a"), files.inbox().join("b")).unwrap();
            let source = files.putting_away(done).await;
            assert_eq!(store(&source, 2).await, ["1", "2"]);
            until("both are put away", || !files.exists("a") && !files.exists("b")).await;
            looks(&files, &source, "c").await;
        });
    }
}

#[test]
fn an_inode_that_is_used_again_is_another_file() {
    run(async {
        let files = Files::new();
        let source = files.source(Rows::Lines).await;
        let mut seen = Vec::new();
        for _ in 0..20 {
            files.put("a", "1\n");
            let taken = take(&source, 1).await;
            settle(&source, &taken);
            seen.extend(places(&taken));
            until("it is written down", || {
                let state = fs::read_to_string(files.state().join("files.json")).unwrap();
                state.contains("\"name\":\"a\"") && !state.contains("\"finished\":false")
            })
            .await;
            files.remove("a");
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 20);
    });
}
