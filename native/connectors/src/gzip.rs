//! Gzip whose members are counted: an empty one has 20 bytes and brings nothing, but takes about as long as one with text.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// The text of the members that follow each other, as gzip has it.
pub(crate) struct Members<R> {
    /// `None` only while one member takes the place of another.
    decoder: Option<GzDecoder<R>>,
    bounds: Bounds,
    /// Those that are read, and how many of them, the last ones, brought nothing.
    read: usize,
    empty: usize,
    is_empty: bool,
    is_refused: bool,
}

/// How many members there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) members: usize,
    /// Of those that bring nothing, one after the other.
    pub(crate) empty: usize,
}

impl<R: BufRead> Members<R> {
    pub(crate) fn new(packed: R, bounds: Bounds) -> Members<R> {
        let decoder = Some(GzDecoder::new(packed));
        Members { decoder, bounds, read: 0, empty: 0, is_empty: true, is_refused: false }
    }

    /// Whether an error means that there are more members than there may be.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Whether there was another member.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(decoder) = &mut self.decoder else { return Ok(false) };
        if decoder.get_mut().fill_buf()?.is_empty() {
            return Ok(false);
        }
        self.read += 1;
        self.empty = if self.is_empty { self.empty + 1 } else { 0 };
        if self.read >= self.bounds.members || self.empty >= self.bounds.empty {
            self.is_refused = true;
            return Err(io::Error::other("too many members, or too many empty ones in a row"));
        }
        self.is_empty = true;
        self.decoder = self.decoder.take().map(|decoder| GzDecoder::new(decoder.into_inner()));
        Ok(true)
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let count = decoder.read(into)?;
            if count > 0 || into.is_empty() {
                self.is_empty = false;
                return Ok(count);
            }
            if !self.advance()? {
                break;
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn pack(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// The text, and whether there were too many members.
    fn unpack(packed: &[u8], bounds: Bounds) -> (io::Result<Vec<u8>>, bool) {
        let (mut members, mut text) = (Members::new(packed, bounds), Vec::new());
        let read = members.read_to_end(&mut text).map(|_| text);
        (read, members.is_refused())
    }

    #[test]
    fn members_follow_each_other_up_to_their_bounds() {
        let bounds = Bounds { members: 4, empty: 2 };
        let (text, empty) = (pack(b"ab"), pack(b""));
        for (members, fits) in [
            (vec![&text; 4], true),
            (vec![&text; 5], false),
            (vec![&empty, &empty], true),
            (vec![&empty, &text, &empty, &empty], true),
            (vec![&empty, &empty, &text], false),
            (vec![&text, &empty, &empty, &text], false),
        ] {
            let packed: Vec<u8> = members.iter().copied().flatten().copied().collect();
            let (read, is_refused) = unpack(&packed, bounds);
            let texts = members.iter().filter(|member| **member == &text).count();
            assert_eq!((read.ok(), is_refused), (fits.then(|| b"ab".repeat(texts)), !fits), "{members:?}");
        }
    }

    #[test]
    fn what_is_damaged_is_no_matter_of_bounds() {
        let bounds = Bounds { members: 4, empty: 4 };
        let whole = pack(b"text");
        for packed in [&whole[..whole.len() - 1], &[&whole[..], b"more"].concat(), b"", b"{}"] {
            let (read, is_refused) = unpack(packed, bounds);
            assert!(read.is_err() && !is_refused, "{packed:?}");
        }
    }
}
