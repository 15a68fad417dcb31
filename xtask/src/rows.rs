//! Which cases have a test of their id, by the names in the sources. A behaviour of the scripted origin is a test:
//! crates/app/tests/behaviours.rs meets every one of them, fresh and resumed, over 1, 4 and 16 lanes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use thence_origin::behaviours;

use crate::options::Options;
use crate::shell;

/// The cases that must stand as tests or in docs/gaps.md.
#[rustfmt::skip]
const ROWS: &[(&str, &[u32])] = &[
    ("rng", &[1, 2, 4, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 19, 20, 23, 24, 25, 26, 28, 29, 30, 32, 33, 35, 37, 38]),
    ("frm", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 14, 16, 17, 20]),
    ("crh", &[1, 2, 3, 4, 6, 7, 9, 10, 12, 14, 17, 18, 19, 20, 22, 27]),
    ("dsk", &[1, 2, 3, 4, 5, 9, 10, 12, 13, 15]),
    ("lck", &[1, 2, 5]),
    ("net", &[1, 2, 4, 5, 8, 12]),
    ("crd", &[1, 3, 5, 7, 8, 9, 11, 13]),
    ("pth", &[1, 2, 4, 5, 6, 10, 12, 13, 16]),
    ("tls", &[1, 2, 3, 5, 6, 7, 9, 10, 12]),
    ("url", &[1, 4, 5, 6, 9]),
    ("log", &[1, 2, 4, 5, 7, 8]),
    ("dos", &[1, 2, 3, 5]),
];

/// Prints each case with its tests; a case that has none, nor a line in docs/gaps.md, is an error.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    options.no_others()?;
    let mut tests = BTreeSet::new();
    for dir in ["crates", "xtask"] {
        collect(&shell::root().join(dir), &mut tests).map_err(|error| error.to_string())?;
    }
    tests.extend(behaviours::all().map(|behaviour| format!("{} (behaviour)", behaviour.id)));
    let gaps = fs::read_to_string(shell::root().join("docs/gaps.md")).unwrap_or_default();
    let mut missing = Vec::new();
    for (area, numbers) in ROWS {
        for number in *numbers {
            let (id, row) = (format!("{area}_{number:02}"), format!("{}-{number:02}", area.to_uppercase()));
            let named: Vec<&str> = tests.iter().filter(|test| has(test, &id)).map(String::as_str).collect();
            let gap = if gaps.contains(&row) { " (docs/gaps.md)" } else { "" };
            println!("{row}{gap}: {}", if named.is_empty() { "-".to_owned() } else { named.join(" ") });
            if named.is_empty() && gap.is_empty() {
                missing.push(row);
            }
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("neither a test nor a reason: {}", missing.join(" ")))
    }
}

/// True where the id stands as words of its own: at the front, or after `_`.
fn has(test: &str, id: &str) -> bool {
    let mut ends = test.match_indices(id).map(|(at, _)| (at, at + id.len()));
    ends.any(|(at, end)| {
        (at == 0 || test[..at].ends_with('_')) && (end == test.len() || test[end..].starts_with(['_', ' ']))
    })
}

/// The functions under `dir` that an attribute ending in `test]` or `test(...)]` stands before.
fn collect(dir: &Path, tests: &mut BTreeSet<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, tests)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)?;
            let mut is_test = false;
            for line in text.lines().map(str::trim_start) {
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
                if let Some(name) = name.filter(|_| is_test).and_then(|name| name.split(['(', '<']).next()) {
                    tests.insert(name.to_owned());
                }
                is_test &= line.starts_with('#') || line.starts_with("//");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_whole_word_of_a_name() {
        assert!(has("rng_01_a", "rng_01") && has("r18_rng_01", "rng_01"));
        assert!(!has("rng_011_a", "rng_01") && !has("xrng_01_a", "rng_01"));
        assert!(has("rng_25 (behaviour)", "rng_25"));
    }
}
