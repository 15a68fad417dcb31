//! The Metalink that a server names beside a file (`Link: rel=describedby`, RFC 6249): read to memory while the file comes.

use std::rc::Rc;
use std::sync::Arc;

use thence_plan::{Condition, Described, Ending, METALINK_BYTES, metalink};

use crate::http::{Get, Proxies, bare};
use crate::lane::Shared;
use crate::secret::Fields;

/// Where it is, and what goes along: what the user gave is for the origin of `given_for` (R58).
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) given_for: String,
    pub(crate) headers: Arc<Fields>,
    pub(crate) proxies: Option<Arc<Proxies>>,
}

/// What it says of the file of this name and length. `None` where it cannot be had or read, has no such file, or another:
/// nobody promised that there is one.
pub(crate) async fn described(
    shared: Rc<Shared>,
    place: Place,
    name: &str,
    total: Option<u64>,
) -> Option<Described> {
    let text = text(&shared, place).await?;
    let mut files = metalink(&text).ok()?;
    let at = files.iter().position(|file| file.name.as_str() == name).or((files.len() == 1).then_some(0))?;
    let file = files.swap_remove(at);
    let fits = file.size.is_none_or(|size| total.is_none_or(|total| size == total));
    fits.then_some(file)
}

async fn text(shared: &Shared, place: Place) -> Option<Vec<u8>> {
    let get = Get {
        url: bare(&place.url).ok()?,
        given_for: Some(bare(&place.given_for).ok()?),
        headers: place.headers,
        user: None,
        range: None,
        condition: Condition::None,
        fresh: false,
        shares: true,
        sparing: false,
        proxies: place.proxies,
        seat: None,
    };
    let answer = shared.client.get(get).await.ok()?;
    let coded = answer.head.values("content-encoding").next().is_some();
    if answer.head.status != 200 || coded {
        return None;
    }
    let (mut body, mut text) = (answer.body, Vec::new());
    while let Some(chunk) = body.chunk((METALINK_BYTES - text.len()) as u64 + 1).await.ok()? {
        text.extend_from_slice(&chunk);
        if text.len() > METALINK_BYTES {
            return None;
        }
    }
    let whole = body.ending() == Ending::Message;
    body.release();
    whole.then_some(text)
}
