//! A stream's consumer: it takes bytes in order, at its own pace, and at times nothing for a while.

use std::collections::BTreeMap;

use thence_plan::{Input, LaneId};

use super::job::Job;
use super::scenario::MS;
use super::world::{Event, World};

/// What it has, and what waits for it.
#[derive(Debug, Default)]
pub struct Consumer {
    pub taken: u64,
    /// Disjoint, by their starts.
    landed: BTreeMap<u64, u64>,
    /// It will take something in a while.
    busy: bool,
}

impl Consumer {
    /// Where what it has, or is given without being asked, ends.
    fn edge(&self) -> u64 {
        let mut edge = self.taken;
        while let Some(&end) = self.landed.get(&edge) {
            edge = end;
        }
        edge
    }

    /// Whoever brings the next bytes always has room. Who is ahead of them has the window's.
    fn land(&mut self, from: u64, upto: u64, window: u64) -> Result<(), String> {
        let (taken, edge) = (self.taken, self.edge());
        let behind = self.landed.range(..upto).next_back().is_some_and(|(_, &end)| end > from);
        if from < taken || behind {
            return Err(format!("{from}..{upto} of a stream came twice"));
        }
        if from > edge && upto > taken + window {
            return Err(format!("{from}..{upto} came {} bytes too early", upto - taken - window));
        }
        self.landed.insert(from, upto);
        Ok(())
    }
}

impl Job {
    /// What was not given on is dropped.
    pub fn forget_landed(&mut self, from: u64) -> Result<(), String> {
        if from < self.consumer.edge() {
            return Err(format!(
                "forget from {from} on, and the consumer is given up to {}",
                self.consumer.edge()
            ));
        }
        let gone = self.consumer.landed.split_off(&from);
        self.written -= gone.iter().map(|(start, end)| end - start).sum::<u64>();
        Ok(())
    }
}

impl World {
    /// A lane's bytes wait for the consumer.
    pub fn land(&mut self, job: usize, lane: LaneId, from: u64, upto: u64) -> Result<(), String> {
        let window = self.limits.window;
        self.jobs[job].consumer.land(from, upto, window)?;
        self.input(job, Input::Landed { lane, upto })?;
        self.consume(job);
        Ok(())
    }

    fn consume(&mut self, job: usize) {
        let consumer = &mut self.jobs[job].consumer;
        if !consumer.busy && consumer.edge() > consumer.taken {
            consumer.busy = true;
            let wait = self.dice.pick(&[1, 1, 5, 5, 5, 100, 20_000]);
            let wait = self.dice.below(wait * MS);
            self.after(wait, Event::Consumed(job));
        }
    }

    pub fn on_consumed(&mut self, job: usize) -> Result<(), String> {
        let edge = self.jobs[job].consumer.edge();
        let some = self.dice.between(1, 1 << 20);
        let consumer = &mut self.jobs[job].consumer;
        consumer.busy = false;
        let upto = edge.min(consumer.taken + some);
        while consumer.taken < upto
            && let Some(end) = consumer.landed.remove(&consumer.taken)
        {
            consumer.taken = end.min(upto);
            if end > upto {
                consumer.landed.insert(upto, end);
            }
        }
        self.input(job, Input::Taken { upto })?;
        self.consume(job);
        Ok(())
    }
}
