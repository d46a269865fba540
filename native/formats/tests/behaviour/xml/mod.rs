//! XML by hand-picked examples: what becomes of it, what is refused, and where.

mod charsets;
mod options;

use formats::xml::{Reader, XmlOptions};
use formats::{json, xml};
use message::{Code, Document, Fault, Format, Limits};

fn parse_with(options: &XmlOptions, limits: &Limits, source: &[u8]) -> Result<Document, Fault> {
    let mut document = Document::default();
    Reader::new(options)?.parse(source, limits, &mut document)?;
    Ok(document)
}

fn convert_with(options: &XmlOptions, source: &str) -> Result<String, Fault> {
    let document = parse_with(options, &Limits::default(), source.as_bytes())?;
    let mut out = Vec::new();
    json::emit(&document, &mut out);
    Ok(String::from_utf8(out).unwrap())
}

fn convert(source: &str) -> String {
    convert_with(&XmlOptions::default(), source).unwrap()
}

#[test]
fn elements_become_what_xmltodict_makes_of_them() {
    for (source, expected) in [
        // Empty elements, texts, attributes.
        ("<a/>", r#"{"a":null}"#),
        ("<a></a>", r#"{"a":null}"#),
        ("<a> \n </a>", r#"{"a":null}"#),
        ("<a> x y\n</a>", r#"{"a":"x y"}"#),
        ("<a b='1'/>", r#"{"a":{"@b":"1"}}"#),
        ("<a b='1'>t</a>", r##"{"a":{"@b":"1","#text":"t"}}"##),
        ("<a b=''/>", r#"{"a":{"@b":""}}"#),
        ("<a b = \"1\"\tc\n=\n'2' />", r#"{"a":{"@b":"1","@c":"2"}}"#),
        // Repeated names are lists, in the order of the first of each.
        ("<a><b>1</b><b>2</b></a>", r#"{"a":{"b":["1","2"]}}"#),
        ("<a><b>1</b><c/><b><d/></b><c/><b/></a>", r#"{"a":{"b":["1",{"d":null},null],"c":[null,null]}}"#),
        // Mixed content: the texts are joined.
        ("<a>x<b/>y</a>", r##"{"a":{"b":null,"#text":"xy"}}"##),
        ("<a> x <b/> y </a>", r##"{"a":{"b":null,"#text":"x  y"}}"##),
        ("<a> <b/> y <b/> </a>", r##"{"a":{"b":[null,null],"#text":"y"}}"##),
        ("<a>x<!-- c -->y<?p?>z</a>", r#"{"a":"xyz"}"#),
        // CDATA.
        ("<a><![CDATA[<&> ]]></a>", r#"{"a":"<&>"}"#),
        ("<a>x<![CDATA[]]>&amp;<![CDATA[&amp;]]></a>", r#"{"a":"x&&amp;"}"#),
        ("<a><![CDATA[]]]]><![CDATA[>]]></a>", r#"{"a":"]]>"}"#),
        // References, also at the edges, where they may be blanks.
        ("<a>&lt;&gt;&amp;&apos;&quot;</a>", r#"{"a":"<>&'\""}"#),
        ("<a>&#65;&#x42;&#x1F600;</a>", r#"{"a":"AB😀"}"#),
        ("<a>&#32; x &#10;</a>", r#"{"a":"x"}"#),
        // Blanks are XML's four, and no others of Unicode's.
        ("<a>&#160;</a>", "{\"a\":\"\u{a0}\"}"),
        ("<a> \u{a0}é\u{3000}\t</a>", "{\"a\":\"\u{a0}é\u{3000}\"}"),
        ("<a>\u{85}\u{2028}&#x2003;&#9;</a>", "{\"a\":\"\u{85}\u{2028}\u{2003}\"}"),
        ("<a>x&#9;y;</a>", r#"{"a":"x\ty;"}"#),
        ("<a b='&#10;&quot; '/>", r#"{"a":{"@b":"\n\" "}}"#),
        // Line ends, and blanks in attributes.
        ("<a>x\r\ny\rz\n</a>", r#"{"a":"x\ny\nz"}"#),
        ("<a>x&#13;\r\ny</a>", r#"{"a":"x\r\ny"}"#),
        ("<a>x\r<b/>\r\ny</a>", r##"{"a":{"b":null,"#text":"x\n\ny"}}"##),
        ("<a><![CDATA[x\r\ny]]></a>", r#"{"a":"x\ny"}"#),
        ("<a b=' x\ty\r\nz\r&#13;'/>", r#"{"a":{"@b":" x y z \r"}}"#),
        // What stands around the root.
        ("<?xml version='1.0'?><!-- c --><?p x?>\n<a/>\n<!-- c --><?p?> ", r#"{"a":null}"#),
        ("\u{feff}<a/>", r#"{"a":null}"#),
        ("\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"no\" ?><a/>", r#"{"a":null}"#),
        ("<?xml version='1.0' encoding='us-ascii'?><a/>", r#"{"a":null}"#),
        ("<?xml-stylesheet href='x'?><a/>", r#"{"a":null}"#),
        // Names.
        ("<é·>1</é·>", r#"{"é·":"1"}"#),
        ("<_:a-b.c1 ns:x='1'/>", r#"{"_:a-b.c1":{"@ns:x":"1"}}"#),
        ("<a xmlns='u' xmlns:p='v'><p:b/></a>", r#"{"a":{"@xmlns":"u","@xmlns:p":"v","p:b":null}}"#),
        // Text stays text.
        (
            "<a><b>08</b><b>0E68</b><b>12345678901234567890</b><b>true</b></a>",
            r#"{"a":{"b":["08","0E68","12345678901234567890","true"]}}"#,
        ),
        ("<a>\"\\/\u{2028}\u{7f}</a>", "{\"a\":\"\\\"\\\\/\u{2028}\u{7f}\"}"),
        ("<a>]] > ]</a>", r#"{"a":"]] > ]"}"#),
    ] {
        assert_eq!(convert(source), expected, "{source}");
    }
}

#[test]
fn a_document_that_is_not_well_formed_names_the_byte() {
    use Code::{XmlDoctype, XmlEncoding, XmlInvalidCharacter, XmlInvalidUtf8, XmlNotWellFormed, XmlUnknownEntity};
    let cases: &[(&[u8], Code, usize)] = &[
        (b"", XmlNotWellFormed, 0),
        (b" \n", XmlNotWellFormed, 2),
        (b"x", XmlNotWellFormed, 0),
        (b"<!-- c -->", XmlNotWellFormed, 10),
        (b"<a>", XmlNotWellFormed, 3),
        (b"<a><b></b>", XmlNotWellFormed, 10),
        (b"<a", XmlNotWellFormed, 2),
        (b"<a ", XmlNotWellFormed, 3),
        (b"<a/", XmlNotWellFormed, 3),
        (b"<", XmlNotWellFormed, 1),
        (b"<a></b>", XmlNotWellFormed, 5),
        (b"<a></ab>", XmlNotWellFormed, 5),
        (b"<a></a", XmlNotWellFormed, 6),
        (b"<a></a x>", XmlNotWellFormed, 7),
        (b"<a></ a>", XmlNotWellFormed, 5),
        (b"</a>", XmlNotWellFormed, 1),
        (b"< a/>", XmlNotWellFormed, 1),
        (b"<1a/>", XmlNotWellFormed, 1),
        (b"<a/ >", XmlNotWellFormed, 3),
        (b"<a!/>", XmlNotWellFormed, 2),
        (b"<a/><b/>", XmlNotWellFormed, 4),
        (b"<a/>x", XmlNotWellFormed, 4),
        (b"<a/>&#32;", XmlNotWellFormed, 4),
        (b"<a/><![CDATA[]]>", XmlNotWellFormed, 4),
        // Attributes.
        (b"<a b/>", XmlNotWellFormed, 4),
        (b"<a b=1/>", XmlNotWellFormed, 5),
        (b"<a b='1/>", XmlNotWellFormed, 9),
        (b"<a b='<'/>", XmlNotWellFormed, 6),
        (b"<a b='1'c='2'/>", XmlNotWellFormed, 8),
        (b"<a b='1' b='2'/>", XmlNotWellFormed, 9),
        (b"<a ='1'/>", XmlNotWellFormed, 3),
        // Text and references.
        (b"<a>]]></a>", XmlNotWellFormed, 3),
        (b"<a>x]]]></a>", XmlNotWellFormed, 5),
        (b"<a>&</a>", XmlNotWellFormed, 3),
        (b"<a>x & y</a>", XmlNotWellFormed, 5),
        (b"<a>&;</a>", XmlNotWellFormed, 3),
        (b"<a>&#;</a>", XmlNotWellFormed, 3),
        (b"<a>&#x;</a>", XmlNotWellFormed, 3),
        (b"<a>&#X41;</a>", XmlNotWellFormed, 3),
        (b"<a>&#+5;</a>", XmlNotWellFormed, 3),
        (b"<a>&lt</a>", XmlNotWellFormed, 3),
        (b"<a>&nbsp;</a>", XmlUnknownEntity, 3),
        (b"<a b='&x;'/>", XmlUnknownEntity, 6),
        (b"<a>&#0;</a>", XmlInvalidCharacter, 3),
        (b"<a>&#xD800;</a>", XmlInvalidCharacter, 3),
        (b"<a>&#xFFFE;</a>", XmlInvalidCharacter, 3),
        (b"<a>&#x110000;</a>", XmlInvalidCharacter, 3),
        (b"<a>&#99999999999999999999;</a>", XmlInvalidCharacter, 3),
        (b"<a>\x01</a>", XmlInvalidCharacter, 3),
        (b"<a>\0</a>", XmlInvalidCharacter, 3),
        (b"<a>\xEF\xBF\xBE</a>", XmlInvalidCharacter, 3),
        (b"<a>\xFF</a>", XmlInvalidUtf8, 3),
        (b"<a>\xED\xA0\x80</a>", XmlInvalidUtf8, 3),
        (b"<a>\xC3", XmlInvalidUtf8, 3),
        // Comments, instructions, CDATA.
        (b"<a><!-- -- --></a>", XmlNotWellFormed, 8),
        (b"<a><!-- ---></a>", XmlNotWellFormed, 8),
        (b"<a><!-- </a>", XmlNotWellFormed, 12),
        (b"<a><!x></a>", XmlNotWellFormed, 3),
        (b"<a><![CDATA[</a>", XmlNotWellFormed, 16),
        (b"<a><?xml?></a>", XmlNotWellFormed, 5),
        (b"<a><?XML x?></a>", XmlNotWellFormed, 5),
        (b"<a><? x?></a>", XmlNotWellFormed, 5),
        (b"<a><?p!?></a>", XmlNotWellFormed, 6),
        (b"<a><?p </a>", XmlNotWellFormed, 11),
        // The XML declaration.
        (b" <?xml version='1.0'?><a/>", XmlNotWellFormed, 3),
        (b"<?xml?><a/>", XmlNotWellFormed, 5),
        (b"<?xml version='1.0'", XmlNotWellFormed, 19),
        (b"<?xml version=1.0?><a/>", XmlNotWellFormed, 14),
        (b"<?xml version='1.0'encoding='UTF-8'?><a/>", XmlNotWellFormed, 19),
        (b"<?xml version='1.0' standalone='maybe'?><a/>", XmlNotWellFormed, 32),
        (b"<?xml version='1.0' encoding='-8'?><a/>", XmlNotWellFormed, 30),
        (b"<?xml encoding='UTF-8'?><a/>", XmlNotWellFormed, 5),
        // Encodings.
        (b"<?xml version='1.0' encoding='us-ascii'?><a>\xC3\xA9</a>", XmlEncoding, 44),
        (b"<\0a\0/\0>\0", XmlEncoding, 0),
        (b"\0\0\0<", XmlEncoding, 0),
        // DOCTYPE.
        (b"<!DOCTYPE a><a/>", XmlDoctype, 0),
        (b"<?xml version='1.0'?>\n<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", XmlDoctype, 22),
        (b"<!doctype a><a/>", XmlNotWellFormed, 0),
        (b"<a><!DOCTYPE a></a>", XmlNotWellFormed, 3),
    ];
    for (source, code, offset) in cases {
        let shown = String::from_utf8_lossy(source);
        match parse_with(&XmlOptions::default(), &Limits::default(), source) {
            Ok(_) => panic!("{shown} is accepted"),
            Err(fault) => assert_eq!((fault.code(), fault.place().offset), (*code, Some(*offset)), "{shown}: {fault}"),
        }
    }
}

#[test]
fn every_cap_has_its_code_and_offset() {
    let limits = Limits { bytes: 60, depth: 3, nodes: 6, attributes: 2, name_bytes: 8, ..Limits::default() };
    for (source, code, offset) in [
        (format!("<a>{}</a>", "x".repeat(60)), Code::XmlTooLarge, 60),
        ("<a><b><c><d/></c></b></a>".into(), Code::XmlTooDeep, 10),
        ("<a><b><c><d>x</d></c></b></a>".into(), Code::XmlTooDeep, 10),
        ("<a><b/><b/><b/><b/><b/></a>".into(), Code::XmlTooManyNodes, 20),
        ("<a b='' c=''><b/><b/>x<c/></a>".into(), Code::XmlTooManyNodes, 23),
        ("<a b='' c='' d=''/>".into(), Code::XmlTooManyAttributes, 13),
        ("<a><abcdefghi/></a>".into(), Code::XmlNameTooLong, 4),
        ("<a abcdefghi=''/>".into(), Code::XmlNameTooLong, 3),
    ] {
        let fault = parse_with(&XmlOptions::default(), &limits, source.as_bytes()).unwrap_err();
        assert_eq!((fault.code(), fault.place().offset), (code, Some(offset)), "{source}: {fault}");
    }
    for source in ["<a><b><c/></b></a>", "<a b='' c=''><b/><c/></a>", "<abcdefgh/>", "<a b=''><b/><b/>x</a>"] {
        assert!(parse_with(&XmlOptions::default(), &limits, source.as_bytes()).is_ok(), "{source}");
    }
}

#[test]
fn hostile_documents_are_refused_or_read_in_linear_time() {
    let deep = format!("{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000));
    let fault = parse_with(&XmlOptions::default(), &Limits::default(), deep.as_bytes()).unwrap_err();
    assert_eq!((fault.code(), fault.place().offset), (Code::XmlTooDeep, Some(256 * 3 + 1)));

    // With the cap raised, reading, emitting and dropping have to survive the depth as well.
    let limits = Limits { depth: 1_000_000, ..Limits::default() };
    let deep = format!("{}{}", "<a>".repeat(200_000), "</a>".repeat(200_000));
    let document = parse_with(&XmlOptions::default(), &limits, deep.as_bytes()).unwrap();
    let mut out = Vec::new();
    json::emit(&document, &mut out);
    assert_eq!(out.len(), "{\"a\":".len() * 200_000 + "null".len() + 200_000);
    out.clear();
    xml::emit(&document, &mut out).unwrap();
    assert!(out.ends_with(b"</a></a>"));

    // Many different names, in one element and in its attributes: a search through all would never end.
    let wide: String = (0..300_000).map(|i| format!("<e{i}/>")).collect();
    let wide = format!("<a>{wide}{wide}</a>");
    assert!(parse_with(&XmlOptions::default(), &Limits::default(), wide.as_bytes()).is_ok());
    let attributes: String = (0..300_000).map(|i| format!(" a{i}=''")).collect();
    let limits = Limits { attributes: 1_000_000, ..Limits::default() };
    assert!(parse_with(&XmlOptions::default(), &limits, format!("<a{attributes}/>").as_bytes()).is_ok());
    // Many parts of one text, and many names that alternate.
    let parts = format!("<a>{}</a>", "x<b/>&amp;<c/>".repeat(200_000));
    assert!(parse_with(&XmlOptions::default(), &Limits::default(), parts.as_bytes()).is_ok());
}

fn to_xml(source: &str) -> Result<String, Fault> {
    let mut document = Document::default();
    json::parse(source.as_bytes(), &Limits::default(), &mut document)?;
    document.set_format(Format::Xml);
    let mut out = b"kept ".to_vec();
    match formats::emit(&document, &mut out) {
        Ok(()) => Ok(String::from_utf8(out).unwrap().replace("kept <?xml version=\"1.0\" encoding=\"utf-8\"?>\n", "")),
        Err(fault) => {
            assert_eq!(out, b"kept ", "nothing is left behind");
            Err(fault)
        }
    }
}

#[test]
fn json_becomes_xml_as_xmltodict_writes_it() {
    for (source, expected) in [
        (r#"{"a":null}"#, "<a></a>"),
        (r#"{"a":{}}"#, "<a></a>"),
        (r#"{"a":"x"}"#, "<a>x</a>"),
        (r#"{"a":[true]}"#, "<a>true</a>"),
        (r#"{"a":-1.50e3}"#, "<a>-1.50e3</a>"),
        (
            r##"{"a":{"#text":"t","b":[1,null,"x",{"@c":false}],"@id":7}}"##,
            "<a id=\"7\"><b>1</b><b></b><b>x</b><b c=\"false\"></b>t</a>",
        ),
        (r##"{"a":{"#text":null,"@b":null,"c":[]}}"##, "<a b=\"\"></a>"),
        (r#"{"a":"<&>\"'\t\n\r\u00e9\ud83d\ude00"}"#, "<a>&lt;&amp;&gt;\"'\t\n&#13;é😀</a>"),
        (r#"{"a":{"@b":"<&>\"'\t\n\r"}}"#, "<a b=\"&lt;&amp;&gt;&quot;'&#9;&#10;&#13;\"></a>"),
        (r#"{"a:b":{"@c:d":"1"}}"#, "<a:b c:d=\"1\"></a:b>"),
        (r#"{"a:b":{"@xmlns:a":"u","c:d":1}}"#, "<a:b xmlns:a=\"u\"><c:d>1</c:d></a:b>"),
        ("{\"a\":\"\u{ffef}\u{fffd}\u{7f}\"}", "<a>\u{ffef}\u{fffd}\u{7f}</a>"),
    ] {
        assert_eq!(to_xml(source).unwrap(), expected, "{source}");
    }
}

#[test]
fn json_without_an_xml_form_names_the_field() {
    use Code::{ConvertInvalidXmlCharacter, ConvertInvalidXmlName, ConvertNoSingleRoot, ConvertNotRepresentable};
    for (source, code, field) in [
        ("[]", ConvertNoSingleRoot, None),
        ("1", ConvertNoSingleRoot, None),
        ("{}", ConvertNoSingleRoot, None),
        (r#"{"a":1,"b":2}"#, ConvertNoSingleRoot, None),
        (r#"{"a":[]}"#, ConvertNoSingleRoot, None),
        (r#"{"a":[1,2]}"#, ConvertNoSingleRoot, None),
        (r#"{"@a":1}"#, ConvertInvalidXmlName, Some("[\"@a\"]")),
        (r##"{"#text":1}"##, ConvertInvalidXmlName, Some("[\"#text\"]")),
        (r#"{"a":{"b c":1}}"#, ConvertInvalidXmlName, Some("a[\"b c\"]")),
        (r#"{"a":{"":1}}"#, ConvertInvalidXmlName, Some("a[\"\"]")),
        (r#"{"a":{"b":{"@":1}}}"#, ConvertInvalidXmlName, Some("a.b[\"@\"]")),
        (r#"{"a":{"b":[{"1":1}]}}"#, ConvertInvalidXmlName, Some("a.b[\"1\"]")),
        (r#"{"a":[[1]]}"#, ConvertNotRepresentable, Some("a")),
        (r#"{"a":{"b":[1,[]]}}"#, ConvertNotRepresentable, Some("a.b")),
        (r#"{"a":{"@b":[1]}}"#, ConvertNotRepresentable, Some("a[\"@b\"]")),
        (r##"{"a":{"#text":{}}}"##, ConvertNotRepresentable, Some("a[\"#text\"]")),
        (r#"{"a":"\u0000"}"#, ConvertInvalidXmlCharacter, Some("a")),
        (r#"{"a":{"b":"\ufffe"}}"#, ConvertInvalidXmlCharacter, Some("a.b")),
        ("{\"a\":{\"@b\":\"\u{ffff}\"}}", ConvertInvalidXmlCharacter, Some("a[\"@b\"]")),
    ] {
        let fault = to_xml(source).unwrap_err();
        assert_eq!((fault.code(), fault.place().field.as_deref()), (code, field), "{source}: {fault}");
    }
}

#[test]
fn an_unchanged_document_is_forwarded_byte_for_byte() {
    let source = "\u{feff}<?xml version='1.0'?>\r\n<a  b = '1' >&#65;<!-- kept --></a >\n";
    let document = parse_with(&XmlOptions::default(), &Limits::default(), source.as_bytes()).unwrap();
    let mut out = Vec::new();
    formats::emit(&document, &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), source);
}

#[test]
fn a_failed_parse_leaves_an_empty_document() {
    let reader = Reader::new(&XmlOptions::default()).unwrap();
    let mut document = parse_with(&XmlOptions::default(), &Limits::default(), b"<a>1</a>").unwrap();
    reader.parse(b"<a><b>1</b>", &Limits::default(), &mut document).unwrap_err();
    assert_eq!(format!("{:?}", document.root()), "null");
    let mut out = Vec::new();
    formats::emit(&document, &mut out).unwrap();
    assert!(out.is_empty(), "nothing of the refused document is forwarded");
}
