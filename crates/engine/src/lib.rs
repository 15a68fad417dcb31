//! Fetches files over HTTP and never starts over.
//!
//! [`fetch`] is the short way; [`Engine`] runs many downloads at once, each a [`Download`] that can be
//! watched, paused and cancelled. Dropping either at any moment leaves a part that the next run goes on from.
//!
//! ```no_run
//! # async fn example(sha_256: Vec<u8>) -> Result<(), thence::Error> {
//! use thence::{Checksum, Engine, Event, Options, Request};
//!
//! let engine = Engine::new(Options::default())?;
//! let mut request = Request::new("https://example.org/big.iso", "downloads");
//! request.lanes = 4;
//! request.checksum = Some(Checksum { algorithm: "sha-256".into(), bytes: sha_256 });
//! let mut download = engine.start(request);
//! while let Some(event) = download.event().await {
//!     let progress = download.progress();
//!     println!("{event:?}, {} of {:?} bytes", progress.held, progress.total);
//!     if let Event::Changed { .. } = event {
//!         download.cancel(); // what is held stays; starting the same request again goes on from there
//!     }
//! }
//! println!("saved and verified: {:?}", download.wait().await?.path);
//! engine.close().await;
//! # Ok(())
//! # }
//! ```

mod decode;
mod download;
mod drive;
mod engine;
mod error;
mod file;
mod find;
mod http;
mod inspect;
mod journal;
mod lane;
mod lock;
mod mark;
mod options;
mod publish;
mod sink;
mod start;
mod sys;
mod verify;
mod work;
mod write;

pub use download::{Done, Download};
pub use engine::{Engine, fetch};
pub use error::Error;
pub use inspect::{PartReport, VerifyReport, status, verify};
pub use options::{Checksum, Options, Proxy, Request, Target};
pub use thence_plan::{Breach, DiskFault, Event, Exists, Failure, Limits, Phase, Progress, mask};
