//! Containers by the hook protocol of the official runner: `prepare_job` before the first step, `cleanup_job` after the
//! last one. The stand-in itself starts no container, and executes no step in one.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::Command;

use ecsrunner_workflow::expression::Contexts;
use serde_json::{Map, Value, json};

use crate::protocol::Conclusion;

use super::environment::Folders;
use super::job::{Ended, JobRun, Manner};
use super::order::{Condition, Unevaluated, literal, mapping};

const HOOKS: &str = "ACTIONS_RUNNER_CONTAINER_HOOKS";
/// The variable by which GitHub allows hooks.
const ALLOWED: &str = "DistributedTask.AllowRunnerContainerHooks";
/// The official runner's words for a hook that fails.
const FAILED: &str = "Executing the custom container implementation failed. Please contact your self hosted runner \
                      administrator.";

/// Registries to which the official runner gives the job's token if the workflow gives no credentials.
const TOKEN_REGISTRIES: [&str; 2] = ["ghcr.io", "containers.pkg.github.com"];
/// The variable that holds the token.
const TOKEN: &str = "system.github.token";

/// What a job's message says about containers.
pub(super) struct Containers {
    /// Whether the steps are to run in a container.
    has_job_container: bool,
    services: Result<Vec<Service>, Unevaluated>,
}

struct Service {
    name: String,
    /// As `prepare_job` gets it, without the name; `None` if its image is empty.
    call: Option<Value>,
}

/// The containers of a job that has begun.
pub(super) struct Begun {
    /// What `prepare_job` returned for `cleanup_job`; `None` if no hook was called.
    state: Option<Value>,
    /// `job.services`.
    services: Map<String, Value>,
}

impl Begun {
    fn none() -> Self {
        Self { state: None, services: Map::new() }
    }

    /// The context `job`, as far as the stand-in has it.
    pub(super) fn job_context(&self) -> Value {
        json!({ "services": self.services })
    }
}

impl Containers {
    pub(super) fn read(message: &Value, contexts: &Contexts) -> Self {
        let services =
            message["jobServiceContainers"]["map"].as_array().map(Vec::as_slice).unwrap_or_default();
        let services = services.iter().map(|pair| {
            let name = literal(&pair["Key"], contexts)?.unwrap_or_default();
            Ok(Service { name, call: service(&pair["Value"], contexts)? })
        });
        Self { has_job_container: !message["jobContainer"].is_null(), services: services.collect() }
    }

    fn is_asked_for(&self) -> bool {
        self.has_job_container
            || self.services.as_ref().map_or(true, |services| services.iter().any(is_started))
    }

    /// What the official runner says in `Set up job` about services that it leaves out.
    pub(super) fn left_out(&self) -> Vec<String> {
        let services = self.services.as_deref().unwrap_or_default();
        let left_out = services.iter().filter(|service| !is_started(service)).map(|Service { name, .. }| {
            format!("The service '{name}' will not be started because the container definition has an empty image.")
        });
        left_out.collect()
    }
}

fn is_started(service: &Service) -> bool {
    service.call.is_some()
}

/// Returns a service as the official runner describes it to a hook; `None` if its image is empty once it is evaluated.
fn service(token: &Value, contexts: &Contexts) -> Result<Option<Value>, Unevaluated> {
    let entries = token["map"].as_array().map(Vec::as_slice).unwrap_or_default();
    let get = |name: &str| entries.iter().find(|pair| pair["Key"] == name).map(|pair| &pair["Value"]);
    let text = |name: &str| get(name).map_or(Ok(None), |value| literal(value, contexts));
    let pairs = |name: &str| get(name).map_or(Ok(Vec::new()), |value| mapping(value, contexts));
    let list = |name: &str| {
        let items =
            get(name).and_then(|value| value["seq"].as_array()).map(Vec::as_slice).unwrap_or_default();
        items
            .iter()
            .map(|item| Ok(literal(item, contexts)?.unwrap_or_default()))
            .collect::<Result<Vec<_>, Unevaluated>>()
    };
    // A service may be the name of an image alone.
    let image =
        if entries.is_empty() { literal(token, contexts)? } else { text("image")? }.unwrap_or_default();
    let image = image.strip_prefix("docker://").unwrap_or(&image);
    if image.is_empty() {
        return Ok(None);
    }
    let mut credentials = pairs("credentials")?;
    let registry = (!credentials.is_empty()).then(|| {
        credentials.push(("serverUrl".to_owned(), registry_of(image).to_owned()));
        Value::from_iter(credentials)
    });
    Ok(Some(json!({
        "image": image, "dockerfile": null, "entryPointArgs": [], "entryPoint": null, "workingDirectory": null,
        "createOptions": text("options")?, "registry": registry,
        "environmentVariables": Value::from_iter(pairs("env")?), "portMappings": list("ports")?,
        "systemMountVolumes": [], "userMountVolumes": list("volumes")?,
    })))
}

/// The registry of an image, as the official runner reads it: empty for Docker Hub.
fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, rest)) if first.contains([':', '.']) || rest.contains('/') => first,
        Some(_) | None => "",
    }
}

impl JobRun {
    /// Has the hook prepare the containers of the job, if it asks for any.
    pub(super) fn initialize_containers(&mut self, folders: &Folders) -> Begun {
        const STEP: &str = "Initialize containers";
        if !self.order.containers.is_asked_for() {
            return Begun::none();
        }
        if !self.is_due(Condition::Success) {
            self.skip(STEP);
            return Begun::none();
        }
        self.begin(STEP);
        let begun = self.prepare_job(folders);
        let (conclusion, begun) = match begun {
            Ok(services) => (Conclusion::Success, services),
            Err((message, state)) => {
                self.fail(&message);
                (Conclusion::Failure, Begun { state, services: Map::new() })
            }
        };
        self.end(conclusion);
        begun
    }

    /// The error has the state for `cleanup_job`, if the hook was called.
    fn prepare_job(&mut self, folders: &Folders) -> Result<Begun, (String, Option<Value>)> {
        let services = match &self.order.containers.services {
            Ok(services) => services,
            Err(error) => return Err((error.to_string(), None)),
        };
        let started = services.iter().filter_map(|Service { name, call }| Some((name, call.as_ref()?)));
        let (names, calls): (Vec<String>, Vec<Value>) =
            started.map(|(name, call)| (name.clone(), self.with_token(call))).unzip();
        // The stand-in does not read which image.
        let container = self.order.containers.has_job_container.then(|| json!({"image": ""}));
        if self.order.variables.get(ALLOWED).map(String::as_str) != Some("true") {
            return Err(("Object reference not set to an instance of an object.".to_owned(), None));
        }
        let args = json!({"container": container, "services": calls});
        let answer = self.call_hook(folders, "prepare_job", &args, &Value::Null);
        // The official runner cleans up after a failure too.
        let answer = answer.map_err(|message| (message, Some(Value::Null)))?;
        let state = Some(answer["state"].clone());
        if container.is_some() {
            let message = "the stand-in runner executes no step in a container".to_owned();
            return Err((message, state));
        }
        let answered = answer["context"]["services"].as_array().cloned().unwrap_or_default();
        if answered.len() != names.len() {
            let (asked, answered) = (names.len(), answered.len());
            return Err((format!("the hook has answered {answered} services of {asked}"), state));
        }
        Ok(Begun { state, services: names.into_iter().zip(answered).collect() })
    }

    /// Fills in the credentials of a service that has none, as the official runner does.
    fn with_token(&self, call: &Value) -> Value {
        let mut call = call.clone();
        let registry = registry_of(call["image"].as_str().unwrap_or_default()).to_owned();
        let takes_token = TOKEN_REGISTRIES.iter().any(|known| known.eq_ignore_ascii_case(&registry));
        if takes_token && call["registry"].is_null() {
            let (username, password) = (self.order.github("actor"), self.order.variables.get(TOKEN));
            call["registry"] = json!({"username": username, "password": password, "serverUrl": registry});
        }
        call
    }

    /// Has the hook clean up, if it was called before.
    pub(super) fn stop_containers(&mut self, folders: &Folders, begun: Begun) {
        const STEP: &str = "Stop containers";
        let Some(state) = begun.state else { return };
        if !self.is_due(Condition::Always) {
            return self.skip(STEP);
        }
        self.begin(STEP);
        let conclusion = match self.call_hook(folders, "cleanup_job", &json!({}), &state) {
            Ok(_) => Conclusion::Success,
            Err(message) => {
                self.fail(&message);
                Conclusion::Failure
            }
        };
        self.end(conclusion);
    }

    /// Calls the hook as the official runner does, and returns its answer.
    fn call_hook(
        &mut self,
        folders: &Folders,
        command: &str,
        args: &Value,
        state: &Value,
    ) -> Result<Value, String> {
        let hook = self.variables.get(HOOKS).filter(|hook| !hook.is_empty()).cloned();
        let hook = hook.ok_or("the stand-in runner starts no containers: a container hook is expected")?;
        let cannot = |error: io::Error| format!("the container hook's files cannot be made: {error}");
        let responses = folders.temp.join("_runner_hook_responses");
        let number = self.next_number();
        let file = |suffix: &str| -> PathBuf { responses.join(format!("{number}{suffix}")) };
        let (response, input) = (file(".json"), file("-call.json"));
        let call = json!({"command": command, "responseFile": response, "args": args, "state": state});
        let opened = fs::create_dir_all(&responses)
            .and_then(|()| fs::write(&response, ""))
            .and_then(|()| fs::write(&input, call.to_string()))
            .and_then(|()| File::open(&input));
        let opened = opened.map_err(cannot)?;
        let mut process = Command::new("bash");
        process
            .args(["--noprofile", "--norc", "-e", "-o", "pipefail"])
            .arg(hook)
            .current_dir(&folders.workspace)
            .env_clear()
            .envs(&self.variables);
        let manner = if command == "cleanup_job" { Manner::UnlessCancelled } else { Manner::InStages };
        let ended = self.run_process_with(process, Some(opened), manner, |run, line| run.write(&shown(line)));
        // It holds the values of variables.
        let _gone = fs::remove_file(&input);
        match ended {
            Ended::Exited(status) if status.success() => {}
            Ended::Interrupted => return Err("The operation was canceled.".to_owned()),
            Ended::Exited(_) | Ended::NotStarted(_) => return Err(FAILED.to_owned()),
        }
        let text = fs::read_to_string(&response).map_err(cannot)?;
        let text = if text.trim().is_empty() { "{}" } else { &text };
        serde_json::from_str(text).map_err(|error| format!("the hook's answer is no JSON: {error}"))
    }
}

/// Returns a line as a job's log shows it: commands become what the page colours.
fn shown(line: &str) -> String {
    for (command, shown) in [
        ("::error::", "##[error]"),
        ("::warning::", "##[warning]"),
        ("::group::", "##[group]"),
        ("::endgroup::", "##[endgroup]"),
    ] {
        if let Some(text) = line.strip_prefix(command) {
            return format!("{shown}{}", text.replace("%25", "%"));
        }
    }
    line.to_owned()
}
