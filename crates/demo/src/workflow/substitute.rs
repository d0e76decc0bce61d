//! Replaces `${{ matrix.x }}` in texts. No other expression is supported.

use super::matrix::Combination;
use super::{Location, Reader, expression};

impl Reader<'_> {
    /// Returns a text of a step: unchanged for the official runner, which evaluates its
    /// expressions, and otherwise as by [`Self::substitute`].
    pub(super) fn step_text(
        &mut self,
        location: Location<'_>,
        key: &str,
        text: &str,
        combination: &Combination,
    ) -> String {
        if !self.is_official() {
            return self.substitute(location, key, text, combination);
        }
        if expression::parts(text).is_none() {
            self.problem(location, format!("`{key}` has an expression that does not end"));
        }
        text.to_owned()
    }

    /// Replaces each `${{ matrix.x }}`. Any other expression is a problem.
    pub(super) fn substitute(
        &mut self,
        location: Location<'_>,
        key: &str,
        text: &str,
        combination: &Combination,
    ) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${{") {
            out.push_str(before);
            let Some((expression, behind)) = expression::until_end(after) else {
                self.problem(location, format!("`{key}` has an expression that does not end"));
                return out;
            };
            match expression.trim().strip_prefix("matrix.").filter(|name| is_name(name)) {
                // A value that this combination lacks is empty, as on GitHub.
                Some(name) => out.push_str(&combination.value(name).unwrap_or_default()),
                None => self.problem(
                    location,
                    format!(
                        "`{key}` has the expression `{}`; only `matrix.<name>` is supported",
                        expression.trim()
                    ),
                ),
            }
            rest = behind;
        }
        out.push_str(rest);
        out
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
