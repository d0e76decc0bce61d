//! Ctrl-C, on each system.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

/// Ctrl-C, from the moment of [`Interrupts::begin`] on. From then on it does not end this process.
pub(crate) struct Interrupts(system::Source);

impl Interrupts {
    pub(crate) fn begin() -> io::Result<Self> {
        system::begin().map(Self)
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}
