//! The shell around the pure core: ports, and the loop that records, plans and performs.
//!
//! What is decided does not belong here but in `ecsrunner-core`; what an
//! outside system is like belongs in its adapter.

pub mod ports;
