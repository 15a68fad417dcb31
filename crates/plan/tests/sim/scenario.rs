//! What a seed makes: servers and what they are like, jobs, and what goes wrong when.

use thence_plan::{Command, JobSpec};

use super::dice::Dice;
use super::faults::{FAULTS, Fault};
use super::lies::{LIES, Lie};
use super::server::{Manner, Ranges, Refusal, Site, Validators, Version};

/// Nanoseconds in a second and a millisecond.
pub const S: u64 = 1_000_000_000;
pub const MS: u64 = 1_000_000;

/// Something that happens at a moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Twist {
    /// The site's file becomes this version.
    Flip(usize, usize),
    /// Signed targets expire.
    Expire(usize),
    Kill,
    PowerCut,
    Command(usize, Command),
    Rot(usize),
    /// A write went elsewhere, and the next process finds out.
    Misdirect(usize),
    /// The disk is full, or has room again.
    Full(bool),
    /// Everything is well from here on.
    Quiet,
}

/// What the disk is like while the noise lasts.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskManner {
    /// Longest wait for a write or sync, milliseconds.
    pub slow: u64,
    /// Writes and syncs in a thousand that fail.
    pub writes: u64,
    pub syncs: u64,
    /// Syncs in a thousand that do nothing, and say that all is well.
    pub lies: u64,
    /// Placements and finishes in a hundred that fail.
    pub walks: u64,
}

/// One seed's world.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub sites: Vec<Site>,
    pub jobs: Vec<JobSpec>,
    /// Sites of each job, the first is the lead.
    pub sites_of: Vec<Vec<usize>>,
    /// What happens to this world, and what its answers may be like.
    pub faults: Vec<Fault>,
    pub lies: Vec<(Lie, u64)>,
    pub twists: Vec<(u64, Twist)>,
    pub disk: DiskManner,
}

const K: u64 = 1 << 10;
const B: u64 = 256 << 10;

/// The world of a seed.
pub fn scenario(dice: &mut Dice) -> Scenario {
    let quiet = dice.between(1, 40) * S;
    let (faults, lies) = swarm(dice);
    let mut out = Scenario {
        sites: Vec::new(),
        jobs: Vec::new(),
        sites_of: Vec::new(),
        disk: disk(&faults, dice),
        lies,
        twists: vec![(quiet, Twist::Quiet)],
        faults,
    };
    let flips = out.flips();
    for _ in 0..dice.pick(&[1, 1, 1, 2, 3]) {
        job(&mut out, flips, dice);
    }
    if flips {
        for site in 0..out.sites.len() {
            flip(&mut out, site, quiet, dice);
        }
        // A change between two answers that are joined shows only where there are many.
        if out.has(Fault::Split) || dice.percent(30) {
            out.lies.extend([(Lie::Reset, 60), (Lie::Truncate, 30)]);
        }
    }
    crashes(&mut out, quiet, dice);
    twists(&mut out, quiet, dice);
    out
}

impl Scenario {
    fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// A URL may come to mean another file.
    fn flips(&self) -> bool {
        [Fault::Flip, Fault::FlipBack, Fault::Split].iter().any(|&kind| self.has(kind))
    }
}

/// Swarm testing: each seed has its own kinds of trouble. Alone a fault shows its own consequences, undisturbed by
/// others that end the job early; among many, what they do together. What happens to the whole world is drawn more
/// often than the lies of single answers, each seldom or often.
fn swarm(dice: &mut Dice) -> (Vec<Fault>, Vec<(Lie, u64)>) {
    let (world, all) = (3 * FAULTS.len() as u64, (3 * FAULTS.len() + LIES.len()) as u64);
    let picked: Vec<u64> = match dice.below(10) {
        0 => Vec::new(),
        1..=3 => vec![dice.below(all)],
        4..=7 => (0..dice.between(2, 6)).map(|_| dice.below(all)).collect(),
        _ => {
            let share = dice.pick(&[8, 20, 50]);
            (0..all).filter(|_| dice.percent(share)).collect()
        }
    };
    let (mut faults, mut lies) = (Vec::new(), Vec::new());
    for index in picked {
        if index < world {
            faults.push(FAULTS[(index / 3) as usize]);
        } else {
            lies.push((LIES[(index - world) as usize], dice.pick(&[3, 10, 30, 60])));
        }
    }
    (faults, lies)
}

fn disk(faults: &[Fault], dice: &mut Dice) -> DiskManner {
    let mut where_it = |fault: Fault, bad: &[u64], good: u64| {
        if faults.contains(&fault) { dice.pick(bad) } else { good }
    };
    DiskManner {
        slow: where_it(Fault::SlowDisk, &[50, 2000, 10_000], 5),
        writes: where_it(Fault::WriteError, &[5, 40], 0),
        syncs: where_it(Fault::SyncError, &[25, 200], 0),
        lies: where_it(Fault::SyncLie, &[300, 1000], 0),
        walks: where_it(Fault::WalkError, &[5, 30], 0),
    }
}

fn job(out: &mut Scenario, flips: bool, dice: &mut Dice) {
    let len = length(dice);
    let manner = manner(len, out, dice);
    let index = out.sites.len() as u32;
    let tag = 10 * (index + 1);
    let first = Version { tag, len, base: tag, shared: 0, number: 1 };
    let ending = dice.pick(&["", "", "", ".gz"]);
    let host = dice.pick(&[1, 1, 2]);
    let site = Site { host, index, ending, manner, versions: vec![first], current: 0, epoch: 0 };
    let mut urls = vec![site.url()];
    let mut sites_of = vec![out.sites.len()];
    out.sites.push(site);
    if dice.percent(20) || out.has(Fault::LyingMirror) {
        for _ in 0..dice.between(1, 2) {
            let mirror = mirror(out, sites_of[0], dice);
            urls.push(mirror.url());
            sites_of.push(out.sites.len());
            out.sites.push(mirror);
        }
    }
    out.jobs.push(JobSpec {
        urls,
        lanes: lanes(dice.pick(&[0, 0, 0, 1, 2, 4, 8, 16])),
        strict: dice.percent(12),
        trust_overlap: dice.percent(5),
        raw: dice.percent(10),
        digest: !flips && dice.percent(15),
        stream: dice.percent(8),
        ..JobSpec::default()
    });
    out.sites_of.push(sites_of);
}

fn length(dice: &mut Dice) -> u64 {
    match dice.below(10) {
        0 => dice.pick(&[0, 1, B - 1, B, B + 1, 4 * B]),
        1 | 2 => dice.below(B),
        3..=6 => dice.below(16 * B),
        7 | 8 => dice.below(80 * B),
        _ => dice.between(1000, 1100) * B,
    }
}

/// The same file elsewhere, or another one under its name.
fn mirror(out: &Scenario, of: usize, dice: &mut Dice) -> Site {
    let lead = &out.sites[of];
    let mut site = Site { index: out.sites.len() as u32, host: dice.pick(&[1, 3, 4]), ..lead.clone() };
    site.manner = Manner { coded: false, ..manner(lead.version().len, out, dice) };
    match dice.below(3) {
        0 | 1 if !out.has(Fault::LyingMirror) => {}
        0 => site.versions[0].tag += 1_000,
        1 => site.versions[0].len += 1,
        _ => {}
    }
    site.versions[0].base = site.versions[0].tag;
    site
}

fn manner(len: u64, out: &Scenario, dice: &mut Dice) -> Manner {
    use Validators as V;
    let odd = dice.percent(35);
    let validators = match dice.below(10) {
        0..=4 => V::Strong,
        5 => V::Liar,
        _ => dice.pick(&[V::Weak, V::WeakDate, V::Date, V::Now, V::None]),
    };
    // Where nothing tells the versions apart, only their bytes do.
    let often = if out.has(Fault::Split) { 70 } else { 30 };
    let unproven = out.flips() && dice.percent(often);
    let validators = if unproven { dice.pick(&[V::Weak, V::Now, V::None]) } else { validators };
    let range = dice.pick(&[
        Ranges::Honours,
        Ranges::Deaf,
        Ranges::Dislikes,
        Ranges::Ignores,
        Ranges::Refuses(400),
        Ranges::Refuses(405),
        Ranges::Refuses(416),
        Ranges::Refuses(501),
    ]);
    let refusal = dice.pick(&[
        Refusal::Status(503),
        Refusal::Status(429),
        Refusal::Status(403),
        Refusal::Reset,
        Refusal::Refuse,
    ]);
    let seconds = dice.pick(&[1, 3, 10, 30]);
    let once = out.has(Fault::UsedUp) && dice.percent(60);
    let redirects = once || dice.percent(if out.has(Fault::Expired) { 80 } else { 20 });
    let cluster = if out.has(Fault::OtherNode) { 60 } else { 2 };
    let crowded = if out.has(Fault::Crowded) { 80 } else { 12 };
    // A connection that is refused behind a redirect says nothing of whose it was.
    let refusal = if redirects { Refusal::Status(503) } else { refusal };
    Manner {
        validators,
        ranges: if odd { range } else { Ranges::Honours },
        chunked: odd && dice.percent(25),
        close: odd && dice.percent(20),
        coded: odd && dice.percent(10),
        star: validators == V::Strong && odd && dice.percent(20),
        grant: (odd && validators != V::Now && dice.percent(15)).then(|| (len / 8).max(64 * K)),
        nodes: if dice.percent(cluster) { dice.between(2, 3) } else { 1 },
        redirects,
        once,
        lanes: dice.percent(crowded).then(|| (dice.between(1, 4), refusal)),
        rate: (len / seconds).max(2_000),
        slow: dice.pick(&[0, 0, 0, 10, 30]),
        dead: (out.has(Fault::Dead) && dice.percent(60)).then(|| dice.pick(&[0, 404, 500, 503]) as u16),
    }
}

/// The file changes once or twice while the noise lasts; some changes are undone.
fn flip(out: &mut Scenario, at: usize, quiet: u64, dice: &mut Dice) {
    for number in 2..=dice.between(2, 3) as u32 {
        let (tag, len) = (out.sites[at].versions[0].tag, out.sites[at].versions[0].len);
        let new = match dice.below(4) {
            0 => len / 2,
            1 => len + dice.between(1, B),
            _ => len,
        };
        let shared = if dice.percent(20) { dice.below(len.min(new) + 1) } else { 0 };
        let to = out.sites[at].versions.len();
        out.sites[at].versions.push(Version { tag: tag + number, len: new, base: tag, shared, number });
        let when = dice.below(quiet);
        out.twists.push((when, Twist::Flip(at, to)));
        if out.has(Fault::FlipBack) {
            out.twists.push((when + dice.below(quiet - when), Twist::Flip(at, 0)));
        }
    }
}

/// Deaths of the process and of the machine: one after the other, or in a row while it recovers.
fn crashes(out: &mut Scenario, quiet: u64, dice: &mut Dice) {
    let fatal = |fault: &Fault| {
        use Fault as F;
        matches!(fault, F::PowerCut | F::WriteLost | F::Torn512 | F::Torn4096 | F::Reordered | F::SyncLie)
    };
    let power = out.faults.iter().any(fatal);
    let mut deaths = Vec::new();
    if out.has(Fault::Kill) {
        deaths.extend((0..dice.between(1, 4)).map(|_| (dice.below(quiet), Twist::Kill)));
    }
    if power {
        deaths.extend((0..dice.between(1, 3)).map(|_| (dice.below(quiet), Twist::PowerCut)));
    }
    if out.has(Fault::CrashLoop) {
        let (mut at, soon) = (dice.below(quiet), dice.pick(&[20 * MS, 500 * MS, 3 * S]));
        for _ in 0..dice.between(2, 10) {
            deaths.push((at, if power && dice.percent(50) { Twist::PowerCut } else { Twist::Kill }));
            at += dice.below(soon);
        }
    }
    out.twists.extend(deaths);
}

fn twists(out: &mut Scenario, quiet: u64, dice: &mut Dice) {
    let mut more = Vec::new();
    let mut at = |dice: &mut Dice, twist: Twist| more.push((dice.below(quiet), twist));
    for n in 0..3 {
        if out.has(Fault::Rot) {
            at(dice, Twist::Rot(n));
        }
        if out.has(Fault::Misdirected) {
            at(dice, Twist::Misdirect(n));
        }
        if out.has(Fault::Expired) {
            at(dice, Twist::Expire(n));
        }
    }
    if out.has(Fault::DiskFull) {
        at(dice, Twist::Full(true));
        at(dice, Twist::Full(false));
    }
    for job in 0..out.jobs.len() {
        if out.has(Fault::Pause) {
            let when = dice.below(quiet);
            more.push((when, Twist::Command(job, Command::Pause)));
            more.push((when + dice.below(20 * S), Twist::Command(job, Command::Resume)));
        }
        if out.has(Fault::Lanes) {
            let lanes = lanes(dice.below(10));
            more.push((dice.below(quiet), Twist::Command(job, Command::Lanes(lanes))));
        }
    }
    out.twists.extend(more);
}

/// None is as many as pay.
fn lanes(count: u64) -> Option<u32> {
    (count > 0).then_some(count as u32)
}
