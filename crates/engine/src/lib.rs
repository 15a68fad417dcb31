//! Fetches files over HTTP and never starts over.
//!
//! [`fetch`] is the short way; [`Engine`] runs many downloads at once, each a [`Download`] that can be
//! watched, paused and cancelled. Dropping either at any moment leaves a part that the next run goes on from.
//!
//! Sixteen connections, progress, a digest, and half a minute at most; whatever ends it, the next call goes on:
//!
//! ```no_run
//! # async fn example(sha256: [u8; 32]) -> Result<(), thence::Error> {
//! use thence::{Checksum, Engine, Event, Options, Request};
//!
//! let engine = Engine::new(Options::default())?;
//! let mut request = Request::new("https://example.org/disk.img", "downloads");
//! request.lanes = Some(16);
//! request.checksum = Some(Checksum { algorithm: "sha-256".into(), bytes: sha256.to_vec() });
//! let mut download = engine.start(request);
//! let late = tokio::time::sleep(std::time::Duration::from_secs(30));
//! tokio::pin!(late);
//! loop {
//!     tokio::select! {
//!         event = download.event() => match event {
//!             Some(Event::Verified) => println!("all of it is right"),
//!             Some(_) => println!("{} bytes held", download.progress().held),
//!             None => break,
//!         },
//!         () = &mut late, if !late.is_elapsed() => download.cancel(),
//!     }
//! }
//! println!("{:?}", download.wait().await?.path);
//! engine.close().await;
//! # Ok(())
//! # }
//! ```

mod adopt;
mod cookies;
mod decode;
mod describe;
mod direct;
mod download;
mod drive;
mod engine;
mod error;
mod file;
mod find;
mod finish;
mod follow;
mod group;
mod hsts;
mod http;
mod inspect;
mod journal;
mod lane;
mod ledger;
mod list;
mod lock;
mod mark;
mod options;
mod orders;
mod pairs;
#[cfg(test)]
mod planted;
mod publish;
mod renew;
mod secret;
mod seed;
mod signature;
mod sink;
mod standing;
mod start;
mod stream;
mod sys;
#[cfg(all(test, target_os = "linux", not(thence_portable)))]
mod tests;
mod toll;
mod verify;
mod work;
mod write;

pub use cookies::{CookieFault, CookieJar, LoadedCookies};
pub use download::Download;
pub use engine::{Engine, fetch};
pub use error::Error;
pub use inspect::{PartReport, VerifyReport, signed, status, verify};
pub use ledger::{Failures, Held, Ledger, entry_key, ledger_status};
pub use list::{Feed, List, safe_name};
pub use options::{
    Auth, Checksum, Interface, Options, OriginField, Pinned, Proxy, ProxyFor, Request, Target,
};
pub use orders::{Done, Heard, Item};
pub use renew::Renew;
pub use secret::{ExposeSecret, Secret};
pub use signature::{Signature, SignatureFault};
pub use thence_plan::{
    Breach, Described, DigestFault, DiskFault, Event, Exists, Failure, HttpVersion, Limits, METALINK_BYTES,
    MetalinkFault, Phase, Pieces, Progress, Sums, SumsFault, Why, ZSYNC_BYTES, Zsync, ZsyncFault, mask,
    metalink, path_of, signatures_beside, sums_beside,
};
