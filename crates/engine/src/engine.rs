//! The engine: one thread that plans and talks, two that write, one that syncs and checks.

use std::path::Path;

use crate::download::{Done, Download};
use crate::error::Error;
use crate::options::{Options, Request};

/// Runs downloads. It owns its threads; any async runtime, or none, may hold it.
pub struct Engine {
    _private: (),
}

impl Engine {
    /// Starts the engine's threads.
    pub fn new(_options: Options) -> Result<Engine, Error> {
        Ok(Engine { _private: () })
    }

    /// Starts a download.
    pub fn start(&self, _request: Request) -> Download {
        unimplemented!("drive comes with the next slice")
    }
}

/// Fetches `url` to the file `path` with default options.
pub async fn fetch(_url: &str, _path: impl AsRef<Path>) -> Result<Done, Error> {
    Err(Error::Cancelled)
}
