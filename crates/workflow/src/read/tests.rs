use crate::read;

fn problems(text: &str) -> String {
    read("ci.yml", text).unwrap_err().to_string()
}

#[test]
fn each_mistake_has_its_place_and_says_what_is_right() {
    let text = "
nam: x
on: {pusch: , pull_request: {types: [opend], branch: [main]}}
env: {A: [1], B: '${{ matrix.x }}'}
jobs:
  build:
    runs-on: ubuntu-latest
    strategy: {matrix: {os: []}}
    timeout-minutes: soon
    permissions: {contents: all}
    env: {TOKEN: '${{ steps.x.outputs.y }}'}
    if: secrets.TOKEN != ''
    steps:
      - {id: a, run: echo}
      - {id: A, uses: actions/checkout}
      - {run: echo, with: {a: 1}, continue-on-error: 'yes'}
      - {name: nothing}
      - run: |
          echo ${{ github.ref
      - text
  1st: {runs-on: x, needs: [nobody], steps: []}
  two: {steps: [{run: echo, if: \"github.ref = 'x'\"}]}
  three: {uses: ./other.yml, needs: [four]}
  four: {runs-on: x, needs: three, steps: [{run: '${{ }}', shell: '${{ matrix.x }}'}]}
  five: {runs-on: x, needs: five, runs-on: y}
";
    insta::assert_snapshot!(problems(text), @"
    ci.yml:2:1: `nam` is not a key of a workflow: `name`, `description`, `run-name`, `on`, `permissions`, `env`, `defaults`, `concurrency` or `jobs` is expected
    ci.yml:3:6: `pusch` is not an event: one such as `push`, `pull_request` or `workflow_dispatch` is expected
    ci.yml:3:46: `branch` is not a key of an event: `types`, `branches`, `branches-ignore`, `tags`, `tags-ignore`, `paths` or `paths-ignore` is expected
    ci.yml:4:10: `A` is a list: a text is expected
    ci.yml:4:18: `B`: the expression `matrix.x` uses the context `matrix`, which this key does not allow: github, inputs, vars or secrets is expected
    ci.yml:8:24: `matrix.os` is an empty list: at least one value is needed
    ci.yml:9:22: `timeout-minutes` is `soon`: a number is expected
    ci.yml:10:29: `contents` is `all`: `read`, `write` or `none` is expected
    ci.yml:11:18: `TOKEN`: the expression `steps.x.outputs.y` uses the context `steps`, which this key does not allow: github, inputs, vars, needs, strategy, matrix or secrets is expected
    ci.yml:12:9: `if`: the expression `secrets.TOKEN != ''` uses the context `secrets`, which this key does not allow: github, inputs, vars or needs is expected
    ci.yml:15:14: the id `A` is there twice: ids are unique, without regard to case
    ci.yml:15:23: `actions/checkout` is not an action: `./FOLDER`, `$/FOLDER`, `OWNER/NAME@REF`, `OWNER/NAME/FOLDER@REF` or `docker://IMAGE` is expected
    ci.yml:16:21: `with` is not a key of a step with `run`: `name`, `id`, `if`, `run`, `shell`, `working-directory`, `env`, `continue-on-error`, `timeout-minutes` or `background` is expected
    ci.yml:16:54: `continue-on-error` is `yes`: true or false is expected
    ci.yml:17:9: an item of `steps` has neither `run` nor `uses`: one of them is needed
    ci.yml:19:11: `run` has an expression that does not end: `}}` is missing
    ci.yml:20:9: an item of `steps` is `text`: a mapping is expected
    ci.yml:21:3: `1st` is not an id: a letter or `_`, then letters, digits, `-` and `_`, less than 100 characters in all, are expected
    ci.yml:21:29: job `1st` needs `nobody`, which is not a job: one of `build`, `1st`, `two`, `three`, `four`, `five` is expected
    ci.yml:22:8: `two` has neither `uses` nor `runs-on`: one of them is needed
    ci.yml:22:33: `if`: the expression `github.ref = 'x'` cannot be read: expected `==` at character 12
    ci.yml:23:17: `./other.yml` is not a workflow: `./.github/workflows/FILE` or `OWNER/NAME/.github/workflows/FILE@REF` is expected
    ci.yml:23:38: job `three` needs `four`, which needs `three` again: a cycle
    ci.yml:24:29: job `four` needs `three`, which needs `four` again: a cycle
    ci.yml:24:50: `run`: an expression is empty: `${{ github.ref }}`, for example, is expected
    ci.yml:24:67: `shell` has an expression, which this key does not allow
    ci.yml:25:29: job `five` needs itself
    ci.yml:25:35: the key `runs-on` is there twice, without regard to case
    ");
}

#[test]
fn what_github_takes_is_taken() {
    let text = "
name: 1.10
run-name: by ${{ github.actor }}
on: [push, workflow_dispatch]
permissions: read-all
env: &env
  A: 1.20
  B: ''
defaults: {run: {shell: bash}}
concurrency: {group: '${{ github.workflow }}', cancel-in-progress: '${{ github.ref != ''x'' }}'}
jobs:
  a:
    runs-on: {group: big, labels: [x]}
    env: *env
    environment: {name: prod, url: '${{ steps.x.outputs.url }}'}
    continue-on-error: ${{ matrix.soft }}
    strategy:
      matrix: {a: [1, {b: '${{ github.ref }}'}], include: '${{ fromJSON(vars.X) }}'}
    outputs: {o: '${{ steps.x.outputs.y }}'}
    container: {image: debian, credentials: {username: a, password: '${{ secrets.P }}'}, env: {A: '${{ env.A }}'}}
    services: {db: {image: postgres, ports: [5432], options: --health-cmd x}}
    steps:
      - {uses: docker://alpine:3, with: {args: x}}
      - {uses: ./act/, id: x}
      - {uses: o/n/sub/dir@v1, timeout-minutes: '${{ fromJSON(vars.T) }}'}
      - {run: echo, if: false}
      - {run: \"a ${{ '}}' }} b\", env: {'${{ insert }}': '${{ fromJSON(vars.X) }}'}}
  b: {needs: A, uses: o/n/.github/workflows/x.yml@main, with: {a: 1, b: true}, secrets: inherit}
";
    let workflow = read("ci.yml", text).unwrap();
    assert_eq!((workflow.name.as_str(), workflow.jobs.len()), ("1.10", 2));
    assert_eq!(workflow.jobs[1].needs, ["a"]);
    assert_eq!(workflow.env.unwrap().get("A").unwrap().text().unwrap(), "1.2");
    let crate::model::Body::Steps(job) = &workflow.jobs[0].body else { panic!() };
    let names: Vec<&str> = job.steps.iter().map(|step| step.context_name.as_str()).collect();
    assert_eq!(names, ["__alpine_3", "x", "__o_n", "__run", "__run_2"]);
    let conditions: Vec<&str> = job.steps.iter().map(|step| step.condition.as_str()).collect();
    assert_eq!(conditions[2..], ["success()", "success() && (false)", "success()"]);
}

#[test]
fn steps_in_the_background_are_waited_for_by_name() {
    let text = "
on: push
jobs:
  a:
    runs-on: x
    steps:
      - {id: server, run: serve, background: true}
      - parallel:
          - {run: one}
          - {id: two, uses: $/act}
      - {cancel: server}
      - {wait-all: }
";
    let workflow = read("ci.yml", text).unwrap();
    let crate::model::Body::Steps(job) = &workflow.jobs[0].body else { panic!() };
    let shown: Vec<String> = job
        .steps
        .iter()
        .map(|step| {
            let waits = match &step.work {
                crate::model::Work::Control { control, steps } => {
                    format!(" {} {}", control.as_str(), steps.join(","))
                }
                _ => String::new(),
            };
            format!("{} {} {:?}{waits}", step.context_name, step.background, step.group)
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    server true None
    __run true Some("parallel_2")
    two true Some("parallel_2")
    __wait false Some("parallel_2") wait __run,two
    __cancel false None cancel server
    __wait-all false None wait-all
    "#);
    let wrong = problems(&text.replace("cancel: server", "wait: [server, nobody]"));
    assert!(wrong.starts_with("ci.yml:11:9: `wait` names `nobody`"), "{wrong}");
}

#[test]
fn keys_that_github_added_lately_are_known() {
    let text = "
description: what it is for
on: {issues: {types: [field_added]}, pull_request: {types: [stacked]}}
permissions: {copilot-requests: write, drives: read}
concurrency: {group: g, queue: max}
jobs:
  a:
    runs-on: {group: organization/big}
    environment: {name: prod, deployment: false}
    concurrency: {group: h, queue: single, cancel-in-progress: true}
    steps:
      - {id: one, run: serve, background: true}
      - {wait: one, name: 'for ${{ github.ref }}', continue-on-error: true}
";
    let workflow = read("ci.yml", text).unwrap();
    assert_eq!(workflow.notes.iter().map(|note| note.text.as_str()).collect::<Vec<_>>(), [""; 0]);
    let crate::model::Body::Steps(job) = &workflow.jobs[0].body else { panic!() };
    assert!(job.steps[1].continue_on_error.is_some());
}

#[test]
fn what_github_refuses_is_refused_once_each() {
    let long = "x".repeat(20_990);
    let text = format!(
        "
on: {{workflow_call: {{inputs: {{a: {{type: boolean, default: 'true', deprecationMessage: x}}}}}}}}
concurrency: {{group: g, queue: max, cancel-in-progress: true}}
jobs:
  a:
    runs-on: {{group: team/big}}
    strategy: {{fail-fast: off, matrix: $languages}}
    snapshot: {{image-name: x, if: github.ref == 'x'}}
    steps:
      - run: {long} ${{{{ github.ref }}}}
      -
      - {{parallel: [{{run: a}}], name: x}}
  b: {{runs-on: {{group: org/}}, concurrency: {{group: g, queue: all}}, steps: [x]}}
"
    );
    insta::assert_snapshot!(problems(&text), @"
    ci.yml:2:59: the default of `a` is `true`: true or false is expected
    ci.yml:2:67: `deprecationMessage` is not a key of an input: `description`, `type`, `required` or `default` is expected
    ci.yml:3:14: `queue: max` and `cancel-in-progress: true` exclude each other: only one of them is allowed
    ci.yml:6:22: `team/big` is not a runner group: `NAME`, `organization/NAME` or `enterprise/NAME` is expected
    ci.yml:7:27: `fail-fast` is `off`: true or false is expected
    ci.yml:7:40: `matrix` is `$languages`: a mapping is expected
    ci.yml:8:15: `snapshot` makes an image of a GitHub-hosted runner, which self-hosted runners cannot
    ci.yml:10:14: `run` has expressions, and with the text around them more than 21000 characters: GitHub takes no more
    ci.yml:11:8: an item of `steps` is empty: a mapping is expected
    ci.yml:12:32: `name` is not a key of a step with `parallel`: `parallel` is expected
    ci.yml:13:24: `org/` is not a runner group: `NAME`, `organization/NAME` or `enterprise/NAME` is expected
    ci.yml:13:62: `queue` is `all`: `single` or `max` is expected
    ci.yml:13:76: an item of `steps` is `x`: a mapping is expected
    ");
}

/// Returns what is refused in a workflow of one job with these keys.
fn refused_job(keys: &str) -> String {
    let text = format!("on: push\njobs:\n  a: {{runs-on: x, steps: [{{run: echo}}], {keys}}}");
    read("ci.yml", &text).map_or_else(|problems| problems.to_string(), |_| "taken".to_owned())
}

#[test]
fn a_mistake_is_told_once_and_with_what_is_right() {
    let refused = |text: &str| read("ci.yml", text).unwrap_err().to_string();
    insta::assert_snapshot!(
        [
            refused_job("strategy: {matrix: {a: 1}}"),
            refused_job("strategy: {matrix: {include: x}}"),
            refused_job("needs: '${{ github.ref }}'"),
            refused_job("env: {<<: {A: 1}}"),
            refused_job("<<: {if: true}"),
            refused_job("name: '${{ format() }}'"),
            refused_job("name: '${{ toJSON() }}'"),
            refused_job("name: '${{ github.run_number + 1 }}'"),
            refused_job("name: '${{ github.ref == \"x\" }}'"),
            refused_job("if: !cancelled()"),
            refused("on:\njobs: {a: {runs-on: x, steps: [{uses: ''}, {run: echo, id: '${{ github.ref }}'}]}}"),
            refused("on: []\njobs: {a: {runs-on: x}}"),
            refused("on: {workflow_call: {secrets: {github_token: }}}\njobs: {a: {runs-on: x}}"),
        ]
        .join("\n"),
        @r#"
    ci.yml:3:64: `a` is `1`: a list is expected
    ci.yml:3:70: `include` is `x`: a list is expected
    ci.yml:3:48: `needs` has an expression, which this key does not allow
    ci.yml:3:47: GitHub knows no merge keys (`<<`): write the keys out, or use an alias for the whole mapping
    ci.yml:3:41: GitHub knows no merge keys (`<<`): write the keys out, or use an alias for the whole mapping
    ci.yml:3:47: `name`: the expression `format()` cannot be read: `format` takes at least 1 argument
    ci.yml:3:47: `name`: the expression `toJSON()` cannot be read: `toJSON` takes 1 argument
    ci.yml:3:47: `name`: the expression `github.run_number + 1` cannot be read: unexpected symbol `+` at character 19; expressions do not calculate
    ci.yml:3:47: `name`: the expression `github.ref == "x"` cannot be read: unexpected symbol `"x"` at character 15; texts have single quotes
    ci.yml:3:57: the tag `!cancelled()` is not known: !!str, !!null, !!bool, !!int or !!float is expected; a text that begins with `!` needs quotes
    ci.yml:1:3: `on` is empty: a text, a list or a mapping is expected
    ci.yml:2:39: `uses` is empty: a text is expected
    ci.yml:2:60: `id` has an expression, which this key does not allow
    ci.yml:1:5: `on` is empty: an event such as `push`, `pull_request` or `workflow_dispatch` is needed
    ci.yml:1:32: the secret `github_token`: each job has this secret already, and a called workflow cannot name it
    "#
    );
}

#[test]
fn a_condition_that_is_always_true_is_noted() {
    let notes = |condition: &str| {
        let text = format!(
            "on: push\njobs:\n  a: {{runs-on: x, if: \"{condition}\", steps: [{{run: echo, if: \"{condition}\"}}]}}"
        );
        let notes = read("ci.yml", &text).unwrap().notes;
        notes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for sound in ["${{ github.ref == 'x' }}", "${{true}}", "github.ref == 'x' && always()", ""] {
        assert_eq!(notes(sound), [""; 0], "{sound}");
    }
    let mixed = notes("${{ github.ref == 'x' }} && false");
    assert_eq!(mixed.len(), 2);
    assert_eq!(
        mixed[0],
        "ci.yml:3:23: `if` is always true: text around an expression makes it a text that is not empty; without `${{` and \
         `}}` all of it is one expression"
    );
    // As a block has it.
    for mixed in ["${{ false }}\\n", " ${{ false }}", "${{ true }}${{ false }} "] {
        let notes = notes(mixed);
        assert!(notes.len() == 2 && notes[0].contains("`if` is always true"), "{mixed}: {notes:?}");
    }
    let notes = notes("${{ true }}${{ false }}");
    assert!(notes.len() == 2 && notes[0].contains("`if` is true unless it is an empty text"), "{notes:?}");
}

#[test]
fn no_mapping_has_a_key_twice_not_even_one_of_free_values() {
    let text = "on: push
jobs:
  a: {runs-on: x, strategy: {matrix: {m: [{a: 1, A: 2}], include: [{b: 1, b: 2}]}}, steps: [{run: x}]}
";
    let wrong = read("ci.yml", text).unwrap_err().to_string();
    assert_eq!(
        wrong,
        "ci.yml:3:50: the key `A` is there twice, without regard to case\n\
         ci.yml:3:75: the key `b` is there twice, without regard to case"
    );
}

#[test]
fn an_expression_is_no_longer_and_no_deeper_than_github_reads_it() {
    let wrong = |condition: &str| {
        let text = format!(
            "on: push\njobs:\n  a: {{runs-on: x, if: \"{condition}\", steps: [{{run: x, if: \"{condition}\"}}]}}\n"
        );
        read("ci.yml", &text).map_or_else(|problems| problems.0.len(), |_| 0)
    };
    let long = |terms: usize| vec!["github.ref=='x'"; terms].join("||");
    assert_eq!((wrong(&long(1_200)), wrong(&long(1_300))), (0, 2));
    assert_eq!(
        (wrong(&format!("${{{{ {} }}}}", long(1_200))), wrong(&format!("${{{{ {} }}}}", long(1_300)))),
        (0, 2)
    );
    let nots = |count: usize| format!("${{{{ {}true }}}}", "!".repeat(count));
    assert_eq!((wrong(&nots(49)), wrong(&nots(50))), (0, 2));
    // The call of `format` is one level more.
    assert_eq!((wrong(&format!("a {}", nots(48))), wrong(&format!("a {}", nots(49)))), (0, 2));
}
