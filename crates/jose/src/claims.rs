//! `Claims`: what a JWT says (RFC 7519 §4).

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::JwtError;

/// The claims of a JWT, an object of named values.
///
/// `Debug` shows names only: claims may be personal or secret.
///
/// ```
/// use jeton_jose::Claims;
///
/// let claims = Claims::new().with("aud", "https://as.example").with("exp", 1_800_000_060);
/// assert!(claims.is_sole_audience("https://as.example"));
/// assert!(claims.check_times(1_800_000_000, 0).is_ok());
/// assert!(claims.check_times(1_800_000_060, 0).is_err());
/// ```
#[derive(Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more claim; it replaces one of the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(name, value);
        self
    }

    /// Sets a claim.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// A claim of any type.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A claim that is a string.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// `iss`: who made the JWT (RFC 7519 §4.1.1). Compare it as a plain string.
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// `sub`: whom it is about (§4.1.2).
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// `aud`: for whom it is (§4.1.3), a string or an array of them. Empty if there is none, or if it is anything else.
    pub fn audiences(&self) -> Vec<&str> {
        match self.get("aud") {
            Some(Value::String(audience)) => vec![audience],
            Some(Value::Array(several)) => {
                let texts: Option<Vec<&str>> = several.iter().map(Value::as_str).collect();
                texts.unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// Whether `aud` is that and nothing else, as a string or as an array of one.
    pub fn is_sole_audience(&self, audience: &str) -> bool {
        self.audiences() == [audience]
    }

    /// `exp`: from when on it must not be taken (§4.1.4), Unix time in seconds. `None` too if it is no such number.
    pub fn expires_at(&self) -> Option<u64> {
        self.seconds("exp")
    }

    /// `nbf`: from when on it may be taken (§4.1.5), Unix time in seconds.
    pub fn not_before(&self) -> Option<u64> {
        self.seconds("nbf")
    }

    /// `iat`: when it was made (§4.1.6), Unix time in seconds.
    pub fn issued_at(&self) -> Option<u64> {
        self.seconds("iat")
    }

    /// `jti`: its own name (§4.1.7).
    pub fn jwt_id(&self) -> Option<&str> {
        self.text("jti")
    }

    /// A claim that is a time (RFC 7519 §2, NumericDate): Unix time in whole seconds, fractions cut off. `None` if it is absent,
    /// no number, negative, or beyond any year that a clock shows.
    pub fn seconds(&self, name: &str) -> Option<u64> {
        // 9999-12-31: sums with lifetimes cannot overflow.
        const LAST: f64 = 253_402_300_799.0;
        let seconds = self.get(name).and_then(Value::as_f64)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in that range")]
        (0.0..=LAST).contains(&seconds).then_some(seconds as u64)
    }

    /// Checks the times: `exp` is there and not over, `nbf` and `iat` do not lie in the future if they are there.
    ///
    /// `now` is Unix time in seconds; `leeway` is how many seconds the two clocks may differ (RFC 7519 §4.1.4 has "a few
    /// minutes" as the most).
    ///
    /// # Errors
    /// [`JwtError::Expired`], [`JwtError::NotYetValid`], or [`JwtError::Claim`] for a time that is absent or unreadable.
    pub fn check_times(&self, now: u64, leeway: u64) -> Result<(), JwtError> {
        let expires_at =
            self.expires_at().ok_or(JwtError::Claim { name: "exp", what: "is absent or no time" })?;
        if now >= expires_at.saturating_add(leeway) {
            return Err(JwtError::Expired { expired_at: expires_at, now });
        }
        for name in ["nbf", "iat"] {
            if self.get(name).is_none() {
                continue;
            }
            let from = self.seconds(name).ok_or(JwtError::Claim { name, what: "is no time" })?;
            if from > now.saturating_add(leeway) {
                return Err(JwtError::NotYetValid { name, from, now });
            }
        }
        Ok(())
    }

    /// All of them as a JSON object.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

impl From<Map<String, Value>> for Claims {
    fn from(members: Map<String, Value>) -> Self {
        Self(members)
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
