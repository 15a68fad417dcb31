//! Debian's packages that tests and bench need: installed if we are root, named if we are not.

use std::process::Command;

use thence_origin::real::program;

use crate::shell;

/// What the tests need, as program and package.
pub const TEST: &[(&str, &str)] = &[
    ("nginx", "nginx"),
    ("apache2", "apache2-bin"),
    ("caddy", "caddy"),
    ("squid", "squid"),
    ("danted", "dante-server"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("wget", "wget"),
    ("aria2c", "aria2"),
    ("axel", "axel"),
    ("zsyncmake", "zsync"),
    ("ip", "iproute2"),
    ("strace", "strace"),
    ("sqlite3", "sqlite3"),
    ("mkfs.xfs", "xfsprogs"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.exfat", "exfatprogs"),
    ("mount.exfat-fuse", "exfat-fuse"),
    ("minisign", "minisign"),
    ("gpg", "gpg"),
    ("gpg-agent", "gpg-agent"),
    ("gpgv", "gpgv"),
];

/// Makes sure that every program is there.
pub fn need(wanted: &[(&str, &str)]) -> Result<(), String> {
    let missing = missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let install = format!("apt-get install --no-install-recommends {}", missing.join(" "));
    if !rustix::process::geteuid().is_root() || program("apt-get").is_none() {
        return Err(format!("missing programs; as root: {install}"));
    }
    println!("{install}");
    shell::run(apt().arg("update").arg("-qq"))?;
    shell::run(apt().args(["install", "-y", "-qq", "--no-install-recommends"]).args(&missing))?;
    match self::missing(wanted) {
        still if still.is_empty() => Ok(()),
        still => Err(format!("installed, yet not there: {}", still.join(" "))),
    }
}

fn missing<'a>(wanted: &[(&str, &'a str)]) -> Vec<&'a str> {
    wanted.iter().filter(|(name, _)| program(name).is_none()).map(|&(_, package)| package).collect()
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    // Without a run level Debian's packages start no service: the tests start their own.
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command
}
