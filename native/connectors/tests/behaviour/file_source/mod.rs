//! The file in on a real file system.

mod done;
mod host;
mod hostile;
mod memory;
mod resume;
mod rows;
