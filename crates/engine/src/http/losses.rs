//! Packets that are lost on the way to us: what follows one comes, and cannot be read.

use std::time::Duration;

use super::body::Body;
use super::dial::Arrivals;

/// What a connection had when it was looked at last.
#[derive(Default)]
pub(crate) struct Losses {
    read: u64,
    /// Packets that came out of order.
    astray: u32,
    /// Those that had when bytes came last.
    before: u32,
}

impl Losses {
    /// The round trip, once packets are lost. One that others have overtaken is there before the next look, so that bytes
    /// come; one that is lost keeps all that follows it for a round trip at least.
    pub(crate) fn look(&mut self, body: &Body) -> Option<Duration> {
        body.arrivals().and_then(|arrivals| self.judge(arrivals))
    }

    fn judge(&mut self, Arrivals { read, astray, round_trip }: Arrivals) -> Option<Duration> {
        let came = read != self.read;
        if came {
            self.before = self.astray;
        }
        (self.read, self.astray) = (read, astray);
        (!came && astray > self.before).then_some(round_trip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether packets are found to be lost at the last of these looks: bytes read, and packets astray.
    fn lost(looks: &[(u64, u32)]) -> bool {
        let mut losses = Losses::default();
        let judged = looks.iter().map(|&(read, astray)| {
            losses.judge(Arrivals { read, astray, round_trip: Duration::from_millis(100) }).is_some()
        });
        judged.last().unwrap_or(false)
    }

    #[test]
    fn what_follows_a_lost_packet_comes_and_cannot_be_read() {
        assert!(lost(&[(5, 0), (5, 3)]));
        assert!(lost(&[(5, 0), (9, 3), (9, 3)]), "the first of them came just before a look");
        assert!(lost(&[(5, 0), (9, 3), (9, 3), (9, 4)]));
    }

    #[test]
    fn silence_is_no_loss_and_a_packet_that_was_overtaken_is_none() {
        assert!(!lost(&[(5, 0), (5, 0)]));
        assert!(!lost(&[(5, 0), (9, 3)]));
        assert!(!lost(&[(5, 0), (9, 3), (12, 3), (12, 3)]), "what was overtaken has come");
    }
}
