//! Another URL for a link that has expired, from whoever knows one.

use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;
use url::Url;

/// Longest answer that is a URL, in bytes.
const LONGEST: usize = 64 << 10;

/// Gets another URL of the same file for one that has expired.
///
/// It is called with the URL as it was given, without userinfo, on a thread of its own: it may take its time, while
/// other sources and downloads go on. What it gives is asked from then on, until that refuses as well; what comes is
/// compared with what is held as after any interruption. Fields and credentials that were given for the first URL go
/// along only where the new one has the same origin (R58). An error, in words, gives the source up.
#[derive(Clone)]
pub struct Renew(Arc<Ask>);

type Ask = dyn Fn(&str) -> Result<String, String> + Send + Sync;

impl Renew {
    /// By this function.
    pub fn new(ask: impl Fn(&str) -> Result<String, String> + Send + Sync + 'static) -> Renew {
        Renew(Arc::new(ask))
    }

    /// What it gives for `url`, if that can be asked.
    pub(crate) async fn ask(&self, url: String) -> Result<String, String> {
        let (told, answer) = oneshot::channel();
        let ask = self.0.clone();
        let asking = move || drop(told.send(ask(&url).and_then(|url| checked(&url))));
        std::thread::Builder::new()
            .name("thence-renew".into())
            .spawn(asking)
            .map_err(|why| format!("no thread to ask for another URL: {why}"))?;
        answer.await.unwrap_or_else(|_| Err("whoever was asked for another URL broke off".to_owned()))
    }
}

impl fmt::Debug for Renew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renew")
    }
}

/// The URL without userinfo and fragment, if it is one that can be asked. What is none is not repeated: it may be a secret.
fn checked(text: &str) -> Result<String, String> {
    if text.len() > LONGEST {
        return Err("the answer is too long for a URL".to_owned());
    }
    let mut url = Url::parse(text.trim()).map_err(|why| format!("the answer is no URL: {why}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err("the answer is no http or https URL".to_owned());
    }
    thence_plan::make_bare(&mut url);
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_cannot_be_asked_is_an_error_and_not_repeated() {
        for answer in ["", "no url", "ftp://h/SECRET", "http://", &"x".repeat(LONGEST + 1)] {
            let answer = answer.to_owned();
            let told = Renew::new(move |_| Ok(answer.clone())).ask("http://h/".into()).await;
            assert!(!told.unwrap_err().contains("SECRET"));
        }
        let told = Renew::new(|url| Ok(format!(" {url}?t=2#x\n"))).ask("http://h/a".into()).await;
        assert_eq!(told.unwrap(), "http://h/a?t=2");
    }

    #[tokio::test]
    async fn a_function_that_panics_is_an_answer_like_any_other() {
        let told = Renew::new(|_| panic!("on purpose")).ask("http://h/".into()).await;
        assert!(told.unwrap_err().contains("broke off"));
    }
}
