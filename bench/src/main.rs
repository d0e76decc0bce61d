//! Measures the local mode under load, and the Lambda against a peer's. Fails if a run was wrong.

mod agent;
mod burst;
mod certificates;
mod lambda;
mod latency;
mod list;
mod page;
mod records;
mod serve;
mod soak;
mod testbed;
mod warm;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Measures the local mode and the Lambda with fakes of GitHub and AWS; see bench/README.md.
#[derive(Debug, Parser)]
struct Arguments {
    /// The executable to measure
    #[arg(long, default_value = "target/release/ecsrunner")]
    ecsrunner: PathBuf,
    #[command(subcommand)]
    bench: Running,
}

#[derive(Debug, Subcommand)]
enum Running {
    /// Time from a webhook's last byte to the agent's first line, for jobs 500 ms apart and for 20 at once
    Latency,
    /// Time from a job's webhook to its start, with a warm task and without
    Warm,
    /// 250 jobs at once, each queued twice, with the other webhooks in random order
    Burst,
    /// Like `burst`, with the server killed and restarted ten times
    Kill,
    /// 2,500 jobs alone, and beside 100 hostile clients
    Soak(soak::Arguments),
    /// A task's agent: time from its start to the listener's start, and its memory
    Agent(agent::Arguments),
    /// `runners list` on a history of 10,000 runners
    List(list::Arguments),
    /// `ecsrunner ui` on a history of 10,000 records: the list in a browser, and reads an hour
    Page(page::Arguments),
    /// The Lambda control plane compared with @cloudsnorkel/cdk-github-runners: cold, warm, memory, cost
    Lambda(lambda::Arguments),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match &arguments.bench {
            Running::Latency => latency::run(&executable(&arguments)?).await,
            Running::Warm => warm::run(&executable(&arguments)?).await,
            Running::Burst => burst::run(&executable(&arguments)?, 0).await,
            Running::Kill => burst::run(&executable(&arguments)?, 10).await,
            Running::Soak(soak) => soak::run(soak, &executable(&arguments)?).await,
            Running::Agent(arguments) => agent::run(arguments).await,
            Running::List(list) => list::run(list, &executable(&arguments)?).await,
            Running::Page(page) => page::run(page, &executable(&arguments)?).await,
            Running::Lambda(arguments) => lambda::run(arguments).await,
        }
    })
}

fn executable(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    let executable = std::path::absolute(&arguments.ecsrunner)?;
    anyhow::ensure!(executable.is_file(), "{} is not there: build it first", executable.display());
    Ok(executable)
}
