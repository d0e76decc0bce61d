//! Checks an expression before the run: its syntax, and the contexts and functions that a key allows.

use super::named_status;
use super::tree::{Function, Node, parse};
use super::value::Value;

/// Which contexts and functions the expressions of a key may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    pub(crate) contexts: &'static [&'static str],
    /// `success()`, `failure()`, `cancelled()` and `always()`.
    pub(crate) status: bool,
    pub(crate) hash_files: bool,
    /// `success('a')` and `failure('a')`, about certain jobs.
    pub(crate) named_status: bool,
}

/// Every context that some key may use.
const CONTEXTS: [&str; 12] = [
    "github", "inputs", "vars", "needs", "strategy", "matrix", "secrets", "steps", "job", "runner", "env",
    "jobs",
];

/// Returns what is wrong with an expression.
pub(crate) fn check(expression: &str, allowed: &Allowed) -> Result<(), String> {
    if expression.is_empty() {
        return Err("an expression is empty: `${{ github.ref }}`, for example, is expected".to_owned());
    }
    let replaced = allowed.named_status.then(|| named_status::replaced(expression)).flatten();
    let expression = replaced.as_deref().unwrap_or(expression);
    let parsed = parse(expression).map_err(|error| {
        let hint = hint(expression);
        format!("the expression `{}` cannot be read: {error}{hint}", cut(expression))
    })?;
    let mut wrong = None;
    visit(&parsed, &mut |node| {
        if wrong.is_none() {
            wrong = fault(node, expression, allowed);
        }
    });
    wrong.map_or(Ok(()), Err)
}

/// Says what is right where a common mistake is made.
fn hint(expression: &str) -> &'static str {
    let outside: String = expression.split('\'').step_by(2).collect();
    if outside.contains('"') {
        return "; texts have single quotes";
    }
    let is_blank = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || c.is_ascii_digit());
    let is_sum = outside.char_indices().any(|(at, c)| {
        matches!(c, '+' | '-' | '*' | '/' | '%')
            && is_blank(outside[..at].chars().next_back())
            && is_blank(outside[at + 1..].chars().next())
            && !outside[..at].trim().is_empty()
    });
    if is_sum { "; expressions do not calculate" } else { "" }
}

/// Returns an expression for a message.
pub(super) fn cut(expression: &str) -> String {
    const MAX_SHOWN: usize = 200;
    match expression.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", &expression[..at]),
        None => expression.to_owned(),
    }
}

/// Whether an expression calls a status function.
pub(crate) fn has_status_function(expression: &str) -> bool {
    let mut found = false;
    if let Ok(parsed) = parse(expression) {
        visit(&parsed, &mut |node| {
            found |= matches!(node, Node::Call(function, _) if function.is_status());
        });
    }
    found
}

/// Returns the names of the contexts that an expression uses, in lower case, and of the functions that need a runner.
#[must_use]
pub fn used(expression: &str) -> Vec<String> {
    let mut names = Vec::new();
    if let Ok(parsed) = parse(expression) {
        visit(&parsed, &mut |node| match node {
            Node::Call(Function::HashFiles, _) => names.push("hashFiles()".to_owned()),
            Node::Call(function, _) if function.is_status() => names.push("a status function".to_owned()),
            Node::Name(name) => names.push(name.to_lowercase()),
            _ => {}
        });
    }
    names.sort();
    names.dedup();
    names
}

/// Returns the members of a context that an expression uses, in lower case. `None` stands for a use of all of it, and of a
/// member whose name is computed.
#[must_use]
pub fn members_of(expression: &str, context: &str) -> Vec<Option<String>> {
    let mut members = Vec::new();
    if let Ok(parsed) = parse(expression) {
        let is_context = |node: &Node| matches!(node, Node::Name(name) if name.eq_ignore_ascii_case(context));
        // Each use is a name. Those with a member are seen twice, first as a part of their index.
        let mut seen = 0_usize;
        visit(&parsed, &mut |node| match node {
            Node::Index(of, member) if is_context(of) => {
                seen += 1;
                members.push(match member.as_ref() {
                    Node::Literal(value @ Value::Text(_)) => Some(value.text().to_lowercase()),
                    _ => None,
                });
            }
            node if is_context(node) && seen > 0 => seen -= 1,
            node if is_context(node) => members.push(None),
            _ => {}
        });
    }
    members
}

fn fault(node: &Node, expression: &str, allowed: &Allowed) -> Option<String> {
    let expression = cut(expression);
    match node {
        Node::Call(function, _) if function.is_status() && !allowed.status => Some(format!(
            "the expression `{expression}` calls `{}()`: status functions are only allowed in `if`",
            function.name()
        )),
        Node::Call(Function::HashFiles, _) if !allowed.hash_files => Some(format!(
            "the expression `{expression}` calls `hashFiles`, which this key does not allow: it needs the files of a runner"
        )),
        Node::Name(head) => {
            let is = |known: &&str| known.eq_ignore_ascii_case(head);
            if allowed.contexts.iter().any(is) {
                return None;
            }
            let what = if CONTEXTS.iter().any(is) {
                format!("the context `{head}`, which this key does not allow")
            } else {
                format!("`{head}`, which is not a context")
            };
            Some(format!("the expression `{expression}` uses {what}: {} expected", expected(allowed)))
        }
        _ => None,
    }
}

fn expected(allowed: &Allowed) -> String {
    match allowed.contexts {
        [one] => format!("`{one}` is"),
        [others @ .., last] => format!("{} or {last} is", others.join(", ")),
        [] => "no context is".to_owned(),
    }
}

/// Calls `see` for a node and then for all nodes below it.
fn visit(node: &Node, see: &mut impl FnMut(&Node)) {
    see(node);
    match node {
        Node::Call(_, nodes) | Node::And(nodes) | Node::Or(nodes) => {
            nodes.iter().for_each(|node| visit(node, see));
        }
        Node::Index(first, second) | Node::Compare(_, first, second) => {
            visit(first, see);
            visit(second, see);
        }
        Node::Not(node) => visit(node, see),
        Node::Literal(_) | Node::Name(_) | Node::Star => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Allowed =
        Allowed { contexts: &["github", "matrix"], status: false, hash_files: false, named_status: false };

    #[test]
    fn a_wrong_expression_is_told_with_what_is_right() {
        let wrong = |expression| check(expression, &STEP).unwrap_err();
        insta::assert_snapshot!(
            [
                wrong(""),
                wrong("secrets.TOKEN"),
                wrong("github.ref == 'x' && contains(matrix.list, step.x)"),
                wrong("github['x'][needs.a.outputs.b]"),
                wrong("success()"),
                wrong("hashFiles('a')"),
                wrong("github.ref = 'x'"),
                wrong("nothing('x')"),
                wrong("\"x\""),
            ]
            .join("\n"),
            @r#"
        an expression is empty: `${{ github.ref }}`, for example, is expected
        the expression `secrets.TOKEN` uses the context `secrets`, which this key does not allow: github or matrix is expected
        the expression `github.ref == 'x' && contains(matrix.list, step.x)` uses `step`, which is not a context: github or matrix is expected
        the expression `github['x'][needs.a.outputs.b]` uses the context `needs`, which this key does not allow: github or matrix is expected
        the expression `success()` calls `success()`: status functions are only allowed in `if`
        the expression `hashFiles('a')` calls `hashFiles`, which this key does not allow: it needs the files of a runner
        the expression `github.ref = 'x'` cannot be read: expected `==` at character 12
        the expression `nothing('x')` cannot be read: `nothing` is not a function: `contains`, `startsWith`, `format` or `fromJSON`, for example, is expected
        the expression `"x"` cannot be read: unexpected symbol `"x"` at character 1; texts have single quotes
        "#
        );
    }

    #[test]
    fn names_behind_a_dot_and_in_quotes_are_no_contexts() {
        check("GitHub.event.secrets.env && 'secrets.x'", &STEP).unwrap();
        check("matrix['secrets'].*.steps", &STEP).unwrap();
    }

    #[test]
    fn the_members_of_a_context_are_those_that_are_named() {
        for (expression, members) in [
            ("GitHub.Ref && github['event'].x[github.sha]", vec![Some("ref"), Some("event"), Some("sha")]),
            ("matrix.github", vec![]),
            ("toJSON(github)", vec![None]),
            ("github[matrix.a]", vec![None]),
            ("github.* || github.a", vec![None, Some("a")]),
            ("github[github.a] && github", vec![None, Some("a"), None]),
        ] {
            let members: Vec<Option<String>> =
                members.into_iter().map(|name| name.map(str::to_owned)).collect();
            assert_eq!(members_of(expression, "github"), members, "{expression}");
        }
    }

    #[test]
    fn a_status_function_is_found_wherever_it_is_called() {
        for (expression, has) in [
            ("always()", true),
            ("!cancelled()", true),
            ("Failure () && a.b", true),
            ("contains('always()', github.ref)", false),
            ("github.success", false),
        ] {
            assert_eq!(has_status_function(expression), has, "{expression}");
        }
        assert_eq!(
            used("matrix.a && github[steps.b.c] || hashFiles('x')"),
            ["github", "hashFiles()", "matrix", "steps"]
        );
    }
}
