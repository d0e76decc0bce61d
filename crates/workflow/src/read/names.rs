//! The ids of jobs and steps: checked, or made as GitHub makes them.

use std::collections::BTreeSet;

/// GitHub's limit of an id.
const MAX_LENGTH: usize = 100;

/// Builds ids that are unique within one scope.
#[derive(Default)]
pub(crate) struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    /// Takes an id that the file gives. Returns what is wrong with it.
    pub(crate) fn take(&mut self, id: &str) -> Result<(), String> {
        let begins_well = id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins_well || !id.chars().all(is_allowed) || id.len() >= MAX_LENGTH {
            return Err(format!(
                "`{id}` is not an id: a letter or `_`, then letters, digits, `-` and `_`, \
                 less than {MAX_LENGTH} characters in all, are expected"
            ));
        }
        if id.starts_with("__") {
            return Err(format!("the id `{id}` begins with `__`, which GitHub keeps for itself"));
        }
        if !self.taken.insert(id.to_lowercase()) {
            return Err(format!("the id `{id}` is there twice: ids are unique, without regard to case"));
        }
        Ok(())
    }

    /// Makes an id of parts. `reserved` allows ids that begin with `__`.
    pub(crate) fn make(&mut self, parts: &[String], reserved: bool, max_length: usize) -> String {
        let mut made = String::new();
        for part in parts.iter().filter(|part| !part.is_empty()) {
            if !made.is_empty() {
                made.push('_');
            } else if part.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
                // Allowed, but not as the first character.
                made.push('_');
            }
            made.extend(part.chars().map(|c| if is_allowed(c) { c } else { '_' }));
        }
        if made.is_empty() {
            made.push_str("job");
        }
        if !reserved && made.starts_with("__") {
            made = format!("_{}", made.trim_start_matches('_'));
        }
        let mut number = 1_usize;
        loop {
            let suffix = match number {
                1 => String::new(),
                _ if !reserved && made == "_" => number.to_string(),
                _ => format!("_{number}"),
            };
            let kept: String = made.chars().take(max_length - suffix.len()).collect();
            let candidate = format!("{kept}{suffix}");
            if self.taken.insert(candidate.to_lowercase()) {
                return candidate;
            }
            number += 1;
        }
    }
}

const fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_ids_are_legal_and_unique() {
        let mut names = Names::default();
        let mut make = |parts: &[&str], reserved| {
            let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            names.make(&parts, reserved, 100)
        };
        assert_eq!(make(&["__run"], true), "__run");
        assert_eq!(make(&["__run"], true), "__run_2");
        assert_eq!(make(&["__actions/checkout"], true), "__actions_checkout");
        assert_eq!(make(&["1", "", "a b"], false), "_1_a_b");
        assert_eq!(make(&["ä"], false), "_");
        assert_eq!(make(&["ö"], false), "_2");
        assert_eq!(make(&[], false), "job");
        assert_eq!(make(&["__x"], false), "_x");
    }

    #[test]
    fn a_wrong_id_is_told() {
        let mut names = Names::default();
        names.take("a-b_1").unwrap();
        for (id, part) in [
            ("A-B_1", "is there twice"),
            ("1a", "is not an id"),
            ("a.b", "is not an id"),
            ("", "is not an id"),
            ("__a", "keeps for itself"),
            (&"a".repeat(100), "less than 100"),
        ] {
            assert!(names.take(id).unwrap_err().contains(part), "{id}");
        }
    }
}
