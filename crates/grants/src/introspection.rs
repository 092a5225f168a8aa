//! Token introspection (RFC 7662): what the authorization server says about a token.

use jeton_models::{Introspection, Parameters, Secret};

use crate::{EndpointRequest, GrantContext, GrantError, Operation};

/// Asks the authorization server about a token (RFC 7662 §2.1), with the client's authentication. `token_type_hint` is
/// `access_token` or `refresh_token`; a server that does not know it looks at all of its tokens.
///
/// That the token is not active is an answer, not an error. Most servers answer confidential clients only.
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
/// [`GrantError::Parameter`] if the token is empty; otherwise those of a request to an endpoint: no answer, an OAuth error, an
/// answer that cannot be used, such as one that does not say whether the token is active.
pub async fn introspect(
    cx: &GrantContext<'_>,
    token: &Secret,
    token_type_hint: Option<&str>,
) -> Result<Introspection, GrantError> {
    let url = cx.endpoint("introspection_endpoint")?;
    let request =
        EndpointRequest::new(Operation::named("introspection"), url, about(token, token_type_hint)?);
    let introspection = request.send(cx).await?.read(|answer| Introspection::parse(answer, &cx.parse))?;
    for warning in &introspection.warnings {
        tracing::warn!(code = warning.code(), "the introspection answer is not what the RFC says: {warning}");
    }
    tracing::debug!(token = token.fingerprint(), active = introspection.active, "token introspected");
    Ok(introspection)
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
