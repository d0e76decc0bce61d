//! Reads an App manifest, and refuses what GitHub refuses. Public reports of its errors are listed in
//! `docs/undocumented.md`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use serde::Deserialize;
use serde_json::{Map, Value};

/// Permissions that the fake knows, with the events that each allows.
const PERMISSIONS: &[(&str, &[&str])] = &[
    ("actions", &["workflow_job", "workflow_run"]),
    ("administration", &["branch_protection_rule"]),
    ("checks", &["check_run", "check_suite"]),
    ("contents", &["push", "create", "delete"]),
    ("issues", &["issues", "issue_comment"]),
    ("metadata", &["repository", "star"]),
    ("organization_self_hosted_runners", &[]),
    ("pull_requests", &["pull_request"]),
];
/// GitHub sends these to each App, and refuses to list them.
const UNLISTED: [&str; 2] = ["installation", "installation_repositories"];

/// A valid manifest.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub name: Option<String>,
    pub homepage: String,
    pub description: String,
    pub redirect: String,
    /// The webhook's URL, and whether it is active.
    pub hook: Option<(String, bool)>,
    pub public: bool,
    pub events: Vec<String>,
    pub permissions: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Entry {
    name: Option<String>,
    url: Option<String>,
    description: Option<String>,
    redirect_url: Option<String>,
    hook_attributes: Option<Map<String, Value>>,
    public: Option<bool>,
    default_events: Option<Vec<String>>,
    default_permissions: Option<BTreeMap<String, String>>,
}

impl Manifest {
    /// Parses a form's parameter `manifest`.
    ///
    /// # Errors
    ///
    /// Returns each fault, as the page shows it.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<String>> {
        let entry: Entry = serde_json::from_str(text).map_err(|error| vec![error.to_string()])?;
        let missing = |key: &str| vec![format!("\"{key}\" wasn't supplied.")];
        let homepage = entry.url.filter(|url| is_web(url)).ok_or_else(|| missing("url"))?;
        let redirect = entry.redirect_url.filter(|url| is_web(url)).ok_or_else(|| missing("redirect_url"))?;
        let hook = match entry.hook_attributes {
            None => None,
            Some(attributes) => Some(hook(&attributes)?),
        };
        let (events, permissions) =
            (entry.default_events.unwrap_or_default(), entry.default_permissions.unwrap_or_default());
        let mut faults = Vec::new();
        if hook.is_none() && !events.is_empty() {
            faults.push("Hook url can't be blank".to_owned());
        }
        faults.extend(hook.iter().filter_map(|(url, _)| unreachable_host(url)));
        check_permissions(&permissions, &mut faults);
        check_events(&events, &permissions, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let description = entry.description.unwrap_or_default();
        let public = entry.public.unwrap_or(false);
        Ok(Self { name: entry.name, homepage, description, redirect, hook, public, events, permissions })
    }
}

fn is_web(url: &str) -> bool {
    host(url).is_some_and(|host| !host.is_empty())
}

fn hook(attributes: &Map<String, Value>) -> Result<(String, bool), Vec<String>> {
    if let Some(unknown) = attributes.keys().find(|key| !matches!(key.as_str(), "url" | "active")) {
        return Err(vec![format!("\"{unknown}\" is not a permitted key.")]);
    }
    let url = attributes.get("url").and_then(Value::as_str).filter(|url| is_web(url));
    // GitHub's error does not say that this URL is the hook's.
    let url = url.ok_or_else(|| vec!["\"url\" wasn't supplied.".to_owned()])?;
    let active = attributes.get("active").and_then(Value::as_bool).unwrap_or(true);
    Ok((url.to_owned(), active))
}

fn check_permissions(permissions: &BTreeMap<String, String>, faults: &mut Vec<String>) {
    let is_known = |name: &str| PERMISSIONS.iter().any(|(known, _)| *known == name);
    if permissions.keys().any(|name| !is_known(name)) {
        faults.push("Default permission records resource is not included in the list".to_owned());
    }
    if permissions.values().any(|level| !matches!(level.as_str(), "read" | "write" | "admin")) {
        faults.push("Default permission records action is not included in the list".to_owned());
    }
}

fn check_events(events: &[String], permissions: &BTreeMap<String, String>, faults: &mut Vec<String>) {
    let is_allowed = |event: &str| {
        PERMISSIONS.iter().any(|(name, events)| permissions.contains_key(*name) && events.contains(&event))
    };
    let is_event = |event: &str| {
        PERMISSIONS.iter().any(|(_, events)| events.contains(&event)) && !UNLISTED.contains(&event)
    };
    let list = |of: Vec<&String>| of.into_iter().map(String::as_str).collect::<Vec<_>>().join(" and ");
    let unsupported: Vec<&String> = events.iter().filter(|event| !is_event(event)).collect();
    if !unsupported.is_empty() {
        faults.push(format!("Default events unsupported: {}", list(unsupported)));
    }
    let forbidden: Vec<&String> = events.iter().filter(|event| !is_allowed(event)).collect();
    if !forbidden.is_empty() {
        faults.push(format!("Default events are not supported by permissions: {}", list(forbidden)));
    }
}

/// Returns the host of an `http` or `https` URL.
fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => authority.split(':').next(),
    }
}

/// Returns GitHub's complaint about a webhook's URL that it could never reach.
pub(super) fn unreachable_host(url: &str) -> Option<String> {
    let host = host(url)?;
    let is_private = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => {
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified()
        }
        Ok(IpAddr::V6(v6)) => v6 == Ipv6Addr::LOCALHOST || v6.is_unspecified() || v6.is_unique_local(),
        Err(_) => host == "localhost" || host.ends_with(".localhost") || host.ends_with(".local"),
    };
    is_private.then(|| {
        format!("Hook url is not supported because it isn't reachable over the public Internet ({host})")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(changes: &Value) -> Vec<String> {
        let mut manifest = json!({
            "name": "runners", "url": "https://example.com", "redirect_url": "http://127.0.0.1:4000/callback",
            "default_permissions": {"actions": "read", "administration": "write", "metadata": "read"},
        });
        for (key, value) in changes.as_object().unwrap() {
            manifest[key] = value.clone();
        }
        Manifest::parse(&manifest.to_string()).err().unwrap_or_default()
    }

    #[test]
    fn what_github_refuses_is_refused_in_its_words() {
        let events = json!(["workflow_job"]);
        let hook = |url: &str| json!({"url": url, "active": true});
        let private = |host: &str| {
            format!("Hook url is not supported because it isn't reachable over the public Internet ({host})")
        };
        for (changes, expected) in [
            (json!({}), vec![]),
            (
                json!({"hook_attributes": hook("https://ci.example.com/webhook"), "default_events": events}),
                vec![],
            ),
            (json!({"url": null}), vec!["\"url\" wasn't supplied.".to_owned()]),
            (json!({"hook_attributes": {"active": false}}), vec!["\"url\" wasn't supplied.".to_owned()]),
            (
                json!({"hook_attributes": {"url": "https://x.example", "secret": "s"}}),
                vec!["\"secret\" is not a permitted key.".to_owned()],
            ),
            (json!({"default_events": events}), vec!["Hook url can't be blank".to_owned()]),
            (json!({"hook_attributes": hook("http://localhost:8080/webhook")}), vec![private("localhost")]),
            (json!({"hook_attributes": hook("http://127.0.0.1:8080/webhook")}), vec![private("127.0.0.1")]),
            (json!({"hook_attributes": hook("http://[::1]/webhook")}), vec![private("::1")]),
            (json!({"hook_attributes": hook("http://10.1.2.3/webhook")}), vec![private("10.1.2.3")]),
            (
                json!({"hook_attributes": hook("https://x.example"), "default_events": events, "default_permissions": {"metadata": "read"}}),
                vec!["Default events are not supported by permissions: workflow_job".to_owned()],
            ),
            (
                json!({"hook_attributes": hook("https://x.example"), "default_events": ["installation"]}),
                vec![
                    "Default events unsupported: installation".to_owned(),
                    "Default events are not supported by permissions: installation".to_owned(),
                ],
            ),
        ] {
            assert_eq!(faults(&changes), expected, "{changes}");
        }
        assert!(Manifest::parse("runners").is_err());
    }
}
