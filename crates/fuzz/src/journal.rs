//! Journals that anybody may have written, read by `status` and `verify` and gone on with by a real engine.

use std::fs;
use std::sync::OnceLock;

use tempfile::TempDir;
use thence_origin::honest::{Served, Shared, handler};
use thence_origin::{Origin, files};
use twox_hash::XxHash3_64;

use crate::client::{Runner, options};
use crate::input::{Bytes, scratch};

/// Three blocks and a little.
const LEN: usize = 3 * (256 << 10) + 77;

/// First bytes of a journal of version 1.
const MAGIC: &[u8; 8] = b"thence\0\x01";

/// `status` and `verify` read any journal: no panic, no claim beyond the length.
pub(crate) fn journal(data: &[u8]) {
    let dir = pair(&mut Bytes(data), "http://h/f", &[7; 5_000]);
    for path in [dir.path().join("f.part"), dir.path().join("f.thence")] {
        for part in thence::status(&path).unwrap_or_default() {
            assert!(
                part.total.is_none_or(|total| part.held <= total),
                "held {} of {:?}",
                part.held,
                part.total
            );
        }
        if let Ok(report) = thence::verify(&path, None) {
            assert!(report.bad.iter().all(|&(first, end)| first < end));
        }
    }
}

/// A run that goes on with any journal and any data ends with the right bytes or says why not.
pub(crate) fn resume(data: &[u8]) {
    static ORIGIN: OnceLock<Origin> = OnceLock::new();
    let origin = ORIGIN.get_or_init(|| Origin::start(handler(&Shared::new(Served::new(content())))));
    let url = origin.url("/f");
    let mut input = Bytes(data);
    // What is on the disk is the file's, but where the input wrote over it.
    let mut part = content();
    part.truncate(input.number() as usize % (LEN + 1));
    for _ in 0..input.byte() % 4 {
        let (at, bytes) = (input.number() as usize % LEN, input.short());
        let room = part.len().saturating_sub(at).min(bytes.len());
        if room > 0 {
            part[at..at + room].copy_from_slice(&bytes[..room]);
        }
    }
    let dir = pair(&mut input, &url, &part);
    let ended = Runner::new(options()).file(&url, dir.path());
    // A part of which nothing is known keeps its name, and the file gets another.
    match ended {
        Ok(done) => assert!(fs::read(done.path.unwrap()).unwrap() == content(), "exit 0 with other bytes"),
        Err(_) => assert!(!dir.path().join("f").exists(), "an error, and yet a file at the final name"),
    }
}

fn content() -> Vec<u8> {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    CONTENT.get_or_init(|| files::content(5, LEN)).clone()
}

/// A part and a journal: raw bytes, or records that are framed and signed well and say anything.
fn pair(input: &mut Bytes<'_>, url: &str, part: &[u8]) -> TempDir {
    let dir = scratch();
    let log = if input.byte().is_multiple_of(4) { input.0.to_vec() } else { signed(input, url) };
    fs::write(dir.path().join("f.part"), part).unwrap();
    fs::write(dir.path().join("f.thence"), log).unwrap();
    dir
}

fn signed(input: &mut Bytes<'_>, url: &str) -> Vec<u8> {
    let (mut log, mut salt) = (MAGIC.to_vec(), 0);
    let first = if input.byte().is_multiple_of(8) { input.short().to_vec() } else { begin(input, url) };
    record(&mut log, 0x81, 0, salt, &first);
    salt = first.get(..8).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
    let mut sequence = 1;
    while !input.is_empty() {
        let (kind, body) = any_record(input);
        record(&mut log, kind, sequence, salt, &body);
        if kind == 0x82 && body.len() >= 8 {
            salt = u64::from_le_bytes(body[..8].try_into().unwrap());
        }
        sequence += 1;
    }
    log
}

fn record(log: &mut Vec<u8>, kind: u8, sequence: u32, salt: u64, body: &[u8]) {
    let start = log.len();
    log.extend((body.len() as u32).to_le_bytes());
    log.push(kind);
    log.extend(sequence.to_le_bytes());
    log.extend(body);
    let sum = XxHash3_64::oneshot_with_seed(salt, &log[start..]);
    log.extend(sum.to_le_bytes());
}

/// A first record as ours are, of this URL; length and block size are the input's.
fn begin(input: &mut Bytes<'_>, url: &str) -> Vec<u8> {
    let mut body = 9u64.to_le_bytes().to_vec();
    for text in [url, "f"] {
        body.extend((text.len() as u32).to_le_bytes());
        body.extend(text.as_bytes());
    }
    body.extend([0; 8]); // no headers, no secrets
    body.extend(input.pick(&[256u32 << 10, 256 << 10, 1 << 20, 4 << 10, 0, 3]).to_le_bytes());
    match input.byte() % 4 {
        0 => body.push(0),
        1 => {
            body.push(1);
            body.extend(input.number().to_le_bytes());
        }
        _ => {
            body.push(1);
            body.extend((LEN as u64).to_le_bytes());
        }
    }
    body.extend([0; 5]); // no validators, no digest of the server's
    body.extend([0, 0]); // no digest wanted, and a certificate that was verified
    body
}

fn any_record(input: &mut Bytes<'_>) -> (u8, Vec<u8>) {
    let kind = input.pick(&[0x03, 0x03, 0x04, 0x04, 0x82, 0x85, 0x06, 0x87, 0x88, 0x09, 0x8a, 0x0b, 0xff]);
    if !matches!(kind, 0x03 | 0x04) || input.byte().is_multiple_of(4) {
        return (kind, input.short().to_vec());
    }
    let (index, len) = (u32::from(input.byte() % 8), input.number() as u32);
    let hash: Vec<u8> = (0..16).map(|_| input.byte()).collect();
    (kind, [&index.to_le_bytes()[..], &len.to_le_bytes(), &hash].concat())
}
