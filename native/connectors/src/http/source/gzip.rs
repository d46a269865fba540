//! Bodies with `Content-Encoding: gzip`. What they become counts, not what came: a few bytes can become millions.

use std::io::{ErrorKind, Read as _};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use message::{Code, Fault};

use super::body::full;
use super::inbox::Admission;

/// Times as long as it came; text becomes 5 to 20 times as long.
const MOST_RATIO: usize = 200;
/// However short it came.
const LEAST_MOST: usize = 64 << 10;
const CHUNK: usize = 64 << 10;
/// What came and is longer, or becomes longer, is unpacked on another thread: it takes longer than a turn of the shard.
const LONG: usize = 16 << 10;
const BECOMES_LONG: usize = 128 << 10;

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
        None => admission.elsewhere(move || read(&packed, allowed)).await?,
    };
    let unpacked = unpacked.map_err(|error| match error {
        Unusable::Broken(reason) => Fault::new(
            Code::HttpBadRequest,
            format!("the body is not the gzip that its Content-Encoding says: {reason}"),
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
    let unpacked = (packed.len() <= LONG).then(|| read(packed, most))?;
    Some(unpacked).filter(|unpacked| most == allowed || *unpacked != Err(Unusable::TooLong))
}

#[derive(Debug, PartialEq, Eq)]
enum Unusable {
    Broken(&'static str),
    TooLong,
}

fn read(packed: &[u8], most: usize) -> Result<Vec<u8>, Unusable> {
    let mut decoder = MultiGzDecoder::new(packed);
    let mut unpacked = Vec::new();
    loop {
        let start = unpacked.len();
        unpacked.resize((start + CHUNK).min(most + 1), 0);
        let count = decoder.read(&mut unpacked[start..]).map_err(|error| match error.kind() {
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
        assert_eq!(read(&whole, 1_000), Ok(vec![7; 1_000]));
        assert_eq!(read(&whole, 999), Err(Unusable::TooLong));
        assert_eq!(
            read(&[whole.clone(), whole.clone()].concat(), 2_000),
            Ok(vec![7; 2_000]),
            "members follow each other"
        );
        for end in 0..whole.len() {
            assert!(matches!(read(&whole[..end], 1_000), Err(Unusable::Broken(_))), "{end}");
        }
        assert!(matches!(read(b"{}", 1_000), Err(Unusable::Broken(_))));
        assert!(matches!(read(&[&whole[..], b"more"].concat(), 1_000), Err(Unusable::Broken(_))));
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out(bytes in proptest::collection::vec(any::<u8>(), 0..200_000)) {
            prop_assert_eq!(read(&pack(&bytes), bytes.len()), Ok(bytes));
        }

        #[test]
        fn nothing_that_comes_is_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..300_usize) {
            let _ = read(&bytes, 10_000);
            let mut packed = pack(&[0; 100_000]);
            let place = at % packed.len();
            packed[place] ^= 1 + (at % 255) as u8;
            prop_assert!(read(&packed, 10_000).map_or(0, |unpacked| unpacked.len()) <= 10_000);
        }
    }
}
