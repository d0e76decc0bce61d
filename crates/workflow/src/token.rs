//! The checked content of a workflow file: values, and expressions that are evaluated later.

use crate::expression::check::used;
use crate::expression::template::{self, Part};
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

    /// Evaluates all expressions in it. An expression that is an item of a list, and whose value is a list, gives that
    /// list's items. (actions/runner, `src/Sdk/WorkflowParser/ObjectTemplating/TemplateUnraveler.cs`)
    ///
    /// # Errors
    ///
    /// Fails if an expression has no value, if `insert` gets no mapping, or if a mapping gets a key twice.
    pub fn value(&self, contexts: &Contexts) -> Result<Value, Fault> {
        match &self.content {
            Content::Expression(expression) => evaluate(expression, contexts),
            Content::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    match (&item.content, item.value(contexts)?) {
                        (Content::Expression(_), Value::List(more)) => list.extend(more),
                        (_, value) => list.push(value),
                    }
                }
                Ok(Value::List(list))
            }
            Content::Map(entries) => {
                let mut map: Vec<(String, Value)> = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let value = value.value(contexts)?;
                    let more = match (&key.content, value) {
                        (Content::Insert, Value::Map(more)) => more,
                        (Content::Insert, other) => return Err(not_inserted(other.kind())),
                        (_, value) => vec![(key.value(contexts)?.text(), value)],
                    };
                    for (key, value) in more {
                        if map.iter().any(|(known, _)| known.eq_ignore_ascii_case(&key)) {
                            return Err(Fault(twice(&key)));
                        }
                        map.push((key, value));
                    }
                }
                Ok(Value::Map(map))
            }
            scalar => Ok(scalar.literal().unwrap_or_default()),
        }
    }

    /// Replaces each expression that uses no contexts but these by its value, in lists and mappings as [`Self::value`].
    ///
    /// # Errors
    ///
    /// Fails if such an expression has no value, or if `insert` gets no mapping.
    pub fn resolved(&self, contexts: &Contexts) -> Result<Self, Fault> {
        let content = match &self.content {
            Content::Expression(expression)
                if used(expression).iter().all(|name| contexts.get(name).is_some()) =>
            {
                Content::of(evaluate(expression, contexts)?, self.at)
            }
            Content::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    let resolved = item.resolved(contexts)?;
                    match (&item.content, resolved.content) {
                        (Content::Expression(_), Content::List(more)) => list.extend(more),
                        (_, content) => list.push(Self { at: item.at, content }),
                    }
                }
                Content::List(list)
            }
            Content::Map(entries) => {
                let mut map = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let value = value.resolved(contexts)?;
                    match (&key.content, value) {
                        (Content::Insert, Self { content: Content::Map(more), .. }) => map.extend(more),
                        (Content::Insert, value @ Self { content: Content::Expression(_), .. }) => {
                            map.push((key.clone(), value));
                        }
                        (Content::Insert, other) => return Err(not_inserted(other.content.kind())),
                        (_, value) => map.push((key.resolved(contexts)?, value)),
                    }
                }
                Content::Map(map)
            }
            other => other.clone(),
        };
        Ok(Self { at: self.at, content })
    }

    /// Returns a text that may have expressions, such as a default in an `action.yml`.
    ///
    /// # Errors
    ///
    /// Fails if an expression does not end.
    pub fn of_template(text: &str, at: Position) -> Result<Self, Fault> {
        let parts = template::parts(text)
            .ok_or_else(|| Fault("an expression does not end: `}}` is missing".to_owned()))?;
        let has_expression = parts.iter().any(|part| matches!(part, Part::Expression(_)));
        let content = if has_expression {
            Content::Expression(template::joined(&parts))
        } else {
            Content::Text(text.to_owned())
        };
        Ok(Self { at, content })
    }

    /// Returns a literal token.
    #[must_use]
    pub fn of(value: Value, at: Position) -> Self {
        Self { at, content: Content::of(value, at) }
    }
}

fn not_inserted(kind: &str) -> Fault {
    Fault(format!("`insert` is given {kind}: a mapping is expected"))
}

/// Says that a mapping has a key twice.
pub(crate) fn twice(key: &str) -> String {
    format!("the key `{key}` is there twice, without regard to case")
}

impl Content {
    /// What kind of value it is, for messages.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::Expression(_) | Self::Insert => "an expression",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::check::Allowed;
    use crate::problem::Faults;
    use crate::schema::{Rule, any_with, check};

    static ALLOWED: Allowed =
        Allowed { contexts: &["github", "steps"], status: false, hash_files: false, named_status: false };
    static RULE: Rule = any_with(&ALLOWED);

    fn token(text: &str) -> Token {
        let node = crate::yaml::read(text).unwrap();
        let mut faults = Faults::new("x");
        let token = check(&node, &RULE, &mut faults);
        assert!(faults.is_empty(), "{:?}", faults.end());
        token
    }

    fn contexts() -> Contexts {
        Contexts::default().with("github", Value::from([("ref_name", Value::from("main"))]))
    }

    #[test]
    fn an_expression_in_a_list_gives_the_items_of_its_list() {
        let list = token(
            "[\"${{ fromJSON('[1, [2], 3]') }}\", \"${{ github.ref_name }}\", [4, \"${{ fromJSON('[]') }}\"], \"${{ fromJSON('{}') }}\"]",
        );
        let shown = |value: &Value| serde_json::to_string(value).unwrap();
        assert_eq!(shown(&list.value(&contexts()).unwrap()), r#"[1,[2],3,"main",[4],{}]"#);
        let resolved = list.resolved(&contexts()).unwrap();
        assert!(!resolved.has_expression());
        assert_eq!(shown(&resolved.value(&Contexts::default()).unwrap()), r#"[1,[2],3,"main",[4],{}]"#);
    }

    #[test]
    fn a_text_with_expressions_is_one_expression() {
        let of = |text: &str| Token::of_template(text, Position::START).map(|token| token.content);
        assert_eq!(of("x}}"), Ok(Content::Text("x}}".to_owned())));
        assert_eq!(of("${{ github.token }}"), Ok(Content::Expression("github.token".to_owned())));
        assert_eq!(of("a ${{ b }}"), Ok(Content::Expression("format('a {0}', b)".to_owned())));
        assert!(of("${{ a").is_err());
    }

    #[test]
    fn a_mapping_takes_in_what_is_inserted_and_no_key_twice() {
        let map = token(
            "{a: 1, '${{ insert }}': \"${{ fromJSON('{b: 2}') }}\", c: '${{ steps.x.y }}', '${{ insert }}': '${{ steps.z }}'}",
        );
        let resolved = map.resolved(&contexts()).unwrap();
        let keys: Vec<Option<String>> = resolved.entries().iter().map(|(key, _)| key.text()).collect();
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(keys, [named("a"), named("b"), named("c"), None]);
        let wrong = token("{main: 1, '${{ github.ref_name }}': 2}").value(&contexts()).unwrap_err();
        assert_eq!(wrong.to_string(), "the key `main` is there twice, without regard to case");
        let wrong = token("{'${{ insert }}': '${{ github.ref_name }}'}").resolved(&contexts()).unwrap_err();
        assert_eq!(wrong.to_string(), "`insert` is given a text: a mapping is expected");
    }
}
