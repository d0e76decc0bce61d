use std::os::unix::fs::symlink;

use super::*;

fn is_own(name: &str) -> bool {
    name.to_ascii_uppercase().starts_with("OWN")
}

/// Processes a file with this text: its text afterwards, and the removed names.
fn held(text: &[u8]) -> (String, BTreeSet<String>) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE), text).unwrap();
    let found = hold(dir.path(), is_own).unwrap();
    (String::from_utf8(fs::read(dir.path().join(FILE)).unwrap()).unwrap(), found.removed)
}

#[test]
fn lines_of_the_agents_variables_go_and_all_others_stay() {
    let (text, removed) = held(b"LANG=C.UTF-8\nOWN_HOOK=/other\n# OWN_HOOK\nJAVA_HOME=/java = x\nOWN_B=\n");
    assert_eq!(text, "LANG=C.UTF-8\n# OWN_HOOK\nJAVA_HOME=/java = x\n");
    assert_eq!(removed, BTreeSet::from(["OWN_HOOK".to_owned(), "OWN_B".to_owned()]));
}

#[test]
fn every_way_in_which_the_listener_would_read_a_name_is_known() {
    for line in [
        "OWN_HOOK=x",
        "own_hook=x",
        "  OWN_HOOK\t = x",
        "A=1\rOWN_HOOK=x",
        "A=1\r\nOWN_HOOK=x\r\n",
        "OWN_HOOK\0more=x",
        "\u{feff}OWN_HOOK=x",
        "OWN_HOOK==x",
    ] {
        let (text, removed) = held(line.as_bytes());
        assert!(!text.contains("OWN") && !text.contains("own"), "{line:?}: {text:?}");
        assert_eq!(removed.len(), 1, "{line:?}");
    }
}

#[test]
fn a_file_in_an_encoding_that_only_net_would_read_is_refused() {
    let utf16: Vec<u8> = "\u{feff}OWN_HOOK=x".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE), utf16).unwrap();
    assert!(matches!(hold(dir.path(), is_own), Err(EnvFileError::Encoding(_))));
}

#[test]
fn the_file_behind_a_hard_link_is_not_changed_and_the_new_one_has_its_mode() {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original");
    fs::write(&original, "OWN_HOOK=x\nA=1\n").unwrap();
    fs::set_permissions(&original, Permissions::from_mode(0o640)).unwrap();
    fs::hard_link(&original, dir.path().join(FILE)).unwrap();
    hold(dir.path(), is_own).unwrap();
    assert_eq!(fs::read_to_string(&original).unwrap(), "OWN_HOOK=x\nA=1\n");
    assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap(), "A=1\n");
    assert_eq!(fs::metadata(dir.path().join(FILE)).unwrap().mode() & 0o777, 0o640);
    assert!(!dir.path().join(NEW_FILE).exists());
}

#[test]
fn a_file_without_such_lines_stays_the_very_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    fs::write(&path, "A=1\r\nB=2").unwrap();
    let before = fs::metadata(&path).unwrap().ino();
    let found = hold(dir.path(), is_own).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    assert_eq!(fs::read_to_string(&path).unwrap(), "A=1\r\nB=2");
    assert_eq!(value(&found.kept, "B"), Some(OsStr::new("2")));
}

#[test]
fn a_fifo_a_device_or_a_directory_is_refused_and_no_file_is_none() {
    let dir = tempfile::tempdir().unwrap();
    assert!(hold(dir.path(), is_own).unwrap().kept.is_empty());
    let path = dir.path().join(FILE);
    symlink("nowhere", &path).unwrap();
    assert!(hold(dir.path(), is_own).unwrap().kept.is_empty());
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
    for target in [&fifo, Path::new("/dev/null"), dir.path()] {
        fs::remove_file(&path).unwrap();
        symlink(target, &path).unwrap();
        assert!(matches!(hold(dir.path(), is_own), Err(EnvFileError::NotRegular(_))), "{target:?}");
    }
    fs::rename(&fifo, &path).unwrap();
    assert!(matches!(hold(dir.path(), is_own), Err(EnvFileError::NotRegular(_))));
}

#[test]
fn a_symbolic_link_to_a_file_that_every_user_can_read_is_judged_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (path, target) = (dir.path().join(FILE), dir.path().join("target"));
    fs::write(&target, "A=1\n").unwrap();
    fs::set_permissions(&target, Permissions::from_mode(0o644)).unwrap();
    symlink(&target, &path).unwrap();
    assert_eq!(value(&hold(dir.path(), is_own).unwrap().kept, "A"), Some(OsStr::new("1")));
    assert!(path.is_symlink(), "nothing was to be removed");
    fs::write(&target, "A=1\nOWN_HOOK=x\n").unwrap();
    assert_eq!(hold(dir.path(), is_own).unwrap().removed.len(), 1);
    assert_eq!(fs::read_to_string(&path).unwrap(), "A=1\n");
    assert!(!path.is_symlink());
    assert_eq!(fs::read_to_string(&target).unwrap(), "A=1\nOWN_HOOK=x\n");
}

#[test]
fn a_symbolic_link_to_a_private_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    fs::write(&target, "OWN_HOOK=x\nSECRET=1\n").unwrap();
    fs::set_permissions(&target, Permissions::from_mode(0o640)).unwrap();
    symlink(&target, dir.path().join(FILE)).unwrap();
    assert!(matches!(hold(dir.path(), is_own), Err(EnvFileError::PrivateTarget(_))));
}

#[test]
fn the_root_behind_a_linked_bin_is_held_too() {
    let dir = tempfile::tempdir().unwrap();
    let (runner, real) = (dir.path().join("runner"), dir.path().join("real"));
    fs::create_dir_all(real.join("bin")).unwrap();
    fs::create_dir(&runner).unwrap();
    fs::write(real.join("bin/Runner.Listener"), "").unwrap();
    symlink(real.join("bin"), runner.join("bin")).unwrap();
    fs::write(real.join(FILE), "OWN_HOOK=x\n").unwrap();
    assert_eq!(hold(&runner, is_own).unwrap().removed.len(), 1);
    assert_eq!(fs::read_to_string(real.join(FILE)).unwrap(), "");
}
