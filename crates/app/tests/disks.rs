//! Rows DSK on real file systems and under real limits. What needs root says so where it cannot be had.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod servers_harness;

use std::fs;
use std::path::{Path, PathBuf};

use servers_harness::{MIB, large, same, thence};
use thence_origin::disks::{self, Disk, Kind};
use thence_origin::honest::{Served, Shared, handler};
use thence_origin::{Origin, files};

/// A shell that sets a limit before it becomes the program.
fn limited(limit: &str) -> [String; 4] {
    ["sh".to_owned(), "-c".to_owned(), format!("ulimit {limit}; exec \"$@\""), "sh".to_owned()]
}

fn origin(body: &[u8]) -> (Origin, Shared) {
    let file = Shared::new(Served::new(body.to_vec()));
    (Origin::start(handler(&file)), file)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn dsk_02_a_limit_on_a_files_length_is_told_and_kills_nobody() {
    let body = &large()[..4 * MIB];
    let ((origin, _file), trial) = (origin(body), thence());
    // 512 bytes a unit: the whole file cannot be reserved, and with few not even the journal's room. Less would not take what it says.
    for blocks in ["20", "100", "2000"] {
        let words = limited(&format!("-f {blocks}"));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ended = trial.start_by(&words, &["-x", "4", &origin.url("/file")]).wait();
        assert!(ended.code.is_some_and(|code| code != 0), "{blocks}: {:?} {}", ended.code, ended.said);
        ended.saying("takes no file of this size");
    }
    trial.run(&["-x", "4", &origin.url("/file")]).with(0);
    same(&trial.bytes("file"), body);
    assert_eq!(trial.names(), ["file"]);
}

#[test]
fn dsk_12_few_descriptors_lose_no_download() {
    let body = files::content(3, 400_000);
    let ((origin, _file), trial) = (origin(&body), thence());
    let urls: Vec<String> = (0..60).map(|n| origin.url(&format!("/{n}"))).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let words = limited("-n 48");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = trial.start_by(&words, &urls).wait();
    assert!(ended.code.is_some(), "{}", ended.said);
    if ended.code != Some(0) {
        println!("with 48 descriptors: code {:?}", ended.code);
        trial.run(&urls).with(0);
    }
    (0..60).for_each(|n| same(&trial.bytes(&n.to_string()), &body));
    assert_eq!(trial.names().len(), 60, "{:?}", trial.names());
}

#[test]
fn dsk_01_a_full_tmpfs_is_told_and_gone_on_with_once_there_is_room() {
    let Some(disk) = disks::wanted(disks::mounts(), || Disk::memory("size=1m")) else { return };
    let (body, root) = (&large()[..4 * MIB], text(&disk.root()));
    let ((origin, _file), trial) = (origin(body), thence());
    let ended = trial.run(&["-d", &root, &origin.url("/file")]);
    ended.with(9).saying("no room on the disk");
    disk.remount("size=16m").unwrap();
    trial.run(&["-d", &root, &origin.url("/file")]).with(0);
    same(&fs::read(disk.root().join("file")).unwrap(), body);
    assert_eq!(fs::read_dir(disk.root()).unwrap().count(), 1);
}

#[test]
fn dsk_09_an_ext4_that_turns_read_only_is_told_and_gone_on_with() {
    let can = Kind::Ext4.can_be_had();
    let Some(disk) = disks::wanted(can, || Disk::of(Kind::Ext4, 128 << 20)) else { return };
    let ((origin, file), trial, root) = (origin(large()), thence(), text(&disk.root()));
    file.change(|served| served.rate = Some(2 * MIB as u64));
    let part = disk.root().join("file.part");
    let mut running = trial.start(&["-x", "4", "-d", &root, &origin.url("/file")]);
    assert!(running.lives_until(|| part.exists() && origin.sent() > 4 * MIB as u64), "{}", running.words());
    disk.spoil().unwrap();
    let ended = running.wait();
    assert!(ended.code.is_some_and(|code| code != 0), "{:?} {}", ended.code, ended.said);
    ended.saying("file.part");
    disk.restart().unwrap();
    file.change(|served| served.rate = None);
    trial.run(&["-d", &root, &origin.url("/file")]).with(0);
    same(&fs::read(disk.root().join("file")).unwrap(), large());
}

fn exfat() -> Option<Disk> {
    disks::wanted(disks::fuses(), || Disk::exfat(64 << 20))
}

/// File systems that fold case, as many as there are here, and a directory that does on each.
fn folding() -> Vec<(Disk, PathBuf)> {
    let mut disks = Vec::new();
    if let Some(disk) = disks::wanted(disks::folds(), || Disk::memory("casefold")) {
        let dir = disk.root().join("folding");
        fs::create_dir(&dir).unwrap();
        let folds = std::process::Command::new("chattr").arg("+F").arg(&dir).status();
        assert!(folds.is_ok_and(|status| status.success()), "chattr is there and may");
        disks.push((disk, dir));
    }
    if let Some(disk) = exfat() {
        let dir = disk.root();
        disks.push((disk, dir));
    }
    disks
}

#[test]
fn dsk_15_names_that_differ_by_case_alone_never_meet() {
    for (_disk, dir) in folding() {
        let (upper, lower) = (&large()[..MIB], &large()[MIB..2 * MIB]);
        let (trial, text) = (thence(), text(&dir));
        for (name, body) in [("A.bin", upper), ("a.bin", lower)] {
            let (origin, _file) = origin(body);
            trial.run(&["-d", &text, &origin.url(&format!("/{name}"))]).with(0);
        }
        same(&fs::read(dir.join("A.bin")).unwrap(), upper);
        same(&fs::read(dir.join("a.1.bin")).unwrap(), lower);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
    }
}

#[test]
fn dsk_15_nor_do_their_parts_and_each_is_gone_on_with() {
    for (_disk, dir) in folding() {
        let bodies = [&large()[..4 * MIB], &large()[4 * MIB..8 * MIB]];
        let (trial, text) = (thence(), text(&dir));
        let ends = [("A.bin", "A.bin"), ("a.bin", "a.1.bin")].into_iter().zip(bodies);
        let origins: Vec<_> = ends
            .map(|((name, end), body)| {
                let (origin, file) = origin(body);
                file.change(|served| served.rate = Some(2 * MIB as u64));
                let (url, part) = (origin.url(&format!("/{name}")), dir.join(format!("{end}.part")));
                let mut running = trial.start(&["-x1", "-d", &text, &url]);
                let begun = running.lives_until(|| part.exists() && origin.sent() > MIB as u64);
                assert!(begun && running.kill().code.is_none(), "{end} is under way when it is killed");
                (origin, file, url, end, body)
            })
            .collect();
        for (_origin, file, url, end, body) in &origins {
            file.change(|served| served.rate = None);
            trial.run(&["-d", &text, url]).with(0).saying("goes on");
            same(&fs::read(dir.join(end)).unwrap(), body);
        }
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
    }
}

#[test]
fn pth_06_a_taken_name_is_left_alone_where_nothing_but_a_plain_rename_is_known() {
    let Some(disk) = exfat() else { return };
    let ((origin, file), trial, root) = (origin(&large()[..2 * MIB]), thence(), text(&disk.root()));
    file.change(|served| served.rate = Some(MIB as u64));
    let (part, taken) = (disk.root().join("file.bin.part"), disk.root().join("FILE.BIN"));
    let mut running = trial.start(&["-x1", "-d", &root, &origin.url("/file.bin")]);
    assert!(running.lives_until(|| part.exists()), "{}", running.words());
    fs::write(&taken, "mine").unwrap();
    running.wait().with(0);
    assert_eq!(fs::read(taken).unwrap(), b"mine");
    same(&fs::read(disk.root().join("file.1.bin")).unwrap(), &large()[..2 * MIB]);
    assert_eq!(fs::read_dir(disk.root()).unwrap().count(), 2);
}
