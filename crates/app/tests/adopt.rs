//! What other programs leave unfinished is gone on from once it is proven; else it is left as it is, and the file comes anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::{BLOCK, LEN, Outcome, Scene, until};
use thence_origin::honest::Served;
use thence_origin::{files, real};

/// Length of the file that real programs are killed in the middle of.
const LARGE: u64 = 24 << 20;

/// Of each answer to them comes so much, and no more.
const GIVEN: u64 = 4 << 20;

/// What is compared of a file of [`LEN`] at most, and what a block costs that is cut at both ends of its run.
const COMPARED: u64 = 1 << 20;

// ---- Made by hand ----

/// aria2's control file of pieces of a block of a file of [`LEN`] bytes: those of which `held` is true are claimed.
fn control(total: u64, held: impl Fn(u64) -> bool) -> Vec<u8> {
    let pieces = total.div_ceil(BLOCK);
    let mut bits = vec![0u8; pieces.div_ceil(8) as usize];
    for piece in (0..pieces).filter(|&piece| held(piece)) {
        bits[piece as usize / 8] |= 0x80 >> (piece % 8);
    }
    let mut out = vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    out.extend((BLOCK as u32).to_be_bytes());
    out.extend(total.to_be_bytes());
    out.extend([0; 8]);
    out.extend((bits.len() as u32).to_be_bytes());
    out.extend(bits);
    out.extend([0; 4]);
    out
}

/// The file, with zeros where `held` is false: what aria2 leaves of it.
fn preallocated(scene: &Scene, held: impl Fn(u64) -> bool) -> Vec<u8> {
    let mut bytes = scene.bytes();
    for piece in (0..LEN.div_ceil(BLOCK)).filter(|&piece| !held(piece)) {
        let (start, end) = (piece * BLOCK, (piece * BLOCK + BLOCK).min(LEN));
        bytes[start as usize..end as usize].fill(0);
    }
    bytes
}

fn write(scene: &Scene, name: &str, bytes: impl AsRef<[u8]>) {
    fs::write(scene.path(name), bytes).unwrap();
}

/// Runs, and says what the origin sent meanwhile.
fn sent(scene: &Scene, args: &[&str]) -> (Outcome, u64) {
    let before = scene.origin.sent();
    let outcome = scene.run(&[&["-x1"], args].concat());
    (outcome, scene.origin.sent() - before)
}

/// These stand as they were.
#[track_caller]
fn untouched(outcome: &Outcome, files: &[(&str, &[u8])]) {
    for (name, bytes) in files {
        let left = outcome.left.get(*name).and_then(Option::as_deref);
        assert!(left == Some(*bytes), "{name} is not as it was: {}", outcome.stderr);
    }
}

#[test]
fn a_prefix_is_gone_on_from_where_that_is_asked_for() {
    let scene = Scene::new();
    write(&scene, "file.bin", &scene.bytes()[..LEN as usize / 2]);
    let (outcome, sent) = sent(&scene, &["--adopt", "file.bin"]);
    outcome.whole().says("goes on from file.bin").says("unproven join");
    assert!(sent < LEN / 2 + COMPARED, "{sent} of {LEN}");
}

#[test]
fn unasked_a_prefix_keeps_its_name_and_the_way_is_told() {
    let scene = Scene::new();
    let half = scene.bytes()[..LEN as usize / 2].to_vec();
    write(&scene, "file.bin", &half);
    let outcome = scene.run(&[]).bytes("file.1.bin").says("--adopt file.bin goes on from it");
    untouched(&outcome, &[("file.bin", &half)]);
    let outcome = scene.run(&["-o", "file.bin"]).says("--adopt with it would go on");
    outcome.code(13);
    untouched(&outcome, &[("file.bin", &half)]);
}

#[test]
fn a_prefix_of_another_file_is_left_alone() {
    let scene = Scene::new();
    let other = files::content(2, LEN as usize / 2);
    write(&scene, "file.bin", &other);
    let outcome = scene.run(&["--adopt", "file.bin"]).bytes("file.1.bin").says("file.bin is left as it is");
    untouched(&outcome, &[("file.bin", &other)]);
    assert_eq!(outcome.left.len(), 2, "{:?}", outcome.left.keys());
}

#[test]
fn a_prefix_longer_than_the_file_is_left_alone() {
    let scene = Scene::new();
    let longer = [scene.bytes(), vec![7; 9_000]].concat();
    write(&scene, "old", &longer);
    let outcome =
        scene.run(&["--adopt", "old", "-o", "file.bin"]).bytes("file.bin").says("old is left as it is");
    untouched(&outcome, &[("old", &longer)]);
}

#[test]
fn a_whole_file_is_proven_and_not_fetched() {
    let scene = Scene::new();
    write(&scene, "file.bin", scene.bytes());
    let digest = format!("sha-256:{}", files::digest(scene.bytes()));
    let (outcome, sent) = sent(&scene, &["--adopt", "file.bin", "--checksum", &digest]);
    outcome.whole().says_not("unproven");
    assert!(sent < COMPARED, "{sent}");
}

#[test]
fn a_file_elsewhere_is_only_read() {
    let scene = Scene::new();
    let half = scene.bytes()[..LEN as usize / 2].to_vec();
    let theirs = scene.home().join("any.crdownload");
    fs::write(&theirs, &half).unwrap();
    let (outcome, sent) = sent(&scene, &["--adopt", theirs.to_str().unwrap()]);
    outcome.whole_as("any");
    assert!(sent < LEN / 2 + COMPARED, "{sent} of {LEN}");
    assert_eq!(fs::read(&theirs).unwrap(), half);
}

#[test]
fn what_chromium_leaves_is_found_unasked_and_stays() {
    let scene = Scene::new();
    let half = scene.bytes()[..LEN as usize / 2].to_vec();
    write(&scene, "file.bin.crdownload", &half);
    let (outcome, sent) = sent(&scene, &[]);
    untouched(&outcome.bytes("file.bin"), &[("file.bin.crdownload", &half)]);
    assert!(sent < LEN / 2 + COMPARED, "{sent} of {LEN}");
}

#[test]
fn what_bears_the_name_of_a_part_of_ours_goes_under_another() {
    let scene = Scene::new();
    let half = scene.bytes()[..LEN as usize / 2].to_vec();
    write(&scene, "file.bin.part", &half);
    let (outcome, sent) = sent(&scene, &["--adopt", "file.bin.part"]);
    untouched(&outcome.bytes("file.1.bin"), &[("file.bin.part", &half)]);
    assert!(sent < LEN / 2 + COMPARED, "{sent} of {LEN}");
}

#[test]
fn claimed_pieces_are_taken_over_and_the_control_file_goes() {
    let scene = Scene::new();
    let held = |piece| piece < 4 || (6..9).contains(&piece);
    write(&scene, "file.bin", preallocated(&scene, held));
    write(&scene, "file.bin.aria2", control(LEN, held));
    let (outcome, sent) = sent(&scene, &[]);
    outcome.whole().says("goes on from file.bin: 1.75 MiB");
    assert!(sent < LEN - 7 * BLOCK + COMPARED, "{sent} of {LEN}");
}

#[test]
fn zeros_in_a_claimed_piece_are_fetched() {
    let scene = Scene::new();
    write(&scene, "file.bin", preallocated(&scene, |piece| piece != 3));
    write(&scene, "file.bin.aria2", control(LEN, |_| true));
    let (outcome, sent) = sent(&scene, &[]);
    outcome.whole();
    assert!(sent > BLOCK && sent < BLOCK + COMPARED, "{sent}");
}

#[test]
fn a_wrong_partial_or_control_file_is_left_alone() {
    let all = |_| true;
    let cut = control(LEN, all)[..39].to_vec();
    for (what, wrong, control) in [
        ("other bytes", true, control(LEN, all)),
        ("a length of its own", false, control(LEN + 1, all)),
        ("a control file cut short", false, cut),
    ] {
        let scene = Scene::new();
        let bytes = if wrong { files::content(2, LEN as usize) } else { scene.bytes() };
        write(&scene, "file.bin", &bytes);
        write(&scene, "file.bin.aria2", &control);
        let outcome = scene.run(&[]).bytes("file.1.bin").says("is left as it is");
        untouched(&outcome, &[("file.bin", &bytes), ("file.bin.aria2", &control)]);
        assert_eq!(outcome.left.len(), 3, "{what}: {:?}", outcome.left.keys());
    }
}

#[test]
fn a_wrong_byte_that_no_comparison_meets_is_found_by_a_checksum() {
    let scene = Scene::new();
    let mut bytes = scene.bytes();
    bytes[5 * BLOCK as usize + 100_000] ^= 1;
    write(&scene, "file.bin", &bytes);
    write(&scene, "file.bin.aria2", control(LEN, |piece| piece < 8));
    let digest = format!("sha-256:{}", files::digest(scene.bytes()));
    let outcome = scene.run(&["--checksum", &digest]).bytes("file.1.bin").says("file.bin is left as it is");
    untouched(&outcome, &[("file.bin", &bytes)]);
}

#[test]
fn strict_takes_nothing_on_the_word_of_a_comparison() {
    let scene = Scene::new();
    let half = scene.bytes()[..LEN as usize / 2].to_vec();
    write(&scene, "file.bin", &half);
    let outcome =
        scene.run(&["--strict", "--adopt", "file.bin"]).bytes("file.1.bin").says("a --checksum would do");
    untouched(&outcome, &[("file.bin", &half)]);
}

#[test]
fn without_ranges_all_of_a_prefix_is_compared() {
    let scene = Scene::new();
    scene.file.change(|served| served.ranges = false);
    let mut half = scene.bytes()[..LEN as usize / 2].to_vec();
    write(&scene, "file.bin", &half);
    scene.run(&["--adopt", "file.bin"]).whole();
    half[300_000] ^= 1;
    write(&scene, "file.bin", &half);
    let outcome = scene.run(&["--adopt", "file.bin", "--exists", "rename"]).says("file.bin is left as it is");
    untouched(&outcome.bytes("file.1.bin"), &[("file.bin", &half)]);
}

#[test]
fn crh_01_a_run_that_is_killed_before_the_proof_has_taken_nothing() {
    let scene = Scene::new();
    let held = |piece| piece < 8;
    let bytes = preallocated(&scene, held);
    write(&scene, "file.bin", &bytes);
    write(&scene, "file.bin.aria2", control(LEN, held));
    scene.serve(|_, out| {
        while out.alive() {
            out.pause(Duration::from_millis(5));
        }
    });
    let running = scene.start(&[]);
    until("it asks", || !scene.requests().is_empty());
    assert_eq!(scene.held(), 0, "nothing is held that was not proven");
    running.kill();
    assert_eq!(fs::read(scene.path("file.bin")).unwrap(), bytes);
    scene.honest();
    let (outcome, sent) = sent(&scene, &[]);
    outcome.whole();
    assert!(sent < LEN - 8 * BLOCK + COMPARED, "{sent} of {LEN}");
}

#[test]
fn crh_01_a_run_that_is_killed_after_the_proof_is_gone_on_from() {
    let scene = Scene::new();
    let held = |piece| piece < 4;
    write(&scene, "file.bin", preallocated(&scene, held));
    write(&scene, "file.bin.aria2", control(LEN, held));
    scene.hold(8 * BLOCK, &["-x1"]);
    scene.honest();
    let (outcome, sent) = sent(&scene, &[]);
    outcome.whole();
    assert!(sent < LEN - 8 * BLOCK + COMPARED, "{sent} of {LEN}");
}

#[test]
fn a_partial_file_that_goes_on_meanwhile_keeps_its_name() {
    let scene = Scene::new();
    let held = |piece| piece < 4;
    write(&scene, "file.bin", preallocated(&scene, held));
    write(&scene, "file.bin.aria2", control(LEN, held));
    scene.stop_at(8 * BLOCK);
    let running = scene.start(&["-x1"]);
    running.holds(8 * BLOCK);
    let theirs = preallocated(&scene, |piece| piece < 5);
    write(&scene, "file.bin", &theirs);
    scene.go_on();
    let outcome = running.end().bytes("file.1.bin");
    outcome.code(0);
    untouched(&outcome, &[("file.bin", &theirs)]);
    assert!(outcome.left.contains_key("file.bin.aria2"));
}

#[test]
fn what_cannot_be_adopted_together_is_refused() {
    let scene = Scene::new();
    write(&scene, "a", "x");
    for args in [&["--adopt", "a", "-o-"][..], &["--adopt", "a", "http://127.0.0.1:1/other"]] {
        scene.run(args).refused(28).says("--adopt");
    }
    scene.run(&["--adopt", "none"]).refused(28).says("--adopt: none: ");
}

// ---- Left by the programs themselves ----

/// A scene whose origin gives [`GIVEN`] bytes of each answer and then nothing.
fn halting() -> Scene {
    let scene = Scene::of(Served::made(9, LARGE));
    let file = scene.file.clone();
    scene.serve(move |request, out| {
        let mut answer = file.now().answer(request);
        let head = answer.head();
        answer.span.1 = answer.span.1.min(answer.span.0 + GIVEN);
        out.head(answer.status, &head);
        answer.send_body(out);
        while out.alive() {
            out.pause(Duration::from_millis(5));
        }
    });
    scene
}

/// A program that is killed with the test.
struct Left(Child);

impl Drop for Left {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Runs the program until all that it is given has come, then kills it; it has had the time to say what it has.
fn killed(scene: &Scene, program: &str, args: &[&str], answers: u64) {
    let mut command = Command::new(real::program(program).unwrap());
    command.args(args).arg(scene.url()).current_dir(scene.dir()).env_clear().env("HOME", scene.home());
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let child = Left(child);
    until("all that is given has come", || scene.origin.sent() >= answers * GIVEN);
    // aria2 and axel say once a second what they have.
    std::thread::sleep(Duration::from_millis(2500));
    drop(child);
}

/// Goes on from what it left: the right bytes alone, of which no more came than was missing, what was compared, and two blocks at
/// the edges of each run.
fn gone_on(scene: &Scene, args: &[&str], answers: u64) {
    scene.honest();
    let (outcome, sent) = sent(scene, args);
    outcome.whole().says("goes on from");
    let most = LARGE - answers * GIVEN + answers * 2 * BLOCK + (3 << 20);
    assert!(sent < most, "{sent} of {LARGE}, at most {most}");
}

#[test]
fn what_aria2_leaves_is_gone_on_from() {
    if !real::are_here(&["aria2c"]) {
        return;
    }
    for allocation in ["--file-allocation=prealloc", "--file-allocation=none"] {
        let scene = halting();
        let args = ["-x4", "-s4", "-k1M", "--auto-save-interval=1", "--no-conf", allocation];
        killed(&scene, "aria2c", &args, 4);
        assert!(scene.path("file.bin.aria2").exists());
        gone_on(&scene, &[], 4);
    }
}

#[test]
fn what_axel_leaves_is_gone_on_from() {
    if !real::are_here(&["axel"]) {
        return;
    }
    let scene = halting();
    fs::write(scene.home().join(".axelrc"), "save_state_interval = 1\n").unwrap();
    killed(&scene, "axel", &["-n4", "-o", "file.bin"], 4);
    assert!(scene.path("file.bin.st").exists());
    gone_on(&scene, &[], 4);
}

#[test]
fn what_curl_and_wget_leave_is_gone_on_from_where_that_is_asked_for() {
    if !real::are_here(&["curl", "wget"]) {
        return;
    }
    for (program, args) in [("curl", &["-s", "-o", "file.bin"][..]), ("wget", &["-q", "-O", "file.bin"])] {
        let scene = halting();
        killed(&scene, program, args, 1);
        gone_on(&scene, &["--adopt", "file.bin"], 1);
    }
}
