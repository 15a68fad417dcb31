//! Rows NET that need a network of their own: it is taken away and given back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use harness::{LEN, Scene};
use thence_origin::disks;

/// Set for the copy of this program that runs inside a network namespace.
const INSIDE: &str = "THENCE_TEST_INSIDE";

/// Runs the test of this name again in namespaces of its own for the network and for what is mounted; says so where this machine makes none, which is
/// no excuse for one where we may do all that root may.
fn inside(test: &str) {
    let all: [&[&str]; 2] = [&["--net", "--mount"], &["--user", "--map-root-user", "--net", "--mount"]];
    let Some(how) =
        all.iter().find(|how| unshare(how).arg("true").output().is_ok_and(|o| o.status.success()))
    else {
        assert!(disks::mounts().is_err(), "{test}: root, and yet no network namespace can be made");
        println!(
            "{test}: NOT RUN: no network namespace can be made here (neither as root nor in a user namespace)"
        );
        return;
    };
    let own = std::env::current_exe().unwrap();
    let ran = unshare(how).arg(own).args(["--exact", test, "--nocapture"]).env(INSIDE, "1").output().unwrap();
    let words = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && words.contains("1 passed"), "{words}");
}

fn unshare(how: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(how).arg("--");
    command
}

/// `ip` with these words. Loopback is all the network there is inside, and without its address there is no route.
fn ip(words: &[&str]) {
    let set = Command::new("ip").args(words).args(["dev", "lo"]).output().unwrap();
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
}

const ADDRESS: &str = "127.0.0.1/8";

#[test]
fn crh_22_time_without_a_network_costs_no_retries() {
    if std::env::var_os(INSIDE).is_none() {
        return inside("crh_22_time_without_a_network_costs_no_retries");
    }
    ip(&["link", "set", "up"]);
    let scene = Scene::new();
    scene.file.change(|served| served.rate = Some(LEN / 8));
    let running = scene.start(&["-x4", "-v"]);
    running.holds(LEN / 4);
    ip(&["addr", "del", ADDRESS]);
    // All retries together wait three seconds at the most here.
    thread::sleep(Duration::from_secs(8));
    ip(&["addr", "add", ADDRESS]);
    scene.file.change(|served| served.rate = None);
    running.end().whole().says("no network");
}

/// What a resolver says to a question.
#[derive(Clone, Copy, Debug)]
enum Said {
    /// No such name (RFC 1035 s4.1.1, RCODE 3).
    Nxdomain,
    /// It cannot say (RCODE 2).
    Servfail,
    /// The name is there, and has no address.
    Empty,
    /// Nothing at all.
    Silence,
    /// Half a packet.
    Garbage,
    /// Loopback addresses `127.0.0.first` to `127.0.0.last`, and `::1` to who asks for the sixth version if so.
    Addresses(u8, u8, bool),
}

/// A resolver of this namespace that answers so many questions with `first`, and all others with `then`. It knows every
/// name. It counts the questions.
fn resolver(first: Said, times: usize, then: Said) -> Arc<AtomicUsize> {
    // What is mounted lives on when its name goes.
    let config = tempfile::NamedTempFile::new().unwrap();
    fs::write(&config, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n").unwrap();
    let bind = Command::new("mount").arg("--bind").arg(config.path()).arg("/etc/resolv.conf").status();
    let bound = bind.unwrap();
    assert!(bound.success(), "/etc/resolv.conf cannot be covered");
    let (socket, asked) = (UdpSocket::bind("127.0.0.1:53").unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut packet) {
            let said = if count.fetch_add(1, Ordering::SeqCst) < times { first } else { then };
            if let Some(answer) = answer(&packet[..len], said) {
                socket.send_to(&answer, from).unwrap();
            }
        }
    });
    asked
}

/// The answer to a question (RFC 1035 s4).
fn answer(question: &[u8], said: Said) -> Option<Vec<u8>> {
    // After the head come the labels of the name, a zero, the type and the class.
    let name = question[12..].iter().position(|byte| *byte == 0)?;
    let (kind, asked) = (question[12 + name + 2], &question[12..12 + name + 5]);
    let (code, records): (u8, Vec<Vec<u8>>) = match said {
        Said::Nxdomain => (3, Vec::new()),
        Said::Servfail => (2, Vec::new()),
        Said::Addresses(first, last, _) if kind == 1 => {
            (0, (first..=last).map(|number| vec![127, 0, 0, number]).collect())
        }
        Said::Addresses(_, _, true) => (0, vec![Ipv6Addr::LOCALHOST.octets().to_vec()]),
        Said::Empty | Said::Addresses(..) => (0, Vec::new()),
        Said::Silence => return None,
        Said::Garbage => return Some(question[..7].to_vec()),
    };
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    answer.extend_from_slice(asked);
    for address in records {
        // The name of the question, its type, the class IN, a lifetime of zero.
        answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, address.len() as u8]);
        answer.extend(address);
    }
    Some(answer)
}

/// A place that never answers: nobody accepts there, and no more wait than the kernel lets.
fn black_hole(address: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind(address).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let patience = Duration::from_millis(200);
    let waiting = std::iter::from_fn(|| TcpStream::connect_timeout(&address, patience).ok()).take(10);
    let waiting: Vec<TcpStream> = waiting.collect();
    assert!(waiting.len() < 10, "{address} is no black hole");
    (listener, waiting)
}

/// The same file at a name that `first` is said of so many times, and then where it is.
fn looked_up(test: &str, first: Said, times: usize, then: Said) {
    if std::env::var_os(INSIDE).is_none() {
        return inside(test);
    }
    ip(&["link", "set", "up"]);
    let asked = resolver(first, times, then);
    let scene = Scene::new().env("no_proxy", "files.example");
    let _holes: Vec<_> = match then {
        Said::Addresses(_, last, six) => (2..=last)
            .map(|number| SocketAddr::from(([127, 0, 0, number], scene.origin.port())))
            .chain(six.then(|| SocketAddr::from((Ipv6Addr::LOCALHOST, scene.origin.port()))))
            .map(black_hole)
            .collect(),
        _ => Vec::new(),
    };
    let url = scene.origin.url_as("files.example", "/file.bin");
    scene.run_bare(&["-x4", "-v", &url]).whole();
    assert!(asked.load(Ordering::SeqCst) > times, "{first:?} was said less than {times} times");
}

/// Two questions are one lookup: either version is asked for.
const TWICE: usize = 4;

const THERE: Said = Said::Addresses(1, 1, false);

#[test]
fn net_05_a_name_that_is_not_there_at_first() {
    looked_up("net_05_a_name_that_is_not_there_at_first", Said::Nxdomain, TWICE, THERE);
}

#[test]
fn net_05_a_resolver_that_fails_at_first() {
    looked_up("net_05_a_resolver_that_fails_at_first", Said::Servfail, TWICE, THERE);
}

#[test]
fn net_05_a_name_without_an_address_at_first() {
    looked_up("net_05_a_name_without_an_address_at_first", Said::Empty, TWICE, THERE);
}

#[test]
fn net_05_a_resolver_that_is_silent_at_first() {
    looked_up("net_05_a_resolver_that_is_silent_at_first", Said::Silence, 2, THERE);
}

#[test]
fn net_05_a_resolver_that_speaks_garbage_at_first() {
    looked_up("net_05_a_resolver_that_speaks_garbage_at_first", Said::Garbage, 2, THERE);
}

#[test]
fn net_05_one_good_address_of_sixteen() {
    looked_up("net_05_one_good_address_of_sixteen", Said::Empty, 0, Said::Addresses(1, 16, false));
}

#[test]
fn net_05_a_black_hole_of_the_sixth_version() {
    looked_up("net_05_a_black_hole_of_the_sixth_version", Said::Empty, 0, Said::Addresses(1, 1, true));
}

#[test]
fn a_name_that_is_given_an_address_is_not_looked_up() {
    let scene = Scene::new();
    let port = scene.origin.port();
    let url = format!("http://thence.invalid:{port}/file.bin");
    scene
        .run_bare(&["--proxy", "none", "--resolve", &format!("thence.invalid:{port}:127.0.0.1"), &url])
        .whole();
    let host = format!("thence.invalid:{port}");
    assert!(scene.requests().iter().all(|request| request.header("host") == Some(host.as_str())));
    // One that does not answer is passed over.
    let scene = Scene::new();
    let port = scene.origin.port();
    let pin = format!("thence.invalid:{port}:127.0.0.3,127.0.0.1");
    scene
        .run_bare(&["--proxy", "none", "--resolve", &pin, &format!("http://thence.invalid:{port}/file.bin")])
        .whole();
}

#[cfg(target_os = "linux")]
#[test]
fn connections_leave_where_they_are_told_to() {
    let scene = Scene::new();
    scene.run(&["--interface", "lo"]).whole();
    let scene = Scene::new();
    scene.run(&["--interface", "no-such-if", "--retry", "0"]).refused(6).says("No such device");
    // Whoever listens sees where they come from.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file.bin", listener.local_addr().unwrap());
    let running = scene.start_bare(&["--interface", "127.0.0.9", "--retry", "0", &url]);
    let (peer, from) = listener.accept().unwrap();
    assert_eq!(from.ip().to_string(), "127.0.0.9");
    drop((peer, listener));
    running.end().refused(6);
}
