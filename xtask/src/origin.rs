//! The scripted origin by hand: a liar, or the honest one, on loopback until it is interrupted.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use thence_origin::behaviours;
use thence_origin::ca::{Authority, Kind};
use thence_origin::{Origin, Served, Shared, files, frames, honest};

use crate::options::Options;

/// How often new requests are looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Serves one behaviour at every path and prints each request; without one, lists them all and serves honestly.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let wanted: String = options.take("behaviour", String::new())?;
    let port: u16 = options.take("port", 0)?;
    let size = options.size("size", "6M")?;
    let rate = options.size("rate", "0")?;
    options.no_others()?;
    let mut served = Served::new(files::content(1, size as usize));
    served.rate = Some(rate).filter(|rate| *rate > 0);
    let file = Shared::new(served);
    let right = files::digest(file.now().body.bytes(0, size));
    let (origin, authority) = start(&wanted, port, &file)?;
    println!("{}  (every path is the same file)", origin.url("/file.bin"));
    println!("sha-256 before any behaviour changed it: {right}");
    if let Some(authority) = &authority {
        println!("certificate authority: {}", authority.cacert().display());
    }
    println!("Ctrl-C ends it.");
    print_requests(&origin)
}

/// The origin, and the authority of its certificate if it has one.
fn start(wanted: &str, port: u16, file: &Shared) -> Result<(Origin, Option<Authority>), String> {
    if wanted.is_empty() {
        list();
        return Ok((Origin::start_at(port, None, honest::handler(file)), None));
    }
    if let Some(flood) = frames::ALL.iter().find(|flood| flood.id == wanted) {
        println!("{flood:?}");
        let authority = Authority::new();
        let listener =
            TcpListener::bind(("127.0.0.1", port)).map_err(|error| format!("port {port}: {error}"))?;
        return Ok((flood.start(listener, &authority.leaf(Kind::Good), file), Some(authority)));
    }
    let liar = behaviours::all().find(|liar| liar.id == wanted);
    let liar = liar.ok_or_else(|| format!("no behaviour `{wanted}`; without --behaviour all are listed"))?;
    println!("{liar:?}");
    let authority = liar.tls.then(Authority::new);
    let tls = authority.as_ref().map(|authority| authority.leaf(Kind::Good).config());
    Ok((Origin::start_at(port, tls, liar.handler(file)), authority))
}

fn list() {
    for liar in behaviours::all() {
        println!("{:14} {}{}", liar.id, liar.what, if liar.tls { " (over TLS)" } else { "" });
    }
    for flood in frames::ALL {
        println!("{:14} {} (HTTP/2)", flood.id, flood.what);
    }
    println!();
}

/// Each request on a line as it comes, until somebody interrupts us.
fn print_requests(origin: &Origin) -> ! {
    let mut told = 0;
    loop {
        for request in origin.requests().iter().skip(told) {
            told += 1;
            let field = |name: &str| request.header(name).map(|value| format!("  {name}: {value}"));
            let fields: String = ["Range", "If-Range", "User-Agent"].into_iter().filter_map(field).collect();
            println!(
                "#{} on {}: {} {}{fields}",
                request.number, request.connection, request.method, request.target
            );
        }
        thread::sleep(LOOK);
    }
}
