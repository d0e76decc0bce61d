//! The console's Ctrl-C.

use std::io;

use tokio::signal::windows::{CtrlC, ctrl_c};

pub(super) type Source = CtrlC;

pub(super) fn begin() -> io::Result<Source> {
    ctrl_c()
}
