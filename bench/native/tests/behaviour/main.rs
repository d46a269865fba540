//! The bench's commands against far ends that make mistakes: a run whose result is wrong or incomplete fails, and
//! says why.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod end_to_end;
mod load;

use std::path::PathBuf;
use std::process::Command;

/// What a far end makes of the message with this number: nothing, the message, or more.
type Fault = fn(usize, Vec<u8>) -> Vec<Vec<u8>>;

fn faithful(_: usize, payload: Vec<u8>) -> Vec<Vec<u8>> {
    vec![payload]
}

fn loses_one(number: usize, payload: Vec<u8>) -> Vec<Vec<u8>> {
    if number == 7 { vec![] } else { vec![payload] }
}

fn doubles_one(number: usize, payload: Vec<u8>) -> Vec<Vec<u8>> {
    vec![payload; if number == 7 { 2 } else { 1 }]
}

/// Not one of those that are compared: the checksum has to find it.
fn changes_the_last_byte_of_one(number: usize, mut payload: Vec<u8>) -> Vec<Vec<u8>> {
    *payload.last_mut().unwrap() ^= u8::from(number == 7);
    vec![payload]
}

fn changes_a_digit_of_one(number: usize, mut payload: Vec<u8>) -> Vec<Vec<u8>> {
    let id = payload.windows(4).position(|four| four == b"id=\"").unwrap() + 4;
    payload[id] = if number == 7 { b'9' } else { payload[id] };
    vec![payload]
}

/// The number in a payload that is an order.
fn number_of(payload: &[u8]) -> usize {
    let text = String::from_utf8_lossy(payload);
    let id = text.find("id=\"").unwrap() + 4;
    text[id..id + 9].parse().unwrap()
}

struct Ended {
    clean: bool,
    printed: String,
    said: String,
}

fn bench(arguments: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_bench-native")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { clean: output.status.success(), printed: text(output.stdout), said: text(output.stderr) }
}

/// The file with this order.
fn order(number: usize) -> PathBuf {
    let printed = bench(&["order", "--number", &number.to_string()]).printed;
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("order-{}-{number}", std::process::id()));
    // Renamed, since other tests read it meanwhile.
    let own = path.with_extension(format!("{:?}", std::thread::current().id()));
    std::fs::write(&own, printed.strip_suffix('\n').unwrap()).unwrap();
    std::fs::rename(own, &path).unwrap();
    path
}

fn assert_fails(ended: &Ended, because: &str) {
    assert!(!ended.printed.contains("rate"), "{}", ended.printed);
    assert!(!ended.clean && ended.said.contains(because), "{} said {:?}", ended.printed, ended.said);
}
