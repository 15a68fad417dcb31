use super::*;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use thence_plan::Condition;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local, yield_now};

use crate::file::place;
use crate::file::tests::{BLOCK, dir, draft};
use crate::options::{Options, Proxy};

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

/// What all lanes of a run share, without limits.
fn shared() -> Rc<Shared> {
    let (limits, options) = (Limits::default(), Options { proxy: Proxy::Direct, ..Options::default() });
    Rc::new(Shared {
        client: Client::new(&options).unwrap(),
        pool: Pool::new(limits.slabs, limits.slab),
        writers: Writers::default(),
        disk: Disk::start().unwrap(),
        rates: Rates::new(None, None),
        limits,
    })
}

fn get(url: String) -> Get {
    Get {
        given_for: url.clone(),
        url,
        headers: Arc::default(),
        user: None,
        range: None,
        condition: Condition::None,
        fresh: false,
        shares: false,
        sparing: false,
    }
}

/// A lane is given `bytes` after its head, looks at them, and is closed as soon as as many more lie in its socket.
/// Returns how many it stored.
async fn closed_with_bytes_in_its_socket(bytes: usize) -> u64 {
    let (dir, control) = (dir(), Control::new(Rate::new(None)));
    let part = place(&draft(dir.path())).unwrap().part;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (words, mut told) = mpsc::unbounded_channel();
    let port = Port { job: JobId(0), lane: LaneId(0), words };
    spawn_local(run(shared(), control.clone(), port, get(url), None));
    let mut peer = listener.accept().await.unwrap().0;
    assert!(peer.read(&mut [0; 4096]).await.unwrap() > 0, "it asks");
    let mut peer = peer.into_std().unwrap();
    peer.set_nonblocking(false).unwrap();
    peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n").unwrap();
    peer.write_all(&vec![b'a'; bytes]).unwrap();
    let mut stored = BTreeMap::new();
    while let Some((_, word)) = told.recv().await {
        match word {
            Word::Input(Input::Head { .. }) => {
                let take =
                    Take { from: 0, at: 0, compare: false, end: None, codings: Vec::new(), digest: None };
                let place = Place::Part { part: part.clone(), block_size: BLOCK, total: Some(1 << 20) };
                control.take(Taking { take, place, open: OpenBlock::new() });
                while control.begun.get() < bytes as u64 {
                    yield_now().await;
                }
                // Nothing is awaited from here on, so that the lane hears of its end before it hears of these.
                peer.write_all(&vec![b'b'; bytes]).unwrap();
                control.close();
            }
            Word::Input(Input::Stored { block, upto, .. }) => {
                stored.insert(block, u64::from(upto));
            }
            Word::Ended { result, .. } => {
                assert_eq!(result, Ok(Ending::Closed));
                break;
            }
            Word::Input(_) => {}
        }
    }
    stored.values().sum()
}

/// Or it would be fetched again: where pieces are waited for, up to one of them lies there.
#[tokio::test]
async fn a_lane_that_is_closed_takes_along_what_lies_in_its_socket() {
    LocalSet::new()
        .run_until(async {
            assert_eq!(closed_with_bytes_in_its_socket(100_000).await, 200_000);
        })
        .await;
}
