//! What `ecsrunner replay` reads, and by whose rules it judges that.

use std::path::PathBuf;

use clap::Args;

use super::operate::{FormatArguments, TargetArguments};

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// The events, JSON documents one after the other or in one array; `-` for standard input
    pub(crate) file: PathBuf,
    /// Judge by the configuration of a local server, in TOML; or ECSRUNNER_CONFIG
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["settings", "classes", "deployment", "local", "profile", "region"]
    )]
    pub(crate) config: Option<PathBuf>,
    /// Judge by these settings, as the parameter of a deployment holds them, in JSON
    #[arg(
        long,
        value_name = "FILE",
        requires = "classes",
        conflicts_with_all = ["deployment", "local", "profile", "region"]
    )]
    pub(crate) settings: Option<PathBuf>,
    /// With --settings: the classes, a JSON object of them by name
    #[arg(long, value_name = "FILE", requires = "settings")]
    pub(crate) classes: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}
