//! What an origin is told of who asks: nothing, Basic (RFC 7617) or Digest (RFC 7616).
//!
//! Over TLS Basic is said at once, as it always was. In clear a password that is sent is everybody's: there the origin is
//! asked first, is answered what it offers, and gets no Basic once it has offered Digest. What it took is said at once from
//! then on, by all lanes: they share the nonce, and each of their requests has a count of its own. A challenge that was just
//! made is answered once by whoever got it and shared after it was taken, so that a server that wants each nonce's counts
//! in order is content with every lane. An answer that is refused is wrong, unless the server says that its nonce was
//! stale; there is no third try.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::HeaderValue;
use thence_plan::Head;

use super::challenge::{self, Challenge};
use super::target::Target;
use crate::options::Auth;
use crate::secret::{ExposeSecret, Secret, Zeroizing};

/// Challenges that one request answers at most: the first, and two whose nonces were stale.
const ANSWERS: u32 = 3;
/// Origins that are remembered, and nonces of each whose requests are counted.
const REMEMBERED: usize = 1_024;
const COUNTED: usize = 64;

/// User and password.
pub(super) type User = (String, Secret);

/// What is known of the origins that asked.
pub(super) struct Logins {
    auth: Auth,
    known: Mutex<HashMap<Target, Known>>,
}

/// What an origin offered, and what it took last.
#[derive(Default)]
struct Known {
    digest: bool,
    taken: Option<Scheme>,
    /// Requests made with each nonce.
    counts: HashMap<String, u32>,
}

#[derive(Clone)]
enum Scheme {
    Basic,
    Digest(Arc<Session>),
}

/// A challenge and our nonce for it.
struct Session {
    challenge: Challenge,
    cnonce: String,
}

/// What one request says at one URL, over its tries.
#[derive(Default)]
pub(super) struct Turn {
    /// What the last answer asked for.
    next: Option<Scheme>,
    /// What was said last.
    said: Option<Scheme>,
    answers: u32,
}

impl Logins {
    pub(super) fn new(auth: Auth) -> Logins {
        Logins { auth, known: Mutex::default() }
    }

    /// The value of `Authorization` for a GET of `path` at `target`, `None` if none is to be sent yet.
    pub(super) fn say(
        &self,
        user: &User,
        target: &Target,
        path: &str,
        turn: &mut Turn,
    ) -> Option<HeaderValue> {
        let mut all = self.known();
        let known = entry(&mut all, target);
        let unasked = match self.auth {
            Auth::Basic => true,
            Auth::Any => target.https && !known.digest,
            Auth::Digest => false,
        };
        // What it took before it offered better is not said in clear again.
        let worse = |scheme: &Scheme| matches!(scheme, Scheme::Basic) && !target.https && known.digest;
        let taken = known.taken.as_ref().filter(|scheme| !worse(scheme));
        turn.said = turn.next.as_ref().or(taken).cloned();
        if turn.said.is_none() && unasked {
            turn.said = Some(Scheme::Basic);
        }
        match turn.said.as_ref()? {
            Scheme::Basic => basic(user),
            Scheme::Digest(session) => {
                let count = known.count(&session.challenge.nonce);
                let user = (user.0.as_str(), user.1.expose_secret());
                sensitive(&session.challenge.answer(user, path, count, &session.cnonce))
            }
        }
    }

    /// What came of it. True when the same is to be asked again, with an answer to what the server asked for.
    pub(super) fn hear(&self, head: &Head, target: &Target, turn: &mut Turn) -> bool {
        let mut all = self.known();
        let known = entry(&mut all, target);
        if head.status != 401 {
            known.settle(turn, challenge::next_nonce(head.values("authentication-info")));
            return false;
        }
        let offered = challenge::offered(head.values("www-authenticate"));
        known.digest |= offered.names_digest;
        let next = match (self.auth, offered.digest) {
            (Auth::Basic, _) => None,
            (_, Some(challenge)) => {
                let wrong = matches!(turn.next, Some(Scheme::Digest(_))) && !challenge.stale;
                if wrong { None } else { Scheme::digest(challenge) }
            }
            (Auth::Any, None) if offered.basic => {
                let in_clear = !target.https && known.digest;
                let wrong = matches!(turn.said, Some(Scheme::Basic));
                (!in_clear && !wrong).then_some(Scheme::Basic)
            }
            _ => None,
        };
        turn.answers += 1;
        turn.next = next.filter(|_| turn.answers <= ANSWERS);
        turn.next.is_some()
    }

    /// A panic under this lock leaves a table that is whole.
    fn known(&self) -> MutexGuard<'_, HashMap<Target, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry<'a>(all: &'a mut HashMap<Target, Known>, target: &Target) -> &'a mut Known {
    if all.len() >= REMEMBERED && !all.contains_key(target) {
        all.clear();
    }
    all.entry(target.clone()).or_default()
}

impl Known {
    /// The next count of a nonce, from 1.
    fn count(&mut self, nonce: &str) -> u32 {
        if self.counts.len() >= COUNTED && !self.counts.contains_key(nonce) {
            let taken = match &self.taken {
                Some(Scheme::Digest(session)) => session.challenge.nonce.as_str(),
                _ => "",
            };
            self.counts.retain(|nonce, _| nonce == taken);
        }
        let count = self.counts.entry(nonce.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// A request was not refused: what it said is said by all from now on, or the nonce that the server wants instead.
    fn settle(&mut self, turn: &mut Turn, next_nonce: Option<String>) {
        let answered = turn.next.take();
        match (&turn.said, next_nonce) {
            // Of a session nobody says which nonce its sum then holds.
            (Some(Scheme::Digest(session)), Some(nonce)) if !session.challenge.session => {
                self.taken = Scheme::digest(session.challenge.with_nonce(nonce));
            }
            _ => self.taken = answered.or(self.taken.take()),
        }
    }
}

impl Scheme {
    /// `None` where the system has no randomness.
    fn digest(challenge: Challenge) -> Option<Scheme> {
        let cnonce = format!("{:016x}{:016x}", getrandom::u64().ok()?, getrandom::u64().ok()?);
        Some(Scheme::Digest(Arc::new(Session { challenge, cnonce })))
    }
}

/// Userinfo in a redirect's target is never used: it was not the user who wrote it.
fn basic((name, password): &User) -> Option<HeaderValue> {
    let pair = Zeroizing::new(format!("{name}:{}", password.expose_secret()).into_bytes());
    sensitive(&Zeroizing::new(format!("Basic {}", *Zeroizing::new(BASE64_STANDARD.encode(pair)))))
}

/// It is marked sensitive: `Debug` does not print it, HPACK does not index it.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
