//! Finds expressions in texts. Evaluating them does not belong here.

/// A part of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part<'a> {
    /// Text outside of expressions.
    Text(&'a str),
    /// The text between `${{` and `}}`, trimmed.
    Expression(&'a str),
}

/// Splits a text into its parts. Returns `None` if an expression does not end.
pub(crate) fn parts(text: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        if !before.is_empty() {
            parts.push(Part::Text(before));
        }
        let (expression, behind) = until_end(after)?;
        parts.push(Part::Expression(expression.trim()));
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Some(parts)
}

/// Splits at the `}}` that ends an expression. A `}}` in a quoted string does not end it.
pub(super) fn until_end(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\'' => quoted = !quoted,
            b'}' if !quoted && text[at..].starts_with("}}") => return Some((&text[..at], &text[at + 2..])),
            _ => {}
        }
    }
    None
}

/// Returns the condition of a step as GitHub sends it to a runner. If it has no
/// status function, `success()` is added.
pub(super) fn condition(written: &str) -> String {
    let bare = match parts(written).as_deref() {
        Some([Part::Expression(expression)]) => *expression,
        _ => written.trim(),
    };
    if bare.is_empty() {
        "success()".to_owned()
    } else if has_status_function(bare) {
        bare.to_owned()
    } else {
        format!("success() && ({bare})")
    }
}

fn has_status_function(expression: &str) -> bool {
    // Every second piece is a quoted string.
    expression.split('\'').step_by(2).any(|code| {
        code.match_indices('(').any(|(at, _)| {
            let before = code[..at].trim_end();
            let from = before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
            let name = &before[from..];
            ["success", "failure", "cancelled", "always"].iter().any(|known| name.eq_ignore_ascii_case(known))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_end_ends_no_expression() {
        assert_eq!(
            parts("a ${{ format('{{0}} it''s', x) }} b ${{y}}"),
            Some(vec![
                Part::Text("a "),
                Part::Expression("format('{{0}} it''s', x)"),
                Part::Text(" b "),
                Part::Expression("y"),
            ])
        );
        assert_eq!(parts("a ${{ 'b }}"), None);
    }

    #[test]
    fn a_condition_without_a_status_function_needs_success() {
        for (written, handed) in [
            ("", "success()"),
            ("always()", "always()"),
            ("${{ !cancelled() }}", "!cancelled()"),
            ("github.ref == 'x'", "success() && (github.ref == 'x')"),
            ("contains('always()', github.ref)", "success() && (contains('always()', github.ref))"),
            ("Failure () && a", "Failure () && a"),
        ] {
            assert_eq!(condition(written), handed, "{written}");
        }
    }
}
