//! The caller's AWS credentials and Region: from the environment, or else from
//! the AWS CLI, which supports profiles, single sign-on, roles and instances.

use std::collections::HashMap;
use std::process::Command;

use anyhow::{Context, anyhow};
use serde::Deserialize;

use crate::environment;
use crate::exit::Failure;

const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
const HINT: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or install the AWS CLI, version 2, \
                    and sign in with `aws configure` or `aws sso login`";

/// Returns AWS's variables from the environment, with credentials and Region of the AWS CLI if needed.
pub(super) fn variables(
    profile: Option<&str>,
    region: Option<&str>,
) -> Result<HashMap<String, String>, Failure> {
    let mut variables = environment::of_aws();
    // As in the AWS CLI, `--profile` overrides keys of the environment, and these override AWS_PROFILE.
    let is_told = profile.is_some();
    let profile = profile.map(str::to_owned).or_else(|| environment::text(environment::AWS_PROFILE));
    if is_told || !variables.contains_key(ACCESS_KEY_ID) {
        for name in [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN] {
            variables.remove(name);
        }
        variables.extend(exported(profile.as_deref())?);
    }
    if let Some(region) = region {
        variables.insert("AWS_REGION".to_owned(), region.to_owned());
    } else if !variables.contains_key("AWS_REGION") && !variables.contains_key("AWS_DEFAULT_REGION") {
        let region = configured_region(profile.as_deref()).ok_or_else(|| {
            Failure::usage(anyhow!("no AWS Region given")).hint("use `--region` or AWS_REGION")
        })?;
        variables.insert("AWS_REGION".to_owned(), region);
    }
    Ok(variables)
}

/// The output of `aws configure export-credentials`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exported {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

fn exported(profile: Option<&str>) -> Result<Vec<(String, String)>, Failure> {
    let mut aws = aws(profile);
    aws.args(["configure", "export-credentials", "--format", "process"]);
    let output = aws.output().map_err(|error| {
        Failure::permission(
            anyhow::Error::new(error)
                .context("no AWS credentials in the environment, and the AWS CLI cannot be run"),
        )
        .hint(HINT)
    })?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Failure::permission(anyhow!("the AWS CLI has no credentials: {words}")).hint(HINT));
    }
    // The output is a secret, and the parser's error could quote it.
    let exported: Exported = serde_json::from_slice(&output.stdout)
        .map_err(|_| anyhow!("the AWS CLI printed no credentials"))
        .context("`aws configure export-credentials`")?;
    let mut variables = vec![
        (ACCESS_KEY_ID.to_owned(), exported.access_key_id),
        (SECRET_ACCESS_KEY.to_owned(), exported.secret_access_key),
    ];
    variables.extend(exported.session_token.map(|token| (SESSION_TOKEN.to_owned(), token)));
    Ok(variables)
}

fn configured_region(profile: Option<&str>) -> Option<String> {
    let output = aws(profile).args(["configure", "get", "region"]).output().ok()?;
    let region = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !region.is_empty()).then_some(region)
}

fn aws(profile: Option<&str>) -> Command {
    let mut aws = Command::new("aws");
    if let Some(profile) = profile {
        aws.args(["--profile", profile]);
    }
    aws
}
