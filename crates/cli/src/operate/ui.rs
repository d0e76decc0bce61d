//! `ecsrunner ui`: the page over a deployment. A local server has a page of its own, which is opened.

#[cfg(feature = "aws")]
mod backend;

use std::io::Write as _;

use super::find::{self, Asked};
use crate::arguments::UiArguments;
use crate::browser::{self, Opened};
use crate::deployment::Deployment;
use crate::exit::Failure;
use crate::output::{call, print, say};

/// Shows the page until Ctrl-C.
pub(super) async fn ui(arguments: &UiArguments) -> Result<(), Failure> {
    let asked = arguments.job.as_deref().map(Asked::parse).transpose()?;
    let deployment = Deployment::connect(&arguments.target).await?;
    let job = match asked {
        Some(asked) => Some(asked.job(&deployment).await?),
        None => None,
    };
    if let Some(job) = &job
        && deployment.job(job.id.get()).await?.is_none()
    {
        return Err(find::no_job(&deployment, job.id));
    }
    let query = job.map(|job| format!("?job={}", job.id)).unwrap_or_default();
    match deployment {
        Deployment::Local(server) => {
            if let Some(opened) = show(arguments, &server.page(&query), None)? {
                opened.finish().await;
            }
            Ok(())
        }
        #[cfg(feature = "aws")]
        Deployment::Aws(aws) => backend::serve(arguments, aws, &query).await,
    }
}

/// Prints the address of the page, and opens it in a browser unless that is not wanted or not possible. `port` is given
/// if the page is served by this process.
fn show(arguments: &UiArguments, address: &str, port: Option<u16>) -> Result<Option<Opened>, Failure> {
    let opened = if arguments.no_browser { None } else { browser::open_secretly(address) };
    print(&format!("{address}\n"))?;
    std::io::stdout().flush()?;
    match (&opened, port) {
        (Some(_), _) => say("opening your browser; if it shows nothing, open the address above"),
        (None, None) => {}
        (None, Some(port)) => {
            if let Some(command) = browser::forwarding(port) {
                call(&format!(
                    "from the machine that you came from by SSH, forward the port first:\n\n  {command}\n"
                ));
            }
        }
    }
    if port.is_some() {
        say("anyone with this address can use the page, so do not share it; press Ctrl-C to stop");
    }
    Ok(opened)
}
