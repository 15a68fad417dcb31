//! Rows LCK: two programs at one target.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use harness::{LEN, Scene};

/// Two at once: one works, the other says so and touches nothing.
fn two_at_once(args: &[&str]) {
    let scene = Scene::new();
    scene.stop_at(LEN / 2);
    let (mut one, mut two) = (scene.start(args), scene.start(args));
    // Nothing can finish while the origin is silent: whoever ends has lost.
    let mut first_lost = false;
    harness::until("one of the two says that it is in use", || {
        first_lost = one.has_ended();
        first_lost || two.has_ended()
    });
    let (loser, winner) = if first_lost { (one, two) } else { (two, one) };
    let lost = loser.end();
    lost.code(11);
    lost.says("in use by another process");
    scene.go_on();
    winner.end().whole();
}

#[test]
fn lck_01_of_two_at_once_exactly_one_works() {
    for _ in 0..15 {
        two_at_once(&["-x2", "-o", "file.bin"]);
        two_at_once(&["-x2"]);
    }
}

#[test]
fn lck_01_a_third_that_comes_later_says_in_use_within_a_second() {
    let scene = Scene::new();
    scene.stop_at(LEN / 2);
    let running = scene.start(&["-x2"]);
    running.holds(LEN / 2);
    scene.run(&["-x2"]).refused(11).says("in use by another process");
    scene.run_bare(&["file.bin.part"]).refused(11).says("in use by another process");
    scene.go_on();
    running.end().whole();
}

#[test]
fn lck_02_a_killed_holder_holds_nothing() {
    let scene = Scene::new();
    for round in 1..6 {
        scene.hold(round * LEN / 8, &["-x2"]);
    }
    scene.honest();
    scene.run(&["-x2"]).whole().says("goes on");
}
