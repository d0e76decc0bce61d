//! Signals, and cancellations.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::Row;
use crate::trial::{Checked, Trial, between};

pub(super) const ROWS: &[Row] = &[
    Row { name: "INT while a step runs", outcome: "13.6 s, Canceled, failure, exit 0", check: int_in_step },
    Row {
        name: "TERM while a step runs",
        outcome: "13.6 s, Canceled, failure, exit 143",
        check: term_in_step,
    },
    Row {
        name: "cancelled at GitHub while a step runs",
        outcome: "13.6 s, cancelled, always() runs",
        check: cancelled,
    },
    Row { name: "INT while idle", outcome: "Exiting..., exit 0, files left", check: int_while_idle },
    Row { name: "TERM while idle", outcome: "no line, exit 143", check: term_while_idle },
    Row { name: "KILL of the listener", outcome: "the worker lives on", check: kill_of_listener },
    Row { name: "KILL of the worker", outcome: "Failed, failure, exit 0", check: kill_of_worker },
    Row {
        name: "INT to the group while a step runs",
        outcome: "the next always() step runs",
        check: int_to_group,
    },
];

/// A job whose first step waits in a shell.
const WAITING: &str =
    "- {name: waits, run: sleep 60}\n- run: echo next ran\n- {if: always(), run: echo always ran}";

fn int_in_step(trial: &mut Trial) -> Checked {
    interrupted_in_step(trial, Signal::SIGINT, 0)?;
    trial.order(&["Exiting...", "Job build completed with result: Canceled"])
}

fn term_in_step(trial: &mut Trial) -> Checked {
    interrupted_in_step(trial, Signal::SIGTERM, 143)?;
    trial.lacks("Exiting...")?;
    trial.order(&["Job build completed with result: Canceled"])
}

fn interrupted_in_step(trial: &mut Trial, signal: Signal, code: i32) -> Checked {
    let job = trial.job(WAITING)?;
    trial.start()?;
    trial.line("Running job: build")?;
    trial.step(job, "waits")?;
    let begun = std::time::Instant::now();
    trial.signal(signal)?;
    trial.exits(code)?;
    between(begun.elapsed(), trial.secs(9.0), trial.secs(18.0))?;
    let ended = trial.concludes(job, "failure")?;
    trial.logs(job, &[("next ran", false), ("always ran", false)])?;
    let steps = ended["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |name: &str| steps.iter().find(|step| step["name"] == name).map(|step| &step["conclusion"]);
    if of("waits") != Some(&json!("cancelled")) || of("Run echo always ran") != Some(&json!("skipped")) {
        return Err(format!("the steps ended as {}", ended["steps"]));
    }
    // The files stay after a signal.
    if trial.root().join(".runner").exists() { Ok(()) } else { Err(".runner was removed".to_owned()) }
}

fn cancelled(trial: &mut Trial) -> Checked {
    let job = trial.job(WAITING)?;
    trial.start()?;
    trial.step(job, "waits")?;
    let begun = std::time::Instant::now();
    trial.sim(&format!("jobs/{job}/cancel"), &Value::Null)?;
    trial.exits(0)?;
    between(begun.elapsed(), trial.secs(9.0), trial.secs(18.0))?;
    trial.order(&["Job build completed with result: Canceled"])?;
    trial.concludes(job, "cancelled")?;
    trial.logs(job, &[("next ran", false), ("always ran", true)])
}

fn int_while_idle(trial: &mut Trial) -> Checked {
    trial.start()?;
    trial.line("Listening for Jobs")?;
    trial.signal(Signal::SIGINT)?;
    trial.exits(0)?;
    trial.order(&["Exiting..."])?;
    session_is_closed(trial)?;
    if trial.root().join(".runner").exists() { Ok(()) } else { Err(".runner was removed".to_owned()) }
}

fn term_while_idle(trial: &mut Trial) -> Checked {
    trial.start()?;
    trial.line("Listening for Jobs")?;
    trial.signal(Signal::SIGTERM)?;
    trial.exits(143)?;
    trial.lacks("Exiting...")?;
    session_is_closed(trial)
}

fn session_is_closed(trial: &Trial) -> Checked {
    let state = trial.state()?;
    if state["runners"] == json!([]) {
        Ok(())
    } else {
        Err(format!("the session is open: {}", state["runners"]))
    }
}

fn kill_of_listener(trial: &mut Trial) -> Checked {
    let pid_file = trial.path("pid");
    trial.job(&format!("- run: echo $$ > {}; sleep 20", pid_file.display()))?;
    trial.start()?;
    trial.file(&pid_file)?;
    trial.signal(Signal::SIGKILL)?;
    trial.exits(137)?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    let pid = std::fs::read_to_string(&pid_file).map_err(|error| error.to_string())?;
    let lives = std::path::Path::new("/proc").join(pid.trim()).exists();
    if lives { Ok(()) } else { Err("the job's step is gone".to_owned()) }
}

fn kill_of_worker(trial: &mut Trial) -> Checked {
    let job = trial.job(WAITING)?;
    trial.start()?;
    trial.step(job, "waits")?;
    trial.kill_worker()?;
    trial.exits(0)?;
    trial.order(&["Job build completed with result: Failed"])?;
    trial.concludes(job, "failure").map(|_| ())
}

fn int_to_group(trial: &mut Trial) -> Checked {
    let (ready, ran) = (trial.path("ready"), trial.path("always-began"));
    let steps = format!(
        "- {{name: waits, run: touch {}; sleep 60}}\n- {{if: always(), run: touch {}; sleep 1}}",
        ready.display(),
        ran.display()
    );
    let job = trial.job(&steps)?;
    trial.start()?;
    trial.file(&ready)?;
    trial.signal_group(Signal::SIGINT)?;
    trial.exits(0)?;
    trial.order(&["Job build completed with result: Canceled"])?;
    trial.concludes(job, "failure")?;
    if ran.exists() { Ok(()) } else { Err("the next always() step did not begin".to_owned()) }
}
