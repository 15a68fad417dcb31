//! The limit that downloads to disk are compared with: a loop that receives 256 KiB and writes them where they belong. It
//! hashes nothing, keeps no journal, checks no head, and syncs nothing; each lane is a thread with its part of the file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::thread;

const BUFFER: usize = 256 << 10;

/// `bare HOST:PORT PATH FILE SIZE LANES`
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let [host, path, file, size, lanes] = args else {
        return Err("bare HOST:PORT PATH FILE SIZE LANES".into());
    };
    let size: u64 = size.parse().map_err(|_| "SIZE is a number")?;
    let lanes: u64 = lanes.parse().map_err(|_| "LANES is a number")?;
    let target = File::create(file).map_err(|error| format!("{file}: {error}"))?;
    let share = size.div_ceil(lanes.max(1)).next_multiple_of(1 << 20);
    let parts = (0..size).step_by(share as usize).map(|first| (first, size.min(first + share)));
    thread::scope(|scope| {
        let started: Vec<_> = parts
            .map(|(first, end)| {
                scope.spawn({
                    let target = &target;
                    move || lane(host, path, target, first, end)
                })
            })
            .collect();
        let ended = started.into_iter().map(|lane| lane.join().map_err(|_| "a lane panicked".to_owned()));
        ended.into_iter().try_for_each(|lane| lane?.map_err(|error| format!("{host}: {error}")))
    })
}

fn lane(host: &str, path: &str, target: &File, first: u64, end: u64) -> io::Result<()> {
    let mut socket = TcpStream::connect(host)?;
    let last = end - 1;
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nRange: bytes={first}-{last}\r\nConnection: close\r\n\r\n"
    )?;
    let mut buffer = vec![0; BUFFER];
    let (mut at, mut held) = (first, 0);
    let mut body = false;
    while at < end {
        let len = socket.read(&mut buffer[held..])?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        held += len;
        let start = match body {
            true => 0,
            false => match buffer[..held].windows(4).position(|four| four == b"\r\n\r\n") {
                Some(head) => head + 4,
                None => continue,
            },
        };
        body = true;
        target.write_all_at(&buffer[start..held], at)?;
        at += (held - start) as u64;
        held = 0;
    }
    Ok(())
}
