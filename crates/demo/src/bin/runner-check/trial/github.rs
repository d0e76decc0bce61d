//! What a trial asks of the fake GitHub: registrations, jobs, and how they ended.

use std::fs;

use serde_json::{Value, json};

use super::{Checked, TOKEN, Trial};

impl Trial {
    pub(crate) fn sim(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.call("POST", &format!("/_sim/{path}"), body)
    }

    pub(crate) fn faults(&self, faults: &Value) -> Checked {
        self.sim("faults", &json!({"runner": faults})).map(|_| ())
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .body(if body.is_null() { String::new() } else { body.to_string() })
            .map_err(|error| error.to_string())?;
        let mut response = self.agent.run(request).map_err(|error| format!("{path}: {error}"))?;
        let text = response.body_mut().read_to_string().map_err(|error| error.to_string())?;
        if !response.status().is_success() {
            return Err(format!("the fake answers {} to {path}: {text}", response.status()));
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Registers a runner, and returns its encoded configuration.
    pub(crate) fn register(&self) -> Result<String, String> {
        let request = json!({"name": "one", "runner_group_id": 1, "labels": ["x"]});
        let reply = self.call("POST", "/repos/acme/app/actions/runners/generate-jitconfig", &request)?;
        reply["encoded_jit_config"].as_str().map(str::to_owned).ok_or_else(|| reply.to_string())
    }

    /// Submits a workflow of one job `build` with the label `x` and these steps. Returns the job's id.
    pub(crate) fn job(&self, steps: &str) -> Result<u64, String> {
        self.named_job("build", steps)
    }

    pub(crate) fn named_job(&self, name: &str, steps: &str) -> Result<u64, String> {
        self.job_with("", name, steps)
    }

    /// Submits such a workflow whose job has these services, one a line.
    pub(crate) fn job_with_services(&self, services: &str, steps: &str) -> Result<u64, String> {
        let services: String = services.lines().map(|line| format!("      {line}\n")).collect();
        self.job_with(&format!("    services:\n{services}"), "build", steps)
    }

    /// `keys` are further lines of the job.
    fn job_with(&self, keys: &str, name: &str, steps: &str) -> Result<u64, String> {
        let steps: String = steps.lines().map(|line| format!("      {line}\n")).collect();
        let name = json!(name);
        let text =
            format!("on: push\njobs:\n  build:\n    name: {name}\n    runs-on: x\n{keys}    steps:\n{steps}");
        let new = json!({"repository": "acme/app", "file": ".github/workflows/x.yml", "text": text,
            "executor": "official"});
        let reply = self.sim("workflows", &new)?;
        reply["jobs"][0]["id"].as_u64().ok_or_else(|| reply.to_string())
    }

    /// Adds an action `acme/js@v1` whose scripts print `js pre ran`, `js main ran` and `js post ran`.
    pub(crate) fn javascript_action(&self) -> Checked {
        let directory = self.path("js");
        let files = [
            ("action.yml", "name: js\nruns: {using: node20, pre: pre.js, main: main.js, post: post.js}\n"),
            ("pre.js", "console.log('js pre ran')"),
            ("main.js", "console.log('js main ran')"),
            ("post.js", "console.log('js post ran')"),
        ];
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        for (name, text) in files {
            fs::write(directory.join(name), text).map_err(|error| error.to_string())?;
        }
        self.sim("actions", &json!({"action": "acme/js@v1", "directory": directory})).map(|_| ())
    }

    /// Waits until a step of the job is in progress.
    pub(crate) fn step(&self, job: u64, name: &str) -> Checked {
        let name = name.replace(' ', "+");
        self.call("GET", &format!("/_sim/wait?job={job}&state=in_progress&step={name}"), &Value::Null)
            .map(|_| ())
    }

    /// Waits until the job has ended, and returns it.
    pub(crate) fn ended(&self, job: u64) -> Result<Value, String> {
        self.call("GET", &format!("/_sim/wait?job={job}&state=completed"), &Value::Null)?;
        self.call("GET", &format!("/repos/acme/app/actions/jobs/{job}"), &Value::Null)
    }

    /// Waits until the job has ended, checks its conclusion at GitHub, and returns the job.
    pub(crate) fn concludes(&self, job: u64, conclusion: &str) -> Result<Value, String> {
        let ended = self.ended(job)?;
        if ended["conclusion"] == conclusion {
            Ok(ended)
        } else {
            Err(format!("GitHub shows {}; {conclusion} is right", ended["conclusion"]))
        }
    }

    /// Returns the fake's whole state.
    pub(crate) fn state(&self) -> Result<Value, String> {
        self.call("GET", "/_sim/state", &Value::Null)
    }

    /// Checks for each text whether the job's log has it as a line.
    pub(crate) fn logs(&self, job: u64, expected: &[(&str, bool)]) -> Checked {
        let log = self.call("GET", &format!("/_sim/jobs/{job}/log"), &Value::Null)?;
        let log = log.as_str().unwrap_or_default();
        for (text, there) in expected {
            // The log also holds the script itself, so only whole lines count.
            let found = log.lines().any(|line| line.trim() == *text);
            if found != *there {
                let word = if *there { "does not hold" } else { "holds" };
                return Err(format!("the job's log {word} `{text}`:\n{log}"));
            }
        }
        Ok(())
    }
}
