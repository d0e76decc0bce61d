//! The lines of a log. A job's output is untrusted: it must neither control a
//! terminal nor hide other text.

use std::borrow::Cow;

use jiff::Timestamp;

const ESCAPE: char = '\u{1b}';
const BELL: char = '\u{7}';
const STRING_TERMINATOR: char = '\u{9c}';

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// When the runner read the line; `None` if GitHub gives no time, as within a
    /// message of several lines.
    pub at: Option<Timestamp>,
    /// The text without the time, terminal escapes and control characters other
    /// than tabs.
    pub text: Cow<'a, str>,
}

/// Splits a log into lines. A carriage return ends a line too, so that text which
/// a progress bar overwrote is shown, as several lines with one time.
pub(super) fn lines(log: &str) -> impl Iterator<Item = Line<'_>> {
    log.split_terminator('\n').flat_map(|line| {
        let (at, text) = timed(line);
        text.trim_end_matches('\r').split('\r').map(move |text| Line { at, text: without_escapes(text) })
    })
}

/// Splits the time from a line such as `2026-11-28T20:56:33.2965012Z hello`.
fn timed(line: &str) -> (Option<Timestamp>, &str) {
    // A log starts with a byte order mark, and so does each 2 MB block of a long log.
    let line = line.trim_start_matches('\u{feff}');
    let (first, rest) = line.split_once(' ').unwrap_or((line.trim_end(), ""));
    // Only the runner's format counts. Another time that a job prints stays in its text.
    let is_time = first.len() >= "2026-11-28T20:56:33Z".len()
        && first.as_bytes().get(10) == Some(&b'T')
        && first.ends_with('Z');
    match first.parse() {
        Ok(at) if is_time => (Some(at), rest),
        _ => (None, line),
    }
}

/// Removes terminal escapes and control characters, except tabs.
fn without_escapes(text: &str) -> Cow<'_, str> {
    let is_removed = |c: char| c.is_control() && c != '\t';
    if !text.contains(is_removed) {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(is_removed) {
        shown.push_str(&rest[..at]);
        rest = after_control(&rest[at..]);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// Returns the text after a control character or the sequence that it starts (ECMA-48).
fn after_control(text: &str) -> &str {
    let mut chars = text.chars();
    let first = chars.next();
    let rest = chars.as_str();
    match first {
        Some(ESCAPE) => after_escape(rest),
        Some('\u{9b}') => after_control_sequence(rest),
        Some('\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}') => after_control_string(rest),
        _ => rest,
    }
}

fn after_escape(text: &str) -> &str {
    let mut chars = text.chars();
    let first = chars.next();
    let rest = chars.as_str();
    match first {
        Some('[') => after_control_sequence(rest),
        Some(']' | 'P' | 'X' | '^' | '_') => after_control_string(rest),
        Some(' '..='/') => {
            let rest = rest.trim_start_matches(|c| matches!(c, ' '..='/'));
            rest.strip_prefix(|c| matches!(c, '0'..='~')).unwrap_or(rest)
        }
        Some('0'..='~') => rest,
        _ => text,
    }
}

/// Skips parameters, intermediates and a final character, such as `31;1m`.
fn after_control_sequence(text: &str) -> &str {
    let text = text.trim_start_matches(|c| matches!(c, '0'..='?'));
    let text = text.trim_start_matches(|c| matches!(c, ' '..='/'));
    text.strip_prefix(|c| matches!(c, '@'..='~')).unwrap_or(text)
}

/// Skips a text for the terminal, such as its title. A text that does not end
/// within its line is shown, because it would hide the rest of the line.
fn after_control_string(text: &str) -> &str {
    // Stop at the first control character, so that the work stays linear in the line's length.
    let Some(end) = text.find(char::is_control) else { return text };
    let rest = &text[end..];
    let terminators = [String::from(BELL), String::from(STRING_TERMINATOR), format!("{ESCAPE}\\")];
    terminators.iter().find_map(|it| rest.strip_prefix(it.as_str())).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(log: &str) -> Vec<String> {
        lines(log).map(|line| line.text.into_owned()).collect()
    }

    #[test]
    fn a_line_is_told_with_its_time_and_without_the_byte_order_mark() {
        let log = "\u{feff}2026-11-28T20:56:33.2965012Z ##[group]Run echo hi\n2026-11-28T20:56:33.3000000Z\tno\n\
                   2026-11-28T20:56:34.0000000Z \n  indented\n2026-11-28T20:56:35.1234567Z last";
        let told: Vec<_> =
            lines(log).map(|line| (line.at.map(|at| at.to_string()), line.text.into_owned())).collect();
        let at = |time: &str| Some(format!("2026-11-28T20:56:{time}Z"));
        assert_eq!(
            told,
            [
                (at("33.2965012"), "##[group]Run echo hi".to_owned()),
                (None, "2026-11-28T20:56:33.3000000Z\tno".to_owned()),
                (at("34"), String::new()),
                (None, "  indented".to_owned()),
                (at("35.1234567"), "last".to_owned()),
            ]
        );
    }

    #[test]
    fn each_block_of_a_long_log_begins_with_a_byte_order_mark() {
        let log = "\u{feff}2026-11-28T20:56:33.2965012Z one\n\u{feff}2026-11-28T20:56:34.2965012Z two\n";
        assert_eq!(texts(log), ["one", "two"]);
        assert!(lines(log).all(|line| line.at.is_some()));
    }

    #[test]
    fn a_time_that_is_not_the_runners_stays_in_the_text() {
        for text in
            ["2026-11-28T20:56:33+01:00 a", "2026-11-28 20:56:33Z a", "20261128T205633Z a", "Z a", "", "é Z"]
        {
            let log = format!("{text}\n");
            let line = lines(&log).next().unwrap();
            assert_eq!((line.at, line.text.as_ref()), (None, text));
        }
    }

    #[test]
    fn terminal_escapes_are_removed_and_tabs_stay() {
        for (printed, shown) in [
            ("\x1b[31;1mred\x1b[0m\tplain", "red\tplain"),
            ("\x1b[38:2::1:2:3mcolour", "colour"),
            ("\x1b[?25l\x1b[2J\x1b[Hclear", "clear"),
            ("\x1b]0;a title\x07text", "text"),
            ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\u{9b}31mred\u{9d}0;title\u{9c}text", "redtext"),
            ("\x1bPq#0;2;0~\x1b\\sixel", "sixel"),
            ("\x1b(Bascii \x1b7\x1b8\x1bcreset", "ascii reset"),
            ("bell\x07 back\x08 null\0 delete\x7f", "bell back null delete"),
            ("\x1b", ""),
            ("\x1b[", ""),
            ("\x1b[31", ""),
            ("\x1bé", "é"),
            ("\x1b\x1b[1mtwice", "twice"),
        ] {
            assert_eq!(texts(printed), [shown], "{printed:?}");
        }
    }

    #[test]
    fn a_control_string_without_an_end_hides_nothing() {
        assert_eq!(texts("\x1b]0;title and text\nnext"), ["0;title and text", "next"]);
        assert_eq!(texts("\x1b]0;title\x1b[31m and text"), ["0;title and text"]);
    }

    #[test]
    fn what_a_progress_bar_overwrote_is_shown_in_lines_of_their_own() {
        let log = "2026-11-28T20:56:33.2965012Z 10%\r20%\r\r\n2026-11-28T20:56:34.2965012Z done\r\n";
        assert_eq!(texts(log), ["10%", "20%", "done"]);
        assert!(lines(log).all(|line| line.at.is_some()));
    }

    #[test]
    fn a_hostile_line_is_cleaned_in_linear_time() {
        // Quadratic work on this line would take hours.
        let hostile = "\u{9d}\x1b]a".repeat(1_000_000);
        let shown = texts(&hostile);
        assert_eq!(shown[0].len(), 1_000_000);
        assert_eq!(texts(&"\x1b[1;".repeat(1_000_000)), [""]);
    }

    #[test]
    fn no_sequence_leaves_a_control_character_other_than_a_tab() {
        let alphabet =
            ['\x1b', '[', ']', '\\', ';', '1', 'm', ' ', '\t', '\x07', '\r', '\u{9b}', '\u{9c}', 'é'];
        let mut sequences = vec![String::new()];
        for _ in 0..5 {
            sequences = sequences
                .iter()
                .flat_map(|before| alphabet.iter().map(move |next| format!("{before}{next}")))
                .collect();
            for sequence in &sequences {
                for text in texts(sequence) {
                    assert!(
                        !text.contains(|c: char| c.is_control() && c != '\t'),
                        "{sequence:?} is {text:?}"
                    );
                }
            }
        }
    }
}
