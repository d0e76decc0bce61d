//! Output to stdout (tables for people, lines for programs, JSON), and messages to stderr.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};
use ecsrunner_core::text::is_hidden;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::arguments::TalkArguments;

/// The placeholder for a missing value in a table.
pub(crate) const NONE: &str = "—";

const GAP: u16 = 2;
/// A column with words is at least this wide, or as wide as its longest word.
const WORD: usize = 12;
/// A note below a row is indented by this.
const INDENT: &str = "    ";
/// A note has this width where the width of the terminal is not known.
const USUAL_WIDTH: u16 = 80;
/// Begins the line of a table in whose place a note is shown. No first cell of a table with notes begins with it.
const NOTE: char = '\u{e000}';

/// Rows below a header.
#[derive(Debug)]
pub(crate) struct Rows {
    header: Vec<&'static str>,
    right: Vec<usize>,
    rows: Vec<Vec<String>>,
    /// Notes for people, by the number of their rows.
    notes: BTreeMap<usize, String>,
}

impl Rows {
    /// Creates a table without rows. A heading that ends with `>` marks a right-aligned column.
    pub(crate) fn new(header: impl AsRef<[&'static str]>) -> Self {
        let header = header.as_ref();
        let right = header.iter().enumerate().filter(|(_, name)| name.ends_with('>'));
        let right = right.map(|(i, _)| i).collect();
        let header = header.iter().map(|name| name.trim_end_matches('>')).collect();
        Self { header, right, rows: Vec::new(), notes: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, row: impl AsRef<[String]>) {
        self.rows.push(row.as_ref().iter().map(|cell| clean(cell)).collect());
    }

    /// Shows a text below the last row, for people only: a sentence does not fit into a column.
    pub(crate) fn note(&mut self, text: &str) {
        if let Some(last) = self.rows.len().checked_sub(1) {
            self.notes.insert(last, clean(text));
        }
    }

    /// Returns a table for people, or tab-separated lines for programs.
    pub(crate) fn text(&self, for_people: bool) -> String {
        if for_people { self.table(None) } else { self.lines() }
    }

    /// `width` is that of the terminal; `None` if it is not known here.
    pub(crate) fn table(&self, width: Option<u16>) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        width.or_else(terminal_width).map(|width| table.set_width(known_width(width)));
        table.set_header(self.header.clone());
        for (i, row) in self.rows.iter().enumerate() {
            table.add_row(row);
            if self.notes.contains_key(&i) {
                table.add_row([NOTE.to_string()]);
            }
        }
        let last = self.header.len().saturating_sub(1);
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if i == last { 0 } else { GAP }));
            if self.right.contains(&i) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            let gap = usize::from(if i == last { 0 } else { GAP });
            let least = u16::try_from(self.least_width(i) + gap).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
        }
        let width = usize::from(table.width().unwrap_or(USUAL_WIDTH));
        let lines = table.to_string();
        let mut notes = self.notes.values();
        lines.lines().map(str::trim_end).fold(String::new(), |text, line| {
            if line.starts_with(NOTE) {
                notes.next().map_or_else(String::new, |note| text + &behind(INDENT, note, width))
            } else {
                text + line + "\n"
            }
        })
    }

    /// Returns the width that a column needs to be readable. A wrapped id, which is in the first column, cannot be copied,
    /// and a wrapped number cannot be read. Other cells are wrapped between words.
    fn least_width(&self, column: usize) -> usize {
        let longest_word = |text: &str| text.split(' ').map(UnicodeWidthStr::width).max().unwrap_or(0);
        let is_number = self.right.contains(&column);
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| match column {
            _ if is_number => cell.width(),
            0 => longest_word(cell),
            _ => longest_word(cell).min(WORD),
        });
        cells.chain(self.header.get(column).map(|name| longest_word(name))).max().unwrap_or(0)
    }

    fn lines(&self) -> String {
        self.rows.iter().fold(String::new(), |text, row| text + &row.join("\t") + "\n")
    }

    /// Returns comma-separated values with a header.
    pub(crate) fn csv(&self) -> String {
        let header = self.header.iter().map(|name| name.to_lowercase().replace(' ', "_")).collect();
        let rows = std::iter::once(header).chain(self.rows.iter().cloned());
        rows.fold(String::new(), |text, row| {
            let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
            text + &cells.join(",") + "\n"
        })
    }
}

/// Returns the width of the terminal on stdout in columns, or `None` if stdout is no terminal: programs get whole lines.
pub(crate) fn width_for_people() -> Option<usize> {
    is_for_people().then(|| usize::from(terminal_width().map_or(USUAL_WIDTH, known_width)))
}

/// Returns the width that the terminal on stdout reports.
fn terminal_width() -> Option<u16> {
    Table::new().width()
}

/// A terminal of 0 columns does not know its width, as over a serial line.
fn known_width(width: u16) -> u16 {
    if width == 0 { USUAL_WIDTH } else { width }
}

/// Wraps each line of a text between words, so that it is at most so many columns wide if its words allow it.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    text.lines().map(|line| behind("", line, width)).collect()
}

/// Wraps a text between words behind a heading: further lines are indented by the width of the heading, and of blanks at
/// the beginning of the text.
pub(crate) fn behind(heading: &str, text: &str, width: usize) -> String {
    let inset = text.len() - text.trim_start_matches(' ').len();
    let (blanks, text) = text.split_at(inset);
    let indent = heading.width() + inset;
    let most = width.saturating_sub(indent);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().filter(|line| line.is_empty() || line.width() + 1 + word.width() <= most);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    format!("{heading}{blanks}{}\n", lines.join(&format!("\n{}", " ".repeat(indent))))
}

/// Replaces control characters and hidden ones, so that names from a workflow cannot control the terminal or look like
/// others.
pub(crate) fn clean(text: &str) -> String {
    text.replace(is_hidden, "\u{fffd}")
}

/// Cleans a text of several lines and keeps its line ends.
pub(crate) fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// Cleans a line of a log and keeps its tabs.
pub(crate) fn clean_but_tabs(text: &str) -> String {
    text.split('\t').map(clean).collect::<Vec<_>>().join("\t")
}

/// Quotes a value as in RFC 4180, if it needs quotes.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// Returns whether stdout is a terminal.
pub(crate) fn is_for_people() -> bool {
    io::stdout().is_terminal()
}

/// Writes to stdout. Returns the error of a closed pipe to the caller.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes one JSON document to stdout.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", json(value)?))?;
    Ok(())
}

/// Returns JSON whose strings have hidden characters as escapes: a terminal obeys some of them, and a program reads the
/// same text. Outside of strings JSON has none but line ends.
fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && is_hidden(c) {
            shown.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            shown.push(c);
        }
    }
    Ok(shown)
}

/// The output flags, set once at the start.
static TALK: OnceLock<TalkArguments> = OnceLock::new();

/// Returns the output flags, or the defaults before [`apply`].
pub(crate) fn talk() -> TalkArguments {
    TALK.get().copied().unwrap_or_default()
}

/// Stores and applies the output flags. Only the first call has an effect on [`talk`].
pub(crate) fn apply(talk: TalkArguments) {
    let _the_first = TALK.set(talk);
    if talk.no_color {
        anstream::ColorChoice::Never.write_global();
    }
}

/// Prints a message to stderr, unless `--quiet` is given. Write errors are ignored.
pub(crate) fn say(text: &str) {
    if !talk().quiet {
        call(text);
    }
}

/// Prints what the person has to do now, also with `--quiet`. Write errors are ignored.
pub(crate) fn call(text: &str) {
    let _said = writeln!(anstream::stderr(), "{}", clean_lines(text));
}

/// Returns the text, or [`NONE`].
pub(crate) fn or_none(text: Option<&str>) -> String {
    text.unwrap_or(NONE).to_owned()
}

/// Returns, for people, the last characters of a runner's name: they identify the runner.
pub(crate) fn short(runner: &str, for_people: bool) -> String {
    const CHARS: usize = 8;
    let from = if for_people { runner.len().saturating_sub(CHARS) } else { 0 };
    runner.get(from..).unwrap_or(runner).to_owned()
}

/// Returns the time between two moments, if both are known.
pub(crate) fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<SignedDuration> {
    Some(to?.duration_since(from?))
}

/// Formats a duration in at most two units, such as `3m 12s` or `43ms`.
pub(crate) fn span(duration: SignedDuration) -> String {
    let secs = duration.as_secs();
    match secs {
        ..0 => "0ms".to_owned(),
        0 => format!("{}ms", duration.as_millis().max(0)),
        1..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{secs}s"),
        60..3600 => format!("{}m {:02}s", secs / 60, secs % 60),
        3600..86400 => format!("{}h {:02}m", secs / 3600, secs % 3600 / 60),
        _ => format!("{}d {:02}h", secs / 86400, secs % 86400 / 3600),
    }
}

/// Formats a duration, or returns [`NONE`].
pub(crate) fn span_or_none(duration: Option<SignedDuration>) -> String {
    duration.map_or_else(|| NONE.to_owned(), span)
}

/// Formats US dollars. All amounts have the same number of digits, so that those of a column can be compared.
pub(crate) fn usd(dollars: f64) -> String {
    let sign = if dollars < 0.0 { "-" } else { "" };
    format!("{sign}${:.4}", dollars.abs())
}

/// Formats US dollars for a sentence, which has no column: from ten dollars on, cents are enough.
pub(crate) fn usd_in_text(dollars: f64) -> String {
    if dollars.abs() < 10.0 { usd(dollars) } else { format!("${dollars:.2}") }
}

/// Formats US dollars, or returns [`NONE`].
pub(crate) fn usd_or_none(dollars: Option<f64>) -> String {
    dollars.map_or_else(|| NONE.to_owned(), usd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        let mut rows = Rows::new(["RUNNER", "COST>"]);
        rows.add(["a".to_owned(), "$1.00".to_owned()]);
        rows.add(["b, \"c\"".to_owned(), "$10.00".to_owned()]);
        rows
    }

    #[test]
    fn people_get_a_table_and_programs_get_lines() {
        assert_eq!(rows().text(true), "RUNNER    COST\na        $1.00\nb, \"c\"  $10.00\n");
        assert_eq!(rows().text(false), "a\t$1.00\nb, \"c\"\t$10.00\n");
    }

    #[test]
    fn words_ids_and_numbers_are_whole_in_80_columns() {
        let mut rows = Rows::new(["JOB", "STATE", "REPOSITORY", "NAME", "CLASS", "SINCE>", "RESULT"]);
        let cells = [
            "43210987654",
            "in_progress",
            "acme/web",
            "build and test (ubuntu-latest, 3)",
            "large",
            "1m 02s",
            NONE,
        ];
        rows.add(cells.map(str::to_owned));
        rows.add(
            ["7", "queued", "acme/a-repository-with-a-name", "lint", "—", "3.0s", NONE].map(str::to_owned),
        );
        rows.note("no class has all labels of the job: self-hosted, linux and gpu are asked for, and the classes are large and small");
        insta::assert_snapshot!(rows.table(Some(80)), @"
        JOB          STATE        REPOSITORY       NAME            CLASS   SINCE  RESULT
        43210987654  in_progress  acme/web         build and test  large  1m 02s  —
                                                   (ubuntu-latest
                                                   , 3)
        7            queued       acme/a-reposito  lint            —        3.0s  —
                                  ry-with-a-name
            no class has all labels of the job: self-hosted, linux and gpu are asked
            for, and the classes are large and small
        ");
    }

    #[test]
    fn json_shows_no_hidden_character_and_means_the_same() {
        let text = "ev\u{202e}il\u{9b}31m\u{e0041}\u{115f}\t größe 🚀";
        let shown = json(&[text]).unwrap();
        assert!(!shown.contains(|c: char| c != '\n' && is_hidden(c)), "{shown:?}");
        assert!(shown.contains(r"ev\u202eil\u009b31m\udb40\udc41\u115f\t größe 🚀"), "{shown}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&shown).unwrap(), [text]);
    }

    #[test]
    fn a_terminal_that_does_not_know_its_width_gets_the_usual_one() {
        let mut rows = Rows::new(["JOB", "NAME"]);
        rows.add(
            ["7", "build and test it on every machine that is there, one after another, twice a day"]
                .map(str::to_owned),
        );
        rows.note("no class has all labels of the job");
        assert_eq!(rows.table(Some(0)), rows.table(Some(80)));
    }

    #[test]
    fn widths_are_those_of_a_terminal() {
        let mut rows = Rows::new(["JOB", "NAME", "SINCE>"]);
        rows.add(["試験試験試験", "build and test it", "三分"].map(str::to_owned));
        assert_eq!([rows.least_width(0), rows.least_width(1), rows.least_width(2)], [12, 5, 5]);
        let table = rows.table(Some(28));
        assert!(table.contains("試験試験試験  ") && table.contains("三分\n"), "{table}");
        assert_eq!(behind(INDENT, "日本語 日本語 日本語", 18), "    日本語 日本語\n    日本語\n");
        // A letter and its accent are one column.
        assert_eq!(
            behind(INDENT, "e\u{301}e\u{301} e\u{301}e\u{301}", 9),
            "    e\u{301}e\u{301} e\u{301}e\u{301}\n"
        );
    }

    #[test]
    fn lines_below_a_heading_are_indented_as_its_text_and_links_are_whole() {
        let text = "the webhook has no secret: set one";
        assert_eq!(behind("Why:  ", text, 24), "Why:  the webhook has no\n      secret: set one\n");
        assert_eq!(behind("Why:  ", text, usize::MAX), format!("Why:  {text}\n"));
        assert_eq!(behind("at  ", "  runner ends", 12), "at    runner\n      ends\n");
        assert_eq!(wrapped("\nsee\nhttps://github.com/a b", 10), "\nsee\nhttps://github.com/a\nb\n");
    }

    #[test]
    fn a_note_is_no_field_of_a_line_for_programs() {
        let mut rows = rows();
        rows.note("a sentence");
        assert_eq!(rows.text(false), "a\t$1.00\nb, \"c\"\t$10.00\n");
        assert_eq!(
            rows.table(Some(80)),
            "RUNNER    COST\na        $1.00\nb, \"c\"  $10.00\n    a sentence\n"
        );
    }

    #[test]
    fn amounts_have_the_same_digits() {
        assert_eq!([15.2, 1.68854, -0.00004].map(usd), ["$15.2000", "$1.6885", "-$0.0000"]);
    }

    #[test]
    fn values_with_commas_and_quotes_are_quoted() {
        assert_eq!(rows().csv(), "runner,cost\na,$1.00\n\"b, \"\"c\"\"\",$10.00\n");
    }

    #[test]
    fn a_name_cannot_speak_to_the_terminal() {
        let mut rows = Rows::new(["NAME"]);
        rows.add(["\x1b[2Jbuild\tnow".to_owned()]);
        assert_eq!(rows.text(false), "\u{fffd}[2Jbuild\u{fffd}now\n");
    }

    #[test]
    fn spans_have_two_units() {
        let of = |secs| span(SignedDuration::from_secs(secs));
        assert_eq!(
            [of(3), of(59), of(61), of(3600), of(90_061)],
            ["3.0s", "59s", "1m 01s", "1h 00m", "1d 01h"]
        );
    }
}
