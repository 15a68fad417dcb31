//! The program under test, run as a person runs it: in a directory of its own, by its command line, ended by
//! signals. Nothing it says or leaves is lost.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::leaks::Canary;
use crate::memory::peak;

/// A run that takes longer hangs, and its test fails.
const HANG: Duration = Duration::from_secs(60);

/// How often a running child is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// A background job of a shell ignores SIGINT, and so would its children: the program under test must hear it
/// wherever the tests are started.
const HEARING: [&str; 2] = ["env", "--default-signal=HUP,INT,TERM"];

/// A program and the directory it runs in.
pub struct Trial {
    program: PathBuf,
    /// Searched for before the directories go.
    canary: Option<Rc<Canary>>,
    dir: TempDir,
    /// Where standard output and error go: files never fill up as pipes do.
    said: TempDir,
    env: Vec<(String, String)>,
}

/// A run under way. Dropped, it is killed.
pub struct Running {
    child: Child,
    canary: Option<Rc<Canary>>,
    said: PathBuf,
    heard: PathBuf,
    start: Instant,
}

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: Vec<u8>,
    /// Standard error.
    pub said: String,
    /// From its start to its end.
    pub took: Duration,
}

impl Trial {
    /// `program` in a fresh directory.
    pub fn of(program: impl Into<PathBuf>) -> Trial {
        let fresh = || tempfile::tempdir().expect("a temporary directory can be made");
        Trial { program: program.into(), canary: None, dir: fresh(), said: fresh(), env: Vec::new() }
    }

    /// With a secret planted, and searched for at the end of each run and of the trial.
    pub fn with_canary(mut self) -> Trial {
        let canary = Canary::plant(self.said.path(), &[self.dir.path()]);
        self.env.extend(canary.env());
        self.canary = Some(Rc::new(canary));
        self
    }

    /// The planted secret.
    pub fn canary(&self) -> Option<&Canary> {
        self.canary.as_deref()
    }

    /// With a variable in its environment.
    pub fn env(mut self, name: &str, value: &str) -> Trial {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its bytes.
    ///
    /// # Panics
    /// If there is none.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}; there: {:?}", self.names()))
    }

    /// What is in the directory, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir()).expect("the directory is ours").flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Lets the directory stay for someone to look at.
    pub fn keep(self) -> PathBuf {
        self.dir.keep()
    }

    /// Starts the program with these arguments. No proxy, no home, no terminal.
    pub fn start(&self, args: &[&str]) -> Running {
        self.start_by(&HEARING, args)
    }

    /// The same below another program: `wrapper` is its command line.
    pub fn start_by(&self, wrapper: &[&str], args: &[&str]) -> Running {
        let mut command = self.command(wrapper, args);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let [heard, said] = self.outputs();
        Running { child, canary: self.canary.clone(), said, heard, start: Instant::now() }
    }

    /// What was said on standard error so far by a command that was not started by [`Trial::start_by`].
    pub fn words(&self) -> String {
        let [_, said] = self.outputs();
        String::from_utf8_lossy(&fs::read(said).unwrap_or_default()).into_owned()
    }

    fn outputs(&self) -> [PathBuf; 2] {
        ["stdout", "stderr"].map(|name| self.said.path().join(name))
    }

    /// What [`Trial::start_by`] starts, for who watches over it himself.
    pub(crate) fn command(&self, wrapper: &[&str], args: &[&str]) -> Command {
        let program = self.program.to_string_lossy();
        let planted = self.canary.as_ref().map(|canary| canary.args(args)).unwrap_or_default();
        let planted = planted.iter().map(String::as_str);
        let mut words = wrapper.iter().copied().chain([&*program]).chain(planted).chain(args.iter().copied());
        let mut command = Command::new(words.next().unwrap_or_default());
        let [heard, said] = self.outputs();
        let file = |path: &Path| File::create(path).expect("a temporary file can be made");
        command.args(words).current_dir(self.dir()).env("HOME", self.said.path());
        command
            .env_remove("XDG_STATE_HOME")
            .env_remove("http_proxy")
            .env_remove("https_proxy")
            .env_remove("all_proxy");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(file(&heard)).stderr(file(&said));
        command
    }

    /// Runs it to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.start(args).wait()
    }
}

impl Running {
    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a child has a pid");
        // Its pid is ours until it is waited for; it may have ended by itself.
        let _ended_already = kill_process(pid, signal);
    }

    /// Waits that long; false if it ended meanwhile.
    pub fn lives_for(&mut self, time: Duration) -> bool {
        self.within(time).is_none()
    }

    /// Waits until `there` is, looking often; false if the run ended first.
    pub fn lives_until(&mut self, there: impl Fn() -> bool) -> bool {
        let end = Instant::now() + HANG;
        while !there() {
            assert!(Instant::now() < end, "what was waited for did not come; it says: {}", self.words());
            if !self.lives_for(LOOK) {
                return there();
            }
        }
        true
    }

    /// Waits for its end, and says how much memory it held at most, in bytes.
    pub fn wait_with_memory(mut self) -> (Ended, u64) {
        let (end, mut most) = (Instant::now() + HANG, 0);
        while self.within(LOOK).is_none() && Instant::now() < end {
            most = peak(self.child.id()).unwrap_or(most);
        }
        (self.wait(), most)
    }

    /// SIGKILL, now.
    pub fn kill(self) -> Ended {
        self.signal(Signal::KILL);
        self.wait()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not come in a minute.
    pub fn wait(mut self) -> Ended {
        let runs = self.within(LOOK).is_none();
        if let Some(canary) = self.canary.as_ref().filter(|_| runs) {
            canary.is_not_listed();
        }
        let Some(code) = self.within(HANG) else { panic!("it does not end; it says: {}", self.words()) };
        let out = fs::read(&self.heard).unwrap_or_default();
        Ended { code, out, said: self.words(), took: self.start.elapsed() }
    }

    /// What it said so far on standard error, but for how far it was.
    pub fn words(&self) -> String {
        let words = String::from_utf8_lossy(&fs::read(&self.said).unwrap_or_default()).into_owned();
        words.lines().filter(|line| !line.contains(" % of ")).collect::<Vec<&str>>().join("\n")
    }

    /// Its exit code if it ends within `time`; `Some(None)` after a signal.
    pub fn within(&mut self, time: Duration) -> Option<Option<i32>> {
        let end = Instant::now() + time;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return Some(status.code());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            thread::sleep(left.min(LOOK));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ended_already = self.child.kill();
            let _ended_already = self.child.wait();
        }
        if let Some(canary) = self.canary.as_ref().filter(|_| !thread::panicking()) {
            // What it said is below HOME.
            canary.is_nowhere(&[]);
        }
    }
}

impl Ended {
    /// Asserts the exit code.
    #[track_caller]
    pub fn with(&self, code: i32) -> &Ended {
        assert_eq!(self.code, Some(code), "{}", self.said);
        self
    }

    /// Asserts that standard error holds this.
    #[track_caller]
    pub fn saying(&self, words: &str) -> &Ended {
        assert!(self.said.contains(words), "{words:?} is missing from: {}", self.said);
        self
    }
}
