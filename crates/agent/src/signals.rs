//! The signals that the agent handles, as file descriptors for `poll`.
//!
//! The handlers write into a pipe. A signalfd would need a signal mask, which
//! the listener would inherit: a child's mask cannot be set without unsafe code.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level::pipe;

/// The signals that ask the agent to stop, and SIGCHLD.
pub(crate) struct Signals {
    stop: UnixStream,
    child: UnixStream,
}

impl Signals {
    /// Installs handlers for TERM, INT, HUP, QUIT and CHLD, then unblocks those
    /// that [`Self::hold`] has blocked.
    pub(crate) fn install() -> io::Result<Self> {
        let (stop, stop_writer) = UnixStream::pair()?;
        let (child, child_writer) = UnixStream::pair()?;
        stop.set_nonblocking(true)?;
        child.set_nonblocking(true)?;
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
            pipe::register(signal, stop_writer.try_clone()?)?;
        }
        pipe::register(SIGCHLD, child_writer)?;
        held().thread_unblock()?;
        Ok(Self { stop, child })
    }

    /// Blocks the stop signals while this process executes itself again. Without
    /// handlers, process 1 would lose them.
    pub(crate) fn hold(&self) -> io::Result<()> {
        Ok(held().thread_block()?)
    }

    /// How many stop signals arrived since the last call.
    pub(crate) fn take_stops(&self) -> usize {
        drain(&self.stop)
    }

    /// Whether a child ended since the last call.
    pub(crate) fn take_child(&self) -> bool {
        drain(&self.child) > 0
    }

    /// Waits for at most `limit`. Returns whether a stop signal arrived.
    pub(crate) fn stops_within(&self, limit: Duration) -> bool {
        wait(&[self.stop.as_fd()], Instant::now() + limit) && self.take_stops() > 0
    }

    /// Waits until a child ends, for at most `limit`.
    pub(crate) fn wait_for_child(&self, limit: Duration) {
        if wait(&[self.child.as_fd()], Instant::now() + limit) {
            self.take_child();
        }
    }

    /// Both descriptors, for a `poll` together with others.
    pub(crate) fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.stop.as_fd(), self.child.as_fd()]
    }
}

fn held() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT].into_iter().collect()
}

fn drain(mut stream: &UnixStream) -> usize {
    let mut bytes = [0; 64];
    let mut count = 0;
    while let Ok(read @ 1..) = stream.read(&mut bytes) {
        count += read;
    }
    count
}

/// Waits until one of the descriptors is readable or the deadline has passed.
/// Returns whether one is readable.
pub(crate) fn wait(fds: &[BorrowedFd<'_>], deadline: Instant) -> bool {
    let mut fds: Vec<_> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up: if `poll` returned slightly early, this loop would spin.
        let millis = left.as_micros().div_ceil(1000);
        let timeout = PollTimeout::try_from(millis.min(3_600_000)).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(0) | Err(Errno::EINTR) if Instant::now() < deadline => {}
            Ok(ready) => return ready > 0,
            Err(_) => return false,
        }
    }
}
