use serde_json::{Value, json};

use crate::harness::{Harness, Listener};

#[test]
fn a_matrix_expands_and_needs_wait_or_skip() {
    let harness = Harness::new();
    let jobs = harness.submit(
        "
name: CI
on: push
jobs:
  build:
    name: Build
    runs-on: ['self-hosted', 'class:${{ matrix.class }}']
    strategy:
      matrix:
        class: [small, large]
        version: [1, 2]
        exclude: [{class: large, version: 1}]
        include: [{class: small, version: 1, extra: yes}]
    steps: [{run: 'exit ${{ matrix.version }}'}]
  deploy: {needs: build, runs-on: x, steps: [{run: 'true'}]}
  after: {needs: [deploy], runs-on: x, steps: [{run: 'true'}]}
  alone: {runs-on: x, steps: [{run: 'true'}]}
  last: {needs: alone, runs-on: x, steps: [{run: 'true'}]}
",
    );
    let names: Vec<&str> = jobs.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["Build (large, 2)", "Build (small, 1, yes)", "Build (small, 2)", "after", "alone", "deploy", "last"]
    );
    harness.job_in(jobs["deploy"], "blocked");
    for (name, label) in
        [("a", "class:small"), ("b", "class:small"), ("c", "class:large"), ("d", "x"), ("e", "x")]
    {
        assert_eq!(Listener::start(&harness.register(name, &["self-hosted", label]), &[]).code(), 0);
    }
    let state = harness.wait("completed=7&unregistered=true");
    let ended: Vec<Value> =
        state["jobs"].as_array().unwrap().iter().map(|job| json!([job["name"], job["conclusion"]])).collect();
    assert_eq!(
        json!(ended),
        json!([
            ["Build (small, 1, yes)", "failure"],
            ["Build (small, 2)", "failure"],
            ["Build (large, 2)", "failure"],
            ["deploy", "skipped"],
            ["after", "skipped"],
            ["alone", "success"],
            ["last", "success"],
        ])
    );
}

#[test]
fn everything_that_cannot_be_run_is_refused_at_once_by_file_job_and_step() {
    let text = "
on: push
defaults: {run: {shell: bash}}
jobs:
  build:
    runs-on: self-hosted
    services: {db: {image: postgres}}
    container: debian
    steps:
      - uses: actions/checkout@v4
      - {name: Deploy, run: 'echo ${{ secrets.TOKEN }}', if: github.ref == 'x'}
      - uses: ./missing
  dynamic:
    runs-on: x
    needs: [nobody]
    strategy: {matrix: '${{ fromJSON(needs.build.outputs.list) }}'}
    steps: [{run: 'true', shell: pwsh}]
";
    let new = json!({"repository": "acme/app", "file": ".github/workflows/ci.yml", "text": text});
    let (status, reply) = Harness::new().call("POST", "/_sim/workflows", &new);
    assert_eq!(status, 422);
    let messages: Vec<&str> =
        reply["messages"].as_array().unwrap().iter().map(|message| message.as_str().unwrap()).collect();
    assert_eq!(
        messages,
        [
            ".github/workflows/ci.yml: the key `defaults` is not supported",
            ".github/workflows/ci.yml: job `build`: the key `services` is not supported",
            ".github/workflows/ci.yml: job `build`: the key `container` is not supported",
            ".github/workflows/ci.yml: job `build`: step 1: uses `actions/checkout@v4`, which was not given: `--action actions/checkout@v4=DIR` gives it from a directory",
            ".github/workflows/ci.yml: job `build`: step 2 (`Deploy`): `run` has the expression `secrets.TOKEN`; only `matrix.<name>` is supported",
            ".github/workflows/ci.yml: job `build`: step 2 (`Deploy`): the condition `github.ref == 'x'` is not supported, only always(), success(), failure() and cancelled()",
            ".github/workflows/ci.yml: job `build`: step 3: uses `./missing`, whose action.yml was not given with the workflow",
            ".github/workflows/ci.yml: job `dynamic`: `strategy.matrix` is not a static mapping: a dynamic matrix is not supported",
            ".github/workflows/ci.yml: job `dynamic`: step 1: the shell `pwsh` is not supported, only bash and sh",
            ".github/workflows/ci.yml: job `dynamic`: needs `nobody`, which is not a job of this file",
        ]
    );
}
