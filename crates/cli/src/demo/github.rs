//! `ecsrunner demo github`: the fake GitHub as a process of its own.

use std::io::Write;

use anyhow::Context;
use ecsrunner_demo::github::{Options, serve};
use secrecy::SecretString;

use crate::arguments::GithubArguments;
use crate::exit::Failure;
use crate::log;

pub(crate) fn run(arguments: &GithubArguments) -> Result<(), Failure> {
    log::init();
    let mut options = Options { seed: arguments.seed, ..Options::default() };
    if let Some(file) = &arguments.token_file {
        let token = std::fs::read_to_string(file)
            .with_context(|| format!("the token file {} cannot be read", file.display()))
            .map_err(Failure::usage)?;
        options.tokens.push(SecretString::from(token.trim()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(arguments.listen)
            .await
            .with_context(|| format!("cannot listen on {}", arguments.listen))
            .map_err(|error| Failure::from(error).of_listening())?;
        let address = listener.local_addr()?;
        let _told = writeln!(std::io::stdout(), "listening on http://{address}");
        let _told = std::io::stdout().flush();
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            served = serve(listener, options) => served?,
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}
