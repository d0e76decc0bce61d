//! What a job does not get from the server's process, and does not leave in the kernel for a later job.

use std::fs;
use std::os::fd::AsRawFd;

use ecsrunner_skip::skip;
use keyutils::Keyring;
use keyutils::keytypes::User;
use nix::pty::openpty;

use crate::hostile::{run_step, submit_step};
use crate::isolation::{by, is_root, name_users, with_accounts};
use crate::testbed::{Server, Setup, Testbed, bounded};

const STEPS: &[(&str, &str)] = &[("ECSRUNNER_SIM_EXECUTOR", "steps")];

/// Begins a session, takes its first argument for the terminal of it, and becomes the server. The leader of a session
/// gets the first terminal that it opens.
const IN_A_TERMINAL: &str = r#"exec 3<>"$0" && exec 3>&- && umask 077 && exec "$@""#;

/// Whether a process has a terminal: the fifth field after its name in `/proc/<pid>/stat` (proc(5), `tty_nr`).
fn has_terminal(server: &Server) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(4) != Some("0")
}

#[tokio::test]
async fn a_job_has_no_terminal_of_the_servers_nor_its_umask_and_outlives_its_interrupt() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { listener: STEPS, ..Setup::default() }).await;
        let terminal = openpty(None, None).unwrap();
        let slave = fs::read_link(format!("/proc/self/fd/{}", terminal.slave.as_raw_fd())).unwrap();
        let words = ["setsid", "sh", "-c", IN_A_TERMINAL, slave.to_str().unwrap()];
        let server = testbed.serve_by(by(&testbed, &words)).await;
        assert!(has_terminal(&server));
        let gate = testbed.path("gate");
        let script = format!(
            "(: <>/dev/tty) 2>/dev/null && echo has $((1 + 0)) terminal\necho umask $(umask)\n\
             until [ -e {} ]; do sleep 0.1; done",
            gate.display()
        );
        let job = submit_step(&testbed, &script).await;
        testbed.github.wait_for(job, "in_progress").await;
        // As Ctrl-C.
        nix::unistd::write(&terminal.master, b"\x03").unwrap();
        server.ends().await;
        let server = testbed.serve().await;
        fs::write(&gate, "").unwrap();
        assert_eq!(testbed.github.wait_for(job, "completed").await["conclusion"], "success");
        let log = testbed.github.log(job).await;
        assert!(log.contains("umask 0022"), "{log}");
        assert!(!log.contains("has 1 terminal"), "{log}");
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

/// Looks for keys of the server and of earlier jobs, and leaves one in each keyring of its user. The calls are `add_key`,
/// and `keyctl` with KEYCTL_SEARCH (10) and KEYCTL_GET_PERSISTENT (22); the keyrings are those of the session (-3), the
/// user (-4) and the user's session (-5), and the persistent one, by way of that of the process (-2).
const KEYS: &str = r#"perl -e '
my ($add, $ctl) = $ARGV[0] eq "aarch64" ? (217, 219) : (248, 250);
my ($type, $own, $left, $value) = ("user", "of-the-server", "left-by-a-job", "secret");
print "found a key of the server\n" if syscall($ctl, 10, -3, $type, $own, 0) > 0;
my $kept = syscall($ctl, 22, -1, -2);
for my $ring (-4, -5, $kept) {
    print "found a key in $ring\n" if syscall($ctl, 10, $ring, $type, $left, 0) > 0;
    print "added a key to $ring\n" if syscall($add, $type, $left, $value, 6, $ring) > 0;
}' $(uname -m)"#;

#[tokio::test]
async fn a_job_has_no_kernel_keys_of_the_server_or_of_an_earlier_job_of_its_user() {
    if !is_root() {
        return;
    }
    bounded(async {
        // The server inherits this session, as from a login.
        let Ok(mut session) = Keyring::join_anonymous_session() else {
            return skip("this machine refuses calls about the kernel's keys");
        };
        session.add_key::<User, _, _>("of-the-server", b"secret".as_slice()).unwrap();
        let limits = "max_runners = 1\nsurplus_grace_secs = 1";
        let testbed = Testbed::set_up(Setup { listener: STEPS, limits, ..Setup::default() }).await;
        name_users(&testbed.config(), r#"["keeper1"]"#);
        let passwd = "root:x:0:0::/root:/bin/sh\nkeeper1:x:64021:64021::/:/bin/sh\n";
        let Some(command) = with_accounts(&testbed, passwd, "root:x:0:\nkeeper1:x:64021:\n") else { return };
        let server = testbed.serve_by(command).await;
        for _ in 0..2 {
            let job = run_step(&testbed, KEYS).await;
            let log = testbed.github.log(job).await;
            assert!(log.contains("added a key to "), "{log}");
            assert!(!log.contains("found a key "), "{log}");
        }
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

/// Fills the quota of its user with keys in the persistent keyring, to the last bytes. It reaches that keyring by way of the
/// session's, which is root's: one of its process would take a part of the quota, and end with the job.
const FILL: &str = r#"perl -e '
my ($add, $ctl) = $ARGV[0] eq "aarch64" ? (217, 219) : (248, 250);
my ($type, $kept) = ("user", syscall($ctl, 22, -1, -3));
for my $size (500, 1) {
    my ($value, $full) = ("x" x $size, 0);
    for my $count (0..100000) {
        my $name = $count ? $size > 1 ? "long-$count" : "$count" : "left-by-a-job";
        if (syscall($add, $type, $name, $value, $size, $kept) < 0) { $full = $!{EDQUOT}; last }
    }
    print "filled with $size bytes each\n" if $full;
}' $(uname -m)"#;

#[tokio::test]
async fn a_job_that_fills_the_quota_of_its_users_keys_keeps_no_later_job_of_the_user_from_running() {
    if !is_root() {
        return;
    }
    bounded(async {
        if Keyring::join_anonymous_session().is_err() {
            return skip("this machine refuses calls about the kernel's keys");
        }
        let limits = "max_runners = 1\nsurplus_grace_secs = 1";
        let testbed = Testbed::set_up(Setup { listener: STEPS, limits, ..Setup::default() }).await;
        name_users(&testbed.config(), r#"["keeper2"]"#);
        let passwd = "root:x:0:0::/root:/bin/sh\nkeeper2:x:64022:64022::/:/bin/sh\n";
        let Some(command) = with_accounts(&testbed, passwd, "root:x:0:\nkeeper2:x:64022:\n") else { return };
        let server = testbed.serve_by(command).await;
        let log = testbed.github.log(run_step(&testbed, FILL).await).await;
        assert!(log.contains("filled with 500 bytes") && log.contains("filled with 1 bytes"), "{log}");
        let job = submit_step(&testbed, KEYS).await;
        assert_eq!(testbed.github.wait_for(job, "completed").await["conclusion"], "success");
        let log = testbed.github.log(job).await;
        assert!(log.contains("added a key to ") && !log.contains("found a key "), "{log}");
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[test]
fn a_users_first_task_waits_until_the_kernel_has_freed_what_removed_keys_took() {
    if !is_root() {
        return;
    }
    if Keyring::join_anonymous_session().is_err() {
        return skip("this machine refuses calls about the kernel's keys");
    }
    // It has no keyrings yet, and the quota has no room for any.
    let user = (1_500_000_000 + std::process::id()).to_string();
    let mut fill = std::process::Command::new("setpriv");
    fill.args(["--reuid", &user, "--regid", &user, "--clear-groups", "sh", "-c", FILL]);
    let filled = String::from_utf8(fill.output().unwrap().stdout).unwrap();
    assert!(filled.contains("filled with 1 bytes"), "{filled}");
    let emptied = std::process::Command::new(env!("CARGO_BIN_EXE_ecsrunner"))
        .args(["local-keyrings", &user])
        .output()
        .unwrap();
    assert!(emptied.status.success(), "{}", String::from_utf8_lossy(&emptied.stderr));
}

const WITH_QUEUES: &str =
    r#"mkdir -p /dev/mqueue && mount -t mqueue mqueue /dev/mqueue && chmod 1777 /dev/mqueue && exec "$@""#;

#[tokio::test]
async fn a_message_queue_that_a_job_makes_is_its_own_and_ends_with_it() {
    if !is_root() {
        return;
    }
    bounded(async {
        let words = ["unshare", "--mount", "sh", "-c", WITH_QUEUES, "sh"];
        let tried = std::process::Command::new(words[0]).args(&words[1..]).arg("true").output();
        if !tried.is_ok_and(|tried| tried.status.success()) {
            return skip("message queues cannot be mounted here");
        }
        let testbed = Testbed::set_up(Setup { listener: STEPS, ..Setup::default() }).await;
        let server = testbed.serve_by(by(&testbed, &words)).await;
        let script = "echo there is: $(ls -A /dev/mqueue)\n: >/dev/mqueue/left && echo made a queue";
        for _ in 0..2 {
            let job = run_step(&testbed, script).await;
            let log = testbed.github.log(job).await;
            assert!(log.contains("made a queue") && !log.contains("there is: left"), "{log}");
        }
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn requests_without_a_signature_do_not_fill_the_log() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve_unheard().await;
        for _ in 0..50 {
            let headers = [("content-type", "application/json"), ("x-github-event", "ping")];
            assert_eq!(server.post(&headers, b"{}".to_vec()).await.0, 401);
        }
        server.terminate().await;
        let log = fs::read_to_string(testbed.path("server.log")).unwrap();
        // A minute may end between two of them.
        assert!((1..=2).contains(&log.matches("refused webhook").count()), "{log}");
    })
    .await;
}
