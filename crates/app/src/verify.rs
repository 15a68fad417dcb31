//! `thence verify PART|FILE`: reads back what is there and says whether it is what it should be.

use std::path::Path;

use thence::VerifyReport;

use crate::exit::{Code, Trouble};
use crate::meant::Talk;
use crate::printable::printable;
use crate::progress::bytes;
use crate::proof::{Proof, Signing};
use crate::status::found;
use crate::{json, say, signatures, sums};

/// Damaged ranges that are listed; the others are counted.
const LISTED: usize = 10;

/// Checks `path`. Success means that something was compared and all of it was right.
pub(crate) fn run(
    path: &Path,
    want: Option<Proof>,
    signing: Option<Signing>,
    talk: Talk,
) -> Result<Code, Trouble> {
    found(path)?;
    let want = match want {
        None => None,
        Some(Proof::Digest(digest)) => Some(digest),
        Some(Proof::File(sums)) => Some(sums::of_file(&sums, path)?),
        Some(Proof::Url(_) | Proof::Beside) => {
            let what = "of verify is a digest, or a file of checksums that is here";
            return Err(Trouble::usage("--checksum", what, "fetch the file of checksums first"));
        }
    };
    let signature = signing.map(|signing| signatures::of_file(&signing)).transpose()?;
    let mut report = thence::verify(path, want.as_ref()).map_err(|error| Trouble::from(&error))?;
    if let Some(signature) = signature.filter(|_| is_right(&report)) {
        let by = thence::signed(path, &signature).map_err(|error| Trouble::from(&error))?;
        (report.signed, report.checked) = (Some(by), report.held);
    }
    if talk.json {
        // Whoever read has enough; the code still says what was found.
        drop(say::out(&json::checked(&report)));
    }
    let code = judged(&report)?;
    if !talk.json && !talk.quiet {
        drop(say::out(&words(&report)));
    }
    Ok(code)
}

/// Nothing of it is known to be wrong.
fn is_right(report: &VerifyReport) -> bool {
    report.bad.is_empty() && report.digest_ok != Some(false)
}

fn judged(report: &VerifyReport) -> Result<Code, Trouble> {
    let path = report.path.display().to_string();
    if !report.bad.is_empty() {
        let advice = "run the download again; only these are fetched anew";
        return Err(Trouble::new(Code::Checksum, &path, damage(&report.bad), advice));
    }
    if report.digest_ok == Some(false) {
        let got = report
            .digest
            .as_ref()
            .map(|(algorithm, hex)| format!(" ({algorithm}:{hex})"))
            .unwrap_or_default();
        let what = format!("has another checksum{got}");
        return Err(Trouble::new(Code::Checksum, &path, what, "check the checksum, or fetch the file again"));
    }
    if report.checked == 0 && report.digest_ok.is_none() && report.signed.is_none() {
        let what = "there is nothing to check it against";
        return Err(Trouble::new(
            Code::Unknown,
            &path,
            what,
            "give --checksum ALGO:HEX, or --signature FILE and --key",
        ));
    }
    Ok(Code::Done)
}

fn damage(bad: &[(u64, u64)]) -> String {
    let sum: u64 = bad.iter().map(|(first, end)| end.saturating_sub(*first)).sum();
    let listed =
        bad.iter().take(LISTED).map(|(first, end)| format!("{first}-{end}")).collect::<Vec<_>>().join(", ");
    let more = bad.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} are damaged: bytes {listed}{more}", bytes(sum))
}

fn words(report: &VerifyReport) -> String {
    let path = printable(&report.path.display().to_string()).into_owned();
    let part = match report.total {
        Some(total) if report.held < total => format!(", {} of {} held", bytes(report.held), bytes(total)),
        _ => String::new(),
    };
    let digest = match &report.digest {
        Some((algorithm, hex)) => format!(", {algorithm}:{hex}"),
        None => String::new(),
    };
    let signed = report.signed.as_ref().map(|by| format!(", signed by {by}")).unwrap_or_default();
    format!("{path}: right: {} checked{part}{digest}{signed}", bytes(report.checked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_means_that_something_was_compared() {
        assert_eq!(judged(&VerifyReport::default()).unwrap_err().code, Code::Unknown);
        assert_eq!(judged(&VerifyReport { checked: 1, ..VerifyReport::default() }), Ok(Code::Done));
        assert_eq!(
            judged(&VerifyReport { digest_ok: Some(true), ..VerifyReport::default() }),
            Ok(Code::Done)
        );
    }

    #[test]
    fn damage_and_a_wrong_digest_are_checksum_errors() {
        let bad = (0..12).map(|i| (i * 10, i * 10 + 5)).collect();
        let told = judged(&VerifyReport { checked: 99, bad, ..VerifyReport::default() }).unwrap_err();
        assert_eq!(told.code as u8, 32);
        assert!(
            told.what.starts_with("60 B are damaged: bytes 0-5, ") && told.what.ends_with("and 2 more"),
            "{told}"
        );
        let wrong = VerifyReport { checked: 9, digest_ok: Some(false), ..VerifyReport::default() };
        assert_eq!(judged(&wrong).unwrap_err().code as u8, 32);
    }
}
