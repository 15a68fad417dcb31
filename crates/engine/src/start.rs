//! Before anything is asked: is the request sound, and what did earlier runs leave?

use std::path::PathBuf;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use thence_plan::{DiskFault, Event, Failure, Identity, JobSpec, Name, choose_name, make_bare};
use url::Url;

use crate::adopt::{self, Partial, Useless};
use crate::error::Error;
use crate::file::{self, Draft, Pair};
use crate::find::{self, Found, Wanted};
use crate::finish::publish_checked;
use crate::http::{USER_AGENT, check_headers};
use crate::lane::Shared;
use crate::options::{Options, Request, Target};
use crate::orders::Done;
use crate::publish::Finish;
use crate::secret::{ExposeSecret, Fields, Secret};
use crate::sink::Sink;
use crate::stream::Stream;
use crate::sys::{self, Dir};
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
    let mut asking = Asking { urls: request.urls.clone(), headers: Arc::default(), user: user.map(Arc::new) };
    let (kept, secret) = split(&request);
    let mut spec = JobSpec {
        urls: request.urls.clone(),
        name,
        lanes: request.lanes.map(|lanes| lanes.max(1)),
        strict: request.strict,
        trust_overlap: request.trust_overlap,
        raw: request.raw,
        digest: request.checksum.is_some(),
        stream: false,
        held: None,
    };
    let mut aim = Aim {
        dir: None,
        exists: request.exists,
        replaces: None,
        remote_time: request.remote_time,
        mode: request.mode,
        checksum: request.checksum.clone(),
        kept,
        secret,
        insecure: options.insecure,
    };
    let (mut files, mut stream, mut notes) = (None, None, Vec::new());
    match request.target {
        Target::Stream(writer) => {
            spec.stream = true;
            let algorithm = request.checksum.as_ref().map(|c| c.algorithm.as_str());
            let started = Sink::start(writer, algorithm);
            let sink = started.map_err(|e| Error::Option(format!("no thread for the output: {e}")))?;
            stream = Some(Stream::new(sink, &options.limits));
        }
        Target::File { dir, .. } => {
            let (dir, known) = match hint {
                Some(Hint { dir, known }) => (dir, Some(known)),
                None => (open(dir, shared).await?, None),
            };
            aim.dir = Some(dir.clone());
            let found = look(&dir, known, &aim, &spec, &request.headers, options, shared).await?;
            let found = foreign(found, request.adopt, &aim, &spec, options, shared).await?;
            match take_up(found, &mut request.headers, &mut spec, &mut aim, &mut notes) {
                Ok(taken) => files = taken,
                Err(done) => return Ok(Started::Already(done)),
            }
        }
    }
    asking.headers = Arc::new(request.headers);
    Ok(Started::Begin { spec: Box::new(spec), asking, aim, files, stream, notes })
}

/// What is there becomes the job's: its files, what it is asked with, and what is to be told of it. An error is the finished
/// file.
fn take_up(
    found: Held,
    headers: &mut Fields,
    spec: &mut JobSpec,
    aim: &mut Aim,
    notes: &mut Vec<Event>,
) -> Result<Option<Files>, Done> {
    let (files, held) = match found {
        Held::Nothing => return Ok(None),
        Held::Finished(done) => return Err(done),
        Held::Unknown { part } => {
            notes.push(Event::Kept { part });
            return Ok(None);
        }
        Held::Useless(Useless { file, what }) => {
            notes.push(Event::NotAdopted { file, what });
            return Ok(None);
        }
        Held::Foreign(pair, held) => (Files::new(pair, held.block_size, held.identity.clone()), *held),
        Held::Pair(work) => {
            aim.replaces = work.replaces;
            notes.extend(work.other_headers.iter().cloned().map(|name| Event::OtherHeader { name }));
            headers.extend(missing(&work.begin.headers, headers));
            // An earlier run may have been given the digest; it still stands.
            aim.checksum = aim.checksum.take().or(work.begin.digest.clone());
            spec.digest = aim.checksum.is_some();
            if spec.digest {
                work.pair.part.direct().turn_off();
            }
            Files::of(*work)
        }
    };
    spec.held = Some(held);
    Ok(Some(files))
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
    let (dir, url, headers) = (dir.clone(), spec.urls[0].clone(), headers.to_vec());
    let name = spec.name.as_ref().map(|name| name.as_str().to_owned());
    let (limits, exists) = (options.limits.clone(), aim.exists);
    let lately = shared.lately.clone();
    let found = shared.disk.call(move || {
        let found = find::find(&Wanted {
            dir: &dir,
            name: name.as_deref(),
            url: &url,
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

/// What another program left, where no run of ours left anything: at the path that is `wanted`, else at the name.
async fn foreign(
    found: Held,
    wanted: Option<PathBuf>,
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
        Some(path) => adopt::given(&path, &limits).map(Some),
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

/// A part without a readable journal is the file itself, if it has the digest that is wanted: then nothing is
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
    let Some(wanted) = aim.checksum.clone() else { return Ok(unknown) };
    let total = pair.part.facts()?.size;
    let finish = Finish {
        total,
        mode: aim.mode,
        mtime: None,
        url: spec.urls[0].clone(),
        identity: Identity { total: Some(total), ..Identity::default() },
        digest: None,
        exists: aim.exists,
        replaces: None,
        limits: options.limits.clone(),
    };
    match publish_checked(shared, &Arc::new(pair), finish, Some(wanted)).await {
        Ok(done) => Ok(Held::Finished(Done { bytes: total, ..done })),
        Err(Failure::Digest { .. }) => Ok(unknown),
        Err(Failure::Disk(fault, why)) => Err(Error::Disk { path, fault, why }),
        Err(other) => Err(Error::Disk { path, fault: DiskFault::Io, why: other.to_string() }),
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
    for (index, text) in request.urls.iter_mut().enumerate() {
        let bad = |why: &str| Error::Url { url: thence_plan::mask(text), why: why.to_owned() };
        let mut url = Url::parse(text).map_err(|e| bad(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("only http:// and https:// can be fetched"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(bad("it names no host"));
        }
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
