//! What a run was like from moment to moment: the events that thence told, and the link's own record.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::flows::SLOT;
use crate::shaped::Run;

/// Events that tell how far a download is, and nothing of why. Every other kind is a mark in the plot, whatever it will
/// be called.
const PLAIN: &[&str] = &["start", "progress", "verified", "done", "note"];

/// Seconds are from the program's start.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Payload bytes a second that the link brought to the client, over each slot's end.
    pub(crate) speed: Vec<(f64, f64)>,
    /// The same of each connection that brought anything.
    pub(crate) flows: Vec<Vec<(f64, f64)>>,
    /// Connections on which bytes came in each slot.
    pub(crate) busy: Vec<(f64, f64)>,
    /// `lanes` of `progress`.
    pub(crate) lanes: Vec<(f64, f64)>,
    /// Other events: when, what kind, and the line itself.
    pub(crate) marks: Vec<(f64, String, String)>,
    /// How long it took.
    pub(crate) end: f64,
}

impl Trace {
    pub(crate) fn of(run: &Run) -> Trace {
        let mut trace = Trace { end: run.cost.wall.as_secs_f64(), ..Trace::default() };
        for (at, line) in &run.lines {
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            trace.event(at.saturating_duration_since(run.start).as_secs_f64(), &event, line);
        }
        let mut bytes: BTreeMap<(usize, u16), BTreeMap<u32, u64>> = BTreeMap::new();
        for (mirror, record) in run.seen.down.iter().enumerate() {
            for (&(slot, port), &len) in &record.bytes {
                *bytes.entry((mirror, port)).or_default().entry(slot).or_default() += len;
            }
        }
        trace.slots(&bytes, run.seen.before.as_secs_f64());
        trace
    }

    fn event(&mut self, at: f64, event: &Value, line: &str) {
        let kind = event["event"].as_str().unwrap_or_default();
        if let ("progress", Some(lanes)) = (kind, event["lanes"].as_f64()) {
            self.lanes.push((at, lanes));
        }
        if !PLAIN.contains(&kind) {
            self.marks.push((at, kind.to_owned(), line.to_owned()));
        }
    }

    /// Series over the slots from the program's start to its end; `before` lies between the record's start and that.
    fn slots(&mut self, bytes: &BTreeMap<(usize, u16), BTreeMap<u32, u64>>, before: f64) {
        let slot = SLOT.as_secs_f64();
        let (first, last) = ((before / slot) as u32, ((before + self.end) / slot).ceil() as u32);
        let at = |index: u32| (f64::from(index + 1) * slot - before).min(self.end);
        let rate = |len: u64| len as f64 / slot;
        let series = |of: &BTreeMap<u32, u64>| -> Vec<(f64, f64)> {
            (first..last).map(|i| (at(i), rate(of.get(&i).copied().unwrap_or(0)))).collect()
        };
        self.flows = bytes.values().map(series).collect();
        let (mut all, mut busy): (BTreeMap<u32, u64>, BTreeMap<u32, BTreeSet<_>>) = Default::default();
        for (flow, of) in bytes {
            for (&index, &len) in of {
                *all.entry(index).or_default() += len;
                busy.entry(index).or_default().insert(flow);
            }
        }
        self.speed = series(&all);
        self.busy = (first..last).map(|i| (at(i), busy.get(&i).map_or(0, BTreeSet::len) as f64)).collect();
    }

    /// The kinds of marks, each once.
    pub(crate) fn kinds(&self) -> Vec<&str> {
        let kinds: BTreeSet<&str> = self.marks.iter().map(|(_, kind, _)| kind.as_str()).collect();
        kinds.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_gives_lanes_and_other_events_marks() {
        let mut trace = Trace::default();
        for line in [
            r#"{"v":1,"event":"progress","lanes":3}"#,
            r#"{"v":1,"event":"narrowed","lanes":4}"#,
            r#"{"v":1,"event":"done"}"#,
        ] {
            trace.event(1.5, &serde_json::from_str(line).unwrap(), line);
        }
        assert_eq!(trace.lanes, [(1.5, 3.0)]);
        assert_eq!(trace.kinds(), ["narrowed"]);
    }

    #[test]
    fn slots_before_the_start_are_left_out_and_quiet_ones_are_nought() {
        let flow = |slots: &[(u32, u64)]| slots.iter().copied().collect::<BTreeMap<u32, u64>>();
        let bytes = BTreeMap::from([
            ((0, 1), flow(&[(1, 9), (2, 100_000), (4, 50_000)])),
            ((0, 2), flow(&[(2, 100_000)])),
        ]);
        let mut trace = Trace { end: 0.3, ..Trace::default() };
        trace.slots(&bytes, 0.2);
        let speeds: Vec<f64> = trace.speed.iter().map(|&(_, speed)| speed.round()).collect();
        assert_eq!(speeds, [2_000_000.0, 0.0, 500_000.0]);
        assert_eq!(trace.busy.iter().map(|&(_, n)| n).collect::<Vec<_>>(), [2.0, 0.0, 1.0]);
    }
}
