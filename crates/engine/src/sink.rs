//! A consumer in order: standard output, or any writer. It may be slow for ever, so it has its own thread.

use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use thence_plan::{DiskFault, Failure, WantedDigest};
use tokio::sync::oneshot;

use crate::verify::Digester;
use crate::write::Slab;

enum Order {
    Write(Vec<Slab>, oneshot::Sender<Result<(), Failure>>),
    Finish(oneshot::Sender<Result<Option<WantedDigest>, Failure>>),
}

/// A writer behind a thread; one write is under way at a time, so nothing piles up.
pub(crate) struct Sink {
    orders: SyncSender<Order>,
}

impl Sink {
    /// Starts the thread; `algorithm` is that of the digest to be made of everything written.
    pub(crate) fn start(writer: Box<dyn Write + Send>, algorithm: Option<&str>) -> std::io::Result<Sink> {
        let (orders, inbox) = sync_channel(1);
        let digester = algorithm.and_then(Digester::new);
        std::thread::Builder::new()
            .name("thence-sink".into())
            .spawn(move || serve(writer, digester, &inbox))?;
        Ok(Sink { orders })
    }

    /// Writes all of them, one after the other; each is free again when it is written.
    pub(crate) async fn write(&self, slabs: Vec<Slab>) -> Result<(), Failure> {
        let (answer, result) = oneshot::channel();
        self.orders.send(Order::Write(slabs, answer)).map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }

    /// Flushes; returns the digest if one is made.
    pub(crate) async fn finish(&self) -> Result<Option<WantedDigest>, Failure> {
        let (answer, result) = oneshot::channel();
        self.orders.send(Order::Finish(answer)).map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }
}

fn serve(mut writer: Box<dyn Write + Send>, mut digester: Option<Digester>, inbox: &Receiver<Order>) {
    while let Ok(order) = inbox.recv() {
        match order {
            Order::Write(slabs, answer) => {
                let written = slabs.into_iter().try_for_each(|slab| {
                    writer.write_all(slab.bytes())?;
                    if let Some(digester) = &mut digester {
                        digester.update(slab.bytes());
                    }
                    Ok(())
                });
                let _ = answer.send(written.map_err(|error| failed(&error)));
            }
            Order::Finish(answer) => {
                let flushed = writer.flush().map_err(|error| failed(&error));
                let _ = answer.send(flushed.map(|()| digester.take().map(Digester::finish)));
            }
        }
    }
}

fn failed(error: &std::io::Error) -> Failure {
    let fault = if error.kind() == std::io::ErrorKind::StorageFull { DiskFault::Full } else { DiskFault::Io };
    Failure::Disk(fault, format!("the output: {error}"))
}

fn gone() -> Failure {
    Failure::Disk(DiskFault::Io, "the output's thread is gone".to_owned())
}
