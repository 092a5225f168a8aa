//! Reading the answer to an authorization request: from the redirected URL (RFC 6749 §4.1.2, RFC 9207), or from the JWT in it that the
//! server signed (JARM).

use jeton_models::{AuthorizationResponse, AuthorizationResponseError, Secret};
use url::Url;

use crate::endpoint::redact;
use crate::{GrantContext, GrantError, PendingLogin};

/// Reads the answer to that login, after all checks that concern the way it came.
pub(crate) async fn read(
    cx: &GrantContext<'_>,
    pending: &PendingLogin,
    redirected: &Url,
) -> Result<AuthorizationResponse, GrantError> {
    let read = match pending.is_answered_by_jwt() {
        false => {
            let iss_required = cx.server.authorization_response_iss_parameter_supported == Some(true)
                || cx.authorization.security_profile.is_some();
            AuthorizationResponse::from_url(redirected, pending.state(), cx.issuer, iss_required)
        }
        #[cfg(feature = "jose")]
        true => from_jwt(cx, pending, redirected).await?,
        // Begun by a build with the feature and finished by one without.
        #[cfg(not(feature = "jose"))]
        true => {
            return Err(GrantError::other(
                "this login was begun for a signed answer, which this build cannot check: finish it where it was begun, or build \
                 with the feature `jose`",
            ));
        }
    };
    Ok(read.map_err(|error| without_state(error, pending.state()))?)
}

/// The answer in the JWT of the redirected URL (JARM §2). Whatever else the URL has is not looked at.
#[cfg(feature = "jose")]
async fn from_jwt(
    cx: &GrantContext<'_>,
    pending: &PendingLogin,
    redirected: &Url,
) -> Result<Result<AuthorizationResponse, AuthorizationResponseError>, GrantError> {
    use std::time::UNIX_EPOCH;

    use jeton_jose::JwtError;

    use crate::{JwtRejection, RejectedJwt, SignedAnswer};

    /// How many seconds the server's clock may be off.
    const LEEWAY: u64 = 60;
    let rejected = |reason: JwtRejection| RejectedJwt::new(SignedAnswer::AuthorizationResponse, reason);

    let mut responses = redirected.query_pairs().filter(|(name, _)| name == "response");
    let Some((_, jwt)) = responses.next() else { return Err(rejected(JwtRejection::NotSigned).into()) };
    if responses.next().is_some() {
        return Ok(Err(AuthorizationResponseError::Repeated));
    }
    let listed = cx.server.authorization_signing_alg_values_supported.as_ref();
    let allowed = GrantContext::listed_algorithms(listed);
    let verified = cx.verify_jwt(SignedAnswer::AuthorizationResponse, &jwt, &allowed).await?;
    let claims = verified.claims();
    let now = cx.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let rejected_jwt = |error: JwtError| rejected(error.into());
    claims.check_times(now, LEEWAY).map_err(rejected_jwt)?;
    if !claims.audiences().contains(&cx.client_id) {
        return Err(rejected(JwtRejection::claim("aud", "is another client")).into());
    }
    // `iss` and `state` are checked with the rest, as in a plain answer; here `iss` is never absent (JARM §2.1).
    let issuer = cx.issuer.unwrap_or(&cx.server.issuer);
    let texts = claims.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    Ok(AuthorizationResponse::from_pairs(texts, pending.state(), Some(issuer), true))
}

/// A server may repeat the `state` when it refuses.
fn without_state(error: AuthorizationResponseError, state: &Secret) -> AuthorizationResponseError {
    match error {
        AuthorizationResponseError::Denied(mut response) => {
            redact(&mut response, std::slice::from_ref(state));
            AuthorizationResponseError::Denied(response)
        }
        other => other,
    }
}
