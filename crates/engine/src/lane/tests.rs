use super::*;

use std::sync::Arc;

use thence_origin::{Origin, Served, Shared as File, files, honest};
use thence_plan::Condition;

use crate::file::place;
use crate::file::tests::{BLOCK, dir, draft};
use crate::options::{Options, Proxy};

fn shared() -> Rc<Shared> {
    let options = Options { proxy: Proxy::Direct, ..Options::default() };
    let limits = options.limits.clone();
    Rc::new(Shared {
        client: Client::new(&options).unwrap(),
        pool: Pool::new(limits.slabs, limits.slab),
        writers: Writers::start().unwrap(),
        disk: Disk::start().unwrap(),
        bucket: None,
        limits,
    })
}

/// From 100 bytes into the second block on, where another lane stopped.
fn inside_a_block(dir: &std::path::Path) -> Taking {
    let mut open = OpenBlock::new();
    open.update(&[7; 100]);
    let at = u64::from(BLOCK) + 100;
    let take = Take { from: at, at, compare: false, end: None, codings: Vec::new(), digest: None };
    let part = place(&draft(dir)).unwrap().part;
    Taking { take, place: Place::Part { part, block_size: BLOCK, total: None }, open }
}

#[tokio::test]
async fn a_lane_that_is_told_to_go_on_and_then_to_close_gives_the_hash_state_back() {
    let file = File::new(Served::new(files::content(1, 4 * BLOCK as usize)));
    let (origin, dir) = (Origin::start(honest::handler(&file)), dir());
    let (control, (words, mut heard)) = (Control::new(), mpsc::unbounded_channel());
    let url = origin.url("/file.bin");
    let (range, condition) = (Some((u64::from(BLOCK) + 100, None)), Condition::None);
    let given_for = url.clone();
    let get = Get { url, given_for, headers: Arc::default(), user: None, range, condition, fresh: false };
    let lane = run(shared(), control.clone(), Port { job: JobId(1), lane: LaneId(1), words }, get);
    let told = async {
        let head = heard.recv().await;
        assert!(matches!(head, Some((_, Word::Input(Input::Head { .. })))));
        control.take(inside_a_block(dir.path()));
        control.close();
        heard.recv().await
    };
    let set = tokio::task::LocalSet::new();
    let ((), last) = set.run_until(async { tokio::join!(lane, told) }).await;
    let Some((_, Word::Ended { left: Some(left), .. })) = last else { panic!("the state is lost") };
    assert_eq!((left.0, left.1.upto()), (1, 100));
}
