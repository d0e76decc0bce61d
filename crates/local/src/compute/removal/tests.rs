use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use nix::sys::stat::mkdirat;

use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(100)
}

/// Nests directories below `top`, deeper than any path can name, with a file in the last.
fn nest(top: &Path, levels: usize) {
    let mut at = open_dir(AT_FDCWD, &c_string(top.as_os_str()).unwrap()).unwrap();
    for _ in 0..levels {
        mkdirat(&at, c"deep", Mode::S_IRWXU).unwrap();
        at = open_dir(&at, c"deep").unwrap();
    }
    openat(&at, c"file", OFlag::O_CREAT | OFlag::O_WRONLY, Mode::S_IRUSR).unwrap();
}

#[test]
fn a_tree_of_any_depth_is_removed_by_a_thread_with_a_small_stack_and_few_files() {
    // In memory if possible: a disk takes seconds for so many directories.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = dir.path().join("runner");
    fs::create_dir(&path).unwrap();
    nest(&path, 20_000);
    let removal = Removal { directories: vec![path.clone()], ..Removal::default() };
    let thread = std::thread::Builder::new().stack_size(256 * 1024);
    thread.spawn(move || removal.perform(soon()).unwrap()).unwrap().join().unwrap();
    assert!(!path.exists());
}

#[test]
fn names_that_the_remover_uses_links_and_closed_directories_are_removed_and_nothing_behind_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let (path, outside) = (dir.path().join("runner"), dir.path().join("outside"));
    fs::create_dir_all(path.join("a/b/c")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "").unwrap();
    for n in 1..5 {
        fs::create_dir_all(path.join(format!(".removed-{n}/x"))).unwrap();
    }
    fs::write(path.join(".removed-5"), "").unwrap();
    symlink(&outside, path.join("a/link")).unwrap();
    symlink(&outside, path.join("link")).unwrap();
    for closed in ["a/b/c", "a/b", "a"] {
        fs::set_permissions(path.join(closed), Permissions::from_mode(0o000)).unwrap();
    }
    let removal =
        Removal { directories: vec![path.clone(), dir.path().join("never/was")], ..Removal::default() };
    removal.perform(soon()).unwrap();
    assert!(!path.exists() && outside.join("kept").exists());
}

#[test]
fn what_is_left_after_the_deadline_is_removed_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runner");
    fs::create_dir_all(path.join("a/b")).unwrap();
    let removal = Removal { directories: vec![path.clone()], ..Removal::default() };
    let error = removal.perform(Instant::now()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(path.exists());
    removal.perform(soon()).unwrap();
    assert!(!path.exists());
}

#[test]
fn a_users_files_are_removed_from_shared_directories_and_others_stay() {
    if !geteuid().is_root() {
        return ecsrunner_skip::skip("only root can give a file to another user");
    }
    let shared = tempfile::tempdir().unwrap();
    let at = |name: &str| shared.path().join(name);
    fs::create_dir_all(at("of-another/of-ours/deep")).unwrap();
    fs::create_dir(at("of-ours")).unwrap();
    for (name, user) in [
        ("of-another", 1_900_000_002),
        ("of-another/of-ours", 1_900_000_001),
        ("of-another/kept", 1_900_000_002),
        ("of-another/program", 1_900_000_001),
        ("of-ours", 1_900_000_001),
    ] {
        if !at(name).exists() {
            fs::write(at(name), "").unwrap();
        }
        chown(at(name), Some(user), None).unwrap();
    }
    fs::set_permissions(at("of-another/program"), Permissions::from_mode(0o4755)).unwrap();
    let shared_dirs = vec![shared.path().to_owned(), at("never-was")];
    let removal = Removal { user: Some(1_900_000_001), shared: shared_dirs, ..Removal::default() };
    removal.perform(soon()).unwrap();
    let mut left: Vec<_> =
        fs::read_dir(at("of-another")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["kept"]);
    assert!(!at("of-ours").exists());
}
