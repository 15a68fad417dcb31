//! Rows NET that need a network of their own: it is taken away and given back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::process::Command;
use std::thread;
use std::time::Duration;

use harness::{LEN, Scene};
use thence_origin::disks;

/// Set for the copy of this program that runs inside a network namespace.
const INSIDE: &str = "THENCE_TEST_INSIDE";

/// Runs the test of this name again in a network namespace of its own; says so where this machine makes none, which is
/// no excuse for one where we may do all that root may.
fn inside(test: &str) {
    let all: [&[&str]; 2] = [&["--net"], &["--user", "--map-root-user", "--net"]];
    let Some(how) =
        all.iter().find(|how| unshare(how).arg("true").output().is_ok_and(|o| o.status.success()))
    else {
        assert!(disks::mounts().is_err(), "{test}: root, and yet no network namespace can be made");
        println!(
            "{test}: NOT RUN: no network namespace can be made here (neither as root nor in a user namespace)"
        );
        return;
    };
    let own = std::env::current_exe().unwrap();
    let ran = unshare(how).arg(own).args(["--exact", test, "--nocapture"]).env(INSIDE, "1").output().unwrap();
    let words = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && words.contains("1 passed"), "{words}");
}

fn unshare(how: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(how).arg("--");
    command
}

/// `ip` with these words. Loopback is all the network there is inside, and without its address there is no route.
fn ip(words: &[&str]) {
    let set = Command::new("ip").args(words).args(["dev", "lo"]).output().unwrap();
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
}

const ADDRESS: &str = "127.0.0.1/8";

#[test]
fn crh_22_time_without_a_network_costs_no_retries() {
    if std::env::var_os(INSIDE).is_none() {
        return inside("crh_22_time_without_a_network_costs_no_retries");
    }
    ip(&["link", "set", "up"]);
    let scene = Scene::new();
    scene.file.change(|served| served.rate = Some(LEN / 8));
    let running = scene.start(&["-x4", "-v"]);
    running.holds(LEN / 4);
    ip(&["addr", "del", ADDRESS]);
    // All retries together wait three seconds at the most here.
    thread::sleep(Duration::from_secs(8));
    ip(&["addr", "add", ADDRESS]);
    scene.file.change(|served| served.rate = None);
    running.end().whole().says("no network");
}
