//! Servers that send more than anyone asked for: rows DOS, and what grows to it (R49).

use std::io::Write;

use super::bend::End::{Refused, Whole};
use super::bend::{Behaviour, Handler, own, row};
use crate::honest::Shared;
use crate::reply::Reply;

const ALWAYS: usize = usize::MAX;

/// Fields of a head that no client should hold.
const FIELDS: usize = 1_000_000;

/// Cookies of a head that no client should hold.
const COOKIES: usize = 100_000;

/// Fields that are written at a time.
const PIECE: usize = 1_000;

/// What a server says after the end of a body.
const BEYOND: usize = 64 << 10;

pub(super) const ALL: &[Behaviour] = &[
    row("dos_01_a", "a million fields in every head", Refused, |file| heads(file, 200, "X-Flood: ", FIELDS)),
    row("dos_01_b", "a hundred thousand Set-Cookie in every head", Refused, |file| {
        heads(file, 200, "Set-Cookie: a=", COOKIES)
    }),
    row("dos_01_c", "one field of 64 MiB in every head", Refused, |file| {
        own(file, ALWAYS, |_, answer, out| {
            out.raw(format!("HTTP/1.1 {} Flood\r\nX-Flood: ", answer.status));
            for _mebibyte in 0..64 {
                out.raw([b'x'; 1 << 20]);
            }
            out.raw(format!("\r\n{}\r\n", answer.head().replace('\n', "\r\n")));
            answer.send_body(out);
            out.close();
        })
    }),
    row("dos_01_d", "redirects to itself, each with a hundred thousand Set-Cookie", Refused, |file| {
        heads(file, 302, "Set-Cookie: a=", COOKIES)
    }),
    row("dos_02", "64 KiB more after each body", Whole, |file| {
        own(file, ALWAYS, |request, answer, out| {
            answer.send(request, out);
            out.raw([b'x'; BEYOND]).close();
        })
    }),
    row("dos_03", "Content-Length 2^63 - 1, and the connection ends where the file does", Refused, |file| {
        file.change(|served| served.ranges = false);
        own(file, ALWAYS, |_, answer, out| {
            let mut huge = answer.clone();
            huge.set("Content-Length", "9223372036854775807");
            out.head(200, &huge.head());
            answer.send_body(out);
            out.close();
        })
    }),
    row("r49_gzip", "a gzip bomb, unasked", Refused, |file| coded(file, "gzip", || gzip(&zeros()))),
    row("r49_gzip_twice", "a gzip bomb in gzip, unasked", Refused, |file| {
        coded(file, "gzip, gzip", || gzip(&gzip(&zeros())))
    }),
    row("r49_br", "a brotli bomb, unasked", Refused, |file| coded(file, "br", brotli_bomb)),
    row("r49_zstd", "a zstd bomb, unasked", Refused, |file| coded(file, "zstd", zstd_bomb)),
    row("url_09_b", "a redirect with a gzip bomb, then honest", Whole, |file| {
        let bomb = gzip(&zeros());
        own(file, 1, move |_, _, out| {
            out.answer(302, "Location: /target\nContent-Encoding: gzip", &bomb);
        })
    }),
];

/// What bombs grow to: no client should hold it, and we can while we make them.
const BOMB: usize = 64 << 20;

fn zeros() -> Vec<u8> {
    vec![0; BOMB]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut coded = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    coded.write_all(bytes).and_then(|()| coded.finish()).expect("memory does not fail to be written")
}

fn brotli_bomb() -> Vec<u8> {
    let mut coded = Vec::new();
    let written = brotli::CompressorWriter::new(&mut coded, 1 << 16, 9, 22).write_all(&zeros());
    written.expect("memory does not fail to be written");
    coded
}

/// A frame of blocks that are each one byte 128 KiB times over (RFC 8878 s3.1.1.2).
fn zstd_bomb() -> Vec<u8> {
    const TIMES: usize = 128 << 10;
    let block = |last: usize| [&(TIMES << 3 | 1 << 1 | last).to_le_bytes()[..3], &[0]].concat();
    // The magic, a head that tells neither length nor checksum, and a window of 8 MiB.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3];
    frame.extend(block(0).repeat(BOMB / TIMES - 1));
    frame.extend(block(1));
    frame
}

/// Whole bodies in that coding.
fn coded(file: &Shared, coding: &'static str, bomb: fn() -> Vec<u8>) -> Handler {
    file.change(|served| served.ranges = false);
    let bomb = bomb();
    own(file, ALWAYS, move |_, answer, out| {
        let mut head = answer.clone();
        head.remove("Content-Length").set("Content-Encoding", coding).set("Content-Type", "text/plain");
        out.answer(200, &head.head(), &bomb);
    })
}

/// Heads with that field so many times, and the body after it.
fn heads(file: &Shared, status: u16, field: &'static str, times: usize) -> Handler {
    own(file, ALWAYS, move |request, answer, out| {
        let status = if status == 200 { answer.status } else { status };
        out.raw(format!("HTTP/1.1 {status} Flood\r\n"));
        for from in (0..times).step_by(PIECE) {
            if out.alive() {
                flood(out, field, from);
            }
        }
        let location =
            if status == 302 { format!("Location: /x{}\r\n", request.number) } else { String::new() };
        out.raw(location + &answer.head().replace('\n', "\r\n") + "\r\n");
        answer.send_body(out);
        out.close();
    })
}

fn flood(out: &mut Reply, field: &str, from: usize) {
    let lines: String = (from..from + PIECE).map(|number| format!("{field}{number}\r\n")).collect();
    out.raw(lines);
}
