//! `ecsrunner setup` as a process, with a browser that clicks through the fake GitHub's pages.

mod amazon;
mod browser;
mod deployment;
mod failures;
mod identity;
mod machine;
mod page;
mod process;

use ecsrunner_core::id::Repository;
use ecsrunner_demo::github::{FakeGitHub, Options, RepositoryOptions};
use serde_json::Value;

pub(crate) use amazon::Amazon;
pub(crate) use browser::Browser;
pub(crate) use process::{Ended, Process};

use crate::testbed::LIMIT;

/// A fake GitHub with the organization `acme`, in which `octocat` is logged in.
pub(crate) async fn github() -> FakeGitHub {
    let repositories = ["acme/app", "acme/other"].map(|name| RepositoryOptions {
        name: Repository::parse(name).unwrap(),
        private: true,
        fork: false,
    });
    FakeGitHub::start(Options { repositories: repositories.to_vec(), ..Options::default() }).await.unwrap()
}

/// Returns the Apps of a fake GitHub.
pub(crate) async fn apps(github: &FakeGitHub) -> Vec<Value> {
    let state: Value =
        reqwest::get(format!("{}/_sim/state", github.url())).await.unwrap().json().await.unwrap();
    state["apps"].as_array().unwrap().clone()
}

/// Waits until a fake GitHub has received such a call.
pub(crate) async fn called(github: &FakeGitHub, operation: &str) {
    let is_called = async || {
        let state = reqwest::get(format!("{}/_sim/state", github.url())).await.unwrap();
        let state: Value = state.json().await.unwrap();
        state["calls"][operation].as_u64().is_some_and(|calls| calls > 0)
    };
    let waits = async { while !is_called().await {} };
    tokio::time::timeout(LIMIT, waits).await.unwrap_or_else(|_| panic!("{operation} was never called"));
}

/// Sets faults of a fake GitHub.
pub(crate) async fn faults(github: &FakeGitHub, faults: &Value) {
    let set = reqwest::Client::new().post(format!("{}/_sim/faults", github.url())).json(faults);
    set.send().await.unwrap().error_for_status().unwrap();
}
