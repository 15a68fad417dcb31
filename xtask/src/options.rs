//! `--name value` pairs, the whole of our command line.

use std::cell::RefCell;
use std::collections::HashMap;
use std::str::FromStr;

/// What was said, taken out piece by piece so that a misspelt name is noticed.
pub(crate) struct Options(RefCell<HashMap<String, String>>);

impl Options {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut said = HashMap::new();
        while let Some(arg) = args.next() {
            let name = arg.strip_prefix("--").ok_or_else(|| format!("`{arg}` is no option"))?;
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (name, args.next().ok_or_else(|| format!("`{arg}` wants a value"))?),
            };
            said.insert(name.to_owned(), value);
        }
        Ok(Options(RefCell::new(said)))
    }

    /// The value of `--name`, or `default`.
    pub(crate) fn take<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        match self.0.borrow_mut().remove(name) {
            None => Ok(default),
            Some(value) => value.parse().map_err(|_| format!("`--{name} {value}` cannot be read")),
        }
    }

    /// Call it when all known names are taken.
    pub(crate) fn no_others(&self) -> Result<(), String> {
        match self.0.borrow().keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("`--{name}` is not known here")),
        }
    }
}
