//! Detached signatures and public keys.

use thence::{Signature, SignatureFault};

const KEY: &str = "RWSzc/EVLOx2xI3CxloUlbBmyQGXUIaKcvtdYA9Jiv97+ZlCc4Z9GzSL";
/// Packets with nothing in them.
const PACKETS: [&[u8]; 2] = [&[0x88, 1, 0], &[0x98, 1, 0]];

/// No bytes make the reader panic, and what is wrong with them is told of a place that is there.
pub(crate) fn signature(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|&byte| byte == b'\n').collect();
    for (signature, key) in [(data, KEY.as_bytes()), (data, PACKETS[1]), (PACKETS[0], data), (data, data)] {
        let Err(SignatureFault::Form { line, column, .. }) = Signature::read(signature, key) else {
            continue;
        };
        // Of packets the column is their byte, which may stand in an armor.
        let last = if line == 0 { data.len() + 1 } else { lines[line - 1].len().max(1) };
        assert!((1..=last).contains(&column), "line {line}, column {column}");
    }
}
