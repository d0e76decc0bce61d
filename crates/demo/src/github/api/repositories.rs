//! The repositories that a token reaches.

use axum::extract::{OriginalUri, Query, State as Extract};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};

use super::reply::{Page, Refusal};
use super::{App, Parameters};
use crate::github::state::{RepositoryRecord, State};

/// Lists the repositories of an installation token.
pub(super) async fn of_installation(
    Extract(shared): App,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    Query(parameters): Parameters,
) -> Result<Response, Refusal> {
    let state = shared.state();
    let Some(grant) = state.grant(&headers)? else {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "You must authenticate with an installation access token in order to list repositories for an installation.",
        ));
    };
    let reaches = |record: &RepositoryRecord| {
        record.name.owner().eq_ignore_ascii_case(&grant.owner)
            && grant.repositories.as_ref().is_none_or(|names| names.contains(&record.name))
    };
    Ok(state.repositories_reply(
        Page::asked(&parameters),
        &uri,
        reaches,
        |total, repositories| json!({"total_count": total, "repositories": repositories}),
    ))
}

/// Lists the repositories of a person's token, which reaches all.
pub(super) async fn of_user(
    Extract(shared): App,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    Query(parameters): Parameters,
) -> Result<Response, Refusal> {
    let state = shared.state();
    if state.grant(&headers)?.is_some() {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "Resource not accessible by integration"));
    }
    Ok(state.repositories_reply(
        Page::asked(&parameters),
        &uri,
        |_| true,
        |_, repositories| Value::Array(repositories),
    ))
}

impl State {
    fn repositories_reply(
        &self,
        page: Page,
        uri: &Uri,
        reaches: impl Fn(&RepositoryRecord) -> bool,
        body: impl FnOnce(usize, Vec<Value>) -> Value,
    ) -> Response {
        let mut found: Vec<&RepositoryRecord> =
            self.repositories.values().filter(|record| reaches(record)).collect();
        found.sort_by_key(|record| record.id);
        let total = found.len();
        let repositories = page.of(found).into_iter().map(|record| self.repository_json(record)).collect();
        page.reply(&body(total, repositories), total, &self.base, uri)
    }
}
