//! The scenes of shaped networks: what link, what server, what is fetched, and what is to be reached.

use std::time::Duration;

use crate::link::Shape;
use crate::server::{GOOD, Serving};

/// Bytes of a packet without its headers, of this many with them (IPv4 and TCP with timestamps take 52). Rates of scenes
/// are of payload, so that the ideal time can be reached at all.
const HEADERS: u16 = 52;

/// One link, the same both ways but for loss, which is on the way to the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Net {
    /// Payload bytes a second.
    pub(crate) rate: u64,
    pub(crate) round_trip: Duration,
    /// How long a full queue takes to drain; the way to the server has as many bytes.
    pub(crate) queue: Duration,
    pub(crate) loss: f64,
    pub(crate) mtu: u16,
}

/// Who else uses the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    Nobody,
    /// Somebody who asks a small thing every 100 ms.
    Probe,
    /// The same, and one endless download.
    Bulk,
}

/// One scene.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    /// For the reader of the report.
    pub(crate) about: &'static str,
    /// Bytes of a file, and how many files.
    pub(crate) size: u64,
    pub(crate) files: u32,
    /// A link and a server of its own for each mirror.
    pub(crate) nets: &'static [Net],
    /// How each of those serves; the last stands for all that follow.
    pub(crate) serving: &'static [Serving],
    pub(crate) other: Other,
    /// Bytes a second that the ideal time is reckoned with, beside two round trips.
    pub(crate) ideal_rate: u64,
    /// Time over the ideal.
    pub(crate) must: Option<f64>,
    pub(crate) aim: Option<f64>,
    /// Most refused requests: must, aim.
    pub(crate) refusals: Option<(u64, u64)>,
    /// To disk, the clock stopping when it is there; else to tmpfs.
    pub(crate) disk: bool,
    /// What is run unless `--programs` says otherwise.
    pub(crate) programs: &'static str,
}

const MS: Duration = Duration::from_millis(1);

/// A link of a machine room: 2 ms, and a queue of 50 ms.
pub(crate) const fn near(rate: u64) -> Net {
    Net { rate, round_trip: MS.saturating_mul(2), queue: MS.saturating_mul(50), loss: 0.0, mtu: 1500 }
}

/// 200 Mbit/s over 100 ms, the queue one bandwidth-delay product.
const fn far(loss: f64) -> Net {
    Net {
        rate: 25_000_000,
        round_trip: MS.saturating_mul(100),
        queue: MS.saturating_mul(100),
        loss,
        mtu: 1500,
    }
}

/// 20 Mbit/s with a second of queue.
const DEEP: Net = Net {
    rate: 2_500_000,
    round_trip: MS.saturating_mul(20),
    queue: MS.saturating_mul(1000),
    loss: 0.0,
    mtu: 1500,
};

/// What scenes have in common.
pub(crate) const BASE: Scene = Scene {
    name: "",
    about: "",
    size: 100_000_000,
    files: 1,
    nets: &[near(50_000_000)],
    serving: &[Serving::Nginx],
    other: Other::Nobody,
    ideal_rate: 50_000_000,
    must: None,
    aim: None,
    refusals: None,
    disk: false,
    programs: "thence,aria2,aria2-16,axel-16,curl",
};

const LONG: Scene = Scene {
    nets: &[far(0.0)],
    ideal_rate: 25_000_000,
    programs: "thence,aria2,aria2-16,axel-16,curl,wget2",
    ..BASE
};

const LOSSY: Scene =
    Scene { nets: &[far(0.001)], programs: "thence,aria2-16,axel-16,axel-32,lftp-16,curl", ..LONG };

pub(crate) const ALL: &[Scene] = &[
    Scene {
        name: "throttled",
        about: "2 MB/s for each connection, a link of 50 MB/s, 100 MB",
        serving: &[Serving::Throttled { rate: 2_000_000, most: usize::MAX }],
        must: Some(1.30),
        aim: Some(1.08),
        programs: "thence,aria2,aria2-16,axel-32",
        ..BASE
    },
    Scene {
        name: "uneven",
        about: "by the order of their first request every sixth connection falls silent after 1 MB, of the others every fourth \
                brings 150 KB/s, the rest 3 MB/s; a link of 24 MB/s, which eight good ones fill; 72 MB",
        size: 72_000_000,
        nets: &[near(8 * GOOD)],
        serving: &[Serving::Uneven],
        ideal_rate: 8 * GOOD,
        must: Some(1.26),
        aim: Some(1.10),
        programs: "thence,aria2-16,axel-16",
        ..BASE
    },
    Scene {
        name: "long-1",
        about: "200 Mbit/s, 100 ms, 1 MB",
        size: 1_000_000,
        must: Some(3.6),
        aim: Some(3.1),
        ..LONG
    },
    Scene {
        name: "long-10",
        about: "200 Mbit/s, 100 ms, 10 MB",
        size: 10_000_000,
        must: Some(2.2),
        aim: Some(1.9),
        ..LONG
    },
    Scene {
        name: "long-100",
        about: "200 Mbit/s, 100 ms, 100 MB",
        must: Some(1.20),
        aim: Some(1.12),
        ..LONG
    },
    Scene {
        name: "lossy-10",
        about: "200 Mbit/s, 100 ms, of a thousand packets one is lost, 10 MB",
        size: 10_000_000,
        must: Some(2.6),
        aim: Some(2.0),
        ..LOSSY
    },
    Scene {
        name: "lossy-100",
        about: "200 Mbit/s, 100 ms, of a thousand packets one is lost, 100 MB",
        must: Some(1.43),
        aim: Some(1.20),
        ..LOSSY
    },
    Scene {
        name: "mirrors",
        about: "two mirrors on links of 20 and 2 MB/s, 66 MB",
        size: 66_000_000,
        nets: &[near(20_000_000), near(2_000_000)],
        ideal_rate: 22_000_000,
        must: Some(1.25),
        aim: Some(1.08),
        programs: "thence,aria2,aria2-16,axel",
        ..BASE
    },
    Scene {
        name: "bad-mirrors",
        about: "four mirrors on links of 20 MB/s: the first good, one with other bytes, one silent, one of 100 KB/s; 66 MB",
        size: 66_000_000,
        nets: &[near(20_000_000); 4],
        serving: &[
            Serving::Nginx,
            Serving::Wrong { rate: 20_000_000 },
            Serving::Silent,
            Serving::Throttled { rate: 100_000, most: usize::MAX },
        ],
        ideal_rate: 20_000_000,
        programs: "thence,thence-first,aria2,aria2-16",
        ..BASE
    },
    Scene {
        name: "refuses",
        about: "a server that answers 503 to more than 4 connections at once, each of 5 MB/s; a link of 50 MB/s, 60 MB",
        size: 60_000_000,
        serving: &[Serving::Throttled { rate: 5_000_000, most: 4 }],
        ideal_rate: 20_000_000,
        must: Some(1.15),
        aim: Some(1.05),
        refusals: Some((20, 8)),
        programs: "thence,aria2,aria2-16,axel-16",
        ..BASE
    },
    Scene {
        name: "small-long",
        about: "500 files of 20 KB, 200 Mbit/s, 100 ms",
        size: 20_000,
        files: 500,
        must: Some(3.0),
        aim: Some(1.8),
        programs: "thence,aria2-16,curl,wget2",
        ..LONG
    },
    Scene {
        name: "deep",
        about: "20 Mbit/s with a second of queue, 15 MB, beside somebody who asks a small thing every 100 ms",
        size: 15_000_000,
        nets: &[DEEP],
        other: Other::Probe,
        ideal_rate: 2_500_000,
        programs: "thence,curl,aria2-16",
        ..BASE
    },
    Scene {
        name: "deep-shared",
        about: "the same, 8 MB, beside one endless download as well, which was there before; the ideal is half of the link",
        size: 8_000_000,
        nets: &[DEEP],
        other: Other::Bulk,
        ideal_rate: 1_250_000,
        programs: "thence,curl,aria2-16",
        ..BASE
    },
    Scene {
        name: "gigabit",
        about: "1 Gbit/s without delay, 1 GB to disk, 9,000 bytes a packet",
        size: 1_000_000_000,
        nets: &[Net {
            rate: 125_000_000,
            round_trip: Duration::ZERO,
            queue: MS.saturating_mul(20),
            loss: 0.0,
            mtu: 9000,
        }],
        ideal_rate: 125_000_000,
        disk: true,
        programs: "thence,aria2,aria2-16,curl,wget2",
        ..BASE
    },
];

/// The scenes of these names.
pub(crate) fn named(names: &[String]) -> Result<Vec<&'static Scene>, String> {
    let known = || ALL.iter().map(|scene| scene.name).collect::<Vec<_>>().join(", ");
    let find = |name: &String| {
        ALL.iter()
            .find(|scene| scene.name == name)
            .ok_or_else(|| format!("`--scene {name}`: known are {}", known()))
    };
    if names == ["all"] { Ok(ALL.iter().collect()) } else { names.iter().map(find).collect() }
}

impl Scene {
    /// How the server at the end of this link serves.
    pub(crate) fn serving(&self, link: usize) -> Serving {
        self.serving[link.min(self.serving.len() - 1)]
    }

    /// Size over rate, and the two round trips without which no byte comes.
    pub(crate) fn ideal(&self) -> Duration {
        let bytes = self.size * u64::from(self.files);
        Duration::from_secs_f64(bytes as f64 / self.ideal_rate as f64) + 2 * self.nets[0].round_trip
    }
}

impl Net {
    pub(crate) fn down(&self) -> Shape {
        let rate = self.rate * u64::from(self.mtu) / u64::from(self.mtu - HEADERS);
        let queue = (rate as f64 * self.queue.as_secs_f64()) as u64;
        Shape { rate, delay: self.round_trip / 2, queue, loss: self.loss }
    }

    pub(crate) fn up(&self) -> Shape {
        Shape { loss: 0.0, ..self.down() }
    }

    /// For the reader of the report.
    pub(crate) fn words(&self) -> String {
        let queue = self.down().queue / 1000;
        let (ms, loss) = (self.round_trip.as_secs_f64() * 1e3, self.loss * 100.0);
        format!(
            "{} MB/s, {ms} ms, a queue of {queue} KB, {loss} % lost, {} bytes a packet",
            self.rate as f64 / 1e6,
            self.mtu
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_carries_as_much_payload_as_its_scene_says() {
        let net = near(50_000_000);
        assert_eq!(net.down().rate * 1448 / 1500, 49_999_999);
        assert_eq!(net.down().queue, net.down().rate / 20);
    }

    #[test]
    fn every_scene_has_a_name_of_its_own_and_known_programs() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|scene| scene.name).collect();
        assert_eq!(names.len(), ALL.len());
        for scene in ALL {
            let wanted: Vec<String> = scene.programs.split(',').map(str::to_owned).collect();
            assert!(crate::programs::named(&wanted).is_ok(), "{}", scene.name);
        }
    }
}
