//! Jobs that call other workflows.

use super::*;

#[test]
fn a_called_workflow_gets_no_more_permissions_than_its_caller_has() {
    let load = |caller: &str, inner: &str, deepest: &str| {
        let find = |callee: &Callee| {
            let text = if callee.to_string().ends_with("inner.yml") { inner } else { deepest };
            Found::Text(text.to_owned())
        };
        let text = format!("{{on: push, {caller}, uses: ./.github/workflows/inner.yml}}}}}}");
        Program::load("ci.yml", &text, find).map(|_| ()).map_err(|problems| problems.to_string())
    };
    let asks = |permissions: &str| {
        format!("{{on: workflow_call, jobs: {{j: {{runs-on: x, permissions: {permissions}}}}}}}")
    };
    let calls = "{on: workflow_call, jobs: {k: {uses: ./.github/workflows/deepest.yml}}}";
    let write = asks("{contents: write, id-token: write}");
    insta::assert_snapshot!(
        load("permissions: {contents: read}, jobs: {c: {name: c", &write, "").unwrap_err(),
        @"ci.yml:1:50: calls `.github/workflows/inner.yml`, whose job `j` asks for the permissions `contents: write`, `id-token: write`, but the caller gives only `contents: read`, `id-token: none`"
    );
    insta::assert_snapshot!(
        load("jobs: {c: {permissions: read-all", "{on: workflow_call, permissions: {issues: write}, jobs: {j: {runs-on: x}}}", "").unwrap_err(),
        @"ci.yml:1:19: calls `.github/workflows/inner.yml`, which asks for the permissions `issues: write`, but the caller gives only `issues: read`"
    );
    let deep = load("permissions: read-all, jobs: {c: {name: c", calls, &write).unwrap_err();
    assert!(
        deep.starts_with(".github/workflows/inner.yml:1:28: calls `.github/workflows/deepest.yml`"),
        "{deep}"
    );
    load(
        "permissions: {contents: read}, jobs: {c: {permissions: {contents: write, id-token: write}",
        &write,
        "",
    )
    .unwrap();
    load("permissions: write-all, jobs: {c: {name: c", calls, &write).unwrap();
    load("jobs: {c: {name: c", &write, "").unwrap();
}

#[test]
fn values_for_a_called_workflow_have_the_types_of_its_inputs() {
    let inner = "{on: {workflow_call: {inputs: {flag: {type: boolean}, count: {type: number}, text: {type: string}}}}, jobs: {j: {runs-on: x}}}";
    let load = |with: &str| {
        let text =
            format!("{{on: push, jobs: {{c: {{uses: ./.github/workflows/inner.yml, with: {with}}}}}}}");
        Program::load("ci.yml", &text, |_| Found::Text(inner.to_owned()))
            .map(|_| ())
            .map_err(|wrong| wrong.to_string())
    };
    load("{flag: true, count: 1.5, text: 3}").unwrap();
    load("{flag: '${{ github.event.x }}', count: '${{ fromJSON(vars.N) }}'}").unwrap();
    insta::assert_snapshot!(load("{flag: 'true', count: many}").unwrap_err(), @"
    ci.yml:1:73: the input `flag` is `true`: true or false is expected
    ci.yml:1:88: the input `count` is `many`: a number is expected
    ");
}

const CLEANS_UP: (&str, &str) = (
    ".github/workflows/inner.yml",
    "
on: workflow_call
jobs:
  work: {runs-on: x}
  more: {needs: work, runs-on: x}
  clean: {needs: [work, more], if: always(), runs-on: x}",
);

#[test]
fn a_cancelled_call_still_runs_what_always_runs() {
    let mut play = Play::start_with(
        "
  call: {uses: ./.github/workflows/inner.yml}
  after: {needs: call, runs-on: x}",
        &[CLEANS_UP],
    );
    play.log();
    play.run.cancel();
    play.take();
    assert_eq!(play.log(), "cancel call / work");
    play.end("call / work", Outcome::Cancelled, &[]);
    assert_eq!(play.log(), "cancelled call / more\nqueue call / clean");
    play.succeed("call / clean");
    assert_eq!(play.log(), "cancelled after");
    assert_eq!(play.run.outcome(), Outcome::Cancelled);
}

#[test]
fn a_call_that_the_failure_of_another_cancels_cleans_up_as_well() {
    let mut play = Play::start_with(
        "
  call: {uses: ./.github/workflows/inner.yml, strategy: {matrix: {n: [1, 2]}}}",
        &[CLEANS_UP],
    );
    play.fail("call (1) / work");
    play.log();
    play.succeed("call (1) / clean");
    assert_eq!(play.log(), "cancel call (2) / work");
    play.end("call (2) / work", Outcome::Cancelled, &[]);
    assert_eq!(play.log(), "cancelled call (2) / more\nqueue call (2) / clean");
    play.succeed("call (2) / clean");
    assert_eq!(play.run.outcome(), Outcome::Failure);
}

#[test]
fn a_job_of_a_called_workflow_that_is_run_again_takes_along_what_needs_the_call() {
    let deploy = (".github/workflows/deploy.yml", "{on: workflow_call, jobs: {ship: {runs-on: x}}}");
    let mut play = Play::start_with(
        "
  call: {uses: ./.github/workflows/inner.yml}
  deploy: {needs: call, uses: ./.github/workflows/deploy.yml}
  other: {runs-on: x}",
        &[CLEANS_UP, deploy],
    );
    let (work, _) = play.queued.iter().find(|(_, ready)| ready.name == "call / work").unwrap().clone();
    play.succeed("call / work").succeed("call / more").fail("call / clean").succeed("other");
    assert_eq!(play.run.outcome(), Outcome::Failure);
    play.log();
    let replaced = play.run.rerun(work);
    assert_eq!(replaced.len(), 4, "work, more, clean and deploy");
    play.take();
    assert_eq!(
        play.log(),
        "block call / more for work\nblock call / clean for work, more\nblock deploy for call\nqueue call / work"
    );
    play.succeed("call / work").succeed("call / more").succeed("call / clean");
    let (ship, _) = play.queued.iter().find(|(_, ready)| ready.name == "deploy / ship").unwrap().clone();
    play.succeed("deploy / ship");
    assert_eq!((play.run.is_over(), play.run.outcome()), (true, Outcome::Success));
    let clean = play.ended["call / clean"];
    let replaced = play.run.rerun(clean);
    assert!(replaced.iter().any(|replaced| replaced.job == ship && replaced.by.is_none()));
    play.take();
    assert!(!play.run.is_over());
    play.succeed("call / clean").succeed("deploy / ship");
    assert!(play.run.is_over());
}

#[test]
fn a_called_workflow_has_the_permissions_of_its_caller_and_the_token_if_it_is_given() {
    let inner = (
        ".github/workflows/inner.yml",
        "{on: {workflow_call: {secrets: {TOKEN: , NONE: }}}, jobs: {own: {runs-on: x, permissions: {issues: read}}, theirs: {runs-on: x}}}",
    );
    let mut play = Play::start_with(
        "
  call:
    permissions: {issues: write}
    uses: ./.github/workflows/inner.yml
    secrets: {TOKEN: 'x ${{ secrets.GITHUB_TOKEN }}', NONE: '${{ secrets.MISSING }}'}
  free: {uses: ./.github/workflows/inner.yml}",
        &[inner],
    );
    let level = |play: &Play, name: &str| {
        let permissions = play.ready(name).permissions.clone();
        permissions.map(|permissions| permissions.get("issues").unwrap().text().unwrap())
    };
    assert_eq!(level(&play, "call / own").as_deref(), Some("read"));
    assert_eq!(level(&play, "call / theirs").as_deref(), Some("write"));
    assert_eq!(level(&play, "free / theirs"), None);
    assert_eq!(play.ready("call / own").secrets, [("TOKEN".to_owned(), format!("x {JOB_TOKEN}"))]);
    play.log();
}
