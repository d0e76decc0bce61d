//! `cron`: the times of a `schedule`.

/// The fields of an entry in their order, each with its numbers and its words. Words count from the lowest number.
const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, words: &[] },
    Field { name: "hour", least: 0, most: 23, words: &[] },
    Field { name: "day of the month", least: 1, most: 31, words: &[] },
    Field {
        name: "month",
        least: 1,
        most: 12,
        words: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    // 7 is a second number of Sunday.
    Field {
        name: "day of the week",
        least: 0,
        most: 7,
        words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    words: &'static [&'static str],
}

/// Returns what is wrong with the times of a schedule.
pub(super) fn check(cron: &str) -> Result<(), String> {
    let parts: Vec<&str> = cron.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
        return Err(format!(
            "`cron` is `{cron}`: {} fields are expected, such as `30 5 * * 1-5`: {}",
            FIELDS.len(),
            names.join(", ")
        ));
    }
    for (field, part) in FIELDS.iter().zip(parts) {
        if !part.split(',').all(|item| field.fits(item)) {
            let words = match field.words {
                [first, .., last] => format!(" or {} to {}", first.to_uppercase(), last.to_uppercase()),
                _ => String::new(),
            };
            return Err(format!(
                "`cron` is `{cron}`: its {} is `{part}`: {} to {}{words} is expected, `*`, a range, or a step such as `*/5`",
                field.name, field.least, field.most
            ));
        }
    }
    Ok(())
}

impl Field {
    /// Whether an item of a list is a value, a range or `*`, each with a step or without.
    fn fits(&self, item: &str) -> bool {
        let (values, step) = match item.split_once('/') {
            Some((values, step)) => (values, Some(step)),
            None => (item, None),
        };
        let step_fits =
            step.is_none_or(|step| number(step).is_some_and(|step| (1..=self.most).contains(&step)));
        let values_fit = match values.split_once('-') {
            _ if values == "*" => true,
            None => self.value(values).is_some(),
            Some((from, to)) => self.value(from).zip(self.value(to)).is_some_and(|(from, to)| from <= to),
        };
        step_fits && values_fit
    }

    fn value(&self, text: &str) -> Option<u32> {
        let word = self.words.iter().position(|word| text.eq_ignore_ascii_case(word));
        match word {
            Some(at) => u32::try_from(at).ok().map(|at| self.least + at),
            None => number(text).filter(|value| (self.least..=self.most).contains(value)),
        }
    }
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_fields_with_ranges_steps_lists_and_words_are_taken() {
        for cron in [
            "* * * * *",
            "30 5 * * 1-5",
            "*/15 0-23/2 1,15 JAN-mar,12 sun,Mon-FRI",
            "0  4 31 12 7",
            "5/10 * * * *",
        ] {
            assert_eq!(check(cron), Ok(()), "{cron}");
        }
    }

    #[test]
    fn what_is_no_time_is_told_with_its_field() {
        let wrong = |cron| check(cron).unwrap_err();
        insta::assert_snapshot!(
            [wrong("@daily"), wrong("60 * * * *"), wrong("* * * FOO *"), wrong("* * * * 5-1")].join("\n"),
            @"
        `cron` is `@daily`: 5 fields are expected, such as `30 5 * * 1-5`: minute, hour, day of the month, month, day of the week
        `cron` is `60 * * * *`: its minute is `60`: 0 to 59 is expected, `*`, a range, or a step such as `*/5`
        `cron` is `* * * FOO *`: its month is `FOO`: 1 to 12 or JAN to DEC is expected, `*`, a range, or a step such as `*/5`
        `cron` is `* * * * 5-1`: its day of the week is `5-1`: 0 to 7 or SUN to SAT is expected, `*`, a range, or a step such as `*/5`
        "
        );
        for cron in [
            "* * * *",
            "0 0 0 0 0 0",
            "*/0 * * * *",
            "1, * * * *",
            "* 1-2-3 * * *",
            "* * - * *",
            "+1 * * * *",
        ] {
            assert!(check(cron).is_err(), "{cron}");
        }
    }
}
