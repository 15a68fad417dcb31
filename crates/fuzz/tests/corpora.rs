//! Every input that a fuzzer found worth keeping, again.

use std::fs;
use std::path::Path;

/// One test a target, so that they run side by side and a failure names its target.
fn replay(target: &str) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut names: Vec<_> =
        fs::read_dir(&dir).expect("a corpus").map(|entry| entry.expect("a file").path()).collect();
    names.sort();
    assert!(!names.is_empty(), "{} is empty", dir.display());
    for path in names {
        eprintln!("{}", path.display());
        thence_fuzz::run(target, &fs::read(&path).expect("an input"));
    }
}

macro_rules! targets {
    ($($target:ident),*) => {
        $(#[test] fn $target() { replay(stringify!($target)); })*

        #[test]
        fn every_target_has_its_corpus() {
            let named = [$(stringify!($target)),*];
            let all: Vec<&str> = thence_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(all, named);
        }
    };
}

targets!(
    head,
    content_range,
    dates,
    names,
    redirect,
    netrc,
    challenge,
    line,
    sums,
    metalink,
    zsync,
    signature,
    hsts,
    hsts_file,
    cookies,
    set_cookie,
    foreign,
    planner,
    journal,
    resume,
    client
);
