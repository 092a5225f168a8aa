//! `LoginOptions`: what one authorization asks for beyond what the client always does: another scope, a fresher or stronger
//! authentication, fine-grained permissions (RFC 9396, RFC 9470, OpenID Connect Core §3.1.2.1).

use std::time::Duration;

use jeton_models::{AuthorizationDetail, Parameters, Scope};

use crate::{AuthorizationRequestError, GrantContext, GrantError};

/// What one authorization asks for beyond what the client always does. Nothing unless set.
///
/// An authorization request carries all of it. Other grants with a person take what their requests have a place for: the device
/// grant the scope, CIBA the scope, `acr_values` and `login_hint`. Whether the person did authenticate that way is checked where there is an ID
/// token that says so.
///
/// ```
/// use std::time::Duration;
/// use jeton_grants::LoginOptions;
///
/// // What a resource server asked for by `insufficient_user_authentication` (RFC 9470 §3).
/// let stronger = LoginOptions::new()
///     .acr_values(["urn:example:acr:phishing-resistant"])
///     .max_age(Duration::from_secs(60));
/// assert_eq!(stronger.acr_values, ["urn:example:acr:phishing-resistant"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LoginOptions {
    /// The scope to ask for, instead of the client's.
    pub scope: Option<Scope>,
    /// Authentication context classes, the preferred first (RFC 9470 §4).
    pub acr_values: Vec<String>,
    /// The longest time since the person last authenticated, in whole seconds (RFC 9470 §4). Zero asks for it now.
    pub max_age: Option<Duration>,
    /// Whether and what the person is asked, such as `login` or `consent` (OpenID Connect Core §3.1.2.1).
    pub prompt: Option<String>,
    /// Who is going to log in, as far as the program knows (OpenID Connect Core §3.1.2.1).
    pub login_hint: Option<String>,
    /// Fine-grained permissions (RFC 9396).
    pub authorization_details: Vec<AuthorizationDetail>,
}

impl LoginOptions {
    /// Nothing special.
    pub const fn new() -> Self {
        Self {
            scope: None,
            acr_values: Vec::new(),
            max_age: None,
            prompt: None,
            login_hint: None,
            authorization_details: Vec::new(),
        }
    }

    /// Asks for that scope instead of the client's.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Asks for one of these authentication context classes, the preferred first (RFC 9470 §4).
    #[must_use]
    pub fn acr_values(mut self, acr_values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.acr_values = acr_values.into_iter().map(Into::into).collect();
        self
    }

    /// Asks for an authentication no older than that, in whole seconds (RFC 9470 §4).
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Says whether and what the person is asked: `login`, `consent`, `select_account`, `none`, or several of them separated by
    /// spaces.
    #[must_use]
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = Some(prompt.into());
        self
    }

    /// Says who is going to log in.
    #[must_use]
    pub fn login_hint(mut self, login_hint: impl Into<String>) -> Self {
        self.login_hint = Some(login_hint.into());
        self
    }

    /// Asks for these permissions (RFC 9396 §2). They are sent as they are here, and what was granted stands with the token.
    #[must_use]
    pub fn authorization_details(mut self, details: impl IntoIterator<Item = AuthorizationDetail>) -> Self {
        self.authorization_details = details.into_iter().collect();
        self
    }

    /// Adds the parameters of an authorization request, but for the scope.
    pub(crate) fn append_to(
        &self,
        parameters: &mut Parameters,
        cx: &GrantContext<'_>,
    ) -> Result<(), GrantError> {
        parameters.append("acr_values", self.acr_values.join(" "))?;
        if let Some(max_age) = self.max_age {
            parameters.append("max_age", max_age.as_secs().to_string())?;
        }
        parameters.append("prompt", self.prompt.as_deref().unwrap_or_default())?;
        parameters.append("login_hint", self.login_hint.as_deref().unwrap_or_default())?;
        cx.append_authorization_details(parameters)
    }
}

impl GrantContext<'_> {
    /// Adds the authorization details to ask for, where there are any (RFC 9396 §3, §6).
    pub(crate) fn append_authorization_details(&self, parameters: &mut Parameters) -> Result<(), GrantError> {
        let details = &self.login.authorization_details;
        if details.is_empty() {
            return Ok(());
        }
        if let Some(supported) = &self.server.authorization_details_types_supported
            && let Some(detail) =
                details.iter().find(|detail| !supported.iter().any(|s| s == detail.detail_type()))
        {
            return Err(AuthorizationRequestError::DetailType {
                issuer: self.server.issuer.clone(),
                detail_type: detail.detail_type().to_owned(),
            }
            .into());
        }
        let parameter =
            AuthorizationDetail::to_parameter(details).map_err(AuthorizationRequestError::Details)?;
        Ok(parameters.append("authorization_details", parameter)?)
    }
}
