//! A file of any size takes a bounded memory.

use std::fs;
use std::io::Write;

use connectors::Source;
use formats::csv::CsvOptions;
use harness::{alone, run};

use super::host::{Files, csv, stored};

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
