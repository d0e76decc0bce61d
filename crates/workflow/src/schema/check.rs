//! Checks a YAML document against the tables, and turns it into tokens.

use crate::expression::Value;
use crate::expression::check::{self, Allowed};
use crate::expression::template::{self, Part};
use crate::expression::tree::MAX_LENGTH;
use crate::number;
use crate::problem::{Faults, Position};
use crate::token::{Content, Token, twice};
use crate::yaml::{Node, Yaml};

use super::{Mapping, Rule, Shape};

const NO_MERGE: &str =
    "GitHub knows no merge keys (`<<`): write the keys out, or use an alias for the whole mapping";

/// Checks a node and everything below it.
pub(crate) fn check(node: &Node, rule: &Rule, faults: &mut Faults<'_>) -> Token {
    Checker { faults, is_evaluated: false }.node(node, rule, "the file", None)
}

/// Checks the value of an expression, in which no further expressions are evaluated. `name` is what messages call it.
/// (actions/runner, `src/Sdk/WorkflowParser/ObjectTemplating/TemplateEvaluator.cs`)
pub(crate) fn check_value(value: &Value, rule: &Rule, name: &str) -> Result<(), String> {
    let mut faults = Faults::new("");
    Checker { faults: &mut faults, is_evaluated: true }.node(&node_of(value), rule, name, None);
    faults.end().0.into_iter().next().map_or(Ok(()), |problem| Err(problem.text))
}

fn node_of(value: &Value) -> Node {
    let value = match value {
        Value::Null => Yaml::Null,
        Value::Bool(value) => Yaml::Bool(*value),
        Value::Number(number) => Yaml::Number(*number, number::text(*number)),
        Value::Text(text) => Yaml::Text(text.clone()),
        Value::List(items) => Yaml::List(items.iter().map(node_of).collect()),
        Value::Map(entries) => {
            let key = |key: &String| Node { at: Position::START, value: Yaml::Text(key.clone()) };
            Yaml::Map(entries.iter().map(|(name, value)| (key(name), node_of(value))).collect())
        }
    };
    Node { at: Position::START, value }
}

struct Checker<'a, 'f> {
    faults: &'a mut Faults<'f>,
    /// Whether `${{` is ordinary text, because expressions are evaluated already.
    is_evaluated: bool,
}

type Inherited = Option<&'static Allowed>;

impl Checker<'_, '_> {
    /// `name` is what messages call the node: its key.
    fn node(&mut self, node: &Node, rule: &Rule, name: &str, inherited: Inherited) -> Token {
        let allowed = rule.allowed.or(inherited);
        let content = match &node.value {
            Yaml::List(items) => self.list(node, items, rule, name, allowed),
            Yaml::Map(entries) => self.map(node, entries, rule, name, allowed),
            Yaml::Null | Yaml::Bool(_) | Yaml::Number(..) | Yaml::Text(_) => {
                self.scalar(node, rule, name, allowed)
            }
        };
        Token { at: node.at, content }
    }

    fn list(&mut self, node: &Node, items: &[Node], rule: &Rule, name: &str, allowed: Inherited) -> Content {
        let item = rule.shapes.iter().find_map(|shape| match shape {
            Shape::List(item) => Some(*item),
            Shape::Any => Some(rule),
            _ => None,
        });
        let Some(item) = item else {
            self.faults.add(node.at, format!("{} is a list: {} is expected", shown(name), expected(rule)));
            return Content::Null;
        };
        let name = format!("an item of {}", shown(name));
        Content::List(items.iter().map(|node| self.node(node, item, &name, allowed)).collect())
    }

    fn map(
        &mut self,
        node: &Node,
        entries: &[(Node, Node)],
        rule: &Rule,
        name: &str,
        allowed: Inherited,
    ) -> Content {
        for shape in rule.shapes {
            match shape {
                Shape::Map(mapping) => return self.entries(node, entries, mapping, allowed, false),
                Shape::Choice(kinds) => {
                    let has = |key: &str| entries.iter().any(|(name, _)| name.text().as_deref() == Some(key));
                    let kind = kinds.iter().find(|(key, _)| has(key)).or(kinds.last());
                    let all_missing = kinds.iter().all(|(key, _)| !has(key));
                    if all_missing && let [(first, _), .., (last, _)] = kinds {
                        let text = format!(
                            "{} has neither `{first}` nor `{last}`: one of them is needed",
                            shown(name)
                        );
                        self.faults.add(node.at, text);
                    }
                    if let Some((_, mapping)) = kind {
                        return self.entries(node, entries, mapping, allowed, all_missing);
                    }
                }
                Shape::Any => return self.any_entries(entries, rule, allowed),
                _ => {}
            }
        }
        self.faults.add(node.at, format!("{} is a mapping: {} is expected", shown(name), expected(rule)));
        Content::Null
    }

    /// Checks a mapping whose keys the file chooses freely.
    fn any_entries(&mut self, entries: &[(Node, Node)], rule: &Rule, allowed: Inherited) -> Content {
        let mut pairs: Vec<(Token, Token)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let name = key.text().unwrap_or_default();
            let key = self.any_key(key, allowed);
            let is_same = |other: &Token| other.text().is_some_and(|other| other.eq_ignore_ascii_case(&name));
            if key.text().is_some() && pairs.iter().any(|(other, _)| is_same(other)) {
                self.faults.add(key.at, twice(&name));
                continue;
            }
            let value = self.node(value, rule, &name, allowed);
            pairs.push((key, value));
        }
        Content::Map(pairs)
    }

    fn any_key(&mut self, key: &Node, allowed: Inherited) -> Token {
        let text = key.text().unwrap_or_default();
        let node = Node { at: key.at, value: Yaml::Text(text.clone()) };
        let content = if self.is_evaluated { None } else { self.text_content(&node, "a key", allowed) };
        Token { at: key.at, content: content.unwrap_or(Content::Text(text)) }
    }

    fn entries(
        &mut self,
        node: &Node,
        entries: &[(Node, Node)],
        mapping: &Mapping,
        allowed: Inherited,
        incomplete: bool,
    ) -> Content {
        let mut seen: Vec<String> = Vec::new();
        let mut pairs = Vec::new();
        let mut inserts = false;
        for (key, value) in entries {
            let name = key.text().unwrap_or_default();
            if name.contains("${{") && !self.is_evaluated {
                inserts = true;
                let any = Rule::new(&[Shape::Any]);
                let values = mapping.others.unwrap_or(&any);
                pairs.push((self.any_key(key, allowed), self.node(value, values, &name, allowed)));
                continue;
            }
            if seen.iter().any(|other| other.eq_ignore_ascii_case(&name)) {
                self.faults.add(key.at, twice(&name));
                continue;
            }
            if name == "<<" && matches!(value.value, Yaml::Map(_) | Yaml::List(_)) {
                self.faults.add(key.at, NO_MERGE);
                continue;
            }
            let known = mapping.keys.iter().find(|known| known.name == name);
            match known.map(|known| known.rule).or(mapping.others) {
                Some(rule) => {
                    if name.is_empty() {
                        self.faults.add(key.at, format!("a key of {} is empty", mapping.what));
                    }
                    let text = Token { at: key.at, content: Content::Text(name.clone()) };
                    pairs.push((text, self.node(value, rule, &name, allowed)));
                }
                None => self.unknown(key, &name, mapping),
            }
            seen.push(name);
        }
        let missing =
            mapping.keys.iter().filter(|key| key.required && !seen.iter().any(|name| name == key.name));
        for key in missing.filter(|_| !inserts && !incomplete) {
            self.faults.add(node.at, format!("{} needs the key `{}`", mapping.what, key.name));
        }
        Content::Map(pairs)
    }

    fn unknown(&mut self, key: &Node, name: &str, mapping: &Mapping) {
        let keys: Vec<&str> = mapping.keys.iter().map(|key| key.name).collect();
        let text = format!("`{name}` is not a key of {}: {} is expected", mapping.what, or(&keys));
        self.faults.add(key.at, text);
    }

    fn scalar(&mut self, node: &Node, rule: &Rule, name: &str, allowed: Inherited) -> Content {
        if let Yaml::Text(text) = &node.value
            && text.contains("${{")
            && !self.is_evaluated
        {
            let content = self.text_content(node, name, allowed);
            match content {
                Some(Content::Text(text)) => {
                    let node = Node { at: node.at, value: Yaml::Text(text) };
                    return self.literal(&node, rule, name, allowed);
                }
                Some(Content::Expression(expression)) => {
                    if is_condition(rule)
                        && let Some(note) = note_on_mixture(text)
                    {
                        self.faults.note(node.at, format!("{} {note}", shown(name)));
                    }
                    return Content::Expression(expression);
                }
                Some(Content::Insert) => self.faults.add(node.at, "`insert` is only allowed as a key"),
                Some(content) => return content,
                None => {}
            }
            return Content::Null;
        }
        self.literal(node, rule, name, allowed)
    }

    /// Reads a text with expressions. Returns `None` if one of them is wrong.
    fn text_content(&mut self, node: &Node, name: &str, allowed: Inherited) -> Option<Content> {
        let text = node.text()?;
        let Some(parts) = template::parts(&text) else {
            self.faults.add(
                node.at,
                format!("{} has an expression that does not end: `}}}}` is missing", shown(name)),
            );
            return None;
        };
        let expressions: Vec<&str> = parts
            .iter()
            .filter_map(|part| match part {
                Part::Expression(expression) => Some(*expression),
                Part::Text(_) => None,
            })
            .collect();
        if expressions.is_empty() {
            return Some(Content::Text(text.clone()));
        }
        let Some(allowed) = allowed else {
            self.faults
                .add(node.at, format!("{} has an expression, which this key does not allow", shown(name)));
            return None;
        };
        if expressions == ["insert"] && parts.len() == 1 {
            return Some(Content::Insert);
        }
        let mut sound = true;
        let joined = template::joined(&parts);
        if joined.encode_utf16().count() > MAX_LENGTH {
            let text = format!(
                "{} has expressions, and with the text around them more than {MAX_LENGTH} characters: GitHub takes no more",
                shown(name)
            );
            self.faults.add(node.at, text);
            return None;
        }
        for expression in &expressions {
            if let Err(text) = check::check(expression, allowed) {
                self.faults.add(node.at, format!("{}: {text}", shown(name)));
                sound = false;
            }
        }
        if sound
            && parts.len() > 1
            && let Err(text) = check::check(&joined, allowed)
        {
            self.faults.add(node.at, format!("{}: {text}", shown(name)));
            sound = false;
        }
        if let [expression] = expressions.as_slice()
            && parts.len() == 1
            && let Some(text) = template::quoted(expression)
        {
            return Some(Content::Text(text));
        }
        sound.then_some(Content::Expression(joined))
    }

    /// Checks a scalar without expressions.
    fn literal(&mut self, node: &Node, rule: &Rule, name: &str, allowed: Inherited) -> Content {
        let text = node.text().unwrap_or_default();
        for shape in rule.shapes {
            match (shape, &node.value) {
                (Shape::Null | Shape::Any, Yaml::Null) => return Content::Null,
                (Shape::Bool | Shape::Any, Yaml::Bool(value)) => return Content::Bool(*value),
                (Shape::Number | Shape::Any, Yaml::Number(number, _)) => return Content::Number(*number),
                (Shape::Any, Yaml::Text(_)) => return Content::Text(text),
                _ => {}
            }
        }
        for shape in rule.shapes {
            match shape {
                Shape::Written => return Content::Text(written(node).unwrap_or(text)),
                Shape::Text => return Content::Text(text),
                Shape::Filled if !text.is_empty() => return Content::Text(text),
                Shape::Word(words) if words.contains(&text.as_str()) => return Content::Text(text),
                Shape::Condition => return self.condition(node, &text, name, allowed),
                _ => {}
            }
        }
        let is = match &node.value {
            Yaml::Null => "is empty".to_owned(),
            Yaml::Text(text) if text.is_empty() => "is empty".to_owned(),
            _ => format!("is `{text}`"),
        };
        self.faults.add(node.at, format!("{} {is}: {} is expected", shown(name), expected(rule)));
        Content::Null
    }

    fn condition(&mut self, node: &Node, text: &str, name: &str, allowed: Inherited) -> Content {
        if let (Some(allowed), false) = (allowed, text.trim().is_empty())
            && let Err(wrong) = check::check(text.trim(), allowed)
        {
            self.faults.add(node.at, format!("{}: {wrong}", shown(name)));
        }
        Content::Text(text.to_owned())
    }
}

fn is_condition(rule: &Rule) -> bool {
    rule.shapes.iter().any(|shape| matches!(shape, Shape::Condition))
}

/// Says what a condition is that is more than one expression. GitHub does not trim it: the line break at the end of a block
/// is text. (actions/runner, `src/Sdk/WorkflowParser/ObjectTemplating/TemplateReader.cs`)
fn note_on_mixture(text: &str) -> Option<&'static str> {
    let parts = template::parts(text)?;
    if parts.len() < 2 {
        None
    } else if parts.iter().any(|part| matches!(part, Part::Text(_))) {
        Some(
            "is always true: text around an expression makes it a text that is not empty; without `${{` and `}}` all of \
             it is one expression",
        )
    } else {
        Some(
            "is true unless it is an empty text: several expressions make one text; join them in one expression",
        )
    }
}

/// Returns a number as the file writes it.
fn written(node: &Node) -> Option<String> {
    match &node.value {
        Yaml::Number(number, written) if number::yaml(written) == Some(*number) => Some(written.clone()),
        _ => None,
    }
}

fn shown(name: &str) -> String {
    if name == "the file" || name.starts_with("an item of ") { name.to_owned() } else { format!("`{name}`") }
}

/// Lists words: `a`, `b` or `c`.
fn or(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

/// Says what a rule allows.
fn expected(rule: &Rule) -> String {
    let mut kinds: Vec<String> = rule
        .shapes
        .iter()
        .map(|shape| match shape {
            Shape::Null => "nothing".to_owned(),
            Shape::Bool => "true or false".to_owned(),
            Shape::Number => "a number".to_owned(),
            Shape::Text | Shape::Filled | Shape::Written => "a text".to_owned(),
            Shape::Word(words) => or(words),
            Shape::Condition => "an expression".to_owned(),
            Shape::List(_) => "a list".to_owned(),
            Shape::Map(_) | Shape::Choice(_) => "a mapping".to_owned(),
            Shape::Any => "a value".to_owned(),
        })
        .collect();
    kinds.dedup();
    match kinds.pop() {
        Some(last) if kinds.is_empty() => last,
        Some(last) => format!("{} or {last}", kinds.join(", ")),
        None => "nothing".to_owned(),
    }
}
