//! Splits an expression into tokens, and checks that each of them may follow the one before it.
//!
//! The rules are those of actions/runner, `src/Sdk/Expressions/Tokens/LexicalAnalyzer.cs`.

use crate::number;

use super::tree::{Function, Operator, Syntax};
use super::value::Value;

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token<'a> {
    /// `(` around a part of an expression.
    Group,
    /// `(` behind the name of a function.
    Call,
    /// `[`
    Index,
    EndGroup,
    EndCall,
    EndIndex,
    Separator,
    Dot,
    Star,
    Not,
    Operator(Operator),
    Literal(Value),
    /// A name behind a dot.
    Property(&'a str),
    Function(Function),
    /// The name of a context.
    Name(&'a str),
}

impl Token<'_> {
    /// Whether an operand ends with it.
    const fn ends_operand(&self) -> bool {
        self.has_members() || matches!(self, Self::Literal(_))
    }

    /// Whether `.` or `[` may follow.
    const fn has_members(&self) -> bool {
        matches!(
            self,
            Self::EndGroup | Self::EndCall | Self::EndIndex | Self::Star | Self::Property(_) | Self::Name(_)
        )
    }

    /// Whether an operand may follow.
    const fn begins_operand(&self) -> bool {
        matches!(
            self,
            Self::Separator | Self::Group | Self::Call | Self::Index | Self::Not | Self::Operator(_)
        )
    }
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    /// Where the rest begins, in bytes.
    at: usize,
    last: Option<Token<'a>>,
    /// The brackets that are open, as the tokens that opened them.
    open: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0, last: None, open: Vec::new() }
    }

    /// Returns the next token, or `None` at a proper end.
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, Syntax> {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        let Some(first) = rest.chars().next() else {
            let is_complete = self.open.is_empty() && self.last.as_ref().is_some_and(Token::ends_operand);
            return if is_complete { Ok(None) } else { Err(Syntax::End) };
        };
        let (token, length) = self.read(first, rest)?;
        self.check(&token, &rest[..length])?;
        self.at += length;
        self.last = Some(token.clone());
        Ok(Some(token))
    }

    fn unexpected(&self, text: &str) -> Syntax {
        let lone = match text {
            "=" => Some("=="),
            "&" => Some("&&"),
            "|" => Some("||"),
            _ => None,
        };
        Syntax::Unexpected { text: text.to_owned(), at: self.text[..self.at].chars().count() + 1, lone }
    }

    /// Reads the token at the start of `rest`. Returns it with its length in bytes.
    fn read(&self, first: char, rest: &'a str) -> Result<(Token<'a>, usize), Syntax> {
        let token = match first {
            '(' if matches!(self.last, Some(Token::Function(_))) => Token::Call,
            '(' => Token::Group,
            ')' if matches!(self.open.last(), Some(Token::Call)) => Token::EndCall,
            ')' => Token::EndGroup,
            '[' => Token::Index,
            ']' => Token::EndIndex,
            ',' => Token::Separator,
            '*' => Token::Star,
            '\'' => return self.quoted(rest),
            '!' | '>' | '<' | '=' | '&' | '|' => return self.operator(rest),
            '.' if self.last.as_ref().is_some_and(|last| !last.begins_operand()) => Token::Dot,
            '.' | '-' | '+' | '0'..='9' => return self.number(rest),
            _ => return self.keyword(rest),
        };
        Ok((token, 1))
    }

    fn quoted(&self, rest: &'a str) -> Result<(Token<'a>, usize), Syntax> {
        let mut from = 1;
        while let Some(end) = rest[from..].find('\'') {
            let behind = from + end + 1;
            if !rest[behind..].starts_with('\'') {
                let text = rest[1..behind - 1].replace("''", "'");
                return Ok((Token::Literal(Value::Text(text)), behind));
            }
            from = behind + 1;
        }
        Err(self.unexpected(rest))
    }

    fn operator(&self, rest: &'a str) -> Result<(Token<'a>, usize), Syntax> {
        let known = [
            ("!=", Token::Operator(Operator::NotEqual)),
            (">=", Token::Operator(Operator::GreaterOrEqual)),
            ("<=", Token::Operator(Operator::LessOrEqual)),
            ("==", Token::Operator(Operator::Equal)),
            ("&&", Token::Operator(Operator::And)),
            ("||", Token::Operator(Operator::Or)),
            ("!", Token::Not),
            (">", Token::Operator(Operator::Greater)),
            ("<", Token::Operator(Operator::Less)),
        ];
        let found = known.into_iter().find(|(written, _)| rest.starts_with(written));
        found.map(|(written, token)| (token, written.len())).ok_or_else(|| self.unexpected(&rest[..1]))
    }

    fn number(&self, rest: &'a str) -> Result<(Token<'a>, usize), Syntax> {
        let length = rest[1..].find(|c| is_boundary(c) && c != '.').map_or(rest.len(), |at| at + 1);
        let number = number::of_text(&rest[..length]);
        if number.is_nan() {
            return Err(self.unexpected(&rest[..length]));
        }
        Ok((Token::Literal(Value::Number(number)), length))
    }

    fn keyword(&self, rest: &'a str) -> Result<(Token<'a>, usize), Syntax> {
        let length = rest.find(is_boundary).unwrap_or(rest.len());
        let word = &rest[..length];
        let is_legal = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !is_legal {
            return Err(self.unexpected(word));
        }
        let token = match word {
            _ if self.last == Some(Token::Dot) => Token::Property(word),
            "null" => Token::Literal(Value::Null),
            "true" => Token::Literal(Value::Bool(true)),
            "false" => Token::Literal(Value::Bool(false)),
            "NaN" => Token::Literal(Value::Number(f64::NAN)),
            "Infinity" => Token::Literal(Value::Number(f64::INFINITY)),
            _ if rest[length..].trim_start().starts_with('(') => match Function::named(word) {
                Some(function) => Token::Function(function),
                None => return Err(Syntax::UnknownFunction(word.to_owned())),
            },
            _ => Token::Name(word),
        };
        Ok((token, length))
    }

    /// Checks that a token fits what is before it, and keeps the brackets.
    fn check(&mut self, token: &Token<'a>, text: &str) -> Result<(), Syntax> {
        let last = self.last.as_ref();
        let is_legal = match token {
            Token::Group | Token::Not | Token::Literal(_) | Token::Function(_) | Token::Name(_) => {
                last.is_none_or(Token::begins_operand)
            }
            Token::Call => matches!(last, Some(Token::Function(_))),
            Token::Index | Token::Dot => last.is_some_and(Token::has_members),
            Token::Star => matches!(last, Some(Token::Index | Token::Dot)),
            Token::Property(_) => matches!(last, Some(Token::Dot)),
            Token::EndCall => last.is_some_and(|last| last.ends_operand() || *last == Token::Call),
            Token::EndGroup | Token::EndIndex | Token::Separator | Token::Operator(_) => {
                last.is_some_and(Token::ends_operand)
            }
        };
        let opener = match token {
            Token::EndGroup => Some(Token::Group),
            Token::EndIndex => Some(Token::Index),
            Token::EndCall | Token::Separator => Some(Token::Call),
            _ => None,
        };
        let is_inside = opener.is_none() || self.open.last() == opener.as_ref();
        if !is_legal || !is_inside {
            return Err(self.unexpected(text));
        }
        match token {
            Token::Group | Token::Index | Token::Call => self.open.push(token.clone()),
            Token::EndGroup | Token::EndIndex | Token::EndCall => drop(self.open.pop()),
            _ => {}
        }
        Ok(())
    }
}

/// Whether a character ends a name or a number.
const fn is_boundary(c: char) -> bool {
    matches!(c, '(' | '[' | ')' | ']' | ',' | '.' | '!' | '>' | '<' | '=' | '&' | '|') || c.is_whitespace()
}
