//! A firewall that fails after the server's start.

use super::*;
use crate::testbed::until_within;

/// Returns the command that starts the server where `iptables` fails while a file exists, and the path of that file.
pub(crate) fn with_iptables_that_fails(testbed: &Testbed) -> (tokio::process::Command, PathBuf) {
    let is_it = |dir: &&str| Path::new(dir).join("iptables").is_file();
    let real = Path::new(PATH.split(':').find(is_it).unwrap()).join("iptables").canonicalize().unwrap();
    let [copy, fails, script] = ["copy", "fails", "iptables"].map(|name| testbed.path(name));
    fs::copy(&real, &copy).unwrap();
    let text = format!(
        "#!/bin/bash\ntest -e {fails:?} && {{ echo no firewall; exit 4; }}\nexec -a \"$0\" {copy:?} \"$@\"\n"
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let mount = format!("mount --bind {} {} && exec \"$@\"", script.display(), real.display());
    (wrapped(testbed, "unshare", &["--mount", "/bin/sh", "-c", &mount, "sh"]), fails)
}

#[tokio::test]
async fn a_firewall_that_fails_later_keeps_neither_files_nor_users_and_the_network_is_removed_once_it_works()
{
    if !has_namespaces() {
        return;
    }
    let test = async {
        let (testbed, port) = testbed("10.231.9.0/24", "", "").await;
        let (command, fails) = with_iptables_that_fails(&testbed);
        let server = testbed.serve_by(command).await;
        fs::write(&fails, "").unwrap();
        let jobs = submit(&testbed, port, "", "ask 127.0.0.1 GET /_sim/faults").await;
        let (conclusion, log) = ends(&testbed, jobs).await.remove(0);
        assert_eq!(conclusion, "success", "{log}");
        let task = fs::read_dir(testbed.state().join("tasks")).unwrap().next().unwrap().unwrap().path();
        let log = fs::read_to_string(task.join("agent.log")).unwrap();
        assert!(log.contains("no network namespace") && log.contains("no firewall"), "{log}");
        let there = |name: &str| task.join(name).exists();
        until("the files to be removed", || !there("runner") && !there("removing")).await;
        until("the log to say so", || server_log(&testbed).contains("network is not removed")).await;
        assert!(there("network"), "it is for the next try");
        fs::remove_file(&fails).unwrap();
        // The sweep comes once a minute.
        until_within(Duration::from_secs(90), "the next try", || !there("network")).await;
        ends_with_nothing_left(&testbed, server, "10.231.9.").await;
    };
    tokio::time::timeout(Duration::from_secs(240), test).await.expect("the test took too long");
}
