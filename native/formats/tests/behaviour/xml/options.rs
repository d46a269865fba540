//! What the options of a conversion change, and which cannot work.

use formats::xml::{Namespaces, Reader, XmlOptions};
use formats::{json, xml};
use message::{Code, Document, Limits};

use super::convert_with;

fn options(change: impl FnOnce(&mut XmlOptions)) -> XmlOptions {
    let mut options = XmlOptions::default();
    change(&mut options);
    options
}

#[test]
fn namespaces_are_stripped_on_request() {
    let strip = options(|o| o.namespaces = Namespaces::Strip);
    for (source, expected) in [
        ("<a xmlns='u'><b/></a>", r#"{"a":{"b":null}}"#),
        ("<p:a xmlns:p='u' x='1' p:y='2'>t</p:a>", r##"{"a":{"@x":"1","@y":"2","#text":"t"}}"##),
        ("<a xmlns:p='u' xmlns:q='v'><p:b>1</p:b><q:b>2</q:b><b>3</b></a>", r#"{"a":{"b":["1","2","3"]}}"#),
        ("<a><b xmlns:p='u'><p:c/></b></a>", r#"{"a":{"b":{"c":null}}}"#),
        ("<a xml:lang='de'/>", r#"{"a":{"@lang":"de"}}"#),
        ("<a p:x='1' xmlns:p='u'>t</a>", r##"{"a":{"@x":"1","#text":"t"}}"##),
    ] {
        assert_eq!(convert_with(&strip, source).unwrap(), expected, "{source}");
    }
    for (source, code, offset) in [
        ("<p:a/>", Code::XmlUnboundPrefix, 1),
        ("<a p:x=''/>", Code::XmlUnboundPrefix, 3),
        ("<a><b xmlns:p='u'/><p:c/></a>", Code::XmlUnboundPrefix, 20),
        ("<a xmlns:p='u' xmlns:q='v' p:x='' q:x=''/>", Code::ConvertNameCollision, 34),
        ("<a xmlns:p='u' p:x='' x=''/>", Code::ConvertNameCollision, 22),
        ("<a xmlns:p='u' xmlns:p='v'/>", Code::XmlNotWellFormed, 15),
        ("<a xmlns:p=''/>", Code::XmlNotWellFormed, 3),
        ("<a xmlns:xml='u'/>", Code::XmlNotWellFormed, 3),
        ("<a xmlns:xmlns='u'/>", Code::XmlNotWellFormed, 3),
        ("<a:b:c xmlns:a='u'/>", Code::XmlNotWellFormed, 1),
        ("<:a/>", Code::XmlNotWellFormed, 1),
        ("<a:/>", Code::XmlNotWellFormed, 1),
        ("<a:1 xmlns:a='u'/>", Code::XmlNotWellFormed, 1),
        ("<a><?p:q?></a>", Code::XmlNotWellFormed, 5),
    ] {
        let fault = convert_with(&strip, source).unwrap_err();
        assert_eq!((fault.code(), fault.place().offset), (code, Some(offset)), "{source}: {fault}");
    }
}

#[test]
fn declared_paths_give_lists_numbers_and_booleans() {
    let declared = options(|o| {
        o.arrays = vec!["o.i".into(), "o.n.list".into()];
        o.numbers = vec!["o.total".into(), "o.i.price".into(), "o.i[\"@n\"]".into(), "o.i[\"#text\"]".into()];
        o.booleans = vec!["o.paid".into(), "o[\"@test\"]".into()];
    });
    for (source, expected) in [
        ("<o><i/></o>", r#"{"o":{"i":[null]}}"#),
        ("<o><i>1</i><i n='2'>3</i></o>", r##"{"o":{"i":[1,{"@n":2,"#text":3}]}}"##),
        ("<o><n><list/></n></o>", r#"{"o":{"n":{"list":[null]}}}"#),
        ("<o><list/></o>", r#"{"o":{"list":null}}"#),
        ("<o><total> 12.50\n</total></o>", r#"{"o":{"total":12.50}}"#),
        ("<o><total c='x'>1e400</total></o>", r##"{"o":{"total":{"@c":"x","#text":1e400}}}"##),
        ("<o><total/></o>", r#"{"o":{"total":null}}"#),
        ("<o><total>1&#50;<!-- -->3</total></o>", r#"{"o":{"total":123}}"#),
        ("<o><total>1</total><total>2</total></o>", r#"{"o":{"total":[1,2]}}"#),
        ("<o><i><price>-0.10</price></i></o>", r#"{"o":{"i":[{"price":-0.10}]}}"#),
        ("<o test='1'><paid>true</paid></o>", r#"{"o":{"@test":true,"paid":true}}"#),
        ("<o test='false'><paid>&#48;</paid></o>", r#"{"o":{"@test":false,"paid":false}}"#),
    ] {
        assert_eq!(convert_with(&declared, source).unwrap(), expected, "{source}");
    }
    for (source, code, field, offset) in [
        ("<o><total>12,50</total></o>", Code::ConvertNotANumber, "o.total", 10),
        ("<o><total>08</total></o>", Code::ConvertNotANumber, "o.total", 10),
        ("<o><total>+5</total></o>", Code::ConvertNotANumber, "o.total", 10),
        ("<o><total><x/></total></o>", Code::ConvertNotANumber, "o.total", 4),
        ("<o><i n=''/></o>", Code::ConvertNotANumber, "o.i[\"@n\"]", 9),
        ("<o><i><price>NaN</price></i></o>", Code::ConvertNotANumber, "o.i.price", 13),
        ("<o><paid>yes</paid></o>", Code::ConvertNotABoolean, "o.paid", 9),
        ("<o test='TRUE'/>", Code::ConvertNotABoolean, "o[\"@test\"]", 9),
    ] {
        let fault = convert_with(&declared, source).unwrap_err();
        let place = fault.place();
        assert_eq!(
            (fault.code(), place.field.as_deref(), place.offset),
            (code, Some(field), Some(offset)),
            "{source}: {fault}"
        );
    }
}

#[test]
fn declared_paths_follow_names_without_prefixes() {
    let declared = options(|o| {
        o.namespaces = Namespaces::Strip;
        o.arrays = vec!["o.i".into()];
        o.numbers = vec!["o.i".into()];
    });
    assert_eq!(convert_with(&declared, "<p:o xmlns:p='u'><p:i>1</p:i></p:o>").unwrap(), r#"{"o":{"i":[1]}}"#);
}

#[test]
fn options_that_cannot_work_are_refused() {
    let cases: [(XmlOptions, Code, &str); 12] = [
        (options(|o| o.arrays = vec!["a..b".into()]), Code::ConfigInvalidPath, "/arrays/0"),
        (options(|o| o.arrays = vec!["a".into(), "a.b[0]".into()]), Code::ConfigInvalidPath, "/arrays/1"),
        (options(|o| o.arrays = vec!["a[\"@b\"]".into()]), Code::ConfigInvalidPath, "/arrays/0"),
        (options(|o| o.numbers = vec!["a[\"@b\"].c".into()]), Code::ConfigInvalidPath, "/numbers/0"),
        (
            options(|o| (o.numbers, o.booleans) = (vec!["a".into()], vec!["b".into(), "a".into()])),
            Code::ConfigInvalidValue,
            "/booleans/1",
        ),
        (options(|o| o.attribute_prefix = String::new()), Code::ConfigInvalidValue, "/attribute_prefix"),
        (options(|o| o.attribute_prefix = "_".into()), Code::ConfigInvalidValue, "/attribute_prefix"),
        (options(|o| o.attribute_prefix = "a@".into()), Code::ConfigInvalidValue, "/attribute_prefix"),
        (options(|o| o.text_key = String::new()), Code::ConfigInvalidValue, "/text_key"),
        (options(|o| o.text_key = "text".into()), Code::ConfigInvalidValue, "/text_key"),
        (options(|o| o.text_key = "@text".into()), Code::ConfigInvalidValue, "/text_key"),
        (
            options(|o| (o.attribute_prefix, o.text_key) = ("#".into(), "#text".into())),
            Code::ConfigInvalidValue,
            "/text_key",
        ),
    ];
    for (options, code, pointer) in cases {
        let fault = Reader::new(&options).unwrap_err();
        assert_eq!((fault.code(), fault.place().pointer.as_deref()), (code, Some(pointer)), "{fault}");
    }
}

#[test]
fn the_other_convention_reads_and_writes_the_same_document() {
    let other = options(|o| {
        o.attribute_prefix = "-".into();
        o.numbers = vec!["a[\"-b\"]".into()];
    });
    let source = "<a b='1'>t</a>";
    let expected = r##"{"a":{"-b":1,"#text":"t"}}"##;
    assert_eq!(convert_with(&other, source).unwrap(), expected);
    let mut document = Document::default();
    json::parse(expected.as_bytes(), &Limits::default(), &mut document).unwrap();
    document.set_conventions(&other.conventions().unwrap());
    let mut out = Vec::new();
    xml::emit(&document, &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<a b=\"1\">t</a>");
}
