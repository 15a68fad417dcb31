//! The networks, links and servers of one run of one program in one scene, made anew for each so that nothing is left in
//! queues, caches or logs for the next.

use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::flows::{Record, Way};
use crate::neighbour::{Neighbour, Suffered};
use crate::scenes::{Net, Other, Scene};
use crate::server::{Noted, Running};
use crate::side::Side;
use crate::wire::{End, Wire};

/// How long a server is given to note that its client has gone.
const NOTES: Duration = Duration::from_millis(400);

/// How long the neighbour's last answers may take.
const ANSWERS: Duration = Duration::from_millis(1500);

pub(crate) struct Stage {
    pub(crate) client: Side,
    neighbour: Option<Neighbour>,
    mirrors: Vec<Mirror>,
}

/// A server in a network of its own, and the link to it.
struct Mirror {
    side: Side,
    wire: Wire,
    server: Option<Running>,
}

/// What is known of a run beside its cost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) noted: Noted,
    /// Towards the client, a record for each mirror.
    pub(crate) down: Vec<Record>,
    pub(crate) connections: u64,
    pub(crate) suffered: Suffered,
    /// From the instant that records count from to the program's start.
    pub(crate) before: Duration,
}

impl Stage {
    /// Builds it. Runs of the same seed meet the same losses, as far as packets come in the same order.
    pub(crate) fn build(scene: &Scene, root: &Path, seed: u64) -> Result<Stage, String> {
        let client = Side::new()?;
        let mut mirrors = Vec::new();
        for (i, net) in scene.nets.iter().enumerate() {
            mirrors.push(Mirror::build(scene, net, &client, i as u8, root, seed)?);
        }
        let mut stage = Stage { client, neighbour: None, mirrors };
        if scene.other != Other::Nobody {
            let server = &stage.mirrors[0].side;
            stage.neighbour = Some(Neighbour::start(scene.other, &stage.client, server, address(0, 1))?);
        }
        Ok(stage)
    }

    /// URLs of `path` at each mirror.
    pub(crate) fn urls(&self, path: &str) -> Vec<String> {
        self.mirrors.iter().filter_map(|mirror| Some(mirror.server.as_ref()?.url(path))).collect()
    }

    /// What was seen of a program that ran between two instants.
    pub(crate) fn seen(&self, from: Instant, to: Instant) -> Seen {
        thread::sleep(NOTES);
        let mut seen = Seen::default();
        for mirror in &self.mirrors {
            let noted = mirror.server.as_ref().map(Running::noted).unwrap_or_default();
            seen.noted.sent += noted.sent;
            seen.noted.requests += noted.requests;
            seen.noted.refused += noted.refused;
            seen.down.push(mirror.wire.record(Way::ToClient));
            seen.connections += mirror.wire.record(Way::ToServer).begun.len() as u64;
            seen.before = from.saturating_duration_since(mirror.wire.start());
        }
        if let Some(neighbour) = &self.neighbour {
            thread::sleep(ANSWERS);
            seen.suffered = neighbour.suffered(from, to);
            seen.connections = seen.connections.saturating_sub(neighbour.connections());
        }
        seen
    }
}

impl Mirror {
    fn build(
        scene: &Scene,
        net: &Net,
        client: &Side,
        at: u8,
        root: &Path,
        seed: u64,
    ) -> Result<Mirror, String> {
        let (side, mtu) = (Side::new()?, net.mtu);
        let far = side.run(move || End::new("link0", address(at, 1), mtu))?;
        let near = client.run(move || End::new(&format!("link{at}"), address(at, 2), mtu))?;
        let wire = Wire::join(near, far, net.down(), net.up(), seed);
        let (serving, size, root) = (scene.serving(at.into()), scene.size, root.to_owned());
        let server = side.run(move || serving.start(&root, size, address(at, 1)))?;
        Ok(Mirror { side, wire, server: Some(server) })
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // A server is ended where it was made: it may have to be called upon there.
        let server = self.server.take();
        self.side.run(move || drop(server));
    }
}

fn address(mirror: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, mirror, host)
}
