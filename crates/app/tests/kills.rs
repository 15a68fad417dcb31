//! Killed, stopped, tampered with: the next run ends with the right bytes, and little comes twice.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod servers_harness;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use servers_harness::{Ground, MIB, NGINX, here, holds, large, thence, under_way, unhurried};
use thence_origin::chance::Chance;
use thence_origin::disks;
use thence_origin::honest::{Served, Shared, handler};
use thence_origin::kills::{BOUND_MAX, Costs, Scene, Sender, held_by, number};
use thence_origin::memory::Cgroup;
use thence_origin::steps::{self, From};
use thence_origin::trial::Trial;
use thence_origin::{Origin, files, real};

const NAME: &str = "large";
const A_WHILE: Duration = Duration::from_millis(400);

/// `THENCE_SEED`, or one nobody has tried.
fn seed() -> u64 {
    let given = std::env::var("THENCE_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    given.unwrap_or(now % 1_000_000_000)
}

/// P3 at the real intervals, counted by the server. `THENCE_SEED` repeats a run.
fn kills_cost_at_most_a_second_each(sender: Sender, kills: usize, nested: bool) {
    let (seed, served) = (seed(), tempfile::tempdir().unwrap());
    for lanes in [1, 4, 16] {
        let program = env!("CARGO_BIN_EXE_thence").into();
        let from = (sender, served.path().to_owned());
        let scene = Scene::new(program, from, lanes, (32 << 20, 16 << 20), seed).unwrap();
        let scene = if nested { scene.nested() } else { scene };
        let attempts = scene.run(kills, 4);
        let wrong: Vec<&String> = attempts.iter().filter_map(|attempt| attempt.wrong.as_ref()).collect();
        let costs = Costs::of(&attempts);
        let (median, p99, worst) = (costs.at(0.5), costs.at(0.99), costs.at(1.0));
        println!("seed {seed}, {lanes} lanes: {} kills cost {median}, {p99}, {worst} bytes", costs.kills());
        assert!(wrong.is_empty(), "THENCE_SEED={seed}: {wrong:?}");
        assert!(worst <= scene.bound(), "THENCE_SEED={seed}: a kill cost {worst} of {}", scene.bound());
    }
}

#[test]
fn crh_01_kills_at_random_instants_on_nginx() {
    if !here(&[NGINX]).is_empty() {
        kills_cost_at_most_a_second_each(Sender::Nginx, 34, false);
    }
}

#[test]
fn crh_01_kills_at_random_instants_of_an_even_stream() {
    kills_cost_at_most_a_second_each(Sender::Even, 12, false);
}

/// Two to ten kills in each download, most of them while a run goes on with what the one before it left.
#[test]
fn crh_03_kills_of_runs_that_go_on_never_leave_less_than_they_found() {
    kills_cost_at_most_a_second_each(Sender::Even, 12, true);
}

#[test]
fn crh_03_ten_kills_in_a_row_never_leave_less_than_they_found() {
    let (seed, rate) = (seed(), 4 * MIB as u64);
    let file = Shared::new(Served { rate: Some(rate / 4), ..Served::new(large().to_vec()) });
    let (origin, trial) = (Origin::start(handler(&file)), unhurried());
    let (url, mut chance, mut held) = (origin.url("/large"), Chance::new(seed), 0);
    for kill in 0..10 {
        let mut running = trial.start(&["-q", "-x", "4", &url]);
        assert!(running.lives_for(Duration::from_secs_f64(0.3 + chance.unit())), "{}", running.words());
        running.kill();
        let now = held_by(&trial);
        assert!(now >= held, "THENCE_SEED={seed}: kill {kill} left {now} bytes of {held}");
        held = now;
    }
    file.change(|served| served.rate = None);
    trial.run(&["large.part"]).with(0).saying("goes on, ");
    holds(&trial, NAME, large());
    let twice = origin.sent() - large().len() as u64;
    assert!(twice <= 10 * rate.min(BOUND_MAX), "THENCE_SEED={seed}: {twice} bytes twice");
}

#[test]
fn crh_09_zeros_without_a_record_are_no_file() {
    let file = Shared::new(Served::new(large().to_vec()));
    let (origin, trial) = (Origin::start(handler(&file)), thence());
    File::create(trial.path("large.part")).unwrap().set_len(large().len() as u64).unwrap();
    File::create(trial.path("large.thence")).unwrap();
    trial.run(&[&origin.url("/large")]).with(0);
    holds(&trial, NAME, large());
}

/// Between the last byte and the end of the command: joins, checks, rename, syncs, the journal's removal.
#[test]
fn crh_10_kills_after_the_last_byte_leave_one_file() {
    let bytes = &large()[..4 * MIB];
    for step in 0..24 {
        let file = Shared::new(Served::new(bytes.to_vec()));
        let (origin, trial) = (Origin::start(handler(&file)), thence());
        let url = origin.url("/large");
        let mut running = trial.start(&["-q", "-x", "4", &url]);
        running.lives_until(|| origin.sent() >= bytes.len() as u64);
        running.lives_for(Duration::from_millis(2 * step));
        running.kill();
        trial.run(&["-q", &url]).with(0);
        holds(&trial, NAME, bytes);
    }
}

/// 40 MiB broken off in the middle by a kill, then changed by `tamper`, then gone on with.
fn tampered(tamper: impl Fn(&Trial)) -> (Trial, String) {
    let file = Shared::new(Served { rate: Some(16 * MIB as u64), ..Served::new(large().to_vec()) });
    let (origin, trial) = (Origin::start(handler(&file)), thence());
    let url = origin.url("/large");
    let mut running = trial.start(&["-x", "4", &url]);
    under_way(&trial, &mut running, NAME, A_WHILE);
    running.kill();
    tamper(&trial);
    file.change(|served| served.rate = None);
    let said = trial.run(&["-x", "4", &url]).with(0).said.clone();
    (trial, said)
}

fn part(trial: &Trial) -> File {
    OpenOptions::new().read(true).write(true).open(trial.path("large.part")).unwrap()
}

/// Offset of the first MiB boundary that was written.
fn written(part: &File) -> u64 {
    let is_there = |at: &u64| {
        let mut bytes = [0; 64];
        part.read_exact_at(&mut bytes, *at).is_ok() && bytes == large()[*at as usize..*at as usize + 64]
    };
    (0..large().len() as u64).step_by(256 << 10).find(is_there).unwrap()
}

#[test]
fn crh_17_a_rotten_bit_is_found_and_its_block_fetched_again() {
    let (trial, said) = tampered(|trial| {
        let part = part(trial);
        let at = written(&part) + 1000;
        part.write_all_at(&[!large()[at as usize]], at).unwrap();
    });
    assert!(said.contains("were damaged and are fetched again"), "{said}");
    holds(&trial, NAME, large());
}

#[test]
fn crh_18_a_truncated_part_loses_only_what_is_gone() {
    for len in [0, 1, 5 * MIB as u64, 20 * MIB as u64] {
        holds(&tampered(|trial| part(trial).set_len(len).unwrap()).0, NAME, large());
    }
}

#[test]
fn crh_18_an_extended_part_is_cut_to_its_length() {
    holds(&tampered(|trial| part(trial).set_len(50 * MIB as u64).unwrap()).0, NAME, large());
}

#[test]
fn crh_18_another_file_in_the_parts_place_is_not_believed() {
    let fill = |bytes: Vec<u8>| {
        move |trial: &Trial| {
            fs::write(trial.path("other"), &bytes).unwrap();
            fs::rename(trial.path("other"), trial.path("large.part")).unwrap();
        }
    };
    for bytes in [Vec::new(), vec![0; 40 * MIB], files::content(9, 40 * MIB)] {
        holds(&tampered(fill(bytes)).0, NAME, large());
    }
}

#[test]
fn crh_18_a_copy_of_the_pair_goes_on_as_well() {
    let (trial, said) = tampered(|trial| {
        fs::copy(trial.path("large.part"), trial.path("copy")).unwrap();
        fs::rename(trial.path("copy"), trial.path("large.part")).unwrap();
    });
    assert!(said.contains("goes on, ") && !said.contains("damaged"), "{said}");
    holds(&trial, NAME, large());
}

/// Ends in two seconds with 7, says how to go on, and what was on its way is all that comes twice.
#[test]
fn crh_19_signals_end_it_in_order() {
    for signals in [&[Signal::TERM][..], &[Signal::INT], &[Signal::HUP], &[Signal::INT, Signal::INT]] {
        for (_, start) in here(&[NGINX]) {
            let (ground, trial) = (Ground::new(), unhurried());
            let server = start(&ground.site().rate(2 * MIB as u64));
            let url = server.url("/large");
            let mut running = trial.start(&["-x", "4", &url]);
            under_way(&trial, &mut running, NAME, Duration::from_millis(1_500));
            let asked = Instant::now();
            signals.iter().for_each(|&signal| running.signal(signal));
            running.wait().with(7).saying("thence large.part");
            assert!(asked.elapsed() < Duration::from_secs(2), "{signals:?} took {:?}", asked.elapsed());
            let held = held_by(&trial);
            let ended = trial.run(&["--json", "large.part"]);
            holds(&trial, NAME, large());
            // What was at rest is not asked for again; a cut between lanes may cost what was on its way.
            let fetched = number(&ended.with(0).out, "wire_bytes");
            assert!(
                held > 0 && held + fetched <= large().len() as u64 + 4 * (64 << 10),
                "{held} + {fetched}"
            );
        }
    }
}

#[test]
fn crh_22_a_suspended_run_goes_on() {
    for (_, start) in here(&[NGINX]) {
        let (ground, trial) = (Ground::new(), thence());
        let server = start(&ground.site().rate(2 * MIB as u64));
        let url = server.url("/large");
        let mut running = trial.start(&["-x", "4", &url]);
        under_way(&trial, &mut running, NAME, A_WHILE);
        running.signal(Signal::STOP);
        std::thread::sleep(Duration::from_secs(3));
        running.signal(Signal::CONT);
        running.wait().with(0);
        holds(&trial, NAME, large());
    }
}

/// Every fifth call of a run of some hundred, from one drawn by chance on: all of them are `cargo xtask crash --calls`.
const STRIDE: usize = 5;

#[test]
fn crh_02_a_kill_at_any_system_call() {
    let seed = seed();
    let scene = steps::Scene::new(env!("CARGO_BIN_EXE_thence").into(), seed).unwrap();
    if let Err(why) = scene.can_trace() {
        return println!("NOT RUN: {why}");
    }
    for from in [From::Nothing, From::Half] {
        let steps = scene.run(from, (1 + seed as usize % STRIDE, STRIDE), 4);
        println!("seed {seed}, from {from:?}: {} kills, the last at call {}", steps.kills, steps.last);
        assert!(steps.wrong.is_empty(), "THENCE_SEED={seed}: {:?}", steps.wrong);
        assert!(steps.kills * STRIDE > 300, "THENCE_SEED={seed}: a download makes more calls than that");
    }
}

/// While it sleeps its server closes every connection; it does not notice before it wakes.
#[test]
fn crh_22_connections_that_break_while_it_is_suspended_are_made_anew() {
    let file = Shared::new(Served { rate: Some(2 * MIB as u64), ..Served::new(large().to_vec()) });
    let (breaks, broken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (origin, trial) = (breaking(&file, &breaks, &broken), unhurried());
    let url = origin.url("/large");
    let mut running = trial.start(&["-x", "4", &url]);
    under_way(&trial, &mut running, NAME, A_WHILE);
    running.signal(Signal::STOP);
    breaks.store(true, Ordering::SeqCst);
    std::thread::sleep(Duration::from_secs(1));
    breaks.store(false, Ordering::SeqCst);
    file.change(|served| served.rate = None);
    let held = broken.load(Ordering::SeqCst);
    running.signal(Signal::CONT);
    running.wait().with(0);
    holds(&trial, NAME, large());
    assert_eq!(held, 4, "connections that were broken while it slept");
}

/// An origin that resets whatever it is sending while `breaks` is set, and counts how often.
fn breaking(file: &Shared, breaks: &Arc<AtomicBool>, broken: &Arc<AtomicUsize>) -> Origin {
    let (file, breaks, broken) = (file.clone(), breaks.clone(), broken.clone());
    Origin::start(move |request, out| {
        let mut answer = file.now().answer(request);
        let (at, end) = answer.span;
        out.head(answer.status, &answer.head());
        for first in (at..end).step_by(32 << 10) {
            answer.span = (first, end.min(first + (32 << 10)));
            answer.send_body(out);
            if breaks.load(Ordering::SeqCst) {
                broken.fetch_add(1, Ordering::SeqCst);
                return out.reset();
            }
        }
    })
}

/// P2: the kernel takes its memory back by a kill of its own.
#[test]
fn crh_01_a_kill_for_want_of_memory_is_gone_on_from() {
    let group = disks::wanted(Cgroup::can_be_had(), || Cgroup::new(128 << 20));
    let Some(group) = group else { return };
    let file = Shared::new(Served { rate: Some(2 * MIB as u64), ..Served::new(large().to_vec()) });
    let (origin, trial) = (Origin::start(handler(&file)), unhurried());
    let (url, within) = (origin.url("/large"), group.within());
    let mut running = trial.start_by(&within.each_ref().map(String::as_str), &["-x", "4", &url]);
    under_way(&trial, &mut running, NAME, Duration::from_secs(1));
    let eater = group.exhaust().unwrap();
    let ended = running.wait();
    drop(eater);
    assert!(ended.code.is_none() && group.kills() > 0, "{:?}, {}: {}", ended.code, group.kills(), ended.said);
    file.change(|served| served.rate = None);
    assert!(held_by(&trial) > 0);
    trial.run(&[&url]).with(0).saying("goes on, ");
    holds(&trial, NAME, large());
}

/// Killed at the entry of the n-th such call; false once a run makes fewer.
fn killed_at(call: &str, n: usize, bytes: &[u8], url: &str) -> bool {
    let trial = thence();
    let inject = format!("inject={call}:signal=KILL:when={n}");
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject];
    let killed = trial.start_by(&strace, &["-q", "-x", "4", url]).wait();
    // strace ends as its child did.
    let done = match killed.code {
        Some(0) => true,
        None => false,
        Some(code) => panic!("{inject}: strace ended with {code}: {}", killed.said),
    };
    let again = trial.run(&["-q", "-x", "4", url]);
    assert_eq!(again.code, Some(0), "{inject}: {}", again.said);
    assert_eq!(trial.names(), [NAME], "{inject}");
    assert!(trial.bytes(NAME) == bytes, "{inject}: wrong bytes");
    !done
}

#[test]
fn crh_02_a_kill_at_any_call_that_changes_the_disk() {
    if !real::are_here(&["strace"]) {
        return;
    }
    let bytes = &large()[..8 * (256 << 10)];
    let origin = Origin::start(handler(&Shared::new(Served::new(bytes.to_vec()))));
    let url = origin.url("/large");
    let probe = thence().start_by(&["strace", "-f", "-qq", "-o", "/dev/null"], &["--version"]).wait();
    if probe.code != Some(0) {
        return println!("NOT RUN: this machine lets nobody be traced: {}", probe.said);
    }
    let calls = [
        "renameat2,rename,renameat",
        "unlink,unlinkat",
        "fsync,fdatasync",
        "ftruncate",
        "fallocate",
        "pwrite64,pwritev,pwritev2",
        "write,writev",
        "fsetxattr,fchmod",
    ];
    for call in calls {
        let kills = (1..=12).take_while(|&n| killed_at(call, n, bytes, &url)).count();
        println!("{call}: {kills} kills");
    }
}
