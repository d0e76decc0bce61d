//! Reads the rules from the parameters again during an invocation, so that a
//! running dispatcher notices a pause too.

use std::sync::{Arc, Mutex, PoisonError};

use ecsrunner_aws::parameters::{Configuration, Parameters};
use ecsrunner_engine::ports::rulebook::Rulebook;
use ecsrunner_engine::{Ruleset, chain};
use jiff::Timestamp;
use tracing::warn;

/// The parameters, and the configuration that was read from them last.
#[derive(Debug)]
pub(crate) struct LiveRules {
    parameters: Arc<Parameters>,
    known: Mutex<Arc<Configuration>>,
}

impl LiveRules {
    pub(crate) fn new(parameters: Arc<Parameters>, known: Arc<Configuration>) -> Self {
        Self { parameters, known: Mutex::new(known) }
    }
}

impl Rulebook for LiveRules {
    async fn read(&self) -> Option<Arc<Ruleset>> {
        let read = match self.parameters.read(Timestamp::now()).await {
            Ok(configuration) => configuration,
            Err(error) => {
                warn!(error = %chain(&error), "could not read the rules; the last known rules stay in force");
                return None;
            }
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&known, &read) {
            return None;
        }
        known.clone_from(&read);
        Some(Arc::new(read.ruleset()))
    }
}
