//! The whole client against a script of bytes: each connection gets the next piece of it and is closed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use thence::{Done, Engine, Error, Event, Failure, Options, Request};
use tokio::runtime::Runtime;

use crate::input::{Bytes, scratch};

/// No run takes longer, whatever the peer sends: every wait is at a three-hundredth.
const LONGEST: Duration = Duration::from_secs(20);

/// Connections that a script can serve; the later ones are closed at once.
const PIECES: usize = 24;

/// Options of a run that may be waited for.
pub(crate) fn options() -> Options {
    let mut options = Options { proxy: thence::Proxy::Direct, ..Options::default() };
    options.limits = options.limits.hurried(300);
    options.limits.retries = 2;
    options
}

/// An engine and the runtime its callers need.
pub(crate) struct Runner {
    runtime: Runtime,
    engine: Engine,
}

impl Runner {
    pub(crate) fn new(options: Options) -> Runner {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Runner { runtime, engine: Engine::new(options).unwrap() }
    }

    /// Fetches into `dir`. A defect of ours, or a run without end, is a finding.
    pub(crate) fn file(self, url: &str, dir: &Path) -> Result<Done, Error> {
        let Runner { runtime, engine } = self;
        let mut request = Request::new(url, dir);
        request.lanes = Some(3);
        let mut download = engine.start(request);
        let ended = runtime.block_on(async {
            let all = async {
                while let Some(event) = download.event().await {
                    let defect = matches!(&event, Event::Retry { failure: Failure::Defect(_), .. });
                    assert!(!defect, "{event:?}");
                }
                download.wait().await
            };
            tokio::time::timeout(LONGEST, all).await.expect("it has no end")
        });
        runtime.block_on(engine.close());
        let defect = matches!(&ended, Err(Error::Source { failure: Failure::Defect(_), .. }));
        assert!(!defect, "{ended:?}");
        ended
    }
}

/// Any bytes from a server: it ends, without a panic, and writes nothing outside its directory.
pub(crate) fn client(data: &[u8]) {
    let pieces = script(&mut Bytes(data));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/f", listener.local_addr().unwrap());
    let over = Arc::new(Mutex::new(false));
    let (said, address) = (over.clone(), listener.local_addr().unwrap());
    let server = thread::spawn(move || serve(&listener, pieces, &said));
    let (outside, dir) = (scratch(), scratch());
    let inside = outside.path().join("d");
    std::fs::create_dir(&inside).unwrap();
    let ended = Runner::new(options()).file(&url, &inside);
    *over.lock().unwrap() = true;
    drop(TcpStream::connect(address));
    server.join().unwrap();
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1, "P5");
    if let Ok(done) = ended {
        let path = done.path.expect("a file has a path");
        assert_eq!(std::fs::metadata(path).unwrap().len(), done.bytes);
    }
    drop(dir);
}

/// What each connection is sent. A piece begins with a status line of ours, or with bytes of its own.
fn script(input: &mut Bytes<'_>) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    while !input.is_empty() && pieces.len() < PIECES {
        let lead = input.pick(&[
            "HTTP/1.1 206 P\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 10\r\n",
            "HTTP/1.1 200 O\r\nContent-Length: 10\r\n",
            "HTTP/1.1 200 O\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 O\r\nContent-Encoding: gzip\r\n",
            "HTTP/1.1 302 F\r\nLocation: ",
            "HTTP/1.1 206 P\r\nETag: \"a\"\r\nContent-Range: bytes ",
            "HTTP/1.1 200 O\r\nContent-Disposition: attachment; filename=",
            "",
        ]);
        let mut piece = lead.as_bytes().to_vec();
        let len = usize::from(input.word()) % 2_048;
        piece.extend(input.take(len));
        pieces.push(piece);
    }
    pieces
}

fn serve(listener: &TcpListener, pieces: Vec<Vec<u8>>, over: &Mutex<bool>) {
    let mut pieces = pieces.into_iter();
    for socket in listener.incoming() {
        if *over.lock().unwrap() {
            return;
        }
        let Ok(mut socket) = socket else { continue };
        // One read takes the request; what is sent does not depend on it.
        let _short = socket.set_read_timeout(Some(Duration::from_millis(50)));
        let _request = socket.read(&mut [0; 4_096]);
        let _gone = socket.write_all(&pieces.next().unwrap_or_default());
    }
}
