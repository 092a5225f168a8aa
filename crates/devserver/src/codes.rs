//! Authorization codes (RFC 6749 §4.1.2): short-lived, used once; a second use revokes what the first brought.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::authorization::AuthorizationRequest;
use crate::mint::Mint;
use crate::refusal::Refusal;
use crate::tokens::LoginId;

/// A code that was handed out, and what has become of it.
struct Code {
    request: AuthorizationRequest,
    subject: String,
    expires_at: SystemTime,
    fate: Fate,
}

enum Fate {
    Fresh,
    /// Presented with the wrong verifier or redirect URI: burnt.
    Burnt,
    Redeemed(LoginId),
}

/// What a code was good for.
pub(crate) struct Redeemed {
    pub(crate) request: AuthorizationRequest,
    pub(crate) subject: String,
}

#[derive(Default)]
pub(crate) struct Codes(HashMap<String, Code>);

impl Codes {
    pub(crate) fn issue(
        &mut self,
        mint: &mut Mint,
        now: SystemTime,
        lifetime: Duration,
        request: AuthorizationRequest,
        subject: &str,
    ) -> String {
        let text = mint.secret();
        let expires_at = now.checked_add(lifetime).unwrap_or(now);
        let code = Code { request, subject: subject.to_owned(), expires_at, fate: Fate::Fresh };
        self.0.insert(text.clone(), code);
        text
    }

    /// The code, if this client may redeem it now. The error's second half is the login to revoke.
    pub(crate) fn present(
        &self,
        text: &str,
        client_id: &str,
        now: SystemTime,
    ) -> Result<Redeemed, (Refusal, Option<LoginId>)> {
        let refuse = |description: &'static str| (Refusal::invalid_grant(description), None);
        let code = self.0.get(text).ok_or_else(|| refuse("no such authorization code"))?;
        if code.request.client_id != client_id {
            return Err(refuse("the authorization code was issued to another client"));
        }
        match code.fate {
            Fate::Fresh if code.expires_at <= now => Err(refuse("the authorization code expired")),
            Fate::Fresh => Ok(Redeemed { request: code.request.clone(), subject: code.subject.clone() }),
            Fate::Burnt => Err(refuse("the authorization code was already presented; begin anew")),
            Fate::Redeemed(login) => Err((
                Refusal::invalid_grant(
                    "A27: the authorization code was used again; the tokens it brought are revoked (RFC 6749 section \
                     4.1.2)",
                ),
                Some(login),
            )),
        }
    }

    /// The key that the code is bound to (RFC 9449 §10), if there is such a code and key.
    pub(crate) fn dpop_jkt(&self, text: &str) -> Option<&str> {
        self.0.get(text)?.request.dpop_jkt.as_deref()
    }

    pub(crate) fn burn(&mut self, text: &str) {
        self.settle(text, Fate::Burnt);
    }

    pub(crate) fn redeem(&mut self, text: &str, login: LoginId) {
        self.settle(text, Fate::Redeemed(login));
    }

    fn settle(&mut self, text: &str, fate: Fate) {
        if let Some(code) = self.0.get_mut(text) {
            code.fate = fate;
        }
    }
}
