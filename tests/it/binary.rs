//! The real binary over a real socket.

mod commands;
mod kill;
mod process;
mod quickstart;
