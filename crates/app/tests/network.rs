//! Rows NET that need a network of their own: it is taken away and given back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod harness;

use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use harness::{LEN, Scene, until};
use thence_origin::proxies::Proxy;
use thence_origin::trial::Trial;
use thence_origin::{Origin, Served, Shared, disks, files, honest, real};

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

/// Two addresses of this machine that are not loopback's, one of which it loses.
#[test]
fn lanes_of_an_outlet_that_is_lost_go_on_over_another() {
    if std::env::var_os(INSIDE).is_none() {
        return inside("lanes_of_an_outlet_that_is_lost_go_on_over_another");
    }
    let own: [IpAddr; 2] = ["10.9.0.1", "10.9.0.2"].map(|own| own.parse().unwrap());
    ip(&["link", "set", "up"]);
    own.iter().for_each(|own| ip(&["addr", "add", &own.to_string()]));
    let scene = Scene::new();
    scene.file.change(|served| served.rate = Some(LEN / 8));
    let interface = own.map(|own| own.to_string()).join(",");
    // Silence alone would take longer than the test.
    let running = scene.start(&["-x4", "-v", "--timeout", "300", "--interface", &interface]);
    running.holds(LEN / 4);
    let from = |own: IpAddr| scene.requests().iter().filter(|request| request.from == Some(own)).count();
    assert!(own.iter().all(|own| from(*own) > 0), "{:?}", own.map(from));
    ip(&["addr", "del", &format!("{}/32", own[0])]);
    let before = own.map(from);
    scene.file.change(|served| served.rate = None);
    running.end().whole().says_not("changed");
    assert!(from(own[0]) == before[0] && from(own[1]) > before[1], "{before:?} and then {:?}", own.map(from));
}

/// A network beside that of this test, and two ways from there: what leaves it comes by `a0` or `b0`. `None` where the
/// system has no such ways.
struct Beyond(Child);

impl Beyond {
    fn new() -> Option<Beyond> {
        let sleeper = Command::new("unshare").args(["--net", "sleep", "300"]).spawn().unwrap();
        let beyond = Beyond(sleeper);
        let network = |of: &str| fs::read_link(format!("/proc/{of}/ns/net")).ok();
        until("there is another network", || network(&beyond.0.id().to_string()) != network("self"));
        let id = beyond.0.id().to_string();
        said(&["ip", "addr", "add", "10.9.0.1", "dev", "lo"]).unwrap();
        for (way, number) in [("a", 1), ("b", 2)] {
            let (here, there) = (format!("{way}1"), format!("{way}0"));
            let veth = ["ip", "link", "add", &here, "type", "veth", "peer", "name", &there, "netns", &id];
            if let Err(why) = said(&veth) {
                println!("NOT RUN: no veth can be made here: {why}");
                return None;
            }
            let (ours, theirs) = (format!("10.{number}.0.1"), format!("10.{number}.0.2/24"));
            said(&["ip", "addr", "add", &format!("{ours}/24"), "dev", &here]).unwrap();
            said(&["ip", "link", "set", &here, "up"]).unwrap();
            let enter = beyond.enter();
            let there_said =
                |words: &[&str]| said(&[&["nsenter", enter.as_str(), "ip"], words].concat()).unwrap();
            there_said(&["addr", "add", &theirs, "dev", &there]);
            there_said(&["link", "set", &there, "up"]);
            let metric = number.to_string();
            there_said(&["route", "add", "10.9.0.1", "via", &ours, "dev", &there, "metric", &metric]);
        }
        Some(beyond)
    }

    /// What `nsenter` is to be told.
    fn enter(&self) -> String {
        format!("--net=/proc/{}/ns/net", self.0.id())
    }
}

impl Drop for Beyond {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn said(words: &[&str]) -> Result<(), String> {
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    output.status.success().then_some(()).ok_or_else(|| format!("{words:?}: {output:?}"))
}

/// An interface that goes takes its connections with it, and nothing tells them.
#[test]
fn lanes_of_an_interface_that_is_lost_go_on_over_another() {
    if std::env::var_os(INSIDE).is_none() {
        return inside("lanes_of_an_interface_that_is_lost_go_on_over_another");
    }
    ip(&["link", "set", "up"]);
    let Some(beyond) = Beyond::new() else { return };
    let file = Shared::new(Served::new(files::content(1, LEN as usize)));
    file.change(|served| served.rate = Some(LEN / 8));
    let origin = Origin::start_on(TcpListener::bind("10.9.0.1:0").unwrap(), honest::handler(&file));
    let url = format!("http://10.9.0.1:{}/file.bin", origin.port());
    let trial = Trial::of(env!("CARGO_BIN_EXE_thence")).env("THENCE_HURRY", "30");
    let args = ["-x4", "--timeout", "300", "--proxy", "none", "--interface", "a0,b0", &url];
    let mut running = trial.start_by(&["nsenter", &beyond.enter()], &args);
    let from = |own: [u8; 4]| origin.requests().iter().filter(|r| r.from == Some(IpAddr::from(own))).count();
    let ways = || [from([10, 1, 0, 2]), from([10, 2, 0, 2])];
    assert!(running.lives_until(|| ways()[0] > 0 && ways()[1] > 0 && origin.sent() > LEN / 4));
    said(&["ip", "link", "del", "a1"]).unwrap();
    let before = ways();
    file.change(|served| served.rate = None);
    running.wait().with(0);
    assert!(trial.bytes("file.bin") == files::content(1, LEN as usize), "other bytes");
    assert!(ways()[0] == before[0] && ways()[1] > before[1], "{before:?} and then {:?}", ways());
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

/// The proxy alone knows the name without asking anybody, so that whoever asks is who looks it up here.
#[test]
fn net_07_a_name_that_is_left_to_the_proxy_is_not_looked_up_here() {
    const TEST: &str = "net_07_a_name_that_is_left_to_the_proxy_is_not_looked_up_here";
    if std::env::var_os(INSIDE).is_none() {
        return inside(TEST);
    }
    if !real::are_here(&["danted"]) {
        return;
    }
    ip(&["link", "set", "up"]);
    let (asked, scene) = (resolver(THERE, 0, THERE), Scene::new());
    let dante = Proxy::dante_with_hosts("127.0.0.1 localhost files.example\n");
    let url = scene.origin.url_as("files.example", "/file.bin");
    // The origin itself plays the proxy of HTTP.
    let http = scene.origin.url("");
    for (proxy, looks_up) in [(dante.url("socks5h"), false), (http, false), (dante.url("socks5"), true)] {
        let before = asked.load(Ordering::SeqCst);
        scene.run_bare(&["-x4", "--proxy", &proxy, &url]).whole();
        assert_eq!(asked.load(Ordering::SeqCst) > before, looks_up, "{proxy}");
        fs::remove_file(scene.path("file.bin")).unwrap();
    }
}

/// Lanes of one download are at all addresses that a name has, of either version.
#[test]
fn lanes_are_spread_over_all_addresses_of_a_name() {
    if std::env::var_os(INSIDE).is_none() {
        return inside("lanes_are_spread_over_all_addresses_of_a_name");
    }
    ip(&["link", "set", "up"]);
    let _asked = resolver(THERE, 0, Said::Addresses(1, 2, true));
    let scene = Scene::new().env("no_proxy", "files.example");
    let addresses = [SocketAddr::from(([127, 0, 0, 2], 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
    let others = addresses.map(|mut address| {
        address.set_port(scene.origin.port());
        Origin::start_on(TcpListener::bind(address).unwrap(), honest::handler(&scene.file))
    });
    scene.run_bare(&["-x6", &scene.origin.url_as("files.example", "/file.bin")]).whole();
    let asked = [scene.requests().len(), others[0].requests().len(), others[1].requests().len()];
    assert!(asked.iter().all(|&asked| asked > 0), "{asked:?}");
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
