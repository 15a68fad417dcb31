//! What goes wrong with a request while the noise lasts; each seed has its own kinds of it.

use thence_plan::{Ask, Failure};

use super::dice::Dice;
use super::server::{Body, Draft, Reply, Site, Stop, page};

/// One way to go wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lie {
    Resolve,
    Offline,
    Refused,
    Unreachable,
    ResetEarly,
    Mute,
    Busy,
    TooMany,
    Gone,
    Portal,
    High,
    Low,
    NoContentRange,
    OtherUnit,
    Inverted,
    LengthMismatch,
    Multipart,
    NotModified,
    NoContent,
    Unsatisfied,
    Precondition,
    IgnoresRange,
    OtherTotal,
    Star,
    Grant,
    Beyond,
    NoTag,
    OtherTag,
    Coded,
    TwoFramings,
    Truncate,
    Reset,
    Stall,
    Crawl,
}

/// All of them.
pub const LIES: &[Lie] = &[
    Lie::Resolve,
    Lie::Offline,
    Lie::Refused,
    Lie::Unreachable,
    Lie::ResetEarly,
    Lie::Mute,
    Lie::Busy,
    Lie::TooMany,
    Lie::Gone,
    Lie::Portal,
    Lie::High,
    Lie::Low,
    Lie::NoContentRange,
    Lie::OtherUnit,
    Lie::Inverted,
    Lie::LengthMismatch,
    Lie::Multipart,
    Lie::NotModified,
    Lie::NoContent,
    Lie::Unsatisfied,
    Lie::Precondition,
    Lie::IgnoresRange,
    Lie::OtherTotal,
    Lie::Star,
    Lie::Grant,
    Lie::Beyond,
    Lie::NoTag,
    Lie::OtherTag,
    Lie::Coded,
    Lie::TwoFramings,
    Lie::Truncate,
    Lie::Reset,
    Lie::Stall,
    Lie::Crawl,
];

/// No head at all.
pub fn before(lie: Lie) -> Option<Reply> {
    Some(match lie {
        Lie::Resolve => Reply::Broken(Failure::Resolve("no such host".into())),
        Lie::Offline => Reply::Broken(Failure::Offline("no route".into())),
        Lie::Refused => Reply::Broken(Failure::Refused("refused".into())),
        Lie::Unreachable => Reply::Broken(Failure::Connect("unreachable".into())),
        Lie::ResetEarly => Reply::Broken(Failure::Reset("reset".into())),
        Lie::Mute => Reply::Mute,
        _ => return None,
    })
}

/// A head that is not the honest one.
pub fn spoil(lie: Lie, site: &Site, ask: &Ask, draft: &mut Draft, dice: &mut Dice) {
    let version = site.version();
    let first = ask.range.map_or(0, |r| r.0);
    match lie {
        Lie::Busy | Lie::TooMany => {
            *draft = page(if lie == Lie::Busy { dice.pick(&[500, 502, 503, 504]) } else { 429 });
            match dice.below(4) {
                0 => draft.extra.push(("retry-after", dice.pick(&[1, 5, 30, 120]).to_string())),
                1 => draft.extra.push(("retry-after", dice.pick(&["soon", "-1", "99999999999"]).into())),
                _ => {}
            }
        }
        Lie::Gone => *draft = page(dice.pick(&[401, 403, 404, 410])),
        Lie::Portal => *draft = page(200),
        Lie::NotModified => *draft = page(304),
        Lie::NoContent => *draft = page(204),
        Lie::Precondition => *draft = page(412),
        Lie::Unsatisfied => {
            *draft = page(416);
            match dice.below(3) {
                0 => draft.extra.push(("content-range", format!("bytes */{}", version.len))),
                1 => draft.extra.push(("content-range", format!("bytes */{}", dice.below(version.len + 9)))),
                _ => {}
            }
        }
        Lie::IgnoresRange if draft.status == 206 => {
            (draft.status, draft.range) = (200, None);
            (draft.from, draft.end, draft.spans) = (0, version.len, version.spans(0, version.len));
            draft.length = draft.length.map(|_| version.len);
        }
        Lie::Coded if draft.status == 200 && draft.plain.is_none() => draft.code(version),
        Lie::Coded => {
            draft.extra.push(("content-encoding", "gzip".into()));
            draft.spans = vec![(draft.from, draft.end, version.coded().tag)];
        }
        Lie::TwoFramings => draft.extra.push(("transfer-encoding", "chunked".into())),
        Lie::NoTag => draft.etag = None,
        Lie::OtherTag => draft.etag = Some("\"other\"".into()),
        _ if draft.status == 206 => spoil_part(lie, site, first, draft, dice),
        _ => {}
    }
}

/// A 206 that is wrong in its range.
fn spoil_part(lie: Lie, site: &Site, first: u64, draft: &mut Draft, dice: &mut Dice) {
    let version = site.version();
    let total = draft.range.and_then(|r| r.2);
    match lie {
        Lie::High if draft.from + 1 < draft.end => {
            let from = (first + dice.between(1, 70_000)).min(draft.end - 1);
            draft.cut(from, draft.end, version);
        }
        Lie::Low => {
            draft.cut(first.saturating_sub(dice.pick(&[1, 4096, 300_000])), draft.end, version);
        }
        Lie::Grant => {
            draft.cut(draft.from, (draft.from + dice.between(1, 400_000)).min(draft.end), version);
        }
        Lie::Beyond => draft.cut(draft.from, version.len, version),
        Lie::Star => draft.range = draft.range.map(|(a, b, _)| (a, b, None)),
        Lie::OtherTotal => draft.range = draft.range.map(|(a, b, _)| (a, b, Some(version.len + 17))),
        Lie::NoContentRange => draft.range = None,
        Lie::OtherUnit => {
            draft.range = None;
            draft
                .extra
                .push(("content-range", format!("items {}-{}/{}", draft.from, draft.end, version.len)));
        }
        Lie::Inverted => draft.range = Some((draft.from + 1, draft.from, total)),
        Lie::LengthMismatch => draft.length = Some(draft.end - draft.from + 1),
        Lie::Multipart => draft.media = "multipart/byteranges",
        _ => {}
    }
}

/// A body that does not come to its end.
pub fn stop(lie: Lie, body: &mut Body, dice: &mut Dice) {
    let at = dice.between(body.from, body.end);
    match lie {
        Lie::Truncate => body.stop = Some((at, Stop::Close)),
        Lie::Reset => body.stop = Some((at, Stop::Reset)),
        Lie::Stall => body.stop = Some((at, Stop::Stall)),
        Lie::Crawl => body.rate = (body.rate / 100).max(1_000),
        _ => {}
    }
}
