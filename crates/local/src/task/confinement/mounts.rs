//! The mounts of a task: its own directory and private ones are writable, everything else is read-only.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ecsrunner_agent::engine::View;
use ecsrunner_agent::mounts::{Held, failed, make_new, mount_at, private_run};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// The directory of a task that holds what it sees as `/tmp` and the others. Only root can enter it by this path.
pub(crate) const PRIVATE: &str = "private";
/// Directories that each task has for itself.
const PRIVATE_DIRS: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
/// As usual for a directory that everyone may write to: only owners can replace entries.
const STICKY: u32 = 0o1777;
/// The kernel's own file systems, where permissions decide. Nothing that is written there stays with a user.
const KERNEL: [&str; 2] = ["/proc", "/sys"];
/// Devices and terminals, where permissions decide too. What else is mounted below `/dev` is as any other place.
const DEVICES: [&str; 2] = ["/dev", "/dev/pts"];
/// POSIX message queues. A mount shows those of the namespace of IPC in which it was made.
const QUEUES: &str = "/dev/mqueue";

/// What a task may change in its mounts.
const OWN: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);

/// Gives this process mounts of its own. `docker_socket` is that of the task's own Docker engine.
pub(super) fn make_private(
    dir: &Path,
    read: &BTreeSet<PathBuf>,
    writable: &[PathBuf],
    docker_socket: Option<&Path>,
) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|errno| failed("unshare", dir, errno))?;
    mount_at(None, Path::new("/"), MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    // Opened before other mounts hide them.
    let dir_held = Held::open(dir)?;
    let read =
        held(hidden_by_private(read.iter().map(PathBuf::as_path).chain([dir])).iter().map(PathBuf::as_path))?;
    let writable = held(writable.iter().map(PathBuf::as_path))?;
    let private = make_directories(dir)?;
    make_read_only()?;
    if docker_socket.is_some() {
        private_run(docker_socket)?;
        mount_at(None, Path::new("/run"), MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | OWN)?;
    }
    for (target, held) in private {
        held.show_at(Path::new(target), OWN)?;
    }
    show_own_queues()?;
    for held in &read {
        held.show_at(&held.path, OWN | MsFlags::MS_RDONLY)?;
    }
    for held in [&dir_held].into_iter().chain(&writable) {
        held.show_at(&held.path, OWN)?;
    }
    Ok(())
}

/// How a task's Docker engine sees the directories that the task has for itself.
pub(crate) fn engine_view(dir: &Path, read: &BTreeSet<PathBuf>) -> View {
    let own = PRIVATE_DIRS.into_iter().filter(|target| is_own_directory(Path::new(target)));
    View {
        binds: own.map(|target| (private_source(dir, target), PathBuf::from(target))).collect(),
        kept: read.iter().cloned().chain([dir.to_owned()]).collect(),
    }
}

/// Where the files are that the task sees at a place.
fn private_source(dir: &Path, target: &str) -> PathBuf {
    dir.join(PRIVATE).join(target.trim_start_matches('/').replace('/', "-"))
}

/// Makes the private directories. Returns each with the place at which the task sees it.
fn make_directories(dir: &Path) -> io::Result<Vec<(&'static str, Held)>> {
    let above = dir.join(PRIVATE);
    make_new(&above, 0o700)?;
    let mut made = Vec::new();
    for target in PRIVATE_DIRS.into_iter().filter(|target| is_own_directory(Path::new(target))) {
        let source = private_source(dir, target);
        make_new(&source, STICKY)?;
        made.push((target, Held::open(&source)?));
    }
    Ok(made)
}

/// Returns the entries of private directories that lead to these paths. The official runner lists each directory above
/// its own, so they are shown whole.
fn hidden_by_private<'a>(paths: impl Iterator<Item = &'a Path>) -> BTreeSet<PathBuf> {
    let entry = |path: &Path| {
        PRIVATE_DIRS
            .iter()
            .map(Path::new)
            .find_map(|private| Some(private.join(path.strip_prefix(private).ok()?.components().next()?)))
    };
    paths.filter_map(entry).collect()
}

/// Whether a directory exists under its own name, and not by a link to another one of these.
fn is_own_directory(path: &Path) -> bool {
    fs::canonicalize(path).is_ok_and(|resolved| resolved == path && resolved.is_dir())
}

fn held<'a>(paths: impl Iterator<Item = &'a Path>) -> io::Result<Vec<Held>> {
    paths.map(Held::open).collect()
}

fn mounts() -> io::Result<Vec<Mount>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table.lines().filter_map(Mount::parse).collect())
}

/// Shows the message queues of this process's own namespace, where those of the machine are shown.
fn show_own_queues() -> io::Result<()> {
    let queues = Path::new(QUEUES);
    if !mounts()?.iter().any(|mount| mount.path == queues) {
        return Ok(());
    }
    mount(Some("mqueue"), queues, Some("mqueue"), OWN | MsFlags::MS_NOEXEC, None::<&str>)
        .map_err(|errno| failed("mount message queues at", queues, errno))
}

/// Makes every mount read-only, except those of the kernel.
fn make_read_only() -> io::Result<()> {
    for Mount { path, flags } in mounts()? {
        let is_device = DEVICES.iter().any(|device| path == Path::new(device));
        if is_device || KERNEL.iter().any(|kernel| path.starts_with(kernel)) {
            continue;
        }
        match mount_at(None, &path, flags | MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY) {
            // Another mount hides it, or its directory is gone.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => {}
            done => done?,
        }
    }
    Ok(())
}

/// A line of `/proc/self/mountinfo`.
#[derive(PartialEq, Debug)]
struct Mount {
    path: PathBuf,
    /// Its flags, which a remount must repeat.
    flags: MsFlags,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ').skip(4);
        let (path, options) = (words.next()?, words.next()?);
        let flags = options.split(',').map(|option| match option {
            "nosuid" => MsFlags::MS_NOSUID,
            "nodev" => MsFlags::MS_NODEV,
            "noexec" => MsFlags::MS_NOEXEC,
            "noatime" => MsFlags::MS_NOATIME,
            "nodiratime" => MsFlags::MS_NODIRATIME,
            "relatime" => MsFlags::MS_RELATIME,
            _ => MsFlags::empty(),
        });
        Some(Self { path: unescaped(path), flags: flags.fold(MsFlags::empty(), MsFlags::union) })
    }
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let text = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain));
    PathBuf::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_a_path_in_a_private_directory_is_shown_whole() {
        let paths =
            ["/tmp/ci/state/tasks/1", "/tmp/ci/actions-runner", "/opt/ecsrunner", "/tmp", "/var/tmp/x"];
        let shown = hidden_by_private(paths.iter().map(Path::new));
        assert_eq!(shown, ["/tmp/ci", "/var/tmp/x"].map(PathBuf::from).into());
    }

    #[test]
    fn a_line_of_the_mount_table_is_read_with_its_flags_and_escapes() {
        let line = r"36 35 98:0 /mnt1 /mnt/with\040space rw,nosuid,relatime master:1 - ext4 /dev/root rw";
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_RELATIME;
        assert_eq!(Mount::parse(line), Some(Mount { path: PathBuf::from("/mnt/with space"), flags }));
        assert_eq!(Mount::parse("36 35"), None);
    }
}
