//! Where a message ends, and what is no message at all.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use thence_plan::{Ending, Failure, HttpVersion};

use super::{Server, Then, client, fetch, get, hear, ok, rule};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn failure(result: Result<super::Got, Failure>) -> Failure {
    result.err().expect("a failure")
}

#[tokio::test]
async fn frm_01_fewer_bytes_than_promised_are_no_body() {
    let whole = ok(&"x".repeat(64 << 10));
    let head = whole.len() - (64 << 10);
    for kept in [0, 1, 2, 100, 8_191, 8_192, 65_534, 65_535] {
        assert_eq!(failure(hear(&whole[..head + kept], Then::Close).await), Failure::Truncated, "{kept}");
    }
    assert_eq!(hear(whole, Then::Close).await.unwrap().ending, Ending::Message);
}

#[tokio::test]
async fn frm_01_a_reset_is_no_end() {
    let cut = ok(&"x".repeat(9))[..40].to_vec();
    assert!(matches!(failure(hear(cut, Then::Reset).await), Failure::Reset(_)));
    let open = "HTTP/1.1 200 OK\r\n\r\nsome bytes";
    let ended = hear(open, Then::Reset).await;
    assert!(!matches!(ended, Ok(got) if got.ending == Ending::Message));
}

#[tokio::test]
async fn frm_02_the_last_chunk_must_come() {
    for cut in
        ["", "3\r\nabc", "3\r\nabc\r\n", "3\r\nabc\r\n0", "3\r\nabc\r\n0\r\n", "3\r\nabc\r\n0\r\nA: b\r\n"]
    {
        let result = hear(format!("{CHUNKED}{cut}"), Then::Close).await;
        assert_eq!(failure(result), Failure::Truncated, "{cut:?}");
    }
    let got = hear(format!("{CHUNKED}3;x=y\r\nabc\r\n0\r\nEtag: \"t\"\r\n\r\n"), Then::Keep).await.unwrap();
    assert_eq!((got.body.as_str(), got.ending), ("abc", Ending::Message));
    assert!(got.head.values("etag").next().is_none(), "R44: a trailer is no header");
}

#[tokio::test]
async fn frm_03_lengths() {
    for bad in ["+2", "0x2", "-1", "18446744073709551616", "2, 3", "2 2", "", "2\r\nContent-Length: 3"] {
        let result = hear(format!("HTTP/1.1 200 OK\r\nContent-Length: {bad}\r\n\r\nab"), Then::Close).await;
        assert_eq!(rule(result), "R39", "{bad:?}");
    }
    for good in ["2, 2", "2 ", "2\r\nContent-Length: 2"] {
        let result = hear(format!("HTTP/1.1 200 OK\r\nContent-Length: {good}\r\n\r\nab"), Then::Close).await;
        assert_eq!(result.unwrap().body, "ab", "{good:?}");
    }
    let huge = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\nab", u64::MAX);
    assert!(hear(huge, Then::Close).await.is_err());
}

/// R38: hyper takes Transfer-Encoding and hides nothing, so the judge sees both; we never use that connection
/// again, and its end proves nothing.
#[tokio::test]
async fn frm_04_transfer_encoding_beside_a_length() {
    let both =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let server = Server::saying(both, Then::Keep);
    let client = client();
    for _ in 0..2 {
        let got = fetch(&client, get(server.url("/"))).await.unwrap();
        let has = |wanted: &str| got.head.values(wanted).next().is_some();
        assert!(has("transfer-encoding") && has("content-length"));
        assert_eq!(got.ending, Ending::Close);
    }
    assert_eq!(server.connections(), 2);
}

/// R40 is hyper's own error; of codings it does not know (R41) it reads to the close, and the judge sees them.
#[tokio::test]
async fn frm_05_transfer_codings() {
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(rule(hear(old, Then::Close).await), "R40");
    for coding in ["chunked, gzip", "gzip, chunked", "xchunked", "gzip"] {
        let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n");
        let got = hear(format!("{head}0\r\n\r\n"), Then::Close).await.unwrap();
        assert!(got.head.values("transfer-encoding").any(|value| value == coding.as_bytes()));
        assert_eq!(got.ending, Ending::Close, "{coding}");
    }
}

#[tokio::test]
async fn frm_06_chunk_sizes() {
    for bad in
        ["fffffffffffffffff\r\n", "-1\r\n", "+3\r\n", "3\nabc\n0\n\n", "g\r\n", "3\r\nabcd\r\n0\r\n\r\n"]
    {
        assert_eq!(rule(hear(format!("{CHUNKED}{bad}"), Then::Close).await), "R42", "{bad:?}");
    }
    let largest = hear(format!("{CHUNKED}ffffffffffffffff\r\nabc"), Then::Close).await;
    assert_eq!(failure(largest), Failure::Truncated);
}

#[tokio::test]
async fn frm_07_chunk_extensions_are_capped() {
    let long = "e".repeat(20 << 10);
    assert_eq!(rule(hear(format!("{CHUNKED}3;{long}\r\nabc\r\n0\r\n\r\n"), Then::Close).await), "R43");
}

#[tokio::test]
async fn frm_08_a_close_is_told_apart_from_an_end() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"] {
        let got = hear(format!("{head}to the close"), Then::Close).await.unwrap();
        assert_eq!((got.body.as_str(), got.ending), ("to the close", Ending::Close));
    }
    let empty = hear("HTTP/1.1 204 No Content\r\n\r\n", Then::Keep).await.unwrap();
    assert_eq!(empty.ending, Ending::Message);
}

/// R45: the second message would be the answer to whatever is asked next.
#[tokio::test]
async fn frm_09_bytes_behind_the_answer_close_the_connection() {
    let server = Server::plain(|_, number| match number {
        0 => ([ok("first"), ok("smuggled")].concat(), Then::Keep),
        _ => (ok("second"), Then::Keep),
    });
    let client = client();
    assert_eq!(fetch(&client, get(server.url("/"))).await.unwrap().body, "first");
    assert_eq!(fetch(&client, get(server.url("/"))).await.unwrap().body, "second");
    assert_eq!(server.connections(), 2);
}

/// ... also when they come while the connection lies idle.
#[tokio::test]
async fn frm_09_bytes_that_nobody_asked_for_close_an_idle_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in ["first", "second"] {
            let (mut tcp, _) = listener.accept().unwrap();
            super::read_head(&mut tcp).unwrap();
            tcp.write_all(&ok(answer)).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            tcp.write_all(&ok("smuggled")).unwrap();
        }
    });
    let client = client();
    assert_eq!(fetch(&client, get(url.as_str())).await.unwrap().body, "first");
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(fetch(&client, get(url)).await.unwrap().body, "second");
}

#[tokio::test]
async fn frm_11_what_is_no_head() {
    assert_eq!(rule(hear("just a body\r\n\r\n", Then::Close).await), "R47");
    assert_eq!(rule(hear("HTTP/0.9 200 OK\r\n\r\nbody", Then::Close).await), "R47");
    assert_eq!(rule(hear("HTTP/1.1 2x0 OK\r\n\r\n", Then::Close).await), "R42");
    for field in ["no colon here", "A\0: b", "A: b\0c", "A : b", ": b", "A: b\r\n folded"] {
        let result =
            hear(format!("HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 0\r\n\r\n"), Then::Close).await;
        assert_eq!(rule(result), "R42", "{field:?}");
    }
    let nothing = failure(hear("", Then::Close).await);
    assert!(matches!(nothing, Failure::Reset(_)), "{nothing:?}");
}

#[tokio::test]
async fn dos_01_heads_are_bounded() {
    let field = format!("A: {}\r\n", "x".repeat(1_000));
    let long = format!("HTTP/1.1 200 OK\r\n{}", field.repeat(150));
    assert!(hear(format!("{long}Content-Length: 0\r\n\r\n"), Then::Keep).await.is_ok());
    let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(300 << 10));
    assert_eq!(rule(hear(endless, Then::Hang).await), "R66");
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "Set-Cookie: a\r\n".repeat(201));
    assert_eq!(rule(hear(many, Then::Hang).await), "R66");
}

/// The sum counts, not each head: three of 100 KiB are too many (curl CVE-2023-38039).
#[tokio::test]
async fn dos_01_heads_of_a_chain_are_summed() {
    let field = format!("A: {}\r\n", "x".repeat(100 << 10));
    let server = Server::plain(move |_, number| {
        let head = format!("HTTP/1.1 302 Found\r\n{field}Location: /{number}\r\nContent-Length: 0\r\n\r\n");
        (head.into_bytes(), Then::Keep)
    });
    assert_eq!(rule(fetch(&client(), get(server.url("/"))).await), "R66");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn r32_interim_responses_are_counted() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let few = [hints.repeat(16).as_bytes(), &ok("here")].concat();
    let got = hear(few, Then::Keep).await.unwrap();
    assert_eq!((got.body.as_str(), got.head.version), ("here", HttpVersion::Http11));
    let many = hear(hints.repeat(17), Then::Hang).await;
    assert_eq!(rule(many), "R32");
}
