//! Expressions: found in texts, checked before the run, and evaluated over contexts.
//!
//! The runner evaluates the expressions of steps; here only those are evaluated that GitHub's service evaluates.

pub(crate) mod check;
mod evaluate;
mod functions;
mod lenient_json;
mod lexer;
mod named_status;
pub(crate) mod template;
pub(crate) mod tree;
mod value;

pub use value::Value;

/// Why an expression has no value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

/// The results of the status functions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    pub success: bool,
    pub failure: bool,
    pub cancelled: bool,
}

/// What an expression can refer to.
#[derive(Clone, Default, Debug)]
pub struct Contexts {
    values: Vec<(String, Value)>,
    status: Option<Status>,
}

impl Contexts {
    /// Adds or replaces a context.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.values.retain(|(known, _)| known != name);
        self.values.push((name.to_owned(), value));
        self
    }

    /// Allows status functions.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.status = Some(status);
        self
    }

    /// Returns a context, without regard to case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn status(&self) -> Result<Status, Fault> {
        self.status.ok_or_else(|| Fault("status functions are only allowed in `if`".to_owned()))
    }
}

/// Evaluates an expression without its `${{` and `}}`.
///
/// # Errors
///
/// Fails if it cannot be read, uses an unknown context, or gives a function a value that it does not take.
pub fn evaluate(expression: &str, contexts: &Contexts) -> Result<Value, Fault> {
    let shown = || check::cut(expression);
    let parsed =
        tree::parse(expression).map_err(|error| Fault(format!("`{}` cannot be read: {error}", shown())))?;
    evaluate::evaluate(&parsed, contexts).map_err(|Fault(why)| Fault(format!("`{}`: {why}", shown())))
}

/// Returns a condition, without `${{` and `}}`, as GitHub completes it. If it has no status function, `success()` is
/// added.
pub(crate) fn completed(condition: &str) -> String {
    if condition.trim().is_empty() {
        "success()".to_owned()
    } else if let Some(replaced) = named_status::replaced(condition) {
        replaced
    } else if check::has_status_function(condition) {
        condition.to_owned()
    } else {
        format!("success() && ({condition})")
    }
}

#[cfg(test)]
mod tests;
