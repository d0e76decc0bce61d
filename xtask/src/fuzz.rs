//! Coverage-guided fuzzing of what strangers can write: each target of `fuzz/` runs for 30 seconds, and begins with its
//! committed corpus. The instrumentation is LLVM's, which the stable compiler has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};

use crate::steps::{Done, say};
use crate::tools::{cargo, is_there, succeed};

const TARGETS: [&str; 5] = ["webhook", "boot_item", "listener_lines", "task_event", "exit_record"];
const SECS: u32 = 30;
/// A machine of the tests has two cores.
const AT_ONCE: usize = 2;

/// What `cargo fuzz` passes to the compiler, without a sanitizer: the code is safe Rust.
const INSTRUMENTED: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                            -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1";

/// Builds the targets and runs each.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    if !is_there(Command::new("c++").arg("--version")) {
        return Ok(Done::Skipped("libFuzzer needs a C++ compiler, and `c++` is not there".to_owned()));
    }
    let host = host(root)?;
    let dir = root.join("target/fuzz");
    let mut build = cargo(root);
    build.args(["build", "--quiet", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml"]);
    build.args(["--target", &host, "--target-dir"]).arg(&dir).env("RUSTFLAGS", INSTRUMENTED);
    succeed(&mut build)?;
    let programs = dir.join(&host).join("release");
    for targets in TARGETS.chunks(AT_ONCE) {
        let running: Vec<Running> = targets
            .iter()
            .map(|target| start(root, &programs, &dir, target))
            .collect::<anyhow::Result<_>>()?;
        for running in running {
            running.finish()?;
        }
    }
    Ok(Done::Passed)
}

/// A target that is being fuzzed.
struct Running {
    target: &'static str,
    child: Child,
    log: PathBuf,
}

fn start(root: &Path, programs: &Path, dir: &Path, target: &'static str) -> anyhow::Result<Running> {
    // What is found goes to a directory of its own; the committed corpus is only read.
    let found = dir.join("found").join(target);
    fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
    let corpus = root.join("fuzz/corpus").join(target);
    ensure!(fs::read_dir(&corpus)?.count() > 0, "{} is empty: a corpus is expected", corpus.display());
    let log = dir.join(format!("{target}.log"));
    let child = Command::new(programs.join(target))
        .arg(format!("-max_total_time={SECS}"))
        .args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"])
        .arg(format!("-artifact_prefix={}/{target}-", dir.display()))
        .args([&found, &corpus])
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log)?)
        .spawn()
        .with_context(|| format!("cannot start the fuzz target {target}"))?;
    Ok(Running { target, child, log })
}

impl Running {
    fn finish(mut self) -> anyhow::Result<()> {
        let status = self.child.wait()?;
        let log = String::from_utf8_lossy(&fs::read(&self.log)?).into_owned();
        if !status.success() {
            let from = log.find("panicked").or(log.find("ERROR:")).unwrap_or(0);
            say(&log[from..].chars().take(4000).collect::<String>());
        }
        ensure!(status.success(), "the fuzz target {} found a fault: {}", self.target, self.log.display());
        let runs = executed(&log).context("the fuzz target does not tell how often it ran")?;
        ensure!(runs > 10_000, "{} ran {runs} times in {SECS} s: more than 10,000 is expected", self.target);
        say(&format!("{}: {runs} inputs in {SECS} s", self.target));
        Ok(())
    }
}

/// How many inputs libFuzzer says that it tried.
fn executed(log: &str) -> Option<u64> {
    let (_, rest) = log.split_once("stat::number_of_executed_units:")?;
    rest.lines().next()?.trim().parse().ok()
}

fn host(root: &Path) -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").current_dir(root).output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` does not name the host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_inputs_is_read_from_libfuzzers_statistics() {
        let log =
            "#2\tDONE\nstat::number_of_executed_units: 4635997\nstat::average_exec_per_sec:     289749\n";
        assert_eq!(executed(log), Some(4_635_997));
        assert_eq!(executed(""), None);
    }

    #[test]
    fn each_target_has_a_corpus_and_a_program() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
        for target in TARGETS {
            assert!(fuzz.join("corpus").join(target).is_dir(), "{target}");
            assert!(fuzz.join(format!("targets/{target}.rs")).is_file(), "{target}");
        }
    }
}
