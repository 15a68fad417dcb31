//! Every bound of thence in one place (promise P6). Units are bytes, counts or `Duration`s.

use std::time::Duration;

/// Every bound and interval. Nothing in thence waits, retries or buffers beyond a field of this struct.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest wait for a TCP connection, proxy and TLS handshakes included. Default 15 s: Linux sends a lost SYN again
    /// after 1, 3 and 7 s.
    pub connect: Duration,
    /// Longest wait for one address before the next is tried as well. Default 250 ms (RFC 8305 s8): sixteen addresses are
    /// all tried within 4 s of `connect`.
    pub happy_eyeballs: Duration,
    /// Longest wait for a source's first answer before another source is asked as well. Default 1 s: a far host behind two
    /// redirects has answered by then.
    pub first_answer: Duration,
    /// Longest silence of a socket a lane waits for, in any phase (R68). Default 30 s: a lost segment is
    /// sent again seven times in 26 s.
    pub stall: Duration,
    /// Every lane hands over what it holds at least this often (P3: a second in all). Default 200 ms:
    /// with `batch` 0.3 s, which leaves 0.7 s to a disk or machine that is busy.
    pub hand_over: Duration,
    /// Journal records wait at most this long before they are appended. Default 100 ms.
    pub batch: Duration,
    /// ... and at most until they cover so many bytes. Default 8 MiB: with `slabs`, and what comes while they are appended,
    /// well below the 32 MiB of P3, however fast bytes come.
    pub batch_bytes: u64,
    /// Part and journal are synced while bytes arrive, so that each is durable this long after it came (P3); how long a lane
    /// holds it, and a sync takes, is counted in. Default 5 s.
    pub sync: Duration,
    /// ... and whenever this much was stored since the last sync. Default 64 MiB.
    pub sync_bytes: u64,
    /// A lane reports what it read this often. Default 20 ms: five reports a `tick`, so that one more or less in it
    /// moves its sum by a fifth at most.
    pub report: Duration,
    /// The planner looks at lanes' speeds this often. Default 100 ms: the round trip of a long way.
    pub tick: Duration,
    /// Most lanes to one host where nobody said how many (`-x auto`). Default 64: with more the files, ports and memory of
    /// a server are taken from others, and what little they would bring is not worth that.
    pub auto_lanes: u32,
    /// Slowest and fastest first back-off of a retry; doubled each time, with full jitter. Default 250 ms.
    pub backoff: Duration,
    /// Longest back-off. Default 30 s.
    pub backoff_max: Duration,
    /// A machine that has lost its network asks again this often. Default 2 s: soon enough for whoever waits for
    /// the network, and next to nothing for a battery.
    pub offline: Duration,
    /// Failures in a row without progress before a source is given up. Default 8: with `backoff` and `backoff_max` 31 s of
    /// waits on average, 62 s at most.
    pub retries: u32,
    /// Longest `Retry-After` that is waited for; a longer one ends that source (R33). Default 5 min.
    pub retry_after_max: Duration,
    /// Redirects of one request (R61). Default 20, which is the Fetch standard's.
    pub redirects: u32,
    /// Bytes of all header blocks of one chain of responses (R66). Default 256 KiB: 12 KiB for each of `redirects` and the
    /// answer. A lane holds no more of heads.
    pub header_bytes: usize,
    /// Fields of all header blocks of one chain of responses (R66). Default 200: ten for each of `redirects`.
    pub header_fields: usize,
    /// Interim (1xx) responses of one request over HTTP/1 (R32). Default 16; over HTTP/2 `stall` bounds them.
    pub interim: u32,
    /// Bytes compared before a join that no strong validator proves, and in each of three held blocks (R21). Default 64 KiB.
    pub overlap: u64,
    /// New connections that are asked before a different strong ETag counts as a change. Default 4.
    pub doubts: u32,
    /// Generations one run begins before it gives up with "changed". Default 5.
    pub generations: u32,
    /// Total of all slabs of a run, in bytes. Default 12 MiB: three for each of 16 lanes. All that is stored passes through
    /// them, so they are what bodies take of memory, however many lanes there are.
    pub slabs: usize,
    /// Size of a slab, a multiple of 4 KiB. Default 256 KiB, which is also the most that one read of a socket gives.
    pub slab: usize,
    /// Bytes of a stream (`-o -`) that may wait in memory for those before them. Default 64 MiB: with eight lanes ranges of
    /// 4 MiB, which take a second at 4 MB/s each, and half of it for lanes that fall behind. Less than 16 KiB counts as
    /// that; what bodies take of memory is this and a slab.
    pub window: u64,
    /// Largest file that is begun. Default `None`, any; a body that tells no length is stopped when it is past it (R67).
    pub max_size: Option<u64>,
    /// Largest ratio of a decoded body to its coded bytes (R49). Default 1,000: gzip cannot reach 1,033.
    pub decode_ratio: u64,
    /// A redirect's or error's body is read at most this far to keep the connection. Default 16 KiB: a new one
    /// costs two or three round trips, in which about so much comes.
    pub discard: u64,
    /// Idle connections are kept this long. Default 15 s.
    pub keep_alive: Duration,
    /// A range after the first is cut to about this much of its lane's rate. Default 30 s.
    pub range_time: Duration,
    /// Both halves of a cut are worth at least this many times the cost of the cut. Default 1: a cut that brings what it costs
    /// costs nothing.
    pub cut_worth: u32,
    /// Entries of a directory read to find a journal by its source URL. Default 10,000: 4 KiB of each, 40 MB in all.
    pub directory_entries: usize,
    /// Largest journal that is read. Default 64 MiB, which takes three times as much memory. A journal is written anew when
    /// it has 1 MiB more than twice what it must say (41 bytes a block): 6 MiB for the 65,536 blocks that files up to 1 TiB
    /// have, and all of it for one of 12 TiB.
    pub journal_bytes: u64,
    /// Downloads of a list that are under way at once, however fast they end. Default 64: what a list's hosts can give is
    /// reached with fewer, and each may hold a connection, a file and a quarter MiB.
    pub together: u32,
    /// Small files of a list wait at most this long for the sync that they share. Default 1 s (P3).
    pub group: Duration,
    /// ... and at most so many wait, each with its file open. Default 512: half of what a process may have open.
    pub group_files: usize,
    /// ... and at most so many bytes of them, in memory and in files that have no name yet: what a kill costs of a list.
    /// Default 16 MiB, half of what P3 allows.
    pub group_bytes: usize,
    /// Bytes of one entry of a list, mirrors and options included. Default 64 KiB: dozens of URLs of the longest that servers
    /// take.
    pub list_entry: usize,
    /// Largest control file of another program that is read. Default 4 MiB: a terabyte in pieces of a mebibyte has 128 KiB.
    pub control_bytes: u64,
    /// Largest ledger of a list that is read. Default 1 GiB, 60 million lines; it takes as much memory.
    pub ledger_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        Limits {
            connect: s(15),
            happy_eyeballs: ms(250),
            first_answer: s(1),
            stall: s(30),
            hand_over: ms(200),
            batch: ms(100),
            batch_bytes: 8 << 20,
            sync: s(5),
            sync_bytes: 64 << 20,
            report: ms(20),
            tick: ms(100),
            auto_lanes: 64,
            backoff: ms(250),
            backoff_max: s(30),
            offline: s(2),
            retries: 8,
            retry_after_max: s(300),
            redirects: 20,
            header_bytes: 256 << 10,
            header_fields: 200,
            interim: 16,
            overlap: 64 << 10,
            doubts: 4,
            generations: 5,
            slabs: 12 << 20,
            slab: 256 << 10,
            window: 64 << 20,
            max_size: None,
            decode_ratio: 1_000,
            discard: 16 << 10,
            keep_alive: s(15),
            range_time: s(30),
            cut_worth: 1,
            directory_entries: 10_000,
            journal_bytes: 64 << 20,
            together: 64,
            group: s(1),
            group_files: 512,
            group_bytes: 16 << 20,
            list_entry: 64 << 10,
            control_bytes: 4 << 20,
            ledger_bytes: 1 << 30,
        }
    }
}

impl Limits {
    /// The same limits with every duration divided by `factor`; the test suites run with 30.
    pub fn hurried(mut self, factor: u32) -> Self {
        for wait in [
            &mut self.connect,
            &mut self.happy_eyeballs,
            &mut self.first_answer,
            &mut self.stall,
            &mut self.hand_over,
            &mut self.batch,
            &mut self.sync,
            &mut self.report,
            &mut self.tick,
            &mut self.backoff,
            &mut self.backoff_max,
            &mut self.offline,
            &mut self.retry_after_max,
            &mut self.keep_alive,
            &mut self.range_time,
            &mut self.group,
        ] {
            *wait /= factor.max(1);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hurried_limits_wait_that_many_times_less_and_allow_as_much() {
        let (usual, hurried) = (Limits::default(), Limits::default().hurried(30));
        assert_eq!((hurried.stall, hurried.tick), (usual.stall / 30, usual.tick / 30));
        assert_eq!((hurried.retries, hurried.slabs), (usual.retries, usual.slabs));
        assert_eq!(Limits::default().hurried(0).stall, usual.stall);
    }
}
