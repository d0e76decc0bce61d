//! The keeper: the process that makes a namespace, and removes it from the machine once its input ends.
//!
//! It is not the agent, because it must reach the machine's loopback, and because a namespace must be removed also where
//! the agent is killed. It runs as root, outside of what confines a job. Who cleans up after it finds it by its arguments.

use std::fs::{self, File};
use std::io::{self, BufRead, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use nix::sched::{CloneFlags, setns, unshare};

use super::link::{self, Link};
use super::loopback::{are_out_of_reach, name_servers};
use super::order::{Order, Told};
use super::relay::Door;
use crate::firewall::forwarding;
use crate::routes::Routes;
use crate::signals::wait;

/// The subcommand of the keeper, which reads its [`Order`] from standard input. Its argument is a directory of the task's,
/// by which its keeper is known.
pub(crate) const KEEPER_SUBCOMMAND: &str = "agent-network";

/// The network of the thread that opens it.
const OWN_NETWORK: &str = "/proc/thread-self/ns/net";
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The largest packet, where no route says: Ethernet's.
const DEFAULT_MTU: u32 = 1500;

/// Keeps a namespace until the input ends.
pub(crate) fn main(dir: &Path) -> ExitCode {
    let (input, mut output) = (io::stdin(), io::stdout());
    let mut line = String::new();
    // Without an order, as for a task whose boot item never comes, there is nothing to do.
    if !matches!(input.lock().read_line(&mut line), Ok(1..)) {
        return ExitCode::SUCCESS;
    }
    // An agent that has ended since needs none.
    if wait(&[input.as_fd()], Instant::now()) {
        return ExitCode::SUCCESS;
    }
    let made = serde_json::from_str(&line)
        .map_err(io::Error::from)
        .and_then(|order: Order| Namespace::make(&order, dir));
    let is_made = made.is_ok();
    let (told, namespace) = match made {
        Ok((namespace, told)) => (told, Some(namespace)),
        Err(error) => (Told::Failed { reason: error.to_string() }, None),
    };
    // An agent that is gone has closed the input too.
    let _gone = serde_json::to_string(&told)
        .map_err(io::Error::other)
        .and_then(|line| writeln!(output, "{line}").and_then(|()| output.flush()));
    if is_made {
        let _end = input.lock().read_to_end(&mut Vec::new());
    }
    drop(namespace);
    match link::remove(dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The task's log. The server tries again.
            let _told = writeln!(io::stderr(), "warning: the network of the task is not removed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A namespace, which lasts as long as this or a process in it.
struct Namespace {
    _file: File,
}

impl Namespace {
    fn make(order: &Order, dir: &Path) -> io::Result<(Self, Told)> {
        let routes = Routes::read()?;
        if routes.are_ipv6_alone() {
            return Err(io::Error::other("this machine reaches the network by IPv6 alone"));
        }
        if are_out_of_reach(&fs::read_to_string(RESOLV_CONF).unwrap_or_default()) {
            return Err(io::Error::other(format!(
                "all name servers in {RESOLV_CONF} have addresses of IPv6, which a namespace does not reach"
            )));
        }
        let mtu = routes.mtu().unwrap_or(DEFAULT_MTU).to_string();
        let ping_groups = link::ping_groups();
        let machine = File::open(OWN_NETWORK)?;
        let enter = |network: &File| setns(network, CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| {
            let error = io::Error::from(errno);
            io::Error::new(error.kind(), format!("a network namespace cannot be made: {error}"))
        })?;
        let file = File::open(OWN_NETWORK)?;
        enter(&machine)?;
        let switched_on = forwarding::forward()?;
        let link = Link::take(order.addresses, dir, &routes, &file)?;
        enter(&file)?;
        let inside = link.set_up_inside(order.addresses, &mtu, &ping_groups).and_then(|()| doors(order));
        enter(&machine)?;
        let doors = inside?;
        link.set_up_outside(dir, &mtu)?;
        doors.into_iter().try_for_each(Door::open)?;
        let descriptor = file.as_raw_fd();
        let told = Told::Ready { address: link.inner().to_string(), descriptor, switched_on };
        Ok((Self { _file: file }, told))
    }
}

/// The sockets in the namespace by which the machine's loopback is reached.
fn doors(order: &Order) -> io::Result<Vec<Door>> {
    let servers = name_servers(&fs::read_to_string(RESOLV_CONF).unwrap_or_default());
    let mut addresses = order.loopback.clone();
    addresses.extend(servers.iter().filter(|server| !order.loopback.contains(server)));
    let streams = addresses.into_iter().map(Door::of_streams);
    streams.chain(servers.into_iter().map(Door::of_messages)).collect()
}
