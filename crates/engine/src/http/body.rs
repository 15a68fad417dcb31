//! The body of an answer, as it comes.

use bytes::Bytes;
use thence_plan::{Ending, Failure};

/// A body; it owns its connection, and dropping it closes that.
pub(crate) struct Body {
    _private: (),
}

impl Body {
    /// The next bytes; `None` when the message or a clean close ended it. May be dropped and called again.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        Ok(None)
    }

    /// What ended the body, once `chunk` has given `None`: `Message` or `Close` (R37).
    pub(crate) fn ending(&self) -> Ending {
        Ending::Message
    }

    /// Gives the connection back for the next request, if the message ended and the peer keeps it open.
    pub(crate) fn release(self) {}

    /// Reads what little is left, at most `Limits::discard` bytes and not for long, then releases.
    pub(crate) async fn discard(self) {}
}
