//! Bodies that are read from the connection itself, without the library: everything that framing promises holds for
//! them as well.

use std::time::Duration;

use thence_plan::{Failure, Phase};

use super::{Answer, Client, Get, Server, Then, client, get};

const LARGE: usize = 600 << 10;

/// A large body, no two stretches of it alike.
fn large() -> String {
    (0..LARGE / 8).map(|number| format!("{number:08}")).collect()
}

fn saying(fields: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fields}\r\n{body}", body.len()).into_bytes()
}

/// Asks and reads to the end by `fill`, so many bytes at a time; the connection goes back to the pool.
async fn fetch(client: &Client, get: Get, room: usize) -> Result<String, Failure> {
    let Answer { mut body, .. } = client.get(get).await?;
    if !body.leave_library() {
        // It broke before anybody asked; that comes by chunks.
        while body.chunk(u64::MAX).await?.is_some() {}
        panic!("a large body of known length is left to the library");
    }
    let (mut bytes, mut room) = (Vec::new(), vec![0; room]);
    loop {
        body.readable().await?;
        match body.fill(&mut room, u64::MAX).await.transpose()? {
            Some(0) => break,
            Some(len) => bytes.extend_from_slice(&room[..len]),
            None => {}
        }
    }
    body.release();
    Ok(String::from_utf8(bytes).expect("digits"))
}

async fn hear(bytes: Vec<u8>, then: Then) -> Result<String, Failure> {
    let server = Server::saying(bytes, then);
    fetch(&client(), get(server.url("/")), 64 << 10).await
}

#[tokio::test]
async fn a_body_comes_whole_however_little_is_read_at_a_time() {
    for room in [1_000, 4_096, 65_537, 2 * LARGE] {
        let server = Server::saying(saying("", &large()), Then::Keep);
        assert!(fetch(&client(), get(server.url("/")), room).await.unwrap() == large(), "{room}");
    }
}

#[tokio::test]
async fn frm_01_fewer_bytes_than_promised_are_no_body() {
    let whole = saying("", &large());
    let head = whole.len() - LARGE;
    for kept in [0, 1, 8_000, 300_000, LARGE - 1] {
        assert_eq!(hear(whole[..head + kept].to_vec(), Then::Close).await, Err(Failure::Truncated), "{kept}");
    }
    assert!(hear(whole, Then::Close).await.is_ok());
}

#[tokio::test]
async fn frm_01_a_reset_is_no_end() {
    let whole = saying("", &large());
    assert!(matches!(hear(whole[..300_000].to_vec(), Then::Reset).await, Err(Failure::Reset(_))));
}

#[tokio::test]
async fn a_connection_is_used_again_where_the_server_keeps_it_and_nowhere_else() {
    for (fields, connections) in [
        ("", 1),
        ("Connection: keep-alive\r\n", 1),
        ("Connection: close\r\n", 2),
        ("Connection: x, close\r\n", 2),
    ] {
        let server = Server::saying(saying(fields, &large()), Then::Keep);
        let client = client();
        for _ in 0..2 {
            assert!(fetch(&client, get(server.url("/")), 65_536).await.unwrap() == large());
        }
        assert_eq!(server.connections(), connections, "{fields:?}");
    }
    let old = [b"HTTP/1.0 200 OK\r\nContent-Length: 614400\r\n\r\n", large().as_bytes()].concat();
    let server = Server::saying(old, Then::Keep);
    let client = client();
    for _ in 0..2 {
        fetch(&client, get(server.url("/")), 65_536).await.unwrap();
    }
    assert_eq!(server.connections(), 2, "HTTP/1.0");
}

/// R45: the second message would be the answer to whatever is asked next.
#[tokio::test]
async fn frm_09_bytes_behind_the_answer_close_the_connection() {
    let server = Server::plain(|_, number| match number {
        0 => ([saying("", &large()), super::ok("smuggled")].concat(), Then::Keep),
        _ => (super::ok("second"), Then::Keep),
    });
    let client = client();
    assert!(fetch(&client, get(server.url("/")), 65_536).await.unwrap() == large());
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(super::fetch(&client, get(server.url("/"))).await.unwrap().body, "second");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn r68_a_body_that_stops_is_stalled() {
    let whole = saying("", &large());
    assert_eq!(hear(whole[..300_000].to_vec(), Then::Hang).await, Err(Failure::Stalled(Phase::Body)));
}

/// Whoever cannot store what comes as it comes reads on by chunks, and what was read ahead comes first.
#[tokio::test]
async fn chunks_and_fills_may_take_turns() {
    let server = Server::saying(saying("", &large()), Then::Keep);
    let Answer { mut body, .. } = client().get(get(server.url("/"))).await.unwrap();
    let (mut bytes, mut room) = (body.chunk(100).await.unwrap().unwrap().to_vec(), vec![0; 10_000]);
    assert!(body.leave_library());
    while bytes.len() < LARGE {
        body.readable().await.unwrap();
        if let Some(len) = body.fill(&mut room, 10_000).await.transpose().unwrap() {
            bytes.extend_from_slice(&room[..len]);
        }
        if bytes.len() < LARGE {
            bytes.extend_from_slice(&body.chunk(10_000).await.unwrap().unwrap());
        }
    }
    assert!(bytes == large().as_bytes() && body.chunk(1).await.unwrap().is_none());
}

#[tokio::test]
async fn what_has_no_length_or_little_left_stays_with_the_library() {
    let chunked =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n96000\r\n{}\r\n0\r\n\r\n", large());
    let close = format!("HTTP/1.1 200 OK\r\n\r\n{}", large());
    for whole in [chunked.into_bytes(), close.into_bytes(), super::ok("few")] {
        let server = Server::saying(whole, Then::Close);
        let Answer { mut body, .. } = client().get(get(server.url("/"))).await.unwrap();
        assert!(!body.leave_library());
    }
}
