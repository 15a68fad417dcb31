//! Lies about where a body ends and what it is coded in: rows FRM.

use super::bend::End::{LengthUnknown, Refused, Whole};
use super::bend::{Behaviour, Handler, TWICE, bent, bent_parts, own, row};
use crate::files::digest_field;
use crate::honest::{Answer, Shared};
use crate::reply::Reply;

const ALWAYS: usize = usize::MAX;

pub(super) const ALL: &[Behaviour] = &[
    row("frm_01", "closes one byte before the end, twice", Whole, |file| {
        own(file, TWICE, |_, answer, out| {
            let mut short = answer.clone();
            short.span.1 -= 1;
            out.head(answer.status, &answer.head());
            short.send_body(out);
            out.close();
        })
    }),
    row("frm_02_a", "chunked without the last chunk, twice", Whole, |file| {
        own(file, TWICE, |_, answer, out| {
            chunked(answer, out);
            out.close();
        })
    }),
    row("frm_02_b", "chunked, the last chunk without its last CRLF, twice", Whole, |file| {
        own(file, TWICE, |_, answer, out| {
            chunked(answer, out);
            out.raw("0\r\n").close();
        })
    }),
    row("frm_02_c", "properly chunked, no length, no ranges", Whole, |file| {
        file.change(|served| served.ranges = false);
        own(file, ALWAYS, |_, answer, out| {
            chunked(answer, out);
            out.last_chunk();
        })
    }),
    row("frm_03_a", "two different Content-Lengths", Refused, |file| {
        lengths(file, |len| format!("{len}\nContent-Length: {}", len - 1))
    }),
    row("frm_03_b", "the same Content-Length twice in one field", Whole, |file| {
        lengths(file, |len| format!("{len}, {len}"))
    }),
    row("frm_03_c", "Content-Length with a plus sign", Refused, |file| {
        lengths(file, |len| format!("+{len}"))
    }),
    row("frm_03_d", "Content-Length in hex", Refused, |file| lengths(file, |len| format!("{len:#x}"))),
    row("frm_03_e", "Content-Length with a blank after it", Whole, |file| {
        lengths(file, |len| format!("{len} "))
    }),
    row("frm_03_f", "Content-Length -1", Refused, |file| lengths(file, |_| "-1".into())),
    row("frm_03_g", "Content-Length 2^64", Refused, |file| lengths(file, |_| "18446744073709551616".into())),
    row("frm_04", "chunked and Content-Length together", Refused, |file| {
        own(file, ALWAYS, |_, answer, out| {
            out.head(answer.status, &format!("{}Transfer-Encoding: chunked", answer.head()));
            chunks(answer, out);
            out.last_chunk();
        })
    }),
    row("frm_05_a", "chunked over HTTP/1.0", Refused, |file| {
        own(file, ALWAYS, |_, answer, out| {
            out.raw("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            chunks(answer, out);
            out.last_chunk().close();
        })
    }),
    row("frm_05_b", "`Transfer-Encoding: chunked, gzip`", Refused, |file| transfer(file, "chunked, gzip")),
    row("frm_05_c", "`Transfer-Encoding: gzip, chunked`", Refused, |file| transfer(file, "gzip, chunked")),
    row("frm_05_d", "`Transfer-Encoding: xchunked`", Refused, |file| transfer(file, "xchunked")),
    row("frm_06_a", "a chunk size of 2^64 - 1", Refused, |file| chunk_size(file, "ffffffffffffffff\r\n")),
    row("frm_06_b", "a chunk size of 17 hex digits", Refused, |file| {
        chunk_size(file, "10000000000000000\r\n")
    }),
    row("frm_06_c", "a negative chunk size", Refused, |file| chunk_size(file, "-8\r\n")),
    row("frm_06_d", "a chunk size ended by a bare LF", Refused, |file| {
        file.change(|served| served.ranges = false);
        own(file, ALWAYS, |_, answer, out| {
            let len = answer.span.1 - answer.span.0;
            out.head(200, &unframed(answer, "Transfer-Encoding: chunked")).raw(format!("{len:x}\n"));
            answer.send_body(out);
            out.raw("\n0\n\n").close();
        })
    }),
    row("frm_07_a", "100 MiB of chunk extensions", Refused, |file| {
        file.change(|served| served.ranges = false);
        own(file, ALWAYS, |_, answer, out| {
            let len = answer.span.1 - answer.span.0;
            out.head(200, &unframed(answer, "Transfer-Encoding: chunked")).raw(format!("{len:x}"));
            let extensions = ";extension=value".repeat(65_536);
            for _mebibyte in 0..100 {
                out.raw(&extensions);
            }
            out.raw("\r\n");
            answer.send_body(out);
            out.raw("\r\n").last_chunk();
        })
    }),
    row("frm_07_b", "chunks of one byte", Whole, |file| {
        file.change(|served| served.ranges = false);
        own(file, ALWAYS, |_, answer, out| {
            out.head(200, &unframed(answer, "Transfer-Encoding: chunked"));
            let bytes = answer.body.bytes(answer.span.0, answer.span.1);
            for some in bytes.chunks(4096) {
                let tiny: Vec<u8> =
                    some.iter().flat_map(|&byte| [b'1', b'\r', b'\n', byte, b'\r', b'\n']).collect();
                out.raw(tiny);
            }
            out.last_chunk();
        })
    }),
    row("frm_08", "the body ends with the connection, no length, no ranges", LengthUnknown, |file| {
        file.change(|served| served.ranges = false);
        own(file, ALWAYS, |_, answer, out| {
            out.head(200, &unframed(answer, "Connection: close"));
            answer.send_body(out);
            out.close();
        })
    }),
    row("frm_08_reset", "the same, but a reset ends it in the middle", Refused, |file| {
        file.change(|served| served.ranges = false);
        own(file, ALWAYS, |_, answer, out| {
            let mut half = answer.clone();
            half.span.1 /= 2;
            out.head(200, &unframed(answer, "Connection: close"));
            half.send_body(out);
            out.pause(std::time::Duration::from_millis(20)).reset();
        })
    }),
    row("frm_09", "a second answer after each body", Whole, |file| {
        own(file, ALWAYS, |request, answer, out| {
            answer.send(request, out);
            out.raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake");
        })
    }),
    row("frm_11_a", "HTTP/0.9: a body and nothing else", Refused, |file| {
        own(file, ALWAYS, |_, answer, out| {
            answer.send_body(out);
            out.close();
        })
    }),
    row("frm_11_b", "junk instead of a status line", Refused, |file| {
        head(file, "ICY 200 OK\r\nContent-Length: LEN\r\n\r\n")
    }),
    row("frm_11_c", "a field without a colon", Refused, |file| {
        head(file, "HTTP/1.1 200 OK\r\nContent-Length: LEN\r\nno colon here\r\n\r\n")
    }),
    row("frm_11_d", "a NUL in a field", Refused, |file| {
        head(file, "HTTP/1.1 200 OK\r\nContent-Length: LEN\r\nX: a\0b\r\n\r\n")
    }),
    row("frm_11_e", "a field folded over two lines", Refused, |file| {
        head(file, "HTTP/1.1 200 OK\r\nContent-Length: LEN\r\nX: a\r\n b\r\n\r\n")
    }),
    row("frm_14", "a body that ends with the connection, cut off without close_notify", Refused, |file| {
        file.change(|served| served.ranges = false);
        own(file, ALWAYS, |_, answer, out| {
            let mut half = answer.clone();
            half.span.1 /= 2;
            out.head(200, &unframed(answer, "Connection: close"));
            half.send_body(out);
            out.cut();
        })
    })
    .over_tls(),
    row("frm_17", "a wrong Content-Digest on a part, twice", Whole, |file| {
        bent_parts(file, TWICE, |_, answer| {
            answer.set("Content-Digest", &format!("sha-256=:{}=:", "A".repeat(43)));
        })
    }),
    row("frm_17_b", "a wrong Content-Digest on every answer", Refused, |file| {
        bent(file, |_, answer| {
            answer.set("Content-Digest", &digest_field(b"other bytes"));
        })
    }),
    row("frm_17_c", "right digests of each part and of the whole", Whole, |file| {
        bent(file, |_, answer| {
            let (body, (first, end)) = (&answer.body, answer.span);
            let (part, whole) =
                (digest_field(body.bytes(first, end)), digest_field(body.bytes(0, body.len())));
            answer.set("Content-Digest", &part).set("Repr-Digest", &whole);
        })
    }),
    row("frm_20", "gzip, unasked", Whole, |file| {
        file.change(|served| served.ranges = false);
        own(file, ALWAYS, |_, answer, out| {
            let mut coded = answer.clone();
            coded.remove("Content-Length").set("Content-Encoding", "gzip").set("Content-Type", "text/plain");
            out.answer(200, &coded.head(), answer.body.gzipped());
        })
    }),
];

/// The fields of `answer` with another framing.
fn unframed(answer: &Answer, framing: &str) -> String {
    let mut other = answer.clone();
    other.remove("Content-Length");
    other.head() + framing
}

/// Head and chunks, without the last one.
fn chunked(answer: &Answer, out: &mut Reply) {
    out.head(answer.status, &unframed(answer, "Transfer-Encoding: chunked"));
    chunks(answer, out);
}

fn chunks(answer: &Answer, out: &mut Reply) {
    if let Some(rate) = answer.rate {
        out.rate(rate);
    }
    let (mut at, end) = answer.span;
    while at < end && out.alive() {
        let next = end.min(at + 10_000);
        out.chunk(answer.body.bytes(at, next));
        at = next;
    }
}

/// Whole bodies with this Content-Length.
fn lengths(file: &Shared, length: fn(u64) -> String) -> Handler {
    file.change(|served| served.ranges = false);
    own(file, ALWAYS, move |_, answer, out| {
        let length = length(answer.span.1 - answer.span.0);
        out.head(200, &unframed(answer, &format!("Content-Length: {length}")));
        answer.send_body(out);
        out.close();
    })
}

fn transfer(file: &Shared, codings: &'static str) -> Handler {
    own(file, ALWAYS, move |_, answer, out| {
        out.head(200, &unframed(answer, &format!("Transfer-Encoding: {codings}")));
        chunks(answer, out);
        out.last_chunk().close();
    })
}

fn chunk_size(file: &Shared, size: &'static str) -> Handler {
    own(file, ALWAYS, move |_, answer, out| {
        out.head(200, &unframed(answer, "Transfer-Encoding: chunked")).raw(size);
        answer.send_body(out);
        out.close();
    })
}

/// The whole body after a head of its own, `LEN` being the length.
fn head(file: &Shared, head: &'static str) -> Handler {
    own(file, ALWAYS, move |_, answer, out| {
        out.raw(head.replace("LEN", &answer.body.len().to_string()));
        out.body(answer.body.bytes(0, answer.body.len())).close();
    })
}
