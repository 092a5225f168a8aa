//! Rich authorization requests (RFC 9396): what is asked for in detail, and what of it is granted.

use serde_json::Value;

use crate::form::Parameters;
use crate::refusal::Refusal;
use crate::state::Settings;

/// What was asked for or granted; empty for nothing.
pub(crate) type Details = Vec<Value>;

fn invalid(description: &'static str) -> Refusal {
    Refusal::new("invalid_authorization_details", description)
}

/// The details of a request.
pub(crate) fn requested(parameters: &Parameters, settings: &Settings) -> Result<Details, Refusal> {
    let Some(text) = parameters.get("authorization_details") else { return Ok(Vec::new()) };
    let Ok(Value::Array(details)) = serde_json::from_str(text) else {
        return Err(invalid("A24: authorization_details must be a JSON array (RFC 9396 section 2)"));
    };
    for detail in &details {
        let Some(detail_type) = detail.get("type").and_then(Value::as_str) else {
            return Err(invalid(
                "A24: each authorization detail is an object with a type (RFC 9396 section 2)",
            ));
        };
        if !settings.authorization_detail_types.iter().any(|known| known == detail_type) {
            return Err(invalid(
                "A24: a type that is not among authorization_details_types_supported (RFC 9396 section 5)",
            ));
        }
        let texts = |name: &str| match detail.get(name) {
            None => true,
            Some(Value::Array(items)) => items.iter().all(Value::is_string),
            Some(_) => false,
        };
        if !["locations", "actions", "datatypes", "privileges"].into_iter().all(texts) {
            return Err(invalid("A24: a common member that is no array of strings (RFC 9396 section 2.2)"));
        }
    }
    Ok(details)
}

/// What a person who says yes grants: as it was asked for, and with the account that was chosen where none was named, as RFC 9396 §7.1
/// has it.
pub(crate) fn granted(requested: &Details, user: &str) -> Details {
    let mut granted = requested.clone();
    for detail in granted.iter_mut().filter(|detail| detail.get("identifier").is_none()) {
        detail["identifier"] = format!("account-of-{user}").into();
    }
    granted
}

/// The details of a token request of a login: all that was granted, or a part of it (RFC 9396 §6).
pub(crate) fn narrowed(
    parameters: &Parameters,
    settings: &Settings,
    granted: &Details,
) -> Result<Details, Refusal> {
    let requested = requested(parameters, settings)?;
    if requested.is_empty() {
        return Ok(granted.clone());
    }
    match requested.iter().all(|detail| granted.contains(detail)) {
        true => Ok(requested),
        false => Err(invalid("A24: an authorization detail that was not granted (RFC 9396 section 6)")),
    }
}
