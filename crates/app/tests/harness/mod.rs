//! A scene of the end-to-end tests: an empty directory, an origin whose handler can be changed while it stands, and
//! the real program, hurried thirty times. What a run left is an [`Outcome`] that says what it must be.

// Every test binary uses its own share of the vocabulary.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thence_origin::ca::Leaf;
use thence_origin::leaks::Canary;
use thence_origin::{Origin, Reply, Request, Served, Shared, files, memory};

/// A run that takes longer hangs. It is a limit on the wrong, not a measure of the right.
pub(crate) const HANG: Duration = Duration::from_secs(40);

/// Between two looks at what is waited for.
const PACE: Duration = Duration::from_millis(5);

/// Blocks of the files that tests fetch.
pub(crate) const BLOCK: u64 = 256 << 10;

/// Length of most files: eleven blocks and a piece.
pub(crate) const LEN: u64 = 11 * BLOCK + 4_321;

type Handler = Arc<dyn Fn(&Request, &mut Reply) + Send + Sync>;

/// What answers now, and how many requests came before it did.
struct Part {
    handler: Handler,
    since: usize,
}

/// Where a test plays.
pub(crate) struct Scene {
    /// Searched for before the directories go.
    canary: Canary,
    dir: TempDir,
    home: TempDir,
    /// What an honest handler serves; its bytes at the end of a run are the ones that must be there.
    pub(crate) file: Shared,
    pub(crate) origin: Origin,
    part: Arc<Mutex<Part>>,
    gate: Arc<AtomicBool>,
    path: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

impl Scene {
    /// An honest origin with a file of [`LEN`] bytes at `/file.bin`.
    pub(crate) fn new() -> Scene {
        Scene::of(Served::new(files::content(1, LEN as usize)))
    }

    /// An honest origin with that file.
    pub(crate) fn of(served: Served) -> Scene {
        Scene::build(served, None)
    }

    /// The same over TLS with that certificate.
    pub(crate) fn tls(leaf: &Leaf) -> Scene {
        Scene::build(Served::new(files::content(1, LEN as usize)), Some(leaf))
    }

    fn build(served: Served, leaf: Option<&Leaf>) -> Scene {
        let file = Shared::new(served);
        let honest: Handler = Arc::new(thence_origin::honest::handler(&file));
        let part = Arc::new(Mutex::new(Part { handler: honest, since: 0 }));
        let playing = part.clone();
        let answer = move |request: &Request, out: &mut Reply| {
            let (handler, since) = {
                let part = playing.lock().unwrap();
                (part.handler.clone(), part.since)
            };
            let number = request.number.saturating_sub(since);
            handler(&Request { number, ..request.clone() }, out);
        };
        let origin = match leaf {
            Some(leaf) => Origin::start_tls(leaf.config(), answer),
            None => Origin::start(answer),
        };
        // On the disk that is built on: /tmp may be memory.
        let place = || tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (dir, home) = (place(), place());
        let canary = Canary::plant(home.path(), &[dir.path()]);
        let (path, args, env) = ("/file.bin".into(), Vec::new(), Vec::new());
        Scene { canary, dir, home, file, origin, part, gate: Arc::default(), path, args, env }
    }

    /// Another origin in the old one's place, at its port and with its file.
    pub(crate) fn replaced_by(mut self, start: impl FnOnce(TcpListener, &Shared) -> Origin) -> Scene {
        // Somebody holds the place meanwhile: a field cannot be empty.
        let left = std::mem::replace(&mut self.origin, Origin::start(|_, _| ()));
        self.origin = start(left.leave(), &self.file);
        self
    }

    /// Half of the file is held, as a killed run left it, and from now on `handler` answers.
    pub(crate) fn half_then(handler: impl Fn(&Request, &mut Reply) + Send + Sync + 'static) -> Scene {
        let scene = Scene::new();
        scene.hold(LEN / 2, &["-x1"]);
        scene.serve(handler);
        scene
    }

    /// A liar of thence-origin, met after half of the file came from an honest origin.
    pub(crate) fn half_then_liar(id: &str) -> Scene {
        let scene = Scene::new();
        scene.hold(LEN / 2, &["-x1"]);
        scene.liar(id);
        scene
    }

    /// From now on the liar of that id answers.
    pub(crate) fn liar(&self, id: &str) {
        self.serve(thence_origin::behaviours::by_id(id).handler(&self.file));
    }

    /// From now on `handler` answers; [`Scene::requests`] begins anew.
    pub(crate) fn serve(&self, handler: impl Fn(&Request, &mut Reply) + Send + Sync + 'static) {
        let mut part = self.part.lock().unwrap();
        *part = Part { handler: Arc::new(handler), since: self.origin.requests().len() };
    }

    /// From now on the origin is honest.
    pub(crate) fn honest(&self) {
        self.serve(thence_origin::honest::handler(&self.file));
    }

    /// From now on the origin is honest, but falls silent at byte `upto` until [`Scene::go_on`].
    pub(crate) fn stop_at(&self, upto: u64) {
        let (file, gate) = (self.file.clone(), self.gate.clone());
        self.gate.store(false, Ordering::SeqCst);
        self.serve(move |request, out| {
            let answer = file.now().answer(request);
            let mut before = answer.clone();
            before.span.1 = answer.span.1.min(upto.max(answer.span.0));
            out.head(answer.status, &answer.head());
            before.send_body(out);
            while before.span.1 < answer.span.1 && !gate.load(Ordering::SeqCst) && out.alive() {
                out.pause(Duration::from_millis(5));
            }
            let mut rest = answer;
            rest.span.0 = before.span.1;
            rest.send_body(out);
        });
    }

    /// What fell silent goes on.
    pub(crate) fn go_on(&self) {
        self.gate.store(true, Ordering::SeqCst);
    }

    /// Serves at another path.
    pub(crate) fn at(mut self, path: &str) -> Scene {
        self.path = path.into();
        self
    }

    /// Options of every run.
    pub(crate) fn with(mut self, args: &[&str]) -> Scene {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Scene {
        self.env.push((name.into(), value.into()));
        self
    }

    pub(crate) fn url(&self) -> String {
        self.origin.url(&self.path)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The secret that is planted in every run.
    pub(crate) fn canary(&self) -> &Canary {
        &self.canary
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the origin was asked since [`Scene::serve`].
    pub(crate) fn requests(&self) -> Vec<Request> {
        let since = self.part.lock().unwrap().since;
        self.origin.requests().split_off(since)
    }

    /// Runs `thence ARGS URL` to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        self.start(args).end()
    }

    /// Runs `thence ARGS` to its end.
    pub(crate) fn run_bare(&self, args: &[&str]) -> Outcome {
        self.start_bare(args).end()
    }

    /// Starts `thence ARGS URL`.
    pub(crate) fn start(&self, args: &[&str]) -> Running<'_> {
        let url = self.url();
        self.start_bare(&[args, &[url.as_str()]].concat())
    }

    /// Starts `thence ARGS`.
    pub(crate) fn start_bare(&self, args: &[&str]) -> Running<'_> {
        self.start_to(args, None)
    }

    /// Starts `thence ARGS` with its standard output there.
    pub(crate) fn start_to(&self, args: &[&str], stdout: Option<Stdio>) -> Running<'_> {
        let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let stdout = stdout.unwrap_or_else(|| out.try_clone().unwrap().into());
        let mut command = self.command();
        let own: Vec<&str> = self.args.iter().map(String::as_str).chain(args.iter().copied()).collect();
        command.args(self.canary.args(&own)).args(own);
        command.stdin(Stdio::null()).stdout(stdout).stderr(err.try_clone().unwrap());
        let child = Some(command.spawn().unwrap());
        Running { scene: self, child, out, err, said: format!("{args:?}") }
    }

    /// The program in the scene's directory, with nothing of the machine's surroundings.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thence"));
        command.current_dir(self.dir()).env_clear().env("THENCE_HURRY", "30").env("HOME", self.home());
        // Where lines are counted, what was run goes there and not into the scene.
        command.envs(std::env::var_os("LLVM_PROFILE_FILE").map(|path| ("LLVM_PROFILE_FILE", path)));
        command.envs(self.canary.env()).envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A run that is killed when `upto` bytes are held and recorded. The origin gives no more than that.
    pub(crate) fn hold(&self, upto: u64, args: &[&str]) {
        self.stop_at(upto);
        let running = self.start(args);
        running.holds(upto);
        running.kill();
    }

    /// Bytes that the journals of the directory record as held.
    pub(crate) fn held(&self) -> u64 {
        let output = self.command().args(["status", "--json"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        events(&text).iter().filter_map(|line| line["held"].as_u64()).sum()
    }

    /// Every name in the directory with the bytes it has; `None` for what is no regular file, or too large to be read.
    pub(crate) fn left(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let entries = fs::read_dir(self.dir()).unwrap().map(Result::unwrap);
        entries
            .map(|entry| {
                let regular =
                    entry.file_type().unwrap().is_file() && entry.metadata().unwrap().len() < 1 << 30;
                let bytes = regular.then(|| fs::read(entry.path()).unwrap());
                (entry.file_name().into_string().unwrap(), bytes)
            })
            .collect()
    }

    /// The bytes that the origin serves now.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let body = self.file.now().body;
        body.bytes(0, body.len())
    }
}

/// Meets all of them, so many at a time, since most of a run is waiting, and names those that were not met well: `meet`
/// says why, or panics.
pub(crate) fn meet_all<T: Sync + std::fmt::Debug>(
    all: &[T],
    together: usize,
    meet: impl Fn(&T) -> Result<(), String> + Sync,
) {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..together {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let met = catch_unwind(AssertUnwindSafe(|| meet(one)));
                    let met = met.unwrap_or_else(|panic| {
                        Err(panic.downcast_ref::<String>().cloned().unwrap_or_default())
                    });
                    if let Err(why) = met {
                        failed.lock().unwrap().push(format!("{one:?}: {why}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {}\n\n{}", failed.len(), all.len(), failed.join("\n\n"));
}

/// The program under way.
pub(crate) struct Running<'a> {
    scene: &'a Scene,
    child: Option<Child>,
    out: File,
    err: File,
    said: String,
}

impl Running<'_> {
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Waits for the end, and says how much memory it held at most, in bytes.
    #[track_caller]
    pub(crate) fn end_with_memory(mut self) -> (Outcome, u64) {
        let (end, mut peak) = (Instant::now() + HANG, 0);
        while !self.has_ended() && Instant::now() < end {
            peak = memory::peak(self.id()).unwrap_or(peak);
            std::thread::sleep(Duration::from_millis(1));
        }
        (self.end(), peak)
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    /// Waits until so many bytes are held and recorded.
    #[track_caller]
    pub(crate) fn holds(&self, bytes: u64) {
        let end = Instant::now() + HANG;
        while self.scene.held() < bytes {
            let told = || text(&mut self.err.try_clone().unwrap());
            assert!(Instant::now() < end, "{} never holds {bytes} bytes; it said: {}", self.said, told());
            std::thread::sleep(PACE);
        }
    }

    /// The same, or until the end: true when it has ended.
    pub(crate) fn holds_or_ends(&mut self, bytes: u64) -> bool {
        let child = self.child.as_mut().unwrap();
        let mut ended = false;
        until(&format!("{bytes} bytes are held by {}", self.said), || {
            ended = child.try_wait().unwrap().is_some();
            ended || self.scene.held() >= bytes
        });
        ended
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_raw(self.id().cast_signed()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Outcome {
        let mut child = self.child.take().unwrap();
        let end = Instant::now() + HANG;
        if child.try_wait().unwrap().is_none() {
            self.scene.canary.is_not_listed();
        }
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > end => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    let asked = self.scene.requests().len();
                    panic!("{} hangs after {asked} requests; it said: {}", self.said, text(&mut self.err));
                }
                None => std::thread::sleep(PACE),
            }
        };
        Outcome {
            code: status.code(),
            stdout: whole(&mut self.out),
            stderr: text(&mut self.err),
            left: self.scene.left(),
            want: self.scene.bytes(),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ended = child.kill();
            let _reaped = child.wait();
        }
        if !std::thread::panicking() {
            self.scene.canary.is_nowhere(&[&whole(&mut self.out), &whole(&mut self.err)]);
        }
    }
}

/// What a run left.
pub(crate) struct Outcome {
    /// Exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    /// What is in the directory.
    pub(crate) left: BTreeMap<String, Option<Vec<u8>>>,
    want: Vec<u8>,
}

impl Outcome {
    /// Exit 0, the right bytes at the final name, nothing else in the directory.
    #[track_caller]
    pub(crate) fn whole(self) -> Self {
        self.whole_as("file.bin")
    }

    /// The same with another name.
    #[track_caller]
    pub(crate) fn whole_as(self, name: &str) -> Self {
        self.code(0);
        assert_eq!(self.left.keys().collect::<Vec<_>>(), [name], "{}", self.stderr);
        self.bytes(name)
    }

    /// One answer that brought all of it may have come before the file changed: then that is the right version.
    pub(crate) fn or_as_it_was(mut self, before: &[u8]) -> Self {
        if self.left.get("file.bin").and_then(Option::as_deref) == Some(before) {
            self.want = before.to_vec();
        }
        self
    }

    /// The right bytes at that name.
    #[track_caller]
    pub(crate) fn bytes(self, name: &str) -> Self {
        let out = String::from_utf8_lossy(&self.stdout);
        let left = || format!("no file {name} in {:?}: {}{out}", self.left.keys(), self.stderr);
        let got = self.left.get(name).and_then(Option::as_ref).unwrap_or_else(|| panic!("{}", left()));
        assert_eq!(got.len(), self.want.len(), "length of {name}; {}", self.stderr);
        let first = got.iter().zip(&self.want).position(|(a, b)| a != b);
        assert_eq!(first, None, "first wrong byte of {name}; {}", self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn code(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stderr, String::from_utf8_lossy(&self.stdout));
    }

    /// That exit code, a message, and nothing at the final name.
    #[track_caller]
    pub(crate) fn refused(self, code: i32) -> Self {
        self.code(code);
        assert!(!self.left.contains_key("file.bin"), "published: {}", self.stderr);
        assert!(self.stderr.starts_with("thence: "), "no message: {}", self.stderr);
        self
    }

    /// Something was told in these words.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "does not say {words:?}: {}", self.stderr);
        self
    }

    /// The same on standard output.
    #[track_caller]
    pub(crate) fn shows(self, words: &str) -> Self {
        let shown = String::from_utf8_lossy(&self.stdout);
        assert!(shown.contains(words), "does not show {words:?}: {shown}");
        self
    }

    #[track_caller]
    pub(crate) fn says_not(self, words: &str) -> Self {
        assert!(!self.stderr.contains(words), "says {words:?}: {}", self.stderr);
        self
    }

    /// The events of `--json` of that name.
    pub(crate) fn events(&self, name: &str) -> Vec<serde_json::Value> {
        let all = events(&String::from_utf8_lossy(&self.stdout));
        all.into_iter().filter(|line| line["event"] == name).collect()
    }
}

/// Polls until it is so, and fails when it does not come about.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + HANG;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(PACE);
    }
}

/// Lines of `--json`.
pub(crate) fn events(text: &str) -> Vec<serde_json::Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn whole(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

fn text(file: &mut File) -> String {
    String::from_utf8_lossy(&whole(file)).into_owned()
}
