//! The function's environment variables. AWS's own are in
//! [`ecsrunner_aws::connection::VARIABLES`], and the log level is in `log.rs`.

use anyhow::Context;
use ecsrunner_core::id::Deployment;
use ecsrunner_engine::chain;
use ecsrunner_github::ApiUrl;
use ecsrunner_traces::Endpoint;

/// The function's deployment.
pub(crate) const DEPLOYMENT: &str = "ECSRUNNER_DEPLOYMENT";
/// The base URL of GitHub's API; github.com by default.
pub(crate) const GITHUB_API_URL: &str = "GITHUB_API_URL";
/// With `1`, the function answers operators' questions, and does nothing else. Other functions answer none, since a
/// caller who may invoke a function may send it any payload.
pub(crate) const ANSWERS_QUESTIONS: &str = "ECSRUNNER_ANSWERS_QUESTIONS";
/// With `1`, each invocation logs the AWS operations that it called.
pub(crate) const RECORD_CALLS: &str = "ECSRUNNER_RECORD_CALLS";

/// The name or ARN of the secret with the headers of the OTLP endpoint. Everyone who may read
/// a function's configuration sees its variables, so the headers are in a secret.
pub(crate) const OTLP_HEADERS_SECRET: &str = "ECSRUNNER_OTLP_HEADERS_SECRET";

#[derive(Clone, Debug)]
pub(crate) struct Environment {
    pub(crate) deployment: Deployment,
    pub(crate) github_api: ApiUrl,
    pub(crate) answers_questions: bool,
    pub(crate) records_calls: bool,
    /// Where traces go, if anywhere.
    pub(crate) traces: Option<Endpoint>,
    pub(crate) otlp_headers_secret: Option<String>,
}

impl Environment {
    /// Reads the variables through `lookup`, usually [`std::env::var`].
    pub(crate) fn read(lookup: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let deployment = set(DEPLOYMENT).with_context(|| format!("{DEPLOYMENT} is not set"))?;
        let api = set(GITHUB_API_URL).unwrap_or_else(|| ApiUrl::GITHUB_COM.to_owned());
        Ok(Self {
            deployment: Deployment::parse(&deployment).with_context(|| DEPLOYMENT.to_owned())?,
            github_api: ApiUrl::parse(&api).with_context(|| GITHUB_API_URL.to_owned())?,
            answers_questions: set(ANSWERS_QUESTIONS).is_some_and(|value| value == "1"),
            records_calls: set(RECORD_CALLS).is_some_and(|value| value == "1"),
            // Jobs run without traces too.
            traces: Endpoint::read(&lookup).unwrap_or_else(|error| {
                tracing::error!(error = %chain(&error), "no traces are exported");
                None
            }),
            otlp_headers_secret: set(OTLP_HEADERS_SECRET),
        })
    }
}

#[cfg(test)]
mod tests {
    use ecsrunner_traces::Variables;

    use super::*;

    #[test]
    fn every_variable_is_documented_and_no_other() {
        let section =
            include_str!("../../../docs/configuration.md").split("## Variables of the control plane").nth(1);
        let documented =
            section.unwrap().lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let mut declared: Vec<&str> =
            vec![DEPLOYMENT, GITHUB_API_URL, crate::log::LEVEL, ANSWERS_QUESTIONS, RECORD_CALLS];
        declared.extend(Variables::OF_ENDPOINT);
        declared.push(OTLP_HEADERS_SECRET);
        declared.extend(ecsrunner_aws::connection::VARIABLES.iter().map(|variable| variable.name));
        assert_eq!(documented.collect::<Vec<_>>(), declared);
    }

    #[test]
    fn a_mistake_names_the_variable_and_its_value() {
        let told = |deployment: &'static str| {
            let error = Environment::read(|name| (name == DEPLOYMENT).then(|| deployment.to_owned()));
            format!("{:#}", error.unwrap_err())
        };
        assert_eq!(told(""), "ECSRUNNER_DEPLOYMENT is not set");
        assert!(
            told("CI!").starts_with("ECSRUNNER_DEPLOYMENT: deployment `CI!` is not valid"),
            "{}",
            told("CI!")
        );
    }
}
