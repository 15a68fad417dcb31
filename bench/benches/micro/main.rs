//! What the pure parts cost: a decision of the planner, a judgement, records of the journal, the hash of a block.
//!
//! A decision is one input handled and every output drained. It must cost less than 5 us at 64 lanes and 65,536 blocks.

mod player;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use player::{Kind, Player};
use thence_plan::{Asked, Begin, Condition, Identity, Record, judge};
use twox_hash::XxHash3_128;

/// The journal's bytes are pure, and private to the engine: the same two files, read here once more.
#[allow(dead_code, unreachable_pub, reason = "the engine uses the rest")]
#[path = "."]
mod journal {
    #[path = "../../../crates/engine/src/journal/format.rs"]
    pub mod format;
    #[path = "../../../crates/engine/src/journal/replay.rs"]
    pub mod replay;
}

const BLOCKS: u32 = 65_536;
const LANES: u32 = 64;

fn planner(criterion: &mut Criterion) {
    for (lanes, blocks) in [(1, BLOCKS), (16, 4_096), (LANES, BLOCKS)] {
        let mut group = criterion.benchmark_group(format!("planner/{lanes} lanes, {blocks} blocks"));
        for kind in [Kind::Bytes, Kind::Stored, Kind::Ended, Kind::Wake] {
            let mut player = Player::new(lanes, blocks);
            group.bench_function(kind.name(), |bencher| {
                bencher.iter_custom(|count| (0..count).map(|_| player.next(kind)).sum::<Duration>());
            });
        }
    }
}

fn judgement(criterion: &mut Criterion) {
    let head = player::part(1 << 20, 2 << 20, 16 << 30);
    let asked =
        Asked { range: Some((1 << 20, Some(2 << 20))), condition: Condition::IfRange("\"v1\"".into()) };
    let held = Identity::from_head(&player::part(0, 1, 16 << 30), Some(16 << 30));
    criterion.bench_function("judge/a 206", |bencher| {
        bencher.iter(|| judge(black_box(&asked), Some(&held), black_box(&head)));
    });
}

fn records(criterion: &mut Criterion) {
    let block = |index| Record::Block { index, len: 256 << 10, hash: 7 };
    let mut log = Vec::new();
    let mut pen = journal::format::Pen::begin(9, &begin(), &mut log);
    criterion.bench_function("journal/a record written", |bencher| {
        let mut out = Vec::with_capacity(64);
        bencher.iter(|| {
            out.clear();
            pen.record(black_box(&block(5)), &mut out);
        });
    });
    let mut pen = journal::format::Pen::begin(9, &begin(), {
        log.clear();
        &mut log
    });
    (0..BLOCKS).for_each(|index| pen.record(&block(index), &mut log));
    let mut group = criterion.benchmark_group("journal");
    group.throughput(Throughput::Elements(u64::from(BLOCKS)));
    group.bench_function("65,536 records replayed", |bencher| {
        bencher.iter(|| journal::replay::replay(black_box(&log)).map(|replayed| replayed.blocks.len()));
    });
}

fn begin() -> Begin {
    Begin {
        url: "https://host.test/file".into(),
        name: "file".into(),
        headers: Vec::new(),
        secrets: Vec::new(),
        block_size: 256 << 10,
        identity: Identity { total: Some(16 << 30), ..Identity::default() },
        digest: None,
        insecure: false,
    }
}

fn hash(criterion: &mut Criterion) {
    let block = vec![0x5a; 256 << 10];
    let mut group = criterion.benchmark_group("hash");
    group.throughput(Throughput::Bytes(block.len() as u64));
    group.bench_function("a block of 256 KiB", |bencher| {
        bencher.iter(|| XxHash3_128::oneshot(black_box(&block)));
    });
}

fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
}

criterion_group! { name = all; config = quick(); targets = planner, judgement, records, hash }
criterion_main!(all);
