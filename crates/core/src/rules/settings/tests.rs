use super::*;

fn entry(json: &str) -> SettingsEntry {
    serde_json::from_str(json).unwrap()
}

#[test]
fn a_deployment_and_its_repositories_are_enough() {
    let settings =
        Settings::read(&entry(r#"{"version": 1, "deployment": "ci", "repositories": ["acme/*"]}"#)).unwrap();
    assert_eq!(settings.registration, Registration::Repository);
    assert_eq!(settings.limits.max_runners, 50);
    assert_eq!(settings.limits.max_job_minutes, 360);
    assert!(!settings.policy.public_repositories);
}

#[test]
fn every_mistake_is_told_at_once() {
    let errors = Settings::read(&entry(
        r#"{"version": 2, "deployment": "CI!", "repositories": ["acme"], "required_labels": [],
            "limits": {"max_runners": 0, "idle_limit_secs": 5}}"#,
    ))
    .unwrap_err();
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 6, "{told:#?}");
    assert!(told.iter().any(|e| e.starts_with("limits.idle_limit_secs is 5")));
}

#[test]
fn warm_tasks_are_runners_so_there_are_at_most_as_many() {
    let read = |limits: &str| {
        Settings::read(&entry(&format!(
            r#"{{"version": 1, "deployment": "ci", "repositories": ["*"], "limits": {{{limits}}}}}"#
        )))
        .map(|settings| settings.limits.max_warm)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    assert_eq!(read(""), Ok(0));
    assert_eq!(read(r#""max_warm": 50"#), Ok(50));
    let terraform = include_str!("../../../../../terraform/modules/parameters/variables.tf");
    let usual = format!("coalesce(var.settings.limits.max_runners, {})", Limits::default().max_runners);
    assert!(terraform.contains(&usual), "{usual}");
    let told = read(r#""max_warm": 4, "max_runners": 3"#).unwrap_err();
    assert_eq!(told, "limits.max_warm is 4: at most limits.max_runners is expected, which is 3");
}

#[test]
fn public_repositories_need_a_check_of_each_run_before_a_launch() {
    let read = |keys: &str| {
        let text = format!(r#"{{"version": 1, "deployment": "ci", "repositories": ["acme/*"]{keys}}}"#);
        Settings::read(&entry(&text)).map(|settings| settings.policy.public_repositories)
    };
    assert_eq!(read(r#", "public_repositories": true"#), Err(vec![SettingsError::UncheckedPublic]));
    assert_eq!(read(r#", "public_repositories": true, "check_runs": true"#), Ok(true));
    assert_eq!(read(r#", "check_runs": true"#), Ok(false));
    let told = SettingsError::UncheckedPublic.to_string();
    assert!(told.ends_with("before a runner is launched: set check_runs to true"), "{told}");
}

#[test]
fn the_hook_limit_may_stand_in_limits_or_at_the_top_level_and_not_in_both() {
    let read = |limits: &str, top: &str| {
        Settings::read(&entry(&format!(
            r#"{{"version": 1, "deployment": "ci", "repositories": ["*"], "limits": {{{limits}}}{top}}}"#
        )))
        .map(|settings| settings.limits.hook_limit_secs())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    assert_eq!(read("", ""), Ok(300));
    assert_eq!(read(r#""hook_limit_secs": 60"#, ""), Ok(60));
    assert_eq!(read("", r#", "hook_limit_secs": 60"#), Ok(60));
    let twice = read(r#""hook_limit_secs": 60"#, r#", "hook_limit_secs": 60"#);
    let text = "limits.hook_limit_secs and hook_limit_secs mean the same: only one of them is expected";
    assert_eq!(twice, Err(text.to_owned()));
    for (secs, expected) in [(9, "at least 10"), (3601, "at most 3600")] {
        let told = read(&format!(r#""hook_limit_secs": {secs}"#), "").unwrap_err();
        assert_eq!(told, format!("limits.hook_limit_secs is {secs}: {expected} is expected"));
    }
}

#[test]
fn reruns_are_off_unless_they_are_asked_for() {
    let read = |keys: &str| {
        Settings::read(&entry(&format!(
            r#"{{"version": 1, "deployment": "ci", "repositories": ["acme/*"]{keys}}}"#
        )))
        .map(|settings| settings.reruns)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    assert_eq!(read(""), Ok(Reruns::default()));
    assert!(read(r#", "rerun": true"#).unwrap().all);
    let some = read(r#", "rerun_repositories": ["acme/app", "acme/*"]"#).unwrap();
    assert_eq!((some.all, some.repositories.len()), (false, 2));
    let told = read(r#", "rerun_repositories": ["acme"]"#).unwrap_err();
    let text = "rerun_repositories: repository pattern `acme` is not valid: `owner/name`, `owner/*` or `*` is expected";
    assert_eq!(told, text);
}

#[test]
fn jobs_that_cannot_be_served_fail_after_fifteen_minutes_unless_they_are_to_wait() {
    let read = |keys: &str| {
        Settings::read(&entry(&format!(
            r#"{{"version": 1, "deployment": "ci", "repositories": ["acme/*"]{keys}}}"#
        )))
        .map(|settings| settings.on_failure)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    assert_eq!(read(""), Ok(OnFailure::FailJob { after_minutes: 15 }));
    let hour = r#", "on_failure": "fail_job", "fail_after_minutes": 60"#;
    assert_eq!(read(hour), Ok(OnFailure::FailJob { after_minutes: 60 }));
    assert_eq!(read(r#", "on_failure": "wait""#), Ok(OnFailure::Wait));
    let told = read(r#", "fail_after_minutes": 1381"#).unwrap_err();
    let text =
        "fail_after_minutes is 1381: at most 1380 is expected, since GitHub ends a queued job after 24 hours";
    assert_eq!(told, text);
}

#[test]
fn an_organization_serves_its_own_repositories_only() {
    let errors = Settings::read(&entry(
        r#"{"version": 1, "deployment": "ci", "repositories": ["acme/*", "other/x", "*"],
            "registration": {"organization": {"name": "Acme", "group": 3}}}"#,
    ))
    .unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
}
