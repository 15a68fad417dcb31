//! The public library against an honest origin: it ends, goes on, shares and can be dropped at any moment.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thence::{Checksum, Download, Engine, Error, Event, Limits, Options, Request};
use thence_origin::honest::{Served, Shared, handler};
use thence_origin::{Origin, files};

const LEN: usize = 6 << 20;
const RATE: u64 = 2 << 20;
/// Of one connection: however quickly more are opened, they are not done before a test has looked.
const SLOW: u64 = RATE / 8;
/// A wait that is longer hangs.
const HANG: Duration = Duration::from_secs(60);

fn body() -> Vec<u8> {
    files::content(1, LEN)
}

fn origin(rate: Option<u64>) -> (Origin, Shared) {
    let file = Shared::new(Served { rate, ..Served::new(body()) });
    (Origin::start(handler(&file)), file)
}

fn engine() -> Engine {
    Engine::new(Options { limits: Limits::default().hurried(30), ..Options::default() }).unwrap()
}

fn place() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn names(dir: &TempDir) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[track_caller]
fn is_whole(path: &Path) {
    assert!(std::fs::read(path).unwrap() == body(), "{} has wrong bytes", path.display());
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, what).await.expect("it hangs")
}

/// Waits until some blocks are held.
async fn held(download: &mut Download) -> u64 {
    in_time(async {
        while download.progress().held < 1 << 20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        download.progress().held
    })
    .await
}

/// What the next download of the same found.
async fn found(origin: &Origin, dir: &TempDir) -> u64 {
    let (_engine, mut download) = begin(engine(), origin, dir);
    let held = in_time(async {
        loop {
            match download.event().await {
                Some(Event::Answered { .. }) => {}
                Some(Event::Started { held, .. }) => break held,
                other => panic!("it did not start: {other:?}, {:?}", download.wait().await),
            }
        }
    })
    .await;
    in_time(download.wait()).await.unwrap();
    is_whole(&dir.path().join("file.bin"));
    assert_eq!(names(dir), ["file.bin"]);
    held
}

/// The file of `origin` on its way into `dir`; the engine lives as long as it is kept.
fn begin(engine: Engine, origin: &Origin, dir: &TempDir) -> (Engine, Download) {
    let download = engine.start(Request::new(origin.url("/file.bin"), dir.path()));
    (engine, download)
}

#[tokio::test]
async fn fetch_saves_the_file_and_a_second_call_finds_it() {
    let ((origin, _file), dir) = (origin(None), place());
    let path = dir.path().join("other name");
    let done = in_time(thence::fetch(&origin.url("/file.bin"), &path)).await.unwrap();
    assert_eq!((done.path.as_deref(), done.bytes, done.already), (Some(&*path), LEN as u64, false));
    is_whole(&path);
    let asked = origin.requests().len();
    assert!(in_time(thence::fetch(&origin.url("/file.bin"), &path)).await.unwrap().already);
    assert_eq!((origin.requests().len(), names(&dir)), (asked, vec!["other name".to_owned()]));
}

/// A limit of one download, then one of all, lifted while it waits for its turn: it would take an hour and more.
#[tokio::test]
async fn net_12_limits_are_changed_while_a_download_runs() {
    let ((origin, _file), dir, engine) = (origin(None), place(), engine());
    let mut request = Request::new(origin.url("/file.bin"), dir.path());
    request.limit_rate = Some(1_000);
    let mut download = engine.start(request);
    in_time(async { while !matches!(download.event().await, Some(Event::Started { .. })) {} }).await;
    engine.limit_rate(Some(1_000));
    engine.limit_host(Some(1_000));
    download.limit_rate(None);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(download.progress().held < LEN as u64 / 2);
    engine.limit_rate(None);
    engine.limit_host(None);
    in_time(download.wait()).await.unwrap();
    is_whole(&dir.path().join("file.bin"));
}

#[tokio::test]
async fn two_downloads_of_one_host_share_an_engine() {
    let ((origin, _file), dir, engine) = (origin(None), place(), engine());
    let start = |path: &str| engine.start(Request::new(origin.url(path), dir.path()));
    let (mut one, mut two) = (start("/one"), start("/two"));
    let ends = in_time(async { (one.wait().await, two.wait().await) }).await;
    assert!(ends.0.is_ok() && ends.1.is_ok(), "{ends:?}");
    is_whole(&dir.path().join("one"));
    is_whole(&dir.path().join("two"));
    in_time(engine.close()).await;
}

#[tokio::test]
async fn a_right_digest_is_in_the_result_and_a_wrong_one_is_an_error() {
    let ((origin, _file), dir, engine) = (origin(None), place(), engine());
    let with = |path: &str, hex: &str| {
        let bytes = (0..32).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
        let mut request = Request::new(origin.url(path), dir.path());
        request.checksum = Some(Checksum { algorithm: "sha-256".into(), bytes });
        engine.start(request)
    };
    let right = files::digest(body());
    let done = in_time(with("/right", &right).wait()).await.unwrap();
    assert_eq!(done.digest, Some(("sha-256".to_owned(), right)));
    let wrong = in_time(with("/wrong", &files::digest("no")).wait()).await;
    assert!(matches!(wrong, Err(Error::Digest { .. })), "{wrong:?}");
    assert!(!dir.path().join("wrong").exists());
}

#[tokio::test]
async fn a_paused_download_is_silent_until_it_is_resumed() {
    let ((origin, file), dir) = (origin(Some(SLOW)), place());
    let (_engine, mut download) = begin(engine(), &origin, &dir);
    held(&mut download).await;
    download.pause();
    while in_time(download.event()).await != Some(Event::Paused) {}
    let (sent, asked) = (download.progress().wire, origin.requests().len());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((download.progress().wire, origin.requests().len()), (sent, asked));
    file.change(|served| served.rate = None);
    download.resume();
    in_time(download.wait()).await.unwrap();
    is_whole(&dir.path().join("file.bin"));
}

#[tokio::test]
async fn a_cancelled_download_says_so_and_a_new_one_goes_on() {
    let ((origin, file), dir) = (origin(Some(SLOW)), place());
    let (engine, mut download) = begin(engine(), &origin, &dir);
    let before = held(&mut download).await;
    download.cancel();
    assert_eq!(in_time(download.wait()).await, Err(Error::Cancelled));
    assert_eq!(in_time(download.wait()).await, Err(Error::Cancelled), "the same each time");
    in_time(engine.close()).await;
    file.change(|served| served.rate = None);
    assert!(found(&origin, &dir).await >= before, "nothing that came to rest is lost");
}

#[tokio::test]
async fn a_dropped_future_and_download_leave_what_is_held() {
    let ((origin, file), dir) = (origin(Some(SLOW)), place());
    let (engine, mut download) = begin(engine(), &origin, &dir);
    let waited = tokio::time::timeout(Duration::from_millis(50), download.wait()).await;
    assert!(waited.is_err(), "{waited:?}");
    held(&mut download).await;
    drop(download);
    in_time(engine.close()).await;
    file.change(|served| served.rate = None);
    assert!(found(&origin, &dir).await > 0);
}

#[tokio::test]
async fn a_dropped_engine_leaves_what_is_held() {
    let ((origin, file), dir) = (origin(Some(SLOW)), place());
    let (engine, mut download) = begin(engine(), &origin, &dir);
    held(&mut download).await;
    drop(engine);
    download.cancel();
    drop(download);
    file.change(|served| served.rate = None);
    // Its threads let go of the files a moment later.
    let mut tries = 0;
    while thence::status(dir.path()).unwrap().iter().any(|part| part.in_use) {
        tries += 1;
        assert!(tries < 1000, "the files are never let go of");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(found(&origin, &dir).await > 0);
}

#[tokio::test]
async fn a_source_added_later_takes_part() {
    let ((origin, file), dir) = (origin(Some(SLOW)), place());
    let mirror = Origin::start(handler(&file));
    let (_engine, mut download) = begin(engine(), &origin, &dir);
    held(&mut download).await;
    download.add_source(&mirror.url("/elsewhere.bin"));
    in_time(download.wait()).await.unwrap();
    is_whole(&dir.path().join("file.bin"));
    assert!(mirror.sent() > 0, "{:?}", mirror.requests().len());
}

/// However slow the machine is, no more bytes are held than the rate has let through.
#[tokio::test]
async fn a_rate_limit_is_never_exceeded() {
    let ((origin, _file), dir) = (origin(None), place());
    let options =
        Options { limit_rate: Some(RATE), limits: Limits::default().hurried(30), ..Options::default() };
    let start = Instant::now();
    let (_engine, download) = begin(Engine::new(options).unwrap(), &origin, &dir);
    while start.elapsed() < Duration::from_secs(1) {
        let held = download.progress().held;
        let allowed = RATE as f64 * (1.1 * start.elapsed().as_secs_f64() + 0.01);
        assert!(held as f64 <= allowed, "{held} bytes after {:?}", start.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
