//! What was read and not yet handled. Reused from read to read; grows for a frame that is larger, and
//! shrinks again when such frames stop coming.

/// Bytes it begins with, and shrinks to.
const USUAL: usize = 256 << 10;
/// Less room than this at the end, and there is made more before a read.
const LEAST_ROOM: usize = 64 << 10;
/// Times it was emptied without needing more than `USUAL`, after which it shrinks.
const CALM: u32 = 64;

#[derive(Debug)]
pub struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    calm: u32,
}

impl ReadBuffer {
    pub fn new() -> Self {
        ReadBuffer { bytes: vec![0; USUAL], start: 0, end: 0, calm: 0 }
    }

    /// What is held.
    pub fn held(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The first `count` held bytes have been handled.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start < self.end {
            return;
        }
        (self.start, self.end) = (0, 0);
        if self.bytes.len() > USUAL {
            self.calm += 1;
            if self.calm >= CALM {
                self.bytes = vec![0; USUAL];
            }
        }
    }

    /// Room to read into. Empty when `cap` bytes are held.
    ///
    /// What is held moves to the front only when at least as much has been handled before it, or the
    /// buffer may not grow: while a server reads slowly, megabytes are held, and moving them for every
    /// read was an eighth of a relay's time.
    pub fn room(&mut self, cap: usize) -> &mut [u8] {
        let held = self.end - self.start;
        let wanted = cap.saturating_sub(held);
        if self.bytes.len() - self.end < LEAST_ROOM.min(wanted) {
            let most = cap.saturating_mul(2).max(USUAL);
            if self.start >= held || self.bytes.len() >= most {
                self.bytes.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, held);
            }
            if self.bytes.len() - self.end < LEAST_ROOM.min(wanted) {
                self.bytes.resize((self.bytes.len() * 2).min(most), 0);
            }
        }
        let end = self.bytes.len().min(self.end + wanted);
        &mut self.bytes[self.end..end]
    }

    /// `count` bytes were read into [`ReadBuffer::room`].
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
        if self.end - self.start > USUAL {
            self.calm = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffer: &mut ReadBuffer, bytes: &[u8], cap: usize) -> usize {
        let room = buffer.room(cap);
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        buffer.filled(count);
        count
    }

    #[test]
    fn grows_to_the_cap_and_shrinks_when_calm() {
        let mut buffer = ReadBuffer::new();
        let cap = 4 * USUAL;
        let data: Vec<u8> = (0..5 * USUAL).map(|i| (i % 251) as u8).collect();
        let mut at = 0;
        loop {
            let count = fill(&mut buffer, &data[at..at + 100_000.min(data.len() - at)], cap);
            at += count;
            if count == 0 {
                break;
            }
        }
        assert_eq!(at, cap);
        assert_eq!(buffer.held(), &data[..cap]);
        buffer.consume(cap - 10);
        assert_eq!(buffer.held(), &data[cap - 10..cap]);
        for _ in 0..=CALM {
            assert!(fill(&mut buffer, b"more", cap) == 4);
            buffer.consume(usize::MAX);
        }
        assert_eq!((buffer.bytes.len(), buffer.held().len()), (USUAL, 0));
    }

    #[test]
    fn megabytes_are_not_moved_for_every_read() {
        let mut buffer = ReadBuffer::new();
        let cap = 32 * USUAL;
        let piece = vec![7; LEAST_ROOM];
        for _ in 0..cap / 2 / LEAST_ROOM {
            assert_eq!(fill(&mut buffer, &piece, cap), piece.len());
        }
        let mut moves = 0;
        for _ in 0..100 {
            buffer.consume(LEAST_ROOM);
            let before = buffer.start;
            assert_eq!(fill(&mut buffer, &piece, cap), piece.len());
            moves += usize::from(buffer.start < before);
        }
        // Half of `cap` is held: a move for each half that was handled.
        assert!(moves <= 100 * LEAST_ROOM / (cap / 2) + 1, "{moves}");
    }

    #[test]
    fn a_tail_stays_while_more_comes() {
        let mut buffer = ReadBuffer::new();
        let mut expected = Vec::new();
        for round in 0..2_000_u32 {
            let piece: Vec<u8> = (0..700).map(|i| ((i + round) % 256) as u8).collect();
            assert_eq!(fill(&mut buffer, &piece, USUAL), piece.len());
            expected.extend_from_slice(&piece);
            let handled = expected.len() - 13;
            buffer.consume(handled);
            expected.drain(..handled);
            assert_eq!(buffer.held(), expected);
        }
        assert_eq!(buffer.bytes.len(), USUAL);
    }
}
