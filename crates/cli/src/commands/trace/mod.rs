//! `jeton trace`: does what another command does, and shows the whole exchange, with fingerprints for secrets: fit for a bug report.

mod api;
mod library_log;
mod names;
mod redact;
mod show;
mod timeline;
mod watched_person;
mod watched_store;
mod wire;

use std::sync::Arc;

use jeton::EventKind;
use serde_json::Value;

use self::redact::Redactor;
use self::show::Trace;
use self::timeline::{Kind, Timeline};
use self::watched_person::WatchedPerson;
use self::watched_store::WatchedStore;
use self::wire::{Side, WatchedTransport};
use crate::client::http_of;
use crate::commands::login;
use crate::context::{Connection, Context};
use crate::exit::Exit;
use crate::failure::Failure;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything happens as ever: a refresh under a trace spends the refresh token and
stores its successor. Look through a trace before you show it to others: scopes,
client identifiers and the names of servers are in it.

Examples:
  jeton trace work
  jeton trace work --refresh
  jeton trace work --login
  jeton trace work --request GET https://api.example/me
  jeton trace work --refresh --json > trace.json")]
pub(crate) struct Args {
    /// The profile; the default one if there is none here.
    name: Option<String>,
    /// Get a new access token, as `jeton refresh` does, instead of what `jeton token` does.
    #[arg(long, conflicts_with_all = ["login", "request"])]
    refresh: bool,
    /// Sign in anew, as `jeton login NAME` does.
    #[arg(long, conflicts_with = "request")]
    login: bool,
    /// Send this request with the token.
    #[arg(long, num_args = 2, value_names = ["METHOD", "URL"])]
    request: Option<Vec<String>>,
    /// Show what tokens and answers say about the person.
    #[arg(long)]
    show_claims: bool,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let timeline = Timeline::new(Redactor::new(args.show_claims));
    library_log::listen(&timeline);
    let connection = connect(args, cx, &timeline).await?;
    let (command, outcome) = act(args, &connection, &timeline).await;
    let outcome = outcome.map_err(|failure| scrubbed(failure, timeline.redactor()));
    let trace = Trace {
        connection: &connection,
        command,
        entries: timeline.entries(),
        outcome: outcome.as_ref().map(Clone::clone),
        redactor: timeline.redactor(),
    };
    cx.output.answer(trace.to_text(cx.output.columns()), || trace.to_json())?;
    outcome.map(|_| Exit::Success)
}

/// A server's words may repeat a secret in a spelling that is known here only.
fn scrubbed(failure: Failure, redactor: &Redactor) -> Failure {
    Failure {
        what: redactor.scrubbed(&failure.what),
        why: failure.why.map(|why| redactor.scrubbed(&why)),
        ..failure
    }
}

/// The profile's client, of which every request and every use of the store is written down.
async fn connect(args: &Args, cx: &Context, timeline: &Timeline) -> Result<Connection, Failure> {
    let profiles = cx.profiles()?;
    let (name, profile) = profiles.choose(args.name.as_deref())?;
    for public in [Some(name), profile.client_id.as_deref()].into_iter().flatten() {
        timeline.redactor().allow(public);
    }
    let store = cx.store(&profiles).await?;
    let transport = transport(name, profile, timeline, Side::Server)?;
    let watched = WatchedStore { inner: store.shared(), timeline: timeline.clone() };
    let events = timeline.clone();
    let (name, profile) = (name.to_owned(), profile.clone());
    let by_a_person = if args.login { login::by_a_person(&profile, cx.output)? } else { None };
    let person = timeline.clone();
    Connection::new(name, profile, store, |builder| {
        let builder = builder
            .transport(transport)
            .shared_store(Arc::new(watched))
            .on_event(move |event| note_event(&events, &event.kind));
        match by_a_person {
            Some((grant, inner)) => {
                builder.grant(grant).interaction(WatchedPerson { inner, timeline: person })
            }
            None => builder,
        }
    })
}

fn transport(
    name: &str,
    profile: &crate::profile::Profile,
    timeline: &Timeline,
    side: Side,
) -> Result<WatchedTransport, Failure> {
    WatchedTransport::new(&http_of(name, profile)?, timeline, side).map_err(|error| {
        Failure::configuration(format!("the profile `{name}` cannot work")).because(error.to_string())
    })
}

fn note_event(timeline: &Timeline, event: &EventKind) {
    let words = |text: &str| Value::from(timeline.redactor().words(text));
    let (what, why) = match event {
        EventKind::LoggedIn => ("somebody logged in", None),
        EventKind::Refreshed => ("this process has a new access token", None),
        EventKind::LoginEnded(reason) => ("the login has ended", Some(words(reason))),
        EventKind::PersistFailed(error) => {
            ("the new token could not be stored", Some(words(&error.to_string())))
        }
        EventKind::LoggedOut => ("logged out", None),
        EventKind::LoggedOutElsewhere => ("another process has logged out", None),
        _ => ("something that this version has no words for", None),
    };
    timeline.add(Kind::Event, what, why.map(|why| ("why".to_owned(), why)).into_iter().collect());
}

/// Does what is traced: what it is called, and how it went.
async fn act(args: &Args, connection: &Connection, timeline: &Timeline) -> (String, Result<String, Failure>) {
    let name = &connection.name;
    if let Some([method, url]) = args.request.as_deref() {
        let outcome = api::request(connection, timeline, method, url).await;
        let shown = jeton::Url::parse(url).map(|url| api::shown(timeline, &url)).unwrap_or_default();
        return (format!("jeton request {name} {} {shown}", method.to_ascii_uppercase()), outcome);
    }
    let session = &connection.session;
    let (command, token, what) = match (args.login, args.refresh) {
        (true, _) => ("login", session.log_in().await, "has nobody who signed in"),
        (_, true) => ("refresh", session.refresh().await, "could not get a new access token"),
        _ => ("token", session.token().await, "has no valid token"),
    };
    let outcome = token.map(|token| {
        let shown = timeline.redactor().secret(token.secret().expose());
        let scope = token.scope().map(|scope| format!(", for {scope}")).unwrap_or_default();
        format!("`{name}` has the access token {shown}{scope}")
    });
    let outcome = outcome.map_err(|error| connection.failure(&error, format!("`{name}` {what}")));
    (format!("jeton {command} {name}"), outcome)
}
