//! A link between two networks as a machine of states: what becomes of a packet that is given to it at `now`.
//!
//! One direction each: a drop-tail queue, a sender that takes `len / rate` for a packet, a way that takes `delay`, and
//! loss at its end (a lost packet has used the link, as one lost in the air has). Because the queue is first in, first
//! out, a packet's fate and the instant of its arrival are known when it is offered. It is *not* where packets are held
//! or moved: that is `wire`.

use std::time::Duration;

use thence_origin::chance::Chance;

/// How one direction behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Bytes of IP packets a second.
    pub(crate) rate: u64,
    pub(crate) delay: Duration,
    /// Bytes that may wait, the packet under way included. What does not fit is dropped.
    pub(crate) queue: u64,
    /// The part of packets that is lost, from 0 to 1.
    pub(crate) loss: f64,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives at this instant.
    Arrives(Duration),
    /// The queue was full.
    Dropped,
    /// It was sent, and lost.
    Lost,
}

/// One direction of a link. Time is counted from any fixed instant.
pub(crate) struct Link {
    shape: Shape,
    chance: Chance,
    /// When the last packet that was taken will have been sent. Never falls, so packets arrive in their order.
    free_at: Duration,
}

impl Link {
    pub(crate) fn new(shape: Shape, seed: u64) -> Link {
        Link { shape, chance: Chance::new(seed), free_at: Duration::ZERO }
    }

    /// Offers a packet of `len` bytes.
    pub(crate) fn offer(&mut self, now: Duration, len: u64) -> Fate {
        let waiting = self.free_at.saturating_sub(now);
        // Whole bytes are compared, by time: what the link sends while it works off the queue.
        if waiting + self.takes(len) > self.takes(self.shape.queue.max(len)) {
            return Fate::Dropped;
        }
        self.free_at = self.free_at.max(now) + self.takes(len);
        if self.shape.loss > 0.0 && self.chance.unit() < self.shape.loss {
            return Fate::Lost;
        }
        Fate::Arrives(self.free_at + self.shape.delay)
    }

    fn takes(&self, len: u64) -> Duration {
        Duration::from_nanos((u128::from(len) * 1_000_000_000 / u128::from(self.shape.rate)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    /// 1 MB/s, so that a packet of 1,000 bytes takes a millisecond.
    fn link(delay: Duration, queue: u64, loss: f64) -> Link {
        Link::new(Shape { rate: 1_000_000, delay, queue, loss }, 7)
    }

    #[test]
    fn a_packet_arrives_after_its_sending_and_the_way() {
        let mut link = link(50 * MS, 10_000, 0.0);
        assert_eq!(link.offer(SECOND, 1_000), Fate::Arrives(SECOND + 51 * MS));
        assert_eq!(link.offer(SECOND, 500), Fate::Arrives(SECOND + 51 * MS + MS / 2));
    }

    #[test]
    fn no_second_carries_more_than_the_rate_nor_less_while_there_is_work() {
        let mut link = link(Duration::ZERO, 20_000, 0.0);
        let offers = (0..40_000).map(|i| link.offer(i * MS / 4, 1_000));
        let arrivals: Vec<Duration> =
            offers.filter_map(|fate| if let Fate::Arrives(at) = fate { Some(at) } else { None }).collect();
        let within = |from: Duration| arrivals.iter().filter(|&&at| at > from && at <= from + SECOND).count();
        assert!((0..9).all(|s| within(s * SECOND) == 1_000), "{} in 10 s", arrivals.len());
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_the_queue_drains_at_the_rate() {
        let mut link = link(Duration::ZERO, 3_000, 0.0);
        let at_once: Vec<Fate> = (0..5).map(|_| link.offer(SECOND, 1_000)).collect();
        assert_eq!(at_once[2], Fate::Arrives(SECOND + 3 * MS));
        assert_eq!(at_once[3..], [Fate::Dropped, Fate::Dropped]);
        assert_eq!(link.offer(SECOND + MS, 1_000), Fate::Arrives(SECOND + 4 * MS));
        assert_eq!(link.offer(SECOND + MS, 1_000), Fate::Dropped);
    }

    #[test]
    fn the_longest_wait_is_the_queue_over_the_rate() {
        let mut link = link(10 * MS, 50_000, 0.0);
        let waits = (0..10_000u32).filter_map(|i| {
            let now = i * MS / 3;
            if let Fate::Arrives(at) = link.offer(now, 1_000) { Some(at - now) } else { None }
        });
        let longest = waits.max().unwrap();
        assert!(longest > 58 * MS && longest <= 60 * MS, "{longest:?}");
    }

    #[test]
    fn as_many_are_lost_as_was_asked_for_and_the_same_ones_by_the_same_seed() {
        let lost = || -> Vec<u32> {
            let mut link = link(Duration::ZERO, 1_500, 0.001);
            (0..200_000).filter(|&i| link.offer(i * 2 * MS, 1_000) == Fate::Lost).collect()
        };
        assert!((150..250).contains(&lost().len()), "{}", lost().len());
        assert_eq!(lost(), lost());
    }

    #[test]
    fn a_lost_packet_has_used_the_link() {
        let mut link = link(Duration::ZERO, 10_000, 1.0);
        assert_eq!(link.offer(SECOND, 1_000), Fate::Lost);
        link.shape.loss = 0.0;
        assert_eq!(link.offer(SECOND, 1_000), Fate::Arrives(SECOND + 2 * MS));
    }

    #[test]
    fn a_packet_longer_than_the_queue_passes_an_idle_link() {
        let mut link = link(Duration::ZERO, 100, 0.0);
        assert_eq!(link.offer(SECOND, 1_000), Fate::Arrives(SECOND + MS));
        assert_eq!(link.offer(SECOND, 10), Fate::Dropped);
    }
}
