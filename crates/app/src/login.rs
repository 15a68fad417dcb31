//! Where a password is looked for: `--user NAME:PASSWORD`, netrc, `$THENCE_PASSWORD`, a prompt.
//!
//! A password on the command line stands in the process list, and nothing portable takes it back; that is why
//! `--user NAME` alone goes on to look elsewhere.

use thence::Secret;

use crate::exit::{Code, Trouble};
use crate::netrc;
use crate::printable::printable;

/// What `--user` said.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: Option<Secret>,
}

/// The passwords of a run: found once for each host, so that ten files from one host ask once.
pub(crate) struct Passwords {
    user: User,
    netrc: Option<Vec<netrc::Entry>>,
    found: Vec<(String, Secret)>,
}

impl Passwords {
    /// `notes` takes what a person should hear about the netrc file.
    pub(crate) fn new(user: User, notes: &mut Vec<String>) -> Passwords {
        let netrc = match (&user.password, netrc::path()) {
            (None, Some(path)) => netrc::read(&path).unwrap_or_else(|why| {
                notes.push(format!("{}: not used: {why}", printable(&path.display().to_string())));
                None
            }),
            _ => None,
        };
        Passwords { user, netrc, found: Vec::new() }
    }

    /// Name and password for `host`.
    pub(crate) fn of(&mut self, host: &str) -> Result<(String, Secret), Trouble> {
        let name = self.user.name.clone();
        if let Some(given) = &self.user.password {
            return Ok((name, given.clone()));
        }
        if let Some((_, known)) = self.found.iter().find(|(h, _)| h == host) {
            return Ok((name, known.clone()));
        }
        let password = self.look(&name, host)?;
        self.found.push((host.into(), password.clone()));
        Ok((name, password))
    }

    fn look(&self, name: &str, host: &str) -> Result<Secret, Trouble> {
        let entries = self.netrc.as_deref().unwrap_or_default();
        if let Some(password) = netrc::password(entries, host, name) {
            return Ok(password.clone());
        }
        match std::env::var("THENCE_PASSWORD") {
            Ok(password) => Ok(Secret::from(password)),
            Err(_) => ask(name, host),
        }
    }
}

/// Asks on the terminal itself, so that pipes around the command do not matter.
fn ask(name: &str, host: &str) -> Result<Secret, Trouble> {
    let prompt = format!("Password of {} at {}: ", printable(name), printable(host));
    rpassword::prompt_password(prompt).map(Secret::from).map_err(|_| {
        let what = format!("needs the password of {name}, and there is no terminal to ask on");
        Trouble::new(Code::NeedsHeader, host, what, "set THENCE_PASSWORD, or add the host to ~/.netrc")
    })
}

#[cfg(test)]
mod tests {
    use thence::ExposeSecret;

    use super::*;

    #[test]
    fn netrc_answers_for_its_hosts_before_anyone_is_asked() {
        let user = User { name: "me".into(), password: None };
        let netrc = Some(netrc::parse("machine a login me password one machine b login me password two"));
        let mut passwords = Passwords { user, netrc, found: Vec::new() };
        for (host, password) in [("a", "one"), ("b", "two"), ("A", "one")] {
            let (name, found) = passwords.of(host).ok().unwrap();
            assert_eq!((&*name, found.expose_secret()), ("me", password));
        }
    }
}
