//! What is said when somebody is signed in: who, for what, until when, where the login is kept, and what to do next.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jeton::AccessToken;
use jeton::models::Scope;
use jeton::storage::StoreKind;
use serde_json::{Value, json};

use crate::context::{Connection, Context};
use crate::failure::Failure;
use crate::login_state::Person;
use crate::output::{CAREFUL, GOOD, STRONG};
use crate::printable::printable_start;
use crate::profile::{LoginMethod, Profile};
use crate::store::{OpenStore, short_why};
use crate::when;
use crate::wrap::wrapped;

/// Where the values begin, behind their names.
const VALUES: usize = 13;
/// Nobody's name is longer than that.
const LONGEST_NAME: usize = 200;

/// What to be careful about where nothing is encrypted, and what to do.
const READABLE: &str = "whoever can read your files can use this login";
const ENCRYPT: &str = "jeton --store sealed store move";

/// A login that has just begun.
pub(super) struct Summary {
    profile: String,
    issuer: String,
    client_id: String,
    account: String,
    way: Option<LoginMethod>,
    /// Who has signed in, as the ID token says.
    who: Option<Person>,
    granted: Option<Scope>,
    missing: Option<Scope>,
    expires_at: Option<SystemTime>,
    /// `None` if that could not be found out.
    refresh_token: Option<bool>,
    store: OpenStore,
    /// Whether nothing was kept there for this profile before.
    is_new: bool,
    /// Whether somebody has signed in just now, and not before.
    signed_in: bool,
    written: Option<PathBuf>,
    warnings: Vec<String>,
    /// A command to go on with.
    next: String,
}

impl Summary {
    /// `written` is the profiles file, if the profile was written to it; `is_new`, that the store had no login of the profile.
    pub(super) async fn of(
        connection: &Connection,
        token: &AccessToken,
        way: Option<LoginMethod>,
        written: Option<&Path>,
        is_new: bool,
    ) -> Self {
        let Connection { name, profile, store, session, .. } = connection;
        let key = session.key();
        let asked = profile.scope.as_deref().and_then(|scope| scope.parse::<Scope>().ok());
        // Without one in the answer it is the one that was asked for (RFC 6749 §5.1).
        let granted = token.scope().cloned().or_else(|| asked.clone());
        let missing = asked.zip(granted.as_ref()).and_then(|(asked, granted)| {
            Scope::from_names(asked.iter().filter(|name| !granted.contains(name))).ok()
        });
        // The token is there. What else is not to be had is left out.
        let record = store.shared().load(key).await.ok().flatten();
        let mut warnings: Vec<String> = token.warnings().iter().map(ToString::to_string).collect();
        if is_new && store.kind() == StoreKind::UnencryptedFile {
            warnings.push(format!("{READABLE}; to have it encrypted: {ENCRYPT}"));
        }
        Self {
            profile: name.clone(),
            issuer: key.issuer().to_owned(),
            client_id: key.client_id().to_owned(),
            account: key.account().to_owned(),
            way,
            who: session.id_token().await.ok().flatten().map(|id_token| Person::of(&id_token)),
            granted: granted.filter(|scope| !scope.is_empty()),
            missing: missing.filter(|scope| !scope.is_empty()),
            expires_at: token.expires_at(),
            refresh_token: record.map(|record| record.refresh_token.is_some()),
            store: store.clone(),
            is_new,
            signed_in: true,
            written: written.map(Path::to_owned),
            warnings,
            next: next(name, profile),
        }
    }

    /// For a login that there was already: only the profile has changed.
    pub(super) fn still_signed_in(self) -> Self {
        Self { signed_in: false, ..self }
    }

    pub(super) fn tell(&self, cx: &Context) -> Result<(), Failure> {
        cx.output.confirm(self.to_text(cx.output.columns()), || self.to_json())?;
        if !cx.output.is_json() {
            if self.is_new && self.store.kind() == StoreKind::UnencryptedFile {
                cx.output.note(format_args!(
                    "\n{CAREFUL}Be careful:{CAREFUL:#} {READABLE}.\nTo have it encrypted:\n  {ENCRYPT}"
                ));
            }
            cx.output.note(format_args!("\nTry it:\n  {}", self.next));
        }
        Ok(())
    }

    fn to_text(&self, columns: usize) -> String {
        let what = if self.signed_in { "Signed in" } else { "Still signed in" };
        let mut text = format!("{GOOD}{what}{GOOD:#} to {STRONG}{}{STRONG:#}", self.profile);
        if let Some(who) = &self.who {
            let _ = write!(text, " as {STRONG}{}{STRONG:#}", who.shown());
        }
        text.push('.');
        let mut row = |name: &str, value: &str| {
            let value = wrapped(&printable_start(value, 4000), VALUES, columns);
            let _ = write!(text, "\n  {name:<10} {value}");
        };
        row("server", &self.issuer);
        if let Some(granted) = &self.granted {
            row("scope", &granted.to_string());
        }
        if let Some(missing) = &self.missing {
            row("not given", &format!("{missing} (asked for, and not granted)"));
        }
        row("valid", &self.validity());
        let store = self.store.describe();
        row("kept in", &format!("{}: {}", self.store.kind(), store.location));
        row("because", &short_why(&store));
        if let Some(path) = &self.written {
            row("profile", &format!("written to {}", path.display()));
        }
        text
    }

    fn validity(&self) -> String {
        let token = match self.expires_at {
            Some(expires_at) => {
                format!("the access token expires {}", when::relative(expires_at, SystemTime::now()))
            }
            None => "the server does not say how long".to_owned(),
        };
        let then = match (self.way, self.refresh_token) {
            (Some(LoginMethod::ClientCredentials), _) => "the next one is fetched by itself",
            (_, Some(true)) => "it is refreshed by itself",
            (_, Some(false)) => {
                "the server gave no refresh token: sign in again then (it may take the scope offline_access)"
            }
            (_, None) => return token,
        };
        format!("{token}; {then}")
    }

    fn to_json(&self) -> Value {
        json!({
            "profile": self.profile,
            "issuer": self.issuer,
            "client_id": self.client_id,
            "account": self.account,
            "login_method": self.way.map(LoginMethod::name),
            "person": self.who.as_ref().map(Person::to_json),
            "scope": self.granted.as_ref().map(ToString::to_string),
            "missing_scope": self.missing.as_ref().map(ToString::to_string),
            "expires_at": self.expires_at.map(when::unix_seconds),
            "refresh_token": self.refresh_token,
            "store": self.store.to_json(),
            "profiles_file": self.written.as_ref().map(|path| path.display().to_string()),
            "warnings": self.warnings,
        })
    }
}

/// A request to the profile's API if it names one that is there to be asked.
fn next(name: &str, profile: &Profile) -> String {
    let api = profile.url.iter().chain(&profile.apis).chain(&profile.resource);
    match api.into_iter().find(|url| url.starts_with("http")) {
        Some(url) => format!("jeton request {name} GET {}", printable_start(url, LONGEST_NAME)),
        // Not in an argument: everybody on the machine can read those.
        None => format!("jeton token {name} --header | curl -H @- URL"),
    }
}
