//! The few calls of Docker's API that a keeper makes, over the engine's socket.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Deserialize;

/// How much of an answer is read.
const ANSWER_LIMIT_BYTES: u64 = 8 * 1024 * 1024;
/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// How long the question about networks may take. The keeper looks at nothing else meanwhile.
const NETWORKS_LIMIT: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    id: String,
}

/// A network, as far as it says which bridge it has.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedNetwork {
    id: String,
    driver: String,
    options: Option<BTreeMap<String, String>>,
    #[serde(rename = "IPAM")]
    ipam: Ipam,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    config: Option<Vec<Pool>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pool {
    subnet: Option<String>,
}

/// The bridge of a network.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Bridge {
    pub(super) name: String,
    /// Each an address and the length of the prefix.
    pub(super) subnets: Vec<(Ipv4Addr, u32)>,
}

/// Whether the engine answers.
pub(super) fn is_ready(socket: &Path) -> bool {
    call(socket, "GET", "/_ping", CALL_LIMIT).is_ok()
}

/// Removes every container, running or not, and then the networks that no container uses.
/// What is left when the time is over ends with the engine.
pub(super) fn remove_all(socket: &Path, deadline: Instant) -> io::Result<()> {
    let left = || deadline.saturating_duration_since(Instant::now()).min(CALL_LIMIT);
    let listed = call(socket, "GET", "/containers/json?all=1", left())?;
    let containers: Vec<Container> = serde_json::from_slice(&listed)?;
    let mut removed = Ok(());
    for Container { id } in containers.iter().take_while(|_| Instant::now() < deadline) {
        let one = call(socket, "DELETE", &format!("/containers/{id}?force=1&v=1"), left());
        removed = removed.and(one.map(drop));
    }
    removed.and(call(socket, "POST", "/networks/prune", left()).map(drop))
}

/// The bridges of the engine's networks.
pub(super) fn bridges(socket: &Path) -> io::Result<Vec<Bridge>> {
    bridges_in(&call(socket, "GET", "/networks", NETWORKS_LIMIT)?)
}

fn bridges_in(listed: &[u8]) -> io::Result<Vec<Bridge>> {
    let networks: Vec<ListedNetwork> = serde_json::from_slice(listed)?;
    let bridges = networks.into_iter().filter(|network| network.driver == "bridge").map(|network| {
        let named = network.options.and_then(|mut it| it.remove("com.docker.network.bridge.name"));
        let subnets = network.ipam.config.into_iter().flatten().filter_map(|pool| {
            let (address, prefix) = pool.subnet.as_deref()?.split_once('/')?;
            Some((address.parse().ok()?, prefix.parse().ok()?))
        });
        // As `dockerd` names it otherwise.
        let name = named.unwrap_or_else(|| format!("br-{}", network.id.get(..12).unwrap_or_default()));
        Bridge { name, subnets: subnets.collect() }
    });
    Ok(bridges.collect())
}

/// Makes one call, and returns the answer's body.
fn call(socket: &Path, method: &str, path: &str, limit: Duration) -> io::Result<Vec<u8>> {
    if limit.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    // An answer to HTTP/1.0 ends with its connection, so that nothing of it has to be counted.
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_LIMIT_BYTES).read_to_end(&mut answer)?;
    body(&answer).map(<[u8]>::to_vec).ok_or_else(|| {
        let first = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        io::Error::other(format!("{method} {path}: {}", String::from_utf8_lossy(first)))
    })
}

/// The body of an answer that is a success.
fn body(answer: &[u8]) -> Option<&[u8]> {
    let status = answer.split(|byte| *byte == b' ').nth(1)?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    (status.first() == Some(&b'2')).then(|| &answer[end + 4..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bridge_of_a_network_has_the_name_that_its_job_chose_or_one_of_its_id() {
        let listed = r#"[
            {"Name": "own", "Id": "0123456789abcdef", "Driver": "bridge", "Options": {},
             "IPAM": {"Driver": "default", "Options": null, "Config": [{"Subnet": "172.28.0.0/16", "Gateway": "172.28.0.1"}]}},
            {"Name": "named", "Id": "f0", "Driver": "bridge", "Options": {"com.docker.network.bridge.name": "named0"},
             "IPAM": {"Config": [{"Subnet": "fd00::/64"}, {}]}},
            {"Name": "host", "Id": "f1", "Driver": "host", "Options": null, "IPAM": {"Config": null}}
        ]"#;
        let subnets = vec![(Ipv4Addr::new(172, 28, 0, 0), 16)];
        let own = Bridge { name: "br-0123456789ab".to_owned(), subnets };
        let named = Bridge { name: "named0".to_owned(), subnets: Vec::new() };
        assert_eq!(bridges_in(listed.as_bytes()).unwrap(), [own, named]);
    }

    #[test]
    fn only_a_success_has_a_body() {
        assert_eq!(body(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n[]"), Some(&b"[]"[..]));
        assert_eq!(body(b"HTTP/1.1 204 No Content\r\n\r\n"), Some(&b""[..]));
        for answer in ["HTTP/1.0 409 Conflict\r\n\r\n{}", "HTTP/1.0 200 OK\r\n", "", "x"] {
            assert_eq!(body(answer.as_bytes()), None, "{answer}");
        }
    }
}
