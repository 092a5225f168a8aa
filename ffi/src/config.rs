//! `jeton_config`: the configuration of clients, by numbered options.

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use jeton::grants::{ExtraParameters, Interaction};
use jeton::storage::TokenStore;
use zeroize::Zeroizing;

use crate::error::{Failure, jeton_error};
use crate::strings::{bytes, text};
use crate::{fallible, guarded};

/// String: the issuer identifier of the authorization server, an HTTPS URL exactly as the server spells it. Its
/// endpoints are discovered from there at the first use (RFC 8414, OpenID Connect Discovery).
pub const JETON_OPTION_ISSUER: i32 = 1;
/// String: the URL of the token endpoint, for servers without discovery, or instead of the discovered one. So are the
/// four options that follow.
pub const JETON_OPTION_TOKEN_ENDPOINT: i32 = 2;
/// String: the URL of the authorization endpoint.
pub const JETON_OPTION_AUTHORIZATION_ENDPOINT: i32 = 3;
/// String: the URL of the device authorization endpoint (RFC 8628).
pub const JETON_OPTION_DEVICE_AUTHORIZATION_ENDPOINT: i32 = 4;
/// String: the URL of the revocation endpoint (RFC 7009).
pub const JETON_OPTION_REVOCATION_ENDPOINT: i32 = 5;
/// String: the URL of the introspection endpoint (RFC 7662).
pub const JETON_OPTION_INTROSPECTION_ENDPOINT: i32 = 6;
/// String: the server's whole metadata document, JSON of RFC 8414. Nothing is discovered then.
pub const JETON_OPTION_METADATA: i32 = 7;

/// String, required: the client identifier that the server gave this program.
pub const JETON_OPTION_CLIENT_ID: i32 = 20;
/// Secret: the client secret, UTF-8. A program without one is a public client.
pub const JETON_OPTION_CLIENT_SECRET: i32 = 21;
/// Number: how the client authenticates, a `JETON_AUTHENTICATION_` constant. Unless set: Basic where there is a
/// secret, else none.
pub const JETON_OPTION_CLIENT_AUTHENTICATION: i32 = 22;
/// Secret: the client's private key, PEM (PKCS#8, PKCS#1, SEC1; not encrypted) or a JWK in JSON. For
/// JETON_AUTHENTICATION_PRIVATE_KEY_JWT and JETON_OPTION_SIGNED_AUTHORIZATION_REQUESTS. A key that stays where it is:
/// jeton_config_set_signer.
pub const JETON_OPTION_PRIVATE_KEY: i32 = 23;
/// String: the algorithm of the private key's signatures, such as "ES256", "RS256", "PS256", "EdDSA". Needed for PEM; a JWK may
/// name it itself. For JETON_AUTHENTICATION_CLIENT_SECRET_JWT: "HS256" (unless set), "HS384" or "HS512".
pub const JETON_OPTION_PRIVATE_KEY_ALGORITHM: i32 = 24;
/// String: the name under which the server knows the private key's public one (the header "kid").
pub const JETON_OPTION_PRIVATE_KEY_ID: i32 = 25;
/// String: the client's certificate and those that lead to its authority, in PEM (RFC 8705). Connections to the authorization
/// server and to the resource servers show it.
pub const JETON_OPTION_CLIENT_CERTIFICATE: i32 = 26;
/// Secret: the private key of that certificate, in PEM.
pub const JETON_OPTION_CLIENT_CERTIFICATE_KEY: i32 = 27;
/// String: the name of the profile of a provider that does some things otherwise than the RFCs say, such as "github": its
/// endpoints, and how it wants its requests. What is set besides wins.
pub const JETON_OPTION_PROVIDER: i32 = 28;
/// String, may be set several times: what the profile leaves open, as "name=value", such as "shop=my-shop".
pub const JETON_OPTION_PROVIDER_VALUE: i32 = 29;

/// Number: how a first token is obtained, a `JETON_GRANT_` constant. Unless set, there are jeton_session_begin_log_in
/// and jeton_session_adopt only.
pub const JETON_OPTION_GRANT: i32 = 30;
/// String: the scope to ask for, names separated by spaces.
pub const JETON_OPTION_SCOPE: i32 = 31;
/// String, may be set several times: a resource to ask for, by its identifier, an absolute URI (RFC 8707). The origin
/// of an HTTPS URL may get the token in requests, too.
pub const JETON_OPTION_RESOURCE: i32 = 32;
/// String, may be set several times: an origin that may get the token in requests, such as "https://api.example". No
/// other one ever gets it.
pub const JETON_OPTION_RESOURCE_SERVER: i32 = 33;
/// String: the person's name, for JETON_GRANT_PASSWORD.
pub const JETON_OPTION_USERNAME: i32 = 34;
/// Secret: the person's password, UTF-8, for JETON_GRANT_PASSWORD.
pub const JETON_OPTION_PASSWORD: i32 = 35;
/// String: the host of the redirect URI, for JETON_GRANT_AUTHORIZATION_CODE: "127.0.0.1" (unless set), "[::1]" or
/// "localhost". The listener is on loopback in any case.
pub const JETON_OPTION_REDIRECT_HOST: i32 = 36;
/// Number: the port of the redirect URI, 0 (any free one, unless set) to 65535.
pub const JETON_OPTION_REDIRECT_PORT: i32 = 37;
/// String: the path of the redirect URI; "/callback" unless set.
pub const JETON_OPTION_REDIRECT_PATH: i32 = 38;
/// Number, 0 or 1: PKCE in the device grant too, for servers that take it there. 0 unless set.
pub const JETON_OPTION_DEVICE_PKCE: i32 = 39;
/// String: what to ask for beyond a scope, a JSON array of objects, each with a "type" (RFC 9396).
pub const JETON_OPTION_AUTHORIZATION_DETAILS: i32 = 40;
/// Number, 0 or 1: authorization requests go to the server first, and the browser gets a reference to them (RFC 9126): 1 always,
/// 0 never. Unless set: where the server requires it.
pub const JETON_OPTION_PUSHED_AUTHORIZATION_REQUESTS: i32 = 41;
/// Number, 0 or 1: authorization requests are signed with the client's private key (RFC 9101). 0 unless set.
pub const JETON_OPTION_SIGNED_AUTHORIZATION_REQUESTS: i32 = 42;
/// Number, 0 or 1: the server signs what it answers to authorization requests (JARM). 0 unless set.
pub const JETON_OPTION_SIGNED_AUTHORIZATION_RESPONSES: i32 = 43;
/// Number, 0 or 1: tokens are bound to a key that never leaves this program and its store (DPoP, RFC 9449), so that a stolen one is
/// worth nothing. 0 unless set.
pub const JETON_OPTION_DPOP: i32 = 44;
/// Number, 0 or 1: the FAPI 2.0 Security Profile: pushed requests, bound tokens (JETON_OPTION_DPOP or a client certificate), and a
/// client that authenticates with a key. What is missing is told. 0 unless set.
pub const JETON_OPTION_FAPI2_SECURITY_PROFILE: i32 = 45;

/// Number: where logins are kept, a `JETON_STORE_` constant. `JETON_STORE_MEMORY` unless set.
pub const JETON_OPTION_STORE: i32 = 50;
/// String: the folder of the stores of files, and of the locks of JETON_STORE_KEYRING. Unless set, the platform's
/// default place.
pub const JETON_OPTION_STORE_FOLDER: i32 = 51;
/// String: JETON_STORE_KEYRING: the service of the keychain's entries ("jeton" unless set). JETON_STORE_AUTOMATIC,
/// required: the program's name, best under a domain of yours ("com.example.my-tool"). JETON_STORE_SEALED with
/// neither key nor passphrase: the service of the keychain's entry for the key ("jeton" unless set).
pub const JETON_OPTION_STORE_SERVICE: i32 = 52;
/// Secret: 32 random bytes that files are sealed with: JETON_STORE_SEALED and JETON_STORE_AUTOMATIC.
pub const JETON_OPTION_STORE_KEY: i32 = 53;
/// Secret: the passphrase, UTF-8, that files are sealed with: JETON_STORE_SEALED and JETON_STORE_AUTOMATIC.
pub const JETON_OPTION_STORE_PASSPHRASE: i32 = 54;
/// Number, 0 or 1: JETON_STORE_AUTOMATIC may take a file that is not encrypted where there is nothing better. 0
/// unless set.
pub const JETON_OPTION_STORE_ALLOW_UNENCRYPTED_FILE: i32 = 55;

/// String: the proxy, such as "http://user:password@proxy.example:8080". Unless set, what the environment or the
/// system says.
pub const JETON_OPTION_PROXY: i32 = 60;
/// Number, 0 or 1: no proxy, whatever the environment says.
pub const JETON_OPTION_NO_PROXY: i32 = 61;
/// String, may be set several times: certificate authorities in PEM to trust beside the platform's.
pub const JETON_OPTION_CA_CERTIFICATES: i32 = 62;
/// String: the header `User-Agent`. "jeton/" and the version unless set.
pub const JETON_OPTION_USER_AGENT: i32 = 63;
/// Number, milliseconds: how long connecting may take. 10000 unless set.
pub const JETON_OPTION_CONNECT_TIMEOUT_MS: i32 = 64;
/// Number, milliseconds: how long a whole request to the authorization server may take. 30000 unless set.
pub const JETON_OPTION_REQUEST_TIMEOUT_MS: i32 = 65;
/// Number, bytes: the largest answer of the authorization server that is read. 1 MiB unless set.
pub const JETON_OPTION_MAX_BODY: i32 = 66;

/// Number, 0 or 1: what would be a warning on a token (jeton_token_warning_count) is an error. 0 unless set.
pub const JETON_OPTION_STRICT: i32 = 70;
/// Number, milliseconds: how long before its expiry a token counts as expired. 30000 unless set, and never more than
/// a fifth of the token's lifetime.
pub const JETON_OPTION_EARLY_EXPIRY_MS: i32 = 71;
/// Number, 0 or 1: refresh in the background shortly before a token in use expires, so that a busy caller never
/// waits. For long-running programs; 0 unless set.
pub const JETON_OPTION_REFRESH_AHEAD: i32 = 72;
/// Number, milliseconds: the longest wait for another process that is refreshing the same login. The request timeout
/// and 15 s unless set.
pub const JETON_OPTION_LEASE_TIMEOUT_MS: i32 = 73;
/// Number, milliseconds: the longest wait of jeton_session_close and of the last jeton_session_free of a login for a
/// refresh under way. 10000 unless set.
pub const JETON_OPTION_CLOSE_TIMEOUT_MS: i32 = 74;
/// Number, milliseconds: how long a person may take for a login by authorization code. 300000 unless set.
pub const JETON_OPTION_LOGIN_TIMEOUT_MS: i32 = 75;

/// String: what the client asks to be where it registers itself, JSON of RFC 7591 §2, such as
/// {"client_name":"My App","redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none",
/// "grant_types":["authorization_code","refresh_token"]}: jeton_client_register, jeton_resource_client_new.
pub const JETON_OPTION_CLIENT_METADATA: i32 = 80;
/// Secret: what a server demands that registers not just anybody (RFC 7591 §3).
pub const JETON_OPTION_INITIAL_ACCESS_TOKEN: i32 = 81;
/// String: which of the clients is meant that share a store and register themselves; "default" unless set. Programs of different
/// metadata need labels of their own.
pub const JETON_OPTION_REGISTRATION_LABEL: i32 = 82;
/// String: the HTTPS URL of the client's own metadata document, which is its client identifier where a server takes one:
/// jeton_resource_client_new.
pub const JETON_OPTION_CLIENT_ID_DOCUMENT: i32 = 83;
/// String, may be set several times: the issuer of a server that a resource may name without anybody being asked:
/// jeton_resource_client_new.
pub const JETON_OPTION_TRUSTED_SERVER: i32 = 84;
/// String: whose logins a jeton_resource_client has, a label that the program chooses. "default" unless set.
pub const JETON_OPTION_ACCOUNT: i32 = 85;

/// `client_secret_basic` (RFC 6749 §2.3.1): the default where there is a secret.
pub const JETON_AUTHENTICATION_BASIC: i32 = 1;
/// `client_secret_post` (RFC 6749 §2.3.1): the secret in the body, for servers that insist.
pub const JETON_AUTHENTICATION_POST: i32 = 2;
/// A public client, which has no secret.
pub const JETON_AUTHENTICATION_NONE: i32 = 3;
/// `private_key_jwt` (RFC 7523): a short-lived statement that JETON_OPTION_PRIVATE_KEY signs, or a signer of the program's own
/// (jeton_config_set_signer).
pub const JETON_AUTHENTICATION_PRIVATE_KEY_JWT: i32 = 4;
/// `client_secret_jwt` (RFC 7523): the same, signed with the client secret, which is not sent.
pub const JETON_AUTHENTICATION_CLIENT_SECRET_JWT: i32 = 5;
/// `tls_client_auth` (RFC 8705): JETON_OPTION_CLIENT_CERTIFICATE, of an authority that the server trusts.
pub const JETON_AUTHENTICATION_TLS: i32 = 6;
/// `self_signed_tls_client_auth` (RFC 8705): JETON_OPTION_CLIENT_CERTIFICATE, which is registered for the client.
pub const JETON_AUTHENTICATION_SELF_SIGNED_TLS: i32 = 7;

/// A person logs in with a browser, and the answer comes to a listener on loopback (RFC 6749 §4.1, RFC 8252, PKCE).
pub const JETON_GRANT_AUTHORIZATION_CODE: i32 = 1;
/// A person enters a code on another device (RFC 8628). Needs jeton_config_set_interaction with `show_device_code`.
pub const JETON_GRANT_DEVICE_CODE: i32 = 2;
/// The program itself is who logs in (RFC 6749 §4.4). No person is needed: jeton_session_token does all.
pub const JETON_GRANT_CLIENT_CREDENTIALS: i32 = 3;
/// The program knows a person's name and password (RFC 6749 §4.3). RFC 9700 §2.4 forbids it: for servers that offer
/// nothing else.
pub const JETON_GRANT_PASSWORD: i32 = 4;

/// In memory: gone when the process ends. The default.
pub const JETON_STORE_MEMORY: i32 = 1;
/// A plain file per login, which only the user can read.
pub const JETON_STORE_FILE: i32 = 2;
/// An encrypted file per login: with JETON_OPTION_STORE_KEY, JETON_OPTION_STORE_PASSPHRASE, or else a key that is
/// kept in the operating system's keychain.
pub const JETON_STORE_SEALED: i32 = 3;
/// The operating system's keychain.
pub const JETON_STORE_KEYRING: i32 = 4;
/// The keychain; where there is none, sealed files if key or passphrase are set; else a plain file if that is
/// allowed. Once a login is stored, always the same one.
pub const JETON_STORE_AUTOMATIC: i32 = 5;

/// Extra parameters of authorization requests: the URL that the browser opens.
pub const JETON_REQUEST_AUTHORIZATION: i32 = 1;
/// Extra parameters of token requests other than refreshes.
pub const JETON_REQUEST_TOKEN: i32 = 2;
/// Extra parameters of refresh requests.
pub const JETON_REQUEST_REFRESH: i32 = 3;
/// Extra parameters of device authorization requests.
pub const JETON_REQUEST_DEVICE_AUTHORIZATION: i32 = 4;

/// What an option takes.
enum Kind {
    /// A string: `jeton_config_set_str`; the last one counts.
    Str,
    /// Strings: `jeton_config_set_str`, as often as wanted.
    Strs,
    /// Bytes that are wiped: `jeton_config_set_secret`; UTF-8 text of any length.
    SecretText,
    /// Bytes that are wiped: that many.
    SecretBytes(usize),
    /// A number in that range: `jeton_config_set_int`.
    Int(RangeInclusive<i64>),
}

struct Entry {
    number: i32,
    name: &'static str,
    kind: Kind,
}

/// Milliseconds or bytes.
const AMOUNT: Kind = Kind::Int(0..=i64::MAX);
const SWITCH: Kind = Kind::Int(0..=1);

macro_rules! options {
    ($($name:ident $kind:expr;)*) => {
        &[$(Entry { number: $name, name: stringify!($name), kind: $kind }),*]
    };
}

/// Every option: what it is called and what it takes.
static OPTIONS: &[Entry] = options! {
    JETON_OPTION_ISSUER Kind::Str;
    JETON_OPTION_TOKEN_ENDPOINT Kind::Str;
    JETON_OPTION_AUTHORIZATION_ENDPOINT Kind::Str;
    JETON_OPTION_DEVICE_AUTHORIZATION_ENDPOINT Kind::Str;
    JETON_OPTION_REVOCATION_ENDPOINT Kind::Str;
    JETON_OPTION_INTROSPECTION_ENDPOINT Kind::Str;
    JETON_OPTION_METADATA Kind::Str;
    JETON_OPTION_CLIENT_ID Kind::Str;
    JETON_OPTION_CLIENT_SECRET Kind::SecretText;
    JETON_OPTION_CLIENT_AUTHENTICATION Kind::Int(JETON_AUTHENTICATION_BASIC as i64..=JETON_AUTHENTICATION_SELF_SIGNED_TLS as i64);
    JETON_OPTION_PRIVATE_KEY Kind::SecretText;
    JETON_OPTION_PRIVATE_KEY_ALGORITHM Kind::Str;
    JETON_OPTION_PRIVATE_KEY_ID Kind::Str;
    JETON_OPTION_CLIENT_CERTIFICATE Kind::Str;
    JETON_OPTION_CLIENT_CERTIFICATE_KEY Kind::SecretText;
    JETON_OPTION_PROVIDER Kind::Str;
    JETON_OPTION_PROVIDER_VALUE Kind::Strs;
    JETON_OPTION_GRANT Kind::Int(JETON_GRANT_AUTHORIZATION_CODE as i64..=JETON_GRANT_PASSWORD as i64);
    JETON_OPTION_SCOPE Kind::Str;
    JETON_OPTION_RESOURCE Kind::Strs;
    JETON_OPTION_RESOURCE_SERVER Kind::Strs;
    JETON_OPTION_USERNAME Kind::Str;
    JETON_OPTION_PASSWORD Kind::SecretText;
    JETON_OPTION_REDIRECT_HOST Kind::Str;
    JETON_OPTION_REDIRECT_PORT Kind::Int(0..=65_535);
    JETON_OPTION_REDIRECT_PATH Kind::Str;
    JETON_OPTION_DEVICE_PKCE SWITCH;
    JETON_OPTION_AUTHORIZATION_DETAILS Kind::Str;
    JETON_OPTION_PUSHED_AUTHORIZATION_REQUESTS SWITCH;
    JETON_OPTION_SIGNED_AUTHORIZATION_REQUESTS SWITCH;
    JETON_OPTION_SIGNED_AUTHORIZATION_RESPONSES SWITCH;
    JETON_OPTION_DPOP SWITCH;
    JETON_OPTION_FAPI2_SECURITY_PROFILE SWITCH;
    JETON_OPTION_STORE Kind::Int(JETON_STORE_MEMORY as i64..=JETON_STORE_AUTOMATIC as i64);
    JETON_OPTION_STORE_FOLDER Kind::Str;
    JETON_OPTION_STORE_SERVICE Kind::Str;
    JETON_OPTION_STORE_KEY Kind::SecretBytes(32);
    JETON_OPTION_STORE_PASSPHRASE Kind::SecretText;
    JETON_OPTION_STORE_ALLOW_UNENCRYPTED_FILE SWITCH;
    JETON_OPTION_PROXY Kind::Str;
    JETON_OPTION_NO_PROXY SWITCH;
    JETON_OPTION_CA_CERTIFICATES Kind::Strs;
    JETON_OPTION_USER_AGENT Kind::Str;
    JETON_OPTION_CONNECT_TIMEOUT_MS AMOUNT;
    JETON_OPTION_REQUEST_TIMEOUT_MS AMOUNT;
    JETON_OPTION_MAX_BODY AMOUNT;
    JETON_OPTION_STRICT SWITCH;
    JETON_OPTION_EARLY_EXPIRY_MS AMOUNT;
    JETON_OPTION_REFRESH_AHEAD SWITCH;
    JETON_OPTION_LEASE_TIMEOUT_MS AMOUNT;
    JETON_OPTION_CLOSE_TIMEOUT_MS AMOUNT;
    JETON_OPTION_LOGIN_TIMEOUT_MS AMOUNT;
    JETON_OPTION_CLIENT_METADATA Kind::Str;
    JETON_OPTION_INITIAL_ACCESS_TOKEN Kind::SecretText;
    JETON_OPTION_REGISTRATION_LABEL Kind::Str;
    JETON_OPTION_CLIENT_ID_DOCUMENT Kind::Str;
    JETON_OPTION_TRUSTED_SERVER Kind::Strs;
    JETON_OPTION_ACCOUNT Kind::Str;
};

impl Kind {
    /// What it takes, and by which function.
    fn taken_by(&self) -> &'static str {
        match self {
            Self::Str | Self::Strs => "a string: use jeton_config_set_str",
            Self::SecretText | Self::SecretBytes(_) => "a secret: use jeton_config_set_secret",
            Self::Int(_) => "a number: use jeton_config_set_int",
        }
    }
}

/// The option of that number, or what is wrong with it.
fn option(number: i32) -> Result<&'static Entry, Failure> {
    OPTIONS.iter().find(|option| option.number == number).ok_or_else(|| {
        jeton_error::argument(format!(
            "option {number} is not known to this version ({}); see jeton_version",
            env!("CARGO_PKG_VERSION")
        ))
    })
}

impl Entry {
    fn takes_something_else(&self) -> Failure {
        jeton_error::argument(format!("{} takes {}", self.name, self.kind.taken_by()))
    }
}

/// The configuration of clients: options, callbacks, a store. jeton_client_new checks it as a whole.
///
/// Ownership: jeton_config_new makes one, jeton_config_free frees it, which may be done as soon as the clients are
/// made. What is set is copied, and secrets are wiped when it is freed.
///
/// Threads: one thread at a time.
#[derive(Default)]
pub struct jeton_config {
    strings: BTreeMap<i32, Vec<String>>,
    secrets: BTreeMap<i32, Zeroizing<Vec<u8>>>,
    numbers: BTreeMap<i32, i64>,
    pub(crate) extra: ExtraParameters,
    pub(crate) interaction: Option<Arc<dyn Interaction>>,
    pub(crate) store: Option<Arc<dyn TokenStore>>,
    pub(crate) listeners: Vec<crate::event::Listener>,
    /// Keys of the program's own, by purpose.
    #[cfg(feature = "jose")]
    pub(crate) signers: BTreeMap<i32, crate::signer::SharedSigner>,
}

impl jeton_config {
    /// The string of an option that takes one.
    pub(crate) fn string(&self, option: i32) -> Option<&str> {
        self.strings(option).last().map(String::as_str)
    }

    /// The strings of an option that takes several, in the order in which they were set.
    pub(crate) fn strings(&self, option: i32) -> &[String] {
        self.strings.get(&option).map_or(&[], Vec::as_slice)
    }

    /// The bytes of a secret.
    pub(crate) fn secret(&self, option: i32) -> Option<&[u8]> {
        self.secrets.get(&option).map(|secret| secret.as_slice())
    }

    /// A secret that is text: it was checked when it was set.
    pub(crate) fn secret_text(&self, option: i32) -> Option<&str> {
        self.secret(option).and_then(|secret| std::str::from_utf8(secret).ok())
    }

    pub(crate) fn number(&self, option: i32) -> Option<i64> {
        self.numbers.get(&option).copied()
    }

    /// A number whose range fits.
    pub(crate) fn small_number(&self, option: i32) -> Option<i32> {
        self.number(option).and_then(|number| i32::try_from(number).ok())
    }

    pub(crate) fn switch(&self, option: i32) -> bool {
        self.number(option) == Some(1)
    }

    fn set_str(&mut self, number: i32, value: &str) -> Result<(), Failure> {
        let option = option(number)?;
        let values = match &option.kind {
            Kind::Str => Vec::new(),
            Kind::Strs => self.strings.remove(&number).unwrap_or_default(),
            _ => return Err(option.takes_something_else()),
        };
        let values = values.into_iter().chain([value.to_owned()]).collect();
        self.strings.insert(number, values);
        Ok(())
    }

    fn set_secret(&mut self, number: i32, value: &[u8]) -> Result<(), Failure> {
        let option = option(number)?;
        match &option.kind {
            Kind::SecretText if std::str::from_utf8(value).is_err() => {
                return Err(jeton_error::argument(format!("{} is not UTF-8; convert it", option.name)));
            }
            Kind::SecretText => {}
            Kind::SecretBytes(length) if value.len() != *length => {
                return Err(jeton_error::argument(format!(
                    "{} takes {length} bytes, and these are {}; decode them if they are in hexadecimal or base64",
                    option.name,
                    value.len()
                )));
            }
            Kind::SecretBytes(_) => {}
            _ => return Err(option.takes_something_else()),
        }
        // Of the right size at once: nothing unwiped is left behind by growing.
        self.secrets.insert(number, Zeroizing::new(value.to_vec()));
        Ok(())
    }

    fn set_int(&mut self, number: i32, value: i64) -> Result<(), Failure> {
        let option = option(number)?;
        let Kind::Int(range) = &option.kind else { return Err(option.takes_something_else()) };
        if !range.contains(&value) {
            let range = match *range.end() {
                i64::MAX => "0 or more".to_owned(),
                end => format!("{} to {end}", range.start()),
            };
            return Err(jeton_error::argument(format!("{} takes {range}, and this is {value}", option.name)));
        }
        self.numbers.insert(number, value);
        Ok(())
    }

    fn add_parameter(&mut self, request: i32, name: &str, value: &str) -> Result<(), Failure> {
        let parameters = match request {
            JETON_REQUEST_AUTHORIZATION => &mut self.extra.authorization,
            JETON_REQUEST_TOKEN => &mut self.extra.token,
            JETON_REQUEST_REFRESH => &mut self.extra.refresh,
            JETON_REQUEST_DEVICE_AUTHORIZATION => &mut self.extra.device_authorization,
            _ => {
                return Err(jeton_error::argument(format!(
                    "{request} is no kind of request: use one of the JETON_REQUEST_ constants"
                )));
            }
        };
        if name.is_empty() {
            return Err(jeton_error::argument("the argument name is empty; name the parameter"));
        }
        parameters.append(name, value).map_err(|error| jeton_error::argument(error.to_string()))
    }
}

impl fmt::Debug for jeton_config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets, also in the password of a proxy.
        f.debug_struct("jeton_config")
            .field("strings", &self.strings.keys())
            .field("secrets", &self.secrets.keys())
            .field("numbers", &self.numbers)
            .finish_non_exhaustive()
    }
}

/// Makes an empty configuration.
///
/// Ownership: the caller's; free it with jeton_config_free. NULL only after a defect of jeton.
///
/// Threads: any thread. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn jeton_config_new() -> *mut jeton_config {
    guarded(std::ptr::null_mut(), || crate::boxed(jeton_config::default()))
}

/// Frees a configuration and wipes its secrets. NULL is allowed. Clients that were made with it go on working;
/// interaction, store and listeners are destroyed when the last of those is gone as well.
///
/// Threads: one thread at a time. Errors: none.
///
/// # Safety
///
/// `config` is NULL or a live handle, which is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_config_free(config: *mut jeton_config) {
    // SAFETY: the caller promises NULL or a live handle, made by `boxed`.
    guarded((), || unsafe { crate::free(config) });
}

/// Sets an option that takes a string. Setting it again replaces the string, or adds one where the option says that
/// it may be set several times.
///
/// `option`: one of the `JETON_OPTION_` constants. `value`: NUL-terminated UTF-8, copied.
///
/// Threads: one thread at a time.
///
/// Errors: `JETON_ERROR_INVALID_ARGUMENT` if the option is not known, takes something else, or the value is NULL or
/// not UTF-8. Whether the value itself can work is checked by jeton_client_new.
///
/// # Safety
///
/// `config` is NULL or a live handle, `value` is NULL or a NUL-terminated string, and `error` is NULL or can be
/// written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_config_set_str(
    config: *mut jeton_config,
    option: i32,
    value: *const c_char,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { fallible(error, || mutable(config)?.set_str(option, text(value, "value")?)) }
}

/// Sets an option that takes a secret. Setting it again replaces it.
///
/// `option`: one of the `JETON_OPTION_` constants. `value`: `length` bytes, copied; the copy is wiped when the
/// configuration is freed. Wipe yours.
///
/// Threads: one thread at a time.
///
/// Errors: `JETON_ERROR_INVALID_ARGUMENT` if the option is not known or takes something else, if the value is NULL
/// with a length, not UTF-8 where it must be text, or of the wrong length where it is a key.
///
/// # Safety
///
/// `config` is NULL or a live handle, `value` is NULL or points to `length` bytes, and `error` is NULL or can be
/// written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_config_set_secret(
    config: *mut jeton_config,
    option: i32,
    value: *const u8,
    length: usize,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { fallible(error, || mutable(config)?.set_secret(option, bytes(value, length, "value")?)) }
}

/// Sets an option that takes a number. Setting it again replaces it.
///
/// `option`: one of the `JETON_OPTION_` constants, which says the unit: milliseconds, bytes, 0 or 1, or one of
/// several constants.
///
/// Threads: one thread at a time.
///
/// Errors: `JETON_ERROR_INVALID_ARGUMENT` if the option is not known or takes something else, or if the number is out
/// of range.
///
/// # Safety
///
/// `config` is NULL or a live handle, and `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_config_set_int(
    config: *mut jeton_config,
    option: i32,
    value: i64,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { fallible(error, || mutable(config)?.set_int(option, value)) }
}

/// Adds a parameter of the program's own to a kind of request, such as "prompt" or "audience". What is set for one
/// kind never leaks into another.
///
/// `request`: one of the `JETON_REQUEST_` constants. `name`, `value`: NUL-terminated UTF-8, copied; not encoded. An
/// empty value is left out, as RFC 6749 §3.1 treats it.
///
/// Threads: one thread at a time.
///
/// Errors: `JETON_ERROR_INVALID_ARGUMENT` if the kind of request is not known, an argument is NULL or not UTF-8, or
/// the parameter is there already and may not be repeated. A parameter that clashes with one of the request's own
/// fails when the request is made, with `JETON_ERROR_CONFIGURATION`.
///
/// # Safety
///
/// `config` is NULL or a live handle, `name` and `value` each are NULL or a NUL-terminated string, and `error` is
/// NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_config_add_parameter(
    config: *mut jeton_config,
    request: i32,
    name: *const c_char,
    value: *const c_char,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        fallible(error, || {
            mutable(config)?.add_parameter(request, text(name, "name")?, text(value, "value")?)
        })
    }
}

/// The configuration to change.
///
/// # Safety
///
/// `config` is NULL or a live handle that nobody else uses meanwhile.
pub(crate) unsafe fn mutable<'a>(config: *mut jeton_config) -> Result<&'a mut jeton_config, Failure> {
    // SAFETY: as the caller promises.
    unsafe { config.as_mut() }.ok_or_else(|| jeton_error::argument("the argument config is NULL"))
}
