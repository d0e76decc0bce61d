//! What to do about a workflow that the demo cannot run.

use std::path::Path;

/// Returns a hint for the fake GitHub's messages. `root` is the repository's directory, and `can_do_more` says whether the
/// official runner can execute what the present one cannot.
pub(super) fn advice(messages: &[String], root: Option<&Path>, can_do_more: bool) -> String {
    let mut hints: Vec<String> = Vec::new();
    for message in messages {
        let hint = of_event(message).or_else(|| of_file(message, root)).or_else(|| {
            let is_beyond = can_do_more && message.contains("official runner") && message.contains("--runner-dir");
            is_beyond.then(|| {
                "use `--runner-dir DIR` to execute the steps with the official runner, unpacked in DIR: the stand-in \
                 runner executes simple steps only"
                    .to_owned()
            })
        });
        hints.extend(hint.filter(|hint| !hints.contains(hint)));
    }
    if hints.is_empty() {
        return "correct the workflow; docs/workflows.md lists what the demo can run".to_owned();
    }
    hints.join("; ")
}

/// Returns what to do if the event does not fit the workflow.
fn of_event(message: &str) -> Option<String> {
    if message.contains("only `workflow_dispatch` has inputs") {
        return Some("use `--event workflow_dispatch`, or omit `--input`".to_owned());
    }
    let (about, why) = message.split_once(" does not start this workflow: ")?;
    if let Some(events) = why.strip_prefix("it runs on ") {
        // A call is no event that a person can cause.
        let events = events.split(", ").filter(|event| *event != "workflow_call");
        let flags: Vec<String> = events.map(|event| format!("`--event {event}`")).collect();
        return Some(match &flags[..] {
            [] => "add an event to `on`, such as `push`".to_owned(),
            flags => format!("use {}", flags.join(" or ")),
        });
    }
    if about.contains(" of the branch `") && why.starts_with("its `tags") {
        return Some("use `--tag NAME`: it runs on tags only".to_owned());
    }
    if about.contains(" of the tag `") && why.starts_with("its `branches") {
        return Some("use `--branch NAME` in place of `--tag`: it runs on branches only".to_owned());
    }
    [
        (" of the activity `", "use `--payload FILE` with another `action`"),
        (" of the tag `", "use another `--tag`"),
        (" of the branch `", "use another `--branch`, or another `--base` for a pull request"),
    ]
    .into_iter()
    .find_map(|(part, hint)| about.contains(part).then(|| hint.to_owned()))
}

/// Returns what to do if a file of the repository is missing.
fn of_file(message: &str, root: Option<&Path>) -> Option<String> {
    let missing = |file: &str| {
        let place =
            root.map_or_else(|| "the repository's directory".to_owned(), |root| root.display().to_string());
        format!("add `{}` below {place}", file.trim_start_matches("./"))
    };
    let quoted = |before: &str, after: &str| {
        let (_, rest) = message.split_once(before)?;
        rest.split_once(after).map(|(name, _)| name.to_owned())
    };
    if let Some(folder) = quoted("uses `./", "`, whose action.yml was not given") {
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        return Some(missing(&format!("{folder}action.yml")));
    }
    let called = quoted("calls `", "`, which was not given with the workflow");
    called.map(|file| missing(&file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice_on(messages: &[&str]) -> String {
        let messages: Vec<String> = messages.iter().map(|message| (*message).to_owned()).collect();
        advice(&messages, Some(Path::new("/work/app")), true)
    }

    #[test]
    fn each_message_has_the_advice_that_helps() {
        for (message, expected) in [
            (
                "ci.yml:2:1: unknown key",
                "correct the workflow; docs/workflows.md lists what the demo can run",
            ),
            (
                "ci.yml:1:1: the event `pull_request` does not start this workflow: it runs on push, workflow_call",
                "use `--event push`",
            ),
            (
                "ci.yml:1:1: the event `push` does not start this workflow: it runs on workflow_call",
                "add an event to `on`, such as `push`",
            ),
            (
                "ci.yml:1:1: the event `push` of the branch `x` does not start this workflow: its `branches` has main",
                "use another `--branch`, or another `--base` for a pull request",
            ),
            (
                "ci.yml:1:1: the event `push` of the branch `x` does not start this workflow: its `tags` has v*",
                "use `--tag NAME`: it runs on tags only",
            ),
            (
                "ci.yml:1:1: the event `push` of the tag `v1` does not start this workflow: its `branches-ignore` has x",
                "use `--branch NAME` in place of `--tag`: it runs on branches only",
            ),
            (
                "ci.yml:1:1: the event `push` of the tag `v1` does not start this workflow: its `tags` has v2",
                "use another `--tag`",
            ),
            (
                "ci.yml:1:1: the action.yml of `./a`: the key `runs.post-if` is not supported by the stand-in; the official runner executes it (`--runner-dir DIR`)",
                "use `--runner-dir DIR` to execute the steps with the official runner, unpacked in DIR: the stand-in runner executes simple steps only",
            ),
            (
                "ci.yml:1:1: the input `a` is given, but the event is `push`: only `workflow_dispatch` has inputs",
                "use `--event workflow_dispatch`, or omit `--input`",
            ),
            (
                "ci.yml:1:1: uses `./tools/paint`, whose action.yml was not given with the workflow",
                "add `tools/paint/action.yml` below /work/app",
            ),
            (
                "ci.yml:1:1: calls `./.github/workflows/x.yml`, which was not given with the workflow",
                "add `.github/workflows/x.yml` below /work/app",
            ),
        ] {
            assert_eq!(advice_on(&[message]), expected, "{message}");
        }
    }

    #[test]
    fn the_official_runner_is_named_only_where_it_helps() {
        let beyond =
            "ci.yml:3:3: the job has a `container`, which needs the official runner: `--runner-dir DIR`";
        assert!(advice_on(&[beyond, beyond]).starts_with("use `--runner-dir DIR` to execute"));
        assert!(!advice(&[beyond.to_owned()], None, false).contains("--runner-dir"));
    }
}
