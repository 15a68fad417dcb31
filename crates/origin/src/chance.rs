//! Numbers that look random and follow from a seed.

use crate::files;

/// Draws numbers.
pub struct Chance {
    seed: u64,
    drawn: u64,
}

impl Chance {
    /// Begins at `seed`.
    pub fn new(seed: u64) -> Chance {
        Chance { seed, drawn: 0 }
    }

    /// From 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        let mut bytes = [0; 8];
        files::fill(self.seed, 8 * self.drawn, &mut bytes);
        self.drawn += 1;
        (u64::from_le_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64
    }
}
