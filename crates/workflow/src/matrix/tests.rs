use super::*;

fn expand(text: &str) -> Result<Strategy, String> {
    let node = crate::yaml::read(text).unwrap();
    let mut faults = crate::problem::Faults::new("x");
    let token = crate::schema::check(&node, &crate::schema::ANY, &mut faults);
    Strategy::expand(&token.value(&crate::expression::Contexts::default()).unwrap())
}

fn shown(text: &str) -> Vec<String> {
    let strategy = expand(text).unwrap();
    let all = strategy.combinations.iter().map(|one| {
        format!("{} | {} | {}", one.id, one.shown.join(", "), serde_json::to_string(&one.matrix).unwrap())
    });
    all.collect()
}

#[test]
fn include_adds_to_what_it_fits_and_makes_new_jobs_of_the_rest() {
    insta::assert_snapshot!(
        shown(
            "matrix:
  kind: [a, b, c]
  num: [1, 2]
  exclude: [{kind: a, num: 2}, {kind: c, num: '2'}]
  include: [{kind: a, extra: slow}, {kind: b, num: 2, extra: debug}, {kind: z, num: 9}, {all: true}]",
        )
        .join("\n"),
        @r#"
    a_1 | a, 1 | {"kind":"a","num":1,"extra":"slow","all":true}
    b_1 | b, 1 | {"kind":"b","num":1,"all":true}
    b_2 | b, 2 | {"kind":"b","num":2,"extra":"debug","all":true}
    c_1 | c, 1 | {"kind":"c","num":1,"all":true}
    z_9 | z, 9 | {"kind":"z","num":9}
    "#
    );
}

#[test]
fn objects_are_compared_by_their_leaves_and_shown_by_them() {
    insta::assert_snapshot!(
        shown(
            "matrix:
  target: [{arch: amd64, flags: [-O2]}, {arch: arm64, flags: [-O3]}]
  include: [{target: {arch: ARM64}, slow: true}, {target: {arch: riscv}}]
  exclude: [{target: {flags: [-O2]}}]",
        )
        .join("\n"),
        @r#"
    arm64_-O3 | arm64, -O3 | {"target":{"arch":"arm64","flags":["-O3"]},"slow":true}
    riscv | riscv | {"target":{"arch":"riscv"}}
    "#
    );
}

#[test]
fn only_include_makes_one_job_of_each_row_and_empty_values_are_not_shown() {
    insta::assert_snapshot!(
        shown("matrix: {include: [{a: '', b: null}, {a: '', b: true}, {a: 1.20}]}").join("\n"),
        @r#"
    job |  | {"a":"","b":null}
    true | true | {"a":"","b":true}
    _1_2 | 1.2 | {"a":1.2}
    "#
    );
}

#[test]
fn the_context_of_the_strategy_has_its_defaults() {
    let json = |text: &str, index| serde_json::to_string(&expand(text).unwrap().context(index)).unwrap();
    assert_eq!(json("{}", 0), r#"{"fail-fast":true,"job-index":0,"job-total":1,"max-parallel":1}"#);
    assert_eq!(
        json("{fail-fast: false, max-parallel: 2, matrix: {a: [1, 2, 3]}}", 1),
        r#"{"fail-fast":false,"job-index":1,"job-total":3,"max-parallel":2}"#
    );
    assert_eq!(
        json("{max-parallel: 0, matrix: {a: [1, 2]}}", 0),
        r#"{"fail-fast":true,"job-index":0,"job-total":2,"max-parallel":2}"#
    );
    assert_eq!(
        json("{max-parallel: 8.9, matrix: {a: [1, 2]}}", 0),
        r#"{"fail-fast":true,"job-index":0,"job-total":2,"max-parallel":8}"#
    );
    assert_eq!(
        json("{max-parallel: 8}", 0),
        r#"{"fail-fast":true,"job-index":0,"job-total":1,"max-parallel":1}"#
    );
    assert_eq!(expand("{max-parallel: 1.5, matrix: {a: [1, 2]}}").unwrap().max_parallel, 1);
}

#[test]
fn a_matrix_without_a_combination_makes_one_job_without_values() {
    assert_eq!(shown("matrix: {a: [1], exclude: [{a: 1}]}"), ["__default |  | null"]);
}

#[test]
fn what_makes_no_jobs_is_refused() {
    for (text, part) in [
        ("matrix: {}", "the matrix is empty"),
        ("matrix: {include: []}", "the matrix is empty"),
        ("matrix: {a: []}", "`matrix.a` is an empty list"),
        ("matrix: {a: x}", "`matrix.a` is a text: a list is expected"),
        ("matrix: x", "`matrix` is a text: a mapping is expected"),
        ("matrix: {a: [1], exclude: [{b: 1}]}", "`exclude` names `b`"),
        ("matrix: {a: [1], include: [1]}", "a row of `include` is a number"),
        (
            "{matrix: {a: [1]}, foo: 1}",
            "`foo` is not a key of `strategy`: `fail-fast`, `max-parallel` or `matrix` is expected",
        ),
        ("[]", "`strategy` is a list: a mapping is expected"),
        ("{fail-fast: 'no'}", "`fail-fast` is a text: true or false is expected"),
        ("{max-parallel: '2'}", "`max-parallel` is a text: a number is expected"),
    ] {
        let wrong = expand(text).unwrap_err();
        assert!(wrong.contains(part), "{text}: {wrong}");
    }
    let sixteen = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]";
    assert_eq!(expand(&format!("matrix: {{a: {sixteen}, b: {sixteen}}}")).unwrap().combinations.len(), 256);
    let wrong = expand(&format!("matrix: {{a: {sixteen}, b: {sixteen}, include: [{{a: 0}}]}}")).unwrap_err();
    assert_eq!(wrong, "the matrix makes more than 256 jobs");
}
