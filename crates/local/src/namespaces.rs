//! Which tasks have a network namespace, and what it is made from.
//!
//! How one is made belongs in the agent, which has it for one task.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ecsrunner_agent::network::{self, Addresses, loopback};
use ecsrunner_core::id::ClassName;
use ecsrunner_core::rules::class::Catalogue;
use tracing::{info, warn};

use crate::config::Config;
use crate::machine::random;

/// The network namespaces of tasks.
#[derive(Clone, Debug)]
pub(crate) struct Namespaces {
    classes: BTreeSet<ClassName>,
    addresses: Addresses,
    /// What tasks reach on this machine's loopback.
    loopback: Vec<SocketAddr>,
}

impl Namespaces {
    /// Whether the tasks of a class have one.
    pub(crate) fn are_of(&self, class: &ClassName) -> bool {
        self.classes.contains(class)
    }

    /// What the agent of such a task is told.
    pub(crate) fn environment(&self) -> [(&'static str, String); 2] {
        let loopback: Vec<String> = self.loopback.iter().map(SocketAddr::to_string).collect();
        [
            (network::ADDRESSES_VARIABLE, self.addresses.to_string()),
            (network::LOOPBACK_VARIABLE, loopback.join(",")),
        ]
    }
}

/// Returns the classes that declare services.
pub(crate) fn with_services(catalogue: &Catalogue) -> BTreeSet<ClassName> {
    let with_services = catalogue.iter().filter(|class| !class.services.is_empty());
    with_services.map(|class| class.name.clone()).collect()
}

/// Returns the namespaces of tasks, if a class declares services. One is made and removed to see whether this machine
/// allows them. If not, the log says so, and the error is why.
pub(crate) fn find(config: &Config, executable: &Path) -> Result<Option<Namespaces>, String> {
    let classes = with_services(&config.catalogue);
    if classes.is_empty() {
        return Ok(None);
    }
    let names = classes.iter().map(ClassName::as_str).collect::<Vec<_>>().join(", ");
    match try_out(config, executable) {
        Ok((addresses, loopback)) => {
            info!(classes = names, %addresses, "tasks of these classes have a network namespace each");
            Ok(Some(Namespaces { classes, addresses, loopback }))
        }
        Err(reason) => {
            warn!(
                classes = names,
                reason,
                "services of these classes listen on ports of their own, where other jobs of this machine reach them: no \
                 task has a network namespace of its own"
            );
            Err(reason)
        }
    }
}

fn try_out(config: &Config, executable: &Path) -> Result<(Addresses, Vec<SocketAddr>), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("the server is not root".to_owned());
    }
    let addresses = config.network.addresses().map_err(|error| error.to_string())?;
    let addresses = addresses.ok_or("runner.network.addresses is empty")?;
    let of_github = loopback::of_url(&config.github_api.to_string());
    let loopback: Vec<SocketAddr> = of_github.into_iter().chain(config.network.loopback()).collect();
    // Like no task's, and no other server's.
    let probe = PathBuf::from(format!("probe-{:032x}/network", u128::from_ne_bytes(random())));
    let switched_on = network::try_out(executable, &probe, addresses, &loopback);
    if switched_on.map_err(|error| error.to_string())? {
        info!(
            "this machine now forwards packets of IPv4 (net.ipv4.ip_forward), and only those that a rule of its firewall \
             accepts"
        );
    }
    Ok((addresses, loopback))
}
