//! A job that is root and searches for every secret.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::ecs::{CREDENTIALS_ID, Ecs, METADATA_ID};
use crate::harness::{Agent, COMPLETE, CONNECT, RUN, program};
use crate::table::{JIT, SECRET_ACCESS_KEY, SESSION_TOKEN};

/// The secrets to search for, by name.
const NEEDLES: [(&str, &str); 5] = [
    ("secret-access-key", SECRET_ACCESS_KEY),
    ("session-token", SESSION_TOKEN),
    ("credentials-path", CREDENTIALS_ID),
    ("metadata-path", METADATA_ID),
    ("jit-config", JIT),
];

/// What the thief found, each find once. `None` if the agent cannot be process 1
/// on this machine.
fn loot(unscrubbed: bool) -> Option<Vec<String>> {
    let dir = "${PWD%/runner}";
    let backwards = |text: &str| text.bytes().rev().map(|byte| format!("{byte:02x}")).collect::<String>();
    let needles: Vec<_> = NEEDLES.iter().map(|(name, text)| format!("{name}={}", backwards(text))).collect();
    let locations = format!("{dir} /run /dev/shm /var/tmp");
    let theft = format!("{dir}/thief {} -- {locations}", needles.join(" "));
    // The thief's arguments do not contain the secrets. The listener's environment contains the JIT
    // configuration.
    let agent = Agent::with_listener(&[CONNECT, RUN, &theft, COMPLETE]).in_task(Ecs::start());
    let agent = if unscrubbed { agent.with_executable(&program("unscrubbed")) } else { agent };
    let agent = agent.in_container()?;
    // Setuid root has the effect of password-less sudo.
    let thief = agent.path("thief");
    fs::copy(program("thief"), &thief).unwrap();
    fs::set_permissions(&thief, Permissions::from_mode(0o4755)).unwrap();
    let ended = agent.run().ended_with(0, "completed");
    let text = ended.text();
    assert!(text.contains("looking for 5 secrets as user 0"), "the thief is root: {text}");
    assert!(text.contains("looked everywhere"), "{text}");
    let mut found: Vec<_> = ended
        .lines
        .iter()
        .filter_map(|line| line.strip_prefix("found ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    Some(found)
}

#[test]
fn a_thief_who_is_root_finds_nothing_of_aws_and_only_its_own_spent_configuration() {
    let Some(found) = loot(false) else { return };
    assert_eq!(found, ["jit-config"]);
}

#[test]
fn the_thief_finds_everything_where_the_agent_does_not_leave_its_first_life_behind() {
    let Some(found) = loot(true) else { return };
    // The secret access key is wiped from memory once it has signed.
    for name in ["credentials-path", "metadata-path", "session-token", "jit-config"] {
        assert!(found.iter().any(|found| found == name), "{name} is not in {found:?}");
    }
}
