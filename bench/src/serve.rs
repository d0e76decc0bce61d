//! A server on loopback, with or without TLS. Nagle is off, since it would delay each small answer by 40 ms.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::serve::{Listener, ListenerExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    _serving: JoinSet<io::Result<()>>,
}

impl Server {
    pub(crate) async fn start(router: Router, tls: Option<TlsAcceptor>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut serving = JoinSet::new();
        match tls {
            Some(acceptor) => {
                let listener = Encrypted { listener, acceptor, handshakes: JoinSet::new() };
                serving.spawn(async move { axum::serve(listener, router).await });
            }
            None => {
                // Without the option the connection is slow, but works.
                let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
                serving.spawn(async move { axum::serve(listener, router).await });
            }
        }
        Ok(Self { address, _serving: serving })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Accepts connections after their handshake. A hanging handshake does not block others.
struct Encrypted {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    handshakes: JoinSet<io::Result<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            tokio::select! {
                Ok((stream, address)) = self.listener.accept() => {
                    let acceptor = self.acceptor.clone();
                    self.handshakes.spawn(async move {
                        stream.set_nodelay(true)?;
                        Ok((acceptor.accept(stream).await?, address))
                    });
                }
                // The client reports a failed handshake.
                Some(Ok(Ok(accepted))) = self.handshakes.join_next() => return accepted,
                // If neither pattern matches, waits for the next connection.
                else => tokio::task::yield_now().await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
