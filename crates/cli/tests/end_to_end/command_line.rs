//! Exit code, standard output and standard error of the commands.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

pub(crate) fn ecsrunner(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecsrunner"));
    command.current_dir(dir).stdin(Stdio::null());
    for name in [
        "ECSRUNNER_STATE",
        "ECSRUNNER_CONFIG",
        "ECSRUNNER_WEBHOOK_SECRET_FILE",
        "ECSRUNNER_LOG",
        "GITHUB_API_URL",
        "ECSRUNNER_DEPLOYMENT",
        "ECSRUNNER_LOCAL",
        "GH_TOKEN",
        "GITHUB_TOKEN",
        "COLUMNS",
    ] {
        command.env_remove(name);
    }
    command
}

/// Formats exit code, stdout and stderr.
pub(crate) fn told(output: &Output, dir: &Path) -> String {
    let text =
        |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace(dir.to_str().unwrap(), "[dir]");
    let code = output.status.code().unwrap();
    format!("exit code {code}\n--- stdout\n{}--- stderr\n{}", text(&output.stdout), text(&output.stderr))
}

/// Runs a command in an empty directory.
pub(crate) fn run(arguments: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output = ecsrunner(dir.path()).args(arguments).output().unwrap();
    told(&output, dir.path())
}

#[test]
fn without_arguments_the_help_is_shown_as_an_error() {
    insta::assert_snapshot!(run(&[]), @r"
    exit code 2
    --- stdout
    --- stderr
    Run GitHub Actions jobs on ephemeral runners: on AWS Fargate, or on this machine

    Usage: ecsrunner [OPTIONS] <COMMAND>

    Commands:
      demo              Run a demo on this machine with a fake GitHub
      local             Run jobs on this machine
      setup             Make and install the GitHub App, and store its credentials
      why               Explain the state of a job and what to do next
      ui                Show jobs, runners, costs and holds in a local page
      runners           List and manage runners
      jobs              List jobs, print their logs, and retry them
      runs              List executed jobs
      stats             Show where the waits of jobs went, by class and repository
      costs             Show what runners cost
      classes           List and check runner classes
      list-class-sizes  List runner classes (same as `classes list`)
      cluster           Show the ECS cluster, its runners and limits
      doctor            Check permissions, secrets, webhook, images and quotas
      pause             Stop launching runners; running jobs continue
      resume            Resume launching runners
      drain             Pause, and retire runners that have no job
      deliveries        List and redeliver GitHub webhooks
      webhook           Send test webhooks
      replay            Show which decisions recorded events would lead to
      simulate          Show waits, costs and limits for a load
      completions       Print a shell completion script
      man               Print the manual page
      help              Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Output:
          --no-color    Disable colours [env: NO_COLOR]
      -q, --quiet       Print only errors to stderr
      -v, --verbose...  Print progress to stderr (repeat for more detail)
    ");
}

#[test]
fn help_goes_to_standard_output() {
    insta::assert_snapshot!(run(&["--help"]), @r"
    exit code 0
    --- stdout
    Run GitHub Actions jobs on ephemeral runners: on AWS Fargate, or on this machine

    Usage: ecsrunner [OPTIONS] <COMMAND>

    Commands:
      demo              Run a demo on this machine with a fake GitHub
      local             Run jobs on this machine
      setup             Make and install the GitHub App, and store its credentials
      why               Explain the state of a job and what to do next
      ui                Show jobs, runners, costs and holds in a local page
      runners           List and manage runners
      jobs              List jobs, print their logs, and retry them
      runs              List executed jobs
      stats             Show where the waits of jobs went, by class and repository
      costs             Show what runners cost
      classes           List and check runner classes
      list-class-sizes  List runner classes (same as `classes list`)
      cluster           Show the ECS cluster, its runners and limits
      doctor            Check permissions, secrets, webhook, images and quotas
      pause             Stop launching runners; running jobs continue
      resume            Resume launching runners
      drain             Pause, and retire runners that have no job
      deliveries        List and redeliver GitHub webhooks
      webhook           Send test webhooks
      replay            Show which decisions recorded events would lead to
      simulate          Show waits, costs and limits for a load
      completions       Print a shell completion script
      man               Print the manual page
      help              Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Output:
          --no-color    Disable colours [env: NO_COLOR]
      -q, --quiet       Print only errors to stderr
      -v, --verbose...  Print progress to stderr (repeat for more detail)
    --- stderr
    ");
    insta::assert_snapshot!(run(&["local", "up", "--help"]), @r"
    exit code 0
    --- stdout
    Start the server: webhook, API and web page, with runners as processes

    Usage: ecsrunner local up [OPTIONS] --state <DIR> --config <FILE>

    Options:
          --listen <ADDR>  Address to listen on (port 0: any free port) [default: 127.0.0.1:8080]
          --state <DIR>    Directory for records, tasks and logs [env: ECSRUNNER_STATE=]
          --config <FILE>  Configuration file (TOML) [env: ECSRUNNER_CONFIG=]
          --poll           Poll GitHub every 15 seconds, if its webhooks cannot reach this machine
      -h, --help           Print help
      -V, --version        Print version

    Output:
          --no-color    Disable colours [env: NO_COLOR]
      -q, --quiet       Print only errors to stderr
      -v, --verbose...  Print progress to stderr (repeat for more detail)
    --- stderr
    ");
    insta::assert_snapshot!(run(&["demo", "--help"]), @r"
    exit code 0
    --- stdout
    Run a demo on this machine with a fake GitHub

    Usage: ecsrunner demo [OPTIONS]
           ecsrunner demo <COMMAND>

    Commands:
      github  Serve only the fake GitHub
      help    Print this message or the help of the given subcommand(s)

    Options:
          --workflow <FILE>              Run this workflow file instead of the built-in one
          --runner-dir <DIR>             Run jobs with the official runner, unpacked in this directory
          --action <OWNER/NAME@REF=DIR>  Use a local directory for an action (repeatable)
          --actions <DIR>                Use the actions in this directory: OWNER/NAME@REF as a
                                         directory or a .tar.gz archive
          --online                       Get other actions and called workflows from GitHub
          --event <EVENT>                Event that starts the workflow [default: push]
          --payload <FILE>               JSON file with more of the event's payload
          --branch <NAME>                Branch of the run (default: the checked-out one, or main)
          --base <NAME>                  Base branch of a pull request (default: the repository's
                                         default branch)
          --tag <NAME>                   Tag of the run, as after a push of it
          --changed <FILE>               File that the event has changed, for filters by path
                                         (repeatable; default: those of the commit)
          --input <NAME=VALUE>           Input of a workflow_dispatch (repeatable)
          --secret <NAME[=VALUE]>        Secret, by value or from the environment variable NAME
                                         (repeatable)
          --var <NAME=VALUE>             Configuration variable (repeatable)
          --label <LABEL=CLASS>          Class that serves jobs with this label (repeatable)
      -f, --follow                       Print the lines of each job's log to stderr as they come
          --logs <DIR>                   Write the log of each job to this directory
          --jobs <N>                     Run N short jobs instead of a workflow (1 to 256)
          --summary                      Show each job's summary, with a note about its runner
          --json                         Print the result as JSON
          --web                          Keep serving the web page after the jobs end, until Ctrl-C
      -h, --help                         Print help
      -V, --version                      Print version

    Output:
          --no-color    Disable colours [env: NO_COLOR]
      -q, --quiet       Print only errors to stderr
      -v, --verbose...  Print progress to stderr (repeat for more detail)
    --- stderr
    ");
}

#[test]
fn the_version_is_told() {
    assert_eq!(
        run(&["--version"]),
        format!("exit code 0\n--- stdout\necsrunner {}\n--- stderr\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn an_unknown_command_is_wrong_usage() {
    insta::assert_snapshot!(run(&["serve"]), @r"
    exit code 2
    --- stdout
    --- stderr
    error: unrecognized subcommand 'serve'

      tip: a similar subcommand exists: 'resume'

    Usage: ecsrunner [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn a_server_without_state_and_configuration_is_wrong_usage() {
    insta::assert_snapshot!(run(&["local", "up"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: the following required arguments were not provided:
      --state <DIR>
      --config <FILE>

    Usage: ecsrunner local up --state <DIR> --config <FILE>

    For more information, try '--help'.
    "#);
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    insta::assert_snapshot!(run(&["local", "up", "--state", "state", "--config", "none.toml"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: 1 mistake in the configuration none.toml
      cannot be read: No such file or directory (os error 2)

    hint: see docs/configuration.md for every key and a complete example
    "#);
}

#[test]
fn every_mistake_in_a_configuration_is_told_at_once_with_file_and_key() {
    let dir = tempfile::tempdir().unwrap();
    let config = r#"
version = 2
deployment = "CI!"
repositories = ["acme"]
required_labels = []

[limits]
max_runners = 0
idle_limit_secs = 5

[github]
token_file = "token"

[webhook]
secret_files = ["secret"]

[runner]
dir = "actions-runner"

[classes.odd]
cpu = 300
memory = 1024

[classes.huge]
cpu = 1024
memory = 65536
"#;
    fs::write(dir.path().join("config.toml"), config).unwrap();
    fs::write(dir.path().join("secret"), "\n").unwrap();
    let up = ["local", "up", "--state", "state", "--config", "config.toml"];
    let output = ecsrunner(dir.path()).args(up).output().unwrap();
    insta::assert_snapshot!(told(&output, dir.path()), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: 11 mistakes in the configuration config.toml
      classes.huge: memory 65536 does not go with cpu 1024: Fargate offers 2048 to 8192 in steps of 1024 MiB
      classes.odd: cpu 300 is not a size of Fargate's: 256, 512, 1024, 2048, 4096, 8192, 16384 or 32768 is expected
      version 2 is not known: this release reads version 1
      deployment: deployment `CI!` is not valid: 1 to 20 characters of a-z, 0-9 and -, beginning and ending with a letter or digit
      repositories: repository pattern `acme` is not valid: `owner/name`, `owner/*` or `*` is expected
      required_labels is empty: at least one is needed
      limits.max_runners is 0: at least 1 is expected
      limits.idle_limit_secs is 5: at least 600 is expected: a shorter one would end runners while a job is on its way
      github.token_file: [dir]/token cannot be read: No such file or directory (os error 2)
      webhook.secret_files: [dir]/secret is empty
      runner.dir: [dir]/actions-runner/bin/Runner.Listener does not exist: an unpacked actions/runner is expected

    hint: see docs/configuration.md for every key and a complete example
    "#);
    assert!(!dir.path().join("state").exists(), "a wrong configuration makes no state");
}

#[test]
fn keys_that_do_not_exist_and_text_that_is_not_toml_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let up = ["local", "up", "--state", "state", "--config", "config.toml"];
    let with = |config: &str| {
        fs::write(dir.path().join("config.toml"), config).unwrap();
        told(&ecsrunner(dir.path()).args(up).output().unwrap(), dir.path())
    };
    insta::assert_snapshot!(with("version = 1\nversion = "), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: 1 mistake in the configuration config.toml
      is not TOML: TOML parse error at line 2, column 11 | 2 | version = | ^ string values must be quoted, expected literal string

    hint: see docs/configuration.md for every key and a complete example
    "#);
    insta::assert_snapshot!(with("version = 1\ndeployment = \"x\"\nrepositories = [\"a/b\"]\nrepository = 1\n[limits]\nmax_runner = 1\n[github]\ntoken = \"x\"\n[runner]\nfolder = \"x\"\n"), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: 7 mistakes in the configuration config.toml
      classes: this section is missing
      github.token: unknown field `token`, expected one of `api_url`, `token_file`, `app`
      runner.folder: unknown field `folder`, expected one of `dir`, `env`, `users`, `first_uid`, `tasks`, `docker`, `network`
      runner.dir: this key is missing
      limits.max_runner: unknown field `max_runner`, expected one of `max_runners`, `max_runners_per_repository`, `max_warm`, `max_job_minutes`, `boot_limit_secs`, `connect_limit_secs`, `idle_limit_secs`, `hook_limit_secs`, `surplus_grace_secs`
      repository: unknown field `repository`, expected one of `version`, `deployment`, `repositories`, `required_labels`, `public_repositories`, `forks`, `events`, `check_runs`, `rerun`, `rerun_repositories`, `on_failure`, `fail_after_minutes`, `budget`, `repository_budgets`, `self_hosted_fee`, `registration`, `limits`, `hook_limit_secs`, `paces`, `job_summary`, `paused`
      webhook.secret_files: at least one file with a webhook secret is needed

    hint: see docs/configuration.md for every key and a complete example
    "#);
}

#[test]
fn a_configuration_without_an_app_names_setup() {
    let dir = tempfile::tempdir().unwrap();
    let config = "version = 1\ndeployment = \"x\"\nrepositories = [\"a/b\"]\n[runner]\ndir = \"runner\"\n\
                  [classes.small]\ncpu = 512\nmemory = 1024\n";
    fs::write(dir.path().join("config.toml"), config).unwrap();
    let up = ["local", "up", "--state", "state", "--config", "config.toml"];
    let output = ecsrunner(dir.path()).args(up).output().unwrap();
    insta::assert_snapshot!(told(&output, dir.path()), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: 3 mistakes in the configuration config.toml
      github: this section is missing
      webhook.secret_files: at least one file with a webhook secret is needed
      runner.dir: [dir]/runner/bin/Runner.Listener does not exist: an unpacked actions/runner is expected

    hint: run `ecsrunner setup --config config.toml` to make a GitHub App: it adds the sections `github` and `webhook`
    "#);
}

#[test]
fn a_setup_that_does_not_reach_github_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let config = "version = 1\ndeployment = \"x\"\nrepositories = [\"acme/app\"]\n[classes.small]\ncpu = 512\nmemory = 1024\n";
    fs::write(dir.path().join("config.toml"), config).unwrap();
    let setup =
        ["setup", "--config", "config.toml", "--no-browser", "--github-api-url", "http://127.0.0.1:9"];
    let told = told(&ecsrunner(dir.path()).args(setup).output().unwrap(), dir.path());
    assert!(told.starts_with("exit code 1\n"), "{told}");
    let hint = "hint: check that this machine reaches GitHub's API (GITHUB_API_URL and `--github-api-url` name another one), \
                then run `ecsrunner setup` again\n";
    assert!(told.ends_with(hint), "{told}");
}

#[test]
fn an_address_that_cannot_be_listened_on_is_told_with_another_one() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told = run(&["demo", "github", "--listen", &address]).replace(&address, "[address]");
    insta::assert_snapshot!(told, @r"
    exit code 1
    --- stdout
    --- stderr
    error: cannot listen on [address]
      caused by: Address already in use (os error 98)

    hint: use another `--listen`, or `--listen 127.0.0.1:0` for any free port
    ");
    insta::assert_snapshot!(run(&["demo", "github", "--listen", "localhost:8080"]), @r"
    exit code 2
    --- stdout
    --- stderr
    error: invalid value 'localhost:8080' for '--listen <ADDR>': expected ADDRESS:PORT, such as 127.0.0.1:8080

    For more information, try '--help'.
    ");
}

#[test]
fn warm_tasks_that_the_limits_do_not_allow_are_a_mistake_in_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let with = |limits: &str| {
        let config = format!(
            "version = 1\ndeployment = \"x\"\nrepositories = [\"a/b\"]\n[limits]\n{limits}\n\
             [classes.small]\ncpu = 512\nmemory = 1024\nwarm = {{ count = 2 }}\n"
        );
        fs::write(dir.path().join("config.toml"), config).unwrap();
        let up = ["local", "up", "--state", "state", "--config", "config.toml"];
        told(&ecsrunner(dir.path()).args(up).output().unwrap(), dir.path())
    };
    let beyond = "      classes: warm.count of all classes together is 2 (`small` 2), but limits.max_warm is";
    for (limits, is_beyond) in [("", true), ("max_warm = 1", true), ("max_warm = 2", false)] {
        assert_eq!(with(limits).contains(beyond.trim_start()), is_beyond, "{limits}: {}", with(limits));
    }
    let told = with("max_warm = 2\nmax_runners = 1");
    assert!(
        told.contains("limits.max_warm is 2: at most limits.max_runners is expected, which is 1"),
        "{told}"
    );
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, code) in [(&["--help"][..], 0), (&["demo", "--json", "--jobs", "1"], 1)] {
        let mut command = ecsrunner(dir.path());
        let mut child =
            command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(told, "", "{arguments:?}");
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}
