//! Modes of files and directories.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

pub(super) fn close_file(options: &mut OpenOptions) {
    options.mode(0o600);
}

pub(super) fn close_directory(builder: &mut DirBuilder) {
    builder.mode(0o700);
}
