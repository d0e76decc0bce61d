//! Gets the code for a new App: from GitHub by way of our page, from the terminal, or
//! from `--code`.

use std::io::{self, BufRead, IsTerminal};
use std::thread;

use anyhow::{Context, anyhow};
use ecsrunner_github::app_manifest::{AppOwner, MAX_NAME, Manifest, ManifestCode};
use ecsrunner_github::permissions::Permissions;
use tokio::sync::mpsc;

use super::owner::{self, Owner};
use super::page::{Answer, Offer, Page};
use super::target::Target;
use crate::arguments::SetupArguments;
use crate::deployment::github::Pages;
use crate::exit::Failure;
use crate::output::{call, say, span};
use crate::{browser, random};

/// What the App is for, as GitHub shows it.
const DESCRIPTION: &str = "Registers ephemeral self-hosted runners for queued jobs (ecsrunner).";

/// GitHub's code, and the browser that brought it.
pub(super) struct Arrived {
    pub(super) code: ManifestCode,
    pub(super) browser: Browser,
}

/// The browser that waits for our answer, if one does, and our server.
pub(super) struct Browser {
    answer: Option<Answer>,
    page: Option<Page>,
}

impl Browser {
    /// Sends the browser to an address. Returns whether there is one.
    pub(super) async fn send_to(self, address: &str) -> bool {
        let sent = self.answer.is_some_and(|answer| answer.send_to(address));
        if let Some(page) = self.page {
            page.close().await;
        }
        sent
    }

    /// Tells the browser that the terminal says what went wrong.
    pub(super) async fn tell_failure(self) {
        if let Some(answer) = self.answer {
            answer.tell_failure();
        }
        if let Some(page) = self.page {
            page.close().await;
        }
    }
}

/// Serves the page and waits for a code, or takes that of `--code`.
pub(super) async fn register(arguments: &SetupArguments, target: &Target) -> Result<Arrived, Failure> {
    if let Some(given) = &arguments.code {
        let code = if given == "-" { first_line()? } else { given.clone() };
        let code = ManifestCode::parse(&code).map_err(|error| Failure::usage(error).under("--code"))?;
        return Ok(Arrived { code, browser: Browser { answer: None, page: None } });
    }
    let owner = owner::find(arguments, target.settings(), &target.registrar()?).await?;
    let page = page(arguments, target, &owner).await?;
    wait(arguments, target, page).await
}

fn first_line() -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("stdin cannot be read")?;
    Ok(line)
}

/// Binds the page's address and makes the manifest, which names it.
async fn page(arguments: &SetupArguments, target: &Target, owner: &Owner) -> Result<Page, Failure> {
    let listen = arguments.listen;
    if !listen.ip().is_loopback() {
        return Err(Failure::usage(anyhow!(
            "--listen is `{listen}`: a loopback address such as 127.0.0.1:8765 is expected"
        ))
        .hint("over SSH, forward the port: setup prints the command"));
    }
    let listener = tokio::net::TcpListener::bind(listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {listen}"));
    let listener = listener.map_err(|error| Failure::usage(error).of_listening())?;
    let address = listener.local_addr()?;
    let name = name(arguments, target, owner)?;
    let rules = target.rules();
    let permissions = Permissions::needed(&rules.settings.registration, rules.may_rerun());
    let redirect = format!("http://{address}/callback");
    let manifest = Manifest {
        name: &name,
        homepage: env!("CARGO_PKG_REPOSITORY"),
        description: DESCRIPTION,
        webhook: target.webhook_url(),
        redirect: &redirect,
        permissions: &permissions,
    };
    let state = random::text()?;
    let action = Pages::of(target.api()).at(&owner.owner.registration_path());
    let offer = Offer {
        action: format!("{action}?state={state}"),
        github: Pages::of(target.api()).at(""),
        manifest: manifest.json().to_string(),
        rows: rows(target, owner, &name, &permissions),
        state,
    };
    Ok(Page::serve(listener, offer)?)
}

/// Returns what the page shows of the App.
fn rows(
    target: &Target,
    owner: &Owner,
    name: &str,
    permissions: &Permissions,
) -> Vec<(&'static str, String)> {
    let owned = match (&owner.owner, &owner.login) {
        (AppOwner::Caller, Some(login)) => {
            format!("your own account, which should be {login}")
        }
        (other, _) => other.to_string(),
    };
    let permissions: Vec<String> =
        permissions.iter().map(|(name, level)| format!("{name}: {level}")).collect();
    let webhook = target.webhook_url().unwrap_or("none: the server asks GitHub for queued jobs");
    vec![
        ("Name", format!("{name} (you can change it at GitHub)")),
        ("Owner", owned),
        ("Permissions", permissions.join(", ")),
        ("Webhook", webhook.to_owned()),
        ("Credentials go to", target.place()),
    ]
}

/// Names of Apps are unique at GitHub, so it has the owner's name where there is room.
fn name(arguments: &SetupArguments, target: &Target, owner: &Owner) -> Result<String, Failure> {
    if let Some(name) = &arguments.name {
        let length = name.trim().chars().count();
        return if (1..=MAX_NAME).contains(&length) {
            Ok(name.trim().to_owned())
        } else {
            Err(Failure::usage(anyhow!("--name is `{name}`: 1 to {MAX_NAME} characters are expected")))
        };
    }
    let deployment = &target.settings().deployment;
    let long = owner.login.iter().map(|login| format!("ecsrunner-{login}-{deployment}"));
    let fitting = long.chain([format!("ecsrunner-{deployment}")]).find(|name| name.len() <= MAX_NAME);
    Ok(fitting.unwrap_or_else(|| "ecsrunner".to_owned()))
}

async fn wait(arguments: &SetupArguments, target: &Target, mut page: Page) -> Result<Arrived, Failure> {
    let can_type = io::stdin().is_terminal();
    tell(arguments, &page, can_type);
    let mut typed = codes_typed(can_type);
    let limit = tokio::time::sleep(arguments.timeout.0);
    let (code, answer) = tokio::select! {
        Some((code, answer)) = page.code() => (code, Some(answer)),
        Some(code) = typed.recv() => (code, None),
        () = limit => {
            page.close().await;
            let limit = span(jiff::SignedDuration::try_from(arguments.timeout.0).unwrap_or_default());
            return Err(Failure::from(anyhow!("GitHub sent no code within {limit}")).hint(format!(
                "run `{}` again; if GitHub has made the App, run `{}` with the code from the browser's address bar",
                target.command(arguments, &[]),
                target.command(arguments, &["--code", "-"])
            )));
        }
    };
    say("GitHub made the App");
    Ok(Arrived { code, browser: Browser { answer, page: Some(page) } })
}

fn tell(arguments: &SetupArguments, page: &Page, can_type: bool) {
    let address = page.address();
    if !arguments.no_browser && browser::open(&address) {
        say(&format!("opened {address} in your browser: continue there"));
    } else {
        call(&format!("open this page in a browser on this machine:\n\n  {address}\n"));
        if let Some(command) = browser::forwarding(page.port()) {
            say(&format!(
                "from the machine that you came from by SSH, forward the port first:\n\n  {command}\n"
            ));
        }
    }
    if can_type {
        say(
            "if the browser cannot come back here, paste the address or the code that it shows, and press Enter",
        );
    }
}

/// Reads codes from the terminal.
fn codes_typed(can_type: bool) -> mpsc::Receiver<ManifestCode> {
    let (sender, receiver) = mpsc::channel(1);
    if can_type {
        // Nothing can end a read of the terminal, so it has a thread of its own, which ends with the process.
        thread::spawn(move || {
            for line in
                io::stdin().lock().lines().map_while(Result::ok).filter(|line| !line.trim().is_empty())
            {
                match ManifestCode::parse(&line) {
                    Ok(code) => {
                        // A code may have come from the browser meanwhile.
                        let _sent = sender.blocking_send(code);
                        return;
                    }
                    Err(error) => say(&error.to_string()),
                }
            }
        });
    }
    receiver
}
