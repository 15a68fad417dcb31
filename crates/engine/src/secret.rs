//! Text that may be a credential: a password, a header's value, a proxy's URL.
//!
//! `Debug` prints a mask, nothing else prints it or writes it, and its memory is wiped when it goes. Who needs the text
//! says so with [`ExposeSecret::expose_secret`].
//!
//! ```
//! use thence::{ExposeSecret, Secret};
//! let secret = Secret::from("hunter2");
//! assert!(!format!("{secret:?}").contains("hunter2"));
//! assert_eq!(secret.expose_secret(), "hunter2");
//! ```
//!
//! ```compile_fail
//! println!("{}", thence::Secret::from("hunter2"));
//! ```
//!
//! ```compile_fail
//! let text: String = thence::Secret::from("hunter2").to_string();
//! ```
//!
//! ```compile_fail
//! std::fs::write("a log", thence::Secret::from("hunter2"));
//! ```
//!
//! ```compile_fail
//! let text: &str = &thence::Secret::from("hunter2");
//! ```
//!
//! ```compile_fail
//! fn written<T: serde::Serialize>(_: T) {}
//! written(thence::Secret::from("hunter2"));
//! ```
//!
//! The last of these would compile with a string in the secret's place:
//!
//! ```
//! fn written<T: serde::Serialize>(_: T) {}
//! written("no secret");
//! ```

pub(crate) use secrecy::zeroize::Zeroizing;
pub use secrecy::{ExposeSecret, SecretString as Secret};

/// Request fields by name.
pub(crate) type Fields = Vec<(String, Secret)>;
