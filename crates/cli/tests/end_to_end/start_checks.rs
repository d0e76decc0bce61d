//! Checks of the machine that make `local up` refuse to start.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;

use tokio::process::Command;

use crate::command_line::told;
use crate::isolation::{is_root, name_users, with_accounts};
use crate::testbed::{Setup, Testbed, bounded};

/// A user other than root, for tests that run as root.
const OTHER_USER: u32 = 65_533;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Replaces a part of the configuration.
fn configure(testbed: &Testbed, from: &str, to: &str) {
    let text = fs::read_to_string(testbed.config()).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(testbed.config(), text.replace(from, to)).unwrap();
}

/// Returns the exit code and error of a server that refuses to start and makes no state, without its log.
async fn refusal_of(testbed: &Testbed, mut command: Command) -> String {
    let output = command.output().await.unwrap();
    let dir = testbed.config().parent().unwrap().to_owned();
    let told = told(&output, &dir);
    let errors = told.find("error:").unwrap_or_else(|| panic!("{told}"));
    assert!(!testbed.state().join("lock").exists(), "a refused start made state: {told}");
    format!("exit code {}\n{}", output.status.code().unwrap(), &told[errors..])
}

/// The testbed's command with another state directory.
fn with_state(testbed: &Testbed, state: &Path) -> Command {
    let server = testbed.command();
    let server = server.as_std();
    let mut command = Command::new(server.get_program());
    let given = testbed.state();
    command.args(server.get_args().map(|arg| if arg == given.as_os_str() { state.as_os_str() } else { arg }));
    command
}

#[tokio::test]
async fn paths_that_would_break_the_hook_are_refused_with_the_allowed_characters() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        fs::rename(testbed.path("actions-runner"), testbed.path("my runner")).unwrap();
        configure(&testbed, "dir = \"actions-runner\"", "dir = \"my runner\"");
        insta::assert_snapshot!(refusal_of(&testbed, testbed.command()).await, @r#"
        exit code 2
        error: 1 mistake in the configuration [dir]/config.toml
          runner.dir: `[dir]/my runner`: a path of the characters A-Z a-z 0-9 / . _ + @ : , - is expected, because the official runner puts hook paths unquoted into a command line

        hint: see docs/configuration.md for every key and a complete example
        "#);
        configure(&testbed, "dir = \"my runner\"", "dir = \"renamed\"");
        fs::rename(testbed.path("my runner"), testbed.path("renamed")).unwrap();
        let command = with_state(&testbed, &testbed.path("it's $HOME/state"));
        insta::assert_snapshot!(refusal_of(&testbed, command).await, @r#"
        exit code 2
        error: 1 mistake in the configuration [dir]/config.toml
          state directory: `[dir]/it's $HOME/state`: a path of the characters A-Z a-z 0-9 / . _ + @ : , - is expected, because the official runner puts hook paths unquoted into a command line

        hint: see docs/configuration.md for every key and a complete example
        "#);
        assert!(!testbed.path("it's $HOME").exists());
    })
    .await;
}

#[tokio::test]
async fn directories_that_runners_cannot_list_are_named_with_what_to_do() {
    if !is_root() {
        return;
    }
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        for dir in ["above", "above/closed", "programs"] {
            fs::create_dir(testbed.path(dir)).unwrap();
        }
        // Other users may pass through the first directory, but not enter the second.
        set_mode(&testbed.path("above"), 0o711);
        set_mode(&testbed.path("above/closed"), 0o700);
        set_mode(&testbed.path("programs"), 0o700);
        fs::rename(testbed.path("actions-runner"), testbed.path("programs/runner")).unwrap();
        configure(&testbed, "dir = \"actions-runner\"", "dir = \"programs/runner\"");
        let command = with_state(&testbed, &testbed.path("above/closed/new/state"));
        insta::assert_snapshot!(refusal_of(&testbed, command).await, @r#"
        exit code 2
        error: 3 mistakes in the configuration [dir]/config.toml
          state directory: the directory [dir]/above cannot be listed by user id 63000 (permission denied), but the official runner lists its own directory and each one above it: run `chmod o+rx [dir]/above`, or choose another place
          state directory: the directory [dir]/above/closed cannot be listed by user id 63000 (permission denied), but the official runner lists its own directory and each one above it: run `chmod o+rx [dir]/above/closed`, or choose another place
          runner.dir: the directory [dir]/programs cannot be listed by user id 63000 (permission denied), but the official runner lists its own directory and each one above it: run `chmod o+rx [dir]/programs`, or choose another place

        hint: see docs/configuration.md for every key and a complete example
        "#);
        assert!(!testbed.path("above/closed/new").exists());
    })
    .await;
}

#[tokio::test]
async fn without_root_directories_that_cannot_be_listed_are_named_too() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { top: "public_repositories = false", ..Setup::default() }).await;
        let above = testbed.path("above");
        fs::create_dir(&above).unwrap();
        if nix::unistd::geteuid().is_root() {
            chown(&above, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
        }
        set_mode(&above, 0o300);
        let command = as_other_user(&testbed, with_state(&testbed, &above.join("state")));
        let refusal = refusal_of(&testbed, command).await;
        let user = if nix::unistd::geteuid().is_root() { OTHER_USER } else { nix::unistd::geteuid().as_raw() };
        insta::assert_snapshot!(refusal.replace(&format!("user id {user}"), "user id [user]"), @r#"
        exit code 2
        error: 1 mistake in the configuration [dir]/config.toml
          state directory: the directory [dir]/above cannot be listed by user id [user] (permission denied), but the official runner lists its own directory and each one above it: run `chmod a+rx [dir]/above`, or choose another place

        hint: see docs/configuration.md for every key and a complete example
        "#);
        set_mode(&above, 0o700);
    })
    .await;
}

/// A command that is not root.
fn as_other_user(testbed: &Testbed, command: Command) -> Command {
    // Secrets have to be readable to reach the checks after them.
    for secret in ["token", "webhook-secret"] {
        set_mode(&testbed.path(secret), 0o644);
    }
    let mut command = command.into_std();
    if nix::unistd::geteuid().is_root() {
        command.uid(OTHER_USER).gid(OTHER_USER);
    }
    command.into()
}

#[tokio::test]
async fn secrets_of_another_user_are_told_with_who_can_read_them() {
    if !is_root() {
        return;
    }
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let command = as_other_user(&testbed, testbed.command());
        set_mode(&testbed.path("token"), 0o600);
        insta::assert_snapshot!(refusal_of(&testbed, command).await, @r"
        exit code 2
        error: 1 mistake in the configuration [dir]/config.toml
          github.token_file: [dir]/token cannot be read: Permission denied (os error 13)

        hint: start the server as the user who owns [dir]/token
        ");
    })
    .await;
}

#[tokio::test]
async fn accounts_without_root_are_refused() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { limits: "max_runners = 1", ..Setup::default() }).await;
        name_users(&testbed.config(), r#"["jobber1"]"#);
        let command = as_other_user(&testbed, testbed.command());
        insta::assert_snapshot!(refusal_of(&testbed, command).await, @r#"
        exit code 2
        error: 1 mistake in the configuration [dir]/config.toml
          runner.users: only root can start runners as other users: start the server as root, or remove the key so that all jobs share this user

        hint: see docs/configuration.md for every key and a complete example
        "#);
    })
    .await;
}

#[tokio::test]
async fn too_few_accounts_doubles_and_both_keys_are_refused_with_what_is_right() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { limits: "max_runners = 3", ..Setup::default() }).await;
        name_users(&testbed.config(), "[\"jobber1\", \"jobber1\"]\nfirst_uid = 63000");
        insta::assert_snapshot!(refusal_of(&testbed, testbed.command()).await, @r#"
        exit code 2
        error: 3 mistakes in the configuration [dir]/config.toml
          runner: either `users` or `first_uid` is expected, not both
          runner.users: `jobber1` is named twice
          runner.users: 1 account is named, but limits.max_runners is 3: name 3 accounts (create them with `for n in $(seq 3); do useradd --system --user-group --no-create-home --shell /usr/sbin/nologin runner$n; done`), or lower limits.max_runners

        hint: see docs/configuration.md for every key and a complete example
        "#);
    })
    .await;
}

#[tokio::test]
async fn accounts_that_are_missing_root_or_not_apart_are_refused() {
    if !is_root() {
        return;
    }
    bounded(async {
        let testbed = Testbed::set_up(Setup { limits: "max_runners = 4", ..Setup::default() }).await;
        name_users(&testbed.config(), r#"["root", "jobber1", "jobber2", "jobber3"]"#);
        let passwd = "root:x:0:0::/root:/bin/sh\njobber1:x:64001:100::/:/bin/sh\njobber2:x:64002:100::/:/bin/sh\n";
        let Some(command) = with_accounts(&testbed, passwd, "root:x:0:\nusers:x:100:\n") else { return };
        insta::assert_snapshot!(refusal_of(&testbed, command).await, @r#"
        exit code 2
        error: 3 mistakes in the configuration [dir]/config.toml
          runner.users: this machine has no account `jobber3`; `for n in $(seq 4); do useradd --system --user-group --no-create-home --shell /usr/sbin/nologin runner$n; done` creates runner1 to runner4
          runner.users: the user `root` is root, and jobs must not run as root: name another account
          runner.users: the user `jobber2` and the user `jobber1` share a primary group: each needs its own without other members, as `useradd --user-group` creates

        hint: see docs/configuration.md for every key and a complete example
        "#);
    })
    .await;
}

#[tokio::test]
async fn a_directory_that_an_accounts_group_may_list_is_enough() {
    if !is_root() {
        return;
    }
    bounded(async {
        let testbed = Testbed::set_up(Setup { limits: "max_runners = 1", ..Setup::default() }).await;
        name_users(&testbed.config(), r#"["jobber1"]"#);
        chown(testbed.path("actions-runner"), Some(0), Some(64_100)).unwrap();
        set_mode(&testbed.path("actions-runner"), 0o750);
        let passwd = "root:x:0:0::/root:/bin/sh\njobber1:x:64001:64001::/:/bin/sh\n";
        let members = |members: &str| format!("root:x:0:\njobber1:x:64001:\nbuilders:x:64100:{members}\n");
        let Some(command) = with_accounts(&testbed, passwd, &members("")) else { return };
        insta::assert_snapshot!(refusal_of(&testbed, command).await, @r#"
        exit code 2
        error: 1 mistake in the configuration [dir]/config.toml
          runner.dir: the directory [dir]/actions-runner cannot be listed by the user `jobber1` (permission denied), but the official runner lists its own directory and each one above it: run `chmod o+rx [dir]/actions-runner`, or choose another place

        hint: see docs/configuration.md for every key and a complete example
        "#);
        let command = with_accounts(&testbed, passwd, &members("jobber1")).unwrap();
        testbed.serve_by(command).await.terminate().await;
    })
    .await;
}

#[tokio::test]
async fn shared_programs_that_a_job_could_change_are_refused() {
    if !is_root() {
        return;
    }
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        set_mode(&testbed.path("actions-runner/bin/Runner.Listener"), 0o777);
        insta::assert_snapshot!(refusal_of(&testbed, testbed.command()).await, @r#"
        exit code 2
        error: 1 mistake in the configuration [dir]/config.toml
          runner.dir: a runner's user can write to [dir]/actions-runner/bin/Runner.Listener, which all runners share: run `chown -R root:root [dir]/actions-runner && chmod -R go-w [dir]/actions-runner`

        hint: see docs/configuration.md for every key and a complete example
        "#);
        set_mode(&testbed.path("actions-runner/bin/Runner.Listener"), 0o755);
        // The owner of a parent directory can replace its contents.
        fs::create_dir(testbed.path("above")).unwrap();
        chown(testbed.path("above"), Some(63_001), Some(63_001)).unwrap();
        let command = with_state(&testbed, &testbed.path("above/state"));
        insta::assert_snapshot!(refusal_of(&testbed, command).await, @r#"
        exit code 2
        error: 1 mistake in the configuration [dir]/config.toml
          state directory: a runner's user can write to [dir]/above and could replace [dir]/above/state: run `chown root:root [dir]/above && chmod go-w [dir]/above`, or choose another place

        hint: see docs/configuration.md for every key and a complete example
        "#);
    })
    .await;
}

#[tokio::test]
async fn a_runner_that_has_updated_itself_is_refused() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let runner = testbed.path("actions-runner");
        fs::rename(runner.join("bin"), runner.join("bin.2.336.0")).unwrap();
        std::os::unix::fs::symlink(runner.join("bin.2.336.0"), runner.join("bin")).unwrap();
        insta::assert_snapshot!(refusal_of(&testbed, testbed.command()).await, @r#"
        exit code 2
        error: 1 mistake in the configuration [dir]/config.toml
          runner.dir: [dir]/actions-runner/bin/Runner.Listener is behind a symbolic link, as after a self-update of the runner: a freshly unpacked actions/runner is expected

        hint: see docs/configuration.md for every key and a complete example
        "#);
    })
    .await;
}

#[tokio::test]
async fn an_executable_that_runners_cannot_start_is_refused() {
    if !is_root() {
        return;
    }
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let command = testbed.command();
        let dir = testbed.path("closed");
        fs::create_dir(&dir).unwrap();
        set_mode(&dir, 0o700);
        fs::hard_link(command.as_std().get_program(), dir.join("ecsrunner")).unwrap();
        let mut moved = Command::new(dir.join("ecsrunner"));
        moved.args(command.as_std().get_args());
        insta::assert_snapshot!(refusal_of(&testbed, moved).await, @r#"
        exit code 2
        error: 1 mistake in the configuration [dir]/config.toml
          executable: [dir]/closed/ecsrunner cannot be executed by user id 63000 (permission denied), but runners execute it as their job-started hook: put it where every user can execute it, such as /usr/local/bin

        hint: see docs/configuration.md for every key and a complete example
        "#);
    })
    .await;
}

#[tokio::test]
async fn user_ids_without_accounts_are_warned_about() {
    if !is_root() {
        return;
    }
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        testbed.serve().await.terminate().await;
        let log = fs::read_to_string(testbed.path("server.log")).unwrap();
        for word in
            ["user ids have no account", "whoami", "id -un", "ssh", "git", "os.userInfo()", "runner.users"]
        {
            assert!(log.contains(word), "`{word}`: {log}");
        }
    })
    .await;
}

#[tokio::test]
async fn secrets_that_others_can_change_are_refused_and_those_that_all_can_read_are_warned_of() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        set_mode(&testbed.path("token"), 0o666);
        set_mode(&testbed.path("webhook-secret"), 0o620);
        insta::assert_snapshot!(refusal_of(&testbed, testbed.command()).await, @r"
        exit code 2
        error: 2 mistakes in the configuration [dir]/config.toml
          github.token_file: [dir]/token can be changed by others (mode 0666): run `chmod go-w [dir]/token`
          webhook.secret_files: [dir]/webhook-secret can be changed by others (mode 0620): run `chmod go-w [dir]/webhook-secret`

        hint: see docs/configuration.md for every key and a complete example
        ");
        set_mode(&testbed.path("token"), 0o644);
        set_mode(&testbed.path("webhook-secret"), 0o640);
        let server = testbed.serve_unheard().await;
        let log = fs::read_to_string(testbed.path("server.log")).unwrap();
        let warned: Vec<&str> = log.lines().filter(|line| line.contains("can read this secret")).collect();
        assert!(warned.len() == 1 && warned[0].contains("/token"), "{log}");
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_state_directory_that_another_user_made_or_could_replace_is_refused() {
    if !is_root() {
        return;
    }
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let theirs = testbed.path("theirs");
        fs::create_dir(&theirs).unwrap();
        // Not one of the runners' users, whose directories are refused for another reason.
        const OPERATOR: u32 = 70_000;
        chown(&theirs, Some(OPERATOR), None).unwrap();
        let (state, link) = (theirs.join("state"), theirs.join("link"));
        fs::create_dir(&state).unwrap();
        std::os::unix::fs::symlink(testbed.path(""), &link).unwrap();
        for refused in [&theirs, &state, &link.join("new")] {
            let told = refusal_of(&testbed, with_state(&testbed, refused)).await;
            assert!(
                told.contains("cannot be trusted") && told.contains("belongs to user id 70000"),
                "{told}"
            );
            assert!(!refused.join("server.json").exists());
        }
        let shared = testbed.path("shared");
        fs::create_dir(&shared).unwrap();
        // A group that may have members, who could replace the directory.
        chown(&shared, None, Some(OPERATOR)).unwrap();
        set_mode(&shared, 0o775);
        let told = refusal_of(&testbed, with_state(&testbed, &shared.join("state"))).await;
        assert!(told.contains("cannot be trusted") && told.contains("can be changed by others"), "{told}");
    })
    .await;
}

#[tokio::test]
async fn an_executable_that_others_could_replace_is_refused_by_root_and_warned_of_by_others() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let command = testbed.command();
        let dir = testbed.path("open");
        fs::create_dir(&dir).unwrap();
        set_mode(&dir, 0o777);
        fs::hard_link(command.as_std().get_program(), dir.join("ecsrunner")).unwrap();
        let mut moved = Command::new(dir.join("ecsrunner"));
        moved.args(command.as_std().get_args()).env("GITHUB_API_URL", testbed.github_url());
        if nix::unistd::geteuid().is_root() {
            insta::assert_snapshot!(refusal_of(&testbed, moved).await, @r#"
            exit code 2
            error: 1 mistake in the configuration [dir]/config.toml
              executable: the server starts it as root, and [dir]/open can be changed by others (mode 0777): run `chmod go-w [dir]/open`

            hint: see docs/configuration.md for every key and a complete example
            "#);
        } else {
            testbed.serve_by(moved).await.terminate().await;
            let log = fs::read_to_string(testbed.path("server.log")).unwrap();
            assert!(log.contains("others can replace the executable"), "{log}");
        }
    })
    .await;
}
