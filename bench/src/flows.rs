//! What a link carried, by connection and by tenth of a second. Reads as much of an IPv4 packet as that takes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Bytes are counted over so long each.
pub(crate) const SLOT: Duration = Duration::from_millis(100);

/// One direction's record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// Bytes of TCP payload that arrived, by slot and client's port.
    pub(crate) bytes: BTreeMap<(u32, u16), u64>,
    /// Client's ports from which a connection was begun.
    pub(crate) begun: BTreeSet<u16>,
    /// Payload that arrived, repeated or not.
    pub(crate) payload: u64,
    /// Packets that arrived, found no room in the queue, were lost.
    pub(crate) arrived: u64,
    pub(crate) dropped: u64,
    pub(crate) lost: u64,
}

/// Which way a link's direction goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToClient,
    ToServer,
}

impl Record {
    /// Notes a packet that arrived at `now`.
    pub(crate) fn note(&mut self, packet: &[u8], way: Way, now: Duration) {
        self.arrived += 1;
        let Some(segment) = segment(packet) else { return };
        let port = if way == Way::ToClient { segment.to } else { segment.from };
        if segment.begins && way == Way::ToServer {
            self.begun.insert(port);
        }
        if segment.payload > 0 {
            self.payload += segment.payload;
            let slot = (now.as_millis() / SLOT.as_millis()) as u32;
            *self.bytes.entry((slot, port)).or_default() += segment.payload;
        }
    }
}

struct Segment {
    from: u16,
    to: u16,
    /// SYN without ACK.
    begins: bool,
    payload: u64,
}

fn segment(packet: &[u8]) -> Option<Segment> {
    let (&first, &protocol) = (packet.first()?, packet.get(9)?);
    if first >> 4 != 4 || protocol != 6 {
        return None;
    }
    let tcp = packet.get(usize::from(first & 15) * 4..)?;
    let port = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
    let (offset, flags) = (usize::from(tcp.get(12)? >> 4) * 4, tcp.get(13)?);
    Some(Segment {
        from: port(0)?,
        to: port(2)?,
        begins: flags & 0x12 == 0x02,
        payload: tcp.len().saturating_sub(offset) as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A TCP segment in IPv4 without options: ports, flags, payload.
    fn packet(from: u16, to: u16, flags: u8, payload: usize) -> Vec<u8> {
        let mut packet = vec![0; 40 + payload];
        (packet[0], packet[9], packet[32], packet[33]) = (0x45, 6, 0x50, flags);
        packet[20..22].copy_from_slice(&from.to_be_bytes());
        packet[22..24].copy_from_slice(&to.to_be_bytes());
        packet
    }

    #[test]
    fn connections_are_counted_by_their_first_segment() {
        let mut record = Record::default();
        for (port, flags) in [(1000, 0x02), (1000, 0x02), (1001, 0x02), (1002, 0x10)] {
            record.note(&packet(port, 80, flags, 0), Way::ToServer, SLOT);
        }
        record.note(&packet(80, 1003, 0x12, 0), Way::ToClient, SLOT);
        assert_eq!(record.begun, BTreeSet::from([1000, 1001]));
    }

    #[test]
    fn payload_goes_to_its_slot_and_connection() {
        let mut record = Record::default();
        for at in [10, 90, 110] {
            record.note(&packet(80, 1000, 0x10, 7), Way::ToClient, Duration::from_millis(at));
        }
        assert_eq!(record.bytes, BTreeMap::from([((0, 1000), 14), ((1, 1000), 7)]));
        assert_eq!((record.payload, record.arrived), (21, 3));
    }

    #[test]
    fn what_is_no_tcp_or_cut_is_passed_over() {
        let whole = packet(80, 1000, 0x10, 7);
        let mut record = Record::default();
        (0..34).for_each(|len| record.note(&whole[..len], Way::ToClient, SLOT));
        record.note(&[0x60; 60], Way::ToClient, SLOT);
        assert_eq!(record.payload, 0);
    }
}
