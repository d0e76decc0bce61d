//! GitHub clients: with a deployment's credentials, or with the operator's own token.

use anyhow::Context;
use ecsrunner_core::id::{JobId, Repository};
use ecsrunner_github::{ApiUrl, Client, Credentials};

use crate::environment;
use crate::exit::Failure;

/// Returns a client with the operator's own token, if the environment has one.
pub(crate) fn by_own_token(api: ApiUrl) -> Result<Option<Client>, Failure> {
    let Some(token) = environment::own_token() else { return Ok(None) };
    let client = Client::new(api, &Credentials::Token(token))
        .context("the token in GH_TOKEN or GITHUB_TOKEN cannot be used")?;
    Ok(Some(client))
}

/// Returns the address of GitHub's API from the environment, by default github.com's.
pub(crate) fn api() -> Result<ApiUrl, Failure> {
    let url = environment::github_api_url();
    let url = url.as_deref().unwrap_or(ApiUrl::GITHUB_COM);
    ApiUrl::parse(url).context(environment::GITHUB_API_URL).map_err(Failure::usage)
}

/// The address of GitHub's web pages.
#[derive(Clone, Debug)]
pub(crate) struct Pages(String);

impl Pages {
    pub(crate) fn of(api: &ApiUrl) -> Self {
        Self(pages(&api.to_string()))
    }

    /// Returns the address of a page of GitHub's.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.0)
    }

    pub(crate) fn job(&self, repository: &str, run: u64, job: u64) -> String {
        format!("{}/{repository}/actions/runs/{run}/job/{job}", self.0)
    }
}

const GITHUB_COM: &str = "https://github.com";
/// The path of the API of a GitHub Enterprise Server.
pub(super) const ENTERPRISE: &str = "/api/v3";

/// Returns the address of the web pages that belong to an API.
fn pages(api: &str) -> String {
    match api.strip_suffix(ENTERPRISE) {
        Some(enterprise) => enterprise.to_owned(),
        None if api == ApiUrl::GITHUB_COM => GITHUB_COM.to_owned(),
        // GitHub Enterprise Cloud with data residency, or a stand-in.
        None => api.replacen("://api.", "://", 1),
    }
}

/// Names a job in errors.
pub(crate) fn named(repository: &Repository, job: JobId) -> String {
    format!("job {job} of {repository}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_where_the_api_is_of() {
        assert_eq!(pages("https://api.github.com"), "https://github.com");
        assert_eq!(pages("https://ghes.example/api/v3"), "https://ghes.example");
        assert_eq!(pages("https://api.acme.ghe.com"), "https://acme.ghe.com");
        assert_eq!(pages("http://127.0.0.1:4000"), "http://127.0.0.1:4000");
    }
}
