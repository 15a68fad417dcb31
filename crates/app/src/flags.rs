//! The option table: what may be *said*. What it means is settled in `meant.rs`.
//!
//! Values are taken as text here, so that every complaint about one is worded in `values.rs`, in one voice, and none
//! echoes a credential.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use thence::Secret;

use crate::exit::Trouble;
use crate::list::Placed;
use crate::printable::reason;

const EXAMPLES: &str = "\
Run the same command again after any interruption, or `thence NAME.part`, and it goes on from where it stopped.

  thence https://example.org/big.iso           fetch it here
  thence big.iso.part                          go on without the URL
  thence -o - https://example.org/a | tar xz   stream it
  thence URL1 --mirror MIRROR1 URL2            two files, one with a mirror
  thence curl -                                what a browser copied \"as cURL\", from standard input

Exit codes: docs/exit-codes.md. The lines of --json: docs/events.md.";

const USAGE: &str = "\
thence [OPTIONS] URL|PART...
       thence [OPTIONS] -i LIST
       thence [OPTIONS] curl LINE|-
       thence status [PATH]
       thence verify PART|FILE [--checksum ALGO:HEX|FILE] [--signature FILE --key KEY]";

/// Fetches files over HTTP and never starts over.
#[derive(Parser)]
#[command(name = "thence", version, override_usage = USAGE, after_help = EXAMPLES, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Said {
    /// Files to fetch, or parts (NAME.part, NAME.thence) to go on with; each is a download of its own
    #[arg(value_name = "URL|PART")]
    pub(crate) urls: Vec<OsString>,

    /// Another URL of the same bytes as the URL before it
    #[arg(long, value_name = "URL")]
    pub(crate) mirror: Vec<Secret>,

    /// Ask this URL of the same file from now on: the link of the part (the only one given) has expired
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<Secret>,

    /// When a link has expired, run CMD by the shell: it reads the URL, a line, and prints a new one
    #[arg(long, value_name = "CMD")]
    pub(crate) refresh_cmd: Option<String>,

    /// Fetch a Metalink (.meta4, .metalink) or a control file of zsync as the file it is, and not what it describes
    #[arg(long)]
    pub(crate) no_metalink: bool,

    /// Write to FILE (with one URL); `-` streams to standard output in order
    #[arg(short = 'o', long = "out", alias = "output", value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Write into DIR, which must exist
    #[arg(short = 'd', long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// Connections a file; auto: as many as pay, which is found by measuring
    #[arg(short = 'x', long = "lanes", value_name = "N|auto", default_value = "auto")]
    pub(crate) lanes: String,

    /// Fetch what LIST names: a URL a line, mirrors after tabs, options indented below; `-` reads standard input
    #[arg(short = 'i', long = "input-file", value_name = "LIST")]
    pub(crate) input: Option<PathBuf>,

    /// Downloads at once, or `auto`, which finds it out [default: auto with -i, else 5]
    #[arg(short = 'j', long = "together", alias = "max-concurrent-downloads", value_name = "N|auto")]
    pub(crate) together: Option<String>,

    /// Where -i keeps which entries are done [default: LIST.thence; none for standard input]
    #[arg(long, value_name = "FILE", requires = "input")]
    pub(crate) ledger: Option<PathBuf>,

    /// What to do when the final name is taken: rename, error, skip or overwrite [default: rename; with -o: error]
    #[arg(long, value_name = "HOW")]
    pub(crate) exists: Option<String>,

    /// Go on from FILE, which curl, wget, a browser, aria2 or axel left unfinished; what aria2 and axel left at the final name,
    /// and Chromium beside it, is found unasked. With a FILE.zsync: an older version, of which what is the same is not fetched
    #[arg(long, value_name = "FILE")]
    pub(crate) adopt: Option<PathBuf>,

    /// The whole file must have this digest (sha-256, sha-512, sha-1, md5, blake3), or the one that a file of checksums
    /// gives it; auto: look for one beside it
    #[arg(long, value_name = "ALGO:HEX|FILE|URL|auto")]
    pub(crate) checksum: Option<String>,

    /// The whole file must have this detached signature, of minisign or OpenPGP; auto: NAME.minisig, .sig or .asc beside it
    #[arg(long, value_name = "FILE|URL|auto")]
    pub(crate) signature: Option<String>,

    /// The public key that --signature must be by: a file, or minisign's own string
    #[arg(long, value_name = "FILE|RW...")]
    pub(crate) key: Option<String>,

    /// Where the finished file is there, fetch only if the server has another version; that takes its place
    #[arg(long)]
    pub(crate) only_if_changed: bool,

    /// Give the finished file the time of the server's Last-Modified
    #[arg(short = 'R', long)]
    pub(crate) remote_time: bool,

    /// Take no file whose end or whose joins nothing proves
    #[arg(long)]
    pub(crate) strict: bool,

    /// Join parts under different strong ETags when a comparison of 64 KiB finds them equal
    #[arg(long)]
    pub(crate) trust_overlap: bool,

    /// Store a body with a content coding as it was sent
    #[arg(long)]
    pub(crate) raw: bool,

    /// A request field; sent to the origins named on the command line and no others
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) header: Vec<Secret>,

    /// A request field for one host, also where redirects lead there; over https, unless HOST is written http://HOST
    #[arg(long, num_args = 2, value_names = ["HOST", "NAME: VALUE"])]
    pub(crate) header_for: Vec<Secret>,

    /// Send `Authorization: Bearer` with the token in a file or in an environment variable, where -H fields go
    #[arg(long, value_name = "file:PATH|env:NAME")]
    pub(crate) bearer: Option<String>,

    /// Keep this -H field in the journal, so that a resume need not repeat it
    #[arg(long, value_name = "NAME")]
    pub(crate) keep_header: Vec<String>,

    /// Name for the server; the password is best left away: netrc, then $THENCE_PASSWORD, then a prompt
    #[arg(long, value_name = "NAME[:PASSWORD]")]
    pub(crate) user: Option<Secret>,

    /// How name and password are sent: any (over https Basic at once; over http as the server asks, Digest before
    /// Basic), basic (at once, also in clear), or digest alone
    #[arg(long, value_name = "any|basic|digest", default_value = "any")]
    pub(crate) auth: String,

    /// Send the cookies of FILE where they belong: a cookies.txt, Firefox's cookies.sqlite, or Chromium's Cookies
    #[arg(long, value_name = "FILE")]
    pub(crate) load_cookies: Vec<PathBuf>,

    /// At the end write all cookies to FILE, for --load-cookies, curl or wget
    #[arg(long, value_name = "FILE")]
    pub(crate) save_cookies: Option<PathBuf>,

    /// Keep cookies that servers set and send them where they belong, as --load-cookies and --save-cookies do as well
    #[arg(long)]
    pub(crate) cookies: bool,

    /// User-Agent to send
    #[arg(long, value_name = "TEXT")]
    pub(crate) user_agent: Option<String>,

    /// Referer to send
    #[arg(long, value_name = "URL")]
    pub(crate) referer: Option<String>,

    /// Proxy to use, or none [default: http_proxy, https_proxy, all_proxy, no_proxy of the environment]
    #[arg(long, value_name = "URL|none")]
    pub(crate) proxy: Option<Secret>,

    /// Proxy to use for one host (HOST or HOST:PORT), whoever leads there, or none
    #[arg(long, num_args = 2, value_names = ["HOST", "URL|none"])]
    pub(crate) proxy_for: Vec<Secret>,

    /// Addresses of a name at a port, which is then not looked up; IPv6 in brackets
    #[arg(long, value_name = "HOST:PORT:ADDR[,ADDR]")]
    pub(crate) resolve: Vec<String>,

    /// Connect from this address of ours, or through this network interface; of several, lanes use all that are there
    #[arg(long, value_name = "ADDR|NAME[,...]")]
    pub(crate) interface: Option<String>,

    /// Trust the authorities of this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,

    /// Show this certificate (PEM, with its chain) to servers that ask who you are, where -H fields go
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,

    /// Its key (PEM, not encrypted), which nobody else may read [default: in the certificate's file]
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key: Option<PathBuf>,

    /// Keep here which hosts are asked by https only [default: ~/.local/state/thence/hsts]
    #[arg(long, value_name = "FILE", conflicts_with = "no_hsts")]
    pub(crate) hsts_file: Option<PathBuf>,

    /// Neither heed nor keep which hosts want to be asked by https only
    #[arg(long)]
    pub(crate) no_hsts: bool,

    /// Accept any certificate, in this run; anyone on the way can then read and change what comes
    #[arg(long)]
    pub(crate) insecure: bool,

    /// Most bytes a second over everything, with K, M or G; 0 for no limit
    #[arg(long, value_name = "RATE")]
    pub(crate) limit_rate: Option<String>,

    /// Most bytes a second from each host, with K, M or G; 0 for no limit
    #[arg(long, value_name = "RATE")]
    pub(crate) limit_host: Option<String>,

    /// With -o -, bytes that may wait in memory for those before them, with K, M or G [default: 64M]
    #[arg(long, value_name = "SIZE")]
    pub(crate) window: Option<String>,

    /// Largest file to begin, with K, M or G
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<String>,

    /// Longest silence of a connection, in seconds [default: 30]
    #[arg(long, value_name = "SEC")]
    pub(crate) timeout: Option<String>,

    /// Longest wait for a connection, in seconds [default: 15]
    #[arg(long, value_name = "SEC")]
    pub(crate) connect_timeout: Option<String>,

    /// Failures in a row without progress that are borne [default: 8]
    #[arg(long, value_name = "N")]
    pub(crate) retry: Option<String>,

    /// One JSON object a line on standard output (on standard error with -o -)
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Say nothing but errors
    #[arg(short = 'q', long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Say what happens on the way: retries, stalls, refusals
    #[arg(short = 'v', long, global = true)]
    pub(crate) verbose: bool,

    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// The words that may stand where the first URL does.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Fetch what a line of curl names, as browsers copy it; thence's own options stand before the word curl
    Curl {
        /// The line: its words, all of it in one word, or `-` to read it from standard input
        #[arg(value_name = "LINE", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// Show what a part, or every part in a directory, holds, of what, and from where
    Status {
        /// A part or a directory
        #[arg(default_value = ".")]
        path: PathBuf,
    },
    /// Read a part's held blocks back, or check a finished file against its digest
    Verify {
        /// A part or a finished file
        #[arg(value_name = "PART|FILE")]
        path: PathBuf,
        /// Check the whole file against this digest, or the one that a file of checksums gives it
        #[arg(long, value_name = "ALGO:HEX|FILE")]
        checksum: Option<String>,
        /// Check this detached signature of the whole file, of minisign or OpenPGP
        #[arg(long, value_name = "FILE")]
        signature: Option<String>,
        /// The public key that it must be by: a file, or minisign's own string
        #[arg(long, value_name = "FILE|RW...")]
        key: Option<String>,
    },
}

/// What was said, and the places of URLs and mirrors on the command line.
pub(crate) struct Words {
    pub(crate) said: Said,
    pub(crate) urls: Vec<Placed<OsString>>,
    pub(crate) mirrors: Vec<Placed<Secret>>,
}

/// Why nothing was said that can be acted on.
pub(crate) enum Unsaid {
    /// `--help` or `--version`: the text to print, which is a success.
    Asked(String),
    Wrong(Trouble),
}

/// Reads a command line, the program's name first.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Words, Unsaid> {
    let matches = Said::command().try_get_matches_from(words).map_err(unsaid)?;
    let said = Said::from_arg_matches(&matches).map_err(unsaid)?;
    if matches!(said.verb, Some(Verb::Status { .. } | Verb::Verify { .. })) {
        no_stray_options(&matches).map_err(Unsaid::Wrong)?;
    }
    let urls = places(&matches, "urls").zip(said.urls.iter().cloned()).collect();
    let mirrors = places(&matches, "mirror").zip(said.mirror.iter().cloned()).collect();
    Ok(Words { said, urls, mirrors })
}

fn places<'a>(matches: &'a ArgMatches, id: &str) -> impl Iterator<Item = usize> + use<'a> {
    matches.indices_of(id).into_iter().flatten()
}

/// An option of a download that `status` and `verify` would not heed is better refused than ignored.
fn no_stray_options(matches: &ArgMatches) -> Result<(), Trouble> {
    let heeded = ["json", "quiet", "verbose"];
    let typed = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
    match matches.ids().map(clap::Id::as_str).filter(|id| !heeded.contains(id)).find(typed) {
        Some(id) => {
            let option = format!("--{}", id.replace('_', "-"));
            Err(Trouble::usage(
                &option,
                "means nothing to this command",
                "leave it away, or put it after the command",
            ))
        }
        None => Ok(()),
    }
}

/// Clap's complaint in our form. It may name a word of the command line, so it is masked like any other text.
fn unsaid(error: clap::Error) -> Unsaid {
    let text = error.to_string();
    if !error.use_stderr() {
        return Unsaid::Asked(text);
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let what = reason(first.strip_prefix("error: ").unwrap_or(first));
    let tip = lines.find_map(|line| line.strip_prefix("tip: ")).map(reason);
    Unsaid::Wrong(Trouble::usage("", what, tip.as_deref().unwrap_or("see thence --help")))
}
