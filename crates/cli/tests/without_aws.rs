//! A build without the feature `aws`, as `cargo run -- demo` makes it, names the feature when AWS is asked for.

#![cfg(not(feature = "aws"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

/// The exit code and standard error of a command.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ecsrunner"))
        .args(arguments)
        .env_clear()
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn each_way_to_name_aws_says_which_feature_brings_it() {
    for arguments in [
        &["runners", "list", "--deployment", "ci"][..],
        &["why", "7", "--deployment", "ci"],
        &["pause", "--deployment", "ci"],
        &["doctor", "--deployment", "ci"],
        &["setup", "--deployment", "ci"],
        &["runners", "exec", "--deployment", "ci", "abcd", "--", "sh"],
    ] {
        let (code, told) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {told}");
        assert!(told.contains("has no AWS commands"), "{arguments:?}: {told}");
        assert!(told.contains("--features aws"), "{arguments:?}: {told}");
    }
}
