//! `success('a')` and `failure('a', 'b')`: status functions about certain jobs, which GitHub takes in the `if` of a job.
//!
//! The parser does not know them. They are replaced by comparisons of the jobs' results before it sees them.

/// Returns a condition with such calls replaced, or `None` if it has none.
pub(crate) fn replaced(condition: &str) -> Option<String> {
    let mut out = String::with_capacity(condition.len());
    let mut rest = condition;
    let mut found = false;
    let mut is_member = false;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' => quoted_length(rest),
            c if c.is_ascii_alphabetic() || c == '_' => name_length(rest),
            c => c.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        if !is_member && let Some((comparisons, after)) = call(token, behind) {
            out.push_str(&comparisons);
            rest = after;
            found = true;
        } else {
            out.push_str(token);
            rest = behind;
        }
        if !first.is_whitespace() {
            is_member = first == '.';
        }
    }
    found.then_some(out)
}

/// Reads a call of a status function with arguments. Returns what replaces it, and the text behind it.
fn call<'a>(name: &str, behind: &'a str) -> Option<(String, &'a str)> {
    let (result, operator) = match name.to_ascii_lowercase().as_str() {
        "success" => ("success", " && "),
        "failure" => ("failure", " || "),
        _ => return None,
    };
    let inside = behind.trim_start().strip_prefix('(')?;
    let (arguments, after) = arguments(inside)?;
    if arguments.iter().all(|argument| argument.trim().is_empty()) {
        return None;
    }
    let one = |argument: &&str| format!("needs[{}].result == '{result}'", argument.trim());
    let all: Vec<String> = arguments.iter().map(one).collect();
    Some((format!("({})", all.join(operator)), after))
}

/// Splits the arguments of a call at their commas. Returns them with the text behind the call.
fn arguments(inside: &str) -> Option<(Vec<&str>, &str)> {
    let (mut found, mut from, mut at, mut depth) = (Vec::new(), 0, 0, 0_usize);
    loop {
        let rest = &inside[at..];
        let first = rest.chars().next()?;
        match first {
            ')' if depth == 0 => {
                found.push(&inside[from..at]);
                return Some((found, &inside[at + 1..]));
            }
            ',' if depth == 0 => {
                found.push(&inside[from..at]);
                from = at + 1;
            }
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += if first == '\'' { quoted_length(rest) } else { first.len_utf8() };
    }
}

/// Returns the length of a quoted string with its quotes. A doubled quote begins the next part of the same string.
fn quoted_length(text: &str) -> usize {
    text[1..].find('\'').map_or(text.len(), |end| end + 2)
}

fn name_length(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_functions_that_name_jobs_become_comparisons() {
        for (written, expected) in [
            ("success('a')", Some("(needs['a'].result == 'success')")),
            (
                "!cancelled() && (Failure ( 'a', 'b' ) || x)",
                Some(
                    "!cancelled() && ((needs['a'].result == 'failure' || needs['b'].result == 'failure') || x)",
                ),
            ),
            (
                "success(format('{0}, {1}', matrix.a[0], 'it''s )'))",
                Some("(needs[format('{0}, {1}', matrix.a[0], 'it''s )')].result == 'success')"),
            ),
            ("success()", None),
            ("failure( )", None),
            ("github.success('a')", None),
            ("contains('success(''a'')', x) && my-success('a')", None),
            ("success('a'", None),
            ("ä == 'ö'", None),
        ] {
            assert_eq!(replaced(written).as_deref(), expected, "{written}");
        }
    }
}
