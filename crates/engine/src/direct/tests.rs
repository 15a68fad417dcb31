use super::*;

use std::sync::Arc;

use thence_plan::WantedDigest;

use crate::file::tests::{BLOCK, dir, draft};
use crate::file::{PartFile, place};
use crate::sys::watch::faults::{Errno, Fault, Faults, Kind, Plan};
use crate::write::Pool;

fn part(dir: &tempfile::TempDir) -> Arc<PartFile> {
    place(&draft(dir.path())).expect("a part").part
}

/// Writes `len` bytes of `byte` at `offset` from a slab that lies right for it.
fn write(part: &PartFile, offset: u64, len: usize, byte: u8) -> Result<(), crate::sys::DiskError> {
    let mut slab = Pool::new(1 << 20, 1 << 20).try_take().expect("a slab");
    slab.begin_at(offset);
    slab.put(&vec![byte; len]);
    part.write_at(offset, &mut [IoSlice::new(slab.bytes())])
}

fn there(part: &PartFile) -> Vec<u8> {
    let mut bytes = vec![0; 4 * BLOCK as usize];
    let read = part.read_at(0, &mut bytes).expect("it can be read");
    bytes.truncate(read);
    bytes
}

/// The temporary directory of the tests may be on a file system without direct writes.
fn is_direct(part: &PartFile) -> bool {
    write(part, 0, PAGE, 0).expect("there is room");
    part.direct().is_on()
}

#[test]
fn only_whole_pages_in_aligned_memory_are_written_past_the_cache() {
    let memory = vec![0; 4 * PAGE];
    let memory = &memory[memory.as_ptr().align_offset(PAGE)..];
    let pages = |offset, from: usize, len| whole_pages(offset, &[IoSlice::new(&memory[from..from + len])]);
    assert_eq!(pages(0, 0, 2 * PAGE), Some(0..2 * PAGE));
    assert_eq!(pages(5, 5, 2 * PAGE), Some(PAGE - 5..2 * PAGE - 5));
    assert_eq!(pages(0, 0, PAGE + 7), Some(0..PAGE));
    assert_eq!(pages(0, 1, 2 * PAGE), None, "memory that is not aligned");
    for (offset, len) in [(0, 0), (0, PAGE - 1), (1, PAGE), (1, 2 * PAGE - 2), (PAGE as u64 - 1, 1)] {
        assert_eq!(pages(offset, offset as usize % PAGE, len), None, "{len} bytes at {offset}");
    }
}

#[test]
fn pages_that_are_written_both_ways_one_after_the_other_hold_what_came_last() {
    let dir = dir();
    let part = part(&dir);
    let mut ought = vec![0; 4 * BLOCK as usize];
    let writes =
        [(100, 3 * PAGE), (0, 100), (3 * PAGE + 100, 50), (2 * PAGE + 1, 9 * PAGE), (PAGE, PAGE), (7, 3)];
    for (number, (offset, len)) in writes.into_iter().enumerate() {
        let byte = number as u8 + 1;
        write(&part, offset as u64, len, byte).expect("there is room");
        ought[offset..offset + len].fill(byte);
        assert_eq!(there(&part), ought, "after {len} bytes at {offset}");
    }
}

#[test]
fn a_file_system_that_refuses_a_direct_write_gets_the_same_bytes_in_the_usual_way() {
    for errno in [Errno::INVAL, Errno::OPNOTSUPP] {
        let dir = dir();
        let part = part(&dir);
        if !is_direct(&part) {
            return println!("NOT RUN: no direct writes in {}", dir.path().display());
        }
        let fault = Fault::Errno(errno.raw_os_error());
        let faults = Faults::below(dir.path(), Plan { kind: Kind::Write, fault, first: 1, count: 1 });
        write(&part, 5, 4 * PAGE, 7).expect("it is written all the same");
        assert_eq!(faults.met(), 1);
        assert!(!part.direct().is_on() && there(&part)[5..5 + 4 * PAGE].iter().all(|&byte| byte == 7));
    }
}

#[test]
fn dsk_05_an_error_of_a_direct_write_is_no_refusal() {
    let dir = dir();
    let part = part(&dir);
    let fault = Fault::Errno(Errno::IO.raw_os_error());
    let _faults = Faults::below(dir.path(), Plan { kind: Kind::Write, fault, first: 0, count: 1 });
    assert!(write(&part, 0, 4 * PAGE, 7).is_err());
}

#[test]
fn what_a_digest_will_read_again_stays_in_memory() {
    let dir = dir();
    let digest = Some(WantedDigest { algorithm: "sha-256".into(), bytes: vec![0; 32] });
    let part = place(&crate::file::Draft { digest, ..draft(dir.path()) }).expect("a part").part;
    assert!(!is_direct(&part));
}

/// The name may lead elsewhere by then: to a file that is somebody's.
#[test]
fn pth_16_a_file_in_the_parts_place_is_not_written_to() {
    let dir = dir();
    let part = part(&dir);
    let name = dir.path().join("file.bin.part");
    std::fs::rename(&name, dir.path().join("moved")).expect("it is there");
    std::fs::write(&name, "mine").expect("there is room");
    assert!(!is_direct(&part));
    assert_eq!(std::fs::read(&name).expect("it is there"), b"mine");
}
