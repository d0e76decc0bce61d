//! The listener's messages before it had a job.
//!
//! A job cannot forge them, since it does not run yet. Together with the exit
//! code they show why a listener ended, or why it never listened. Both streams
//! are read, because it is not specified which one a message is printed to. The
//! messages are those of the official runner 2.336.

/// Why the listener does not listen, or no longer does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Word {
    /// GitHub has deleted the registration.
    RegistrationDeleted,
    /// GitHub refuses the runner's version.
    Deprecated,
    /// GitHub has another session of this runner open.
    SessionConflict,
    /// GitHub refuses the session.
    SessionRefused,
    /// The runner's directory, or one above it, cannot be listed.
    DirectoryUnreadable,
    /// GitHub answered with an error, and the listener keeps trying. Without an
    /// answer, such as without a network, the listener prints another message.
    Unavailable,
}

/// Part of a message, and its meaning. The first match counts.
const SENTENCES: [(&str, Word); 10] = [
    ("registration has been deleted", Word::RegistrationDeleted),
    ("no longer exists on the server", Word::RegistrationDeleted),
    ("is deprecated and cannot receive messages", Word::Deprecated),
    ("A session for this runner already exists", Word::SessionConflict),
    ("Runner connect error: Error: Conflict", Word::SessionConflict),
    ("Stop retry on SessionConflictException", Word::SessionConflict),
    ("Failed to create session. Error: Conflict", Word::SessionConflict),
    ("Failed to create session", Word::SessionRefused),
    ("Permission to read the directory contents", Word::DirectoryUnreadable),
    ("Runner connect error: Error: ", Word::Unavailable),
];

/// The messages of one start of the listener, up to its job.
#[derive(Default, Debug)]
pub(crate) struct Words {
    /// The most important one.
    word: Option<Word>,
    /// Its last message on stderr or about its connection.
    complaint: Option<String>,
}

impl Words {
    const COMPLAINT_CHARS: usize = 200;

    /// Remembers a line that says why the listener does not listen.
    pub(crate) fn hear(&mut self, line: &str, is_error: bool) {
        // Debug output repeats the messages.
        if line.starts_with("[RUNNER ") || line.starts_with("[WORKER ") {
            return;
        }
        let word = SENTENCES.iter().find(|(text, _)| line.contains(text)).map(|(_, word)| *word);
        self.word = self.word.into_iter().chain(word).min();
        let tells =
            is_error || word.is_some() || line.contains("Runner connect error") || is_unconfigured(line);
        let text: String =
            line.trim().chars().filter(|c| !c.is_control()).take(Self::COMPLAINT_CHARS).collect();
        if tells && !text.is_empty() {
            self.complaint = Some(text);
        }
    }

    /// Forgets messages about the connection, now that the listener is connected.
    /// The other messages mean the end of a listener and are kept. They can be
    /// read before its `Listening` line, which comes through another pipe.
    pub(crate) fn connected(&mut self) {
        if matches!(self.word, None | Some(Word::SessionConflict | Word::SessionRefused | Word::Unavailable))
        {
            *self = Self::default();
        }
    }

    pub(crate) fn word(&self) -> Option<Word> {
        self.word
    }

    /// The last message, as a suffix for an ending's detail; empty if there is none.
    pub(crate) fn suffix(&self) -> String {
        self.complaint.as_ref().map_or_else(String::new, |text| format!(": {text}"))
    }
}

fn is_unconfigured(line: &str) -> bool {
    line.starts_with("Not configured")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[&str]) -> Words {
        let mut words = Words::default();
        lines.iter().for_each(|line| words.hear(line, false));
        words
    }

    #[test]
    fn each_sentence_of_the_listener_has_its_meaning_on_either_stream() {
        for (line, word) in [
            (
                "Failed to create a session. The runner registration has been deleted from the server, please re-configure.",
                Word::RegistrationDeleted,
            ),
            (
                "The runner no longer exists on the server. Cleaning up local configuration.",
                Word::RegistrationDeleted,
            ),
            (
                "An error occurred: Runner version v2.336.0 is deprecated and cannot receive messages.",
                Word::Deprecated,
            ),
            ("A session for this runner already exists.", Word::SessionConflict),
            (
                "2026-11-28 20:47:08Z: Runner connect error: Error: Conflict. Retrying until reconnected.",
                Word::SessionConflict,
            ),
            ("Failed to create session. Error: Conflict", Word::SessionConflict),
            ("Failed to create session. Error: Forbidden", Word::SessionRefused),
            ("Failed to create session. You are not authorized to access https://x", Word::SessionRefused),
            (
                "An error occurred: Permission to read the directory contents is required for '/srv/runner' and each directory up the hierarchy.",
                Word::DirectoryUnreadable,
            ),
            (
                "2026-11-28 20:47:08Z: Runner connect error: Error: Service Unavailable. Retrying until reconnected.",
                Word::Unavailable,
            ),
        ] {
            assert_eq!(heard(&[line]).word(), Some(word), "{line}");
            let mut words = Words::default();
            words.hear(line, true);
            assert_eq!(words.word(), Some(word), "{line}");
        }
        let no_network = "2026-11-28 20:47:08Z: Runner connect error: Name or service not known (broker:443). Retrying until reconnected.";
        assert_eq!(heard(&["√ Connected to GitHub", no_network]).word(), None);
    }

    #[test]
    fn a_repetition_in_debug_output_means_nothing() {
        let words =
            heard(&["[RUNNER 2026-11-28 21:02:51Z ERR  Terminal] WRITE ERROR: Failed to create session."]);
        assert_eq!((words.word(), words.suffix()), (None, String::new()));
    }

    #[test]
    fn the_last_complaint_is_told_cleaned_and_cut() {
        let mut words =
            heard(&["Runner connect error: Error: InternalServerError. Retrying until reconnected."]);
        assert!(words.suffix().starts_with(": Runner connect error"));
        words.hear(&format!("An error\u{1b}[31m occurred: {}", "x".repeat(500)), true);
        assert_eq!(words.suffix().chars().count(), Words::COMPLAINT_CHARS + 2);
        assert!(words.suffix().starts_with(": An error[31m occurred: x"));
        words.hear("  ", true);
        assert!(words.suffix().starts_with(": An error"));
        words.connected();
        assert_eq!(words.suffix(), "");
        let mut words = heard(&["The runner no longer exists on the server."]);
        words.connected();
        assert_eq!(words.word(), Some(Word::RegistrationDeleted));
    }
}
