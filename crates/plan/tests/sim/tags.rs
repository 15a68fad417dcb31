//! File bytes without the bytes: which version wrote each stretch.
//!
//! A byte is its offset and the tag of the version it belongs to, so two stretches are equal exactly when
//! their tags are, a hash can be made of tags, and a splice shows as two tags in one file. Tag 0 is a hole.

use std::collections::BTreeMap;

/// `start..end` holds bytes of `tag`.
pub type Span = (u64, u64, u32);

/// A file as stretches of tags: disjoint, in order, neighbours with one tag joined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tags(BTreeMap<u64, (u64, u32)>);

impl Tags {
    /// Writes stretches over what is there.
    pub fn write(&mut self, spans: &[Span]) {
        for &span in spans {
            self.put(span);
        }
    }

    fn put(&mut self, (mut start, mut end, tag): Span) {
        if start >= end {
            return;
        }
        self.split(start);
        self.split(end);
        let inside: Vec<u64> = self.0.range(start..end).map(|(&s, _)| s).collect();
        for s in inside {
            self.0.remove(&s);
        }
        if let Some((&s, &(e, t))) = self.0.range(..start).next_back()
            && e == start
            && t == tag
        {
            self.0.remove(&s);
            start = s;
        }
        if let Some(&(e, t)) = self.0.get(&end)
            && t == tag
        {
            self.0.remove(&end);
            end = e;
        }
        self.0.insert(start, (end, tag));
    }

    fn split(&mut self, at: u64) {
        if let Some((&s, &(e, t))) = self.0.range(..at).next_back()
            && e > at
        {
            self.0.insert(s, (at, t));
            self.0.insert(at, (e, t));
        }
    }

    /// What stands in `start..end`; holes as tag 0.
    pub fn read(&self, start: u64, end: u64) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut at = start;
        let first = self.0.range(..=start).next_back().map_or(start, |(&s, _)| s);
        for (&s, &(e, tag)) in self.0.range(first..end) {
            if e <= at {
                continue;
            }
            if at < s {
                spans.push((at, s, 0));
            }
            spans.push((s.max(at), e.min(end), tag));
            at = e.min(end);
        }
        if at < end {
            spans.push((at, end, 0));
        }
        spans
    }

    /// A hash of what stands in `start..end`.
    pub fn hash(&self, start: u64, end: u64) -> u128 {
        hash(&self.read(start, end))
    }
}

/// A hash of stretches; neighbours with one tag count as one.
pub fn hash(spans: &[Span]) -> u128 {
    let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    let mut mix = |word: u64| {
        hash = (hash ^ u128::from(word)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        hash ^= hash >> 61;
    };
    for (start, end, tag) in joined(spans) {
        mix(start);
        mix(end);
        mix(u64::from(tag));
    }
    hash
}

/// The same stretches with equal neighbours joined.
pub fn joined(spans: &[Span]) -> Vec<Span> {
    let mut out: Vec<Span> = Vec::new();
    for &(start, end, tag) in spans.iter().filter(|s| s.0 < s.1) {
        match out.last_mut() {
            Some(last) if last.1 == start && last.2 == tag => last.1 = end,
            _ => out.push((start, end, tag)),
        }
    }
    out
}

/// The part of stretches that lies in `start..end`.
pub fn clip(spans: &[Span], start: u64, end: u64) -> Vec<Span> {
    spans.iter().map(|&(s, e, t)| (s.max(start), e.min(end), t)).filter(|s| s.0 < s.1).collect()
}
