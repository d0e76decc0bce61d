//! Carries connections from a namespace's loopback to the same address of the machine's.
//!
//! The sockets that listen are made in the namespace; connections are made by threads that are not in it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Connections to one address at once. Others wait until one of them ends.
const MAX_CONNECTIONS: usize = 256;
/// Questions to one name server that wait for their answers. Others are dropped, and asked again.
const MAX_QUESTIONS: usize = 128;
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long a listener waits before it looks again whether a connection has ended.
const PAUSE: Duration = Duration::from_millis(20);
/// A thread only copies.
const STACK_BYTES: usize = 128 * 1024;
/// The largest message over UDP.
const MESSAGE_BYTES: usize = 64 * 1024;

/// A socket in the namespace for an address of the machine's loopback.
pub(super) enum Door {
    Stream(TcpListener, SocketAddr),
    Messages(UdpSocket, SocketAddr),
}

impl Door {
    /// Listens for connections, in the network of this process.
    pub(super) fn of_streams(at: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(at).map_err(|error| failed(at, &error))?;
        Ok(Self::Stream(listener, at))
    }

    /// Listens for messages, in the network of this process.
    pub(super) fn of_messages(at: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(at).map_err(|error| failed(at, &error))?;
        Ok(Self::Messages(socket, at))
    }

    /// Serves it in a thread. The network of this process must be the machine's.
    pub(super) fn open(self) -> io::Result<()> {
        let served = match self {
            Self::Stream(listener, to) => spawn(move || carry_streams(&listener, to)),
            Self::Messages(socket, to) => spawn(move || carry_messages(&Arc::new(socket), to)),
        };
        served.map(drop)
    }
}

fn failed(at: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{at} cannot be listened on: {error}"))
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().stack_size(STACK_BYTES).spawn(work)
}

/// One of a limited number. It is given back when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(taken: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        // Only one thread takes.
        (taken.load(Ordering::Acquire) < most).then(|| {
            taken.fetch_add(1, Ordering::AcqRel);
            Self(Arc::clone(taken))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn carry_streams(listener: &TcpListener, to: SocketAddr) {
    let taken = Arc::default();
    loop {
        let Some(place) = Place::take(&taken, MAX_CONNECTIONS) else {
            thread::sleep(PAUSE);
            continue;
        };
        let Ok((inner, _)) = listener.accept() else {
            // Such as too many open files.
            thread::sleep(PAUSE);
            continue;
        };
        // Without a thread, the connection is closed. What cannot be carried on is closed on both sides.
        let _closed = spawn(move || drop(carry(&inner, to, place)));
    }
}

/// Copies in both directions. Returns when nothing more comes from outside; a thread copies the other direction to its end.
///
/// The place is given back when both have ended: until then the connection has descriptors and a thread.
fn carry(inner: &TcpStream, to: SocketAddr, place: Place) -> io::Result<()> {
    let outer = connect(to)?;
    inner.set_nodelay(true)?;
    outer.set_nodelay(true)?;
    let (from_inner, to_outer) = (inner.try_clone()?, outer.try_clone()?);
    let place = Arc::new(place);
    let place_there = Arc::clone(&place);
    spawn(move || {
        copy(&from_inner, &to_outer);
        drop(place_there);
    })?;
    copy(&outer, inner);
    drop(place);
    Ok(())
}

/// A program that was told `localhost` may listen on either loopback address.
fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let other = match to.ip() {
        IpAddr::V4(address) if address == Ipv4Addr::LOCALHOST => {
            Some(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), to.port()))
        }
        _ => None,
    };
    TcpStream::connect_timeout(&to, CONNECT_LIMIT).or_else(|error| match other {
        Some(other) => TcpStream::connect_timeout(&other, CONNECT_LIMIT),
        None => Err(error),
    })
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    // After an error nothing can be read from one, or written to the other.
    let is_whole = io::copy(&mut from, &mut to).is_ok();
    let what = if is_whole { Shutdown::Write } else { Shutdown::Both };
    let _closed = to.shutdown(what);
    if !is_whole {
        let _closed = from.shutdown(Shutdown::Both);
    }
}

fn carry_messages(socket: &Arc<UdpSocket>, to: SocketAddr) {
    let (taken, mut message) = (Arc::default(), vec![0; MESSAGE_BYTES]);
    loop {
        let Ok((length, asker)) = socket.recv_from(&mut message) else {
            thread::sleep(PAUSE);
            continue;
        };
        let Some(place) = Place::take(&taken, MAX_QUESTIONS) else { continue };
        let (socket, question) = (Arc::clone(socket), message[..length].to_vec());
        // A question without an answer is asked again.
        let _lost = spawn(move || {
            let _lost = ask(&question, to).and_then(|answer| socket.send_to(&answer, asker));
            drop(place);
        });
    }
}

fn ask(question: &[u8], to: SocketAddr) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind(SocketAddr::new(to.ip(), 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(ANSWER_LIMIT))?;
    socket.send(question)?;
    let mut answer = vec![0; MESSAGE_BYTES];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::time::Instant;

    use super::*;

    fn any() -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)
    }

    #[test]
    fn a_connection_is_carried_both_ways_and_ends_on_both_sides() {
        let server = TcpListener::bind(any()).unwrap();
        let listener = TcpListener::bind(any()).unwrap();
        let (at, to) = (listener.local_addr().unwrap(), server.local_addr().unwrap());
        Door::Stream(listener, to).open().unwrap();
        let serving = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut asked = String::new();
            // Until the client has ended its side.
            stream.read_to_string(&mut asked).unwrap();
            stream.write_all(asked.to_uppercase().as_bytes()).unwrap();
        });
        let mut client = TcpStream::connect(at).unwrap();
        client.write_all(b"hello").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "HELLO");
        serving.join().unwrap();
    }

    #[test]
    fn a_connection_that_one_side_has_ended_is_carried_until_the_other_has() {
        let [server, listener] = [(); 2].map(|()| TcpListener::bind(any()).unwrap());
        let to = server.local_addr().unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (inner, _) = listener.accept().unwrap();
        let taken = Arc::default();
        let place = Place::take(&taken, 1).unwrap();
        let carrying = thread::spawn(move || carry(&inner, to, place).unwrap());
        let (mut outer, _) = server.accept().unwrap();
        outer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        carrying.join().unwrap();
        assert!(Place::take(&taken, 1).is_none(), "its place is free");
        client.write_all(b"late").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut said = String::new();
        outer.read_to_string(&mut said).unwrap();
        assert_eq!(said, "late");
        let deadline = Instant::now() + ANSWER_LIMIT;
        while Place::take(&taken, 1).is_none() {
            assert!(Instant::now() < deadline, "its place is not given back");
            thread::yield_now();
        }
    }

    #[test]
    fn a_connection_to_where_nothing_listens_is_closed() {
        let nothing = TcpListener::bind(any()).unwrap();
        let to = nothing.local_addr().unwrap();
        drop(nothing);
        let listener = TcpListener::bind(any()).unwrap();
        let at = listener.local_addr().unwrap();
        Door::Stream(listener, to).open().unwrap();
        let mut client = TcpStream::connect(at).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap_or_default(), 0);
    }

    #[test]
    fn each_asker_gets_the_answer_to_its_own_question() {
        let server = UdpSocket::bind(any()).unwrap();
        let socket = UdpSocket::bind(any()).unwrap();
        let (at, to) = (socket.local_addr().unwrap(), server.local_addr().unwrap());
        Door::Messages(socket, to).open().unwrap();
        let askers = [b"a", b"b"].map(|question| {
            let asker = UdpSocket::bind(any()).unwrap();
            asker.set_read_timeout(Some(ANSWER_LIMIT)).unwrap();
            asker.send_to(question, at).unwrap();
            asker
        });
        let mut asked = [0; 8];
        let questions: Vec<(u8, SocketAddr)> =
            (0..2).map(|_| server.recv_from(&mut asked).map(|(_, from)| (asked[0], from)).unwrap()).collect();
        for (question, from) in questions.iter().rev() {
            server.send_to(&[question.to_ascii_uppercase()], from).unwrap();
        }
        for (asker, expected) in askers.iter().zip([b'A', b'B']) {
            let mut answer = [0; 8];
            assert_eq!(asker.recv(&mut answer).unwrap(), 1);
            assert_eq!(answer[0], expected);
        }
    }

    #[test]
    fn only_so_many_are_carried_at_once() {
        let taken = Arc::default();
        let places: Vec<_> = (0..3).map_while(|_| Place::take(&taken, 2)).collect();
        assert_eq!(places.len(), 2);
        drop(places);
        assert!(Place::take(&taken, 2).is_some());
    }
}
