//! Any inputs in any order: the planner may give up, but it neither panics, nor spins, nor loses its books.

use std::time::{Duration, Instant};

use thence_plan::{
    Action, Claimed, Command, DiskFault, Ending, EntityTag, Failure, Held, HeldBlock, Identity, Input, JobId,
    JobSpec, LaneId, Limits, Output, Phase, Run, SourceId,
};

use crate::fields::head_of;
use crate::input::Bytes;

/// Outputs of one drain; more is a spin.
const DRAIN: usize = 100_000;

const URL: &str = "https://h.test/f";

/// Plays the bytes as jobs and inputs.
pub(crate) fn planner(data: &[u8]) {
    let mut input = Bytes(data);
    let mut run = Run::new(Limits::default(), 7);
    let mut now = start();
    let jobs: Vec<JobId> = (0..=input.byte() % 2).map(|_| run.add(now, job(&mut input))).collect();
    let mut opened = 0;
    while !input.is_empty() {
        drain(&mut run, now, &mut opened);
        now += Duration::from_millis(input.pick(&[0, 0, 0, 1, 300, 1_000, 40_000]));
        let id = input.pick(&jobs);
        let said = any(&mut input, opened);
        run.handle(now, id, said);
        assert_eq!(run.audit(), Ok(()));
        if input.byte() == 0 {
            run.wake(now);
        }
    }
    drain(&mut run, now, &mut opened);
}

/// Some moment to count from; which one makes no difference.
fn start() -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now)
}

fn drain(run: &mut Run, now: Instant, opened: &mut u32) {
    for _ in 0..DRAIN {
        match run.poll(now) {
            Output::Idle(_) => return,
            Output::Job(_, Action::Open { lane, .. }) => *opened = lane.0 + 1,
            Output::Job(..) => {}
        }
    }
    panic!("the drain has no end");
}

fn job(input: &mut Bytes<'_>) -> JobSpec {
    let flags = input.byte();
    let flag = |bit: u8| flags & (1 << bit) != 0;
    let mut urls = vec![URL.to_owned()];
    if flag(0) {
        urls.push("https://mirror.test/f".to_owned());
    }
    JobSpec {
        urls,
        name: None,
        renewed: None,
        renews: flag(7),
        size: None,
        lanes: lanes(input.byte() % 20),
        strict: flag(1),
        trust_overlap: flag(2),
        raw: flag(3),
        digest: flag(4),
        stream: flag(5),
        held: flag(6).then(|| held(input)),
        unless: flag(7).then(there),
    }
}

/// The version of a finished file.
fn there() -> Identity {
    let etag = Some(EntityTag { weak: false, tag: "\"a\"".to_owned() });
    Identity { total: Some(9), etag, ..Identity::default() }
}

fn held(input: &mut Bytes<'_>) -> Held {
    let block = |input: &mut Bytes<'_>| HeldBlock {
        index: input.number() as u32,
        len: input.number() as u32,
        hash: u128::from(input.byte()),
        synced: input.byte().is_multiple_of(2),
    };
    Held {
        name: String::from_utf8_lossy(input.short()).into_owned(),
        url: input.pick(&[URL, "https://other.test/f", ""]).to_owned(),
        identity: Identity {
            total: input.byte().is_multiple_of(2).then(|| input.number()),
            ..Identity::default()
        },
        block_size: input.pick(&[1 << 18, 1 << 20, 1 << 12, 0, 3, u32::MAX]),
        blocks: (0..input.byte() % 8).map(|_| block(input)).collect(),
        whole: input.byte() == 0,
        unproven: input.byte() == 0,
        renewed: None,
        claimed: input.byte().is_multiple_of(4).then(|| claimed(input)),
    }
}

fn claimed(input: &mut Bytes<'_>) -> Claimed {
    let stretches = (0..input.byte() % 4).map(|_| (input.number(), input.number())).collect();
    Claimed { file: String::new(), stretches, replaces: None }
}

fn any(input: &mut Bytes<'_>, opened: u32) -> Input {
    let lane = LaneId(opened.saturating_sub(u32::from(input.byte() % 8)));
    match input.byte() % 16 {
        0 if input.byte().is_multiple_of(4) => Input::Returned(Box::new(held(input))),
        0 => Input::Placed(disk(input)),
        1..=3 => Input::Head { lane, hops: Vec::new(), head: head_of(input) },
        4 if input.byte() == 0 => {
            Input::Lost { lane, round_trip: Duration::from_millis(u64::from(input.byte())) }
        }
        4 => Input::Bytes { lane, at: input.number(), len: input.number() },
        5 => Input::Narrowed { lane, end: input.number() },
        6 | 7 => Input::Ended { lane, result: ended(input) },
        8 | 9 => Input::Stored {
            block: u32::from(input.byte() % 16),
            upto: input.number() as u32,
            hash: u128::from(input.byte()),
        },
        10 => Input::Checked { block: u32::from(input.byte() % 16), same: !input.byte().is_multiple_of(4) },
        11 => Input::Compared { lane, same: !input.byte().is_multiple_of(4) },
        12 => Input::Synced(disk(input)),
        13 if input.byte().is_multiple_of(2) => Input::Landed { lane, upto: input.number() },
        13 => Input::Taken { upto: input.number() },
        14 if input.byte().is_multiple_of(2) => Input::Renewed {
            source: SourceId(u16::from(input.byte() % 3)),
            url: input.pick(&[Ok("https://new.test/f".to_owned()), Err(String::new())]),
        },
        14 => Input::Finished(disk(input)),
        _ => Input::Command(match input.byte() % 4 {
            0 => Command::Pause,
            1 => Command::Resume,
            2 => Command::Source("https://late.test/f".to_owned()),
            _ => Command::Lanes(lanes(input.byte())),
        }),
    }
}

fn disk(input: &mut Bytes<'_>) -> Result<(), Failure> {
    let fault = input.pick(&[DiskFault::Full, DiskFault::Io, DiskFault::Exists]);
    if input.byte().is_multiple_of(8) { Err(Failure::Disk(fault, String::new())) } else { Ok(()) }
}

fn ended(input: &mut Bytes<'_>) -> Result<Ending, Failure> {
    let wait = Duration::from_secs(input.number() >> 20);
    input.pick(&[
        Ok(Ending::Range),
        Ok(Ending::Message),
        Ok(Ending::Close),
        Ok(Ending::Closed),
        Err(Failure::Truncated),
        Err(Failure::Content),
        Err(Failure::Offline(String::new())),
        Err(Failure::Refused(String::new())),
        Err(Failure::Stalled(Phase::Body)),
        Err(Failure::Tls(String::new())),
        Err(Failure::Status { status: 503, retry_after: Some(wait) }),
        Err(Failure::Status { status: 403, retry_after: None }),
        Err(Failure::Disk(DiskFault::Full, String::new())),
    ])
}

/// None is as many as pay.
fn lanes(count: u8) -> Option<u32> {
    (count > 0).then_some(u32::from(count))
}
