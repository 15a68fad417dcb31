//! Small files, of which a list may have thousands a second: those that one answer brings whole need no job.
//!
//! What is allowed here is less than what a job allows, never more: one answer, believed by the same judge, whose own
//! framing tells that it is all of a file below one block. Everything else is a job's.

use crate::blocks::Blocks;
use crate::digest::content_digest;
use crate::head::Head;
use crate::identity::{Condition, Identity};
use crate::limits::Limits;
use crate::name::Name;
use crate::response::{Asked, Verdict, judge};

/// A file that the body of one answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Small {
    /// Its name.
    pub name: Name,
    /// Its identity; the length is known.
    pub identity: Identity,
    /// Its length in bytes, less than a block's.
    pub total: u64,
}

/// The range that is asked for: a job's first, so that its answer can be handed to one.
pub const SMALL_ASKED: Option<(u64, Option<u64>)> = Some((0, None));

/// What the first answer from a file's own URL (no redirect led to it) brings, if that is a whole small file. `name` is the
/// user's choice if it is `chosen`, else the URL's, which the server may overrule.
///
/// A digest of its content is not looked at here (R50), nor is a coding undone (R49): such answers are a job's.
pub fn small(name: Name, chosen: bool, head: &Head, limits: &Limits) -> Option<Small> {
    let asked = Asked { range: SMALL_ASKED, condition: Condition::None };
    let identity = match judge(&asked, None, head) {
        Verdict::Whole { identity, codings, .. } if codings.is_empty() => identity,
        Verdict::Part { first: 0, end, identity, .. } if identity.total == Some(end) => identity,
        _ => return None,
    };
    let total = identity.total?;
    let fits = total < u64::from(Blocks::size_for(Some(total)));
    let allowed = limits.max_size.is_none_or(|most| total <= most);
    if !fits || !allowed || identity.digest.is_some() || content_digest(head).is_some() {
        return None;
    }
    let told = head.single("content-disposition").filter(|_| !chosen).and_then(Name::from_disposition);
    let name = told.unwrap_or(name);
    Some(Small { name, identity, total })
}

/// Whether a host that gave this status refuses us, and not only this file: the next is then a job's, which waits.
pub fn refuses(status: u16) -> bool {
    matches!(status, 408 | 421 | 425 | 429 | 500..=599)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::HttpVersion;

    fn name() -> Name {
        Name::from_server("a.txt").unwrap()
    }

    fn head(status: u16, fields: &[(&str, &str)]) -> Head {
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
        Head { status, version: HttpVersion::Http11, fields, received: 0 }
    }

    fn seen(status: u16, fields: &[(&str, &str)]) -> Option<Small> {
        small(name(), false, &head(status, fields), &Limits::default())
    }

    #[test]
    fn one_answer_that_is_all_of_a_small_file_needs_no_job() {
        for (status, more) in [(200, None), (206, Some(("content-range", "bytes 0-9/10")))] {
            let fields: Vec<_> = [("content-length", "10")].into_iter().chain(more).collect();
            let small = seen(status, &fields).unwrap();
            assert_eq!((small.name.as_str(), small.total), ("a.txt", 10));
        }
    }

    #[test]
    fn what_is_not_whole_small_and_plain_is_a_jobs() {
        let coded = [("content-length", "10"), ("content-encoding", "gzip")];
        let part = [("content-length", "10"), ("content-range", "bytes 0-9/11")];
        let proof = [
            ("content-length", "10"),
            ("content-digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"),
        ];
        assert_eq!(seen(200, &coded), None, "R49");
        assert_eq!(seen(206, &part), None, "R18");
        assert_eq!(seen(200, &proof), None, "R50");
        assert_eq!(seen(200, &[]), None, "length unknown (R37)");
        assert_eq!(seen(200, &[("content-length", "262144")]), None, "a block");
        assert_eq!(seen(404, &[("content-length", "10")]), None);
        assert!(seen(200, &[("content-length", "262143")]).is_some());
    }

    #[test]
    fn r56_the_name_is_the_users_or_made_safe() {
        let fields = [("content-length", "1"), ("content-disposition", "attachment; filename=\"../x\"")];
        assert_eq!(seen(200, &fields).unwrap().name.as_str(), "x");
        let chosen = Name::chosen("mine").unwrap();
        let small = small(chosen, true, &head(200, &fields), &Limits::default());
        assert_eq!(small.unwrap().name.as_str(), "mine");
    }

    #[test]
    fn r67_nothing_larger_than_allowed_is_small() {
        let limits = Limits { max_size: Some(9), ..Limits::default() };
        assert_eq!(small(name(), false, &head(200, &[("content-length", "10")]), &limits), None);
    }
}
