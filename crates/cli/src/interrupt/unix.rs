//! SIGINT.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub(super) type Source = Signal;

pub(super) fn begin() -> io::Result<Source> {
    signal(SignalKind::interrupt())
}
