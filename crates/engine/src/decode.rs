//! Undoes content codings nobody asked for (R49): at most two, their growth capped.

use std::io::Write;

use bytes::Bytes;
use thence_plan::{Coding, Failure, Limits};

/// What a body always may grow to, in bytes, before the ratio counts.
const FREE: u64 = 1 << 20;

/// A chain of decoders, the first one fed by the wire. Without codings it passes bytes through untouched.
pub(crate) struct Decoder {
    chain: Vec<Stage>,
    read: u64,
    grown: u64,
    ratio: u64,
}

enum Stage {
    Gzip(flate2::write::MultiGzDecoder<Vec<u8>>),
    Deflate(flate2::write::ZlibDecoder<Vec<u8>>),
    Brotli(Box<brotli::DecompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Decoder<'static, Vec<u8>>),
}

impl Decoder {
    /// For `codings` in the order they are to be undone.
    pub(crate) fn new(codings: &[Coding], limits: &Limits) -> Result<Decoder, Failure> {
        let chain = codings.iter().map(|&coding| Stage::new(coding)).collect::<Result<_, _>>()?;
        Ok(Decoder { chain, read: 0, grown: 0, ratio: limits.decode_ratio })
    }

    /// Decodes what came.
    pub(crate) fn feed(&mut self, bytes: Bytes) -> Result<Bytes, Failure> {
        if self.chain.is_empty() {
            return Ok(bytes);
        }
        self.read += bytes.len() as u64;
        let mut out = Vec::new();
        // Fed in small bites, so that a bomb is noticed before it has grown far.
        for bite in bytes.chunks(1024) {
            out.append(&mut self.pass(0, bite)?);
        }
        Ok(out.into())
    }

    /// The end of the message: everything must be decoded to its own end.
    pub(crate) fn finish(&mut self) -> Result<Bytes, Failure> {
        let mut out = Vec::new();
        for first in 0..self.chain.len() {
            let rest = self.chain[first].finish().map_err(|e| failed(&e))?;
            out = if first + 1 < self.chain.len() {
                self.pass(first + 1, &rest)?
            } else {
                [out, rest].concat()
            };
        }
        Ok(out.into())
    }

    fn pass(&mut self, first: usize, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut bytes = bytes.to_vec();
        for stage in &mut self.chain[first..] {
            bytes = stage.feed(&bytes).map_err(|e| failed(&e))?;
            self.grown += bytes.len() as u64;
            if self.grown > FREE && self.grown / self.ratio > self.read {
                return Err(Failure::Coding(format!("it grows over {} times", self.ratio)));
            }
        }
        Ok(bytes)
    }
}

impl Stage {
    fn new(coding: Coding) -> Result<Stage, Failure> {
        Ok(match coding {
            Coding::Gzip => Stage::Gzip(flate2::write::MultiGzDecoder::new(Vec::new())),
            Coding::Deflate => Stage::Deflate(flate2::write::ZlibDecoder::new(Vec::new())),
            Coding::Brotli => Stage::Brotli(Box::new(brotli::DecompressorWriter::new(Vec::new(), 4096))),
            Coding::Zstd => {
                Stage::Zstd(zstd::stream::write::Decoder::new(Vec::new()).map_err(|e| failed(&e))?)
            }
        })
    }

    fn feed(&mut self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Stage::Gzip(d) => {
                d.write_all(bytes)?;
                Ok(std::mem::take(d.get_mut()))
            }
            Stage::Deflate(d) => {
                d.write_all(bytes)?;
                Ok(std::mem::take(d.get_mut()))
            }
            Stage::Brotli(d) => {
                d.write_all(bytes)?;
                Ok(std::mem::take(d.get_mut()))
            }
            Stage::Zstd(d) => {
                d.write_all(bytes)?;
                Ok(std::mem::take(d.get_mut()))
            }
        }
    }

    fn finish(&mut self) -> std::io::Result<Vec<u8>> {
        match self {
            Stage::Gzip(d) => {
                d.try_finish()?;
                Ok(std::mem::take(d.get_mut()))
            }
            Stage::Deflate(d) => {
                d.try_finish()?;
                Ok(std::mem::take(d.get_mut()))
            }
            Stage::Brotli(d) => {
                d.close()?;
                Ok(std::mem::take(d.get_mut()))
            }
            Stage::Zstd(d) => {
                d.flush()?;
                Ok(std::mem::take(d.get_mut()))
            }
        }
    }
}

fn failed(error: &std::io::Error) -> Failure {
    Failure::Coding(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(codings: &[Coding], bytes: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut decoder = Decoder::new(codings, &Limits::default())?;
        let mut out = decoder.feed(Bytes::copy_from_slice(bytes))?.to_vec();
        out.extend_from_slice(&decoder.finish()?);
        Ok(out)
    }

    #[test]
    fn r49_codings_are_undone_one_after_the_other() {
        let text = b"once more with codings ".repeat(1000);
        assert_eq!(decode(&[Coding::Gzip], &gzip(&text)).unwrap(), text);
        assert_eq!(decode(&[Coding::Gzip, Coding::Gzip], &gzip(&gzip(&text))).unwrap(), text);
        let zstd = zstd::encode_all(&text[..], 1).unwrap();
        assert_eq!(decode(&[Coding::Zstd], &zstd).unwrap(), text);
    }

    #[test]
    fn r49_a_coded_body_that_stops_early_is_no_whole_file() {
        let coded = gzip(&b"some text that is long enough".repeat(50));
        assert!(decode(&[Coding::Gzip], &coded[..coded.len() - 4]).is_err());
    }

    #[test]
    fn r49_a_bomb_is_noticed_before_it_has_grown_far() {
        let bomb = gzip(&gzip(&vec![0; 64 << 20]));
        assert!(matches!(decode(&[Coding::Gzip, Coding::Gzip], &bomb), Err(Failure::Coding(_))));
    }
}
