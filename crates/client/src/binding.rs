//! `Binding`: the key that the tokens of a login are bound to (DPoP, RFC 9449), on its way between the client's
//! configuration, the login's record and its access tokens. Without the feature `jose` there is none.

#[cfg(feature = "jose")]
use jeton_grants::{Dpop, DpopError, DpopNonces, GrantError};
use jeton_models::{Secret, TokenType};
use jeton_storage::LoginRecord;

use crate::Error;

/// Which keys the client's tokens are bound to.
#[derive(Clone, Default)]
pub(crate) enum DpopKeys {
    /// To none.
    #[default]
    Off,
    /// Each login has a key of its own, which is kept with its tokens. The nonces of servers are the client's.
    #[cfg(feature = "jose")]
    PerLogin(DpopNonces),
    /// To a key of the program's.
    #[cfg(feature = "jose")]
    Own(Dpop),
}

impl DpopKeys {
    pub(crate) fn is_on(&self) -> bool {
        !matches!(self, Self::Off)
    }

    /// Whether a token of that type may be sent. With keys in use a Bearer token, from before they were switched on, is as good
    /// as none.
    pub(crate) fn take(&self, token_type: TokenType) -> bool {
        !self.is_on() || token_type == TokenType::DPoP
    }

    /// The nonces that servers have given to the client.
    #[cfg(feature = "jose")]
    pub(crate) fn nonces(&self) -> Option<&DpopNonces> {
        match self {
            Self::Off => None,
            Self::PerLogin(nonces) => Some(nonces),
            Self::Own(dpop) => Some(dpop.nonces()),
        }
    }

    /// A binding for tokens that belong to no login yet.
    pub(crate) fn new_binding(&self) -> Result<Binding, Error> {
        match self {
            Self::Off => Ok(Binding::NONE),
            #[cfg(feature = "jose")]
            Self::PerLogin(nonces) => {
                Ok(Binding(Some(Dpop::generate().map_err(dpop_error)?.with_nonces(nonces.clone()))))
            }
            #[cfg(feature = "jose")]
            Self::Own(dpop) => Ok(Binding(Some(dpop.clone()))),
        }
    }

    /// The binding of tokens that have been kept with that key, if they were kept with one.
    ///
    /// # Errors
    /// The client has no keys, or not that one. What is kept stays as it is: with the right configuration it works again.
    pub(crate) fn kept_binding(&self, kept: Option<&Secret>) -> Result<Option<Binding>, Error> {
        let Some(kept) = kept else { return Ok(None) };
        match self {
            Self::Off => Err(switched_off(kept)),
            #[cfg(feature = "jose")]
            Self::PerLogin(nonces) => {
                let dpop = Dpop::from_kept(kept).map_err(dpop_error)?.with_nonces(nonces.clone());
                Ok(Some(Binding(Some(dpop))))
            }
            #[cfg(feature = "jose")]
            Self::Own(dpop) => {
                dpop.check_kept(kept).map_err(dpop_error)?;
                Ok(Some(Binding(Some(dpop.clone()))))
            }
        }
    }

    /// Checks tokens that the program brings; gives back what they are bound to.
    pub(crate) fn adopted_binding(&self, token_type: TokenType) -> Result<Binding, Error> {
        match self {
            #[cfg(feature = "jose")]
            Self::Own(dpop) => Ok(Binding(Some(dpop.clone()))),
            _ if token_type == TokenType::DPoP => Err(Error::configuration(
                "the token is bound to a DPoP key that is not known here; give the client its signer with `dpop_signer`",
            )),
            _ => Ok(Binding::NONE),
        }
    }
}

#[cfg(feature = "jose")]
fn switched_off(_: &Secret) -> Error {
    dpop_error(DpopError::SwitchedOff)
}

#[cfg(not(feature = "jose"))]
fn switched_off(_: &Secret) -> Error {
    Error::configuration(
        "this login is bound to a DPoP key, and this build of jeton has no DPoP; build it with the feature `jose`, or log in \
         again",
    )
}

#[cfg(feature = "jose")]
fn dpop_error(error: DpopError) -> Error {
    GrantError::from(error).into()
}

/// What tokens are bound to: a key, or nothing.
#[cfg(feature = "jose")]
#[derive(Clone)]
pub(crate) struct Binding(Option<Dpop>);

/// What tokens are bound to: nothing.
#[cfg(not(feature = "jose"))]
#[derive(Clone)]
pub(crate) struct Binding;

#[cfg(feature = "jose")]
impl Binding {
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn dpop(&self) -> Option<&Dpop> {
        self.0.as_ref()
    }

    /// Puts the key into a record, beside the tokens that are about to be. Tokens of another key go: nobody could send them.
    /// Gives back whether the record has changed.
    pub(crate) fn keep_in(&self, record: &mut LoginRecord) -> bool {
        let same = match (&self.0, &record.dpop_key) {
            (Some(dpop), Some(kept)) => dpop.check_kept(kept).is_ok(),
            (None, None) => true,
            _ => false,
        };
        if !same {
            record.tokens.retain(|token| token.token_type != TokenType::DPoP);
            record.dpop_key = self.0.as_ref().map(Dpop::to_kept);
        }
        !same
    }
}

#[cfg(not(feature = "jose"))]
impl Binding {
    pub(crate) const NONE: Self = Self;

    /// Tokens that come now are bound to nothing, and those of a key go: nobody could send them. Gives back whether the record
    /// has changed.
    pub(crate) fn keep_in(&self, record: &mut LoginRecord) -> bool {
        let changed = record.dpop_key.take().is_some();
        if changed {
            record.tokens.retain(|token| token.token_type != TokenType::DPoP);
        }
        changed
    }
}
