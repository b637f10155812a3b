//! `allowlog`: the server and its commands.

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    allowlog::cli::run(allowlog::cli::Arguments::parse())
}
