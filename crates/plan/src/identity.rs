//! Identity: the length and validator that make two responses the same bytes (R6-R9a, R19-R21).

/// An entity tag, byte for byte as received (RFC 9110 s8.8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    /// Sent with `W/`.
    pub weak: bool,
    /// The opaque tag with its quotes, at most 1 KiB: longer ones are no validator.
    pub tag: String,
}

/// What a response said of its representation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Complete length in bytes.
    pub total: Option<u64>,
    /// ETag.
    pub etag: Option<EntityTag>,
    /// `Last-Modified` exactly as received (it goes back in `If-Range` as it came: RNG-08).
    pub modified: Option<String>,
    /// `Date` less `Last-Modified`, in seconds, when both were sent (R9, R9a).
    pub age: Option<i64>,
}

/// How two identities compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Same {
    /// Equal strong validators: one version, by the server's own word.
    Proven,
    /// Nothing speaks against it and nothing proves it.
    Unproven,
    /// Same length as far as told, but a different strong ETag: a change, or a cluster's other node.
    OtherTag,
    /// Another length, or another validator: a change.
    Different,
}

impl Identity {
    pub fn is_strong(&self) -> bool {
        self.etag.as_ref().is_some_and(|e| !e.weak)
    }
    pub fn is_young(&self) -> bool {
        self.age.is_some_and(|a| a < 2)
    }
    pub fn condition(&self) -> crate::machine::Condition {
        match &self.etag {
            Some(e) if !e.weak => crate::machine::Condition::IfRange(e.tag.clone()),
            _ => crate::machine::Condition::None,
        }
    }
}
