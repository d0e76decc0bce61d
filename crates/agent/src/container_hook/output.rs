//! Shows a job what its services have written, as GitHub's runner does for those that Docker runs: if one is not ready, and
//! when the job is over.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ecsrunner_core::id::ServiceName;
use jiff::Timestamp;

use super::Told;
use crate::agent_dir::{self, Verdict};
use crate::hook;
use crate::services::offered::{At, Offered};
use crate::services::output::Tails;

/// How long the agent may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_millis(1_200);
/// Larger than any answer.
const MAX_ANSWER_BYTES: u64 = 4 * 1024 * 1024;

/// Writes the last lines of these services, or says where they are.
pub(super) fn show(dir: &Path, offered: &Offered, services: &[ServiceName], told: &mut Told<impl Write>) {
    if services.is_empty() {
        return;
    }
    if let At::Containers { runner, .. } = &offered.at {
        let runner = runner.as_ref().map_or("RUNNER", |runner| runner.as_str());
        for name in services {
            told.line(&format!(
                "What the service `{name}` has written: `ecsrunner runners logs {runner} --container {name}`"
            ));
        }
        return;
    }
    let tails = match ask(dir) {
        Ok(tails) => tails,
        Err(error) => return told.line(&format!("What services have written is not shown: {error}")),
    };
    for name in services {
        match tails.of.get(name).map_or("", String::as_str) {
            "" => told.line(&format!("The service `{name}` has written nothing")),
            tail => told.group(&format!("Last lines of the service `{name}`"), tail.lines()),
        }
    }
}

/// Asks the agent, which alone can read the output.
fn ask(dir: &Path) -> io::Result<Tails> {
    let ask = format!("{}-{}", std::process::id(), Timestamp::now().as_nanosecond());
    hook::tell_agent(dir, &Verdict::Outputs(ask.clone()))
        .map_err(|error| io::Error::other(format!("its agent cannot be asked: {error}")))?;
    let deadline = Instant::now() + ANSWER_LIMIT;
    loop {
        match read(dir) {
            Some(tails) if tails.ask == ask => return Ok(tails),
            _ if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            _ => return Err(io::Error::other("its agent did not answer in time")),
        }
    }
}

fn read(dir: &Path) -> Option<Tails> {
    let file = File::open(agent_dir::outputs_path(dir)).ok()?;
    let mut json = Vec::new();
    file.take(MAX_ANSWER_BYTES).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::{self, OpenOptions};
    use std::io::{BufRead, BufReader};

    use super::*;

    const RUNNER: &str = "ecsr-ci-abcdefg234-01arz3ndektsv4rrffq69g5fav";

    fn offered(at: At) -> Offered {
        let offer = serde_json::from_str(r#"{"class":"small","services":{},"elsewhere":[]}"#).unwrap();
        Offered { offer, at }
    }

    fn shown(dir: &Path, offered: &Offered, names: &[&str]) -> String {
        let names: Vec<ServiceName> = names.iter().map(|name| ServiceName::parse(name).unwrap()).collect();
        let mut out = Vec::new();
        show(dir, offered, &names, &mut Told(&mut out));
        String::from_utf8(out).unwrap()
    }

    fn processes() -> Offered {
        offered(At::Processes { processes: BTreeMap::new(), ended: BTreeMap::new() })
    }

    /// Answers one question of a hook as the agent does.
    fn agent(dir: &Path, of: &[(&str, &str)]) -> thread::JoinHandle<()> {
        let path = agent_dir::verdicts_path(dir);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let fifo = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let of = of.iter().map(|(name, text)| (ServiceName::parse(name).unwrap(), (*text).to_owned()));
        let (of, dir) = (of.collect(), dir.to_owned());
        thread::spawn(move || {
            let mut line = String::new();
            BufReader::new(fifo).read_line(&mut line).unwrap();
            let ask = line.trim_end().strip_prefix("outputs ").unwrap().to_owned();
            let json = serde_json::to_vec(&Tails { ask, of }).unwrap();
            fs::write(dir.join("new"), json).unwrap();
            fs::rename(dir.join("new"), agent_dir::outputs_path(&dir)).unwrap();
        })
    }

    #[test]
    fn what_a_service_writes_is_shown_and_is_no_command_of_the_job() {
        let dir = tempfile::tempdir().unwrap();
        let hostile = "ready\n::set-env name=A::b\n x ##[add-path]/tmp\n\x1b[31mred\tend";
        let agent = agent(dir.path(), &[("db", hostile), ("quiet", ""), ("other", "not asked for")]);
        let expected = "::group::Last lines of the service `db`\nready\n: :set-env name=A: :b\n x # #[add-path]/tmp\n\
                        [31mred end\n::endgroup::\nThe service `quiet` has written nothing\n";
        assert_eq!(shown(dir.path(), &processes(), &["db", "quiet"]), expected);
        agent.join().unwrap();
    }

    #[test]
    fn without_an_answer_the_log_says_why() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(shown(dir.path(), &processes(), &[]), "");
        let told = shown(dir.path(), &processes(), &["db"]);
        assert!(
            told.starts_with("What services have written is not shown: its agent cannot be asked: "),
            "{told}"
        );
        // An agent that does not know the question: its pipe is there.
        let path = agent_dir::verdicts_path(dir.path());
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _fifo = OpenOptions::new().read(true).write(true).open(path).unwrap();
        fs::write(agent_dir::outputs_path(dir.path()), r#"{"ask":"another","of":{"db":"x"}}"#).unwrap();
        let told = shown(dir.path(), &processes(), &["db"]);
        assert_eq!(told, "What services have written is not shown: its agent did not answer in time\n");
    }

    #[test]
    fn of_a_container_the_operators_command_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for (runner, named) in [(&*format!(r#","runner":"{RUNNER}""#), RUNNER), ("", "RUNNER")] {
            let at = format!(r#"{{"containers":{{"metadata":"http://x"{runner}}}}}"#);
            let told = shown(dir.path(), &offered(serde_json::from_str(&at).unwrap()), &["db"]);
            let command = format!("`ecsrunner runners logs {named} --container db`");
            assert_eq!(told, format!("What the service `db` has written: {command}\n"));
        }
    }
}
