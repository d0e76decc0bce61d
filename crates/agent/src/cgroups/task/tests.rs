use std::process::{Child, Command, Stdio};

use super::*;

const LIMITS: TaskCgroupLimits = TaskCgroupLimits { memory: Some(64 << 20), processes: 20, cpu: 512 };

fn below(root: &Path) -> TaskCgroup {
    TaskCgroup { root: root.to_owned(), name: "ecsrunner-1".to_owned() }
}

fn written(root: &Path, files: &[&str]) -> Vec<String> {
    files.iter().map(|file| fs::read_to_string(root.join(file)).unwrap_or_else(|_| "-".to_owned())).collect()
}

/// A directory in which the kernel's files are there as soon as the directory is.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

#[test]
fn version_2_limits_memory_without_swap_processes_and_the_share_of_the_cpu() {
    let root = tree(&[
        ("cgroup.controllers", "cpu io memory pids"),
        ("cgroup.subtree_control", "cpu memory pids"),
        ("ecsrunner-1/memory.swap.max", "max"),
        ("ecsrunner-1/pids.max", "max"),
        ("ecsrunner-1/cpu.weight", "100"),
    ]);
    below(root.path()).create(LIMITS).unwrap();
    let files = ["memory.max", "memory.swap.max", "pids.max", "cpu.weight", "cgroup.subtree_control"];
    let files = files.map(|file| format!("ecsrunner-1/{file}"));
    let expected = ["67108864", "0", "20", "50", "+memory"];
    assert_eq!(written(root.path(), &files.each_ref().map(String::as_str)), expected);
    below(root.path()).join().unwrap();
    assert_eq!(written(root.path(), &["ecsrunner-1/processes/cgroup.procs"]), ["0"]);
}

#[test]
fn version_2_gets_the_memory_controller_below_the_top_before_a_task_needs_it() {
    let root = tree(&[("cgroup.controllers", "memory"), ("cgroup.subtree_control", "")]);
    below(root.path()).create(LIMITS).unwrap();
    assert_eq!(written(root.path(), &["cgroup.subtree_control"]), ["+memory"]);
}

#[test]
fn version_1_has_a_directory_for_each_controller_that_is_there() {
    let root = tree(&[
        ("memory/x", ""),
        ("pids/x", ""),
        ("cpu/x", ""),
        ("memory/ecsrunner-1/memory.memsw.limit_in_bytes", "9"),
    ]);
    below(root.path()).create(LIMITS).unwrap();
    let files = [
        "memory/ecsrunner-1/memory.limit_in_bytes",
        "memory/ecsrunner-1/memory.memsw.limit_in_bytes",
        "memory/ecsrunner-1/memory.use_hierarchy",
        "pids/ecsrunner-1/pids.max",
        "cpu/ecsrunner-1/cpu.shares",
    ];
    assert_eq!(written(root.path(), &files), ["67108864", "67108864", "1", "20", "512"]);
    assert!(!root.path().join("cpuacct").exists());
    below(root.path()).join().unwrap();
    let joined = ["memory", "pids", "cpu"].map(|it| format!("{it}/ecsrunner-1/cgroup.procs"));
    assert_eq!(written(root.path(), &joined.each_ref().map(String::as_str)), ["0", "0", "0"]);
}

#[test]
fn without_a_limit_of_memory_the_rest_is_set() {
    let root = tree(&[("memory/x", ""), ("pids/x", "")]);
    below(root.path()).create(TaskCgroupLimits { memory: None, ..LIMITS }).unwrap();
    let files = ["memory/ecsrunner-1/memory.limit_in_bytes", "pids/ecsrunner-1/pids.max"];
    assert_eq!(written(root.path(), &files), ["-", "20"]);
}

#[test]
fn a_machine_without_a_memory_controller_is_told_so() {
    for files in [&[("unified/x", ""), ("pids/x", "")][..], &[("cgroup.controllers", "cpu pids")], &[]] {
        let root = tree(files);
        let error = below(root.path()).create(LIMITS).unwrap_err();
        let expected = format!("{} has no cgroups with a memory controller", root.path().display());
        assert_eq!(error.to_string(), expected);
        assert!(!root.path().join("pids/ecsrunner-1").exists());
    }
}

/// A cgroup of this machine, and a process that has entered it and waits for a line before it executes `script`.
struct Real {
    cgroup: TaskCgroup,
    shell: Child,
}

impl Real {
    /// `None` where this machine gives the test no cgroup.
    fn start(name: &str, script: &str) -> Option<Self> {
        let cgroup = TaskCgroup::of(Path::new(&format!("test-{name}-{}", std::process::id())));
        if let Err(error) = can_be_made(&cgroup) {
            ecsrunner_skip::skip(format!("this machine gives the test no cgroup: {error}"));
            return None;
        }
        cgroup.create(LIMITS).unwrap();
        let dirs = if cgroup.is_version_2() {
            vec![cgroup.root.join(&cgroup.name).join(PROCESSES)]
        } else {
            cgroup.hierarchies().into_iter().map(|(_, dir)| dir).collect()
        };
        let joins: String =
            dirs.iter().map(|dir| format!("echo $$ > {}/cgroup.procs\n", dir.display())).collect();
        let shell = Command::new("bash")
            .args(["-ec", &format!("{joins}{script}")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Some(Self { cgroup, shell })
    }

    fn ended(self) -> String {
        let output = self.shell.wait_with_output().unwrap();
        self.cgroup.end(Instant::now() + Duration::from_secs(10)).unwrap();
        assert_eq!(self.cgroup.memory_kills(), None, "it is gone");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Whether this machine lets the test make a cgroup, found without the code that is tested.
fn can_be_made(cgroup: &TaskCgroup) -> io::Result<()> {
    let top = if cgroup.is_version_2() {
        // A container's own, whose processes are directly in it, is not for a test to change.
        let enabled = fs::read_to_string(cgroup.root.join("cgroup.subtree_control"))?;
        if !enabled.split_whitespace().any(|controller| controller == MEMORY) {
            return Err(io::Error::other("no memory controller below the top"));
        }
        cgroup.root.clone()
    } else {
        fs::metadata(cgroup.root.join(MEMORY).join("memory.usage_in_bytes"))?;
        cgroup.root.join(MEMORY)
    };
    let probe = top.join(format!("{}-probe", cgroup.name));
    fs::create_dir(&probe)?;
    fs::remove_dir(&probe)
}

#[test]
fn processes_that_each_stay_below_the_limit_are_killed_when_together_they_are_above_it() {
    // Each child has 24 MB of 64 in use.
    let script = "for i in 1 2 3 4; do perl -e '$x = \"x\" x 24_000_000; sleep 2' & done; \
                  killed=0; for pid in $(jobs -p); do wait $pid || killed=$((killed + 1)); done; echo $killed";
    let Some(mut real) = Real::start("memory", script) else { return };
    real.shell.wait().unwrap();
    let kills = real.cgroup.memory_kills().unwrap();
    let told: u64 = real.ended().trim().parse().unwrap();
    assert!((1..4).contains(&told), "{told}");
    assert_eq!(kills, told);
}

#[test]
fn no_more_processes_than_the_limit_can_be_started() {
    let script = "perl -e 'for (1..50) { my $p = fork; defined $p or do { print $_; last }; $p or do { sleep 2; exit } }'";
    let Some(real) = Real::start("pids", script) else { return };
    let refused: u64 = real.ended().trim().parse().unwrap();
    // Perl is one of them, in place of the shell or beside it.
    assert!((18..=20).contains(&refused), "{refused}");
}

#[test]
fn what_is_left_is_killed_with_the_cgroup_wherever_it_hides() {
    let script = "setsid sleep 300 > /dev/null & disown; echo $!";
    let Some(real) = Real::start("left", script) else { return };
    let pid: i32 = real.ended().trim().parse().unwrap();
    assert!(!is_running(pid), "{pid}");
}

fn is_running(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.contains("sleep") && !stat.contains(") Z ")
}
