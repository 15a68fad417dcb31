//! Undoes content codings nobody asked for (R49): at most two, their growth capped, a piece at a time. What a few coded
//! bytes grow to is never held as a whole.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
use thence_plan::{Coding, Failure, Limits};

/// What a body always may grow to, in bytes, before the ratio counts.
const FREE: u64 = 1 << 20;

/// Most bytes that are undone at a time.
const PIECE: usize = 64 << 10;

const FOLLOWED: &str = "bytes follow its end";

/// A window of 8 MiB, the largest that a server may use (RFC 9659 s3).
const ZSTD_WINDOW: u32 = 23;

/// What gives bytes, or `WouldBlock` while it has none yet.
type Source = Box<dyn Read + Send>;

/// A chain of decoders, the first one fed by the wire. Without codings it passes bytes through untouched.
pub(crate) struct Decoder {
    coded: Coded,
    /// The last of the chain, which asks the one before it, and so on down to `coded`.
    chain: Option<Source>,
    read: u64,
    grown: u64,
    ratio: u64,
}

impl Decoder {
    /// For `codings` in the order they are to be undone.
    pub(crate) fn new(codings: &[Coding], limits: &Limits) -> Result<Decoder, Failure> {
        let coded = Coded::default();
        let mut chain: Option<Source> = None;
        for &coding in codings {
            let from = chain.take().unwrap_or_else(|| Box::new(coded.clone()));
            chain = Some(undo(coding, from).map_err(|e| failed(&e))?);
        }
        Ok(Decoder { coded, chain, read: 0, grown: 0, ratio: limits.decode_ratio })
    }

    /// Bytes pass through.
    pub(crate) fn is_plain(&self) -> bool {
        self.chain.is_none()
    }

    /// Takes what came. What came before must have been taken out.
    pub(crate) fn feed(&mut self, bytes: Bytes) {
        self.read += bytes.len() as u64;
        self.coded.lock().bytes = bytes;
    }

    /// The message has ended: what is still to come must be its own end.
    pub(crate) fn end(&mut self) {
        self.coded.lock().ended = true;
    }

    /// The next bytes of the file, never none; `None` when it takes more of the message to tell them.
    pub(crate) fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(chain) = &mut self.chain else {
            let bytes = std::mem::take(&mut self.coded.lock().bytes);
            return Ok(Some(bytes).filter(|bytes| !bytes.is_empty()));
        };
        if self.read == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; PIECE];
        let len = match chain.read(&mut piece) {
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        if len == 0 {
            let over = self.coded.lock().bytes.is_empty();
            return if over { Ok(None) } else { Err(Failure::Coding(FOLLOWED.into())) };
        }
        self.grown += len as u64;
        if self.grown > FREE && self.grown / self.ratio > self.read {
            return Err(Failure::Coding(format!("it grows over {} times", self.ratio)));
        }
        piece.truncate(len);
        Ok(Some(piece.into()))
    }
}

/// What undoes one coding of what `from` gives. It may be asked again after `from` had nothing yet.
fn undo(coding: Coding, from: Source) -> io::Result<Source> {
    Ok(match coding {
        Coding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(from)),
        Coding::Deflate => {
            Box::new(Inflate { from: BufReader::new(from), state: Decompress::new(true), ended: false })
        }
        Coding::Brotli => Box::new(Unbrotli(brotli::Decompressor::new(from, 4096))),
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(from)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
    })
}

/// What came over the wire and was not undone yet; clones are the same.
#[derive(Clone, Default)]
struct Coded(Arc<Mutex<Wire>>);

#[derive(Default)]
struct Wire {
    bytes: Bytes,
    ended: bool,
}

impl Coded {
    /// A panic under this lock leaves bytes that are whole.
    fn lock(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for Coded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.lock();
        if wire.bytes.is_empty() && !wire.ended {
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = into.len().min(wire.bytes.len());
        wire.bytes.copy_to_slice(&mut into[..len]);
        Ok(len)
    }
}

/// The coding `deflate` (RFC 9110 s8.4.1.2). flate2's own reader takes a stream that stops early for a whole one.
struct Inflate {
    from: BufReader<Source>,
    state: Decompress,
    ended: bool,
}

impl Read for Inflate {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.ended {
            let coded = self.from.fill_buf()?;
            if coded.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let (read, grown) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(coded, into, FlushDecompress::None)?;
            self.ended = status == Status::StreamEnd;
            let used = self.state.total_in() - read;
            self.from.consume(used as usize);
            let len = (self.state.total_out() - grown) as usize;
            if len > 0 {
                return Ok(len);
            }
        }
        if self.from.fill_buf()?.is_empty() { Ok(0) } else { Err(io::Error::other(FOLLOWED)) }
    }
}

/// The coding `br` (RFC 7932). Its reader leaves alone what follows the end, which may be the end of the coding around it.
struct Unbrotli(brotli::Decompressor<Source>);

impl Read for Unbrotli {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.0.read(into)?;
        if len > 0 {
            return Ok(len);
        }
        // Asked once more after its end, it says if it had read too much.
        let more = self.0.read(into)? + self.0.get_mut().read(&mut [0])?;
        if more == 0 { Ok(0) } else { Err(io::Error::other(FOLLOWED)) }
    }
}

fn failed(error: &io::Error) -> Failure {
    Failure::Coding(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn brotli(bytes: &[u8]) -> Vec<u8> {
        let mut coded = Vec::new();
        brotli::CompressorWriter::new(&mut coded, 4096, 9, 22).write_all(bytes).unwrap();
        coded
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    type Code = fn(&[u8]) -> Vec<u8>;

    const ALL: [(Coding, Code); 4] =
        [(Coding::Gzip, gzip), (Coding::Deflate, deflate), (Coding::Brotli, brotli), (Coding::Zstd, zstd)];

    /// Undone as it comes, so many coded bytes at a time; the longest piece as well.
    fn decode(codings: &[Coding], bytes: &[u8], together: usize) -> Result<Vec<u8>, Failure> {
        let mut decoder = Decoder::new(codings, &Limits::default())?;
        let mut out = Vec::new();
        for some in bytes.chunks(together) {
            decoder.feed(Bytes::copy_from_slice(some));
            while let Some(piece) = decoder.piece()? {
                assert!(piece.len() <= PIECE);
                out.extend_from_slice(&piece);
            }
        }
        decoder.end();
        while let Some(piece) = decoder.piece()? {
            out.extend_from_slice(&piece);
        }
        Ok(out)
    }

    #[test]
    fn r49_codings_are_undone_one_after_the_other_however_they_come() {
        let text: Vec<u8> = (0..40_000_u32).flat_map(|number| (number * number).to_le_bytes()).collect();
        for (coding, code) in ALL {
            for together in [1, 7, 4096, usize::MAX] {
                let once = decode(&[coding], &code(&text), together);
                assert!(once.as_ref() == Ok(&text), "{coding:?} {together}: {:?}", once.err());
                let twice = decode(&[coding, coding], &code(&code(&text)), together).unwrap();
                assert!(twice == text, "{coding:?} twice, {together}");
            }
            assert!(decode(&[coding], &code(&[]), 1).unwrap().is_empty(), "{coding:?}");
            assert!(decode(&[coding], &[], 1).unwrap().is_empty(), "{coding:?}");
        }
        let members = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(decode(&[Coding::Gzip], &members, 5).unwrap(), b"one two");
    }

    #[test]
    fn r49_a_coded_body_that_stops_early_is_no_whole_file() {
        let text = b"some text that is long enough".repeat(50);
        for (coding, code) in ALL {
            let coded = code(&text);
            for len in 1..coded.len() {
                assert!(
                    decode(&[coding], &coded[..len], 4096).is_err(),
                    "{coding:?}, {len} of {}",
                    coded.len()
                );
            }
        }
    }

    #[test]
    fn r49_bytes_after_the_end_are_refused() {
        for (coding, code) in ALL {
            let more = [code(b"text"), b"more than there is".to_vec()].concat();
            assert!(decode(&[coding], &more, 1).is_err(), "{coding:?}");
        }
    }

    #[test]
    fn r49_a_bomb_is_noticed_before_it_has_grown_far() {
        for (coding, code) in ALL {
            let bomb = code(&code(&vec![0; 64 << 20]));
            let mut decoder = Decoder::new(&[coding, coding], &Limits::default()).unwrap();
            decoder.feed(bomb.into());
            let mut grown = 0;
            let end = loop {
                match decoder.piece() {
                    Ok(Some(piece)) => grown += piece.len(),
                    other => break other,
                }
            };
            assert!(matches!(end, Err(Failure::Coding(_))), "{coding:?}");
            assert!(grown < 16 << 20, "{coding:?}: {grown}");
        }
    }

    /// RFC 9659 s3: a window of more than 8 MiB is refused, whatever is in it.
    #[test]
    fn r49_a_large_window_is_refused() {
        let frame = |window: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, window, 1, 0, 0];
        assert!(decode(&[Coding::Zstd], &frame(13 << 3), 4096).unwrap().is_empty());
        assert!(decode(&[Coding::Zstd], &frame(14 << 3), 4096).is_err());
    }
}
