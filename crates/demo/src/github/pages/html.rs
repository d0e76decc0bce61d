//! The text of the pages.

use std::collections::BTreeMap;

use ecsrunner_core::id::Repository;
use ecsrunner_core::text::html_escaped as escaped;

fn document(title: &str, body: &str) -> String {
    with_head(title, "", body)
}

/// Returns a page about something that may go on. If it does, the browser loads the page again each second.
pub(super) fn live(title: &str, goes_on: bool, body: &str) -> String {
    let style = "<style>body{max-width:70rem}td,th{text-align:left;padding:0 1rem 0 0;vertical-align:top}\
                 pre{background:#f4f4f4;color:#1a1a1a;padding:.5rem;overflow-x:auto}</style>";
    let refresh = if goes_on { "<meta http-equiv=\"refresh\" content=\"1\">" } else { "" };
    with_head(title, &format!("{style}{refresh}"), body)
}

fn with_head(title: &str, head: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0} · a fake GitHub</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}}\
         .error{{color:#b00020}}</style>{head}</head><body><p><small>This is a fake GitHub.</small></p>\
         <h1>{0}</h1>{body}</body></html>",
        escaped(title)
    )
}

pub(super) fn not_found() -> String {
    document("Not Found", "<p>There is no such page.</p>")
}

pub(super) fn without_manifest() -> String {
    document("Register new GitHub App", "<p>This fake only registers Apps from a manifest.</p>")
}

pub(super) fn invalid(faults: &[String]) -> String {
    let faults: String =
        faults.iter().map(|fault| format!("<p class=\"error\">Error: {}</p>", escaped(fault))).collect();
    let text = "<p>The configuration does not appear to be a valid GitHub App manifest.</p>";
    document("Invalid GitHub App configuration", &format!("{text}{faults}"))
}

pub(super) fn confirmation(owner: &str, name: &str, token: &str, fault: Option<&str>) -> String {
    let fault = fault.map(|fault| format!("<p class=\"error\">{}</p>", escaped(fault))).unwrap_or_default();
    let owner = escaped(owner);
    let body = format!(
        "{fault}<form method=\"post\" action=\"/settings/apps/manifest\">\
         <input type=\"hidden\" name=\"token\" value=\"{}\">\
         <p><label>GitHub App name <input name=\"name\" value=\"{}\"></label></p>\
         <p><button>Create GitHub App for {owner}</button></p></form>",
        escaped(token),
        escaped(name)
    );
    document("Create GitHub App", &body)
}

pub(super) fn installation(
    name: &str,
    slug: &str,
    permissions: &BTreeMap<String, String>,
    choices: &[(String, Vec<&Repository>)],
) -> String {
    let permissions: String = permissions
        .iter()
        .map(|(name, level)| format!("<li>{}: {}</li>", escaped(name), escaped(level)))
        .collect();
    let forms: String = choices
        .iter()
        .map(|(owner, repositories)| {
            let repositories: String = repositories
                .iter()
                .map(|name| {
                    let name = escaped(&name.to_string());
                    format!("<br><label><input type=\"checkbox\" name=\"repository\" value=\"{name}\"> {name}</label>")
                })
                .collect();
            format!(
                "<h2>{0}</h2><form method=\"post\" action=\"/apps/{1}/installations/new\">\
                 <input type=\"hidden\" name=\"target\" value=\"{0}\">\
                 <p><label><input type=\"radio\" name=\"selection\" value=\"all\" checked> All repositories</label><br>\
                 <label><input type=\"radio\" name=\"selection\" value=\"selected\"> Only select repositories</label>\
                 {repositories}</p><p><button>Install</button></p></form>",
                escaped(owner),
                escaped(slug)
            )
        })
        .collect();
    document(&format!("Install {name}"), &format!("<ul>{permissions}</ul>{forms}"))
}

pub(super) fn installed(name: &str, owner: &str) -> String {
    document("Installed GitHub App", &format!("<p>{} is installed on {}.</p>", escaped(name), escaped(owner)))
}

/// Encodes a value of a query.
pub(super) fn url_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut safe, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            safe.push(char::from(byte));
        } else {
            safe += &format!("%{byte:02X}");
        }
        safe
    })
}
