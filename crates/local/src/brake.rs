//! The configured rules, and the pause that an operator sets while the server
//! runs. A file keeps the pause when the server restarts.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ecsrunner_engine::Ruleset;
use ecsrunner_engine::ports::rulebook::Rulebook;

use crate::state_dir::write_whole;

/// The configured rules, with launches paused if an operator paused them.
#[derive(Debug)]
pub(crate) struct Brake {
    file: PathBuf,
    configured: Arc<Ruleset>,
    current: Mutex<Arc<Ruleset>>,
}

impl Brake {
    /// Keeps the pause that an earlier server stored.
    pub(crate) fn new(file: PathBuf, configured: Arc<Ruleset>) -> Self {
        let is_pulled = file.exists();
        let current = Mutex::new(rules(&configured, is_pulled));
        Self { file, configured, current }
    }

    /// Returns the current rules.
    pub(crate) fn rules(&self) -> Arc<Ruleset> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Pauses or resumes launches. Returns whether launches are paused now; they
    /// stay paused if the configuration says so.
    pub(crate) fn pull(&self, paused: bool) -> io::Result<bool> {
        // Locked first, so that concurrent calls leave file and memory in the same state.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if paused {
            write_whole(&self.file, b"")?;
        } else {
            match std::fs::remove_file(&self.file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let rules = rules(&self.configured, paused);
        let is_paused = rules.settings.paused;
        *current = rules;
        Ok(is_paused)
    }
}

fn rules(configured: &Arc<Ruleset>, is_pulled: bool) -> Arc<Ruleset> {
    if !is_pulled || configured.settings.paused {
        return Arc::clone(configured);
    }
    let mut rules = Ruleset::clone(configured);
    rules.settings.paused = true;
    Arc::new(rules)
}

impl Rulebook for Brake {
    async fn read(&self) -> Option<Arc<Ruleset>> {
        Some(self.rules())
    }
}
