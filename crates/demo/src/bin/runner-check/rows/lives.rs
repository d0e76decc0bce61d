//! Successful jobs, and how a listener starts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::Row;
use crate::trial::{self, Checked, Trial};

pub(super) const ROWS: &[Row] = &[
    Row { name: "a good job", outcome: "lines in order, success, exit 0", check: good_job },
    Row { name: "a step fails", outcome: "Failed, failure, exit 0", check: failing_step },
    Row { name: "the configuration's files while it listens", outcome: "0644", check: files_are_readable },
    Row { name: "a job's name holds a newline", outcome: "printed as it is", check: forged_lines },
    Row { name: "the runner's log on standard output", outcome: "between the lines", check: printed_log },
    Row {
        name: "the same configuration, used again before a job",
        outcome: "another session",
        check: used_again,
    },
    Row { name: "an unknown argument", outcome: "told, ignored", check: unknown_argument },
    Row { name: "a configuration that is no base64", outcome: "exit 1", check: no_base64 },
    Row { name: "a configuration without files", outcome: "Not configured, exit 1", check: empty },
    Row { name: "a configuration without .credentials", outcome: "exit 2", check: without_credentials },
    Row { name: "a directory above the root cannot be listed", outcome: "exit 1", check: unlisted_directory },
];

const CONNECTED: &str = "\u{221a} Connected to GitHub";

fn good_job(trial: &mut Trial) -> Checked {
    let job = trial.job("- run: echo hello")?;
    trial.start()?;
    trial.exits(0)?;
    trial.order(&[
        CONNECTED,
        "Current runner version: '",
        "Z: Listening for Jobs",
        "Z: Running job: build",
        "Z: Job build completed with result: Succeeded",
        "\u{221a} Removed .credentials",
        "\u{221a} Removed .runner",
    ])?;
    trial.concludes(job, "success")?;
    trial.logs(job, &[("hello", true)])?;
    let state = trial.state()?;
    if state["registrations"] != json!([]) || state["runners"] != json!([]) {
        return Err(format!("the registration or the session is left: {state}"));
    }
    Ok(())
}

fn failing_step(trial: &mut Trial) -> Checked {
    let job = trial.job("- run: exit 3\n- {if: always(), run: echo always ran}")?;
    trial.start()?;
    trial.exits(0)?;
    trial.order(&["Job build completed with result: Failed"])?;
    trial.concludes(job, "failure")?;
    trial.logs(job, &[("always ran", true)])
}

fn files_are_readable(trial: &mut Trial) -> Checked {
    trial.start()?;
    trial.line("Listening for Jobs")?;
    for name in [".runner", ".credentials", ".credentials_rsaparams"] {
        let found = fs::metadata(trial.root().join(name)).map_err(|error| format!("{name}: {error}"))?;
        if found.permissions().mode() & 0o777 != 0o644 {
            return Err(format!("{name} has the mode {:o}", found.permissions().mode()));
        }
    }
    Ok(())
}

fn forged_lines(trial: &mut Trial) -> Checked {
    let job = trial.named_job("a\nb: Job x completed with result: Failed", "- run: 'true'")?;
    trial.start()?;
    trial.exits(0)?;
    trial.concludes(job, "success")?;
    let is_raw = trial.seen().iter().any(|line| line.starts_with("b: Job x completed with result: Failed"));
    if is_raw { Ok(()) } else { Err("the name's second line is not printed as it is".to_owned()) }
}

fn printed_log(trial: &mut Trial) -> Checked {
    trial.set("ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT", "1");
    let job = trial.job("- run: echo hello")?;
    trial.start()?;
    trial.exits(0)?;
    trial.concludes(job, "success")?;
    let is = |start: &str| trial.seen().iter().any(|line| line.starts_with(start));
    if is("[RUNNER ") && is(CONNECTED) {
        Ok(())
    } else {
        Err("no `[RUNNER` lines beside the others".to_owned())
    }
}

fn used_again(trial: &mut Trial) -> Checked {
    let jit = trial.register()?;
    for _ in 0..2 {
        trial.start_with(&jit)?;
        trial.line("Listening for Jobs")?;
        trial.signal(Signal::SIGINT)?;
        trial.exits(0)?;
    }
    Ok(())
}

fn unknown_argument(trial: &mut Trial) -> Checked {
    trial.argue("--what-is-this");
    trial.start()?;
    trial.line("nrecognized command-line input arguments")?;
    trial.line("Listening for Jobs").map(|_| ())
}

fn no_base64(trial: &mut Trial) -> Checked {
    trial.start_with("no base64!")?;
    trial.exits(1)?;
    trial.lacks(CONNECTED)
}

fn empty(trial: &mut Trial) -> Checked {
    trial.start_with(&STANDARD.encode("{}"))?;
    trial.exits(1)?;
    trial.order(&["Not configured"])
}

fn without_credentials(trial: &mut Trial) -> Checked {
    let jit = STANDARD.decode(trial.register()?).map_err(|error| error.to_string())?;
    let mut files: Value = serde_json::from_slice(&jit).map_err(|error| error.to_string())?;
    if let Some(files) = files.as_object_mut() {
        files.remove(".credentials");
    }
    trial.start_with(&STANDARD.encode(files.to_string()))?;
    trial.exits(2)?;
    trial.order(&["Could not find file"])
}

fn unlisted_directory(trial: &mut Trial) -> Checked {
    if !trial.as_user()? {
        return Err(trial::SKIPPED.to_owned());
    }
    let above = trial.root().parent().map(std::path::Path::to_owned).ok_or("no directory above")?;
    fs::set_permissions(above, fs::Permissions::from_mode(0o711)).map_err(|error| error.to_string())?;
    trial.start()?;
    trial.exits_within(1, Duration::from_secs(20))?;
    trial.order(&["Permission to read the directory contents is required for"])
}
