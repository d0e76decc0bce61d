//! Where the credentials go: the secrets of a deployment on AWS, or the files of a
//! configuration for one machine.

#[cfg(feature = "aws")]
mod aws;
mod machine;
mod section;

use anyhow::anyhow;
use ecsrunner_core::rules::Rules;
use ecsrunner_core::rules::settings::Settings;
use ecsrunner_github::app_manifest::{NewApp, Registrar};
use ecsrunner_github::{ApiUrl, Client};
use secrecy::SecretString;

use crate::arguments::SetupArguments;
use crate::deployment::Named;
#[cfg(not(feature = "aws"))]
use crate::deployment::without_aws;
use crate::environment;
use crate::exit::Failure;
use crate::machine::Attachment;
use crate::operate::doctor::Document;
#[cfg(feature = "aws")]
use aws::AwsTarget;
use machine::Machine;

pub(super) enum Target {
    #[cfg(feature = "aws")]
    Aws(Box<AwsTarget>),
    Machine(Box<Machine>),
}

/// The credentials for GitHub that are stored.
pub(super) enum Held {
    Nothing,
    Token,
    App {
        /// Its id, or its client id.
        id: String,
        client: Box<Client>,
    },
    /// Something is stored that is no credentials. The text says what is wrong with it.
    Unusable(String),
}

impl Target {
    /// Returns what flags or variables name.
    pub(super) async fn find(arguments: &SetupArguments) -> Result<Self, Failure> {
        let url = arguments.webhook_url.as_deref();
        if let Some(url) = url.filter(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
            return Err(Failure::usage(anyhow!(
                "--webhook-url is `{url}`: an http or https URL is expected"
            )));
        }
        if let Some(file) = &arguments.config {
            return Ok(Self::Machine(Box::new(Machine::read(file, url)?)));
        }
        let is_named = arguments.target.local.is_some() || arguments.target.deployment.is_some();
        let by_variable = environment::config().filter(|_| !is_named);
        let named = match (Named::of(&arguments.target), by_variable) {
            (Ok(_), Some(file)) => {
                return Err(Failure::usage(anyhow!(
                    "{} is `{}`, and another variable names a deployment",
                    environment::CONFIG,
                    file.display()
                ))
                .hint("use `--config FILE`, or `--deployment NAME`"));
            }
            (Err(_), Some(file)) => return Ok(Self::Machine(Box::new(Machine::read(&file, url)?))),
            (named, None) => named.map_err(|failure| {
                let hint = "use `--deployment NAME` for a deployment on AWS, `--config FILE` for one machine";
                if arguments.target.deployment.is_none()
                    && failure.hint_text().is_some()
                    && is_nothing(&failure)
                {
                    failure.hint(hint)
                } else {
                    failure
                }
            })?,
        };
        match named {
            Named::Local(server) if server.starts_with("http://") || server.starts_with("https://") => {
                Err(Failure::usage(anyhow!("setup needs the configuration of the server at {server}"))
                    .hint("use `--config FILE`, or `--local DIR` with its state directory"))
            }
            Named::Local(dir) => {
                let attached = Attachment::read(dir.as_ref()).map_err(Failure::usage)?;
                Ok(Self::Machine(Box::new(Machine::read(&attached.config, url)?)))
            }
            #[cfg(feature = "aws")]
            Named::Aws(_) => Ok(Self::Aws(Box::new(AwsTarget::connect(arguments).await?))),
            #[cfg(not(feature = "aws"))]
            Named::Aws(name) => Err(without_aws(&format!("deployment {name}"))),
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        self.rules().settings
    }

    pub(super) fn rules(&self) -> Rules<'_> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.rules(),
            Self::Machine(machine) => machine.rules(),
        }
    }

    /// Returns the address of GitHub's API.
    pub(super) fn api(&self) -> &ApiUrl {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.api(),
            Self::Machine(machine) => machine.api(),
        }
    }

    /// Returns a client for calls that need no credentials.
    pub(super) fn registrar(&self) -> Result<Registrar, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.registrar(),
            Self::Machine(machine) => machine.registrar(),
        }
    }

    /// Names where the App's credentials are stored.
    pub(super) fn place(&self) -> String {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.place(),
            Self::Machine(machine) => machine.place(),
        }
    }

    /// Names where the webhook's secrets are stored.
    pub(super) fn webhook_place(&self) -> String {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.webhook_place(),
            Self::Machine(machine) => machine.place(),
        }
    }

    /// Returns where GitHub sends webhooks; `None` if it cannot reach the deployment.
    pub(super) fn webhook_url(&self) -> Option<&str> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => Some(aws.webhook_url()),
            Self::Machine(machine) => machine.webhook_url(),
        }
    }

    pub(super) async fn held(&self) -> Result<Held, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.held().await,
            Self::Machine(machine) => Ok(machine.held()),
        }
    }

    /// Returns the first of the secrets that the deployment accepts for webhooks.
    pub(super) async fn webhook_secret(&self) -> Result<Option<SecretString>, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.webhook_secret().await,
            Self::Machine(machine) => Ok(machine.webhook_secret()),
        }
    }

    /// Stores an App's credentials and the secret of its webhook, and returns a client with them. Storing the same ones
    /// again changes nothing.
    pub(super) async fn store(&self, app: &NewApp, webhook_secret: &SecretString) -> Result<Client, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.store(app, webhook_secret).await,
            Self::Machine(machine) => machine.store(app, webhook_secret),
        }
    }

    pub(super) async fn store_webhook_secret(&self, secret: &SecretString) -> Result<(), Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.store_webhook_secret(secret).await,
            Self::Machine(machine) => machine.store_webhook_secret(secret),
        }
    }

    /// Runs the checks of `ecsrunner doctor`: on one machine, those that need no running server.
    pub(super) async fn check(&self, client: &Client) -> Document {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.check().await,
            Self::Machine(machine) => Document::of_github(client, machine.rules()).await,
        }
    }

    /// Prints what to do next.
    pub(super) fn say_next(&self) {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(_) => {}
            Self::Machine(machine) => machine.say_next(),
        }
    }

    /// Returns the command that runs setup again with the same meaning and these further arguments.
    pub(super) fn command(&self, arguments: &SetupArguments, more: &[&str]) -> String {
        let mut words = vec!["ecsrunner".to_owned(), "setup".to_owned()];
        let mut option = |flag: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("{flag} {}", quoted(&value))));
        };
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => option("--deployment", Some(aws.name())),
            Self::Machine(machine) => option("--config", Some(machine.file().display().to_string())),
        }
        option("--profile", arguments.target.profile.clone());
        option("--region", arguments.target.region.clone());
        option("--organization", arguments.organization.as_ref().map(ToString::to_string));
        option("--webhook-url", arguments.webhook_url.clone());
        option("--github-api-url", arguments.github_api_url.clone());
        words.extend(arguments.personal.then(|| "--personal".to_owned()));
        let replaces = arguments.replace && !more.contains(&"--replace");
        words.extend(replaces.then(|| "--replace".to_owned()));
        words.extend(more.iter().map(|word| quoted(word)));
        words.join(" ")
    }
}

/// Whether neither a flag nor a variable named anything.
fn is_nothing(failure: &Failure) -> bool {
    failure.to_string().starts_with("no deployment given")
}

/// Quotes a word for a shell, if it needs quotes.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_command_is_quoted_for_a_shell_if_it_has_to_be() {
        assert_eq!(quoted("/home/me/app.json"), "/home/me/app.json");
        assert_eq!(quoted("it's mine"), r"'it'\''s mine'");
        assert_eq!(quoted(""), "''");
    }
}
