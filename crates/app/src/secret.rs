//! Text that may be a credential, in a type that cannot be printed.

use std::convert::Infallible;

/// Text that may be a credential. It has neither `Debug` nor `Display`, so that no log can hold it by accident.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// For the option table, which wants a parser that can fail.
    pub(crate) fn parse(text: &str) -> Result<Secret, Infallible> {
        Ok(Secret::new(text))
    }

    /// The text, for the one who sends it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

/// What `--user` said.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: Option<Secret>,
}
