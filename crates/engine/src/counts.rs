//! Counts how often each reason was given since this process started.

use std::sync::atomic::{AtomicU64, Ordering};

use ecsrunner_core::reason::Code;

/// One counter for each reason code.
#[derive(Debug)]
pub struct Counts(Vec<AtomicU64>);

impl Default for Counts {
    fn default() -> Self {
        Self(Code::ALL.iter().map(|_| AtomicU64::new(0)).collect())
    }
}

impl Counts {
    pub fn add(&self, code: Code) {
        if let Some(i) = Code::ALL.iter().position(|known| *known == code) {
            self.0[i].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns each code that was given at least once, with its count.
    #[must_use]
    pub fn given(&self) -> Vec<(Code, u64)> {
        Code::ALL
            .iter()
            .zip(&self.0)
            .map(|(code, count)| (*code, count.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}
