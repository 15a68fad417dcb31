//! Signatures of minisign and OpenPGP, made by the real programs, with files that have and lack them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::{LEN, Scene, until};
use tempfile::TempDir;
use thence_origin::files;

/// Where programs are: the scene's own environment has no path.
const PATH: &str = "/usr/bin:/bin";

/// A scene that finds `gpgv`, and keeps its temporary files where it is seen whether they go.
fn scene() -> Scene {
    let scene = Scene::new();
    let temporary = scene.home().join("tmp");
    fs::create_dir(&temporary).unwrap();
    scene.env("PATH", PATH).env("TMPDIR", temporary.to_str().unwrap())
}

#[track_caller]
fn nothing_temporary(scene: &Scene) {
    assert_eq!(fs::read_dir(scene.home().join("tmp")).unwrap().count(), 0, "something temporary is left");
}

/// The machine lacks one of the programs and may.
fn lacks(programs: &[&str]) -> bool {
    !thence_origin::real::are_here(programs)
}

/// Keys and signatures in a directory that goes with them.
struct Signer {
    dir: TempDir,
}

impl Signer {
    fn new() -> Signer {
        Signer { dir: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.at(name), bytes).unwrap();
        self.text(name)
    }

    fn run(&self, program: &str, args: &[&str]) {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.dir.path()).env("GNUPGHOME", self.home());
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Of gpg: short, for the socket of its agent is in it.
    fn home(&self) -> PathBuf {
        self.at("h")
    }

    /// A key pair of minisign: `NAME.pub` and `NAME.sec`.
    fn minisign_key(&self, name: &str) -> String {
        let (public, secret) = (format!("{name}.pub"), format!("{name}.sec"));
        self.run("minisign", &["-G", "-W", "-p", &public, "-s", &secret]);
        self.text(&public)
    }

    /// A signature of these bytes.
    fn minisign(&self, key: &str, bytes: &[u8], more: &[&str]) -> String {
        self.write("signed", bytes);
        let secret = format!("{key}.sec");
        self.run(
            "minisign",
            &[more, &["-S", "-m", "signed", "-s", &secret, "-x", "signed.minisig"]].concat(),
        );
        self.text("signed.minisig")
    }

    fn gpg(&self, args: &[&str]) {
        let batch = ["--batch", "-q", "--pinentry-mode", "loopback", "--passphrase", ""];
        self.run("gpg", &[&batch, args].concat());
    }

    /// A key of OpenPGP in gpg's home, and as `NAME.gpg`.
    fn gpg_key(&self, name: &str, more: &[&str], expires: &str) -> String {
        if !self.home().exists() {
            fs::create_dir(self.home()).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            fs::set_permissions(self.home(), mode).unwrap();
        }
        let mail = format!("{name}@example.org");
        self.gpg(&[more, &["--quick-gen-key", &mail, "ed25519", "sign", expires]].concat());
        let file = format!("{name}.gpg");
        self.gpg(&["--output", &file, "--export", &mail]);
        self.text(&file)
    }

    /// A signature of these bytes by these keys.
    fn gpg_sign(&self, keys: &[&str], bytes: &[u8], more: &[&str]) -> String {
        self.write("signed", bytes);
        let file = "signed.sig";
        // Of an earlier one.
        let _gone = fs::remove_file(self.at(file));
        let keys = keys.iter().flat_map(|key| ["--local-user".to_owned(), format!("{key}@example.org")]);
        let keys: Vec<String> = keys.collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.gpg(&[&keys, more, &["--output", file, "--detach-sign", "signed"]].concat());
        self.text(file)
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        if self.home().exists() {
            let mut agent = Command::new("gpgconf");
            agent.arg("--homedir").arg(self.home()).args(["--kill", "gpg-agent"]);
            // Without it the agent sees by itself that its home is gone.
            let _ended = agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

/// A download that is wrong: nothing published, the part kept, and the reason told.
#[track_caller]
fn condemned(scene: &Scene, signature: &str, key: &str, why: &str) {
    let outcome = scene.run(&["--signature", signature, "--key", key]).refused(32).says(why);
    assert!(outcome.left.contains_key("file.bin.part"), "the part is gone: {}", outcome.stderr);
    nothing_temporary(scene);
    fs::remove_file(scene.path("file.bin.part")).unwrap();
    fs::remove_file(scene.path("file.bin.thence")).unwrap();
}

/// Refused before the file is asked for.
#[track_caller]
fn not_begun(scene: &Scene, code: i32, signature: &str, key: &str, why: &str) {
    let before = scene.requests().iter().filter(|request| request.target == "/file.bin").count();
    scene.run(&["--signature", signature, "--key", key]).refused(code).says(why);
    let after = scene.requests().iter().filter(|request| request.target == "/file.bin").count();
    assert_eq!(before, after, "it was asked for");
}

#[test]
fn a_file_that_minisign_signed_is_published_and_no_other() {
    if lacks(&["minisign"]) {
        return;
    }
    let (scene, signer) = (scene(), Signer::new());
    let (key, other) = (signer.minisign_key("a"), signer.minisign_key("b"));
    let mut bytes = scene.bytes();
    let signature = signer.minisign("a", &bytes, &[]);
    not_begun(&scene, 32, &signature, &other, "the signature is by the key");
    let cut = fs::read(&signature).unwrap();
    not_begun(&scene, 28, &signer.write("cut", &cut[..180]), &key, "line 3");
    not_begun(&scene, 28, &key, &key, "line 2");
    bytes[LEN as usize / 2] ^= 1;
    condemned(&scene, &signer.minisign("a", &bytes, &[]), &key, "it is not of these bytes");
    condemned(&scene, &signer.minisign("a", b"another file", &[]), &key, "it is not of these bytes");
    let signature = signer.minisign("a", &scene.bytes(), &[]);
    let outcome = scene.run(&["--json", "--signature", &signature, "--key", &key]);
    let by = outcome.events("done")[0]["signed"].as_str().unwrap().to_owned();
    assert!(by.starts_with("minisign:") && by.len() == 25, "{by}");
    outcome.whole();
}

#[test]
fn minisigns_key_may_be_its_string_and_its_first_kind_is_known() {
    if lacks(&["minisign"]) {
        return;
    }
    let (scene, signer) = (scene(), Signer::new());
    let file = signer.minisign_key("a");
    let text = fs::read_to_string(file).unwrap();
    let key = text.lines().nth(1).unwrap();
    let mut bytes = scene.bytes();
    bytes[7] ^= 1;
    condemned(&scene, &signer.minisign("a", &bytes, &["-l"]), key, "it is not of these bytes");
    let signature = signer.minisign("a", &scene.bytes(), &["-l"]);
    scene.run(&["--signature", &signature, "--key", key]).whole().says("signed by minisign:");
}

#[test]
fn a_file_that_openpgp_signed_is_published_and_no_other() {
    if lacks(&["gpg", "gpg-agent", "gpgv"]) {
        return;
    }
    let (scene, signer) = (scene(), Signer::new());
    let (key, other) = (signer.gpg_key("a", &[], "never"), signer.gpg_key("b", &[], "never"));
    let mut bytes = scene.bytes();
    bytes[LEN as usize / 2] ^= 1;
    condemned(&scene, &signer.gpg_sign(&["a"], &bytes, &[]), &key, "it is not of these bytes");
    condemned(
        &scene,
        &signer.gpg_sign(&["a"], b"another file", &["--armor"]),
        &key,
        "it is not of these bytes",
    );
    let signature = signer.gpg_sign(&["a"], &scene.bytes(), &["--armor"]);
    condemned(&scene, &signature, &other, "it is by another key");
    let armor = fs::read(&signature).unwrap();
    not_begun(
        &scene,
        28,
        &signer.write("cut", &armor[..armor.len() - 40]),
        &key,
        "the end of the armor is missing",
    );
    let binary = fs::read(signer.gpg_sign(&["a"], &scene.bytes(), &[])).unwrap();
    not_begun(&scene, 28, &signer.write("cut", &binary[..60]), &key, "cut off");
    signer.gpg(&["--armor", "--output", "a.asc", "--export", "a@example.org"]);
    let signature = signer.write("binary", &binary);
    let outcome = scene.run(&["--signature", &signature, "--key", &signer.text("a.asc")]);
    outcome.whole().says("signed by openpgp:");
    nothing_temporary(&scene);
}

#[test]
fn of_several_signatures_one_that_holds_is_enough() {
    if lacks(&["gpg", "gpg-agent", "gpgv"]) {
        return;
    }
    let (scene, signer) = (scene(), Signer::new());
    let keys = ["a", "b"].map(|name| signer.gpg_key(name, &[], "never"));
    let both = signer.gpg_sign(&["a", "b"], &scene.bytes(), &["--armor"]);
    for key in &keys {
        scene.run(&["--signature", &both, "--key", key, "--exists=overwrite"]).whole();
        fs::remove_file(scene.path("file.bin")).unwrap();
    }
    // Two that were put into one file, and one of them is of other bytes.
    let good = fs::read(signer.gpg_sign(&["a"], &scene.bytes(), &["--armor"])).unwrap();
    let bad = fs::read(signer.gpg_sign(&["b"], b"other", &["--armor"])).unwrap();
    let two = signer.write("two", &[good, bad].concat());
    let all = signer.write("all", &keys.each_ref().map(|key| fs::read(key).unwrap()).concat());
    condemned(&scene, &two, &all, "it is not of these bytes");
    scene.run(&["--signature", &two, "--key", &keys[0]]).whole();
}

#[test]
fn a_key_that_has_expired_or_a_hash_that_can_be_forged_proves_nothing() {
    if lacks(&["gpg", "gpg-agent", "gpgv"]) {
        return;
    }
    let (scene, signer) = (scene(), Signer::new());
    let past = |time| ["--faked-system-time", time];
    let expired = signer.gpg_key("e", &past("20200101T000000"), "1d");
    let signature = signer.gpg_sign(&["e"], &scene.bytes(), &past("20200101T120000"));
    condemned(&scene, &signature, &expired, "has expired");
    let key = signer.gpg_key("a", &[], "never");
    let weak = signer.gpg_sign(&["a"], &scene.bytes(), &["--digest-algo", "SHA1"]);
    condemned(&scene, &weak, &key, "can be forged");
    let text = signer.gpg_sign(&["a"], &scene.bytes(), &["--textmode"]);
    condemned(&scene, &text, &key, "of a text");
}

#[test]
fn what_is_no_detached_signature_or_no_public_key_begins_nothing() {
    if lacks(&["gpg", "gpg-agent", "gpgv", "minisign"]) {
        return;
    }
    let (scene, signer) = (scene(), Signer::new());
    let key = signer.gpg_key("a", &[], "never");
    let signature = signer.gpg_sign(&["a"], &scene.bytes(), &[]);
    signer.gpg(&["--local-user", "a@example.org", "--output", "whole", "--sign", "signed"]);
    not_begun(&scene, 28, &signer.text("whole"), &key, "no signature");
    signer.write("small", b"text\n");
    signer.gpg(&["--local-user", "a@example.org", "--output", "clear", "--clear-sign", "small"]);
    not_begun(&scene, 28, &signer.text("clear"), &key, "line 1, column 1 begins no detached signature");
    signer.gpg(&["--armor", "--output", "secret", "--export-secret-keys", "a@example.org"]);
    not_begun(&scene, 28, &signature, &signer.text("secret"), "begins no public key");
    not_begun(&scene, 28, &signature, &signer.minisign_key("m"), "one is minisign's");
    not_begun(
        &scene,
        28,
        &signer.write("page", b"<html>"),
        &key,
        "no signature of minisign, and none of OpenPGP",
    );
    not_begun(&scene, 15, "no-such-file", &key, "no-such-file");
    not_begun(&scene, 15, &signature, "no-such-key", "no-such-key");
    not_begun(&scene, 28, "/dev/zero", &key, "larger than 64 KiB: no signature");
    not_begun(&scene, 28, &signature, "/dev/zero", "larger than 1 MiB: no key");
}

#[test]
fn without_gpgv_nothing_is_begun_and_that_is_said() {
    let scene = Scene::new();
    let signer = Signer::new();
    let (signature, key) = (signer.write("sig", &[0x88, 1, 0]), signer.write("key", &[0x98, 1, 0]));
    not_begun(&scene, 28, &signature, &key, "gpgv, which is not installed");
}

/// An origin that also has these bytes at this path; nothing else lies beside the file.
fn beside(path: &'static str, bytes: Vec<u8>) -> Scene {
    let scene = scene();
    let file = scene.file.clone();
    scene.serve(move |request, out| match request.target.as_str() {
        "/file.bin" => file.now().answer(request).send(request, out),
        target if target == path => {
            out.head(200, &format!("Content-Length: {}", bytes.len()));
            out.raw(bytes.clone());
        }
        _ => drop(out.answer(404, "Content-Type: text/html", "<h1>no</h1>")),
    });
    scene
}

#[test]
fn a_signature_is_found_beside_the_file_or_nothing_is_begun() {
    if lacks(&["minisign"]) {
        return;
    }
    let signer = Signer::new();
    let key = signer.minisign_key("a");
    let signature = fs::read(signer.minisign("a", &Scene::new().bytes(), &[])).unwrap();
    for path in ["/file.bin.minisig", "/file.bin.sig", "/file.bin.asc"] {
        let outcome = beside(path, signature.clone()).run(&["--signature", "auto", "--key", &key]);
        outcome.whole().says(&format!("{path}\n"));
    }
    let scene = beside("/elsewhere", signature.clone());
    not_begun(&scene, 32, "auto", &key, "no signature lies beside it");
    not_begun(&scene, 3, &scene.origin.url("/gone"), &key, "/gone");
    let url = scene.origin.url("/elsewhere");
    scene.run(&["--signature", &url, "--key", &key]).whole();
    // A page in the place of a signature is none; a bad one is a bad one.
    not_begun(
        &beside("/file.bin.sig", b"<p>log in</p>".to_vec()),
        32,
        "auto",
        &key,
        "no signature lies beside it",
    );
    let other = fs::read(signer.minisign("a", b"other", &[])).unwrap();
    condemned(&beside("/file.bin.sig", other), "auto", &key, "it is not of these bytes");
}

#[test]
fn a_run_that_goes_on_checks_the_signature_that_an_earlier_one_was_given() {
    if lacks(&["minisign"]) {
        return;
    }
    let (scene, signer) = (scene(), Signer::new());
    let key = signer.minisign_key("a");
    let wrong = signer.minisign("a", b"another file", &[]);
    scene.hold(LEN / 2, &["-x1", "--signature", &wrong, "--key", &key]);
    scene.honest();
    let part = "file.bin.part";
    scene.run_bare(&[part]).refused(32).says("it is not of these bytes");
    scene.run_bare(&[part]).refused(32).says("it is not of these bytes");
    // The one that is given now counts, and is remembered.
    let right = signer.minisign("a", &scene.bytes(), &[]);
    scene.run_bare(&[part, "--signature", &right, "--key", &key]).whole();
}

#[test]
fn a_part_that_goes_on_without_a_signature_remembers_one_that_is_given_later() {
    if lacks(&["minisign"]) {
        return;
    }
    let (scene, signer) = (scene(), Signer::new());
    let key = signer.minisign_key("a");
    let wrong = signer.minisign("a", b"another file", &[]);
    scene.hold(LEN / 4, &["-x1"]);
    scene.hold(LEN / 2, &["-x1", "--signature", &wrong, "--key", &key]);
    scene.honest();
    scene.run_bare(&["file.bin.part"]).refused(32).says("it is not of these bytes");
}

#[test]
fn a_file_that_is_there_is_as_good_as_one_that_is_fetched() {
    if lacks(&["minisign"]) {
        return;
    }
    let (scene, signer) = (scene(), Signer::new());
    let key = signer.minisign_key("a");
    scene.run(&[]).whole();
    let right = signer.minisign("a", &scene.bytes(), &[]);
    scene.run(&["--signature", &right, "--key", &key]).whole().says("already complete");
    scene
        .run_bare(&["verify", "file.bin", "--signature", &right, "--key", &key])
        .shows("signed by minisign:")
        .code(0);
    let wrong = signer.minisign("a", b"another file", &[]);
    scene.run(&["--signature", &wrong, "--key", &key]).says("it is not of these bytes").code(32);
    scene.run_bare(&["verify", "file.bin", "--signature", &wrong, "--key", &key]).code(32);
    scene.run(&["--checksum", &format!("sha-256:{}", "0".repeat(64))]).says("the checksum").code(32);
    scene
        .run(&["--checksum", &format!("sha-256:{}", files::digest(scene.bytes()))])
        .says("already complete")
        .code(0);
    assert_eq!(fs::read(scene.path("file.bin")).unwrap(), scene.bytes(), "it is left as it was");
}

#[test]
fn a_signature_is_of_one_file_that_gets_a_name() {
    let scene = scene();
    let url = scene.url();
    let run = |args: &[&str]| scene.run_bare(&[&["--signature", "s", "--key", "k"], args].concat());
    run(&["-o", "-", &url]).says("used before the signature is checked").code(28);
    run(&[&url, &url]).says("there are several URLs").code(28);
    run(&["-i", "list"]).says("a list has many").code(28);
    scene.run(&["--signature", "s"]).refused(28).says("wants the key");
    scene.run(&["--key", "k"]).refused(28).says("is for a signature");
    assert!(scene.requests().is_empty());
}

/// A run that is stopped while the signature is checked leaves the part, and the next one checks again.
#[test]
fn a_kill_while_gpgv_reads_publishes_nothing() {
    if lacks(&["gpg", "gpg-agent", "gpgv"]) {
        return;
    }
    let signer = Signer::new();
    let key = signer.gpg_key("a", &[], "never");
    // In gpgv's place, a program that takes all and then waits for as long as its file is there.
    let script = "#!/bin/sh\n/bin/cat > /dev/null\nwhile [ -e \"$0\" ]; do /bin/sleep 0.1; done\n";
    let slow = signer.write("gpgv", script.as_bytes());
    fs::set_permissions(&slow, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = signer.dir.path().to_str().unwrap();
    let scene = Scene::new().env("PATH", path).env("TMPDIR", path);
    let signature = signer.gpg_sign(&["a"], &scene.bytes(), &[]);
    let running = scene.start(&["--signature", &signature, "--key", &key]);
    until("gpgv runs", || children(running.id()) > 0);
    assert!(!scene.path("file.bin").exists());
    running.kill();
    assert!(scene.path("file.bin.part").exists() && !scene.path("file.bin").exists());
}

/// How many children a process has.
fn children(id: u32) -> usize {
    let tasks = Path::new("/proc").join(id.to_string()).join("task");
    let Ok(tasks) = fs::read_dir(tasks) else { return 0 };
    let of = |task: PathBuf| fs::read_to_string(task.join("children")).unwrap_or_default();
    tasks.filter_map(Result::ok).map(|task| of(task.path()).split_whitespace().count()).sum()
}
