//! A socket that wakes its reader by pieces: whatever was sent comes, also if nothing follows it.

use std::sync::mpsc::{Receiver, Sender, channel};

use thence_origin::chance::Chance;

use super::tls::{Authority, tls};
use super::*;

/// Longer than what is waited for at once.
const FAST: usize = 8 << 20;

/// Lengths by chance: after a long burst, which comes fast, some that may be shorter than a piece.
fn bursts(seed: u64) -> Vec<usize> {
    let mut chance = Chance::new(seed);
    let few = move |number| if number % 4 == 0 { FAST } else { 1 + (chance.unit() * 300e3) as usize };
    (0..12).map(few).collect()
}

/// Serves a body to one connection, and then a short one. No burst is sent before the client has told that it has all of
/// those before.
fn serve(
    wrap: impl FnOnce(TcpStream) -> Stream + Send + 'static,
    bursts: Vec<usize>,
    came: Receiver<usize>,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut stream = wrap(listener.accept().unwrap().0);
        read_head(&mut stream).unwrap();
        let total: usize = bursts.iter().sum();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n").unwrap();
        let mut sent = 0;
        for len in bursts {
            for piece in vec![7; len].chunks(512 << 10) {
                // So fast that pieces are waited for, so slow that there is something to wait for.
                thread::sleep(Duration::from_millis(8));
                stream.write_all(piece).unwrap();
                stream.flush().unwrap();
            }
            sent += len;
            while came.recv().unwrap() < sent {}
        }
        while read_head(&mut stream).is_some() {
            stream.write_all(&ok("short")).unwrap();
            stream.flush().unwrap();
        }
    });
    port
}

/// How a body is read.
struct Way {
    /// By `fill` as far as this, then by chunks.
    filled: usize,
    /// Here it rests once, until the next bytes must have come.
    rest: usize,
}

/// Reads all of it, and asks once more on the same connection.
async fn read(client: Client, url: String, total: usize, told: Sender<usize>, way: Way) {
    let Answer { mut body, .. } = client.get(get(&url)).await.unwrap();
    assert!(body.leave_library());
    let (mut room, mut at, mut rested) = (vec![0; 16 << 10], 0, false);
    while at < total {
        if at >= way.rest && !std::mem::replace(&mut rested, true) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if at >= way.filled {
            at += body.chunk(u64::MAX).await.unwrap().unwrap().len();
        } else {
            body.readable().await.unwrap();
            let len = body.fill(&mut room, u64::MAX).await.transpose().unwrap().unwrap_or(0);
            assert!(room[..len].iter().all(|&byte| byte == 7));
            at += len;
        }
        // It may have sent all, and want to hear no more.
        let _ended = told.send(at);
    }
    assert_eq!(body.fill(&mut room, u64::MAX).await, Some(Ok(0)));
    body.release();
    assert_eq!(fetch(&client, get(url)).await.unwrap().body, "short");
}

async fn over_both(bursts: &[usize], way: impl Fn() -> Way) {
    let (total, (told, came)) = (bursts.iter().sum(), channel());
    let port = serve(Stream::Plain, bursts.to_vec(), came);
    read(client(), format!("http://127.0.0.1:{port}/"), total, told, way()).await;

    let (authority, (told, came)) = (Authority::new(), channel());
    let port = serve(tls(authority.config("localhost")), bursts.to_vec(), came);
    let (client, url) = (authority.client_with(options()), format!("https://localhost:{port}/"));
    read(client, url, total, told, way()).await;
}

#[tokio::test]
async fn what_was_sent_comes_though_nothing_follows_it() {
    for seed in 0..4 {
        println!("seed {seed}");
        over_both(&bursts(seed), || Way { filled: usize::MAX, rest: usize::MAX }).await;
    }
}

#[tokio::test]
async fn whoever_reads_on_by_chunks_gets_all_that_was_sent() {
    let bursts = [FAST, 1_000, 1_000_000];
    over_both(&bursts, || Way { filled: FAST / 2, rest: usize::MAX }).await;
}

/// Its last bytes were there already and nobody waited for them; so the socket still waits for a piece.
#[tokio::test]
async fn a_head_comes_though_it_is_shorter_than_a_piece() {
    over_both(&[FAST], || Way { filled: usize::MAX, rest: FAST - (280 << 10) }).await;
}
