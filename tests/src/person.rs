//! A person with a browser, without either: opens authorization URLs at a devserver, brings the redirect to the
//! listener or pastes it, and types device codes.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use async_trait::async_trait;
use jeton_client::{AccessToken, Error, Session};
use jeton_devserver::DevServer;
use jeton_grants::{
    AuthorizationPrompt, AuthorizationReply, DeviceCodePrompt, Interaction, InteractionError,
};
use url::Url;

use crate::browser::{self, Answer, PATIENCE};

/// A redirect URI of the devserver's clients at which nobody listens.
pub const REDIRECT_URI: &str = "http://127.0.0.1:49152/callback";

/// Logs a session in by authorization code in two halves, as a web application does.
///
/// # Errors
/// Those of the session.
pub async fn sign_in(server: &DevServer, session: &Session) -> Result<AccessToken, Error> {
    let (url, pending) = session.begin_log_in(REDIRECT_URI).await?;
    session.finish_log_in(pending, &redirect(server, &url)).await
}

/// Where the server sends a browser that opens this URL.
pub fn redirect(server: &DevServer, authorization_url: &Url) -> Url {
    let location = server.authorize(authorization_url.as_str()).expect("the server redirects");
    Url::parse(&location).expect("a URL")
}

/// How an authorization URL is dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Browsing {
    /// The redirect is opened at the listener.
    Listener,
    /// The redirect is opened at the listener's `[::1]` address instead.
    ListenerOverIpv6,
    /// The redirected URL is pasted.
    Pastes,
    /// Nothing at all: the person went away.
    GoesAway,
}

/// How a device code is dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    /// Typed and approved at once.
    Approves,
    /// Typed and denied.
    Denies,
    /// Not typed.
    Ignores,
}

/// A person who reacts always in the same way.
#[derive(Clone)]
pub struct Person(Arc<Inner>);

struct Inner {
    server: Arc<DevServer>,
    browsing: Browsing,
    typing: Typing,
    seen: Mutex<Vec<Seen>>,
    pages: Mutex<(mpsc::Sender<Answer>, mpsc::Receiver<Answer>)>,
}

/// One authorization URL that was opened.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The authorization URL.
    pub url: Url,
    /// Where the answer is expected.
    pub redirect_uri: String,
}

impl Person {
    /// With a way to deal with browsers; device codes are approved.
    pub fn new(server: &Arc<DevServer>, browsing: Browsing) -> Self {
        Self::with(server, browsing, Typing::Approves)
    }

    /// With a way to deal with device codes.
    pub fn at_a_device(server: &Arc<DevServer>, typing: Typing) -> Self {
        Self::with(server, Browsing::GoesAway, typing)
    }

    fn with(server: &Arc<DevServer>, browsing: Browsing, typing: Typing) -> Self {
        let pages = Mutex::new(mpsc::channel());
        Self(Arc::new(Inner { server: server.clone(), browsing, typing, seen: Mutex::default(), pages }))
    }

    /// The authorization URLs that were opened so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next page that the listener showed in the browser. Blocks until it is there.
    pub fn page(&self) -> Answer {
        let pages = self.0.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.1.recv_timeout(PATIENCE).expect("the listener shows a page")
    }

    /// Opens the redirect on a thread of its own: the listener keeps the page back until the login has ended.
    fn visit(&self, redirected: Url) {
        let sender = self.0.pages.lock().unwrap_or_else(PoisonError::into_inner).0.clone();
        std::thread::spawn(move || {
            if let Ok(page) = browser::get(&redirected) {
                let _ = sender.send(page);
            }
        });
    }
}

#[async_trait]
impl Interaction for Person {
    async fn open_authorization_url(
        &self,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, InteractionError> {
        let seen = Seen { url: prompt.url.clone(), redirect_uri: prompt.redirect_uri.to_owned() };
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        if self.0.browsing == Browsing::GoesAway {
            return Ok(AuthorizationReply::Opened);
        }
        let mut redirected = redirect(&self.0.server, prompt.url);
        match self.0.browsing {
            Browsing::Pastes => return Ok(AuthorizationReply::Redirected(redirected)),
            Browsing::ListenerOverIpv6 => redirected.set_host(Some("[::1]")).expect("a host"),
            Browsing::Listener | Browsing::GoesAway => {}
        }
        self.visit(redirected);
        Ok(AuthorizationReply::Opened)
    }

    async fn show_device_code(&self, prompt: &DeviceCodePrompt<'_>) -> Result<(), InteractionError> {
        match self.0.typing {
            Typing::Approves => assert!(self.0.server.approve_device(prompt.user_code)),
            Typing::Denies => assert!(self.0.server.deny_device(prompt.user_code)),
            Typing::Ignores => {}
        }
        Ok(())
    }
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person").field("browsing", &self.0.browsing).finish_non_exhaustive()
    }
}
