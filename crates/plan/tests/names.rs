//! Names that cannot leave their directory (R56, R57).

use thence_plan::{BadName, Name, choose_name};

// ---- Vocabulary ----

fn attached(parameters: &str) -> Option<String> {
    let value = format!("attachment; {parameters}");
    Name::from_disposition(value.as_bytes()).map(|name| name.as_str().to_owned())
}

fn sent(name: &str) -> Option<String> {
    attached(&format!("filename=\"{name}\""))
}

fn of_url(url: &str) -> String {
    choose_name(None, url).as_str().to_owned()
}

fn made(text: &str) -> Option<String> {
    Name::from_server(text).map(|name| name.as_str().to_owned())
}

fn numbered(name: &str) -> String {
    Name::chosen(name).expect("one segment").numbered(1).as_str().to_owned()
}

/// What P5 asks of every foreign name.
fn is_safe(name: &str) -> bool {
    let bad = |c: char| matches!(c, '/' | '\\' | ':') || c.is_control();
    !name.is_empty() && name.len() <= 240 && !name.contains(bad) && !name.starts_with(['.', '-', ' '])
}

// ---- Content-Disposition ----

#[test]
fn pth_01_no_sent_name_leaves_the_directory() {
    for name in
        ["../../x", "/etc/x", "..\\x", "C:\\x", "x/../../y", "\\\\server\\share\\x", "/", "..", "a/.."]
    {
        assert!(sent(name).is_none_or(|safe| is_safe(&safe)), "{name}");
    }
    assert_eq!(sent("../../x").as_deref(), Some("x"));
    assert_eq!(sent("C:\\x").as_deref(), Some("x"));
    assert_eq!(sent("%2e%2e%2f").as_deref(), Some("%2e%2e%2f"));
}

#[test]
fn pth_02_filename_star_is_decoded_and_then_made_safe() {
    assert_eq!(attached("filename*=UTF-8''..%2Fx").as_deref(), Some("x"));
    assert_eq!(attached("filename*=utf-8'de'%C3%BC%20b.txt").as_deref(), Some("ü b.txt"));
    assert_eq!(attached("filename*=UTF-8''a%00%0d%0a%E2%80%AEb").as_deref(), Some("ab"));
}

#[test]
fn pth_02_filename_star_wins_when_it_is_valid() {
    assert_eq!(attached("filename=a; filename*=UTF-8''b").as_deref(), Some("b"));
    assert_eq!(attached("filename*=UTF-8''b; filename=a").as_deref(), Some("b"));
}

#[test]
fn pth_02_an_invalid_filename_star_gives_way() {
    let invalid =
        ["ISO-8859-1''b", "UTF-8''%zz", "UTF-8''%4", "UTF-8''%", "UTF-8''%ff", "UTF-8'b", "b", "UTF-8''.."];
    for value in invalid {
        assert_eq!(attached(&format!("filename*={value}; filename=a")).as_deref(), Some("a"), "{value}");
    }
}

#[test]
fn r56_parameters_are_found_in_every_spelling() {
    for parameters in
        ["FileName=a.b", "filename = a.b ", "x=\"; filename=c\"; filename=\"a.b\"", "flag; filename=a.b;"]
    {
        assert_eq!(attached(parameters).as_deref(), Some("a.b"), "{parameters}");
    }
    assert_eq!(Name::from_disposition(b"inline;filename=a").unwrap().as_str(), "a");
}

#[test]
fn r56_quotes_hold_semicolons_and_escaped_quotes() {
    assert_eq!(attached(r#"filename="a;\"b\".txt""#).as_deref(), Some("a;\"b\".txt"));
    assert_eq!(attached(r#"filename="never closed"#).as_deref(), Some("never closed"));
}

#[test]
fn r56_a_plain_name_is_utf_8_or_latin_1() {
    let latin = b"attachment; filename=\"\xfc.txt\"";
    assert_eq!(Name::from_disposition(latin).unwrap().as_str(), "ü.txt");
    assert_eq!(attached("filename=\"ü.txt\"").as_deref(), Some("ü.txt"));
}

#[test]
fn r56_a_disposition_without_name_leaves_it_to_the_url() {
    for value in
        [&b"attachment"[..], b"", b";;;", b"attachment; filename", b"attachment; filename=\"..\"", b"="]
    {
        assert_eq!(choose_name(Some(value), "http://h/a.iso").as_str(), "a.iso");
    }
}

// ---- URLs ----

#[test]
fn pth_04_a_url_gives_one_safe_segment() {
    assert_eq!(of_url("http://h/%2e%2e/%2fetc%2fpasswd"), "passwd");
    assert_eq!(of_url("http://h/a%2Fb"), "b");
    assert_eq!(of_url("http://h/a%5Cb"), "b");
    assert_eq!(of_url("http://h/a%00b"), "ab");
}

#[test]
fn r56_query_and_fragment_are_no_part_of_a_name() {
    assert_eq!(of_url("http://h/d/a%20b.iso?name=/x#y"), "a b.iso");
}

#[test]
fn r56_bytes_that_are_not_utf_8_stay_encoded() {
    assert_eq!(of_url("http://h/%ff.iso"), "%ff.iso");
}

#[test]
fn r56_a_url_without_name_is_called_index() {
    for url in ["http://h", "http://h/", "http://h/d/", "http://h/%2e%2e%2f", "http://h/...", "no url", ""] {
        assert_eq!(of_url(url), "index", "{url}");
    }
}

#[test]
fn pth_05_hidden_names_lose_their_dot_and_programs_keep_their_ending() {
    assert_eq!(of_url("http://h/.wgetrc"), "wgetrc");
    assert_eq!(of_url("http://h/x.exe"), "x.exe");
}

// ---- Making a name safe ----

#[test]
fn r56_bad_starts_and_ends_go() {
    assert_eq!(made("..-. -rf").as_deref(), Some("rf"));
    assert_eq!(made("\u{a0}a.txt. . ").as_deref(), Some("a.txt"));
    for nothing in ["", ".", "..", "...", "- -", " ", "a/", "\u{202e}", ":", "\0"] {
        assert_eq!(made(nothing), None, "{nothing:?}");
    }
}

#[test]
fn r56_bidi_and_control_characters_go() {
    assert_eq!(made("invoice\u{202e}fdp.exe").as_deref(), Some("invoicefdp.exe"));
    assert_eq!(made("a\u{1b}[2J\u{9b}\nb\u{7f}").as_deref(), Some("a[2Jb"));
}

#[test]
fn r56_streams_and_drives_lose_their_colon() {
    assert_eq!(made("a.txt::$DATA").as_deref(), Some("a.txt$DATA"));
    assert_eq!(made("Talk 1: Ranges.pdf").as_deref(), Some("Talk 1 Ranges.pdf"));
}

#[test]
fn r56_dos_devices_get_a_front() {
    for device in ["CON", "con.txt", "Aux.tar.gz", "nul .x", "COM1", "lpt9.log", "COM¹", "CONIN$"] {
        assert_eq!(made(device), Some(format!("_{device}")));
    }
    for file in ["CONSOLE", "COM", "COM10", "nulls.txt", "LPTX", "COM1x"] {
        assert_eq!(made(file).as_deref(), Some(file));
    }
}

#[test]
fn r56_endings_of_our_own_are_not_to_be_had() {
    for ours in ["a.part", "a.thence", "a.PART", "b.iso.Thence", "a.thence.new"] {
        assert_eq!(made(ours), Some(format!("{ours}_")));
    }
    for other in ["a.partial", "part", "thence", "a.part1"] {
        assert_eq!(made(other).as_deref(), Some(other));
    }
}

#[test]
fn r56_a_long_name_is_cut_in_its_stem() {
    let long = format!("{}.tar.gz", "x".repeat(300));
    let name = made(&long).unwrap();
    assert_eq!(name.len(), 240);
    assert!(name.ends_with("x.tar.gz"));
}

#[test]
fn r56_a_cut_never_splits_a_character() {
    for pad in 0..4 {
        let name = made(&format!("{}{}.txt", "x".repeat(pad), "€".repeat(200))).unwrap();
        assert!((238..=240).contains(&name.len()) && name.ends_with("€.txt"));
    }
}

#[test]
fn r56_a_cut_does_not_uncover_an_ending_of_ours() {
    let name = made(&format!("{}.part{}", "x".repeat(235), "y".repeat(50))).unwrap();
    assert_eq!((name.len(), &name[233..]), (240, "x.part_"));
}

#[test]
fn r56_exactly_the_bound_is_kept() {
    let exact = format!("{}.iso", "x".repeat(236));
    assert_eq!(made(&exact), Some(exact));
}

#[test]
fn r69_a_huge_name_is_read_in_linear_time() {
    let semicolons = ";".repeat(1 << 20);
    assert_eq!(Name::from_disposition(semicolons.as_bytes()), None);
    let quoted = format!("attachment; filename*=UTF-8''{}", "%41/".repeat(1 << 18));
    assert_eq!(Name::from_disposition(quoted.as_bytes()), None);
    assert!(is_safe(&made(&".x".repeat(1 << 19)).unwrap()));
}

/// Pieces that a hostile server could put together.
const SHARDS: [&str; 24] = [
    "..",
    "/",
    "\\",
    ":",
    "\0",
    "\u{202e}",
    "\u{1b}",
    " ",
    ".",
    "-",
    "CON",
    "nul",
    ".part",
    ".thence",
    ".gz",
    ".tar",
    "€",
    "a",
    "~",
    "\"",
    ";",
    "%2f",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "\u{2028}",
];

#[test]
fn pth_01_whatever_is_sent_is_safe_and_stays_as_it_is_when_made_safe_again() {
    let mut chance = 1u64;
    let mut draw = |below: usize| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (chance >> 33) as usize % below
    };
    for _ in 0..100_000 {
        let text: String = (0..draw(16)).map(|_| SHARDS[draw(24)]).collect();
        if let Some(name) = made(&text) {
            assert!(is_safe(&name), "{text:?} became {name:?}");
            assert_eq!(made(&name).as_ref(), Some(&name), "{text:?}");
            assert!(numbered(&name).len() <= 240);
        }
    }
}

// ---- The user's choice, and what is made of a name ----

#[test]
fn a_chosen_name_is_taken_as_it_is() {
    for name in [".hidden", "-x", "a.part", "CON", "a b ", "ü:1", "..."] {
        assert_eq!(Name::chosen(name).unwrap().as_str(), name);
    }
}

#[test]
fn a_chosen_name_is_one_segment() {
    let refused = [
        ("", BadName::Empty),
        (".", BadName::Dots),
        ("..", BadName::Dots),
        ("a/b", BadName::Separator),
        ("/", BadName::Separator),
        ("a\0b", BadName::Nul),
    ];
    for (name, why) in refused {
        assert_eq!(Name::chosen(name), Err(why), "{name:?}");
    }
    assert!(Name::chosen(&"x".repeat(240)).is_ok());
    assert_eq!(Name::chosen(&"x".repeat(241)), Err(BadName::TooLong));
}

#[test]
fn part_and_journal_stand_beside_the_file() {
    let name = Name::chosen("a.iso").unwrap();
    assert_eq!((name.part(), name.journal()), ("a.iso.part".into(), "a.iso.thence".into()));
}

#[test]
fn pth_06_the_number_stands_before_the_extension() {
    assert_eq!(numbered("a.iso"), "a.1.iso");
    assert_eq!(numbered("a"), "a.1");
    assert_eq!(numbered(".bashrc"), ".bashrc.1");
    assert_eq!(numbered("a."), "a..1");
}

#[test]
fn pth_06_compound_extensions_stay_together() {
    for (name, other) in [
        ("a.tar.gz", "a.1.tar.gz"),
        ("dump.sql.zst", "dump.1.sql.zst"),
        ("a.TAR.XZ", "a.1.TAR.XZ"),
        ("a.gz", "a.1.gz"),
        (".tar.gz", ".tar.1.gz"),
    ] {
        assert_eq!(numbered(name), other);
    }
}

#[test]
fn pth_06_a_version_is_no_extension() {
    assert_eq!(numbered("linux-6.1"), "linux-6.1.1");
    assert_eq!(numbered("linux-6.1.gz"), "linux-6.1.1.gz");
    assert_eq!(numbered("a.7z"), "a.1.7z");
}

#[test]
fn pth_06_a_numbered_name_keeps_the_bound() {
    let name = Name::chosen(&format!("{}.tar.gz", "€".repeat(77))).unwrap();
    let other = name.numbered(u32::MAX);
    assert!((238..=240).contains(&other.as_str().len()) && other.as_str().ends_with("€.4294967295.tar.gz"));
}

#[test]
fn pth_06_an_extension_has_at_most_eleven_letters() {
    assert_eq!(numbered("a.abcdefghijk"), "a.1.abcdefghijk");
    assert_eq!(numbered("a.abcdefghijkl"), "a.abcdefghijkl.1");
}

#[test]
fn a_refused_name_says_why() {
    let why = |name: &str| Name::chosen(name).unwrap_err().to_string();
    assert_eq!(why(""), "the name is empty");
    assert_eq!(why(".."), "the name is a directory");
    assert_eq!(why("a/b"), "the name holds a path separator");
    assert_eq!(why("a\0b"), "the name holds a NUL");
    assert_eq!(why(&"a".repeat(241)), "the name is over 240 bytes");
}

#[test]
fn pth_02_an_empty_quoted_name_gives_way() {
    let value = b"attachment; filename=\"\"; filename*=UTF-8''b.iso";
    assert_eq!(choose_name(Some(value), "http://h/a.iso").as_str(), "b.iso");
    assert_eq!(choose_name(Some(b"attachment; filename=\"\""), "http://h/a.iso").as_str(), "a.iso");
}
