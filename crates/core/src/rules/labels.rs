//! Runner labels: a sorted set that ignores case.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How much of labels that are too many, or too long, is kept.
const SHOWN_LABELS: usize = 10;
const SHOWN_CHARS: usize = 60;

/// A set of labels in lower case, sorted, each once.
///
/// GitHub ignores case when it compares labels, so the set stores lower case: two
/// spellings of the same `runs-on` are the same pool.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Labels(Arc<[Arc<str>]>);

impl Labels {
    /// Returns the set of these labels, ignoring case, order and duplicates.
    pub fn new<I, T>(labels: I) -> Self
    where
        I: IntoIterator<Item = T>,
        T: AsRef<str>,
    {
        let mut set: Vec<Arc<str>> =
            labels.into_iter().map(|label| Arc::from(label.as_ref().trim().to_lowercase())).collect();
        set.sort_unstable();
        set.dedup();
        Self(set.into())
    }

    /// Returns the labels of a job. A set that no runner can have (GitHub allows 100 labels for a just-in-time runner) is
    /// cut to its first labels and one that says so. No class offers that label, so the job stays one that is not ours.
    pub fn of_job<T: AsRef<str>>(labels: &[T]) -> Self {
        let is_long = |label: &T| label.as_ref().len() > Self::MAX_LABEL_BYTES;
        if labels.len() <= Self::MAX_LABELS && !labels.iter().any(is_long) {
            return Self::new(labels);
        }
        let cut = |label: &T| label.as_ref().chars().take(SHOWN_CHARS).collect::<String>();
        let note = format!("… ({} labels: no runner can have them)", labels.len());
        Self::new(labels.iter().take(SHOWN_LABELS).map(cut).chain([note]))
    }

    /// The most labels of a job that are kept.
    pub const MAX_LABELS: usize = 100;
    /// The longest label of a job that is kept whole.
    pub const MAX_LABEL_BYTES: usize = 256;

    /// Whether there are none, as in a job that names only a runner group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Whether the set contains `label`, which must be in lower case.
    #[must_use]
    pub fn contains(&self, label: &str) -> bool {
        self.0.binary_search_by(|have| have.as_ref().cmp(label)).is_ok()
    }

    /// Whether the set contains every label of `other`.
    #[must_use]
    pub fn is_superset(&self, other: &Self) -> bool {
        other.iter().all(|label| self.contains(label))
    }

    /// Returns the labels of `other` that this set does not contain.
    pub fn missing_from<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a str> {
        other.iter().filter(|label| !self.contains(label))
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, label) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            f.write_str(label)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "labels:{self}")
    }
}

impl From<Vec<String>> for Labels {
    fn from(labels: Vec<String>) -> Self {
        Self::new(labels)
    }
}

impl From<Labels> for Vec<String> {
    fn from(labels: Labels) -> Self {
        labels.iter().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_compare_without_case_order_or_repeats() {
        let a = Labels::new(["Linux", "self-hosted", "CLASS:Large", "linux"]);
        let b = Labels::new(["class:large", "linux", "SELF-HOSTED"]);
        assert_eq!(a, b);
        assert_eq!(a.to_string(), "class:large,linux,self-hosted");
    }

    #[test]
    fn labels_of_a_job_are_bounded_and_a_cut_set_is_no_classes() {
        let many: Vec<String> = (0..50_000).map(|n| format!("self-hosted-{n}")).collect();
        let long = ["self-hosted".to_owned(), "x".repeat(300_000)];
        for labels in [&many[..], &long[..]] {
            let kept = Labels::of_job(labels);
            assert!(kept.to_string().len() < 1_000, "{kept}");
            assert!(!Labels::new(labels).is_superset(&kept));
        }
        let allowed: Vec<String> = (0..100).map(|n| format!("{n:0>256}")).collect();
        assert_eq!(Labels::of_job(&allowed), Labels::new(&allowed));
    }

    #[test]
    fn a_set_fits_a_job_whose_labels_it_contains() {
        let runner = Labels::new(["self-hosted", "linux", "x64"]);
        assert!(runner.is_superset(&Labels::new(["Self-Hosted", "X64"])));
        assert!(!runner.is_superset(&Labels::new(["self-hosted", "arm64"])));
        let job = Labels::new(["self-hosted", "gpu", "arm64"]);
        assert_eq!(runner.missing_from(&job).collect::<Vec<_>>(), ["arm64", "gpu"]);
    }
}
