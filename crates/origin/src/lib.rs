//! Origins for thence's tests, all on loopback and all gone when dropped.
//!
//! - [`Origin`]: a scripted server, one closure a request, for what real servers do not do.
//! - [`honest`]: a well-behaved file handler for it, whose [`Served`] file can be changed while it runs.
//! - [`behaviours`]: the liar, every bending of the RNG, FRM and NET test cases by its id.
//! - [`frames`]: a server of HTTP/2 that floods, a frame at a time.
//! - [`real`]: nginx, Apache httpd and Caddy as child processes; [`proxies`]: squid and dante.
//! - [`trial`]: the program under test in a directory of its own; [`kills`]: killed at random and gone on with;
//!   [`lists`]: the same while it fetches a list; [`powercuts`]: its power cut, and gone on with; [`steps`]: killed at its
//!   n-th system call.
//! - [`journals`]: of more records than anybody wrote.
//! - [`leaks`]: a secret planted in every run, and the search for it.
//! - [`logins`]: a server's side of Digest authentication.
//! - [`disks`]: file systems that can be filled, spoilt and cut off.
//! - [`memory`]: what a program holds; a limit on it, and the kernel's killer below it.
//! - [`ca`]: certificates that tests trust, and some that nobody should.
//!
//! It is *not* a server for anybody else: no request bodies, no HTTP/2 but what floods, threads without bound.
//!
//! ```
//! use thence_origin::{Origin, Served, Shared, files, honest};
//!
//! let file = Shared::new(Served::new(files::content(1, 100_000)));
//! let origin = Origin::start(honest::handler(&file));
//! let url = origin.url("/file.bin"); // hand it to the client under test, then
//! file.change(|served| served.etag = Some("\"v2\"".into())); // change the file between two requests
//! assert!(url.starts_with("http://127.0.0.1:") && origin.requests().is_empty());
//! ```

pub mod behaviours;
pub mod ca;
pub mod chance;
pub mod disks;
pub mod files;
pub mod frames;
pub mod honest;
pub mod journals;
pub mod kills;
pub mod leaks;
pub mod lists;
pub mod logins;
pub mod memory;
pub mod powercuts;
pub mod proxies;
pub mod real;
mod reply;
mod request;
mod scripted;
pub mod steps;
pub mod trial;
mod wire;

pub use honest::{Body, Served, Shared};
pub use reply::Reply;
pub use request::Request;
pub use scripted::Origin;
