//! Servers of HTTP/2 that send frames no client needs (FRM-16), written a frame at a time (RFC 9113).
//!
//! Each serves one file, whole and whatever was asked for: that needs no reading of compressed heads.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::ServerConfig;

use crate::behaviours::End;
use crate::ca::Leaf;
use crate::honest::Shared;
use crate::scripted::Origin;
use crate::wire::{Stage, Wire};

/// What every client says first (RFC 9113 s3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame's head.
const HEAD: usize = 9;

/// Longest payload that a client takes unless it says otherwise (RFC 9113 s6.5.2).
const PAYLOAD: usize = 16_384;

/// Frames that are written at a time.
const TOGETHER: usize = 512;

/// Window of a stream and of a connection until the client says otherwise (RFC 9113 s6.9.2), and the name of what says it.
const WINDOW: i64 = 65_535;
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];

/// A piece of a file, and how long is waited for a window that takes it.
const PIECE: (usize, Duration) = (PAYLOAD, Duration::from_millis(1));

// Types of frames and their flags (RFC 9113 s6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const UNKNOWN: u8 = 0xbe;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// A way to flood.
pub struct Flood {
    /// The test case, in lower case and with its sub-case.
    pub id: &'static str,
    /// What the server does.
    pub what: &'static str,
    /// What must come of it.
    pub end: End,
    answer: fn(&mut Stream<'_>, &[u8]) -> io::Result<()>,
}

/// A connection, and the stream on it that asks.
struct Stream<'a> {
    stage: &'a Stage,
    wire: &'a mut Wire,
    id: u32,
    etag: String,
    /// What was read and not yet looked at.
    heard: Vec<u8>,
    asked: bool,
    /// Window of a new stream, of this one, and of the connection (RFC 9113 s5.2).
    initial: i64,
    window: i64,
    together: i64,
}

/// Every flood.
pub const ALL: &[Flood] = &[
    flood("frm_16_a", "PING for ever before the head", End::Refused, |to, _| to.forever(PING, 0, 0, &[7; 8])),
    flood("frm_16_b", "PING for ever in the body", End::Refused, |to, file| {
        to.head(file.len())?;
        to.forever(PING, 0, 0, &[7; 8])
    }),
    flood("frm_16_c", "PING for ever, and no answer to it is read", End::Refused, |to, _| {
        to.deaf(PING, &[7; 8])
    }),
    flood("frm_16_d", "SETTINGS for ever, and no answer to it is read", End::Refused, |to, _| {
        to.deaf(SETTINGS, &[0, 3, 0, 0, 0, 100])
    }),
    flood("frm_16_e", "SETTINGS for ever in the body", End::Refused, |to, file| {
        to.head(file.len())?;
        to.forever(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])
    }),
    flood("frm_16_f", "a head of CONTINUATION frames without end", End::Refused, |to, _| {
        to.send(HEADERS, 0, to.id, &[])?;
        to.forever(CONTINUATION, 0, to.id, &literal("x-flood", "more and more"))
    }),
    flood("frm_16_g", "a head of empty CONTINUATION frames without end", End::Refused, |to, _| {
        to.send(HEADERS, 0, to.id, &[])?;
        to.forever(CONTINUATION, 0, to.id, &[])
    }),
    flood("frm_16_h", "empty DATA for ever", End::Refused, |to, file| {
        to.head(file.len())?;
        to.forever(DATA, 0, to.id, &[])
    }),
    flood("frm_16_i", "DATA of nothing but padding for ever", End::Refused, |to, file| {
        to.head(file.len())?;
        let mut padding = [0; 256];
        padding[0] = 255;
        to.forever(DATA, PADDED, to.id, &padding)
    }),
    flood("frm_16_j", "interim heads for ever", End::Refused, |to, _| {
        to.forever(HEADERS, END_HEADERS, to.id, &status("103"))
    }),
    flood("frm_16_k", "WINDOW_UPDATE for ever", End::Refused, |to, file| {
        to.head(file.len())?;
        to.forever(WINDOW_UPDATE, 0, to.id, &[0, 0, 0, 1])
    }),
    flood("frm_16_l", "PRIORITY for ever", End::Refused, |to, file| {
        to.head(file.len())?;
        to.forever(PRIORITY, 0, to.id + 2, &[0, 0, 0, 0, 1])
    }),
    flood("frm_16_m", "frames of a type nobody knows for ever", End::Refused, |to, file| {
        to.head(file.len())?;
        to.forever(UNKNOWN, 0, to.id, &[1; 64])
    }),
    flood("frm_16_n", "promises to push for ever", End::Refused, |to, _| {
        let promise = [&[0, 0, 0, 2][..], &[0x82, 0x87, 0x84], &literal(":authority", "localhost")].concat();
        to.forever(PUSH_PROMISE, END_HEADERS, to.id, &promise)
    }),
    flood("frm_16_o", "every stream is reset", End::Refused, |to, _| {
        to.send(RST_STREAM, 0, to.id, &[0, 0, 0, 7])
    }),
    flood("frm_16_p", "every connection is told to go away", End::Refused, |to, _| {
        to.send(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11])
    }),
    flood("frm_16_q", "a window of zero for ever, and the file", End::Whole, |to, file| {
        to.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])?;
        to.whole(file)
    }),
    flood("frm_16_r", "told to go away after this stream, and the file", End::Whole, |to, file| {
        to.send(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0])?;
        to.whole(file)
    }),
    flood("frm_16_s", "the file a byte a frame", End::Whole, |to, file| {
        to.head(file.len())?;
        to.pieces(file, 1)?;
        to.send(DATA, END_STREAM, to.id, &[])
    }),
    flood("frm_16_t", "the file, and trailers of a mebibyte", End::Whole, |to, file| {
        to.head(file.len())?;
        to.pieces(file, PAYLOAD)?;
        to.send(HEADERS, END_STREAM, to.id, &[])?;
        for _field in 0..(1 << 20) / PAYLOAD {
            to.send(CONTINUATION, 0, to.id, &literal("x-flood", &"x".repeat(PAYLOAD / 2)))?;
        }
        to.send(CONTINUATION, END_HEADERS, to.id, &[])
    }),
];

const fn flood(
    id: &'static str,
    what: &'static str,
    end: End,
    answer: fn(&mut Stream<'_>, &[u8]) -> io::Result<()>,
) -> Flood {
    Flood { id, what, end, answer }
}

impl Flood {
    /// A server that floods so whoever comes there, over TLS and with HTTP/2 alone.
    pub fn start(&self, listener: TcpListener, leaf: &Leaf, file: &Shared) -> Origin {
        let mut config: ServerConfig = (*leaf.config()).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let (file, answer) = (file.clone(), self.answer);
        Origin::converse(listener, Some(Arc::new(config)), move |stage, wire, _| {
            let mut preface = [0; PREFACE.len()];
            wire.read_exact(&mut preface)?;
            let served = file.now();
            let (body, etag) = (served.body.bytes(0, served.body.len()), served.etag.unwrap_or_default());
            let mut to = Stream::new(stage, wire, etag);
            to.send(SETTINGS, 0, 0, &[])?;
            while to.asked()? {
                answer(&mut to, &body)?;
            }
            Ok(())
        })
    }
}

impl fmt::Debug for Flood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.what)
    }
}

impl<'a> Stream<'a> {
    fn new(stage: &'a Stage, wire: &'a mut Wire, etag: String) -> Stream<'a> {
        let (heard, asked) = (Vec::new(), false);
        Stream { stage, wire, id: 0, etag, heard, asked, initial: WINDOW, window: WINDOW, together: WINDOW }
    }

    /// Reads up to the next request; false when the client has closed.
    fn asked(&mut self) -> io::Result<bool> {
        while !std::mem::take(&mut self.asked) {
            let mut bytes = [0; PAYLOAD];
            match self.wire.read(&mut bytes)? {
                0 => return Ok(false),
                len => self.look(&bytes[..len])?,
            }
        }
        Ok(true)
    }

    /// Looks at what was read, whole frames only.
    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.heard.extend_from_slice(bytes);
        while let Some((&[a, b, c, kind, flags, ref id @ ..], rest)) = self.heard.split_first_chunk::<HEAD>()
        {
            let (len, id) = (u32::from_be_bytes([0, a, b, c]) as usize, u32::from_be_bytes(*id));
            let Some(payload) = rest.get(..len).map(<[u8]>::to_vec) else { break };
            self.heard.drain(..HEAD + len);
            self.obey(kind, flags, id, &payload)?;
        }
        Ok(())
    }

    fn obey(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) -> io::Result<()> {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte));
        match kind {
            SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks_exact(6).filter(|setting| setting[..2] == INITIAL_WINDOW_SIZE) {
                    let initial = number(&setting[2..]);
                    self.window += initial - self.initial;
                    self.initial = initial;
                }
                self.send(SETTINGS, ACK, 0, &[])?;
            }
            WINDOW_UPDATE if id == 0 => self.together += number(payload),
            WINDOW_UPDATE if id == self.id => self.window += number(payload),
            HEADERS => (self.asked, self.id, self.window) = (true, id, self.initial),
            RST_STREAM => return Err(io::ErrorKind::ConnectionAborted.into()),
            _ => {}
        }
        Ok(())
    }

    fn send(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) -> io::Result<()> {
        self.wire.write_all(&frame(kind, flags, id, payload))?;
        self.wire.flush()
    }

    /// The head of a 200 with that many bytes to come.
    fn head(&mut self, len: usize) -> io::Result<()> {
        let fields =
            [status("200"), literal("content-length", &len.to_string()), literal("etag", &self.etag)];
        self.send(HEADERS, END_HEADERS, self.id, &fields.concat())
    }

    /// The file as an honest server sends it.
    fn whole(&mut self, file: &[u8]) -> io::Result<()> {
        self.head(file.len())?;
        self.pieces(file, PAYLOAD)?;
        self.send(DATA, END_STREAM, self.id, &[])
    }

    /// DATA frames of so many bytes, within the client's windows.
    fn pieces(&mut self, file: &[u8], bytes: usize) -> io::Result<()> {
        let (together, pause) = PIECE;
        for some in file.chunks(together) {
            let len = some.len() as i64;
            while self.window.min(self.together) < len {
                std::thread::sleep(pause);
                self.hear()?;
            }
            (self.window, self.together) = (self.window - len, self.together - len);
            let frames: Vec<u8> = some.chunks(bytes).flat_map(|data| frame(DATA, 0, self.id, data)).collect();
            self.wire.write_all(&frames)?;
        }
        Ok(())
    }

    /// The same frame until the client has gone, whose answers are read.
    fn forever(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) -> io::Result<()> {
        let frames = frame(kind, flags, id, payload).repeat(TOGETHER);
        loop {
            self.wire.write_all(&frames)?;
            self.hear()?;
        }
    }

    /// The same frame until the client has gone. Nothing is read: its answers have nowhere to go.
    fn deaf(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let frames = frame(kind, 0, 0, payload).repeat(TOGETHER);
        loop {
            self.wire.write_all(&frames)?;
        }
    }

    /// Reads what has come.
    fn hear(&mut self) -> io::Result<()> {
        if self.stage.stopping.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.wire.socket.set_nonblocking(true)?;
        let heard = loop {
            let mut bytes = [0; PAYLOAD];
            match self.wire.read(&mut bytes) {
                Ok(0) => break Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => self.look(&bytes[..len])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.wire.socket.set_nonblocking(false)?;
        heard
    }
}

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[a, b, c, kind, flags], &id.to_be_bytes()[..], payload].concat()
}

/// A field that is not compressed (RFC 7541 s6.2.2).
fn literal(name: &str, value: &str) -> Vec<u8> {
    [vec![0], string(name), string(value)].concat()
}

fn status(code: &str) -> Vec<u8> {
    literal(":status", code)
}

/// A length of seven bits and more (RFC 7541 s5.1), and the text.
fn string(text: &str) -> Vec<u8> {
    let (mut bytes, mut left) = (Vec::new(), text.len());
    if left < 127 {
        bytes.push(left as u8);
    } else {
        bytes.push(127);
        left -= 127;
        while left >= 128 {
            bytes.push((left % 128) as u8 | 128);
            left /= 128;
        }
        bytes.push(left as u8);
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}
