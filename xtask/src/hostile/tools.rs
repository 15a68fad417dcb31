//! The programs that meet the liars, each as somebody would run it who wants a download that can be gone on with.

use std::path::{Path, PathBuf};
use std::process::Command;

use thence_origin::real::program;
use thence_origin::trial::Trial;

/// Name of the file in every run.
pub(super) const NAME: &str = "file.bin";

/// Behaviours that answer in chunks, which no server may do to who asks in HTTP/1.0 (RFC 9112, 6.1): they would hold a
/// fault of the server's against a program that never said it knew chunks.
const CHUNKED: &[&str] = &["frm_02", "frm_04", "frm_05", "frm_06", "frm_07", "url_09"];

/// What axel is told beside its options.
pub(super) const AXELRC: &str = "reconnect_delay = 1\n";

/// A program and what it is told. The same words begin a download and go on with it.
pub(super) struct Tool {
    pub(super) name: &'static str,
    program: &'static str,
    /// `CACERT` stands for the test's certificate authority.
    words: &'static [&'static str],
    /// Only where a behaviour needs TLS.
    tls: &'static [&'static str],
}

/// thence first. Every peer gets a time-out of 2 s and five tries, so that a silent server costs it about 15 s at most.
pub(super) const ALL: &[Tool] = &[
    Tool { name: "thence", program: "", words: &["-q", "-x4", "-o", NAME], tls: &["--cacert", "CACERT"] },
    Tool {
        name: "aria2",
        program: "aria2c",
        words: &[
            "--no-conf",
            "-q",
            "-c",
            "-x4",
            "-s4",
            "-k1M",
            "--file-allocation=none",
            "--timeout=2",
            "--connect-timeout=2",
            "--max-tries=5",
            "--retry-wait=1",
            "-o",
            NAME,
        ],
        tls: &["--ca-certificate=CACERT"],
    },
    Tool {
        name: "curl",
        program: "curl",
        words: &[
            "-q",
            "-sS",
            "-L",
            "--fail",
            "-C",
            "-",
            "--connect-timeout",
            "2",
            "--speed-limit",
            "1",
            "--speed-time",
            "2",
            "--retry",
            "4",
            "--retry-delay",
            "1",
            "--retry-max-time",
            "15",
            "-o",
            NAME,
        ],
        tls: &["--cacert", "CACERT"],
    },
    Tool {
        name: "wget",
        program: "wget",
        words: &["--no-config", "-nv", "-c", "--timeout=2", "--tries=5", "--waitretry=1"],
        tls: &["--ca-certificate=CACERT"],
    },
    Tool {
        name: "axel",
        program: "axel",
        words: &["-q", "-n4", "-T", "2", "-o", NAME],
        // It takes no file of authorities.
        tls: &["--insecure"],
    },
];

impl Tool {
    pub(super) fn is_ours(&self) -> bool {
        self.program.is_empty()
    }

    /// Whether this behaviour is a fair question.
    pub(super) fn may_meet(&self, id: &str) -> bool {
        self.name != "axel" || !CHUNKED.iter().any(|chunked| id.starts_with(chunked))
    }

    /// What is typed, for a reader.
    pub(super) fn said(&self) -> String {
        let program = if self.is_ours() { "THENCE_HURRY=30 thence" } else { self.program };
        format!("{program} {} URL", self.words.join(" "))
    }

    /// A directory to run it in.
    pub(super) fn trial(&self, binary: &Path) -> Trial {
        if self.is_ours() {
            return Trial::of(binary).env("THENCE_HURRY", "30");
        }
        let trial = Trial::of(self.path());
        let home = trial.dir().display().to_string();
        // Else it waits 20 s before it tries again, and no option changes that.
        let written = std::fs::write(trial.path(".axelrc"), AXELRC);
        written.expect("a temporary file can be written");
        trial.env("HOME", &home)
    }

    /// Its words for one URL; `cacert` where it is TLS.
    pub(super) fn args(&self, url: &str, cacert: Option<&Path>) -> Vec<String> {
        let cacert = cacert.map(|path| path.display().to_string());
        let tls = if cacert.is_some() { self.tls } else { &[] };
        let words =
            self.words.iter().chain(tls).map(|word| word.replace("CACERT", cacert.as_deref().unwrap_or("")));
        words.chain([url.to_owned()]).collect()
    }

    /// The first words of what it says of itself.
    pub(super) fn version(&self, binary: &Path) -> String {
        let path = if self.is_ours() { binary.to_owned() } else { self.path() };
        let said = Command::new(path).arg("--version").output().map(|out| out.stdout).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned();
        said.split(" (").next().unwrap_or_default().trim_end_matches(" built on linux-gnu.").to_owned()
    }

    fn path(&self) -> PathBuf {
        program(self.program).unwrap_or_else(|| self.program.into())
    }
}

/// The packages of those that are wanted, and of what makes the certificates.
pub(super) fn packages(tools: &[&'static Tool]) -> Vec<(&'static str, &'static str)> {
    let theirs = tools.iter().filter(|tool| !tool.is_ours()).map(|tool| (tool.program, tool.name));
    theirs.chain([("openssl", "openssl")]).collect()
}
