//! What was said, checked and given its meaning. Everything that can be wrong about a command line is found here,
//! before a file or a socket is touched.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use thence::{Exists, ExposeSecret, Limits, Options, Secret};

use crate::cookies::Cookies;
use crate::exit::Trouble;
use crate::flags::{Said, Verb, Words};
use crate::list::{self, Origin, Wanted};
use crate::login::User;
use crate::pasted;
use crate::printable::printable;
use crate::proof::{Proof, Signed, Signing, proof, signing};
use crate::renew;
use crate::sys;
use crate::values;

/// Over this many lanes a note says that servers tend to refuse.
pub(crate) const MANY_LANES: u32 = 32;

/// What is to be done, and how it is talked about.
pub(crate) struct Meant {
    pub(crate) act: Act,
    pub(crate) talk: Talk,
}

/// What is to be done.
pub(crate) enum Act {
    Get(Box<Get>),
    List(Box<Get>, Listed),
    Status(PathBuf),
    Verify(PathBuf, Option<Proof>, Option<Signing>),
}

/// How much is said, and in which form.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Talk {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    /// Standard output carries the file.
    pub(crate) stdout_taken: bool,
}

/// A list of files to fetch.
pub(crate) struct Listed {
    /// `None`: standard input.
    pub(crate) path: Option<PathBuf>,
    pub(crate) ledger: Option<PathBuf>,
    /// Downloads at once; `None`: as many as pay.
    pub(crate) together: Option<u32>,
}

impl Listed {
    /// The ledger, and the list of what failed: `LIST.thence` and `LIST.failed`, or `FILE` and `FILE.failed`.
    pub(crate) fn books(&self) -> Option<(PathBuf, PathBuf)> {
        let named =
            self.ledger.as_ref().map(|ledger| (ledger.clone(), ledger.with_added_extension("failed")));
        let beside =
            |list: &PathBuf| (list.with_added_extension("thence"), list.with_added_extension("failed"));
        named.or_else(|| self.path.as_ref().map(beside))
    }
}

/// Where files go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    /// Into a directory; `None`: this one, or wherever a part lies.
    Dir(Option<PathBuf>),
    /// To this file.
    File { dir: PathBuf, name: String },
    /// To standard output.
    Stdout,
    /// To a device or pipe that exists, which has no final name.
    Device(PathBuf),
}

/// Files to fetch and all choices for them.
pub(crate) struct Get {
    pub(crate) wanted: Vec<Wanted>,
    /// Asked instead of the only part's own URL.
    pub(crate) renewed: Option<Secret>,
    /// What Metalinks and control files of zsync describe is fetched, and not they.
    pub(crate) metalink: bool,
    pub(crate) place: Place,
    /// `None`: as many as pay.
    pub(crate) lanes: Option<u32>,
    pub(crate) headers: Vec<(String, Secret)>,
    pub(crate) keep_headers: Vec<String>,
    pub(crate) user: Option<User>,
    pub(crate) checksum: Option<Proof>,
    pub(crate) signing: Option<Signing>,
    pub(crate) strict: bool,
    pub(crate) trust_overlap: bool,
    pub(crate) raw: bool,
    pub(crate) remote_time: bool,
    pub(crate) only_if_changed: bool,
    /// `None` when nothing was said: then a part goes on as it was begun.
    pub(crate) exists: Option<Exists>,
    /// Another program's partial file to go on from.
    pub(crate) adopt: Option<PathBuf>,
    /// Downloads at once, if that was said.
    pub(crate) together: Option<u32>,
    pub(crate) options: Options,
    pub(crate) cookies: Cookies,
    /// What a person should hear before anything begins.
    pub(crate) notes: Vec<String>,
}

/// Gives `words` their meaning; `limits` are the defaults that options change.
pub(crate) fn meant(words: Words, limits: Limits) -> Result<Meant, Trouble> {
    let Words { mut said, urls, mirrors } = words;
    let mut talk = Talk { json: said.json, quiet: said.quiet, verbose: said.verbose, stdout_taken: false };
    let act = match said.verb.take() {
        Some(Verb::Status { path }) => Act::Status(path),
        Some(Verb::Verify { path, checksum, signature, key }) => {
            let checksum = checksum.as_deref().map(proof).transpose()?;
            Act::Verify(path, checksum, signing(signature.as_deref(), key.as_deref())?)
        }
        Some(Verb::Curl { words }) => {
            if !urls.is_empty() || !mirrors.is_empty() || said.input.is_some() {
                let advice = "give the line alone, with thence's own options before the word curl";
                return Err(Trouble::usage("curl", "brings its own URL", advice));
            }
            let (url, notes) = pasted::heed(&mut said, words)?;
            let mut get = get(&said, list::wanted(vec![(0, url)], Vec::new())?, limits)?;
            get.notes.extend(notes);
            talk.stdout_taken = get.place == Place::Stdout;
            Act::Get(Box::new(get))
        }
        None if said.input.is_some() => {
            let get = get(&said, Vec::new(), limits)?;
            let path = said.input.take().filter(|path| path.as_os_str() != "-");
            let listed = Listed { path, ledger: said.ledger.take(), together: get.together };
            alone(&urls, &mirrors, &said, get.checksum.as_ref())?;
            Act::List(Box::new(get), listed)
        }
        None => {
            let get = get(&said, list::wanted(urls, mirrors)?, limits)?;
            talk.stdout_taken = get.place == Place::Stdout;
            Act::Get(Box::new(get))
        }
    };
    Ok(Meant { act, talk })
}

fn get(said: &Said, wanted: Vec<Wanted>, limits: Limits) -> Result<Get, Trouble> {
    if wanted.is_empty() && said.input.is_none() {
        return Err(Trouble::usage("", "there is no URL to fetch", "write thence URL, or see thence --help"));
    }
    let place = place(said)?;
    let checksum = said.checksum.as_deref().map(proof).transpose()?;
    let signing = signing(said.signature.as_deref(), said.key.as_deref())?;
    agree(said, &wanted, &place, checksum.as_ref())?;
    signable(signing.as_ref(), &wanted, &place)?;
    let lanes = match said.lanes.as_str() {
        "auto" => None,
        count => Some(values::count("-x", count, 1)?),
    };
    let mut headers = said.header.iter().map(values::header).collect::<Result<Vec<_>, _>>()?;
    if let Some(referer) = &said.referer {
        headers.push(("Referer".into(), Secret::from(values::field("--referer", referer)?)));
    }
    if let Some(bearer) = &said.bearer {
        headers.push(("Authorization".into(), values::bearer(bearer)?));
    }
    let (hsts, note) = hsts(said);
    Ok(Get {
        renewed: said.url.as_ref().map(|url| renewed(url, &wanted)).transpose()?,
        wanted,
        metalink: !said.no_metalink,
        lanes,
        keep_headers: keep_headers(said, &headers)?,
        headers,
        user: said.user.as_ref().map(values::user).transpose()?,
        checksum,
        signing,
        strict: said.strict,
        trust_overlap: said.trust_overlap,
        raw: said.raw,
        remote_time: said.remote_time,
        only_if_changed: said.only_if_changed,
        exists: exists(said, &place)?,
        adopt: said.adopt.as_deref().map(partial).transpose()?,
        together: together(said)?,
        options: Options { hsts, ..options(said, limits)? },
        cookies: Cookies {
            keep: said.cookies,
            load: said.load_cookies.clone(),
            save: said.save_cookies.clone(),
        },
        notes: [notes(said, lanes), note.into_iter().collect()].concat(),
        place,
    })
}

/// It stands for the URL of one part.
fn renewed(url: &Secret, wanted: &[Wanted]) -> Result<Secret, Trouble> {
    if !matches!(wanted, [Wanted { origin: Origin::Part(_), .. }]) {
        let advice = "write thence NAME.part --url NEW-URL";
        return Err(Trouble::usage("--url", "stands for the URL of one part", advice));
    }
    list::checked(url.expose_secret())
}

fn together(said: &Said) -> Result<Option<u32>, Trouble> {
    match said.together.as_deref() {
        None | Some("auto") => Ok(None),
        Some(text) => values::count("-j", text, 1).map(Some),
    }
}

/// What belongs to one file cannot be said of a list.
fn alone(
    urls: &[list::Placed<OsString>],
    mirrors: &[list::Placed<Secret>],
    said: &Said,
    checksum: Option<&Proof>,
) -> Result<(), Trouble> {
    let in_list = "write it into the list, below its URL";
    if !urls.is_empty() || !mirrors.is_empty() {
        return Err(Trouble::usage("-i", "takes its URLs from the list", "write them all into the list"));
    }
    if said.out.is_some() {
        return Err(Trouble::usage("-o", "names one file, and a list has many", in_list));
    }
    if said.signature.is_some() {
        return Err(Trouble::usage(
            "--signature",
            "is of one file, and a list has many",
            "fetch the file by itself",
        ));
    }
    if said.adopt.is_some() {
        let alone = "fetch that one by itself first";
        return Err(Trouble::usage("--adopt", "is of one file, and a list has many", alone));
    }
    if matches!(checksum, Some(Proof::Digest(_) | Proof::Beside)) {
        return Err(Trouble::usage("--checksum", "is of one file, and a list has many", in_list));
    }
    Ok(())
}

/// With a name chosen, another name would be a surprise; without one, an error would.
fn exists(said: &Said, place: &Place) -> Result<Option<Exists>, Trouble> {
    match (&said.exists, place) {
        (Some(how), _) => values::exists(how).map(Some),
        (None, Place::File { .. }) => Ok(Some(Exists::Error)),
        (None, _) => Ok(None),
    }
}

fn keep_headers(said: &Said, headers: &[(String, Secret)]) -> Result<Vec<String>, Trouble> {
    let given = |name: &str| headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
    let keep = |name: &String| match values::field_name("--keep-header", name)? {
        name if given(&name) => Ok(name),
        name => {
            Err(Trouble::usage("--keep-header", format!("{name} is not given"), "give it with -H as well"))
        }
    };
    said.keep_header.iter().map(keep).collect()
}

fn options(said: &Said, mut limits: Limits) -> Result<Options, Trouble> {
    let Said { timeout, connect_timeout, retry, max_size, limit_rate, limit_host, window, .. } = said;
    if let Some(text) = timeout {
        limits.stall = values::seconds("--timeout", text)?;
    }
    if let Some(text) = connect_timeout {
        limits.connect = values::seconds("--connect-timeout", text)?;
    }
    if let Some(text) = retry {
        limits.retries = values::count("--retry", text, 0)?;
    }
    if let Some(text) = max_size {
        limits.max_size = Some(values::size("--max-size", text)?);
    }
    if let Some(text) = window {
        limits.window = least_window(values::size("--window", text)?)?;
    }
    let rate = |option: &str, text: &Option<String>| {
        let rate = text.as_deref().map(|text| values::size(option, text)).transpose();
        rate.map(|rate| rate.filter(|rate| *rate > 0))
    };
    let agent = said.user_agent.as_deref().map(|text| values::field("--user-agent", text)).transpose()?;
    Ok(Options {
        limits,
        proxy: said.proxy.as_ref().map(|url| values::proxy("--proxy", url)).transpose()?.unwrap_or_default(),
        proxy_for: said.proxy_for.chunks(2).map(values::proxy_for).collect::<Result<_, _>>()?,
        resolve: said.resolve.iter().map(|text| values::pin(text)).collect::<Result<_, _>>()?,
        interfaces: said.interface.as_deref().map(values::interfaces).transpose()?.unwrap_or_default(),
        cacert: said.cacert.as_deref().map(cacert).transpose()?,
        certificate: said.certificate.clone(),
        private_key: private_key(said)?,
        hsts: None,
        insecure: said.insecure,
        limit_rate: rate("--limit-rate", limit_rate)?,
        limit_host: rate("--limit-host", limit_host)?,
        origin_fields: said.header_for.chunks(2).map(values::origin_field).collect::<Result<_, _>>()?,
        cookies: None,
        user_agent: agent,
        renew: said.refresh_cmd.as_deref().map(renew::by).transpose()?,
        auth: values::auth(&said.auth)?,
    })
}

/// A stream is read in pieces of 256 KiB, and one of them must fit.
fn least_window(size: u64) -> Result<u64, Trouble> {
    if size >= 256 << 10 {
        return Ok(size);
    }
    Err(Trouble::usage("--window", "is less than 256K", "write for example --window 16M"))
}

fn partial(path: &Path) -> Result<PathBuf, Trouble> {
    let wrong = |what: String| Trouble::usage("--adopt", what, "name the file that was left unfinished");
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() => Ok(path.to_owned()),
        Ok(_) => Err(wrong(format!("{} is no file", path.display()))),
        Err(why) => Err(wrong(format!("{}: {why}", path.display()))),
    }
}

fn cacert(path: &Path) -> Result<PathBuf, Trouble> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() => Ok(path.to_owned()),
        Ok(_) => Err(Trouble::usage("--cacert", format!("{} is no file", path.display()), "give a PEM file")),
        Err(why) => Err(Trouble::usage("--cacert", format!("{}: {why}", path.display()), "give a PEM file")),
    }
}

/// The rule for netrc: whoever can read a key can be us. What else may be wrong with it is found when it is read.
fn private_key(said: &Said) -> Result<Option<PathBuf>, Trouble> {
    let (option, path, advice) = match (&said.private_key, &said.certificate) {
        (Some(key), Some(_)) => ("--private-key", key, "say chmod 600 on it"),
        (Some(_), None) => {
            let advice = "give that with --certificate";
            return Err(Trouble::usage("--private-key", "is of no use without its certificate", advice));
        }
        (None, Some(both)) => {
            ("--certificate", both, "say chmod 600 on it, or give the key's file with --private-key")
        }
        (None, None) => return Ok(None),
    };
    if std::fs::metadata(path).is_ok_and(|meta| !sys::is_private(&meta)) {
        let what = format!("{}: others can read or change it, and a key is wanted from it", path.display());
        return Err(Trouble::usage(option, what, advice));
    }
    Ok(said.private_key.clone())
}

/// The file of hosts that are asked by https only, and why the usual one is not used. The usual one may be another user's,
/// after `sudo`; that is no reason to fetch nothing. One that was named must be usable, which is found when it is read.
fn hsts(said: &Said) -> (Option<PathBuf>, Option<String>) {
    if said.no_hsts || said.hsts_file.is_some() {
        return (said.hsts_file.clone(), None);
    }
    let dir = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = dir("XDG_STATE_HOME").or_else(|| Some(dir("HOME")?.join(".local/state")));
    let path = state.map(|state| state.join("thence/hsts"));
    match path.as_deref().map(sys::open_at_once) {
        Some(Err(why)) if why.kind() == ErrorKind::PermissionDenied => {
            let path = path.unwrap_or_default();
            (None, Some(format!("{}: not used: {why}", printable(&path.display().to_string()))))
        }
        _ => (path, None),
    }
}

fn place(said: &Said) -> Result<Place, Trouble> {
    let Some(out) = &said.out else { return Ok(Place::Dir(said.dir.clone())) };
    if out.as_os_str() == "-" {
        return Ok(Place::Stdout);
    }
    let path = said.dir.as_deref().unwrap_or(Path::new("")).join(out);
    let wrong = |what: &str| Err(Trouble::usage("-o", what, "write -o FILE, -o DIR/FILE, or -o -"));
    if sys::is_device(&path) {
        return Ok(Place::Device(path));
    }
    // A trailing slash or dot names a directory, which file_name() would quietly drop.
    let ends_in_name = path
        .file_name()
        .is_some_and(|name| path.as_os_str().as_encoded_bytes().ends_with(name.as_encoded_bytes()));
    match path.file_name().map(OsString::from).map(OsString::into_string) {
        Some(Ok(name)) if ends_in_name && !path.is_dir() => {
            let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Ok(Place::File { dir: dir.to_owned(), name })
        }
        Some(Err(_)) => wrong("is not UTF-8"),
        _ => wrong("names a directory"),
    }
}

/// Options that only make sense together, or not together.
fn agree(said: &Said, wanted: &[Wanted], place: &Place, checksum: Option<&Proof>) -> Result<(), Trouble> {
    let described = |path: &Path| !said.no_metalink && list::description(path).is_some();
    let is_part = |w: &&Wanted| matches!(&w.origin, Origin::Part(path) if !described(path));
    let parts = wanted.iter().filter(is_part).count();
    let one = "give each URL a command of its own";
    if wanted.len() > 1 && said.out.is_some() {
        return Err(Trouble::usage("-o", "names one file, and there are several URLs", "use -d, or one URL"));
    }
    if wanted.len() > 1 && matches!(checksum, Some(Proof::Digest(_))) {
        return Err(Trouble::usage("--checksum", "is of one file, and there are several URLs", one));
    }
    if said.adopt.is_some() {
        adopts(wanted.len() > 1, parts > 0, place, one)?;
    }
    if parts > 0 && (said.out.is_some() || said.dir.is_some()) {
        return Err(Trouble::usage("", "a part is gone on with where it lies", "leave -o and -d away"));
    }
    if said.only_if_changed && matches!(place, Place::Stdout | Place::Device(_)) {
        let what = "means nothing for a stream: no file stands there that could be the same";
        return Err(Trouble::usage("--only-if-changed", what, "leave it away, or write to a file"));
    }
    if matches!(place, Place::Dir(Some(dir)) if dir.as_os_str().is_empty()) {
        return Err(Trouble::usage("-d", "is empty", "name a directory"));
    }
    Ok(())
}

/// A signature is of one file that gets a name: whoever reads a stream has used it before it is known to be signed.
fn signable(signing: Option<&Signing>, wanted: &[Wanted], place: &Place) -> Result<(), Trouble> {
    let Some(signing) = signing else { return Ok(()) };
    if matches!(place, Place::Stdout | Place::Device(_)) {
        let what = "cannot prove what is streamed: it would be used before the signature is checked";
        return Err(Trouble::usage("--signature", what, "write to a file with -o FILE, then use that"));
    }
    if wanted.len() > 1 && !matches!(signing.signed, Signed::Beside) {
        let advice = "give each URL a command of its own, or say --signature auto";
        return Err(Trouble::usage("--signature", "is of one file, and there are several URLs", advice));
    }
    Ok(())
}

/// A file is taken over for one URL that has none of ours yet, and that has a final name.
fn adopts(several: bool, part: bool, place: &Place, one: &str) -> Result<(), Trouble> {
    if several {
        return Err(Trouble::usage("--adopt", "is of one file, and there are several URLs", one));
    }
    if part {
        return Err(Trouble::usage(
            "--adopt",
            "wants the file's URL, and this is a part of ours",
            "give the URL",
        ));
    }
    if matches!(place, Place::Stdout | Place::Device(_)) {
        return Err(Trouble::usage(
            "--adopt",
            "goes on from a file to a file",
            "leave -o away, or name a file",
        ));
    }
    Ok(())
}

fn notes(said: &Said, lanes: Option<u32>) -> Vec<String> {
    let mut notes = Vec::new();
    if said.insecure {
        notes.push(
            "warning: certificates are not verified (--insecure); what comes may be anyone's".to_owned(),
        );
    }
    if let Some(lanes) = lanes.filter(|&lanes| lanes > MANY_LANES) {
        notes.push(format!("note: many servers refuse {lanes} connections; -x auto finds out how many pay"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::flags;

    const URL: &str = "http://h/a";

    fn get(words: &[&str]) -> Get {
        let words = std::iter::once("thence").chain(words.iter().copied()).map(OsString::from);
        let words = flags::parse(words).ok().unwrap();
        match meant(words, Limits::default()).unwrap_or_else(|trouble| panic!("{trouble}")).act {
            Act::Get(get) => *get,
            _ => panic!("no download"),
        }
    }

    #[test]
    fn a_name_may_carry_its_directory() {
        let file = |dir: &str, name: &str| Place::File { dir: dir.into(), name: name.into() };
        assert_eq!(get(&["-o", "b", URL]).place, file(".", "b"));
        assert_eq!(get(&["-o", "none/b", "-d", "/x", URL]).place, file("/x/none", "b"));
        assert_eq!(get(&["-o", "/none/b", "-d", "/x", URL]).place, file("/none", "b"));
        assert_eq!(get(&["-o", "-", URL]).place, Place::Stdout);
        assert_eq!(get(&["-d", "/x", URL]).place, Place::Dir(Some("/x".into())));
    }

    #[test]
    #[cfg(unix)]
    fn a_device_has_no_final_name() {
        assert_eq!(get(&["-o", "/dev/null", URL]).place, Place::Device("/dev/null".into()));
    }

    #[test]
    fn a_chosen_name_is_not_changed_unless_asked() {
        assert_eq!(get(&["-o", "b", URL]).exists, Some(Exists::Error));
        assert_eq!(get(&["-o", "b", "--exists=rename", URL]).exists, Some(Exists::Rename));
        assert_eq!(get(&[URL]).exists, None);
    }

    #[test]
    fn options_change_the_limits_they_name() {
        let words = ["--timeout", "2", "--connect-timeout", ".5", "--retry", "0", "--max-size", "1K", URL];
        let limits = get(&words).options.limits;
        assert_eq!((limits.stall, limits.connect), (Duration::from_secs(2), Duration::from_millis(500)));
        assert_eq!((limits.retries, limits.max_size), (0, Some(1024)));
        assert_eq!(get(&["--window", "1M", "-o-", URL]).options.limits.window, 1 << 20);
    }

    #[test]
    fn a_rate_of_0_is_no_limit() {
        assert_eq!(get(&["--limit-rate", "0", URL]).options.limit_rate, None);
        assert_eq!(get(&["--limit-rate", "2M", URL]).options.limit_rate, Some(2 << 20));
        assert_eq!(get(&["--limit-host", "0", URL]).options.limit_host, None);
        assert_eq!(get(&["--limit-host", "50K", URL]).options.limit_host, Some(50 << 10));
    }

    #[test]
    fn many_lanes_and_no_verification_are_remarked_on() {
        assert!(get(&["-x", "32", URL]).notes.is_empty());
        assert!(get(&["-x", "33", URL]).notes[0].contains("33 connections"));
        assert!(get(&["--insecure", URL]).notes[0].starts_with("warning"));
    }

    #[test]
    fn order_ties_a_mirror_to_its_url() {
        let get = get(&[
            "--strict",
            URL,
            "--mirror=http://m/",
            "-x4",
            "http://h/b",
            "--raw",
            "--mirror",
            "http://n/",
        ]);
        let mirrors = get.wanted.iter().flat_map(|wanted| &wanted.mirrors).map(Secret::expose_secret);
        assert_eq!(mirrors.collect::<Vec<_>>(), ["http://m/", "http://n/"]);
        assert_eq!((get.wanted[1].mirrors.len(), get.lanes), (1, Some(4)));
    }
}
