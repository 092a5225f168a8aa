//! Issuers and the security of URLs: one spelling for each issuer, HTTPS but for loopback (RFC 8414 §2, RFC 8252 §8.3).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::{Host, Url};

use crate::text::printable;

/// The identifier of an authorization server: an HTTPS URL without query and fragment (RFC 8414 §2).
///
/// Keeps the spelling that the server uses, which RFC 9207 and RFC 8414 compare as a plain string, and has one
/// canonical spelling beside it, so that two spellings never make two logins.
///
/// ```
/// use jeton_models::Issuer;
///
/// let issuer: Issuer = "https://AS.example:443/".parse()?;
/// assert_eq!(issuer.as_str(), "https://AS.example:443/");
/// assert_eq!(issuer.canonical(), "https://as.example");
/// assert!("http://as.example".parse::<Issuer>().is_err());
/// # Ok::<(), jeton_models::IssuerError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Issuer {
    spelling: String,
    url: Url,
    canonical: String,
}

impl Issuer {
    /// The identifier as it was given: what `iss` and a metadata document's `issuer` are compared with (RFC 9207 §2.4).
    pub fn as_str(&self) -> &str {
        &self.spelling
    }

    /// The identifier as a URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// One spelling for each issuer: scheme and host in lower case, no default port, no trailing slash.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }
}

impl std::str::FromStr for Issuer {
    type Err = IssuerError;

    /// Reads an issuer and keeps its spelling.
    ///
    /// # Errors
    /// [`IssuerError`] unless it is an absolute HTTPS URL (HTTP on loopback) without query, fragment, credentials and
    /// white space (RFC 8414 §2), and the issuer itself, not the URL of its metadata.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |what| IssuerError { issuer: without_secrets(text), what };
        // A URL parser forgives spaces and missing slashes; the comparison of issuers as plain strings would not.
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(error("it has white space in it"));
        }
        let url =
            Url::parse(text).map_err(|_| error("it is not an absolute URL such as https://as.example"))?;
        if url.host().is_none() || !text.contains("://") {
            return Err(error("it has no host, or no // before it"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(error("it has a query or a fragment (RFC 8414 §2)"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(error("it has a user name or a password in it"));
        }
        if !is_secure_or_loopback(&url) {
            return Err(error("it is neither HTTPS nor on loopback; use https:// (RFC 8414 §2)"));
        }
        if url.path().contains("/.well-known/") {
            let what = "it is the URL of a metadata document; the issuer is that URL without its /.well-known/ part, \
                        and stands in the document as `issuer` (RFC 8414 §3)";
            return Err(error(what));
        }
        let canonical = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { spelling: text.to_owned(), url, canonical })
    }
}

/// A text for an error message, without what may be secret in a URL: everything up to the last `@` may be a password, and
/// a query may hold anything.
fn without_secrets(text: &str) -> String {
    let scheme = text.find("://").map_or("", |end| &text[..end + 3]);
    let is_name = scheme.trim_end_matches("://").bytes().all(|b| b.is_ascii_alphanumeric());
    let scheme = if is_name { scheme } else { "" };
    let rest = text.strip_prefix(scheme).unwrap_or(text);
    let (hidden, rest) = match rest.rfind('@') {
        Some(at) => ("…", &rest[at..]),
        None => ("", rest),
    };
    let shown = rest.split(['?', '#']).next().unwrap_or_default();
    printable(&format!("{scheme}{hidden}{shown}"), 200)
}

impl PartialEq for Issuer {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for Issuer {}

impl std::hash::Hash for Issuer {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.canonical.hash(state);
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelling)
    }
}

impl Serialize for Issuer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.spelling)
    }
}

impl<'de> Deserialize<'de> for Issuer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that cannot be an issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{issuer}` cannot be an issuer: {what}")]
pub struct IssuerError {
    /// The text, without query, fragment and credentials.
    pub issuer: String,
    what: &'static str,
}

/// Whether the URL is HTTPS, or HTTP to this very machine (RFC 6749 §3.1.2.1, RFC 8252 §7.3).
pub fn is_secure_or_loopback(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => is_loopback_host(url),
        _ => false,
    }
}

/// Whether the host of the URL is `localhost` (or below it, RFC 6761 §6.3), `127.0.0.0/8` or `[::1]`.
pub fn is_loopback_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_issuer_are_equal() {
        let of = |text: &str| text.parse::<Issuer>().unwrap();
        assert_eq!(of("https://as.example"), of("HTTPS://AS.Example:443/"));
        assert_eq!(of("https://as.example/tenant/"), of("https://as.example/tenant"));
        assert_ne!(of("https://as.example/Tenant"), of("https://as.example/tenant"));
    }

    #[test]
    fn the_url_of_a_metadata_document_is_no_issuer() {
        for metadata in [
            "https://as.example/.well-known/openid-configuration",
            "https://as.example/.well-known/oauth-authorization-server/tenant",
            "https://as.example/tenant/.well-known/openid-configuration",
        ] {
            let error = metadata.parse::<Issuer>().unwrap_err().to_string();
            assert!(error.contains("without its /.well-known/ part"), "{error}");
        }
    }

    #[test]
    fn https_but_for_loopback() {
        for good in ["http://127.0.0.1:8080", "http://[::1]:1", "http://localhost", "https://as.example"] {
            assert!(good.parse::<Issuer>().is_ok(), "{good}");
        }
        for bad in [
            "as.example",
            "http://as.example",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "ftp://localhost",
            "https://as.example?x",
            "https://as.example#x",
            "https://u:p4ss@as.example",
            "https://u:p@p4ss@as.example",
            "https:u:p4ss@as.example",
            "u:p4ss@as.example",
            "u:p4ss://@as.example",
            "https://u:p4ss?x@as.example",
            "https://as.example?code=p4ss",
            " https://as.example",
            "https://as.example\n",
            "https:as.example",
            "mailto:a@b",
            "",
        ] {
            let error = bad.parse::<Issuer>().unwrap_err();
            assert!(!error.to_string().contains("p4ss"), "{error}");
        }
    }
}
