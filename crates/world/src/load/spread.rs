//! How long something takes: a fixed time, or times around a median.

use std::f64::consts::TAU;
use std::time::Duration;

use crate::random::Random;

/// How many standard deviations the 90th percentile of a normal distribution is above its median.
const P90_DEVIATIONS: f64 = 1.281_551_565_545;
/// No drawn time is longer than this many medians.
const LONGEST: f64 = 50.0;

/// Times with a median and a 90th percentile. They have a log-normal distribution: most are near the median, and a few
/// are much longer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    median_secs: f64,
    /// The standard deviation of the times' logarithms; 0 for a fixed time.
    deviation: f64,
}

impl Spread {
    /// Makes a time that is always the same.
    #[must_use]
    pub fn fixed(secs: f64) -> Self {
        Self { median_secs: secs.max(0.0), deviation: 0.0 }
    }

    /// Makes times: half of them are longer than `median_secs`, and one in ten is longer than `p90_secs`.
    #[must_use]
    pub fn around(median_secs: f64, p90_secs: f64) -> Self {
        let deviation = (p90_secs / median_secs).ln() / P90_DEVIATIONS;
        Self { median_secs, deviation: if deviation.is_finite() { deviation.max(0.0) } else { 0.0 } }
    }

    /// The median, in seconds.
    #[must_use]
    pub const fn median_secs(&self) -> f64 {
        self.median_secs
    }

    /// Draws one of the times.
    #[must_use]
    pub fn draw(&self, random: &mut Random) -> Duration {
        if self.deviation == 0.0 {
            return Duration::from_secs_f64(self.median_secs);
        }
        // Box and Muller's method; `1 - unit` is never 0.
        let normal = (-2.0 * (1.0 - random.unit()).ln()).sqrt() * (TAU * random.unit()).cos();
        let factor = (self.deviation * normal).exp().min(LONGEST);
        Duration::from_secs_f64(self.median_secs * factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_times_are_longer_than_the_median_and_a_tenth_than_the_p90() {
        let mut random = Random::seeded(1);
        let spread = Spread::around(60.0, 300.0);
        let mut drawn: Vec<f64> = (0..10_000).map(|_| spread.draw(&mut random).as_secs_f64()).collect();
        drawn.sort_by(f64::total_cmp);
        assert!((55.0..65.0).contains(&drawn[5000]), "{}", drawn[5000]);
        assert!((270.0..330.0).contains(&drawn[9000]), "{}", drawn[9000]);
    }

    #[test]
    fn a_fixed_time_is_always_the_same() {
        let mut random = Random::seeded(1);
        assert_eq!(Spread::fixed(1.5).draw(&mut random), Duration::from_millis(1500));
        assert_eq!(Spread::around(2.0, 2.0).draw(&mut random), Duration::from_secs(2));
    }
}
