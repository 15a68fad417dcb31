//! Before anything is asked: is the request sound, and what did earlier runs leave?

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use thence_plan::{DiskFault, Event, Failure, Identity, JobSpec, Name, Zsync, choose_name, make_bare};
use url::Url;

use crate::adopt::{self, Partial, Useless};
use crate::error::Error;
use crate::file::{self, Draft, Pair};
use crate::find::{self, Found, Wanted};
use crate::finish::{Flaw, Proofs, publish_checked};
use crate::http::{USER_AGENT, check_headers};
use crate::inspect;
use crate::lane::Shared;
use crate::options::{Options, Request, Target};
use crate::orders::Done;
use crate::publish::Finish;
use crate::secret::{ExposeSecret, Fields, Secret};
use crate::signature::Signature;
use crate::sink::Sink;
use crate::standing;
use crate::stream::Stream;
use crate::sys::{self, Dir};
use crate::verify::apart;
use crate::work::{Aim, Asking, Files};

/// Fields whose values may be kept in the journal without being asked for.
const KEPT: [&str; 3] = [AGENT, "accept", "accept-language"];

const AGENT: &str = "user-agent";

/// How a download begins.
#[allow(clippy::large_enum_variant, reason = "made once a download, and boxed on its way")]
pub(crate) enum Started {
    /// It has a job for the planner.
    Begin {
        spec: Box<JobSpec>,
        asking: Asking,
        aim: Aim,
        files: Option<Files>,
        stream: Option<Stream>,
        /// To be told before anything else.
        notes: Vec<Event>,
    },
    /// The finished file is there.
    Already(Done),
    /// It cannot begin.
    Failed(Error),
}

/// What a list has found out about a download's directory.
#[derive(Clone)]
pub(crate) struct Hint {
    pub(crate) dir: Dir,
    /// Names of the pairs in it that were begun with the download's URL.
    pub(crate) known: Vec<String>,
}

/// Checks the request and looks for held work.
pub(crate) async fn prepare(
    request: Request,
    hint: Option<Hint>,
    options: &Options,
    shared: &Shared,
) -> Started {
    match begin(request, hint, options, shared).await {
        Ok(started) => started,
        Err(error) => Started::Failed(error),
    }
}

async fn begin(
    mut request: Request,
    hint: Option<Hint>,
    options: &Options,
    shared: &Shared,
) -> Result<Started, Error> {
    let (user, _) = check(&mut request, options)?;
    let name = chosen(&request)?;
    let mut asking = Asking::of(&request, user)?;
    let (kept, secret) = split(&request);
    let mut spec = spec_of(&request, name, options);
    let mut aim = Aim {
        dir: None,
        url: request.urls[0].clone(),
        exists: request.exists,
        adopted: None,
        remote_time: request.remote_time,
        mode: request.mode,
        checksum: request.checksum.clone(),
        pieces: request.pieces.take().map(Arc::new),
        signature: request.signature.clone(),
        only_if_changed: request.only_if_changed,
        standing: None,
        there: None,
        kept,
        secret,
        insecure: options.insecure,
    };
    let (mut files, mut stream, mut notes) = (None, None, Vec::new());
    match request.target {
        Target::Stream(writer) => {
            spec.stream = true;
            stream = Some(streamed(writer, &aim, options)?);
        }
        Target::File { dir, .. } => {
            let (dir, known) = match hint {
                Some(Hint { dir, known }) => (dir, Some(known)),
                None => (open(dir, shared).await?, None),
            };
            aim.dir = Some(dir.clone());
            if aim.only_if_changed {
                notes.extend(stands(&dir, &mut aim, &mut spec, shared).await?);
            }
            let seeded = request.zsync.is_some() && request.adopt.is_some();
            let wanted = request.adopt.map(|path| (path, request.zsync));
            let found = match look(&dir, known, &aim, &spec, &request.headers, options, shared).await? {
                // Its source is asked whether there is a newer one.
                Held::Finished(_) if aim.standing.is_some() => Held::Nothing,
                Held::Finished(done) => match vouched(done, &aim).await {
                    // It is an older version, whose blocks may be of use.
                    Err(_) if seeded => foreign(Held::Nothing, wanted, &aim, &spec, options, shared).await?,
                    vouched => return vouched.map(Started::Already),
                },
                found => foreign(found, wanted, &aim, &spec, options, shared).await?,
            };
            if let Held::Pair(work) = &found {
                demand(work, &mut aim, &mut spec, shared).await?;
            }
            files = take_up(found, &mut request.headers, &mut spec, &mut aim, &mut notes);
        }
    }
    spec.digest |= aim.pieces.is_some() && !spec.stream;
    asking.headers = Arc::new(request.headers);
    Ok(Started::Begin { spec: Box::new(spec), asking, aim, files, stream, notes })
}

/// What the planner is told before anything was looked for.
fn spec_of(request: &Request, name: Option<Name>, options: &Options) -> JobSpec {
    JobSpec {
        urls: request.urls.clone(),
        renewed: request.renewed.clone(),
        renews: options.renew.is_some(),
        name,
        lanes: request.lanes.map(|lanes| lanes.max(1)),
        strict: request.strict,
        trust_overlap: request.trust_overlap,
        raw: request.raw,
        size: request.size,
        digest: request.checksum.is_some() || request.signature.is_some(),
        stream: false,
        held: None,
        unless: None,
    }
}

fn streamed(writer: Box<dyn Write + Send>, aim: &Aim, options: &Options) -> Result<Stream, Error> {
    if aim.signature.is_some() {
        let why = "a signature is checked before a file gets its name, and a stream is used before that";
        return Err(Error::Option(why.to_owned()));
    }
    let algorithm = aim.checksum.as_ref().map(|checksum| checksum.algorithm.as_str());
    let started = Sink::start(writer, algorithm);
    let sink = started.map_err(|e| Error::Option(format!("no thread for the output: {e}")))?;
    Ok(Stream::new(sink, &options.limits))
}

/// What is there becomes the job's: its files, what it is asked with, and what is to be told of it.
fn take_up(
    found: Held,
    headers: &mut Fields,
    spec: &mut JobSpec,
    aim: &mut Aim,
    notes: &mut Vec<Event>,
) -> Option<Files> {
    let (files, held) = match found {
        Held::Nothing | Held::Finished(_) => return None,
        Held::Unknown { part } => {
            notes.push(Event::Kept { part });
            return None;
        }
        Held::Useless(Useless { file, what }) => {
            notes.push(Event::NotAdopted { file, what });
            return None;
        }
        Held::Foreign(pair, held) => (Files::new(pair, held.block_size, held.identity.clone()), *held),
        Held::Pair(work) => {
            aim.adopted = work.replaces;
            notes.extend(work.other_headers.iter().cloned().map(|name| Event::OtherHeader { name }));
            headers.extend(missing(&work.begin.headers, headers));
            Files::of(*work)
        }
    };
    spec.held = Some(held);
    Some(files)
}

enum Held {
    Nothing,
    /// A part without a readable journal.
    Unknown {
        part: String,
    },
    Finished(Done),
    Pair(Box<find::Work>),
    /// What another program left, in a pair of ours.
    Foreign(Pair, Box<thence_plan::Held>),
    /// Another program left something, and it cannot be used.
    Useless(Useless),
}

/// What stands where the download's file will be, and what is to be said of it. A file that lacks what is wanted of the new one
/// is not asked about: it is not the one that is wanted.
async fn stands(
    dir: &Dir,
    aim: &mut Aim,
    spec: &mut JobSpec,
    shared: &Shared,
) -> Result<Option<Event>, Error> {
    let (place, url) = (dir.clone(), spec.urls[0].clone());
    let chosen = spec.name.as_ref().map(|name| name.as_str().to_owned());
    let found = shared.disk.call(move || standing::find(&place, chosen.as_deref(), &url));
    let standing::Found { standing, edited } = found.await.map_err(|_| Error::Cancelled)??;
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    let edited = edited.map(|path| Event::Edited { path: shown(&path) });
    let Some(standing) = standing else { return Ok(edited) };
    let (path, bytes) = (Some(standing.path.clone()), standing.facts.size);
    let there = Done { path, bytes, already: true, unchanged: true, ..Done::default() };
    aim.there = match vouched(there, aim).await {
        Ok(there) => Some(there),
        Err(Error::Digest { .. } | Error::Signature { .. }) => None,
        Err(error) => return Err(error),
    };
    spec.unless = aim.there.is_some().then(|| standing.version.clone());
    spec.name = Name::chosen(&standing.name).ok().or(spec.name.take());
    let note = (!standing.marked).then(|| Event::ByTime { path: shown(&standing.path) });
    aim.standing = Some(standing);
    Ok(note.or(edited))
}

/// A file that is there already is as good as one that was fetched: it has the digest and the signature that are wanted now.
async fn vouched(done: Done, aim: &Aim) -> Result<Done, Error> {
    let Some(path) = done.path.clone() else { return Ok(done) };
    let (checksum, signature) = (aim.checksum.clone(), aim.signature.clone());
    if checksum.is_none() && signature.is_none() {
        return Ok(done);
    }
    let vouch = move || inspect::vouch(&path, checksum.as_ref(), signature.as_ref());
    let (digest, signed) = apart(vouch).await??;
    Ok(Done { digest: digest.or(done.digest), signed: signed.or(done.signed), ..done })
}

/// What the whole of a pair that is gone on with must have: what is given now, else what an earlier run was given, which
/// still stands. What was begun is brought to its end, whatever is there now.
async fn demand(work: &find::Work, aim: &mut Aim, spec: &mut JobSpec, shared: &Shared) -> Result<(), Error> {
    aim.checksum = aim.checksum.take().or(work.begin.digest.clone());
    let known = work.signed.as_ref();
    match &aim.signature {
        None => {
            let read = known.map(|known| Signature::read(&known.signature, &known.key)).transpose();
            let path = work.pair.part_path();
            aim.signature = read.map_err(|fault| Error::Signature { path, why: fault.to_string() })?;
        }
        Some(given) if known.is_none_or(|known| given.texts() != (&known.signature[..], &known.key[..])) => {
            // A later run has to know of it.
            let (pair, signature) = (work.pair.clone(), given.clone());
            let noted = shared.disk.call(move || pair.demand(Some(&signature)));
            noted.await.map_err(|_| Error::Cancelled)??;
        }
        Some(_) => {}
    }
    spec.digest = aim.checksum.is_some() || aim.signature.is_some();
    spec.unless = None;
    if spec.digest {
        work.pair.part.direct().turn_off();
    }
    Ok(())
}

/// Opens the directory, once and for all of this download.
async fn open(path: PathBuf, shared: &Shared) -> Result<Dir, Error> {
    let opened = shared.disk.call(move || sys::open_dir(&path));
    Ok(opened.await.map_err(|_| Error::Cancelled)??)
}

async fn look(
    dir: &Dir,
    known: Option<Vec<String>>,
    aim: &Aim,
    spec: &JobSpec,
    headers: &[(String, Secret)],
    options: &Options,
    shared: &Shared,
) -> Result<Held, Error> {
    let (dir, urls, headers) = (dir.clone(), spec.urls.clone(), headers.to_vec());
    let name = spec.name.as_ref().map(|name| name.as_str().to_owned());
    let (limits, exists) = (options.limits.clone(), aim.exists);
    let lately = shared.lately.clone();
    let found = shared.disk.call(move || {
        let found = find::find(&Wanted {
            dir: &dir,
            name: name.as_deref(),
            urls: &urls,
            headers: &headers,
            known: known.as_deref(),
            lately: &lately,
            limits: &limits,
        });
        match found? {
            Found::Pair(work) if adopt::is_idle(&work.begin, &work.held) => {
                file::discard(&work.pair)?;
                Ok(Found::Nothing)
            }
            found => Ok::<_, Error>(found),
        }
    });
    Ok(match found.await.map_err(|_| Error::Cancelled)?? {
        Found::Nothing => Held::Nothing,
        Found::Finished { path, bytes } => {
            Held::Finished(Done { path: Some(path), bytes, already: true, ..Done::default() })
        }
        Found::InUse { path } => {
            let why = "another download works on it; wait for it, or choose another name with -o".to_owned();
            return Err(Error::Disk { path, fault: DiskFault::InUse, why });
        }
        // `place` finds the name taken and goes by the same policy.
        Found::OtherUrl { .. } if exists == thence_plan::Exists::Rename => Held::Nothing,
        Found::OtherUrl { path } => {
            let why = "it belongs to another URL; choose another name, or remove it".to_owned();
            return Err(Error::Disk { path, fault: DiskFault::Exists, why });
        }
        Found::Kept(pair) => return take_whole(pair, aim, spec, options, shared).await,
        Found::Pair(work) => Held::Pair(work),
    })
}

/// What another program left, where no run of ours left anything: at the path that is `wanted`, else at the name. Or what an
/// older version there has of the wanted file.
async fn foreign(
    found: Held,
    wanted: Option<(PathBuf, Option<Arc<Zsync>>)>,
    aim: &Aim,
    spec: &JobSpec,
    options: &Options,
    shared: &Shared,
) -> Result<Held, Error> {
    let useless = |file: String, what: &str| Ok(Held::Useless(Useless { file, what: what.to_owned() }));
    if !matches!((&found, &wanted), (Held::Nothing, _) | (Held::Unknown { .. }, Some(_))) {
        return Ok(found); // What is ours is worth more.
    }
    let url = spec.urls[0].clone();
    let name = spec.name.clone().unwrap_or_else(|| choose_name(None, &url));
    let Some(draft) = aim.draft(name.as_str(), &url, &options.limits) else { return Ok(found) };
    let (entry, limits) = (draft.dir.entry(name.as_str()), options.limits.clone());
    let sought = shared.disk.call(move || match wanted {
        Some((path, Some(zsync))) => adopt::seed(&path, zsync).map(|seed| Some(Ok(seed))),
        Some((path, None)) => adopt::given(&path, &limits).map(Some),
        None => Ok(adopt::beside(&entry, &limits)?),
    });
    match sought.await.map_err(|_| Error::Cancelled)?? {
        None => Ok(found),
        Some(Err(why)) => Ok(Held::Useless(why)),
        Some(Ok(partial)) if spec.strict && !spec.digest => useless(
            partial.shown(),
            "only a comparison would prove it, and that is refused; a --checksum would do",
        ),
        Some(Ok(partial)) => copy(partial, draft, options, shared).await,
    }
}

/// Copies it to a pair of ours, in bites: others' syncs take turns with them.
async fn copy(partial: Partial, draft: Draft, options: &Options, shared: &Shared) -> Result<Held, Error> {
    let draft = Draft { identity: partial.identity(), block_size: partial.block_size(), ..draft };
    let url = draft.url.clone();
    let mut copying =
        shared.disk.call(move || partial.begin(draft)).await.map_err(|_| Error::Cancelled)??;
    loop {
        let step = shared.disk.call(move || copying.step().map(|more| (copying, more)));
        let (now, more) = step.await.map_err(|_| Error::Cancelled)??;
        copying = now;
        if !more {
            break;
        }
    }
    let limits = options.limits.clone();
    let ended = shared.disk.call(move || copying.end(&limits)).await.map_err(|_| Error::Cancelled)??;
    Ok(match ended {
        Err(why) => Held::Useless(why),
        Ok((pair, held)) => {
            shared.lately.began(&pair, &url);
            Held::Foreign(pair, Box::new(held))
        }
    })
}

/// A part without a readable journal is the file itself, if it has the digest or signature that is wanted: then nothing is
/// fetched. Otherwise nothing is known of it: comparing each byte with the server's would cost what fetching costs.
async fn take_whole(
    pair: Pair,
    aim: &Aim,
    spec: &JobSpec,
    options: &Options,
    shared: &Shared,
) -> Result<Held, Error> {
    let path = pair.part_path();
    let unknown = Held::Unknown { part: path.to_string_lossy().into_owned() };
    let (digest, signature) = (aim.checksum.clone(), aim.signature.clone());
    let proofs = Proofs { digest, signature, ..Proofs::default() };
    if proofs.digest.is_none() && proofs.signature.is_none() {
        return Ok(unknown);
    }
    let total = pair.part.facts()?.size;
    let finish = Finish {
        total,
        mode: aim.mode,
        mtime: None,
        url: spec.urls[0].clone(),
        identity: Identity { total: Some(total), ..Identity::default() },
        digest: None,
        replaces: aim.replaces(&pair.name),
        exists: aim.exists,
        adopted: None,
        limits: options.limits.clone(),
    };
    let failure = match publish_checked(shared, &Arc::new(pair), finish, proofs).await {
        Ok(done) => return Ok(Held::Finished(Done { bytes: total, ..done })),
        Err(Flaw::Wrong(_, failure) | Flaw::Other(failure)) => failure,
    };
    match failure {
        Failure::Digest { .. } | Failure::Signature(_) => Ok(unknown),
        Failure::Disk(fault, why) => Err(Error::Disk { path, fault, why }),
        other => Err(Error::Disk { path, fault: DiskFault::Io, why: other.to_string() }),
    }
}

/// Checks what the request asks with, cleans its URLs, and gives back the credential that was in them, and the first.
pub(crate) fn check(
    request: &mut Request,
    options: &Options,
) -> Result<(Option<(String, Secret)>, Url), Error> {
    check_headers(&request.headers)?;
    let cleaned = clean_urls(request)?;
    if let Some(agent) = &options.user_agent
        && !names(&request.headers, AGENT)
    {
        request.headers.push((AGENT.to_owned(), agent.as_str().into()));
    }
    Ok(cleaned)
}

/// Parses the URLs, and takes userinfo out of them: it is a credential, not an address (P4).
fn clean_urls(request: &mut Request) -> Result<(Option<(String, Secret)>, Url), Error> {
    let (mut user, mut first) = (request.user.take(), None);
    if let Some(renewed) = &mut request.renewed {
        let mut url = parsed(renewed)?;
        make_bare(&mut url);
        *renewed = url.into();
    }
    for (index, text) in request.urls.iter_mut().enumerate() {
        let mut url = parsed(text)?;
        if index == 0 && user.is_none() && !url.username().is_empty() {
            let plain = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
            user = Some((plain(url.username()), plain(url.password().unwrap_or_default()).into()));
        }
        make_bare(&mut url);
        url.as_str().clone_into(text);
        first.get_or_insert(url);
    }
    let first = first.ok_or_else(|| Error::Option("a download needs a URL".to_owned()))?;
    Ok((user, first))
}

/// The URL, if it can be asked.
fn parsed(text: &str) -> Result<Url, Error> {
    let bad = |why: &str| Error::Url { url: thence_plan::mask(text), why: why.to_owned() };
    let url = Url::parse(text).map_err(|e| bad(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("only http:// and https:// can be fetched"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(bad("it names no host"));
    }
    Ok(url)
}

pub(crate) fn chosen(request: &Request) -> Result<Option<Name>, Error> {
    let Target::File { name, .. } = &request.target else { return Ok(None) };
    let own = || request.adopt.as_deref().and_then(adopt::name_of);
    let Some(name) = name.clone().or_else(own) else { return Ok(None) };
    Name::chosen(&name).map(Some).map_err(|e| Error::Option(format!("{name:?} is no file name: {e}")))
}

/// Which fields go to the journal as they are, and which only as a keyed hash.
fn split(request: &Request) -> (Vec<(String, String)>, Fields) {
    let (kept, secret): (Fields, Fields) = request.headers.iter().cloned().partition(|(name, _)| {
        let name = name.to_ascii_lowercase();
        KEPT.contains(&name.as_str())
            || request.keep_headers.iter().any(|kept| kept.eq_ignore_ascii_case(&name))
    });
    let shown = |(name, value): (String, Secret)| (name, value.expose_secret().to_owned());
    let mut kept: Vec<(String, String)> = kept.into_iter().map(shown).collect();
    if !names(&kept, AGENT) {
        // R12: a later run, of another version of ours too, asks as this one did.
        kept.push((AGENT.to_owned(), USER_AGENT.to_owned()));
    }
    (kept, secret)
}

/// Kept fields of an earlier run that this one was not given: the representation may depend on them (R12).
fn missing(kept: &[(String, String)], given: &Fields) -> Fields {
    let missing = kept.iter().filter(|(name, _)| !names(given, name));
    missing.map(|(name, value)| (name.clone(), value.as_str().into())).collect()
}

fn names<T>(fields: &[(String, T)], name: &str) -> bool {
    fields.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
}
