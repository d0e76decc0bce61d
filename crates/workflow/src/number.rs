//! Numbers, read and written as GitHub does.

/// Reads a number of YAML 1.2's core schema.
pub(crate) fn yaml(text: &str) -> Option<f64> {
    match text.trim_start_matches(['-', '+']) {
        ".inf" | ".Inf" | ".INF" if text.len() <= 5 => {
            return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        ".nan" | ".NaN" | ".NAN" if text.len() == 4 => return Some(f64::NAN),
        _ => {}
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    is_decimal(text).then(|| text.parse().ok()).flatten()
}

/// Whether a text is a number in the base 16 or 8 that has more than 32 bits. GitHub refuses it in a
/// YAML document.
/// (actions/runner, `src/Sdk/WorkflowParser/Conversion/YamlObjectReader.cs`)
pub(crate) fn is_too_large(text: &str) -> bool {
    let is_of = |prefix: &str, radix: u32| {
        let digits = text.strip_prefix(prefix).unwrap_or_default();
        !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix))
    };
    (is_of("0x", 16) || is_of("0o", 8)) && yaml(text).is_none()
}

/// Converts a text of an expression: empty is 0, and what is no number is NaN.
pub(crate) fn of_text(text: &str) -> f64 {
    let text = text.trim();
    if text.is_empty() {
        return 0.0;
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16).unwrap_or(f64::NAN);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8).unwrap_or(f64::NAN);
    }
    match text {
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        _ if is_decimal(text) => text.parse().unwrap_or(f64::NAN),
        _ => f64::NAN,
    }
}

fn radix(digits: &str, radix: u32) -> Option<f64> {
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    // GitHub's numbers of this form have 32 bits and a sign.
    let bits = plain.then(|| u32::from_str_radix(digits, radix).ok()).flatten()?;
    Some(f64::from(bits.cast_signed()))
}

/// Whether a text is digits with an optional sign, fraction and exponent.
fn is_decimal(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_fits
}

/// Returns a number as a text with at most 15 significant digits, as the runner and the service write it.
pub(crate) fn text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    // `d.dddddddddddddde±x`: 15 significant digits.
    let scientific = format!("{number:.14e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    if (-4..15).contains(&exponent) {
        let decimals = usize::try_from(14 - exponent).unwrap_or_default();
        let plain = format!("{number:.decimals$}");
        return match plain.contains('.') {
            true => plain.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => plain,
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}E{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_with_fifteen_digits() {
        for (number, expected) in [
            (1.2, "1.2"),
            (3.0, "3"),
            (-0.0, "0"),
            (31.0, "31"),
            (0.1 + 0.2, "0.3"),
            (100_000_000_000_000.0, "100000000000000"),
            (1e15, "1E+15"),
            (1.5e300, "1.5E+300"),
            (0.000_1, "0.0001"),
            (0.000_01, "1E-05"),
            (0.000_001, "1E-06"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(text(number), expected);
        }
    }

    #[test]
    fn texts_become_numbers_or_no_number() {
        for (text, expected) in
            [("", 0.0), (" 7 ", 7.0), ("0xff", 255.0), ("0o10", 8.0), (".5", 0.5), ("-1e2", -100.0)]
        {
            assert_eq!(of_text(text), expected, "{text}");
        }
        for text in ["x", "1 2", "0x", "1e", ".", "- 1", "0xffffffffff"] {
            assert!(of_text(text).is_nan(), "{text}");
        }
        assert_eq!(yaml("0x1F"), Some(31.0));
        assert_eq!(yaml("1."), Some(1.0));
        assert_eq!((yaml("on"), yaml("1_000"), yaml(".")), (None, None, None));
    }
}
