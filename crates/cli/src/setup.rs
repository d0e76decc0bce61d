//! `ecsrunner setup`: makes the GitHub App, stores its credentials before anything
//! else, points its webhook at the deployment, waits for its installation, and runs the
//! checks of `ecsrunner doctor`. Each step looks first at what is there, so a second run
//! repairs what the first one left undone.
//!
//! No message, error or log line has a secret. The page's text and routes belong in `page`.

mod exchange;
mod installation;
mod kept;
mod owner;
mod page;
mod private_file;
mod register;
mod target;
mod webhook;

use std::future::Future;

use anyhow::anyhow;
use ecsrunner_engine::ports::github::GitHubError;
use ecsrunner_github::Client;
use ecsrunner_github::app_manifest::NewApp;
use ecsrunner_github::operator::AppInfo;
use secrecy::SecretString;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::arguments::SetupArguments;
use crate::deployment::github;
use crate::exit::{DONE, Failure};
use crate::operate::doctor;
use crate::output::{self, call, say};
use crate::{environment, log, random};
use kept::Kept;
use register::Arrived;
use target::{Held, Target};

/// Runs all steps. Returns the exit code of the checks.
pub(crate) fn run(arguments: &SetupArguments) -> Result<u8, Failure> {
    log::init_for_command();
    if let Some(url) = &arguments.github_api_url {
        environment::use_github_api(url);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let critical = Mutex::new(());
        tokio::select! {
            ended = set_up(arguments, &critical) => ended,
            failure = interrupted(&critical) => Err(failure),
        }
    });
    runtime.shutdown_background();
    ended
}

/// Waits for Ctrl-C, and for the end of a critical section: credentials that GitHub has handed over must be stored.
async fn interrupted(critical: &Mutex<()>) -> Failure {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    let _stored = critical.lock().await;
    Failure::from(anyhow!("setup was interrupted"))
        .hint("run `ecsrunner setup` again: it continues where it ended")
}

async fn set_up(arguments: &SetupArguments, critical: &Mutex<()>) -> Result<u8, Failure> {
    let target = Target::find(arguments).await?;
    let (client, is_open) = match credentials(arguments, &target).await? {
        Credentials::Stored(client) => (client, false),
        Credentials::Taken(kept) => {
            let (client, _page) = critical_section(critical, store(arguments, &target, kept)).await?;
            (client, false)
        }
        Credentials::Needed => {
            let arrived = register::register(arguments, &target).await?;
            critical_section(critical, arrive(arguments, &target, arrived)).await?
        }
    };
    let app = app(&client).await?;
    say(&format!("App {} ({})", app.name, app.html_url.as_deref().unwrap_or("no page")));
    webhook::settle(&target, &client).await?;
    finish(arguments, &target, &client, &app, is_open).await
}

/// Where the credentials come from.
enum Credentials {
    /// They are stored, and GitHub accepts them.
    Stored(Client),
    /// An earlier setup left them in a file.
    Taken(Kept),
    /// GitHub has to make an App.
    Needed,
}

async fn credentials(arguments: &SetupArguments, target: &Target) -> Result<Credentials, Failure> {
    let taken = arguments.from.as_deref().map(kept::read).transpose()?;
    let held = target.held().await?;
    if let Some(taken) = taken {
        return match held {
            _ if arguments.replace => Ok(Credentials::Taken(taken)),
            Held::Nothing => Ok(Credentials::Taken(taken)),
            // The file's own App: the first attempt stored only a part.
            Held::App { id, .. } if taken.app_id().is_some_and(|own| own.to_string() == id) => {
                Ok(Credentials::Taken(taken))
            }
            _ => Err(occupied(target)),
        };
    }
    match held {
        _ if arguments.replace => Ok(Credentials::Needed),
        Held::Nothing => Ok(Credentials::Needed),
        Held::App { .. } | Held::Token if arguments.code.is_some() => Err(occupied(target)),
        Held::App { client, .. } => match client.app().await {
            Ok(_) => {
                say(&format!("{} has the credentials of an App", target.place()));
                Ok(Credentials::Stored(*client))
            }
            Err(error @ GitHubError::Refused { status: 401 | 404, .. }) => Err(Failure::of_github(error)
                .hint(format!(
                    "GitHub does not accept the credentials in {}: run `{}` to make a new App",
                    target.place(),
                    target.command(arguments, &["--replace"])
                ))),
            Err(error) => Err(Failure::of_github(error)),
        },
        Held::Token => {
            Err(Failure::usage(anyhow!("{} has a token, not an App's credentials", target.place())).hint(
                format!(
                    "a token works too; run `{}` to make an App in its place",
                    target.command(arguments, &["--replace"])
                ),
            ))
        }
        Held::Unusable(fault) => Err(Failure::usage(anyhow!("{}: {fault}", target.place())).hint(format!(
            "correct it, or run `{}` to make a new App",
            target.command(arguments, &["--replace"])
        ))),
    }
}

fn occupied(target: &Target) -> Failure {
    Failure::usage(anyhow!("{} has credentials already", target.place()))
        .hint("add `--replace` to store the new App's in their place")
}

/// Runs a step that Ctrl-C does not interrupt.
async fn critical_section<T>(critical: &Mutex<()>, step: impl Future<Output = T>) -> T {
    let _held = critical.lock().await;
    step.await
}

/// Exchanges the code, stores the credentials, and answers the browser. Returns whether it was sent to the installation.
async fn arrive(
    arguments: &SetupArguments,
    target: &Target,
    arrived: Arrived,
) -> Result<(Client, bool), Failure> {
    let Arrived { code, browser } = arrived;
    match store(arguments, target, Kept::Code(code)).await {
        Ok((client, page)) => {
            let is_open = browser.send_to(&installation::address(&page)).await;
            Ok((client, is_open))
        }
        Err(failure) => {
            browser.tell_failure().await;
            Err(failure)
        }
    }
}

/// Stores credentials, and the code's or file's before that. Returns a client, and the address of the App's page.
async fn store(arguments: &SetupArguments, target: &Target, kept: Kept) -> Result<(Client, String), Failure> {
    let (app, webhook_secret) = match kept {
        Kept::Code(code) => {
            let app = exchange::credentials(arguments, target, code).await?;
            let webhook_secret = match app.webhook_secret.clone() {
                Some(secret) => secret,
                // An App without a webhook can get one later, with this secret.
                None => random::secret()?,
            };
            (app, webhook_secret)
        }
        Kept::App { app, webhook_secret } => (app, webhook_secret),
    };
    let stored = target.store(&app, &webhook_secret).await;
    let client = match stored {
        Ok(client) => client,
        Err(failure) => return Err(keep(arguments, target, app, webhook_secret, failure)),
    };
    say(&format!("stored the credentials of {} in {}", app.name, target.place()));
    if let Some(file) = &arguments.from {
        kept::remove(file);
    }
    Ok((client, app.html_url))
}

/// Writes credentials that could not be stored to a file, and says how to continue.
fn keep(
    arguments: &SetupArguments,
    target: &Target,
    app: NewApp,
    webhook_secret: SecretString,
    failure: Failure,
) -> Failure {
    let (name, page) = (app.name.clone(), app.html_url.clone());
    let place = target.place();
    let context = format!("the credentials of {name} could not be stored in {place}");
    // They are in the file already.
    if let Some(file) = &arguments.from {
        let retry = target.command(arguments, &["--from", &file.display().to_string()]);
        return failure.under(context).hint(format!("correct the cause, and run `{retry}` again"));
    }
    match kept::write(&Kept::App { app, webhook_secret }) {
        Ok(file) => {
            let file = file.display().to_string();
            let retry = target.command(arguments, &["--from", &file]);
            failure
                .under(format!("{context}; they are in {file}, which only you can read"))
                .hint(format!("correct the cause, and run `{retry}`: it stores them and deletes the file"))
        }
        Err(error) => failure.under(format!("{context}, nor written to a file ({error:#})")).hint(format!(
            "delete the App at {page} (Advanced), and run `ecsrunner setup` again: GitHub does not show its key again"
        )),
    }
}

/// Returns the App of these credentials, which are an App's.
async fn app(client: &Client) -> Result<AppInfo, Failure> {
    let app = client.app().await.map_err(Failure::of_github)?;
    Ok(app.ok_or_else(|| anyhow!("the stored credentials are a token's, not an App's"))?)
}

/// The result of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    app: AppReport<'a>,
    installation: Option<&'a installation::Found>,
    /// `None` if the checks were skipped.
    healthy: Option<bool>,
    checks: &'a [doctor::Check],
}

#[derive(Serialize)]
struct AppReport<'a> {
    name: &'a str,
    slug: Option<&'a str>,
    url: Option<&'a str>,
}

async fn finish(
    arguments: &SetupArguments,
    target: &Target,
    client: &Client,
    app: &AppInfo,
    is_open: bool,
) -> Result<u8, Failure> {
    let page = app.html_url.clone().unwrap_or_else(|| {
        let slug = app.slug.as_deref().unwrap_or_default();
        github::Pages::of(target.api()).at(&format!("apps/{slug}"))
    });
    let address = installation::address(&page);
    let report = AppReport { name: &app.name, slug: app.slug.as_deref(), url: app.html_url.as_deref() };
    if arguments.no_wait {
        call(&format!("install the App on your repositories: {address}"));
        if arguments.format.json {
            output::print_json(&Report { app: report, installation: None, healthy: None, checks: &[] })?;
        }
        return Ok(DONE);
    }
    let found = installation::wait(arguments, target, client, &address, is_open).await?;
    found.tell(&address);
    let document = target.check(client).await;
    if arguments.format.json {
        output::print_json(&Report {
            app: report,
            installation: Some(&found),
            healthy: Some(document.healthy),
            checks: &document.checks,
        })?;
    } else {
        document.print()?;
    }
    target.say_next();
    Ok(document.code())
}
