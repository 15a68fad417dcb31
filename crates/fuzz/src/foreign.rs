//! Control files of other programs.

use thence_plan::Claims;

/// No bytes make the readers panic, or claim what is not in order, apart from each other and below the total; and what is to be
/// compared lies in what is held.
pub(crate) fn foreign(data: &[u8]) {
    for claims in [Claims::aria2(data), Claims::axel(data)].into_iter().flatten() {
        let total = claims.total.expect("both tell it");
        assert!(claims.runs.iter().all(|&(start, end)| start < end && end <= total), "{claims:?}");
        assert!(claims.runs.windows(2).all(|two| two[0].1 < two[1].0), "{claims:?}");
        let taken = claims.within(1 << 30);
        assert!(taken.runs.len() <= 16);
        let held = blocks(&taken.runs);
        let mut chance = data.len() as u64;
        for (start, end) in taken.stretches(&held, 64 << 10, || {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            chance >> 7
        }) {
            assert!(start < end && held.iter().any(|&(first, last)| first <= start && end <= last));
        }
    }
}

/// Whole mebibytes of the runs, and what is left at their ends.
fn blocks(runs: &[(u64, u64)]) -> Vec<(u64, u64)> {
    const SIZE: u64 = 1 << 20;
    let of = |&(start, end): &(u64, u64)| {
        (start.div_ceil(SIZE)..end.div_ceil(SIZE))
            .map(move |block| (block * SIZE, end.min((block + 1) * SIZE)))
    };
    runs.iter().flat_map(of).filter(|&(start, end)| start < end).collect()
}
