//! What the documents promise, and whether the sources keep it.

use std::collections::BTreeSet;
use std::fs;

use crate::source::{Source, root};

/// Documents that name tests.
const DOCUMENTS: &[&str] =
    &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/gaps.md", "docs/proof.md"];

/// Names of tests in backticks that no source has.
pub(crate) fn unknown_tests(sources: &[Source]) -> Vec<String> {
    let known: BTreeSet<String> =
        sources.iter().flat_map(Source::functions).map(|function| function.name).collect();
    let mut found = Vec::new();
    for document in DOCUMENTS {
        let Ok(text) = fs::read_to_string(root().join(document)) else { continue };
        let missing = test_names(&text).into_iter().filter(|name| !known.contains(name));
        found.extend(missing.map(|name| format!("{document} names `{name}`, and nothing is called so")));
    }
    found
}

/// Fields of `Limits` that nothing outside its file reads: a bound that bounds nothing.
pub(crate) fn idle_limits(sources: &[Source]) -> Vec<String> {
    let (own, others): (Vec<&Source>, Vec<&Source>) = sources
        .iter()
        .filter(|source| source.path.contains("/src/"))
        .partition(|source| source.path.ends_with("plan/src/limits.rs"));
    let (_, body) = own[0].code.split_once("pub struct Limits {").unwrap();
    let lines = body.lines().take_while(|line| !line.starts_with('}'));
    let fields = lines.filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(": "));
    let read = |name: &str| others.iter().any(|source| source.code.contains(&format!(".{name}")));
    let idle = fields.map(|(name, _)| name).filter(|name| !read(name));
    idle.map(|name| format!("Limits::{name} bounds nothing")).collect()
}

/// A bound whose default, or why it is that one, its words do not tell.
pub(crate) fn bare_limits(limits: &str) -> Vec<String> {
    let (_, body) = limits.split_once("pub struct Limits {").unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let fields = body.split("pub ").collect::<Vec<&str>>();
    let told = |field: &&[&str]| field[0].contains("Default ");
    let bare = fields.windows(2).filter(|field| !told(field));
    bare.map(|field| format!("Limits::{} tells no default", field[1].split(':').next().unwrap())).collect()
}

/// Words in backticks that have the shape of our tests' names: three or more parts.
pub(crate) fn test_names(text: &str) -> Vec<String> {
    let plain = |word: &&str| {
        word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && word.matches('_').count() >= 3
            && !word.starts_with('_')
    };
    text.split('`').skip(1).step_by(2).filter(plain).map(str::to_owned).collect()
}
