//! `Profile`: what one provider does otherwise than the RFCs say, and where it is. Data only.

use std::collections::BTreeMap;

use http::HeaderValue;
use jeton_grants::RequestDialect;
use jeton_models::{Dialect, Warning, is_deceptive, is_secure_or_loopback};
use url::Url;

use crate::error::nearest;
use crate::placeholder::{Piece, pieces};
use crate::{Catalog, Placeholder, PlaceholderKind, ProfileError, read};

/// A provider as data: where its endpoints are, how it wants its requests, what its answers look like.
///
/// The built-in ones have names ([`Profile::named`]); others are read from TOML ([`Profile::from_toml`]) or made by
/// [`Profile::builder`]. A profile describes. It cannot switch off the check of `state`, `iss`, PKCE's verifier on the server,
/// signatures or HTTPS: there are no words for that in it.
///
/// ```
/// use jeton_profiles::Profile;
///
/// let shop = Profile::named("shopify")?.with("shop", "my-shop")?;
/// let provider = shop.provider()?;
/// let endpoint = provider.server.token_endpoint.as_deref();
/// assert_eq!(endpoint, Some("https://my-shop.myshopify.com/admin/oauth/access_token"));
///
/// // Nothing that makes another URL of it.
/// assert!(Profile::named("shopify")?.with("shop", "evil.example/").is_err());
/// # Ok::<(), jeton_profiles::ProfileError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pub(crate) data: ProfileData,
    values: BTreeMap<String, String>,
}

/// The words of a profile, with placeholders where it leaves something open.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ProfileData {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) about: String,
    pub(crate) issuer: Option<String>,
    /// By the name of their member in the server's metadata.
    pub(crate) endpoints: BTreeMap<&'static str, String>,
    pub(crate) authentication: AuthenticationMethod,
    pub(crate) signed_secret_audience: Option<String>,
    pub(crate) answers: Dialect,
    pub(crate) requests: RequestDialect,
    pub(crate) placeholders: Vec<Placeholder>,
}

/// The endpoints that a profile may name, as in the server's metadata (RFC 8414 §2). `refresh_endpoint` is beside them.
pub(crate) const ENDPOINTS: [&str; 8] = [
    "authorization_endpoint",
    "token_endpoint",
    "device_authorization_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "userinfo_endpoint",
    "end_session_endpoint",
    "jwks_uri",
];

/// How a provider wants clients to authenticate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthenticationMethod {
    /// `client_secret_basic`, and `none` for a client without a secret (RFC 6749 §2.3.1).
    #[default]
    ClientSecretBasic,
    /// `client_secret_post`, and `none` for a client without a secret (RFC 6749 §2.3.1).
    ClientSecretPost,
    /// HTTP Basic, with an empty secret for a client that has none.
    BasicForEverybody,
    /// A client secret that the client signs itself, as a JWT: the program gives the key (`SignedClientSecret` of jeton-grants).
    SignedClientSecret,
}

impl AuthenticationMethod {
    pub(crate) const ALL: [(&'static str, Self); 4] = [
        ("client_secret_basic", Self::ClientSecretBasic),
        ("client_secret_post", Self::ClientSecretPost),
        ("basic_for_everybody", Self::BasicForEverybody),
        ("signed_client_secret", Self::SignedClientSecret),
    ];

    /// The name that a profile has for it.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, method)| *method == self).map_or("client_secret_basic", |(name, _)| name)
    }
}

/// Headers that are not a profile's business.
const OWN_HEADERS: [&str; 11] = [
    "authorization",
    "proxy-authorization",
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "host",
    "cookie",
    "dpop",
    "te",
];

/// Parameters whose value is each request's own.
const OWN_VALUES: [&str; 6] =
    ["grant_type", "code", "refresh_token", "device_code", "client_secret", "password"];

impl Profile {
    /// The built-in profile of that name: `github`, `google`, `entra`, ..
    ///
    /// # Errors
    /// [`ProfileError::UnknownProfile`], with the name that is most like it.
    pub fn named(name: &str) -> Result<Self, ProfileError> {
        Catalog::built_in().get(name).cloned()
    }

    /// A profile in TOML: one table, named as the profile. The built-in ones are written in the same way; the crate's page
    /// lists the keys.
    ///
    /// ```
    /// use jeton_profiles::Profile;
    ///
    /// let profile = Profile::from_toml(r#"
    ///     [acme]
    ///     title = "Acme"
    ///     authorization_endpoint = "https://acme.example/oauth/authorize"
    ///     token_endpoint = "https://acme.example/oauth/token"
    ///     scope_separator = ","
    ///     tolerates = ["expires_in_string"]
    /// "#)?;
    /// assert_eq!(profile.name(), "acme");
    ///
    /// let error = Profile::from_toml("[acme]\ntoken_endpiont = 'https://acme.example/token'").unwrap_err();
    /// assert!(error.to_string().ends_with("unknown key `token_endpiont`; did you mean `token_endpoint`?"));
    /// # Ok::<(), jeton_profiles::ProfileError>(())
    /// ```
    ///
    /// # Errors
    /// [`ProfileError`], which names the line or the key.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        let mut profiles = read::profiles(text)?;
        match (profiles.pop(), profiles.len()) {
            (Some(profile), 0) => Ok(profile),
            (last, others) => Err(ProfileError::NotOne { found: others + usize::from(last.is_some()) }),
        }
    }

    /// Begins a profile of that name: lower-case letters, digits, `-` and `_`.
    pub fn builder(name: impl Into<String>) -> ProfileBuilder {
        let name = name.into();
        ProfileBuilder(ProfileData {
            answers: Dialect::new(name.clone()),
            requests: RequestDialect::new(name.clone()),
            title: name.clone(),
            name,
            ..ProfileData::default()
        })
    }

    /// A profile like this one, to be changed. Values of placeholders are left behind.
    pub fn to_builder(&self) -> ProfileBuilder {
        ProfileBuilder(self.data.clone())
    }

    /// Sets the value of a placeholder, such as the shop of `shopify` or the tenant of `entra`.
    ///
    /// # Errors
    /// [`ProfileError::Value`] if the profile has no such placeholder, [`ProfileError::PlaceholderValue`] if the value is not
    /// of its kind.
    pub fn with(mut self, placeholder: &str, value: impl Into<String>) -> Result<Self, ProfileError> {
        let value = value.into();
        let Some(known) = self.data.placeholders.iter().find(|own| own.name == placeholder) else {
            let names = self.data.placeholders.iter().map(|own| own.name.as_str());
            let nearest = nearest(placeholder, names);
            return Err(self.data.wrong(placeholder, "is no placeholder of it", nearest));
        };
        self.data.check_value(known, &value)?;
        self.values.insert(placeholder.to_owned(), value);
        Ok(self)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.data.name
    }

    /// The provider's name for people.
    pub fn title(&self) -> &str {
        &self.data.title
    }

    /// What there is to know about it, in a sentence or two.
    pub fn about(&self) -> &str {
        &self.data.about
    }

    /// How the provider's answers differ from the RFCs.
    pub fn answers(&self) -> &Dialect {
        &self.data.answers
    }

    /// How the provider wants its requests. Placeholders stand in it where values go.
    pub fn requests(&self) -> &RequestDialect {
        &self.data.requests
    }

    /// How the provider wants clients to authenticate.
    pub fn authentication(&self) -> AuthenticationMethod {
        self.data.authentication
    }

    /// The audience of a client secret that the client signs itself.
    pub fn signed_secret_audience(&self) -> Option<&str> {
        self.data.signed_secret_audience.as_deref()
    }

    /// Whether it says where the provider is: a token endpoint, or an issuer from which that is discovered.
    pub fn has_server(&self) -> bool {
        self.data.issuer.is_some() || self.data.endpoints.contains_key("token_endpoint")
    }

    /// What the profile leaves open.
    pub fn placeholders(&self) -> &[Placeholder] {
        &self.data.placeholders
    }

    /// Whether an answer with that leniency is as expected of this provider, so that there is no warning with the profile.
    pub fn silences(&self, warning: &Warning) -> bool {
        let answers = &self.data.answers;
        let speaks_otherwise = |name: &str| answers.members.iter().any(|(theirs, _)| theirs == name);
        answers.tolerates(warning)
            || match warning {
                Warning::ExpiresInNotPositive => answers.zero_is_never,
                Warning::ExpiresInAlias => speaks_otherwise("expires"),
                Warning::VerificationUrl => speaks_otherwise("verification_url"),
                _ => false,
            }
    }

    /// The value of a placeholder; `None` for an optional one that has none.
    pub(crate) fn value(&self, name: &str) -> Result<Option<String>, ProfileError> {
        let data = &self.data;
        let Some(placeholder) = data.placeholders.iter().find(|own| own.name == name) else {
            return Ok(None);
        };
        let value = self.values.get(name).or(placeholder.default.as_ref()).cloned();
        match value {
            None if !placeholder.optional => Err(ProfileError::PlaceholderUnset {
                profile: data.name.clone(),
                placeholder: name.to_owned(),
                about: placeholder.about.clone(),
                example: placeholder.example.clone(),
            }),
            value => Ok(value),
        }
    }
}

/// A profile in the making. Mistakes are told by [`build`](Self::build).
///
/// ```
/// use jeton_profiles::{AuthenticationMethod, Placeholder, PlaceholderKind, Profile};
///
/// let profile = Profile::builder("acme")
///     .placeholder(Placeholder::new("region", PlaceholderKind::Label, "eu"))
///     .authorization_endpoint("https://{region}.acme.example/authorize")
///     .token_endpoint("https://{region}.acme.example/token")
///     .client_authentication(AuthenticationMethod::ClientSecretPost)
///     .requests(|requests| requests.renamed.push(("client_id".into(), "client_key".into())))
///     .answers(|answers| answers.members.push(("accessToken".into(), "access_token".into())))
///     .build()?
///     .with("region", "us")?;
/// assert_eq!(profile.name(), "acme");
/// # Ok::<(), jeton_profiles::ProfileError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ProfileBuilder(pub(crate) ProfileData);

impl ProfileBuilder {
    /// The provider's name for people.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.0.title = title.into();
        self
    }

    /// What there is to know about it.
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.0.about = about.into();
        self
    }

    /// The issuer. Without a token endpoint the rest is discovered from it (RFC 8414).
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.0.issuer = Some(issuer.into());
        self
    }

    /// The authorization endpoint.
    pub fn authorization_endpoint(self, url: impl Into<String>) -> Self {
        self.endpoint("authorization_endpoint", url)
    }

    /// The token endpoint.
    pub fn token_endpoint(self, url: impl Into<String>) -> Self {
        self.endpoint("token_endpoint", url)
    }

    /// Where refresh requests go, if not to the token endpoint.
    pub fn refresh_endpoint(mut self, url: impl Into<String>) -> Self {
        self.0.requests.refresh_endpoint = Some(url.into());
        self
    }

    /// The device authorization endpoint (RFC 8628).
    pub fn device_authorization_endpoint(self, url: impl Into<String>) -> Self {
        self.endpoint("device_authorization_endpoint", url)
    }

    /// The revocation endpoint (RFC 7009).
    pub fn revocation_endpoint(self, url: impl Into<String>) -> Self {
        self.endpoint("revocation_endpoint", url)
    }

    /// Another endpoint, by the name of its member in the server's metadata (RFC 8414 §2).
    pub(crate) fn endpoint(mut self, name: &'static str, url: impl Into<String>) -> Self {
        self.0.endpoints.insert(name, url.into());
        self
    }

    /// How clients authenticate.
    pub fn client_authentication(mut self, method: AuthenticationMethod) -> Self {
        self.0.authentication = method;
        self
    }

    /// The audience of a client secret that the client signs itself.
    pub fn signed_secret_audience(mut self, audience: impl Into<String>) -> Self {
        self.0.signed_secret_audience = Some(audience.into());
        self
    }

    /// Something that is left open.
    pub fn placeholder(mut self, placeholder: Placeholder) -> Self {
        self.0.placeholders.retain(|own| own.name != placeholder.name);
        self.0.placeholders.push(placeholder);
        self
    }

    /// Changes how answers are read.
    pub fn answers(mut self, change: impl FnOnce(&mut Dialect)) -> Self {
        change(&mut self.0.answers);
        self
    }

    /// Changes what requests look like.
    pub fn requests(mut self, change: impl FnOnce(&mut RequestDialect)) -> Self {
        change(&mut self.0.requests);
        self
    }

    /// Checks the profile.
    ///
    /// # Errors
    /// [`ProfileError::Value`], which names what is wrong.
    pub fn build(mut self) -> Result<Profile, ProfileError> {
        self.0.answers.name.clone_from(&self.0.name);
        self.0.requests.name.clone_from(&self.0.name);
        self.0.check()?;
        Ok(Profile { data: self.0, values: BTreeMap::new() })
    }
}

impl ProfileData {
    pub(crate) fn wrong(&self, key: &str, what: impl Into<String>, nearest: Option<String>) -> ProfileError {
        ProfileError::Value { profile: self.name.clone(), key: key.to_owned(), what: what.into(), nearest }
    }

    fn check(&self) -> Result<(), ProfileError> {
        let is_name = |name: &str| {
            let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
            (1..=64).contains(&name.len()) && name.bytes().all(inside)
        };
        if !is_name(&self.name) {
            return Err(self.wrong("name", "is not of lower-case letters, digits, `-` and `_`", None));
        }
        for placeholder in &self.placeholders {
            if !is_name(&placeholder.name) {
                return Err(self.wrong(&placeholder.name, "is no name for a placeholder", None));
            }
            for value in [Some(&placeholder.example), placeholder.default.as_ref()].into_iter().flatten() {
                self.check_value(placeholder, value)?;
            }
        }
        if let Some(issuer) = &self.issuer {
            let filled = self.filled_with_examples("issuer", issuer, Place::Url)?;
            if let Err(error) = filled.parse::<jeton_models::Issuer>() {
                return Err(self.wrong("issuer", format!("cannot be used: {error}"), None));
            }
        }
        let refresh = self.requests.refresh_endpoint.as_ref().map(|url| ("refresh_endpoint", url));
        for (name, url) in self.endpoints.iter().map(|(name, url)| (*name, url)).chain(refresh) {
            self.check_endpoint(name, url)?;
        }
        self.check_answers()?;
        self.check_requests()
    }

    pub(crate) fn check_value(&self, placeholder: &Placeholder, value: &str) -> Result<(), ProfileError> {
        placeholder.kind.check(value).map_err(|what| ProfileError::PlaceholderValue {
            profile: self.name.clone(),
            placeholder: placeholder.name.clone(),
            what,
            example: placeholder.example.clone(),
        })
    }

    fn check_endpoint(&self, name: &str, template: &str) -> Result<(), ProfileError> {
        let filled = self.filled_with_examples(name, template, Place::Url)?;
        let url =
            Url::parse(&filled).map_err(|error| self.wrong(name, format!("is no URL: {error}"), None))?;
        if !is_secure_or_loopback(&url) {
            return Err(self.wrong(name, "is neither HTTPS nor on loopback; use https://", None));
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(self.wrong(name, "has a user name, a password or a fragment in it", None));
        }
        Ok(())
    }

    /// The template with the examples in it, if its placeholders are known and of a kind that may stand there.
    fn filled_with_examples(&self, key: &str, template: &str, place: Place) -> Result<String, ProfileError> {
        let pieces =
            pieces(template).ok_or_else(|| self.wrong(key, "has a brace without its partner", None))?;
        let mut filled = String::new();
        for piece in pieces {
            let name = match piece {
                Piece::Text(text) => {
                    filled.push_str(text);
                    continue;
                }
                Piece::Placeholder(name) => name,
            };
            let placeholder = self.placeholders.iter().find(|own| own.name == name).ok_or_else(|| {
                let nearest = nearest(name, self.placeholders.iter().map(|own| own.name.as_str()));
                self.wrong(key, format!("has the placeholder `{name}`, which is not declared"), nearest)
            })?;
            if place == Place::Url {
                self.check_place(key, &filled, placeholder)?;
            }
            filled.push_str(&placeholder.example);
        }
        Ok(filled)
    }

    /// Whether a placeholder of its kind may stand after that part of a URL: what the host is must not hang on a path's value.
    fn check_place(&self, key: &str, before: &str, placeholder: &Placeholder) -> Result<(), ProfileError> {
        let authority = before.strip_prefix("https://");
        let in_authority = authority.is_none_or(|authority| !authority.contains('/'));
        let fits = match placeholder.kind {
            PlaceholderKind::Label => {
                authority.is_some_and(|a| a.is_empty() || a.ends_with('.') || a.contains('/'))
            }
            PlaceholderKind::Host => authority.is_some_and(str::is_empty),
            PlaceholderKind::Segment => !in_authority,
            PlaceholderKind::Text => false,
        };
        if fits && !placeholder.optional {
            return Ok(());
        }
        let what = format!("cannot have the placeholder `{}` in that place", placeholder.name);
        Err(self.wrong(key, what, None))
    }

    fn check_answers(&self) -> Result<(), ProfileError> {
        let answers = &self.answers;
        if let Some(unknown) = answers.tolerated.iter().find(|w| matches!(w, Warning::Other(_))) {
            let codes: Vec<_> = Warning::known().map(|warning| warning.code().to_owned()).collect();
            let nearest = nearest(unknown.code(), codes.iter().map(String::as_str));
            let what = format!("has `{}`, which is no warning's code", shortened(unknown.code()));
            return Err(self.wrong("tolerates", what, nearest));
        }
        for (theirs, ours) in &answers.members {
            if theirs.is_empty() || theirs == ours {
                return Err(self.wrong("members", format!("has `{}` for itself", shortened(theirs)), None));
            }
            if !Dialect::MEMBERS.contains(&ours.as_str()) {
                let what = format!("has `{}`, which is no member of an answer", shortened(ours));
                return Err(self.wrong("members", what, nearest(ours, Dialect::MEMBERS)));
            }
        }
        // A token that proves a key, or is a MAC's, is of no use as a bearer token.
        let proves =
            |kind: &str| ["dpop", "mac", "n_a", "pop"].iter().any(|own| kind.eq_ignore_ascii_case(own));
        if let Some(kind) = answers.bearer_types.iter().find(|kind| proves(kind)) {
            let what = format!("has `{}`, which is not Bearer", shortened(kind));
            return Err(self.wrong("bearer_types", what, None));
        }
        for (own, registered) in &answers.error_codes {
            let is_code =
                !registered.is_empty() && registered.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            if own.is_empty() || !is_code {
                let what = format!("has `{}`, which is no registered error code", shortened(registered));
                return Err(self.wrong("error_codes", what, None));
            }
        }
        Ok(())
    }

    fn check_requests(&self) -> Result<(), ProfileError> {
        let requests = &self.requests;
        let reach = |key: &str, name: &str| {
            if RequestDialect::is_protected(name) {
                let what = format!("has `{name}`, on which the login's safety hangs: no profile changes it");
                return Err(self.wrong(key, what, None));
            }
            if name.is_empty() {
                return Err(self.wrong(key, "has an empty name", None));
            }
            Ok(())
        };
        for (ours, theirs) in &requests.renamed {
            reach("renames", ours)?;
            reach("renames", theirs)?;
        }
        let omitted = &requests.omitted;
        let lists = [
            &omitted.all,
            &omitted.authorization,
            &omitted.token,
            &omitted.refresh,
            &omitted.device_authorization,
        ];
        for name in lists.into_iter().flatten() {
            reach("omits", name)?;
            if OWN_VALUES.contains(&name.as_str()) {
                return Err(self.wrong(
                    "omits",
                    format!("has `{name}`, without which there is no request"),
                    None,
                ));
            }
        }
        let extra = &requests.extra;
        for list in [&extra.authorization, &extra.token, &extra.refresh, &extra.device_authorization] {
            for (name, value) in list.iter() {
                reach("parameters", name)?;
                if OWN_VALUES.contains(&name) {
                    let what = format!("has `{name}`, whose value is each request's own");
                    return Err(self.wrong("parameters", what, None));
                }
                self.filled_with_examples("parameters", value, Place::Value)?;
            }
        }
        for (name, value) in &requests.headers {
            if OWN_HEADERS.contains(&name.as_str()) {
                return Err(self.wrong(
                    "headers",
                    format!("has `{name}`, which is not a profile's business"),
                    None,
                ));
            }
            let text =
                value.to_str().map_err(|_| self.wrong("headers", "has a value that is not ASCII", None))?;
            let filled = self.filled_with_examples("headers", text, Place::Value)?;
            if HeaderValue::from_str(&filled).is_err() {
                return Err(self.wrong(
                    "headers",
                    format!("has a value of `{name}` that no header can have"),
                    None,
                ));
            }
        }
        for name in requests.code_parameter.iter().chain(&requests.kept) {
            let taken = ["code", "state", "iss", "error", "error_description", "error_uri", "response"];
            if name.is_empty() || taken.contains(&name.as_str()) {
                let what = format!("has `{}`, which has a meaning of its own", shortened(name));
                return Err(self.wrong("code_parameter or keeps", what, None));
            }
        }
        let odd = |c: &char| c.is_alphanumeric() || c.is_control();
        if [requests.scope_separator, self.answers.scope_separator].iter().flatten().any(odd) {
            return Err(self.wrong("scope_separator", "is a letter, a digit or a control character", None));
        }
        Ok(())
    }
}

/// Where a template stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Url,
    Value,
}

/// So much of a strange word that an error stays readable.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().map(|c| if is_deceptive(c) { '\u{fffd}' } else { c }).take(64).collect()
}
