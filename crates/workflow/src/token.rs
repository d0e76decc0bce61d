//! The checked content of a workflow file: values, and expressions that are evaluated later.

use crate::expression::check::used;
use crate::expression::{Contexts, Fault, Value, evaluate};
use crate::problem::Position;

/// A value of a file with its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Token {
    pub at: Position,
    pub content: Content,
}

/// What a token holds.
#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// An expression without `${{` and `}}`. A text around expressions has become a call of `format`.
    Expression(String),
    /// A key whose value is a mapping with further keys: `${{ insert }}`.
    Insert,
    List(Vec<Token>),
    Map(Vec<(Token, Token)>),
}

impl Token {
    /// Returns the text of a literal scalar.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match &self.content {
            Content::Expression(_) | Content::Insert | Content::List(_) | Content::Map(_) => None,
            scalar => scalar.literal().map(|value| value.text()),
        }
    }

    /// Returns the value of a literal key of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.text().as_deref() == Some(key)).map(|(_, value)| value)
    }

    /// Returns the entries of a mapping. Other tokens have none.
    #[must_use]
    pub fn entries(&self) -> &[(Self, Self)] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the items of a list. Other tokens have none.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// Whether an expression is somewhere in it.
    #[must_use]
    pub fn has_expression(&self) -> bool {
        !self.expressions().is_empty()
    }

    /// Returns all expressions in it.
    #[must_use]
    pub fn expressions(&self) -> Vec<(&str, Position)> {
        match &self.content {
            Content::Expression(expression) => vec![(expression, self.at)],
            Content::List(items) => items.iter().flat_map(Self::expressions).collect(),
            Content::Map(entries) => entries
                .iter()
                .flat_map(|(key, value)| key.expressions().into_iter().chain(value.expressions()))
                .collect(),
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) | Content::Insert => {
                Vec::new()
            }
        }
    }

    /// Evaluates all expressions in it.
    ///
    /// # Errors
    ///
    /// Fails if an expression has no value, or if `insert` gets no mapping.
    pub fn value(&self, contexts: &Contexts) -> Result<Value, Fault> {
        match &self.content {
            Content::Expression(expression) => evaluate(expression, contexts),
            Content::List(items) => {
                Ok(Value::List(items.iter().map(|item| item.value(contexts)).collect::<Result<_, _>>()?))
            }
            Content::Map(entries) => {
                let mut map = Value::Map(Vec::with_capacity(entries.len()));
                for (key, value) in entries {
                    let value = value.value(contexts)?;
                    if key.content != Content::Insert {
                        map.set(&key.value(contexts)?.text(), value);
                        continue;
                    }
                    let Value::Map(more) = value else {
                        return Err(Fault(format!(
                            "`insert` is given {}: a mapping is expected",
                            value.kind()
                        )));
                    };
                    more.into_iter().for_each(|(key, value)| map.set(&key, value));
                }
                Ok(map)
            }
            scalar => Ok(scalar.literal().unwrap_or_default()),
        }
    }

    /// Replaces each expression that uses no contexts but these by its value.
    ///
    /// # Errors
    ///
    /// Fails if such an expression has no value.
    pub fn resolved(&self, contexts: &Contexts) -> Result<Self, Fault> {
        let content = match &self.content {
            Content::Expression(expression)
                if used(expression).iter().all(|name| contexts.get(name).is_some()) =>
            {
                Content::of(evaluate(expression, contexts)?, self.at)
            }
            Content::List(items) => {
                Content::List(items.iter().map(|item| item.resolved(contexts)).collect::<Result<_, _>>()?)
            }
            Content::Map(entries) => {
                let pairs = entries
                    .iter()
                    .map(|(key, value)| Ok((key.resolved(contexts)?, value.resolved(contexts)?)));
                Content::Map(pairs.collect::<Result<_, Fault>>()?)
            }
            other => other.clone(),
        };
        Ok(Self { at: self.at, content })
    }

    /// Returns a literal token.
    #[must_use]
    pub fn of(value: Value, at: Position) -> Self {
        Self { at, content: Content::of(value, at) }
    }
}

impl Content {
    fn literal(&self) -> Option<Value> {
        match self {
            Self::Null => Some(Value::Null),
            Self::Bool(value) => Some(Value::Bool(*value)),
            Self::Number(number) => Some(Value::Number(*number)),
            Self::Text(text) => Some(Value::Text(text.clone())),
            Self::Expression(_) | Self::Insert | Self::List(_) | Self::Map(_) => None,
        }
    }

    fn of(value: Value, at: Position) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(number),
            Value::Text(text) => Self::Text(text),
            Value::List(items) => Self::List(items.into_iter().map(|item| Token::of(item, at)).collect()),
            Value::Map(entries) => {
                let pair = |(key, value)| (Token::of(Value::Text(key), at), Token::of(value, at));
                Self::Map(entries.into_iter().map(pair).collect())
            }
        }
    }
}
