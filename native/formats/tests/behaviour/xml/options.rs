//! What the options of a conversion change, and which cannot work.

use formats::xml::{Doctype, Namespaces, Nil, NumberFormat, Reader, XmlOptions};
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
        // Elements of one namespace are a list, whatever their prefixes.
        ("<a xmlns='u' xmlns:p='u' xmlns:q='u'><p:b>1</p:b><q:b>2</q:b><b>3</b></a>", r#"{"a":{"b":["1","2","3"]}}"#),
        ("<a><b xmlns='u'/><p:b xmlns:p='u'/><b xmlns='&#117;'/></a>", r#"{"a":{"b":[null,null,null]}}"#),
        ("<p:a xmlns:p='u'><a><p:a xmlns:p='v'><b/></p:a></a></p:a>", r#"{"a":{"a":{"a":{"b":null}}}}"#),
        ("<a xmlns:p='u'><b><p:c/></b><b xmlns:p='v'><p:c/></b></a>", r#"{"a":{"b":[{"c":null},{"c":null}]}}"#),
        ("<a b='' xmlns:p='u'><p:b/></a>", r#"{"a":{"@b":"","b":null}}"#),
        ("<a><xml:b/><xml:b/></a>", r#"{"a":{"b":[null,null]}}"#),
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
        ("<a xmlns:p='u' xmlns:q='v'><p:b>1</p:b><q:b>2</q:b></a>", Code::ConvertNameCollision, 40),
        ("<a xmlns:p='u'><p:b/><b/></a>", Code::ConvertNameCollision, 22),
        ("<a xmlns='u'><b/><b xmlns=''/></a>", Code::ConvertNameCollision, 18),
        ("<a xmlns:p='u'><p:b/><c/><p:b xmlns:p='v'/></a>", Code::ConvertNameCollision, 26),
        ("<a><b/><xml:b/></a>", Code::ConvertNameCollision, 8),
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
fn many_names_and_namespaces_are_told_apart() {
    let strip = options(|o| o.namespaces = Namespaces::Strip);
    let prefixes: String = (0..40).map(|i| format!(" xmlns:p{i}='u{}'", i % 20)).collect();
    let children = |of: fn(u32) -> u32| (0..40).map(|i| format!("<p{}:e{}/>", of(i), i % 20)).collect::<String>();
    let list = convert_with(&strip, &format!("<a{prefixes}>{}</a>", children(|i| i))).unwrap();
    assert_eq!(list.matches("[null,null]").count(), 20, "{list}");
    let fault = convert_with(&strip, &format!("<a{prefixes}>{}</a>", children(|i| i / 39))).unwrap_err();
    assert_eq!(fault.code(), Code::ConvertNameCollision);
}

#[test]
fn a_doctype_without_an_internal_subset_is_passed_over_on_request() {
    let ignore = options(|o| o.doctype = Doctype::Ignore);
    for source in [
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a ><a/>",
        "<?xml version='1.0'?>\n<!-- c --><!DOCTYPE a SYSTEM \"file:///etc/passwd\"> <?p?><a/>",
        "<!DOCTYPE cXML SYSTEM 'http://xml.cxml.org/schemas/cXML/1.2.014/cXML.dtd'><a/>",
        "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\"\n\t\"http://www.apple.com/DTDs/a.dtd\" ><a/>",
        "<!DOCTYPE a SYSTEM '>[é'><a/>",
        "<!DOCTYPE a PUBLIC '' ''><a/>",
    ] {
        assert_eq!(convert_with(&ignore, source).unwrap(), r#"{"a":null}"#, "{source}");
        assert_eq!(convert_with(&XmlOptions::default(), source).unwrap_err().code(), Code::XmlDoctype, "{source}");
    }
    for (source, code, offset) in [
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", Code::XmlDoctype, 12),
        ("<!DOCTYPE a[]><a/>", Code::XmlDoctype, 11),
        ("<!DOCTYPE a SYSTEM 'x' [<!ENTITY b 'c'>]><a/>", Code::XmlDoctype, 23),
        ("<!DOCTYPE a SYSTEM 'x'><a>&b;</a>", Code::XmlUnknownEntity, 26),
        ("<!DOCTYPE><a/>", Code::XmlNotWellFormed, 9),
        ("<!DOCTYPE a SYSTEM><a/>", Code::XmlNotWellFormed, 18),
        ("<!DOCTYPE a SYSTEM 'x'", Code::XmlNotWellFormed, 22),
        ("<!DOCTYPE a SYSTEM 'x", Code::XmlNotWellFormed, 21),
        ("<!DOCTYPE a PUBLIC 'x'><a/>", Code::XmlNotWellFormed, 22),
        ("<!DOCTYPE a PUBLIC 'x''y'><a/>", Code::XmlNotWellFormed, 22),
        ("<!DOCTYPE a PUBLIC '<' 'y'><a/>", Code::XmlNotWellFormed, 20),
        ("<!DOCTYPE a 'x'><a/>", Code::XmlNotWellFormed, 12),
        ("<!DOCTYPE a><!DOCTYPE a><a/>", Code::XmlNotWellFormed, 12),
        ("<a/><!DOCTYPE a>", Code::XmlNotWellFormed, 4),
        ("<a><!DOCTYPE a></a>", Code::XmlNotWellFormed, 3),
        ("<!doctype a><a/>", Code::XmlNotWellFormed, 0),
    ] {
        let fault = convert_with(&ignore, source).unwrap_err();
        assert_eq!((fault.code(), fault.place().offset), (code, Some(offset)), "{source}: {fault}");
    }
    let fault = convert_with(&ignore, "<!DOCTYPE a []><a/>").unwrap_err();
    assert!(fault.reason().contains("internal subset"), "{fault}");
}

#[test]
fn numbers_may_be_written_as_in_xml_schema_on_request() {
    let lenient = options(|o| {
        o.numbers = vec!["a.b".into(), "a[\"@c\"]".into()];
        o.number_format = NumberFormat::XmlSchema;
    });
    for (text, number) in [
        ("+5", "5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("000010.000", "10.000"),
        (" -00.10\n", "-0.10"),
        ("+&#49;<!-- -->0", "10"),
        ("12345678901234567890.50", "12345678901234567890.50"),
        ("1e400", "1e400"),
    ] {
        let source = format!("<a><b>{text}</b></a>");
        assert_eq!(convert_with(&lenient, &source).unwrap(), format!(r#"{{"a":{{"b":{number}}}}}"#), "{text}");
    }
    assert_eq!(convert_with(&lenient, "<a c='+.5'/>").unwrap(), r#"{"a":{"@c":0.5}}"#);
    for text in ["1,5", "INF", "NaN", "+", ".", "0x1", "--1", "1 2", "\u{a0}5"] {
        let fault = convert_with(&lenient, &format!("<a><b>{text}</b></a>")).unwrap_err();
        assert_eq!((fault.code(), fault.place().offset), (Code::ConvertNotANumber, Some(6)), "{text}: {fault}");
    }
}

#[test]
fn text_keeps_its_white_space_on_request() {
    let keep = options(|o| {
        o.trim = false;
        (o.numbers, o.booleans) = (vec!["a.n".into()], vec!["a.t".into()]);
    });
    for (source, expected) in [
        ("<a> x </a>", r#"{"a":" x "}"#),
        ("<a>\n</a>", r#"{"a":"\n"}"#),
        ("<a>\r\n x</a>", r#"{"a":"\n x"}"#),
        ("<a></a>", r#"{"a":null}"#),
        ("<a><![CDATA[]]></a>", r#"{"a":null}"#),
        ("<a><![CDATA[ x ]]></a>", r#"{"a":" x "}"#),
        ("<a>&#32;x</a>", r#"{"a":" x"}"#),
        ("<a b='1'> </a>", r##"{"a":{"@b":"1","#text":" "}}"##),
        ("<a>\n  <b/>\n  <b> </b>\n</a>", r#"{"a":{"b":[null," "]}}"#),
        ("<a> x <b/> y </a>", r##"{"a":{"b":null,"#text":" x  y "}}"##),
        ("<a> <!-- c --> </a>", r#"{"a":"  "}"#),
        ("<a><n> 5 </n><n> </n><t>\ttrue</t></a>", r#"{"a":{"n":[5,null],"t":true}}"#),
    ] {
        assert_eq!(convert_with(&keep, source).unwrap(), expected, "{source}");
    }
}

#[test]
fn an_element_with_xsi_nil_is_null_on_request() {
    const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
    let null = options(|o| o.nil = Nil::Null);
    let strip = options(|o| (o.nil, o.namespaces) = (Nil::Null, Namespaces::Strip));
    for (source, kept, stripped) in [
        ("<a xmlns:xsi='XSI' xsi:nil='true'/>", r#"{"a":null}"#, r#"{"a":null}"#),
        ("<a xmlns:i='XSI' i:nil=' 1 '>\n</a>", r#"{"a":null}"#, r#"{"a":null}"#),
        (
            "<a xmlns:xsi='XSI'><b xsi:nil='true'></b><b>1</b></a>",
            r#"{"a":{"@xmlns:xsi":"XSI","b":[null,"1"]}}"#,
            r#"{"a":{"b":[null,"1"]}}"#,
        ),
        (
            "<a xmlns:xsi='XSI' id='1' xsi:nil='true'/>",
            r##"{"a":{"@xmlns:xsi":"XSI","@id":"1","#text":null}}"##,
            r##"{"a":{"@id":"1","#text":null}}"##,
        ),
        // What has content is not nil, and other values or namespaces say nothing.
        (
            "<a xmlns:xsi='XSI' xsi:nil='true'>x</a>",
            r##"{"a":{"@xmlns:xsi":"XSI","@xsi:nil":"true","#text":"x"}}"##,
            r##"{"a":{"@nil":"true","#text":"x"}}"##,
        ),
        (
            "<a xmlns:xsi='XSI' xsi:nil='true'><b/></a>",
            r#"{"a":{"@xmlns:xsi":"XSI","@xsi:nil":"true","b":null}}"#,
            r#"{"a":{"@nil":"true","b":null}}"#,
        ),
        (
            "<a xmlns:xsi='XSI' xsi:nil='false'/>",
            r#"{"a":{"@xmlns:xsi":"XSI","@xsi:nil":"false"}}"#,
            r#"{"a":{"@nil":"false"}}"#,
        ),
        ("<a nil='true'/>", r#"{"a":{"@nil":"true"}}"#, r#"{"a":{"@nil":"true"}}"#),
        (
            "<a xmlns:xsi='urn:x' xsi:nil='true'/>",
            r#"{"a":{"@xmlns:xsi":"urn:x","@xsi:nil":"true"}}"#,
            r#"{"a":{"@nil":"true"}}"#,
        ),
        // A prefix counts as far as its element reaches.
        (
            "<a xmlns:x='u'><b xmlns:x='XSI' x:nil='true'/><b x:nil='true'/></a>",
            r#"{"a":{"@xmlns:x":"u","b":[null,{"@x:nil":"true"}]}}"#,
            r#"{"a":{"b":[null,{"@nil":"true"}]}}"#,
        ),
    ] {
        let source = source.replace("XSI", XSI);
        assert_eq!(convert_with(&null, &source).unwrap(), kept.replace("XSI", XSI), "{source}");
        assert_eq!(convert_with(&strip, &source).unwrap(), stripped, "{source}");
        let plain = convert_with(&XmlOptions::default(), &source).unwrap();
        assert!(plain.contains("nil\":"), "without the option it is an attribute: {plain}");
    }
    assert_eq!(convert_with(&null, "<a><b xsi:nil='true'/></a>").unwrap(), r#"{"a":{"b":{"@xsi:nil":"true"}}}"#);
    let typed = options(|o| {
        (o.nil, o.namespaces) = (Nil::Null, Namespaces::Strip);
        (o.numbers, o.booleans) = (vec!["a.b".into()], vec!["a.b[\"@nil\"]".into()]);
    });
    let source = format!("<a xmlns:x='{XSI}'><b x:nil='1'/><b>2</b><b x:nil='0'>3</b></a>");
    let expected = r##"{"a":{"b":[null,2,{"@nil":false,"#text":3}]}}"##;
    assert_eq!(convert_with(&typed, &source).unwrap(), expected);
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
