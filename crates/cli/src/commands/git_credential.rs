//! `jeton git-credential`: a credential helper of git (gitcredentials(7), git-credential(1)). Git gets the access token as a
//! password, for the hosts that a profile names and for no other one.

mod host;
mod install;
mod message;

use std::io::Read as _;
use std::time::{Duration, SystemTime};

use jeton::{AccessToken, Secret};
use serde_json::json;

use self::host::Server;
use self::message::Message;
use crate::bearer::bearer_token;
use crate::context::{Connection, Context};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::profiles_file::ProfilesFile;
use crate::when::{from_unix_ms, unix_seconds};

/// What git may say at most; it says a few hundred bytes.
const MESSAGE_LIMIT: u64 = 64 * 1024;

/// A token that is younger and refused is not replaced: another one would fare no better, and a program that tries again and
/// again would have one made each time.
const TOO_NEW: Duration = Duration::from_secs(60);

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  jeton git-credential --install --profile work
  git config --global \\
    credential.https://git.example.helper '!jeton git-credential'
  echo url=https://git.example | git credential fill

A profile serves the hosts that it names in `git`, and those of `apis`.")]
pub(crate) struct Args {
    /// The profile; else the one that names the host.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Tell git to ask jeton for the hosts that the profile names in `git`.
    #[arg(long, conflicts_with = "operation")]
    install: bool,
    /// With --install: for the repository here, not for all of this user.
    #[arg(long, requires = "install")]
    local: bool,
    /// What git asks for: get, store or erase.
    #[arg(required_unless_present = "install")]
    operation: Option<String>,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    if args.install {
        return install::run(args.profile.as_deref(), args.local, cx);
    }
    match args.operation.as_deref() {
        Some("get") => get(args, cx).await,
        Some("erase") => erase(args, cx).await,
        // What a helper has no use for, it leaves alone (gitcredentials(7)). The login is stored already.
        _ => Ok(Exit::Success),
    }
}

/// Gives git the token, if a profile names the host.
async fn get(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let Some((server, message, connection)) = meant(args, cx).await? else { return Ok(Exit::Success) };
    let token = bearer_token(&connection, "git").await?;
    let username = message.username.clone().unwrap_or_else(|| server.username.clone());
    // Only a git that says so understands (2.46); the others know passwords only.
    let answer = match message.takes_bearer_only() {
        true => as_bearer(&token),
        false => as_password(&token, &username),
    };
    cx.output.answer(answer, || {
        json!({
            "profile": connection.name,
            "username": username,
            "password": token.secret().expose(),
            "expires_at": expires_at(&token),
        })
    })?;
    Ok(Exit::Success)
}

/// Replaces a token that a server refused: the next `get` gives another one.
async fn erase(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let Some((_, message, connection)) = meant(args, cx).await? else { return Ok(Exit::Success) };
    let Some(refused) = message.secret() else { return Ok(Exit::Success) };
    let name = &connection.name;
    let record = connection.record().await?;
    // What somebody else's helper gave, or an older token, says nothing about the one that is there.
    let stored = record.filter(|record| record.is_live());
    let stored =
        stored.as_ref().and_then(|record| record.tokens.iter().find(|token| token.access_token == refused));
    let Some(stored) = stored else { return Ok(Exit::Success) };
    if is_too_new(stored.received_at_ms, SystemTime::now()) {
        cx.output.note(format!(
            "jeton: the server refused a token of `{name}` that is less than a minute old, so another one would not help: \
             look at its scope, with `jeton status {name}`"
        ));
        return Ok(Exit::Success);
    }
    let failed =
        |error: jeton::Error| connection.failure(&error, format!("there is no other token of `{name}`"));
    let session = &connection.session;
    let token = session.token().await.map_err(failed)?;
    if *token.secret() == refused && session.reject(&token) {
        session.token().await.map_err(failed)?;
    }
    Ok(Exit::Success)
}

/// Which server git means, and the profile that serves it; `None` if none does: git asks the next helper.
async fn meant(args: &Args, cx: &Context) -> Result<Option<(Server, Message, Connection)>, Failure> {
    let mut text = Vec::new();
    std::io::stdin()
        .take(MESSAGE_LIMIT)
        .read_to_end(&mut text)
        .map_err(|error| Failure::io("git's question could not be read", &error))?;
    let message = Message::read(&String::from_utf8_lossy(&text));
    let Some(url) = message.url() else { return Ok(None) };
    let profiles: ProfilesFile = cx.profiles()?;
    let Some((name, server)) = host::profile_for(&profiles, args.profile.as_deref(), &url, &message, cx)?
    else {
        return Ok(None);
    };
    let profile = profiles.choose(Some(&name))?.1.clone();
    let store = cx.store(&profiles).await?;
    Ok(Some((server, message, Connection::new(name, profile, store, |builder| builder)?)))
}

fn as_password(token: &AccessToken, username: &str) -> String {
    let mut lines = format!("username={username}\npassword={}", token.secret().expose());
    push_expiry(&mut lines, token);
    lines
}

fn as_bearer(token: &AccessToken) -> String {
    let mut lines = format!(
        "capability[]=authtype\nauthtype=Bearer\ncredential={}\nephemeral=1",
        token.secret().expose()
    );
    push_expiry(&mut lines, token);
    lines
}

fn push_expiry(lines: &mut String, token: &AccessToken) {
    if let Some(expires_at) = expires_at(token) {
        lines.push_str(&format!("\npassword_expiry_utc={expires_at}"));
    }
}

fn expires_at(token: &AccessToken) -> Option<u64> {
    token.expires_at().map(unix_seconds)
}

fn is_too_new(received_at_ms: u64, now: SystemTime) -> bool {
    // One from the future is from before the clock was set back.
    now.duration_since(from_unix_ms(received_at_ms)).is_ok_and(|age| age < TOO_NEW)
}

impl Message {
    /// What the server refused.
    fn secret(&self) -> Option<Secret> {
        self.password.clone().or_else(|| self.credential.clone())
    }
}
