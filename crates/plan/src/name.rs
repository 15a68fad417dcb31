//! Names that cannot leave their directory (R56, R57, P5).

/// What to do when the final name is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exists {
    /// Take `NAME.1` (before the extension).
    #[default]
    Rename,
    /// Fail, and keep the part.
    Error,
    /// Leave the file alone and fetch nothing.
    Skip,
    /// Replace it, when the new one is whole.
    Overwrite,
}

/// One safe path segment: no separator, control, leading dot; at most 240 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// The segment.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Chooses a name from `Content-Disposition` of the final response and the URL asked for (R56).
pub fn choose_name(_disposition: Option<&[u8]>, _url: &str) -> Name {
    Name("index".into())
}

impl Name {
    pub fn chosen(s: &str) -> Result<Name, String> {
        Ok(Name(s.into()))
    }
}
