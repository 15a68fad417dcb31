use super::*;

use crate::file::place;
use crate::file::tests::{BLOCK, dir, draft};

/// Or the next lane would begin inside a block with the hash state of its start, which a writer refuses.
#[tokio::test]
async fn a_lane_closed_before_it_heard_its_word_leaves_the_state_it_was_given() {
    let (dir, control, mut open) = (dir(), Control::new(Rate::new(None)), OpenBlock::new());
    let part = place(&draft(dir.path())).unwrap().part;
    open.update(b"five!");
    let at = 2 * u64::from(BLOCK) + 5;
    let take = Take { from: at, at, compare: false, end: None, codings: Vec::new(), digest: None };
    let place = Place::Part { part, block_size: BLOCK, total: None };
    control.take(Taking { take, place, open });
    control.close();
    assert!(word(&control).await.is_none());
    assert_eq!(control.left().map(|(block, open)| (block, open.upto())), Some((2, 5)));
}
