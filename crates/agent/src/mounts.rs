//! Mounts of a task's processes: what replaces a directory, and what stays visible
//! although its directory is replaced.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};

/// Where the sockets and states of a machine's services are.
const RUN: &str = "/run";
/// The name in [`RUN`] at which Docker's clients look for an engine.
pub(crate) const DEFAULT_SOCKET: &str = "docker.sock";
/// What belongs to the machine's own Docker engine, and is not shown to a task that has
/// an engine of its own. `dockerd` would use a containerd that it finds there.
const OF_OTHER_ENGINES: [&str; 4] = ["docker", "docker.pid", DEFAULT_SOCKET, "containerd"];

/// A path that was opened before other mounts hid it.
#[derive(Debug)]
pub struct Held {
    pub path: PathBuf,
    file: File,
    is_dir: bool,
}

impl Held {
    /// # Errors
    ///
    /// The path cannot be opened. The error names it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(OFlag::O_PATH.bits()).open(path);
        let file =
            file.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        let is_dir = file.metadata()?.is_dir();
        Ok(Self { path: path.to_owned(), file, is_dir })
    }

    /// Mounts it at a path, which is made if it is not there. The path may be its own, in
    /// a directory that hides it. `flags` are those of the new mount, such as `MS_RDONLY`.
    ///
    /// # Errors
    ///
    /// The system's, with the path.
    pub fn show_at(&self, path: &Path, flags: MsFlags) -> io::Result<()> {
        self.bind(path, MsFlags::empty())?;
        if flags.is_empty() {
            return Ok(());
        }
        // A mount of a part is as read-only as the whole until it is mounted again.
        mount_at(None, path, flags | MsFlags::MS_BIND | MsFlags::MS_REMOUNT)
    }

    fn bind(&self, path: &Path, recursive: MsFlags) -> io::Result<()> {
        if let Some(parent) = path.parent().filter(|_| !path.exists()) {
            DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
            if self.is_dir {
                make_new(path, 0o755)?;
            } else {
                File::create(path)?;
            }
        }
        let source = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        mount_at(Some(Path::new(&source)), path, MsFlags::MS_BIND | recursive)
    }
}

/// Makes a directory with this mode, also where it is there already.
///
/// # Errors
///
/// The system's.
pub fn make_new(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Mounts without a file system type: a bind, or a change of flags.
///
/// # Errors
///
/// The system's, with the path.
pub fn mount_at(source: Option<&Path>, target: &Path, flags: MsFlags) -> io::Result<()> {
    mount(source, target, None::<&str>, flags, None::<&str>).map_err(|errno| failed("mount", target, errno))
}

/// Adds the call and the path to a system's error.
#[must_use]
pub fn failed(call: &str, path: &Path, errno: Errno) -> io::Error {
    let error = io::Error::from(errno);
    io::Error::new(error.kind(), format!("{call} {}: {error}", path.display()))
}

/// Gives this process's mounts a `/run` of their own, which shows everything that the
/// machine's shows except other Docker engines. `socket`, if given, is where the default
/// socket of Docker leads to.
///
/// # Errors
///
/// The system's, with the path.
pub fn private_run(socket: Option<&Path>) -> io::Result<()> {
    let run = Path::new(RUN);
    let (mut held, mut links) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(run)?.flatten() {
        if OF_OTHER_ENGINES.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        // What has gone meanwhile is not shown.
        match fs::read_link(entry.path()) {
            Ok(target) => links.push((entry.path(), target.into_os_string())),
            Err(_) => held.extend(Held::open(&entry.path())),
        }
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), run, Some("tmpfs"), flags, Some("mode=755"))
        .map_err(|errno| failed("mount", run, errno))?;
    for held in held {
        held.bind(&held.path, MsFlags::MS_REC)?;
    }
    links.extend(socket.map(|socket| (run.join(DEFAULT_SOCKET), OsString::from(socket))));
    links.into_iter().try_for_each(|(link, target)| symlink(target, link))
}
