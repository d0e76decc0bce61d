//! The API over HTTP: who may use it, and what it answers.

mod access;
mod answers;
mod polling;
mod records;
