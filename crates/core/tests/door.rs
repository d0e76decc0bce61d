//! Tests that files, Terraform runs and versions exist that CONTRIBUTING, SECURITY, the threat model and the register
//! of undocumented behaviour name.
//!
//! `xtask/src/documents.rs` checks links, and the Rust tests that documents name.

#![expect(clippy::disallowed_methods, reason = "documents are compared with the tree around them")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

const CONTRIBUTING: &str = include_str!("../../../CONTRIBUTING.md");
const REGISTER: &str = include_str!("../../../docs/undocumented.md");
const THREAT_MODEL: &str = include_str!("../../../docs/threat-model.md");
const DOCUMENTS: [(&str, &str); 5] = [
    ("CONTRIBUTING.md", CONTRIBUTING),
    ("SECURITY.md", include_str!("../../../SECURITY.md")),
    ("docs/glossary.md", include_str!("../../../docs/glossary.md")),
    ("docs/threat-model.md", THREAT_MODEL),
    ("docs/undocumented.md", REGISTER),
];

/// How paths of the project begin. Other paths are routes, devices or files of other programs.
const PLACES: [&str; 12] = [
    ".cargo/",
    ".ci/",
    ".config/",
    ".github/",
    "bench/",
    "crates/",
    "docs/",
    "fixtures/",
    "runner/",
    "terraform/",
    "xtask/",
    "rust-toolchain.toml",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    // A fence of three backticks adds an empty quote first, so quotes stay at odd positions.
    text.split('`').skip(1).step_by(2)
}

/// Returns the project's paths in backticks, without patterns that contain `*`.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let is_path =
        |word: &&str| PLACES.iter().any(|place| word.starts_with(place)) && !word.contains(['*', ' ']);
    quoted(text).filter(is_path)
}

fn missing(text: &str) -> Vec<&str> {
    paths(text).filter(|path| !root().join(path).exists()).collect()
}

/// Returns module and run of each `` `terraform: module::run` ``.
fn terraform_runs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    quoted(text)
        .filter_map(|words| words.strip_prefix("terraform: ")?.split_once("::"))
        .filter(|it| *it != ("module", "run"))
}

/// Whether a module's tests contain the run; `root` stands for Terraform's root module.
fn has_run(module: &str, run: &str) -> bool {
    let tests = match module {
        "root" => root().join("terraform/tests"),
        module => root().join("terraform/modules").join(module).join("tests"),
    };
    let Ok(entries) = fs::read_dir(tests) else { return false };
    let line = format!("run \"{run}\" {{");
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hcl"))
        .any(|path| fs::read_to_string(path).unwrap().lines().any(|found| found == line))
}

/// Returns the text below a second-level heading, up to the next one.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    rest.split("\n## ").next().unwrap()
}

#[test]
fn every_path_that_the_documents_name_exists() {
    for (document, text) in DOCUMENTS {
        assert_eq!(missing(text), [""; 0], "{document} names paths that are not there");
    }
}

#[test]
fn a_path_that_is_not_there_is_reported() {
    let text = "`crates/core/src/reason.rs` and `crates/core/src/reasons.rs`, `/webhook` and `terraform/modules/*/iam*.tf`";
    assert_eq!(missing(text), ["crates/core/src/reasons.rs"]);
}

#[test]
fn the_map_has_ten_changes_each_with_its_files() {
    let changes: Vec<&str> =
        section(CONTRIBUTING, "Ten changes and their files").split("\n### ").skip(1).collect();
    assert_eq!(changes.len(), 10);
    for change in changes {
        let title = change.lines().next().unwrap();
        assert!(paths(change).count() >= 4, "`{title}` names fewer than four files");
    }
}

#[test]
fn each_row_of_the_register_names_files_that_exist() {
    let rows: Vec<&str> = REGISTER
        .lines()
        .filter(|line| {
            line.starts_with("| ") && !line.starts_with("| behaviour") && !line.starts_with("| ---")
        })
        .collect();
    assert!(rows.len() > 40, "{} rows", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        assert_eq!(cells.len(), 5, "{row}");
        assert!(paths(cells[1]).count() >= 1, "no file relies on it: {row}");
        assert!(cells[4].starts_with("20"), "when it was looked at is not told: {row}");
    }
}

#[test]
fn each_run_of_terraforms_tests_that_the_documents_name_exists() {
    for (document, text) in DOCUMENTS {
        for (module, run) in terraform_runs(text) {
            assert!(has_run(module, run), "{document}: there is no run `{module}::{run}`");
        }
    }
    assert!(terraform_runs(THREAT_MODEL).count() > 10);
    assert!(!has_run("fleet", "a_run_that_nobody_wrote"));
}

#[test]
fn each_gap_of_the_threat_model_that_is_cited_is_listed() {
    let gaps = section(THREAT_MODEL, "Known gaps");
    let is_gap = |word: &&str| word.strip_prefix('G').is_some_and(|number| number.parse::<u32>().is_ok());
    let cited: Vec<&str> = quoted(THREAT_MODEL).filter(is_gap).collect();
    for gap in &cited {
        assert!(gaps.contains(&format!("\n| `{gap}` |")), "{gap} is not among the known gaps");
    }
    // A number is not given again, so the list may have holes.
    let listed = gaps.lines().filter_map(|line| line.strip_prefix("| `G")?.split_once('`'));
    for (number, _) in listed {
        let uses = cited.iter().filter(|gap| **gap == format!("G{number}")).count();
        assert!(uses > 1, "no boundary mentions G{number}");
    }
}

#[test]
fn each_path_with_an_owner_of_its_own_exists() {
    let owners = fs::read_to_string(root().join(".github/CODEOWNERS")).unwrap();
    let lines = owners.lines().filter_map(|line| line.strip_prefix('/')?.split_whitespace().next());
    let paths: Vec<&str> = lines.filter(|path| !path.contains('*')).collect();
    assert!(!paths.is_empty());
    for path in paths {
        assert!(root().join(path).exists(), ".github/CODEOWNERS: /{path} is not there");
    }
}

/// `Accepted, 2026-11-23.`, or `Superseded by ADR 17, 2027-01-05.`
fn has_status(decision: &str) -> bool {
    let status = decision.lines().nth(2).unwrap_or_default();
    let Some((status, date)) = status.strip_suffix('.').and_then(|status| status.rsplit_once(", ")) else {
        return false;
    };
    let is_known = match status.strip_prefix("Superseded by ADR ") {
        Some(later) => later.parse::<u32>().is_ok(),
        None => status == "Accepted",
    };
    is_known && date.parse::<jiff::civil::Date>().is_ok()
}

#[test]
fn each_decision_has_a_status_and_a_date() {
    for entry in fs::read_dir(root().join("docs/adr")).unwrap() {
        let path = entry.unwrap().path();
        assert!(has_status(&fs::read_to_string(&path).unwrap()), "{}: its third line", path.display());
    }
    assert!(has_status("# 1. A\n\nSuperseded by ADR 17, 2027-01-05.\n"));
    for wrong in
        ["Accepted.", "Accepted, 2026-13-23.", "Accepted, 2026-11-23", "Superseded by 17, 2027-01-05.", ""]
    {
        assert!(!has_status(&format!("# 1. A\n\n{wrong}\n")), "{wrong}");
    }
}

#[test]
fn one_compiler_builds_lints_and_releases() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let after = |text: &str, words: &str| -> Vec<String> {
        let versions = text.split(words).skip(1);
        versions.map(|rest| rest.split([' ', '"', '\n', '-']).next().unwrap().to_owned()).collect()
    };
    let pinned = after(&read("rust-toolchain.toml"), "channel = \"").remove(0);
    let (minor, _patch) = pinned.rsplit_once('.').unwrap();
    for (file, words, version) in [
        ("Cargo.toml", "rust-version = \"", minor),
        (".github/workflows/image.yml", "library/rust:", minor),
        (".github/workflows/ci.yml", "rustup toolchain install ", &pinned),
        (".github/workflows/ci.yml", "rustup default ", &pinned),
        (".github/workflows/release.yml", "rustup toolchain install ", &pinned),
        (".github/workflows/release.yml", "rustup default ", &pinned),
    ] {
        let named = after(&read(file), words);
        let is_held = !named.is_empty() && named.iter().all(|name| name == version);
        assert!(is_held, "{file}: `{words}` {named:?}, and rust-toolchain.toml has {pinned}");
    }
}
