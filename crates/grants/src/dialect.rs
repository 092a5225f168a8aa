//! `RequestDialect`: how one provider wants its requests, where that differs from the RFCs, as data.
//! What its answers look like is the business of [`Dialect`](jeton_models::Dialect) in jeton-models.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use jeton_models::{ExtraMembers, ParameterError, Parameters};
use url::Url;

use crate::{EndpointRequest, ExtraParameters, GrantError, Operation};

/// Parameters that no dialect can take out, rename or set: the login's safety hangs on them. (PKCE has a switch of its own,
/// for the few providers that refuse it.)
const PROTECTED: [&str; 13] = [
    "state",
    "nonce",
    "iss",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "dpop_jkt",
    "request",
    "request_uri",
    "response_type",
    "client_assertion",
    "client_assertion_type",
    "id_token_hint",
];

/// The longest value of a callback's parameter that is kept with the token.
const LONGEST_KEPT: usize = 1024;

/// The largest form that a browser may bring.
const LARGEST_FORM: usize = 64 * 1024;

/// How a provider wants its requests, where that differs from the RFCs.
///
/// It acts in a [`GrantContext`](crate::GrantContext) that has it in `dialect`, and nowhere else. Profiles of providers
/// (`jeton-profiles`) are made of these. It cannot touch `state`, `nonce`, request objects and client assertions, and no
/// request goes anywhere but to HTTPS or loopback whatever it says.
///
/// ```
/// use jeton_grants::RequestDialect;
///
/// let mut dialect = RequestDialect::new("acme");
/// dialect.renamed.push(("client_id".into(), "client_key".into()));
/// dialect.scope_separator = Some(',');
/// dialect.omitted.all.push("resource".into());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RequestDialect {
    /// The name of the provider's profile.
    pub name: String,
    /// The RFC's names of parameters, and the provider's for each, in requests of every kind.
    pub renamed: Vec<(String, String)>,
    /// Parameters that are not sent, by the kind of request.
    pub omitted: OmittedParameters,
    /// Parameters that are sent unless the program sets them itself, by the kind of request.
    pub extra: ExtraParameters,
    /// What separates the names of a scope, if not a space.
    pub scope_separator: Option<char>,
    /// Whether bodies are JSON instead of forms.
    pub json: bool,
    /// Further headers, such as a `User-Agent`.
    pub headers: HeaderMap,
    /// Where refresh requests go, if not to the token endpoint.
    pub refresh_endpoint: Option<String>,
    /// What becomes of PKCE.
    pub pkce: PkceDialect,
    /// The fragment of the authorization URL.
    pub authorization_fragment: Option<String>,
    /// The name under which the code arrives in the redirected URL, if not `code`.
    pub code_parameter: Option<String>,
    /// Parameters of the redirected URL that are kept among the token's further members.
    pub kept: Vec<String>,
}

/// Parameters that a provider refuses, by the kind of request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OmittedParameters {
    /// In requests of every kind.
    pub all: Vec<String>,
    /// In authorization requests.
    pub authorization: Vec<String>,
    /// In token requests other than refreshes.
    pub token: Vec<String>,
    /// In refresh requests.
    pub refresh: Vec<String>,
    /// In device authorization requests.
    pub device_authorization: Vec<String>,
}

/// What becomes of PKCE (RFC 7636) at a provider. One that does not know it ignores it, as RFC 6749 §3.1 asks, and needs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PkceDialect {
    /// It goes out as the RFC says.
    #[default]
    Standard,
    /// The challenge is written in hexadecimal digits instead of base64url.
    Hex,
    /// It is not sent, for a provider that refuses it. Only clients that authenticate may do without (RFC 9700 §2.1.1).
    Omitted,
}

/// A kind of request.
#[derive(Clone, Copy)]
enum Kind {
    Authorization,
    Token,
    Refresh,
    DeviceAuthorization,
    Other,
}

impl RequestDialect {
    /// A dialect that differs in nothing.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Whether a parameter of that name is out of the reach of dialects.
    pub fn is_protected(parameter: &str) -> bool {
        PROTECTED.contains(&parameter)
    }

    /// Makes the parameters of an authorization request the provider's.
    pub(crate) fn authorization(&self, parameters: &mut Parameters) -> Result<(), ParameterError> {
        self.adapt(parameters, Kind::Authorization)?;
        *parameters = self.renamed(parameters)?;
        Ok(())
    }

    /// Adds to the authorization URL what is no parameter.
    pub(crate) fn authorization_url(&self, url: &mut Url) {
        url.set_fragment(self.authorization_fragment.as_deref());
    }

    /// Makes a request to an endpoint the provider's, before the client authenticates.
    pub(crate) fn prepare(&self, request: &mut EndpointRequest) -> Result<(), GrantError> {
        let kind = match request.parameters.get("grant_type") {
            Some("refresh_token") => Kind::Refresh,
            Some(_) => Kind::Token,
            None if request.operation == Operation::DEVICE_AUTHORIZATION => Kind::DeviceAuthorization,
            None => Kind::Other,
        };
        if let (Kind::Refresh, Some(endpoint)) = (kind, &self.refresh_endpoint) {
            // Whether it is secure is looked at before anything is sent, as with every endpoint.
            request.url = Url::parse(endpoint)
                .map_err(|error| GrantError::other(format!("the refresh endpoint is no URL: {error}")))?;
        }
        Ok(self.adapt(&mut request.parameters, kind)?)
    }

    /// The body of a request in the provider's names and format. `parameters` have the client's authentication among them.
    pub(crate) fn body(&self, parameters: &Parameters) -> Result<String, ParameterError> {
        let parameters = self.renamed(parameters)?;
        Ok(if self.json { parameters.to_json() } else { parameters.to_form() })
    }

    /// Sets the headers of a request that has the usual ones.
    pub(crate) fn set_headers(&self, headers: &mut HeaderMap) {
        if self.json {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in &self.headers {
            // The client's authentication and what says how to read the body are not the dialect's.
            if name == ACCEPT || !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
    }

    /// The redirected URL with the code under the RFC's name.
    pub(crate) fn redirected<'a>(&self, redirected: &'a Url) -> Cow<'a, Url> {
        let Some(own) = self.code_parameter.as_deref().filter(|own| !is_taken(own)) else {
            return Cow::Borrowed(redirected);
        };
        // One that has both has the code twice, which is refused.
        let pairs: Vec<_> = redirected.query_pairs().into_owned().collect();
        let named = pairs.iter().map(|(name, value)| (if name == own { "code" } else { name }, value));
        let mut url = redirected.clone();
        url.query_pairs_mut().clear().extend_pairs(named);
        Cow::Owned(url)
    }

    /// What of the redirected URL's further parameters is kept with the token. What the token's answer has under that name
    /// stays: the URL came by way of the browser.
    pub(crate) fn keep(&self, redirected: &ExtraMembers, token: &mut ExtraMembers) {
        for name in self.kept.iter().filter(|name| !is_taken(name)) {
            if let (None, Some(value)) = (token.get(name), redirected.get_str(name))
                && value.len() <= LONGEST_KEPT
            {
                token.insert(name.as_str(), value);
            }
        }
    }

    fn adapt(&self, parameters: &mut Parameters, kind: Kind) -> Result<(), ParameterError> {
        let (omitted, extra) = match kind {
            Kind::Authorization => (&self.omitted.authorization, Some(&self.extra.authorization)),
            Kind::Token => (&self.omitted.token, Some(&self.extra.token)),
            Kind::Refresh => (&self.omitted.refresh, Some(&self.extra.refresh)),
            Kind::DeviceAuthorization => {
                (&self.omitted.device_authorization, Some(&self.extra.device_authorization))
            }
            Kind::Other => (&Vec::new(), None),
        };
        for name in self.omitted.all.iter().chain(omitted).filter(|name| !Self::is_protected(name)) {
            parameters.remove(name);
        }
        for (name, value) in extra.into_iter().flat_map(Parameters::iter) {
            if !Self::is_protected(name) && !parameters.contains(name) {
                parameters.append(name, value)?;
            }
        }
        if let Some(separator) = self.scope_separator
            && let Some(scope) = parameters.get("scope")
        {
            let scope = scope.replace(' ', separator.encode_utf8(&mut [0; 4]));
            parameters.set("scope", scope);
        }
        match self.pkce {
            PkceDialect::Standard => {}
            PkceDialect::Omitted => {
                for name in ["code_challenge", "code_challenge_method", "code_verifier"] {
                    parameters.remove(name);
                }
            }
            // Once: a pushed request comes by here again.
            PkceDialect::Hex if matches!(kind, Kind::Authorization | Kind::DeviceAuthorization) => {
                let challenge = parameters.get("code_challenge");
                if let Some(Ok(digest)) = challenge.map(|challenge| URL_SAFE_NO_PAD.decode(challenge)) {
                    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                    parameters.set("code_challenge", hex);
                }
            }
            PkceDialect::Hex => {}
        }
        Ok(())
    }

    fn renamed(&self, parameters: &Parameters) -> Result<Parameters, ParameterError> {
        let theirs = |name: &str| {
            let pair = self.renamed.iter().find(|(ours, theirs)| {
                ours == name && !Self::is_protected(ours) && !Self::is_protected(theirs)
            });
            pair.map(|(_, theirs)| theirs.as_str())
        };
        let mut renamed = Parameters::new();
        for (name, value) in parameters.iter() {
            renamed.append(theirs(name).unwrap_or(name), value)?;
        }
        Ok(renamed)
    }
}

/// Whether a parameter of the redirected URL has a meaning of its own, which no dialect changes.
fn is_taken(name: &str) -> bool {
    matches!(name, "state" | "iss" | "code" | "error" | "error_description" | "error_uri" | "response")
}

/// The redirected URL of a provider that brings its answer by POST (`response_mode=form_post`, OAuth 2.0 Form Post Response
/// Mode §2): what a web server received at its redirect URI as `application/x-www-form-urlencoded` becomes the URL that
/// [`finish_authorization`](crate::finish_authorization) takes. Nothing is checked here yet, least of all `state`.
///
/// ```
/// let url = jeton_grants::redirected_by_form_post("https://app.example/callback", b"state=af0&code=c0d3")?;
/// assert_eq!(url.as_str(), "https://app.example/callback?state=af0&code=c0d3");
/// # Ok::<(), jeton_grants::GrantError>(())
/// ```
///
/// # Errors
/// [`GrantError::RedirectUri`] if the redirect URI is no absolute URI, [`GrantError::Other`] for a form of more than 64 KiB.
pub fn redirected_by_form_post(redirect_uri: &str, form: &[u8]) -> Result<Url, GrantError> {
    if form.len() > LARGEST_FORM {
        return Err(GrantError::other(
            "the form that the browser brought is larger than 64 KiB; start the login again",
        ));
    }
    let mut url = Url::parse(redirect_uri)
        .map_err(|_| GrantError::RedirectUri { redirect_uri: redirect_uri.to_owned() })?;
    url.query_pairs_mut().extend_pairs(url::form_urlencoded::parse(form));
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(of: &[(&str, &str)]) -> Parameters {
        let mut parameters = Parameters::new();
        of.iter().for_each(|(name, value)| parameters.append(*name, *value).unwrap());
        parameters
    }

    #[test]
    fn names_separators_and_extras_are_the_providers_and_the_programs_own_wins() {
        let mut dialect = RequestDialect::new("acme");
        dialect.renamed.push(("client_id".into(), "client_key".into()));
        dialect.omitted.all.push("resource".into());
        dialect.extra.authorization = parameters(&[("access_type", "offline"), ("prompt", "consent")]);
        dialect.scope_separator = Some(',');
        let mut of = parameters(&[
            ("client_id", "id"),
            ("scope", "a b c"),
            ("resource", "https://a.example"),
            ("resource", "https://b.example"),
            ("prompt", "login"),
            ("state", "s"),
        ]);
        dialect.authorization(&mut of).unwrap();
        let pairs: Vec<_> = of.iter().collect();
        let want = [
            ("client_key", "id"),
            ("prompt", "login"),
            ("state", "s"),
            ("access_type", "offline"),
            ("scope", "a,b,c"),
        ];
        assert_eq!(pairs, want);
    }

    #[test]
    fn what_the_logins_safety_hangs_on_is_out_of_reach() {
        let mut dialect = RequestDialect::new("evil");
        let names = ["state", "nonce", "code_challenge", "code_challenge_method", "request"];
        dialect.omitted.all = names.map(str::to_owned).into();
        dialect.renamed = vec![
            ("state".into(), "s".into()),
            ("login_hint".into(), "state".into()),
            ("code_challenge_method".into(), "m".into()),
        ];
        dialect.extra.authorization = parameters(&[("state", "fixed"), ("code_challenge", "fixed")]);
        let before = [
            ("state", "s3cret"),
            ("nonce", "n"),
            ("code_challenge", "c"),
            ("code_challenge_method", "S256"),
            ("request", "r"),
            ("login_hint", "h"),
        ];
        let mut of = parameters(&before);
        dialect.authorization(&mut of).unwrap();
        assert_eq!(of, parameters(&before));
        let mut none = parameters(&[("client_id", "id")]);
        dialect.authorization(&mut none).unwrap();
        assert_eq!(none, parameters(&[("client_id", "id")]), "nor is a fixed one added");
    }

    #[test]
    fn a_challenge_in_hexadecimal_digits_is_the_same_challenge() {
        let mut dialect = RequestDialect::new("tiktok");
        dialect.pkce = PkceDialect::Hex;
        // RFC 7636 Appendix B: the digest begins with the octets 19, 211, 30.
        let mut of = parameters(&[("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")]);
        dialect.authorization(&mut of).unwrap();
        let hex = of.get("code_challenge").unwrap();
        assert_eq!(hex.len(), 64);
        assert!(hex.starts_with("13d31e961a1ad8ec2f16b10c4c982e08"), "{hex}");

        dialect.pkce = PkceDialect::Omitted;
        let mut of =
            parameters(&[("code_challenge", "x"), ("code_challenge_method", "S256"), ("state", "s")]);
        dialect.authorization(&mut of).unwrap();
        assert_eq!(of, parameters(&[("state", "s")]));
    }

    #[test]
    fn a_renamed_code_is_found_and_state_and_iss_are_never_renamed() {
        let url = |query: &str| Url::parse(&format!("http://127.0.0.1/cb?{query}")).unwrap();
        let mut dialect = RequestDialect::new("amazon");
        assert_eq!(dialect.redirected(&url("a=b")).as_str(), "http://127.0.0.1/cb?a=b");
        dialect.code_parameter = Some("spapi_oauth_code".into());
        let redirected = dialect.redirected(&url("state=s&spapi_oauth_code=a%26b&x=1")).into_owned();
        assert_eq!(redirected, url("state=s&code=a%26b&x=1"));
        assert_eq!(dialect.redirected(&url("code=1&spapi_oauth_code=2")).into_owned(), url("code=1&code=2"));
        for own in ["state", "iss", "error"] {
            dialect.code_parameter = Some(own.into());
            assert_eq!(
                dialect.redirected(&url("state=s&iss=i&error=e")).into_owned(),
                url("state=s&iss=i&error=e")
            );
        }
    }

    #[test]
    fn what_is_kept_of_the_callback_is_bounded_and_never_replaces_what_the_server_says() {
        let mut dialect = RequestDialect::new("quickbooks");
        dialect.kept = vec!["realmId".into(), "long".into(), "code".into()];
        let mut redirected = ExtraMembers::new();
        redirected.insert("realmId", "4711");
        redirected.insert("other", "x");
        redirected.insert("long", "x".repeat(LONGEST_KEPT + 1));
        let mut token = ExtraMembers::new();
        dialect.keep(&redirected, &mut token);
        assert_eq!((token.len(), token.get_str("realmId")), (1, Some("4711")));
        token.insert("realmId", "of the server");
        dialect.keep(&redirected, &mut token);
        assert_eq!(token.get_str("realmId"), Some("of the server"));
    }

    #[test]
    fn a_forms_callback_keeps_the_redirect_uris_query_and_is_bounded() {
        let url = redirected_by_form_post("https://a.example/cb?tenant=1", b"code=a+b&state=%26").unwrap();
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        let want =
            [("tenant", "1"), ("code", "a b"), ("state", "&")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(pairs, want);
        assert!(redirected_by_form_post("/cb", b"code=c").is_err());
        assert!(redirected_by_form_post("https://a.example/", &vec![b'x'; LARGEST_FORM + 1]).is_err());
    }

    #[test]
    fn headers_are_added_and_none_of_ours_is_replaced() {
        let mut dialect = RequestDialect::new("reddit");
        dialect.json = true;
        dialect.headers.insert("user-agent", HeaderValue::from_static("mine"));
        dialect.headers.insert("authorization", HeaderValue::from_static("evil"));
        dialect.headers.insert("content-type", HeaderValue::from_static("text/evil"));
        dialect.headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.acme+json"));
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Basic x"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        dialect.set_headers(&mut headers);
        let of = |name: &str| headers.get(name).unwrap().to_str().unwrap();
        assert_eq!((of("user-agent"), of("authorization")), ("mine", "Basic x"));
        assert_eq!((of("content-type"), of("accept")), ("application/json", "application/vnd.acme+json"));
    }
}
