//! Tests that no module of this crate depends on itself, directly or through
//! others, and that no room (top-level module) depends on a later one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "these tests read the crate's sources")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The rooms in order: each may depend on those before it.
const ROOMS: [&str; 4] = ["rules", "wire", "records", "decide"];

/// The modules that each module names. A module directly below a room includes its submodules.
type Graph = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_module_depends_on_itself() {
    assert_eq!(cycle(&graph(&sources())), None);
}

#[test]
fn no_room_depends_on_a_later_one() {
    assert_eq!(backward(&graph(&sources())), Vec::<String>::new());
}

#[test]
fn a_planted_cycle_is_found() {
    let mut sources = sources();
    sources.get_mut("rules::placement").unwrap().push_str("\nuse crate::rules::class::Class;\n");
    sources.get_mut("rules::class").unwrap().push_str("\nfn f(_: crate::rules::placement::Placement) {}\n");
    let found = cycle(&graph(&sources)).expect("a cycle");
    assert!(found.iter().any(|module| module == "rules::placement"), "{found:?}");
    assert!(found.iter().any(|module| module == "rules::class"), "{found:?}");
}

#[test]
fn a_planted_way_back_is_found() {
    let mut sources = sources();
    sources.get_mut("records::hold").unwrap().push_str("\nuse crate::decide::plan::{Plan, plan};\n");
    assert_eq!(backward(&graph(&sources)), ["records::hold names decide::plan"]);
}

/// Returns the code of each module without comments and tests.
fn sources() -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut Vec::new(), &mut sources);
    assert!(sources.len() > ROOMS.len(), "this crate has modules");
    sources
}

fn read(dir: &Path, path: &mut Vec<String>, sources: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        if ["lib", "tests", "testing"].contains(&name.as_str()) {
            continue;
        }
        path.push(name);
        if file.is_dir() {
            read(&file, path, sources);
        } else {
            let module = path[..path.len().min(2)].join("::");
            sources.entry(module).or_default().push_str(&code(&fs::read_to_string(&file).unwrap()));
        }
        path.pop();
    }
}

fn code(text: &str) -> String {
    let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
    shipped.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn graph(sources: &BTreeMap<String, String>) -> Graph {
    let names = |module: &String, code: &String| -> BTreeSet<String> {
        let mut named: BTreeSet<String> =
            code.split("crate::").skip(1).map(|path| known(sources, path)).collect();
        // A room's own file may name the modules in it without `crate`.
        for line in code.lines().filter_map(|line| line.strip_prefix("use ")) {
            let below = format!("{module}::{}", line.split("::").next().unwrap_or_default());
            named.extend(sources.contains_key(&below).then_some(below));
        }
        named.remove(module);
        named
    };
    sources.iter().map(|(module, code)| (module.clone(), names(module, code))).collect()
}

/// Returns the module of a path after `crate::`.
fn known(sources: &BTreeMap<String, String>, path: &str) -> String {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let mut segments = path.split("::").map(|segment| segment.split(word).next().unwrap_or_default());
    let (first, second) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let both = format!("{first}::{second}");
    let module = if sources.contains_key(&both) { both } else { first.to_owned() };
    let grouped =
        ROOMS.contains(&first) && path.strip_prefix(first).is_some_and(|rest| rest.starts_with("::{"));
    assert!(
        !grouped && sources.contains_key(&module),
        "one path for each module is expected: crate::{path:.60}"
    );
    module
}

/// Removes modules that depend on none of the remaining ones, repeatedly. What is left is in a cycle or depends on one.
fn cycle(graph: &Graph) -> Option<Vec<String>> {
    let mut left = graph.clone();
    loop {
        let free: Vec<String> =
            left.iter().filter(|(_, named)| named.is_empty()).map(|(module, _)| module.clone()).collect();
        if free.is_empty() {
            break;
        }
        for module in free {
            left.remove(&module);
            left.values_mut().for_each(|named| {
                named.remove(&module);
            });
        }
    }
    (!left.is_empty()).then(|| left.into_keys().collect())
}

fn backward(graph: &Graph) -> Vec<String> {
    // Modules outside the rooms, such as ids and reasons, come before all rooms.
    let level = |module: &str| {
        let room = module.split("::").next().unwrap_or_default();
        ROOMS.iter().position(|name| *name == room).map_or(0, |index| index + 1)
    };
    let mut found = Vec::new();
    for (module, named) in graph {
        let later = named.iter().filter(|named| level(named) > level(module));
        found.extend(later.map(|named| format!("{module} names {named}")));
    }
    found
}
