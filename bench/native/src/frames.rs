//! Frames that are ready to be sent: `BLOCK` of them, rendered once. Every frame has its number twice, and from one
//! block to the next only the leading digits of both change.

use std::ops::Range;

use crate::order::{DIGITS, write_digits};

/// How many frames are rendered. A power of ten, so that the last digits of a frame's number stay.
pub const BLOCK: usize = 100;
const LEADING: usize = DIGITS - BLOCK.ilog10() as usize;

/// One frame as a template: all of its bytes, and where the numbers are.
pub struct Frame {
    pub bytes: Vec<u8>,
    pub numbers: Vec<usize>,
}

pub struct Frames {
    bytes: Vec<u8>,
    length: usize,
    numbers: Vec<usize>,
    block: usize,
}

impl Frames {
    /// `render` gives the frame of a number; all have the same length, and their numbers at the same places.
    pub fn new(mut render: impl FnMut(usize) -> Frame) -> Frames {
        let Frame { bytes, numbers } = render(0);
        let length = bytes.len();
        let mut frames = Frames { bytes, length, numbers, block: 0 };
        for number in 1..BLOCK {
            let frame = render(number);
            assert!(
                frame.bytes.len() == length && frame.numbers == frames.numbers,
                "frames differ in more than numbers"
            );
            frames.bytes.extend_from_slice(&frame.bytes);
        }
        frames
    }

    /// The frames from this number on, up to `until` or to the end of the block; and the number after them.
    pub fn from(&mut self, number: usize, until: usize) -> (&[u8], usize) {
        self.turn_to(number / BLOCK);
        let end = until.min((self.block + 1) * BLOCK);
        (&self.bytes[self.place(number)..self.place(number) + (end - number) * self.length], end)
    }

    fn turn_to(&mut self, block: usize) {
        if self.block == block {
            return;
        }
        self.block = block;
        let mut leading = [0; LEADING];
        write_digits(&mut leading, block);
        for frame in self.bytes.chunks_exact_mut(self.length) {
            for place in &self.numbers {
                let digits: Range<usize> = *place..*place + LEADING;
                frame[digits].copy_from_slice(&leading);
            }
        }
    }

    fn place(&self, number: usize) -> usize {
        number % BLOCK * self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(number: usize) -> Frame {
        Frame { bytes: format!("<{number:09}|{}|{number:09}>", number % 2).into_bytes(), numbers: vec![1, 13] }
    }

    #[test]
    fn every_number_has_the_frame_that_would_be_rendered_for_it() {
        let mut frames = Frames::new(render);
        for number in [0, 1, 99, 100, 4_711, 123_456_789, 7] {
            let (bytes, end) = frames.from(number, number + 1);
            assert_eq!((bytes, end), (&*render(number).bytes, number + 1));
        }
    }

    #[test]
    fn frames_are_given_up_to_the_end_of_their_block() {
        let mut frames = Frames::new(render);
        let (bytes, end) = frames.from(198, 205);
        assert_eq!((bytes, end), (&*[render(198).bytes, render(199).bytes].concat(), 200));
        assert_eq!(frames.from(200, 205).1, 205);
    }
}
