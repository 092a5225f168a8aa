//! Issuers: one spelling for each, and no credentials in what is said about a text that is none.

use jeton_grants::metadata_urls;
use jeton_models::{Issuer, is_secure_or_loopback};
use jeton_storage::LoginKey;

use super::property::{in_proportion, is_fit_to_be_shown};

/// A secret that somebody put into a URL.
const SECRET: &str = "s3cr3tInUrl";

/// Checks one input: the text.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match in_proportion(text.as_bytes(), || text.parse::<Issuer>()) {
        Ok(issuer) => is_one_login(&issuer, &text),
        Err(error) => is_fit_to_be_shown(&error),
    }
    if text.contains(SECRET) {
        return;
    }
    // Credentials and queries are refused and not repeated, whatever stands around them.
    for with_secret in [
        format!("https://user:{SECRET}@{text}"),
        format!("https://{SECRET}@{text}"),
        format!("{text}?code={SECRET}"),
        format!("{text}#{SECRET}"),
    ] {
        let error = with_secret.parse::<Issuer>().expect_err("credentials, a query or a fragment");
        assert!(!format!("{error} {error:?}").contains(SECRET), "{error}");
    }
}

fn is_one_login(issuer: &Issuer, text: &str) {
    // RFC 9207 and RFC 8414 compare the spelling.
    assert_eq!(issuer.as_str(), text);
    assert!(is_secure_or_loopback(issuer.url()) && issuer.url().query().is_none());
    // The canonical spelling is an issuer and its own canonical spelling: a record that is kept under it is found again.
    let canonical: Issuer = issuer.canonical().parse().expect("the canonical spelling is an issuer");
    assert_eq!(canonical.canonical(), issuer.canonical());
    assert_eq!(canonical, *issuer);
    let (key, again) = (LoginKey::new(issuer, "c"), LoginKey::new(&canonical, "c"));
    assert_eq!((key.digest(), &key), (again.digest(), &again));

    for url in metadata_urls(issuer) {
        assert_eq!(url.origin(), issuer.url().origin(), "metadata of somebody else");
        assert!(url.path().contains("/.well-known/"), "{url}");
    }
}
