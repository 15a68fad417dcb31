//! Writes lines to standard output and standard error. Never panics: whoever reads may have left.

use std::io::{self, Write};

/// A line on standard error, after our name. If nobody can read it there is nobody to tell.
pub(crate) fn err(text: &str) {
    drop(raw_err(&format!("thence: {text}")));
}

/// A line on standard error as it is.
pub(crate) fn raw_err(text: &str) -> io::Result<()> {
    // One write, so that lines of several processes do not mix.
    io::stderr().lock().write_all(format!("{text}\n").as_bytes())
}

/// A line on standard output, flushed.
pub(crate) fn out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}
