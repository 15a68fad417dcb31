//! nginx, Apache httpd and Caddy from Debian's packages, each a child process on loopback ports of its own
//! with a configuration of its own, ended when dropped.
//!
//! A test that is itself killed with SIGKILL leaves its servers running; they hold nothing but two ports
//! and a temporary directory.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use crate::ca::Leaf;

/// Longest wait for a server to answer.
pub(crate) const START: Duration = Duration::from_secs(20);

/// Longest wait for a server to end by itself before it is killed.
const END: Duration = Duration::from_secs(3);

/// What a real server serves.
#[derive(Clone, Debug)]
pub struct Site {
    /// The directory. It is made readable for everybody: Apache never serves as root.
    pub root: PathBuf,
    /// With a certificate there is a TLS port, with HTTP/2 where the server has it.
    pub leaf: Option<Leaf>,
    /// Where it listens; nginx only, the others keep to loopback.
    pub address: Ipv4Addr,
    /// Body bytes a second of each connection; nginx only.
    pub rate: Option<u64>,
    /// Directives outside of any site; nginx only.
    pub outside: String,
    /// More directives for the server's configuration, in its own language.
    pub more: String,
    /// The TLS port offers nothing but HTTP/2; Apache only.
    pub h2_only: bool,
}

/// A running server.
pub struct Server {
    child: Child,
    address: Ipv4Addr,
    http: u16,
    https: Option<u16>,
    dir: TempDir,
}

/// One line of the access log that every server here writes for a finished request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Status of the answer.
    pub status: u16,
    /// Body bytes given to the kernel.
    pub sent: u64,
    /// The connection it came on, by nginx's count.
    pub connection: u64,
}

/// Where a program stands: in `$PATH`, or in `/usr/sbin`, which the path of an ordinary Debian user lacks.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    dirs.map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Whether tests can use these servers: a missing one fails the test, unless `THENCE_NO_SERVERS=1` says that this
/// machine cannot have them.
///
/// # Panics
/// If one is missing and must not be.
pub fn are_here(programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|name| program(name).is_none()).collect();
    let excused = std::env::var_os("THENCE_NO_SERVERS").is_some_and(|value| value == "1");
    let what = format!("{} missing: `cargo xtask test` installs it, or apt-get does", missing.join(" and "));
    assert!(missing.is_empty() || excused, "{what}; THENCE_NO_SERVERS=1 leaves such tests out");
    if !missing.is_empty() {
        println!("left out: {what}");
    }
    missing.is_empty()
}

/// Everything a configuration needs to know.
struct Plan<'a> {
    site: &'a Site,
    dir: &'a Path,
    http: u16,
    https: u16,
    /// Text at `/.thence-alive`, so that a port taken by a stranger is not mistaken for ours.
    token: String,
}

impl Site {
    /// `root` over plain HTTP/1.1, no throttle.
    pub fn new(root: impl Into<PathBuf>) -> Site {
        let (address, outside, more) = (Ipv4Addr::LOCALHOST, String::new(), String::new());
        Site { root: root.into(), leaf: None, address, rate: None, outside, more, h2_only: false }
    }

    /// Puts a file there, modified a day ago: Apache gives what changed within the last second a weak ETag,
    /// and a client rightly trusts no validator that young (R9a).
    pub fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.root.join(name);
        let put = fs::write(&path, bytes).and_then(|()| {
            let file = fs::File::options().write(true).open(&path)?;
            file.set_modified(SystemTime::now() - Duration::from_secs(86_400))
        });
        put.expect("the directory is ours");
    }

    /// The same with a TLS port beside it.
    pub fn tls(mut self, leaf: Leaf) -> Site {
        self.leaf = Some(leaf);
        self
    }

    /// The same with nginx throttled to this many bytes a second of each connection.
    pub fn rate(mut self, bytes_per_second: u64) -> Site {
        self.rate = Some(bytes_per_second);
        self
    }

    /// The same at another address than loopback's: that of a network namespace.
    pub fn at(mut self, address: Ipv4Addr) -> Site {
        self.address = address;
        self
    }

    /// The same with these directives of nginx outside of any site.
    pub fn outside(mut self, directives: &str) -> Site {
        directives.clone_into(&mut self.outside);
        self
    }

    /// The same with nothing but HTTP/2 on Apache's TLS port.
    pub fn h2_only(mut self) -> Site {
        self.h2_only = true;
        self
    }

    /// The same with these directives too: nginx's and Caddy's stand in the block of each site, Apache's outside
    /// of any.
    pub fn more(mut self, directives: &str) -> Site {
        directives.clone_into(&mut self.more);
        self
    }
}

impl Server {
    /// Starts nginx: sendfile, HTTP/2 on the TLS port.
    pub fn nginx(site: &Site) -> Server {
        Server::start(site, nginx)
    }

    /// Starts Apache httpd with the event model.
    pub fn apache(site: &Site) -> Server {
        Server::start(site, apache)
    }

    /// Starts Caddy: HTTP/2 on the TLS port.
    pub fn caddy(site: &Site) -> Server {
        Server::start(site, caddy)
    }

    /// URL of `path` (which starts with `/`) over plain HTTP.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}:{}{path}", self.address, self.http)
    }

    /// URL of `path` over TLS.
    ///
    /// # Panics
    /// If the site has no certificate.
    pub fn tls_url(&self, path: &str) -> String {
        format!("https://{}:{}{path}", self.address, self.https.expect("the site has a certificate"))
    }

    /// Requests that nginx has finished, in their order. Others write no log.
    pub fn log(&self) -> Vec<Access> {
        let text = fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        text.lines().filter_map(access).collect()
    }

    fn start(site: &Site, configure: fn(&Plan) -> Command) -> Server {
        readable(&site.root);
        let mut last = String::new();
        // Another process may take a port between our look and the server's; then we look again.
        for _attempt in 0..5 {
            let dir = tempfile::tempdir().expect("a temporary directory can be made");
            readable(dir.path());
            let (http, https) = free_ports();
            let token = format!("{}-{http}", std::process::id());
            let plan = Plan { site, dir: dir.path(), http, https, token };
            let mut command = configure(&plan);
            let name = command.get_program().to_string_lossy().into_owned();
            let log = fs::File::create(dir.path().join("output.log")).expect("a log can be made");
            let errors = log.try_clone().expect("a file can be shared");
            command.stdin(Stdio::null()).stdout(log).stderr(errors);
            let child = command.spawn().unwrap_or_else(|error| {
                panic!("{name} does not start ({error}): `cargo xtask test` installs it, or apt-get does")
            });
            let token = plan.token.clone();
            let https = site.leaf.as_ref().map(|_| https);
            let mut server = Server { child, address: site.address, http, https, dir };
            match server.answers(&token) {
                Ok(()) => return server,
                Err(error) => {
                    let output = fs::read_to_string(server.dir.path().join("output.log")).unwrap_or_default();
                    last = format!("{name}: {error}\n{output}");
                }
            }
        }
        panic!("no server: {last}");
    }

    fn answers(&mut self, token: &str) -> Result<(), String> {
        let end = Instant::now() + START;
        while Instant::now() < end {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("ended with {status}"));
            }
            let tls_open = self.https.is_none_or(|port| TcpStream::connect((self.address, port)).is_ok());
            if tls_open && alive(self.address, self.http).is_some_and(|answer| answer.ends_with(token)) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err("does not answer".to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a server. It is asked first, so that a master process ends its workers; its pid is ours until it is waited for.
pub(crate) fn end(child: &mut Child) {
    if let Some(pid) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        let _ended_already = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let end = Instant::now() + END;
    while Instant::now() < end {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ended_already = child.kill();
    let _ended_already = child.wait();
}

fn nginx(plan: &Plan) -> Command {
    let rate = plan.site.rate.map_or(String::new(), |rate| format!("limit_rate {rate};"));
    let tls = plan.site.leaf.as_ref().map_or(String::new(), |leaf| {
        format!(
            "listen {}:{} ssl http2; ssl_certificate {}; ssl_certificate_key {};
             ssl_protocols TLSv1.2 TLSv1.3;",
            plan.site.address,
            plan.https,
            leaf.cert.display(),
            leaf.key.display()
        )
    });
    // No master process: one pid to end, and nothing is left behind if it is killed.
    let config = format!(
        "{user} daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
         worker_rlimit_nofile 8192;
         events {{ worker_connections 4096; }}
         http {{
             log_format plain '$status $body_bytes_sent $connection'; access_log {dir}/access.log plain;
             client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
             uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
             sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type application/octet-stream;
             {outside}
             server {{
                 listen {address}:{http}; {tls} root {root}; {rate} {more}
                 location = /.thence-alive {{ access_log off; limit_rate 0; return 200 '{token}'; }}
             }}
         }}",
        user = if rustix::process::geteuid().is_root() { "user root;" } else { "" },
        dir = plan.dir.display(),
        http = plan.http,
        root = plan.site.root.display(),
        address = plan.site.address,
        outside = plan.site.outside,
        more = plan.site.more,
        token = plan.token,
    );
    let file = written(plan, "nginx.conf", &config);
    let mut command = command("nginx");
    command.arg("-e").arg(plan.dir.join("error.log")).arg("-p").arg(plan.dir).arg("-c").arg(file);
    command
}

fn apache(plan: &Plan) -> Command {
    let modules = Path::new("/usr/lib/apache2/modules");
    let load = |name: &str| format!("LoadModule {name}_module {}/mod_{name}.so\n", modules.display());
    let names = ["mpm_event", "authz_core", "alias", "dir", "ssl", "socache_shmcb", "http2"];
    let mut config: String = names.iter().map(|name| load(name)).collect();
    written(plan, "alive", &plan.token);
    config += &format!(
        "ServerRoot {dir}\nServerName 127.0.0.1\nPidFile {dir}/pid\nErrorLog {dir}/error.log\nMutex file:{dir}\n\
         DefaultRuntimeDir {dir}\n\
         Listen 127.0.0.1:{http}\nDocumentRoot {root}\nAlias /.thence-alive {dir}/alive\nMaxKeepAliveRequests 0\n\
         EnableSendfile On\n<Directory />\nRequire all granted\n</Directory>\n",
        dir = plan.dir.display(),
        http = plan.http,
        root = plan.site.root.display(),
    );
    config += &plan.site.more;
    config += "\n";
    if rustix::process::geteuid().is_root() {
        config += "User www-data\nGroup www-data\n";
    }
    if let Some(leaf) = &plan.site.leaf {
        config += &format!(
            "Listen 127.0.0.1:{https}\n<VirtualHost 127.0.0.1:{https}>\nSSLEngine on\nProtocols {}\n\
             SSLCertificateFile {}\nSSLCertificateKeyFile {}\n</VirtualHost>\n",
            if plan.site.h2_only { "h2" } else { "h2 http/1.1" },
            leaf.cert.display(),
            leaf.key.display(),
            https = plan.https,
        );
    }
    let file = written(plan, "apache.conf", &config);
    let mut command = command("apache2");
    command.arg("-DFOREGROUND").arg("-d").arg(plan.dir).arg("-f").arg(file);
    command
}

fn caddy(plan: &Plan) -> Command {
    let site = |address: String, tls: String| {
        format!(
            "{address} {{\n bind 127.0.0.1\n {tls}\n root * {}\n {}\n respond /.thence-alive {:?}\n file_server\n}}\n",
            plan.site.root.display(),
            plan.site.more,
            plan.token
        )
    };
    let mut config = "{\n admin off\n auto_https off\n}\n".to_owned();
    config += &site(format!("http://127.0.0.1:{}", plan.http), String::new());
    if let Some(leaf) = &plan.site.leaf {
        let tls = format!("tls {} {}", leaf.cert.display(), leaf.key.display());
        // Two names: a client that asks for an address sends no name at all.
        config += &site(format!("https://127.0.0.1:{0}, https://localhost:{0}", plan.https), tls);
    }
    let file = written(plan, "Caddyfile", &config);
    let mut command = command("caddy");
    command.env("HOME", plan.dir).env("XDG_DATA_HOME", plan.dir).env("XDG_CONFIG_HOME", plan.dir);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    command
}

/// An absent program is left to fail at its start, where the message says what to install.
pub(crate) fn command(name: &str) -> Command {
    Command::new(program(name).unwrap_or_else(|| name.into()))
}

fn written(plan: &Plan, name: &str, text: &str) -> PathBuf {
    let path = plan.dir.join(name);
    fs::write(&path, text).expect("a temporary file can be written");
    path
}

/// Two ports that were free a moment ago, held together so that they differ.
pub(crate) fn free_ports() -> (u16, u16) {
    let bind = || TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port is free");
    let port = |listener: &TcpListener| listener.local_addr().expect("a bound socket has an address").port();
    let (one, two) = (bind(), bind());
    (port(&one), port(&two))
}

fn readable(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("the directory is ours");
}

fn alive(address: Ipv4Addr, port: u16) -> Option<String> {
    let mut socket = TcpStream::connect((address, port)).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(socket, "GET /.thence-alive HTTP/1.1\r\nHost: {address}:{port}\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn access(line: &str) -> Option<Access> {
    let mut words = line.split(' ').map(|word| word.parse::<u64>().ok());
    let (status, sent, connection) = (words.next()??, words.next()??, words.next()??);
    Some(Access { status: status as u16, sent, connection })
}
