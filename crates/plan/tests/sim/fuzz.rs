//! Any input in any order, for lanes that are and are not: the planner may give up, but neither panic nor
//! lose its books.

use std::time::{Duration, Instant};

use thence_plan::{
    Action, Ask, Claimed, Command, Condition, DiskFault, Ending, Failure, Held, HeldBlock, Identity, Input,
    JobId, LaneId, Limits, Output, Phase, Run,
};

use super::dice::Dice;
use super::faults::Counts;
use super::lies::{LIES, spoil};
use super::scenario::{Scenario, scenario};
use super::server::Reply;

/// Plays `inputs` random inputs.
pub fn fuzz(seed: u64, base: Instant, inputs: u32, trace: bool) -> Result<(), String> {
    let mut dice = Dice::new(seed ^ 0xf022);
    let mut world = scenario(&mut dice);
    let mut run = Run::new(Limits::default(), dice.roll());
    let mut now = base;
    let mut asks: Vec<Ask> = Vec::new();
    let mut ids = Vec::new();
    for mut spec in world.jobs.clone() {
        spec.held = dice.percent(50).then(|| held(&mut dice, &spec.urls[0]));
        ids.push(run.add(now, spec));
    }
    for _ in 0..inputs {
        drain(&mut run, now, &mut asks, trace)?;
        let id = if dice.percent(3) { JobId(dice.below(9) as u32) } else { dice.pick(&ids) };
        let input = input(now, &mut dice, &mut world, &asks);
        now += Duration::from_millis(dice.pick(&[0, 0, 1, 300, 40_000]));
        let said = format!("{id:?} {input:?}");
        if trace {
            println!("{said}");
        }
        run.handle(now, id, input);
        run.audit().map_err(|wrong| format!("{wrong}, after {said}"))?;
        if dice.percent(5) {
            run.wake(now);
        }
    }
    Ok(())
}

fn drain(run: &mut Run, now: Instant, asks: &mut Vec<Ask>, trace: bool) -> Result<(), String> {
    for _ in 0..100_000 {
        let output = run.poll(now);
        if trace {
            println!("    {output:?}");
        }
        match output {
            Output::Idle(_) => return Ok(()),
            Output::Job(_, Action::Open { ask, .. }) => asks.push(ask),
            Output::Job(..) => {}
        }
    }
    Err("the drain has no end".into())
}

fn input(now: Instant, dice: &mut Dice, world: &mut Scenario, asks: &[Ask]) -> Input {
    let recent = (asks.len() as u64).saturating_sub(dice.below(6)) as u32;
    let lane = LaneId(if dice.percent(10) { dice.below(1 << 20) as u32 } else { recent });
    match dice.below(20) {
        0 if dice.percent(20) => Input::Returned(Box::new(held(dice, &world.sites[0].url()))),
        0 => Input::Placed(if dice.percent(90) { Ok(()) } else { Err(failure(dice)) }),
        1..=5 => head(dice, world, lane, asks),
        6 if dice.percent(20) => Input::Lost { lane, round_trip: Duration::from_millis(dice.below(1_000)) },
        6 => Input::Bytes { lane, at: number(dice), len: number(dice) },
        7 if dice.percent(20) => Input::Held { lane, until: now + Duration::from_millis(dice.below(10_000)) },
        7 => Input::Narrowed { lane, end: number(dice) },
        8 | 9 => Input::Ended { lane, result: ending(dice) },
        10..=13 => Input::Stored { block: dice.below(6) as u32, upto: size(dice), hash: number(dice).into() },
        14 => Input::Checked { block: dice.below(4) as u32, same: dice.percent(70) },
        15 => Input::Compared { lane, same: dice.percent(70) },
        16 => Input::Synced(if dice.percent(90) { Ok(()) } else { Err(failure(dice)) }),
        17 if dice.percent(70) => Input::Landed { lane, upto: number(dice) },
        17 => Input::Taken { upto: number(dice) },
        18 => Input::Finished(if dice.percent(50) { Ok(()) } else { Err(failure(dice)) }),
        _ => Input::Command(match dice.below(5) {
            0 => Command::Pause,
            1 | 2 => Command::Resume,
            3 => Command::Source(world.sites[0].url()),
            _ => Command::Lanes(dice.pick(&[None, Some(0), Some(1), Some(5), Some(u32::MAX)])),
        }),
    }
}

fn head(dice: &mut Dice, world: &mut Scenario, lane: LaneId, asks: &[Ask]) -> Input {
    let any = Ask { range: None, condition: Condition::None, fresh: false };
    let ask = asks.get(lane.0 as usize).cloned().unwrap_or(any);
    let site = &world.sites[dice.below(world.sites.len() as u64) as usize];
    let mut draft = site.draft(&ask, 1_700_000_000, dice, &mut Counts::default());
    while dice.percent(30) {
        spoil(dice.pick(LIES), site, &ask, &mut draft, dice);
    }
    let hops = if dice.percent(20) { vec!["https://c7.test/?t=1".to_owned()] } else { Vec::new() };
    match site.reply(draft, hops, 1_700_000_000, dice) {
        Reply::Answer { hops, head, .. } => Input::Head { lane, hops, head },
        _ => Input::Compared { lane, same: true },
    }
}

fn ending(dice: &mut Dice) -> Result<Ending, Failure> {
    match dice.below(6) {
        0 => Ok(Ending::Range),
        1 => Ok(Ending::Message),
        2 => Ok(Ending::Close),
        3 => Ok(Ending::Closed),
        _ => Err(failure(dice)),
    }
}

fn failure(dice: &mut Dice) -> Failure {
    match dice.below(8) {
        0 => Failure::Disk(DiskFault::Full, String::new()),
        1 => Failure::Digest { want: String::new(), got: String::new() },
        2 => Failure::Stalled(Phase::Body),
        3 => Failure::Tls(String::new()),
        4 => Failure::Defect(String::new()),
        5 => Failure::Status { status: 503, retry_after: Some(Duration::from_secs(1 << 31)) },
        6 => Failure::Truncated,
        _ => Failure::Reset(String::new()),
    }
}

fn number(dice: &mut Dice) -> u64 {
    match dice.below(4) {
        0 => dice.pick(&[0, 1, 262_144, u64::MAX, u64::MAX - 1]),
        1 => dice.roll(),
        _ => dice.below(3 << 20),
    }
}

fn size(dice: &mut Dice) -> u32 {
    dice.pick(&[0, 1, 1000, 200_000, 262_144, 1 << 20, u32::MAX])
}

/// A journal that says anything.
fn held(dice: &mut Dice, url: &str) -> Held {
    let blocks = (0..dice.below(7))
        .map(|i| HeldBlock {
            index: if dice.percent(10) { u32::MAX - 5 + i as u32 } else { i as u32 },
            len: size(dice),
            hash: number(dice).into(),
            synced: dice.percent(50),
        })
        .collect();
    Held {
        name: dice.pick(&["a", "", "../a"]).to_owned(),
        url: if dice.percent(80) { url.to_owned() } else { String::new() },
        identity: Identity { total: dice.percent(80).then(|| number(dice)), ..Identity::default() },
        block_size: dice.pick(&[1 << 18, 1 << 20, 0, 3, u32::MAX]),
        blocks,
        whole: dice.percent(10),
        unproven: dice.percent(10),
        renewed: None,
        claimed: dice.percent(25).then(|| claimed(dice)),
    }
}

fn claimed(dice: &mut Dice) -> Claimed {
    let stretches = (0..dice.below(4)).map(|_| (number(dice), number(dice))).collect();
    Claimed { file: String::new(), stretches, replaces: None }
}
