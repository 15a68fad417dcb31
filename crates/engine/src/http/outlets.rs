//! Where connections leave this machine: the system's choice, an address or interface of ours, or several of them in turn.
//!
//! What leaves through one that is lost hears nothing of it: its packets go nowhere. So where there are several, it is looked
//! after: a connection whose way is gone is shut down, and whoever uses it opens another, which leaves elsewhere.

use std::collections::HashMap;
use std::io::{ErrorKind, Result as IoResult};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use crate::options::Interface;

/// Where a connection leads, and which of the outlets it leaves through; `None`: the system's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Course {
    pub(super) to: SocketAddr,
    pub(super) from: Option<usize>,
}

/// All that may be used.
pub(super) struct Outlets {
    all: Vec<Interface>,
    /// Which one comes next.
    turn: AtomicUsize,
    /// How often the ways of open connections are looked at.
    look: Duration,
    open: Mutex<Open>,
}

/// Connections that are looked after.
#[derive(Default)]
struct Open {
    last: u64,
    /// Each with its socket.
    held: HashMap<u64, (Course, Socket)>,
    /// A task looks after them.
    watched: bool,
}

/// Keeps a connection among those that are looked after. It holds a handle to the socket, so that both must go.
pub(super) struct Lease {
    outlets: Weak<Outlets>,
    number: u64,
}

impl Outlets {
    pub(super) fn new(all: Vec<Interface>, look: Duration) -> Arc<Outlets> {
        Arc::new(Outlets { all, turn: AtomicUsize::new(0), look, open: Mutex::default() })
    }

    /// Whether one of them can lead there: an address of ours has a family.
    pub(super) fn reach(&self, to: &SocketAddr) -> bool {
        self.all.is_empty() || self.all.iter().any(|outlet| fits(outlet, to))
    }

    /// Every way to that address.
    pub(super) fn all_to(&self, to: SocketAddr) -> impl Iterator<Item = Course> {
        let any = self.all.is_empty().then_some(Course { to, from: None });
        let each = self.all.iter().enumerate().filter(move |(_, outlet)| fits(outlet, &to));
        any.into_iter().chain(each.map(move |(from, _)| Course { to, from: Some(from) }))
    }

    /// Every way to these addresses, the first through the outlet whose turn it is.
    pub(super) fn courses(&self, to: &[SocketAddr]) -> Vec<Course> {
        if self.all.is_empty() {
            return to.iter().map(|&to| Course { to, from: None }).collect();
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let outlets: Vec<usize> = (0..self.all.len()).map(|at| (at + turn) % self.all.len()).collect();
        let of = |&to: &SocketAddr| {
            let fitting = outlets.iter().filter(move |&&from| fits(&self.all[from], &to));
            fitting.map(move |&from| Course { to, from: Some(from) })
        };
        to.iter().flat_map(of).collect()
    }

    /// Connects on that way.
    pub(super) async fn connect(self: Arc<Outlets>, course: Course) -> IoResult<TcpStream> {
        let Some(from) = course.from else { return TcpStream::connect(course.to).await };
        let socket = if course.to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        match &self.all[from] {
            Interface::Address(own) => socket.bind(SocketAddr::new(*own, 0))?,
            #[cfg(target_os = "linux")]
            Interface::Device(name) => socket.bind_device(Some(name.as_bytes()))?,
            #[cfg(not(target_os = "linux"))]
            Interface::Device(_) => return Err(ErrorKind::Unsupported.into()),
        }
        socket.connect(course.to).await
    }

    /// Looks after a connection, if there is another outlet that could take its place.
    pub(super) fn look_after(self: &Arc<Outlets>, course: Course, tcp: &TcpStream) -> Option<Lease> {
        if self.all.len() < 2 {
            return None;
        }
        let socket = SockRef::from(tcp).try_clone().ok()?;
        let mut open = self.lock();
        open.last += 1;
        let number = open.last;
        open.held.insert(number, (course, socket));
        if !open.watched
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            open.watched = true;
            runtime.spawn(watch(Arc::downgrade(self), self.look));
        }
        Some(Lease { outlets: Arc::downgrade(self), number })
    }

    /// Shuts down every connection whose way is gone: its next read ends. False when there is none left to look after.
    fn shut_lost(&self) -> bool {
        let mut open = self.lock();
        open.held.retain(|_, (course, socket)| {
            let stands = self.stands(*course);
            if !stands {
                // One that is closed already needs none.
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
            stands
        });
        open.watched = !open.held.is_empty();
        open.watched
    }

    /// Whether the system would still send a packet on that way. Nothing is sent: connecting a datagram socket only looks a
    /// route up.
    fn stands(&self, Course { to, from }: Course) -> bool {
        let Some(outlet) = from.and_then(|from| self.all.get(from)) else { return true };
        let tried = match outlet {
            Interface::Address(own) => {
                UdpSocket::bind(SocketAddr::new(*own, 0)).and_then(|socket| socket.connect(to))
            }
            Interface::Device(name) => Socket::new(Domain::for_address(to), Type::DGRAM, None)
                .and_then(|socket| bind_device(&socket, name).and_then(|()| socket.connect(&to.into()))),
        };
        // Whatever else fails, for want of files or memory, is no fault of the way.
        !matches!(tried, Err(error) if is_gone(error.kind()) || error.raw_os_error() == Some(NO_DEVICE))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `ENODEV`, which has no kind of its own.
const NO_DEVICE: i32 = 19;

fn is_gone(kind: ErrorKind) -> bool {
    use ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable};
    matches!(kind, AddrNotAvailable | HostUnreachable | NetworkDown | NetworkUnreachable)
}

#[cfg(target_os = "linux")]
fn bind_device(socket: &Socket, name: &str) -> IoResult<()> {
    socket.bind_device(Some(name.as_bytes()))
}

#[cfg(not(target_os = "linux"))]
fn bind_device(_: &Socket, _: &str) -> IoResult<()> {
    Err(ErrorKind::Unsupported.into())
}

fn fits(outlet: &Interface, to: &SocketAddr) -> bool {
    !matches!(outlet, Interface::Address(own) if own.is_ipv4() != to.is_ipv4())
}

async fn watch(outlets: Weak<Outlets>, look: Duration) {
    loop {
        tokio::time::sleep(look).await;
        if !outlets.upgrade().is_some_and(|outlets| outlets.shut_lost()) {
            return;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(outlets) = self.outlets.upgrade() {
            outlets.lock().held.remove(&self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_millis(10);

    fn of(outlets: &[&str]) -> Arc<Outlets> {
        Outlets::new(outlets.iter().map(|own| Interface::Address(own.parse().unwrap())).collect(), LOOK)
    }

    #[test]
    fn outlets_take_turns_and_each_leads_to_its_family_alone() {
        let to = ["192.0.2.1:1", "[2001:db8::1]:1"].map(|to| to.parse().unwrap());
        let outlets = of(&["192.0.2.8", "192.0.2.9", "2001:db8::9"]);
        let courses = |outlets: &Outlets| {
            let courses = outlets.courses(&to);
            courses.into_iter().map(|course| (course.to == to[0], course.from)).collect::<Vec<_>>()
        };
        assert_eq!(courses(&outlets), [(true, Some(0)), (true, Some(1)), (false, Some(2))]);
        assert_eq!(courses(&outlets), [(true, Some(1)), (true, Some(0)), (false, Some(2))]);
        assert_eq!(courses(&of(&[])), [(true, None), (false, None)]);
        assert!(of(&[]).reach(&to[1]) && outlets.reach(&to[1]) && !of(&["192.0.2.8"]).reach(&to[1]));
    }

    /// An address that this machine does not have is one that it has lost.
    #[tokio::test]
    async fn a_connection_whose_way_is_gone_ends_and_the_others_do_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let outlets = of(&["127.0.0.1", "192.0.2.9"]);
        let mut connections = Vec::new();
        for from in [0, 1] {
            let tcp = TcpStream::connect(to).await.unwrap();
            let lease = outlets.look_after(Course { to, from: Some(from) }, &tcp).unwrap();
            connections.push((tcp, lease));
        }
        let (mut stands, mut lost) = (connections.remove(0), connections.remove(0));
        let read = tokio::io::AsyncReadExt::read(&mut lost.0, &mut [0; 1]).await;
        assert_eq!(read.unwrap(), 0);
        let mut byte = [0; 1];
        let read = tokio::io::AsyncReadExt::read(&mut stands.0, &mut byte);
        assert!(tokio::time::timeout(20 * LOOK, read).await.is_err(), "it stands");
        drop((stands, lost));
        assert!(outlets.lock().held.is_empty(), "a socket is held for nobody");
    }
}
