use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use crate::{
    Ended, Fault, assert_fails, bench, changes_a_digit_of_one, changes_the_last_byte_of_one, doubles_one, faithful,
    loses_one, number_of, order,
};

/// Plays a node: answers each POST, then posts its body to `far_end` as `fault` makes it.
fn serve(listener: &TcpListener, far_end: &str, fault: Fault, status: &'static str) {
    while let Ok((mut socket, _)) = listener.accept() {
        let far_end = far_end.to_owned();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(socket.try_clone().unwrap());
            while let Some(body) = body(&mut reader) {
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                socket.write_all(answer.as_bytes()).unwrap();
                if status.starts_with("202") {
                    fault(number_of(&body), body).iter().for_each(|payload| deliver(&far_end, payload));
                }
            }
        });
    }
}

fn body(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(digits) = line.strip_prefix("Content-Length: ") {
            length = digits.trim_end().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

fn deliver(far_end: &str, payload: &[u8]) {
    let mut socket = TcpStream::connect(far_end).unwrap();
    let head =
        format!("POST / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", payload.len());
    socket.write_all(&[head.as_bytes(), payload].concat()).unwrap();
    // Up to the end: the run may be over, which closes the connection too.
    let _ = socket.read_to_end(&mut Vec::new());
}

fn run(fault: Fault, status: &'static str) -> Ended {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let far_end = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let listen = far_end.clone();
    std::thread::spawn(move || serve(&listener, &far_end, fault, status));
    let passing = order(0);
    let mut arguments = vec!["end-to-end", "--target", &target, "--path", "/", "--listen", &listen];
    arguments.extend(["--count", "60", "--warm", "20", "--connections", "4", "--window", "8", "--patience", "1"]);
    arguments.extend(["--expect", passing.to_str().unwrap()]);
    bench(&arguments)
}

#[test]
fn a_run_is_content_when_everything_is_delivered() {
    let ended = run(faithful, "202 Accepted");
    assert!(ended.clean && ended.said.is_empty(), "{} said {:?}", ended.printed, ended.said);
    assert!(
        ended.printed.starts_with("{\"sent\":80,\"accepted\":80,\"refused\":0,\"delivered\":80,"),
        "{}",
        ended.printed
    );
}

#[test]
fn a_missing_message_fails_the_run() {
    assert_fails(&run(loses_one, "202 Accepted"), "messages are missing, the first is 7");
}

#[test]
fn a_double_fails_the_run() {
    assert_fails(&run(doubles_one, "202 Accepted"), "1 messages were delivered more than once");
}

#[test]
fn a_wrong_byte_fails_the_run() {
    assert_fails(&run(changes_the_last_byte_of_one, "202 Accepted"), "the checksum of all payloads is ");
    assert_fails(&run(changes_a_digit_of_one, "202 Accepted"), "1 payloads are wrong, the first is <?xml");
}

#[test]
fn a_refused_message_fails_the_run() {
    assert_fails(&run(faithful, "503 Service Unavailable"), "80 of 80 messages were refused");
}
