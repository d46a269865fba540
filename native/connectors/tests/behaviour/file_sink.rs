//! The file out on a real file system.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use connectors::file::sink::{FileOptions, FileSink, Repaired};
use connectors::{Outcome, Sink};
use harness::{Folder, run};
use message::{Code, Fault};

use crate::delivery::{delivery, json};

/// A folder for files of the test's own, with that of `acme` in it.
struct Files(Folder);

fn options(base: impl Into<PathBuf>, path: &str) -> FileOptions {
    FileOptions { base: base.into(), customer: "acme".into(), path: path.into(), allow_absolute: false }
}

impl Files {
    fn new() -> Files {
        let files = Files(Folder::new());
        fs::create_dir(files.base("acme")).unwrap();
        files
    }

    fn base(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Of acme's files.
    fn path(&self, name: &str) -> PathBuf {
        self.base("acme").join(name)
    }

    fn sink(&self, path: &str) -> FileSink {
        FileSink::new(&options(self.0.path(), path)).unwrap()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }
}

fn fault(outcome: &Outcome) -> (&Fault, bool) {
    match outcome {
        Outcome::Retry { fault, .. } => (fault, true),
        Outcome::Permanent(fault) => (fault, false),
        Outcome::Delivered => panic!("delivered"),
    }
}

#[test]
fn each_message_is_a_line_and_folders_are_made() {
    let folder = Files::new();
    run(async {
        let sink = folder.sink("a/b/orders.ndjson");
        let batch = [json("{\n \"a\": 1\n}"), json("{"), delivery("<a>\n</a>", "text/xml")];
        let outcomes = sink.write_batch(&batch).await;
        assert!(matches!((&outcomes[0], &outcomes[2]), (Outcome::Delivered, Outcome::Delivered)));
        assert_eq!((fault(&outcomes[1]).0.code(), fault(&outcomes[1]).1), (Code::JsonSyntax, false));
        assert!(matches!(sink.write_batch(&[json("2")]).await[..], [Outcome::Delivered]));
        assert!(sink.write_batch(&[]).await.is_empty());
        sink.close().await;
        assert_eq!(folder.read("a/b/orders.ndjson"), "{\"a\":1}\n\"<a>\\n</a>\"\n2\n");
    });
}

#[test]
fn a_torn_last_line_is_mended_on_open() {
    let folder = Files::new();
    let long = format!("[\"{}", "x".repeat(200_000));
    let cases = [
        ("", Repaired::Whole, "3\n"),
        ("1\n", Repaired::Whole, "1\n3\n"),
        ("1\n{\"a\":", Repaired::Cut { bytes: 5 }, "1\n3\n"),
        ("1\n{\"a\":2}", Repaired::Ended, "1\n{\"a\":2}\n3\n"),
        ("12", Repaired::Cut { bytes: 2 }, "3\n"),
        ("1\n\0\0\0", Repaired::Cut { bytes: 3 }, "1\n3\n"),
        ("by hand", Repaired::Ended, "by hand\n3\n"),
        (&long, Repaired::Cut { bytes: long.len() as u64 }, "3\n"),
    ];
    run(async {
        for (number, (before, repaired, after)) in cases.into_iter().enumerate() {
            let name = format!("{number}.ndjson");
            fs::write(folder.path(&name), before).unwrap();
            let sink = folder.sink(&name);
            assert_eq!(sink.open().await.unwrap(), repaired, "{number}");
            assert!(matches!(sink.write_batch(&[json("3")]).await[..], [Outcome::Delivered]));
            assert_eq!(folder.read(&name), after, "{number}");
        }
    });
}

#[test]
fn paths_stay_in_the_folder() {
    let folder = Files::new();
    let elsewhere = Files::new();
    let code = |path: &str| FileSink::new(&options(folder.0.path(), path)).err().unwrap().code();
    for outside in ["/etc/x", "../x", "a/../../x", "..", "."] {
        assert_eq!(code(outside), Code::FileOutside, "{outside}");
    }
    for nameless in ["", "a/", "a\nb", "a\0b"] {
        assert_eq!(code(nameless), Code::ConfigInvalidValue, "{nameless}");
    }
    symlink(elsewhere.0.path(), folder.path("link")).unwrap();
    symlink(elsewhere.base("x"), folder.path("file-link")).unwrap();
    fs::create_dir(folder.path("folder")).unwrap();
    fs::write(folder.path("plain"), "").unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path("pipe"), rustix::fs::Mode::RWXU).unwrap();
    run(async {
        for path in ["link/x", "file-link", "folder", "plain/x", "pipe"] {
            let outcomes = folder.sink(path).write_batch(&[json("1")]).await;
            assert_eq!((fault(&outcomes[0]).0.code(), fault(&outcomes[0]).1), (Code::FileOutside, false), "{path}");
        }
    });
    assert!(!elsewhere.base("x").exists());
}

#[test]
fn a_customer_has_a_folder_of_its_own() {
    let folder = Files::new();
    fs::write(folder.base("plain"), "").unwrap();
    symlink("acme", folder.base("link")).unwrap();
    let sink = |of: &str| FileSink::new(&FileOptions { customer: of.into(), ..options(folder.0.path(), "out") });
    run(async {
        for customer in ["acme", "acme-eu", "globex"] {
            let line = [json(&format!("\"{customer}\""))];
            assert!(matches!(sink(customer).unwrap().write_batch(&line).await[..], [Outcome::Delivered]));
        }
        for customer in ["acme", "acme-eu", "globex"] {
            let written = fs::read_to_string(folder.base(customer).join("out")).unwrap();
            assert_eq!(written, format!("\"{customer}\"\n"));
        }
        // What else may stand in the place of a customer's folder.
        for customer in ["plain", "link"] {
            let outcomes = sink(customer).unwrap().write_batch(&[json("1")]).await;
            assert_eq!((fault(&outcomes[0]).0.code(), fault(&outcomes[0]).1), (Code::FileOutside, false));
            assert!(fault(&outcomes[0]).0.reason().contains(&format!("{customer}/out")));
        }
    });
    for nobody in ["", "..", "a/b", "acme/..", "Acme"] {
        assert_eq!(sink(nobody).err().unwrap().code(), Code::ConfigInvalidName, "{nobody}");
    }
}

#[test]
fn absolute_paths_are_for_those_who_may() {
    let folder = Files::new();
    let path = folder.path("deep/down.ndjson").to_str().unwrap().to_owned();
    run(async {
        let anywhere = FileOptions { allow_absolute: true, ..options("/nowhere", &path) };
        let sink = FileSink::new(&anywhere).unwrap();
        assert!(matches!(sink.write_batch(&[json("1")]).await[..], [Outcome::Delivered]));
    });
    assert_eq!(folder.read("deep/down.ndjson"), "1\n");
}

#[test]
fn shards_that_write_one_file_never_mix_their_lines() {
    let folder = Files::new();
    let line = |shard: usize, n: usize| format!("{{\"shard\":{shard},\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(3000));
    std::thread::scope(|scope| {
        for shard in 0..4 {
            let (folder, line) = (&folder, &line);
            scope.spawn(move || {
                run(async {
                    let sink = folder.sink("shared.ndjson");
                    for round in 0..10 {
                        let batch: Vec<_> = (0..7).map(|n| json(&line(shard, round * 7 + n))).collect();
                        assert!(
                            sink.write_batch(&batch).await.iter().all(|outcome| matches!(outcome, Outcome::Delivered))
                        );
                    }
                });
            });
        }
    });
    let text = folder.read("shared.ndjson");
    for shard in 0..4 {
        let of_shard: Vec<&str> = text.lines().filter(|l| l.starts_with(&format!("{{\"shard\":{shard},"))).collect();
        assert_eq!(of_shard, (0..70).map(|n| line(shard, n)).collect::<Vec<_>>());
    }
    assert_eq!(text.lines().count(), 280);
}

#[test]
fn a_file_that_was_rotated_away_is_begun_anew() {
    let folder = Files::new();
    let at = |name: &str| folder.path(name);
    run(async {
        let sink = folder.sink("sub/out.ndjson");
        sink.write_batch(&[json("1")]).await;
        fs::rename(at("sub/out.ndjson"), at("sub/old.ndjson")).unwrap();
        assert!(matches!(sink.write_batch(&[json("2")]).await[..], [Outcome::Delivered]));
        assert_eq!((folder.read("sub/old.ndjson"), folder.read("sub/out.ndjson")), ("1\n".into(), "2\n".into()));
        fs::remove_dir_all(at("sub")).unwrap();
        assert!(matches!(sink.write_batch(&[json("3")]).await[..], [Outcome::Delivered]));
        assert_eq!(folder.read("sub/out.ndjson"), "3\n");
    });
}

#[test]
fn a_file_that_another_process_holds_is_tried_again() {
    let folder = Files::new();
    fs::write(folder.path("out.ndjson"), "{\"half\":").unwrap();
    // A lock of another open file stands for the other process: flock treats them alike.
    let other = fs::File::open(folder.path("out.ndjson")).unwrap();
    other.lock().unwrap();
    run(async {
        let sink = folder.sink("out.ndjson");
        let outcomes = sink.write_batch(&[json("1")]).await;
        assert_eq!((fault(&outcomes[0]).0.code(), fault(&outcomes[0]).1), (Code::FileWrite, true));
        assert_eq!(folder.read("out.ndjson"), "{\"half\":");
        drop(other);
        assert!(matches!(sink.write_batch(&[json("1")]).await[..], [Outcome::Delivered]));
        assert_eq!(folder.read("out.ndjson"), "1\n");
    });
}

#[test]
fn what_cannot_be_opened_is_tried_again() {
    let folder = Files::new();
    fs::write(folder.base("base"), "a file").unwrap();
    run(async {
        let blocked = options(folder.base("base/deeper"), "x");
        let outcomes = FileSink::new(&blocked).unwrap().write_batch(&[json("1")]).await;
        assert_eq!((fault(&outcomes[0]).0.code(), fault(&outcomes[0]).1), (Code::FileWrite, true));
    });
}

#[test]
fn a_check_finds_what_a_connect_would_and_makes_nothing() {
    let folder = Files::new();
    run(async {
        let code = |path: &str| {
            let sink = folder.sink(path);
            async move {
                let checked = sink.check().await.map_err(|fault| fault.code());
                (checked, sink.connect().await.map_err(|fault| fault.code()))
            }
        };
        std::fs::create_dir_all(folder.path("real")).unwrap();
        std::fs::write(folder.path("plain"), "").unwrap();
        std::os::unix::fs::symlink("real", folder.path("link")).unwrap();
        let outside = Err(Code::FileOutside);
        assert_eq!(code("plain").await, (Ok(()), Ok(())));
        for path in ["plain/x.ndjson", "link/x.ndjson", "link", "real"] {
            assert_eq!(code(path).await, (outside, outside), "{path}");
        }
        assert_eq!(folder.sink("new/er/x.ndjson").check().await.map_err(|fault| fault.code()), Ok(()));
        assert!(!folder.path("new").exists());
    });
}

#[test]
fn a_check_finds_a_base_that_cannot_be_made() {
    let folder = Files::new();
    std::os::unix::fs::symlink("nowhere", folder.base("link")).unwrap();
    let mut bases = vec![folder.base("link"), folder.base("link/deeper")];
    if cfg!(target_os = "linux") {
        bases.extend(["/proc/vrsky", "/sys/vrsky/deeper"].map(PathBuf::from));
    }
    run(async {
        for base in bases {
            let sink = FileSink::new(&options(&base, "x")).unwrap();
            let checked = sink.check().await.map_err(|fault| fault.code());
            let opened = sink.connect().await.map_err(|fault| fault.code());
            assert_eq!((checked, opened), (Err(Code::FileWrite), Err(Code::FileWrite)), "{}", base.display());
        }
    });
}
