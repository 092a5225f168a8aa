//! Logins and their tokens: issue, rotate, detect reuse, revoke (RFC 6749 §6, RFC 9700 §4.14.2).

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::authorization_details::Details;
use crate::mint::Mint;
use crate::refusal::Refusal;
use crate::scope::Scope;
use crate::stats::Counters;

/// What happens to a refresh token when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Every refresh brings a new refresh token. Using an old one again revokes the whole login for good, its
    /// access tokens too (RFC 9700 §4.14.2).
    Strict,
    /// As `Strict`, but for so long after its rotation an old refresh token is still taken: the answer holds the
    /// login's newest refresh token. Measured on the server's clock.
    GracePeriod(Duration),
    /// The refresh token stays the same and answers to a refresh hold none (RFC 6749 §6 allows both).
    Off,
}

pub(crate) type LoginId = u64;

/// What one refresh token belongs to: a person's (or a service's) consent for one client.
pub(crate) struct Login {
    pub(crate) client_id: String,
    pub(crate) subject: String,
    pub(crate) scope: Scope,
    pub(crate) resources: Vec<String>,
    /// The key that the refresh tokens of a public client are bound to (RFC 9449 §5).
    pub(crate) jkt: Option<String>,
    /// The certificate that the refresh tokens of a public client are bound to (RFC 8705 §4).
    pub(crate) x5t: Option<String>,
    /// How the person authenticated, if they were asked to in a certain way (RFC 9470), and when.
    pub(crate) acr: Option<String>,
    pub(crate) authenticated_at: Option<SystemTime>,
    /// What the first ID token must name (OpenID Connect Core §2).
    nonce: Option<String>,
    /// What was granted in detail (RFC 9396).
    pub(crate) details: Details,
    live: bool,
    newest_refresh_token: Option<String>,
}

pub(crate) struct AccessToken {
    pub(crate) client_id: String,
    pub(crate) subject: String,
    pub(crate) scope: Scope,
    pub(crate) audience: Vec<String>,
    pub(crate) issued_at: SystemTime,
    pub(crate) expires_at: Option<SystemTime>,
    /// The key that it is bound to (RFC 9449 §6).
    pub(crate) jkt: Option<String>,
    /// The certificate that it is bound to (RFC 8705 §3.1).
    pub(crate) x5t: Option<String>,
    pub(crate) details: Details,
    login: Option<LoginId>,
    revoked: bool,
}

struct RefreshToken {
    login: LoginId,
    rotated_at: Option<SystemTime>,
}

/// An access token that is about to be issued.
pub(crate) struct Order {
    pub(crate) client_id: String,
    pub(crate) subject: String,
    pub(crate) scope: Scope,
    pub(crate) audience: Vec<String>,
    pub(crate) login: Option<LoginId>,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) size: usize,
    pub(crate) jkt: Option<String>,
    pub(crate) x5t: Option<String>,
    pub(crate) details: Details,
}

#[derive(Default)]
pub(crate) struct Tokens {
    logins: HashMap<LoginId, Login>,
    access: HashMap<String, AccessToken>,
    refresh: HashMap<String, RefreshToken>,
    prune_above: usize,
}

/// Expired access tokens are forgotten when there are more than so many: a forgotten one is answered like an
/// expired one, and a test of millions of refreshes does not eat the memory.
const PRUNE_ABOVE: usize = 10_000;

impl Tokens {
    pub(crate) fn begin_login(
        &mut self,
        client_id: &str,
        subject: &str,
        scope: &Scope,
        resources: &[String],
    ) -> LoginId {
        let id = self.logins.len() as LoginId;
        let login = Login {
            client_id: client_id.to_owned(),
            subject: subject.to_owned(),
            scope: scope.clone(),
            resources: resources.to_vec(),
            jkt: None,
            x5t: None,
            acr: None,
            authenticated_at: None,
            nonce: None,
            details: Details::new(),
            live: true,
            newest_refresh_token: None,
        };
        self.logins.insert(id, login);
        id
    }

    /// Binds a login's refresh tokens to a certificate, once.
    pub(crate) fn bind_login_to_certificate(&mut self, id: LoginId, x5t: &str) {
        if let Some(login) = self.logins.get_mut(&id) {
            login.x5t.get_or_insert_with(|| x5t.to_owned());
        }
    }

    /// Notes what was granted in detail.
    pub(crate) fn detailed(&mut self, id: LoginId, details: Details) {
        if let Some(login) = self.logins.get_mut(&id) {
            login.details = details;
        }
    }

    pub(crate) fn login(&self, id: LoginId) -> Option<&Login> {
        self.logins.get(&id)
    }

    /// Binds the login's refresh tokens to a key, unless they are already.
    pub(crate) fn bind_login(&mut self, id: LoginId, jkt: &str) {
        if let Some(login) = self.logins.get_mut(&id) {
            login.jkt.get_or_insert_with(|| jkt.to_owned());
        }
    }

    /// Notes how and when the person of a login authenticated.
    pub(crate) fn authenticated(&mut self, id: LoginId, acr: Option<String>, at: Option<SystemTime>) {
        if let Some(login) = self.logins.get_mut(&id) {
            (login.acr, login.authenticated_at) = (acr, at);
        }
    }

    /// Notes the nonce of the login's authorization request, for its first ID token.
    pub(crate) fn set_nonce(&mut self, id: LoginId, nonce: Option<String>) {
        if let Some(login) = self.logins.get_mut(&id) {
            login.nonce = nonce;
        }
    }

    pub(crate) fn take_nonce(&mut self, id: LoginId) -> Option<String> {
        self.logins.get_mut(&id)?.nonce.take()
    }

    /// Ends the logins that a person has by way of a client.
    pub(crate) fn end_logins(&mut self, client_id: &str, subject: &str, counters: &mut Counters) {
        let theirs =
            |login: &&mut Login| login.client_id == client_id && login.subject == subject && login.live;
        for login in self.logins.values_mut().filter(theirs) {
            login.live = false;
            counters.logins_revoked += 1;
        }
    }

    /// The login that an access token belongs to.
    pub(crate) fn login_of(&self, token: &AccessToken) -> Option<&Login> {
        self.logins.get(&token.login?)
    }

    /// The newest logins first, and whether each still lives.
    pub(crate) fn newest_logins(&self, most: usize) -> Vec<(&Login, bool)> {
        let newest = (0..self.logins.len() as LoginId).rev().take(most);
        newest.filter_map(|id| self.logins.get(&id)).map(|login| (login, login.live)).collect()
    }

    /// An access token, good or not any more.
    pub(crate) fn access_token(&self, text: &str) -> Option<&AccessToken> {
        self.access.get(text)
    }

    pub(crate) fn live_logins(&self) -> usize {
        self.logins.values().filter(|login| login.live).count()
    }

    pub(crate) fn issue_access_token(&mut self, mint: &mut Mint, now: SystemTime, order: Order) -> String {
        self.prune(now);
        let text = mint.secret_of(order.size);
        let token = AccessToken {
            client_id: order.client_id,
            subject: order.subject,
            scope: order.scope,
            audience: order.audience,
            issued_at: now,
            expires_at: order.lifetime.and_then(|lifetime| now.checked_add(lifetime)),
            jkt: order.jkt,
            x5t: order.x5t,
            details: order.details,
            login: order.login,
            revoked: false,
        };
        self.access.insert(text.clone(), token);
        text
    }

    fn prune(&mut self, now: SystemTime) {
        if self.access.len() >= self.prune_above.max(PRUNE_ABOVE) {
            self.access.retain(|_, token| token.expires_at.is_none_or(|at| at > now));
            self.prune_above = self.access.len() * 2;
        }
    }

    pub(crate) fn issue_refresh_token(&mut self, mint: &mut Mint, login: LoginId) -> String {
        let text = mint.secret();
        self.refresh.insert(text.clone(), RefreshToken { login, rotated_at: None });
        if let Some(login) = self.logins.get_mut(&login) {
            login.newest_refresh_token = Some(text.clone());
        }
        text
    }

    /// The live login of a refresh token that may be used now. A used one revokes its login, unless its grace
    /// period runs. Nothing is rotated yet: scope and resource have to be looked at first.
    pub(crate) fn present_refresh_token(
        &mut self,
        text: &str,
        client_id: &str,
        now: SystemTime,
        rotation: Rotation,
        counters: &mut Counters,
    ) -> Result<LoginId, Refusal> {
        let token = self.refresh.get(text).ok_or_else(|| Refusal::invalid_grant("no such refresh token"))?;
        let id = token.login;
        let login = self.logins.get(&id).ok_or_else(|| Refusal::invalid_grant("no such login"))?;
        if login.client_id != client_id {
            return Err(Refusal::invalid_grant(
                "the refresh token was issued to another client (RFC 6749 section 5.2)",
            ));
        }
        if let Some(rotated_at) = token.rotated_at
            && !within_grace(rotated_at, now, rotation)
        {
            counters.refresh_reuses_detected += 1;
            self.revoke_login(id, counters);
            return Err(Refusal::invalid_grant(
                "A27: a refresh token was used again after its rotation; the whole login is revoked (RFC 9700 \
                 section 4.14.2)",
            ));
        }
        if !login.live {
            return Err(Refusal::invalid_grant("the login was revoked"));
        }
        Ok(id)
    }

    /// The refresh token of a refresh answer: a new one, or none if the old one stays.
    pub(crate) fn rotate_refresh_token(
        &mut self,
        mint: &mut Mint,
        text: &str,
        now: SystemTime,
        rotation: Rotation,
    ) -> Option<String> {
        if rotation == Rotation::Off {
            return None;
        }
        let token = self.refresh.get_mut(text)?;
        let id = token.login;
        if token.rotated_at.is_some() {
            return self.logins.get(&id)?.newest_refresh_token.clone();
        }
        token.rotated_at = Some(now);
        Some(self.issue_refresh_token(mint, id))
    }

    pub(crate) fn revoke_login(&mut self, id: LoginId, counters: &mut Counters) {
        if let Some(login) = self.logins.get_mut(&id)
            && login.live
        {
            login.live = false;
            counters.logins_revoked += 1;
        }
    }

    pub(crate) fn revoke_all_logins(&mut self, counters: &mut Counters) {
        for login in self.logins.values_mut().filter(|login| login.live) {
            login.live = false;
            counters.logins_revoked += 1;
        }
    }

    pub(crate) fn revoke_access_tokens(&mut self) {
        self.access.values_mut().for_each(|token| token.revoked = true);
    }

    pub(crate) fn expire_access_tokens(&mut self, now: SystemTime) {
        self.access.values_mut().for_each(|token| token.expires_at = Some(now));
    }

    /// An access token that is good now; why not, otherwise.
    pub(crate) fn live_access_token(
        &self,
        text: &str,
        now: SystemTime,
    ) -> Result<&AccessToken, &'static str> {
        let token = self.access.get(text).ok_or("The access token is unknown")?;
        if token.expires_at.is_some_and(|at| at <= now) {
            return Err("The access token expired");
        }
        let login_ended = token.login.is_some_and(|id| self.logins.get(&id).is_none_or(|login| !login.live));
        if token.revoked || login_ended {
            return Err("The access token was revoked");
        }
        Ok(token)
    }

    pub(crate) fn is_refresh_token_live(&self, text: &str) -> bool {
        self.refresh_token_login(text).is_some_and(|login| login.live)
            && self.refresh.get(text).is_some_and(|token| token.rotated_at.is_none())
    }

    /// Which login a refresh token, used or not, belongs to.
    pub(crate) fn refresh_token_login_id(&self, text: &str) -> Option<LoginId> {
        self.refresh.get(text).map(|token| token.login)
    }

    /// The login of a refresh token, used or not.
    pub(crate) fn refresh_token_login(&self, text: &str) -> Option<&Login> {
        self.logins.get(&self.refresh.get(text)?.login)
    }

    /// RFC 7009 §2: revoking a refresh token, also one that was already used, ends the login; revoking an
    /// access token ends that token. Unknown tokens are a success. Another client's are refused.
    pub(crate) fn revoke(
        &mut self,
        text: &str,
        client_id: &str,
        counters: &mut Counters,
    ) -> Result<(), Refusal> {
        let foreign =
            || Refusal::invalid_grant("the token was issued to another client (RFC 7009 section 2.1)");
        if let Some(token) = self.access.get_mut(text) {
            if token.client_id != client_id {
                return Err(foreign());
            }
            token.revoked = true;
        } else if let Some(token) = self.refresh.get(text) {
            let id = token.login;
            if self.logins.get(&id).is_some_and(|login| login.client_id != client_id) {
                return Err(foreign());
            }
            self.revoke_login(id, counters);
        }
        Ok(())
    }
}

fn within_grace(rotated_at: SystemTime, now: SystemTime, rotation: Rotation) -> bool {
    match rotation {
        Rotation::Strict => false,
        Rotation::GracePeriod(grace) => now.duration_since(rotated_at).map_or(true, |since| since <= grace),
        // Nothing rotates while rotation is off.
        Rotation::Off => true,
    }
}
