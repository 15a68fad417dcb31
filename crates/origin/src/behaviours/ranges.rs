//! Lies about ranges and validators: rows RNG.

use std::time::{Duration, SystemTime};

use super::bend::End::{Unproven, Whole};
use super::bend::{Behaviour, Handler, Lies, TWICE, bent, bent_parts, own, row};
use crate::honest::{Answer, Body, Served, Shared};
use crate::reply::Reply;
use crate::request::Request;

const ALWAYS: usize = usize::MAX;

pub(super) const ALL: &[Behaviour] = &[
    row("rng_01", "the file changes after the first request; If-Range is honoured", Whole, |file| {
        changing(file, true)
    }),
    row("rng_02", "the same, but If-Range is ignored and the 206 carries the new ETag", Whole, |file| {
        changing(file, false)
    }),
    row(
        "rng_01_b",
        "the file changed before the first request, same length; If-Range is honoured",
        Whole,
        |file| changed(file, |_| {}),
    ),
    row("rng_02_b", "the same, but If-Range is ignored", Whole, |file| {
        changed(file, |served| served.if_range = false)
    }),
    row(
        "rng_02_c",
        "changed before the first request, ranges of it answered, no validators at all",
        Whole,
        |file| changed(file, |served| (served.etag, served.modified) = (None, None)),
    ),
    row("rng_06", "a weak ETag only", Unproven, |file| {
        bent(file, |_, answer| {
            answer.set("ETag", "W/\"weak\"").remove("Last-Modified");
        })
    }),
    row("rng_07", "no ETag, Last-Modified in the second of Date", Unproven, |file| dated(file, 0)),
    row("rng_08", "no ETag, Last-Modified an hour before Date", Whole, |file| dated(file, 3600)),
    row("rng_10", "200 with the whole to any range, same ETag", Whole, |file| {
        file.change(|served| served.ranges = false);
        bent(file, |_, answer| {
            answer.set("Accept-Ranges", "bytes");
        })
    }),
    row("rng_11", "200 with the whole to an If-Range that holds; a plain range works", Whole, |file| {
        let whole = file.clone();
        bent(file, move |request, answer| {
            if request.header("if-range").is_some() {
                let served = whole.now();
                *answer = served.part(200, (0, served.body.len()));
            }
        })
    }),
    row("rng_12", "206 from 4096 bytes below what was asked", Whole, |file| {
        bent_parts(file, ALWAYS, |_, answer| shift(answer, -4096))
    }),
    row("rng_13", "206 from 4096 bytes above what was asked, twice", Whole, |file| {
        bent_parts(file, TWICE, |_, answer| shift(answer, 4096))
    }),
    row("rng_14", "206 with the first half of what was asked", Whole, |file| {
        bent_parts(file, ALWAYS, |_, answer| {
            let (first, end) = answer.span;
            respan(answer, first, first + (end - first).div_ceil(2));
        })
    }),
    row("rng_16", "206 with another complete length, once", Whole, |file| {
        bent_parts(file, 1, |_, answer| {
            content_range(answer, |first, last, total| format!("{first}-{last}/{}", total + 1))
        })
    }),
    row("rng_16_b", "the file changed before the first request and is half as long again", Whole, |file| {
        changed(file, |served| resize(served, served.body.len() * 3 / 2))
    }),
    row("rng_16_c", "the file changed before the first request and is a quarter as long", Whole, |file| {
        changed(file, |served| resize(served, served.body.len() / 4))
    }),
    row("rng_17", "206 with complete length `*`, same strong ETag", Whole, |file| {
        bent_parts(file, ALWAYS, |_, answer| {
            content_range(answer, |first, last, _| format!("{first}-{last}/*"))
        })
    }),
    row("rng_19_a", "206 without Content-Range, twice", Whole, |file| {
        bent_parts(file, TWICE, |_, answer| {
            answer.remove("Content-Range");
        })
    }),
    row("rng_19_b", "206 in the unit `items`, twice", Whole, |file| {
        bent_parts(file, TWICE, |_, answer| {
            let items = answer.field("Content-Range").replace("bytes", "items");
            answer.set("Content-Range", &items);
        })
    }),
    row("rng_19_c", "206 whose last position is below its first, twice", Whole, |file| {
        bad_content_range(file, |first, _, total| format!("{first}-{}/{total}", first - 1))
    }),
    row("rng_19_d", "206 whose complete length is not beyond its last position, twice", Whole, |file| {
        bad_content_range(file, |first, last, _| format!("{first}-{last}/{last}"))
    }),
    row("rng_19_e", "206 with two Content-Range fields, twice", Whole, |file| {
        bent_parts(file, TWICE, |_, answer| {
            let (first, end) = answer.span;
            answer.fields.push(("Content-Range".into(), format!("bytes {}-{end}/{}", first + 1, end + 1)));
        })
    }),
    row("rng_19_f", "206 with a plus sign in its Content-Range, twice", Whole, |file| {
        bad_content_range(file, |first, last, total| format!("+{first}-{last}/{total}"))
    }),
    row("rng_19_g", "206 with a last position beyond 64 bits, twice", Whole, |file| {
        bad_content_range(file, |first, _, _| format!("{first}-18446744073709551616/18446744073709551617"))
    }),
    row("rng_23", "206 whose Content-Length is less than its span, twice", Whole, |file| {
        bent_parts(file, TWICE, |_, answer| {
            let (first, end) = answer.span;
            answer.span.1 = end - (end - first) / 2;
            answer.set("Content-Length", &(answer.span.1 - first).to_string());
        })
    }),
    row("rng_24", "304 to an ordinary range, twice", Whole, |file| {
        let served = file.now();
        bent_parts(file, TWICE, move |_, answer| {
            *answer = served.bare(304);
            answer.remove("Content-Length");
        })
    }),
    row("rng_25", "412 to a range, twice", Whole, |file| {
        let served = file.now();
        bent_parts(file, TWICE, move |_, answer| *answer = served.bare(412))
    }),
    row("rng_26", "multipart/byteranges with the one part that was asked, twice", Whole, |file| {
        own_parts(file, TWICE, multipart)
    }),
    row("rng_28", "405 to HEAD", Whole, |file| {
        let served = file.now();
        bent(file, move |request, answer| {
            if request.method == "HEAD" {
                *answer = served.bare(405);
            }
        })
    }),
    row("rng_29_a", "`Accept-Ranges: none`, yet ranges work", Whole, |file| {
        bent(file, |_, answer| {
            answer.set("Accept-Ranges", "none");
        })
    }),
    row("rng_29_b", "`Accept-Ranges: bytes`, yet every answer is a 200", Whole, |file| {
        file.change(|served| served.ranges = false);
        bent(file, |_, answer| {
            answer.set("Accept-Ranges", "bytes");
        })
    }),
    row("rng_35", "a portal's page instead of a range, twice", Whole, |file| {
        own_parts(file, TWICE, |_, _, out| {
            out.answer(200, "Content-Type: text/html", format!("<html>{:290}</html>", "log in"));
        })
    }),
    row("rng_37", "another body and ETag for another User-Agent", Whole, |file| {
        let (first, file) = (std::sync::OnceLock::new(), file.clone());
        Box::new(move |request, out| {
            let agent = request.header("user-agent").unwrap_or_default().to_owned();
            let mut served = file.now();
            if *first.get_or_init(|| agent.clone()) != agent {
                change(&mut served);
            }
            served.extra.push(("Vary".into(), "User-Agent".into()));
            served.answer(request).send(request, out);
        })
    }),
    row("rng_38_a", "the ETag changes its case, and the bytes with it", Whole, |file| {
        file.change(|served| served.etag = Some("\"abc\"".into()));
        after_the_first(file, |served| {
            change(served);
            served.etag = Some("\"ABC\"".into());
        })
    }),
    row("rng_38_b", "an ETag with a comma, a backslash and bytes beyond ASCII", Whole, |file| {
        file.change(|served| served.etag = Some("\"a,b\\c\u{e9}\"".into()));
        bent(file, |_, _| {})
    }),
    row("rng_38_c", "an ETag of 4 KiB", Whole, |file| {
        file.change(|served| served.etag = Some(format!("\"{}\"", "e".repeat(4096))));
        bent(file, |_, _| {})
    }),
];

/// The file is another from the second request on.
fn changing(file: &Shared, if_range: bool) -> Handler {
    file.change(|served| served.if_range = if_range);
    after_the_first(file, change)
}

fn after_the_first(file: &Shared, change: fn(&mut Served)) -> Handler {
    let (changing, first, rest) = (file.clone(), Lies::new(1), Lies::new(1));
    bent_before(file, move || {
        if !first.more() && rest.more() {
            changing.change(change);
        }
    })
}

/// Runs `before` before each honest answer.
fn bent_before(file: &Shared, before: impl Fn() + Send + Sync + 'static) -> Handler {
    let file = file.clone();
    Box::new(move |request, out| {
        before();
        file.now().answer(request).send(request, out);
    })
}

/// Same length, every byte another, another strong ETag.
fn change(served: &mut Served) {
    let other: Vec<u8> = served.body.bytes(0, served.body.len()).iter().map(|byte| !byte).collect();
    served.body = Body::Held(other.into());
    served.etag = Some("\"changed\"".into());
    served.modified = Some(SystemTime::now() - Duration::from_secs(43_200));
}

/// The file is another from the first request on; a run that goes on holds half of the old one.
fn changed(file: &Shared, and: impl FnOnce(&mut Served)) -> Handler {
    file.change(|served| {
        change(served);
        and(served);
    });
    bent(file, |_, _| {})
}

/// Repeats the bytes, or cuts them off, at that length.
fn resize(served: &mut Served, len: u64) {
    let bytes = served.body.bytes(0, served.body.len());
    let resized: Vec<u8> = bytes.iter().copied().cycle().take(len as usize).collect();
    served.body = Body::Held(resized.into());
}

/// No ETag, and a Last-Modified that many seconds before a Date that stands still.
fn dated(file: &Shared, seconds: u64) -> Handler {
    let date = SystemTime::now() - Duration::from_secs(86_400);
    file.change(|served| {
        served.etag = None;
        served.date = Some(date);
        served.modified = Some(date - Duration::from_secs(seconds));
    });
    bent(file, |_, _| {})
}

fn own_parts(
    file: &Shared,
    times: usize,
    send: impl Fn(&Request, &Answer, &mut Reply) + Send + Sync + 'static,
) -> Handler {
    let lies = Lies::new(times);
    own(file, ALWAYS, move |request, answer, out| {
        if answer.status == 206 && request.first() > 0 && lies.more() {
            send(request, answer, out);
        } else {
            answer.send(request, out);
        }
    })
}

fn multipart(_: &Request, answer: &Answer, out: &mut Reply) {
    let (first, end) = answer.span;
    let mut body =
        format!("\r\n--part\r\nContent-Range: {}\r\n\r\n", answer.field("Content-Range")).into_bytes();
    body.extend(answer.body.bytes(first, end));
    body.extend(b"\r\n--part--\r\n");
    let mut head = answer.clone();
    head.remove("Content-Range")
        .remove("Content-Length")
        .set("Content-Type", "multipart/byteranges; boundary=part");
    out.answer(206, &head.head(), body);
}

/// Moves where the part starts, if the file goes so far; its end stays.
fn shift(answer: &mut Answer, by: i64) {
    let (first, end) = answer.span;
    if let Some(moved) = first.checked_add_signed(by).filter(|&moved| moved < end) {
        respan(answer, moved, end);
    }
}

fn respan(answer: &mut Answer, first: u64, end: u64) {
    answer.span = (first, end);
    answer.set("Content-Length", &(end - first).to_string());
    content_range(answer, |first, last, total| format!("{first}-{last}/{total}"));
}

fn bad_content_range(file: &Shared, text: fn(u64, u64, u64) -> String) -> Handler {
    bent_parts(file, TWICE, move |_, answer| content_range(answer, text))
}

/// Sets Content-Range to what `text` makes of first and last position and total.
fn content_range(answer: &mut Answer, text: impl Fn(u64, u64, u64) -> String) {
    let (first, end) = answer.span;
    let text = text(first, end - 1, answer.body.len());
    answer.set("Content-Range", &format!("bytes {text}"));
}
