//! From a whole part to its file: the digest, if one is wanted, then the finish sequence. Both on the disk's thread.

use std::sync::Arc;

use thence_plan::{Failure, WantedDigest};

use crate::file::Pair;
use crate::lane::Shared;
use crate::mark::hex;
use crate::orders::Done;
use crate::publish::{self, Finish};
use crate::sys::DiskError;
use crate::verify::{Digester, shown};

/// Reads the whole file once for its digest, if one is wanted, then walks the finish sequence.
pub(crate) async fn publish_checked(
    shared: &Shared,
    pair: &Arc<Pair>,
    mut finish: Finish,
    checksum: Option<WantedDigest>,
) -> Result<Done, Failure> {
    if let Some(wanted) = &checksum {
        let got = digest(shared, pair, &wanted.algorithm, finish.total).await?;
        finish.digest = right(Some(wanted), Some(got))?;
    }
    let digest = finish.digest.clone();
    let target = pair.clone();
    let published = shared.disk.call(move || publish::publish(&target, &finish)).await;
    let path = published.map_err(|_| DiskError::gone())??;
    Ok(Done { path: Some(path), digest: digest.map(shown), ..Done::default() })
}

async fn digest(shared: &Shared, pair: &Pair, algorithm: &str, total: u64) -> Result<WantedDigest, Failure> {
    let mut digester = Digester::new(algorithm)
        .ok_or_else(|| Failure::Defect(format!("{algorithm} is no digest that was accepted")))?;
    // In bites, so that other downloads' syncs are not kept waiting.
    while digester.at() < total {
        let part = pair.part.clone();
        let fed = shared.disk.call(move || digester.feed(&part, total).map(|()| digester));
        digester = fed.await.map_err(|_| DiskError::gone())??;
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
