//! The real binary over a real socket.

mod budget;
mod commands;
mod kill;
mod process;
mod quickstart;
mod restore;
mod search;
