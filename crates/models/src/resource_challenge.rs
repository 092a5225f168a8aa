//! What a resource server's challenge says about what it wants: where its metadata is (RFC 9728 §5.1), more scope (RFC 6750
//! §3.1), another authentication of the person (RFC 9470 §3).

use url::Url;

use crate::{Challenge, Scope};

/// The longest scope or list of `acr_values` that is taken from a challenge, in bytes. It goes into a URL for a browser.
const LONGEST_LIST: usize = 4096;

/// The longest URL that is taken from a challenge, in bytes.
const LONGEST_URL: usize = 2048;

/// What the challenges of one answer ask for, taken together.
///
/// Where several challenges are there (Bearer and DPoP), the first that says something about a matter is believed. What is
/// malformed or absurdly long is left out as if it were not there.
///
/// ```
/// use jeton_models::{ResourceChallenge, parse_www_authenticate};
///
/// let challenges = parse_www_authenticate(
///     r#"Bearer error="insufficient_user_authentication", acr_values="gold silver", max_age="300""#,
/// );
/// let asked = ResourceChallenge::of(&challenges);
/// assert!(asked.is_insufficient_user_authentication());
/// assert_eq!(asked.acr_values, ["gold", "silver"]);
/// assert_eq!(asked.max_age, Some(300));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceChallenge {
    /// The error codes of the challenges, in their order (RFC 6750 §3.1).
    pub errors: Vec<String>,
    /// Where the resource's metadata is (RFC 9728 §5.1): an absolute URL without fragment and credentials.
    pub resource_metadata: Option<Url>,
    /// The scope that is needed (RFC 6750 §3).
    pub scope: Option<Scope>,
    /// Which authentication context classes would do, the best first (RFC 9470 §3).
    pub acr_values: Vec<String>,
    /// How long ago the person may have authenticated, in seconds (RFC 9470 §3).
    pub max_age: Option<u64>,
}

impl ResourceChallenge {
    /// Reads challenges of the schemes `Bearer` and `DPoP`. Others say nothing that is meant for an OAuth client, but for
    /// `resource_metadata`, which may stand with any scheme (RFC 9728 §5.1).
    pub fn of(challenges: &[Challenge]) -> Self {
        let mut asked = Self::default();
        let ours = |challenge: &&Challenge| challenge.is("Bearer") || challenge.is("DPoP");
        for challenge in challenges.iter().filter(ours) {
            asked.errors.extend(challenge.get("error").map(str::to_owned));
            asked.scope = asked.scope.or_else(|| scope_of(challenge));
            asked.max_age = asked.max_age.or_else(|| challenge.get("max_age")?.parse().ok());
            if asked.acr_values.is_empty() {
                asked.acr_values = names_of(challenge, "acr_values");
            }
        }
        let others = challenges.iter().filter(|challenge| !ours(challenge));
        asked.resource_metadata = challenges.iter().filter(ours).chain(others).find_map(resource_metadata_of);
        asked
    }

    /// Whether more scope is needed (RFC 6750 §3.1).
    pub fn is_insufficient_scope(&self) -> bool {
        self.has_error("insufficient_scope")
    }

    /// Whether the person has to authenticate in another way, or anew (RFC 9470 §3).
    pub fn is_insufficient_user_authentication(&self) -> bool {
        self.has_error("insufficient_user_authentication")
    }

    fn has_error(&self, code: &str) -> bool {
        self.errors.iter().any(|own| own == code)
    }
}

fn scope_of(challenge: &Challenge) -> Option<Scope> {
    let text = challenge.get("scope").filter(|text| text.len() <= LONGEST_LIST)?;
    text.parse().ok().filter(|scope: &Scope| !scope.is_empty())
}

fn names_of(challenge: &Challenge, name: &str) -> Vec<String> {
    let text = challenge.get(name).filter(|text| text.len() <= LONGEST_LIST).unwrap_or_default();
    text.split_ascii_whitespace().filter(|name| !name.contains(char::is_control)).map(str::to_owned).collect()
}

fn resource_metadata_of(challenge: &Challenge) -> Option<Url> {
    let text = challenge.get("resource_metadata").filter(|text| text.len() <= LONGEST_URL)?;
    let url = Url::parse(text).ok()?;
    let plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    (plain && matches!(url.scheme(), "https" | "http")).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_www_authenticate;

    fn read(header: &str) -> ResourceChallenge {
        ResourceChallenge::of(&parse_www_authenticate(header))
    }

    #[test]
    fn a8_what_each_challenge_asks_for() {
        let asked = read(
            r#"Basic realm="x", scope="no", BEARER Error="insufficient_scope", Scope="files:read user", resource_metadata="https://api.example/.well-known/oauth-protected-resource""#,
        );
        assert!(asked.is_insufficient_scope() && !asked.is_insufficient_user_authentication());
        assert_eq!(asked.scope, Some("user files:read".parse().unwrap()));
        let url = asked.resource_metadata.unwrap();
        assert_eq!(url.as_str(), "https://api.example/.well-known/oauth-protected-resource");
        assert_eq!(read("Bearer"), ResourceChallenge::default());
        assert_eq!(read(""), ResourceChallenge::default());
    }

    #[test]
    fn a28_the_metadata_url_may_stand_with_any_scheme_and_ours_come_first() {
        let asked = read(
            r#"Basic realm="x", resource_metadata="https://a.example/m", DPoP algs="ES256", resource_metadata="https://b.example/m""#,
        );
        assert_eq!(asked.resource_metadata.unwrap().as_str(), "https://b.example/m");
        let asked = read(r#"Basic resource_metadata="https://a.example/m", Bearer"#);
        assert_eq!(asked.resource_metadata.unwrap().as_str(), "https://a.example/m");
    }

    #[test]
    fn a26_authentication_classes_and_age() {
        let asked = read(r#"Bearer error="insufficient_user_authentication", max_age=0, acr_values=gold"#);
        assert!(asked.is_insufficient_user_authentication());
        assert_eq!((asked.acr_values, asked.max_age), (vec!["gold".to_owned()], Some(0)));
        for odd in ["-1", "soon", "1.5", "99999999999999999999999", ""] {
            assert_eq!(read(&format!("Bearer max_age=\"{odd}\"")).max_age, None, "{odd}");
        }
    }

    #[test]
    fn what_is_malformed_or_too_long_is_not_there() {
        for url in
            ["/relative", "ftp://a.example", "https://u:p@a.example", "https://a.example#f", "javascript:x"]
        {
            assert_eq!(read(&format!("Bearer resource_metadata=\"{url}\"")).resource_metadata, None, "{url}");
        }
        let long = "x".repeat(LONGEST_LIST + 1);
        let asked = read(&format!(
            "Bearer scope=\"{long}\", acr_values=\"{long}\", resource_metadata=\"https://a.example/{long}\""
        ));
        assert_eq!(asked, ResourceChallenge::default());
        assert_eq!(read("Bearer scope=\"\u{e9}\"").scope, None);
        assert_eq!(read("Bearer scope=\" \"").scope, None);
    }
}
