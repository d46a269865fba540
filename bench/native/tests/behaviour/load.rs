use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

use crate::{
    Ended, Fault, assert_fails, bench, changes_a_digit_of_one, changes_the_last_byte_of_one, doubles_one, faithful,
    loses_one, number_of, order,
};

const STORED: &str = "{\"stream\":\"S\",\"seq\":1}";

/// Plays server and relay for one load: what is published comes back as `fault` makes it, after a PubAck where one is
/// asked for.
fn serve(listener: &TcpListener, fault: Fault, pub_ack: &str) {
    let (socket, _) = listener.accept().unwrap();
    let (mut reader, mut socket) = (BufReader::new(socket.try_clone().unwrap()), socket);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
        let mut answer = Vec::new();
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            ["PING"] => answer.extend_from_slice(b"PONG\r\n"),
            ["HPUB", _, .., headers, total] => {
                let mut message = vec![0; total.parse::<usize>().unwrap() + 2];
                reader.read_exact(&mut message).unwrap();
                let payload = message[headers.parse().unwrap()..message.len() - 2].to_vec();
                if fields.len() == 5 {
                    put(&mut answer, &format!("MSG {} 2", fields[2]), pub_ack.as_bytes());
                }
                for payload in fault(number_of(&payload), payload) {
                    put(&mut answer, "MSG out 1", &payload);
                }
            }
            _ => {}
        }
        if socket.write_all(&answer).is_err() {
            return;
        }
        line.clear();
    }
}

fn put(answer: &mut Vec<u8>, head: &str, payload: &[u8]) {
    answer.extend_from_slice(format!("{head} {}\r\n", payload.len()).as_bytes());
    answer.extend_from_slice(payload);
    answer.extend_from_slice(b"\r\n");
}

fn load_confirmed(fault: Fault, pub_ack: &'static str, more: &[&str]) -> Ended {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let far_end = std::thread::spawn(move || serve(&listener, fault, pub_ack));
    let (even, odd) = (order(0), order(1));
    let mut arguments = vec!["load", "--server", &server, "--in", "in", "--out", "out", "--count", "300"];
    arguments.extend(["--warm", "100", "--window", "200", "--patience", "1"]);
    arguments.extend(["--expect", even.to_str().unwrap(), "--expect-odd", odd.to_str().unwrap()]);
    arguments.extend(more);
    let ended = bench(&arguments);
    far_end.join().unwrap();
    ended
}

fn load(fault: Fault) -> Ended {
    load_confirmed(fault, STORED, &[])
}

#[test]
fn a_load_is_content_when_everything_comes_back() {
    for more in [&[][..], &["--confirmed"]] {
        let ended = load_confirmed(faithful, STORED, more);
        assert!(ended.clean && ended.said.is_empty(), "{} said {:?}", ended.printed, ended.said);
        assert!(ended.printed.starts_with("{\"sent\":400,\"delivered\":400,\"missing\":0,"), "{}", ended.printed);
    }
}

#[test]
fn a_missing_message_fails_the_load() {
    assert_fails(&load(loses_one), "1 of 400 messages are missing, the first is 7");
}

#[test]
fn a_double_fails_the_load() {
    assert_fails(&load(doubles_one), "1 messages were delivered more than once");
}

/// Nothing else is missing when it comes.
#[test]
fn a_double_of_the_last_message_fails_the_load() {
    let last = |number, payload| vec![payload; if number == 399 { 2 } else { 1 }];
    assert_fails(&load(last), "1 messages were delivered more than once");
}

#[test]
fn a_wrong_byte_fails_the_load() {
    assert_fails(&load(changes_the_last_byte_of_one), "the checksum of all payloads is ");
    assert_fails(&load(changes_a_digit_of_one), "1 payloads are wrong, the first is <?xml");
}

#[test]
fn a_message_that_had_to_be_filtered_out_fails_the_load() {
    let ended = load_confirmed(faithful, STORED, &["--filtered"]);
    assert_fails(&ended, "200 payloads are wrong, the first is <?xml");
}

#[test]
fn a_refused_message_fails_the_load() {
    let ended = load_confirmed(faithful, "{\"error\":{\"code\":503}}", &["--confirmed"]);
    assert_fails(&ended, "400 were refused");
}
