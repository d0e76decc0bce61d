//! `ecsrunner local up`.

use std::io::Write;

use anyhow::Context;
use ecsrunner_local::config::{Config, ConfigError};
use ecsrunner_local::traces;
use ecsrunner_local::up::{self, ListenError, Options};

use crate::arguments::UpArguments;
use crate::exit::Failure;
use crate::{environment, log};

pub(crate) fn up(arguments: UpArguments) -> Result<(), Failure> {
    log::init();
    let config = Config::read(&arguments.config, &environment::overrides()).map_err(mistaken)?;
    let options = Options {
        listen: arguments.listen,
        state: arguments.state,
        config: std::path::absolute(&arguments.config)?,
        executable: std::env::current_exe().context("the path of this executable is unknown")?,
        poll: arguments.poll,
        traces: traces::exporter(
            environment::otlp,
            &config.settings.deployment,
            &config.github_api.to_string(),
        )
        .map_err(Failure::usage)?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("the async runtime cannot be created")?;
    let served = runtime.block_on(up::up(config, options, |address| {
        // A closed stdout is no error.
        let _told = writeln!(std::io::stdout(), "listening on http://{address}");
        let _told = std::io::stdout().flush();
    }));
    // Requests in progress may get no answer. What was answered is stored.
    runtime.shutdown_background();
    served.map_err(|error| match error.downcast::<ConfigError>() {
        Ok(error) => mistaken(error),
        Err(error) if error.is::<ListenError>() => Failure::from(error).of_listening(),
        Err(error) => error.into(),
    })
}

fn mistaken(error: ConfigError) -> Failure {
    let hint = error.hint();
    Failure::usage(error).hint(hint)
}
