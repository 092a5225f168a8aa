//! What is to be said of a login that is stored: whose it is, whether it works, what will happen next. Never a token.

use std::time::SystemTime;

use jeton::IdToken;
use jeton::storage::{LoginKey, LoginRecord, LoginStatus, StoredToken, TokenTarget, unix_ms};
use serde_json::{Value, json};

use crate::failure::{Failure, in_words_of_the_command};
use crate::logins::{Entry, Kept};
use crate::printable::printable_start;
use crate::profile::Profile;
use crate::when;

/// The most characters of a server's word, or of a name.
const MOST: usize = 200;

/// A login in short.
#[derive(Debug)]
pub(crate) struct LoginState {
    pub(crate) name: String,
    pub(crate) has_profile: bool,
    pub(crate) key: Option<LoginKey>,
    pub(crate) standing: Standing,
    /// Who logged in.
    pub(crate) person: Option<Person>,
    pub(crate) scope: Option<String>,
    pub(crate) expires_at: Option<SystemTime>,
    /// Whether there is an access token at all.
    pub(crate) has_token: bool,
    /// Whether a new access token is had without a person.
    pub(crate) renews_itself: bool,
    /// Whether its tokens are bound to a key (RFC 9449).
    pub(crate) bound: bool,
    pub(crate) signed_in_at: Option<SystemTime>,
    /// How many access tokens there are for other resources and scopes.
    pub(crate) further_tokens: usize,
    pub(crate) held_until: Option<SystemTime>,
    /// Stable words, and what they mean.
    pub(crate) warnings: Vec<(String, String)>,
}

/// Whether a login can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It works, as far as can be known without asking the server.
    SignedIn,
    /// The client gets its tokens by itself.
    Unattended,
    /// Somebody has to log in.
    LoginNeeded,
    /// What is stored cannot be read.
    Unreadable,
    /// The profile cannot work.
    Misconfigured,
}

impl Standing {
    /// The stable word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::Unattended => "unattended",
            Self::LoginNeeded => "login_needed",
            Self::Unreadable => "unreadable",
            Self::Misconfigured => "misconfigured",
        }
    }
}

/// Who logged in, as the checked ID token says.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) subject: String,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
}

impl Person {
    pub(crate) fn of(id_token: &IdToken) -> Self {
        let claims = id_token.claims();
        let text = |name| claims.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
        Self {
            subject: id_token.subject().to_owned(),
            name: text("name").or_else(|| text("preferred_username")),
            email: text("email"),
        }
    }

    /// The name that people know them by.
    pub(crate) fn shown(&self) -> String {
        let shown = match (&self.name, &self.email) {
            (Some(name), Some(email)) => format!("{name} <{email}>"),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => self.subject.clone(),
        };
        printable_start(&shown, MOST)
    }

    /// For programs; the same in each answer that tells of a person.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "sub": self.subject, "name": self.name, "email": self.email })
    }
}

impl LoginState {
    pub(crate) fn of(entry: &Entry, now: SystemTime) -> Self {
        let unattended = entry.profile.as_ref().is_some_and(Profile::needs_no_person);
        let mut state = Self {
            name: entry.name.clone(),
            has_profile: entry.profile.is_some(),
            key: entry.key().cloned(),
            standing: if unattended { Standing::Unattended } else { Standing::LoginNeeded },
            person: None,
            scope: None,
            expires_at: None,
            has_token: false,
            renews_itself: unattended,
            bound: false,
            signed_in_at: None,
            further_tokens: 0,
            held_until: None,
            warnings: Vec::new(),
        };
        match &entry.login {
            Kept::Login(_, record) => state.read(record, entry.profile.as_ref(), now),
            Kept::Nothing(_) if unattended => {}
            Kept::Nothing(_) => state.warn("not_logged_in", "nobody has logged in yet"),
            Kept::Unreadable(_, error) => {
                state.standing = Standing::Unreadable;
                state.warn("unreadable", &error.to_string());
            }
            Kept::NoKey(failure) => {
                state.cannot_work(failure);
            }
        }
        if !state.has_profile {
            state.warn(
                "no_profile",
                "no profile is for this login: another program's, or its profile was removed",
            );
        }
        state
    }

    /// The profile cannot work, whatever the store has of it.
    pub(crate) fn cannot_work(&mut self, failure: &Failure) {
        self.standing = Standing::Misconfigured;
        let why = failure.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        self.warn("misconfigured", &format!("{}{why}", failure.what));
    }

    fn read(&mut self, record: &LoginRecord, profile: Option<&Profile>, now: SystemTime) {
        let now_ms = unix_ms(now);
        self.signed_in_at = Some(when::from_unix_ms(record.created_at_ms));
        self.person = record.id_token.as_ref().and_then(IdToken::from_kept).as_ref().map(Person::of);
        self.bound = record.dpop_key.is_some();
        let token = main_token(record, profile);
        self.has_token = token.is_some();
        self.further_tokens = record.tokens.len() - usize::from(self.has_token);
        self.expires_at = token.and_then(|token| token.expires_at_ms).map(when::from_unix_ms);
        let asked = record.scope.as_ref().or_else(|| token.and_then(|token| token.target.scope.as_ref()));
        let granted = token.and_then(|token| token.granted_scope.as_ref());
        self.scope = granted.or(asked).map(|scope| printable_start(&scope.to_string(), 4_000));
        self.renews_itself |= record.refresh_token.is_some();
        match &record.status {
            LoginStatus::Live => {
                let lives = token.is_some_and(|token| token.expires_at_ms.is_none_or(|at| now_ms < at));
                if self.standing == Standing::LoginNeeded && (lives || self.renews_itself) {
                    self.standing = Standing::SignedIn;
                }
            }
            LoginStatus::Ended { reason, .. } => {
                self.standing = Standing::LoginNeeded;
                self.renews_itself = false;
                self.warn("ended", &format!("the login has ended: {reason}"));
            }
            other => {
                self.standing = Standing::Unreadable;
                self.warn("unknown_state", &format!("the login is {other}"));
            }
        }
        if let Some(hold) = &record.refresh_hold
            && let Some(remaining) = hold.remaining(now_ms)
        {
            self.held_until = now.checked_add(remaining);
            let what = format!(
                "the last refresh failed ({}); no other one for {}",
                hold.reason,
                when::span(remaining)
            );
            self.warn("held", &what);
        }
        for warning in token.map(|token| &*token.warnings).unwrap_or_default() {
            self.warn(warning.code(), &format!("the server's answer was odd: {warning}"));
        }
    }

    fn warn(&mut self, code: &str, text: &str) {
        let text = printable_start(&in_words_of_the_command(text), 3 * MOST);
        self.warnings.push((code.to_owned(), text));
    }

    /// What will become of the access token, for people.
    pub(crate) fn token_in_words(&self, now: SystemTime) -> String {
        if !self.has_token {
            return match self.renews_itself {
                true => "none yet; the next use gets one".to_owned(),
                false => "none".to_owned(),
            };
        }
        let Some(at) = self.expires_at else { return "valid; the server did not say until when".to_owned() };
        let (time, is_over) = (when::relative(at, now), at <= now);
        match (is_over, self.renews_itself) {
            (false, true) => format!("expires {time}, and renews itself"),
            (false, false) => format!("expires {time}; then a login is needed, as there is no refresh token"),
            (true, true) => format!("expired {time}; the next use renews it"),
            (true, false) => format!("expired {time}, and there is no refresh token"),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "profile": self.has_profile.then_some(&self.name),
            "account": self.key.as_ref().map(LoginKey::account),
            "issuer": self.key.as_ref().map(LoginKey::issuer),
            "client_id": self.key.as_ref().map(LoginKey::client_id),
            "state": self.standing.name(),
            "person": self.person.as_ref().map(Person::to_json),
            "scope": self.scope,
            "has_token": self.has_token,
            "expires_at": self.expires_at.map(when::unix_seconds),
            "renews_itself": self.renews_itself,
            "further_tokens": self.further_tokens,
            "dpop": self.bound,
            "signed_in_at": self.signed_in_at.map(when::unix_seconds),
            "held_until": self.held_until.map(when::unix_seconds),
            "warnings": self.warnings.iter()
                .map(|(code, text)| json!({ "code": code, "text": text })).collect::<Vec<_>>(),
        })
    }
}

/// The access token that the commands use; else the one that lives longest.
fn main_token<'a>(record: &'a LoginRecord, profile: Option<&Profile>) -> Option<&'a StoredToken> {
    let scope = profile
        .filter(|profile| profile.needs_no_person())
        .and_then(|profile| profile.scope.as_deref())
        .and_then(|scope| scope.parse().ok());
    let target = TokenTarget { resource: None, scope };
    let longest = || record.tokens.iter().max_by_key(|token| token.expires_at_ms.unwrap_or(u64::MAX));
    record.token(&target).or_else(longest)
}
