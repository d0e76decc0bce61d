//! The values that a job has asked to hide, by `::add-mask::`.

/// What is shown in place of a value.
const SHOWN: &str = "***";

#[derive(Default)]
pub(super) struct Masks {
    /// Longer ones first, because a value can be a part of another one.
    values: Vec<String>,
}

impl Masks {
    /// Adds a value, and each of its lines, because output comes in lines.
    pub(super) fn add(&mut self, value: &str) {
        for value in std::iter::once(value).chain(value.split(['\r', '\n']).map(str::trim)) {
            if !value.is_empty() && !self.values.iter().any(|known| known == value) {
                self.values.push(value.to_owned());
            }
        }
        self.values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    }

    /// Returns a text without the values.
    pub(super) fn apply(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, value| text.replace(value, SHOWN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_their_lines_are_hidden_the_longest_first() {
        let mut masks = Masks::default();
        masks.add("key");
        masks.add("key-of-a\r\n second \n");
        masks.add("");
        assert_eq!(masks.apply("key-of-a, key and second"), "***, *** and ***");
        assert_eq!(masks.apply("nothing"), "nothing");
    }
}
