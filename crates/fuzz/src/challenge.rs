//! Challenges of servers: the reader of the engine's client, built in here.

#![allow(dead_code, reason = "the client uses the rest")]

#[path = "../../engine/src/http/challenge.rs"]
mod reader;

/// No fields make the reader panic, and whatever it answers is one field that says once what it says.
pub(crate) fn challenge(data: &[u8]) {
    let fields = data.split(|&byte| byte == b'\n');
    let next = reader::next_nonce(fields.clone());
    let offered = reader::offered(fields);
    let Some(challenge) = offered.digest else { return };
    assert!(offered.names_digest);
    let challenge = next.map_or(challenge.clone(), |nonce| challenge.with_nonce(nonce));
    let answer = challenge.answer(("m\"e\r\nx: y", "PASSWORD"), "/a?\"b\\", 17, "c0");
    assert!(answer.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')), "{answer:?}");
    let held = |text: &[u8]| text.windows(8).any(|part| part == b"PASSWORD");
    assert!(held(data) || !held(answer.as_bytes()), "CRD-01");
    // What a quote of the server's could end would be read as something else.
    let read = http_auth::parse_challenges(&answer).expect("it is well-formed");
    let said = |name: &str| {
        let values = read[0].params.iter().filter(|(other, _)| *other == name);
        values.map(|(_, value)| value.to_unescaped()).collect::<Vec<_>>()
    };
    assert!(read.len() == 1 && read[0].scheme == "Digest");
    assert_eq!((said("nc"), said("uri")), (vec!["00000011".to_owned()], vec!["/a?\"b\\".to_owned()]));
    assert_eq!(said("nonce"), [challenge.nonce]);
}
