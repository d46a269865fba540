//! MQTT in and out, against Mosquitto and against a broker that lies.

mod host;
mod liar;
mod sink;
mod source;
mod source_liar;
mod source_refused;
mod tls;
