//! Jobs that call other workflows.

use super::*;

#[test]
fn a_called_workflow_has_its_own_inputs_secrets_and_outputs() {
    let called = "
on:
  workflow_call:
    inputs: {who: {type: string, required: true}, n: {type: number, default: 4}}
    secrets: {KEY: {required: true}}
    outputs: {text: {value: '${{ jobs.say.outputs.text }} of ${{ inputs.who }}'}}
env: {INNER: '2'}
jobs:
  say: {name: 'say ${{ inputs.n }}', runs-on: x, strategy: {matrix: {m: [1]}}, outputs: {text: '${{ steps.a.outputs.b }}'}}
  next: {needs: say, runs-on: x}
";
    let files = [(".github/workflows/inner.yml", called)];
    let mut play = Play::start_with(
        "
  first: {runs-on: x}
  call:
    needs: first
    uses: ./.github/workflows/inner.yml
    strategy: {matrix: {who: [Ann]}}
    with: {who: '${{ matrix.who }}'}
    secrets: {KEY: '${{ secrets.TOKEN }}'}
  off: {needs: first, if: false, uses: ./.github/workflows/inner.yml, with: {who: x}, secrets: inherit}
  after: {needs: call, runs-on: x}",
        &files,
    );
    play.log();
    play.succeed("first");
    insta::assert_snapshot!(play.log(), @"
    skipped off
    call
    block call (Ann) / next for say
    queue call (Ann) / say 4
    ");
    let say = play.ready("call (Ann) / say 4");
    assert_eq!((say.key.as_str(), say.path.as_str()), ("say", "call.Ann.say"));
    assert_eq!(say.secrets, [("KEY".to_owned(), "t".to_owned())]);
    assert_eq!(serde_json::to_string(&say.inputs).unwrap(), r#"{"who":"Ann","n":4}"#);
    assert_eq!(
        (say.env.len(), say.env[0].get("INNER").is_some()),
        (1, true),
        "the caller's env stays with it"
    );
    play.end("call (Ann) / say 4", Outcome::Success, &[("text", "hi")]).succeed("call (Ann) / next");
    assert_eq!(play.log(), "queue call (Ann) / next\nqueue after");
    let needs = serde_json::to_string(&play.ready("after").needs).unwrap();
    assert_eq!(needs, r#"{"call":{"result":"success","outputs":{"text":"hi of Ann"}}}"#);
}

#[test]
fn a_call_has_the_concurrency_group_of_the_called_workflow() {
    let called = "{on: {workflow_call: {inputs: {to: {type: string}}}}, concurrency: 'to-${{ inputs.to }}', jobs: {j: {runs-on: x}}}";
    let job = "
  call: {uses: ./.github/workflows/inner.yml, with: {to: prod}}";
    let mut play = Play::start_with(job, &[(".github/workflows/inner.yml", called)]);
    assert_eq!(play.log(), "acquire to-prod");
    let waiting = play.waiting.clone();
    play.run.granted(waiting[0]);
    play.take();
    assert_eq!(play.log(), "call\nqueue call / j");
    play.succeed("call / j");
    assert_eq!(play.log(), "release");
    assert!(play.run.is_over());
}

#[test]
fn what_a_call_gives_and_takes_is_checked_before_the_run() {
    let inner = "{on: {workflow_call: {inputs: {a: {type: string, required: true}}, secrets: {K: {required: true}}}}, jobs: {j: {runs-on: x}}}";
    let find = |callee: &Callee| match callee.to_string().as_str() {
        ".github/workflows/inner.yml" => Found::Text(inner.to_owned()),
        ".github/workflows/push.yml" => Found::Text("{on: push, jobs: {j: {runs-on: x}}}".to_owned()),
        ".github/workflows/loop.yml" => {
            Found::Text("{on: workflow_call, jobs: {j: {uses: ./.github/workflows/loop.yml}}}".to_owned())
        }
        _ => Found::Missing("which is not there".to_owned()),
    };
    let wrong = |job: &str| {
        let text = format!("on: push\njobs:\n  call: {{{job}}}\n");
        Program::load("ci.yml", &text, find).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        [
            wrong("uses: ./.github/workflows/inner.yml, with: {b: 1}, secrets: {L: x}"),
            wrong("uses: ./.github/workflows/push.yml"),
            wrong("uses: ./.github/workflows/none.yml"),
            wrong("uses: ./.github/workflows/loop.yml"),
            wrong("uses: ./ci.yml"),
        ]
        .join("\n"),
        @"
    ci.yml:3:54: the called workflow has no input `b`: it takes a
    ci.yml:3:16: the called workflow needs the input `a`
    ci.yml:3:71: the called workflow has no secret `L`: it takes K
    ci.yml:3:16: the called workflow needs the secret `K`
    ci.yml:3:16: calls `.github/workflows/push.yml`, which has no `on: workflow_call`: it runs on push
    ci.yml:3:16: calls `.github/workflows/none.yml`, which is not there
    .github/workflows/loop.yml:1:38: calls `.github/workflows/loop.yml`, which calls this workflow: a cycle
    ci.yml:3:16: `./ci.yml` is not a workflow: `./.github/workflows/FILE` or `OWNER/NAME/.github/workflows/FILE@REF` is expected
    "
    );
}

#[test]
fn workflows_whose_calls_grow_by_powers_are_refused() {
    let calls = |next: usize| {
        let jobs = (0..10).map(|job| format!("j{job}: {{uses: ./.github/workflows/w{next}.yml}}"));
        format!("{{on: [push, workflow_call], jobs: {{{}}}}}", jobs.collect::<Vec<_>>().join(", "))
    };
    let find = |callee: &Callee| match callee {
        Callee::Local { file } => {
            let number: usize =
                file.trim_start_matches(".github/workflows/w").trim_end_matches(".yml").parse().unwrap();
            Found::Text(if number < 8 {
                calls(number + 1)
            } else {
                "{on: workflow_call, jobs: {a: {runs-on: x}}}".to_owned()
            })
        }
        Callee::Remote { .. } => Found::Later,
    };
    let refused = Program::load("ci.yml", &calls(1), find).unwrap_err().to_string();
    assert!(refused.ends_with("more than 1000 workflows are called in one run"), "{refused}");
}

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
    insta::assert_snapshot!(
        load("jobs: {c: {name: c", &write, "").unwrap_err(),
        @"ci.yml:1:19: calls `.github/workflows/inner.yml`, whose job `j` asks for the permissions `contents: write`, `id-token: write`, but the caller gives only `contents: read`, `id-token: none`, since it names no `permissions`"
    );
    assert!(load("jobs: {c: {name: c", calls, &asks("write-all")).is_err());
    load("jobs: {c: {name: c", calls, &asks("{contents: read, packages: read}")).unwrap();
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
        "{on: {workflow_call: {secrets: {TOKEN: , NONE: }}}, jobs: {own: {runs-on: x, permissions: {packages: read}}, theirs: {runs-on: x}}}",
    );
    let mut play = Play::start_with(
        "
  call:
    permissions: {packages: write}
    uses: ./.github/workflows/inner.yml
    secrets: {TOKEN: 'x ${{ secrets.GITHUB_TOKEN }}', NONE: '${{ secrets.MISSING }}'}
  free: {uses: ./.github/workflows/inner.yml}",
        &[inner],
    );
    let level = |play: &Play, name: &str| {
        let permissions = play.ready(name).permissions.clone();
        permissions.map(|permissions| permissions.get("packages").unwrap().text().unwrap())
    };
    assert_eq!(level(&play, "call / own").as_deref(), Some("read"));
    assert_eq!(level(&play, "call / theirs").as_deref(), Some("write"));
    assert_eq!(level(&play, "free / theirs"), None);
    assert_eq!(play.ready("call / own").secrets, [("TOKEN".to_owned(), format!("x {JOB_TOKEN}"))]);
    play.log();
}

#[test]
fn ten_workflows_in_a_row_are_allowed_the_first_included() {
    let call = |next: usize| {
        format!("{{on: [push, workflow_call], jobs: {{j: {{uses: ./.github/workflows/w{next}.yml}}}}}}")
    };
    let load = |levels: usize| {
        let text = |callee: &Callee| {
            let level =
                (1..levels).find(|level| callee.to_string().ends_with(&format!("/w{level}.yml"))).unwrap();
            let last = "{on: workflow_call, jobs: {j: {runs-on: x, steps: [{run: echo}]}}}";
            Found::Text(if level + 1 == levels { last.to_owned() } else { call(level + 1) })
        };
        Program::load("ci.yml", &call(1), text).map(|program| program.workflows().count())
    };
    assert_eq!(load(10).unwrap(), 10);
    let wrong = load(11).unwrap_err().to_string();
    assert!(wrong.ends_with("more than 10 workflows call each other in a row"), "{wrong}");
}
