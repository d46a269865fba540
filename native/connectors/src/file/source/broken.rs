//! Files that cannot be read on, or put away: each is reported once for a reason, and counted while that is so.

use std::collections::BTreeMap;

use message::Fault;

use super::state::Version;

/// Reports that wait for the host; of more files, the count alone is reported.
pub(super) const MAX_REPORTS: usize = 100;

/// By their names in the folder.
#[derive(Default)]
pub(super) struct Broken {
    files: BTreeMap<String, File>,
    /// The next number of a report.
    next: u64,
    reports: Vec<Fault>,
    is_changed: bool,
}

struct File {
    version: Version,
    /// With the name.
    fault: Fault,
    number: u64,
}

/// How many files are broken, and the fault that was reported last.
pub(super) type Summary = Option<(usize, Fault)>;

impl Broken {
    /// Reports the fault of a file, where it is another one than before or the file has changed.
    pub(super) fn report(&mut self, name: &str, version: Version, fault: &Fault) {
        let is_known = |file: &File| {
            let place = (file.fault.place().offset, file.fault.place().field.as_ref());
            file.version == version
                && file.fault.code() == fault.code()
                && place == (fault.place().offset, fault.place().field.as_ref())
        };
        if self.files.get(name).is_some_and(is_known) {
            return;
        }
        let fault = fault.clone().in_file(name);
        if self.reports.len() < MAX_REPORTS {
            self.reports.push(fault.clone());
        }
        self.files.insert(name.to_owned(), File { version, fault, number: self.next });
        (self.next, self.is_changed) = (self.next + 1, true);
    }

    /// The file is read or put away.
    pub(super) fn resolve(&mut self, name: &str) {
        self.is_changed |= self.files.remove(name).is_some();
    }

    /// Only files with such names are there.
    pub(super) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        let before = self.files.len();
        self.files.retain(|name, _| is_there(name));
        self.is_changed |= self.files.len() != before;
    }

    /// Those since the last call.
    pub(super) fn take_reports(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.reports)
    }

    /// Where it is another one than at the last call.
    pub(super) fn take_summary(&mut self) -> Option<Summary> {
        let newest = || self.files.values().max_by_key(|file| file.number);
        std::mem::take(&mut self.is_changed).then(|| newest().map(|newest| (self.files.len(), newest.fault.clone())))
    }
}

#[cfg(test)]
mod tests {
    use message::Code;

    use super::*;

    const VERSION: Version = Version { size: 1, modified: 1 };

    #[test]
    fn a_file_is_reported_once_for_a_reason_and_again_when_it_has_changed() {
        let mut broken = Broken::default();
        let torn = Fault::new(Code::FileGzip, "torn").at_offset(7);
        for (version, fault, reports) in [
            (VERSION, torn.clone(), 1),
            (VERSION, torn.clone(), 0),
            (Version { size: 2, ..VERSION }, torn.clone(), 1),
            (Version { size: 2, ..VERSION }, Fault::new(Code::FileRead, "no"), 1),
        ] {
            broken.report("a.gz", version, &fault);
            assert_eq!(broken.take_reports().len(), reports);
        }
        assert_eq!(broken.take_summary(), Some(Some((1, Fault::new(Code::FileRead, "no").in_file("a.gz")))));
        assert_eq!(broken.take_summary(), None);
        broken.resolve("a.gz");
        assert_eq!(broken.take_summary(), Some(None));
    }

    #[test]
    fn of_many_files_some_are_reported_and_all_are_counted() {
        let mut broken = Broken::default();
        for number in 0..1_000 {
            broken.report(&format!("{number}"), VERSION, &Fault::new(Code::FileGzip, "torn"));
        }
        let summary = broken.take_summary().flatten().unwrap();
        assert_eq!(
            (broken.take_reports().len(), summary.0, summary.1.place().file.as_deref()),
            (100, 1_000, Some("999"))
        );
        broken.retain(|name| name == "5");
        assert_eq!(broken.take_summary().flatten().unwrap().0, 1);
    }
}
