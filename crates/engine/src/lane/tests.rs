use super::*;

use std::collections::BTreeMap;
use std::io::{IoSlice, Write};
use std::net::TcpStream;
use std::sync::Arc;

use thence_plan::Take;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local, yield_now};

use crate::file::place;
use crate::file::tests::{BLOCK, dir, draft};
use crate::http::tests::{client, get};
use crate::toll::Rate;

/// Or the next lane would begin inside a block with the hash state of its start, which a writer refuses.
#[tokio::test]
async fn a_lane_closed_before_it_heard_its_word_leaves_the_state_it_was_given() {
    let (dir, control, mut open) = (dir(), Control::new(Rate::new(None)), OpenBlock::new());
    let part = place(&draft(dir.path())).unwrap().part;
    open.update(b"five!");
    let at = 2 * u64::from(BLOCK) + 5;
    let take =
        Take { from: at, at, compare: false, end: None, codings: Vec::new(), digest: None, watch: false };
    let place = Place::Part { part, block_size: BLOCK, total: None };
    control.take(Taking { take, place, open });
    control.close();
    assert!(word(&control).await.is_none());
    assert_eq!(control.left().map(|(block, open)| (block, open.upto())), Some((2, 5)));
}

/// What all lanes of a run share, without limits.
fn shared() -> Rc<Shared> {
    let limits = Limits::default();
    Rc::new(Shared {
        client: client(),
        pool: Pool::new(limits.slabs, limits.slab),
        writers: Writers::default(),
        disk: Disk::start().unwrap(),
        rates: Rates::new(None, None),
        lately: Arc::default(),
        limits,
    })
}

/// A lane that has asked, and its server's end of the connection.
struct Scene {
    dir: tempfile::TempDir,
    control: Rc<Control>,
    told: mpsc::UnboundedReceiver<(JobId, Word)>,
    peer: TcpStream,
}

impl Scene {
    async fn new() -> Scene {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (words, told) = mpsc::unbounded_channel();
        let (control, port) = (Control::new(Rate::new(None)), Port { job: JobId(0), lane: LaneId(0), words });
        spawn_local(run(shared(), control.clone(), port, get(url), None));
        let mut peer = listener.accept().await.unwrap().0;
        assert!(peer.read(&mut [0; 4096]).await.unwrap() > 0, "it asks");
        let mut peer = peer.into_std().unwrap();
        peer.set_nonblocking(false).unwrap();
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n").unwrap();
        Scene { dir: dir(), control, told, peer }
    }

    /// Waits for the head's word, and lets the lane compare all below `at` with zeros, and store from there.
    async fn take(&mut self, at: usize) {
        let word = self.told.recv().await.unwrap().1;
        assert!(matches!(word, Word::Input(Input::Head { .. })));
        let part = place(&draft(self.dir.path())).unwrap().part;
        part.write_at(0, &mut [IoSlice::new(&vec![0; at])]).unwrap();
        let mut open = OpenBlock::new();
        open.update(&vec![0; at]);
        let compare = at > 0;
        let take = Take {
            from: 0,
            at: at as u64,
            compare,
            end: None,
            codings: Vec::new(),
            digest: None,
            watch: false,
        };
        let place = Place::Part { part, block_size: BLOCK, total: Some(1 << 20) };
        self.control.take(Taking { take, place, open });
    }

    /// To the end of a lane that is closed: whether all it compared was the same, and how many bytes it stored.
    async fn closed(&mut self) -> (bool, u64) {
        let (mut equal, mut stored) = (true, BTreeMap::new());
        loop {
            match self.told.recv().await.unwrap().1 {
                Word::Input(Input::Compared { same, .. }) => equal &= same,
                Word::Input(Input::Stored { block, upto, .. }) => {
                    stored.insert(block, u64::from(upto));
                }
                Word::Input(_) | Word::Told(_) => {}
                Word::Ended { result, .. } => {
                    assert_eq!(result, Ok(Ending::Closed));
                    return (equal, stored.values().sum());
                }
            }
        }
    }
}

/// Or it would be fetched again: where pieces are waited for, up to one of them lies there.
#[tokio::test]
async fn a_lane_that_is_closed_takes_along_what_lies_in_its_socket() {
    const SOME: usize = 100_000;
    let lies_there = async {
        let mut scene = Scene::new().await;
        scene.peer.write_all(&[b'a'; SOME]).unwrap();
        scene.take(0).await;
        while scene.control.begun.get() < SOME as u64 {
            yield_now().await;
        }
        // Nothing is awaited from here on, so that the lane hears of its end before it hears of these.
        scene.peer.write_all(&[b'b'; SOME]).unwrap();
        scene.control.close();
        assert_eq!(scene.closed().await, (true, 2 * SOME as u64));
    };
    LocalSet::new().run_until(lies_there).await;
}

/// What was read with those bytes, or lies in the socket behind them, is of another version.
#[tokio::test]
async fn a_lane_that_brings_other_bytes_than_are_held_takes_nothing_along() {
    let others = async {
        let mut scene = Scene::new().await;
        scene.peer.write_all(&[b'b'; 3 * COMPARED]).unwrap();
        scene.take(COMPARED).await;
        assert_eq!(scene.closed().await, (false, 0));
    };
    LocalSet::new().run_until(others).await;
}
