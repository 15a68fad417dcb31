//! Servers that refuse, stall, reset and redirect: rows NET and URL, RNG-30, and the scenes of the design.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use super::bend::End::{Refused, Whole};
use super::bend::{Behaviour, Handler, Lies, TWICE, own, row};
use crate::files;
use crate::honest::{Answer, Shared};
use crate::reply::Reply;

const ALWAYS: usize = usize::MAX;

/// Connections that the busy host serves at a time.
const BUSY: usize = 4;

/// Requests that a signed target answers before it expires.
const SIGNED: usize = 2;

pub(super) const ALL: &[Behaviour] = &[
    row("rng_30", "302 to a signed URL that expires (403) after two requests", Whole, signed),
    row("net_01_a", "goes silent half-way, twice", Whole, |file| {
        own(file, TWICE, |_, answer, out| {
            first_half(answer, out);
            out.stall();
        })
    }),
    row("net_01_b", "one byte a second on the second connection", Whole, |file| {
        let slow = Lies::new(1);
        own(file, ALWAYS, move |request, answer, out| {
            let mut answer = answer.clone();
            if request.number > 0 && slow.more() {
                answer.rate = Some(1);
            }
            answer.send(request, out);
        })
    }),
    row("net_01_c", "goes silent after the last byte but one, once", Whole, |file| {
        own(file, 1, |_, answer, out| {
            let mut most = answer.clone();
            most.span.1 -= 1;
            out.head(answer.status, &answer.head());
            most.send_body(out);
            out.stall();
        })
    }),
    row("net_01_d", "silent after the head on the second connection", Whole, |file| {
        let silent = Lies::new(1);
        own(file, ALWAYS, move |request, answer, out| {
            if request.number > 0 && silent.more() {
                out.head(answer.status, &answer.head()).stall();
            } else {
                answer.send(request, out);
            }
        })
    }),
    row("net_02_a", "429, Retry-After of 1 s, twice", Whole, |file| refusing(file, TWICE, "1")),
    row("net_02_b", "429, Retry-After a date that has passed, twice", Whole, |file| {
        refusing(file, TWICE, "Sun, 06 Nov 1994 08:49:37 GMT")
    }),
    row("net_02_c", "429, Retry-After a date in ten years", Refused, |file| {
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(315_360_000));
        refusing(file, ALWAYS, &date)
    }),
    row("net_02_d", "503, Retry-After that is neither, twice", Whole, |file| {
        refusing(file, TWICE, "soon, I hope")
    }),
    row("net_02_e", "429, Retry-After of ten years in seconds", Refused, |file| {
        refusing(file, ALWAYS, "315360000")
    }),
    row("net_04", "resets three of ten connections at a random byte", Whole, |file| {
        own(file, ALWAYS, |request, answer, out| {
            let chance = chance(request.number);
            if chance % 10 >= 3 {
                return answer.send(request, out);
            }
            let (first, end) = answer.span;
            let mut some = answer.clone();
            some.span.1 = first + (chance / 10) % (end - first).max(1);
            out.head(answer.status, &answer.head());
            some.send_body(out);
            // The client should have read some of it: an RST may throw away what is on its way.
            out.pause(Duration::from_millis(5)).reset();
        })
    }),
    row("net_busy", "503 to every connection beyond four", Whole, |file| {
        own(file, ALWAYS, |request, answer, out| {
            if request.open > BUSY {
                out.answer(503, "", "too many").close();
            } else {
                answer.send(request, out);
            }
        })
    }),
    row("net_once", "a link that works once, then 403", Whole, |file| {
        own(file, ALWAYS, |request, answer, out| {
            if request.number > 0 {
                out.answer(403, "", "this link was used");
            } else {
                answer.send(request, out);
            }
        })
    }),
    row("url_01_a", "302 to file:", Refused, |file| redirecting(file, "file:///etc/passwd")),
    row("url_01_b", "302 to ftp:", Refused, |file| redirecting(file, "ftp://127.0.0.1/x")),
    row("url_01_c", "302 to data:", Refused, |file| redirecting(file, "data:text/plain,x")),
    row("url_01_d", "302 to gopher:", Refused, |file| redirecting(file, "gopher://127.0.0.1/x")),
    row("url_01_e", "302 to javascript:", Refused, |file| redirecting(file, "javascript:alert(1)")),
    row("url_05_a", "a chain of 25 redirects", Refused, |file| {
        own(file, ALWAYS, |request, answer, out| match hop(&request.target) {
            25 => answer.send(request, out),
            hop => moved(out, &format!("/hop/{}", hop + 1)),
        })
    }),
    row("url_05_b", "two redirects to each other", Refused, |file| {
        own(file, ALWAYS, |request, _, out| {
            moved(out, if hop(&request.target) == 1 { "/hop/2" } else { "/hop/1" })
        })
    }),
    row("url_05_c", "a redirect to itself with a growing query", Refused, |file| {
        own(file, ALWAYS, |request, _, out| moved(out, &format!("/f?{}x", "x".repeat(request.number))))
    }),
    row("url_09", "a redirect with an endless body", Whole, |file| {
        own(file, 1, |_, _, out| {
            out.head(302, "Location: /target\nTransfer-Encoding: chunked");
            while out.alive() {
                out.chunk([b'x'; 8192]);
            }
        })
    }),
];

/// The original path redirects to `/signed/K`; each K answers so many requests, then only 403.
fn signed(file: &Shared) -> Handler {
    let (signatures, used) = (AtomicUsize::new(0), AtomicUsize::new(0));
    own(file, ALWAYS, move |request, answer, out| {
        let Some(signature) = request.target.strip_prefix("/signed/") else {
            let next = signatures.fetch_add(1, Ordering::SeqCst) + 1;
            used.store(0, Ordering::SeqCst);
            return moved(out, &format!("/signed/{next}"));
        };
        let current = signatures.load(Ordering::SeqCst).to_string();
        if signature != current || used.fetch_add(1, Ordering::SeqCst) >= SIGNED {
            out.answer(403, "", "expired");
        } else {
            answer.send(request, out);
        }
    })
}

fn refusing(file: &Shared, times: usize, retry_after: &str) -> Handler {
    let retry_after = retry_after.to_owned();
    own(file, times, move |_, _, out| {
        let status = if retry_after.contains("soon") { 503 } else { 429 };
        out.answer(status, &format!("Retry-After: {retry_after}"), "not now");
    })
}

fn redirecting(file: &Shared, location: &'static str) -> Handler {
    own(file, ALWAYS, move |_, _, out| moved(out, location))
}

fn moved(out: &mut Reply, location: &str) {
    out.answer(302, &format!("Location: {location}"), "");
}

fn first_half(answer: &Answer, out: &mut Reply) {
    let (first, end) = answer.span;
    let mut half = answer.clone();
    half.span.1 = first + (end - first) / 2;
    out.head(answer.status, &answer.head());
    half.send_body(out);
}

/// The number at the end of a path; 0 without one.
fn hop(target: &str) -> usize {
    target.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// As good as random, and the same on every run.
fn chance(number: usize) -> u64 {
    let mut bytes = [0; 8];
    files::fill(99, 8 * number as u64, &mut bytes);
    u64::from_le_bytes(bytes)
}
