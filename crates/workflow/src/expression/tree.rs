//! Parses expressions into trees, as GitHub does.
//!
//! Parsing does not recurse, and a tree is never deeper than GitHub's limit. So whatever walks a tree may recurse.
//! (actions/runner, `src/Sdk/Expressions/ExpressionParser.cs`)

use super::lexer::{Lexer, Token};
use super::value::Value;

/// GitHub's limit of nodes within each other. Groups do not count, and a row of `&&` or of `||` is one node.
const MAX_DEPTH: usize = 50;

/// GitHub's limit of an expression, in UTF-16 code units. A text around expressions is one expression.
pub(crate) const MAX_LENGTH: usize = 21_000;

/// A parsed expression.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Node {
    Literal(Value),
    /// A context.
    Name(String),
    /// `*`
    Star,
    /// `a.b` or `a[b]`: what has members, and which one is taken.
    Index(Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Compare(Operator, Box<Node>, Box<Node>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operator {
    And,
    Or,
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Function {
    Contains,
    StartsWith,
    EndsWith,
    Format,
    Join,
    ToJson,
    FromJson,
    HashFiles,
    Case,
    Success,
    Failure,
    Cancelled,
    Always,
}

/// Why an expression cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Syntax {
    #[error("{} at character {at}", .lone.map_or_else(|| format!("unexpected symbol `{text}`"), |lone| format!("expected `{lone}`")))]
    Unexpected {
        text: String,
        /// Counts characters from 1.
        at: usize,
        /// The operator that is only half there.
        lone: Option<&'static str>,
    },
    #[error("it ends too early")]
    End,
    #[error(
        "`{0}` is not a function: `contains`, `startsWith`, `format` or `fromJSON`, for example, is expected"
    )]
    UnknownFunction(String),
    #[error("`{0}` takes {1}")]
    Arguments(&'static str, String),
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    Depth,
    #[error("it has more than {MAX_LENGTH} characters: GitHub takes no more")]
    Length,
}

impl Function {
    const ALL: [Self; 13] = [
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::Format,
        Self::Join,
        Self::ToJson,
        Self::FromJson,
        Self::HashFiles,
        Self::Case,
        Self::Success,
        Self::Failure,
        Self::Cancelled,
        Self::Always,
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name().eq_ignore_ascii_case(name))
    }

    /// Returns its name as GitHub documents it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Format => "format",
            Self::Join => "join",
            Self::ToJson => "toJSON",
            Self::FromJson => "fromJSON",
            Self::HashFiles => "hashFiles",
            Self::Case => "case",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Always => "always",
        }
    }

    pub(super) const fn is_status(self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Cancelled | Self::Always)
    }

    /// Returns how many arguments it takes, at least and at most.
    const fn counts(self) -> (usize, usize) {
        const MANY: usize = 255;
        match self {
            Self::Success | Self::Failure | Self::Cancelled | Self::Always => (0, 0),
            Self::ToJson | Self::FromJson => (1, 1),
            Self::Join => (1, 2),
            Self::Contains | Self::StartsWith | Self::EndsWith => (2, 2),
            Self::Format | Self::HashFiles => (1, MANY),
            Self::Case => (3, MANY),
        }
    }

    fn check(self, count: usize) -> Result<(), Syntax> {
        let expected = match self.counts() {
            (least, most) if (least..=most).contains(&count) => {
                if self != Self::Case || count % 2 == 1 {
                    return Ok(());
                }
                "an odd number of arguments".to_owned()
            }
            (0, 0) => "no argument".to_owned(),
            (1, 1) => "1 argument".to_owned(),
            (2, 2) => "2 arguments".to_owned(),
            (1, 2) => "1 or 2 arguments".to_owned(),
            (least, _) if count < least => {
                format!("at least {least} argument{}", if least == 1 { "" } else { "s" })
            }
            (_, most) => format!("at most {most} arguments"),
        };
        Err(Syntax::Arguments(self.name(), expected))
    }
}

impl Operator {
    /// Returns how tightly it binds.
    const fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Equal | Self::NotEqual => 3,
            Self::Greater | Self::GreaterOrEqual | Self::Less | Self::LessOrEqual => 4,
        }
    }
}

/// What waits for operands.
enum Pending {
    Group,
    Index,
    /// A call, and how many operands there were before its arguments.
    Call(Function, usize),
    Not,
    Operator(Operator),
}

impl Pending {
    /// Returns how tightly it binds. A bracket ends only where it is closed.
    const fn precedence(&self) -> Option<u8> {
        match self {
            Self::Group | Self::Index | Self::Call(..) => None,
            Self::Not => Some(5),
            Self::Operator(operator) => Some(operator.precedence()),
        }
    }
}

/// A node and its depth, itself included.
type Operand = (Node, usize);

#[derive(Default)]
struct Parser {
    operands: Vec<Operand>,
    pending: Vec<Pending>,
    /// Whether the last token was a dot.
    after_dot: bool,
}

/// Parses an expression without its `${{` and `}}`.
pub(super) fn parse(expression: &str) -> Result<Node, Syntax> {
    if expression.encode_utf16().count() > MAX_LENGTH {
        return Err(Syntax::Length);
    }
    let mut lexer = Lexer::new(expression);
    let mut parser = Parser::default();
    while let Some(token) = lexer.next()? {
        parser.take(token)?;
    }
    parser.apply_down_to(0)?;
    parser.operands.pop().map(|(node, _)| node).ok_or(Syntax::End)
}

impl Parser {
    fn take(&mut self, token: Token<'_>) -> Result<(), Syntax> {
        let after_dot = std::mem::take(&mut self.after_dot);
        match token {
            Token::Literal(value) => self.push(Node::Literal(value), 0)?,
            Token::Name(name) => self.push(Node::Name(name.to_owned()), 0)?,
            Token::Star if after_dot => self.index((Node::Star, 1))?,
            Token::Star => self.push(Node::Star, 0)?,
            Token::Property(name) => self.index((Node::Literal(name.into()), 1))?,
            Token::Dot => self.after_dot = true,
            Token::Function(function) => self.pending.push(Pending::Call(function, self.operands.len())),
            // Its function is there already.
            Token::Call => {}
            Token::Group => self.pending.push(Pending::Group),
            Token::Index => self.pending.push(Pending::Index),
            Token::Not => self.pending.push(Pending::Not),
            Token::Operator(operator) => {
                self.apply_down_to(operator.precedence())?;
                self.pending.push(Pending::Operator(operator));
            }
            Token::Separator => self.apply_down_to(0)?,
            Token::EndGroup => {
                self.apply_down_to(0)?;
                self.pending.pop();
            }
            Token::EndIndex => {
                self.apply_down_to(0)?;
                self.pending.pop();
                let member = self.operand()?;
                self.index(member)?;
            }
            Token::EndCall => {
                self.apply_down_to(0)?;
                if let Some(Pending::Call(function, from)) = self.pending.pop() {
                    let arguments = self.operands.split_off(from.min(self.operands.len()));
                    function.check(arguments.len())?;
                    let depth = arguments.iter().map(|(_, depth)| *depth).max().unwrap_or_default();
                    let arguments = arguments.into_iter().map(|(node, _)| node).collect();
                    self.push(Node::Call(function, arguments), depth)?;
                }
            }
        }
        Ok(())
    }

    /// Adds a node. `below` is the depth of what is in it.
    fn push(&mut self, node: Node, below: usize) -> Result<(), Syntax> {
        if below >= MAX_DEPTH {
            return Err(Syntax::Depth);
        }
        self.operands.push((node, below + 1));
        Ok(())
    }

    fn operand(&mut self) -> Result<Operand, Syntax> {
        self.operands.pop().ok_or(Syntax::End)
    }

    fn index(&mut self, (member, depth): Operand) -> Result<(), Syntax> {
        let (of, below) = self.operand()?;
        self.push(Node::Index(Box::new(of), Box::new(member)), below.max(depth))
    }

    /// Applies the operators that wait behind the last open bracket and bind at least as tightly as this.
    fn apply_down_to(&mut self, precedence: u8) -> Result<(), Syntax> {
        while self.pending.last().and_then(Pending::precedence).is_some_and(|waiting| waiting >= precedence) {
            match self.pending.pop() {
                Some(Pending::Operator(operator)) => self.apply(operator)?,
                _ => {
                    let (node, depth) = self.operand()?;
                    self.push(Node::Not(Box::new(node)), depth)?;
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, operator: Operator) -> Result<(), Syntax> {
        let (right, left) = (self.operand()?, self.operand()?);
        match operator {
            Operator::And => {
                let (nodes, below) = row(left, right, |node| match node {
                    Node::And(nodes) => Ok(nodes),
                    other => Err(other),
                });
                self.push(Node::And(nodes), below)
            }
            Operator::Or => {
                let (nodes, below) = row(left, right, |node| match node {
                    Node::Or(nodes) => Ok(nodes),
                    other => Err(other),
                });
                self.push(Node::Or(nodes), below)
            }
            compared => {
                let below = left.1.max(right.1);
                self.push(Node::Compare(compared, Box::new(left.0), Box::new(right.0)), below)
            }
        }
    }
}

/// Joins two operands to a row. One that is a row of the same kind becomes a part of it. Returns the depth below the row
/// as well.
fn row(left: Operand, right: Operand, parts: impl Fn(Node) -> Result<Vec<Node>, Node>) -> (Vec<Node>, usize) {
    let open = |(node, depth): Operand| match parts(node) {
        Ok(nodes) => (nodes, depth - 1),
        Err(node) => (vec![node], depth),
    };
    let ((mut nodes, left), (more, right)) = (open(left), open(right));
    nodes.extend(more);
    (nodes, left.max(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_too_deep(expression: &str) -> bool {
        parse(expression).is_err_and(|wrong| wrong == Syntax::Depth)
    }

    #[test]
    fn a_row_and_groups_are_not_deep_at_any_length() {
        for expression in [
            vec!["1"; 7_000].join("||"),
            vec!["github.ref=='x'"; 1_200].join("&&"),
            format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
            format!("{}1{}", "(1||".repeat(3_000), ")".repeat(3_000)),
        ] {
            parse(&expression).unwrap();
        }
        assert_eq!(parse(&"1".repeat(MAX_LENGTH + 1)), Err(Syntax::Length));
        assert_eq!(parse(&format!("{}||", vec!["1"; 6_000].join("||"))), Err(Syntax::End));
    }

    #[test]
    fn nothing_is_deeper_than_at_github() {
        type Make = fn(usize) -> String;
        let cases: [(Make, usize); 6] = [
            (|count| format!("{}1", "!".repeat(count)), 49),
            (|count| format!("github{}", ".event".repeat(count)), 49),
            (|count| format!("github{}", "[0]".repeat(count)), 49),
            (|count| format!("{}1{}", "toJSON(".repeat(count), ")".repeat(count)), 49),
            (|count| vec!["1"; count + 1].join("<"), 49),
            (|count| format!("{}1{}", "1||(1&&(".repeat(count), "))".repeat(count)), 24),
        ];
        for (nested, most) in cases {
            assert!(parse(&nested(most)).is_ok(), "{}", nested(most));
            assert!(is_too_deep(&nested(most + 1)), "{}", nested(most + 1));
            assert!(is_too_deep(&nested(1_000)));
        }
    }

    #[test]
    fn operators_bind_as_at_github() {
        for (written, grouped) in [
            ("!a.b[0] == c", "(!(a.b[0])) == c"),
            ("a || b && c", "a || (b && c)"),
            ("a == b < c", "a == (b < c)"),
            ("a < b < c", "(a < b) < c"),
            ("a || (b || c)", "a || b || c"),
            ("contains(a, b || c).d", "(contains(a, (b || c))).d"),
        ] {
            assert_eq!(parse(written).unwrap(), parse(grouped).unwrap(), "{written}");
        }
        assert_ne!(parse("(a || b) && c").unwrap(), parse("a || b && c").unwrap());
    }

    #[test]
    fn what_is_no_expression_is_refused_with_its_place() {
        for (expression, wrong) in [
            ("a b", "unexpected symbol `b` at character 3"),
            ("ä", "unexpected symbol `ä` at character 1"),
            ("'ä' = b", "expected `==` at character 5"),
            ("a ||", "it ends too early"),
            ("contains(a", "it ends too early"),
            ("contains(a, b,)", "unexpected symbol `)` at character 15"),
            ("(a, b)", "unexpected symbol `,` at character 3"),
            ("a)", "unexpected symbol `)` at character 2"),
            ("a[0)", "unexpected symbol `)` at character 4"),
            ("'a'.b", "unexpected symbol `.` at character 4"),
            ("a.5", "unexpected symbol `5` at character 3"),
            ("'it", "unexpected symbol `'it` at character 1"),
            ("*", "unexpected symbol `*` at character 1"),
            (
                "x('a')",
                "`x` is not a function: `contains`, `startsWith`, `format` or `fromJSON`, for example, is expected",
            ),
            ("join()", "`join` takes 1 or 2 arguments"),
            ("contains(a)", "`contains` takes 2 arguments"),
            ("success('a')", "`success` takes no argument"),
            ("case(a, b, c, d)", "`case` takes an odd number of arguments"),
        ] {
            assert_eq!(parse(expression).unwrap_err().to_string(), wrong, "{expression}");
        }
    }
}
