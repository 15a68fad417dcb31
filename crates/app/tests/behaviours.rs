//! Every liar of thence-origin, met by the real program from byte 0, on a resume, and killed half-way: it ends right,
//! or with an error of its own and a part that an honest origin completes. Never a hang, never wrong bytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::sync::OnceLock;

use harness::{LEN, Outcome, Scene, meet_all};
use thence_origin::behaviours::{self, Behaviour, End};
use thence_origin::ca::{Authority, Kind};

/// Liars met at a time.
const TOGETHER: usize = 6;

/// Slow enough that other lanes come into play.
const RATE: u64 = 8 << 20;

#[test]
fn fresh_over_one_lane() {
    every(|liar| fresh(liar, "-x1"));
}

#[test]
fn fresh_over_4_lanes() {
    every(|liar| fresh(liar, "-x4"));
}

#[test]
fn fresh_over_16_lanes() {
    every(|liar| fresh(liar, "-x16"));
}

#[test]
fn resumed_over_one_lane() {
    every(|liar| resumed(liar, "-x1"));
}

#[test]
fn resumed_over_4_lanes() {
    every(|liar| resumed(liar, "-x4"));
}

#[test]
fn resumed_over_16_lanes() {
    every(|liar| resumed(liar, "-x16"));
}

#[test]
fn killed_half_way_over_4_lanes() {
    every(killed);
}

fn fresh(liar: &Behaviour, lanes: &str) {
    let scene = scene(liar);
    let before = scene.bytes();
    scene.liar(liar.id);
    let outcome = scene.run(&[lanes, "-v"]).or_as_it_was(&before);
    judge(liar, &scene, outcome);
}

/// Half came honestly, from a run over as many lanes that was killed.
fn resumed(liar: &Behaviour, lanes: &str) {
    let scene = scene(liar);
    scene.hold(LEN / 2, &[lanes]);
    let before = scene.bytes();
    scene.liar(liar.id);
    let outcome = scene.run(&[lanes, "-v"]).or_as_it_was(&before);
    judge(liar, &scene, outcome);
}

/// The liar goes on after the kill where it was before it.
fn killed(liar: &Behaviour) {
    let scene = scene(liar);
    scene.liar(liar.id);
    scene.file.change(|served| served.rate = Some(RATE / 4));
    let mut running = scene.start(&["-x4", "-v"]);
    if running.holds_or_ends(LEN / 3) {
        let outcome = running.end();
        return judge(liar, &scene, outcome);
    }
    running.kill();
    scene.file.change(|served| served.rate = None);
    let outcome = scene.run(&["-x4", "-v"]);
    if outcome.code == Some(0) {
        outcome.whole();
    } else {
        // A link that works once was used by the run that was killed.
        completed(&scene, outcome);
    }
}

fn scene(liar: &Behaviour) -> Scene {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    let scene = if liar.tls {
        let authority = AUTHORITY.get_or_init(Authority::new);
        let scene = Scene::tls(&authority.leaf(Kind::Good));
        scene.with(&["--cacert", authority.cacert().to_str().unwrap()])
    } else {
        Scene::new()
    };
    scene.file.change(|served| served.rate = Some(RATE));
    scene
}

fn judge(liar: &Behaviour, scene: &Scene, outcome: Outcome) {
    match liar.end {
        End::Whole => drop(outcome.whole().says_not("length unknown: ")),
        // What came honestly before may prove more.
        End::Unproven | End::LengthUnknown => drop(outcome.whole()),
        End::Refused => completed(scene, outcome),
    }
}

/// An error of its own, and what is held is completed by an honest origin.
fn completed(scene: &Scene, outcome: Outcome) {
    let code = outcome.code.unwrap();
    assert!(![0, 1, 101].contains(&code), "exit code {code}: {}", outcome.stderr);
    drop(outcome.refused(code));
    scene.file.change(|served| (served.ranges, served.rate) = (true, None));
    scene.honest();
    drop(scene.run(&["-x4"]).whole());
}

/// Meets every liar.
fn every(meet: impl Fn(&Behaviour) + Sync) {
    let liars: Vec<&Behaviour> = behaviours::all().collect();
    meet_all(&liars, TOGETHER, |liar| {
        meet(liar);
        Ok(())
    });
}
