//! A seeded stress run over documents: mutated payloads, random options, caps and edits. Whatever
//! happens, nothing panics, and what is accepted survives the way out and back in.
//!
//! `VRSKY_FUZZ_SECONDS` says for how long (2 by default), `VRSKY_FUZZ_SEED` where to start. A
//! failure names the seed of its round; the same seed is the same round on every machine.

use std::time::{Duration, Instant};

use crate::model::Model;
use formats::csv::{self, CsvOptions, Empty};
use formats::xml::{Doctype, Namespaces, Nil, NumberFormat, Reader, XmlOptions};
use formats::{json, xml};
use message::{Document, Format, Headers, Limits, Path, Segment};

const SEEDS: &[&str] = &[
    "sku,name,qty\r\nA-1,\"5\"\" pipe, red\",2\r\n\r\nA-2,\"two\nlines\",\r\n",
    "\u{feff}'a';b=c\n1;'';x\n;'it''s';\r",
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<order id=\"A-1\" p:x='2' xmlns:p=\"u\"><p:c>1</p:c>text &amp; &#x41;<i/><i>2</i><![CDATA[<&>]]></order>",
    "<a>\r\n<b>&#32;x\u{a0}</b>y<!-- c --><?p i?><b c='&#10;\t&lt;'/>z</a>\n",
    "<!DOCTYPE a PUBLIC 'p' 's'><a xmlns:x='http://www.w3.org/2001/XMLSchema-instance'><b x:nil='true'/> <b> +.50 </b><p:b xmlns:p='u' x:nil='1' c=''>\t</p:b></a>",
    "<?xml version='1.0' encoding='ISO-8859-1'?><a>x<b c='1'/></a>",
    "\u{feff}<é·><é·>1.50</é·><é·>true</é·></é·>",
    "<a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a>",
    r##"{"order":{"@id":"A-1","items":[{"price":1.50},{"price":-2e3},null],"#text":"\u00e9\ud83d\ude00\n"}}"##,
    r#"[[],{},"",0,-0.0,true,false,null,{"a":{"b":[1,2,3]},"a b":"x"}]"#,
    r#"{"k0":0,"k1":1,"k2":2,"k3":3,"k4":4,"k5":5,"k6":6,"k7":7,"k8":8,"k9":9,"ka":0,"kb":1,"kc":2,"kd":3,"ke":4,"kf":5,"kg":6,"kh":7}"#,
];

const PIECES: &[&str] = &[
    "<",
    "\"\"",
    ">",
    "/",
    "&",
    ";",
    "=",
    "\"",
    "'",
    "]]>",
    "<![CDATA[",
    "<!--",
    "-->",
    "<?",
    "?>",
    "&#",
    "&amp;",
    "xmlns:",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\\",
    "\\u",
    "\\ud800",
    "1e",
    "-",
    "null",
    "\r",
    "\n",
    "\0",
    "\u{fffe}",
    "é",
    "<a>",
    "</a>",
    "<a b='1'/>",
    "\"a\":",
    "x:nil='true'",
    " xmlns:x='u'",
    "<!DOCTYPE a>",
    " encoding='l1'",
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<'p>(&mut self, from: &[&'p str]) -> &'p str {
        from[self.below(from.len())]
    }

    fn payload(&mut self) -> Vec<u8> {
        let mut payload = self.pick(SEEDS).as_bytes().to_vec();
        for _ in 0..self.below(6) {
            let at = self.below(payload.len() + 1);
            let end = (at + self.below(20)).min(payload.len());
            match self.below(6) {
                0 => payload.truncate(at),
                1 => drop(payload.drain(at..end)),
                2 => drop(payload.splice(at..at, payload[at..end].to_vec())),
                3 if at < payload.len() => payload[at] = u8::try_from(self.below(256)).unwrap(),
                _ => drop(payload.splice(at..at, self.pick(PIECES).bytes())),
            }
        }
        payload
    }

    fn options(&mut self) -> XmlOptions {
        let mut options = XmlOptions::default();
        if self.one_in(3) {
            options.attribute_prefix = "-".into();
        }
        if self.one_in(2) {
            options.namespaces = Namespaces::Strip;
        }
        if self.one_in(2) {
            options.arrays = vec!["order.i".into(), "a.b".into(), "a".into()];
        }
        if self.one_in(3) {
            options.numbers = vec!["order.c".into(), "[\"é·\"][\"é·\"]".into()];
            options.booleans = vec!["a.b".into()];
        }
        if self.one_in(3) {
            options.numbers.push("a.p".into());
            options.number_format = NumberFormat::XmlSchema;
        }
        if self.one_in(2) {
            options.doctype = Doctype::Ignore;
        }
        if self.one_in(2) {
            options.nil = Nil::Null;
        }
        options.trim = self.one_in(2);
        options
    }

    /// The charset that came with it, if any did.
    fn charset(&mut self) -> Option<&'static str> {
        let known = ["utf-8", "us-ascii", "iso-8859-1", "windows-1252", "utf-16", "utf-16le", "klingon"];
        self.one_in(2).then(|| known[self.below(known.len())])
    }

    fn limits(&mut self) -> Limits {
        let mut limits = Limits::default();
        if self.one_in(4) {
            limits = Limits {
                bytes: 200,
                depth: 1 + self.below(8),
                nodes: self.below(30),
                attributes: self.below(4),
                name_bytes: 4,
                ..limits
            };
        }
        limits
    }

    fn segments(&mut self, model: &Model) -> Vec<Segment> {
        let known = model.paths();
        let mut segments = if known.is_empty() { Vec::new() } else { known[self.below(known.len())].clone() };
        if segments.is_empty() || self.one_in(4) {
            segments.push(Segment::Key(self.pick(&["a", "@id", "#text", "new", "a b"]).into()));
        }
        segments
    }
}

#[test]
fn payloads_options_caps_and_edits_in_any_mixture() {
    let setting =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let end = Instant::now() + Duration::from_secs(setting("VRSKY_FUZZ_SECONDS", 2));
    let mut seed = setting("VRSKY_FUZZ_SEED", 1);
    let mut document = Document::default();
    while Instant::now() < end {
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| round(seed, &mut document)));
        assert!(failed.is_ok(), "seed {seed}: run again with VRSKY_FUZZ_SEED={seed}");
        seed += 1;
    }
}

/// The payload as CSV, and what is accepted as JSON and as CSV again.
fn table(random: &mut Random, payload: &[u8], limits: &Limits, document: &mut Document) {
    let options = CsvOptions {
        delimiter: [',', ';', '=', ' '][random.below(4)],
        quote: [Some('"'), Some('\''), None][random.below(3)],
        empty: if random.one_in(2) { Empty::Null } else { Empty::Text },
        ..CsvOptions::default()
    };
    let reader = csv::Reader::new(&options).unwrap();
    match reader.parse(payload, limits, document) {
        Err(fault) => assert!(fault.place().offset.is_some_and(|offset| offset <= payload.len()), "{fault}"),
        Ok(()) => {
            let expected = Model::read(document.root());
            let mut csv = Vec::new();
            if formats::csv::emit(document, &mut csv).is_ok() {
                reader.parse(&csv, &Limits::default(), document).unwrap();
                assert_eq!(Model::read(document.root()), expected);
            }
        }
    }
}

fn round(seed: u64, document: &mut Document) {
    let mut random = Random(seed);
    let payload = random.payload();
    let (options, limits, charset) = (random.options(), random.limits(), random.charset());
    let _ = Path::parse(&String::from_utf8_lossy(&payload));
    let _ = Headers::new(&payload).iter().count();

    table(&mut random, &payload, &limits, document);
    let reader = Reader::new(&options).unwrap();
    let from_xml = payload.starts_with(b"<") || random.one_in(2);
    let parsed = if from_xml {
        reader.parse_as(&payload, charset, &limits, document)
    } else {
        json::parse(&payload, &limits, document)
    };
    if let Err(fault) = parsed {
        assert!(fault.place().offset.is_some_and(|offset| offset <= payload.len()), "{fault}");
        return;
    }
    assert_eq!(document.source(), payload);
    check_unchanged(&reader, document);
    document.set_conventions(reader.conventions());
    let mut model = Model::read(document.root());
    for _ in 0..random.below(6) {
        edit(&mut random, document, &mut model);
    }
    assert_eq!(Model::read(document.root()), model);

    let mut out = Vec::new();
    json::emit(document, &mut out);
    let mut again = Document::default();
    json::parse(&out, &Limits::default(), &mut again).unwrap();
    assert_eq!(Model::read(again.root()), model, "out as JSON and in again");

    document.set_format(Format::Xml);
    document.mark_edited();
    out.clear();
    if xml::emit(document, &mut out).is_ok() {
        // XML keeps no types and trims its texts, so what comes back is compared with its own way back.
        let plain =
            Reader::new(&XmlOptions { attribute_prefix: options.attribute_prefix, ..XmlOptions::default() }).unwrap();
        plain.parse(&out, &Limits::default(), &mut again).unwrap();
        let first = Model::read(again.root());
        let mut second = Vec::new();
        xml::emit(&again, &mut second).unwrap();
        plain.parse(&second, &Limits::default(), &mut again).unwrap();
        assert_eq!(Model::read(again.root()), first, "out as XML and in again, twice");
    }
}

/// What is read goes on as it is, and is the same when it is read again with nothing said of its charset.
fn check_unchanged(reader: &Reader, document: &Document) {
    let (mut out, mut again) = (Vec::new(), Document::default());
    formats::emit(document, &mut out).unwrap();
    if document.format() == Format::Xml {
        reader.parse(&out, &Limits::default(), &mut again).unwrap();
        assert_eq!(Model::read(again.root()), Model::read(document.root()), "what went on says another charset");
    }
}

fn edit(random: &mut Random, document: &mut Document, model: &mut Model) {
    let at = random.segments(model);
    let path = crate::model::path(&at);
    match random.below(4) {
        0 => assert_eq!(document.remove(&path), model.remove(&at)),
        1 => {
            let name = random.pick(&["a", "b", "@id", "#text", "x y"]);
            assert_eq!(document.rename(&path, name), model.rename(&at, name));
        }
        2 => {
            let value = Model::List(vec![Model::Text(random.pick(PIECES).into()), Model::Null]);
            let node = value.build(document);
            assert_eq!(document.set(&path, node), model.set(&at, value));
        }
        _ => {
            let known = model.paths();
            let Some(from) = known.get(random.below(known.len())) else { return };
            let value = model.at(from).unwrap().clone();
            let found = from.iter().fold(document.root(), |value, segment| match segment {
                Segment::Key(name) => value.get(name).unwrap(),
                Segment::Index(index) => value.index(*index as usize).unwrap(),
            });
            let (node, item) = found.position();
            let copy = document.push_copy(node, item);
            assert_eq!(document.set(&path, copy), model.set(&at, value));
        }
    }
}
