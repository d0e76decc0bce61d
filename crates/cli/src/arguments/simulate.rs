//! Arguments of `ecsrunner simulate`: the load, and where the results go.

use std::path::PathBuf;

use clap::Args;

use super::operate::FormatArguments;

#[derive(Debug, Args)]
pub(crate) struct SimulateArguments {
    /// The classes, limits and arrivals (TOML, or JSON if its name ends with .json; `-` for stdin)
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    /// Write a chart of the queue and the runners over time
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}
