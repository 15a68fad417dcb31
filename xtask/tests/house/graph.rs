//! Which module of a crate uses which. Tests are left out: they may look anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::source::{Source, item_end};

/// Names from the crate's root; empty for the root itself.
type Module = Vec<String>;

pub(crate) struct Graph {
    uses: BTreeMap<Module, BTreeSet<Module>>,
}

impl Graph {
    /// Of the sources of one crate.
    pub(crate) fn new(sources: &[Source]) -> Graph {
        let files: Vec<(Module, String)> = sources
            .iter()
            .map(|source| (module(&source.path), source.production()))
            .filter(|(module, _)| !module.iter().any(|name| name == "tests"))
            .collect();
        let known: BTreeSet<Module> = files.iter().map(|(module, _)| module.clone()).collect();
        let reexports =
            files.iter().filter(|(module, _)| module.is_empty()).flat_map(|(_, code)| reexports(code));
        let reexports: BTreeMap<String, Vec<String>> = reexports.collect();
        let mut uses: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (module, code) in files.iter().filter(|(module, _)| !module.is_empty()) {
            let targets =
                paths(code, module, &known).into_iter().map(|path| resolve(&path, &known, &reexports));
            let others = targets.flatten().filter(|target| target != module);
            uses.entry(module.clone()).or_default().extend(others);
        }
        Graph { uses }
    }

    /// Uses of a module that does not stand below, by top-level modules, and modules that stand nowhere.
    pub(crate) fn upward(&self, krate: &str, order: &[&str]) -> Vec<String> {
        let place = |module: &Module| order.iter().position(|name| module.first().is_some_and(|m| m == name));
        let mut found = BTreeSet::new();
        for (module, targets) in &self.uses {
            let Some(own) = place(module) else {
                let name = &module[0];
                found.insert(format!(
                    "{krate}: module `{name}` is not in ORDER: put it above everything it uses"
                ));
                continue;
            };
            for target in targets.iter().filter(|target| place(target).is_none_or(|place| place > own)) {
                let what =
                    if target.is_empty() { "an item of the root".to_owned() } else { target.join("::") };
                found.insert(format!("{krate}: {} uses {what}, which is not below it", module.join("::")));
            }
        }
        found.into_iter().collect()
    }

    /// Every set of modules that need each other, its first path named.
    pub(crate) fn cycles(&self, krate: &str) -> Vec<String> {
        let mut found = BTreeMap::new();
        for start in self.uses.keys() {
            if let Some(path) = self.way(start, start) {
                let names: Vec<String> = path.iter().map(|module| module.join("::")).collect();
                let members: BTreeSet<String> = names.iter().cloned().collect();
                found.entry(members).or_insert(format!("{krate}: {} -> {}", names.join(" -> "), names[0]));
            }
        }
        found.into_values().collect()
    }

    /// Modules from `from` on whose uses lead to `to`, by breadth.
    fn way(&self, from: &Module, to: &Module) -> Option<Vec<Module>> {
        let mut ways = vec![vec![from.clone()]];
        let mut seen = BTreeSet::new();
        while !ways.is_empty() {
            let mut longer = Vec::new();
            for way in ways {
                for next in self.uses.get(way.last()?).into_iter().flatten() {
                    if next == to {
                        return Some(way);
                    }
                    if seen.insert(next.clone()) {
                        longer.push(way.iter().cloned().chain([next.clone()]).collect());
                    }
                }
            }
            ways = longer;
        }
        None
    }
}

/// `crates/x/src/a/b.rs` is `a::b`, `src/a/mod.rs` is `a`, `src/lib.rs` the root.
fn module(path: &str) -> Module {
    let inside = path.split_once("/src/").map_or(path, |(_, inside)| inside).trim_end_matches(".rs");
    let mut names: Module = inside.split('/').map(str::to_owned).collect();
    if names.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
        names.pop();
    }
    names
}

/// Every path in `code` that starts at the crate's root, at the parent, or at a part of this module, made to
/// start at the root.
fn paths(code: &str, module: &Module, known: &BTreeSet<Module>) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let inline = inline(code);
    for (at, word) in words(code) {
        let child: Module = module.iter().cloned().chain([word.to_owned()]).collect();
        let inside = inline.iter().filter(|(span, _)| span.contains(&at)).map(|(_, name)| name.clone());
        let here: Module = module.iter().cloned().chain(inside).collect();
        let (base, skip) = match word {
            "crate" => (Vec::new(), "crate".len()),
            "self" => (here.clone(), "self".len()),
            "super" => (here[..here.len() - 1].to_vec(), "super".len()),
            _ if known.contains(&child) => (module.clone(), 0),
            _ => continue,
        };
        let rest = if skip > 0 { code[at + skip..].strip_prefix("::") } else { Some(&code[at..]) };
        let Some(rest) = rest.filter(|rest| skip > 0 || rest[word.len()..].starts_with("::")) else {
            continue;
        };
        found.extend(tree(rest).0.into_iter().map(|names| {
            let mut path = base.clone();
            for name in names {
                if name == "super" { drop(path.pop()) } else { path.push(name) }
            }
            path
        }));
    }
    found
}

/// Modules that stand inside the file: where, and their names.
fn inline(code: &str) -> Vec<(Range<usize>, String)> {
    let mut found = Vec::new();
    for (at, _) in words(code).filter(|(_, word)| *word == "mod") {
        let name: String =
            code[at + 3..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if let Some(end) = item_end(code, at).filter(|&end| code[..=end].ends_with('}')) {
            found.push((at..end, name));
        }
    }
    found
}

/// Words that begin a path: not the middle of one, nor a macro's `$crate`.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let starts = code.char_indices().filter(move |&(at, c)| {
        let before = &code[..at];
        part(c) && !before.ends_with(part) && !before.ends_with("::") && !before.ends_with('$')
    });
    starts.map(move |(at, _)| {
        let len = code[at..].find(|c| !part(c)).unwrap_or(code.len() - at);
        (at, &code[at..at + len])
    })
}

/// The paths of a use tree (`a::{b, c::D}`) or of a plain path, and how much of the text they took.
fn tree(text: &str) -> (Vec<Vec<String>>, usize) {
    let blank = text.len() - text.trim_start().len();
    let inner = &text[blank..];
    if inner.starts_with('{') {
        let (mut all, mut at) = (Vec::new(), blank + 1);
        while !text[at..].trim_start().is_empty() && !text[at..].trim_start().starts_with('}') {
            let (some, len) = tree(&text[at..]);
            all.extend(some);
            at += len.max(1);
            at += text[at..].find([',', '}']).unwrap_or(text.len() - at);
            at += usize::from(text[at..].starts_with(','));
        }
        let close = text[at..].find('}').map_or(text.len(), |close| at + close + 1);
        return (all, close);
    }
    let len = inner.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, rest) = inner.split_at(len);
    if name.is_empty() {
        return (vec![Vec::new()], blank);
    }
    let Some(below) = rest.strip_prefix("::") else { return (vec![vec![name.to_owned()]], blank + len) };
    let (below, taken) = tree(below);
    let all = below.into_iter().map(|path| [vec![name.to_owned()], path].concat()).collect();
    (all, blank + len + 2 + taken)
}

/// Items that the root hands out: name to full path.
fn reexports(code: &str) -> Vec<(String, Vec<String>)> {
    let uses = words(code).filter(|(_, word)| *word == "use").map(|(at, _)| &code[at + "use".len()..]);
    uses.flat_map(|text| tree(text).0).filter_map(|path| Some((path.last()?.clone(), path))).collect()
}

/// The longest known module at the start of `path`; for an item of the root that comes from elsewhere, that
/// module. An item that the root defines itself gives the root. What comes from another crate gives none.
fn resolve(
    path: &[String],
    known: &BTreeSet<Module>,
    reexports: &BTreeMap<String, Vec<String>>,
) -> Option<Module> {
    let longest =
        (1..=path.len()).rev().map(|len| path[..len].to_vec()).find(|module| known.contains(module));
    let from = || path.first().and_then(|name| reexports.get(name));
    match (longest, from()) {
        (Some(module), _) => Some(module),
        (None, Some(source)) if known.contains(&source[..1]) => Some(source[..1].to_vec()),
        (None, Some(_)) => None,
        (None, None) => Some(Vec::new()),
    }
}
