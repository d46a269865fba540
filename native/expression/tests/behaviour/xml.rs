//! Expressions on XML as it is, before any conversion: attributes, repeated elements, declared types.

use crate::support::{apply, context, emitted};
use expression::{Filter, Set};
use formats::xml::{Reader, XmlOptions};
use message::{Code, Document, Format, Limits};

const ORDER: &str = r#"<order id="7" xml:lang="de"><total>150.00</total><name>M&#252;ller &amp; Co</name>
<item sku="x"><price>10</price></item><item sku="y"><price>2.5</price></item><single>s</single><empty/></order>"#;

fn document() -> Document {
    let options = XmlOptions {
        numbers: vec!["order.total".into(), "order.item.price".into()],
        arrays: vec!["order.single".into()],
        ..XmlOptions::default()
    };
    let mut document = Document::default();
    Reader::new(&options).unwrap().parse(ORDER.as_bytes(), &Limits::default(), &mut document).unwrap();
    document
}

#[test]
fn filters_read_xml_as_it_is() {
    for text in [
        "order.total > 100.0 && order.total == 150",
        "order[\"@id\"] == \"7\" && \"@id\" in order",
        "order.name == \"Müller & Co\" && order.name.startsWith(\"Mü\")",
        "size(order.item) == 2 && order.item[1].price == 2.5",
        "order.item.exists(item, item[\"@sku\"] == \"x\" && item.price == 10)",
        "order.item.map(item, item[\"@sku\"]) == [\"x\", \"y\"]",
        "type(order.item) == list && type(order.single) == list && order.single == [\"s\"]",
        "order.item[0] != order.item[1] && order.item == order.item && order.item[0] in order.item",
        "order.empty == null && has(order.empty) && !has(order.nope)",
        "order.item.filter(item, item.price > 5)[0].price == 10",
    ] {
        let filter = Filter::compile(text).unwrap();
        assert_eq!(filter.matches(&document(), &context(), &Limits::default()), Ok(true), "{text}");
    }
    let wrong = Filter::compile("order[\"@id\"] > 5").unwrap();
    let fault = wrong.matches(&document(), &context(), &Limits::default()).unwrap_err();
    assert_eq!((fault.code(), fault.place().field.as_deref()), (Code::FilterWrongType, Some("order[\"@id\"]")));
}

#[test]
fn parts_of_xml_are_copied_as_json() {
    let set = Set::compile(&[
        ("copy.items", "order.item"),
        ("copy.first", "order.item[0]"),
        ("copy.nested", "[order.item, order.single]"),
        ("copy.name", "order.name"),
        ("copy.prices", "order.item.map(item, item.price)"),
    ])
    .unwrap();
    let mut document = document();
    document.set_format(Format::Json);
    apply(&set, &mut document).unwrap();
    let text = emitted(&document);
    let (_, copy) = text.split_once("\"copy\":").unwrap();
    assert_eq!(
        copy,
        concat!(
            r#"{"items":[{"@sku":"x","price":10},{"@sku":"y","price":2.5}],"first":{"@sku":"x","price":10},"#,
            r#""nested":[[{"@sku":"x","price":10},{"@sku":"y","price":2.5}],["s"]],"name":"Müller & Co","prices":[10,2.5]}}"#
        )
    );
}
