//! `Interaction`: how a person is reached. A terminal, a GUI and a C program each bring their own.
//! The listener that receives the authorization response is `RedirectEndpoint`.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jeton_models::{DeviceAuthorizationResponse, Secret, is_secure_or_loopback};
use url::Url;

use crate::PendingLogin;
use crate::endpoint::shown;

/// Reaches the person who logs in.
///
/// Each method has a default that says that this kind of interaction is not to be had, so that an implementation
/// offers what it can.
#[async_trait]
pub trait Interaction: Send + Sync {
    /// Brings the person to the authorization URL: opens a browser, or shows the URL.
    ///
    /// Give back [`AuthorizationReply::Opened`] when the redirect will arrive at the listener, or
    /// [`AuthorizationReply::Redirected`] with the URL that the person pasted. The future runs beside the listener and
    /// is dropped as soon as that has the answer.
    ///
    /// # Errors
    /// [`InteractionError`], which ends the login.
    async fn open_authorization_url(
        &self,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, InteractionError> {
        let _ = prompt;
        Err(InteractionError::unavailable("no `interaction` is set that can open a browser"))
    }

    /// Shows where to enter which code (RFC 8628 §3.3). Returns at once; polling goes on meanwhile.
    ///
    /// # Errors
    /// [`InteractionError`], which ends the login.
    async fn show_device_code(&self, prompt: &DeviceCodePrompt<'_>) -> Result<(), InteractionError> {
        let _ = prompt;
        Err(InteractionError::unavailable("no `interaction` is set that can show a device code"))
    }

    /// Called about once a second while the server waits for the person: for a countdown.
    ///
    /// # Errors
    /// [`InteractionError`], such as [`InteractionError::cancelled`], which ends the login.
    async fn device_code_pending(
        &self,
        prompt: &DeviceCodePrompt<'_>,
        remaining: Duration,
    ) -> Result<(), InteractionError> {
        let _ = (prompt, remaining);
        Ok(())
    }

    /// Asks whether an authorization server may be trusted that the program never named, but a resource did (RFC 9728 §7.3):
    /// the person will be sent there to sign in. No, unless an implementation asks.
    ///
    /// Show both hosts. Nothing was sent to the server so far.
    ///
    /// # Errors
    /// [`InteractionError`], which ends the attempt like a no.
    async fn approve_authorization_server(
        &self,
        prompt: &ServerPrompt<'_>,
    ) -> Result<bool, InteractionError> {
        let _ = prompt;
        Ok(false)
    }

    /// Asks for a client that somebody registers at the server by hand, where there is no other way to become one. Nobody does,
    /// unless an implementation asks.
    ///
    /// # Errors
    /// [`InteractionError`], which ends the attempt.
    async fn register_client(
        &self,
        prompt: &RegistrationPrompt<'_>,
    ) -> Result<Option<ManualRegistration>, InteractionError> {
        let _ = prompt;
        Ok(None)
    }

    /// Says that the person is being asked on another device of theirs (CIBA Core §7.3), and what they see there. Returns at
    /// once; polling goes on meanwhile. Unless overridden, nothing is shown: the person's own device asks anyway.
    ///
    /// # Errors
    /// [`InteractionError`], which ends the login.
    async fn show_backchannel_authentication(
        &self,
        prompt: &BackchannelPrompt<'_>,
    ) -> Result<(), InteractionError> {
        let _ = prompt;
        Ok(())
    }

    /// Called about once a second while the person is being asked on another device: for a countdown.
    ///
    /// # Errors
    /// [`InteractionError`], such as [`InteractionError::cancelled`], which ends the login.
    async fn backchannel_authentication_pending(
        &self,
        prompt: &BackchannelPrompt<'_>,
        remaining: Duration,
    ) -> Result<(), InteractionError> {
        let _ = (prompt, remaining);
        Ok(())
    }

    /// Called once when a login that was shown to the person is over, well or not; not if the login's future is dropped.
    async fn login_ended(&self, outcome: LoginOutcome<'_>) {
        let _ = outcome;
    }
}

/// For programs that never talk to a person.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoInteraction;

impl Interaction for NoInteraction {}

/// Where the person has to go. `Debug` shows the URL without its query.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct AuthorizationPrompt<'a> {
    /// The authorization URL. It holds `state`: show it to the person only, do not log it.
    pub url: &'a Url,
    /// Where the answer is expected.
    pub redirect_uri: &'a str,
    /// Whether somebody listens at the redirect URI. If not, only the person can bring the answer, by pasting the URL.
    pub listening: bool,
    /// Until when the login waits.
    pub expires_at: SystemTime,
    /// Until when the URL can be opened, if it does not work as long as the login waits: it names a pushed request, which the
    /// server keeps for a minute or so and for one use (RFC 9126 §2.2, §4). Do not open it later, nor twice; whoever shows it for a
    /// person to open says until when.
    pub open_before: Option<SystemTime>,
}

impl<'a> AuthorizationPrompt<'a> {
    pub(crate) fn new(url: &'a Url, pending: &'a PendingLogin, listening: bool) -> Self {
        let open_before = pending.open_before().filter(|open_before| *open_before < pending.expires_at());
        Self {
            url,
            redirect_uri: pending.redirect_uri(),
            listening,
            expires_at: pending.expires_at(),
            open_before,
        }
    }
}

impl fmt::Debug for AuthorizationPrompt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationPrompt")
            .field("url", &shown(self.url))
            .field("redirect_uri", &self.redirect_uri)
            .field("expires_at", &self.expires_at)
            .field("open_before", &self.open_before)
            .finish()
    }
}

/// How the answer to an authorization request will come. `Debug` shows no URL: a code stands in it.
#[derive(Clone)]
#[non_exhaustive]
pub enum AuthorizationReply {
    /// The browser is open; the redirect arrives at the listener.
    Opened,
    /// The person pasted the URL to which the browser was redirected.
    Redirected(Url),
}

impl fmt::Debug for AuthorizationReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened => f.write_str("Opened"),
            Self::Redirected(_) => f.write_str("Redirected(..)"),
        }
    }
}

/// What to show for a device login.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DeviceCodePrompt<'a> {
    /// The code that the person types.
    pub user_code: &'a str,
    /// Where the person types it: an HTTPS URL, or one on loopback.
    pub verification_uri: &'a str,
    /// The same with the code in it, for a link or a QR code: an HTTPS URL, or one on loopback.
    pub verification_uri_complete: Option<&'a str>,
    /// When the code stops working.
    pub expires_at: SystemTime,
}

impl<'a> DeviceCodePrompt<'a> {
    pub(crate) fn new(response: &'a DeviceAuthorizationResponse, expires_at: SystemTime) -> Self {
        Self {
            user_code: &response.user_code,
            verification_uri: &response.verification_uri,
            verification_uri_complete: response
                .verification_uri_complete
                .as_deref()
                .filter(|uri| is_safe_to_open(uri)),
            expires_at,
        }
    }
}

/// What to show while a person is asked on another device.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BackchannelPrompt<'a> {
    /// What the person sees on the other device, too, and should compare (CIBA Core §7.1).
    pub binding_message: Option<&'a str>,
    /// Who is asked, as the program named them, if it did so by a name.
    pub login_hint: Option<&'a str>,
    /// When the request stops working.
    pub expires_at: SystemTime,
}

impl<'a> BackchannelPrompt<'a> {
    pub(crate) fn new(
        binding_message: Option<&'a str>,
        login_hint: Option<&'a str>,
        expires_at: SystemTime,
    ) -> Self {
        Self { binding_message, login_hint, expires_at }
    }
}

/// Whether a URI of the server may be shown to a person, who will open it: no `file:`, no `javascript:`, no plain HTTP to
/// another machine.
pub(crate) fn is_safe_to_open(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| is_secure_or_loopback(&url))
}

/// Which authorization server is to be trusted, and why: see [`Interaction::approve_authorization_server`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ServerPrompt<'a> {
    /// The identifier of the resource that named the server: of the origin that was asked, a checked URL.
    pub resource: &'a str,
    /// The server's issuer identifier: an HTTPS URL, or one on loopback.
    pub issuer: &'a str,
    /// Why it is asked.
    pub reason: ServerReason<'a>,
}

/// Why a person is asked about an authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerReason<'a> {
    /// The resource named it when it asked for a login the first time.
    Named,
    /// The resource names it in the place of the server at which the login was so far.
    Moved {
        /// The issuer of the former server.
        from: &'a str,
    },
}

impl<'a> ServerPrompt<'a> {
    /// A question about that server; for those who write such a bootstrap of their own.
    pub fn new(resource: &'a str, issuer: &'a str, reason: ServerReason<'a>) -> Self {
        Self { resource, issuer, reason }
    }
}

/// Where somebody has to register a client by hand: see [`Interaction::register_client`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RegistrationPrompt<'a> {
    /// The identifier of the resource for which a login is needed.
    pub resource: &'a str,
    /// The server's issuer identifier.
    pub issuer: &'a str,
    /// A page for developers that the server names: an HTTPS URL, or one on loopback.
    pub documentation: Option<&'a str>,
}

impl<'a> RegistrationPrompt<'a> {
    /// A question for a client at that server; for those who write such a bootstrap of their own.
    pub fn new(resource: &'a str, issuer: &'a str, documentation: Option<&'a str>) -> Self {
        Self { resource, issuer, documentation: documentation.filter(|uri| is_safe_to_open(uri)) }
    }
}

/// A client that somebody has registered by hand. `Debug` shows no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ManualRegistration {
    /// The client identifier that the server gave.
    pub client_id: String,
    /// The client secret, if the client has one: it is sent by `client_secret_basic`.
    pub client_secret: Option<Secret>,
}

impl ManualRegistration {
    /// A public client of that identifier.
    pub fn new(client_id: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), client_secret: None }
    }

    /// The same with a secret.
    #[must_use]
    pub fn with_secret(mut self, client_secret: impl Into<Secret>) -> Self {
        self.client_secret = Some(client_secret.into());
        self
    }
}

/// How a login ended, for a page or a line that tells the person.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum LoginOutcome<'a> {
    /// There is a token.
    Success,
    /// The person or the server said no; the error code and its description, which come from the server.
    Denied {
        /// Such as `access_denied`.
        error: &'a str,
        /// In the server's words.
        description: Option<&'a str>,
    },
    /// Something else went wrong; what, without secrets.
    Failed(&'a str),
}

/// Opens the place to which the authorization server redirects the browser (RFC 8252 §7).
#[async_trait]
pub trait RedirectEndpoint: Send + Sync {
    /// Begins to listen for the answer of the login that has this `state`.
    ///
    /// # Errors
    /// [`InteractionError`] if it cannot listen.
    async fn open(&self, state: &Secret) -> Result<Box<dyn RedirectReceiver>, InteractionError>;
}

#[async_trait]
impl<R: RedirectEndpoint + ?Sized> RedirectEndpoint for Arc<R> {
    async fn open(&self, state: &Secret) -> Result<Box<dyn RedirectReceiver>, InteractionError> {
        (**self).open(state).await
    }
}

/// Waits for one redirect. Dropping it closes the place at once.
#[async_trait]
pub trait RedirectReceiver: Send {
    /// The redirect URI to send in the authorization request.
    fn redirect_uri(&self) -> &str;

    /// Whether a redirect can arrive here at all; true unless this is a redirect URI at which nobody listens.
    fn listens(&self) -> bool {
        true
    }

    /// Waits for the redirect that carries the right `state`. Requests with another path or `state` are strays: they are
    /// answered, and the wait goes on. The future may be dropped and called for again.
    ///
    /// # Errors
    /// [`InteractionError`] if it cannot go on listening.
    async fn receive(&mut self) -> Result<Url, InteractionError>;

    /// Shows the person in the browser how the login ended, and closes the place.
    async fn finish(&mut self, outcome: LoginOutcome<'_>);
}

/// Why a person could not be reached.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum InteractionError {
    /// This kind of interaction is not to be had here.
    Unavailable {
        /// What is missing.
        what: String,
    },
    /// The person, or the program, gave up.
    Cancelled,
    /// Nobody answered in time.
    TimedOut {
        /// How long it waited.
        waited: Duration,
    },
    /// Something else went wrong.
    Failed {
        /// What went wrong and what to do, without secrets.
        what: String,
    },
    /// An error of an interaction outside of this crate. `source()` gives it back as it was, for a downcast.
    Other(Arc<dyn StdError + Send + Sync>),
}

impl InteractionError {
    /// This kind of interaction is not to be had; `what` is missing.
    pub fn unavailable(what: impl Into<String>) -> Self {
        Self::Unavailable { what: what.into() }
    }

    /// The person, or the program, gave up.
    pub fn cancelled() -> Self {
        Self::Cancelled
    }

    /// Something went wrong; say what, and what to do.
    pub fn failed(what: impl Into<String>) -> Self {
        Self::Failed { what: what.into() }
    }

    /// Wraps the error of one's own interaction. Its `Display` must say what to do and show no secret. Whoever called for the
    /// login finds it among the sources of the error that it ended with:
    ///
    /// ```
    /// use std::error::Error;
    /// use jeton_grants::{GrantError, InteractionError};
    ///
    /// # #[derive(Debug)] struct DialogClosed(u32);
    /// # impl std::fmt::Display for DialogClosed {
    /// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("the dialog was closed") }
    /// # }
    /// # impl Error for DialogClosed {}
    /// let error = GrantError::from(InteractionError::other(DialogClosed(7)));
    /// let source = error.source().and_then(|source| source.downcast_ref::<DialogClosed>());
    /// assert!(matches!(source, Some(DialogClosed(7))));
    /// ```
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Other(Arc::from(error.into()))
    }
}

impl fmt::Display for InteractionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { what } => {
                write!(f, "{what}; log in from a program that can, or choose another grant")
            }
            Self::Cancelled => f.write_str("the login was cancelled"),
            Self::TimedOut { waited } => {
                write!(f, "nobody finished the login within {} seconds; start it again", waited.as_secs())
            }
            Self::Failed { what } => f.write_str(what),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl StdError for InteractionError {
    // By hand: a derived one would give the `Arc` as the source, which no downcast to the error in it finds.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Other(error) => Some(&**error),
            _ => None,
        }
    }
}
