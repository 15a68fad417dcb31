//! Stores of browsers, made with their own schema by SQLite itself.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use aws_lc_rs::cipher::{AES_128, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use thence_origin::real::are_here;

use super::*;

/// Firefox's table, from its version 17 on; before version 12 it lacked the last columns.
const FIREFOX: &str = "CREATE TABLE moz_cookies (id INTEGER PRIMARY KEY, originAttributes TEXT NOT NULL DEFAULT '', \
    name TEXT, value TEXT, host TEXT, path TEXT, expiry INTEGER, lastAccessed INTEGER, creationTime INTEGER, \
    isSecure INTEGER, isHttpOnly INTEGER, inBrowserElement INTEGER DEFAULT 0, sameSite INTEGER DEFAULT 0, \
    schemeMap INTEGER DEFAULT 0, isPartitionedAttributeSet INTEGER DEFAULT 0, updateTime INTEGER, \
    CONSTRAINT moz_uniqueid UNIQUE (name, host, path, originAttributes));";

/// Chromium's tables, version 24.
const CHROMIUM: &str = "CREATE TABLE meta(key LONGVARCHAR NOT NULL UNIQUE PRIMARY KEY, value LONGVARCHAR);\
    INSERT INTO meta VALUES('mmap_status','-1'),('version','24'),('last_compatible_version','24');\
    CREATE TABLE cookies(creation_utc INTEGER NOT NULL, host_key TEXT NOT NULL, top_frame_site_key TEXT NOT NULL, \
    name TEXT NOT NULL, value TEXT NOT NULL, encrypted_value BLOB NOT NULL, path TEXT NOT NULL, \
    expires_utc INTEGER NOT NULL, is_secure INTEGER NOT NULL, is_httponly INTEGER NOT NULL, \
    last_access_utc INTEGER NOT NULL, has_expires INTEGER NOT NULL, is_persistent INTEGER NOT NULL, \
    priority INTEGER NOT NULL, samesite INTEGER NOT NULL, source_scheme INTEGER NOT NULL, \
    source_port INTEGER NOT NULL, last_update_utc INTEGER NOT NULL, source_type INTEGER NOT NULL, \
    has_cross_site_ancestor INTEGER NOT NULL);\
    CREATE UNIQUE INDEX cookies_unique_index ON cookies(host_key, top_frame_site_key, has_cross_site_ancestor, name, \
    path, source_scheme, source_port);";

/// A browser that runs: SQLite with a store open.
struct Browser {
    sqlite: Child,
    dir: TempDir,
}

impl Browser {
    /// With a store of these statements. `None` where SQLite is not there and need not be.
    fn with(statements: &str) -> Option<Browser> {
        if !are_here(&["sqlite3"]) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut sqlite = Command::new("sqlite3");
        sqlite.arg("-batch").arg(dir.path().join("store")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut browser = Browser { sqlite: sqlite.spawn().unwrap(), dir };
        browser.does(statements);
        Some(browser)
    }

    /// Carries out statements, and is still there.
    fn does(&mut self, statements: &str) {
        let stdin = self.sqlite.stdin.as_mut().unwrap();
        writeln!(stdin, "{statements}\n.shell echo done").unwrap();
        let stdout = self.sqlite.stdout.as_mut().unwrap();
        // What was said before stays in no buffer: nothing is read past the word that is waited for.
        let done = BufReader::with_capacity(1, stdout).lines().any(|line| line.unwrap() == "done");
        assert!(done, "SQLite ended: {statements}");
    }

    /// The store as it is read while the browser runs.
    fn load(&self) -> (CookieJar, Result<LoadedCookies, CookieFault>) {
        let jar = CookieJar::new();
        let loaded = jar.load(&self.dir.path().join("store"));
        (jar, loaded)
    }

    /// What a request gets.
    fn sends(&self, to: &str) -> String {
        let (jar, loaded) = self.load();
        loaded.unwrap();
        let field = jar.field(&Url::parse(to).unwrap());
        field.map(|field| field.to_str().unwrap().to_owned()).unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ended_already = self.sqlite.kill();
        let _reaped = self.sqlite.wait();
    }
}

fn firefox(row: &str) -> String {
    format!(
        "INSERT INTO moz_cookies (originAttributes, name, value, host, path, expiry, isSecure, isHttpOnly) VALUES ({row});"
    )
}

/// A row of Chromium's with so much of 1601.
fn chromium(host: &str, site: &str, name: &str, value: &str, hidden: &str, expires: u64) -> String {
    format!(
        "INSERT INTO cookies VALUES (1, '{host}', '{site}', '{name}', '{value}', x'{hidden}', '/', {expires}, 0, 1, 1, 1, 1, \
         1, 0, 1, 80, 1, 0, 0);"
    )
}

#[test]
fn a_firefox_that_runs_is_read_with_its_log_and_not_disturbed() {
    let rows = [
        firefox("'', 'all', 'one', '.example.com', '/', 4000000000000, 0, 1"),
        firefox("'', 'mine', 'two', 'www.example.com', '/a', 4000000000000, 1, 0"),
        firefox("'', 'over', 'no', 'www.example.com', '/', 1000, 0, 0"),
        firefox("'^userContextId=2', 'work', 'no', 'www.example.com', '/', 4000000000000, 0, 0"),
        firefox(
            "'^partitionKey=%28https%2Cexample.org%29', 'in', 'no', 'www.example.com', '/', 4000000000000, 0, 0",
        ),
    ];
    let set = format!(
        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA user_version=17; {FIREFOX} {}",
        rows.concat()
    );
    let Some(mut browser) = Browser::with(&set) else { return };
    assert!(browser.dir.path().join("store-wal").metadata().unwrap().len() > 0, "all of it is in the log");
    let (_, loaded) = browser.load();
    let loaded = loaded.unwrap();
    assert_eq!((loaded.kept, loaded.expired, loaded.apart, loaded.refused), (2, 1, 2, 0));
    assert_eq!(browser.sends("https://www.example.com/a"), "mine=two; all=one");
    assert_eq!(browser.sends("http://b.example.com/a"), "all=one");
    browser.does(
        "UPDATE moz_cookies SET value='three' WHERE name='all'; DELETE FROM moz_cookies WHERE name='mine';",
    );
    assert_eq!(browser.sends("https://www.example.com/a"), "all=three");
    browser.does("PRAGMA wal_checkpoint(TRUNCATE);");
    assert_eq!(browser.sends("https://www.example.com/a"), "all=three");
}

#[test]
fn an_older_firefox_counts_in_seconds_and_may_have_rows_without_later_columns() {
    let old = "CREATE TABLE moz_cookies (id INTEGER PRIMARY KEY, name TEXT, value TEXT, host TEXT, path TEXT, \
               expiry INTEGER, lastAccessed INTEGER, isSecure INTEGER, isHttpOnly INTEGER);\
               INSERT INTO moz_cookies VALUES (1, 'a', 'one', 'h.example', '/', 4000000000, 1, 0, 0);\
               ALTER TABLE moz_cookies ADD COLUMN originAttributes TEXT NOT NULL DEFAULT '';";
    let Some(browser) = Browser::with(&format!("PRAGMA user_version=7; {old}")) else { return };
    assert_eq!(browser.sends("http://h.example/"), "a=one");
}

#[test]
fn a_store_of_many_pages_is_read_whole() {
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000) \
                INSERT INTO moz_cookies (name, value, host, path, expiry, isSecure, isHttpOnly) \
                SELECT 'a', printf('%0*d', 1 + i % 4000, i), 'h'||i||'.example', '/', 4000000000, 0, 0 FROM n;";
    let Some(browser) = Browser::with(&format!("PRAGMA page_size=512; {FIREFOX} {many}")) else { return };
    let (jar, loaded) = browser.load();
    assert_eq!(loaded.unwrap().kept, 3_000);
    assert!(jar.sends("http://h1.example/") && jar.sends("http://h3000.example/"));
}

#[test]
fn chromiums_plain_values_are_read_and_those_of_a_keyring_counted() {
    let far = (4_000_000_000 + 11_644_473_600) * 1_000_000;
    let rows = [
        chromium(".example.com", "", "plain", "one", "", far),
        chromium("www.example.com", "", "session", "two", "", 0),
        chromium("www.example.com", "", "over", "no", "", 13_000_000_000_000_000),
        chromium("www.example.com", "", "hidden", "", "763131aabbccddeeff00112233445566", far),
        chromium("www.example.com", "https://example.org", "apart", "no", "", far),
    ];
    let Some(browser) = Browser::with(&format!("{CHROMIUM} {}", rows.concat())) else { return };
    let (_, loaded) = browser.load();
    let loaded = loaded.unwrap();
    assert_eq!((loaded.kept, loaded.expired, loaded.encrypted, loaded.apart), (2, 1, 1, 1));
    assert_eq!(browser.sends("http://www.example.com/"), "plain=one; session=two");
}

/// What a Chromium without a keyring makes of a value.
fn keyless(plain: &[u8]) -> String {
    // PBKDF2-HMAC-SHA1 of "peanuts" and "saltysalt", once.
    let key =
        [0xfd, 0x62, 0x1f, 0xe5, 0xa2, 0xb4, 0x02, 0x53, 0x9d, 0xfa, 0x14, 0x7c, 0xa9, 0x27, 0x27, 0x78];
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_128, &key).unwrap()).unwrap();
    let (mut bytes, context) = (plain.to_vec(), EncryptionContext::Iv128(FixedLength::from([b' '; 16])));
    key.less_safe_encrypt(&mut bytes, context).unwrap();
    b"v10".iter().chain(&bytes).map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_a_chromium_without_a_keyring_encrypts_is_read() {
    let host = ".example.com";
    let hashed = |of: &str, value: &str| keyless(&[&Sha256::digest(of)[..], value.as_bytes()].concat());
    let rows = [
        chromium(host, "", "good", "", &hashed(host, "one"), 0),
        chromium(host, "", "empty", "", &hashed(host, ""), 0),
        chromium(host, "", "moved", "", &hashed("other.example", "no"), 0),
        chromium(host, "", "short", "", &keyless(b"no"), 0),
    ];
    let Some(mut browser) = Browser::with(&format!("{CHROMIUM} {}", rows.concat())) else { return };
    let (_, loaded) = browser.load();
    assert_eq!(loaded.map(|loaded| (loaded.kept, loaded.encrypted)), Ok((2, 2)));
    assert_eq!(browser.sends("http://example.com/"), "good=one; empty=");
    // Before version 24 no hash stood before it.
    browser.does("UPDATE meta SET value='23' WHERE key='version'; DELETE FROM cookies WHERE name<>'short';");
    assert_eq!(browser.sends("http://example.com/"), "short=no");
}

#[test]
fn a_change_that_was_not_ended_is_not_read() {
    let set = format!("{FIREFOX} {}", firefox("'', 'a', 'one', 'h.example', '/', 4000000000, 0, 0"));
    let Some(mut browser) = Browser::with(&set) else { return };
    // Nothing of it stays in memory.
    browser.does(
        "PRAGMA cache_size=0; PRAGMA cache_spill=1; BEGIN IMMEDIATE; UPDATE moz_cookies SET value='two';",
    );
    let journal = browser.dir.path().join("store-journal");
    assert!(journal.metadata().unwrap().len() > 0, "it was begun");
    let (jar, loaded) = browser.load();
    assert!(matches!(loaded, Err(CookieFault::Unreadable(_))), "{loaded:?}");
    assert!(!jar.sends("http://h.example/"));
    browser.does("ROLLBACK;");
    assert_eq!(browser.sends("http://h.example/"), "a=one");
}

#[test]
fn other_databases_and_broken_ones_are_refused_in_words() {
    let Some(browser) = Browser::with("CREATE TABLE t(a); INSERT INTO t VALUES('SECRET');") else { return };
    let told = |loaded: Result<LoadedCookies, CookieFault>| match loaded {
        Err(CookieFault::Store(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(told(browser.load().1).contains("neither Firefox's table"));
    let Some(browser) = Browser::with("CREATE TABLE cookies(host_key, name);") else { return };
    assert!(told(browser.load().1).contains("has no column value"));
    let row = firefox("'', 'a', 'SECRET', 'h.example', '/', 4000000000, 0, 0");
    let Some(browser) = Browser::with(&format!("PRAGMA page_size=512; {FIREFOX} {row}")) else {
        return;
    };
    let whole = std::fs::read(browser.dir.path().join("store")).unwrap();
    // Every cut, and every byte of its pages turned over: an error or other cookies, and no panic.
    for len in 0..whole.len() {
        let read = CookieJar::new().read(&whole[..len]);
        assert!(read.is_err() || len < 16, "{len}");
    }
    for at in 16..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] = !bytes[at];
        if let Err(fault) = CookieJar::new().read(&bytes) {
            assert!(!fault.to_string().contains("SECRET"), "{at}: {fault}");
        }
    }
}
