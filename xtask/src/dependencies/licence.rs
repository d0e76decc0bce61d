//! The parts of SPDX expressions that packages use: `OR`, `AND`, `WITH`, parentheses, and the old `/`.

/// Returns whether allowed licences satisfy an expression. An expression that cannot be parsed fails.
pub(super) fn allows(allowed: &[String], expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    any(allowed, &mut words) == Some(true) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(allowed: &[String], words: &mut Words<'_>) -> Option<bool> {
    let mut satisfied = all(allowed, words)?;
    while words.next_if_eq(&"OR").is_some() {
        satisfied |= all(allowed, words)?;
    }
    Some(satisfied)
}

fn all(allowed: &[String], words: &mut Words<'_>) -> Option<bool> {
    let mut satisfied = one(allowed, words)?;
    while words.next_if_eq(&"AND").is_some() {
        satisfied &= one(allowed, words)?;
    }
    Some(satisfied)
}

fn one(allowed: &[String], words: &mut Words<'_>) -> Option<bool> {
    if words.next_if_eq(&"(").is_some() {
        let satisfied = any(allowed, words)?;
        return words.next_if_eq(&")").map(|_| satisfied);
    }
    let mut licence = words.next()?.to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{licence} WITH {}", words.next()?);
    }
    Some(allowed.contains(&licence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_allowed_if_what_is_allowed_satisfies_it() {
        let allowed = ["MIT", "ISC"].map(str::to_owned);
        for expression in ["MIT", "GPL-3.0 OR MIT", "Apache-2.0/MIT", "MIT AND (X OR ISC)", "X AND Y OR MIT"]
        {
            assert!(allows(&allowed, expression), "{expression}");
        }
        for expression in
            ["", "X", "MIT AND X", "MIT WITH exception", "(MIT", "MIT ISC", "MIT OR (", "MIT AND"]
        {
            assert!(!allows(&allowed, expression), "{expression}");
        }
    }
}
