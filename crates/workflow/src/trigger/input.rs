//! Inputs of a workflow: declared, given, and converted to their types.

use crate::expression::{Contexts, Value};
use crate::problem::Faults;
use crate::token::Token;

/// An input of `workflow_dispatch` or `workflow_call`.
#[derive(Clone, Debug)]
pub struct Input {
    pub name: String,
    pub kind: InputKind,
    pub required: bool,
    pub default: Option<Token>,
}

/// Who gives the inputs of a workflow.
#[derive(Clone, Copy)]
pub(super) enum Giver {
    /// A person, as texts.
    Person,
    /// Another workflow, as values of the right type.
    Caller,
}

/// The type of an input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InputKind {
    Text,
    Bool,
    Number,
    /// One of these texts.
    Choice(Vec<String>),
    /// The name of an environment.
    Environment,
}

impl InputKind {
    /// Returns the value of an input that is not given.
    fn empty(&self) -> Value {
        match self {
            Self::Text | Self::Choice(_) | Self::Environment => Value::from(""),
            Self::Bool => Value::Bool(false),
            Self::Number => Value::Number(0.0),
        }
    }

    pub(crate) fn expected(&self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Choice(options) => format!("one of {}", options.join(", ")),
            Self::Environment => "the name of an environment".to_owned(),
        }
    }

    /// Converts a text that a person gives.
    fn parse(&self, text: &str) -> Option<Value> {
        match self {
            Self::Text | Self::Environment => Some(text.into()),
            Self::Bool => match text {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                _ => None,
            },
            Self::Number => {
                Some(Value::from(text).number()).filter(|number| !number.is_nan()).map(Value::Number)
            }
            Self::Choice(options) => options.iter().any(|option| option == text).then(|| text.into()),
        }
    }

    /// Checks the value that a caller gives. Scalars become texts where a text is expected.
    pub(crate) fn accept(&self, value: Value) -> Option<Value> {
        match (self, value) {
            (Self::Bool, value @ Value::Bool(_)) | (Self::Number, value @ Value::Number(_)) => Some(value),
            (Self::Bool | Self::Number, _) | (_, Value::List(_) | Value::Map(_)) => None,
            (_, scalar) => Some(Value::Text(scalar.text())),
        }
    }
}

impl Input {
    /// `by` says who gives the inputs.
    pub(super) fn read_all(inputs: Option<&Token>, by: Giver, faults: &mut Faults<'_>) -> Vec<Self> {
        let entries = inputs.map(Token::entries).unwrap_or_default();
        entries.iter().filter_map(|(name, spec)| Some(Self::read(name.text()?, spec, by, faults))).collect()
    }

    fn read(name: String, spec: &Token, by: Giver, faults: &mut Faults<'_>) -> Self {
        let text = |key: &str| spec.get(key).and_then(Token::text);
        let options: Vec<String> = spec
            .get("options")
            .map(Token::items)
            .unwrap_or_default()
            .iter()
            .filter_map(Token::text)
            .collect();
        let kind = match text("type").as_deref() {
            Some("boolean") => InputKind::Bool,
            Some("number") => InputKind::Number,
            Some("choice") => InputKind::Choice(options),
            Some("environment") => InputKind::Environment,
            Some("string") | None => InputKind::Text,
            Some(other) => {
                let known = "string, boolean, number, choice and environment";
                faults.note(
                    spec.at,
                    format!(
                        "the input `{name}` has the type `{other}`, which counts as a text: {known} are known"
                    ),
                );
                InputKind::Text
            }
        };
        if kind == InputKind::Choice(Vec::new()) {
            faults.add(spec.at, format!("the input `{name}` is a choice, and needs `options`"));
        }
        let default = spec.get("default").cloned();
        if let Some(default) = &default
            && let Ok(value) = default.value(&Contexts::default())
            && let text = value.text()
            && match by {
                Giver::Person => kind.parse(&text).is_none() && !text.is_empty(),
                Giver::Caller => kind.accept(value).is_none(),
            }
        {
            faults.add(
                default.at,
                format!("the default of `{name}` is `{text}`: {} is expected", kind.expected()),
            );
        }
        let required = text("required").as_deref() == Some("true");
        Self { name, kind, required, default }
    }
}

/// Returns the context `inputs` of a run that a person starts.
///
/// # Errors
///
/// Returns each input that is unknown, missing or of a wrong type.
pub fn dispatched(inputs: &[Input], given: &[(String, String)]) -> Result<Value, Vec<String>> {
    let mut wrong = Vec::new();
    for (at, (name, _)) in given.iter().enumerate() {
        if given[..at].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            wrong.push(format!("the input `{name}` is given twice"));
        }
        if !inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name)) {
            let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
            let known = if names.is_empty() {
                "it takes none".to_owned()
            } else {
                format!("it takes {}", names.join(", "))
            };
            wrong.push(format!("the workflow has no input `{name}`: {known}"));
        }
    }
    let mut context = Value::Map(Vec::new());
    for input in inputs {
        let given = given.iter().rev().find(|(name, _)| input.name.eq_ignore_ascii_case(name));
        let default = input.default.as_ref().and_then(Token::text);
        let value = match given.map(|(_, text)| text.as_str()).or(default.as_deref()) {
            None if input.required => {
                wrong.push(format!(
                    "the input `{}` is required: --input {}=VALUE gives it",
                    input.name, input.name
                ));
                Value::Null
            }
            None => match &input.kind {
                // The first option is chosen on GitHub's page.
                InputKind::Choice(options) => options.first().cloned().unwrap_or_default().into(),
                kind => kind.empty(),
            },
            Some(text) => input.kind.parse(text).unwrap_or_else(|| {
                wrong.push(format!(
                    "the input `{}` is `{text}`: {} is expected",
                    input.name,
                    input.kind.expected()
                ));
                Value::Null
            }),
        };
        context.set(&input.name, value);
    }
    if wrong.is_empty() { Ok(context) } else { Err(wrong) }
}

/// Returns the context `inputs` of a called workflow. `contexts` are those of the called workflow's defaults.
///
/// # Errors
///
/// Returns the first input that is unknown, missing or of a wrong type.
pub fn called(inputs: &[Input], given: &Value, contexts: &Contexts) -> Result<Value, String> {
    if let Some((name, _)) = given
        .entries()
        .iter()
        .find(|(name, _)| !inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name)))
    {
        return Err(format!("the called workflow has no input `{name}`"));
    }
    let mut context = Value::Map(Vec::new());
    for input in inputs {
        let value = match (given.get(&input.name), &input.default) {
            (Some(given), _) => given.clone(),
            (None, Some(default)) => default.value(contexts).map_err(|fault| fault.to_string())?,
            (None, None) if input.required => {
                return Err(format!("the called workflow needs the input `{}`", input.name));
            }
            (None, None) => input.kind.empty(),
        };
        let kind = value.kind();
        let accepted = input.kind.accept(value);
        let wrong = || format!("the input `{}` is {kind}: {} is expected", input.name, input.kind.expected());
        context.set(&input.name, accepted.ok_or_else(wrong)?);
    }
    Ok(context)
}
