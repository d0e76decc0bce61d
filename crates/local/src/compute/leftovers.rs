//! Finds and kills processes that a task left behind. An agent ends its own
//! descendants, so this is for agents that were killed.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How often the processes are listed: a process may have started another one
/// meanwhile.
const ROUNDS: u32 = 5;

/// Kills every process of the user `uid`. Without a `uid`, kills every process
/// that works below the task's directory.
pub(crate) fn kill_all(dir: &Path, uid: Option<u32>) {
    for _ in 0..ROUNDS {
        let left: Vec<Pid> = processes().filter(|pid| belongs(*pid, dir, uid)).collect();
        if left.is_empty() {
            return;
        }
        for pid in left {
            // It may have ended by itself.
            let _gone = kill(pid, Signal::SIGKILL);
        }
    }
}

/// Counts the processes that work below a directory.
pub(crate) fn count(dir: &Path) -> usize {
    processes().filter(|pid| belongs(*pid, dir, None)).count()
}

fn processes() -> impl Iterator<Item = Pid> {
    let own = std::process::id();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(move |pid| *pid != own)
        .filter_map(|pid| i32::try_from(pid).ok())
        .map(Pid::from_raw)
}

fn belongs(pid: Pid, dir: &Path, uid: Option<u32>) -> bool {
    let proc_dir = Path::new("/proc").join(pid.to_string());
    if let Some(uid) = uid {
        use std::os::unix::fs::MetadataExt;
        return fs::metadata(&proc_dir).is_ok_and(|metadata| metadata.uid() == uid)
            && !is_zombie(&proc_dir)
            && !is_in_container(&proc_dir);
    }
    let works_below = fs::read_link(proc_dir.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
    let runs_below = fs::read_link(proc_dir.join("exe")).is_ok_and(|exe| exe.starts_with(dir));
    works_below || runs_below
}

/// Whether a process is in a container of any job, which may use this user id too: in another namespace of processes,
/// and in this process's own namespace of users, because only root there makes the one without the other. A process that
/// has made both is the job's own. An engine's keeper ends its containers.
fn is_in_container(proc_dir: &Path) -> bool {
    let is_own = |name: &str| {
        let namespace = |of: &Path| fs::read_link(of.join("ns").join(name)).ok();
        // Only root sees those of others. Others than root have no engines.
        Some(namespace(proc_dir)? == namespace(Path::new("/proc/self"))?)
    };
    is_own("pid") == Some(false) && is_own("user") == Some(true)
}

fn is_zombie(proc_dir: &Path) -> bool {
    fs::read_to_string(proc_dir.join("stat"))
        .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use ecsrunner_skip::skip;

    use super::*;

    #[test]
    fn a_process_of_a_tasks_user_is_killed_and_one_in_a_container_with_the_same_user_id_is_not() {
        use std::os::unix::process::CommandExt;
        const USER: u32 = 1_900_000_077;
        let words = ["--pid", "--fork", "--kill-child", "setpriv", "--reuid=1900000077", "sleep", "300"];
        let why = "only root can start processes of another user, with `unshare` and `setpriv`";
        let Ok(mut process) = Command::new("sleep").arg("300").uid(USER).spawn() else { return skip(why) };
        let Ok(mut container) = Command::new("unshare").args(words).spawn() else {
            process.kill().unwrap();
            process.wait().unwrap();
            return skip(why);
        };
        // It ends at once where it may not do that.
        let of_user = || processes().filter(|pid| is_of(*pid, USER)).collect::<Vec<_>>();
        while of_user().len() < 2 {
            if container.try_wait().unwrap().is_some() {
                process.kill().unwrap();
                process.wait().unwrap();
                return skip(why);
            }
            std::thread::yield_now();
        }
        kill_all(Path::new("/nonexistent"), Some(USER));
        process.wait().unwrap();
        let left = of_user();
        // The change of its user has freed it from its parent's end.
        left.iter().for_each(|pid| kill(*pid, Signal::SIGKILL).unwrap());
        container.wait().unwrap();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn a_process_that_hides_in_namespaces_of_its_own_is_killed() {
        use std::os::unix::process::CommandExt;
        const USER: u32 = 1_900_000_078;
        let words = ["--user", "--map-root-user", "--pid", "--fork", "sleep", "300"];
        let Ok(mut hidden) = Command::new("unshare").args(words).uid(USER).spawn() else { return };
        let hides = |pid: &Pid| is_of(*pid, USER) && is_named(*pid, "sleep");
        let Some(pid) = std::iter::repeat_with(|| processes().find(&hides))
            // It ends at once where users may not make namespaces.
            .take_while(|found| found.is_some() || hidden.try_wait().unwrap().is_none())
            .inspect(|_| std::thread::yield_now())
            .flatten()
            .next()
        else {
            return;
        };
        assert_ne!(
            fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap(),
            fs::read_link("/proc/self/ns/pid").unwrap()
        );
        kill_all(Path::new("/nonexistent"), Some(USER));
        hidden.wait().unwrap();
        // The signal needs a moment. A process that was spared would sleep beyond the test's limit.
        while processes().any(|pid| hides(&pid)) {
            std::thread::yield_now();
        }
    }

    fn is_named(pid: Pid, name: &str) -> bool {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|found| found.trim_end() == name)
    }

    fn is_of(pid: Pid, user: u32) -> bool {
        use std::os::unix::fs::MetadataExt;
        let proc_dir = Path::new("/proc").join(pid.to_string());
        fs::metadata(&proc_dir).is_ok_and(|metadata| metadata.uid() == user) && !is_zombie(&proc_dir)
    }
}
