//! The HTTP sink against servers that behave, and against those that do not.
mod addresses;
mod batches;
mod oauth;
mod outcomes;
mod redirects;
mod requests;
mod server;
mod tls;
