//! Files that say something of the one that is wanted: read from the disk, or fetched to memory before that one begins. They
//! are never stored.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use thence::{Engine, Error, Request, Target};
use url::Url;

use crate::exit::{Code, Trouble};
use crate::printable;

/// Their kind.
pub(crate) struct Aside {
    /// What they are called.
    pub(crate) what: &'static str,
    /// How many bytes they have at most.
    pub(crate) most: usize,
    /// What could be said instead of one that cannot be read.
    pub(crate) advice: &'static str,
}

impl Aside {
    /// What is in the file at `path`.
    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>, Trouble> {
        let shown = printable::printable(&path.display().to_string()).into_owned();
        let mut text = Vec::new();
        let most = self.most as u64 + 1;
        let opened = std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut text));
        match opened {
            Err(why) => Err(Trouble::new(Code::CannotOpen, &shown, why.to_string(), self.advice)),
            Ok(read) if read > self.most => Err(self.too_large(&shown)),
            Ok(_) => Ok(text),
        }
    }

    /// Fetches one, as `first` is fetched; what was given for its origin goes nowhere else (R58).
    pub(crate) async fn fetch(
        &self,
        engine: &Engine,
        url: &str,
        first: Option<&Request>,
    ) -> Result<Vec<u8>, Trouble> {
        let kept = Kept { bytes: Arc::default(), most: self.most };
        let mut request = Request::new(url, ".");
        request.target = Target::Stream(Box::new(kept.clone()));
        request.lanes = Some(1);
        let origin = |url: &str| Url::parse(url).ok().map(|url| url.origin());
        if let Some(first) =
            first.filter(|first| first.urls.first().is_some_and(|first| origin(first) == origin(url)))
        {
            (request.headers, request.user) = (first.headers.clone(), first.user.clone());
        }
        let done = engine.start(request).wait().await;
        match done {
            Ok(_) => Ok(kept.taken()),
            Err(Error::Disk { .. }) => Err(self.too_large(&printable::url(url))),
            Err(error) => Err(Trouble::from(&error)),
        }
    }

    fn too_large(&self, shown: &str) -> Trouble {
        let most = match self.most {
            most if most >= 1 << 20 => format!("{} MiB", most >> 20),
            most => format!("{} KiB", most >> 10),
        };
        Trouble::usage(shown, format!("is larger than {most}: no {}", self.what), "give the right one")
    }
}

/// Memory that one is written to.
#[derive(Clone)]
struct Kept {
    bytes: Arc<Mutex<Vec<u8>>>,
    most: usize,
}

impl Kept {
    fn taken(&self) -> Vec<u8> {
        std::mem::take(&mut self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() + bytes.len() > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
