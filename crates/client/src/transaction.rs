//! The refresh transaction: the one place where a refresh token is spent.
//!
//! lease → load → adopt somebody else's token, or reserve room → request → save → publish. The numbers in comments are
//! the rules of the life of a token (ARCHITECTURE.md).

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use jeton_grants::{Grant, GrantError, Recovery, RefreshToken};
use jeton_models::{GrantType, Secret, TokenResponse};
use jeton_storage::{LoginRecord, LoginStatus, RefreshHold, StoreError, StoredToken, TokenLease, unix_ms};

use crate::access_token::millis;
use crate::backoff::{Urgency, asked_wait, jittered};
use crate::binding::Binding;
use crate::error::LoginRequired;
use crate::event::EventKind;
use crate::login::{Login, Revision, Unsaved, revision};
use crate::slot::Slot;
use crate::{AccessToken, Error};

/// Waits between the tries to save a record, under the lease.
const SAVE_RETRIES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// How long a token is taken to live that was dead when it came: long enough for those who wait for it.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// Room for what a new token answer may add to a record.
pub(crate) const ROOM: usize = 8 * 1024;

/// How long those who wait for the lease wait before they look whether it is still needed; each pause is longer than the last
/// by an eighth.
const FIRST_LOOK: Duration = Duration::from_millis(15);
const LONGEST_LOOK: Duration = Duration::from_millis(250);

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

    /// Whether the token will do when there is no better one to be had: it really lives, and is not the one to be
    /// replaced.
    pub(crate) fn is_served_by(&self, token: &AccessToken, now_ms: u64) -> bool {
        if self.explicit {
            return self.is_met_by(token, now_ms);
        }
        token.lives(now_ms, self.least)
            && self.replace.as_ref().is_none_or(|replaced| !replaced.is_same(token))
    }
}

/// Gets a token that meets the need, by adopting or refreshing.
pub(crate) async fn run(login: &Arc<Login>, slot: &Arc<Slot>, need: &Need) -> Result<AccessToken, Error> {
    let transaction = Transaction { login, slot, need };
    match transaction.adopt_or_refresh().await {
        Ok(token) => Ok(token),
        // The login is over, or gone: so is its token. Without a refresh token it goes on to its end.
        Err(Error::LoginRequired(reason)) if reason != LoginRequired::NoRefreshToken => {
            Err(Error::LoginRequired(reason))
        }
        Err(error) if need.explicit => Err(error),
        Err(error) => match transaction.still_alive() {
            // (4) A failure is no reason to withhold a token that still lives.
            Some(token) => {
                tracing::debug!(login = %login.key, %error, "no new token; the old one still lives and is served");
                Ok(token)
            }
            None => Err(error),
        },
    }
}

/// How the wait for the lease ended.
enum Turn {
    Lease(Box<dyn TokenLease>),
    /// Its holder has done what was to be done.
    Adopted(AccessToken),
}

/// What is known under the lease: the newest record, and which state of it the store has.
#[derive(Default)]
pub(crate) struct Newest {
    pub(crate) record: Option<LoginRecord>,
    pub(crate) stored: Revision,
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
        let changes = self.slot.change_count();
        let seen = client.store.load(&login.key).await?;
        let mut held_by = None;
        // What this process could not store yet is newer than what the store has.
        if let Some(unsaved) = login.unsaved_over(seen.as_ref()) {
            if let Some(token) = self.usable_in(Some(&unsaved)) {
                self.slot.publish_unless_changed(changes, &token);
                return Ok(token);
            }
            self.cache_living(Some(&unsaved), changes);
        } else {
            if let Some(token) = self.usable_in(seen.as_ref()) {
                return Ok(self.adopt(token, changes));
            }
            let changes = self.cache_living(seen.as_ref(), changes);
            held_by = seen.as_ref().and_then(|record| record.refresh_hold.as_ref());
            // If somebody logged in here meanwhile, what was seen is no reason to turn anybody away.
            if self.slot.change_count() == changes {
                self.check_login(seen.as_ref())?;
            }
        }
        self.check_time(held_by)?;

        let mut lease = match self.wait_for_turn().await? {
            Turn::Lease(lease) => lease,
            Turn::Adopted(token) => return Ok(token),
        };
        // (2) The decision is taken on what the store holds now, under the lease.
        let changes = self.slot.change_count();
        let newest = newest(login, &mut *lease).await?;
        if let Some(token) = self.usable_in(newest.record.as_ref()) {
            return Ok(self.adopt(token, changes));
        }
        self.check_login(newest.record.as_ref())?;
        // Another token of this login may have been asked for meanwhile, and the server have said no.
        self.check_time(newest.record.as_ref().and_then(|record| record.refresh_hold.as_ref()))?;
        self.refresh(&mut *lease, newest).await
    }

    /// Waits for the lease, and looks now and then whether its holder has stored a new token. Whoever waits for no more than
    /// that need not have the lease to see it: fifty processes would each wait for the forty-nine others.
    async fn wait_for_turn(&self) -> Result<Turn, Error> {
        let client = &self.login.client;
        let mut lease = client.store.lease(&self.login.key, client.lease_timeout);
        let mut pause = FIRST_LOOK;
        loop {
            let rest = jittered(pause);
            let look = async move {
                tokio::time::sleep(rest).await;
                let began = Instant::now();
                (self.look().await, began.elapsed())
            };
            match select(&mut lease, pin!(look)).await {
                Either::Left((lease, _)) => return Ok(Turn::Lease(lease?)),
                Either::Right(((Some(token), _), _)) => return Ok(Turn::Adopted(token)),
                // A store that takes its time is not kept from its work by those who look.
                Either::Right(((None, took), _)) => pause = (pause * 9 / 8).max(took * 20).min(LONGEST_LOOK),
            }
        }
    }

    /// A new token that somebody else has stored, adopted. What is wrong with the store is found by whoever has the lease.
    async fn look(&self) -> Option<AccessToken> {
        let changes = self.slot.change_count();
        let seen = self.login.client.store.load(&self.login.key).await.ok()?;
        if self.login.unsaved_over(seen.as_ref()).is_some() {
            return None;
        }
        let token = self.usable_in(seen.as_ref())?;
        Some(self.adopt(token, changes))
    }

    /// Takes over a token that somebody else got, or this process in an earlier run.
    fn adopt(&self, token: AccessToken, changes: u64) -> AccessToken {
        if self.slot.publish_unless_changed(changes, &token) {
            let mut state = self.login.state();
            state.was_signed_in = true;
            state.logged_out = false;
            state.all_is_well_for(&self.slot.target);
        }
        token
    }

    /// Takes a stored token that is due to be refreshed, but still lives, into an empty cache: this process has just begun,
    /// and will serve it if there is no new one to be had. Gives back the count of changes after that.
    fn cache_living(&self, record: Option<&LoginRecord>, changes: u64) -> u64 {
        if self.slot.cached().is_some() {
            return changes;
        }
        let now_ms = self.login.client.now_ms();
        let living = record
            .filter(|record| record.is_live())
            .and_then(|record| {
                self.login.handle(record.token(&self.slot.target).filter(|t| self.takes(t))?, record).ok()
            })
            .filter(|token| token.lives(now_ms, Duration::ZERO))
            // One that is to be replaced may have been rejected, which this new handle would not know.
            .filter(|token| self.need.replace.as_ref().is_none_or(|replaced| !replaced.is_same(token)));
        match living {
            Some(token) if self.slot.publish_unless_changed(changes, &token) => {
                self.login.state().was_signed_in = true;
                changes + 1
            }
            _ => changes,
        }
    }

    /// Whether a resource server rejected the token that is there. An older one, which a late answer rejects, does not count.
    fn present_is_rejected(&self) -> bool {
        self.present().is_some_and(|present| present.is_rejected())
    }

    /// The token that is there. A process that has just begun has none in its cache, and may be about to replace the stored one.
    fn present(&self) -> Option<AccessToken> {
        self.slot.cached().or_else(|| self.need.replace.clone())
    }

    /// Whether it is time to ask the server again, after a failure in this process or in another.
    fn check_time(&self, hold: Option<&RefreshHold>) -> Result<(), Error> {
        let now_ms = self.login.client.now_ms();
        let urgency = match self.need.explicit {
            true => Urgency::Explicit,
            false if self.present_is_rejected() => Urgency::NothingToSpare,
            false => Urgency::Ordinary,
        };
        if let Some(error) = self.login.state().too_early(&self.slot.target, now_ms, urgency) {
            return Err(error);
        }
        let Some(hold) = hold else { return Ok(()) };
        let remaining = match urgency {
            Urgency::Ordinary => hold.remaining(now_ms),
            // Nobody comes before the time that the server named.
            Urgency::NothingToSpare | Urgency::Explicit => hold.remaining_as_asked(now_ms),
        };
        let Some(after) = remaining else { return Ok(()) };
        let last = Box::new(Error::FailedElsewhere(Arc::from(hold.reason.as_str())));
        Err(Error::BackingOff { after, last })
    }

    /// Spends the refresh token, or runs the grant. The lease is held.
    async fn refresh(&self, lease: &mut dyn TokenLease, newest: Newest) -> Result<AccessToken, Error> {
        let login = self.login;
        let client = &login.client;
        let stored = newest.stored;
        let mut record =
            newest.record.unwrap_or_else(|| LoginRecord::new(login.key.clone(), client.clock.now()));
        // No room to keep the answer? Then do not ask for what cannot be kept.
        lease.reserve(record.to_json().len() * 2 + ROOM).await?;

        let asked_at = client.clock.now();
        let refresh_token = record.refresh_token.clone().filter(|_| record.is_live());
        let Some(refresh_token) = refresh_token else {
            let grant = self.grant_without_person(&record)?;
            let binding = login.binding_to_begin(&record)?;
            return match client.obtain(&*grant, &self.slot.target, &binding).await {
                Ok(response) => {
                    forget_what_was_before(&mut record);
                    self.keep(lease, record, stored, response, asked_at, &binding).await
                }
                Err(error) => Err(self.failed(error, Sent::Nothing)),
            };
        };
        // A refresh token that is bound to a key is refused for good without it: better not to send it.
        let binding = login.binding_to_refresh(&record)?;
        if binding.keep_in(&mut record) {
            // Durable before the server hears of it: an answer that gets lost must not leave the login bound to a lost key.
            save_once(lease, &record).await?;
        }
        match client.obtain(&self.refresh_with(refresh_token, &record), &self.slot.target, &binding).await {
            Ok(response) => self.keep(lease, record, stored, response, asked_at, &binding).await,
            Err(error) if error.is_invalid_grant() => self.refused(lease, record, stored, error).await,
            Err(error) => Err(self.unanswered(lease, record, stored, error).await),
        }
    }

    /// No token for the refresh token that was sent. If the answer cannot be used but has a new refresh token, that one is
    /// kept: the server has rotated, and would take a second use of the old one for a theft.
    async fn unanswered(
        &self,
        lease: &mut dyn TokenLease,
        mut record: LoginRecord,
        stored: Revision,
        mut error: GrantError,
    ) -> Error {
        let rotated = match &mut error {
            GrantError::Unusable { answer, .. } => answer.refresh_token.take(),
            GrantError::NotAnAccessToken { refresh_token, .. } => refresh_token.take(),
            #[cfg(feature = "jose")]
            GrantError::RejectedJwt(rejected) => rejected.refresh_token.take(),
            _ => None,
        };
        let Some(refresh_token) = rotated else {
            self.hold_back(lease, &record, &error).await;
            return self.failed(error, Sent::RefreshToken);
        };
        let now = self.login.client.clock.now();
        record.set_refresh_token(refresh_token, now);
        record.generation += 1;
        record.updated_at_ms = unix_ms(now);
        save(self.login, lease, record, stored).await;
        // The one to send next is known to be good.
        self.failed(error, Sent::Nothing)
    }

    #[cfg_attr(not(feature = "openid"), expect(unused_variables, reason = "for the ID token in it"))]
    fn refresh_with(&self, refresh_token: Secret, record: &LoginRecord) -> RefreshToken {
        let refresh = RefreshToken::new(refresh_token);
        #[cfg(feature = "openid")]
        let refresh = refresh.id_token(record.id_token.as_ref().and_then(jeton_grants::IdToken::from_kept));
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
        asked_at: SystemTime,
        binding: &Binding,
    ) -> Result<AccessToken, Error> {
        let login = self.login;
        apply(&mut record, response, self.slot, login, asked_at, binding);
        // Whoever started this may not be the one whose token was rejected.
        let on_probation = self.present_is_rejected();
        let token = save_and_publish(login, self.slot, lease, record, stored, on_probation).await?;
        login.state().all_is_well_for(&self.slot.target);
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
        let changes = self.slot.change_count();
        let newest = lease.load().await?;
        if let Some(unsaved) = self.login.unsaved_over(newest.as_ref()) {
            if unsaved.refresh_token == sent.refresh_token {
                // What was sent is newer than what is stored.
                return self.ended(lease, sent, stored, &error).await;
            }
            // A person logged in anew while the lease was here: what the server says of the old login ends nothing.
            return self.usable_in(Some(&unsaved)).ok_or_else(|| self.failed(error, Sent::Nothing));
        }
        let Some(newest) = newest else {
            self.check_login(None)?;
            return self.ended(lease, sent, None, &error).await;
        };
        let stored = Some(revision(&newest));
        if newest.refresh_token == sent.refresh_token && newest.is_live() {
            return self.ended(lease, newest, stored, &error).await;
        }
        // Somebody wrote in spite of our lease (a restored backup, a foreign program): theirs is the newer one.
        tracing::warn!(login = %self.login.key, "another login appeared in the store; it is adopted");
        if let Some(token) = self.usable_in(Some(&newest)) {
            return Ok(self.adopt(token, changes));
        }
        self.check_login(Some(&newest))?;
        let Some(refresh_token) = newest.refresh_token.clone().filter(|_| newest.is_live()) else {
            return self.ended(lease, newest, stored, &error).await;
        };
        let asked_at = self.login.client.clock.now();
        let mut newest = newest;
        let binding = self.login.binding_to_refresh(&newest)?;
        if binding.keep_in(&mut newest) {
            save_once(lease, &newest).await?;
        }
        match self
            .login
            .client
            .obtain(&self.refresh_with(refresh_token, &newest), &self.slot.target, &binding)
            .await
        {
            Ok(response) => self.keep(lease, newest, stored, response, asked_at, &binding).await,
            Err(again) if again.is_invalid_grant() => self.ended(lease, newest, stored, &again).await,
            Err(other) => Err(self.unanswered(lease, newest, stored, other).await),
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
            let asked_at = client.clock.now();
            let binding = client.dpop.new_binding()?;
            match client.obtain(&*grant, &self.slot.target, &binding).await {
                Ok(response) => {
                    forget_what_was_before(&mut record);
                    return self.keep(lease, record, stored, response, asked_at, &binding).await;
                }
                Err(error) => {
                    // Noted all the same, so that the refused token is not sent again.
                    self.note_end(lease, record, stored, reason).await;
                    return Err(self.failed(error, Sent::Nothing));
                }
            }
        }
        self.note_end(lease, record, stored, reason.clone()).await;
        login.state().begin_anew();
        login.clear_slots();
        login.emit(EventKind::LoginEnded(reason.clone()));
        Err(Error::LoginRequired(LoginRequired::Ended(reason)))
    }

    async fn note_end(
        &self,
        lease: &mut dyn TokenLease,
        mut record: LoginRecord,
        stored: Revision,
        reason: String,
    ) {
        let now_ms = self.login.client.now_ms();
        record.status = LoginStatus::Ended { reason, at_ms: now_ms };
        record.refresh_hold = None;
        record.generation += 1;
        record.updated_at_ms = now_ms;
        save(self.login, lease, record, stored).await;
    }

    /// (4) Everything but `invalid_grant` is transient: the record stays as it is, and the next try waits its time.
    fn failed(&self, error: GrantError, sent: Sent) -> Error {
        let login = self.login;
        let now_ms = login.client.now_ms();
        let spared_until_ms = match sent {
            Sent::RefreshToken => self.spared_until(&error, now_ms),
            Sent::Nothing => None,
        };
        let error = Error::from(error);
        // What is wrong with a request for this target need not be wrong with one for another.
        let target = matches!(error.recovery(), Recovery::FixRequest).then(|| self.slot.target.clone());
        login.state().back_off(target, error.clone(), now_ms, spared_until_ms);
        error
    }

    /// An ambiguous failure may have spent the refresh token. As long as the access token lives, also if it is to be
    /// replaced, the risk of being taken for a thief (a second use revokes the login) is not worth the try.
    fn spared_until(&self, error: &GrantError, now_ms: u64) -> Option<u64> {
        let alive = self.present().filter(|token| token.lives(now_ms, Duration::ZERO));
        alive.filter(|_| error.may_have_been_acted_on()).and_then(|token| token.expires_at_ms())
    }

    /// Tells those who share the login, and later runs, not to send the refresh token again too early. The lease is held.
    async fn hold_back(&self, lease: &mut dyn TokenLease, sent: &LoginRecord, error: &GrantError) {
        let login = self.login;
        let now_ms = login.client.now_ms();
        let mut hold = RefreshHold::new(now_ms, error.to_string());
        hold.spared_until_ms = self.spared_until(error, now_ms);
        hold.asked_until_ms = asked_wait(&error.recovery()).map(|asked| now_ms.saturating_add(millis(asked)));
        if hold.remaining(now_ms).is_none() {
            return;
        }
        // A store that does not take what is newer still will not take this either.
        if login.state().unsaved.is_some() {
            return;
        }
        // Somebody may have written in spite of the lease, or removed the login by hand: a hint is no reason to undo that.
        let Ok(Some(mut record)) = lease.load().await else { return };
        if revision(&record) != revision(sent) {
            return;
        }
        // Not another generation: what somebody else could not store yet is no older for this.
        record.refresh_hold = Some(hold);
        record.updated_at_ms = now_ms;
        if let Err(error) = save_once(lease, &record).await {
            tracing::warn!(login = %login.key, %error, "other processes could not be told to wait");
        }
    }

    /// The token of the record, if it meets the need.
    fn usable_in(&self, record: Option<&LoginRecord>) -> Option<AccessToken> {
        let record = record.filter(|record| record.is_live())?;
        let stored = record.token(&self.slot.target).filter(|stored| self.takes(stored))?;
        // The handle that this process has already knows whether a resource server rejected the token.
        let token = match self.slot.cached().filter(|cached| cached.is_stored_as(stored)) {
            Some(cached) => cached,
            // One that no header can carry is as good as none.
            None => self.login.handle(stored, record).ok()?,
        };
        self.need.is_met_by(&token, self.login.client.now_ms()).then_some(token)
    }

    /// Whether the client sends tokens of that type.
    fn takes(&self, stored: &StoredToken) -> bool {
        self.login.client.dpop.take(stored.token_type)
    }

    /// Whether anything can be done without a person.
    fn check_login(&self, record: Option<&LoginRecord>) -> Result<(), Error> {
        let reason = match record {
            None => match self.login.state() {
                state if state.was_signed_in || state.logged_out => LoginRequired::LoggedOut,
                _ => LoginRequired::NeverLoggedIn,
            },
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
            let noticed = {
                let mut state = self.login.state();
                state.logged_out |= state.was_signed_in;
                std::mem::take(&mut state.was_signed_in)
            };
            if noticed {
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
        let now_ms = self.login.client.now_ms();
        self.slot.cached().filter(|token| self.need.is_served_by(token, now_ms))
    }
}

/// What a failed request may have used up.
#[derive(Clone, Copy)]
enum Sent {
    RefreshToken,
    Nothing,
}

/// Before the answer of a grant is put into a record: the refresh token there belongs to what was before, and so does the ID
/// token, which may name somebody else.
fn forget_what_was_before(record: &mut LoginRecord) {
    record.refresh_token = None;
    record.refresh_token_received_at_ms = None;
    record.id_token = None;
}

/// The record under the lease. One that this process could not save yet is newer, and tried again.
pub(crate) async fn newest(login: &Arc<Login>, lease: &mut dyn TokenLease) -> Result<Newest, Error> {
    let record = lease.load().await?;
    let stored = record.as_ref().map(revision);
    // If somebody logged in, refreshed or logged out meanwhile, theirs counts.
    let Some(unsaved) = login.settle_unsaved(record.as_ref()) else { return Ok(Newest { record, stored }) };
    let saved = save(login, lease, unsaved.clone(), stored.clone()).await;
    let stored = if saved { Some(revision(&unsaved)) } else { stored };
    Ok(Newest { record: Some(unsaved), stored })
}

/// Tries once more to store what could not be stored so far.
pub(crate) async fn store_what_is_unsaved(login: &Arc<Login>) {
    if login.state().unsaved.is_none() {
        return;
    }
    let client = &login.client;
    let stored = match client.store.lease(&login.key, client.lease_timeout).await {
        Ok(mut lease) => newest(login, &mut *lease).await.map(drop),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = stored {
        tracing::error!(login = %login.key, %error, "the login is still not stored");
    }
}

/// Puts a token answer into the record. `asked_at` is when it was asked for: since then the token may have been alive.
pub(crate) fn apply(
    record: &mut LoginRecord,
    response: TokenResponse,
    slot: &Slot,
    login: &Login,
    asked_at: SystemTime,
    binding: &Binding,
) {
    // Before the new token is there: those of another key go.
    binding.keep_in(record);
    let now = login.client.clock.now();
    // Whatever is there was checked; an answer without one leaves the one before it.
    #[cfg(feature = "openid")]
    if let Some(id_token) = response.extra.get_str("id_token").filter(|_| login.client.id_tokens.is_some()) {
        record.id_token = Some(Secret::from(id_token));
    }
    let made_at = earliest_birth(&response, login, asked_at, now);
    let mut token = response.into_token(made_at);
    // (3) No refresh token in the answer: the old one stays.
    if let Some(refresh_token) = token.refresh_token.take() {
        let unwanted =
            login.client.grant.as_ref().is_some_and(|g| g.grant_type() == GrantType::ClientCredentials);
        if !unwanted {
            record.set_refresh_token(refresh_token, now);
        }
    }
    record.status = LoginStatus::Live;
    record.refresh_hold = None;
    let mut stored = StoredToken::new(&token, slot.target.clone(), made_at);
    match stored.expires_at_ms {
        Some(expires_at) if expires_at <= unix_ms(asked_at) => {
            // One of the two clocks is wrong. Taking the server at its word would mean a refresh at each call.
            tracing::warn!(login = %login.key, "the new token is expired by this machine's clock; a 401 will tell instead");
            stored.expires_at_ms = None;
        }
        // It died on its way: whoever waits has it, and the next caller another one.
        Some(expires_at) if expires_at <= unix_ms(now) => {
            stored.expires_at_ms = Some(unix_ms(now + SHORTEST_LIFE));
        }
        _ => {}
    }
    record.set_token(stored);
    record.scope = record.scope.take().or_else(|| login.client.scope.clone());
    record.generation += 1;
    record.updated_at_ms = unix_ms(now);
}

/// From when the lifetime of a new token counts. The server counts from when it made the token, and the answer may have been
/// long on its way: the machine slept, the process was stopped.
///
/// What is left is at least the margin before its expiry, so that whoever waits has the token, if only to find out that it is
/// too old, and the next caller has another one. Otherwise a slow server would make each of ten thousand waiters ask anew.
fn earliest_birth(
    response: &TokenResponse,
    login: &Login,
    asked_at: SystemTime,
    now: SystemTime,
) -> SystemTime {
    let lifetime = response.expires_in.map_or(Duration::ZERO, Duration::from_secs);
    let left = login.client.margins.early_expiry.max(SHORTEST_LIFE).min(lifetime / 5);
    // Nothing, if the clock was set back meanwhile.
    let age = now.duration_since(asked_at).unwrap_or_default().min(lifetime - left);
    now.checked_sub(age).unwrap_or(now)
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
    let token = login.handle_of(&record, &slot.target);
    let created_at_ms = record.created_at_ms;
    save(login, lease, record, stored).await;
    let token = token?;
    if on_probation {
        token.put_on_probation();
    }
    let mut state = login.state();
    // A person may have logged in anew while the lease was here; that login waits to be stored.
    let superseded =
        state.unsaved.as_ref().is_some_and(|unsaved| unsaved.record.created_at_ms > created_at_ms);
    if !superseded {
        state.was_signed_in = true;
        state.logged_out = false;
        slot.publish(&token);
    }
    Ok(token)
}

/// Saves under the lease, a few times if need be; gives back whether it worked. What cannot be saved is remembered, and
/// tried again by the next transaction that finds `stored` still in the store.
pub(crate) async fn save(
    login: &Arc<Login>,
    lease: &mut dyn TokenLease,
    record: LoginRecord,
    stored: Revision,
) -> bool {
    let mut retries = SAVE_RETRIES.iter();
    let error = loop {
        match save_once(lease, &record).await {
            Ok(()) => {
                let mut state = login.state();
                // A newer login than this one, which came while the lease was here, still waits.
                if state.unsaved.as_ref().is_none_or(|u| u.record.created_at_ms <= record.created_at_ms) {
                    state.unsaved = None;
                    state.persist_error = None;
                }
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

/// A store that panics must not take with it what the server gave: that would be gone for good.
async fn save_once(lease: &mut dyn TokenLease, record: &LoginRecord) -> Result<(), StoreError> {
    match AssertUnwindSafe(lease.save(record)).catch_unwind().await {
        Ok(result) => result,
        Err(_) => {
            Err(StoreError::other("the store panicked while it saved; please report it with its backtrace"))
        }
    }
}

/// Remembers a record that could not be stored, and tells whoever listens.
pub(crate) fn not_saved(login: &Login, record: LoginRecord, stored: Revision, error: StoreError) {
    let error = Arc::new(error);
    tracing::error!(login = %login.key, %error, "the login could not be stored");
    {
        let mut state = login.state();
        if state.unsaved.as_ref().is_none_or(|u| u.record.created_at_ms <= record.created_at_ms) {
            state.unsaved = Some(Box::new(Unsaved { record, replaces: stored }));
        }
        state.persist_error = Some(Error::Store(error.clone()));
    }
    login.emit(EventKind::PersistFailed(error));
}
