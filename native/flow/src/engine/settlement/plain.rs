//! Texts at which no receiver begins a new line.

/// Without its end, where that is a usual one.
#[inline]
pub fn one_line(line: &[u8]) -> Option<&[u8]> {
    line.strip_suffix(b"\r\n")
}

/// Whether there is no control character but tabs.
#[inline]
pub fn is_plain(text: &[u8]) -> bool {
    const AT_ONCE: usize = 16;
    // Every byte is looked at, which is quicker than to stop at the first.
    let all = |bytes: &[u8]| {
        bytes.iter().fold(true, |plain, byte| plain & ((*byte >= b' ') & (*byte != 0x7f) | (*byte == b'\t')))
    };
    let Some(last) = text.last_chunk::<AT_ONCE>() else { return all(text) };
    let (chunks, _) = text.as_chunks::<AT_ONCE>();
    chunks.iter().fold(all(last), |plain, chunk| plain & all(chunk))
}
