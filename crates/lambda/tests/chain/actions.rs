//! Which AWS operations the control plane calls. Terraform's policies are
//! checked against `actions.txt`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::chain::Chain;

const WRITTEN_DOWN: &str = include_str!("actions.txt");
const FILE: &str = "crates/lambda/tests/chain/actions.txt";

pub(crate) async fn the_actions_called_are_those_that_are_written_down(chain: &Chain) {
    let called: BTreeSet<String> =
        chain.logs().await.said("AWS calls").iter().flat_map(|line| calls(line).into_keys()).collect();
    let recorded = chain.setting.dir.join("actions.json");
    std::fs::write(&recorded, format!("{:#}\n", json!(called))).unwrap();
    let written: BTreeSet<String> = WRITTEN_DOWN
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> = called.difference(&written).collect();
    let uncalled: Vec<_> = written.difference(&called).collect();
    assert!(
        missing.is_empty() && uncalled.is_empty(),
        "{FILE} is not what was called: add {missing:?}, remove {uncalled:?} (or have a part of the chain call it), \
         and give Terraform's policies the same; all that was called is in {}",
        recorded.display()
    );
}

/// The field is a JSON object, as text because the logger has no objects.
fn calls(line: &Value) -> BTreeMap<String, u64> {
    match &line["calls"] {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        other => serde_json::from_value(other.clone()).unwrap(),
    }
}
