//! `--name value` pairs and a few flags, the whole of our command line.

use std::cell::RefCell;
use std::collections::HashMap;
use std::str::FromStr;

/// Options that have no value.
const FLAGS: &[&str] = &["record", "check", "calls", "nested", "list", "trace", "micro", "growth"];

/// What was said, taken out piece by piece so that a misspelt name is noticed.
pub struct Options(RefCell<HashMap<String, String>>);

impl Options {
    /// Reads them all.
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut said = HashMap::new();
        while let Some(arg) = args.next() {
            let name = arg.strip_prefix("--").ok_or_else(|| format!("`{arg}` is no option"))?;
            if FLAGS.contains(&name) {
                said.insert(name.to_owned(), String::new());
                continue;
            }
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (name, args.next().ok_or_else(|| format!("`{arg}` wants a value"))?),
            };
            said.insert(name.to_owned(), value);
        }
        Ok(Options(RefCell::new(said)))
    }

    /// The value of `--name`, or `default`.
    pub fn take<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        match self.0.borrow_mut().remove(name) {
            None => Ok(default),
            Some(value) => value.parse().map_err(|_| format!("`--{name} {value}` cannot be read")),
        }
    }

    /// Whether `--name`, one of `FLAGS`, was said.
    pub fn flag(&self, name: &str) -> bool {
        self.0.borrow_mut().remove(name).is_some()
    }

    /// The values of `--name a,b,c`.
    pub fn list<T: FromStr>(&self, name: &str, default: &str) -> Result<Vec<T>, String> {
        let said: String = self.take(name, default.to_owned())?;
        said.split(',')
            .map(|one| one.parse().map_err(|_| format!("`--{name} {said}`: what is `{one}`?")))
            .collect()
    }

    /// A size such as `96M` or `1G`, in bytes.
    pub fn size(&self, name: &str, default: &str) -> Result<u64, String> {
        let said: String = self.take(name, default.to_owned())?;
        let digits = said.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = match said[digits.len()..].to_ascii_uppercase().trim_end_matches("IB") {
            "" => 1,
            "K" => 1 << 10,
            "M" => 1 << 20,
            "G" => 1 << 30,
            "T" => 1 << 40,
            _ => return Err(format!("`--{name} {said}`: a number and K, M, G or T is wanted")),
        };
        let number: u64 = digits.parse().map_err(|_| format!("`--{name} {said}` cannot be read"))?;
        Ok(number * unit)
    }

    /// Call it when all known names are taken.
    pub fn no_others(&self) -> Result<(), String> {
        match self.0.borrow().keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("`--{name}` is not known here")),
        }
    }
}
