//! Arguments of `ecsrunner setup`: where the credentials go, and how the browser gets to GitHub.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use ecsrunner_core::id::Organization;
use jiff::{Span, SpanRelativeTo};

use super::operate::{FormatArguments, TargetArguments};

#[derive(Debug, Args)]
pub(crate) struct SetupArguments {
    /// Store the credentials for this local configuration (TOML) [env: ECSRUNNER_CONFIG]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["deployment", "local", "profile", "region"])]
    pub(crate) config: Option<PathBuf>,
    /// Organization that will own the App [default: the owner of the repositories]
    #[arg(long, value_name = "NAME", conflicts_with = "personal")]
    pub(crate) organization: Option<Organization>,
    /// Make the App in your own account
    #[arg(long)]
    pub(crate) personal: bool,
    /// Name of the App, at most 34 characters; GitHub's page lets you change it
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Public URL for GitHub's webhooks [default: the deployment's]
    #[arg(long, value_name = "URL")]
    pub(crate) webhook_url: Option<String>,
    /// Replace credentials that are already stored
    #[arg(long)]
    pub(crate) replace: bool,
    /// Continue with the file that a failed setup left
    #[arg(long, value_name = "FILE", conflicts_with = "code")]
    pub(crate) from: Option<PathBuf>,
    /// Continue with the code, or the address, from the browser's address bar (`-` for stdin)
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// Loopback address of the page (port 0: any free port)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = super::address)]
    pub(crate) listen: SocketAddr,
    /// Print addresses instead of opening a browser
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// End without waiting for the installation, and without the checks
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How long to wait for you in the browser, for the App and again for its installation
    #[arg(long, value_name = "SPAN", default_value = "10m")]
    pub(crate) timeout: Limit,
    /// URL of GitHub's API [env: GITHUB_API_URL]
    #[arg(long, value_name = "URL")]
    pub(crate) github_api_url: Option<String>,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

/// A length of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limit(pub(crate) Duration);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = text.parse::<Span>().ok();
        let span = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
        let limit = span.and_then(|span| Duration::try_from(span).ok()).filter(|limit| !limit.is_zero());
        limit.map(Self).ok_or_else(|| "expected a span such as 90s, 10m or 1h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_positive_span() {
        let limit = |text: &str| text.parse::<Limit>().map(|limit| limit.0.as_secs());
        assert_eq!(limit("90s"), Ok(90));
        assert_eq!(limit("1h"), Ok(3600));
        for wrong in ["", "10", "0s", "-5m", "1mo", "soon"] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
    }
}
