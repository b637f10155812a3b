//! What the operating system says of the process and of the disk under the data directory.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

/// Bytes of memory that are the process's; nothing where there is no Linux to ask.
pub fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?;
    kilobytes.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Files and sockets that are open.
pub fn open_files() -> Option<u64> {
    // The directory that is read is open itself meanwhile.
    let open = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    u64::try_from(open).ok()
}

/// How many files and sockets may be open.
pub fn open_files_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Bytes a process without privileges may still write to the file system of this directory, and its size.
pub fn disk_bytes(directory: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(directory).ok()?;
    Some((found.f_bavail.checked_mul(found.f_frsize)?, found.f_blocks.checked_mul(found.f_frsize)?))
}
