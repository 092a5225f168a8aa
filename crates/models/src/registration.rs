//! Registering a client: what it asks to be (client metadata) and what the server made of it (RFC 7591, RFC 7592).
//! What counts is what came back: a server may change anything, and keeps the right to.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::json::Members;
use crate::metadata::{as_list, as_text, take};
use crate::text::printable;
use crate::token_response::{LAST_PLAUSIBLE_TIME, Number};
use crate::{
    Answer, AnswerError, ExtraMembers, ParseOptions, Scope, Secret, UnusableAnswer, UnusableReason, Warning,
    is_loopback_host, is_secure_or_loopback,
};

macro_rules! client_metadata {
    (
        texts { $($(#[$text_doc:meta])* $text:ident)* }
        lists { $($(#[$list_doc:meta])* $list:ident)* }
        flags { $($(#[$flag_doc:meta])* $flag:ident)* }
    ) => {
        /// What a client is, as it says itself or as a server registered it (RFC 7591 §2).
        ///
        /// An absent list is not an empty one: a server takes `authorization_code` for absent `grant_types`.
        ///
        /// ```
        /// use jeton_models::ClientMetadata;
        ///
        /// let mut metadata = ClientMetadata::public(["http://127.0.0.1/callback"]);
        /// metadata.client_name = Some("My App".into());
        /// assert_eq!(metadata.application_type.as_deref(), Some("native"));
        /// metadata.check()?;
        /// # Ok::<(), jeton_models::ClientMetadataError>(())
        /// ```
        #[derive(Clone, Debug, Default, PartialEq, Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[non_exhaustive]
        pub struct ClientMetadata {
            /// Where authorization responses may go. One on loopback may be registered without its port (RFC 8252 §7.3).
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub redirect_uris: Vec<String>,
            $($(#[$text_doc])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $text: Option<String>,)*
            $($(#[$list_doc])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $list: Option<Vec<String>>,)*
            $($(#[$flag_doc])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $flag: Option<bool>,)*
            /// The scope that the client may ask for.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub scope: Option<Scope>,
            /// The client's public keys (RFC 7517 §5); not together with `jwks_uri`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub jwks: Option<Value>,
            /// Members that this model has no name for, such as `client_name#de` (RFC 7591 §2.2).
            #[serde(flatten)]
            pub extra: ExtraMembers,
        }

        impl ClientMetadata {
            fn from_members(mut members: Map<String, Value>) -> Self {
                Self {
                    redirect_uris: take(&mut members, "redirect_uris", as_list).unwrap_or_default(),
                    $($text: take(&mut members, stringify!($text), as_text),)*
                    $($list: take(&mut members, stringify!($list), as_list),)*
                    $($flag: take(&mut members, stringify!($flag), |value| value.as_bool()),)*
                    scope: take(&mut members, "scope", |value| value.as_str().map(Scope::from_server)),
                    jwks: take(&mut members, "jwks", |value| value.is_object().then(|| value.clone())),
                    extra: ExtraMembers::from(members),
                }
            }
        }
    };
}

client_metadata! {
    texts {
        /// How the client authenticates at the token endpoint; absent means `client_secret_basic`.
        token_endpoint_auth_method
        /// The signing algorithm of client assertions (OpenID Connect Registration §2).
        token_endpoint_auth_signing_alg
        /// The client's name, for people.
        client_name
        /// A page about the client, for people.
        client_uri
        /// A picture that stands for the client.
        logo_uri
        /// A page with the terms of service, for people.
        tos_uri
        /// A page about privacy, for people.
        policy_uri
        /// Where the client's public keys stand (RFC 7517).
        jwks_uri
        /// Which software this is, the same for all its instances.
        software_id
        /// The version of that software.
        software_version
        /// `native` or `web`; absent means `web` (OpenID Connect Registration §2).
        application_type
    }
    lists {
        /// Values of `grant_type`; absent means `authorization_code`.
        grant_types
        /// Values of `response_type`; absent means `code`.
        response_types
        /// How to reach the people responsible for the client.
        contacts
        /// Where the browser may go after a logout (OpenID Connect RP-Initiated Logout §3.1).
        post_logout_redirect_uris
    }
    flags {
        /// Whether all tokens are bound by DPoP (RFC 9449 §5.2).
        dpop_bound_access_tokens
        /// Whether all tokens are bound to the client's certificate (RFC 8705 §3.4).
        tls_client_certificate_bound_access_tokens
        /// Whether only pushed authorization requests are taken (RFC 9126 §6).
        require_pushed_authorization_requests
    }
}

impl ClientMetadata {
    /// Nothing at all; set what is needed.
    pub fn new() -> Self {
        Self::default()
    }

    /// A public client that logs people in with the authorization code grant and stays signed in. `application_type` follows
    /// from the redirect URIs.
    pub fn public<U: Into<String>>(redirect_uris: impl IntoIterator<Item = U>) -> Self {
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let mut metadata = Self {
            redirect_uris: redirect_uris.into_iter().map(Into::into).collect(),
            token_endpoint_auth_method: Some("none".to_owned()),
            grant_types: names(&["authorization_code", "refresh_token"]),
            response_types: names(&["code"]),
            ..Self::default()
        };
        metadata.application_type = metadata.inferred_application_type().map(str::to_owned);
        metadata
    }

    /// What OpenID Connect Registration §2 calls a client with these redirect URIs: `web` if all are HTTPS and none is on this
    /// machine, else `native`. `None` if there are none.
    pub fn inferred_application_type(&self) -> Option<&'static str> {
        let is_web = |uri: &String| {
            Url::parse(uri).is_ok_and(|url| url.scheme() == "https" && !is_loopback_host(&url))
        };
        match self.redirect_uris.is_empty() {
            true => None,
            false if self.redirect_uris.iter().all(is_web) => Some("web"),
            false => Some("native"),
        }
    }

    /// Checks what a server would refuse, or should.
    ///
    /// # Errors
    /// [`ClientMetadataError`] for a redirect URI that is no absolute URI or has a fragment (RFC 6749 §3.1.2), for keys in two
    /// places (RFC 7591 §2), and for a secret among the members: a client does not choose its own.
    pub fn check(&self) -> Result<(), ClientMetadataError> {
        for uri in &self.redirect_uris {
            if !Url::parse(uri).is_ok_and(|url| url.fragment().is_none()) {
                return Err(ClientMetadataError::RedirectUri { uri: printable(uri, 200) });
            }
        }
        if self.jwks.is_some() && self.jwks_uri.is_some() {
            return Err(ClientMetadataError::TwoKeySets);
        }
        for name in ISSUED_BY_THE_SERVER {
            if self.extra.get(name).is_some() {
                return Err(ClientMetadataError::NotTheClients { name });
            }
        }
        Ok(())
    }

    /// The metadata as one JSON object: the body of a registration request, or a client's metadata document.
    pub fn to_json(&self) -> String {
        // Texts, booleans and maps with texts as keys: nothing of it can fail to be JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for ClientMetadata {
    /// Reads tolerantly: a member of an odd type stands in `extra`, as it came.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from_members)
    }
}

/// What only an answer has (RFC 7591 §3.2.1).
const ISSUED_BY_THE_SERVER: [&str; 6] = [
    "client_id",
    "client_secret",
    "client_id_issued_at",
    "client_secret_expires_at",
    "registration_access_token",
    "registration_client_uri",
];

/// What is wrong with client metadata, before anybody is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientMetadataError {
    /// A redirect URI is not one.
    #[error(
        "`{uri}` cannot be a redirect URI: it must be an absolute URI without a fragment (RFC 6749 §3.1.2)"
    )]
    RedirectUri {
        /// As it was given, shortened.
        uri: String,
    },
    /// Keys by value and by reference at once.
    #[error("the client's keys are given as `jwks` and as `jwks_uri`; give one of them (RFC 7591 §2)")]
    TwoKeySets,
    /// A member that only the server gives.
    #[error("`{name}` is the server's to give and not a client's to ask for (RFC 7591 §3.2.1); leave it out")]
    NotTheClients {
        /// The member.
        name: &'static str,
    },
    /// A client identifier that is no URL of a client's metadata document.
    #[error("`{url}` cannot be the identifier of a client that describes itself: {what}")]
    Url {
        /// As it was given, without query, fragment and credentials, and shortened.
        url: String,
        /// What is wrong, and what to do.
        what: &'static str,
    },
    /// A client's metadata document that does not hold.
    #[error("the client's metadata document {what}")]
    Document {
        /// What is wrong, and what to do.
        what: &'static str,
    },
}

/// A client as a server registered it (RFC 7591 §3.2.1).
///
/// Use what stands here, not what was asked for: the server may have changed any of it. It belongs to one server and must
/// never be used at another, which is why it names it.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ClientRegistration {
    /// The issuer that registered the client.
    pub issuer: String,
    /// The client identifier.
    pub client_id: String,
    /// The client secret, if the server gave one.
    pub client_secret: Option<Secret>,
    /// When the client identifier was issued, in seconds since 1970 (Unix time).
    pub client_id_issued_at: Option<u64>,
    /// When the client secret expires, in seconds since 1970 (Unix time); `None` is never, which the server writes as 0.
    pub client_secret_expires_at: Option<u64>,
    /// What to read, change and delete the registration with (RFC 7592 §3).
    pub registration_access_token: Option<Secret>,
    /// Where to read, change and delete the registration (RFC 7592 §3).
    pub registration_client_uri: Option<String>,
    /// What the server registered.
    pub metadata: ClientMetadata,
    /// What had to be forgiven in the answer.
    pub warnings: Vec<Warning>,
}

impl ClientRegistration {
    /// A client of that identifier, registered at that issuer by hand.
    pub fn new(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            client_id: client_id.into(),
            client_secret: None,
            client_id_issued_at: None,
            client_secret_expires_at: None,
            registration_access_token: None,
            registration_client_uri: None,
            metadata: ClientMetadata::default(),
            warnings: Vec::new(),
        }
    }

    /// Reads the answer of the registration endpoint of `issuer` (RFC 7591 §3.2.1).
    ///
    /// # Errors
    /// [`AnswerError::OAuth`] for an error (RFC 7591 §3.2.2) under whatever status; [`AnswerError::Unusable`] for anything else
    /// that is no registration: without a `client_id`, or to authenticate with a secret that is not there. With
    /// [`ParseOptions::strict`] it is also what would otherwise be a warning.
    pub fn parse(answer: &Answer<'_>, issuer: &str, options: &ParseOptions) -> Result<Self, AnswerError> {
        let mut warnings = Vec::new();
        let members = answer.success_members(options, &mut warnings)?;
        Ok(Self::from_members(answer, Self::new(issuer, ""), options, members, warnings)?)
    }

    /// Reads what the server says of this registration later on (RFC 7592 §3). What it does not repeat of secret, registration
    /// access token and URI stays.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and if the answer is about another client.
    pub fn parse_again(&self, answer: &Answer<'_>, options: &ParseOptions) -> Result<Self, AnswerError> {
        let mut warnings = Vec::new();
        let members = answer.success_members(options, &mut warnings)?;
        Ok(Self::from_members(answer, self.clone(), options, members, warnings)?)
    }

    fn from_members(
        answer: &Answer<'_>,
        before: Self,
        options: &ParseOptions,
        mut members: Members,
        mut warnings: Vec<Warning>,
    ) -> Result<Self, UnusableAnswer> {
        let mut forgive = |warning| options.forgive(answer, &mut warnings, warning);
        let mut text = |name: &'static str| match members.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            // Empty secrets of public clients are not rare.
            Some(Value::String(_)) if name != "client_id" => Ok(None),
            Some(_) => Err(answer.unusable(UnusableReason::Member(name))),
        };
        let client_id = text("client_id")?
            .filter(|id| before.client_id.is_empty() || *id == before.client_id)
            .ok_or_else(|| answer.unusable(UnusableReason::Member("client_id")))?;
        let new_secret = text("client_secret")?.map(Secret::new);
        let registration_access_token =
            text("registration_access_token")?.map(Secret::new).or(before.registration_access_token);
        let registration_client_uri = text("registration_client_uri")?.or(before.registration_client_uri);

        let issued_at = members.remove("client_id_issued_at");
        let client_id_issued_at = issued_at.as_ref().and_then(time).or(before.client_id_issued_at);
        let client_secret_expires_at = match members.remove("client_secret_expires_at") {
            None | Some(Value::Null) if new_secret.is_some() => {
                forgive(Warning::ClientSecretExpiryAbsent)?;
                None
            }
            None | Some(Value::Null) => before.client_secret_expires_at,
            Some(value) => match Number::read(&value) {
                Some(at) if at.whole <= LAST_PLAUSIBLE_TIME && !at.has_fraction => {
                    if at.is_string {
                        forgive(Warning::ClientSecretExpiryString)?;
                    }
                    Some(at.whole).filter(|at| *at > 0)
                }
                _ => {
                    forgive(Warning::ClientSecretExpiryInvalid)?;
                    None
                }
            },
        };
        // A name of jeton's own in what is kept; the server's would be mistaken for it.
        members.remove("issuer");
        let registration = Self {
            issuer: before.issuer,
            client_id,
            client_secret: new_secret.or(before.client_secret),
            client_id_issued_at,
            client_secret_expires_at,
            registration_access_token,
            registration_client_uri,
            metadata: ClientMetadata::from_members(members.into_map()),
            warnings: Vec::new(),
        };
        let needs_secret = registration.authentication_method().starts_with("client_secret_");
        if needs_secret && registration.client_secret.is_none() {
            return Err(answer.unusable(UnusableReason::Member("client_secret")));
        }
        Ok(Self { warnings, ..registration })
    }

    /// How the client has to authenticate at the token endpoint: what the server registered, or else `client_secret_basic` if
    /// it gave a secret (RFC 7591 §2) and `none` if not.
    pub fn authentication_method(&self) -> &str {
        match (&self.metadata.token_endpoint_auth_method, &self.client_secret) {
            (Some(method), _) => method,
            (None, Some(_)) => "client_secret_basic",
            (None, None) => "none",
        }
    }

    /// When the client secret expires; `None` is never.
    pub fn secret_expires_at(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.client_secret_expires_at?))
    }

    /// Whether the client secret has expired at that time. A client without a secret never expires.
    pub fn is_secret_expired_at(&self, now: SystemTime) -> bool {
        self.client_secret.is_some() && self.secret_expires_at().is_some_and(|at| at <= now)
    }

    /// The URI of the client configuration endpoint, if the server gave one together with a token for it (RFC 7592 §3), and it
    /// is one that a token may be sent to: HTTPS, or on loopback, without fragment, user name and password.
    pub fn management(&self) -> Option<(Url, &Secret)> {
        let url = Url::parse(self.registration_client_uri.as_deref()?).ok()?;
        let is_plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        let token = self.registration_access_token.as_ref()?;
        (is_plain && is_secure_or_loopback(&url)).then_some((url, token))
    }

    /// The registration as one JSON object: the members of RFC 7591 and RFC 7592, and `issuer`. For whoever keeps it.
    pub fn to_json(&self) -> Secret {
        let metadata = match serde_json::to_value(&self.metadata) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        };
        let mut members = metadata;
        members.insert("issuer".to_owned(), self.issuer.as_str().into());
        members.insert("client_id".to_owned(), self.client_id.as_str().into());
        if let Some(secret) = &self.client_secret {
            members.insert("client_secret".to_owned(), secret.expose().into());
            members.insert(
                "client_secret_expires_at".to_owned(),
                self.client_secret_expires_at.unwrap_or_default().into(),
            );
        }
        let texts = [
            ("registration_access_token", self.registration_access_token.as_ref().map(Secret::expose)),
            ("registration_client_uri", self.registration_client_uri.as_deref()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                members.insert(name.to_owned(), text.into());
            }
        }
        if let Some(at) = self.client_id_issued_at {
            members.insert("client_id_issued_at".to_owned(), at.into());
        }
        Secret::new(Value::Object(members).to_string())
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// [`UnusableAnswer`], as [`parse`](Self::parse), also if there is no `issuer`.
    pub fn from_json(json: &Secret) -> Result<Self, UnusableAnswer> {
        let answer = Answer::new(200, Some("application/json"), json.expose().as_bytes());
        let members =
            Members::from_json(answer.body).map_err(|_| answer.unusable(UnusableReason::NotJson))?;
        let issuer = members.get("issuer").and_then(Value::as_str).filter(|issuer| !issuer.is_empty());
        let before = Self::new(issuer.ok_or_else(|| answer.unusable(UnusableReason::Member("issuer")))?, "");
        Self::from_members(&answer, before, &ParseOptions::default(), members, Vec::new())
    }
}

fn time(value: &Value) -> Option<u64> {
    Number::read(value).map(|at| at.whole).filter(|at| (1..=LAST_PLAUSIBLE_TIME).contains(at))
}

impl fmt::Debug for ClientRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRegistration")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("authentication_method", &self.authentication_method())
            .field("client_secret", &self.client_secret)
            .field("client_secret_expires_at", &self.client_secret_expires_at)
            .field("is_managed", &self.management().is_some())
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://as.example";

    fn parse(body: &str) -> Result<ClientRegistration, AnswerError> {
        let answer = Answer::new(201, Some("application/json"), body.as_bytes());
        ClientRegistration::parse(&answer, ISSUER, &ParseOptions::default())
    }

    #[test]
    fn a11_the_answer_of_rfc_7591_is_read_and_kept() {
        // RFC 7591 §3.2.1, and the two members of RFC 7592 §3.
        let body = r#"{"client_id":"s6BhdRkqt3","client_secret":"cf136dc3c1fc93f31185e5885805d",
            "client_id_issued_at":2893256800,"client_secret_expires_at":2893276800,
            "registration_access_token":"reg-23410913-abewfq.123483",
            "registration_client_uri":"https://as.example/register/s6BhdRkqt3",
            "redirect_uris":["https://client.example.org/callback","https://client.example.org/callback2"],
            "grant_types":["authorization_code","refresh_token"],"client_name":"My Example Client",
            "client_name#ja-Jpan-JP":"クライアント名","token_endpoint_auth_method":"client_secret_basic",
            "logo_uri":"https://client.example.org/logo.png","jwks_uri":"https://client.example.org/my_public_keys.jwks",
            "example_extension_parameter":"example_value"}"#;
        let read = parse(body).unwrap();
        assert_eq!(read.client_id, "s6BhdRkqt3");
        assert_eq!(read.client_secret_expires_at, Some(2_893_276_800));
        assert_eq!(read.authentication_method(), "client_secret_basic");
        assert_eq!(read.metadata.redirect_uris.len(), 2);
        assert_eq!(read.metadata.extra.get_str("example_extension_parameter"), Some("example_value"));
        assert_eq!(read.metadata.extra.len(), 2);
        assert!(read.warnings.is_empty());
        assert_eq!(read.management().unwrap().0.path(), "/register/s6BhdRkqt3");

        assert_eq!(ClientRegistration::from_json(&read.to_json()).unwrap(), read);
        let shown = format!("{read:?}");
        assert!(!shown.contains("cf136dc3") && !shown.contains("reg-2341"), "{shown}");
    }

    #[test]
    fn a11_zero_is_never_and_what_is_odd_is_told() {
        let of = |expiry: &str| {
            let read = parse(&format!(r#"{{"client_id":"c","client_secret":"s"{expiry}}}"#)).unwrap();
            (read.client_secret_expires_at, read.warnings)
        };
        assert_eq!(of(r#","client_secret_expires_at":0"#), (None, vec![]));
        assert_eq!(of(r#","client_secret_expires_at":5"#), (Some(5), vec![]));
        assert_eq!(
            of(r#","client_secret_expires_at":"5""#),
            (Some(5), vec![Warning::ClientSecretExpiryString])
        );
        assert_eq!(of(""), (None, vec![Warning::ClientSecretExpiryAbsent]));
        for odd in ["true", "1e400", "99999999999999", "\"soon\"", "5.5"] {
            let odd = of(&format!(r#","client_secret_expires_at":{odd}"#));
            assert_eq!(odd, (None, vec![Warning::ClientSecretExpiryInvalid]));
        }
        let expiring =
            parse(r#"{"client_id":"c","client_secret":"s","client_secret_expires_at":5}"#).unwrap();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(!expiring.is_secret_expired_at(at(4)) && expiring.is_secret_expired_at(at(5)));
        let body = br#"{"client_id":"c","client_secret":"s"}"#;
        let strict = ClientRegistration::parse(
            &Answer::new(201, Some("application/json"), body),
            ISSUER,
            &ParseOptions::strict(),
        );
        assert!(matches!(strict, Err(AnswerError::Unusable(_))));
    }

    #[test]
    fn what_is_no_registration_is_refused() {
        for body in [
            "{}",
            r#"{"client_id":""}"#,
            r#"{"client_id":5}"#,
            r#"{"client_id":"c","client_secret":5}"#,
            r#"{"client_id":"c","token_endpoint_auth_method":"client_secret_post"}"#,
            r#"{"client_id":"c","token_endpoint_auth_method":"client_secret_basic","client_secret":""}"#,
            "[]",
            "<html>",
        ] {
            assert!(matches!(parse(body), Err(AnswerError::Unusable(_))), "{body}");
        }
        let refused = parse(r#"{"error":"invalid_redirect_uri","error_description":"no"}"#);
        assert!(matches!(refused, Err(AnswerError::OAuth(_))));
    }

    #[test]
    fn a11_a_later_answer_keeps_what_it_does_not_repeat_and_is_about_the_same_client() {
        let first = parse(
            r#"{"client_id":"c","client_secret":"s","client_secret_expires_at":9,"registration_access_token":"r1",
                "registration_client_uri":"https://as.example/r/c"}"#,
        )
        .unwrap();
        let again = |body: &str| {
            let answer = Answer::new(200, Some("application/json"), body.as_bytes());
            first.parse_again(&answer, &ParseOptions::default())
        };
        let read = again(r#"{"client_id":"c","registration_access_token":"r2"}"#).unwrap();
        assert_eq!(read.client_secret, Some(Secret::from("s")));
        assert_eq!(read.client_secret_expires_at, Some(9));
        assert_eq!(read.registration_access_token, Some(Secret::from("r2")));
        assert_eq!(read.registration_client_uri, first.registration_client_uri);
        let renewed =
            again(r#"{"client_id":"c","client_secret":"s2","client_secret_expires_at":0}"#).unwrap();
        assert_eq!(renewed.registration_access_token, first.registration_access_token);
        assert_eq!(
            (renewed.client_secret, renewed.client_secret_expires_at),
            (Some(Secret::from("s2")), None)
        );
        assert!(again(r#"{"client_id":"other"}"#).is_err());
        assert!(again("{}").is_err());
    }

    #[test]
    fn a_registration_access_token_goes_to_no_odd_place() {
        let mut registration = ClientRegistration::new(ISSUER, "c");
        registration.registration_access_token = Some(Secret::from("r"));
        for (uri, good) in [
            ("https://as.example/register?client_id=c", true),
            ("http://127.0.0.1:1/r", true),
            ("http://as.example/r", false),
            ("https://u:p@as.example/r", false),
            ("https://as.example/r#f", false),
            ("/register/c", false),
        ] {
            registration.registration_client_uri = Some(uri.to_owned());
            assert_eq!(registration.management().is_some(), good, "{uri}");
        }
        registration.registration_access_token = None;
        assert!(registration.management().is_none());
    }

    #[test]
    fn application_type_follows_from_the_redirect_uris() {
        let of = |uris: &[&str]| ClientMetadata::public(uris.iter().copied()).application_type;
        assert_eq!(of(&["https://app.example/cb"]).as_deref(), Some("web"));
        for native in
            ["http://127.0.0.1/cb", "http://localhost:5/cb", "com.example.app:/cb", "https://localhost/cb"]
        {
            assert_eq!(of(&[native]).as_deref(), Some("native"), "{native}");
            assert_eq!(of(&["https://app.example/cb", native]).as_deref(), Some("native"), "{native}");
        }
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn what_a_client_may_not_ask_for_is_told_beforehand() {
        let mut metadata = ClientMetadata::public(["https://app.example/cb"]);
        assert_eq!(metadata.check(), Ok(()));
        metadata.jwks_uri = Some("https://app.example/jwks".to_owned());
        metadata.jwks = Some(serde_json::json!({"keys": []}));
        assert_eq!(metadata.check(), Err(ClientMetadataError::TwoKeySets));
        metadata.jwks = None;
        metadata.extra.insert("client_secret", "mine");
        assert_eq!(metadata.check(), Err(ClientMetadataError::NotTheClients { name: "client_secret" }));
        for wrong in ["/callback", "https://app.example/cb#f", "app"] {
            let metadata = ClientMetadata::public([wrong]);
            assert!(matches!(metadata.check(), Err(ClientMetadataError::RedirectUri { .. })), "{wrong}");
        }
    }

    #[test]
    fn metadata_survives_its_json() {
        let json = r#"{"redirect_uris":["https://app.example/cb"],"client_name":"A","client_name#de":"Ä",
            "scope":"read write","response_types":[],"grant_types":["client_credentials"],"jwks":{"keys":[]},
            "dpop_bound_access_tokens":true,"contacts":"none"}"#;
        let metadata: ClientMetadata = serde_json::from_str(json).unwrap();
        assert_eq!(metadata.response_types.as_deref(), Some(&[][..]));
        assert_eq!(metadata.extra.len(), 2);
        let again: Value = serde_json::from_str(&metadata.to_json()).unwrap();
        assert_eq!(again, serde_json::from_str::<Value>(json).unwrap());
    }
}
