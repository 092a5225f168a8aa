//! A client that describes itself: its identifier is the URL of its own metadata (OAuth Client ID Metadata Document,
//! draft-ietf-oauth-client-id-metadata-document). No server needs to know it beforehand.

use serde_json::{Map, Value};
use url::Url;

use crate::json::Members;
use crate::text::printable;
use crate::{ClientMetadata, ClientMetadataError, is_secure_or_loopback};

/// Methods of client authentication that rest on a secret which both sides know: a document that everybody reads cannot hold one.
const WITH_SHARED_SECRET: [&str; 3] = ["client_secret_basic", "client_secret_post", "client_secret_jwt"];

/// Members of a shared secret, which have no place in a public document.
const SECRETS: [&str; 2] = ["client_secret", "client_secret_expires_at"];

/// The identifier of a client and the document that stands at it.
///
/// Host [`to_json`](Self::to_json) at the URL as `application/json`, without a redirect, and use the URL as the client
/// identifier at any server whose metadata says `client_id_metadata_document_supported`.
///
/// ```
/// use jeton_models::{ClientMetadata, ClientMetadataDocument};
///
/// let mut metadata = ClientMetadata::public(["http://127.0.0.1/callback"]);
/// metadata.client_name = Some("My App".into());
/// let document = ClientMetadataDocument::new("https://app.example/oauth/client.json", metadata)?;
/// assert!(document.to_json().contains(r#""client_id":"https://app.example/oauth/client.json""#));
///
/// // A server, or a test of what is really hosted there, reads it again.
/// let read = ClientMetadataDocument::parse(document.client_id(), document.to_json().as_bytes())?;
/// assert_eq!(read, document);
/// # Ok::<(), jeton_models::ClientMetadataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ClientMetadataDocument {
    client_id: String,
    metadata: ClientMetadata,
}

impl ClientMetadataDocument {
    /// The document of a client at that URL, whose keys, if it authenticates, stand in `jwks` or at `jwks_uri`.
    ///
    /// # Errors
    /// [`ClientMetadataError`] if the URL cannot be a client identifier, see [`client_id_url`], or if the metadata has a
    /// secret in it, rests on one, or names no redirect URI.
    pub fn new(client_id: impl Into<String>, metadata: ClientMetadata) -> Result<Self, ClientMetadataError> {
        let client_id = client_id.into();
        client_id_url(&client_id)?;
        metadata.check()?;
        // What is not said means `client_secret_basic` in a registration, and nothing here.
        let method = metadata.token_endpoint_auth_method.as_deref();
        if method.is_some_and(|method| WITH_SHARED_SECRET.contains(&method)) {
            return Err(ClientMetadataError::Document {
                what: "rests on a client secret, which nobody can keep in public; use `none` or `private_key_jwt`",
            });
        }
        let needs_redirect = metadata
            .grant_types
            .as_ref()
            .is_none_or(|types| types.iter().any(|grant_type| grant_type == "authorization_code"));
        if needs_redirect && metadata.redirect_uris.is_empty() {
            return Err(ClientMetadataError::Document {
                what: "names no `redirect_uris`; a server sends people nowhere else",
            });
        }
        Ok(Self { client_id, metadata })
    }

    /// Reads the document that stands at a client identifier.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if it is not a JSON object or if its `client_id` is not the URL, character by character.
    pub fn parse(client_id: &str, body: &[u8]) -> Result<Self, ClientMetadataError> {
        client_id_url(client_id)?;
        let document = |what| ClientMetadataError::Document { what };
        let mut members: Map<String, Value> =
            Members::from_json(body).map_err(|_| document("is not a JSON object"))?.into_map();
        if SECRETS.iter().any(|name| members.contains_key(*name)) {
            return Err(document("has a client secret in it, for everybody to read; take it out"));
        }
        if members.remove("client_id").as_ref().and_then(Value::as_str) != Some(client_id) {
            return Err(document(
                "has another `client_id` than the URL that it stands at; they must be identical",
            ));
        }
        let metadata =
            serde_json::from_value(Value::Object(members)).map_err(|_| document("is not a JSON object"))?;
        Self::new(client_id, metadata)
    }

    /// The URL, which is the client identifier.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// What the client says of itself.
    pub fn metadata(&self) -> &ClientMetadata {
        &self.metadata
    }

    /// What to host at the URL.
    pub fn to_json(&self) -> String {
        let mut members = match serde_json::to_value(&self.metadata) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        };
        members.insert("client_id".to_owned(), self.client_id.as_str().into());
        Value::Object(members).to_string()
    }
}

/// Checks that a text can be the identifier of a client that describes itself, and gives it as a URL: HTTPS, with a path, without
/// dot segments, fragment, user name and password, in the one spelling that it is compared in. HTTP is taken on loopback, where
/// tests are; no server elsewhere will fetch that.
///
/// # Errors
/// [`ClientMetadataError::Url`], which says what is wrong.
pub fn client_id_url(client_id: &str) -> Result<Url, ClientMetadataError> {
    let wrong = |what| {
        let shown = client_id.split(['?', '#']).next().unwrap_or_default();
        let shown = shown.rsplit_once('@').map_or(shown, |(_, host)| host);
        ClientMetadataError::Url { url: printable(shown, 200), what }
    };
    let url = Url::parse(client_id).map_err(|_| wrong("it is no absolute URL; write https://host/path"))?;
    if !is_secure_or_loopback(&url) {
        return Err(wrong("it is not HTTPS; host the document where https:// leads"));
    }
    if url.fragment().is_some() {
        return Err(wrong("it has a fragment; leave out the `#` and what follows"));
    }
    if !url.username().is_empty() || url.password().is_some() || has_userinfo(client_id) {
        return Err(wrong("it has a user name or a password in it; everybody gets to see it"));
    }
    if url.path() == "/" {
        return Err(wrong("it has no path; a host alone is not a document"));
    }
    if has_dot_segments(client_id) {
        return Err(wrong("its path has `.` or `..` in it; write the path that they lead to"));
    }
    if url.as_str() != client_id {
        return Err(wrong(
            "it is not spelt as it is compared; write scheme and host in lower case, no default port, and no characters \
             that have to be encoded",
        ));
    }
    Ok(url)
}

/// The URL parser forgets an empty user name.
fn has_userinfo(text: &str) -> bool {
    let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
    authority.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// The URL parser resolves dot segments, also those in percent-encoding; a server that compares texts does not.
fn has_dot_segments(text: &str) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\']).any(|segment| {
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        plain == "." || plain == ".."
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://app.example/client.json";

    fn metadata() -> ClientMetadata {
        ClientMetadata::public(["http://127.0.0.1/callback"])
    }

    #[test]
    fn a32_https_with_a_path_and_nothing_that_could_be_read_in_two_ways() {
        for good in [
            URL,
            "https://app.example:8443/c",
            "https://app.example/c?v=1",
            "https://app.example/.well-known/c",
            "https://app.example/a/",
            "http://127.0.0.1:5/client.json",
        ] {
            assert!(client_id_url(good).is_ok(), "{good}");
        }
        for wrong in [
            "http://app.example/client.json",
            "https://app.example",
            "https://app.example/",
            "https://app.example/?client=1",
            "https://app.example/a/./c",
            "https://app.example/a/../c",
            "https://app.example/a/..",
            "https://app.example/a/%2e%2E/c",
            "https://app.example/a\\..\\c",
            "https://app.example/c#f",
            "https://app.example/c#",
            "https://u@app.example/c",
            "https://u:p@app.example/c",
            "https://@app.example/c",
            "https://:@app.example/c",
            "https://APP.example/c",
            "https://app.example:443/c",
            "https://app.example/a b",
            " https://app.example/c",
            "https://app.example/c\n",
            "ftp://app.example/c",
            "urn:example:client",
            "my-client",
            "",
        ] {
            let error = client_id_url(wrong).unwrap_err();
            assert!(matches!(error, ClientMetadataError::Url { .. }), "{wrong}: {error}");
            assert!(!error.to_string().contains(":p@"), "{error}");
        }
    }

    #[test]
    fn a32_the_documents_client_id_is_its_url() {
        let of = |body: &str| ClientMetadataDocument::parse(URL, body.as_bytes());
        let redirects = r#""redirect_uris":["http://127.0.0.1/callback"]"#;
        assert!(of(&format!(r#"{{"client_id":"{URL}",{redirects}}}"#)).is_ok());
        for body in [
            format!(r#"{{"client_id":"https://app.example/client.JSON",{redirects}}}"#),
            format!(r#"{{"client_id":"https://app.example/client.json/",{redirects}}}"#),
            format!(r#"{{"client_id":["{URL}"],{redirects}}}"#),
            format!(r#"{{"client_id":"evil","x":"{URL}",{redirects}}}"#),
            format!("{{{redirects}}}"),
            format!(r#"[{{"client_id":"{URL}"}}]"#),
            String::new(),
        ] {
            assert!(matches!(of(&body), Err(ClientMetadataError::Document { .. })), "{body}");
        }
    }

    #[test]
    fn a32_no_secret_stands_in_public() {
        for member in [
            r#""client_secret":"s""#,
            r#""client_secret_expires_at":0"#,
            r#""token_endpoint_auth_method":"client_secret_basic""#,
            r#""token_endpoint_auth_method":"client_secret_jwt""#,
        ] {
            let body =
                format!(r#"{{"client_id":"{URL}","redirect_uris":["https://app.example/cb"],{member}}}"#);
            assert!(ClientMetadataDocument::parse(URL, body.as_bytes()).is_err(), "{member}");
        }
        let mut secret = metadata();
        secret.token_endpoint_auth_method = Some("client_secret_post".to_owned());
        assert!(ClientMetadataDocument::new(URL, secret).is_err());
        let mut secret = metadata();
        secret.extra.insert("client_secret", "s");
        assert!(ClientMetadataDocument::new(URL, secret).is_err());
        assert!(ClientMetadataDocument::new(URL, ClientMetadata::public::<String>([])).is_err());
        assert!(ClientMetadataDocument::new(URL, metadata()).is_ok());
    }
}
