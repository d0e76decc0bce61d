//! What one job can read of another on one machine, if the server is root.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ecsrunner_skip::skip;
use nix::sys::stat::Mode;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe::{OpenOptions, Receiver};
use tokio::process::Command;

use crate::testbed::{Setup, Testbed, bounded};

const SMALL: [&str; 2] = ["self-hosted", "class:small"];

/// Makes the files of an official listener and its job, with their modes.
/// Reports to the test through the FIFO `said`.
const SETTING: &str = r#"#!/bin/bash
umask 022
say() { echo "$*" >"$meet/said"; }
for file in .runner .credentials .credentials_rsaparams; do echo secret >$file; done
mkdir -p _work/app _diag
echo secret >_work/app/source
echo secret >"$TMPDIR/scratch"
# As the official listener does before anything else.
dir=$PWD
until [[ $dir == / ]]; do
    ls "$dir" >/dev/null || say "cannot list $dir"
    dir=$(dirname "$dir")
done
printf '\n√ Connected to GitHub\n\n'
echo "$(date -u '+%Y-%m-%d %H:%M:%SZ'): Listening for Jobs"
"#;

/// Tries to read all files of each runner, including its own.
const THIEF: &str = r#"
say "ready $UID $$ $(dirname "$PWD")"
# Held by the test until both runners are ready.
flock --shared "$meet/gate" true
try() {
    local what=$1
    shift
    if [[ -n $("$@" 2>/dev/null | tr -d '\0') ]]; then say "$UID $owner $what"; fi
}
while read -r owner pid dir; do
    for file in .runner .credentials .credentials_rsaparams .env _work/app/source; do
        try "runner/$file" cat "$dir/runner/$file"
    done
    try "runner/" ls "$dir/runner"
    try "tmp/" ls "$dir/tmp"
    try "tmp/scratch" cat "$dir/tmp/scratch"
    try "agent/" ls "$dir/agent"
    try "agent/policy.json" cat "$dir/agent/policy.json"
    for file in agent.log task.json claim exit alive; do try "$file" cat "$dir/$file"; done
    try "task/" ls "$dir"
    try proc/environ cat "/proc/$pid/environ"
    try proc/fd ls "/proc/$pid/fd"
    try proc/cwd cat "/proc/$pid/cwd/.runner"
    try proc/root ls "/proc/$pid/root/"
    try proc/maps cat "/proc/$pid/maps"
    agent=$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status")
    for part in environ maps; do try "proc/agent/$part" cat "/proc/$agent/$part"; done
    for part in fd cwd/ root/; do try "proc/agent/$part" ls "/proc/$agent/$part"; done
done <"$meet/runners"
owner=all
for file in dynamodb.sqlite dynamodb.sqlite-wal task-keys server.json boot-port lock; do
    try "state/$file" cat "$PWD/../../../$file"
done
# What runners share.
try shared find -L bin externals -type f -writable
try externals find -L externals -writable
say "done"
exec sleep 600
"#;

/// Says who it is.
const WHOAMI: &str = r#"
say "$(whoami) $(id -un) $(id -gn) $(id -Gn | tr ' ' ,) $(stat -c '%U:%G:%a' . ../tmp .. | tr '\n' ' ')"
exec sleep 600
"#;

/// The files through which the listeners and the test communicate.
struct Meeting {
    said: Lines<BufReader<Receiver>>,
}

impl Meeting {
    /// Installs a listener that acts like the official one and then runs this script.
    fn arrange(testbed: &Testbed, then: &str) -> Self {
        let runner = testbed.path("actions-runner");
        fs::create_dir_all(runner.join("externals/node20/bin")).unwrap();
        fs::write(runner.join("externals/node20/bin/node"), "node").unwrap();
        fs::write(runner.join(".env"), "LANG=C.UTF-8\n").unwrap();
        let meet = testbed.path("meet");
        fs::create_dir(&meet).unwrap();
        fs::set_permissions(&meet, Permissions::from_mode(0o755)).unwrap();
        nix::unistd::mkfifo(&meet.join("said"), Mode::S_IRUSR).unwrap();
        fs::set_permissions(meet.join("said"), Permissions::from_mode(0o622)).unwrap();
        fs::write(meet.join("gate"), "").unwrap();
        let said = OpenOptions::new().read_write(true).open_receiver(meet.join("said")).unwrap();
        let (head, rest) = SETTING.split_once('\n').unwrap();
        let script = format!("{head}\nmeet={}\n{rest}{then}", meet.display());
        // The file is replaced, not overwritten: it may be a link.
        let listener = runner.join("bin/Runner.Listener");
        fs::remove_file(&listener).unwrap();
        fs::write(&listener, script).unwrap();
        fs::set_permissions(&listener, Permissions::from_mode(0o755)).unwrap();
        Self { said: BufReader::new(said).lines() }
    }

    async fn next(&mut self) -> String {
        self.said.next_line().await.unwrap().unwrap()
    }
}

/// Whether this process is root. If not, the test is skipped.
pub(crate) fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        skip("without root all jobs share one user");
    }
    is_root
}

#[tokio::test]
async fn two_jobs_side_by_side_cannot_read_each_others_anything() {
    if !is_root() {
        return;
    }
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let mut meeting = Meeting::arrange(&testbed, THIEF);
        let gate = fs::File::open(testbed.path("meet/gate")).unwrap();
        let gate = nix::fcntl::Flock::lock(gate, nix::fcntl::FlockArg::LockExclusive).unwrap();
        let _server = testbed.serve().await;
        testbed.github.submit(&SMALL, 2, 10, Value::Null).await;

        let mut runners = String::new();
        let mut owners = BTreeSet::new();
        while owners.len() < 2 {
            let line = meeting.next().await;
            let runner = line.strip_prefix("ready ").unwrap();
            owners.insert(runner.split(' ').next().unwrap().to_owned());
            runners.push_str(&format!("{runner}\n"));
        }
        fs::write(testbed.path("meet/runners"), runners).unwrap();
        drop(gate);

        let mut read: BTreeSet<(bool, String)> = BTreeSet::new();
        let mut done = 0;
        while done < 2 {
            let line = meeting.next().await;
            if line == "done" {
                done += 1;
                continue;
            }
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            read.insert((words[0] == words[1], words[2].to_owned()));
        }
        let of = |own: bool| -> Vec<&str> {
            read.iter().filter(|(is_own, _)| *is_own == own).map(|(_, what)| what.as_str()).collect()
        };
        assert_eq!(of(false), Vec::<&str>::new(), "read of the other runner, or of the server");
        // The same attempts succeed on the job's own files.
        assert_eq!(
            of(true),
            [
                "agent/",
                "agent/policy.json",
                "proc/cwd",
                "proc/environ",
                "proc/fd",
                "proc/maps",
                "proc/root",
                "runner/",
                "runner/.credentials",
                "runner/.credentials_rsaparams",
                "runner/.env",
                "runner/.runner",
                "runner/_work/app/source",
                "task/",
                "tmp/",
                "tmp/scratch",
            ]
        );
    })
    .await;
}

/// Wraps the server's command in a mount namespace with these accounts.
pub(crate) fn with_accounts(testbed: &Testbed, passwd: &str, group: &str) -> Option<Command> {
    let unshare = std::process::Command::new("unshare").args(["--mount", "true"]).output();
    if !unshare.is_ok_and(|tried| tried.status.success()) {
        skip("a mount namespace of one's own takes root and `unshare`");
        return None;
    }
    let mut mounts = String::new();
    for (name, text) in [("passwd", passwd), ("group", group)] {
        let path = testbed.path(name);
        fs::write(&path, text).unwrap();
        mounts.push_str(&format!("mount --bind {} /etc/{name} && ", path.display()));
    }
    Some(by(testbed, &["unshare", "--mount", "/bin/sh", "-c", &format!("{mounts}exec \"$@\""), "sh"]))
}

/// Returns the command that starts the server by another one, which gets the server's as its last arguments.
pub(crate) fn by(testbed: &Testbed, words: &[&str]) -> Command {
    let server = testbed.command();
    let server = server.as_std();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(server.get_program()).args(server.get_args());
    for (name, value) in server.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\n\
    jobber1:x:64001:64011::/nonexistent:/usr/sbin/nologin\n\
    jobber2:x:64002:64012::/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nbuilders:x:64100:jobber1,jobber2\njobber1:x:64011:\njobber2:x:64012:\n";

pub(crate) fn name_users(config: &Path, users: &str) {
    let text = fs::read_to_string(config).unwrap();
    let named = text.replace("first_uid = 63000", &format!("users = {users}"));
    assert_ne!(text, named);
    fs::write(config, named).unwrap();
}

#[tokio::test]
async fn runners_are_the_named_accounts_with_their_names_and_groups() {
    if !is_root() {
        return;
    }
    bounded(async {
        let testbed = Testbed::set_up(Setup { limits: "max_runners = 2", ..Setup::default() }).await;
        let mut meeting = Meeting::arrange(&testbed, WHOAMI);
        name_users(&testbed.config(), r#"["jobber1", "jobber2"]"#);
        let Some(command) = with_accounts(&testbed, PASSWD, GROUP) else { return };
        let _server = testbed.serve_by(command).await;
        testbed.github.submit(&SMALL, 2, 10, Value::Null).await;
        let said = BTreeSet::from([meeting.next().await, meeting.next().await]);
        let expected = ["jobber1", "jobber2"].map(|name| {
            format!(
                "{name} {name} {name} {name},builders {name}:{name}:700 {name}:{name}:700 root:{name}:750 "
            )
        });
        assert_eq!(said, BTreeSet::from(expected));
        let log = fs::read_to_string(testbed.path("server.log")).unwrap();
        assert!(!log.contains("runners' user ids have no account"), "{log}");
    })
    .await;
}
