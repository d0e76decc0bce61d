use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::program::Found;

mod calls;

/// Plays a run. `end` says how a queued job ends. Returns what happened, a line for each decision.
struct Play {
    run: Run,
    log: Vec<String>,
    queued: VecDeque<(JobIndex, Ready)>,
    /// Jobs whose groups are not granted yet.
    waiting: Vec<JobIndex>,
    /// The last job of each name that was queued and has ended.
    ended: BTreeMap<String, JobIndex>,
}

impl Play {
    fn start(jobs: &str) -> Self {
        Self::start_with(jobs, &[])
    }

    fn start_with(jobs: &str, files: &[(&str, &str)]) -> Self {
        let text = format!("on: push\nenv: {{TOP: '1'}}\njobs:\n{jobs}");
        let find = |callee: &Callee| match files.iter().find(|(file, _)| *file == callee.to_string()) {
            Some((_, text)) => Found::Text((*text).to_owned()),
            None => Found::Missing("which is not there".to_owned()),
        };
        let program = Program::load("ci.yml", &text, find).unwrap_or_else(|problems| panic!("{problems}"));
        let github = Value::from([("ref", Value::from("refs/heads/main")), ("event_name", "push".into())]);
        let secrets = vec![("TOKEN".to_owned(), "t".to_owned()), ("OTHER".to_owned(), "o".to_owned())];
        let given = Given { github, inputs: Value::Null, vars: Value::Map(Vec::new()), secrets };
        let mut play = Self {
            run: Run::start(Arc::new(program), given),
            log: Vec::new(),
            queued: VecDeque::new(),
            waiting: Vec::new(),
            ended: BTreeMap::new(),
        };
        play.take();
        play
    }

    fn take(&mut self) {
        for decision in self.run.decisions() {
            match decision {
                Decision::Block { needs, .. } if needs.is_empty() => {}
                Decision::Block { name, needs, .. } => {
                    self.log.push(format!("block {name} for {}", needs.join(", ")));
                }
                Decision::Acquire { job, group } => {
                    let cancel = if group.cancel_in_progress { ", cancels" } else { "" };
                    self.log.push(format!("acquire {}{cancel}", group.group));
                    self.waiting.push(job);
                }
                Decision::Release { .. } => self.log.push("release".to_owned()),
                Decision::Queue { job, ready } => {
                    self.log.push(format!("queue {}", ready.name));
                    self.queued.push_back((job, *ready));
                }
                Decision::End { name, outcome, why, .. } => {
                    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                    self.log.push(format!("{} {name}{why}", outcome.as_str()));
                }
                Decision::Cancel { job } => {
                    let name =
                        self.queued.iter().find(|(queued, _)| *queued == job).map(|(_, ready)| &ready.name);
                    self.log.push(format!("cancel {}", name.unwrap()));
                }
                Decision::Replace { .. } => self.log.push("call".to_owned()),
            }
        }
    }

    /// Ends the queued job of this name.
    fn end(&mut self, name: &str, outcome: Outcome, outputs: &[(&str, &str)]) -> &mut Self {
        let at = self.queued.iter().position(|(_, ready)| ready.name == name);
        let (job, _) =
            self.queued.remove(at.unwrap_or_else(|| panic!("{name} is not queued: {:?}", self.log))).unwrap();
        let outputs = outputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.ended.insert(name.to_owned(), job);
        self.run.ended(job, outcome, outputs);
        self.take();
        self
    }

    fn succeed(&mut self, name: &str) -> &mut Self {
        self.end(name, Outcome::Success, &[])
    }

    fn fail(&mut self, name: &str) -> &mut Self {
        self.end(name, Outcome::Failure, &[])
    }

    fn ready(&self, name: &str) -> &Ready {
        &self.queued.iter().find(|(_, ready)| ready.name == name).unwrap().1
    }

    /// Returns what happened since the last call.
    fn log(&mut self) -> String {
        std::mem::take(&mut self.log).join("\n")
    }
}

#[test]
fn a_skipped_job_skips_what_needs_it_unless_its_condition_says_otherwise() {
    let mut play = Play::start(
        "
  tag: {if: \"startsWith(github.ref, 'refs/tags/')\", runs-on: x}
  after-tag: {needs: tag, runs-on: x}
  after-after: {needs: after-tag, runs-on: x}
  anyway: {needs: tag, if: '!cancelled() && !failure()', runs-on: x}
  behind: {needs: anyway, runs-on: x}
  branch: {if: \"${{ github.event_name == 'push' }}\", runs-on: x}",
    );
    insta::assert_snapshot!(play.log(), @"
    block after-tag for tag
    block after-after for after-tag
    block anyway for tag
    block behind for anyway
    skipped tag
    skipped after-tag
    skipped after-after
    queue anyway
    queue branch
    ");
    play.succeed("anyway").succeed("branch");
    // A job looks at all jobs before it, not only at those that it names.
    assert_eq!(play.log(), "skipped behind");
    assert!(play.run.is_over());
    assert_eq!(play.run.outcome(), Outcome::Success);
}

#[test]
fn a_condition_may_ask_for_certain_jobs() {
    let mut play = Play::start(
        "
  a: {runs-on: x}
  b: {runs-on: x}
  either: {needs: [a, b], if: \"success('a') || success('b')\", runs-on: x}
  both: {needs: [a, b], if: \"${{ success('a', 'b') }}\", runs-on: x}
  broken: {needs: [a, b], if: failure('B'), runs-on: x}",
    );
    play.log();
    play.succeed("a").fail("b");
    assert_eq!(play.log(), "skipped both\nqueue either\nqueue broken");
    let refused =
        crate::read("ci.yml", "{on: push, jobs: {a: {runs-on: x, steps: [{run: echo, if: success('a')}]}}}");
    assert!(refused.unwrap_err().to_string().contains("`success` takes no argument"));
}

#[test]
fn a_failure_skips_what_needs_success_and_runs_what_asks_for_it() {
    let mut play = Play::start(
        "
  build: {runs-on: x}
  test: {needs: [build], runs-on: x}
  report: {needs: [test], if: failure(), runs-on: x}
  always: {needs: [test, build], if: \"always() && needs.build.result == 'failure'\", runs-on: x}
  fine: {needs: build, if: success(), runs-on: x}",
    );
    play.log();
    play.fail("build");
    assert_eq!(play.log(), "skipped test\nskipped fine\nqueue report\nqueue always");
    play.succeed("report").succeed("always");
    assert_eq!(play.run.outcome(), Outcome::Failure);
}

#[test]
fn a_job_that_is_not_expanded_has_its_name_as_it_is_written() {
    let mut play = Play::start(
        "
  test: {name: 'Test (${{ matrix.os }})', if: false, runs-on: x, strategy: {matrix: {os: [a, b]}}}
  lines: {name: \"${{ github.ref }}\\nmore\", if: false, runs-on: x}
  plain: {name: Plain, if: false, runs-on: x, strategy: {matrix: {os: [a, b]}}}",
    );
    assert_eq!(play.log(), "skipped Test (${{ matrix.os }})\nskipped ${{ github.ref }}\nskipped Plain");
}

#[test]
fn a_name_without_a_value_fails_the_job_and_an_empty_one_is_made() {
    let mut play = Play::start(
        "
  wrong: {name: 'Is ${{ fromJSON(vars.NONE) }}', runs-on: x, strategy: {matrix: {n: [1, 2]}}}
  empty: {name: '${{ vars.NONE }}', runs-on: x, strategy: {matrix: {n: [1]}}}
  behind: {needs: wrong, if: always(), runs-on: x}",
    );
    insta::assert_snapshot!(play.log(), @"
    block behind for wrong
    failure Is ${{ fromJSON(vars.NONE) }}: `name`: `format('Is {0}', fromJSON(vars.NONE))`: fromJSON was given an empty text: JSON is expected
    queue empty (1)
    queue behind
    ");
}

#[test]
fn outputs_reach_the_jobs_that_need_them() {
    let mut play = Play::start(
        "
  plan: {runs-on: x, outputs: {level: '${{ steps.s.outputs.level }}'}}
  use: {needs: plan, runs-on: 'class:${{ needs.plan.outputs.level }}', timeout-minutes: '${{ fromJSON(needs.plan.outputs.level) }}'}
  skip: {needs: [plan], if: needs.plan.outputs.level != '3', runs-on: x}
  grid: {needs: plan, runs-on: x, strategy: {matrix: {n: '${{ fromJSON(needs.plan.outputs.list) }}'}}}
  wrong: {needs: plan, runs-on: x, strategy: {matrix: '${{ fromJSON(needs.plan.outputs.none) }}'}}",
    );
    play.log();
    play.end("plan", Outcome::Success, &[("level", "3"), ("list", "[1, {\"a\": \"b\"}]")]);
    insta::assert_snapshot!(play.log(), @"
    skipped skip
    failure wrong: `fromJSON(needs.plan.outputs.none)`: fromJSON was given an empty text: JSON is expected
    queue use
    queue grid (1)
    queue grid (b)
    ");
    let used = play.ready("use");
    assert_eq!((used.runs_on.labels.as_slice(), used.timeout_minutes), (&["class:3".to_owned()][..], 3));
    assert_eq!(
        serde_json::to_string(&used.needs).unwrap(),
        r#"{"plan":{"result":"success","outputs":{"level":"3","list":"[1, {\"a\": \"b\"}]"}}}"#
    );
}

#[test]
fn the_first_failure_of_a_matrix_cancels_the_others_by_default() {
    let jobs = |more: &str| {
        format!(
            "
  m: {{runs-on: x, strategy: {{{more}matrix: {{n: [1, 2, 3]}}}}}}
  after: {{needs: m, runs-on: x}}
  last: {{needs: m, if: always(), runs-on: x}}"
        )
    };
    let mut play = Play::start(&jobs("max-parallel: 2, "));
    assert_eq!(play.log(), "block after for m\nblock last for m\nqueue m (1)\nqueue m (2)");
    play.fail("m (1)");
    assert_eq!(play.log(), "cancel m (2)\ncancelled m (3)");
    play.end("m (2)", Outcome::Cancelled, &[]);
    assert_eq!(play.log(), "skipped after\nqueue last");
    let mut play = Play::start(&jobs("fail-fast: false, max-parallel: 1, "));
    play.log();
    play.fail("m (1)").succeed("m (2)");
    assert_eq!(play.log(), "queue m (2)\nqueue m (3)");
    play.succeed("m (3)");
    assert_eq!(play.log(), "skipped after\nqueue last");
    assert_eq!(play.ready("last").needs.get("m").unwrap().get("result"), Some(&Value::from("failure")));
}

#[test]
fn a_job_that_may_fail_fails_nothing_else() {
    let mut play = Play::start(
        "
  m: {runs-on: x, continue-on-error: '${{ matrix.soft }}', strategy: {matrix: {soft: [true, false]}}}
  after: {needs: m, runs-on: x}",
    );
    play.log();
    play.fail("m (true)").succeed("m (false)");
    assert_eq!(play.log(), "queue after");
    assert_eq!(play.ready("after").needs.get("m").unwrap().get("result"), Some(&Value::from("success")));
    play.succeed("after");
    assert_eq!(play.run.outcome(), Outcome::Success);
}

#[test]
fn names_are_those_that_github_makes() {
    let long = "x".repeat(120);
    let mut play = Play::start(&format!(
        "
  N: {{name: n, runs-on: x, strategy: {{matrix: {{include: [{{a: '', b: null}}, {{a: '', b: true}}, {{a: {long}}}]}}}}}}
  said: {{name: 'of ${{{{ matrix.t.a }}}}', runs-on: x, strategy: {{matrix: {{t: [{{a: 1.20, b: 2}}]}}}}}}
  plain: {{runs-on: x, strategy: {{matrix: {{t: [{{a: 1, b: [x, y]}}]}}}}}}
  empty: {{name: '${{{{ matrix.none }}}}', runs-on: x, strategy: {{matrix: {{v: [1]}}}}}}
  off: {{name: 'of ${{{{ matrix.t }}}}', if: false, runs-on: x, strategy: {{matrix: {{t: [1]}}}}}}
  last: {{needs: n, runs-on: x}}"
    ));
    let log = play.log();
    insta::assert_snapshot!(log, @"
    block last for N
    skipped of ${{ matrix.t }}
    queue n
    queue n (true)
    queue n (xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...
    queue of 1.2
    queue plain (1, x, y)
    queue empty (1)
    ");
    assert!(log.contains(&format!("queue n ({}...\n", "x".repeat(94))), "97 characters and three dots");
}

#[test]
fn a_cancelled_run_still_runs_what_always_runs() {
    let mut play = Play::start(
        "
  build: {runs-on: x}
  test: {needs: build, runs-on: x}
  clean: {needs: [build, test], if: always(), runs-on: x}
  told: {needs: build, if: cancelled(), runs-on: x}",
    );
    play.log();
    play.run.cancel();
    play.take();
    assert_eq!(play.log(), "cancel build");
    play.end("build", Outcome::Cancelled, &[]);
    assert_eq!(play.log(), "cancelled test\nqueue clean\nqueue told");
    play.succeed("told").succeed("clean");
    assert_eq!(play.run.outcome(), Outcome::Cancelled);
}

#[test]
fn a_job_waits_for_its_concurrency_group() {
    let mut play = Play::start(
        "
  a: {runs-on: x, concurrency: 'g-${{ github.ref }}'}
  b: {runs-on: x, concurrency: {group: '${{ matrix.g }}', cancel-in-progress: true}, strategy: {matrix: {g: [one, two]}}}
  c: {runs-on: x, concurrency: {group: '${{ github.none }}'}}",
    );
    insta::assert_snapshot!(play.log(), @"
    acquire g-refs/heads/main
    acquire one, cancels
    acquire two, cancels
    failure c: `concurrency`: the name of the concurrency group is empty
    ");
    let waiting = play.waiting.clone();
    play.run.granted(waiting[0]);
    play.take();
    assert_eq!(play.log(), "queue a");
    play.succeed("a");
    assert_eq!(play.log(), "release");
    play.run.cancel_job(waiting[1]);
    play.take();
    assert_eq!(play.log(), "cancelled b (one)\nrelease");
}

#[test]
fn a_job_that_is_run_again_takes_those_that_need_it_along() {
    let mut play = Play::start(
        "
  m: {runs-on: x, strategy: {fail-fast: false, matrix: {n: [1, 2]}}}
  after: {needs: m, runs-on: x}
  other: {runs-on: x}",
    );
    let (job, _) = play.queued[0].clone();
    play.fail("m (1)").succeed("m (2)").succeed("other");
    assert!(play.run.is_over());
    play.log();
    let replaced = play.run.rerun(job);
    assert_eq!((replaced.len(), replaced[0].job), (2, job));
    play.take();
    assert_eq!(play.log(), "block after for m\nqueue m (1)");
    play.succeed("m (1)");
    assert_eq!(play.log(), "queue after");
}

#[test]
fn an_evaluated_value_is_checked_as_a_written_one() {
    let play = |key: &str| Play::start(&format!("  a: {{{key}, steps: [{{run: 'true'}}]}}")).log.join("; ");
    let json = |key: &str, json: &str| format!("{key}: \"${{{{ fromJSON('{json}') }}}}\"");
    for (key, wrong) in [
        (json("runs-on: x, strategy", "{foo: 1, matrix: {a: [1]}}"), "`foo` is not a key of `strategy`"),
        (json("runs-on: x, concurrency", "{group: ''g'', foo: 1}"), "`foo` is not a key of `concurrency`"),
        (json("runs-on: x, concurrency", "{group: ''g'', queue: ''all''}"), "`queue` is `all`"),
        (json("runs-on", "{labels: [''x''], foo: 1}"), "`foo` is not a key of `runs-on`"),
        (json("runs-on: x, environment", "{name: ''e'', foo: 1}"), "`foo` is not a key of `environment`"),
        (json("runs-on: x, name", "{}"), "`name` is a mapping"),
    ] {
        let log = play(&key);
        assert!(log.starts_with("failure ") && log.contains(wrong), "{key}: {log}");
    }
    let mut sound = Play::start(&format!(
        "  a: {{runs-on: x, {}, steps: [{{run: 'true'}}]}}",
        json("environment", "{name: ''e'', url: ''${{ it }}''}"),
    ));
    let (_, ready) = sound.queued.pop_front().unwrap();
    let environment = ready.environment.unwrap();
    assert_eq!(
        (environment.name.as_str(), environment.url.unwrap().text().unwrap().as_str()),
        ("e", "${{ it }}")
    );
}

#[test]
fn an_expression_in_a_list_gives_the_items_of_its_list() {
    let mut play = Play::start(
        "  a:
    runs-on: [self-hosted, \"${{ fromJSON('[1, 2]') }}\"]
    strategy: {matrix: {v: [\"${{ fromJSON('[1, 2]') }}\", '${{ github.event_name }}'], include: [\"${{ fromJSON('[{v: 3}]') }}\"]}}
    steps: [{run: 'true'}]
  b: {runs-on: x, strategy: {matrix: {v: [\"${{ fromJSON('[]') }}\"]}}, steps: [{run: 'true'}]}",
    );
    play.log.sort();
    insta::assert_snapshot!(play.log(), @"
    failure b: `matrix.v` is an empty list: at least one value is needed
    queue a (1)
    queue a (2)
    queue a (3)
    queue a (push)
    ");
    let (_, ready) = play.queued.pop_front().unwrap();
    assert_eq!(ready.runs_on.labels, ["self-hosted", "1", "2"]);
}
