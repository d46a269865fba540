//! The senders' own examples, and everything that is not quite them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use message::{Code, Fault};
use proptest::prelude::*;

use super::*;

const SLACK_BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
const GITHUB: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
const STANDARD: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn map(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect()
}

fn options(sender: Sender, secrets: &[&str]) -> SignatureOptions {
    let secrets = secrets.iter().map(|secret| SigningSecret::new(*secret)).collect();
    SignatureOptions { sender, secrets, tolerance: None, deduplicate: None }
}

fn signature(sender: Sender, secrets: &[&str]) -> Arc<Signature> {
    Arc::new(Signature::new(&options(sender, secrets)).unwrap())
}

fn verify(
    signature: &Arc<Signature>,
    headers: &[(&str, &str)],
    body: &[u8],
    now: SystemTime,
) -> Result<Verified, Fault> {
    let mut verifier = signature.begin(&map(headers), now)?;
    body.chunks(7).for_each(|chunk| verifier.update(chunk));
    verifier.finish()
}

fn code(result: Result<Verified, Fault>) -> Option<Code> {
    result.err().map(|fault| fault.code())
}

fn github(delivery: &str) -> [(&str, &str); 2] {
    [("X-Hub-Signature-256", GITHUB), ("X-GitHub-Delivery", delivery)]
}

fn plain_hmac() -> Hmac {
    Hmac {
        header: "x-signature".into(),
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Hex,
        prefix: String::new(),
        timestamp: None,
        id: None,
        signed: "{body}".into(),
        secret: Encoding::Text,
    }
}

#[test]
fn the_example_of_github_is_right_and_nothing_near_it() {
    let known = signature(Sender::GitHub, &["It's a Secret to Everybody"]);
    assert!(verify(&known, &github("d-1"), b"Hello, World!", at(0)).is_ok());
    for body in [&b"Hello, World"[..], b"Hello, World!\n", b"hello, World!", b""] {
        assert_eq!(code(verify(&known, &github("d-1"), body, at(0))), Some(Code::HttpSignatureWrong));
    }
    let other = signature(Sender::GitHub, &["It's a secret to everybody"]);
    assert_eq!(code(verify(&other, &github("d-1"), b"Hello, World!", at(0))), Some(Code::HttpSignatureWrong));
}

#[test]
fn the_example_of_slack_is_right_while_it_is_fresh() {
    let known = signature(Sender::Slack, &["8f742231b10e8888abcd99yyyzzz85a5"]);
    let headers = [
        ("X-Slack-Request-Timestamp", "1531420618"),
        ("X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
    ];
    for now in [1_531_420_618, 1_531_420_618 + 300, 1_531_420_618 - 300] {
        assert!(verify(&known, &headers, SLACK_BODY, at(now)).is_ok());
    }
    for now in [1_531_420_618 + 301, 1_531_420_618 - 301, 0] {
        assert_eq!(code(verify(&known, &headers, SLACK_BODY, at(now))), Some(Code::HttpSignatureExpired));
    }
    let later = [("X-Slack-Request-Timestamp", "1531420619"), headers[1]];
    assert_eq!(code(verify(&known, &later, SLACK_BODY, at(1_531_420_618))), Some(Code::HttpSignatureWrong));
    assert_eq!(code(verify(&known, &headers[1..], SLACK_BODY, at(0))), Some(Code::HttpSignatureMissing));
}

#[test]
fn the_example_of_standard_webhooks_is_right_under_both_names() {
    for (sender, prefix) in [(Sender::StandardWebhooks, "webhook"), (Sender::Svix, "svix")] {
        let names = ["id", "timestamp", "signature"].map(|name| format!("{prefix}-{name}"));
        let now = at(1_614_265_330);
        let body = br#"{"test": 2432232314}"#;
        for secret in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            let known = signature(sender.clone(), &["whsec_AAAA", secret]);
            let several = format!("v1a,AAAA v1,{} {STANDARD} v2,x", "A".repeat(43));
            for signatures in [STANDARD, &several] {
                let headers = [
                    (&*names[0], "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                    (&*names[1], "1614265330"),
                    (&*names[2], signatures),
                ];
                assert!(verify(&known, &headers, body, now).is_ok());
            }
            let headers = [(&*names[0], "msg_other"), (&*names[1], "1614265330"), (&*names[2], STANDARD)];
            assert_eq!(code(verify(&known, &headers, body, now)), Some(Code::HttpSignatureWrong));
            assert_eq!(code(verify(&known, &headers[1..], body, now)), Some(Code::HttpSignatureMissing));
        }
    }
}

/// Stripe and Shopify publish how they sign, but no example with its secret: these were made with Python's `hmac`.
#[test]
fn signatures_as_stripe_and_shopify_write_them_are_right() {
    let known = signature(Sender::Stripe, &["whsec_test_secret"]);
    let body = br#"{"id":"evt_1","object":"event"}"#;
    let right = "654b43d3508ecadb3f8cefc4bc7d3d2bdc5ba9e03bf2c89b2d0657a8e24e4543";
    let zeros = "0".repeat(64);
    for header in [
        format!("t=1492774577,v1={right}"),
        format!("t=1492774577,v1={zeros},v1={right},v0={zeros}"),
        format!("v0=x, v1={right}, t=1492774577, other=1"),
    ] {
        assert!(verify(&known, &[("Stripe-Signature", &header)], body, at(1_492_774_577)).is_ok(), "{header}");
    }
    let header = format!("t=1492774577,v0={right}");
    let answer = verify(&known, &[("Stripe-Signature", &header)], body, at(1_492_774_577));
    assert_eq!(code(answer), Some(Code::HttpSignatureMalformed), "another version does not count");

    let known = signature(Sender::Shopify, &["hush"]);
    let headers = [
        ("X-Shopify-Hmac-Sha256", "qBvrsZF7RfB1iS6BX6IHqJTp5L911P7intnPeTPsH0I="),
        ("X-Shopify-Webhook-Id", "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"),
    ];
    assert!(verify(&known, &headers, br#"{"id":820982911946154508}"#, at(0)).is_ok());
}

/// RFC 2202 and RFC 4231, their second example, and what a few other senders do.
#[test]
fn other_senders_are_described() {
    let body = b"what do ya want for nothing?";
    let sha512 = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737";
    let sha256 = "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=";
    for (algorithm, encoding, prefix, value) in [
        (Algorithm::Sha1, Encoding::Hex, "sha1=", "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79".to_owned()),
        (Algorithm::Sha512, Encoding::Hex, "", sha512.to_uppercase()),
        (Algorithm::Sha256, Encoding::Base64, "HMAC ", format!("HMAC {sha256}")),
        (Algorithm::Sha256, Encoding::Base64, "", sha256.trim_end_matches('=').to_owned()),
    ] {
        for (secret, written) in [("Jefe", Encoding::Text), ("4a656665", Encoding::Hex), ("SmVmZQ==", Encoding::Base64)]
        {
            let hmac = Hmac { algorithm, encoding, prefix: prefix.into(), secret: written, ..plain_hmac() };
            let known = signature(Sender::Hmac(hmac), &[secret]);
            assert!(verify(&known, &[("x-signature", &value)], body, at(0)).is_ok(), "{value}");
        }
    }
}

#[test]
fn a_time_in_milliseconds_is_one_too_and_what_is_signed_is_its_text() {
    let timestamp = Some(Timestamp { header: "x-time".into(), tolerance: Some(Duration::from_secs(60)) });
    let hmac = Hmac { timestamp, signed: "{timestamp}{body}".into(), ..plain_hmac() };
    let known = signature(Sender::Hmac(hmac), &["s"]);
    let sign = |text: &str| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"s"), text.as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    for (time, expected) in [
        ("1700000000", None),
        ("1700000060999", None),
        ("1700000061000", Some(Code::HttpSignatureExpired)),
        ("00001700000000", None),
        ("+1700000000", Some(Code::HttpSignatureMalformed)),
        ("1700000000.5", Some(Code::HttpSignatureMalformed)),
        ("99999999999999999999", Some(Code::HttpSignatureMalformed)),
        ("18446744073709551615", Some(Code::HttpSignatureExpired)),
        ("", Some(Code::HttpSignatureMalformed)),
        ("0", Some(Code::HttpSignatureExpired)),
    ] {
        let value = sign(&format!("{time}body"));
        let headers = [("x-time", time), ("x-signature", &*value)];
        let now = UNIX_EPOCH + Duration::from_millis(1_700_000_000_999);
        assert_eq!(code(verify(&known, &headers, b"body", now)), expected, "{time}");
    }
}

#[test]
fn while_a_secret_is_changed_both_count_and_the_message_says_which_one_it_was() {
    let secrets = ["old", "It's a Secret to Everybody", "new"];
    let named = secrets.iter().zip(["a", "b", "c"]).map(|(value, name)| SigningSecret::new(*value).named(name));
    let options = SignatureOptions { secrets: named.collect(), ..options(Sender::GitHub, &[]) };
    assert!(!format!("{options:?}").contains("Secret to"));
    let known = Arc::new(Signature::new(&options).unwrap());
    let verified = verify(&known, &github("d-1"), b"Hello, World!", at(0)).unwrap();
    assert_eq!(verified.name.as_deref(), Some("b"));
    assert!(!format!("{known:?}").contains("Everybody"));
}

#[test]
fn headers_that_are_no_signature_say_why() {
    let known = signature(Sender::GitHub, &["s"]);
    let long = format!("sha256={}", "0".repeat(5_000));
    let zeros = "0".repeat(64);
    for (value, expected) in [
        ("", Code::HttpSignatureMalformed),
        ("sha256=", Code::HttpSignatureMalformed),
        ("sha1=757107ea", Code::HttpSignatureMalformed),
        ("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1", Code::HttpSignatureMalformed),
        ("sha256=g57107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", Code::HttpSignatureMalformed),
        (&zeros, Code::HttpSignatureMalformed),
        (&long, Code::HttpSignatureMalformed),
    ] {
        let headers = [("x-hub-signature-256", value), ("x-github-delivery", "1")];
        assert_eq!(code(verify(&known, &headers, b"", at(0))), Some(expected), "{value}");
    }
    assert_eq!(code(verify(&known, &github("1")[1..], b"", at(0))), Some(Code::HttpSignatureMissing));
    assert_eq!(code(verify(&known, &github("1")[..1], b"", at(0))), Some(Code::HttpBadRequest), "no id");
    let twice = [github("1"), github("1")].concat();
    let mut headers = HeaderMap::new();
    twice.iter().for_each(|(name, value)| {
        headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    });
    assert_eq!(known.begin(&headers, at(0)).unwrap_err().code(), Code::HttpSignatureMalformed);

    let stripe = signature(Sender::Stripe, &["s"]);
    let many = format!("t=1,{}", format!("v1={zeros},").repeat(17));
    for value in ["t=1", &format!("v1={zeros}"), &format!("t=1,t=2,v1={zeros}"), "nothing", "t=1,v1=", &many] {
        let answer = verify(&stripe, &[("stripe-signature", value)], b"", at(1));
        assert_eq!(code(answer), Some(Code::HttpSignatureMalformed), "{value}");
    }
}

#[test]
fn a_delivery_that_comes_again_has_the_same_key() {
    let mut options = options(Sender::GitHub, &["It's a Secret to Everybody"]);
    let mut key = |deduplicate, delivery: &str| {
        options.deduplicate = deduplicate;
        let known = Arc::new(Signature::new(&options).unwrap());
        verify(&known, &github(delivery), b"Hello, World!", at(0)).unwrap().key
    };
    let first = key(None, "d-1");
    assert!(first.is_some() && first == key(None, "d-1") && first != key(None, "d-2"));
    assert_eq!(first, key(Some(Deduplicate::Delivery), "d-1"));
    let content = key(Some(Deduplicate::Content), "d-1");
    assert!(content.is_some() && content != first && content == key(Some(Deduplicate::Content), "d-2"));
    assert_eq!(key(Some(Deduplicate::Off), "d-1"), None);
}

/// A header with the HMAC-SHA256 of what is signed, as a sender with this secret makes it.
fn made(secret: &[u8], signed: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes())
}

fn hex(tag: &hmac::Tag) -> String {
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_signed_delivery_is_not_taken_again_with_a_part_of_its_body_as_id() {
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let body = "1614265330.paid;amount=5";
    let tag = made(&key, &format!("m9.1614265330.{body}"));
    let value = format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(tag));
    for (sender, prefix) in [(Sender::StandardWebhooks, "webhook"), (Sender::Svix, "svix")] {
        let known = signature(sender, &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
        let names = ["id", "timestamp", "signature"].map(|name| format!("{prefix}-{name}"));
        let send = |id: &str, body: &str| {
            let headers = [(&*names[0], id), (&*names[1], "1614265330"), (&*names[2], &*value)];
            verify(&known, &headers, body.as_bytes(), at(1_614_265_330))
        };
        assert!(send("m9", body).is_ok());
        let moved = send("m9.1614265330", "paid;amount=5").unwrap_err();
        assert_eq!(moved.code(), Code::HttpSignatureMalformed);
        assert!(moved.reason().contains(&*names[0]), "{}", moved.reason());
    }
}

#[test]
fn no_boundary_of_what_a_described_sender_signs_can_be_moved() {
    let time = "2023-11-14T22:13:20Z";
    for (signed, right, moved) in [
        ("{id}|{body}", ["m", "", "9|x"], ["m|9", "", "x"]),
        ("{body}/{id}", ["m", "", "x/9"], ["9/m", "", "x"]),
        ("{id}{body}", ["m", "", "{9}"], ["m{9", "", "}"]),
        ("{timestamp}|{body}", ["", "Tuesday", "9|x"], ["", "Tuesday|9", "x"]),
        ("{timestamp}:{body}", ["", time, "9:x"], ["", "2023-11-14T22", "13:20Z:9:x"]),
        ("{timestamp}{body}", ["", "17000", "{}"], ["", "1700", "0{}"]),
        ("{body}{timestamp}", ["", "17000000", "{}"], ["", "7000000", "{}1"]),
        ("{id}{timestamp}{body}", ["m9", time, "{}"], ["m", &format!("9{time}"), "{}"]),
        ("{id}{timestamp}{body}", ["m9", time, &format!("{time}{{}}")], [&format!("m9{time}"), time, "{}"]),
    ] {
        let timestamp = Some(Timestamp { header: "x-time".into(), tolerance: None });
        let timestamp = timestamp.filter(|_| signed.contains("{timestamp}"));
        let hmac = Hmac { id: Some("x-id".into()), timestamp, signed: signed.into(), ..plain_hmac() };
        let options = SignatureOptions { deduplicate: Some(Deduplicate::Off), ..options(Sender::Hmac(hmac), &["s"]) };
        let known = Arc::new(Signature::new(&options).unwrap());
        let text = |[id, time, body]: [&str; 3]| {
            signed.replace("{timestamp}", time).replace("{id}", id).replace("{body}", body)
        };
        assert_eq!(text(right), text(moved), "a test of its own");
        let value = hex(&made(b"s", &text(right)));
        let send = |[id, time, body]: [&str; 3]| {
            verify(&known, &[("x-id", id), ("x-time", time), ("x-signature", &*value)], body.as_bytes(), at(0))
        };
        assert_eq!(code(send(right)), None, "{signed}");
        assert_eq!(code(send(moved)), Some(Code::HttpSignatureMalformed), "{signed}");
    }
}

#[test]
fn an_empty_id_of_a_delivery_is_none() {
    let github_sender = signature(Sender::GitHub, &["It's a Secret to Everybody"]);
    for id in ["", " "] {
        let answer = verify(&github_sender, &github(id), b"Hello, World!", at(0));
        assert_eq!(code(answer), Some(Code::HttpBadRequest));
    }
    let shopify = signature(Sender::Shopify, &["hush"]);
    let value = "qBvrsZF7RfB1iS6BX6IHqJTp5L911P7intnPeTPsH0I=";
    let headers = [("X-Shopify-Hmac-Sha256", value), ("X-Shopify-Webhook-Id", "")];
    assert_eq!(code(verify(&shopify, &headers, br#"{"id":820982911946154508}"#, at(0))), Some(Code::HttpBadRequest));
    let standard = signature(Sender::StandardWebhooks, &["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
    let headers = [("webhook-id", ""), ("webhook-timestamp", "1614265330"), ("webhook-signature", STANDARD)];
    assert_eq!(code(verify(&standard, &headers, b"", at(1_614_265_330))), Some(Code::HttpSignatureMissing));
    for (signed, expected) in [("{body}", Code::HttpBadRequest), ("{id}.{body}", Code::HttpSignatureMissing)] {
        let hmac = Hmac { id: Some("x-id".into()), signed: signed.into(), ..plain_hmac() };
        let known = signature(Sender::Hmac(hmac), &["s"]);
        let value = hex(&made(b"s", &signed.replace("{id}", "").replace("{body}", "x")));
        assert_eq!(code(verify(&known, &[("x-id", ""), ("x-signature", &value)], b"x", at(0))), Some(expected));
    }
}

#[test]
fn what_no_sender_can_sign_by_is_refused() {
    let refused = |options: &SignatureOptions| Signature::new(options).unwrap_err().code();
    for bad in [options(Sender::GitHub, &[]), options(Sender::GitHub, &["a", ""]), options(Sender::Svix, &["whsec_!"])]
    {
        assert_eq!(refused(&bad), Code::ConfigInvalidValue);
    }
    let timed = Some(Timestamp { header: "x-time".into(), tolerance: Some(Duration::from_secs(60)) });
    for hmac in [
        Hmac { header: "a b".into(), ..plain_hmac() },
        Hmac { encoding: Encoding::Text, ..plain_hmac() },
        Hmac { signed: "{timestamp}".into(), ..plain_hmac() },
        Hmac { signed: "{timestamp}.{body}".into(), ..plain_hmac() },
        Hmac { signed: "{id}.{body}".into(), ..plain_hmac() },
        Hmac { id: Some("x-id".into()), signed: "{id}{id}{body}".into(), ..plain_hmac() },
        Hmac { timestamp: timed, ..plain_hmac() },
        Hmac { id: Some(String::new()), ..plain_hmac() },
    ] {
        assert_eq!(refused(&options(Sender::Hmac(hmac), &["s"])), Code::ConfigInvalidValue);
    }
    let deduplicate = Some(Deduplicate::Delivery);
    assert_eq!(refused(&SignatureOptions { deduplicate, ..options(Sender::Slack, &["s"]) }), Code::ConfigInvalidValue);
    let tolerance = Some(Duration::from_secs(1));
    assert_eq!(refused(&SignatureOptions { tolerance, ..options(Sender::GitHub, &["s"]) }), Code::ConfigInvalidValue);
}

proptest! {
    #[test]
    fn no_header_that_was_made_up_is_a_signature(
        value in "(sha256=|v0=|t=[0-9]{0,12},v1=|v1,)?[ -~]{0,80}",
        body in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        for sender in [Sender::GitHub, Sender::Stripe, Sender::Shopify, Sender::Slack, Sender::StandardWebhooks] {
            let known = signature(sender, &["AAAA"]);
            let headers = [
                ("x-hub-signature-256", &*value), ("x-github-delivery", "1"), ("stripe-signature", &value),
                ("x-shopify-hmac-sha256", &value), ("x-shopify-webhook-id", "1"), ("x-slack-signature", &value),
                ("x-slack-request-timestamp", "1"), ("webhook-id", "1"), ("webhook-timestamp", "1"),
                ("webhook-signature", &value),
            ];
            let fault = verify(&known, &headers, &body, at(1)).unwrap_err();
            prop_assert_eq!(fault.code().http_status(), 401);
            prop_assert!(!fault.reason().contains("AAAA"));
        }
    }
}
