//! Names of container images, compared as Docker's engine reads them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The registry and the namespace of a name that has none.
const HUB: &str = "docker.io";
const OFFICIAL: &str = "library";
const LATEST: &str = "latest";

/// An image's name, such as `postgres:17` or `ghcr.io/acme/db@sha256:…`. `Display` is what was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName {
    written: String,
    /// With registry and namespace: `docker.io/library/postgres`.
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// A text is not an image's name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "image `{0}` is not valid: a name such as `postgres:17` or `ghcr.io/acme/db:1@sha256:DIGEST` is expected, with 64 hexadecimal digits in DIGEST"
)]
pub struct ImageNameError(String);

impl ImageName {
    /// Reads a name as Docker's engine does.
    ///
    /// # Errors
    ///
    /// The text is not the name of an image.
    pub fn parse(text: &str) -> Result<Self, ImageNameError> {
        let wrong = || ImageNameError(text.chars().filter(|c| !c.is_control()).take(200).collect());
        Self::read(text).filter(|_| text.len() <= 512).ok_or_else(wrong)
    }

    fn read(text: &str) -> Option<Self> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        if !digest.is_none_or(is_digest) {
            return None;
        }
        // A colon before the last slash belongs to the registry's port.
        let (path, tag) = match name.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (name, None),
        };
        if !tag.is_none_or(is_tag) {
            return None;
        }
        let is_registry = |part: &str| part.contains(['.', ':']) || part == "localhost";
        let (registry, path) = match path.split_once('/') {
            Some((registry, path)) if is_registry(registry) => (registry, path.to_owned()),
            Some(_) => (HUB, path.to_owned()),
            None => (HUB, format!("{OFFICIAL}/{path}")),
        };
        let registry = if registry == "index.docker.io" { HUB } else { registry };
        let path = if registry == HUB && !path.contains('/') { format!("{OFFICIAL}/{path}") } else { path };
        (is_host(registry) && path.split('/').all(is_component)).then(|| Self {
            written: text.to_owned(),
            repository: format!("{registry}/{path}"),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// Whether a digest says which image it is, so that it is the same one every day.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.digest.is_some()
    }

    /// Whether it is of the same repository, in any version.
    #[must_use]
    pub fn is_relative_of(&self, other: &Self) -> bool {
        self.repository == other.repository
    }

    /// Whether an image with this name is the one that is asked for: of the same repository, with the digest that is
    /// asked for, or without one with the same tag.
    #[must_use]
    pub fn is_as_asked(&self, asked: &Self) -> bool {
        self.is_relative_of(asked)
            && match &asked.digest {
                Some(_) => self.digest == asked.digest,
                None => self.version() == asked.version(),
            }
    }

    /// The tag. A name with a digest alone has none.
    fn version(&self) -> Option<&str> {
        self.tag.as_deref().or_else(|| self.digest.is_none().then_some(LATEST))
    }
}

/// Two names are equal if they name the same image.
impl PartialEq for ImageName {
    fn eq(&self, other: &Self) -> bool {
        (&self.repository, self.version(), &self.digest)
            == (&other.repository, other.version(), &other.digest)
    }
}

impl Eq for ImageName {}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl TryFrom<String> for ImageName {
    type Error = ImageNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.written
    }
}

fn is_digest(text: &str) -> bool {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.strip_prefix("sha256:").is_some_and(|digest| digest.len() == 64 && digest.bytes().all(hex))
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "1"));
    !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
        && port.parse::<u16>().is_ok()
}

fn is_component(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = text.bytes().next().zip(text.bytes().next_back());
    ends.is_some_and(|(first, last)| word(first) && word(last))
        && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ImageName {
        ImageName::parse(text).unwrap()
    }

    #[test]
    fn names_are_completed_as_docker_does_it() {
        for (short, long) in [
            ("postgres", "docker.io/library/postgres:latest"),
            ("postgres:17", "library/postgres:17"),
            ("postgres:17", "index.docker.io/postgres:17"),
            ("acme/db", "docker.io/acme/db:latest"),
        ] {
            assert_eq!(name(short), name(long), "{short}");
            assert_eq!(name(short).to_string(), short);
        }
        assert_ne!(name("localhost/postgres"), name("postgres"));
        assert_ne!(name("localhost:5000/db"), name("localhost/db:5000"));
        assert_ne!(name("ghcr.io/library/postgres"), name("postgres"));
    }

    #[test]
    fn an_image_is_the_one_asked_for_by_tag_or_by_digest() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let (tagged, pinned) = (format!("postgres:17@{digest}"), format!("postgres@{digest}"));
        for (declared, asked, expected) in [
            ("postgres:17", "postgres:17", true),
            ("postgres:17", "postgres:16", false),
            ("postgres:latest", "postgres", true),
            ("postgres:17", "redis:17", false),
            // A digest in the class alone narrows what the tag says.
            (&tagged, "postgres:17", true),
            (&tagged, "postgres", false),
            (&tagged, &pinned, true),
            (&pinned, &pinned, true),
            // Nothing tells which tag a digest has.
            (&pinned, "postgres:17", false),
            (&pinned, "postgres", false),
            ("postgres:17", &tagged, false),
        ] {
            assert_eq!(name(declared).is_as_asked(&name(asked)), expected, "{declared} for {asked}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_by_what_it_is() {
        let short = format!("postgres@sha256:{}", "0".repeat(63));
        for text in [
            "",
            "Postgres",
            "postgres:",
            "postgres:a b",
            "a//b",
            "-a",
            "postgres@17",
            &short,
            "a.b:x/c",
            "docker://a",
        ] {
            let told = ImageName::parse(text).unwrap_err().to_string();
            assert!(told.starts_with(&format!("image `{text}` is not valid: ")), "{told}");
        }
    }
}
