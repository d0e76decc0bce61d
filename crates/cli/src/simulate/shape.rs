//! How a day's jobs are spread over its hours.

use ecsrunner_world::random::Random;
use toml::Value;

use super::section::{Section, as_number};

const HOURS: usize = 24;
const DAY_SECS: f64 = 86_400.0;
/// Most jobs come in office hours, with a small dip at noon.
const WORKING_DAY: [f64; HOURS] = [
    1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 4.0, 7.0, 9.0, 9.0, 8.0, 7.0, 8.0, 9.0, 9.0, 8.0, 6.0, 4.0, 3.0, 2.0,
    2.0, 1.0, 1.0,
];
const EXPECTED: &str = "`even`, `working-day` or a list of 24 weights is expected";

/// The weight of each hour.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Shape([f64; HOURS]);

impl Shape {
    pub(super) const EVEN: Self = Self([1.0; HOURS]);

    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let Some(value) = section.take("shape") else { return Some(Self::EVEN) };
        let shape = match &value {
            Value::String(name) if name == "even" => Some(Self::EVEN),
            Value::String(name) if name == "working-day" => Some(Self(WORKING_DAY)),
            Value::Array(weights) => Self::of_weights(weights),
            _ => None,
        };
        if shape.is_none() {
            section.mistake("shape", &value, EXPECTED);
        }
        shape
    }

    fn of_weights(weights: &[Value]) -> Option<Self> {
        let weights: Vec<f64> = weights.iter().map(as_number).collect::<Option<_>>()?;
        let sound = weights.iter().all(|weight| *weight >= 0.0) && weights.iter().sum::<f64>() > 0.0;
        weights.try_into().ok().filter(|_| sound).map(Self)
    }

    /// Draws a time of the day, in seconds since midnight.
    pub(super) fn draw(&self, random: &mut Random) -> f64 {
        let mut left = random.unit() * self.0.iter().sum::<f64>();
        let hour_secs = DAY_SECS / 24.0;
        let mut begins = 0.0;
        for weight in self.0 {
            if left < weight {
                return begins + left / weight * hour_secs;
            }
            left -= weight;
            begins += hour_secs;
        }
        DAY_SECS - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_get_jobs_by_their_weights() {
        let mut weights = [0.0; HOURS];
        (weights[8], weights[20]) = (3.0, 1.0);
        let mut random = Random::seeded(1);
        let hours: Vec<u32> = (0..4000)
            .map(|_| {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "an hour of a day"
                )]
                let hour = (Shape(weights).draw(&mut random) / 3600.0) as u32;
                hour
            })
            .collect();
        assert!(hours.iter().all(|hour| [8, 20].contains(hour)));
        let early = hours.iter().filter(|hour| **hour == 8).count();
        assert!((2850..3150).contains(&early), "{early}");
    }
}
