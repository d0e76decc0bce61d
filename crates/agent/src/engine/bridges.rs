//! The networks that a job makes with its engine.
//!
//! Their bridges are marked while the engine lives, so that clean-up finds them after an engine that was killed, whatever
//! their addresses and names are. Other jobs are kept from containers whose addresses are not the engine's.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::api::{self, Bridge};
use super::network::{Network, not_of};
use super::order::Order;
use crate::firewall::{self, NEW, Rule};
use crate::tools::{self, run};

/// How often the engine is asked about new bridges that it does not name: it names a bridge soon after it has made it.
const LOOKS: u32 = 8;

/// The bridges of one engine's networks.
pub(super) struct Bridges {
    dir: PathBuf,
    network: Network,
    /// The runner's user.
    runner: Option<u32>,
    /// Bridges that nothing is to be found out about: they were there before the engine, are marked, or are others'.
    known: BTreeSet<String>,
    new: BTreeSet<String>,
    /// How often the engine was asked about the new ones.
    looks: u32,
    /// Those that have rules.
    closed: BTreeSet<String>,
}

impl Bridges {
    /// Those of an engine that is about to be started, with its own bridge.
    pub(super) fn of(order: &Order, network: Network) -> Self {
        Self {
            dir: order.dir.clone(),
            network,
            runner: order.runner(),
            known: tools::bridges(),
            new: BTreeSet::new(),
            looks: 0,
            closed: BTreeSet::new(),
        }
    }

    /// Marks the bridges that the engine has made since the last look. One that cannot be marked is looked at again.
    pub(super) fn see(&mut self, socket: &Path) {
        let there = tools::bridges();
        self.known.retain(|name| there.contains(name));
        for gone in &self.closed - &there {
            // They go with the engine's other rules otherwise.
            let _left =
                firewall::remove_some(&self.network.bridge(), &Order::cgroup(&self.dir), &self.rules(&gone));
            self.closed.remove(&gone);
        }
        // One with an alias is another engine's, or an administrator's, though a job may name it.
        let is_new = |name: &&String| !self.known.contains(*name) && tools::alias(name).is_none();
        let new: BTreeSet<String> = there.iter().filter(is_new).cloned().collect();
        if new != self.new {
            (self.new, self.looks) = (new, 0);
        }
        if self.new.is_empty() {
            return;
        }
        for bridge in api::bridges(socket).unwrap_or_default() {
            if self.new.contains(&bridge.name) && self.take(&bridge).is_ok() {
                self.known.insert(bridge.name);
            }
        }
        self.looks += 1;
        if self.looks == LOOKS {
            self.new.retain(|name| !self.known.contains(name));
            for name in &self.new {
                // The task's log.
                let _told = writeln!(
                    io::stderr(),
                    "warning: the bridge {name} is no network of the job's engine, or cannot be marked as one: it may stay \
                     after the job, and other jobs may reach it"
                );
            }
            self.known.append(&mut self.new);
        }
    }

    fn take(&mut self, Bridge { name, subnets }: &Bridge) -> io::Result<()> {
        run("ip", &["link", "set", "dev", name, "alias", &mark(&self.dir)])?;
        // `iptables` takes a name with a `+` for many names.
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if is_plain && subnets.iter().any(|(address, _)| !self.network.has(*address)) {
            self.closed.insert(name.clone());
            firewall::insert_of(&self.network.bridge(), &Order::cgroup(&self.dir), &self.rules(name))?;
        }
        Ok(())
    }

    /// No other job reaches the containers of a bridge, and they reach each other.
    fn rules(&self, bridge: &str) -> [Rule; 3] {
        let (own, others) = (self.network.addresses(), not_of(self.runner));
        [
            ("mangle", format!("FORWARD ! -s {own} ! -i {bridge} -o {bridge} {NEW} -j DROP")),
            ("mangle", format!("OUTPUT -o {bridge} {NEW} {others} -j DROP")),
            ("filter", format!("FORWARD -i {bridge} -o {bridge} -j ACCEPT")),
        ]
    }
}

/// The alias of every bridge of an engine.
pub(super) fn mark(dir: &Path) -> String {
    format!("ecsrunner-{}", firewall::digits(&Order::cgroup(dir)))
}

/// The bridges that are marked as an engine's.
pub(super) fn marked(dir: &Path) -> BTreeSet<String> {
    let mark = mark(dir);
    tools::bridges()
        .into_iter()
        .filter(|name| tools::alias(name).is_some_and(|alias| alias == mark))
        .collect()
}
