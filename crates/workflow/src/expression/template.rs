//! Finds expressions in texts, and joins them to one expression.

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
fn until_end(text: &str) -> Option<(&str, &str)> {
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

/// Joins the parts of a text to one expression: itself, or a call of `format`.
pub(crate) fn joined(parts: &[Part<'_>]) -> String {
    if let [Part::Expression(expression)] = parts {
        return (*expression).to_owned();
    }
    let (mut format, mut arguments, mut count) = (String::new(), String::new(), 0_usize);
    for part in parts {
        match part {
            Part::Text(text) => {
                format.push_str(&text.replace('{', "{{").replace('}', "}}").replace('\'', "''"));
            }
            Part::Expression(expression) => {
                format.push_str(&format!("{{{count}}}"));
                arguments.push_str(", ");
                arguments.push_str(expression);
                count += 1;
            }
        }
    }
    format!("format('{format}'{arguments})")
}

/// Returns the text of an expression that is only a quoted string.
pub(crate) fn quoted(expression: &str) -> Option<String> {
    let inside = expression.strip_prefix('\'')?.strip_suffix('\'')?;
    let unescaped = inside.replace("''", "\u{0}");
    (!unescaped.contains('\'')).then(|| unescaped.replace('\u{0}', "'"))
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
    fn a_text_around_expressions_becomes_a_call_of_format() {
        let joined = |text| joined(&parts(text).unwrap());
        assert_eq!(joined("${{ github.ref }}"), "github.ref");
        assert_eq!(joined("it's {a} ${{ x }} and ${{ y }}"), "format('it''s {{a}} {0} and {1}', x, y)");
        assert_eq!(quoted("'it''s'"), Some("it's".to_owned()));
        assert_eq!((quoted("'a' == 'b'"), quoted("x")), (None, None));
    }
}
