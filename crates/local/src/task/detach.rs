//! What a task's process inherits from the server and must not keep: the session with its terminal, the kernel's keys,
//! and the umask.
//!
//! A priority and the CPUs to which the server is bound are inherited on purpose.

use std::io;

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, getpgid, getppid, getsid, setpgid, setsid};

use super::keyrings;

/// The umask of a task, as on GitHub's runners.
const UMASK: Mode = Mode::S_IWGRP.union(Mode::S_IWOTH);

/// Detaches this process, which has no children yet.
pub(super) fn detach() -> io::Result<()> {
    leave_session()?;
    keyrings::leave_session()?;
    umask(UMASK);
    Ok(())
}

/// Begins a session without a terminal. In the server's session a job could open `/dev/tty`: read what the operator
/// types, and type commands into the operator's shell.
fn leave_session() -> io::Result<()> {
    // The leader of a process group may not begin a session (setsid(2)), and the server has made this process one. So
    // it joins another group of the session first: that of the session's leader, or of the server.
    let others = [getsid(None), getpgid(Some(getppid()))];
    for other in others.into_iter().flatten() {
        match setsid() {
            Ok(_) => return Ok(()),
            // A group that has ended cannot be joined.
            Err(Errno::EPERM) => {
                let _joined = setpgid(Pid::from_raw(0), other);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    setsid()?;
    Ok(())
}
