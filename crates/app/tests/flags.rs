//! What the command says to a command line, before anything is fetched.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn thence(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thence"));
    let home = env!("CARGO_TARGET_TMPDIR");
    command.args(args).env("HOME", home).env_remove("NETRC").env_remove("THENCE_PASSWORD");
    command.output().unwrap()
}

/// The code and standard error of a command line that must be refused.
fn refused(args: &[&str]) -> (i32, String) {
    let output = thence(args);
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[track_caller]
fn usage_error(args: &[&str], says: &str) {
    let (code, told) = refused(args);
    assert_eq!(code, 28, "{told}");
    assert!(told.starts_with("thence: ") && told.contains(says), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

const URL: &str = "http://127.0.0.1:9/a";

#[test]
fn options_that_cannot_be_used_are_refused_with_28() {
    usage_error(&[], "there is no URL");
    usage_error(&["-x", "0", URL], "-x: is no whole number of at least 1");
    usage_error(&["--limit-rate", "fast", URL], "--limit-rate: is no size");
    usage_error(&["--timeout", "0", URL], "--timeout: is no time");
    usage_error(&["--exists=maybe", URL], "rename, error, skip or overwrite");
    usage_error(&["--auth", "ntlm", URL], "any, basic or digest");
    usage_error(&["--cacert", "/none.pem", URL], "--cacert: /none.pem");
    usage_error(&["--keep-header", "Cookie", URL], "Cookie is not given");
    usage_error(&["-q", "-v", URL], "cannot be used with");
    usage_error(&["--chekcsum", "x", URL], "--checksum");
}

#[test]
fn a_checksum_of_the_wrong_length_is_refused_with_28() {
    usage_error(&["--checksum", "sha-256:abcd", URL], "sha-256 has 64 hex digits, not 4");
    usage_error(&["verify", "x", "--checksum", "md5:abcd"], "md5 has 32 hex digits, not 4");
}

#[test]
fn a_malformed_url_is_refused_with_28() {
    usage_error(&["example.org/a"], "write https://example.org/a");
    usage_error(&["ftp://h/a"], "ftp://h/a: is neither http nor https");
    usage_error(&["http://h:99999/"], "invalid port");
    usage_error(&["http://h/\r\nX: y"], "control character");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    usage_error(&["-o", "f", URL, URL], "-o: names one file");
    usage_error(&["--checksum", &format!("md5:{}", "0".repeat(32)), URL, URL], "--checksum: is of one file");
    usage_error(&["--mirror", URL, URL], "--mirror: has no URL before it");
    usage_error(&["-d", "/tmp", "a.part"], "leave -o and -d away");
    usage_error(&["-o", "dir/", URL], "-o: names a directory");
    usage_error(&["-x", "3", "status"], "--lanes: means nothing to this command");
}

#[test]
fn log_01_no_complaint_repeats_a_secret() {
    for args in [
        &["--user", "me:SECRET", "nothing"][..],
        &["-H", "SECRET", URL],
        &["-H", "A: SECRET\r\nB: c", URL],
        &["--proxy", "ftp://u:SECRET@h", URL],
        &["--proxy-for", "h", "ftp://u:SECRET@h", URL],
        &["--proxy-for", "u:SECRET@h", "none", URL],
        &["--limit-rate", "SECRET", URL],
        &["ftp://u:SECRET@h/?k=SECRET"],
        &["http://u:SECRET@[/?k=SECRET"],
        &["status", ".", "http://u:SECRET@h/?k=SECRET"],
        &["--pasword=SECRET", URL],
    ] {
        let (code, told) = refused(args);
        assert!(code == 28 && !told.contains("SECRET"), "{args:?}: {told}");
    }
}

#[test]
fn log_05_an_escape_on_the_command_line_is_shown_not_obeyed() {
    let (_, told) = refused(&["x\x1b[2J\u{202e}"]);
    assert!(told.contains("x\\u{1b}[2J\\u{202e}"), "{told}");
}

#[test]
fn a_password_that_cannot_be_found_or_asked_for_is_code_36() {
    let mut command = Command::new("setsid");
    command.args([env!("CARGO_BIN_EXE_thence"), "--user", "me", URL]);
    command.env("HOME", env!("CARGO_TARGET_TMPDIR")).env_remove("NETRC").env_remove("THENCE_PASSWORD");
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(36), "{output:?}");
}

#[test]
fn a_directory_that_is_not_there_is_code_18() {
    let (code, told) = refused(&["-d", "/none/here", URL]);
    assert_eq!(code, 18);
    assert!(told.starts_with("thence: /none/here: does not exist; "), "{told}");
}

#[test]
fn status_and_verify_of_nothing_are_code_15() {
    for verb in ["status", "verify"] {
        let (code, told) = refused(&[verb, "/none/here.part"]);
        assert_eq!(code, 15);
        assert!(told.starts_with("thence: /none/here.part: "), "{told}");
    }
}

#[test]
fn help_lists_every_option_of_the_promise() {
    let output = thence(&["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    for option in [
        "-o, ",
        "-d, ",
        "-x, ",
        "-H, ",
        "-q, ",
        "-v, ",
        "--mirror",
        "--strict",
        "--trust-overlap",
        "--raw",
        "--keep-header",
        "--limit-rate",
        "--checksum",
        "--adopt",
        "--user ",
        "--auth",
        "--user-agent",
        "--referer",
        "--proxy ",
        "--proxy-for",
        "--load-cookies",
        "--save-cookies",
        "--cookies",
        "--cacert",
        "--insecure",
        "--timeout",
        "--connect-timeout",
        "--retry",
        "--max-size",
        "--exists",
        "--json",
        "--version",
        "status",
        "verify",
    ] {
        assert!(help.contains(option), "{option}\n{help}");
    }
    assert!(output.status.success() && output.stderr.is_empty());
}

#[test]
fn help_to_a_closed_pipe_is_quiet() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_thence")).arg("--help").stdout(writer).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
