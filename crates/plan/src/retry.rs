//! From a failure to what is done about it: one exhaustive match (R33).
//!
//! It advises and does not wait: the caller sleeps, counts, and holds a host's `Retry-After` for all lanes.

use std::time::Duration;

use crate::failure::Failure;
use crate::limits::Limits;

/// Attempts after a breach of a rule. A cache or proxy that mangles one answer in a hundred is passed at once;
/// one that mangles them all is left after the fourth, long before the budget for outages.
const BREACH_RETRIES: u32 = 3;

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Ask the same source again after this long.
    Again(Duration),
    /// Re-resolve the original URL, or ask another source; this one is of no use now.
    Elsewhere,
    /// No source can help.
    GiveUp,
}

/// Advises on the `attempt`-th failure in a row without progress (from 0); `chance` is uniform in 0..=u32::MAX.
///
/// - The network, the server's time-outs and its 408, 425, 429 and 5xx of overload pass: [`Advice::Again`], up
///   to `limits.retries` times.
/// - A breach of a rule may be one bad cache among several: again, three times.
/// - What the same question will meet again, but another source or a newly resolved target may not, is
///   [`Advice::Elsewhere`]: refusals by status (401, 403, 404, 410: an expired signature, R14), a proxy's,
///   a certificate's, a circle of redirects, a coding.
/// - What no source can mend is [`Advice::GiveUp`]: the disk, a wrong digest or signature.
pub fn advise(failure: &Failure, attempt: u32, limits: &Limits, chance: u32) -> Advice {
    let again = |after: Option<Duration>, attempts: u32| {
        let after = after.unwrap_or_default();
        if attempt >= attempts || after > limits.retry_after_max {
            return Advice::Elsewhere;
        }
        // R33: the jitter goes on top, so that `Retry-After` is never undercut and lanes do not come back as one.
        Advice::Again(after.saturating_add(backoff(attempt, limits, chance)))
    };
    match failure {
        Failure::Resolve(_)
        | Failure::Refused(_)
        | Failure::Connect(_)
        | Failure::Offline(_)
        | Failure::Reset(_)
        | Failure::Truncated
        | Failure::Stalled(_)
        | Failure::Defect(_) => again(None, limits.retries),
        Failure::Status { status: 408 | 425 | 429 | 500 | 502 | 503 | 504, retry_after } => {
            again(*retry_after, limits.retries)
        }
        Failure::Breach(_) | Failure::Content => again(None, BREACH_RETRIES.min(limits.retries)),
        Failure::Status { .. }
        | Failure::Proxy(_)
        | Failure::Tls(_)
        | Failure::Redirects
        | Failure::Redirect(_)
        | Failure::Coding(_) => Advice::Elsewhere,
        Failure::Disk(..) | Failure::Digest { .. } | Failure::Signature(_) => Advice::GiveUp,
    }
}

/// Full jitter: anything from nothing to `limits.backoff` doubled once per attempt, at most
/// `limits.backoff_max`. Uniform from zero spreads many lanes best; with the defaults (250 ms, 30 s, 8 attempts)
/// a source is left after 31 s of waits on average and 62 s at most: past a server's restart, not past a person's
/// patience.
fn backoff(attempt: u32, limits: &Limits, chance: u32) -> Duration {
    let doubled = limits.backoff.saturating_mul(2u32.saturating_pow(attempt));
    let most = doubled.min(limits.backoff_max);
    most.mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{DiskFault, Phase};

    const MOST: u32 = u32::MAX;

    fn status(status: u16) -> Failure {
        Failure::Status { status, retry_after: None }
    }

    fn busy(wait: u64) -> Failure {
        Failure::Status { status: 503, retry_after: Some(Duration::from_secs(wait)) }
    }

    fn advice(failure: &Failure) -> Advice {
        advise(failure, 0, &Limits::default(), MOST)
    }

    #[test]
    fn r33_exactly_these_statuses_are_asked_again() {
        let again: Vec<u16> =
            (400..600).filter(|&s| matches!(advice(&status(s)), Advice::Again(_))).collect();
        assert_eq!(again, [408, 425, 429, 500, 502, 503, 504]);
    }

    #[test]
    fn r14_refusals_lead_back_to_the_original_url() {
        for refusal in [401, 403, 404, 410] {
            assert_eq!(advice(&status(refusal)), Advice::Elsewhere);
        }
    }

    #[test]
    fn r33_retry_after_is_never_undercut() {
        for chance in [0, 1, MOST / 2, MOST] {
            let Advice::Again(wait) = advise(&busy(120), 0, &Limits::default(), chance) else { panic!() };
            assert!(wait >= Duration::from_secs(120) && wait <= Duration::from_millis(120_250));
        }
    }

    #[test]
    fn r33_beyond_the_limit_retry_after_ends_the_source() {
        assert!(matches!(advice(&busy(300)), Advice::Again(_)));
        assert_eq!(advice(&busy(301)), Advice::Elsewhere);
        assert_eq!(advice(&busy(315_360_000)), Advice::Elsewhere);
    }

    #[test]
    fn net_04_waits_double_up_to_their_limit() {
        let waits = (0..8).map(|attempt| advise(&Failure::Truncated, attempt, &Limits::default(), MOST));
        let millis = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000];
        assert!(waits.eq(millis.map(|ms| Advice::Again(Duration::from_millis(ms)))));
    }

    #[test]
    fn net_04_jitter_reaches_down_to_nothing() {
        let reset = Failure::Reset(String::new());
        assert_eq!(advise(&reset, 5, &Limits::default(), 0), Advice::Again(Duration::ZERO));
    }

    #[test]
    fn retries_are_bounded() {
        let stalled = Failure::Stalled(Phase::Body);
        assert_eq!(advise(&stalled, 8, &Limits::default(), 0), Advice::Elsewhere);
        assert_eq!(advise(&stalled, MOST, &Limits::default(), 0), Advice::Elsewhere);
    }

    #[test]
    fn a_breach_is_asked_again_three_times() {
        let breach = Failure::breach("R22", "");
        assert!(matches!(advise(&breach, 2, &Limits::default(), 0), Advice::Again(_)));
        assert_eq!(advise(&breach, 3, &Limits::default(), 0), Advice::Elsewhere);
    }

    #[test]
    fn what_no_source_can_mend_ends_it() {
        let full = Failure::Disk(DiskFault::Full, String::new());
        for failure in [full, Failure::Digest { want: String::new(), got: String::new() }] {
            assert_eq!(advice(&failure), Advice::GiveUp);
        }
    }
}
