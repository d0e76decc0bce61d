//! A deployment's settings.

use ecsrunner_core::rules::limits::Limits;
use ecsrunner_core::rules::settings::{Settings, SettingsEntry, SettingsError};
use toml::{Table, Value};

use crate::table::{Read, read};

/// Reads settings, and adds every mistake in them. Returns them if there is none.
pub fn settings(mut table: Table, mistakes: &mut Vec<String>) -> Option<Settings> {
    let before = mistakes.len();
    let limits = match table.remove("limits") {
        None => Read { value: Some(Limits::default()), mistaken: Vec::new() },
        Some(Value::Table(limits)) => read("limits", limits, &Table::new(), mistakes),
        Some(other) => {
            mistakes.push(format!("limits: invalid type: {}, a table is expected", other.type_str()));
            Read { value: Some(Limits::default()), mistaken: vec!["max_runners".to_owned()] }
        }
    };
    // Every key without a default.
    let least = Table::from_iter([
        ("version".to_owned(), 1.into()),
        ("deployment".to_owned(), "name".into()),
        ("repositories".to_owned(), Value::Array(vec!["owner/name".into()])),
    ]);
    let rest = read::<SettingsEntry>("", table, &least, mistakes);
    let entry = SettingsEntry { limits: limits.value.clone()?, ..rest.value.clone()? };
    match Settings::read(&entry) {
        Ok(settings) => Some(settings).filter(|_| mistakes.len() == before),
        Err(mut errors) => {
            // Some would follow from a mistaken value.
            errors.retain(|error| match error {
                SettingsError::UncheckedPublic => rest.is_right(&["check_runs"]),
                SettingsError::OtherOrganization { .. } => rest.is_right(&["repositories"]),
                SettingsError::MaxWarm { .. } => limits.is_right(&["max_runners"]),
                _ => true,
            });
            mistakes.extend(errors.iter().map(ToString::to_string));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "version = 1\ndeployment = 'ci'\nrepositories = ['acme/app']\n";

    fn mistakes(text: &str) -> Vec<String> {
        let mut mistakes = Vec::new();
        let read = settings(text.parse().unwrap(), &mut mistakes);
        assert_eq!(read.is_some(), mistakes.is_empty());
        mistakes.sort();
        mistakes.iter().map(|mistake| mistake.split(", expected").next().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_mistake_hides_no_other_one() {
        assert_eq!(mistakes(RIGHT), Vec::<String>::new());
        let text = format!(
            "on_failure = 'retry'\nfail_after_minutes = 2000\npaused = 'no'\nrepository = 'acme/app'\n{}\
             [limits]\nmax_runners = 0\nboot_limit = 3\nmax_job_minutes = 'long'\n\
             [paces.github]\nburst = 0\nper_minute = 1\n",
            RIGHT.replace("acme/app", "acme")
        );
        assert_eq!(
            mistakes(&text),
            [
                "fail_after_minutes is 2000: at most 1380 is expected, since GitHub ends a queued job after 24 hours",
                "limits.boot_limit: unknown field `boot_limit`",
                "limits.max_job_minutes: invalid type: string \"long\"",
                "limits.max_runners is 0: at least 1 is expected",
                "on_failure: unknown variant `retry`",
                "paces.github.burst is 0: 1 to 60000 is expected",
                "paused: invalid type: string \"no\"",
                "repositories: repository pattern `acme` is not valid: `owner/name`, `owner/*` or `*` is expected",
                "repository: unknown field `repository`",
            ]
        );
    }

    #[test]
    fn what_follows_from_a_mistaken_value_is_no_mistake_of_its_own() {
        let text = format!(
            "{RIGHT}public_repositories = true\ncheck_runs = 'yes'\n[limits]\nmax_runners = 'x'\nmax_warm = 60\n"
        );
        assert_eq!(
            mistakes(&text),
            ["check_runs: invalid type: string \"yes\"", "limits.max_runners: invalid type: string \"x\""]
        );
        let text = "version = 1\ndeployment = 'ci'\nrepositories = 'acme/app'\n\
                    registration = { organization = { name = 'acme', group = 1 } }";
        assert_eq!(mistakes(text), ["repositories: invalid type: string \"acme/app\""]);
    }

    #[test]
    fn every_missing_key_is_named() {
        assert_eq!(
            mistakes("paused = true"),
            [
                "deployment: this key is missing",
                "repositories: this key is missing",
                "version: this key is missing"
            ]
        );
    }
}
