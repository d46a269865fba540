//! Bodies with `Content-Encoding: gzip`. What they become counts, not what came: a few bytes can become millions.

use std::io::{ErrorKind, Read as _};

use bytes::Bytes;
use message::{Code, Fault};

use super::body::full;
use super::inbox::Admission;
use crate::gzip::{Bounds, Members};

/// Times as long as it came; text becomes 5 to 20 times as long.
const MOST_RATIO: usize = 200;
/// However short it came.
const LEAST_MOST: usize = 64 << 10;
const CHUNK: usize = 64 << 10;
/// What came and is longer, or becomes longer, is unpacked on another thread: it takes longer than a turn of the shard.
const LONG: usize = 16 << 10;
const BECOMES_LONG: usize = 128 << 10;
/// The largest `max_body`, 64 MiB, has 1,029 members as bgzip writes it, whose members are short: 65,280 bytes and an empty
/// one at the end. As many empty ones take some milliseconds; 8 MB of them, 400,000, took seconds.
const MAX_MEMBERS: usize = 1_100;
/// What has more is unpacked on another thread, too.
const MANY_MEMBERS: usize = 16;

/// The body as it was before it was packed, at most `most` bytes, within the budget.
///
/// # Errors
/// `http/bad-request` for what is no gzip, `http/too-large`, `limit/memory`.
pub(super) async fn unpack(admission: &mut Admission, packed: Bytes, most: usize) -> Result<Bytes, Fault> {
    let allowed = most.min(packed.len().saturating_mul(MOST_RATIO).max(LEAST_MOST));
    let length = packed.len();
    // Before it is there: many at a time may not become more than there is room for.
    if !admission.grow(allowed) {
        return Err(full());
    }
    let unpacked = match at_once(&packed, allowed) {
        Some(unpacked) => unpacked,
        None => admission.elsewhere(move || read(&packed, allowed, MAX_MEMBERS)).await?,
    };
    let unpacked = unpacked.map_err(|error| match error {
        Unusable::Broken(reason) => Fault::new(
            Code::HttpBadRequest,
            format!("the body is not the gzip that its Content-Encoding says: {reason}"),
        ),
        Unusable::TooManyMembers => Fault::new(
            Code::HttpBadRequest,
            format!("the body is gzip of more than {MAX_MEMBERS} members; pack it as one"),
        ),
        Unusable::TooLong if allowed < most => {
            Fault::new(Code::HttpTooLarge, format!("the body becomes more than {MOST_RATIO} times as long as it came"))
        }
        Unusable::TooLong => Fault::new(Code::HttpTooLarge, format!("the body becomes longer than {most} bytes")),
    })?;
    admission.give_back((length + allowed).saturating_sub(unpacked.len()));
    Ok(unpacked.into())
}

/// `None` for what takes long.
fn at_once(packed: &[u8], allowed: usize) -> Option<Result<Vec<u8>, Unusable>> {
    let most = allowed.min(BECOMES_LONG);
    let unpacked = (packed.len() <= LONG).then(|| read(packed, most, MANY_MEMBERS))?;
    let takes_long = match &unpacked {
        Err(Unusable::TooManyMembers) => true,
        Err(Unusable::TooLong) => most < allowed,
        _ => false,
    };
    (!takes_long).then_some(unpacked)
}

#[derive(Debug, PartialEq, Eq)]
enum Unusable {
    Broken(&'static str),
    TooLong,
    TooManyMembers,
}

fn read(packed: &[u8], most: usize, members: usize) -> Result<Vec<u8>, Unusable> {
    let mut decoder = Members::new(packed, Bounds { members, empty: members });
    let mut unpacked = Vec::new();
    loop {
        let start = unpacked.len();
        unpacked.resize((start + CHUNK).min(most + 1), 0);
        let count = decoder.read(&mut unpacked[start..]).map_err(|error| match error.kind() {
            _ if decoder.is_refused() => Unusable::TooManyMembers,
            ErrorKind::UnexpectedEof => Unusable::Broken("it breaks off"),
            _ => Unusable::Broken("it is damaged, or something else"),
        })?;
        unpacked.truncate(start + count);
        if unpacked.len() > most {
            return Err(Unusable::TooLong);
        }
        if count == 0 {
            return Ok(unpacked);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_no_gzip_or_breaks_off_is_told_apart() {
        let whole = pack(&[7; 1_000]);
        assert_eq!(read(&whole, 1_000, MAX_MEMBERS), Ok(vec![7; 1_000]));
        assert_eq!(read(&whole, 999, MAX_MEMBERS), Err(Unusable::TooLong));
        assert_eq!(
            read(&[whole.clone(), whole.clone()].concat(), 2_000, MAX_MEMBERS),
            Ok(vec![7; 2_000]),
            "members follow each other"
        );
        for end in 0..whole.len() {
            assert!(matches!(read(&whole[..end], 1_000, MAX_MEMBERS), Err(Unusable::Broken(_))), "{end}");
        }
        assert!(matches!(read(b"{}", 1_000, MAX_MEMBERS), Err(Unusable::Broken(_))));
        assert!(matches!(read(&[&whole[..], b"more"].concat(), 1_000, MAX_MEMBERS), Err(Unusable::Broken(_))));
    }

    #[test]
    fn a_body_has_so_many_members_and_no_more() {
        let empty = pack(b"");
        assert_eq!(read(&empty.repeat(MAX_MEMBERS), 1_000, MAX_MEMBERS), Ok(Vec::new()));
        let many = [empty.repeat(MAX_MEMBERS), pack(b"{}")].concat();
        assert_eq!(read(&many, 1_000, MAX_MEMBERS), Err(Unusable::TooManyMembers));
        // 64 MiB as bgzip writes it.
        let blocks = (64_usize << 20).div_ceil(65_280) + 1;
        assert_eq!(read(&pack(b"ab").repeat(blocks), 1 << 20, MAX_MEMBERS), Ok(b"ab".repeat(blocks)));
    }

    #[test]
    fn short_bodies_of_many_members_are_unpacked_on_another_thread() {
        let member = pack(b"ab");
        assert_eq!(at_once(&member.repeat(MANY_MEMBERS), 1_000), Some(Ok(b"ab".repeat(MANY_MEMBERS))));
        assert_eq!(at_once(&member.repeat(MANY_MEMBERS + 1), 1_000), None);
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out(bytes in proptest::collection::vec(any::<u8>(), 0..200_000)) {
            prop_assert_eq!(read(&pack(&bytes), bytes.len(), MAX_MEMBERS), Ok(bytes));
        }

        #[test]
        fn nothing_that_comes_is_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..300_usize) {
            let _ = read(&bytes, 10_000, MAX_MEMBERS);
            let mut packed = pack(&[0; 100_000]);
            let place = at % packed.len();
            packed[place] ^= 1 + (at % 255) as u8;
            prop_assert!(read(&packed, 10_000, MAX_MEMBERS).map_or(0, |unpacked| unpacked.len()) <= 10_000);
        }
    }
}
