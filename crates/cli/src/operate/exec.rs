//! `ecsrunner runners exec`: ECS Exec, through AWS's Session Manager plugin.
//!
//! The plugin exits with 0 even if the command fails. If the output is not a
//! terminal, the command's exit code is therefore printed at the end of its
//! output and removed from it here.

mod code;

use std::io::{self, IsTerminal};
use std::process::Stdio;

use anyhow::{Context, anyhow};
use ecsrunner_aws::operate::{Channel, OperateError};
use ecsrunner_core::id::TaskId;
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::process::Command;

use code::Code;

use super::find;
use crate::arguments::RunnerExec;
use crate::deployment::{AwsDeployment, Deployment};
use crate::environment;
use crate::exit::Failure;
use crate::interrupt::Interrupts;

const PLUGIN: &str = "session-manager-plugin";
const INSTALL: &str = "https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html";
/// The variable that passes the session to the plugin. As an argument, `ps` would show the session's token.
const SESSION_VARIABLE: &str = "AWS_SSM_START_SESSION_RESPONSE_ECSRUNNER";
const SHELL: &str = "/bin/bash";
/// The exit code of a failure of `runners exec` itself, unlike the command's own codes.
const OURS: u8 = 255;

/// Executes a command in a runner's task and returns its exit code. For a shell,
/// or on a terminal, returns the plugin's exit code.
pub(super) async fn exec(arguments: &RunnerExec) -> Result<u8, Failure> {
    open(arguments).await.map_err(|failure| failure.exiting(OURS))
}

async fn open(arguments: &RunnerExec) -> Result<u8, Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let aws = deployment.on_aws("ECS Exec")?;
    let runner = find::runner(&deployment, &arguments.runner).await?;
    let name = &runner.name;
    let Some(task) = &runner.task else {
        return Err(anyhow!("runner {name} has no task yet: its state is {}", runner.state).into());
    };
    let task = TaskId::parse(task).map_err(Failure::usage)?;
    // Detects a missing plugin before a session is opened.
    find_plugin().await?;
    let code =
        if arguments.command.is_empty() || io::stdout().is_terminal() { None } else { Some(Code::new()?) };
    let command = match &code {
        _ if arguments.command.is_empty() => SHELL.to_owned(),
        None => quoted(&arguments.command),
        Some(code) => quoted(&["sh", "-c", &code.told_by(&quoted(&arguments.command))]),
    };
    let channel = aws.open_channel(&task, &command).await.map_err(|error| told(error, name))?;
    let profile = arguments.target.profile.clone().or_else(|| environment::text(environment::AWS_PROFILE));
    speak(aws, &channel, &profile.unwrap_or_default(), code).await
}

fn told(error: OperateError, runner: &str) -> Failure {
    let hint = match &error {
        OperateError::ExecOff => Some(
            "set `exec` of its class to true in runner_class_sizes and apply: runners that start later allow it",
        ),
        OperateError::NotRunning(_) | OperateError::Missing(_) => Some(
            "only a running task has a shell: `ecsrunner runners details` shows the state, `ecsrunner runners logs` the log",
        ),
        OperateError::Failed { .. } | OperateError::Deleted(_) | OperateError::Form { .. } => None,
    };
    let failure = match error {
        OperateError::Failed { .. } => Failure::of_aws(error),
        error => {
            anyhow::Error::new(error).context(format!("cannot open a session in runner {runner}")).into()
        }
    };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

async fn find_plugin() -> Result<(), Failure> {
    let asked =
        Command::new(PLUGIN).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    match asked {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::from(anyhow!("`{PLUGIN}` is not installed"))
                .hint(format!("install it as described at {INSTALL}")))
        }
        Err(error) => {
            Err(Failure::from(anyhow::Error::new(error).context(format!("`{PLUGIN}` cannot be executed"))))
        }
    }
}

async fn speak(
    aws: &AwsDeployment,
    channel: &Channel,
    profile: &str,
    code: Option<Code>,
) -> Result<u8, Failure> {
    let session = json!({
        "sessionId": channel.session_id,
        "streamUrl": channel.stream_url,
        "tokenValue": channel.token.expose_secret(),
    });
    // Ctrl-C is meant for the command in the task. The plugin would inherit an
    // ignored signal, but does not inherit this handler.
    let mut interrupts = Interrupts::begin()?;
    let mut plugin = Command::new(PLUGIN)
        .arg(SESSION_VARIABLE)
        .arg(aws.region())
        .arg("StartSession")
        .arg(profile)
        .arg(json!({"Target": channel.target}).to_string())
        .arg(aws.ecs_endpoint())
        .env(SESSION_VARIABLE, session.to_string())
        .stdout(if code.is_some() { Stdio::piped() } else { Stdio::inherit() })
        .spawn()
        .with_context(|| format!("`{PLUGIN}` cannot be executed"))?;
    let output = plugin.stdout.take();
    let ended = async {
        let is_told = code.is_some();
        let told = match (code, output) {
            (Some(code), Some(output)) => code.pass_on(output, &mut io::stdout()).await?,
            _ => None,
        };
        let status = plugin.wait().await.context("cannot wait for the plugin")?;
        let own = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(OURS);
        match told {
            _ if !status.success() => Ok(own),
            Some(code) => Ok(code),
            None if is_told => {
                Err(Failure::from(anyhow!("the session ended before the command's exit code arrived")))
            }
            None => Ok(own),
        }
    };
    tokio::pin!(ended);
    loop {
        tokio::select! {
            code = &mut ended => return code,
            () = interrupts.next() => {}
        }
    }
}

/// Quotes words so that a shell splits the line into the same words.
fn quoted(words: &[impl AsRef<str>]) -> String {
    let quote = |word: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@%+".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.to_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    words.iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_several_words_stays_one() {
        let words = ["sh", "-c", "echo it's $HOME", ""].map(str::to_owned);
        assert_eq!(quoted(&words), r"sh -c 'echo it'\''s $HOME' ''");
    }
}
