//! What a job does beside its lanes: a digest follows what is stored, a description is read, another URL is asked for.

use std::sync::Arc;

use thence_plan::{Described, Input, JobId, SourceId};

use super::{Driver, Message};
use crate::describe;
use crate::lane::Word;

impl Driver {
    /// Lets the digest of the whole follow what is stored.
    pub(super) fn follow(&mut self, job: JobId) {
        let Some(work) = self.works.get_mut(&job) else { return };
        let Some(part) = work.files.as_ref().map(|files| files.pair.part.clone()) else { return };
        let Some(follower) = work.follower() else { return };
        let held = follower.rests_at().and_then(|at| self.run.held_until(job, at));
        let Some(upto) = held.and_then(|held| follower.next(held)) else { return };
        let messages = self.messages.clone();
        tokio::task::spawn_local(async move {
            follower.feed(part, upto).await;
            let _ = messages.send((job, Message::Followed));
        });
    }

    /// Reads the Metalink that a server named. What comes of it counts only if nobody gave a digest.
    pub(super) fn describe(&self, job: JobId, url: String, given_for: String) {
        let Some(work) = self.works.get(&job) else { return };
        let (headers, proxies) = (work.asking.headers.clone(), work.asking.proxies.clone());
        let place = describe::Place { url, given_for, headers, proxies };
        let (messages, shared) = (self.messages.clone(), self.shared.clone());
        let total = self.run.progress(job).and_then(|progress| progress.total);
        let name = work.files.as_ref().map(|files| files.pair.name.clone()).unwrap_or_default();
        tokio::task::spawn_local(async move {
            if let Some(file) = describe::described(shared, place, &name, total).await {
                let _ = messages.send((job, Message::Described(Box::new(file))));
            }
        });
    }

    pub(super) fn on_described(&mut self, job: JobId, file: Described) {
        let Some(work) = self.works.get_mut(&job) else { return };
        let Described { digest, pieces, urls, .. } = file;
        let proves = digest.is_some() || pieces.is_some();
        if work.aim.checksum.is_none() && work.aim.pieces.is_none() && work.ending.is_none() {
            (work.aim.checksum, work.aim.pieces) = (digest, pieces.map(Arc::new));
            self.input(job, Input::Described { urls, digest: proves });
        }
    }

    /// Whoever knows another URL may take its time.
    pub(super) fn renew(&self, job: JobId, source: SourceId, url: String) {
        let (messages, renew) = (self.messages.clone(), self.options.renew.clone());
        tokio::task::spawn_local(async move {
            let url = match renew {
                Some(renew) => renew.ask(url).await,
                None => Err("nobody was named who knows another URL".to_owned()),
            };
            let _ = messages.send((job, Message::Lane(Word::Input(Input::Renewed { source, url }))));
        });
    }
}
