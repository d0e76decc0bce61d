//! Checks an expression before the run: its syntax, and the contexts and functions that a key allows.

use github_actions_expressions::call::{self, Call, Function};
use github_actions_expressions::op::BinExpr;
use github_actions_expressions::{Error, Expr, SpannedExpr};

use super::named_status;

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
    let parsed = Expr::parse(expression).map_err(|error| {
        let hint = hint(expression);
        format!("the expression `{expression}` cannot be read: {}{hint}", syntax(&error))
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

/// Returns a function's name as GitHub documents it.
pub(super) fn function_name(function: Function) -> &'static str {
    match function {
        Function::Contains => "contains",
        Function::StartsWith => "startsWith",
        Function::EndsWith => "endsWith",
        Function::Format => "format",
        Function::Join => "join",
        Function::ToJSON => "toJSON",
        Function::FromJSON => "fromJSON",
        Function::HashFiles => "hashFiles",
        Function::Case => "case",
        Function::Success => "success",
        Function::Always => "always",
        Function::Cancelled => "cancelled",
        Function::Failure => "failure",
    }
}

/// Says why an expression cannot be read.
pub(super) fn syntax(error: &Error) -> String {
    match error {
        Error::Syntax(error) => format!("{} at character {}", error.message, error.offset + 1),
        Error::Depth => "it is nested too deeply".to_owned(),
        Error::Call(call::Error::UnknownFunction(name)) => {
            format!(
                "`{name}` is not a function: `contains`, `startsWith`, `format` or `fromJSON`, for example, is expected"
            )
        }
        Error::Call(call::Error::Arity(function, expected)) => {
            format!("`{}` takes {expected}", function_name(*function))
        }
    }
}

/// Whether an expression calls a status function.
pub(crate) fn has_status_function(expression: &str) -> bool {
    let mut found = false;
    if let Ok(parsed) = Expr::parse(expression) {
        visit(&parsed, &mut |node| {
            found |= matches!(&node.inner, Expr::Call(Call { func, .. }) if is_status(*func));
        });
    }
    found
}

/// Returns the names of the contexts that an expression uses, in lower case, and of the functions that need a runner.
#[must_use]
pub fn used(expression: &str) -> Vec<String> {
    let mut names = Vec::new();
    if let Ok(parsed) = Expr::parse(expression) {
        visit(&parsed, &mut |node| match &node.inner {
            Expr::Call(Call { func: Function::HashFiles, .. }) => names.push("hashFiles()".to_owned()),
            Expr::Call(Call { func, .. }) if is_status(*func) => names.push("a status function".to_owned()),
            Expr::Context(context) => {
                names.extend(context.parts.first().and_then(name).map(str::to_lowercase))
            }
            _ => {}
        });
    }
    names.sort();
    names.dedup();
    names
}

const fn is_status(function: Function) -> bool {
    matches!(function, Function::Success | Function::Failure | Function::Cancelled | Function::Always)
}

fn name<'a>(part: &'a SpannedExpr<'_>) -> Option<&'a str> {
    match &part.inner {
        Expr::Identifier(name) => Some(name.as_str()),
        _ => None,
    }
}

fn fault(node: &SpannedExpr<'_>, expression: &str, allowed: &Allowed) -> Option<String> {
    match &node.inner {
        Expr::Call(Call { func, .. }) if is_status(*func) && !allowed.status => Some(format!(
            "the expression `{expression}` calls `{}`: status functions are only allowed in `if`",
            node.origin.raw
        )),
        Expr::Call(Call { func: Function::HashFiles, .. }) if !allowed.hash_files => Some(format!(
            "the expression `{expression}` calls `hashFiles`, which this key does not allow: it needs the files of a runner"
        )),
        Expr::Call(Call { func: Function::Format, args }) if args.is_empty() => {
            Some(format!("the expression `{expression}` cannot be read: `format` takes at least 1 argument"))
        }
        Expr::Context(context) => {
            let head = context.parts.first().and_then(name)?;
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

/// Calls `see` for a node and all nodes below it. Names behind a dot are not nodes.
fn visit(node: &SpannedExpr<'_>, see: &mut impl FnMut(&SpannedExpr<'_>)) {
    see(node);
    match &node.inner {
        Expr::Call(Call { args, .. }) => args.iter().for_each(|argument| visit(argument, see)),
        Expr::Index(index) => visit(index, see),
        Expr::Context(context) => {
            context.parts.iter().filter(|part| name(part).is_none()).for_each(|part| visit(part, see));
        }
        Expr::BinExpr(BinExpr { lhs, rhs, .. }) => {
            visit(lhs, see);
            visit(rhs, see);
        }
        Expr::UnExpr { expr, .. } => visit(expr, see),
        Expr::Literal(_) | Expr::Star | Expr::Identifier(_) => {}
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
        the expression `"x"` cannot be read: unexpected symbol at character 1; texts have single quotes
        "#
        );
    }

    #[test]
    fn names_behind_a_dot_and_in_quotes_are_no_contexts() {
        check("GitHub.event.secrets.env && 'secrets.x'", &STEP).unwrap();
        check("matrix['secrets'].*.steps", &STEP).unwrap();
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
