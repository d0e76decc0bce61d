//! The webhook of an App.

use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::reply::{Refusal, json as reply, read};
use crate::github::apps::{AppHook, RegisteredApp};
use crate::github::manifest::unreachable_host;
use crate::github::options::Hook;
use crate::github::state::State;

pub(super) async fn get(Extract(shared): App, headers: HeaderMap) -> Result<Response, Refusal> {
    let state = shared.state();
    let app = state.authorize_app(&headers)?;
    Ok(reply(StatusCode::OK, &state.hook_config(app)))
}

#[derive(Deserialize)]
struct Change {
    url: Option<String>,
    secret: Option<String>,
    content_type: Option<String>,
}

/// Changes what is given. An App without a webhook gets one that is not active, since only its settings activate it.
pub(super) async fn update(
    Extract(shared): App,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let mut state = shared.state();
    let id = state.authorize_app(&headers)?.id;
    let change: Change = read(&body)?;
    if let Some(fault) = change.url.as_deref().and_then(unreachable_host) {
        return Err(Refusal::invalid(&fault));
    }
    if change.content_type.as_deref().is_some_and(|kind| kind != "json") {
        return Err(Refusal::invalid("this fake sends only JSON"));
    }
    let secret = change.secret.map(SecretString::from);
    let own = state.hook.clone();
    let app = state.credentials.app_mut(id).ok_or_else(Refusal::not_found)?;
    let (mut hook, active) = match &app.hook {
        AppHook::Own { hook, active } => (hook.clone(), *active),
        AppHook::OfFake => (own.unwrap_or_else(no_hook), true),
        AppHook::None => (no_hook(), false),
    };
    hook.url = change.url.unwrap_or(hook.url);
    hook.secret = secret.unwrap_or(hook.secret);
    match &mut app.hook {
        AppHook::OfFake => state.hook = Some(hook),
        other => *other = AppHook::Own { hook, active },
    }
    let app = state.authorize_app(&headers)?;
    Ok(reply(StatusCode::OK, &state.hook_config(app)))
}

fn no_hook() -> Hook {
    Hook { url: String::new(), secret: SecretString::from("") }
}

impl State {
    fn hook_config(&self, app: &RegisteredApp) -> Value {
        let url = match &app.hook {
            AppHook::OfFake => self.hook.as_ref().map(|hook| hook.url.clone()),
            AppHook::Own { hook, .. } => Some(hook.url.clone()),
            AppHook::None => None,
        };
        json!({
            "content_type": "json",
            "insecure_ssl": "0",
            "secret": "********",
            "url": url.unwrap_or_default(),
        })
    }
}
