//! `jeton status`: the logins, whose and how valid, and where they are kept. Nothing is sent, and no token is shown.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use anstyle::Style;
use jeton::storage::{StoreError, TokenStore};
use serde_json::{Value, json};

use crate::client::client_of;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, in_words_of_the_command};
use crate::login_state::{LoginState, Standing};
use crate::logins::{self, Entry};
use crate::output::{BAD, CAREFUL, FAINT, GOOD, STRONG};
use crate::printable::printable;
use crate::profile::Profile;
use crate::store::{OpenStore, short_why};
use crate::when;
use crate::wrap::wrapped;

/// How far the lines below a login's name are set in, and how wide their first words are.
const INDENT: usize = 4;
const LABEL: usize = 9;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is sent: what is shown is what the store has. `jeton status NAME` ends
with 3 if somebody has to log in to NAME.

Examples:
  jeton status
  jeton status work || jeton login work
  jeton status --json |
    jq -r '.logins[] | select(.state == \"login_needed\").profile'")]
pub(crate) struct Args {
    /// One profile only, with all details.
    name: Option<String>,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let profiles = cx.profiles()?;
    let named = args.name.as_deref().map(|name| profiles.choose(Some(name))).transpose()?;
    let store = cx.store(&profiles).await?;
    let shared = store.shared();
    let (entries, unreadable) = match named {
        Some((name, profile)) => (vec![logins::entry_of(name, profile, &*shared).await], Vec::new()),
        None => logins::all(&profiles, &*shared).await?,
    };
    let now = SystemTime::now();
    let state_of = |entry: &Entry| {
        let mut state = LoginState::of(entry, now);
        let profile = entry.profile.as_ref().filter(|_| state.standing != Standing::Misconfigured);
        if let Some(failure) = profile.and_then(|profile| why_not(&entry.name, profile, &shared)) {
            state.cannot_work(&failure);
        }
        state
    };
    let states: Vec<LoginState> = entries.iter().map(state_of).collect();
    let page =
        Page { states: &states, unreadable: &unreadable, store: &store, now, brief: cx.output.is_quiet() };
    let text = page.text(cx.output.columns(), named.is_some());
    cx.output.answer(text, || page.json(args.name.as_deref()))?;
    Ok(match (named, states.first()) {
        (Some(_), Some(state)) => exit_of(state.standing),
        _ => Exit::Success,
    })
}

/// Why no command can work with that profile, as each of them would find out by itself. Nothing is sent.
fn why_not(name: &str, profile: &Profile, store: &Arc<dyn TokenStore>) -> Option<Failure> {
    let built = client_of(name, profile, store).and_then(|builder| {
        builder.build().map_err(|error| Failure::of(&error, "the profile cannot work", name))
    });
    built.err()
}

/// What a script is to know of the one login that it asks for.
fn exit_of(standing: Standing) -> Exit {
    match standing {
        Standing::SignedIn | Standing::Unattended => Exit::Success,
        Standing::LoginNeeded => Exit::LoginRequired,
        Standing::Unreadable => Exit::Store,
        Standing::Misconfigured => Exit::Usage,
    }
}

struct Page<'a> {
    states: &'a [LoginState],
    unreadable: &'a [StoreError],
    store: &'a OpenStore,
    now: SystemTime,
    /// Without advice.
    brief: bool,
}

impl Page<'_> {
    fn json(&self, name: Option<&str>) -> Value {
        json!({
            "profile": name,
            "logins": self.states.iter().map(LoginState::to_json).collect::<Vec<_>>(),
            "unreadable": self.unreadable.iter()
                .map(|error| in_words_of_the_command(&error.to_string())).collect::<Vec<_>>(),
            "store": self.store.to_json(),
        })
    }

    fn text(&self, columns: usize, in_detail: bool) -> String {
        let mut text = Lines { text: String::new(), columns, in_detail };
        if self.states.is_empty() {
            text.plain(
                "There is no profile and no login. To begin: jeton login NAME --issuer URL --client-id ID",
            );
        }
        let mut before_without_profile = true;
        for state in self.states {
            if !state.has_profile && std::mem::take(&mut before_without_profile) {
                text.heading("Logins without a profile:");
            }
            self.login(&mut text, state);
        }
        for error in self.unreadable {
            text.plain("");
            text.item(CAREFUL, "warning:", &in_words_of_the_command(&printable(&error.to_string())));
        }
        self.store(&mut text);
        text.text.truncate(text.text.trim_end_matches('\n').len());
        text.text
    }

    fn login(&self, text: &mut Lines, state: &LoginState) {
        let (style, words) = match (state.standing, &state.person) {
            (Standing::SignedIn, Some(person)) => (GOOD, format!("signed in as {}", person.shown())),
            (Standing::SignedIn, None) => (GOOD, "signed in".to_owned()),
            (Standing::Unattended, _) => (GOOD, "needs no login (client credentials)".to_owned()),
            (Standing::LoginNeeded, _) => {
                (BAD, format!("needs a login: jeton login {}", printable(&state.name)))
            }
            (Standing::Unreadable, _) => (BAD, "cannot be read".to_owned()),
            (Standing::Misconfigured, _) => (BAD, "cannot work as it is configured".to_owned()),
        };
        text.title(&state.name, style, &words);
        if let Some(key) = &state.key {
            text.fact("server", &printable(key.issuer()));
            if text.in_detail || !state.has_profile {
                text.fact("client", &printable(key.client_id()));
            }
            if key.account() != state.name {
                text.fact("account", &printable(key.account()));
            }
        }
        if let Some(scope) = &state.scope {
            text.fact("scope", scope);
        }
        let is_usable = matches!(state.standing, Standing::SignedIn | Standing::Unattended);
        let is_over = state.expires_at.is_some_and(|at| at <= self.now);
        if is_usable || (state.has_token && is_over) {
            text.fact("token", &state.token_in_words(self.now));
        }
        if state.further_tokens > 0 && text.in_detail {
            text.fact("", &format!("and {} for other resources or scopes", state.further_tokens));
        }
        if state.bound {
            text.fact("bound", "to a key (DPoP): of no use to who copies it");
        }
        if let Some(at) = state.signed_in_at.filter(|_| text.in_detail) {
            text.fact("since", &format!("{} ({})", when::relative(at, self.now), when::utc(at)));
        }
        for (code, warning) in &state.warnings {
            // That nobody has logged in stands in the first line already.
            if code != "not_logged_in" && code != "no_profile" {
                text.indented(CAREFUL, "warning:", warning);
            }
        }
    }

    fn store(&self, text: &mut Lines) {
        let store = self.store.describe();
        let place = match store.location.is_empty() {
            true => store.backend.clone(),
            false => format!("{} at {}", store.backend, printable(&store.location)),
        };
        let encrypted = if store.encrypted { "encrypted" } else { "not encrypted" };
        text.plain("");
        text.item(STRONG, "Store:", &format!("{place} ({encrypted})"));
        if self.brief {
            return;
        }
        if !store.why.is_empty() {
            text.item(Style::new(), "", &format!("because {}", printable(&short_why(&store))));
        }
        if !store.encrypted {
            text.item(
                CAREFUL,
                "",
                "Who can read your files can use these logins. `jeton store` says what else there is.",
            );
        }
    }
}

/// Lines that fit the columns.
struct Lines {
    text: String,
    columns: usize,
    /// Whether long words stay whole.
    in_detail: bool,
}

impl Lines {
    fn plain(&mut self, text: &str) {
        let _ = writeln!(self.text, "{}", wrapped(text, 0, self.columns));
    }

    fn heading(&mut self, text: &str) {
        let _ = writeln!(self.text, "\n{FAINT}{text}{FAINT:#}");
    }

    /// The name of a login, and how it stands.
    fn title(&mut self, name: &str, style: Style, words: &str) {
        let name = printable(name);
        let column = name.chars().count().max(INDENT + LABEL - 2) + 2;
        let words = self.fitting(words, column);
        let words = wrapped(&words, column, self.columns);
        let _ = writeln!(
            self.text,
            "{STRONG}{name:width$}{STRONG:#}  {style}{words}{style:#}",
            width = column - 2
        );
    }

    fn fact(&mut self, label: &str, value: &str) {
        let value = self.fitting(value, INDENT + LABEL);
        let value = wrapped(&value, INDENT + LABEL, self.columns);
        let _ = writeln!(self.text, "{:INDENT$}{FAINT}{label:LABEL$}{FAINT:#}{value}", "");
    }

    fn indented(&mut self, style: Style, label: &str, text: &str) {
        let column = INDENT + LABEL;
        let text = wrapped(&self.fitting(text, column), column, self.columns);
        let _ = writeln!(self.text, "{:INDENT$}{style}{label:LABEL$}{style:#}{text}", "");
    }

    fn item(&mut self, style: Style, label: &str, text: &str) {
        let column = INDENT + LABEL;
        let text = wrapped(&self.fitting(text, column), column, self.columns);
        let _ = writeln!(self.text, "{style}{label:column$}{style:#}{text}");
    }

    /// In the overview no word is longer than its line: its middle is left out. The details have it whole.
    fn fitting(&self, text: &str, indent: usize) -> String {
        let most = self.columns.saturating_sub(indent).max(8);
        let word = |word: &str| match self.in_detail || word.chars().count() <= most {
            true => word.to_owned(),
            false => {
                let (start, end) = (most / 2, most - most / 2 - 1);
                let skip = word.chars().count() - end;
                word.chars().take(start).chain(['…']).chain(word.chars().skip(skip)).collect()
            }
        };
        text.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }
}
