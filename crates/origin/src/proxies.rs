//! squid and dante from Debian's packages, each a child process on loopback ports of its own with a configuration of its
//! own, ended when dropped.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ca::Leaf;
use crate::real::{START, command, end, free_ports};

/// The user and the password of a proxy that asks for some.
pub const LOGIN: (&str, &str) = ("lane", "PROXY-SECRET");

/// What `/etc/shadow` has of that password (SHA-512, as `crypt` makes it).
const SHADOW: &str =
    "$6$thence$PSt55yOjtuA0OUX8XJqRccI0V.0fE5fNys3rxsby0sBp1CCLuHH1QifFtSLHkCCClG9penirbTEQo9fOlDMvN0";

/// A running proxy.
pub struct Proxy {
    child: Child,
    port: u16,
    tls: u16,
    dir: TempDir,
}

impl Proxy {
    /// squid, at a port in the clear and, with a certificate, one over TLS. `asks`: whoever uses it needs the [`LOGIN`].
    pub fn squid(asks: bool, leaf: Option<&Leaf>) -> Proxy {
        Proxy::start("cache.log", "Accepting HTTP Socket connections", |dir, port, tls| {
            squid(dir, (port, tls), asks, leaf)
        })
    }

    /// dante, which speaks SOCKS. Where it asks for the [`LOGIN`] it has users of its own, for which its process must be
    /// allowed to mount.
    pub fn dante(asks: bool) -> Proxy {
        Proxy::start("log", "running", |dir, port, _| dante(dir, port, asks, ""))
    }

    /// The same, to which the machine's table of hosts has these lines. Its process must be allowed to mount.
    pub fn dante_with_hosts(hosts: &str) -> Proxy {
        Proxy::start("log", "running", |dir, port, _| dante(dir, port, false, hosts))
    }

    /// `SCHEME://HOST:PORT`, the port over TLS for `https`.
    pub fn url(&self, scheme: &str) -> String {
        let port = if scheme == "https" { self.tls } else { self.port };
        format!("{scheme}://127.0.0.1:{port}")
    }

    /// The same with that login in it.
    pub fn url_with(&self, scheme: &str, (user, password): (&str, &str)) -> String {
        self.url(scheme).replace("://", &format!("://{user}:{password}@"))
    }

    /// What squid was asked for so far: method, URL, status and the fields as they came, a request a line.
    pub fn asked(&self) -> Vec<String> {
        let log = fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        // Connections that brought no request have no method.
        log.lines()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
            .map(str::to_owned)
            .collect()
    }

    fn start(log: &str, ready: &str, configure: impl Fn(&Path, u16, u16) -> Command) -> Proxy {
        let mut last = String::new();
        // Another process may take a port between our look and the proxy's; then we look again.
        for _attempt in 0..5 {
            let dir = tempfile::tempdir().expect("a temporary directory can be made");
            // squid leaves root behind, and writes its logs as somebody else.
            open_for(dir.path(), 0o777);
            let (port, tls) = free_ports();
            let mut command = configure(dir.path(), port, tls);
            let name = command.get_program().to_string_lossy().into_owned();
            let output = fs::File::create(dir.path().join("output.log")).expect("a log can be made");
            let errors = output.try_clone().expect("a file can be shared");
            command.stdin(Stdio::null()).stdout(output).stderr(errors);
            let child = command.spawn().unwrap_or_else(|error| {
                panic!("{name} does not start ({error}): `cargo xtask test` installs it, or apt-get does")
            });
            let mut proxy = Proxy { child, port, tls, dir };
            match proxy.listens(log, ready) {
                Ok(()) => return proxy,
                Err(error) => {
                    let said =
                        |name: &str| fs::read_to_string(proxy.dir.path().join(name)).unwrap_or_default();
                    last = format!("{name}: {error}\n{}\n{}", said("output.log"), said(log));
                }
            }
        }
        panic!("no proxy: {last}");
    }

    /// It says itself when it has its port: a stranger's would answer as well.
    fn listens(&mut self, log: &str, ready: &str) -> Result<(), String> {
        let until = Instant::now() + START;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("ended with {status}"));
            }
            let said = fs::read(self.dir.path().join(log)).unwrap_or_default();
            if String::from_utf8_lossy(&said).contains(ready)
                && TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
            {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err("does not listen".to_owned())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn squid(dir: &Path, (port, tls): (u16, u16), asks: bool, leaf: Option<&Leaf>) -> Command {
    let shown = dir.display();
    let over_tls = leaf.map_or(String::new(), |leaf| {
        // It reads them as somebody else.
        let copy =
            |from: &Path, name: &str| write(dir, name, &fs::read(from).expect("the authority lives"), 0o644);
        copy(&leaf.cert, "cert.pem");
        copy(&leaf.key, "key.pem");
        format!("https_port 127.0.0.1:{tls} tls-cert={shown}/cert.pem tls-key={shown}/key.pem\n")
    });
    let (user, password) = LOGIN;
    let helper = format!(
        "#!/bin/sh\nwhile read user password rest; do\n  if [ \"$user $password\" = '{user} {password}' ]; then echo OK; else echo ERR; fi\ndone\n"
    );
    write(dir, "helper", helper.as_bytes(), 0o755);
    let who = if asks {
        format!(
            "auth_param basic program {shown}/helper\nauth_param basic children 2\nauth_param basic realm thence\n\
             acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all\n"
        )
    } else {
        "http_access allow all\n".to_owned()
    };
    let config = format!(
        "http_port 127.0.0.1:{port}\n{over_tls}{who}cache deny all\ncache_mem 8 MB\npid_filename none\n\
         logformat asked %rm %ru %>Hs [%>h]\naccess_log stdio:{shown}/access.log asked\nbuffered_logs off\n\
         cache_log {shown}/cache.log\ncoredump_dir {shown}\nvisible_hostname localhost\nshutdown_lifetime 0 seconds\n"
    );
    write(dir, "squid.conf", config.as_bytes(), 0o644);
    let mut command = command("squid");
    command.arg("-N").arg("-f").arg(dir.join("squid.conf"));
    command
}

fn dante(dir: &Path, port: u16, asks: bool, hosts: &str) -> Command {
    let shown = dir.display();
    let users = if rustix::process::geteuid().is_root() {
        "user.privileged: root\nuser.unprivileged: root\n"
    } else {
        ""
    };
    let config = format!(
        "logoutput: {shown}/log\ninternal: 127.0.0.1 port = {port}\nexternal: 127.0.0.1\n{users}clientmethod: none\n\
         socksmethod: {method}\nclient pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}\n\
         socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}\n",
        method = if asks { "username" } else { "none" },
    );
    write(dir, "danted.conf", config.as_bytes(), 0o644);
    let mut covers = String::new();
    let mut cover = |name: &str, text: String| {
        write(dir, name, text.as_bytes(), 0o644);
        covers += &format!("mount --bind {shown}/{name} /etc/{name} && ");
    };
    if asks {
        let user = LOGIN.0;
        cover("passwd", format!("root:x:0:0::/:/bin/false\n{user}:x:65533:65533::/:/bin/false\n"));
        cover("shadow", format!("{user}:{SHADOW}:19000:0:99999:7:::\n"));
    }
    if !hosts.is_empty() {
        cover("hosts", hosts.to_owned());
    }
    let mut danted = command("danted");
    danted.arg("-f").arg(dir.join("danted.conf"));
    if covers.is_empty() {
        return danted;
    }
    // What is covered is so for it alone, and as long as it runs.
    let program = danted.get_program().to_string_lossy().into_owned();
    let mut command = command("unshare");
    let script = format!("{covers}exec {program} -f {shown}/danted.conf");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    command
}

fn write(dir: &Path, name: &str, bytes: &[u8], mode: u32) {
    let path = dir.join(name);
    fs::write(&path, bytes).expect("a temporary file can be written");
    open_for(&path, mode);
}

fn open_for(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}
