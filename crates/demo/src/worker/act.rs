//! Executes a job's steps with nektos/act, if it is installed.
//!
//! act gets a workflow with only this job and its matrix expanded, so that it
//! neither runs the jobs that this one needs nor chooses among combinations. It
//! is killed when the job is interrupted, because it would run `always()` steps
//! while the listener shuts down. Therefore, unlike with the official runner and
//! this crate's own execution of steps, a job that is cancelled at GitHub runs no
//! `always()` steps.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::protocol::Conclusion;

use super::environment::Folders;
use super::job::{Ended, JobRun, Manner};
use super::order::{Condition, StepOrder, Work};

/// The variable with `act` or `steps`. If unset, act is used if it is on the path.
const EXECUTOR_VARIABLE: &str = "ECSRUNNER_SIM_EXECUTOR";

/// Variables that act sets itself, for its own folders.
const ACTS_OWN: [&str; 4] = ["GITHUB_WORKSPACE", "GITHUB_EVENT_PATH", "RUNNER_TEMP", "RUNNER_WORKSPACE"];

/// The label that act maps to this machine.
const LABEL: &str = "self-hosted";

/// The first step of a job whose job-started hook failed, so that only steps that run after a failure run.
const FAILED_BEFORE: &str = "The job failed before its first step";

/// The step that copies the files of the submission.
const COPY: &str = "Copy the workspace";

/// Returns the path of act, if it is to be used.
pub(super) fn executable() -> Option<PathBuf> {
    match std::env::var(EXECUTOR_VARIABLE).as_deref() {
        Ok("steps") => None,
        Ok("act") => Some(on_path("act").unwrap_or_else(|| PathBuf::from("act"))),
        _ => on_path("act"),
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The fields that are read from a line of `act --json`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default)]
    msg: String,
    #[serde(default, rename = "raw_output")]
    raw_output: bool,
    #[serde(default)]
    level: String,
    #[serde(default)]
    stage: String,
    #[serde(default)]
    step: String,
    step_result: Option<String>,
}

impl JobRun {
    /// Executes all steps, `pre:` and `post:` scripts included.
    pub(super) fn act(&mut self, folders: &Folders, act: &Path, steps: &[StepOrder]) {
        if !self.is_due(Condition::Always) || self.interruption.is_some() {
            return;
        }
        let command = match self.act_command(folders, act, steps) {
            Ok(command) => command,
            Err(error) => {
                self.fail(&format!("act's files cannot be written: {error}"));
                return;
            }
        };
        let ended = self.run_process(command, Manner::AtOnce, Self::read_act);
        match ended {
            Ended::Exited(status) if status.success() => {}
            Ended::Exited(status) if self.failed => self.write(&format!("act: {status}")),
            Ended::Exited(status) => self.fail(&format!("act ended with {status}")),
            Ended::NotStarted(error) => self.fail(&format!("act cannot be started: {error}")),
            Ended::Interrupted => self.error("The operation was canceled."),
        }
    }

    fn act_command(&self, folders: &Folders, act: &Path, steps: &[StepOrder]) -> io::Result<Command> {
        let home = folders.temp.join("act");
        fs::create_dir_all(home.join(".config/act"))?;
        // Without this empty file, act asks interactively which images to use.
        fs::write(home.join(".config/act/actrc"), "")?;
        let workflow = home.join("workflow.yml");
        fs::write(&workflow, self.act_workflow(folders, steps).to_string())?;
        let variables = home.join("variables");
        let own = self.variables.iter().filter(|(name, _)| {
            (name.starts_with("GITHUB_") || name.starts_with("RUNNER_")) && !ACTS_OWN.contains(&name.as_str())
        });
        fs::write(&variables, own.map(|(name, value)| format!("{name}={value}\n")).collect::<String>())?;
        let mut command = Command::new(act);
        command
            .args(["push", "--json", "--no-cache-server", "--job", &self.order.github("job")])
            .args(["--platform", &format!("{LABEL}=-self-hosted")])
            .arg("--workflows")
            .arg(&workflow)
            .arg("--eventpath")
            .arg(folders.event_file())
            .arg("--env-file")
            .arg(&variables)
            .arg("--directory")
            .arg(&folders.workspace)
            .current_dir(&folders.workspace)
            .env_clear()
            .envs(&self.variables)
            .env("HOME", &home)
            .env_remove("XDG_CACHE_HOME")
            .env_remove("XDG_CONFIG_HOME");
        Ok(command)
    }

    /// Returns a workflow with only this job, as JSON, which is valid YAML.
    fn act_workflow(&self, folders: &Folders, steps: &[StepOrder]) -> Value {
        // act works in its own folder, which is empty.
        let copy = format!("cp -R '{}/.' .", folders.workspace.display());
        let mut all = vec![json!({"name": COPY, "run": copy})];
        if self.failed {
            all.push(json!({"name": FAILED_BEFORE, "run": "exit 1"}));
        }
        all.extend(steps.iter().map(step));
        let env = self.order.env.as_deref().unwrap_or_default();
        let job = json!({"name": self.order.name, "runs-on": LABEL, "env": mapping(env), "steps": all});
        json!({"name": self.order.github("workflow"), "on": "push", "jobs": {self.order.github("job"): job}})
    }

    fn read_act(&mut self, text: &str) {
        let Ok(line) = serde_json::from_str::<Line>(text) else {
            self.write(text);
            return;
        };
        if line.raw_output {
            self.write(line.msg.trim_end_matches('\n'));
        } else if let Some(result) = &line.step_result {
            let conclusion = match result.as_str() {
                "success" => Conclusion::Success,
                "skipped" => Conclusion::Skipped,
                _ => Conclusion::Failure,
            };
            // The listener itself reports set-up and completion of the job.
            if !line.stage.is_empty() && line.step != FAILED_BEFORE && line.step != COPY {
                let prefix = if line.stage == "Main" { String::new() } else { format!("{} ", line.stage) };
                self.begin(&format!("{prefix}{}", line.step));
                self.end(conclusion);
            }
        } else if line.msg.contains("Job failed") {
            self.failed = true;
        } else if line.level == "fatal" {
            self.error(&line.msg);
        }
    }
}

fn step(step: &StepOrder) -> Value {
    let condition = match step.condition {
        Condition::Success => "success()",
        Condition::Failure => "failure()",
        Condition::Cancelled => "cancelled()",
        Condition::Always => "always()",
    };
    let mut value = json!({
        "name": step.title(),
        "if": condition,
        "env": mapping(step.env.as_deref().unwrap_or_default()),
        "continue-on-error": step.continue_on_error,
    });
    let inputs = step.inputs.as_deref().unwrap_or_default();
    match &step.work {
        Work::Script => {
            for (name, key) in
                [("script", "run"), ("shell", "shell"), ("workingDirectory", "working-directory")]
            {
                if let Some(text) = step.input(name) {
                    value[key] = json!(text);
                }
            }
        }
        Work::LocalAction { folder } => {
            value["uses"] = json!(format!("./{folder}"));
            value["with"] = mapping(inputs);
        }
        Work::RepositoryAction { name, version, .. } => {
            value["uses"] = json!(format!("{name}@{version}"));
            value["with"] = mapping(inputs);
        }
        Work::Other(kind) => value["run"] = json!(format!("echo cannot execute {kind}; exit 1")),
    }
    value
}

fn mapping(env: &[(String, String)]) -> Value {
    Value::Object(env.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>())
}
