//! Scopes (RFC 6749 §3.3) and resource indicators (RFC 8707): what a token is good for.

use crate::form::Parameters;
use crate::refusal::Refusal;
use crate::state::Settings;

/// A set of scope tokens in the order in which they were asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scope(Vec<String>);

impl Scope {
    /// Reads `scope`; `default` when it is absent.
    pub(crate) fn requested(parameters: &Parameters, settings: &Settings) -> Result<Self, Refusal> {
        let Some(text) = parameters.get("scope") else {
            return Ok(Self(settings.default_scope.clone()));
        };
        let scope = Self::parse(text)?;
        match scope.0.iter().all(|token| settings.scopes.contains(token)) {
            true => Ok(scope),
            false => Err(Refusal::new(
                "invalid_scope",
                "a scope that this server does not know; see scopes_supported",
            )),
        }
    }

    /// A scope that somebody else has granted, as far as this server knows it.
    pub(crate) fn granted(text: &str, settings: &Settings) -> Result<Self, Refusal> {
        let Self(mut tokens) = Self::parse(text)?;
        tokens.retain(|token| settings.scopes.contains(token));
        Ok(Self(tokens))
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let mut tokens: Vec<String> = Vec::new();
        for token in text.split(' ') {
            let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
            if token.is_empty() || !token.bytes().all(allowed) {
                return Err(Refusal::new(
                    "invalid_scope",
                    "scope must be scope tokens with one space between (RFC 6749 section 3.3)",
                ));
            }
            if !tokens.iter().any(|known| known == token) {
                tokens.push(token.to_owned());
            }
        }
        Ok(Self(tokens))
    }

    /// The scope of a refresh (A7): absent means all that was granted, wider is refused.
    pub(crate) fn narrowed(&self, parameters: &Parameters) -> Result<Self, Refusal> {
        let Some(text) = parameters.get("scope") else { return Ok(self.clone()) };
        let scope = Self::parse(text)?;
        match scope.0.iter().all(|token| self.contains(token)) {
            true => Ok(scope),
            false => Err(Refusal::new(
                "invalid_scope",
                "A7: a refresh may not ask for more scope than was granted (RFC 6749 section 6)",
            )),
        }
    }

    pub(crate) fn contains(&self, token: &str) -> bool {
        self.0.iter().any(|known| known == token)
    }

    pub(crate) fn tokens(&self) -> &[String] {
        &self.0
    }

    pub(crate) fn text(&self) -> String {
        self.0.join(" ")
    }
}

/// The resources of a first request: the default one when none is named.
pub(crate) fn requested_resources(
    parameters: &Parameters,
    settings: &Settings,
) -> Result<Vec<String>, Refusal> {
    let named = named_resources(parameters)?;
    if named.is_empty() {
        return Ok(vec![settings.resources[0].clone()]);
    }
    within(named, &settings.resources, "a resource that this server does not know (RFC 8707 section 2)")
}

/// The resources of a later request of the same login: all of it when none is named, and never more.
pub(crate) fn narrowed_resources(
    parameters: &Parameters,
    granted: &[String],
) -> Result<Vec<String>, Refusal> {
    let named = named_resources(parameters)?;
    if named.is_empty() {
        return Ok(granted.to_vec());
    }
    within(
        named,
        granted,
        "A19: a resource that the authorization request did not name (RFC 8707 section 2.2)",
    )
}

fn within(named: Vec<String>, known: &[String], description: &'static str) -> Result<Vec<String>, Refusal> {
    match named.iter().all(|resource| known.contains(resource)) {
        true => Ok(named),
        false => Err(Refusal::new("invalid_target", description)),
    }
}

fn named_resources(parameters: &Parameters) -> Result<Vec<String>, Refusal> {
    let mut resources: Vec<String> = Vec::new();
    for resource in parameters.all("resource") {
        let absolute = url::Url::parse(resource).is_ok_and(|url| url.fragment().is_none());
        if !absolute {
            return Err(Refusal::new(
                "invalid_target",
                "A19: resource must be an absolute URI without fragment (RFC 8707 section 2)",
            ));
        }
        if !resources.iter().any(|known| known == resource) {
            resources.push(resource.to_owned());
        }
    }
    Ok(resources)
}
