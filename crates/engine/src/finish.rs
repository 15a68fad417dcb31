//! From a whole part to its file: the digest and the signature, if they are wanted, each on a thread of its own, then the
//! finish sequence on the disk's.
//!
//! Where the whole is not what it should be, digests of its pieces tell which bytes are wrong.

use std::sync::Arc;

use thence_plan::{Failure, Pieces, WantedDigest};

use crate::file::Pair;
use crate::follow::Follower;
use crate::lane::Shared;
use crate::mark::hex;
use crate::orders::Done;
use crate::publish::{self, Finish};
use crate::signature::Signature;
use crate::sys::DiskError;
use crate::verify::{Digester, apart, shown};

/// What the whole must be before it is published.
#[derive(Default)]
pub(crate) struct Proofs {
    pub(crate) digest: Option<WantedDigest>,
    /// The digest as far as it was made while the bytes came.
    pub(crate) begun: Option<Follower>,
    pub(crate) pieces: Option<Arc<Pieces>>,
    pub(crate) signature: Option<Signature>,
}

/// Why there is no file.
pub(crate) enum Flaw {
    /// These bytes are wrong, first and end; the failure is what would be said of them if nothing could be done.
    Wrong(Vec<(u64, u64)>, Failure),
    Other(Failure),
}

impl<E: Into<Failure>> From<E> for Flaw {
    fn from(error: E) -> Flaw {
        Flaw::Other(error.into())
    }
}

/// Reads the whole file once for its digest, unless that was made while it came, and once for its signature, as far as they
/// are wanted, then walks the finish sequence.
pub(crate) async fn publish_checked(
    shared: &Shared,
    pair: &Arc<Pair>,
    mut finish: Finish,
    Proofs { digest, begun, pieces, signature }: Proofs,
) -> Result<Done, Flaw> {
    if let Some(wanted) = &digest {
        match (whole(pair, wanted, begun, finish.total).await?, &pieces) {
            (Ok(digest), _) => finish.digest = digest,
            (Err(failure), None) => return Err(Flaw::Other(failure)),
            (Err(failure), Some(pieces)) => {
                let (wrong, _) = wrong_pieces(pair, pieces, finish.total).await?;
                return Err(Flaw::Wrong(wrong, failure));
            }
        }
    } else if let Some(pieces) = &pieces
        && let (wrong, Some(failure)) = wrong_pieces(pair, pieces, finish.total).await?
    {
        return Err(Flaw::Wrong(wrong, failure));
    }
    let signed = match signature {
        Some(signature) => Some(signed(pair, signature, finish.total).await?),
        None => None,
    };
    let (digest, media) = (finish.digest.clone(), finish.identity.media.clone());
    let target = pair.clone();
    let published = shared.disk.call(move || publish::publish(&target, &finish)).await;
    let path = published.map_err(|_| DiskError::gone())??;
    Ok(Done { path: Some(path), digest: digest.map(shown), signed, media, ..Done::default() })
}

/// Who signed the part.
async fn signed(pair: &Pair, signature: Signature, total: u64) -> Result<String, Failure> {
    let part = pair.part.clone();
    let check = move || signature.check(total, |at, buffer| part.read_at(at, buffer));
    apart(check).await??.map_err(Failure::Signature)
}

/// The digest of the whole, if it is the wanted one. What was begun while the bytes came is gone on with; what is wrong is
/// read once more, all of it, before it is said to be.
async fn whole(
    pair: &Pair,
    wanted: &WantedDigest,
    begun: Option<Follower>,
    total: u64,
) -> Result<Result<Option<WantedDigest>, Failure>, Failure> {
    if let Some(begun) = begun
        && let Some(begun) = begun.made().await
    {
        let got = digest(pair, Some(begun), total).await?;
        if let Ok(right) = right(Some(wanted), Some(got)) {
            return Ok(Ok(right));
        }
    }
    let got = digest(pair, Digester::new(&wanted.algorithm), total).await?;
    Ok(right(Some(wanted), Some(got)))
}

/// The ranges of the pieces that have other digests than they should, and what the first of them has.
async fn wrong_pieces(
    pair: &Pair,
    pieces: &Pieces,
    total: u64,
) -> Result<(Vec<(u64, u64)>, Option<Failure>), Failure> {
    let (mut wrong, mut first) = (Vec::new(), None);
    for (want, start) in pieces.digests.iter().zip((0..total).step_by(pieces.len as usize)) {
        let end = total.min(start.saturating_add(pieces.len));
        let digester = Digester::starting_at(start, &pieces.algorithm);
        let got = digest(pair, digester, end).await?;
        if got.bytes != *want {
            wrong.push((start, end));
            first.get_or_insert(Failure::Digest { want: hex(want), got: hex(&got.bytes) });
        }
    }
    Ok((wrong, first))
}

/// The digest of what is in the file from where the digester begins, up to `end`.
async fn digest(pair: &Pair, digester: Option<Digester>, end: u64) -> Result<WantedDigest, Failure> {
    let mut digester =
        digester.ok_or_else(|| Failure::Defect("a digest of an unknown kind was accepted".to_owned()))?;
    // In bites, so that it ends soon where nobody waits for it any more.
    while digester.at() < end {
        let part = pair.part.clone();
        digester = apart(move || digester.feed(&part, end).map(|()| digester)).await??;
    }
    Ok(digester.finish())
}

pub(crate) fn right(
    wanted: Option<&WantedDigest>,
    got: Option<WantedDigest>,
) -> Result<Option<WantedDigest>, Failure> {
    match (wanted, got) {
        (Some(wanted), Some(got)) if wanted.bytes != got.bytes => {
            Err(Failure::Digest { want: hex(&wanted.bytes), got: hex(&got.bytes) })
        }
        (_, got) => Ok(got),
    }
}
