//! The refresh transaction: the one place where a refresh token is spent.
//!
//! lease → load → adopt somebody else's token, or reserve room → request → save → publish. The numbers in comments are
//! the rules of the life of a token (ARCHITECTURE.md).

use std::sync::Arc;
use std::time::Duration;

use jeton_grants::{Grant, GrantError, RefreshToken};
use jeton_models::{GrantType, Secret, TokenResponse};
use jeton_storage::{LoginRecord, LoginStatus, StoreError, StoredToken, TokenLease, unix_ms};

use crate::backoff::Backoff;
use crate::error::LoginRequired;
use crate::event::EventKind;
use crate::login::{Login, Revision, Unsaved, revision};
use crate::slot::Slot;
use crate::{AccessToken, Error};

/// Waits between the tries to save a record, under the lease.
const SAVE_RETRIES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// Room for what a new token answer may add to a record.
pub(crate) const ROOM: usize = 8 * 1024;

/// What a caller needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Need {
    /// The token must live for at least so long (but see [`AccessToken::is_fresh`]).
    pub(crate) least: Duration,
    /// Any token but this one.
    pub(crate) replace: Option<AccessToken>,
    /// A person or program asked for a refresh in so many words: failures are told, not covered by an old token.
    pub(crate) explicit: bool,
}

impl Need {
    pub(crate) fn is_met_by(&self, token: &AccessToken, now_ms: u64) -> bool {
        token.is_fresh(now_ms, self.least)
            && self.replace.as_ref().is_none_or(|replaced| !replaced.is_same(token))
    }
}

/// Gets a token that meets the need, by adopting or refreshing.
pub(crate) async fn run(login: &Arc<Login>, slot: &Arc<Slot>, need: &Need) -> Result<AccessToken, Error> {
    let transaction = Transaction { login, slot, need };
    match transaction.adopt_or_refresh().await {
        Ok(token) => Ok(token),
        Err(error) if error.is_login_required() || need.explicit => Err(error),
        Err(error) => match transaction.still_alive() {
            // (4) A failure is no reason to withhold a token that still lives.
            Some(token) => {
                tracing::warn!(login = %login.key, %error, "no new token; the old one still lives and is served");
                Ok(token)
            }
            None => Err(error),
        },
    }
}

/// What is known under the lease: the newest record, and which state of it the store has.
struct Newest {
    record: Option<LoginRecord>,
    stored: Revision,
}

struct Transaction<'a> {
    login: &'a Arc<Login>,
    slot: &'a Arc<Slot>,
    need: &'a Need,
}

impl Transaction<'_> {
    async fn adopt_or_refresh(&self) -> Result<AccessToken, Error> {
        let login = self.login;
        let client = &login.client;

        // Reading needs no lease: somebody else may have refreshed, ended or removed the login meanwhile.
        let before = self.slot.cached();
        let seen = client.store.load(&login.key).await?;
        if let Some(token) = self.usable_in(seen.as_ref())? {
            let token = self.slot.publish_over(before.as_ref(), token);
            if self.need.is_met_by(&token, client.now_ms()) {
                self.adopted();
                return Ok(token);
            }
        }
        if login.state().unsaved.is_none() {
            self.check_login(seen.as_ref())?;
        }
        let too_early =
            login.state().backoff.as_ref().and_then(|b| b.too_early(client.now_ms(), self.need.explicit));
        if let Some(error) = too_early {
            return Err(error);
        }

        let mut lease = client.store.lease(&login.key, client.lease_timeout).await?;
        // (2) The decision is taken on what the store holds now, under the lease.
        let newest = self.newest(&mut *lease).await?;
        if let Some(token) = self.usable_in(newest.record.as_ref())? {
            self.slot.publish(&token);
            self.adopted();
            return Ok(token);
        }
        self.check_login(newest.record.as_ref())?;
        self.refresh(&mut *lease, newest).await
    }

    /// Spends the refresh token, or runs the grant. The lease is held.
    async fn refresh(&self, lease: &mut dyn TokenLease, newest: Newest) -> Result<AccessToken, Error> {
        let login = self.login;
        let client = &login.client;
        let stored = newest.stored;
        let record = newest.record.unwrap_or_else(|| LoginRecord::new(login.key.clone(), client.clock.now()));
        // No room to keep the answer? Then do not ask for what cannot be kept.
        lease.reserve(record.to_json().len() * 2 + ROOM).await?;

        let refresh_token = record.refresh_token.clone().filter(|_| record.is_live());
        let result = match &refresh_token {
            Some(refresh_token) => {
                client.obtain(&self.refresh_with(refresh_token.clone()), &self.slot.target).await
            }
            None => client.obtain(&*self.grant_without_person(&record)?, &self.slot.target).await,
        };
        match result {
            Ok(response) => self.keep(lease, record, stored, response).await,
            Err(error) if refresh_token.is_some() && error.is_invalid_grant() => {
                self.refused(lease, record, stored, error).await
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn refresh_with(&self, refresh_token: Secret) -> RefreshToken {
        let refresh = RefreshToken::new(refresh_token);
        match &self.slot.target.scope {
            Some(scope) => refresh.scope(scope.clone()),
            None => refresh,
        }
    }

    /// Saves what the server granted, and only then publishes it.
    async fn keep(
        &self,
        lease: &mut dyn TokenLease,
        mut record: LoginRecord,
        stored: Revision,
        response: TokenResponse,
    ) -> Result<AccessToken, Error> {
        let login = self.login;
        apply(&mut record, response, self.slot, login);
        let on_probation = self.need.replace.as_ref().is_some_and(AccessToken::is_rejected);
        let token = save_and_publish(login, self.slot, lease, record, stored, on_probation).await?;
        login.state().backoff = None;
        login.emit(EventKind::Refreshed);
        Ok(token)
    }

    /// (4) The server says `invalid_grant`. It ends the login only if the store still holds the token that was sent.
    async fn refused(
        &self,
        lease: &mut dyn TokenLease,
        sent: LoginRecord,
        stored: Revision,
        error: GrantError,
    ) -> Result<AccessToken, Error> {
        if self.login.state().unsaved.is_some() {
            return self.ended(lease, sent, stored, &error).await;
        }
        let newest = lease.load().await?;
        self.check_login(newest.as_ref())?;
        let Some(newest) = newest else { return self.ended(lease, sent, None, &error).await };
        let stored = Some(revision(&newest));
        let Some(refresh_token) =
            newest.refresh_token.clone().filter(|found| Some(found) != sent.refresh_token.as_ref())
        else {
            return self.ended(lease, newest, stored, &error).await;
        };
        // Somebody wrote in spite of our lease (a restored backup, a foreign program): theirs is the newer one.
        tracing::warn!(login = %self.login.key, "another refresh token appeared in the store; it is adopted");
        if let Some(token) = self.usable_in(Some(&newest))? {
            self.slot.publish(&token);
            return Ok(token);
        }
        match self.login.client.obtain(&self.refresh_with(refresh_token), &self.slot.target).await {
            Ok(response) => self.keep(lease, newest, stored, response).await,
            Err(again) if again.is_invalid_grant() => self.ended(lease, newest, stored, &again).await,
            Err(other) => Err(self.failed(other)),
        }
    }

    /// The login is over: says so in the store, so that nobody asks again; or starts a new one where no person is needed.
    async fn ended(
        &self,
        lease: &mut dyn TokenLease,
        mut record: LoginRecord,
        stored: Revision,
        error: &GrantError,
    ) -> Result<AccessToken, Error> {
        let login = self.login;
        let client = &login.client;
        let reason =
            error.oauth_error().map_or_else(|| error.to_string(), |error| error.response.to_string());
        tracing::info!(login = %login.key, reason, "the login ended");
        if let Some(grant) = client.grant_without_person() {
            return match client.obtain(&*grant, &self.slot.target).await {
                Ok(response) => self.keep(lease, record, stored, response).await,
                Err(error) => Err(self.failed(error)),
            };
        }
        record.status = LoginStatus::Ended { reason: reason.clone(), at_ms: client.now_ms() };
        record.generation += 1;
        record.updated_at_ms = client.now_ms();
        save(login, lease, record, stored).await;
        login.state().backoff = None;
        login.clear_slots();
        login.emit(EventKind::LoginEnded(reason.clone()));
        Err(Error::LoginRequired(LoginRequired::Ended(reason)))
    }

    /// (4) Everything but `invalid_grant` is transient: the record stays as it is, and the next try waits its time.
    fn failed(&self, error: GrantError) -> Error {
        let login = self.login;
        let now_ms = login.client.now_ms();
        // An ambiguous failure may have spent the refresh token. As long as the access token lives, the risk of being
        // taken for a thief (a second use revokes the login) is not worth the try.
        let not_before_ms = self
            .still_alive()
            .filter(|_| error.may_have_been_acted_on())
            .and_then(|token| token.expires_at_ms());
        let error = Error::from(error);
        let mut state = login.state();
        state.backoff = Some(Backoff::after(state.backoff.as_ref(), error.clone(), now_ms, not_before_ms));
        error
    }

    /// The record under the lease. One that this process could not save yet is newer, and tried again.
    async fn newest(&self, lease: &mut dyn TokenLease) -> Result<Newest, Error> {
        let login = self.login;
        let record = lease.load().await?;
        let stored = record.as_ref().map(revision);
        let Some(unsaved) = login.state().unsaved.clone() else { return Ok(Newest { record, stored }) };
        if stored != unsaved.replaces {
            // Somebody logged in, refreshed or logged out meanwhile: theirs counts.
            login.state().unsaved = None;
            return Ok(Newest { record, stored });
        }
        let saved = save(login, lease, unsaved.record.clone(), stored).await;
        let stored = if saved { Some(revision(&unsaved.record)) } else { stored };
        Ok(Newest { record: Some(unsaved.record), stored })
    }

    /// The token of the record, if it meets the need.
    fn usable_in(&self, record: Option<&LoginRecord>) -> Result<Option<AccessToken>, Error> {
        let Some(record) = record.filter(|record| record.is_live()) else { return Ok(None) };
        let Some(stored) = record.token(&self.slot.target) else { return Ok(None) };
        // The handle that this process has already knows whether a resource server rejected the token.
        let token = match self.slot.cached().filter(|cached| cached.is_stored_as(stored)) {
            Some(cached) => cached,
            None => self.login.handle(stored, record)?,
        };
        Ok(self.need.is_met_by(&token, self.login.client.now_ms()).then_some(token))
    }

    /// Whether anything can be done without a person.
    fn check_login(&self, record: Option<&LoginRecord>) -> Result<(), Error> {
        let reason = match record {
            None if self.login.state().was_signed_in => LoginRequired::LoggedOut,
            None => LoginRequired::NeverLoggedIn,
            Some(record) => match &record.status {
                LoginStatus::Live if record.refresh_token.is_some() => return Ok(()),
                LoginStatus::Live => LoginRequired::NoRefreshToken,
                LoginStatus::Ended { reason, .. } => LoginRequired::Ended(reason.clone()),
                // Not ours to replace: a newer jeton knows what it means.
                other => return Err(Error::LoginRequired(LoginRequired::Ended(other.to_string()))),
            },
        };
        if self.login.client.grant_without_person().is_some() {
            return Ok(());
        }
        if record.is_none() {
            // (9) A log-out elsewhere is seen, not overwritten.
            self.login.clear_slots();
            if std::mem::take(&mut self.login.state().was_signed_in) {
                self.login.emit(EventKind::LoggedOutElsewhere);
            }
        } else if !matches!(reason, LoginRequired::NoRefreshToken) {
            self.login.clear_slots();
        }
        Err(Error::LoginRequired(reason))
    }

    fn grant_without_person(&self, record: &LoginRecord) -> Result<Arc<dyn Grant>, Error> {
        self.login.client.grant_without_person().ok_or_else(|| {
            Error::LoginRequired(match &record.status {
                LoginStatus::Ended { reason, .. } => LoginRequired::Ended(reason.clone()),
                _ => LoginRequired::NoRefreshToken,
            })
        })
    }

    /// The token that this process has, as long as it really lives and is not the one to be replaced.
    fn still_alive(&self) -> Option<AccessToken> {
        let token = self.slot.cached()?;
        let wanted = self.need.replace.as_ref().is_none_or(|replaced| !replaced.is_same(&token));
        (wanted && token.lives(self.login.client.now_ms(), self.need.least)).then_some(token)
    }

    fn adopted(&self) {
        let mut state = self.login.state();
        state.was_signed_in = true;
        state.backoff = None;
    }
}

/// Puts a token answer into the record.
pub(crate) fn apply(record: &mut LoginRecord, response: TokenResponse, slot: &Slot, login: &Login) {
    let now = login.client.clock.now();
    let mut token = response.into_token(now);
    // (3) No refresh token in the answer: the old one stays.
    if let Some(refresh_token) = token.refresh_token.take() {
        let unwanted =
            login.client.grant.as_ref().is_some_and(|g| g.grant_type() == GrantType::ClientCredentials);
        if !unwanted {
            record.set_refresh_token(refresh_token, now);
        }
    }
    record.status = LoginStatus::Live;
    let mut stored = StoredToken::new(&token, slot.target.clone(), now);
    if stored.expires_at_ms.is_some_and(|expires_at| expires_at <= stored.received_at_ms) {
        // One of the two clocks is wrong. Taking the server at its word would mean a refresh at each call.
        tracing::warn!(login = %login.key, "the new token is expired by this machine's clock; a 401 will tell instead");
        stored.expires_at_ms = None;
    }
    record.set_token(stored);
    record.scope = record.scope.take().or_else(|| login.client.scope.clone());
    record.generation += 1;
    record.updated_at_ms = unix_ms(now);
}

/// Saves a record that has a new token for the slot, then publishes the token. (5) A token that cannot be saved is
/// published all the same.
pub(crate) async fn save_and_publish(
    login: &Arc<Login>,
    slot: &Slot,
    lease: &mut dyn TokenLease,
    record: LoginRecord,
    stored: Revision,
    on_probation: bool,
) -> Result<AccessToken, Error> {
    let token = match record.token(&slot.target) {
        Some(stored) => login.handle(stored, &record),
        None => Err(Error::Panicked),
    };
    save(login, lease, record, stored).await;
    let token = token?;
    if on_probation {
        token.put_on_probation();
    }
    slot.publish(&token);
    login.state().was_signed_in = true;
    Ok(token)
}

/// Saves under the lease, a few times if need be; gives back whether it worked. What cannot be saved is remembered, and
/// tried again by the next transaction that finds `stored` still in the store.
async fn save(login: &Arc<Login>, lease: &mut dyn TokenLease, record: LoginRecord, stored: Revision) -> bool {
    let mut retries = SAVE_RETRIES.iter();
    let error = loop {
        match lease.save(&record).await {
            Ok(()) => {
                let mut state = login.state();
                state.unsaved = None;
                state.persist_error = None;
                return true;
            }
            Err(error) => match retries.next() {
                Some(wait) => login.client.clock.sleep(*wait).await,
                None => break error,
            },
        }
    };
    not_saved(login, record, stored, error);
    false
}

/// Remembers a record that could not be stored, and tells whoever listens.
pub(crate) fn not_saved(login: &Login, record: LoginRecord, stored: Revision, error: StoreError) {
    let error = Arc::new(error);
    tracing::error!(login = %login.key, %error, "the login could not be stored");
    {
        let mut state = login.state();
        state.unsaved = Some(Unsaved { record, replaces: stored });
        state.persist_error = Some(Error::Store(error.clone()));
    }
    login.emit(EventKind::PersistFailed(error));
}
