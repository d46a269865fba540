//! The HTTP source against real sockets: what a sender is answered, and what the host gets.
mod abuse;
mod answers;
mod capacity;
mod host;
mod shares;
mod shutdown;
mod webhooks;
