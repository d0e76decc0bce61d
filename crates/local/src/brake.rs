//! The rules, as configured, with the brake that an operator pulls while the
//! server runs. It outlasts the server.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ecsrunner_engine::Ruleset;
use ecsrunner_engine::ports::rulebook::Rulebook;

use crate::state_dir::write_whole;

/// The rules, and whether launches are paused beyond what they say.
#[derive(Debug)]
pub(crate) struct Brake {
    file: PathBuf,
    configured: Arc<Ruleset>,
    current: Mutex<Arc<Ruleset>>,
}

impl Brake {
    /// With the brake as an earlier server left it.
    pub(crate) fn new(file: PathBuf, configured: Arc<Ruleset>) -> Self {
        let is_pulled = file.exists();
        let current = Mutex::new(rules(&configured, is_pulled));
        Self { file, configured, current }
    }

    /// The rules as they are now.
    pub(crate) fn rules(&self) -> Arc<Ruleset> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Pulls the brake or lets it go. Returns whether launches are paused now:
    /// the configuration may say so by itself.
    pub(crate) fn pull(&self, paused: bool) -> io::Result<bool> {
        // Of two operators at once, file and memory hear the same one last.
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
