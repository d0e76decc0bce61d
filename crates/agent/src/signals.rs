//! The signals that the agent listens to, as file descriptors to poll.
//!
//! Handlers that write into a pipe, rather than a blocked mask and a signalfd:
//! the listener would inherit the mask, and a child cannot be given another
//! one without unsafe code.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level::pipe;

/// Signals that ask the agent to stop, and those that tell of ended children.
pub(crate) struct Signals {
    stop: UnixStream,
    child: UnixStream,
}

impl Signals {
    /// Takes over the process's TERM, INT, HUP, QUIT and CHLD; those that were
    /// held come now.
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

    /// Holds back what asks to stop until this process, which is about to
    /// execute itself again, has handlers again: process 1 would lose it.
    pub(crate) fn hold(&self) -> io::Result<()> {
        Ok(held().thread_block()?)
    }

    /// How many signals asked to stop since the last call.
    pub(crate) fn take_stops(&self) -> usize {
        drain(&self.stop)
    }

    /// Whether a child ended since the last call.
    pub(crate) fn take_child(&self) -> bool {
        drain(&self.child) > 0
    }

    /// Waits, and tells whether a signal asked to stop meanwhile.
    pub(crate) fn stops_within(&self, limit: Duration) -> bool {
        wait(&[self.stop.as_fd()], Instant::now() + limit) && self.take_stops() > 0
    }

    /// Waits until a child ends, or for the limit.
    pub(crate) fn wait_for_child(&self, limit: Duration) {
        if wait(&[self.child.as_fd()], Instant::now() + limit) {
            self.take_child();
        }
    }

    /// Both descriptors, for a poll of more.
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

/// Waits until one of the descriptors has something, or until the deadline;
/// tells which of the two.
pub(crate) fn wait(fds: &[BorrowedFd<'_>], deadline: Instant) -> bool {
    let mut fds: Vec<_> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up: a poll that returns a moment early would spin.
        let millis = left.as_micros().div_ceil(1000);
        let timeout = PollTimeout::try_from(millis.min(3_600_000)).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(0) | Err(Errno::EINTR) if Instant::now() < deadline => {}
            Ok(ready) => return ready > 0,
            Err(_) => return false,
        }
    }
}
