//! Token introspection (RFC 7662): what the authorization server says about a token, signed where that is asked for (RFC 9701).

use jeton_models::{Introspection, Parameters, Secret};

use crate::{EndpointAnswer, EndpointRequest, GrantContext, GrantError, Operation};

/// Asks the authorization server about a token (RFC 7662 §2.1), with the client's authentication. `token_type_hint` is
/// `access_token` or `refresh_token`; a server that does not know it looks at all of its tokens.
///
/// That the token is not active is an answer, not an error. Most servers answer confidential clients only.
///
/// With `GrantContext::signed_introspection` (feature `jose`) the answer is asked for as a JWT (RFC 9701), and nothing is
/// believed that the server has not signed for this client.
///
/// ```
/// use jeton_grants::{GrantContext, GrantError, introspect};
/// use jeton_models::Secret;
///
/// // What a resource server does with a token that came with a request.
/// async fn subject(cx: &GrantContext<'_>, token: &Secret) -> Result<Option<String>, GrantError> {
///     let introspection = introspect(cx, token, Some("access_token")).await?;
///     Ok(introspection.sub.filter(|_| introspection.active))
/// }
/// ```
///
/// # Errors
/// [`GrantError::Metadata`] if the server names no `introspection_endpoint`, or one that cannot be used;
/// [`GrantError::Parameter`] if the token is empty; `GrantError::RejectedJwt` if a signed answer is asked for and this is
/// none, or not one for this client; otherwise those of a request to an endpoint: no answer, an OAuth error, an
/// answer that cannot be used, such as one that does not say whether the token is active.
pub async fn introspect(
    cx: &GrantContext<'_>,
    token: &Secret,
    token_type_hint: Option<&str>,
) -> Result<Introspection, GrantError> {
    let url = cx.endpoint("introspection_endpoint")?;
    #[cfg_attr(not(feature = "jose"), expect(unused_mut, reason = "there is one kind of answer"))]
    let mut request =
        EndpointRequest::new(Operation::named("introspection"), url, about(token, token_type_hint)?);
    #[cfg(feature = "jose")]
    signed::ask(cx, &mut request);
    let answer = request.send(cx).await?;
    let introspection = read(cx, &answer).await?;
    for warning in &introspection.warnings {
        tracing::warn!(code = warning.code(), "the introspection answer is not what the RFC says: {warning}");
    }
    tracing::debug!(token = token.fingerprint(), active = introspection.active, "token introspected");
    Ok(introspection)
}

#[cfg_attr(not(feature = "jose"), expect(clippy::unused_async, reason = "keys are fetched asynchronously"))]
async fn read(cx: &GrantContext<'_>, answer: &EndpointAnswer) -> Result<Introspection, GrantError> {
    #[cfg(feature = "jose")]
    if cx.signed_introspection {
        return signed::read(cx, answer).await;
    }
    answer.read(|answer| Introspection::parse(answer, &cx.parse))
}

/// The parameters of a request about a token (RFC 7662 §2.1, RFC 7009 §2.1).
pub(crate) fn about(token: &Secret, token_type_hint: Option<&str>) -> Result<Parameters, GrantError> {
    let mut parameters = Parameters::new();
    parameters.append_required("token", token.expose())?;
    if let Some(hint) = token_type_hint {
        parameters.append("token_type_hint", hint)?;
    }
    Ok(parameters)
}

/// Answers as JWTs (RFC 9701).
#[cfg(feature = "jose")]
mod signed {
    use std::time::UNIX_EPOCH;

    use http::HeaderValue;
    use http::header::ACCEPT;
    use jeton_jose::{Claims, JwtError, VerifiedJwt};
    use jeton_models::{Answer, Introspection};

    use crate::{
        EndpointAnswer, EndpointRequest, GrantContext, GrantError, JwtRejection, RejectedJwt, SignedAnswer,
    };

    const MEDIA_TYPE: &str = "application/token-introspection+jwt";
    /// By how much the server's clock may differ, in seconds. The answer was made for this very request: one that is older comes
    /// from somewhere else.
    const SKEW: u64 = 120;

    pub(super) fn ask(cx: &GrantContext<'_>, request: &mut EndpointRequest) {
        if cx.signed_introspection {
            request.headers.insert(ACCEPT, HeaderValue::from_static(MEDIA_TYPE));
        }
    }

    pub(super) async fn read(
        cx: &GrantContext<'_>,
        answer: &EndpointAnswer,
    ) -> Result<Introspection, GrantError> {
        let rejected = |reason: JwtRejection| RejectedJwt::new(SignedAnswer::Introspection, reason);
        let text = answer.read(|answer| match answer.status {
            200..=299 => Ok(answer.jwt(MEDIA_TYPE).map(str::to_owned)),
            _ => Err(answer.error(&cx.parse)),
        })?;
        // A plain answer would be as easy to believe as to make up.
        let text = text.ok_or_else(|| rejected(JwtRejection::NotSigned))?;
        let listed = cx.server.introspection_signing_alg_values_supported.as_ref();
        let allowed = GrantContext::listed_algorithms(listed);
        let verified = cx.verify_jwt(SignedAnswer::Introspection, &text, &allowed).await?;
        check(cx, &verified).map_err(rejected)?;
        let about = verified.claims().get("token_introspection").filter(|about| about.is_object());
        let about =
            about.ok_or_else(|| rejected(JwtRejection::claim("token_introspection", "is no object")))?;
        let body = about.to_string();
        answer.read(|outer| {
            let inner = Answer::new(outer.status, Some("application/json"), body.as_bytes());
            Introspection::parse(&inner, &cx.parse)
        })
    }

    /// Whether it is an introspection answer of this server for this client, made now (RFC 9701 §5, §8.1).
    fn check(cx: &GrantContext<'_>, verified: &VerifiedJwt) -> Result<(), JwtRejection> {
        let claims: &Claims = verified.claims();
        if !verified.header().has_type(MEDIA_TYPE) {
            return Err(JwtError::Malformed("its `typ` is not that of an introspection answer").into());
        }
        if cx.issuer.is_none() || claims.issuer() != cx.issuer {
            return Err(JwtRejection::claim("iss", "is not the server that was asked"));
        }
        if !claims.audiences().contains(&cx.client_id) {
            return Err(JwtRejection::claim("aud", "does not name this client"));
        }
        let now = cx.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        match claims.issued_at() {
            Some(at) if at.abs_diff(now) <= SKEW => Ok(()),
            Some(_) => Err(JwtRejection::claim("iat", "is not the time of this answer")),
            None => Err(JwtRejection::claim("iat", "is absent or no time")),
        }
    }
}
