//! A scripted loopback origin: one closure answers every request, a thread serves each connection, and
//! every request is recorded. It has no opinion about HTTP: what the closure writes is what is sent.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use rustls::ServerConfig;

use crate::reply::Reply;
use crate::request::{Request, read_head};
use crate::wire::{Stage, Wire, lock};

/// A server on `127.0.0.1` with a port of its own. Dropping it closes every connection and the port.
pub struct Origin {
    address: SocketAddr,
    listener: TcpListener,
    scheme: &'static str,
    stage: Arc<Stage>,
    acceptor: Option<JoinHandle<()>>,
}

impl Origin {
    /// Starts a plain origin that answers each request by `handler`.
    pub fn start(handler: impl Fn(&Request, &mut Reply) + Send + Sync + 'static) -> Origin {
        Origin::start_at(0, None, handler)
    }

    /// The same over TLS; [`crate::ca`] makes configurations.
    pub fn start_tls(
        config: Arc<ServerConfig>,
        handler: impl Fn(&Request, &mut Reply) + Send + Sync + 'static,
    ) -> Origin {
        Origin::start_at(0, Some(config), handler)
    }

    /// On a given port, so that an origin can come back where it was; 0 takes a free one.
    pub fn start_at(
        port: u16,
        tls: Option<Arc<ServerConfig>>,
        handler: impl Fn(&Request, &mut Reply) + Send + Sync + 'static,
    ) -> Origin {
        Origin::converse(listen(port), tls, move |stage, wire, connection| {
            answer_all(stage, wire, connection, &handler)
        })
    }

    /// At a port that is held already: that of another address, or of a network namespace.
    pub fn start_on(
        listener: TcpListener,
        handler: impl Fn(&Request, &mut Reply) + Send + Sync + 'static,
    ) -> Origin {
        Origin::converse(listener, None, move |stage, wire, connection| {
            answer_all(stage, wire, connection, &handler)
        })
    }

    /// An origin that does `conversation` with each connection that comes there.
    pub(crate) fn converse(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        conversation: impl Fn(&Stage, &mut Wire, usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> Origin {
        let address = listener.local_addr().expect("a bound socket has an address");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let stage = Arc::new(Stage::default());
        let (acting, conversation) = (stage.clone(), Arc::new(conversation));
        let listening = listener.try_clone().expect("a descriptor is free");
        let acceptor = thread::spawn(move || accept(&listening, &acting, tls, &conversation));
        Origin { address, listener, scheme, stage, acceptor: Some(acceptor) }
    }

    /// Records no request: those of a terabyte would be more to keep than what is measured.
    pub fn unrecorded(self) -> Origin {
        self.stage.unrecorded.store(true, Ordering::Relaxed);
        self
    }

    /// The URL of `path` (which starts with `/`) at this origin.
    pub fn url(&self, path: &str) -> String {
        self.url_as("127.0.0.1", path)
    }

    /// The same by another name of this machine; `localhost` is another origin to a client.
    pub fn url_as(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", self.scheme, self.address.port())
    }

    /// Ends it, and gives its port to another that comes in its place.
    pub fn leave(self) -> TcpListener {
        self.listener.try_clone().expect("a descriptor is free")
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Every request so far, in the order in which their heads were read.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.stage.requests).clone()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.stage.accepted.load(Ordering::SeqCst)
    }

    /// Body bytes given to the kernel so far; a client that went away has not read all of them.
    pub fn sent(&self) -> u64 {
        self.stage.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stage.stopping.store(true, Ordering::SeqCst);
        for socket in lock(&self.stage.open).values().filter_map(Weak::upgrade) {
            let _gone_already = socket.shutdown(Shutdown::Both);
        }
        // The acceptor sits in `accept`; one more connection makes it look at the flag.
        let _refused = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _panicked = acceptor.join();
        }
    }
}

/// A port of loopback; 0 takes a free one.
fn listen(port: u16) -> TcpListener {
    TcpListener::bind(("127.0.0.1", port)).expect("a loopback port is free")
}

fn accept<C>(
    listener: &TcpListener,
    stage: &Arc<Stage>,
    tls: Option<Arc<ServerConfig>>,
    conversation: &Arc<C>,
) where
    C: Fn(&Stage, &mut Wire, usize) -> io::Result<()> + Send + Sync + 'static,
{
    for socket in listener.incoming() {
        if stage.stopping.load(Ordering::SeqCst) {
            return;
        }
        // A client may reset a connection before it is accepted; that is no reason to stop.
        let Ok(socket) = socket else { continue };
        let connection = stage.accepted.fetch_add(1, Ordering::SeqCst);
        let Ok(mut wire) = Wire::new(socket, tls.as_ref()) else { continue };
        lock(&stage.open).insert(connection, Arc::downgrade(&wire.socket));
        let (stage, conversation) = (stage.clone(), conversation.clone());
        thread::spawn(move || {
            // An I/O error means that the client went away, which many tests make it do.
            let _gone = conversation(&stage, &mut wire, connection);
            lock(&stage.open).remove(&connection);
        });
    }
}

/// Reads requests and lets `handler` answer them until one side has enough.
fn answer_all(
    stage: &Stage,
    wire: &mut Wire,
    connection: usize,
    handler: &impl Fn(&Request, &mut Reply),
) -> io::Result<()> {
    let mut held = Vec::new();
    while let Some(mut request) = read_head(wire, &mut held)? {
        request.connection = connection;
        request.certified = wire.certified();
        request.from = wire.socket.peer_addr().ok().map(|peer| peer.ip());
        request.open = lock(&stage.open).len();
        let mut requests = lock(&stage.requests);
        request.number = requests.len();
        if !stage.unrecorded.load(Ordering::Relaxed) {
            requests.push(request.clone());
        }
        drop(requests);
        let mut reply = Reply::new(wire, stage);
        handler(&request, &mut reply);
        if !reply.goes_on() || !request.keeps_alive() || stage.stopping.load(Ordering::SeqCst) {
            break;
        }
    }
    wire.close();
    Ok(())
}
