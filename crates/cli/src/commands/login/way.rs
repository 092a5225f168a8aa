//! Which way leads to a login: the browser of this machine, an address that is pasted, a code on another device.

use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, PoisonError};

use jeton::grants::{GrantContext, async_trait};
use jeton::models::{AuthorizationServerMetadata, GrantType, TokenResponse};
use jeton::{AuthorizationCode, DeviceCode, Grant, GrantError, LoopbackRedirect, browser_available};

use super::person::Person;
use crate::failure::Failure;
use crate::output::Output;
use crate::profile::{LoginMethod, Profile};
use crate::wrap::wrapped;

/// What is known before the server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Somebody has said which way.
    This(LoginMethod),
    /// The best one; whether there is a browser, and whether what only a browser does was asked for.
    Best { browser: bool, needs_browser: bool },
}

impl Wish {
    /// The option, else the profile, else what the surroundings allow.
    pub(super) fn of(
        option: Option<LoginMethod>,
        profile: &Profile,
        needs_browser: bool,
    ) -> Result<Self, Failure> {
        let way = match option.or(profile.login) {
            Some(way) => Self::This(way),
            None => Self::Best { browser: browser_available(), needs_browser },
        };
        match way {
            Self::This(LoginMethod::Device | LoginMethod::ClientCredentials) if needs_browser => {
                Err(Failure::usage("that way to log in leaves no choice of the person or of the prompt")
                    .because("--prompt, --login-hint, --acr-values and --max-age are asked of a browser's login")
                    .help("leave them out, or take another --login-method"))
            }
            Self::Best { browser: false, .. } if nobody_is_here() => {
                Err(Failure::usage("a login needs a person, and nobody seems to be here")
                    .because(format!("{}, and neither standard input nor standard error is a terminal", no_browser()))
                    .help("run it at a terminal; or say --login-method device or paste, and read what it writes to standard error"))
            }
            way => Ok(way),
        }
    }

    pub(super) fn opens_browser(self) -> bool {
        matches!(self, Self::This(LoginMethod::Browser) | Self::Best { browser: true, .. })
    }

    /// The way at that server, and why.
    fn at(self, server: &AuthorizationServerMetadata) -> (LoginMethod, String) {
        let gives_codes = gives_codes(server);
        match self {
            Self::This(way) => (way, "as you said".to_owned()),
            Self::Best { needs_browser: false, .. }
                if server.authorization_endpoint.is_none() && gives_codes =>
            {
                (LoginMethod::Device, "the server has no login page for programs".to_owned())
            }
            Self::Best { browser: true, .. } => (LoginMethod::Browser, "there is one here".to_owned()),
            Self::Best { needs_browser: false, .. } if gives_codes => (LoginMethod::Device, no_browser()),
            Self::Best { .. } => (LoginMethod::Paste, no_browser()),
        }
    }
}

fn nobody_is_here() -> bool {
    !io::stdin().is_terminal() && !io::stderr().is_terminal()
}

/// Whether the server announces device codes, and does not contradict itself.
fn gives_codes(server: &AuthorizationServerMetadata) -> bool {
    let listed = server.grant_types_supported.as_ref();
    server.device_authorization_endpoint.is_some()
        && listed.is_none_or(|listed| listed.iter().any(|own| own == GrantType::DeviceCode.as_str()))
}

/// Whether the server gives codes to others, but not to this client. It says so before anybody has seen one.
fn is_not_for_this_client(error: &GrantError) -> bool {
    error.oauth_error().is_some_and(|error| error.code() == "unauthorized_client")
}

/// Why there is no browser here.
fn no_browser() -> String {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match set("SSH_CONNECTION") || set("SSH_TTY") {
        true => "this is an SSH session".to_owned(),
        false => "there is no browser here".to_owned(),
    }
}

/// The grant of the way that is chosen when the server is known.
pub(super) struct WayGrant {
    wish: Wish,
    code: AuthorizationCode,
    output: Output,
    chosen: ChosenWay,
}

/// The way that was gone.
#[derive(Clone, Debug, Default)]
pub(super) struct ChosenWay(Arc<Mutex<Option<LoginMethod>>>);

impl ChosenWay {
    pub(super) fn get(&self) -> Option<LoginMethod> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, way: LoginMethod) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(way);
    }
}

impl WayGrant {
    pub(super) fn new(
        wish: Wish,
        profile: &Profile,
        output: Output,
        chosen: ChosenWay,
        person: &Person,
    ) -> Self {
        let code = AuthorizationCode::new(person.told_by(redirect_of(profile)));
        Self { wish, code, output, chosen }
    }

    fn choose(&self, way: LoginMethod, why: &str, gives_codes: bool) {
        let other = match (way, gives_codes) {
            (LoginMethod::Browser, true) => "--no-open or --login-method device",
            (LoginMethod::Browser, false) => "--no-open",
            (LoginMethod::Paste, true) => "--login-method device",
            (LoginMethod::Paste, false) => "--login-method browser",
            _ => "--login-method paste",
        };
        let way_in_words = match way {
            LoginMethod::Browser => "in the browser",
            LoginMethod::Paste => "by an address that you paste",
            _ => "by a code on another device",
        };
        if let Wish::Best { .. } = self.wish {
            let text = format!("Signing in {way_in_words}: {why}.\n(Another way: {other})\n");
            self.output.note(wrapped(&text, 0, self.output.columns()));
        }
        self.chosen.set(way);
    }
}

#[async_trait]
impl Grant for WayGrant {
    /// Looked at once it is done.
    fn grant_type(&self) -> GrantType {
        match self.chosen.get() {
            Some(LoginMethod::Device) => GrantType::DeviceCode,
            _ => GrantType::AuthorizationCode,
        }
    }

    fn needs_person(&self) -> bool {
        true
    }

    async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
        let (way, why) = self.wish.at(cx.server);
        self.choose(way, &why, gives_codes(cx.server));
        if way != LoginMethod::Device {
            return self.code.obtain(cx).await;
        }
        match DeviceCode::new().obtain(cx).await {
            Err(error) if matches!(self.wish, Wish::Best { .. }) && is_not_for_this_client(&error) => {
                let why = "the server gives this client no codes for other devices";
                self.choose(LoginMethod::Paste, why, false);
                self.code.obtain(cx).await
            }
            result => result,
        }
    }
}

/// Where the browser comes back to.
pub(super) fn redirect_of(profile: &Profile) -> LoopbackRedirect {
    let redirect = LoopbackRedirect::new().port(profile.redirect_port.unwrap_or(0));
    match &profile.redirect_path {
        Some(path) => redirect.path(path),
        None => redirect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_follows_from_browser_and_server() {
        use LoginMethod::{Browser, Device, Paste};
        let mut server = AuthorizationServerMetadata::new("https://as.example");
        server.authorization_endpoint = Some("https://as.example/authorize".into());
        let best = |browser, needs_browser| Wish::Best { browser, needs_browser };
        assert_eq!(best(true, false).at(&server).0, Browser);
        assert_eq!(best(false, false).at(&server).0, Paste);
        server.device_authorization_endpoint = Some("https://as.example/device".into());
        assert_eq!(best(true, false).at(&server).0, Browser);
        assert_eq!(best(false, false).at(&server).0, Device);
        assert_eq!(best(false, true).at(&server).0, Paste, "a code cannot ask for a prompt");
        assert_eq!(Wish::This(Paste).at(&server).0, Paste);
        server.grant_types_supported = Some(vec!["authorization_code".into()]);
        assert_eq!(best(false, false).at(&server).0, Paste, "the server contradicts itself");
        server.grant_types_supported = Some(vec![GrantType::DeviceCode.as_str().into()]);
        server.authorization_endpoint = None;
        assert_eq!(best(true, false).at(&server).0, Device);
    }
}
