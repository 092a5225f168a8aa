//! `Dialect`: how one provider's answers differ from the RFCs, as data. An answer is put into the RFC's words member by
//! member before it is read, so that there is one reading of it for everybody.

use serde_json::{Map, Value};

use crate::Warning;
use crate::json::Members;

/// How a provider's answers differ from what the RFCs say.
///
/// It acts on answers that are read with it in [`ParseOptions::dialect`](crate::ParseOptions) and on no other. What it has
/// no words for stays as tolerated or refused as it was. Profiles of providers (`jeton-profiles`) are made of these; one
/// made by hand works alike:
///
/// ```
/// use std::sync::Arc;
/// use jeton_models::{Answer, Dialect, ParseOptions, TokenResponse, Warning};
///
/// let mut dialect = Dialect::new("acme");
/// dialect.members.push(("accessToken".into(), "access_token".into()));
/// dialect.tolerated.push(Warning::TokenTypeAbsent);
/// let mut options = ParseOptions::strict();
/// options.dialect = Some(Arc::new(dialect));
///
/// let answer = Answer::new(200, Some("application/json"), br#"{"accessToken":"t0k3n"}"#);
/// let response = TokenResponse::parse(&answer, &options)?;
/// assert_eq!(response.access_token.expose(), "t0k3n");
/// assert!(response.warnings.is_empty());
/// # Ok::<(), jeton_models::AnswerError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dialect {
    /// The name of the provider's profile.
    pub name: String,
    /// Leniencies that are no news with this provider: neither a warning nor, in strict mode, an error.
    pub tolerated: Vec<Warning>,
    /// The provider's names of members, and the RFC's for each. A name with dots leads into objects and arrays:
    /// `data.token`, `errors.0.message`. A member that has the RFC's name already stays.
    pub members: Vec<(String, String)>,
    /// The member in whose object the token stands, if there is none outside of it.
    pub nested: Option<String>,
    /// Whether the nested token is the one to take if there are two.
    pub prefers_nested: bool,
    /// What separates the names of a scope, if not white space alone.
    pub scope_separator: Option<char>,
    /// Values of `token_type` that mean Bearer.
    pub bearer_types: Vec<String>,
    /// Whether an `expires_in` of 0 means that the token never expires.
    pub zero_is_never: bool,
    /// Where a refusal may have its code, beside `error`; names as in [`members`](Self::members).
    pub error_members: Vec<String>,
    /// The provider's error codes or texts, and the registered code that says the same. The provider's own word is kept
    /// among the further members, as `provider_error`.
    pub error_codes: Vec<(String, String)>,
}

impl Dialect {
    /// Names of the RFCs that a member may stand for (RFC 6749 §5.1, RFC 8628 §3.2).
    pub const MEMBERS: [&'static str; 13] = [
        "access_token",
        "token_type",
        "expires_in",
        "expires_at",
        "refresh_token",
        "refresh_token_expires_in",
        "scope",
        "device_code",
        "user_code",
        "verification_uri",
        "verification_uri_complete",
        "interval",
        "error_description",
    ];

    /// A dialect that differs in nothing.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Whether that leniency is no news with this provider.
    pub fn tolerates(&self, warning: &Warning) -> bool {
        self.tolerated.contains(warning)
    }

    /// Whether a form-encoded body with a member of that name may be an answer.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.members.iter().any(|(theirs, _)| theirs == name)
            || self.error_members.iter().any(|own| own == name)
    }

    /// Puts an answer into the RFC's words.
    pub(crate) fn translate(&self, members: &mut Members) {
        self.lift(members);
        for (theirs, ours) in &self.members {
            if is_absent(members.get(ours))
                && let Some(value) = take(members, theirs)
            {
                members.set(ours, value);
            }
        }
        if let (Some(separator), Some(Value::String(scope))) = (self.scope_separator, members.get("scope")) {
            let scope = scope.replace(separator, " ");
            members.set("scope", Value::String(scope));
        }
        if let Some(Value::String(own)) = members.get("token_type")
            && self.bearer_types.iter().any(|bearer| bearer.eq_ignore_ascii_case(own))
        {
            members.set("token_type", Value::from("Bearer"));
        }
        if self.zero_is_never && members.get("expires_in").is_some_and(is_zero) {
            members.remove("expires_in");
        }
        self.translate_error(members);
    }

    /// Moves the token that stands in an object of its own to where the RFC wants it.
    fn lift(&self, members: &mut Members) {
        let Some(Value::Object(inner)) = self.nested.as_ref().and_then(|nested| members.get(nested)) else {
            return;
        };
        let has_token = inner.get("access_token").is_some_and(is_text);
        let has_outer = members.get("access_token").is_some_and(is_text);
        if !has_token || (has_outer && !self.prefers_nested) {
            return;
        }
        // Of the other token nothing may stay: its lifetime, or its refresh token, would be taken for this one's.
        let own: Vec<_> = TOKEN_MEMBERS.iter().map(|name| (*name, inner.get(*name).cloned())).collect();
        for (name, value) in own {
            members.remove(name);
            if let Some(value) = value {
                members.set(name, value);
            }
        }
    }

    fn translate_error(&self, members: &mut Members) {
        if self.error_members.is_empty() && self.error_codes.is_empty() {
            return;
        }
        let stated = members.get("error").and_then(error_text);
        // `message` stands in good answers, too: a token is no refusal for that.
        let is_success =
            ["access_token", "device_code"].iter().any(|name| members.get(name).is_some_and(is_text));
        let mut words: Vec<String> = stated.iter().cloned().collect();
        if !is_success {
            words.extend(
                self.error_members.iter().filter_map(|path| find(members, path).and_then(error_text)),
            );
        }
        let known = words.iter().find_map(|word| {
            let meaning = self.error_codes.iter().find(|(own, _)| own.eq_ignore_ascii_case(word));
            meaning.map(|(_, registered)| (word.clone(), registered.clone()))
        });
        match (known, words.into_iter().next()) {
            (Some((word, registered)), _) => {
                if let Some(Value::Object(inner)) = members.get("error")
                    && let Some(message) = inner.get("message").filter(|message| is_text(message)).cloned()
                    && is_absent(members.get("error_description"))
                {
                    members.set("error_description", message);
                }
                if word != registered {
                    members.set("provider_error", Value::String(word));
                }
                members.set("error", Value::String(registered));
            }
            (None, Some(word)) if stated.is_none() && is_absent(members.get("error")) => {
                members.set("error", Value::String(word));
            }
            _ => {}
        }
    }
}

/// What goes with a nested token.
const TOKEN_MEMBERS: [&str; 6] =
    ["access_token", "token_type", "expires_in", "expires_at", "refresh_token", "scope"];

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

fn is_absent(value: Option<&Value>) -> bool {
    value.is_none_or(Value::is_null)
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.trim() == "0",
        _ => false,
    }
}

/// An error code as text. Zero and the empty text say that there is no error.
fn error_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() && text != "0" => Some(text.clone()),
        Value::Number(number) if number.as_f64() != Some(0.0) => Some(number.to_string()),
        _ => None,
    }
}

/// The value that a name with dots leads to.
fn find<'a>(members: &'a Members, path: &str) -> Option<&'a Value> {
    if let Some(value) = members.get(path) {
        return Some(value);
    }
    let mut steps = path.split('.');
    let first = members.get(steps.next()?)?;
    steps.try_fold(first, |value, step| match value {
        Value::Object(inner) => inner.get(step),
        Value::Array(values) => values.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Takes a value out, so that no second copy of a token stays among the further members.
fn take(members: &mut Members, path: &str) -> Option<Value> {
    let value = find(members, path).filter(|value| !value.is_null())?.clone();
    if members.remove(path).is_some() {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    let mut outer = members.remove(first)?;
    remove_in(&mut outer, rest);
    members.set(first, outer);
    Some(value)
}

fn remove_in(value: &mut Value, path: &str) {
    fn step<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
        match value {
            Value::Object(inner) => inner.get_mut(name),
            Value::Array(values) => values.get_mut(name.parse::<usize>().ok()?),
            _ => None,
        }
    }
    let (way, last) = path.rsplit_once('.').map_or((None, path), |(way, last)| (Some(way), last));
    let inner = way.into_iter().flat_map(|way| way.split('.')).try_fold(value, step);
    if let Some(Value::Object(inner)) = inner {
        Map::remove(inner, last);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Answer, AnswerError, DeviceAuthorizationResponse, ParseOptions, Secret, TokenResponse};

    const JSON: Option<&str> = Some("application/json");

    fn strict(dialect: Dialect) -> ParseOptions {
        ParseOptions { strict: true, dialect: Some(Arc::new(dialect)) }
    }

    fn token(dialect: Dialect, body: &str) -> Result<TokenResponse, AnswerError> {
        TokenResponse::parse(&Answer::new(200, JSON, body.as_bytes()), &strict(dialect))
    }

    fn code(result: Result<TokenResponse, AnswerError>) -> (String, Option<String>) {
        match result.unwrap_err() {
            AnswerError::OAuth(error) => (error.response.error, error.response.error_description),
            other => panic!("{other:?}"),
        }
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(theirs, ours)| ((*theirs).to_owned(), (*ours).to_owned())).collect()
    }

    #[test]
    fn members_are_read_under_the_providers_names_and_no_token_stays_behind() {
        let mut dialect = Dialect::new("acme");
        dialect.members = pairs(&[("data.list.0.tokenValue", "access_token"), ("kind", "token_type")]);
        let body = r#"{"data":{"list":[{"tokenValue":"t","other":1}]},"kind":"bearer"}"#;
        let response = token(dialect.clone(), body).unwrap();
        assert_eq!(response.access_token, Secret::from("t"));
        let left = serde_json::json!({"list":[{"other":1}]});
        assert_eq!(response.extra.get("data"), Some(&left));

        // The RFC's own name wins, and the other member is one of no meaning.
        let body = r#"{"access_token":"right","token_type":"bearer","kind":"mac"}"#;
        assert_eq!(token(dialect.clone(), body).unwrap().access_token, Secret::from("right"));
        // What leads nowhere is absent.
        for body in [r#"{"data":{"list":[]},"kind":"bearer"}"#, r#"{"data":"list","kind":"bearer"}"#] {
            assert!(matches!(token(dialect.clone(), body), Err(AnswerError::Unusable(_))), "{body}");
        }
    }

    #[test]
    fn a_nested_token_comes_with_what_is_its_own_and_nothing_of_the_other_one() {
        let mut dialect = Dialect::new("slack");
        dialect.nested = Some("authed_user".into());
        dialect.bearer_types = vec!["user".into(), "bot".into()];
        let user = r#""authed_user":{"id":"U1","access_token":"xoxp","token_type":"user","scope":"a b"}"#;
        let alone = token(dialect.clone(), &format!(r#"{{"ok":true,{user}}}"#)).unwrap();
        assert_eq!((alone.access_token.expose(), alone.scope.unwrap().len()), ("xoxp", 2));

        let outer =
            r#""access_token":"xoxb","token_type":"bot","refresh_token":"of-the-bot","expires_in":60"#;
        let both = format!("{{{outer},{user}}}");
        assert_eq!(token(dialect.clone(), &both).unwrap().access_token.expose(), "xoxb");
        dialect.prefers_nested = true;
        let preferred = token(dialect, &both).unwrap();
        assert_eq!(preferred.access_token.expose(), "xoxp");
        assert_eq!((preferred.refresh_token, preferred.expires_in), (None, None));
    }

    #[test]
    fn a_type_that_means_bearer_is_named_and_every_other_one_stays_refused() {
        let mut dialect = Dialect::new("ebay");
        dialect.bearer_types = vec!["User Access Token".into()];
        let of = |kind: &str| format!(r#"{{"access_token":"t","token_type":{kind}}}"#);
        assert!(token(dialect.clone(), &of(r#""user access token""#)).is_ok());
        for refused in [r#""mac""#, r#""Application Access Token""#, "null", r#""""#, "1"] {
            assert!(token(dialect.clone(), &of(refused)).is_err(), "{refused}");
        }
    }

    #[test]
    fn zero_is_never_only_where_that_is_said_and_only_zero_is() {
        let mut dialect = Dialect::new("mailchimp");
        dialect.zero_is_never = true;
        let of = |expires_in: &str| {
            format!(r#"{{"access_token":"t","token_type":"bearer","expires_in":{expires_in},"scope":null}}"#)
        };
        for zero in ["0", "0.0", r#""0""#] {
            assert_eq!(token(dialect.clone(), &of(zero)).unwrap().expires_in, None, "{zero}");
        }
        for other in ["-1", r#""3600""#, "false", r#""""#] {
            assert!(token(dialect.clone(), &of(other)).is_err(), "{other}");
        }
        assert_eq!(token(dialect, &of("60")).unwrap().expires_in, Some(60));
        assert!(token(Dialect::new("other"), &of("0")).is_err());
    }

    #[test]
    fn refusals_are_found_where_they_stand_and_a_token_is_none() {
        let mut dialect = Dialect::new("twitch");
        dialect.error_members = vec!["message".into(), "errcode".into()];
        dialect.error_codes =
            pairs(&[("Invalid refresh token", "invalid_grant"), ("40029", "invalid_grant")]);
        let of = |body: &str| code(token(dialect.clone(), body));

        let twitch = of(r#"{"error":"Bad Request","status":400,"message":"Invalid refresh token"}"#);
        assert_eq!(twitch, ("invalid_grant".into(), Some("Invalid refresh token".into())));
        assert_eq!(of(r#"{"errcode":40029,"errmsg":"invalid code"}"#).0, "invalid_grant");
        assert_eq!(of(r#"{"message":"authorization_pending"}"#).0, "authorization_pending");
        assert_eq!(of(r#"{"error":"Bad Request","message":"missing client id"}"#).0, "Bad Request");
        // In a good answer these are just members.
        let good =
            r#"{"access_token":"t","token_type":"bearer","message":"Invalid refresh token","errcode":1}"#;
        assert!(token(dialect.clone(), good).is_ok());
        // `error` is an error, whatever stands beside it.
        let both = r#"{"access_token":"t","token_type":"bearer","error":"40029"}"#;
        assert_eq!(of(both).0, "invalid_grant");
        // Zero says that all is well.
        assert!(matches!(token(dialect.clone(), r#"{"errcode":0}"#), Err(AnswerError::Unusable(_))));
    }

    #[test]
    fn the_providers_own_code_is_kept_and_an_error_that_is_an_object_keeps_its_message() {
        let mut dialect = Dialect::new("facebook");
        dialect.error_members = vec!["error.code".into()];
        dialect.error_codes = pairs(&[("190", "invalid_grant")]);
        let body = r#"{"error":{"message":"Expired","type":"OAuthException","code":190}}"#;
        let AnswerError::OAuth(error) = token(dialect, body).unwrap_err() else { panic!() };
        assert_eq!(error.to_string(), "the authorization server answered invalid_grant: Expired [HTTP 200]");
        assert_eq!(error.response.extra.get_str("provider_error"), Some("190"));
    }

    #[test]
    fn a_tolerated_leniency_is_silent_and_every_other_one_is_not() {
        let mut dialect = Dialect::new("github");
        dialect.tolerated = vec![Warning::FormEncoded];
        dialect.scope_separator = Some(',');
        let form = Some("application/x-www-form-urlencoded");
        let answer =
            Answer::new(200, form, b"access_token=t&token_type=bearer&scope=repo%2Cgist&expires_in=60");
        let response = TokenResponse::parse(&answer, &strict(dialect.clone())).unwrap();
        assert_eq!((response.expires_in, response.scope), (Some(60), Some("repo gist".parse().unwrap())));

        let answer = Answer::new(200, form, b"access_token=t&token_type=bearer&expires=60");
        assert!(
            TokenResponse::parse(&answer, &strict(dialect.clone())).is_err(),
            "`expires` is not forgiven"
        );
        let lenient = ParseOptions { dialect: Some(Arc::new(dialect)), ..ParseOptions::default() };
        let response = TokenResponse::parse(&answer, &lenient).unwrap();
        assert_eq!(response.warnings, [Warning::ExpiresInAlias]);
    }

    #[test]
    fn a_refresh_token_of_an_unusable_answer_is_found_under_the_providers_name() {
        let mut dialect = Dialect::new("plentymarkets");
        dialect.members = pairs(&[("refreshToken", "refresh_token"), ("accessToken", "access_token")]);
        let error =
            token(dialect, r#"{"accessToken":"t","refreshToken":"new","token_type":"mac"}"#).unwrap_err();
        let AnswerError::Unusable(unusable) = error else { panic!("{error:?}") };
        assert_eq!(unusable.refresh_token, Some(Secret::from("new")));
    }

    #[test]
    fn device_answers_are_translated_too() {
        let mut dialect = Dialect::new("acme");
        dialect.members = pairs(&[("verification_url", "verification_uri"), ("code", "device_code")]);
        let body = br#"{"code":"d","user_code":"U","verification_url":"https://a.example","expires_in":60}"#;
        let response =
            DeviceAuthorizationResponse::parse(&Answer::new(200, JSON, body), &strict(dialect)).unwrap();
        assert_eq!(response.verification_uri, "https://a.example");
    }
}
