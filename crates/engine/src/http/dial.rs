//! A TCP connection to a name: lookup, then happy eyeballs (RFC 8305).
//!
//! hyper-util's connector also races the two families, but inside a family it tries the next address only
//! when the one before has failed or timed out, and it knows no bound on their number. A black hole among 16
//! addresses must not cost the whole connect time (NET-05), so the race is our own.

use std::collections::HashMap;
use std::io::{Error as IoError, ErrorKind, Result as IoResult};
use std::net::{SocketAddr, UdpSocket};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use thence_plan::{Failure, Limits, Phase};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::deadline::Deadline;
use super::nodes::{Seat, WHILE};
use super::outlets::{Course, Lease, Outlets};
use super::target::Target;
use crate::options::{Options, Pinned};

/// Addresses of one name that are tried (R70).
const ADDRESSES: usize = 16;

/// Addresses that are remembered as of no use.
const USELESS: usize = 1_024;

/// Connects to names.
pub(super) struct Dialer {
    pins: Vec<Pinned>,
    outlets: Arc<Outlets>,
    limits: Limits,
    /// Addresses that did not answer, or late, while another of the same name did, and when.
    useless: Mutex<HashMap<Course, Instant>>,
}

impl Dialer {
    pub(super) fn new(options: &Options) -> Dialer {
        Dialer {
            pins: options.resolve.clone(),
            outlets: Outlets::new(options.interfaces.clone(), options.limits.offline),
            limits: options.limits.clone(),
            useless: Mutex::default(),
        }
    }

    /// The bounds that connecting has.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Connects to a server, for a lane where that has its place among others.
    pub(super) async fn dial(
        &self,
        target: &Target,
        seat: Option<&Seat>,
        deadline: Deadline,
    ) -> Result<Wire, Failure> {
        let name = target.name();
        let (name, port) = (name.as_str(), target.port);
        let found = deadline.within(Phase::Resolve, self.resolve(name, port)).await;
        let found = found.map_err(|failure| if has_route() { failure } else { offline(name, port) })?;
        let addresses = match seat {
            Some(seat) => seat.choose(target, found, |address| self.is_useless(address)),
            None => found,
        };
        let mut courses = self.outlets.courses(&addresses);
        courses.sort_by_key(|course| self.was_useless(course));
        let racing = async {
            let connect = |course| {
                let connecting = self.outlets.clone().connect(course);
                async move { connecting.await.map(|tcp| (course, tcp)) }
            };
            let won = race(courses.clone(), self.limits.happy_eyeballs, connect).await;
            won.map_err(|error| refused(name, port, &error))
        };
        let won = deadline.within(Phase::Connect, racing).await;
        let answered = won.as_ref().ok().map(|&(course, _)| course);
        if !matches!(won, Err(Failure::Offline(_))) {
            self.remember(&courses, answered);
        }
        if let Some(seat) = seat {
            seat.sits(answered.map(|course| course.to));
        }
        let (course, tcp) = won?;
        prepare(&tcp, &self.limits).map_err(|error| Failure::Connect(format!("{name}:{port}: {error}")))?;
        let _lease = self.outlets.look_after(course, &tcp);
        Ok(Wire { tcp, _lease, meter: Arc::new(Meter { peer: Some(course.to), ..Meter::default() }) })
    }

    /// The addresses of a name in the order they are tried. The lookup runs on a blocking thread and cannot be
    /// called off: after a timeout it ends by the resolver's own limits.
    pub(super) async fn resolve(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let pin = self.pins.iter().find(|pin| pin.port == port && pin.host.eq_ignore_ascii_case(name));
        let mut found: Vec<SocketAddr> = match pin {
            Some(pin) => pin.addresses.iter().map(|&address| SocketAddr::new(address, port)).collect(),
            None => match lookup_host((name, port)).await {
                Ok(found) => found.collect(),
                Err(error) => return Err(Failure::Resolve(format!("{name}: {error}"))),
            },
        };
        found.retain(|address| self.outlets.reach(address));
        Ok(self.ordered(interleave(found)))
    }

    /// Those that were of no use lately come last: each would cost a step again.
    fn ordered(&self, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        addresses.sort_by_key(|address| self.is_useless(address));
        addresses
    }

    /// No way leads there.
    fn is_useless(&self, address: &SocketAddr) -> bool {
        self.outlets.all_to(*address).all(|course| self.was_useless(&course))
    }

    fn was_useless(&self, course: &Course) -> bool {
        let useless = self.useless.lock().unwrap_or_else(PoisonError::into_inner);
        useless.get(course).is_some_and(|at| at.elapsed() < WHILE)
    }

    /// A proxy was told that address, and did not reach it.
    pub(super) fn pass_over(&self, address: SocketAddr) {
        self.remember(&self.outlets.all_to(address).collect::<Vec<_>>(), None);
    }

    /// Those that were tried before the one that answered, if one did, were of no use.
    fn remember(&self, tried: &[Course], answered: Option<Course>) {
        let mut useless = self.useless.lock().unwrap_or_else(PoisonError::into_inner);
        if useless.len() > USELESS {
            useless.clear();
        }
        let now = Instant::now();
        useless.extend(tried.iter().take_while(|&&tried| Some(tried) != answered).map(|&tried| (tried, now)));
        if let Some(answered) = answered {
            useless.remove(&answered);
        }
    }
}

/// Alternates the families, the resolver's first choice first, so that a dead family delays by one step only.
fn interleave(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let six = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| address.is_ipv6() == six);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::new();
    while order.len() < ADDRESSES {
        let before = order.len();
        order.extend(first.next());
        order.extend(second.next());
        if order.len() == before {
            break;
        }
    }
    order.truncate(ADDRESSES);
    order
}

/// The first address that answers wins and the others are dropped. The next one starts when the one before
/// has failed or `delay` has passed. A refusal is reported before other errors: it lowers lanes (R34).
async fn race<A, T, F>(addresses: Vec<A>, delay: Duration, dial: impl Fn(A) -> F) -> IoResult<T>
where
    T: Send + 'static,
    F: Future<Output = IoResult<T>> + Send + 'static,
{
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut worst = IoError::new(ErrorKind::NotFound, "the name has no address");
    loop {
        match waiting.next() {
            Some(address) => drop(attempts.spawn(dial(address))),
            None if attempts.is_empty() => return Err(worst),
            None => {}
        }
        tokio::select! {
            Some(done) = attempts.join_next() => match done.unwrap_or_else(|panic| Err(IoError::other(panic))) {
                Ok(tcp) => return Ok(tcp),
                Err(error) if worst.kind() == ErrorKind::ConnectionRefused => drop(error),
                Err(error) => worst = error,
            },
            () = sleep(delay), if waiting.len() > 0 => {}
        }
    }
}

/// What could not be connected to, and why.
fn refused(name: &str, port: u16, error: &IoError) -> Failure {
    let text = format!("{name}:{port}: {error}");
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::Refused(text),
        ErrorKind::NotFound => Failure::Resolve(text),
        ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => Failure::Offline(text),
        _ => Failure::Connect(text),
    }
}

fn offline(name: &str, port: u16) -> Failure {
    Failure::Offline(format!("{name}:{port} cannot be looked up, and there is no route to anywhere"))
}

/// Whether there is a way out of this machine at all. Nothing is sent: connecting a datagram socket only looks a
/// route up, here to the networks of RFC 5737 and RFC 3849, where nobody is.
fn has_route() -> bool {
    let leads = |own: &str, to: &str| UdpSocket::bind(own).and_then(|socket| socket.connect(to)).is_ok();
    leads("0.0.0.0:0", "192.0.2.1:9") || leads("[::]:0", "[2001:db8::1]:9")
}

/// No delay for our small requests, and probes that keep a NAT's entry while we wait for our own limits.
fn prepare(tcp: &TcpStream, limits: &Limits) -> IoResult<()> {
    tcp.set_nodelay(true)?;
    let probes = TcpKeepalive::new().with_time(limits.stall.max(Duration::from_secs(1)));
    SockRef::from(tcp).set_tcp_keepalive(&probes)
}

/// Whom a connection leads to, what it read, the most that its next read may take, and the most that all of them may.
pub(super) struct Meter {
    /// The server's address, or that of a proxy before it.
    peer: Option<SocketAddr>,
    read: AtomicU64,
    want: AtomicUsize,
    allowed: AtomicU64,
    /// The last write found no room: part of a request may still be to be sent.
    unsent: AtomicBool,
}

impl Default for Meter {
    fn default() -> Meter {
        Meter {
            peer: None,
            read: AtomicU64::new(0),
            want: AtomicUsize::new(usize::MAX),
            allowed: AtomicU64::new(u64::MAX),
            unsent: AtomicBool::new(false),
        }
    }
}

impl Meter {
    /// Where its connection leads.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Bytes read so far. A slow link may need longer than the stall time for one whole TLS record, and is alive all
    /// the same.
    pub(super) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// A request, or a part of it, may still be to be sent.
    pub(super) fn unsent(&self) -> bool {
        self.unsent.load(Ordering::Relaxed)
    }

    /// No more than so many bytes are wanted: the rest stays in the kernel, and costs nothing if it is never read.
    pub(super) fn want(&self, bytes: u64) {
        self.want.store(usize::try_from(bytes).unwrap_or(usize::MAX).max(1), Ordering::Relaxed);
    }

    /// So many bytes are read in all until it is said again; `u64::MAX` for any number. Nobody is woken by it: whoever
    /// says so asks again.
    pub(super) fn allow(&self, bytes: u64) {
        self.allowed.store(bytes, Ordering::Relaxed);
    }

    /// All that was allowed is read.
    pub(super) fn is_spent(&self) -> bool {
        self.allowed.load(Ordering::Relaxed) == 0
    }

    fn next(&self) -> usize {
        let allowed = usize::try_from(self.allowed.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        self.want.load(Ordering::Relaxed).min(allowed)
    }

    fn count(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
        let allowed = self.allowed.load(Ordering::Relaxed);
        if allowed != u64::MAX {
            self.allow(allowed.saturating_sub(bytes));
        }
    }
}

/// What the system tells of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrivals {
    /// Bytes that were read.
    pub(super) read: u64,
    /// Packets that came out of order.
    pub(super) astray: u32,
    /// The shortest round trip.
    pub(super) round_trip: Duration,
}

/// A TCP connection with its meter.
pub(super) struct Wire {
    tcp: TcpStream,
    meter: Arc<Meter>,
    /// Goes with it.
    _lease: Option<Lease>,
}

impl Wire {
    /// Its meter, kept up to date.
    pub(super) fn meter(&self) -> Arc<Meter> {
        self.meter.clone()
    }

    /// Ready when there may be something to read, an end or an error included.
    pub(super) fn poll_arrival(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.tcp.poll_read_ready(cx).map(|_shows_at_the_read| ())
    }

    /// Bytes read so far.
    pub(super) fn read(&self) -> u64 {
        self.meter.read()
    }

    /// How packets come, if the system tells (since Linux 5.4).
    #[cfg(target_os = "linux")]
    #[allow(unsafe_code, reason = "nothing that we use wraps this option")]
    pub(super) fn arrivals(&self) -> Option<Arrivals> {
        let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
        let mut len = size_of_val(&info) as libc::socklen_t;
        // SAFETY: the socket is open as long as `self` is, and the kernel writes no more than `len` bytes, which `info` has.
        let told = unsafe {
            let into = info.as_mut_ptr().cast();
            libc::getsockopt(self.tcp.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, into, &raw mut len)
        };
        // SAFETY: it is made of numbers, which are all zero where the kernel wrote none.
        let info = unsafe { info.assume_init() };
        let round_trip = Duration::from_micros(u64::from(info.tcpi_min_rtt));
        (told == 0).then(|| Arrivals { read: self.read(), astray: info.tcpi_rcv_ooopack, round_trip })
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn arrivals(&self) -> Option<Arrivals> {
        None
    }

    /// Fewer bytes than so many are no arrival, unless they are the last or the socket can hold no more. If more than
    /// that lie there already, they have arrived now (since Linux 4.18). Elsewhere than on Linux every byte is one.
    #[cfg(target_os = "linux")]
    #[allow(unsafe_code, reason = "nothing that we use wraps this option")]
    pub(super) fn wake_at(&self, bytes: u32) {
        let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
        // SAFETY: the socket is open as long as `self` is, and the kernel reads no more than the value, of the size it has.
        let _every_byte_then = unsafe {
            libc::setsockopt(
                self.tcp.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVLOWAT,
                (&raw const value).cast(),
                size_of_val(&value) as libc::socklen_t,
            )
        };
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn wake_at(&self, _bytes: u32) {}
}

impl AsyncRead for Wire {
    #[allow(unsafe_code, reason = "else all of a buffer is zeroed for a part of it that is then read into")]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<IoResult<()>> {
        let before = buf.filled().len();
        let want = self.meter.next();
        if want == 0 {
            return Poll::Pending;
        }
        let done = if want >= buf.remaining() {
            Pin::new(&mut self.tcp).poll_read(cx, buf)
        } else {
            let mut few = buf.take(want);
            let done = Pin::new(&mut self.tcp).poll_read(cx, &mut few);
            let read = few.filled().len();
            // SAFETY: `few` is the beginning of what is unfilled of `buf`, and as many bytes of it were filled just now.
            unsafe { buf.assume_init(read) };
            buf.advance(read);
            done
        };
        self.meter.count((buf.filled().len() - before) as u64);
        done
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<IoResult<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.meter.unsent.store(written.is_pending(), Ordering::Relaxed);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Interface;

    const STEP: Duration = Duration::from_millis(250);

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn r70_families_alternate_and_are_bounded() {
        let found = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(address);
        let order = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"].map(address);
        assert_eq!(interleave(found.to_vec()), order);
        let many = |n| (0..n).map(|i| SocketAddr::from(([10, 0, 0, i], 1)));
        let six =
            many(40).map(|v4| SocketAddr::new(std::net::Ipv6Addr::from(u128::from(v4.port())).into(), 1));
        let order = interleave(six.chain(many(40)).collect());
        assert_eq!(order.len(), ADDRESSES);
        assert_eq!(order.iter().filter(|address| address.is_ipv4()).count(), ADDRESSES / 2);
        assert!(interleave(Vec::new()).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_of_no_use_are_tried_last_for_a_while() {
        let dialer = Dialer::new(&Options::default());
        let all = ["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"].map(address);
        let course = |to| Course { to, from: None };
        let by = all.map(course);
        dialer.remember(&by, Some(by[1]));
        assert_eq!(dialer.ordered(all.to_vec()), [all[1], all[2], all[0]]);
        dialer.remember(&[by[1], by[2], by[0]], Some(by[0]));
        assert_eq!(dialer.ordered(all.to_vec()), [all[0], all[1], all[2]], "what answers is of use again");
        dialer.pass_over(all[0]);
        assert_eq!(dialer.ordered(all.to_vec()), [all[0], all[1], all[2]], "all alike");
        sleep(WHILE).await;
        assert_eq!(dialer.ordered(all.to_vec()), all);
    }

    #[tokio::test]
    async fn a_pinned_name_is_looked_up_nowhere_and_an_address_of_ours_chooses_the_family() {
        let pin = |host: &str, text: &str| Pinned {
            host: host.into(),
            port: 80,
            addresses: text.split(',').map(|a| a.parse().unwrap()).collect(),
        };
        let resolve = vec![pin("a.invalid", "1.1.1.1,::1"), pin("b.invalid", "::1")];
        let mut options = Options { resolve, ..Options::default() };
        let found = |dialer: Dialer, name: &'static str| async move { dialer.resolve(name, 80).await.ok() };
        let both = found(Dialer::new(&options), "A.invalid").await;
        assert_eq!(both, Some(["1.1.1.1:80", "[::1]:80"].map(address).to_vec()));
        options.interfaces = vec![Interface::Address("127.0.0.1".parse().unwrap())];
        assert_eq!(found(Dialer::new(&options), "a.invalid").await, Some(vec![address("1.1.1.1:80")]));
        assert_eq!(found(Dialer::new(&options), "b.invalid").await, Some(Vec::new()));
    }

    /// How each of the addresses 10.0.0.0, 10.0.0.1, ... answers.
    #[derive(Clone, Copy)]
    enum Answer {
        Yes(u64),
        No(u64, ErrorKind),
        Never,
    }

    /// Who wins, after how many milliseconds, and who was dialled.
    async fn run(answers: &[Answer]) -> (Result<u8, ErrorKind>, u128, Vec<u8>) {
        let answers = answers.to_vec();
        let addresses = (0..answers.len()).map(|i| SocketAddr::from(([10, 0, 0, i as u8], 1))).collect();
        let dialled = Arc::new(Mutex::new(Vec::new()));
        let (noted, began) = (dialled.clone(), Instant::now());
        let winner = race(addresses, STEP, move |address: SocketAddr| {
            let index = address.to_string().as_bytes()[7] - b'0';
            noted.lock().unwrap().push(index);
            let answer = answers[usize::from(index)];
            async move {
                let after = |ms| tokio::time::sleep(Duration::from_millis(ms));
                match answer {
                    Answer::Yes(ms) => after(ms).await,
                    Answer::No(ms, kind) => {
                        after(ms).await;
                        return Err(kind.into());
                    }
                    Answer::Never => std::future::pending().await,
                }
                Ok(index)
            }
        });
        let winner = winner.await.map_err(|error| error.kind());
        let dialled = dialled.lock().unwrap().clone();
        (winner, began.elapsed().as_millis(), dialled)
    }

    /// Where nothing is lost: of losses, the bench's links have some.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_system_tells_how_packets_come() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (limits, port) = (Limits::default(), listener.local_addr().unwrap().port());
        let dialer = Dialer::new(&Options::default());
        let deadline = Deadline::after(limits.connect);
        let mut wire = dialer.dial(&Target::loopback(port), None, deadline).await.ok().unwrap();
        std::io::Write::write_all(&mut listener.accept().unwrap().0, b"here").unwrap();
        tokio::io::AsyncReadExt::read_exact(&mut wire, &mut [0; 4]).await.unwrap();
        let Arrivals { read, astray, round_trip } = wire.arrivals().unwrap();
        assert!((read, astray) == (4, 0) && !round_trip.is_zero() && round_trip < limits.connect);
    }

    #[tokio::test(start_paused = true)]
    async fn net_05_a_black_hole_costs_one_step() {
        assert_eq!(run(&[Answer::Never, Answer::Yes(10)]).await, (Ok(1), 260, vec![0, 1]));
        let holes = [[Answer::Never; 8].as_slice(), &[Answer::Yes(10)]].concat();
        assert_eq!(run(&holes).await.1, 8 * 250 + 10);
    }

    #[tokio::test(start_paused = true)]
    async fn net_05_a_failure_starts_the_next_at_once() {
        let refused = Answer::No(5, ErrorKind::ConnectionRefused);
        assert_eq!(run(&[refused, Answer::Yes(10), Answer::Yes(1)]).await, (Ok(1), 15, vec![0, 1]));
    }

    #[test]
    fn without_a_route_it_is_this_machine_that_is_offline() {
        let of = |kind: ErrorKind| refused("host", 80, &kind.into());
        assert!(matches!(of(ErrorKind::NetworkUnreachable), Failure::Offline(_)));
        assert!(
            matches!(of(ErrorKind::HostUnreachable), Failure::Connect(_)),
            "a host that is down is the host's"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn net_05_a_slow_first_may_still_win() {
        assert_eq!(run(&[Answer::Yes(300), Answer::Yes(100)]).await, (Ok(0), 300, vec![0, 1]));
    }

    #[tokio::test(start_paused = true)]
    async fn net_05_a_refusal_is_what_is_reported() {
        let (refused, unreachable) = (ErrorKind::ConnectionRefused, ErrorKind::NetworkUnreachable);
        let answers = [Answer::No(1, unreachable), Answer::No(1, refused), Answer::No(1, unreachable)];
        assert_eq!(run(&answers).await.0, Err(refused));
        assert_eq!(run(&[]).await.0, Err(ErrorKind::NotFound));
    }
}
