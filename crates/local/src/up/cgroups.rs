//! Finds out at the start whether tasks can have cgroups of their own.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use ecsrunner_agent::cgroups::{TaskCgroup, TaskCgroupLimits};
use ecsrunner_engine::chain;
use tracing::warn;

use crate::accounts::RunnerUsers;
use crate::compute::ClassLimits;
use crate::config::Config;
use crate::state_dir::StateDir;
use crate::task::confinement::Confinement;

/// The beginning of the names of cgroups that are only tried. The id of the trying process follows.
const PROBE: &str = "probe-";
/// How long the end of a process that has tried a cgroup may take.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Returns what the tasks of each class may use as a whole; `None` if they have no cgroups of their own.
pub(super) fn limits(
    config: &Config,
    executable: &Path,
    confinement: &Confinement,
    users: &RunnerUsers,
    state: &StateDir,
) -> anyhow::Result<Option<ClassLimits>> {
    let wanted = config.tasks.limit_memory;
    if matches!(users, RunnerUsers::Shared) {
        if wanted == Some(true) {
            bail!(
                "runner.tasks.limit_memory: only root can limit the memory of tasks: start the server as root, or remove the key"
            );
        }
        return Ok(None);
    }
    let limits: ClassLimits = config
        .catalogue
        .iter()
        .map(|class| {
            let memory = (wanted != Some(false)).then(|| u64::from(class.size.memory()) << 20);
            let processes = config.tasks.max_processes;
            (class.name.clone(), TaskCgroupLimits { memory, processes, cpu: class.size.cpu() })
        })
        .collect();
    let Some(first) = limits.values().next() else { return Ok(Some(limits)) };
    let Err(error) = try_out(*first, executable, confinement, state) else { return Ok(Some(limits)) };
    match wanted {
        Some(true) => {
            bail!("runner.tasks.limit_memory: this machine gives tasks no cgroups of their own ({error})")
        }
        Some(false) => {}
        None => warn!(
            error = %chain(&*error),
            "this machine gives tasks no cgroups of their own: a job can use all memory of the machine, and what it \
             uses is not measured; set runner.tasks.limit_memory to false to accept this"
        ),
    }
    Ok(None)
}

/// Makes a cgroup with limits, has a process enter it as a task does, and removes it.
fn try_out(
    limits: TaskCgroupLimits,
    executable: &Path,
    confinement: &Confinement,
    state: &StateDir,
) -> anyhow::Result<()> {
    remove_probes();
    let cgroup = TaskCgroup::of(Path::new(&format!("{PROBE}{}", std::process::id())));
    let tried = cgroup
        .create(limits)
        .map_err(anyhow::Error::from)
        .and_then(|()| Ok(confinement.try_out(executable, &state.probe_dir()?, Some(&cgroup))?));
    let ended = cgroup.end(Instant::now() + END_LIMIT);
    tried.and(ended.map_err(anyhow::Error::from))
}

/// Removes what servers have left that were killed while they tried.
fn remove_probes() {
    let is_over = |name: &str| {
        let process = name.strip_prefix(PROBE)?.parse::<u32>().ok()?;
        (!Path::new("/proc").join(process.to_string()).exists()).then_some(())
    };
    for task in TaskCgroup::tasks_with_one().iter().filter(|task| is_over(task).is_some()) {
        // The next start tries again.
        let _left = TaskCgroup::of(Path::new(task)).end(Instant::now());
    }
}
