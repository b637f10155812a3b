//! What keeps the process's memory, where keys are in use, from other processes and from files.

#[cfg(target_os = "linux")]
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::process::{Resource, Rlimit, setrlimit};

/// No core file, and no other process of the same user may look into this one's memory.
pub fn keep_memory_private() {
    // Where the system refuses one of them, the other may help, and neither is worth not serving.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(process.error = %error, "core files cannot be switched off");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(process.error = %error, "memory cannot be kept from other processes of the same user");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_leaves_no_core() {
        keep_memory_private();
        #[cfg(target_os = "linux")]
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(rustix::process::getrlimit(Resource::Core).current, Some(0));
    }
}
