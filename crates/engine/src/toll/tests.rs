//! NET-12 with more than one limit, in virtual time: lanes whose sockets always have bytes.

use std::time::Duration;

use super::*;

const SECONDS: usize = 5;

/// Lanes by the bytes a second that each of them is limited to, and its host.
struct Scene {
    rates: Rates,
    lanes: Vec<Toll>,
    /// What a lane reads unasked before its first question.
    head: u64,
}

impl Scene {
    fn new(all: Option<u64>, host: Option<u64>) -> Scene {
        Scene { rates: Rates::new(all, host), lanes: Vec::new(), head: 0 }
    }

    fn lanes(mut self, count: usize, host: &str, own: Option<u64>) -> Scene {
        let own = Rate::new(own);
        self.lanes.extend((0..count).map(|_| self.rates.toll(&format!("http://{host}/"), own.clone())));
        self
    }

    /// Bytes of each second and lane. `twist` is told of each second as it begins.
    fn run(mut self, mut twist: impl FnMut(usize, Instant, &Rates)) -> Vec<Vec<u64>> {
        let start = Instant::now();
        let mut due = vec![(start, self.head); self.lanes.len()];
        let mut read = vec![vec![0; self.lanes.len()]; SECONDS];
        let (mut begun, mut steps) = (0, 0);
        loop {
            let lane = (0..due.len()).min_by_key(|&lane| due[lane].0).unwrap();
            let (now, used) = due[lane];
            let second = (now - start).as_secs() as usize;
            while begun <= second.min(SECONDS - 1) {
                twist(begun, start + Duration::from_secs(begun as u64), &self.rates);
                self.lanes.iter_mut().for_each(Toll::anew);
                due.iter_mut().for_each(|due| due.0 = due.0.min(now));
                begun += 1;
            }
            let Some(counts) = read.get_mut(second) else { return read };
            steps += 1;
            assert!(steps < 1_000_000, "nothing limits them");
            self.lanes[lane].used(used);
            match self.lanes[lane].pass(now, 256 << 10) {
                Pass::Upto(bytes) => {
                    counts[lane] += bytes;
                    due[lane] = (now + Duration::from_nanos(1), used + bytes);
                }
                // tokio's timers wake at the next millisecond.
                Pass::At(at) => {
                    due[lane].0 =
                        start + Duration::from_millis((at - start).as_nanos().div_ceil(1_000_000) as u64)
                }
            }
        }
    }
}

#[track_caller]
fn keeps_to(rate: u64, counts: &[u64]) {
    let bytes: u64 = counts.iter().sum();
    assert!(bytes.abs_diff(rate) * 100 <= 5 * rate, "{bytes} instead of {rate}: {counts:?}");
}

#[test]
fn net_12_the_narrowest_of_three_limits_is_kept_in_every_second() {
    for narrow in [50_000, 1 << 20, 1_000_000_000] {
        for (all, host, own) in [(1, 1, 1), (1, 2, 3), (3, 1, 2), (2, 3, 1)] {
            for count in [1, 16, 64] {
                let scene = Scene::new(Some(narrow * all), Some(narrow * host));
                let seconds = scene.lanes(count, "h", Some(narrow * own)).run(|_, _, _| {});
                seconds[2..].iter().for_each(|counts| keeps_to(narrow, counts));
            }
        }
    }
}

#[test]
fn net_12_each_host_and_each_download_has_its_own() {
    let scene =
        Scene::new(None, Some(1 << 20)).lanes(3, "a", Some(100_000)).lanes(2, "a", None).lanes(4, "b", None);
    for counts in &scene.run(|_, _, _| {})[2..] {
        keeps_to(100_000, &counts[..3]);
        keeps_to(1 << 20, &counts[..5]);
        keeps_to(1 << 20, &counts[5..]);
    }
}

#[test]
fn net_12_a_limit_that_is_changed_set_or_lifted_holds_at_once() {
    let said = [Some(1 << 30), Some(50_000), None, Some(2 << 20), Some(1 << 20)];
    let seconds = Scene::new(Some(1), Some(100 << 20)).lanes(16, "h", None);
    let seconds = seconds.run(|second, now, rates| rates.set_all(now, said[second]));
    for (counts, said) in seconds.iter().zip(said) {
        keeps_to(said.unwrap_or(100 << 20).min(100 << 20), counts);
    }
}

#[test]
fn net_12_what_is_read_unasked_is_paid_for_before_more_is_read() {
    let mut scene = Scene::new(Some(10_000), None).lanes(1, "h", None);
    scene.head = 20_000;
    let seconds = scene.run(|_, _, _| {});
    assert!(seconds[0][0] == 0 && seconds[1][0] < 500, "{seconds:?}");
    keeps_to(10_000, &seconds[2]);
}

#[test]
fn a_lane_that_ends_gives_back_what_it_was_granted_and_did_not_read() {
    let (rates, now) = (Rates::new(Some(1_000_000), None), Instant::now());
    for _ in 0..100 {
        let mut toll = rates.toll("http://h/", Rate::new(None));
        assert_eq!(toll.pass(now, 10_000), Pass::Upto(10_000));
    }
}

#[test]
fn hosts_that_nobody_talks_to_are_forgotten() {
    let rates = Rates::new(None, Some(1));
    let _kept = rates.toll("http://kept/", Rate::new(None));
    (0..10 * HOSTS).for_each(|n| drop(rates.toll(&format!("http://h{n}/"), Rate::new(None))));
    let hosts = rates.hosts.borrow();
    assert!(hosts.len() <= HOSTS && hosts.keys().any(|host| host.contains("kept")), "{:?}", hosts.keys());
}
