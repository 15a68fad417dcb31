use super::*;

use std::convert::Infallible;

/// A key and signatures of 100,000 zeros, made with minisign 0.11; the second is of its first kind.
const KEY: &str = "RWSzc/EVLOx2xI3CxloUlbBmyQGXUIaKcvtdYA9Jiv97+ZlCc4Z9GzSL";
const HASHED: &str = "untrusted comment: signature from minisign secret key
RUSzc/EVLOx2xDW9vsNnvDY5eKcLfU8f62ymMRyt/tnJ+7fgZEDkz5GGFsW28N3VbjqaptPcNqK9zv0rdib5mXK9eiYLkRG5bgc=
trusted comment: timestamp:1795812886\tfile:f\thashed
hpS/oneQFvyyxOkPceFRRmPWM6PPUO+4WDQAJ0Yq0w/QQWmcpR5mCIQDF/hvJj6QgdQv6UfU/U9puH7K0yvnBg==
";
const PLAIN: &str = "untrusted comment: signature from minisign secret key
RWSzc/EVLOx2xC7uvmM7Gec3p5B/OuwRcs0Gn87y5eQByjTHUxb+AVA+ik9yefaS1XmpS+FikXBclNV1vNTFk3UNdexcE47F+gA=
trusted comment: timestamp:1795812886\tfile:f
otWFRIOzbxYXWNUq1XDeZcaERCnYXmWIGwJsmR5mXCImTQ2HahPpBo3+apJ5Xj72Ag8ygT+C9+VIUBNLLS22Dw==
";
/// Another key.
const OTHER: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
const SIGNED: usize = 100_000;

fn of(bytes: &[u8], total: u64, signature: &str) -> Result<String, String> {
    let read = |at: u64, buffer: &mut [u8]| {
        let from = bytes.len().min(at as usize);
        let some = buffer.len().min(bytes.len() - from);
        buffer[..some].copy_from_slice(&bytes[from..from + some]);
        Ok::<_, Infallible>(some)
    };
    Signature::read(signature.as_bytes(), KEY.as_bytes()).unwrap().check(total, read).unwrap()
}

fn place(signature: &str, key: &str) -> (bool, usize, usize) {
    match Signature::read(signature.as_bytes(), key.as_bytes()) {
        Err(SignatureFault::Form { key, line, column, .. }) => (key, line, column),
        other => panic!("{other:?}"),
    }
}

#[test]
fn minisigns_two_kinds_hold_of_what_they_are_of_and_of_nothing_else() {
    let by = Ok("minisign:C476EC2C15F173B3".to_owned());
    for text in [HASHED, PLAIN] {
        let mut bytes = vec![0; SIGNED];
        assert_eq!(of(&bytes, SIGNED as u64, text), by);
        assert!(of(&bytes, SIGNED as u64 - 1, text).is_err(), "a byte less");
        assert!(of(&bytes, SIGNED as u64 + 1, text).is_err(), "a byte that is not there");
        bytes[77] = 1;
        assert!(of(&bytes, SIGNED as u64, text).is_err(), "another byte");
    }
    let other = HASHED.replace("timestamp:1", "timestamp:2");
    assert!(of(&vec![0; SIGNED], SIGNED as u64, &other).is_err(), "what it says of itself is signed as well");
    let lines = HASHED.replace('\n', "\r\n");
    assert_eq!(of(&vec![0; SIGNED], SIGNED as u64, &lines), by, "as other systems end lines");
}

#[test]
fn a_signature_of_the_first_kind_takes_no_more_memory_than_allowed() {
    let why = of(&[], UNHASHED + 1, PLAIN).unwrap_err();
    assert!(why.contains("256 MiB at most"), "{why}");
}

#[test]
fn another_key_is_known_before_anything_is_read() {
    let fault = Signature::read(HASHED.as_bytes(), OTHER.as_bytes()).unwrap_err();
    let SignatureFault::OtherKey { given, signed } = fault else { panic!("{fault:?}") };
    assert_eq!((given.as_str(), signed.as_str()), ("E7620F1842B4E81F", "C476EC2C15F173B3"));
    let file = format!("untrusted comment: mine\n{KEY}\n");
    assert!(Signature::read(HASHED.as_bytes(), file.as_bytes()).is_ok(), "as minisign -G writes it");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let cut = |lines| HASHED.lines().take(lines).map(|line| format!("{line}\n")).collect::<String>();
    assert_eq!([1, 2, 3].map(|lines| place(&cut(lines), KEY)), [(false, 1, 1), (false, 2, 1), (false, 3, 1)]);
    assert_eq!(place(&HASHED.replace("RUSzc", "RU*zc"), KEY), (false, 2, 3));
    assert_eq!(place(&HASHED.replace("RUSzc", "RzSzc"), KEY), (false, 2, 1));
    assert_eq!(place(&HASHED.replace("bgc=", "bg=="), KEY), (false, 2, 100));
    assert_eq!(place(&HASHED.replace("\ntrusted", "\nTrusted"), KEY), (false, 3, 1));
    assert_eq!(place(HASHED, &KEY[..50]), (true, 1, 50));
    assert_eq!(place(HASHED, "untrusted comment: mine\n"), (true, 1, 1));
}

#[test]
fn armor_is_undone_whatever_is_around_it_and_its_faults_have_a_place() {
    // A packet of tag 2 with three bytes in it.
    let body = "iAMBAgM=";
    let one =
        format!("-----BEGIN PGP SIGNATURE-----\nVersion: 1\n\n{body}\n=abcd\n-----END PGP SIGNATURE-----\n");
    let packet = vec![0x88, 3, 1, 2, 3];
    let read = |text: &str| form::signature(text.as_bytes());
    assert_eq!(read(&one), Ok(Form::OpenPgp(packet.clone())));
    assert_eq!(read(&format!("by two\n{one}{one}")), Ok(Form::OpenPgp(packet.repeat(2))));
    assert_eq!(form::signature(&packet), Ok(Form::OpenPgp(packet.clone())));
    let at = |text: &str| match read(text) {
        Err(SignatureFault::Form { line, column, .. }) => (line, column),
        other => panic!("{other:?}"),
    };
    assert_eq!(at(&one.replace(body, "iAM!AgM=")), (4, 4));
    assert_eq!(at(&one.replace(body, "iAMBAgM")), (6, 1));
    assert_eq!(at(&one.replace("-----END PGP SIGNATURE-----", "")), (5, 1), "cut off");
    assert_eq!(at(&one.replace("\n\n", "\n")), (3, 1), "no empty line");
    assert_eq!(at(&one.replace(body, "iAMBAg==")), (0, 1), "a packet that is cut off");
    assert_eq!(at(&one.replace("SIGNATURE", "SIGNED MESSAGE")), (1, 1), "not detached");
    assert_eq!(at(&one.replace("SIGNATURE", "MESSAGE")), (1, 1), "not detached");
    assert_eq!(read("<html>"), Err(SignatureFault::Unknown { key: false }));
    assert_eq!(read(""), Err(SignatureFault::Unknown { key: false }));
}

#[test]
fn only_packets_that_belong_there_are_taken() {
    let packets = |bytes: &[u8]| form::signature(bytes).is_ok();
    let long = [&[0xc2, 192, 0][..], &[0; 192]].concat();
    let longer = [&[0x89, 1, 0][..], &[0; 256], &[0xc2, 255, 0, 0, 0, 1, 7]].concat();
    assert!(packets(&long) && packets(&longer));
    assert!(!packets(&long[..194]) && !packets(&[0xc2, 255, 255, 255, 255, 255]), "cut off");
    assert!(!packets(&[0x8b, 1]) && !packets(&[0xc2, 224, 1]), "of no length that is told");
    assert!(!packets(&[0xa3, 1, 0]), "compressed data");
    assert!(!packets(&[0x88, 1, 0, 0xcb, 1, 0]), "a signature, and then data");
    let key = |bytes: &[u8]| form::key(bytes);
    assert!(key(&[0x98, 1, 0, 0xcd, 1, 0, 0x88, 1, 0]).is_ok());
    assert!(key(&[0x88, 1, 0]).is_err(), "a signature is no key");
    for secret in [&[0x94, 1, 0][..], &[0x98, 1, 0, 0x9c, 1, 0]] {
        let Err(SignatureFault::Form { what, .. }) = key(secret) else { panic!("taken") };
        assert!(what.contains("secret key"), "{what}");
    }
}

#[test]
fn a_signature_and_a_key_are_of_one_kind() {
    let fault = Signature::read(HASHED.as_bytes(), &[0x98, 1, 0]).unwrap_err();
    assert_eq!(fault, SignatureFault::Kinds);
}

/// A status as `gpgv` gives it: what came of each signature in turn.
fn told(lines: &[&str]) -> Result<String, String> {
    let lines = lines.iter().flat_map(|line| line.split('|'));
    gpgv::verdict(&lines.map(|line| format!("[GNUPG:] {line}\n")).collect::<String>())
}

const GOOD: &str = "NEWSIG a@x|KEY_CONSIDERED 74F7 0|SIG_ID x 2026-11-27 1|GOODSIG 7B9F A <a@x>|\
                    VALIDSIG 74F7 2026-11-27 1 0 4 0 22 8 00 74F7";
const UNKNOWN: &str = "NEWSIG|ERRSIG 64CD 22 8 00 1 9 5C83|NO_PUBKEY 64CD";
const BAD: &str = "NEWSIG|BADSIG 7B9F A <a@x>";
const EXPIRED: &str = "NEWSIG|KEYEXPIRED 1|EXPKEYSIG A2E2 E|VALIDSIG 1B03 2020-01-01 1 0 4 0 22 8 00 1B03";

#[test]
fn one_good_signature_is_enough_and_a_bad_one_too_much() {
    let good = Ok("openpgp:74F7".to_owned());
    assert_eq!(
        [&[GOOD][..], &[GOOD, UNKNOWN], &[UNKNOWN, GOOD], &[EXPIRED, GOOD]].map(told),
        [(); 4].map(|()| good.clone())
    );
    let why = |lines: &[&str]| told(lines).unwrap_err();
    assert!(why(&[BAD]).contains("not of these bytes"));
    assert!(
        why(&[GOOD, BAD]).contains("not of these bytes") && why(&[BAD, GOOD]).contains("not of these bytes")
    );
    assert!(why(&[UNKNOWN]).contains("by another key (64CD)"));
    assert!(why(&[EXPIRED]).contains("has expired"));
    assert!(why(&[&EXPIRED.replace("EXPKEYSIG", "REVKEYSIG")]).contains("revoked"));
    assert!(why(&[&EXPIRED.replace("EXPKEYSIG", "EXPSIG")]).contains("has expired"));
    assert!(why(&["NODATA 3|NODATA 4"]).contains("no signature"));
}

#[test]
fn no_verdict_is_none_and_only_whole_good_ones_of_bytes_count() {
    let why = |lines: &[&str]| told(lines).unwrap_err();
    assert!(why(&[]).contains("no verdict"));
    assert!(
        gpgv::verdict("GOODSIG 7B9F A\nVALIDSIG 74F7 2026-11-27 1 0 4 0 22 8 00 74F7").is_err(),
        "no status"
    );
    assert!(why(&["NEWSIG|GOODSIG 7B9F A"]).contains("no verdict"), "cut off");
    assert!(why(&["NEWSIG|VALIDSIG 74F7 2026-11-27 1 0 4 0 22 8 00 74F7"]).contains("no verdict"));
    assert!(
        why(&["GOODSIG 7B9F A|NEWSIG|VALIDSIG 74F7 2026-11-27 1 0 4 0 22 8 00 74F7"]).contains("no verdict")
    );
    assert!(why(&[&GOOD.replace(" 22 8 00", " 22 2 00")]).contains("SHA-1"));
    assert!(why(&[&GOOD.replace(" 22 8 00", " 22 8 01")]).contains("of a text"));
    assert!(why(&[&GOOD.replace(" 22 8 00", " 22 8 10")]).contains("another kind"));
}
