//! The section `[world]`: times and quotas of AWS and GitHub.

use ecsrunner_world::load::{Spread, Surroundings};
use toml::Value;

use super::section::{Section, as_number};

/// The longest time that can be set, in seconds.
const LONGEST_SECS: f64 = 86_400.0;
/// DynamoDB takes some 20 ms for a page of a thousand records; the function, which has 7 % of a core at its smallest
/// size, takes longer to decode them.
const OPEN_RECORD_MICROS: u32 = 100;
/// GitHub allows 900 points a minute for an endpoint, and a registration takes 5.
const REGISTRATIONS_PER_MINUTE: u32 = 180;

/// Returns the times and quotas that apply if the file says nothing.
pub(super) fn usual() -> Surroundings {
    Surroundings {
        task_start: Spread::around(25.0, 40.0),
        pull: Spread::fixed(8.0),
        task_stop: Spread::fixed(11.0),
        connect: Spread::around(2.0, 4.0),
        assign: Spread::around(0.8, 1.5),
        on_demand_vcpus: None,
        spot_vcpus: None,
        spot_interrupted_share: 0.0,
        open_record_micros: OPEN_RECORD_MICROS,
        registrations_per_minute: REGISTRATIONS_PER_MINUTE as usize,
    }
}

pub(super) fn read(value: Option<Value>, mistakes: &mut Vec<String>) -> Surroundings {
    let mut world = usual();
    let Some(mut section) = value.and_then(|value| Section::open("world", value, mistakes)) else {
        return world;
    };
    let pull = section.value("pull").cloned();
    for (key, spread) in [
        ("task_start", &mut world.task_start),
        ("pull", &mut world.pull),
        ("task_stop", &mut world.task_stop),
        ("connect", &mut world.connect),
        ("assign", &mut world.assign),
    ] {
        if let Some(read) = spread_of(&mut section, key) {
            *spread = read;
        }
    }
    let (start, pulled) = (world.task_start.median_secs(), world.pull.median_secs());
    if let Some(pull) = pull.filter(|_| pulled > start) {
        let expected =
            format!("at most the {start} s of task_start are expected, since the pull is a part of it");
        section.mistake("pull", &pull, &expected);
    }
    world.on_demand_vcpus = section.whole("on_demand_vcpus", 1..=1_000_000);
    world.spot_vcpus = section.whole("spot_vcpus", 1..=1_000_000);
    if let Some(share) = section.number("spot_interrupted_share", 0.0..=1.0) {
        world.spot_interrupted_share = share;
    }
    if let Some(micros) = section.whole("open_record_micros", 0..=10_000) {
        world.open_record_micros = micros;
    }
    if let Some(most) = section.whole("registrations_per_minute", 1..=60_000) {
        world.registrations_per_minute = most as usize;
    }
    section.end();
    world
}

/// Reads a time: seconds, or a median and a 90th percentile.
pub(super) fn spread_of(section: &mut Section<'_>, key: &'static str) -> Option<Spread> {
    let value = section.take(key)?;
    if let Some(secs) = as_number(&value) {
        if (0.0..=LONGEST_SECS).contains(&secs) {
            return Some(Spread::fixed(secs));
        }
    } else if let Value::Table(_) = value {
        let mut below = section.below(key, value)?;
        let is_missing = !below.has("median_secs");
        let median = below.number("median_secs", 0.001..=LONGEST_SECS);
        let p90 = below.take("p90_secs");
        let spread = match (median, &p90) {
            (Some(median), Some(value)) => {
                let p90 = as_number(value).filter(|p90| (median..=LONGEST_SECS).contains(p90));
                if p90.is_none() {
                    let expected = format!("a number from median_secs to {LONGEST_SECS} is expected");
                    below.mistake("p90_secs", value, &expected);
                }
                p90.map(|p90| Spread::around(median, p90))
            }
            (Some(median), None) => Some(Spread::fixed(median)),
            (None, _) => {
                if is_missing {
                    below.missing("median_secs", "seconds are expected");
                }
                None
            }
        };
        below.end();
        return spread;
    }
    let expected =
        format!("seconds from 0 to {LONGEST_SECS} are expected, or `{{ median_secs = …, p90_secs = … }}`");
    section.mistake(key, &value, &expected);
    None
}
