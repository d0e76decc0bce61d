//! Checks who owns files that the server trusts, and who may change them.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::unistd::{Gid, Group, Uid, User, geteuid};

use crate::paths;

const SET_BY_OTHERS: u32 = 0o022;
const SET_BY_GROUP: u32 = 0o020;
const READ_BY_EVERYONE: u32 = 0o004;
const STICKY: u32 = 0o1000;

/// Why a file cannot be trusted. The text says what would be right.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Untrusted {
    #[error(
        "{path} belongs to user id {owner}, who could replace it: run `chown {expected} {path}`, or choose another place"
    )]
    Owner { path: PathBuf, owner: u32, expected: u32 },
    #[error("{path} can be changed by others (mode {mode:04o}): run `chmod go-w {path}`")]
    Mode { path: PathBuf, mode: u32 },
    #[error("{path} is a link of user id {owner}, who could lead it elsewhere: choose another place")]
    Link { path: PathBuf, owner: u32 },
    #[error("{path} is a link or a special file: a regular {expected} is expected")]
    Kind { path: PathBuf, expected: &'static str },
}

/// Checks that only root and this process's user can change a file that they wrote. Links are followed: they may lead
/// from a directory of root's to the file.
pub(crate) fn check_secret(path: &Path, metadata: &Metadata) -> Result<(), Untrusted> {
    if !metadata.is_file() {
        return Err(Untrusted::Kind { path: path.to_owned(), expected: "file" });
    }
    check_owner(path, metadata)?;
    check_mode(path, metadata, SET_BY_OTHERS)?;
    check_way(path)
}

/// Checks that only root and this process's user can change or replace a program that this process starts. Links are
/// followed.
///
/// # Errors
///
/// Others can, or it cannot be read.
pub fn check_program(path: &Path) -> anyhow::Result<()> {
    let metadata = fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?;
    check_owner(path, &metadata)?;
    check_writers(path, &metadata)?;
    Ok(check_way(path)?)
}

/// Checks everything by which a trusted path is looked up. A directory that cannot be read leads nowhere.
fn check_way(path: &Path) -> Result<(), Untrusted> {
    let way = paths::way(path);
    for link in way.links {
        if let Ok(metadata) = fs::symlink_metadata(&link)
            && !is_trusted(metadata.uid())
        {
            return Err(Untrusted::Link { path: link, owner: metadata.uid() });
        }
    }
    for dir in way.directories {
        let Ok(metadata) = fs::metadata(&dir) else { continue };
        check_owner(&dir, &metadata)?;
        // In a directory with the sticky bit, only owners can replace entries.
        if metadata.mode() & STICKY == 0 {
            check_writers(&dir, &metadata)?;
        }
    }
    Ok(())
}

/// Checks that no user but the owner and root can write to a file. A group that has only its owner adds nobody.
fn check_writers(path: &Path, metadata: &Metadata) -> Result<(), Untrusted> {
    let is_known = metadata.gid() == 0 || is_private_group(metadata.uid(), metadata.gid());
    check_mode(path, metadata, if is_known { SET_BY_OTHERS & !SET_BY_GROUP } else { SET_BY_OTHERS })
}

/// Whether a group is the primary one of a user, and has no other member, as `useradd --user-group` makes it.
fn is_private_group(user: u32, group: u32) -> bool {
    let (Ok(Some(user)), Ok(Some(group))) =
        (User::from_uid(Uid::from_raw(user)), Group::from_gid(Gid::from_raw(group)))
    else {
        return false;
    };
    user.gid == group.gid && user.name == group.name && group.mem.iter().all(|member| *member == user.name)
}

/// Whether every user of the machine may read a file, and reach it.
pub(crate) fn is_open_to_everyone(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let is_open = |path: &Path, bits: u32| fs::metadata(path).is_ok_and(|found| found.mode() & bits != 0);
    is_open(&path, READ_BY_EVERYONE) && path.ancestors().skip(1).all(|dir| is_open(dir, 0o001))
}

/// Checks a directory that exists, what the server keeps in it, and everything by which it is looked up.
///
/// # Errors
///
/// Returns the first file or directory that others could have made or could replace.
pub(crate) fn check_directory(
    dir: &Path,
    files: &[&str],
    directories: &[&str],
) -> io::Result<Result<(), Untrusted>> {
    let checked = check_way(dir);
    if checked.is_err() {
        return Ok(checked);
    }
    // Its mode is set at each start. What others put there before is found below.
    let checked = check_owner(dir, &fs::metadata(dir)?);
    if checked.is_err() {
        return Ok(checked);
    }
    for (names, expected) in [(files, "file"), (directories, "directory")] {
        for path in names.iter().map(|name| dir.join(name)) {
            let metadata = match path.symlink_metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            let is_kind = if expected == "file" { metadata.is_file() } else { metadata.is_dir() };
            let checked = match is_kind {
                false => Err(Untrusted::Kind { path, expected }),
                true => check_owner(&path, &metadata),
            };
            if checked.is_err() {
                return Ok(checked);
            }
        }
    }
    Ok(Ok(()))
}

/// Checks that root or this process's user owns a file.
fn check_owner(path: &Path, metadata: &Metadata) -> Result<(), Untrusted> {
    let owner = metadata.uid();
    if is_trusted(owner) {
        return Ok(());
    }
    Err(Untrusted::Owner { path: path.to_owned(), owner, expected: geteuid().as_raw() })
}

fn is_trusted(owner: u32) -> bool {
    owner == 0 || owner == geteuid().as_raw()
}

fn check_mode(path: &Path, metadata: &Metadata, bits: u32) -> Result<(), Untrusted> {
    let mode = metadata.mode() & 0o7777;
    if mode & bits == 0 { Ok(()) } else { Err(Untrusted::Mode { path: path.to_owned(), mode }) }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn checked(dir: &Path) -> Result<(), Untrusted> {
        check_directory(&dir.canonicalize().unwrap(), &["task-keys"], &["tasks"]).unwrap()
    }

    #[test]
    fn a_secret_that_others_can_change_or_own_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "t").unwrap();
        let check = || check_secret(&path, &fs::metadata(&path).unwrap());
        for (mode, is_trusted) in [(0o600, true), (0o444, true), (0o666, false), (0o620, false)] {
            set(&path, mode);
            assert_eq!(check().is_ok(), is_trusted, "{mode:o}");
        }
        set(&path, 0o602);
        let told = check().unwrap_err().to_string();
        assert_eq!(
            told,
            format!("{0} can be changed by others (mode 0602): run `chmod go-w {0}`", path.display())
        );
        if geteuid().is_root() {
            set(&path, 0o600);
            chown(&path, Some(1_900_000_001), None).unwrap();
            assert!(matches!(check(), Err(Untrusted::Owner { owner: 1_900_000_001, .. })));
        }
    }

    #[test]
    fn a_secret_is_open_to_everyone_only_where_everyone_reaches_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "t").unwrap();
        set(&path, 0o644);
        set(dir.path(), 0o700);
        assert!(!is_open_to_everyone(&path));
        set(dir.path(), 0o755);
        assert!(is_open_to_everyone(&path));
        set(&path, 0o640);
        assert!(!is_open_to_everyone(&path));
    }

    #[test]
    fn a_directory_that_others_made_or_filled_or_could_replace_is_not_trusted() {
        let top = tempfile::tempdir().unwrap();
        let (above, dir) = (top.path().join("above"), top.path().join("above/state"));
        fs::create_dir_all(dir.join("tasks")).unwrap();
        fs::write(dir.join("task-keys"), "").unwrap();
        assert_eq!(checked(&dir), Ok(()));
        set(&above, 0o777);
        assert!(matches!(checked(&dir), Err(Untrusted::Mode { .. })));
        // As in /tmp, where only owners can replace entries.
        set(&above, 0o1777);
        assert_eq!(checked(&dir), Ok(()));
        set(&above, 0o755);
        if geteuid().is_root() {
            // A group that may have members, and then root's.
            for (group, mode, is_trusted) in
                [(1_900_000_001, 0o775, false), (0, 0o775, true), (0, 0o777, false)]
            {
                chown(&above, None, Some(group)).unwrap();
                set(&above, mode);
                assert_eq!(checked(&dir).is_ok(), is_trusted, "{group} {mode:o}");
            }
            set(&above, 0o755);
        }
        fs::remove_file(dir.join("task-keys")).unwrap();
        symlink("/etc/hostname", dir.join("task-keys")).unwrap();
        assert!(matches!(checked(&dir), Err(Untrusted::Kind { expected: "file", .. })));
        fs::remove_file(dir.join("task-keys")).unwrap();
        if !geteuid().is_root() {
            return ecsrunner_skip::skip("only root can give a file to another user");
        }
        for path in [&dir.join("tasks"), &dir, &above] {
            chown(path, Some(1_900_000_001), None).unwrap();
            assert!(
                matches!(checked(&dir), Err(Untrusted::Owner { path: found, .. }) if found.ends_with(path.strip_prefix(top.path()).unwrap()))
            );
            chown(path, Some(0), None).unwrap();
        }
    }

    #[test]
    fn a_path_through_a_link_or_directory_of_another_user_is_not_trusted() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        let (theirs, real, program) = (top.join("theirs"), top.join("real"), top.join("real/program"));
        for dir in [&theirs, &real] {
            fs::create_dir(dir).unwrap();
            set(dir, 0o755);
        }
        fs::write(&program, "").unwrap();
        set(&program, 0o755);
        symlink(&real, theirs.join("link")).unwrap();
        let checked = || {
            let through = theirs.join("link");
            let state =
                check_directory(&through, &[], &[]).unwrap().map_err(|untrusted| untrusted.to_string());
            [state, check_program(&through.join("program")).map_err(|error| error.to_string())]
        };
        assert_eq!(checked(), [Ok(()), Ok(())]);
        for (path, mode) in [(&theirs, 0o777), (&real, 0o757), (&program, 0o777)] {
            set(path, mode);
            assert!(checked()[1].as_ref().is_err_and(|told| told.contains("can be changed by others")));
            set(path, 0o755);
        }
        if !geteuid().is_root() {
            return;
        }
        std::os::unix::fs::lchown(theirs.join("link"), Some(1_900_000_001), None).unwrap();
        let told = checked().map(Result::unwrap_err);
        assert!(told.iter().all(|told| told.contains("is a link of user id 1900000001")), "{told:?}");
        std::os::unix::fs::lchown(theirs.join("link"), Some(0), None).unwrap();
        chown(&theirs, Some(1_900_000_001), None).unwrap();
        let told = checked().map(Result::unwrap_err);
        assert!(told.iter().all(|told| told.contains("belongs to user id 1900000001")), "{told:?}");
    }
}
