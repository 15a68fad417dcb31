//! The stores of Firefox and Chromium: SQLite's databases, read as the bytes that they are, and with them the log of what is
//! not in them yet. Nothing is locked, changed or copied, so that a browser that runs is not disturbed. Pure.

mod keyless;

use std::borrow::Cow;
use std::cell::Cell;

use quantydb_sqlite::{
    MappedCell, Reader, Result as Outcome, Row, RowLayout, Schema, SliceSource, Source, SqliteError,
    SqliteValue, TableDef, WalSource,
};

use self::keyless::Keyless;
use super::jar::{Cookie, host};
use crate::secret::{Secret, Zeroizing};

/// How a database begins.
pub(super) const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Longest statement that describes a table; browsers' have less than 1 KiB.
const STATEMENT: usize = 16 << 10;

/// A database is read no more than so many times over. A good one is, twice; one whose rows share their pages has no end.
const TIMES: u64 = 8;

/// Version of Firefox's table from which on its times are in milliseconds.
const MILLISECONDS: i32 = 16;

/// Seconds from the beginning of Chromium's time, 1601, to 1970.
const FROM_1601: i64 = 11_644_473_600;

/// What a store has.
#[derive(Default)]
pub(super) struct Store {
    pub(super) cookies: Vec<Cookie>,
    /// Encrypted with a key that the system's keyring has.
    pub(super) encrypted: usize,
    /// Of a container, or of a site within another one: they are for none of our requests.
    pub(super) apart: usize,
}

/// Reads a database and its log. An error says what is wrong with them, and nothing of what they hold.
pub(super) fn read(main: &[u8], log: Option<&[u8]>) -> Result<Store, String> {
    cookies_of(main, log).map_err(|error| error.to_string())
}

fn cookies_of(main: &[u8], log: Option<&[u8]>) -> Outcome<Store> {
    let most = (main.len() + log.map_or(0, <[u8]>::len)) as u64;
    let main = begun(main, log.is_some());
    let source = WalSource::new(SliceSource::new(&main), log.map(SliceSource::new))?;
    let reader = Reader::open(Bounded { source, most, left: Cell::new(most.saturating_mul(TIMES)) })?;
    let schema = reader.schema()?;
    if let Some(table) = Table::find(&reader, &schema, "moz_cookies")? {
        return firefox(&table);
    }
    if let Some(table) = Table::find(&reader, &schema, "cookies")? {
        return chromium(&table, version(&reader, &schema)?);
    }
    Err(wrong("it has neither Firefox's table of cookies nor Chromium's"))
}

/// A new database is all in its log, and its own header is not filled in yet. The library asks for a whole one, before the
/// log's takes its place: format 4, UTF-8.
fn begun(main: &[u8], has_log: bool) -> Cow<'_, [u8]> {
    if !has_log || main.len() < 100 || main[44..48] != [0; 4] {
        return Cow::Borrowed(main);
    }
    let mut main = main.to_vec();
    (main[47], main[59]) = (4, 1);
    Cow::Owned(main)
}

fn firefox(table: &Table<'_>) -> Outcome<Store> {
    let [name, value, host, path, expiry, secure, http_only] =
        table.columns(["name", "value", "host", "path", "expiry", "isSecure", "isHttpOnly"])?;
    let attributes = table.def.column_index("originAttributes");
    let unit = if table.reader.header().user_version >= MILLISECONDS { 1_000 } else { 1 };
    let mut store = Store::default();
    table.each(|row| {
        if attributes.is_some_and(|column| !row.text(column).is_empty()) {
            store.apart += 1;
            return;
        }
        store.cookies.extend(cookie(Given {
            name: row.text(name),
            value: row.text(value),
            host: row.text(host),
            path: row.text(path),
            secure: row.number(secure) != 0,
            http_only: row.number(http_only) != 0,
            expires: Some(row.number(expiry) / unit),
        }));
    })?;
    Ok(store)
}

fn chromium(table: &Table<'_>, version: i64) -> Outcome<Store> {
    let [name, value, hidden, host, path, expires] =
        table.columns(["name", "value", "encrypted_value", "host_key", "path", "expires_utc"])?;
    let either = |now: &str, before: &str| table.def.column_index(now).or(table.def.column_index(before));
    let (secure, http_only) = (either("is_secure", "secure"), either("is_httponly", "httponly"));
    let site = table.def.column_index("top_frame_site_key");
    let (keyless, mut store) = (Keyless::new(version), Store::default());
    table.each(|row| {
        if site.is_some_and(|column| !row.text(column).is_empty()) {
            store.apart += 1;
            return;
        }
        let (host, mut plain) = (row.text(host), Zeroizing::new(row.text(value).to_owned()));
        let hidden = row.bytes(hidden);
        if plain.is_empty() && !hidden.is_empty() {
            match keyless.as_ref().and_then(|keyless| keyless.decrypted(hidden, host)) {
                Some(value) => plain = value,
                None => {
                    store.encrypted += 1;
                    return;
                }
            }
        }
        let end = row.number(expires);
        store.cookies.extend(cookie(Given {
            name: row.text(name),
            value: &plain,
            host,
            path: row.text(path),
            secure: secure.is_none_or(|column| row.number(column) != 0),
            http_only: http_only.is_some_and(|column| row.number(column) != 0),
            expires: (end != 0).then_some(end / 1_000_000 - FROM_1601),
        }));
    })?;
    Ok(store)
}

/// The version of its tables that Chromium notes in one of them; 0 where there is none.
fn version(reader: &Reader<Bounded<'_>>, schema: &Schema) -> Outcome<i64> {
    let Some(meta) = Table::find(reader, schema, "meta")? else { return Ok(0) };
    let [key, value] = meta.columns(["key", "value"])?;
    let mut version = 0;
    meta.each(|row| {
        if row.text(key) == "version" {
            version = row.text(value).parse().unwrap_or(row.number(value));
        }
    })?;
    Ok(version)
}

/// The values of a row.
struct Given<'a> {
    name: &'a str,
    value: &'a str,
    host: &'a str,
    path: &'a str,
    secure: bool,
    http_only: bool,
    expires: Option<i64>,
}

/// A row without a host is nobody's.
fn cookie(given: Given<'_>) -> Option<Cookie> {
    let path = if given.path.starts_with('/') { given.path } else { "/" };
    Some(Cookie {
        name: given.name.to_owned(),
        value: Secret::from(given.value),
        host: host(given.host)?.name,
        below: given.host.starts_with('.'),
        path: path.to_owned(),
        secure: given.secure,
        http_only: given.http_only,
        expires: given.expires.map(|end| u64::try_from(end).unwrap_or(0)),
    })
}

/// A table, and where in its rows which column is.
struct Table<'a> {
    reader: &'a Reader<Bounded<'a>>,
    root: u32,
    def: TableDef,
    layout: RowLayout,
}

impl<'a> Table<'a> {
    fn find(reader: &'a Reader<Bounded<'a>>, schema: &Schema, name: &str) -> Outcome<Option<Table<'a>>> {
        let Some(object) = schema.tables().find(|table| table.name == name) else { return Ok(None) };
        if object.sql.as_ref().is_some_and(|sql| sql.len() > STATEMENT) {
            return Err(wrong("the statement that made a table is too long"));
        }
        let def = object.table_def()?;
        let layout = RowLayout::new(&def);
        let root = object.root_page.ok_or_else(|| wrong("a table has no page"))?;
        Ok(Some(Table { reader, root, def, layout }))
    }

    fn columns<const N: usize>(&self, names: [&str; N]) -> Outcome<[usize; N]> {
        let mut columns = [0; N];
        for (column, name) in columns.iter_mut().zip(names) {
            let found = self.def.column_index(name);
            *column = found.ok_or_else(|| wrong(&format!("its table of cookies has no column {name}")))?;
        }
        Ok(columns)
    }

    fn each(&self, mut take: impl FnMut(Values<'_>)) -> Outcome<()> {
        for row in self.reader.rows(self.root)? {
            take(Values { layout: &self.layout, row: &row? });
        }
        Ok(())
    }
}

/// A row by columns. What is missing, or of another kind, is empty or 0.
struct Values<'a> {
    layout: &'a RowLayout,
    row: &'a Row,
}

impl<'a> Values<'a> {
    fn text(&self, column: usize) -> &'a str {
        match self.layout.cell(self.row, column) {
            MappedCell::Value(SqliteValue::Text(text)) => text,
            _ => "",
        }
    }

    fn bytes(&self, column: usize) -> &'a [u8] {
        match self.layout.cell(self.row, column) {
            MappedCell::Value(SqliteValue::Blob(bytes)) => bytes,
            _ => self.text(column).as_bytes(),
        }
    }

    fn number(&self, column: usize) -> i64 {
        match self.layout.cell(self.row, column) {
            MappedCell::Value(SqliteValue::Integer(number)) => *number,
            MappedCell::Rowid(number) => number,
            _ => 0,
        }
    }
}

/// A database that claims to be no larger than its bytes are, and is not read for ever.
struct Bounded<'a> {
    source: WalSource<SliceSource<'a>, SliceSource<'a>>,
    most: u64,
    left: Cell<u64>,
}

impl Source for Bounded<'_> {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Outcome<()> {
        let left = self.left.get().checked_sub(into.len() as u64);
        self.left.set(left.ok_or_else(|| wrong("its pages lead to each other again and again"))?);
        self.source.read_at(offset, into)
    }

    fn len(&self) -> Outcome<u64> {
        let len = self.source.len()?;
        if len > self.most { Err(wrong("its log claims more pages than there are")) } else { Ok(len) }
    }

    fn accounts_for_wal(&self) -> bool {
        true
    }
}

fn wrong(what: &str) -> SqliteError {
    SqliteError::Malformed { page: None, reason: what.to_owned() }
}
