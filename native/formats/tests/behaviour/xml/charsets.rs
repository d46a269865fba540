//! Charsets: what says which one it is, what is read in it, and what goes on.

use formats::xml::{Reader, XmlOptions};
use formats::{emit, json};
use message::{Code, Document, Fault, Limits};
use proptest::prelude::*;

/// A charset that tests write in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charset {
    Utf8,
    Latin1,
    Windows1252,
    Le,
    Be,
}

use Charset::{Be, Latin1, Le, Utf8, Windows1252};

fn encode(text: &str, charset: Charset) -> Vec<u8> {
    let high = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}\u{2018}\u{2019}“”•–—˜™š›œ\u{9d}žŸ";
    let byte = |c: char| match high.chars().position(|other| other == c) {
        Some(at) if charset == Windows1252 => 0x80 + u8::try_from(at).unwrap(),
        _ => u8::try_from(u32::from(c)).unwrap(),
    };
    match charset {
        Utf8 => text.as_bytes().to_vec(),
        Latin1 | Windows1252 => text.chars().map(byte).collect(),
        Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    }
}

fn parse(source: &[u8], stated: Option<&str>) -> Result<Document, Fault> {
    let mut document = Document::default();
    let reader = Reader::new(&XmlOptions::default())?;
    reader.parse_as(source, stated, &Limits::default(), &mut document)?;
    Ok(document)
}

fn to_json(document: &Document) -> String {
    let mut out = Vec::new();
    json::emit(document, &mut out);
    String::from_utf8(out).unwrap()
}

fn refused(source: &[u8], stated: Option<&str>) -> Fault {
    match parse(source, stated) {
        Ok(document) => panic!("{source:?} is {}", to_json(&document)),
        Err(fault) => fault,
    }
}

#[test]
fn a_mark_wins_over_the_charset_and_that_over_the_declaration() {
    let declared = |name: &str, text: &str| format!("<?xml version='1.0' encoding='{name}'?><a>{text}</a>");
    let plain = |text: &str| format!("<a>{text}</a>");
    let marked = |text: &str| format!("\u{feff}{text}");
    for (text, charset, stated, expected) in [
        // The declaration alone.
        (declared("ISO-8859-1", "é"), Latin1, None, "é"),
        (declared("latin1", "\u{80}\u{9f}"), Latin1, None, "\u{80}\u{9f}"),
        (declared("windows-1252", "€Ÿé"), Windows1252, None, "€Ÿé"),
        (declared("utf8", "é"), Utf8, None, "é"),
        (declared("US-ASCII", "e"), Utf8, None, "e"),
        (declared("UTF-16", "é€😀"), Le, None, "é€😀"),
        (declared("UTF-16", "é€😀"), Be, None, "é€😀"),
        (declared("UTF-16LE", "é"), Le, None, "é"),
        (declared("utf-16be", "é"), Be, None, "é"),
        // The charset that came with it.
        (plain("é"), Latin1, Some("ISO-8859-1"), "é"),
        (plain("€"), Windows1252, Some("windows-1252"), "€"),
        (plain("é"), Utf8, Some("utf-8"), "é"),
        (plain("é"), Le, Some("utf-16"), "é"),
        (plain("é"), Be, Some("utf-16"), "é"),
        (plain("é"), Le, Some("utf-16le"), "é"),
        (plain("é"), Be, Some("utf-16be"), "é"),
        (declared("UTF-8", "é"), Latin1, Some("iso-8859-1"), "é"),
        (declared("ISO-8859-1", "é"), Utf8, Some("utf-8"), "é"),
        (declared("ISO-8859-1", "e"), Utf8, Some("us-ascii"), "e"),
        (declared("klingon", "é"), Windows1252, Some("cp1252"), "é"),
        (declared("UTF-8", "é"), Le, Some("utf-16"), "é"),
        // A byte order mark.
        (marked(&plain("é")), Utf8, Some("iso-8859-1"), "é"),
        (marked(&plain("é")), Utf8, Some("klingon"), "é"),
        (marked(&declared("ISO-8859-1", "é")), Utf8, None, "é"),
        (marked(&declared("US-ASCII", "é")), Utf8, None, "é"),
        (marked(&plain("é")), Le, None, "é"),
        (marked(&plain("é")), Be, None, "é"),
        (marked(&declared("UTF-8", "é")), Be, Some("utf-8"), "é"),
        (marked(&plain("é")), Le, Some("utf-16be"), "é"),
    ] {
        let document =
            parse(&encode(&text, charset), stated).unwrap_or_else(|fault| panic!("{text} {charset:?}: {fault}"));
        assert_eq!(to_json(&document), format!(r#"{{"a":"{expected}"}}"#), "{text} {charset:?} {stated:?}");
    }
}

#[test]
fn an_unchanged_document_goes_on_in_utf_8_and_says_no_other() {
    for (text, charset, stated, expected) in [
        (
            "<?xml version='1.0'  encoding=\"ISO-8859-1\" standalone='yes'?>\r\n<a>é<!-- ü --></a>\n",
            Latin1,
            None,
            "<?xml version='1.0'  encoding=\"UTF-8\" standalone='yes'?>\r\n<a>é<!-- ü --></a>\n",
        ),
        ("<?xml version='1.0'?><a>é</a>", Latin1, Some("latin1"), "<?xml version='1.0'?><a>é</a>"),
        ("<a b='1' >é</a >", Windows1252, Some("windows-1252"), "<a b='1' >é</a >"),
        ("\u{feff}<a>é</a>", Le, None, "<a>é</a>"),
        ("\u{feff}<?xml version='1.0' encoding='utf-16'?><a/>", Be, None, "<?xml version='1.0' encoding='UTF-8'?><a/>"),
        (
            "<?xml version='1.0' encoding='l1'?><a>é</a>",
            Utf8,
            Some("utf-8"),
            "<?xml version='1.0' encoding='UTF-8'?><a>é</a>",
        ),
        (
            "\u{feff}<?xml version='1.0' encoding='windows-1252'?><a>é</a>",
            Utf8,
            None,
            "\u{feff}<?xml version='1.0' encoding='UTF-8'?><a>é</a>",
        ),
    ] {
        let source = encode(text, charset);
        let document = parse(&source, stated).unwrap();
        let mut out = Vec::new();
        emit(&document, &mut out).unwrap();
        assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
        assert_eq!(document.source(), source, "the payload itself is still there");
        assert!(!document.is_as_it_came());
        assert_eq!(to_json(&parse(&out, None).unwrap()), to_json(&document));
    }
    for text in ["\u{feff}<a>é</a>", "<?xml version='1.0' encoding='us-ascii'?><a/>", "<a>é</a>"] {
        assert!(parse(text.as_bytes(), None).unwrap().is_as_it_came(), "{text}");
    }
}

#[test]
fn bytes_that_are_not_of_the_charset_are_named() {
    let utf16 = |units: &[u16]| units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<u8>>();
    let lone = utf16(&[0xFEFF, 0x3C, 0x61, 0x3E, 0xD83D, 0x3C]);
    let half = utf16(&[0xFEFF, 0x3C, 0x61, 0x3E, 0x3C, 0xDE00]);
    let mut odd = encode("\u{feff}<a/>", Le);
    odd.push(0);
    for (source, stated, code, offset) in [
        (&b"<?xml version='1.0' encoding='us-ascii'?><a>\x80</a>"[..], None, Code::XmlEncoding, 44),
        (b"<a>\xC3\xA9</a>", Some("us-ascii"), Code::XmlEncoding, 3),
        (b"<a>\xC3\xA9\x81</a>", Some("windows-1252"), Code::XmlEncoding, 5),
        (b"<a>\xE9</a>", Some("utf-8"), Code::XmlInvalidUtf8, 3),
        (b"\xEF\xBB\xBF<a>\xE9</a>", Some("iso-8859-1"), Code::XmlInvalidUtf8, 6),
        (&lone, None, Code::XmlEncoding, 8),
        (&half, None, Code::XmlEncoding, 10),
        (&odd, None, Code::XmlEncoding, 10),
        // Contradictions that nothing decides.
        (b"<?xml version='1.0' encoding='UTF-16'?><a/>", None, Code::XmlEncoding, 30),
        (&encode("<?xml version='1.0' encoding='UTF-8'?><a/>", Le), None, Code::XmlEncoding, 60),
        (&encode("<?xml version='1.0' encoding='UTF-16BE'?><a/>", Le), None, Code::XmlEncoding, 60),
        (&encode("<?xml version='1.0'?><a/>", Be), None, Code::XmlEncoding, 0),
        (&encode("<a/>", Be), None, Code::XmlEncoding, 0),
    ] {
        let fault = refused(source, stated);
        assert_eq!((fault.code(), fault.place().offset), (code, Some(offset)), "{source:?} {stated:?}: {fault}");
    }
}

#[test]
fn unknown_charsets_are_refused_with_those_that_are_read() {
    for (source, stated, name, offset) in [
        (&b"<?xml version='1.0' encoding='ISO-8859-15'?><a/>"[..], None, "ISO-8859-15", 30),
        (b"<a/>", Some("klingon"), "klingon", 0),
        (b"<a/>", Some(""), "charset ", 0),
        (b"\0\0\xFE\xFF", None, "UTF-32", 0),
        (b"\0\0\0<", None, "UTF-32", 0),
        (b"\x4C\x6F\xA7\x94", None, "EBCDIC", 0),
    ] {
        let fault = refused(source, stated);
        assert_eq!((fault.code(), fault.place().offset), (Code::XmlEncoding, Some(offset)), "{fault}");
        let (reason, read) = (fault.reason(), "UTF-8, US-ASCII, ISO-8859-1, windows-1252 and UTF-16 are read");
        assert!(reason.contains(name) && reason.contains(read), "{fault}");
    }
}

#[test]
fn offsets_are_bytes_of_the_payload_as_it_came() {
    let declared = |name: &str| format!("<?xml version='1.0' encoding='{name}'?>");
    for (text, charset, stated, offset) in [
        ("<a>éü</b>".to_owned(), Latin1, Some("latin1"), 7),
        (declared("ISO-8859-1") + "<a>éü</b>", Latin1, None, 50),
        (declared("l1") + "<a>éü</b>", Latin1, None, 42),
        (declared("l1") + "<a>éü</b>", Utf8, Some("utf-8"), 44),
        ("<a>€</b>".into(), Windows1252, Some("windows-1252"), 6),
        ("<a>é😀</b>".into(), Le, Some("utf-16"), 16),
        ("\u{feff}<a>é😀</b>".into(), Be, None, 18),
        ("<?xml version='1.0' encoding='ISO-8859-1' standalone='x'?><a/>".into(), Latin1, None, 54),
    ] {
        let fault = refused(&encode(&text, charset), stated);
        assert_eq!((fault.code(), fault.place().offset), (Code::XmlNotWellFormed, Some(offset)), "{text}: {fault}");
    }
}

#[test]
fn bytes_count_before_and_after_decoding() {
    let reader = Reader::new(&XmlOptions::default()).unwrap();
    let text = "<a>éé</a>";
    for (source, limit, offset) in [(encode(text, Latin1), 10, Some(8)), (encode(text, Latin1), 11, None)] {
        let limits = Limits { bytes: limit, ..Limits::default() };
        let parsed = reader.parse_as(&source, Some("latin1"), &limits, &mut Document::default());
        match offset {
            None => parsed.unwrap(),
            Some(offset) => {
                let fault = parsed.unwrap_err();
                assert_eq!((fault.code(), fault.place().offset), (Code::XmlTooLarge, Some(offset)), "{fault}");
            }
        }
    }
    let limits = Limits { bytes: 17, ..Limits::default() };
    let parsed = reader.parse_as(&encode(text, Le), Some("utf-16"), &limits, &mut Document::default());
    assert_eq!(parsed.unwrap_err().place().offset, Some(17), "18 bytes as they came");
}

proptest! {
    #[test]
    fn a_document_is_the_same_in_every_charset(text in "[ -%'-;=?-~\u{a0}-\u{ff}]{0,40}", wide in "\\PC{0,20}", declares: bool) {
        let wide = wide.replace(['<', '&', '>'], "");
        let document = |name: &str, text: &str| match declares {
            true => format!("<?xml version='1.0' encoding='{name}'?><a><b>{text}</b></a>"),
            false => format!("<a><b>{text}</b></a>"),
        };
        for (text, charset, name) in [
            (&text, Latin1, "iso-8859-1"),
            (&text, Windows1252, "windows-1252"),
            (&wide, Le, "utf-16le"),
            (&wide, Be, "utf-16be"),
            (&wide, Le, "utf-16"),
        ] {
            let expected = to_json(&parse(document("utf-8", text).as_bytes(), None).unwrap());
            let source = encode(&document(name, text), charset);
            let read = parse(&source, Some(name)).unwrap();
            prop_assert_eq!(&to_json(&read), &expected);
            prop_assert_eq!(read.source(), &source[..]);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_within_them(
        source in prop::collection::vec(any::<u8>(), 0..60),
        stated in prop::sample::select(vec![None, Some("utf-16"), Some("utf-16le"), Some("latin1"), Some("cp1252"), Some("ascii")]),
        marked in prop::sample::select(vec![&b""[..], b"\xFF\xFE", b"\xFE\xFF<\0a\0>\0", b"<?xml version='1.0' encoding='l1'?><a>"]),
    ) {
        let source = [marked, &source].concat();
        if let Err(fault) = parse(&source, stated) {
            prop_assert!(fault.place().offset.is_some_and(|offset| offset <= source.len()), "{}", fault);
        }
    }
}
