//! The chart is a well-formed SVG document.

use std::fs;

use super::{CLASS, run};

const LOAD: &str =
    "[limits]\nmax_runners = 2\n[[arrivals]]\nrepository = 'acme/app'\njobs_per_day = 60\njob_secs = 300\n";

/// Checks that tags are balanced, that attributes are quoted, and that text contains no markup.
fn check_well_formed(document: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = document;
    while let Some(begin) = rest.find('<') {
        let text = &rest[..begin];
        assert!(!text.contains(['>', '&']), "{text}");
        let end = begin + rest[begin..].find('>').unwrap();
        let tag = &rest[begin + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        assert!(!tag.contains('<'), "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap());
        }
        rest = &rest[end + 1..];
    }
    assert_eq!((open.as_slice(), rest.trim()), (&[][..], ""));
}

#[test]
fn the_chart_is_well_formed_and_marks_the_first_limit() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("load.toml"), format!("{CLASS}{LOAD}")).unwrap();
    let output = run(directory.path(), &["load.toml", "--json", "--svg", "load.svg"]);
    assert_eq!(output.status.code(), Some(0));
    let chart = fs::read_to_string(directory.path().join("load.svg")).unwrap();
    check_well_formed(&chart);
    assert!(chart.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    for class in ["queued", "runners", "busy"] {
        assert_eq!(chart.matches(&format!("<path class=\"{class}\"")).count(), 1);
    }
    assert!(chart.contains("limit_deployment first at "), "{chart}");
    assert!(!chart.contains("NaN") && !chart.contains("inf"), "{chart}");
}

#[test]
fn a_chart_that_cannot_be_written_is_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("load.toml"), format!("{CLASS}{LOAD}")).unwrap();
    let output = run(directory.path(), &["load.toml", "--svg", "none/load.svg"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("error: the chart none/load.svg cannot be written\n"), "{told}");
    assert_eq!(output.stdout, b"");
}
