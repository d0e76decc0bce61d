//! Which paths the official runner can handle.
//!
//! The runner starts a hook from one string, `bash -e PATH` (seen with the
//! official runner 2.336). A blank in the path breaks the hook before it has
//! judged the job, and the job's `always()` and `pre:` steps then run.

use std::path::{Path, PathBuf};

/// The allowed characters, as an error shows them.
pub const ALLOWED: &str = "A-Z a-z 0-9 / . _ + @ : , -";

/// A path has a character that the official runner or its shell may interpret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{}`: a path of the characters {ALLOWED} is expected", .0.display())]
pub struct PathError(pub PathBuf);

/// Checks that a path consists of `[A-Za-z0-9/._+@:,-]` and is not empty.
///
/// # Errors
///
/// Holds the path, if it does not.
pub fn check(path: &Path) -> Result<(), PathError> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._+@:,-".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(allowed) { Ok(()) } else { Err(PathError(path.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_other_characters_is_refused_by_its_name() {
        for path in ["/home/runner", "/srv/ci-1/tasks/a_b+c@d:e,f.g"] {
            assert_eq!(check(Path::new(path)), Ok(()), "{path}");
        }
        for path in ["", "/a b", "/a\tb", "/a\nb", "/a'b", "/a$b", "/a~b", "/ü", "/a\\b", "/a*"] {
            assert!(check(Path::new(path)).is_err(), "{path}");
        }
        assert_eq!(
            check(Path::new("/a b")).unwrap_err().to_string(),
            "`/a b`: a path of the characters A-Z a-z 0-9 / . _ + @ : , - is expected"
        );
    }
}
