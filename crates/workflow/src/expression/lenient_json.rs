//! JSON as `fromJSON` takes it.
//!
//! GitHub reads with Newtonsoft's `JsonTextReader`, which takes more than JSON: texts in single quotes and over several
//! lines, keys without quotes, commas behind the last item, comments between items, `NaN` and `Infinity`. Text behind the
//! first value is not read. (actions/runner, `src/Sdk/Expressions/Sdk/Functions/FromJson.cs`)

use super::value::Value;

/// Newtonsoft's limit of nested lists and mappings.
const MAX_DEPTH: usize = 64;

/// Reads the first value of a text.
///
/// # Errors
///
/// Returns what is wrong, with its place.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let chars: Vec<char> = text.chars().collect();
    let mut reader = Reader { chars: &chars, at: 0, depth: 0 };
    reader.spaces();
    // A comment before the value would be the value for GitHub.
    reader.value()
}

struct Reader<'a> {
    chars: &'a [char],
    at: usize,
    depth: usize,
}

type Read<T> = Result<T, String>;

impl Reader<'_> {
    fn value(&mut self) -> Read<Value> {
        match self.peek() {
            Some('{') => self.nested(Self::map),
            Some('[') => self.nested(Self::list),
            Some(quote @ ('"' | '\'')) => self.text(quote).map(Value::Text),
            Some(c) if c.is_ascii_digit() || c == '-' || c == '.' => self.number(),
            _ => self.word(),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Read<Value>) -> Read<Value> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.wrong(&format!("there are more than {MAX_DEPTH} levels"));
        }
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn list(&mut self) -> Read<Value> {
        let mut items = Vec::new();
        loop {
            self.gap()?;
            if self.takes(']') {
                return Ok(Value::List(items));
            }
            items.push(self.value()?);
            self.separator(']')?;
        }
    }

    fn map(&mut self) -> Read<Value> {
        let mut map = Value::Map(Vec::new());
        loop {
            self.gap()?;
            if self.takes('}') {
                return Ok(map);
            }
            let key = match self.peek() {
                Some(quote @ ('"' | '\'')) => self.text(quote)?,
                _ => match self.bare(|c| c.is_alphanumeric() || c == '_' || c == '$') {
                    key if key.is_empty() => return self.wrong("a key is expected"),
                    key => key,
                },
            };
            self.gap()?;
            if !self.takes(':') {
                return self.wrong("`:` is expected");
            }
            self.gap()?;
            // The last value of a key applies.
            let value = self.value()?;
            map.set(&key, value);
            self.separator('}')?;
        }
    }

    /// Takes a comma, or stops before the end of a list or a mapping.
    fn separator(&mut self, end: char) -> Read<()> {
        self.gap()?;
        if self.takes(',') || self.peek() == Some(end) {
            return Ok(());
        }
        self.wrong(&format!("`,` or `{end}` is expected"))
    }

    fn text(&mut self, quote: char) -> Read<String> {
        self.at += 1;
        // UTF-16, as a character may be written as two escapes.
        let mut units: Vec<u16> = Vec::new();
        while let Some(c) = self.next() {
            let c = match c {
                c if c == quote => return Ok(String::from_utf16_lossy(&units)),
                '\\' => match self.next() {
                    Some('b') => '\u{8}',
                    Some('f') => '\u{c}',
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some(c @ ('\\' | '/' | '"' | '\'')) => c,
                    Some('u') => {
                        units.push(self.escaped_unit()?);
                        continue;
                    }
                    _ => return self.wrong("the escape before this place is not known"),
                },
                c => c,
            };
            units.extend(c.encode_utf16(&mut [0; 2]).iter());
        }
        self.wrong(&format!("`{quote}` is expected"))
    }

    fn escaped_unit(&mut self) -> Read<u16> {
        let digits: String = self.chars.iter().skip(self.at).take(4).collect();
        let is_whole = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        match u16::from_str_radix(&digits, 16) {
            Ok(unit) if is_whole => {
                self.at += 4;
                Ok(unit)
            }
            _ => self.wrong("four hexadecimal digits are expected"),
        }
    }

    fn number(&mut self) -> Read<Value> {
        if self.chars[self.at..].starts_with(&['-', 'I']) {
            self.at += 1;
            let word = self.bare(char::is_alphanumeric);
            return if word == "Infinity" {
                Ok(Value::Number(f64::NEG_INFINITY))
            } else {
                self.wrong("a number is expected before this place")
            };
        }
        let digits = self.bare(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        let whole = digits.trim_start_matches('-').split(['.', 'e', 'E']).next().unwrap_or_default();
        let is_decimal = digits.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
        // Newtonsoft reads a number with a zero before it as octal. Nobody means that.
        let is_octal = whole.len() > 1 && whole.starts_with('0');
        match digits.parse() {
            Ok(number) if is_decimal && !is_octal => Ok(Value::Number(number)),
            _ => self.wrong(&format!("`{digits}` before this place is not a number")),
        }
    }

    fn word(&mut self) -> Read<Value> {
        let start = self.at;
        match self.bare(char::is_alphanumeric).as_str() {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            "null" => Ok(Value::Null),
            "NaN" => Ok(Value::Number(f64::NAN)),
            "Infinity" => Ok(Value::Number(f64::INFINITY)),
            _ => {
                self.at = start;
                self.wrong("a value is expected")
            }
        }
    }

    /// Takes all characters of a kind.
    fn bare(&mut self, fits: impl Fn(char) -> bool) -> String {
        let taken: String = self.chars[self.at..].iter().copied().take_while(|c| fits(*c)).collect();
        self.at += taken.chars().count();
        taken
    }

    /// Skips spaces and comments.
    fn gap(&mut self) -> Read<()> {
        loop {
            self.spaces();
            match self.chars.get(self.at..self.at + 2) {
                Some(['/', '/']) => drop(self.bare(|c| c != '\n' && c != '\r')),
                Some(['/', '*']) => {
                    let behind = self.chars[self.at + 2..].windows(2).position(|pair| pair == ['*', '/']);
                    match behind {
                        Some(length) => self.at += length + 4,
                        None => return self.wrong("the comment has no end"),
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn spaces(&mut self) {
        self.bare(char::is_whitespace);
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    fn takes(&mut self, expected: char) -> bool {
        let is_there = self.peek() == Some(expected);
        self.at += usize::from(is_there);
        is_there
    }

    fn wrong<T>(&self, what: &str) -> Read<T> {
        let before = &self.chars[..self.at];
        let line = 1 + before.iter().filter(|c| **c == '\n').count();
        let column = 1 + before.iter().rev().take_while(|c| **c != '\n').count();
        Err(format!("{what} at line {line} column {column}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_newtonsoft_reads_are_read() {
        for (text, expected) in [
            ("['a', \"b\",]", r#"["a","b"]"#),
            ("{os: 'linux', $v_1: .5, \"\": -1e2,}", r#"{"os":"linux","$v_1":0.5,"":-100}"#),
            ("[1, // one\n 2 /* two\n */, 3]", "[1,2,3]"),
            ("\"a\nb\\u00e9\\uD83D\\uDE00\\'\"", r#""a\nbé😀'""#),
            ("[1] and more", "[1]"),
            ("1 2", "1"),
            ("[true, null, [], {}]", "[true,null,[],{}]"),
        ] {
            let value = read(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
            assert_eq!(serde_json::to_string(&value).unwrap(), expected, "{text}");
        }
        assert!(matches!(read("NaN"), Ok(Value::Number(number)) if number.is_nan()));
        assert_eq!(read("[-Infinity]"), Ok(Value::List(vec![Value::Number(f64::NEG_INFINITY)])));
    }

    #[test]
    fn what_newtonsoft_refuses_is_refused_with_its_place() {
        for (text, wrong) in [
            ("not json", "a value is expected at line 1 column 1"),
            ("[1,\n2 3]", "`,` or `]` is expected at line 2 column 3"),
            ("[1,,2]", "a value is expected at line 1 column 4"),
            ("[1", "`,` or `]` is expected at line 1 column 3"),
            ("{a-b: 1}", "`:` is expected at line 1 column 3"),
            ("{: 1}", "a key is expected at line 1 column 2"),
            ("'a", "`'` is expected at line 1 column 3"),
            ("'\\x'", "the escape before this place is not known at line 1 column 4"),
            ("'\\u12'", "four hexadecimal digits are expected at line 1 column 4"),
            ("010", "`010` before this place is not a number at line 1 column 4"),
            ("2026-12-01", "`2026-12-01` before this place is not a number at line 1 column 11"),
            ("/* a", "a value is expected at line 1 column 1"),
            ("[/* a", "the comment has no end at line 1 column 2"),
        ] {
            assert_eq!(read(text), Err(wrong.to_owned()), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(read(&deep), Err("there are more than 64 levels at line 1 column 65".to_owned()));
    }
}
