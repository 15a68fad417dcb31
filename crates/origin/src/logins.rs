//! A server's side of Digest authentication (RFC 7616), written apart from the client's by the RFC's formulas: it asks,
//! and says which answers are right.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::reply::Reply;
use crate::request::Request;
use crate::wire::lock;

/// The realm of every guard.
pub const REALM: &str = "a \\\"quiet\\\" place";

/// What the client has to hash for it.
const UNQUOTED: &str = "a \"quiet\" place";

/// Lets in who knows a name and its password.
pub struct Guard {
    user: (String, String),
    algorithm: &'static str,
    /// Requests that a nonce is good for.
    lives: u32,
    /// A nonce's counts must come one after the other.
    in_order: bool,
    /// Each answer tells the nonce of the next request.
    tells_next: bool,
    /// What else it asks for, before its challenge.
    beside: &'static str,
    nonces: Mutex<HashMap<String, HashSet<u32>>>,
}

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Right.
    Right,
    /// Right, but for its nonce or count.
    Stale,
    /// Wrong, or none.
    Wrong,
}

impl Guard {
    /// For MD5, with nonces that last.
    pub fn new(name: &str, password: &str) -> Guard {
        Guard {
            user: (name.to_owned(), password.to_owned()),
            algorithm: "MD5",
            lives: u32::MAX,
            in_order: false,
            tells_next: false,
            beside: "",
            nonces: Mutex::default(),
        }
    }

    /// With another algorithm: `MD5`, `SHA-256`, and those with `-sess`.
    pub fn algorithm(mut self, algorithm: &'static str) -> Guard {
        self.algorithm = algorithm;
        self
    }

    /// Each nonce is good for so many requests, then stale.
    pub fn lives(mut self, requests: u32) -> Guard {
        self.lives = requests;
        self
    }

    /// The requests of a nonce must come in the order of their counts, else it is stale.
    pub fn in_order(mut self) -> Guard {
        self.in_order = true;
        self
    }

    /// Each answer tells the nonce that the next request is to have.
    pub fn tells_next(mut self) -> Guard {
        self.tells_next = true;
        self
    }

    /// Asks for this as well, in a field of its own before the challenge.
    pub fn beside(mut self, challenge: &'static str) -> Guard {
        self.beside = challenge;
        self
    }

    /// Lets `serve` answer a request whose answer is right; asks the others who they are.
    pub fn watch(
        self,
        serve: impl Fn(&Request, &mut Reply) + Send + Sync + 'static,
    ) -> impl Fn(&Request, &mut Reply) + Send + Sync + 'static {
        move |request, out| match self.judge(request) {
            Verdict::Right => serve(request, out),
            verdict => {
                out.answer(401, &self.asks(verdict == Verdict::Stale), "who are you?");
            }
        }
    }

    /// `Authentication-Info` of an answer, if it tells the next nonce; a line of a head.
    pub fn info(&self) -> Option<(String, String)> {
        let next = self.tells_next.then(|| format!("nextnonce=\"{}\", qop=auth", self.nonce()));
        next.map(|value| ("Authentication-Info".to_owned(), value))
    }

    /// The fields of a 401.
    pub fn asks(&self, stale: bool) -> String {
        let beside = if self.beside.is_empty() {
            String::new()
        } else {
            format!("WWW-Authenticate: {}\n", self.beside)
        };
        let stale = if stale { ", stale=true" } else { "" };
        format!(
            "{beside}WWW-Authenticate: Digest realm=\"{REALM}\", qop=\"auth,auth-int\", algorithm={}, \
             nonce=\"{}\", opaque=\"oh\"{stale}",
            self.algorithm,
            self.nonce()
        )
    }

    fn nonce(&self) -> String {
        let mut nonces = lock(&self.nonces);
        let nonce = format!("nonce-{}==", nonces.len());
        nonces.insert(nonce.clone(), HashSet::new());
        nonce
    }

    /// What the request's answer is worth. A count is used up by it.
    pub fn judge(&self, request: &Request) -> Verdict {
        let answer = request.header("authorization").and_then(|value| value.strip_prefix("Digest "));
        let Some(answer) = answer.map(fields) else { return Verdict::Wrong };
        let said = |name: &str| answer.get(name).map_or("", String::as_str);
        let (nonce, count, cnonce) = (said("nonce"), said("nc"), said("cnonce"));
        let mut first = self.sum(&[&self.user.0, UNQUOTED, &self.user.1]);
        if self.algorithm.ends_with("-sess") {
            first = self.sum(&[&first, nonce, cnonce]);
        }
        let second = self.sum(&[&request.method, &request.target]);
        let right = said("username") == self.user.0
            && said("realm") == UNQUOTED
            && said("uri") == request.target
            && said("opaque") == "oh"
            && said("algorithm") == self.algorithm
            && said("qop") == "auth"
            && said("response") == self.sum(&[&first, nonce, count, cnonce, "auth", &second]);
        let Some(count) = u32::from_str_radix(count, 16).ok().filter(|_| count.len() == 8 && right) else {
            return Verdict::Wrong;
        };
        match lock(&self.nonces).get_mut(nonce) {
            Some(counts) if counts.len() < self.lives as usize => {
                let next = !self.in_order || count as usize == counts.len() + 1;
                if next && counts.insert(count) { Verdict::Right } else { Verdict::Stale }
            }
            _ => Verdict::Stale,
        }
    }

    fn sum(&self, parts: &[&str]) -> String {
        let text = parts.join(":");
        let sum = if self.algorithm.starts_with("MD5") {
            Md5::digest(text).to_vec()
        } else {
            Sha256::digest(text).to_vec()
        };
        sum.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Names and values, those in quotes without them.
fn fields(text: &str) -> HashMap<String, String> {
    let (mut all, mut rest) = (HashMap::new(), text);
    while let Some((name, after)) = rest.split_once('=') {
        let mut value = String::new();
        let mut quoted = false;
        let mut chars = after.char_indices();
        let mut end = after.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => quoted = !quoted,
                '\\' if quoted => value.extend(chars.next().map(|(_, c)| c)),
                ',' if !quoted => {
                    end = at + 1;
                    break;
                }
                c => value.push(c),
            }
        }
        all.insert(name.trim().to_owned(), value);
        rest = &after[end..];
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(authorization: &str) -> Request {
        Request {
            method: "GET".into(),
            target: "/a,b".into(),
            headers: vec![("Authorization".into(), authorization.into())],
            ..Request::default()
        }
    }

    /// The sum is Python's: hashlib over the same text.
    fn answer(guard: &Guard, response: &str) -> Verdict {
        guard.judge(&asked(&format!(
            "Digest username=\"me\", realm=\"{REALM}\", nonce=\"nonce-0==\", uri=\"/a,b\", algorithm=MD5, \
             response=\"{response}\", qop=auth, nc=00000001, cnonce=\"c\", opaque=\"oh\""
        )))
    }

    const RIGHT: &str = "b570a78947629eabd772fea122988d5f";

    #[test]
    fn a_right_answer_is_right_once() {
        let guard = Guard::new("me", "SECRET");
        assert_eq!(answer(&guard, RIGHT), Verdict::Stale, "nobody gave that nonce");
        assert!(guard.asks(false).contains("nonce-0=="));
        assert_eq!(answer(&guard, RIGHT), Verdict::Right);
        assert_eq!(answer(&guard, RIGHT), Verdict::Stale);
        assert_eq!(answer(&guard, &RIGHT.replace('a', "b")), Verdict::Wrong);
        assert_eq!(guard.judge(&asked("Basic bWU6U0VDUkVU")), Verdict::Wrong);
    }
}
