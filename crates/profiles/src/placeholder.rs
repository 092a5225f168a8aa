//! Placeholders such as `{shop}` in a profile's URLs and values, and what may be put in their place: nothing that makes
//! another URL of it.

use crate::ProfileError;

/// What a placeholder may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlaceholderKind {
    /// One label of a host name, such as `my-shop` before `.myshopify.com`: letters, digits and hyphens.
    Label,
    /// A whole host name, such as `login.example.com`, with a port if need be.
    Host,
    /// One segment of a path: letters, digits, `-`, `.`, `_` and `~`.
    Segment,
    /// Printable ASCII, for parameters and headers only.
    Text,
}

impl PlaceholderKind {
    pub(crate) const ALL: [(&'static str, Self); 4] =
        [("label", Self::Label), ("host", Self::Host), ("segment", Self::Segment), ("text", Self::Text)];

    /// What is wrong with a value of this kind.
    pub(crate) fn check(self, value: &str) -> Result<(), &'static str> {
        let is_label = |label: &str| {
            let inside = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            (1..=63).contains(&label.len()) && inside && !label.starts_with('-') && !label.ends_with('-')
        };
        match self {
            Self::Label if !is_label(value) => {
                Err("is not one label of a host name: letters, digits and hyphens, at most 63")
            }
            Self::Host => {
                let (host, port) =
                    value.split_once(':').map_or((value, None), |(host, port)| (host, Some(port)));
                let is_port =
                    |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
                if host.len() > 253 || !host.split('.').all(is_label) || !port.is_none_or(is_port) {
                    return Err("is not a host name");
                }
                Ok(())
            }
            Self::Segment => {
                let is_unreserved =
                    |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
                if !(1..=128).contains(&value.len())
                    || !value.bytes().all(is_unreserved)
                    || matches!(value, "." | "..")
                {
                    return Err("is not one segment of a path: letters, digits and `-._~`, at most 128");
                }
                Ok(())
            }
            Self::Text
                if !(1..=1024).contains(&value.len())
                    || !value.bytes().all(|b| (0x20..0x7f).contains(&b)) =>
            {
                Err("is not printable ASCII of 1 to 1024 characters")
            }
            _ => Ok(()),
        }
    }
}

/// Something that a profile leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placeholder {
    /// Its name, which stands in braces where the value goes.
    pub name: String,
    /// What it may stand for.
    pub kind: PlaceholderKind,
    /// What it is, in a few words.
    pub about: String,
    /// A value that fits.
    pub example: String,
    /// The value unless another one is set.
    pub default: Option<String>,
    /// Whether it may stay without a value: parameters that need it are then left out.
    pub optional: bool,
}

impl Placeholder {
    /// A placeholder that has to be set.
    pub fn new(name: impl Into<String>, kind: PlaceholderKind, example: impl Into<String>) -> Self {
        let (name, example) = (name.into(), example.into());
        Self { about: name.clone(), name, kind, example, default: None, optional: false }
    }
}

/// A text cut at its placeholders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Placeholder(&'a str),
}

/// Cuts a template at its placeholders. `None` if a brace has no partner.
pub(crate) fn pieces(template: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find(['{', '}']) {
        let (text, from) = rest.split_at(start);
        let (name, after) = from.strip_prefix('{')?.split_once('}')?;
        if name.is_empty() || name.contains('{') {
            return None;
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        pieces.push(Piece::Placeholder(name));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Some(pieces)
}

/// The template with values in the place of its placeholders; `None` if an optional one has no value.
pub(crate) fn fill(
    template: &str,
    value: &dyn Fn(&str) -> Result<Option<String>, ProfileError>,
) -> Result<Option<String>, ProfileError> {
    let mut filled = String::with_capacity(template.len());
    // What is no template was refused when the profile was made.
    for piece in pieces(template).unwrap_or_default() {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Placeholder(name) => match value(name)? {
                Some(value) => filled.push_str(&value),
                None => return Ok(None),
            },
        }
    }
    Ok(Some(filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_makes_another_url_of_it() {
        use PlaceholderKind::{Host, Label, Segment, Text};
        let evil =
            ["", "a/b", "a?b", "a#b", "a@b", "a\\b", "a b", "a\nb", "a\u{301}", "%2e", "a:b@c", "evil.com/"];
        for value in evil {
            for kind in [Label, Host, Segment] {
                assert!(kind.check(value).is_err(), "{kind:?} {value:?}");
            }
        }
        for value in [".", "..", "a.b", "-a", "a-", &"a".repeat(64)] {
            assert!(Label.check(value).is_err(), "{value}");
        }
        for value in ["a..b", ".a", "a.", "a:", "a:x", "a:99999", "a:1:2", &"a.".repeat(200)] {
            assert!(Host.check(value).is_err(), "{value}");
        }
        assert!(Segment.check("..").is_err() && Segment.check(".").is_err());
        assert!(Text.check("a\r\nb").is_err() && Text.check("é").is_err());
        for (kind, value) in [
            (Label, "my-shop-1"),
            (Host, "login.example.com"),
            (Host, "127.0.0.1:8080"),
            (Segment, "contoso.onmicrosoft.com"),
            (Text, "linux:com.example:v1 (by /u/me)"),
        ] {
            assert_eq!(kind.check(value), Ok(()), "{value}");
        }
    }

    #[test]
    fn templates_are_cut_at_their_placeholders() {
        let of = |text| pieces(text);
        assert_eq!(of(""), Some(vec![]));
        assert_eq!(
            of("a{b}{c}d").unwrap(),
            [Piece::Text("a"), Piece::Placeholder("b"), Piece::Placeholder("c"), Piece::Text("d")]
        );
        for wrong in ["{", "}", "{}", "a}b{c}", "{a{b}}", "{a"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
