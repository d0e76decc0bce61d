//! Classes by name.

use std::collections::BTreeMap;

use ecsrunner_core::id::ClassName;
use ecsrunner_core::rules::class::{Catalogue, ClassEntry, ClassError, GpuError};
use toml::{Table, Value};

use crate::table::{Read, join, read};

/// Reads classes by name, and adds every mistake in them. `path` is their table's key; it is empty for a file that has
/// nothing else.
///
/// The catalogue has the valid classes only.
pub fn classes(path: &str, table: Table, mistakes: &mut Vec<String>) -> Catalogue {
    // A size that any class may have.
    let least = Table::from_iter([("cpu".to_owned(), 1024.into()), ("memory".to_owned(), 2048.into())]);
    let defaults = defaults(&table);
    let mut entries = BTreeMap::new();
    let mut errors = Vec::new();
    for (name, value) in table {
        let Value::Table(entry) = value else {
            let what = value.type_str();
            mistakes.push(format!("{}: invalid type: {what}, a table is expected", join(path, &name)));
            continue;
        };
        let read = read::<ClassEntry>(&join(path, &name), entry, &least, mistakes);
        if read.mistaken.is_empty() {
            entries.extend(read.value.map(|entry| (name, entry)));
        } else {
            errors.extend(others(&name, &read));
        }
    }
    let (catalogue, found) = Catalogue::read(&entries);
    errors.extend(found);
    let is_told = errors.iter().any(|error| matches!(error, ClassError::TwoDefaults { .. }));
    errors.extend(defaults.filter(|_| !is_told));
    mistakes.extend(errors.iter().map(|error| located(path, error)));
    catalogue
}

/// Returns the mistakes in a class that has others already, as far as they do not follow from them.
fn others(name: &str, read: &Read<ClassEntry>) -> Vec<ClassError> {
    let Some(entry) = &read.value else { return Vec::new() };
    let (_, mut errors) = Catalogue::read(&BTreeMap::from([(name.to_owned(), entry.clone())]));
    errors.retain(|error| match error {
        ClassError::Size { .. } => {
            read.is_right(&["cpu", "memory", "compute", "gpu", "arch", "ephemeral_storage_gib"])
        }
        ClassError::Gpu { source: GpuError::Fargate, .. } => read.is_right(&["compute"]),
        ClassError::Service { .. } => read.is_right(&["cpu", "memory"]),
        _ => true,
    });
    errors
}

/// Returns the mistake that two classes are the default, also if there are others in these classes.
fn defaults(table: &Table) -> Option<ClassError> {
    let is_default = |class: &Value| class.get("default").and_then(Value::as_bool) == Some(true);
    let mut names =
        table.iter().filter(|(_, class)| is_default(class)).map(|(name, _)| ClassName::parse(name));
    let (first, second) = (names.next()?.ok()?, names.next()?.ok()?);
    Some(ClassError::TwoDefaults { first, second })
}

/// Returns a mistake with the key of its class, below the key of all classes.
#[must_use]
pub fn located(path: &str, error: &ClassError) -> String {
    let text = error.to_string();
    match text.strip_prefix("class `").and_then(|rest| rest.split_once("`: ")) {
        Some((class, rest)) => format!("{}: {rest}", join(path, class)),
        None if path.is_empty() => text,
        None => format!("{path}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        let mut mistakes = Vec::new();
        classes("classes", text.parse().unwrap(), &mut mistakes);
        mistakes.sort();
        mistakes
    }

    #[test]
    fn a_mistake_hides_no_other_one() {
        let text = "[a]\ncpu = 1024\nmemory = 99\ncpus = 1\ndefault = true\n\
                    [b]\ncpu = 1024\nmemory = 2048\ndefault = true\nmax_runners = 0\nwarm = { count = 'x', hours = 1 }\n\
                    ['C!']\ncpu = 1024\nmemory = 2048\n";
        let found = mistakes(text);
        let shown: Vec<&str> =
            found.iter().map(|mistake| mistake.split(", expected").next().unwrap()).collect();
        assert_eq!(
            shown,
            [
                "classes.a.cpus: unknown field `cpus`",
                "classes.a: memory 99 does not go with cpu 1024: Fargate offers 2048 to 8192 in steps of 1024 MiB",
                "classes.b.warm.count: invalid type: string \"x\"",
                "classes.b.warm.hours: unknown field `hours`",
                "classes.b: max_runners is 0, at least 1 is needed",
                "classes: class `C!` is not valid: 1 to 32 characters of a-z, 0-9 and -, beginning and ending with a letter or digit",
                "classes: classes `a` and `b` are both the default, at most one can be",
            ]
        );
    }

    #[test]
    fn a_class_for_no_repository_is_a_mistake() {
        let class = "[a]\ncpu = 1024\nmemory = 2048\nrepositories = []\n";
        let told =
            "classes.a: repositories is empty, at least one is needed: leave it out for all that are allowed";
        assert_eq!(mistakes(class), [told]);
    }

    #[test]
    fn what_follows_from_a_mistaken_value_is_no_mistake_of_its_own() {
        let found =
            mistakes("[a]\ncpu = '1'\nmemory = 99\n[b]\ncpu = 1000\nmemory = 99\ncompute = 'managed'\n");
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found[0].starts_with("classes.a.cpu: ") && found[1].starts_with("classes.b.compute: "));
        // Other rules hold for a size with GPUs, and other computes have none.
        let found = mistakes(
            "[a]\ncpu = 1024\nmemory = 2048\ncompute = 'managed-instances'\ngpu = { count = 'x' }\n\
             [b]\ncpu = 1024\nmemory = 2048\ncompute = 'managed'\ngpu = { count = 1 }\n",
        );
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found[0].starts_with("classes.a.gpu.count: ") && found[1].starts_with("classes.b.compute: "));
    }

    #[test]
    fn two_defaults_are_told_once() {
        let found = mistakes(
            "[a]\ncpu = 1024\nmemory = 2048\ndefault = true\n[b]\ncpu = 1024\nmemory = 2048\ndefault = true\n",
        );
        assert_eq!(found, ["classes: classes `a` and `b` are both the default, at most one can be"]);
    }

    #[test]
    fn a_class_that_is_no_table_is_a_mistake() {
        assert_eq!(mistakes("a = 3"), ["classes.a: invalid type: integer, a table is expected"]);
    }
}
