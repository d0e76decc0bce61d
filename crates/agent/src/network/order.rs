//! What a keeper is told, and what it answers. One line each.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::Addresses;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) addresses: Addresses,
    /// Addresses on the machine's loopback that the task reaches. Those of its name servers are added.
    pub(super) loopback: Vec<SocketAddr>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    Ready {
        /// The namespace's own address.
        address: String,
        /// The number of the keeper's open file of the namespace.
        descriptor: i32,
        /// Whether the machine had not forwarded packets of IPv4 before.
        switched_on: bool,
    },
    Failed {
        reason: String,
    },
}
