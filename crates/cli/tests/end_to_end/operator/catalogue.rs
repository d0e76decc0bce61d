//! `ecsrunner classes check`.

use super::*;

#[test]
fn mistakes_in_a_catalogue_are_one_json_document_too() {
    let dir = tempfile::tempdir().unwrap();
    let classes = r#"{"a": {"cpu": "x", "memory": 1024, "labels": [null]}, "b": {"cpu": 512, "memory": 1024, "repositories": []}}"#;
    std::fs::write(dir.path().join("classes.json"), classes).unwrap();
    let checked =
        ecsrunner(dir.path()).args(["classes", "check", "classes.json", "--json"]).output().unwrap();
    insta::assert_snapshot!(told(&checked, dir.path()), @r#"
    exit code 2
    --- stdout
    {
      "mistakes": [
        "a.cpu: invalid type: string \"x\", expected a whole number from 0 to 4294967295",
        "a.labels[0]: invalid type: null, expected a text",
        "b: repositories is empty, at least one is needed: leave it out for all that are allowed"
      ]
    }
    --- stderr
    error: classes.json has 3 mistakes:
      a.cpu: invalid type: string "x", expected a whole number from 0 to 4294967295
      a.labels[0]: invalid type: null, expected a text
      b: repositories is empty, at least one is needed: leave it out for all that are allowed
    "#);
}

#[tokio::test]
async fn a_catalogue_is_checked_with_every_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        std::fs::write(dir.path().join("classes.json"), text).unwrap();
        let checked = ecsrunner(dir.path()).args(["classes", "check", "classes.json"]).output().unwrap();
        told(&checked, dir.path())
    };
    insta::assert_snapshot!(check(r#"{"small": {"cpu": 512, "memory": 1024, "default": true}}"#), @r"
    exit code 0
    --- stdout
    small	0.5	1 GiB	20 GiB	x64	on-demand	—	$0.030	—	—	—
    --- stderr
    ");
    insta::assert_snapshot!(check(r#"{"a": {"cpu": 512, "memory": 99}, "b": {"cpu": 512}, "C!": {"cpu": 512, "memory": 1024}}"#), @r"
    exit code 2
    --- stdout
    --- stderr
    error: classes.json has 3 mistakes:
      b.memory: this key is missing
      class `C!` is not valid: 1 to 32 characters of a-z, 0-9 and -, beginning and ending with a letter or digit
      a: memory 99 does not go with cpu 512: Fargate offers 1024 to 4096 in steps of 1024 MiB
    ");
    let warm = r#"{"a": {"cpu": 512, "memory": 1024, "warm": {"count": 2, "schedule": ["daily 08:00-19:00 Berlin"]}},
                   "b": {"cpu": 512, "memory": 1024, "max_runners": 1, "warm": {"count": 3, "max_age_hours": 200}}}"#;
    insta::assert_snapshot!(check(warm), @r"
    exit code 2
    --- stdout
    --- stderr
    error: classes.json has 3 mistakes:
      a: warm.schedule: window `daily 08:00-19:00 Berlin`: `Berlin` is not a time zone: `Europe/Berlin`, or another of IANA's names, is expected
      b: warm.count is 3: at most max_runners is expected, which is 1
      b: warm.max_age_hours is 200: 1 to 168 is expected
    ");
    insta::assert_snapshot!(check("[]"), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: classes.json is not a JSON object of classes by name (HCL is not read)
      caused by: invalid type: sequence, expected a map at line 1 column 0

    hint: keep the classes in a JSON file, and write `runner_class_sizes = jsondecode(file("classes.json"))`
    "#);
    insta::assert_snapshot!(run(&["classes", "check", "-"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: standard input is not a JSON object of classes by name (HCL is not read)
      caused by: EOF while parsing a value at line 1 column 0

    hint: keep the classes in a JSON file, and write `runner_class_sizes = jsondecode(file("classes.json"))`
    "#);
    insta::assert_snapshot!(check(r#"{"c": {"cpu": 512, "memory": 1024, "docker": true}}"#), @r"
    exit code 0
    --- stdout
    c	0.5	1 GiB	20 GiB	x64	on-demand	—	$0.030	—	—	—
    --- stderr
    class `c` is valid on one machine only: docker is true, and its tasks run on Fargate, which gives no task the privileges that a Docker engine needs: set compute to `managed-instances`
    ");
}

#[tokio::test]
async fn the_warm_tasks_of_all_classes_are_checked_against_the_deployments_limit() {
    let dir = tempfile::tempdir().unwrap();
    let classes = r#"{"a": {"cpu": 512, "memory": 1024, "warm": {"count": 2}},
                      "b": {"cpu": 512, "memory": 1024, "warm": {"count": 3}}}"#;
    std::fs::write(dir.path().join("classes.json"), classes).unwrap();
    let check = |more: &[&str]| {
        let checked = ecsrunner(dir.path()).args(["classes", "check", "classes.json"]).args(more).output();
        told(&checked.unwrap(), dir.path())
    };
    insta::assert_snapshot!(check(&["--max-warm", "4"]), @r"
    exit code 2
    --- stdout
    --- stderr
    error: classes.json has 1 mistake:
      warm.count of all classes together is 5 (`a` 2, `b` 3), but limits.max_warm is 4: set limits.max_warm to at least 5, or lower warm.count
    ");
    insta::assert_snapshot!(check(&["--max-warm", "5"]), @r"
    exit code 0
    --- stdout
    a	0.5	1 GiB	20 GiB	x64	on-demand	—	$0.030	—	2	—
    b	0.5	1 GiB	20 GiB	x64	on-demand	—	$0.030	—	3	—
    --- stderr
    ");
    insta::assert_snapshot!(check(&[]), @r"
    exit code 0
    --- stdout
    a	0.5	1 GiB	20 GiB	x64	on-demand	—	$0.030	—	2	—
    b	0.5	1 GiB	20 GiB	x64	on-demand	—	$0.030	—	3	—
    --- stderr
    warm.count of all classes together is 5: limits.max_warm must be at least 5 (--max-warm checks it)
    ");
}
