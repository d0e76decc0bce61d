//! A YAML document as a tree with positions, and with the types that GitHub gives to scalars: those of YAML 1.2's
//! core schema, so that `on` and `yes` are texts.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::number;
use crate::problem::Position;

/// GitHub's limit of nodes, in which the content of an anchor counts once for each alias.
const MAX_NODES: usize = 50_000;

/// GitHub's limit of lists and mappings within each other, in which an alias counts like its anchor.
const MAX_DEPTH: usize = 50;

/// A node, and where it begins.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    pub at: Position,
    pub value: Yaml,
}

/// The content of a node.
#[derive(Clone, PartialEq, Debug)]
pub enum Yaml {
    Null,
    Bool(bool),
    /// A number, and how the file writes it.
    Number(f64, String),
    Text(String),
    List(Vec<Node>),
    /// Keys and values in the order of the file. Keys are scalars.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// Returns the text of a scalar, as GitHub converts it: `1.20` is the number 1.2.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match &self.value {
            Yaml::Null => Some(String::new()),
            Yaml::Bool(value) => Some(value.to_string()),
            Yaml::Number(number, _) => Some(number::text(*number)),
            Yaml::Text(text) => Some(text.clone()),
            Yaml::List(_) | Yaml::Map(_) => None,
        }
    }

    /// Returns the value of a key of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.text().as_deref() == Some(key)).map(|(_, value)| value)
    }

    /// Returns the entries of a mapping. Other nodes have none.
    #[must_use]
    pub fn entries(&self) -> &[(Self, Self)] {
        match &self.value {
            Yaml::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the items of a list. Other nodes have none.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Yaml::List(items) => items,
            _ => &[],
        }
    }
}

/// Why a text is not a YAML document that GitHub reads.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text}")]
pub struct YamlError {
    pub at: Position,
    pub text: String,
}

/// Reads one document.
///
/// # Errors
///
/// Returns the first mistake with its position.
pub fn read(text: &str) -> Result<Node, YamlError> {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0, depth: 0 };
    let root = match reader.next()? {
        Some((event, span)) => reader.node(event, span)?,
        None => Node { at: Position::START, value: Yaml::Null },
    };
    match reader.next()? {
        None => Ok(root),
        Some((_, span)) => Err(error(span, "the file has a second document: one is expected")),
    }
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// In how many lists and mappings the reader is.
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Returns the next event that is part of a node, or `None` at the end.
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, YamlError> {
        loop {
            match self.parser.next() {
                None => return Ok(None),
                Some(Ok((event, span))) if event.is_node() || ends(&event) => return Ok(Some((event, span))),
                Some(Ok(_)) => {}
                Some(Err(fault)) => {
                    let mark = fault.marker();
                    let at = Position { line: mark.line(), column: mark.col() + 1 };
                    return Err(YamlError { at, text: format!("not valid YAML: {}", fault.info()) });
                }
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, YamlError> {
        let at = position(span);
        self.count(1, span)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (scalar(&text, style, tag.as_deref()).map_err(|text| YamlError { at, text })?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.deeper(span, Self::list)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.deeper(span, Self::map)?, anchor),
            Event::Alias(id) => {
                let node = self.anchors.get(&id).cloned();
                let node = node.ok_or_else(|| error(span, "the alias is part of its own anchor"))?;
                self.count(size(&node), span)?;
                return if self.depth + height(&node) > MAX_DEPTH { Err(too_deep(span)) } else { Ok(node) };
            }
            _ => return Err(error(span, "a value is expected")),
        };
        let node = Node { at, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), YamlError> {
        self.nodes += nodes;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(error(span, &format!("the file has more than {MAX_NODES} values, those of aliases included")))
    }

    /// Reads the content of a list or a mapping.
    fn deeper(
        &mut self,
        start: Span,
        read: impl FnOnce(&mut Self, Span) -> Result<Yaml, YamlError>,
    ) -> Result<Yaml, YamlError> {
        if self.depth == MAX_DEPTH {
            return Err(too_deep(start));
        }
        self.depth += 1;
        let value = read(self, start);
        self.depth -= 1;
        value
    }

    fn list(&mut self, start: Span) -> Result<Yaml, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Some((Event::SequenceEnd, _)) => return Ok(Yaml::List(items)),
                Some((event, span)) => items.push(self.node(event, span)?),
                None => return Err(error(start, "the list does not end")),
            }
        }
    }

    fn map(&mut self, start: Span) -> Result<Yaml, YamlError> {
        let mut entries = Vec::new();
        loop {
            let key = match self.next()? {
                Some((Event::MappingEnd, _)) => return Ok(Yaml::Map(entries)),
                Some((event, span)) => self.node(event, span)?,
                None => return Err(error(start, "the mapping does not end")),
            };
            if matches!(key.value, Yaml::List(_) | Yaml::Map(_)) {
                return Err(YamlError {
                    at: key.at,
                    text: "a key is a text, not a list or a mapping".into(),
                });
            }
            let value = match self.next()? {
                Some((event, span)) => self.node(event, span)?,
                None => return Err(error(start, "the mapping does not end")),
            };
            entries.push((key, value));
        }
    }
}

const fn ends(event: &Event<'_>) -> bool {
    matches!(event, Event::SequenceEnd | Event::MappingEnd)
}

fn position(span: Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

fn error(span: Span, text: &str) -> YamlError {
    YamlError { at: position(span), text: text.to_owned() }
}

fn too_deep(span: Span) -> YamlError {
    error(span, &format!("more than {MAX_DEPTH} lists and mappings are within each other"))
}

/// How many lists and mappings are within each other in a node, itself included.
fn height(node: &Node) -> usize {
    match &node.value {
        Yaml::List(items) => 1 + items.iter().map(height).max().unwrap_or_default(),
        Yaml::Map(entries) => 1 + entries.iter().map(|(_, value)| height(value)).max().unwrap_or_default(),
        _ => 0,
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Yaml::List(items) => items.iter().map(size).sum::<usize>(),
        Yaml::Map(entries) => entries.iter().map(|(key, value)| size(key) + size(value)).sum(),
        _ => 0,
    }
}

/// Gives a scalar its type. A quoted one is a text.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Yaml, String> {
    let plain = || {
        null(text)
            .or_else(|| bool(text))
            .or_else(|| number::yaml(text).map(|number| Yaml::Number(number, text.to_owned())))
    };
    let wrong = |kind: &str| format!("`{text}` is not a value of the type {kind}, which its tag names");
    let number = || number::yaml(text).map(|number| Yaml::Number(number, text.to_owned()));
    let Some(tag) = tag else {
        return Ok(match style {
            ScalarStyle::Plain if number::is_too_large(text) => {
                return Err(format!("`{text}` is a number of more than 32 bits: a text needs quotes"));
            }
            ScalarStyle::Plain => plain().unwrap_or_else(|| Yaml::Text(text.to_owned())),
            _ => Yaml::Text(text.to_owned()),
        });
    };
    match tag.core_suffix() {
        Some("str") => Ok(Yaml::Text(text.to_owned())),
        Some(kind) if style != ScalarStyle::Plain => {
            Err(format!("`{text}` is quoted, and has the tag `{kind}`: a text has the tag `str`"))
        }
        Some("null") => null(text).ok_or_else(|| wrong("null")),
        Some("bool") => bool(text).ok_or_else(|| wrong("bool")),
        Some("int") => number().ok_or_else(|| wrong("int")),
        Some("float") => number().ok_or_else(|| wrong("float")),
        Some(_) | None => {
            let (handle, suffix) = (tag.original_handle(), tag.suffix());
            let hint = if handle == "!" { "; a text that begins with `!` needs quotes" } else { "" };
            Err(format!(
                "the tag `{handle}{suffix}` is not known: !!str, !!null, !!bool, !!int or !!float is expected{hint}"
            ))
        }
    }
}

fn null(text: &str) -> Option<Yaml> {
    matches!(text, "" | "null" | "Null" | "NULL" | "~").then_some(Yaml::Null)
}

fn bool(text: &str) -> Option<Yaml> {
    match text {
        "true" | "True" | "TRUE" => Some(Yaml::Bool(true)),
        "false" | "False" | "FALSE" => Some(Yaml::Bool(false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let node = read(text).unwrap();
        node.items().iter().map(|item| format!("{:?}", item.value)).collect()
    }

    #[test]
    fn scalars_have_the_types_of_the_core_schema() {
        assert_eq!(
            texts("[1.20, 3.0, true, on, yes, '08', 08, 0x1F, 0o17, ~, -1, 1e3, '1', !!str 2, 1_000, 12:30]"),
            [
                "Number(1.2, \"1.20\")",
                "Number(3.0, \"3.0\")",
                "Bool(true)",
                "Text(\"on\")",
                "Text(\"yes\")",
                "Text(\"08\")",
                "Number(8.0, \"08\")",
                "Number(31.0, \"0x1F\")",
                "Number(15.0, \"0o17\")",
                "Null",
                "Number(-1.0, \"-1\")",
                "Number(1000.0, \"1e3\")",
                "Text(\"1\")",
                "Text(\"2\")",
                "Text(\"1_000\")",
                "Text(\"12:30\")",
            ]
        );
    }

    #[test]
    fn nodes_have_positions_and_aliases_repeat_their_anchors() {
        let node = read("a: &x\n  b: 1\nc: *x\n").unwrap();
        let (key, value) = &node.entries()[1];
        assert_eq!(key.at, Position { line: 3, column: 1 });
        assert_eq!(value.get("b").unwrap().text().unwrap(), "1");
        assert_eq!(value.get("b").unwrap().at, Position { line: 2, column: 6 });
    }

    #[test]
    fn mistakes_have_positions() {
        let cases = [
            read("a: [1\nb: 2\n").unwrap_err(),
            read("a: 1\n  b: 2\n").unwrap_err(),
            read("a: 1\n---\nb: 2\n").unwrap_err(),
            read("{[a]: 1}").unwrap_err(),
            read("a: !!int x").unwrap_err(),
        ];
        assert_eq!(cases[2].text, "the file has a second document: one is expected");
        assert_eq!(cases[2].at.line, 3);
        assert_eq!(cases[3].text, "a key is a text, not a list or a mapping");
        for case in &cases[..2] {
            assert!(case.text.starts_with("not valid YAML: ") && case.at.line <= 3, "{case:?}");
        }
        assert_eq!(cases[4].at, Position { line: 1, column: 10 });
    }

    #[test]
    fn a_tag_names_a_type_of_the_core_schema_and_fits_its_scalar() {
        for (text, part) in [
            ("!!timestamp 2022-10-26", "the tag `!!timestamp` is not known"),
            ("!mine x", "the tag `!mine` is not known"),
            ("!!int '1'", "`1` is quoted, and has the tag `int`"),
            ("0xfffffffff", "`0xfffffffff` is a number of more than 32 bits"),
            ("0o77777777777777", "`0o77777777777777` is a number of more than 32 bits"),
            ("!!int 0xfffffffff", "`0xfffffffff` is not a value of the type int"),
        ] {
            assert!(read(text).unwrap_err().text.contains(part), "{text}: {:?}", read(text));
        }
        assert_eq!(read("0xffffffff").unwrap().value, Yaml::Number(-1.0, "0xffffffff".to_owned()));
        for text in ["'0xfffffffff'", "!!str 0xfffffffff", "0xfffffffffg"] {
            assert!(matches!(read(text).unwrap().value, Yaml::Text(_)), "{text}");
        }
        assert_eq!(read("!!str 'x'").unwrap().value, Yaml::Text("x".to_owned()));
    }

    #[test]
    fn a_file_is_not_nested_deeper_than_github_reads_it() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(50)).is_ok());
        let error = read(&nested(51)).unwrap_err();
        assert_eq!((error.at.column, error.text.contains("more than 50 lists")), (51, true));
        assert!(read(&nested(20_000)).is_err());
        let aliased = |depth: usize| format!("a: &a {}\nb: [[*a]]\n", nested(depth));
        assert!(read(&aliased(47)).is_ok());
        assert_eq!(read(&aliased(48)).unwrap_err().at, Position { line: 2, column: 6 });
    }

    #[test]
    fn aliases_cannot_make_a_file_endless() {
        let mut text = "a: &a [x, x, x, x, x, x, x, x]\n".to_owned();
        for (name, of) in ["b", "c", "d", "e", "f", "g"].into_iter().zip(["a", "b", "c", "d", "e", "f"]) {
            text.push_str(&format!("{name}: &{name} [*{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}]\n"));
        }
        assert!(read(&text).unwrap_err().text.contains("more than 50000 values"));
    }
}
