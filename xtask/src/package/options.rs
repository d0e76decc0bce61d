//! The arguments of `cargo xtask package`.

use std::path::PathBuf;

use anyhow::{Context, bail};

use super::architecture::Architecture;

#[derive(PartialEq, Eq, Debug)]
pub(super) struct Options {
    pub(super) architectures: Vec<Architecture>,
    /// Command lines that were built elsewhere.
    pub(super) binaries: Option<PathBuf>,
}

impl Options {
    pub(super) fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let (mut architectures, mut binaries) = (Vec::new(), None);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let value = rest.next().with_context(|| format!("`{argument}` has no value: expected one"));
            match argument.as_str() {
                "--arch" => {
                    let architecture = Architecture::parse(value?)?;
                    if !architectures.contains(&architecture) {
                        architectures.push(architecture);
                    }
                }
                "--binaries" => binaries = Some(PathBuf::from(value?)),
                other => bail!("`{other}` is no argument of `package`: expected `--arch` or `--binaries`"),
            }
        }
        if architectures.is_empty() {
            architectures.extend(Architecture::ALL);
        }
        Ok(Self { architectures, binaries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> anyhow::Result<Options> {
        Options::parse(&arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn both_architectures_are_built_unless_one_is_chosen() {
        assert_eq!(parsed(&[]).unwrap().architectures, Architecture::ALL);
        let chosen = parsed(&["--arch", "arm64", "--binaries", "there", "--arch", "arm64"]).unwrap();
        assert_eq!(chosen.architectures, [Architecture::Arm64]);
        assert_eq!(chosen.binaries, Some(PathBuf::from("there")));
        for bad in [&["--arch"][..], &["--arch", "mips"], &["x86_64"], &["--target", "x"]] {
            assert!(parsed(bad).is_err(), "{bad:?}");
        }
    }
}
