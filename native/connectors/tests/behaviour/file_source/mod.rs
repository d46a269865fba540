//! The file in on a real file system.

mod broken;
mod done;
mod host;
mod hostile;
mod memory;
mod missing;
mod names;
mod resume;
mod rows;
mod writes;
