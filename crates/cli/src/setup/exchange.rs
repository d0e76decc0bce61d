//! Exchanges GitHub's code for the App's credentials.

use std::time::Duration;

use anyhow::anyhow;
use ecsrunner_engine::ports::Disposition;
use ecsrunner_engine::ports::github::GitHubError;
use ecsrunner_github::app_manifest::{ManifestCode, NewApp, Registrar};

use super::kept::{self, Kept};
use super::target::Target;
use crate::arguments::SetupArguments;
use crate::exit::Failure;
use crate::output::say;

/// The waits before the second and later attempts.
const WAITS: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// Returns the credentials. While GitHub does not answer, the code stays valid: it is tried again a few times, and then
/// kept in a file.
pub(super) async fn credentials(
    arguments: &SetupArguments,
    target: &Target,
    code: ManifestCode,
) -> Result<NewApp, Failure> {
    let registrar = target.registrar()?;
    let mut may_have_arrived = false;
    for wait in WAITS {
        match registrar.convert(&code).await {
            Ok(app) => return Ok(app),
            Err(error) if !is_passing(&error) => return Err(refused(error, may_have_arrived)),
            Err(error) => {
                say(&format!("GitHub does not hand over the App's credentials ({error}), trying again"));
                may_have_arrived |= !matches!(error, GitHubError::Throttled { .. });
            }
        }
        tokio::time::sleep(wait).await;
    }
    last(arguments, target, registrar, code, may_have_arrived).await
}

async fn last(
    arguments: &SetupArguments,
    target: &Target,
    registrar: Registrar,
    code: ManifestCode,
    may_have_arrived: bool,
) -> Result<NewApp, Failure> {
    let error = match registrar.convert(&code).await {
        Ok(app) => return Ok(app),
        Err(error) if !is_passing(&error) => return Err(refused(error, may_have_arrived)),
        Err(error) => error,
    };
    let failure = Failure::of_github(error);
    // It is in the file already.
    if let Some(file) = &arguments.from {
        let retry = target.command(arguments, &["--from", &file.display().to_string()]);
        return Err(failure.hint(format!("the code is valid for an hour: run `{retry}` when GitHub is back")));
    }
    Err(match kept::write(&Kept::Code(code)) {
        Ok(file) => {
            let file = file.display().to_string();
            let retry = target.command(arguments, &["--from", &file]);
            failure
                .under(format!(
                    "the App is made, and its credentials are still at GitHub; the code for them is in {file}"
                ))
                .hint(format!("the code is valid for an hour: run `{retry}` when GitHub is back"))
        }
        Err(error) => failure.under(format!("the code could not be kept ({error:#})")).hint(format!(
            "copy the code from the browser's history, and run `{}`",
            target.command(arguments, &["--code", "-"])
        )),
    })
}

fn is_passing(error: &GitHubError) -> bool {
    matches!(error.disposition(), Disposition::Retry { .. })
}

fn refused(error: GitHubError, may_have_arrived: bool) -> Failure {
    if !matches!(error, GitHubError::Refused { status: 404, .. }) {
        return Failure::of_github(error);
    }
    let fault = if may_have_arrived {
        anyhow!("GitHub has accepted the code, and its answer with the App's credentials was lost")
    } else {
        anyhow!("GitHub does not know the code: each is valid once, for an hour after the App was made")
    };
    Failure::from(fault).hint(
        "delete the App in your or the organization's settings at GitHub (Developer settings, GitHub Apps, Advanced), \
         and run `ecsrunner setup` again",
    )
}
