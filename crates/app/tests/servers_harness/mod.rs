//! Words of the tests that run the real binary against real servers.

// Each test program uses some of these.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;
use thence_origin::ca::{Authority, Kind};
use thence_origin::files;
use thence_origin::real::{self, Server, Site};
use thence_origin::trial::{Running, Trial};

pub const MIB: usize = 1 << 20;

/// The command in a directory of its own, its waits at a thirtieth.
pub fn thence() -> Trial {
    unhurried().env("THENCE_HURRY", "30")
}

/// The command as people run it.
pub fn unhurried() -> Trial {
    Trial::of(env!("CARGO_BIN_EXE_thence")).with_canary()
}

/// 40 MiB, made once.
pub fn large() -> &'static [u8] {
    static BODY: OnceLock<Vec<u8>> = OnceLock::new();
    BODY.get_or_init(|| files::content(40, 40 * MIB))
}

/// The files that every server serves: nothing, a byte, a block, a byte more, and a large one.
pub fn set() -> Vec<(&'static str, &'static [u8])> {
    let block = 256 << 10;
    let of = |len: usize| &large()[..len];
    vec![("0", of(0)), ("1", of(1)), ("block", of(block)), ("more", of(block + 1)), ("large", large())]
}

/// A directory to serve from, and the authority of its certificates.
pub struct Ground {
    pub dir: TempDir,
    pub authority: Authority,
}

impl Ground {
    pub fn new() -> Ground {
        let ground = Ground { dir: tempfile::tempdir().unwrap(), authority: Authority::new() };
        for (name, bytes) in set() {
            ground.site().put(name, bytes);
        }
        ground
    }

    pub fn site(&self) -> Site {
        Site::new(self.dir.path())
    }

    pub fn secure(&self) -> Site {
        self.site().tls(self.authority.leaf(Kind::Good))
    }

    pub fn cacert(&self) -> String {
        self.authority.cacert().to_string_lossy().into_owned()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// A server's name in messages, and how it is started.
pub type Make = (&'static str, fn(&Site) -> Server);

pub const NGINX: Make = ("nginx", Server::nginx);
pub const APACHE: Make = ("apache2", Server::apache);
pub const CADDY: Make = ("caddy", Server::caddy);

/// Those of `wanted` that are here; see [`real::are_here`].
pub fn here(wanted: &[Make]) -> Vec<Make> {
    wanted.iter().copied().filter(|(name, _)| real::are_here(&[name])).collect()
}

/// Waits until the part is there and has grown for `time`.
#[track_caller]
pub fn under_way(trial: &Trial, running: &mut Running, name: &str, time: Duration) {
    let part = trial.path(&format!("{name}.part"));
    let begun = running.lives_until(|| part.exists()) && running.lives_for(time);
    assert!(begun, "it ended before it was interrupted: {}", running.words());
}

/// Asserts that the directory holds this file and nothing else.
#[track_caller]
pub fn holds(trial: &Trial, name: &str, bytes: &[u8]) {
    assert_eq!(trial.names(), [name]);
    same(&trial.bytes(name), bytes);
}

/// Compares without printing mebibytes.
#[track_caller]
pub fn same(is: &[u8], ought: &[u8]) {
    let differs = is.iter().zip(ought).position(|(is, ought)| is != ought);
    assert_eq!((is.len(), differs), (ought.len(), None), "length, and the first byte that is wrong");
}
