//! How text is shown: text that others chose, such as names from a workflow or headers of a request, and errors.

use std::error::Error;
use std::fmt::{self, Write};

/// Returns whether a character is not visible or changes how others are shown: control characters, zero-width ones,
/// and those that set the direction of text (Unicode's categories Cc, Zl and Zp, the blank of Braille, and what is in
/// `Default_Ignorable_Code_Point` of Unicode 16 or in Cf without the number signs of some scripts). The two selectors
/// that show a sign as text or as an emoji are not hidden: names have them.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Shows the first characters of a text, with hidden ones as escapes such as `\u{202e}`. A text that is longer ends with
/// its number of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Outside<'a> {
    text: &'a str,
    max_chars: usize,
}

impl<'a> Outside<'a> {
    /// How many characters an error or a table shows.
    pub const MAX_CHARS: usize = 300;

    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self { text, max_chars: Self::MAX_CHARS }
    }

    #[must_use]
    pub const fn up_to(self, max_chars: usize) -> Self {
        Self { max_chars, ..self }
    }
}

impl fmt::Display for Outside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.text.chars();
        for c in chars.by_ref().take(self.max_chars) {
            if is_hidden(c) { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        if chars.next().is_some() { write!(f, "… ({} bytes)", self.text.len()) } else { Ok(()) }
    }
}

/// Returns a text for a page in HTML, as content of an element or as the value of an attribute in quotes.
#[must_use]
pub fn html_escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
        safe
    })
}

/// Returns an error and its chain of causes in one line, such as `the file cannot be read: no such file`.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn no_character_of_a_text_can_end_an_attribute_or_begin_an_element() {
        assert_eq!(html_escaped("<a b=\"c\" d='e'> & ü"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt; &amp; ü");
    }

    #[test]
    fn an_error_is_shown_with_all_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("{words}")]
        struct Fault {
            words: &'static str,
            source: io::Error,
        }
        let middle = io::Error::other(Fault { words: "middle", source: io::Error::other("last") });
        let first = Fault { words: "first", source: io::Error::other(middle) };
        // An `io::Error` shows what it contains, and has its cause.
        assert_eq!(chain(&first), "first: middle: last");
    }

    #[test]
    fn hidden_characters_are_shown_as_escapes_and_others_as_they_are() {
        for (text, shown) in [
            ("build (größe, 漢字, 🚀)", "build (größe, 漢字, 🚀)"),
            ("a\u{1b}[31m\nb", r"a\u{1b}[31m\nb"),
            ("ev\u{202e}live\u{200b}", r"ev\u{202e}live\u{200b}"),
            ("\u{2066}\u{feff}\u{e0041}\u{9b}", r"\u{2066}\u{feff}\u{e0041}\u{9b}"),
            ("\u{34f}\u{115f}\u{1160}\u{2800}", r"\u{34f}\u{115f}\u{1160}\u{2800}"),
            ("\u{17b4}\u{180b}\u{fe00}\u{fff0}", r"\u{17b4}\u{180b}\u{fe00}\u{fff0}"),
            ("⚙\u{fe0f} 한글", "⚙\u{fe0f} 한글"),
        ] {
            assert_eq!(Outside::new(text).to_string(), shown);
        }
    }

    #[test]
    fn a_long_text_is_cut_and_says_how_long_it_is() {
        let exact = "x".repeat(Outside::MAX_CHARS);
        assert_eq!(Outside::new(&exact).to_string(), exact);
        assert_eq!(Outside::new(&format!("{exact}é")).to_string(), format!("{exact}… (302 bytes)"));
    }
}
