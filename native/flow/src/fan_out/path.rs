//! Where a part stands among the results of an input's scripts.

use std::fmt;

use message::packed::{Unpack, put_number};

/// The positions of a part in the results of the scripts that have split its input; empty for the whole input.
/// A script with one result splits nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartPath(Vec<u32>);

impl PartPath {
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn child(&self, position: u32) -> PartPath {
        let mut path = Vec::with_capacity(self.0.len() + 1);
        path.extend_from_slice(&self.0);
        path.push(position);
        PartPath(path)
    }

    /// Appends it, for [`PartPath::read`].
    pub fn write(&self, out: &mut Vec<u8>) {
        put_number(out, self.0.len() as u64);
        self.0.iter().for_each(|position| put_number(out, u64::from(*position)));
    }

    pub fn read(from: &mut Unpack<'_>) -> Option<PartPath> {
        let length = from.size()?;
        (0..length).map(|_| u32::try_from(from.number()?).ok()).collect::<Option<_>>().map(PartPath)
    }

    /// What distinguishes the random numbers of one call of a script from those of all others for the same message.
    /// `resumed`: the number of a part that begins in the middle.
    #[must_use]
    pub fn seed(&self, stage: usize, resumed: Option<u64>) -> u64 {
        let numbers = resumed.into_iter().chain(self.0.iter().map(|position| u64::from(*position)));
        numbers.fold(stage as u64, |seed, number| seed.wrapping_add(1).wrapping_mul(0x0100_0000_01b3) ^ number)
    }
}

/// `[1][0]`
impl fmt::Display for PartPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|position| write!(f, "[{position}]"))
    }
}
