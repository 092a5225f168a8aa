//! `jeton logout`: revokes the login at the server and forgets it here.

use std::time::Duration;

use jeton::grants::GrantError;
use jeton::storage::{LoginKey, StoreError};
use jeton::{LoggedOut, ResourceClient, TokenKind, browser_available, open_browser};
use serde_json::{Value, json};

use crate::client::issuer_of;
use crate::context::{Connection, Context};
use crate::credentials::SecretPlace;
use crate::exit::Exit;
use crate::failure::{Failure, in_words_of_the_command};
use crate::logins::{self, Entry, Kept};
use crate::printable::printable;
use crate::profile::Authentication;
use crate::profiles_file::ProfilesFile;
use crate::store::OpenStore;
use crate::when;

/// A server that asks for more patience than this gets no second try.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait for whoever uses a login that is to be removed.
const LEASE: Duration = Duration::from_secs(15);

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The login is forgotten here in any case. If the server could not be told, its
tokens may live on there, and the exit code says why: 5 if it could not be
reached, 4 if it refused. A server without a revocation endpoint cannot be
told at all: that is a warning only. Logging out when nobody is logged in is
no failure.

Examples:
  jeton logout work
  jeton logout work --forget
  jeton logout --all")]
pub(crate) struct Args {
    /// The profile; the default one if there is none here. Also the account of a login without profile.
    #[arg(conflicts_with = "all")]
    name: Option<String>,
    /// Log out everywhere: every profile, and every login without one.
    #[arg(long)]
    all: bool,
    /// Remove the profile too, and its client secret.
    #[arg(long)]
    forget: bool,
    /// Have the browser end the session at the server (OpenID Connect RP-Initiated Logout).
    #[arg(long)]
    browser: bool,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let mut profiles = cx.profiles()?;
    let store = cx.store(&profiles).await?;
    let (entries, unreadable) = chosen(args, &profiles, &store).await?;
    let mut outcomes = Vec::new();
    for entry in entries {
        outcomes.push(log_out(entry, args, &mut profiles, &store).await);
    }
    let text = match outcomes.is_empty() {
        true => "there is no profile and no login".to_owned(),
        false => outcomes.iter().map(Outcome::to_text).collect::<Vec<_>>().join("\n"),
    };
    cx.output.confirm(text, || {
        let meant = outcomes.iter().filter(|_| !args.all).find_map(Outcome::profile);
        json!({ "profile": meant, "logouts": outcomes.iter().map(Outcome::to_json).collect::<Vec<_>>() })
    })?;
    outcomes.iter().for_each(|outcome| outcome.warn(cx));
    let stay = unreadable.iter().map(|error| Failure::store(error, "a login cannot be read, and stays"));
    let stay: Vec<Failure> = stay.collect();
    stay.iter().for_each(|failure| cx.output.failure(failure));
    let exits = outcomes.iter().filter_map(|outcome| outcome.failure.as_ref()).chain(&stay);
    Ok(exits.map(|failure| failure.exit).next().unwrap_or(Exit::Success))
}

/// Whose logins are meant; and, where all are, what cannot be read at all.
async fn chosen(
    args: &Args,
    profiles: &ProfilesFile,
    store: &OpenStore,
) -> Result<(Vec<Entry>, Vec<StoreError>), Failure> {
    let shared = store.shared();
    if args.all {
        return logins::all(profiles, &*shared).await;
    }
    let chosen = profiles.choose(args.name.as_deref());
    // A login may be there without a profile: another program's, or one whose profile was changed or removed.
    let account = match &chosen {
        Ok((name, _)) => (*name).to_owned(),
        Err(_) => args.name.clone().unwrap_or_default(),
    };
    let (entries, _) = logins::all(profiles, &*shared).await?;
    let without_profile =
        entries.into_iter().filter(|entry| entry.profile.is_none() && entry.name == account);
    match chosen {
        Ok((name, profile)) => {
            let own = logins::entry_of(name, profile, &*shared).await;
            // At another server it is somebody else's of the same name.
            let issuer = own.key().map(|key| key.issuer().to_owned());
            let left_over = without_profile
                .filter(|entry| entry.key().map(|key| key.issuer()) == issuer.as_deref())
                .collect::<Vec<_>>();
            Ok(([own].into_iter().chain(left_over).collect(), Vec::new()))
        }
        Err(unknown) => {
            let found: Vec<Entry> = without_profile.collect();
            if found.is_empty() { Err(unknown) } else { Ok((found, Vec::new())) }
        }
    }
}

/// Logs one out. What fails is part of the outcome: the others are logged out all the same.
async fn log_out(entry: Entry, args: &Args, profiles: &mut ProfilesFile, store: &OpenStore) -> Outcome {
    let (name, is_profile) = (entry.name.clone(), entry.profile.is_some());
    let account = entry.key().map_or(name.as_str(), |key| key.account()).to_owned();
    let mut outcome = Outcome { name: name.clone(), is_profile, account, ..Outcome::default() };
    match &entry.login {
        Kept::Nothing(_) => {}
        Kept::NoKey(failure) => outcome.warnings.push(failure.what.clone()),
        Kept::Login(key, _) | Kept::Unreadable(key, _) => {
            outcome.was_logged_in = true;
            let connection = Connection::new(name.clone(), entry.profile_or_guess(), store.clone(), |b| b);
            let done = match connection {
                Ok(connection) => revoke_and_forget(&connection, args, &mut outcome).await,
                // Nobody can tell the server; here it is forgotten all the same.
                Err(failure) => {
                    let removed = remove(key, store).await;
                    outcome.failure = Some(failure);
                    removed
                }
            };
            if let Err(failure) = done {
                outcome.stays = true;
                outcome.failure = Some(failure);
            }
        }
    }
    if args.forget && is_profile && !outcome.stays {
        match forget(&entry, profiles, store).await {
            Ok(()) => outcome.forgotten = true,
            Err(failure) => outcome.failure = Some(failure),
        }
    }
    outcome
}

async fn revoke_and_forget(
    connection: &Connection,
    args: &Args,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let end_session = match args.browser {
        true => Some(connection.session.end_session_url(None).await),
        false => None,
    };
    let logged_out = logged_out(connection).await?;
    outcome.of(connection, logged_out);
    if let Some(end_session) = end_session {
        outcome.browser_opened = end_at_server(end_session, &mut outcome.warnings).await;
    }
    Ok(())
}

/// Removes a login from the store, of whatever kind its profile is.
async fn remove(key: &LoginKey, store: &OpenStore) -> Result<(), Failure> {
    let failed = |error: StoreError| Failure::store(&error, "the login could not be removed");
    let mut lease = store.shared().lease(key, LEASE).await.map_err(failed)?;
    lease.delete().await.map_err(failed)
}

/// Logs out; what the server was too busy to revoke is tried once more.
async fn logged_out(connection: &Connection) -> Result<LoggedOut, Failure> {
    let failure = |error: &jeton::Error| {
        connection.failure(error, format!("`{}` could not be logged out", connection.name))
    };
    let logged_out = connection.session.log_out().await.map_err(|error| failure(&error))?;
    match logged_out.may_try_again_after() {
        Some(after) if after <= PATIENCE => {
            tokio::time::sleep(after).await;
            connection.session.revoke_remaining(logged_out).await.map_err(|error| failure(&error))
        }
        _ => Ok(logged_out),
    }
}

/// Sends the browser to the server, which ends the person's session there. Without the ID token, which a launcher's arguments
/// would show to every user of the machine: the server may ask the person instead.
async fn end_at_server(
    end_session: Result<jeton::EndSession, jeton::Error>,
    warnings: &mut Vec<String>,
) -> bool {
    let still = "your browser may still be signed in at the server";
    let mut url = match end_session {
        Ok(end_session) => end_session.url,
        Err(error) => {
            warnings.push(format!("{still}: {}", in_words_of_the_command(&error.to_string())));
            return false;
        }
    };
    let harmless: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != "id_token_hint")
        .map(|(n, v)| (n.into(), v.into()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(harmless);
    let opened = match browser_available() || std::env::var_os("BROWSER").is_some() {
        true => open_browser(&url).await.is_ok(),
        false => false,
    };
    if !opened {
        warnings.push(format!("{still}, and there is none here to open; visit {}", printable(url.as_str())));
    }
    opened
}

/// Removes the profile, and what the store has of its client beside the login.
async fn forget(entry: &Entry, profiles: &mut ProfilesFile, store: &OpenStore) -> Result<(), Failure> {
    let name = &entry.name;
    let profile = entry.profile_or_guess();
    let failed = |error: &jeton::Error| {
        Failure::of(error, format!("the client secret of `{name}` could not be removed"), name)
    };
    // The profile goes last: who was interrupted can begin again.
    if let Some(label) = &profile.registration {
        let issuer = issuer_of(name, &profile)?;
        // Profiles of one server share the client that was registered there.
        let is_shared = profiles.iter().any(|(other, own)| {
            other != name
                && own.registration.as_ref() == Some(label)
                && issuer_of(other, own).is_ok_and(|own| own.canonical() == issuer.canonical())
        });
        if !is_shared {
            let place = SecretPlace::labelled(name, label, issuer, store.shared());
            place.map_err(|error| failed(&error))?.forget().await?;
        }
    } else if profile.authentication.is_some_and(Authentication::has_secret) {
        let place = SecretPlace::new(name, issuer_of(name, &profile)?, store.shared());
        place.map_err(|error| failed(&error))?.forget().await?;
    }
    if let Some(url) = &profile.url {
        let resources = ResourceClient::builder().account(name).shared_store(store.shared()).build();
        let resources = resources.map_err(|error| failed(&error))?;
        resources
            .forget(url)
            .await
            .map_err(|error| Failure::of(&error, format!("the server of {url} is still trusted"), name))?;
    }
    profiles.remove(name)
}

/// What came of one log-out.
#[derive(Debug, Default)]
struct Outcome {
    /// The profile's name; the account of a login that has none.
    name: String,
    is_profile: bool,
    account: String,
    was_logged_in: bool,
    not_revoked: Vec<Value>,
    /// Why the login may live on at the server.
    failure: Option<Failure>,
    /// The server cannot be told.
    no_endpoint: bool,
    /// It is still in the store.
    stays: bool,
    forgotten: bool,
    browser_opened: bool,
    warnings: Vec<String>,
}

impl Outcome {
    fn profile(&self) -> Option<&str> {
        self.is_profile.then_some(&*self.name)
    }

    fn of(&mut self, connection: &Connection, logged_out: LoggedOut) {
        for own in &logged_out.not_revoked {
            self.not_revoked.push(json!({
                "token": match own.kind { TokenKind::RefreshToken => "refresh_token", _ => "access_token" },
                "expires_at": own.expires_at.map(when::unix_seconds),
                "why": in_words_of_the_command(&own.error.to_string()),
            }));
        }
        match logged_out.revocation_error {
            Some(jeton::Error::Grant(error)) if matches!(*error, GrantError::Metadata(_)) => {
                self.no_endpoint = true;
            }
            Some(error) => {
                let what = format!("the tokens of `{}` may live on at the server", self.name);
                self.failure = Some(connection.failure(&error, what));
            }
            None if !self.not_revoked.is_empty() => {
                let what = format!(
                    "access tokens of `{}` may be taken until they expire: the server revoked the login, and not each of them",
                    self.name
                );
                self.warnings.push(what);
            }
            None => {}
        }
    }

    fn to_text(&self) -> String {
        let name = printable(&self.name);
        let logged_out = match (self.was_logged_in, self.no_endpoint || self.failure.is_some()) {
            _ if self.stays => format!("`{name}` could not be logged out"),
            (false, _) => format!("nobody was logged in to `{name}`"),
            (true, false) => format!("logged out of `{name}`, here and at the server"),
            (true, true) => format!("logged out of `{name}` here, but not at the server"),
        };
        match self.forgotten {
            true => format!("{logged_out}; the profile is removed"),
            false => logged_out,
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "profile": self.profile(),
            "account": self.account,
            "was_logged_in": self.was_logged_in,
            "still_stored": self.stays,
            "revoked": self.was_logged_in.then_some(!self.no_endpoint && self.failure.is_none()),
            "not_revoked": self.not_revoked,
            "profile_removed": self.forgotten,
            "browser_opened": self.browser_opened,
        })
    }

    fn warn(&self, cx: &Context) {
        if self.no_endpoint {
            cx.output.warn(format_args!(
                "the server of `{}` has no revocation endpoint, so that its tokens live there until they expire",
                printable(&self.name)
            ));
        }
        for warning in &self.warnings {
            cx.output.warn(printable(warning));
        }
        if let Some(failure) = &self.failure {
            cx.output.failure(failure);
        }
    }
}
