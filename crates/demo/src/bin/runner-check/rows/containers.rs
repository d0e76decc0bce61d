//! What the container hook is asked for.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use super::Row;
use crate::trial::{Checked, Trial};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "a service's image is empty once it is evaluated",
        outcome: "a line in Set up job; the others keep their names",
        check: empty_image,
    },
    Row {
        name: "every service's image is empty",
        outcome: "the hook is not called, success",
        check: no_image,
    },
    Row { name: "a service's image begins with docker://", outcome: "the rest is its image", check: scheme },
];

const NONE: &str = "none: {image: \"${{ github.job == 'another' && 'redis:7' || '' }}\"}";
const LEFT_OUT: &str =
    "The service 'none' will not be started because the container definition has an empty image.";

/// Sets a container hook that answers one service, `d`, and keeps the calls in this file.
fn hook(trial: &mut Trial) -> Result<PathBuf, String> {
    let (calls, path) = (trial.path("calls"), trial.path("containers.sh"));
    let answer = r#"{"state":{},"context":{"services":[{"id":"d","network":"host","ports":{}}]}}"#;
    let script = format!(
        "call=$(cat)\necho \"$call\" >> {}\n\
         file=$(sed -n 's/.*\"responseFile\": *\"\\([^\"]*\\)\".*/\\1/p' <<<\"$call\")\n\
         case $call in *prepare_job*) echo '{answer}' > \"$file\";; esac\n",
        calls.display()
    );
    let written =
        fs::write(&path, script).and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o755)));
    written.map_err(|error| error.to_string())?;
    trial.set("ACTIONS_RUNNER_CONTAINER_HOOKS", &path.display().to_string());
    Ok(calls)
}

/// Runs a job with these services, and returns the images that the hook was asked for.
fn images(trial: &mut Trial, services: &str, expected: &[(&str, bool)]) -> Result<Vec<String>, String> {
    let calls = hook(trial)?;
    let job = trial.job_with_services(services, "- run: echo \"db is ${{ job.services.db.id }}\"")?;
    trial.start()?;
    trial.exits(0)?;
    trial.concludes(job, "success")?;
    trial.logs(job, expected)?;
    let calls = fs::read_to_string(calls).unwrap_or_default();
    let mut calls = serde_json::Deserializer::from_str(&calls).into_iter::<Value>();
    let Some(prepare) = calls.next() else { return Ok(Vec::new()) };
    let prepare = prepare.map_err(|error| error.to_string())?;
    let services = prepare["args"]["services"].as_array().cloned().unwrap_or_default();
    Ok(services.iter().map(|service| service["image"].as_str().unwrap_or_default().to_owned()).collect())
}

fn are(found: &[String], expected: &[&str]) -> Checked {
    if found == expected { Ok(()) } else { Err(format!("the images are {found:?}; {expected:?} is right")) }
}

fn empty_image(trial: &mut Trial) -> Checked {
    let expected = [(LEFT_OUT, true), ("db is d", true)];
    let found = images(trial, &format!("{NONE}\ndb: {{image: 'postgres:17'}}"), &expected)?;
    are(&found, &["postgres:17"])
}

fn no_image(trial: &mut Trial) -> Checked {
    let found = images(trial, NONE, &[(LEFT_OUT, true), ("db is", true)])?;
    are(&found, &[])
}

fn scheme(trial: &mut Trial) -> Checked {
    let found = images(trial, "db: {image: 'docker://postgres:17'}", &[("db is d", true)])?;
    are(&found, &["postgres:17"])
}
