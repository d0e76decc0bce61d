//! Selects a runner's task definition. RunTask cannot override image, architecture
//! and secrets, and cannot leave out the Exec role. So each combination has its own
//! task definition.

use std::collections::BTreeMap;
use std::fmt;

use ecsrunner_core::id::ClassName;
use ecsrunner_core::rules::class::size::Arch;

/// The image of a class that names none.
pub use ecsrunner_core::rules::image::DEFAULT as DEFAULT_IMAGE;

/// The properties that distinguish task definitions, written `<image>/<arch>` or
/// `<image>/<arch>/exec`: `default/x64`, `android/arm64/exec`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Variant {
    /// The image's name; [`DEFAULT_IMAGE`] is the deployment's own.
    pub image: String,
    /// `x64` or `arm64`.
    pub arch: ArchName,
    /// Whether ECS Exec may open a shell. Its task role then has the permissions for that.
    pub exec: bool,
}

/// An architecture, named by GitHub's label.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ArchName(&'static str);

impl From<Arch> for ArchName {
    fn from(arch: Arch) -> Self {
        Self(arch.label())
    }
}

impl Variant {
    /// The variant that a runner needs.
    #[must_use]
    pub fn new(image: Option<&str>, arch: Arch, exec: bool) -> Self {
        Self { image: image.unwrap_or(DEFAULT_IMAGE).to_owned(), arch: arch.into(), exec }
    }

    /// Reads what `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, exec) = match text.strip_suffix("/exec") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (image, arch) = rest.rsplit_once('/')?;
        let arch = [Arch::X64, Arch::Arm64].into_iter().find(|known| known.label() == arch)?;
        (!image.is_empty()).then(|| Self::new(Some(image), arch, exec))
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exec = if self.exec { "/exec" } else { "" };
        write!(f, "{}/{}{exec}", self.image, self.arch.0)
    }
}

/// A deployment's task definitions, each as `family:revision` or by its ARN.
pub type TaskDefinitions = BTreeMap<Variant, String>;

/// The task definitions of classes that declare services, each as `family:revision` or by its ARN: by class, and by the
/// image that the runner starts from.
pub type ServiceDefinitions = BTreeMap<ClassName, BTreeMap<String, String>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_of_a_variant_never_changes() {
        for (variant, stored) in [
            (Variant::new(None, Arch::X64, false), "default/x64"),
            (Variant::new(Some("android"), Arch::Arm64, true), "android/arm64/exec"),
        ] {
            assert_eq!(variant.to_string(), stored);
            assert_eq!(Variant::parse(stored), Some(variant));
        }
        for bad in ["", "default", "/x64", "default/x86", "default/exec"] {
            assert_eq!(Variant::parse(bad), None, "{bad}");
        }
    }
}
