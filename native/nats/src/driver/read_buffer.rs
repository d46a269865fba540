//! What was read and not yet handled. Reused from read to read; grows for a frame that is larger, and
//! shrinks again when such frames stop coming.

/// Bytes it begins with, and shrinks to.
const USUAL: usize = 256 << 10;
/// Less room than this at the end, and what is held moves to the front before a read.
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
    pub fn room(&mut self, cap: usize) -> &mut [u8] {
        if self.start > 0 && self.bytes.len() - self.end < LEAST_ROOM {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let length = self.bytes.len();
        if length - self.end < LEAST_ROOM && length < cap {
            self.bytes.resize((length * 2).min(cap), 0);
        }
        &mut self.bytes[self.end..]
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
