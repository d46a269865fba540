//! What becomes of files that are stored.

use std::fs;
use std::os::unix::fs::symlink;

use connectors::Source;
use connectors::file::source::{Done, FileSource, Rows};
use harness::run;
use message::Code;

use super::host::{Files, brings_nothing_until, connected, fails, store, stored, take, until};

fn moved(files: &Files) -> connectors::file::source::SourceOptions {
    let mut options = files.options(Rows::Lines);
    options.done = Done::Move { folder: "done/today".into() };
    options
}

#[test]
fn a_file_moves_when_every_message_of_it_is_stored_and_not_before() {
    run(async {
        let files = Files::new();
        files.put("a.x.csv", "1\n2\n");
        let source = connected(moved(&files)).await;
        let taken = take(&source, 2).await;
        source.settle(taken[1].item, stored());
        let mut looks = 0;
        brings_nothing_until(&source, "all is stored", || {
            looks += 1;
            assert!(files.exists("a.x.csv"));
            looks > 5
        })
        .await;
        source.settle(taken[0].item, stored());
        until("it has moved", || !files.exists("a.x.csv")).await;
        let target = files.base().join("acme/done/today");
        assert_eq!(fs::read_to_string(target.join("a.x.csv")).unwrap(), "1\n2\n");
        files.put("a.x.csv", "3\n");
        store(&source, 1).await;
        until("the next one has moved", || !files.exists("a.x.csv")).await;
        assert_eq!(fs::read_to_string(target.join("a.2.x.csv")).unwrap(), "3\n");
    });
}

#[test]
fn a_file_is_deleted_also_one_without_a_message() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", "1\n");
        files.put("empty.ndjson", "\n\n");
        let mut options = files.options(Rows::Lines);
        options.done = Done::Delete;
        let source = connected(options).await;
        store(&source, 1).await;
        until("both are deleted", || !files.exists("a.ndjson") && !files.exists("empty.ndjson")).await;
    });
}

#[test]
fn what_is_written_to_a_file_before_it_moves_is_read_first() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", "1\n");
        let source = connected(moved(&files)).await;
        let taken = take(&source, 1).await;
        files.append("a.ndjson", "2\n");
        source.settle(taken[0].item, stored());
        assert_eq!(store(&source, 1).await, ["2"]);
        until("it has moved", || !files.exists("a.ndjson")).await;
        let target = files.base().join("acme/done/today/a.ndjson");
        assert_eq!(fs::read_to_string(target).unwrap(), "1\n2\n");
    });
}

#[test]
fn a_folder_that_cannot_be_moved_into_is_tried_again() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", "1\n");
        fs::write(files.base().join("acme/done"), "in the way").unwrap();
        let source = connected(moved(&files)).await;
        store(&source, 1).await;
        fails(&source, Code::FileOutside).await;
        assert!(files.exists("a.ndjson"));
        fs::remove_file(files.base().join("acme/done")).unwrap();
        until("it has moved", || !files.exists("a.ndjson")).await;
    });
}

#[test]
fn a_stop_between_the_last_ack_and_the_move_is_made_up_for() {
    run(async {
        let files = Files::new();
        files.put("a.ndjson", "1\n");
        let source = files.source(Rows::Lines).await;
        store(&source, 1).await;
        source.close(super::host::LONG).await;
        let mut options = moved(&files);
        options.max_messages = 1;
        let state = fs::read_to_string(files.state().join("files.json")).unwrap();
        fs::write(files.state().join("files.json"), state.replace("\"finished\":true", "\"finished\":false")).unwrap();
        let source = connected(options).await;
        until("it has moved", || !files.exists("a.ndjson")).await;
        drop(source);
    });
}

#[test]
fn paths_stay_below_the_customers_folder() {
    let files = Files::new();
    for (path, code) in [
        ("../other", Code::FileOutside),
        ("a/../../other", Code::FileOutside),
        ("/etc", Code::FileOutside),
        ("", Code::ConfigInvalidValue),
        ("a\nb", Code::ConfigInvalidValue),
    ] {
        let mut options = files.options(Rows::Lines);
        options.path = path.into();
        assert_eq!(FileSource::new(options).map(drop).unwrap_err().code(), code, "{path:?}");
        let mut options = files.options(Rows::Lines);
        options.done = Done::Move { folder: path.into() };
        assert_eq!(FileSource::new(options).map(drop).unwrap_err().code(), code, "{path:?}");
    }
    for pattern in ["", "a/b", "**", "[a"] {
        let mut options = files.options(Rows::Lines);
        options.pattern = pattern.into();
        let fault = FileSource::new(options).map(drop).unwrap_err();
        assert_eq!((fault.code(), fault.place().pointer.as_deref()), (Code::ConfigInvalidValue, Some("/pattern")));
    }
    let mut options = files.options(Rows::Lines);
    options.done = Done::Move { folder: "./inbox".into() };
    assert_eq!(FileSource::new(options).map(drop).unwrap_err().place().pointer.as_deref(), Some("/done/move"));
}

#[test]
fn symlinks_are_not_followed() {
    run(async {
        let files = Files::new();
        fs::write(files.base().join("secret"), "secret\n").unwrap();
        symlink(files.base().join("secret"), files.inbox().join("link")).unwrap();
        fs::create_dir(files.base().join("elsewhere")).unwrap();
        symlink(files.base().join("elsewhere"), files.base().join("acme/linked")).unwrap();
        files.put("real", "real\n");
        let source = files.source(Rows::Lines).await;
        assert_eq!(store(&source, 1).await, ["real"]);
        let mut options = files.options(Rows::Lines);
        (options.path, options.state) = ("linked".into(), files.base().join("state-2"));
        fails(&*connected(options).await, Code::FileOutside).await;
    });
}

#[test]
fn what_a_run_that_was_killed_was_about_to_put_away_is_read_or_put_away_by_the_next() {
    run(async {
        let files = Files::new();
        let away = files.inbox().join(".vrsky-away");
        fs::create_dir(&away).unwrap();
        fs::write(away.join("a.csv"), "hidden\n").unwrap();
        fs::write(away.join("a.txt"), "of another in\n").unwrap();
        files.put("a.csv", "newer\n");
        let mut options = files.options(Rows::Lines);
        (options.done, options.pattern) = (Done::Delete, "*.csv".to_owned());
        let source = connected(options).await;
        let mut came = [store(&source, 1).await, store(&source, 1).await].concat();
        came.sort();
        assert_eq!(came, ["hidden", "newer"]);
        until("both are deleted", || !files.exists("a.csv") && !files.exists("a.2.csv")).await;
        assert_eq!(fs::read_to_string(away.join("a.txt")).unwrap(), "of another in\n");
    });
}

#[test]
fn no_hidden_folder_is_left_behind() {
    run(async {
        let files = Files::new();
        let source = connected(moved(&files)).await;
        files.put("a.csv", "1\n");
        store(&source, 1).await;
        until("nothing is there", || fs::read_dir(files.inbox()).unwrap().next().is_none()).await;
    });
}
