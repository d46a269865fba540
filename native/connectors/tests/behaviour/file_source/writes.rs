//! What is written down costs little.

use std::fs;
use std::time::Duration;

use connectors::Source;
use connectors::file::source::Rows;
use harness::{alone, run};

use super::host::{Files, places, settle, store, take};

/// Bytes that this process has written so far.
#[cfg(target_os = "linux")]
fn written() -> u64 {
    let counts = fs::read_to_string("/proc/self/io").unwrap();
    counts.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn thousands_of_small_files_are_written_down_together() {
    alone(|| {
        run(async {
            let files = Files::new();
            for number in 0..2_000 {
                files.put(&format!("{number}"), format!("{number}\n"));
            }
            let source = files.source(Rows::Lines).await;
            let before = written();
            let mut texts = Vec::new();
            while texts.len() < 2_000 {
                texts.extend(store(&source, 1).await);
            }
            // With a write for each file, it were 600 MB.
            assert!(written() - before < 100_000_000, "{} bytes", written() - before);
            texts.sort();
            texts.dedup();
            assert_eq!(texts.len(), 2_000);
        });
    });
}

#[test]
fn what_a_crash_forgets_comes_again_with_the_same_places() {
    run(async {
        let files = Files::new();
        for number in 0..100 {
            files.put(&format!("{number}"), format!("{number}\n{number}\n"));
        }
        let source = files.source(Rows::Lines).await;
        let first = take(&source, 200).await;
        // As it was on the disk before a message went out.
        let state = fs::read(files.state().join("files.json")).unwrap();
        settle(&source, &first);
        source.close(Duration::from_secs(60)).await;
        fs::write(files.state().join("files.json"), state).unwrap();
        files.append("7", "more\n");
        let source = files.source(Rows::Lines).await;
        let second = take(&source, 201).await;
        let (first, second): (Vec<String>, Vec<String>) = (places(&first), places(&second));
        assert!(first.iter().all(|place| second.contains(place)));
    });
}
