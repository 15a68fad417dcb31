//! FRM-16: servers of HTTP/2 that send frames nobody needs, met by the real program from byte 0 and on a resume, over 1,
//! 4 and 16 lanes. It ends right, or with an error of its own and what it held; its memory stays what it is without them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use harness::{LEN, Scene, meet_all};
use thence_origin::behaviours::End;
use thence_origin::ca::{Authority, Kind};
use thence_origin::frames::{self, Flood};

/// Memory over what a run holds that is not flooded, in bytes.
const FLOOD: u64 = 8 << 20;

/// Floods met at a time.
const TOGETHER: usize = 6;

/// The one that floods nothing.
const HONEST: &str = "frm_16_r";

#[test]
fn frm_16_a_flood_from_byte_0_takes_no_memory() {
    every(|_| ());
}

#[test]
fn frm_16_a_flood_on_a_resume_takes_no_memory_and_loses_nothing() {
    every(|scene| scene.hold(LEN / 2, &["-x1"]));
}

/// Meets every flood after `before`.
fn every(before: impl Fn(&Scene) + Sync) {
    let authority = Authority::new();
    let honest = frames::ALL.iter().find(|flood| flood.id == HONEST).unwrap();
    let meetings: Vec<(&str, u64, &Flood)> = ["-x1", "-x4", "-x16"]
        .into_iter()
        .map(|lanes| (lanes, meet(honest, &authority, lanes, &before) + FLOOD))
        .flat_map(|(lanes, bound)| frames::ALL.iter().map(move |flood| (lanes, bound, flood)))
        .collect();
    meet_all(&meetings, TOGETHER, |(lanes, bound, flood)| {
        let memory = meet(flood, &authority, lanes, &before);
        if memory < *bound { Ok(()) } else { Err(format!("{memory} bytes of memory, of {bound}")) }
    });
}

/// The most memory that a run held, which ended as it must.
fn meet(flood: &Flood, authority: &Authority, lanes: &str, before: &impl Fn(&Scene)) -> u64 {
    let leaf = authority.leaf(Kind::Good);
    let scene = Scene::tls(&leaf).with(&["--cacert", authority.cacert().to_str().unwrap(), "--retry", "1"]);
    before(&scene);
    let held = scene.held();
    let scene = scene.replaced_by(|listener, file| flood.start(listener, &leaf, file));
    let (outcome, memory) = scene.start(&[lanes, "-v"]).end_with_memory();
    if flood.end == End::Whole {
        drop(outcome.whole());
        return memory;
    }
    let code = outcome.code.unwrap();
    assert!(![0, 1, 101].contains(&code), "exit code {code}: {}", outcome.stderr);
    drop(outcome.refused(code));
    assert_eq!(scene.held(), held);
    memory
}
