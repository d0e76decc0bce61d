//! `ecsrunner doctor`: checks each part of a deployment, and says how to fix
//! what is wrong.

#[cfg(feature = "aws")]
mod aws;
mod budgets;
mod github;
#[cfg(feature = "aws")]
mod image;
mod local;
#[cfg(feature = "aws")]
mod network;
#[cfg(feature = "aws")]
mod runner_image;
#[cfg(feature = "aws")]
mod webhook_sources;

use std::fmt::Display;

use ecsrunner_core::rules::Rules;
use ecsrunner_github::Client;
use serde::Serialize;

use crate::arguments::DoctorArguments;
use crate::deployment::Deployment;
use crate::exit::{DONE, FAILURE, Failure};
use crate::output::{self, behind, clean, print, width_for_people};

/// The result of one check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Check {
    name: &'static str,
    state: State,
    /// The finding, in one line.
    found: String,
    /// How to fix it.
    remedy: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    /// The caller may not see the part, or it cannot be reached.
    Unknown,
    /// It works now, but may soon fail, or fails for some jobs.
    Warning,
    /// Jobs do not run, or are not recorded.
    Failed,
}

impl Check {
    fn ok(name: &'static str, found: impl Display) -> Self {
        Self { name, state: State::Ok, found: found.to_string(), remedy: None }
    }

    fn warning(name: &'static str, found: impl Display, remedy: impl Display) -> Self {
        Self { name, state: State::Warning, found: found.to_string(), remedy: Some(remedy.to_string()) }
    }

    fn failed(name: &'static str, found: impl Display, remedy: impl Display) -> Self {
        Self { name, state: State::Failed, found: found.to_string(), remedy: Some(remedy.to_string()) }
    }

    /// A failed check, or an unknown one if the caller may not see the part.
    fn broken(name: &'static str, failure: &Failure, remedy: impl Display) -> Self {
        if failure.is_of_permission() {
            Self::unknown(name, failure)
        } else {
            Self::failed(name, one_line(&failure.to_string()), remedy)
        }
    }

    /// A part that the caller may not see, or that cannot be reached.
    fn unknown(name: &'static str, failure: &Failure) -> Self {
        let remedy = failure.hint_text().map(str::to_owned);
        let remedy =
            remedy.or_else(|| Some("run the command again with credentials that can read it".to_owned()));
        Self { name, state: State::Unknown, found: one_line(&failure.to_string()), remedy }
    }
}

/// The results of all checks.
#[derive(Serialize)]
pub(crate) struct Document {
    pub(crate) healthy: bool,
    pub(crate) checks: Vec<Check>,
}

/// Runs all checks. Returns exit code 1 if one failed.
pub(super) async fn doctor(arguments: &DoctorArguments) -> Result<u8, Failure> {
    let checks = match Deployment::connect(&arguments.target).await {
        Ok(deployment) => look(&deployment).await,
        Err(failure) if failure.is_of_parameters() => vec![Check::failed(
            "parameters",
            one_line(&failure.to_string()),
            "correct the Terraform inputs, and run `terraform apply`",
        )],
        Err(failure) => return Err(failure),
    };
    let document = Document::of(checks);
    if arguments.format.json {
        output::print_json(&document)?;
    } else {
        document.print()?;
    }
    Ok(document.code())
}

async fn look(deployment: &Deployment) -> Vec<Check> {
    let mut checks = match deployment {
        #[cfg(feature = "aws")]
        Deployment::Aws(aws) => aws::look(aws).await,
        Deployment::Local(server) => local::look(server, deployment).await,
    };
    checks.extend(budgets::look(deployment).await);
    checks.extend(github::look(deployment).await);
    checks
}

impl Document {
    /// Runs all checks of a deployment.
    #[cfg(feature = "aws")]
    pub(crate) async fn of_deployment(deployment: &Deployment) -> Self {
        Self::of(look(deployment).await)
    }

    /// Checks what these credentials may do at GitHub for a deployment with these rules.
    pub(crate) async fn of_github(client: &Client, rules: Rules<'_>) -> Self {
        Self::of(github::check(client, rules).await)
    }

    fn of(checks: Vec<Check>) -> Self {
        Self { healthy: checks.iter().all(|check| check.state != State::Failed), checks }
    }

    /// Returns the exit code of the command.
    pub(crate) fn code(&self) -> u8 {
        if self.healthy { DONE } else { FAILURE }
    }

    /// Prints the checks for people or, if stdout is no terminal, as lines.
    pub(crate) fn print(&self) -> Result<(), Failure> {
        Ok(print(&self.text(width_for_people()))?)
    }

    /// `width` is that of a terminal in columns, or `None` for programs.
    fn text(&self, width: Option<usize>) -> String {
        let mut text = String::new();
        for Check { name, state, found, remedy } in &self.checks {
            let state = match state {
                State::Ok => "ok",
                State::Unknown => "unknown",
                State::Warning => "warning",
                State::Failed => "failed",
            };
            let (found, remedy) = (clean(found), remedy.as_deref().map(clean));
            if let Some(width) = width {
                text += &behind(&format!("{state:<8} {name:<15} "), &found, width);
                let blank = format!("{:<8} {:<15} → ", "", "");
                text += &remedy.map(|remedy| behind(&blank, &remedy, width)).unwrap_or_default();
            } else {
                text += &format!("{state}\t{name}\t{found}\t{}\n", remedy.unwrap_or_default());
            }
        }
        if width.is_some() {
            let of = |state| self.checks.iter().filter(|check| check.state == state).count();
            let (failed, warnings, unknown) = (of(State::Failed), of(State::Warning), of(State::Unknown));
            text += &format!("\n{failed} failed, {warnings} warnings, {unknown} unknown\n");
        }
        text
    }
}

/// Joins the lines of a text.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_and_remedies_are_wrapped_beside_the_names_for_people_alone() {
        let found =
            "the task definition is not the one that was applied last: its image is of another version";
        let remedy = "run `terraform apply`, and look whether another deployment has the same name prefix";
        let document = Document::of(vec![
            Check::failed("task_definition", found, remedy),
            Check::ok("store", "it is there"),
        ]);
        insta::assert_snapshot!(document.text(Some(80)), @r"
        failed   task_definition the task definition is not the one that was applied
                                 last: its image is of another version
                                 → run `terraform apply`, and look whether another
                                   deployment has the same name prefix
        ok       store           it is there

        1 failed, 0 warnings, 0 unknown
        ");
        let lines = format!("failed\ttask_definition\t{found}\t{remedy}\nok\tstore\tit is there\t\n");
        assert_eq!(document.text(None), lines);
    }
}
