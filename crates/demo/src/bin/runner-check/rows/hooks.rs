//! The job-started hook, and the file that can replace it.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::Row;
use crate::trial::{Checked, Trial, between};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "a hook that blocks and ignores signals gets INT",
        outcome: "15.5 s, all skipped, failure; its summary is sent",
        check: refusal,
    },
    Row {
        name: "cancelled at GitHub, then INT, in the hook",
        outcome: "the hook runs on, Pre and always() run",
        check: cancelled,
    },
    Row { name: "INT to the group while the hook judges", outcome: "Pre begins", check: int_to_group },
    Row { name: "the hook is the first step", outcome: "before Pre and all steps", check: comes_first },
    Row { name: "the hook fails", outcome: "Pre, always(), failure(), Post run", check: fails },
    Row { name: "the hook's path has a blank", outcome: "it fails before it has judged", check: blank },
    Row { name: ".env names another hook", outcome: "that one is run", check: replaced },
    Row { name: ".env empties the hook", outcome: "none is run, success", check: emptied },
    Row {
        name: "the job-completed hook",
        outcome: "runs after a failed job, too; its summary is sent",
        check: completed_hook,
    },
];

const STEPS: &str = "- uses: acme/js@v1\n- {name: plain, run: echo plain ran}\n\
                     - {name: always, if: always(), run: echo always ran}\n\
                     - {name: failure, if: failure(), run: echo failure ran}";

/// The lines that [`STEPS`] writes to the log.
const ALL: [&str; 6] = ["js pre ran", "js main ran", "plain ran", "always ran", "failure ran", "js post ran"];

fn ran(trial: &Trial, job: u64, which: &[&str]) -> Checked {
    let expected: Vec<(&str, bool)> = ALL.iter().map(|text| (*text, which.contains(text))).collect();
    trial.logs(job, &expected)
}

fn refusal(trial: &mut Trial) -> Checked {
    trial.javascript_action()?;
    let told = trial.path("told");
    trial.hook(
        "hook.sh",
        &format!("trap '' INT TERM; echo refused | tee -a $GITHUB_STEP_SUMMARY; touch {}; while :; do sleep 1; done", told.display()),
    )?;
    let job = trial.job(STEPS)?;
    trial.start()?;
    trial.file(&told)?;
    let begun = std::time::Instant::now();
    trial.signal(Signal::SIGINT)?;
    trial.exits(0)?;
    between(begun.elapsed(), trial.secs(9.0), trial.secs(20.0))?;
    trial.order(&["Exiting...", "Job build completed with result: Canceled"])?;
    trial.concludes(job, "failure")?;
    has_summary(trial, job, "Set up runner", "refused")?;
    ran(trial, job, &[])
}

/// Whether the step has this summary. The official runner writes other line ends. GitHub's API does not list
/// summaries, so this reads the fake's state.
fn has_summary(trial: &Trial, job: u64, step: &str, text: &str) -> Checked {
    let state = trial.state()?;
    let jobs = state["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let summaries =
        jobs.iter().filter(|known| known["id"] == job).filter_map(|known| known["summaries"].as_array());
    let summaries: Vec<&Value> = summaries.flatten().collect();
    let is_it = |summary: &&Value| {
        summary["step"] == step && summary["text"].as_str().is_some_and(|found| found.trim() == text)
    };
    if summaries.iter().any(is_it) { Ok(()) } else { Err(format!("the summaries are {summaries:?}")) }
}

fn cancelled(trial: &mut Trial) -> Checked {
    trial.javascript_action()?;
    let (told, go) = (trial.path("told"), trial.path("go"));
    let script = format!("touch {}; while ! test -e {}; do sleep 0.1; done", told.display(), go.display());
    trial.hook("hook.sh", &script)?;
    let job = trial.job(STEPS)?;
    trial.start()?;
    trial.file(&told)?;
    trial.sim(&format!("jobs/{job}/cancel"), &Value::Null)?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    trial.signal(Signal::SIGINT)?;
    std::thread::sleep(trial.secs(15.0));
    trial.lives()?;
    fs::write(&go, "").map_err(|error| error.to_string())?;
    trial.exits(0)?;
    ran(trial, job, &["js pre ran", "always ran", "js post ran"])
}

fn int_to_group(trial: &mut Trial) -> Checked {
    trial.javascript_action()?;
    let told = trial.path("told");
    trial.hook("hook.sh", &format!("touch {}; sleep 60", told.display()))?;
    let job = trial.job(STEPS)?;
    trial.start()?;
    trial.file(&told)?;
    trial.signal_group(Signal::SIGINT)?;
    trial.exits(0)?;
    let ended = trial.concludes(job, "failure")?;
    let steps = ended["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let pre = steps.iter().find(|step| step["name"].as_str().is_some_and(|name| name.starts_with("Pre ")));
    match pre {
        Some(step) if step["conclusion"] != "skipped" => Ok(()),
        other => Err(format!("the Pre step: {other:?}")),
    }
}

fn comes_first(trial: &mut Trial) -> Checked {
    trial.javascript_action()?;
    trial.hook("hook.sh", "echo the hook ran; test -f \"$GITHUB_EVENT_PATH\" && echo the event is there")?;
    let job = trial.job(STEPS)?;
    trial.start()?;
    trial.exits(0)?;
    let ended = trial.concludes(job, "success")?;
    ran(trial, job, &["js pre ran", "js main ran", "plain ran", "always ran", "js post ran"])?;
    trial.logs(job, &[("the hook ran", true), ("the event is there", true)])?;
    let steps = ended["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = steps.iter().filter_map(|step| step["name"].as_str()).collect();
    match names.as_slice() {
        ["Set up job", "Set up runner", pre, ..] if pre.starts_with("Pre ") => Ok(()),
        other => Err(format!("the steps are {other:?}")),
    }
}

fn fails(trial: &mut Trial) -> Checked {
    trial.javascript_action()?;
    trial.hook("hook.sh", "echo refused; exit 1")?;
    let job = trial.job(STEPS)?;
    trial.start()?;
    trial.exits(0)?;
    trial.concludes(job, "failure")?;
    ran(trial, job, &["js pre ran", "always ran", "failure ran", "js post ran"])
}

fn blank(trial: &mut Trial) -> Checked {
    let told = trial.path("told");
    trial.hook("a hook.sh", &format!("touch {}", told.display()))?;
    let job = trial.job("- {if: always(), run: echo always ran}")?;
    trial.start()?;
    trial.exits(0)?;
    trial.concludes(job, "failure")?;
    trial.logs(job, &[("always ran", true)])?;
    if told.exists() { Err("the hook ran".to_owned()) } else { Ok(()) }
}

fn replaced(trial: &mut Trial) -> Checked {
    let (first, other) = (trial.path("first"), trial.path("other"));
    trial.hook("hook.sh", &format!("touch {}", first.display()))?;
    let path = trial.path("other.sh");
    fs::write(&path, format!("touch {}", other.display())).map_err(|error| error.to_string())?;
    env_file(trial, &path.display().to_string())?;
    let job = trial.job("- run: echo hello")?;
    trial.start()?;
    trial.exits(0)?;
    trial.concludes(job, "success")?;
    if other.exists() && !first.exists() { Ok(()) } else { Err("the hook of the environment ran".to_owned()) }
}

fn emptied(trial: &mut Trial) -> Checked {
    let first = trial.path("first");
    trial.hook("hook.sh", &format!("touch {}", first.display()))?;
    env_file(trial, "")?;
    let job = trial.job("- run: echo hello")?;
    trial.start()?;
    trial.exits(0)?;
    trial.concludes(job, "success")?;
    if first.exists() { Err("the hook ran".to_owned()) } else { Ok(()) }
}

fn env_file(trial: &Trial, hook: &str) -> Checked {
    let text = format!("ACTIONS_RUNNER_HOOK_JOB_STARTED={hook}\n");
    fs::write(trial.root().join(".env"), text).map_err(|error| error.to_string())
}

fn completed_hook(trial: &mut Trial) -> Checked {
    let told = trial.path("told");
    let path = trial.path("completed.sh");
    let script = format!("touch {}; echo note >> $GITHUB_STEP_SUMMARY", told.display());
    fs::write(&path, script).map_err(|error| error.to_string())?;
    trial.set("ACTIONS_RUNNER_HOOK_JOB_COMPLETED", &path.display().to_string());
    let job = trial.job("- run: exit 1")?;
    trial.start()?;
    trial.exits(0)?;
    let ended = trial.concludes(job, "failure")?;
    has_summary(trial, job, "Complete runner", "note")?;
    let has_step = ended["steps"]
        .as_array()
        .is_some_and(|steps| steps.iter().any(|step| step["name"] == "Complete runner"));
    if told.exists() && has_step { Ok(()) } else { Err(format!("the steps are {}", ended["steps"])) }
}
