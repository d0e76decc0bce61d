//! Files that commands read, where `-` is standard input.

use std::io::Read;
use std::path::Path;

use anyhow::Context;

use crate::exit::Failure;

/// Names a file in a message.
pub(super) fn name(file: &Path) -> String {
    if is_stdin(file) { "standard input".to_owned() } else { file.display().to_string() }
}

/// Reads a file, or stdin for `-`.
pub(super) fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    let read = if is_stdin(file) {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    read.with_context(|| format!("{} cannot be read", name(file))).map_err(Failure::usage)
}

/// Reads a text as [`bytes`] does.
pub(super) fn text(file: &Path) -> Result<String, Failure> {
    let read = String::from_utf8(bytes(file)?);
    read.with_context(|| format!("{} cannot be read", name(file))).map_err(Failure::usage)
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}
