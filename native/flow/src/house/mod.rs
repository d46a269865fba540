//! rooms
#![allow(dead_code)]
mod consumers;
mod ids;
mod message;
mod nats_api;
mod observe;
mod registry;
mod settings;
mod settlement;
mod subjects;
