//! The servers of shaped networks: nginx, and one whose connections are slow, uneven or too many.
//!
//! nginx's own `limit_rate` will not do for that: it gives every request a second's worth at once, so that a program
//! which asks for small pieces is not held back at all.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use thence_origin::chance::Chance;
use thence_origin::honest::Answer;
use thence_origin::real::{Server, Site};
use thence_origin::{Origin, Reply, Request, Served};

/// How a server treats connections.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Serving {
    /// nginx, as fast as it can.
    Nginx,
    /// Body bytes a second of each connection, and the most answers that it gives at once: others get a 503.
    Throttled { rate: u64, most: usize },
    /// By the order of their first request: every sixth falls silent after a megabyte, of the others every fourth brings
    /// 150 KB/s, the rest [`GOOD`].
    Uneven,
    /// The same rate, and each answer is cut off after 1 to 10 MiB, by chance.
    Dropping { rate: u64 },
    /// The same rate, as many bytes as the others have, and not theirs.
    Wrong { rate: u64 },
    /// It hears everything and says nothing.
    Silent,
}

/// Bytes a second of a good connection of [`Serving::Uneven`].
pub(crate) const GOOD: u64 = 3_000_000;

const SLOW: u64 = 150_000;

/// A server that runs. It is made and dropped in its own network.
pub(crate) enum Running {
    Nginx(Server),
    Scripted { origin: Origin, address: Ipv4Addr, refused: &'static AtomicU64 },
}

/// What a server noted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Noted {
    /// Body bytes of answers that were no refusals.
    pub(crate) sent: u64,
    pub(crate) requests: u64,
    /// 503, or cut off.
    pub(crate) refused: u64,
}

impl Serving {
    /// Serves the files of `root`; all but nginx serve `size` bytes at every path, of the same content but for `Wrong`.
    pub(crate) fn start(self, root: &Path, size: u64, address: Ipv4Addr) -> Result<Running, String> {
        if matches!(self, Serving::Nginx) {
            return Ok(Running::Nginx(Server::nginx(&Site::new(root).at(address))));
        }
        let listener = TcpListener::bind((address, 0)).map_err(|error| format!("{address}: {error}"))?;
        // A run's counter, 8 bytes: the handler outlives every borrow.
        let refused: &'static AtomicU64 = Box::leak(Box::default());
        let chance = Mutex::new(Chance::new(7));
        let content = if matches!(self, Serving::Wrong { .. }) { 2 } else { 1 };
        let (served, order, busy) = (Served::made(content, size), Order::default(), AtomicUsize::new(0));
        let origin = Origin::start_on(listener, move |request, out| {
            let answer = served.answer(request);
            match self {
                Serving::Throttled { rate, most } => {
                    if busy.fetch_add(1, Ordering::SeqCst) < most {
                        throttled(&answer, rate, out);
                    } else {
                        refused.fetch_add(1, Ordering::SeqCst);
                        out.answer(503, "", "too many\n");
                    }
                    busy.fetch_sub(1, Ordering::SeqCst);
                }
                Serving::Dropping { rate } => {
                    let share = chance.lock().expect("nothing panics while it is held").unit();
                    refused.fetch_add(u64::from(dropping(&answer, rate, share, out)), Ordering::SeqCst);
                }
                Serving::Wrong { rate } => throttled(&answer, rate, out),
                Serving::Silent => _ = out.stall(),
                Serving::Nginx | Serving::Uneven => uneven(&answer, order.place(request), out),
            }
        });
        Ok(Running::Scripted { origin, address, refused })
    }
}

impl Running {
    pub(crate) fn url(&self, path: &str) -> String {
        match self {
            Running::Nginx(server) => server.url(path),
            Running::Scripted { origin, address, .. } => format!("http://{address}:{}{path}", origin.port()),
        }
    }

    /// nginx notes a request when it is over, which for one that was left it sees at its next write.
    pub(crate) fn noted(&self) -> Noted {
        match self {
            Running::Nginx(server) => {
                let log = server.log();
                let refused = log.iter().filter(|access| access.status == 503).count() as u64;
                let served = log.iter().filter(|access| access.status < 400);
                Noted { sent: served.map(|access| access.sent).sum(), requests: log.len() as u64, refused }
            }
            Running::Scripted { origin, refused, .. } => Noted {
                sent: origin.sent(),
                requests: origin.requests().len() as u64,
                refused: refused.load(Ordering::SeqCst),
            },
        }
    }
}

/// Which connection in the order of first requests a request came on.
#[derive(Default)]
struct Order(Mutex<Vec<usize>>);

impl Order {
    fn place(&self, request: &Request) -> usize {
        let mut seen = self.0.lock().expect("nothing panics while it is held");
        let place = seen.iter().position(|&connection| connection == request.connection);
        place.unwrap_or_else(|| {
            seen.push(request.connection);
            seen.len() - 1
        })
    }
}

fn throttled(answer: &Answer, rate: u64, out: &mut Reply) {
    let mut answer = answer.clone();
    out.head(answer.status, &answer.head());
    answer.rate = Some(rate);
    answer.send_body(out);
}

fn uneven(answer: &Answer, place: usize, out: &mut Reply) {
    if place % 6 == 5 {
        let mut answer = answer.clone();
        out.head(answer.status, &answer.head());
        answer.span.1 = answer.span.1.min(answer.span.0 + 1_000_000);
        answer.rate = Some(GOOD);
        answer.send_body(out);
        out.stall();
        return;
    }
    throttled(answer, if place % 4 == 3 { SLOW } else { GOOD }, out);
}

/// Whether it was cut off.
fn dropping(answer: &Answer, rate: u64, share: f64, out: &mut Reply) -> bool {
    let mut answer = answer.clone();
    out.head(answer.status, &answer.head());
    let most = answer.span.0 + (1 << 20) + (share * 9.0 * f64::from(1 << 20)) as u64;
    let cut = most < answer.span.1;
    answer.rate = Some(rate);
    answer.span.1 = answer.span.1.min(most);
    answer.send_body(out);
    if cut {
        out.cut();
    }
    cut
}
