//! Bytes land in any order and come out in one, and whoever brings the next ones always gets a slab.

use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// A consumer that takes nothing before it is told to.
struct Slow {
    may: Receiver<()>,
    took: Sender<Vec<u8>>,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.may.recv().map_err(std::io::Error::other)?;
        let _ = self.took.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const SLAB: usize = 4096;

/// A stream of `slabs` slabs, and its consumer.
fn stream(slabs: usize) -> (Rc<Stream>, Sender<()>, Receiver<Vec<u8>>) {
    let ((go, may), (took, taken)) = (channel(), channel());
    let sink = Sink::start(Box::new(Slow { may, took }), None).unwrap();
    let limits = Limits { window: (slabs * SLAB) as u64, slab: SLAB, ..Limits::default() };
    (Rc::new(Stream::new(sink, &limits)), go, taken)
}

/// Lands so many bytes at `at`, of the value of their slab's number.
fn land(stream: &Rc<Stream>, at: usize, len: usize) {
    let mut slab = stream.try_slab(at as u64).unwrap();
    slab.put(&vec![(at / SLAB) as u8; len]);
    stream.land(at as u64, slab, |_| {});
}

fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[test]
fn what_lands_in_any_order_is_given_on_in_order() {
    local(async {
        let (stream, go, taken) = stream(4);
        for number in [2, 1, 3, 0] {
            land(&stream, number * SLAB, SLAB);
            go.send(()).unwrap();
        }
        assert!(stream.is_edge(4 * SLAB as u64));
        let done = stream.finish();
        tokio::task::yield_now().await;
        done.await.unwrap();
        let got: Vec<u8> = taken.try_iter().flatten().collect();
        assert!(got == (0..4u8).flat_map(|n| [n; SLAB]).collect::<Vec<u8>>());
    });
}

#[test]
fn one_slab_is_kept_for_whoever_brings_the_next_bytes() {
    local(async {
        let (stream, _go, _taken) = stream(3);
        for number in 1..=3 {
            land(&stream, number * SLAB, SLAB);
        }
        assert!(stream.try_slab(4 * SLAB as u64).is_none(), "the pool is used up");
        assert!(stream.try_slab(0).is_some(), "and the next bytes could never come");
    });
}

#[test]
fn whoever_waits_gets_a_slab_when_the_consumer_has_taken_one() {
    local(async {
        let (stream, go, _taken) = stream(1);
        land(&stream, 0, SLAB);
        let held = stream.try_slab(SLAB as u64).unwrap();
        let (waits, ()) = tokio::join!(stream.slab(SLAB as u64), async { go.send(()).unwrap() });
        drop((waits, held));
    });
}

#[test]
fn pieces_of_broken_lanes_share_a_slab() {
    local(async {
        let (stream, _go, _taken) = stream(2);
        (0..16).for_each(|piece| land(&stream, SLAB + piece * (SLAB / 16), SLAB / 16));
        assert_eq!(stream.state.borrow().landed.len(), 1);
    });
}

#[test]
fn what_is_forgotten_is_not_given_on_and_its_slabs_are_free() {
    local(async {
        let (stream, _go, taken) = stream(2);
        land(&stream, SLAB, SLAB);
        land(&stream, 2 * SLAB, SLAB);
        stream.forget(0);
        land(&stream, SLAB, 1);
        assert!(stream.try_slab(9).is_some() && taken.try_recv().is_err());
    });
}

#[test]
fn a_consumer_that_left_is_told_once_and_given_nothing_more() {
    local(async {
        let (stream, go, taken) = stream(4);
        drop(go);
        let (told, words) = channel();
        for number in 0..3 {
            let mut slab = stream.try_slab(0).unwrap();
            slab.put(&[0; SLAB]);
            let told = told.clone();
            stream.land((number * SLAB) as u64, slab, move |word| _ = told.send(word));
            while number == 0 && !stream.state.borrow().broken {
                tokio::task::yield_now().await;
            }
        }
        assert!(matches!(words.try_iter().collect::<Vec<_>>()[..], [Err(Failure::Disk(..))]));
        assert!(taken.try_recv().is_err() && stream.state.borrow().landed.is_empty());
    });
}
