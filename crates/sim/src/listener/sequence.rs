//! The order in which a job's parts are executed, as the real runner's worker does it.
//!
//! A failing job-started hook fails the job like any step: `pre:` scripts and
//! steps with `always()` still run. Once the listener shuts down, nothing is
//! evaluated any more.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::protocol::{Completion, Conclusion, JobWork, StepReport};
use crate::workflow::{Condition, LocalAction, Shell, Step, Work};

use super::act;
use super::environment::{self, Folders};
use super::file_commands::FileCommands;
use super::job::{Ended, Interruption, JobRun, Manner};

const STARTED_HOOK: &str = "ACTIONS_RUNNER_HOOK_JOB_STARTED";
const COMPLETED_HOOK: &str = "ACTIONS_RUNNER_HOOK_JOB_COMPLETED";

/// The word of the listener's line for a job's result.
pub(super) fn result_word(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::Success => "Succeeded",
        Conclusion::Failure => "Failed",
        Conclusion::Cancelled => "Canceled",
        Conclusion::Skipped => "Skipped",
    }
}

impl JobRun<'_> {
    pub(super) fn execute(&mut self) -> Completion {
        let begun = Timestamp::now();
        match self.set_up() {
            Ok(folders) => {
                self.report("Set up job", begun, Conclusion::Success);
                self.hook(&folders, STARTED_HOOK, "Set up runner");
                self.work(&folders);
                self.hook(&folders, COMPLETED_HOOK, "Complete runner");
            }
            Err(error) => {
                self.fail(&format!("the job's folders cannot be made: {error}"));
                self.report("Set up job", begun, Conclusion::Failure);
            }
        }
        self.report("Complete job", Timestamp::now(), Conclusion::Success);
        self.completion()
    }

    fn set_up(&mut self) -> std::io::Result<Folders> {
        let folders = Folders::create(self.config, &self.spec)?;
        environment::write_event(&folders, &self.spec)?;
        if let JobWork::Steps { files, .. } = &*self.spec.work {
            folders.write_files(files)?;
        }
        self.variables = environment::variables(self.config, &folders, &self.spec);
        self.write(&format!("Runner name: '{}'", self.config.runner.agent_name));
        self.write(&format!("Job: {} of {}", self.spec.name, self.spec.repository.full_name));
        Ok(folders)
    }

    fn work(&mut self, folders: &Folders) {
        match &*Arc::clone(&self.spec.work) {
            JobWork::Steps { env, steps, .. } => {
                self.variables.extend(env.iter().cloned());
                if let Some(act) = act::executable() {
                    self.act(folders, &act, env, steps);
                } else {
                    self.steps(folders, steps);
                }
            }
            JobWork::SleepMs(ms) => self.synthetic("Run sleep", |run| {
                if run.rest(Duration::from_millis(*ms)) { Conclusion::Success } else { Conclusion::Cancelled }
            }),
            JobWork::Exit(code) => self.synthetic("Run exit", |run| {
                if *code == 0 {
                    return Conclusion::Success;
                }
                run.fail(&format!("Process completed with exit code {code}."));
                Conclusion::Failure
            }),
        }
    }

    fn synthetic(&mut self, name: &str, work: impl FnOnce(&mut Self) -> Conclusion) {
        if self.is_due(Condition::Success) {
            let begun = Timestamp::now();
            let conclusion = work(self);
            self.report(name, begun, conclusion);
        } else if !self.is_stopping() {
            self.report(name, Timestamp::now(), Conclusion::Skipped);
        }
    }

    fn steps(&mut self, folders: &Folders, steps: &[Step]) {
        for step in steps {
            if let Work::Action { action: action @ LocalAction { pre: Some(script), .. }, inputs } =
                &step.work
            {
                self.action(folders, step, action, inputs, script, "Pre ");
            }
        }
        let mut posts = Vec::new();
        for step in steps {
            if !self.is_due(step.condition) {
                if !self.is_stopping() {
                    self.report(&step.name, Timestamp::now(), Conclusion::Skipped);
                }
                continue;
            }
            match &step.work {
                Work::Run { script, shell, working_directory } => {
                    self.script(folders, step, script, *shell, working_directory.as_deref());
                }
                Work::Action { action, inputs } => {
                    self.action(folders, step, action, inputs, &action.main, "");
                    if let Some(post) = &action.post {
                        posts.push((step, action, inputs, post));
                    }
                }
            }
        }
        for (step, action, inputs, post) in posts.into_iter().rev() {
            self.action(folders, step, action, inputs, post, "Post ");
        }
    }

    /// Whether a step with this condition is executed now.
    pub(super) fn is_due(&mut self, condition: Condition) -> bool {
        self.take_waiting_events();
        match (self.interruption, condition) {
            (Some(Interruption::ShuttingDown), _) => false,
            (_, Condition::Always) => true,
            (interruption, Condition::Cancelled) => interruption.is_some(),
            (None, Condition::Success) => !self.failed,
            (None, Condition::Failure) => self.failed,
            (Some(Interruption::Cancelled), Condition::Success | Condition::Failure) => false,
        }
    }

    /// An ordinary step, but that it is the runner's owner who wrote it.
    fn hook(&mut self, folders: &Folders, variable: &str, name: &str) {
        let Some(path) = self.variables.get(variable).filter(|path| !path.is_empty()).cloned() else {
            return;
        };
        if !self.is_due(Condition::Always) {
            return;
        }
        if !path.ends_with(".sh") || !Path::new(&path).is_absolute() {
            self.fail(&format!("{path} is not a valid path to a script: an absolute one ending in .sh"));
            self.report(name, Timestamp::now(), Conclusion::Failure);
            return;
        }
        let mut command = Command::new("bash");
        command.arg("-e").arg(&path).current_dir(&folders.workspace);
        self.write(&format!(
            "A job {} hook has been configured",
            if variable == STARTED_HOOK { "started" } else { "completed" }
        ));
        self.run_step(folders, name, command, &[], false);
    }

    fn script(
        &mut self,
        folders: &Folders,
        step: &Step,
        script: &str,
        shell: Shell,
        working_directory: Option<&str>,
    ) {
        let file = folders.temp.join(format!("step-{}.sh", self.next_number()));
        if let Err(error) = fs::write(&file, script) {
            self.fail(&format!("the script cannot be written: {error}"));
            self.report(&step.name, Timestamp::now(), Conclusion::Failure);
            return;
        }
        let (program, args): (&str, &[&str]) = match shell {
            Shell::Default => ("bash", &["-e"]),
            Shell::Bash => ("bash", &["--noprofile", "--norc", "-eo", "pipefail"]),
            Shell::Sh => ("sh", &["-e"]),
        };
        let mut command = Command::new(program);
        command
            .args(args)
            .arg(&file)
            .current_dir(folders.workspace.join(working_directory.unwrap_or_default()));
        self.run_step(folders, &step.name, command, &step.env, step.continue_on_error);
    }

    /// One script of a JavaScript action. `pre:` and `post:` run whatever happened, as `always()`.
    fn action(
        &mut self,
        folders: &Folders,
        step: &Step,
        action: &LocalAction,
        inputs: &[(String, String)],
        script: &str,
        prefix: &str,
    ) {
        if !prefix.is_empty() && !self.is_due(Condition::Always) {
            return;
        }
        let folder = folders.workspace.join(&action.folder);
        let mut command = Command::new("node");
        command.arg(folder.join(script)).current_dir(&folders.workspace);
        let mut env = step.env.clone();
        for (name, value) in action.inputs.iter().chain(inputs) {
            env.push((format!("INPUT_{}", name.replace(' ', "_").to_uppercase()), value.clone()));
        }
        env.push(("GITHUB_ACTION_PATH".to_owned(), folder.display().to_string()));
        self.run_step(folders, &format!("{prefix}{}", step.name), command, &env, step.continue_on_error);
    }

    fn run_step(
        &mut self,
        folders: &Folders,
        name: &str,
        mut command: Command,
        env: &[(String, String)],
        continue_on_error: bool,
    ) {
        let begun = Timestamp::now();
        self.write(&format!("##[group]{name}"));
        self.write("##[endgroup]");
        let files = match FileCommands::create(folders, self.next_number()) {
            Ok(files) => files,
            Err(error) => {
                self.fail(&format!("the step's command files cannot be made: {error}"));
                self.report(name, begun, Conclusion::Failure);
                return;
            }
        };
        command.env_clear().envs(&self.variables).envs(files.variables());
        command.envs(env.iter().map(|(name, value)| (name, value)));
        let ended = self.run_process(command, Manner::InStages, |run, line| run.write(line));
        let outcome = self.outcome(&ended, &files);
        let conclusion = match outcome {
            Err(message) => {
                self.write(&format!("##[error]{message}"));
                self.failed |= !continue_on_error;
                if continue_on_error { Conclusion::Success } else { Conclusion::Failure }
            }
            Ok(conclusion) => conclusion,
        };
        self.report(name, begun, conclusion);
    }

    /// How a step ended, and what it asked for taken over; or why it failed.
    fn outcome(&mut self, ended: &Ended, files: &FileCommands) -> Result<Conclusion, String> {
        match ended {
            Ended::NotStarted(error) => Err(format!("the process could not be started: {error}")),
            Ended::Interrupted => {
                self.write("##[error]The operation was canceled.");
                Ok(Conclusion::Cancelled)
            }
            Ended::Exited(status) => {
                let asked = files.read()?;
                self.variables.extend(asked.variables);
                for path in asked.paths {
                    let known = self.variables.entry("PATH".to_owned()).or_default();
                    *known = format!("{path}:{known}");
                }
                if status.success() {
                    return Ok(Conclusion::Success);
                }
                Err(match status.code() {
                    Some(code) => format!("Process completed with exit code {code}."),
                    None => format!("Process ended by {status}."),
                })
            }
        }
    }

    pub(super) fn fail(&mut self, message: &str) {
        self.write(&format!("##[error]{message}"));
        self.failed = true;
    }

    pub(super) fn report(&mut self, name: &str, started_at: Timestamp, conclusion: Conclusion) {
        let (name, completed_at) = (name.to_owned(), Timestamp::now());
        self.reports.push(StepReport { name, conclusion, started_at, completed_at });
    }
}
