//! The programs of the bench: the limits to measure against, and the load that measures.
//!
//! ```text
//! load ──publish──► nats-server ──► relay | durable-relay | the system under test ──► nats-server ──► load
//! http-load ──POST──► http-relay | the system under test ──publish──► nats-server ──► drain
//! csv-relay | mqtt-relay | the system under test ──publish──► nats-server ──► arrivals | mqtt-load
//! end-to-end ──POST──► the system under test ──POST | publish──► end-to-end
//! ```
//!
//! They share no code with the data plane: a limit that used its parser would move with it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a bench ends at the first thing that is wrong

mod arguments;
mod arrivals;
mod cpu;
mod csv_relay;
mod deliveries;
mod drain;
mod durable_relay;
mod end_to_end;
mod far_end;
mod frames;
mod http_load;
mod http_relay;
mod load;
mod mqtt_load;
mod mqtt_relay;
mod order;
mod pull;
mod relay;
mod waits;
mod wire;

use std::process::ExitCode;

const USAGE: &str = "usage:
  bench-native relay         --server HOST:PORT --in SUBJECT --out SUBJECT
  bench-native durable-relay --server HOST:PORT --stream NAME --durable NAME --out SUBJECT
  bench-native drain         --server HOST:PORT --stream NAME --durable NAME
  bench-native load          --server HOST:PORT --in SUBJECT --out SUBJECT --count N --expect FILE
                             [--expect-odd FILE] [--window N] [--items N] [--filtered] [--confirmed] [--warm N]
                             [--patience SECONDS] [--backlog --stream NAME --durable NAME]
  bench-native http-relay    --server HOST:PORT --listen HOST:PORT --subject SUBJECT
  bench-native http-load     --target HOST:PORT --path PATH --count N [--connections N] [--items N]
  bench-native arrivals      --server HOST:PORT --stream NAME --durable NAME --count N --expect FILE [--expect-odd FILE]
  bench-native csv-relay     --server HOST:PORT --subject SUBJECT --folder FOLDER
  bench-native mqtt-relay    --server HOST:PORT --subject SUBJECT --broker HOST:PORT --filter TOPIC
  bench-native mqtt-load     --server HOST:PORT --stream NAME --durable NAME --broker HOST:PORT --topic TOPIC
                             --count N --expect FILE [--expect-odd FILE] [--window N] [--items N]
  bench-native end-to-end    --target HOST:PORT --path PATH --count N --expect FILE
                             (--listen HOST:PORT | --server HOST:PORT --out SUBJECT)
                             [--connections N] [--window N] [--rate N] [--warm N] [--items N] [--patience SECONDS]
  bench-native order         [--items N] [--number N]        prints the order that the load sends";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().unwrap_or_default();
    let options = arguments::Arguments::parse(arguments);
    let clean = match program.as_str() {
        "relay" => relay::run(&options),
        "durable-relay" => durable_relay::run(&options),
        "drain" => drain::run(&options),
        "load" => load::run(&options),
        "http-relay" => http_relay::run(&options),
        "http-load" => http_load::run(&options),
        "arrivals" => arrivals::run(&options),
        "csv-relay" => csv_relay::run(&options),
        "mqtt-relay" => mqtt_relay::run(&options),
        "mqtt-load" => mqtt_load::run(&options),
        "end-to-end" => end_to_end::run(&options),
        "order" => {
            let mut order = order::Order::new(options.number("items", 2), false);
            println!("{}", String::from_utf8_lossy(order.set(options.number("number", 0))));
            true
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
