//! Reads settings and classes as people write them, in TOML or JSON, and reports every mistake with its key.
//!
//! A mistake hides no other one, except those that can only be judged with the mistaken value. What is right is decided in
//! the core, and opening files belongs in the callers.

mod classes;
mod settings;
mod table;

pub use classes::{classes, located};
pub use settings::settings;
pub use table::{Read, of_json, read, read_hiding};
