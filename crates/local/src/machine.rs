//! The system clock, the kernel's randomness and limits, and a queue that does nothing.

use std::io;
use std::time::Duration;

use ecsrunner_engine::ports::queue::{Queue, QueueError};
use ecsrunner_engine::ports::{Clock, Randomness};
use jiff::Timestamp;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A queue that drops kicks, because the server's loop wakes by itself when
/// something is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoQueue;

impl Queue for NoQueue {
    async fn post_kick(&self, _after: Duration) -> Result<(), QueueError> {
        Ok(())
    }
}

/// The kernel's random numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OsRandomness;

impl Randomness for OsRandomness {
    fn bits(&self) -> u128 {
        u128::from_ne_bytes(random())
    }
}

/// Raises this process's limit of open files to what the system allows, and returns it.
pub(crate) fn raise_file_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// Returns random bytes from the kernel.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(
        clippy::expect_used,
        reason = "without randomness no secret is safe, so the server cannot continue"
    )]
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes");
    bytes
}
