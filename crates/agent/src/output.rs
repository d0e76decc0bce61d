//! The pipes of the listener's stdout and stderr. Processes of its job can
//! inherit them.

use std::fs::File;
use std::io::{self, Read};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::lines::{Line, Lines};

/// Both pipes of one listener.
pub(crate) struct Outputs {
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
}

impl Outputs {
    pub(crate) fn new(stdout: File, stderr: File) -> io::Result<Self> {
        Ok(Self { stdout: Output::new(stdout)?, stderr: Output::new(stderr)? })
    }

    /// The pipes that have not ended, for `poll`.
    pub(crate) fn open(&self) -> impl Iterator<Item = &File> {
        [&self.stdout, &self.stderr].into_iter().filter_map(|output| output.pipe.as_ref())
    }
}

/// One pipe, read line by line without blocking.
pub(crate) struct Output {
    /// `None` after its end.
    pipe: Option<File>,
    lines: Lines,
}

impl Output {
    fn new(pipe: File) -> io::Result<Self> {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { pipe: Some(pipe), lines: Lines::default() })
    }

    /// Reads up to 64 KiB without blocking and passes the lines to `each`. Returns
    /// the number of bytes.
    pub(crate) fn read(&mut self, each: impl FnMut(Line<'_>)) -> usize {
        let Some(pipe) = &mut self.pipe else { return 0 };
        let mut bytes = [0; 64 * 1024];
        match pipe.read(&mut bytes) {
            Ok(read @ 1..) => {
                self.lines.push(&bytes[..read], each);
                read
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            Ok(_) | Err(_) => {
                self.pipe = None;
                self.lines.finish(each);
                0
            }
        }
    }
}
