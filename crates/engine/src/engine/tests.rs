//! What becomes of a download when a part of the engine panics.

use super::*;

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use thence_origin::honest::{Served, Shared, handler};
use thence_origin::{Origin, files};
use thence_plan::{Event, Failure, Limits};

use crate::planted::{Place, is_spent, plant};

const LEN: usize = 3 << 20;
/// A wait that is longer hangs.
const HANG: Duration = Duration::from_secs(60);

/// A file that takes a second over one connection, and where to.
fn scene() -> (Origin, TempDir, PathBuf) {
    let served = Served { rate: Some(LEN as u64), ..Served::new(files::content(1, LEN)) };
    let dir = tempfile::tempdir().unwrap();
    let part = dir.path().join("file.bin.part");
    (Origin::start(handler(&Shared::new(served))), dir, part)
}

fn engine() -> Engine {
    Engine::new(Options { limits: Limits::default().hurried(30), ..Options::default() }).unwrap()
}

/// How the file ended, and what was said on the way.
async fn fetched(engine: &Engine, origin: &Origin, dir: &TempDir) -> (Result<Done, Error>, Vec<Event>) {
    let mut request = Request::new(origin.url("/file.bin"), dir.path());
    request.lanes = Some(1);
    let (mut download, mut said) = (engine.start(request), Vec::new());
    let ended = tokio::time::timeout(HANG, async {
        while let Some(event) = download.event().await {
            said.push(event);
        }
        download.wait().await
    });
    (ended.await.expect("it hangs"), said)
}

fn is_whole(dir: &TempDir) {
    assert!(std::fs::read(dir.path().join("file.bin")).unwrap() == files::content(1, LEN), "wrong bytes");
}

#[tokio::test]
async fn crh_20_a_lane_that_panics_inside_a_block_is_a_lane_that_failed() {
    let ((origin, dir, part), engine) = (scene(), engine());
    plant(Place::Lane, &part, 3);
    let (ended, said) = fetched(&engine, &origin, &dir).await;
    ended.unwrap();
    assert!(is_spent(Place::Lane, &part));
    let retried = |event: &Event| matches!(event, Event::Retry { failure: Failure::Defect(_), .. });
    assert!(said.iter().any(retried), "{said:?}");
    is_whole(&dir);
}

#[tokio::test]
async fn log_04_what_a_panic_leaves_to_read_holds_no_secret() {
    let ((origin, dir, part), engine) = (scene(), engine());
    plant(Place::Lane, &part, 0);
    let mut request =
        Request::new(origin.url("/file.bin?token=SECRET").replace("://", "://u:SECRET@"), dir.path());
    request.headers = vec![("Cookie".into(), "SECRET".into()), ("Authorization".into(), "SECRET".into())];
    (request.user, request.lanes) = (Some(("me".into(), "SECRET".into())), Some(1));
    let (mut download, mut said) = (engine.start(request), Vec::new());
    while let Some(event) = tokio::time::timeout(HANG, download.event()).await.expect("it hangs") {
        said.push(event);
    }
    let ended = download.wait().await;
    assert!(is_spent(Place::Lane, &part));
    let failures: Vec<String> = said
        .iter()
        .filter_map(|event| match event {
            Event::Retry { failure, .. } => Some(format!("{failure} {failure:?}")),
            _ => None,
        })
        .collect();
    assert!(failures.iter().any(|failure| failure.contains("panicked")), "{failures:?}");
    assert!(!failures.concat().contains("SECRET") && !format!("{ended:?}").contains("SECRET"));
}

/// Ends as a failed write; the same engine does not hang afterwards; the next one goes on.
async fn a_writer_panics(place: Place) {
    let ((origin, dir, part), broken) = (scene(), engine());
    let file = if place == Place::Journal { dir.path().join("file.bin.thence") } else { part };
    plant(place, &file, 6);
    let (ended, _) = fetched(&broken, &origin, &dir).await;
    assert!(is_spent(place, &file) && matches!(ended, Err(Error::Disk { .. })), "{ended:?}");
    let (again, _) = fetched(&broken, &origin, &dir).await;
    assert!(matches!(again, Err(Error::Disk { .. })), "{again:?}");
    broken.close().await;
    let (ended, said) = fetched(&engine(), &origin, &dir).await;
    ended.unwrap();
    let first = said.iter().find(|event| !matches!(event, Event::Answered { .. }));
    assert!(matches!(first, Some(Event::Started { held, .. }) if *held > 0), "{said:?}");
    is_whole(&dir);
}

#[tokio::test]
async fn crh_20_a_panic_while_data_is_written_is_a_write_that_failed() {
    a_writer_panics(Place::Data).await;
}

#[tokio::test]
async fn crh_20_a_panic_while_the_journal_is_written_is_a_write_that_failed() {
    a_writer_panics(Place::Journal).await;
}

/// Hand-overs that are due leave slabs that begin anywhere; what is read must end where they do, or the lane would take
/// a full one for the end of its message.
#[tokio::test]
async fn p3_a_slow_body_comes_over_the_connection_it_began_on() {
    let ((origin, dir, _), engine) = (scene(), Engine::new(Options::default()).unwrap());
    let (ended, said) = fetched(&engine, &origin, &dir).await;
    ended.unwrap();
    assert!(!said.iter().any(|event| matches!(event, Event::Retry { .. })), "{said:?}");
    assert_eq!(origin.requests().len(), 1);
    is_whole(&dir);
}

/// The clock alone would let a kill cost what comes in a tenth of a second: 100 MB on a fast line.
#[tokio::test]
async fn p3_records_are_appended_as_soon_as_they_cover_so_many_bytes() {
    let content = files::content(1, LEN);
    let origin = Origin::start(move |_, out| {
        let fields =
            format!("ETag: \"a\"\r\nContent-Range: bytes 0-{}/{LEN}\r\nContent-Length: {LEN}\r\n", LEN - 1);
        out.head(206, &fields).body(&content[..LEN - 1]).stall();
    });
    let dir = tempfile::tempdir().unwrap();
    let never = HANG * 2;
    let limits = Limits { batch: never, sync: never, batch_bytes: 1 << 20, ..Limits::default() };
    let engine = Engine::new(Options { limits, ..Options::default() }).unwrap();
    let mut request = Request::new(origin.url("/file.bin"), dir.path());
    request.lanes = Some(1);
    let _download = engine.start(request);
    let recorded = async {
        while !crate::status(dir.path()).unwrap().iter().any(|part| part.held >= 2 << 20) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(HANG, recorded).await.expect("nothing is recorded");
}
