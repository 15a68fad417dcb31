//! A pair is made for what is to be stored, and goes to the job.

use std::collections::BTreeMap;

use thence_plan::{Event, Input, JobId, Placement};

use super::{Driver, Message, Placed};
use crate::error::Error;
use crate::file::{self, Draft, Pair};
use crate::find;
use crate::inspect;
use crate::orders::Done;
use crate::standing::{self, Standing};
use crate::sys::DiskError;
use crate::work::Files;

impl Driver {
    /// Makes the files on the disk's thread; a finished file of the same source is recognised first (R57).
    pub(super) fn place(&mut self, job: JobId, placement: Box<Placement>) {
        let Some(work) = self.works.get_mut(&job) else { return };
        let draft = work.aim.draft(placement.name.as_str(), &placement.url, &self.shared.limits);
        let Some(draft) = draft else { return };
        let mut draft = Draft {
            identity: placement.identity.clone(),
            block_size: placement.block_size,
            journal: placement.journal,
            ..draft
        };
        let only_if_changed = work.aim.only_if_changed;
        // Whatever another program left at the name is not this generation's to replace.
        work.aim.adopted = None;
        // The retired pair keeps its lock until it has its other name.
        let Placement { retire, discard, .. } = *placement;
        let old = work.files.take().filter(|_| retire || discard).map(|files| Pair::clone(&files.pair));
        (work.follower, work.open) = (None, BTreeMap::new());
        work.batch.clear();
        let (messages, shared, lately) =
            (self.messages.clone(), self.shared.clone(), self.shared.lately.clone());
        tokio::task::spawn_local(async move {
            let placed = shared.disk.call(move || {
                let entry = draft.dir.entry(&draft.name);
                let mut found = None;
                match old {
                    Some(old) if discard => file::discard(&old)?,
                    Some(old) => {
                        if let Some(work) = find::comes_back(&old, &draft)? {
                            return Ok(Message::Returned(work));
                        }
                        file::retire(old, &draft.limits)?;
                    }
                    None if draft.replaces.is_none() => {
                        if let Some(standing) = standing::marked(&entry, &draft.url)? {
                            let unchanged = standing.version.is_still(&draft.identity);
                            if !only_if_changed || unchanged {
                                return Ok(Message::Already(already(&standing, only_if_changed, &draft)));
                            }
                            draft.replaces = Some(standing.facts);
                            found = Some(standing);
                        }
                    }
                    None => {}
                }
                let pair = file::place(&draft)?;
                lately.began(&pair, &draft.url);
                let taken = Some(entry).filter(|_| pair.name != draft.name);
                let adoptable = taken.and_then(|entry| file::adoptable(&entry, draft.identity.total));
                Ok(Message::Placed(Ok((Box::new(pair), placement, found, adoptable))))
            });
            let placed = placed.await.unwrap_or_else(|_| Err(DiskError::gone()));
            let _ = messages.send((job, placed.unwrap_or_else(|error| Message::Placed(Err(error)))));
        });
    }

    pub(super) fn on_placed(&mut self, job: JobId, result: Result<Placed, DiskError>) {
        let result = match (result, self.works.get_mut(&job)) {
            (Ok((pair, placement, standing, adoptable)), Some(work)) => {
                work.aim.standing = standing.or(work.aim.standing.take());
                work.files = Some(Files::new(*pair, placement.block_size, placement.identity));
                if let Some(file) = adoptable {
                    work.tell(Event::Adoptable { file: file.to_string_lossy().into_owned() });
                }
                if let Some(progress) = self.run.progress(job) {
                    work.show(progress);
                }
                Ok(())
            }
            (Ok(_), None) => return,
            (Err(error), _) => Err(error.into()),
        };
        self.input(job, Input::Placed(result));
    }

    pub(super) fn on_returned(&mut self, job: JobId, returned: find::Work) {
        let Some(work) = self.works.get_mut(&job) else { return };
        work.aim.adopted = returned.replaces;
        let (files, held) = Files::of(returned);
        (work.files, work.follower) = (Some(files), None);
        self.input(job, Input::Returned(Box::new(held)));
    }
}

/// A finished file of the same source is as good as one that is fetched if it has what is wanted of that.
fn already(standing: &Standing, unchanged: bool, draft: &Draft) -> Result<Done, Error> {
    let Standing { path, facts, .. } = standing;
    let (digest, signed) = inspect::vouch(path, draft.digest.as_ref(), draft.signature.as_ref())?;
    let (path, bytes) = (Some(path.clone()), facts.size);
    Ok(Done { path, bytes, digest, signed, already: true, unchanged, ..Done::default() })
}
