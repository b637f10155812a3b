//! What keeps the process's memory, where keys are in use, from other processes and from files.

#[cfg(target_os = "linux")]
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::process::{Resource, Rlimit, setrlimit};

/// No core file, and no other process of the same user may look into this one's memory.
///
/// # Errors
/// If the system refuses one of them; the other is done all the same.
pub fn keep_memory_private() -> std::io::Result<()> {
    let no_core = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let no_look = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    #[cfg(not(target_os = "linux"))]
    let no_look = Ok(());
    Ok(no_core.and(no_look)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_leaves_no_core() {
        keep_memory_private().unwrap();
        #[cfg(target_os = "linux")]
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(rustix::process::getrlimit(Resource::Core).current, Some(0));
    }
}
