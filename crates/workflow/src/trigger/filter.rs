//! The filters of an event: which of them have an effect, and what is wrong with them.

use super::pattern;
use crate::problem::Faults;
use crate::token::Token;

/// Returns the texts of one text or a list.
pub(super) fn texts(token: &Token) -> Vec<String> {
    items(token).into_iter().filter_map(Token::text).collect()
}

/// Returns the items of a list, or one text that is not empty.
fn items(token: &Token) -> Vec<&Token> {
    match token.text() {
        Some(text) if text.is_empty() => Vec::new(),
        Some(_) => vec![token],
        None => token.items().iter().collect(),
    }
}

/// The filters that have an effect on an event.
pub(super) fn effective(event: &str) -> &'static [&'static str] {
    match event {
        "push" => &["branches", "branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore"],
        "pull_request" | "pull_request_target" => {
            &["types", "branches", "branches-ignore", "paths", "paths-ignore"]
        }
        "workflow_run" => &["types", "workflows", "branches", "branches-ignore"],
        "merge_group" => &["types", "branches", "branches-ignore"],
        "image_version" => &["types", "names", "versions"],
        "workflow_dispatch" => &["inputs"],
        _ => &["types"],
    }
}

/// Checks the filters of an event.
pub(super) fn check_filters(event: &str, activities: &[&str], filters: &Token, faults: &mut Faults<'_>) {
    // `repository_dispatch` has types of its own.
    let types = filters.get("types").map(items).unwrap_or_default();
    for activity in types.into_iter().filter(|_| event != "repository_dispatch") {
        let name = activity.text().unwrap_or_default();
        if !activities.contains(&name.as_str()) {
            let known = if activities.is_empty() { "none".to_owned() } else { activities.join(", ") };
            faults.note(activity.at, format!("`{name}` is not an activity of `{event}`, which has {known}"));
        }
    }
    for (key, value) in filters.entries() {
        let name = key.text().unwrap_or_default();
        if !effective(event).contains(&name.as_str()) {
            faults.note(key.at, format!("`{name}` has no effect on the event `{event}`"));
        } else if matches!(name.split('-').next(), Some("branches" | "tags" | "paths")) {
            check_patterns(&name, value, faults);
        }
    }
    for (keep, ignore) in
        [("branches", "branches-ignore"), ("tags", "tags-ignore"), ("paths", "paths-ignore")]
    {
        if let (Some(_), Some(second)) = (filters.get(keep), filters.get(ignore)) {
            faults.add(
                second.at,
                format!(
                    "`{event}` has `{keep}` and `{ignore}`: only one of them is allowed; a pattern with `!` in `{keep}` \
                     excludes"
                ),
            );
        }
    }
}

/// Notes the patterns that match nothing.
fn check_patterns(key: &str, value: &Token, faults: &mut Faults<'_>) {
    let patterns = items(value);
    if patterns.is_empty() {
        faults.note(value.at, format!("`{key}` has no pattern, and filters nothing"));
        return;
    }
    let is_negative = |token: &&Token| token.text().is_some_and(|text| text.starts_with('!'));
    if let Some(first) = patterns.first().filter(|_| patterns.iter().all(is_negative)) {
        let instead = if key.ends_with("-ignore") { "patterns without `!`" } else { "a pattern without `!`" };
        faults.note(first.at, format!("`{key}` matches nothing: {instead} must come before those with `!`"));
    }
    for pattern in patterns {
        let text = pattern.text().unwrap_or_default();
        if let Some(why) = pattern::matches_nothing(text.trim_start_matches('!'), key.starts_with("paths")) {
            faults.note(pattern.at, format!("`{text}` matches nothing: {why}"));
        }
    }
}
