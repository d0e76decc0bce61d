//! Arguments of `ecsrunner replay`: the events, and the rules to apply.

use std::path::PathBuf;

use clap::Args;

use super::operate::{FormatArguments, TargetArguments};

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// Events: JSON documents one after the other, or one array (`-` for stdin)
    pub(crate) file: PathBuf,
    /// Use the rules of this local configuration (TOML) [env: ECSRUNNER_CONFIG]
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["settings", "classes", "deployment", "local", "profile", "region"]
    )]
    pub(crate) config: Option<PathBuf>,
    /// Use these settings (JSON, as in the deployment's parameter)
    #[arg(
        long,
        value_name = "FILE",
        requires = "classes",
        conflicts_with_all = ["deployment", "local", "profile", "region"]
    )]
    pub(crate) settings: Option<PathBuf>,
    /// With --settings, the classes (JSON object of classes by name)
    #[arg(long, value_name = "FILE", requires = "settings")]
    pub(crate) classes: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}
