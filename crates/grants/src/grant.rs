//! `Grant`: how a first token is obtained (RFC 6749 §1.3).

use std::sync::Arc;

use async_trait::async_trait;
use jeton_models::{GrantType, TokenResponse};

use crate::{GrantContext, GrantError};

/// A way to obtain a token.
///
/// # Writing one of your own
/// An extension grant (RFC 6749 §4.5) is a type of yours that implements this trait: fill a
/// [`Parameters`](jeton_models::Parameters) and hand it to [`GrantContext::token_request`], which adds the client's
/// authentication, `resource` and the extra parameters, sends it and reads the answer. It is then valid, stored and
/// shared by sessions like the others. The example `extension_grant` of this crate does it in full.
///
/// ```
/// use jeton_grants::{Grant, GrantContext, GrantError, async_trait};
/// use jeton_models::{AccessTokenRequest, GrantType, TokenResponse};
///
/// const COUPON: GrantType = GrantType::extension("urn:example:coupon");
///
/// /// Obtains a token for a coupon.
/// struct Coupon(String);
///
/// #[async_trait]
/// impl Grant for Coupon {
///     fn grant_type(&self) -> GrantType {
///         COUPON
///     }
///
///     fn needs_person(&self) -> bool {
///         false
///     }
///
///     async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
///         let mut request = AccessTokenRequest::new(COUPON);
///         request.extra.append_required("coupon", self.0.as_str())?;
///         cx.token_request(&COUPON, request.to_parameters()?).await
///     }
/// }
/// ```
#[async_trait]
pub trait Grant: Send + Sync {
    /// Its identifier.
    fn grant_type(&self) -> GrantType;

    /// Whether somebody has to do something (approve in a browser, type a code). If not, a session runs the grant by
    /// itself whenever it has nothing to refresh with.
    fn needs_person(&self) -> bool;

    /// Obtains a token.
    ///
    /// # Errors
    /// [`GrantError`], which says what to do.
    async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError>;
}

#[async_trait]
impl<G: Grant + ?Sized> Grant for Arc<G> {
    fn grant_type(&self) -> GrantType {
        (**self).grant_type()
    }

    fn needs_person(&self) -> bool {
        (**self).needs_person()
    }

    async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
        (**self).obtain(cx).await
    }
}
