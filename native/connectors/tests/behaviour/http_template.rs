//! The URL of an out: what parses, what renders, what no message can make of it.
use std::borrow::Cow;

use connectors::http::UrlTemplate;
use http::Uri;
use message::{Code, Fault};
use proptest::prelude::*;

fn render(template: &str, value: &str) -> Result<String, Fault> {
    UrlTemplate::parse(template).unwrap().render(|_| Some(Cow::Borrowed(value)))
}

#[test]
fn a_template_knows_its_origin_and_its_fields() {
    let text = "https://erp.example:8443/orders/{order[\"@id\"]}/x?net={order.net}&a=b";
    let template = UrlTemplate::parse(text).unwrap();
    assert_eq!((template.as_str(), template.origin(), template.is_static()), (text, "https://erp.example:8443", false));
    assert_eq!(template.paths().map(ToString::to_string).collect::<Vec<_>>(), ["order[\"@id\"]", "order.net"]);
    let url = template
        .render(|path| Some(if path.to_string() == "order.net" { "1.5".into() } else { "7 a/ü&?#".into() }))
        .unwrap();
    assert_eq!(url, "https://erp.example:8443/orders/7%20a%2F%C3%BC%26%3F%23/x?net=1.5&a=b");
}

#[test]
fn a_static_template_is_its_own_url() {
    for text in
        ["http://a", "HTTPS://a.b/", "http://127.0.0.1:80?x", "http://[::1]:8080/a//b", "http://a/%20;x=1,2/(3)'!*$&"]
    {
        let template = UrlTemplate::parse(text).unwrap();
        assert!(template.is_static());
        assert_eq!(template.render(|_| None).unwrap(), text);
    }
}

#[test]
fn a_quoted_name_may_hold_a_brace() {
    assert_eq!(render("http://a/{x[\"}\"]}/y", "v").unwrap(), "http://a/v/y");
    assert_eq!(render("http://a/{x[\"\\\"}\"]}", "v").unwrap(), "http://a/v");
}

#[test]
fn what_is_no_template_is_refused_with_its_column() {
    for (text, column) in [
        ("", 1),
        ("erp.example/x", 1),
        ("/x", 1),
        ("ftp://a/x", 1),
        ("{scheme}://a", 1),
        ("http{x}://a", 1),
        ("http:///x", 8),
        ("http://{host}/x", 8),
        ("http://a.{host}/x", 10),
        ("http://{x[\"/\"]}.evil/", 8),
        ("http://a{path}", 9),
        ("http://u:p@a/x", 8),
        ("http://u@a", 8),
        ("http://a:0/", 8),
        ("http://a:99999/", 8),
        ("http://a:+80/", 8),
        ("http://[::1]:65536/", 8),
        ("http://a:/", 8),
        ("http://a b/", 8),
        ("http://ä/", 8),
        ("http://0x7f.1/", 8),
        ("http://2130706433/", 8),
        ("http://0177.0.0.1/", 8),
        ("http://127.1/", 8),
        ("http://a/{", 10),
        ("http://a/ü{", 10),
        ("http://a/{x", 10),
        ("http://a/{}", 11),
        ("http://a/{x y}", 12),
        ("http://a/{x[\"y}", 10),
        ("http://a/}", 10),
        ("http://a/b c", 11),
        ("http://a/b\r\nX: y", 11),
        ("http://a/%2", 10),
        ("http://a/%zz", 10),
        ("http://a/#x", 10),
        ("http://a/b/../c", 9),
        ("http://a/%2e%2E/c", 9),
        ("http://a/.", 9),
        ("http://a\\b/", 8),
    ] {
        let fault = UrlTemplate::parse(text).expect_err(text);
        assert_eq!((fault.code(), fault.place().column), (Code::ConfigInvalidValue, Some(column)), "{text}: {fault}");
    }
    assert!(UrlTemplate::parse(&format!("http://a/{}", "x".repeat(9000))).is_err());
}

#[test]
fn values_that_would_lead_elsewhere_make_no_url() {
    for value in ["", ".", "..", "a\r\nX: y", "a\0", "\u{85}", "../x", "a/../b", "a\\..\\b", "/.", "x/.."] {
        let fault = render("http://a/{order.id}/x", value).expect_err(value);
        assert_eq!((fault.code(), fault.place().field.as_deref()), (Code::HttpBadUrl, Some("order.id")), "{value:?}");
    }
    for (template, value) in [("http://a/.{x}", "."), ("http://a/{x}.", "."), ("http://a/%2e{x}", "x/..")] {
        assert!(render(template, value).is_err(), "{template}");
    }
    assert_eq!(render("http://a/{x}", "...").unwrap(), "http://a/...");
    assert_eq!(render("http://a/{x}", "%2e%2e").unwrap(), "http://a/%252e%252e");
    assert!(render("http://a/{x}", &"x".repeat(9000)).is_err());
    let missing = UrlTemplate::parse("http://a/{order.id}").unwrap().render(|_| None).unwrap_err();
    assert_eq!((missing.code(), missing.place().field.as_deref()), (Code::HttpBadUrl, Some("order.id")));
}

#[test]
fn dots_from_two_sides_make_no_dotted_segment() {
    let template = UrlTemplate::parse("http://a/{x}{y}/z").unwrap();
    // Each alone is refused already; a template may still join what passes.
    assert!(template.render(|_| Some(".".into())).is_err());
    assert_eq!(template.render(|_| Some("..a".into())).unwrap(), "http://a/..a..a/z");
}

fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            plain.push(u8::from_str_radix(&text[at + 1..at + 3], 16).unwrap());
            at += 3;
        } else {
            plain.push(bytes[at]);
            at += 1;
        }
    }
    plain
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_value_changes_anything_but_its_own_place(value in ".{0,20}", other in "[./\\\\%?#&@: a]{0,6}") {
        for value in [value, other] {
            let Ok(url) = render("https://erp.example:8443/a/{x}/b?c={x}&d=e", &value) else { continue };
            let uri: Uri = url.parse().unwrap();
            prop_assert_eq!(uri.authority().unwrap().as_str(), "erp.example:8443");
            prop_assert_eq!(uri.scheme_str(), Some("https"));
            let segments: Vec<&str> = uri.path().split('/').collect();
            prop_assert_eq!(segments.len(), 4);
            prop_assert_eq!(unescape(segments[2]), value.as_bytes());
            let query = uri.query().unwrap().strip_prefix("c=").unwrap().strip_suffix("&d=e").unwrap();
            prop_assert_eq!(unescape(query), value.as_bytes());
            prop_assert!(url.is_ascii() && !url.bytes().any(|b| b.is_ascii_control()));
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic_and_what_parses_is_a_url(text in "(https?://)?[a-z0-9.:@/?#{}\\[\\]\"'\\\\% ü-]{0,30}") {
        if let Ok(template) = UrlTemplate::parse(&text) {
            prop_assert!(text.starts_with(template.origin()));
            if let Ok(url) = template.render(|_| Some("v".into())) {
                let uri: Uri = url.parse().unwrap();
                prop_assert!(uri.host().is_some() && !uri.authority().unwrap().as_str().contains('@'));
            }
        }
    }
}
