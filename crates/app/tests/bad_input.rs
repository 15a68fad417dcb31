//! What people and machines get wrong: each has an exit code of its own and a message that says what happened, to
//! what, and what to do; and nothing that is held is lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use harness::{BLOCK, LEN, Scene};
use thence_origin::{Origin, Reply, Request, files, journals};

/// The message names the thing, and after a semicolon says what to do.
#[track_caller]
fn names(outcome: harness::Outcome, what: &str) {
    let last = outcome.stderr.lines().last().unwrap().to_owned();
    assert!(last.starts_with("thence: ") && last.contains(what) && last.contains("; "), "{last}");
}

#[test]
fn a_malformed_url_is_28() {
    let scene = Scene::new();
    for bad in ["http://", "http://h:99999/x", "ftp://h/x", "http://[::1/x"] {
        names(scene.run_bare(&[bad]).refused(28), bad);
    }
}

#[test]
fn a_host_that_refuses_is_6() {
    let scene = Scene::new();
    scene.hold(LEN / 2, &["-x1"]);
    let url = scene.url();
    let gone = Origin::start(|_, _| ()).url("/file.bin");
    names(scene.run_bare(&["-o", "other.bin", &gone]).refused(6), &gone);
    assert!(scene.held() >= LEN / 2, "{url}");
}

/// A journal grown to `len` by the bytes `more` makes of the place where its first ones end.
fn dos_05(len: u64, more: Option<&[u8]>) {
    let scene = Scene::new();
    scene.hold(LEN / 2, &["-x1"]);
    let (part, path) = (fs::read(scene.path("file.bin.part")).unwrap(), scene.path("file.bin.thence"));
    let mut journal = fs::OpenOptions::new().append(true).open(path).unwrap();
    if let Some(more) = more {
        for _time in 0..len / more.len() as u64 {
            journal.write_all(more).unwrap();
        }
    } else {
        journal.set_len(len).unwrap();
    }
    let asked = scene.origin.requests().len();
    let (outcome, memory) = scene.start(&["-x4"]).end_with_memory();
    names(outcome.refused(8), "file.bin");
    assert!(memory < 32 << 20, "{memory} bytes of memory");
    assert_eq!(scene.origin.requests().len(), asked);
    assert!(fs::read(scene.path("file.bin.part")).unwrap() == part);
}

/// A journal goes on with so many bytes of good records; the most memory a run then took that was whole, or refused it.
fn dos_05_good(len: usize, whole: bool) -> u64 {
    let scene = Scene::new();
    scene.hold(LEN / 2, &["-x1"]);
    let journal = scene.path("file.bin.thence");
    fs::write(&journal, journals::with_good_records(fs::read(&journal).unwrap(), BLOCK as u32, len)).unwrap();
    scene.honest();
    let (outcome, memory) = scene.start(&["-x4"]).end_with_memory();
    if whole {
        drop(outcome.whole().says("goes on"));
    } else {
        names(outcome.refused(8), "file.bin");
    }
    memory
}

#[test]
fn dos_05_ten_million_good_records_are_not_read() {
    assert!(dos_05_good(10_000_000 * journals::RECORD, false) < 32 << 20);
}

#[test]
fn dos_05_as_many_good_records_as_are_read_take_bounded_memory() {
    let memory = dos_05_good(64 << 20, true);
    assert!(memory < 256 << 20, "{memory}");
}

#[test]
fn dos_05_a_journal_of_ten_gibibytes_is_not_read() {
    dos_05(10 << 30, None);
}

#[test]
fn dos_05_a_journal_as_long_as_ten_million_records_is_not_read() {
    // The shortest record has 17 bytes and most have more; a mebibyte at a time.
    dos_05(240 << 20, Some(&[1; 1 << 20]));
}

#[test]
fn a_404_is_3_and_a_401_is_24_and_where_something_is_held_both_are_35() {
    let cases = [(404, 3, 35), (410, 3, 35), (401, 24, 35), (403, 24, 35), (429, 29, 29), (500, 22, 22)];
    for (status, fresh, later) in cases {
        let refuse = move |_: &Request, out: &mut Reply| _ = out.answer(status, "", "no");
        let scene = Scene::new();
        scene.serve(refuse);
        names(scene.run(&["--retry", "1"]).refused(fresh), &scene.url());
        let scene = Scene::half_then(refuse);
        let held = scene.held();
        names(scene.run(&["--retry", "1"]).refused(later), &scene.url());
        assert_eq!(scene.held(), held, "{status}");
        scene.honest();
        scene.run(&[]).whole().says("goes on");
    }
}

#[test]
fn a_full_disk_is_9_and_goes_on_when_there_is_room() {
    let scene = Scene::new();
    let Some(_small) = Mounted::tmpfs(scene.dir(), "size=1m") else { return };
    names(scene.run(&["-x4"]).refused(9), "file.bin");
    assert!(mount(&["-o", "remount,size=64m"], scene.dir()));
    scene.run(&["-x4"]).whole();
}

#[test]
fn a_disk_that_fills_up_meanwhile_is_9_and_keeps_what_is_held() {
    let scene = Scene::new();
    scene.liar("frm_02_c");
    let Some(_small) = Mounted::tmpfs(scene.dir(), "size=1m") else { return };
    names(scene.run(&["-x4"]).refused(9), "file.bin");
    assert!(scene.path("file.bin.part").exists());
    assert!(mount(&["-o", "remount,size=64m"], scene.dir()));
    scene.run(&["-x4"]).whole();
}

#[test]
fn a_directory_that_may_not_be_written_is_16() {
    let scene = Scene::new();
    let _mounted = Mounted::tmpfs(scene.dir(), "ro");
    fs::set_permissions(scene.dir(), Permissions::from_mode(0o555)).ok();
    names(scene.run(&["-x4"]).refused(16), "file.bin");
    fs::set_permissions(scene.dir(), Permissions::from_mode(0o755)).ok();
}

#[test]
fn a_directory_that_is_not_there_is_18() {
    let scene = Scene::new();
    names(scene.run(&["-d", "nowhere"]).refused(18), "nowhere");
}

#[test]
fn a_part_of_another_url_is_13_and_stays() {
    let scene = Scene::new();
    scene.hold(LEN / 2, &["-x1", "-o", "file.bin"]);
    let before = (fs::read(scene.path("file.bin.part")).unwrap(), scene.held());
    let other = scene.origin.url("/another.bin");
    names(scene.run_bare(&["-o", "file.bin", &other]).refused(13), "file.bin");
    assert!(before == (fs::read(scene.path("file.bin.part")).unwrap(), scene.held()));
    scene.honest();
    scene.run(&["-o", "file.bin"]).whole().says("goes on");
}

#[test]
fn a_checksum_of_the_wrong_length_is_28_and_a_wrong_one_32() {
    let scene = Scene::half_then(|_, _| ());
    names(scene.run(&["--checksum", "sha-256:00"]).refused(28), "64 hex digits");
    scene.honest();
    let wrong = format!("sha-256:{}", "0".repeat(64));
    let outcome = scene.run(&["--checksum", &wrong]).refused(32);
    names(outcome.bytes("file.bin.part"), "file.bin.part");
    let right = format!("sha-256:{}", files::digest(scene.bytes()));
    let sent = scene.origin.sent();
    scene.run(&["--checksum", &right]).whole();
    assert_eq!(scene.origin.sent(), sent, "it was held whole already");
}

/// Journals of every damage at sampled places: never a panic, never a wrong byte, and the part is not lost.
fn damaged(damage: impl Fn(&mut Vec<u8>, usize)) {
    let scene = Scene::new();
    scene.hold(LEN / 2, &["-x4"]);
    let (part, journal) = (scene.path("file.bin.part"), scene.path("file.bin.thence"));
    let (bytes, good) = (fs::read(&part).unwrap(), fs::read(&journal).unwrap());
    let used = good.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    scene.honest();
    for at in (0..used).step_by(used.div_ceil(24)) {
        let mut bad = good.clone();
        damage(&mut bad, at);
        for entry in fs::read_dir(scene.dir()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        fs::write(&part, &bytes).unwrap();
        fs::write(&journal, &bad).unwrap();
        let outcome = scene.run(&["-x4"]);
        if outcome.code == Some(0) {
            let kept = outcome.left.contains_key("file.1.bin");
            outcome.bytes(if kept { "file.1.bin" } else { "file.bin" });
        } else {
            assert!([8, 13].contains(&outcome.code.unwrap()), "at {at}: {}", outcome.stderr);
            assert_eq!(outcome.left["file.bin.part"].as_ref(), Some(&bytes), "at {at}");
        }
    }
}

#[test]
fn a_journal_that_was_cut_loses_nothing() {
    damaged(|journal, at| journal.truncate(at));
}

#[test]
fn a_journal_with_a_flipped_byte_loses_nothing() {
    damaged(|journal, at| journal[at] ^= 0x41);
}

#[test]
fn a_rotten_block_is_found_and_fetched_again() {
    let scene = Scene::new();
    scene.hold(LEN / 2, &["-x1"]);
    let mut bytes = fs::read(scene.path("file.bin.part")).unwrap();
    bytes[300_000] ^= 1;
    fs::write(scene.path("file.bin.part"), bytes).unwrap();
    scene.honest();
    scene.run(&["-x4"]).whole().says("damaged");
}

/// A file system of the test's own over a directory; `None` where only root may mount, which is said.
struct Mounted<'a>(&'a Path);

impl Mounted<'_> {
    fn tmpfs<'a>(dir: &'a Path, options: &str) -> Option<Mounted<'a>> {
        let mounted = mount(&["-t", "tmpfs", "-o", options, "tmpfs"], dir);
        if !mounted {
            eprintln!("not tried: only root can mount a small file system");
        }
        mounted.then_some(Mounted(dir))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // Lazily: a test that failed may still have a program in it.
        let _gone = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

fn mount(args: &[&str], dir: &Path) -> bool {
    let mounted = Command::new("mount").args(args).arg(dir).stderr(std::process::Stdio::null()).status();
    mounted.is_ok_and(|status| status.success())
}

/// A part that holds every byte and has lost its journal.
fn whole_without_a_journal() -> Scene {
    let scene = Scene::new();
    scene.run(&["--checksum", &format!("sha-256:{}", "0".repeat(64))]).refused(32);
    fs::remove_file(scene.path("file.bin.thence")).unwrap();
    scene
}

#[test]
fn crh_14_a_part_without_a_journal_is_the_file_if_it_has_the_digest() {
    let scene = whole_without_a_journal();
    let (right, sent) = (format!("sha-256:{}", files::digest(scene.bytes())), scene.origin.sent());
    scene.run(&["--checksum", &right]).whole().says("sha-256 right");
    assert_eq!((scene.origin.sent(), scene.path("file.bin.part").exists()), (sent, false));
}

#[test]
fn crh_14_a_part_without_a_journal_is_kept_and_named() {
    let scene = whole_without_a_journal();
    let kept = fs::read(scene.path("file.bin.part")).unwrap();
    scene.run(&[]).bytes("file.1.bin").says("file.bin.part has no readable journal");
    assert!(fs::read(scene.path("file.bin.part")).unwrap() == kept, "not a byte of it is changed");
    let other = format!("sha-256:{}", "1".repeat(64));
    scene.run(&["--checksum", &other, "-o", "file.bin"]).refused(13);
    assert!(fs::read(scene.path("file.bin.part")).unwrap() == kept);
}

#[test]
fn a_header_with_another_value_is_told() {
    let scene = Scene::new();
    scene.hold(LEN / 2, &["-x1", "-H", "Cookie: a=1"]);
    scene.honest();
    scene.run(&["-H", "Cookie: a=2"]).whole().says("the header Cookie has another value").says_not("a=2");
}

#[test]
fn whoever_waits_is_told_why_and_once() {
    let scene = Scene::new();
    scene.serve(|_, out| {
        out.close();
    });
    let outcome = scene.run(&[]).refused(6);
    let waits: Vec<&str> = outcome.stderr.lines().filter(|line| line.ends_with("; asking again")).collect();
    assert_eq!(waits.len(), 1, "{}", outcome.stderr);
}
