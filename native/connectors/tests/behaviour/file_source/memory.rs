//! A file of any size takes a bounded memory.

use std::fs;
use std::io::Write;

use connectors::Source;
use connectors::file::source::Rows;
use formats::csv::CsvOptions;
use harness::{alone, run};
use message::Code;

use super::host::{Files, close, csv, fails, store, stored};

/// The most that this process has held, MiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

#[cfg(target_os = "linux")]
#[test]
fn three_hundred_megabytes_take_less_than_half_of_that() {
    alone(|| {
        let files = Files::new();
        let mut file = std::io::BufWriter::new(fs::File::create(files.inbox().join("a.csv")).unwrap());
        let rows = 600_000_u64;
        writeln!(file, "number,text").unwrap();
        let text = "x".repeat(500);
        for number in 0..rows {
            writeln!(file, "{number},{text}").unwrap();
        }
        file.flush().unwrap();
        assert!(fs::metadata(files.inbox().join("a.csv")).unwrap().len() > 300_000_000);
        run(async {
            let source =
                files.source(csv(&CsvOptions { numbers: vec!["number".into()], ..CsvOptions::default() })).await;
            let (mut count, mut sum) = (0, 0);
            while count < rows {
                for incoming in source.read_batch(256, 4 << 20, super::host::LONG).await.unwrap() {
                    let row: serde_json::Value = serde_json::from_slice(&incoming.payload).unwrap();
                    sum += row["number"].as_u64().unwrap();
                    count += 1;
                    source.settle(incoming.item, stored());
                }
            }
            assert_eq!(sum, rows * (rows - 1) / 2);
        });
        assert!(peak() < 150, "{} MiB", peak());
    });
}

#[cfg(target_os = "linux")]
#[test]
fn text_that_is_no_message_takes_a_bounded_memory() {
    alone(|| {
        let blank = "\r\n".repeat(512 << 10);
        run(async {
            for (before, after, rows) in [
                ("", "number\n1\n", csv(&CsvOptions::default())),
                ("\u{feff}number\n", "1\n", csv(&CsvOptions::default())),
                (" \t\n", "{\"number\":\"1\"}\n", Rows::Lines),
            ] {
                let files = Files::new();
                let mut file = fs::File::create(files.inbox().join("a")).unwrap();
                file.write_all(before.as_bytes()).unwrap();
                for _ in 0..200 {
                    file.write_all(blank.as_bytes()).unwrap();
                }
                file.write_all(after.as_bytes()).unwrap();
                drop(file);
                let source = files.source(rows).await;
                assert_eq!(store(&source, 1).await, ["{\"number\":\"1\"}"]);
                close(&source).await;
            }
        });
        assert!(peak() < 100, "{} MiB", peak());
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_small_gzip_of_gigabytes_of_line_ends_takes_a_bounded_memory_and_is_given_up() {
    alone(|| {
        run(async {
            for (rows, header) in [(Rows::Lines, ""), (csv(&CsvOptions::default()), "number\n")] {
                let files = Files::new();
                let file = fs::File::create(files.inbox().join("a.gz")).unwrap();
                let mut file = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
                file.write_all(header.as_bytes()).unwrap();
                let blank = vec![b'\n'; 1 << 20];
                for _ in 0..200 {
                    file.write_all(&blank).unwrap();
                }
                file.write_all(b"1\n").unwrap();
                file.finish().unwrap();
                let source = files.source(rows).await;
                fails(&source, Code::FileGzip).await;
                // Not a bit more after a new start.
                close(&source).await;
                files.edit_state(|state| assert_eq!(state["files"][0]["offset"], header.len()));
            }
        });
        assert!(peak() < 100, "{} MiB", peak());
    });
}
