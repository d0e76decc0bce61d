//! The agent takes its boot item.
