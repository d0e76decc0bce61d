//! ministack, the stand-in for AWS.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;

use super::process::Process;
use crate::pypi::Packages;

/// A value that ministack gives its functions; the driver looks for it in their logs.
pub(super) const SECRET_ACCESS_KEY: &str = "chain/4f1d0a7e9b3c/secret-access-key";

const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// A running ministack; ends with its functions when dropped.
pub(super) struct Ministack {
    _process: Process,
    address: SocketAddr,
}

impl Ministack {
    pub(super) fn start(python: &Packages, logs: &Path) -> anyhow::Result<Self> {
        let address = free_address()?;
        let url = format!("http://{address}");
        let own = python.dir().join("ministack");
        // It unpacks each function into a directory and never removes it.
        if own.exists() {
            fs::remove_dir_all(&own).with_context(|| format!("cannot remove {}", own.display()))?;
        }
        fs::create_dir_all(&own).with_context(|| format!("cannot make {}", own.display()))?;
        let log = logs.join("ministack.log");
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = python.run(&["-m", "ministack"]);
        command
            .current_dir(&own)
            // Its functions inherit its environment, which must be the same on every machine.
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", &own)
            .env("TMPDIR", &own)
            .env("BIND_HOST", Ipv4Addr::LOCALHOST.to_string())
            .env("GATEWAY_PORT", address.port().to_string())
            .env("MINISTACK_HOST", Ipv4Addr::LOCALHOST.to_string())
            .env("AWS_ENDPOINT_URL", &url)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            // AWS waits a minute before it retries a failed invocation.
            .env("LAMBDA_ASYNC_RETRY_BASE_SECONDS", "0.2")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let mut process = Process::start("ministack", &mut command)?;
        process.wait_until(|| is_healthy(address)).with_context(|| format!("see {}", log.display()))?;
        Ok(Self { _process: process, address })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn is_healthy(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        write!(stream, "GET /_ministack/health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?)
}
