//! Executes the parts of a job in the order of the official runner's worker.
//!
//! A failing job-started hook fails the job like any step: `pre:` scripts and
//! steps with `always()` still run. Once the listener shuts down, no more steps
//! are evaluated, and the job is a failure.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;

use crate::protocol::{Conclusion, SYNTHETIC_STEP};

use super::act;
use super::action::{self, Ready};
use super::environment::{self, Folders};
use super::file_commands::FileCommands;
use super::job::{Ended, JobRun, Manner};
use super::log::StepRecord;
use super::order::{Condition, StepOrder, Work};
use super::process;
use super::{Control, Outcome};

const STARTED_HOOK: &str = "ACTIONS_RUNNER_HOOK_JOB_STARTED";
const COMPLETED_HOOK: &str = "ACTIONS_RUNNER_HOOK_JOB_COMPLETED";

impl JobRun {
    pub(super) fn execute(mut self) -> Outcome {
        // Includes the process id, because another fake may have used the same GUIDs.
        let tracking_id = format!(
            "github_{}_{}_{}",
            self.order.client.job,
            std::process::id(),
            Timestamp::now().as_nanosecond()
        );
        let steps = self.order.steps(None);
        self.begin("Set up job");
        match self.set_up(&steps, &tracking_id) {
            Ok(folders) => {
                self.end(Conclusion::Success);
                self.hook(&folders, STARTED_HOOK, "Set up runner");
                let containers = self.initialize_containers(&folders);
                // Its expressions can refer to the services from here on.
                let steps = self.order.steps(Some(&containers.job_context()));
                self.work(&folders, &steps);
                self.stop_containers(&folders, containers);
                self.hook(&folders, COMPLETED_HOOK, "Complete runner");
            }
            Err(error) => {
                self.fail(&error);
                self.end(Conclusion::Failure);
            }
        }
        self.begin("Complete job");
        process::kill_orphans(&tracking_id);
        let outputs = self.job_outputs();
        self.end(Conclusion::Success);
        self.log.end_job();
        self.report(outputs)
    }

    fn set_up(&mut self, steps: &[StepOrder], tracking_id: &str) -> Result<Folders, String> {
        let folder_error = |error: std::io::Error| format!("the job's folders cannot be made: {error}");
        let folders = Folders::create(&self.order).map_err(folder_error)?;
        environment::write_event(&folders, &self.order).map_err(folder_error)?;
        self.variables = environment::variables(&folders, &self.order, tracking_id);
        self.write(&format!("Runner name: '{}'", self.order.runner_name));
        self.write(&format!("Job: {} of {}", self.order.name, self.order.github("repository")));
        for sentence in self.order.containers.left_out() {
            self.write(&sentence);
        }
        action::download_all(&self.order, steps, &folders)?;
        Ok(folders)
    }

    fn work(&mut self, folders: &Folders, steps: &[StepOrder]) {
        match self.order.env.clone() {
            Ok(env) => self.variables.extend(env),
            Err(error) => self.fail(&error.to_string()),
        }
        if let [step] = steps
            && step.key == SYNTHETIC_STEP
        {
            return self.synthetic(step);
        }
        if let Some(act) = act::executable() {
            self.act(folders, &act, steps);
        } else {
            self.steps(folders, steps);
        }
    }

    /// Executes a script without a shell.
    fn synthetic(&mut self, step: &StepOrder) {
        let script = step.input("script").unwrap_or_default().to_owned();
        let name = step.name.clone().unwrap_or_else(|| format!("Run {script}"));
        if !self.is_due(Condition::Success) {
            return self.skip(&name);
        }
        self.begin(&name);
        let conclusion = if let Some(secs) = script.strip_prefix("sleep ").and_then(|secs| secs.parse().ok())
        {
            if self.rest(Duration::from_secs_f64(secs)) { Conclusion::Success } else { Conclusion::Cancelled }
        } else if script == "exit 0" {
            Conclusion::Success
        } else {
            self.fail(&format!("Process completed with {}.", script.replacen("exit", "exit code", 1)));
            Conclusion::Failure
        };
        self.end(conclusion);
    }

    fn steps(&mut self, folders: &Folders, steps: &[StepOrder]) {
        // A step's `post:` must run once its `pre:` or its main script has run.
        let mut posts = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            // Local actions have no `pre:`, because their files do not exist yet.
            if matches!(step.work, Work::RepositoryAction { .. })
                && let Ok(ready) = action::find(folders, &step.work)
                && let Some(script) = ready.action.pre.clone()
                && self.action(folders, step, &ready, &script, "Pre ")
            {
                posts.push((index, ready));
            }
        }
        for (index, step) in steps.iter().enumerate() {
            if !self.is_due(step.condition) {
                self.skip(&step.title());
                continue;
            }
            if step.work == Work::Script {
                self.script(folders, step);
                continue;
            }
            match action::find(folders, &step.work) {
                Err(error) => {
                    self.begin_step(step);
                    self.fail(&error);
                    self.end(Conclusion::Failure);
                }
                Ok(ready) => {
                    let main = ready.action.main.clone();
                    self.action(folders, step, &ready, &main, "");
                    if !posts.iter().any(|(owing, _)| *owing == index) {
                        posts.push((index, ready));
                    }
                }
            }
        }
        posts.sort_by_key(|(index, _)| *index);
        for (index, ready) in posts.into_iter().rev() {
            if let Some(post) = ready.action.post.clone() {
                self.action(folders, &steps[index], &ready, &post, "Post ");
            }
        }
    }

    /// Whether a step with this condition must run now.
    pub(super) fn is_due(&mut self, condition: Condition) -> bool {
        self.take_waiting_events();
        match (self.interruption, condition) {
            (Some(Control::Shutdown), _) => false,
            (_, Condition::Always) => true,
            (interruption, Condition::Cancelled) => interruption.is_some(),
            (None, Condition::Success) => !self.failed,
            (None, Condition::Failure) => self.failed,
            (Some(Control::Cancel), Condition::Success | Condition::Failure) => false,
        }
    }

    /// Runs a hook, which is an ordinary step with the condition `always()`.
    fn hook(&mut self, folders: &Folders, variable: &str, name: &str) {
        let Some(path) = self.variables.get(variable).filter(|path| !path.is_empty()).cloned() else {
            return;
        };
        if !self.is_due(Condition::Always) {
            return self.skip(name);
        }
        let mut command = Command::new("bash");
        // In one string, as in the official runner, so a blank in the path breaks it.
        command.arg("-e").args(path.split_ascii_whitespace()).current_dir(&folders.workspace);
        self.begin(name);
        if !path.ends_with(".sh") || !Path::new(&path).is_absolute() {
            self.fail(&format!("{path} is not a valid path to a script: an absolute one ending in .sh"));
            return self.end(Conclusion::Failure);
        }
        let which = if variable == STARTED_HOOK { "started" } else { "completed" };
        self.write(&format!("A job {which} hook has been configured"));
        self.run_step(folders, command, &[], Manner::UnlessCancelled, false);
    }

    fn script(&mut self, folders: &Folders, step: &StepOrder) {
        self.begin_step(step);
        let file = folders.temp.join(format!("step-{}.sh", self.next_number()));
        let script = step.inputs.clone().map_err(|error| error.to_string()).and_then(|_| {
            fs::write(&file, step.input("script").unwrap_or_default())
                .map_err(|error| format!("the script cannot be written: {error}"))
        });
        let env = step.env.clone().map_err(|error| error.to_string());
        let env = match script.and(env) {
            Ok(env) => env,
            Err(error) => {
                self.fail(&error);
                return self.end(Conclusion::Failure);
            }
        };
        let (program, args): (&str, &[&str]) = match step.input("shell") {
            None => ("bash", &["-e"]),
            Some("bash") => ("bash", &["--noprofile", "--norc", "-e", "-o", "pipefail"]),
            Some(_) => ("sh", &["-e"]),
        };
        let mut command = Command::new(program);
        command
            .args(args)
            .arg(&file)
            .current_dir(folders.workspace.join(step.input("workingDirectory").unwrap_or_default()));
        self.run_step(folders, command, &env, Manner::of(step.condition), step.continue_on_error);
    }

    /// Runs one script of a JavaScript action. Returns false if it was skipped. `pre:`
    /// and `post:` have the condition `always()`.
    fn action(
        &mut self,
        folders: &Folders,
        step: &StepOrder,
        ready: &Ready,
        script: &str,
        prefix: &str,
    ) -> bool {
        let name = if prefix.is_empty() { step.title() } else { format!("{prefix}{}", step.bare_title()) };
        if !prefix.is_empty() && !self.is_due(Condition::Always) {
            self.skip(&name);
            return false;
        }
        if prefix.is_empty() {
            self.begin_step(step);
        } else {
            self.begin(&name);
        }
        let (env, inputs) = match (&step.env, &step.inputs) {
            (Ok(env), Ok(inputs)) => (env.clone(), inputs.clone()),
            (Err(error), _) | (_, Err(error)) => {
                let error = error.to_string();
                self.fail(&error);
                self.end(Conclusion::Failure);
                return true;
            }
        };
        let inputs = match self.with_defaults(inputs, ready) {
            Ok(inputs) => inputs,
            Err(error) => {
                self.fail(&error);
                self.end(Conclusion::Failure);
                return true;
            }
        };
        self.action = Some(step.key.clone());
        let mut command = Command::new("node");
        command.arg(ready.folder.join(script)).current_dir(&folders.workspace);
        let mut env = env;
        for (name, value) in inputs {
            env.push((format!("INPUT_{}", name.replace(' ', "_").to_uppercase()), value));
        }
        let states = self.states.iter().filter(|(action, ..)| *action == step.key);
        env.extend(states.map(|(_, name, value)| (format!("STATE_{name}"), value.clone())));
        env.push(("GITHUB_ACTION_PATH".to_owned(), ready.folder.display().to_string()));
        let manner = if prefix.is_empty() { Manner::of(step.condition) } else { Manner::UnlessCancelled };
        self.run_step(folders, command, &env, manner, step.continue_on_error);
        true
    }

    /// Adds the defaults of an action's inputs to those that are given.
    fn with_defaults(
        &self,
        mut inputs: Vec<(String, String)>,
        ready: &Ready,
    ) -> Result<Vec<(String, String)>, String> {
        for (name, default) in &ready.action.inputs {
            if !inputs.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
                let value = self.order.evaluate(default);
                let value = value.map_err(|error| format!("the default of the input `{name}`: {error}"))?;
                inputs.push((name.clone(), value));
            }
        }
        Ok(inputs)
    }

    /// Runs the process of the current step, and ends the step.
    fn run_step(
        &mut self,
        folders: &Folders,
        mut command: Command,
        env: &[(String, String)],
        manner: Manner,
        continue_on_error: bool,
    ) {
        let files = match FileCommands::create(folders, self.next_number()) {
            Ok(files) => files,
            Err(error) => {
                self.fail(&format!("the step's command files cannot be made: {error}"));
                return self.end(Conclusion::Failure);
            }
        };
        command.env_clear().envs(&self.variables).envs(files.variables());
        command.envs(env.iter().map(|(name, value)| (name, value)));
        let program = command.get_program().to_string_lossy().into_owned();
        let folder = command.get_current_dir().unwrap_or(&folders.workspace).display().to_string();
        let ended = self.run_process(command, manner, |run, line| run.take_line(line));
        // However the step ended.
        match (files.summary(), self.records.last()) {
            (Ok(Some(summary)), Some(step)) => self.log.summarize(&step.id, &summary),
            (Err(message), _) => self.error(&message),
            (Ok(_), _) => {}
        }
        let not_started = |error: std::io::Error| {
            format!("the process `{program}` could not be started in the directory `{folder}`: {error}")
        };
        let conclusion = match self.outcome(ended, &files, not_started) {
            Err(message) => {
                self.error(&message);
                self.failed |= !continue_on_error;
                if continue_on_error { Conclusion::Success } else { Conclusion::Failure }
            }
            Ok(conclusion) => conclusion,
        };
        self.end(conclusion);
    }

    /// Returns how a step ended, and applies its changes of the environment. The error says
    /// why it failed.
    fn outcome(
        &mut self,
        ended: Ended,
        files: &FileCommands,
        not_started: impl FnOnce(std::io::Error) -> String,
    ) -> Result<Conclusion, String> {
        match ended {
            Ended::NotStarted(error) => Err(not_started(error)),
            Ended::Interrupted => {
                self.error("The operation was canceled.");
                Ok(Conclusion::Cancelled)
            }
            Ended::Exited(status) => {
                let asked = files.read()?;
                self.variables.extend(asked.variables);
                self.save_state(asked.states);
                if let Some(step) = &self.step {
                    self.outputs
                        .extend(asked.outputs.into_iter().map(|(name, value)| (step.clone(), name, value)));
                }
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
        self.error(message);
        self.failed = true;
    }

    /// Begins a step that is not in the workflow, in the records and the log.
    pub(super) fn begin(&mut self, name: &str) {
        let id = self.made_up_id();
        self.step = None;
        self.begin_as(id, name);
    }

    fn begin_step(&mut self, step: &StepOrder) {
        self.step = Some(step.key.clone());
        self.begin_as(step.id.clone(), &step.title());
    }

    fn made_up_id(&self) -> String {
        let number = self.records.len() + 1;
        format!("{number:08x}-0000-4000-8000-{}", &self.order.client.job[24..])
    }

    fn begin_as(&mut self, id: String, name: &str) {
        let record = StepRecord {
            id,
            name: name.to_owned(),
            started_at: Timestamp::now(),
            completed: None,
            annotations: Vec::new(),
        };
        self.records.push(record);
        self.stop_token = None;
        self.action = None;
        self.log.update(&self.records);
        self.write(&format!("##[group]{name}"));
        self.write("##[endgroup]");
    }

    /// Ends the current step.
    pub(super) fn end(&mut self, conclusion: Conclusion) {
        if let Some(record) = self.records.last_mut() {
            record.completed = Some((Timestamp::now(), conclusion));
            let id = record.id.clone();
            self.log.end_step(&id);
        }
        self.log.update(&self.records);
    }

    pub(super) fn skip(&mut self, name: &str) {
        let id = self.made_up_id();
        let now = Timestamp::now();
        self.records.push(StepRecord {
            id,
            name: name.to_owned(),
            started_at: now,
            completed: Some((now, Conclusion::Skipped)),
            annotations: Vec::new(),
        });
    }
}
