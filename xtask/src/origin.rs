//! The scripted origin by hand: a liar, or the honest one, on loopback until it is interrupted.

use std::thread;
use std::time::Duration;

use thence_origin::behaviours::{self, Handler};
use thence_origin::ca::{Authority, Kind};
use thence_origin::{Origin, Served, Shared, files, honest};

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
    let mut authority = None;
    let handler: Handler = if wanted.is_empty() {
        list();
        Box::new(honest::handler(&file))
    } else {
        let liar = behaviours::all().find(|liar| liar.id == wanted);
        let liar =
            liar.ok_or_else(|| format!("no behaviour `{wanted}`; without --behaviour all are listed"))?;
        println!("{liar:?}");
        authority = liar.tls.then(Authority::new);
        liar.handler(&file)
    };
    let tls = authority.as_ref().map(|authority| authority.leaf(Kind::Good).config());
    let origin = Origin::start_at(port, tls, handler);
    println!("{}  (every path is the same file)", origin.url("/file.bin"));
    println!("sha-256 before any behaviour changed it: {right}");
    if let Some(authority) = &authority {
        println!("certificate authority: {}", authority.cacert().display());
    }
    println!("Ctrl-C ends it.");
    print_requests(&origin)
}

fn list() {
    for liar in behaviours::all() {
        println!("{:14} {}{}", liar.id, liar.what, if liar.tls { " (over TLS)" } else { "" });
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
