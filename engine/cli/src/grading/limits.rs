//! What a worker process may use. It sets its own limits before it reads the first order; they cannot be raised
//! by what it then reads, because a submission is never code.

use std::io;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};

/// Files that are open at once: the three streams, the lab's, the submission's.
const OPEN_FILES: u64 = 64;

/// Limits that hold for the process's life.
pub fn confine(memory_mib: u64) -> io::Result<()> {
    // Writable memory of its own, whether touched or not; the allocator reserves more than it uses.
    setrlimit(Resource::RLIMIT_DATA, memory_mib << 20, memory_mib << 20)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // No file can be written, only the pipe to the grader.
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES.min(most), OPEN_FILES.min(most))?;
    end_with_parent()
}

/// So many seconds of processor from now on; then the kernel ends the process.
pub fn allow_seconds(seconds: u64) -> io::Result<()> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let used = usage.user_time().tv_sec() + usage.system_time().tv_sec();
    let (_, most) = getrlimit(Resource::RLIMIT_CPU)?;
    // The kernel counts whole seconds: the one that has begun is given away.
    let until = u64::try_from(used).unwrap_or(0).saturating_add(seconds).saturating_add(1);
    Ok(setrlimit(Resource::RLIMIT_CPU, until.min(most), most)?)
}

/// A grader that was killed leaves no process behind.
#[cfg(target_os = "linux")]
fn end_with_parent() -> io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?)
}

/// Elsewhere the worker ends when its stdin does.
#[cfg(not(target_os = "linux"))]
fn end_with_parent() -> io::Result<()> {
    Ok(())
}
