//! The page: whom it serves, and whose answers it takes.

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::{Browser, Process, apps, called, faults, github};
use crate::testbed::bounded;

fn directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = "version = 1\ndeployment = \"office\"\nrepositories = [\"acme/app\"]\n[classes.small]\ncpu = 1024\nmemory = 2048\n";
    fs::write(dir.path().join("config.toml"), config).unwrap();
    dir
}

fn start(dir: &Path, github: &str, more: &[&str]) -> Process {
    start_with(dir, &[("GITHUB_API_URL", github)], more)
}

fn start_with(dir: &Path, variables: &[(&str, &str)], more: &[&str]) -> Process {
    Process::start(dir, variables, &[&["--config", "config.toml"], more].concat())
}

#[tokio::test]
async fn other_hosts_origins_browsers_states_and_a_second_answer_are_refused() {
    bounded(async {
        let (dir, github) = (directory(), github().await);
        let process = start(dir.path(), github.url(), &["--no-wait"]);
        let page = process.page().await;
        let mut browser = Browser::new();

        let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
        assert_eq!(status(browser.get(&page).header("host", "setup.example.com")).await, 403);
        assert_eq!(status(browser.get(&page).header("origin", "https://evil.example.com")).await, 403);
        assert_eq!(status(browser.get(&page).header("origin", "null")).await, 403);
        for (name, value) in
            [("sec-fetch-dest", "iframe"), ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site")]
        {
            assert_eq!(status(browser.get(&page).header(name, value)).await, 403, "{name}: {value}");
        }
        let answer = reqwest::Client::new().post(&page).send().await.unwrap();
        assert_eq!(answer.status(), 405);

        let form = browser.open(&page).await;
        browser.open(&page).await;
        assert_eq!(status(Browser::new().get(&page)).await, 403, "only the first browser goes on");
        process.line("a second browser was refused").await;

        let back = browser.create(&form).await;
        assert_eq!(Browser::new().come_back(&back).await.0, 403);
        let (address, state) = back.0.split_once("&state=").unwrap();
        for forged in [address.to_owned(), format!("{address}&state=0{}", &state[1..])] {
            assert_eq!(status(browser.get(&forged)).await, 403, "{forged}");
        }
        let elsewhere = browser.get(&back.0).header("origin", "https://evil.example.com");
        assert_eq!(status(elsewhere).await, 403);
        let (callback, _) = back.0.split_once('?').unwrap();
        assert_eq!(status(browser.get(&format!("{callback}?state={state}"))).await, 400);

        let framed = browser.get(&back.0).header("sec-fetch-dest", "iframe");
        assert_eq!(status(framed).await, 403);

        // None of them has used it up. The second answer comes while the first one is exchanged.
        let slow = json!({"rest": [{"path_end": "/conversions", "hang_secs": 1.5, "times": 1}]});
        faults(&github, &slow).await;
        let (done, again) = tokio::join!(browser.come_back(&back), async {
            called(&github, "POST /app-manifests/{code}/conversions").await;
            status(browser.get(&back.0)).await
        });
        assert_eq!(done.0, 303);
        assert!(done.1.ends_with("/apps/ecsrunner-acme-office/installations/new"), "{}", done.1);
        assert_eq!(again, 410);
        assert_eq!(process.end().await.code, 0);
        assert_eq!(apps(&github).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn each_answer_forbids_frames_caches_scripts_and_referrers_and_no_page_holds_a_secret() {
    bounded(async {
        let (dir, github) = (directory(), github().await);
        let process = start(dir.path(), github.url(), &["--no-wait"]);
        let page = process.page().await;
        let mut browser = Browser::new();
        let form = browser.open(&page).await;
        for path in ["", "style.css", "failed", "callback?code=x", "nothing"] {
            let answer = browser.get(&format!("{page}{path}")).send().await.unwrap();
            let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(header("cache-control"), "no-store", "{path}");
            assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
            let policy = header("content-security-policy");
            assert!(
                policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
                "{path}"
            );
            assert!(!policy.contains("script"), "{path}");
        }
        let manifest = form.manifest();
        assert_eq!(manifest["redirect_url"], format!("{page}callback"));
        assert_eq!(
            (&manifest["public"], &manifest["name"]),
            (&json!(false), &json!("ecsrunner-acme-office"))
        );
        let back = browser.create(&form).await;
        let (_, address) = browser.come_back(&back).await;
        assert!(!address.contains(&back.code()), "the code leaves the address bar");
        process.end().await;
    })
    .await;
}

#[tokio::test]
async fn nothing_that_is_secret_is_printed_even_with_the_most_detail() {
    bounded(async {
        let (dir, github) = (directory(), github().await);
        let log = [("GITHUB_API_URL", github.url()), ("ECSRUNNER_LOG", "trace")];
        let process = start_with(dir.path(), &log, &["--no-wait"]);
        let address = process.line("  http://127.0.0.1:").await;
        let mut browser = Browser::new();
        let form = browser.open(address.trim()).await;
        let back = browser.create(&form).await;
        browser.come_back(&back).await;
        let ended = process.end().await;
        let all = format!("{}{}", ended.stdout, ended.stderr);
        let key = fs::read_to_string(dir.path().join("ecsrunner-acme-office.private-key.pem")).unwrap();
        let secret = fs::read_to_string(dir.path().join("ecsrunner-acme-office.webhook-secret")).unwrap();
        let line = key.lines().nth(1).unwrap();
        let state = form.action.split("state=").nth(1).unwrap();
        for (what, secret) in
            [("key", line), ("secret", secret.trim()), ("code", &back.code()), ("state", state)]
        {
            assert!(!all.contains(secret), "the {what} is printed: {all}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_person_who_does_not_come_is_waited_for_until_the_limit() {
    bounded(async {
        let (dir, github) = (directory(), github().await);
        let ended = start(dir.path(), github.url(), &["--timeout", "1s"]).end().await;
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.contains("error: GitHub sent no code within 1.0s"), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("--code -` with the code from the browser's address bar"),
            "{}",
            ended.stderr
        );
    })
    .await;
}

#[tokio::test]
async fn an_installation_that_does_not_come_is_waited_for_until_the_limit() {
    bounded(async {
        let (dir, github) = (directory(), github().await);
        let process = start(dir.path(), github.url(), &["--timeout", "8s"]);
        let address = Browser::new().go_through(&process.page().await).await;
        let ended = process.end().await;
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.contains("error: the App was not installed within 8.0s"), "{}", ended.stderr);
        assert!(
            ended.stderr.contains(&format!("install it on {address}, and run `ecsrunner setup")),
            "{}",
            ended.stderr
        );
    })
    .await;
}

#[tokio::test]
async fn the_code_of_the_address_bar_is_enough_where_no_browser_comes_back() {
    bounded(async {
        let (dir, github) = (directory(), github().await);
        let process = start(dir.path(), github.url(), &[]);
        let mut browser = Browser::new();
        let form = browser.open(&process.page().await).await;
        let back = browser.create(&form).await;
        drop(process);

        let variables = [("GITHUB_API_URL", github.url())];
        let arguments = ["--config", "config.toml", "--no-wait", "--code", "-"];
        let ended =
            Process::start_with(dir.path(), &variables, &arguments, &format!("{}\n", back.0)).end().await;
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.stderr.contains("/apps/ecsrunner-acme-office/installations/new"), "{}", ended.stderr);
        assert!(dir.path().join("ecsrunner-acme-office.private-key.pem").exists());
    })
    .await;
}

#[tokio::test]
async fn over_ssh_the_command_that_forwards_the_port_is_printed_and_only_loopback_is_listened_on() {
    bounded(async {
        let (dir, github) = (directory(), github().await);
        let ssh = [
            ("GITHUB_API_URL", github.url()),
            ("SSH_CONNECTION", "203.0.113.7 50022 198.51.100.9 22"),
            ("USER", "ops"),
            ("DISPLAY", ":0"),
        ];
        let process = start_with(dir.path(), &ssh, &[]);
        let page = process.page().await;
        let port = page.trim_end_matches('/').rsplit(':').next().unwrap();
        process.line(&format!("ssh -N -L {port}:127.0.0.1:{port} ops@198.51.100.9")).await;
        drop(process);

        let ended = start(dir.path(), github.url(), &["--listen", "0.0.0.0:0"]).end().await;
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.stderr.contains("--listen is `0.0.0.0:0`: a loopback address"), "{}", ended.stderr);
    })
    .await;
}

#[tokio::test]
async fn the_account_that_owns_the_app_is_asked_for_where_it_is_not_clear() {
    bounded(async {
        let (dir, github) = (directory(), github().await);
        let config = dir.path().join("config.toml");
        let text = fs::read_to_string(&config).unwrap();
        let with = async |repositories: &str, more: &[&str]| {
            fs::write(&config, text.replace("[\"acme/app\"]", repositories)).unwrap();
            start(dir.path(), github.url(), more).end().await
        };
        let several = with("[\"acme/app\", \"globex/app\"]", &[]).await;
        assert_eq!(several.code, 2, "{several:?}");
        assert!(
            several.stderr.contains("repositories of acme and globex, and the App belongs to one account")
        );
        assert!(several.stderr.contains("`--organization NAME`"), "{}", several.stderr);
        let unknown = with("[\"globex/app\"]", &[]).await;
        assert_eq!(unknown.code, 4, "{unknown:?}");
        assert!(unknown.stderr.contains("GitHub has no account `globex`"), "{}", unknown.stderr);

        // A user's own account.
        fs::write(&config, text.replace("acme/app", "octocat/app")).unwrap();
        let process = start(dir.path(), github.url(), &["--timeout", "20s"]);
        let form = Browser::new().open(&process.page().await).await;
        assert!(
            form.action.starts_with(&format!("{}/settings/apps/new?state=", github.url())),
            "{}",
            form.action
        );
        drop(process);
        // GitHub Enterprise Server's pages are not below its API.
        fs::write(&config, &text).unwrap();
        let enterprise = format!("{}/api/v3", github.url());
        let process = start(dir.path(), github.url(), &["--github-api-url", &enterprise, "--timeout", "20s"]);
        let form = Browser::new().open(&process.page().await).await;
        let expected = format!("{}/organizations/acme/settings/apps/new?state=", github.url());
        assert!(form.action.starts_with(&expected), "{}", form.action);
    })
    .await;
}
