//! Rich authorization requests: what `authorization_details` holds, in requests and in what was granted (RFC 9396).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ExtraMembers;

/// The name of the parameter and of the member (RFC 9396 §2, §7).
pub(crate) const AUTHORIZATION_DETAILS: &str = "authorization_details";

/// One authorization detail: what exactly a client may do, by a type that says which members there are (RFC 9396 §2).
///
/// What is granted may differ from what was asked for, by more or fewer members (RFC 9396 §7.1), so that members without a
/// method here are kept and compared like the others. They may say a lot about a person: `Debug` shows their names only.
///
/// ```
/// use jeton_models::AuthorizationDetail;
/// use serde_json::json;
///
/// let payment = AuthorizationDetail::new("payment_initiation")
///     .actions(["initiate", "status", "cancel"])
///     .locations(["https://example.com/payments"])
///     .with("instructedAmount", json!({ "currency": "EUR", "amount": "123.50" }));
/// assert_eq!(payment.detail_type(), "payment_initiation");
/// assert_eq!(payment.get("instructedAmount").unwrap()["currency"], "EUR");
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct AuthorizationDetail(Map<String, Value>);

impl AuthorizationDetail {
    /// A detail of that type, which the server documents.
    pub fn new(detail_type: impl Into<String>) -> Self {
        Self(Map::from_iter([("type".to_owned(), Value::from(detail_type.into()))]))
    }

    /// Where it is good for: resource servers (`locations`, RFC 9396 §2.2).
    #[must_use]
    pub fn locations(self, locations: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with_texts("locations", locations)
    }

    /// What may be done (`actions`, RFC 9396 §2.2).
    #[must_use]
    pub fn actions(self, actions: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with_texts("actions", actions)
    }

    /// With which kinds of data (`datatypes`, RFC 9396 §2.2).
    #[must_use]
    pub fn datatypes(self, datatypes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with_texts("datatypes", datatypes)
    }

    /// With which resource of the API (`identifier`, RFC 9396 §2.2).
    #[must_use]
    pub fn identifier(self, identifier: impl Into<String>) -> Self {
        self.with("identifier", identifier.into())
    }

    /// With which privileges (`privileges`, RFC 9396 §2.2).
    #[must_use]
    pub fn privileges(self, privileges: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with_texts("privileges", privileges)
    }

    /// A member that its type defines. The `type` itself stays as it is.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let name = name.into();
        if name != "type" {
            self.0.insert(name, value.into());
        }
        self
    }

    fn with_texts(self, name: &str, texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with(name, texts.into_iter().map(Into::into).collect::<Vec<String>>())
    }

    /// Its type.
    pub fn detail_type(&self) -> &str {
        self.0.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// Any member, `type` included.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The strings of a member that is an array of strings, such as `actions`; none if it is something else.
    pub fn texts<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// All members in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Reads a JSON array of details, such as one from a configuration file.
    ///
    /// # Errors
    /// [`AuthorizationDetailsError`] if it is no JSON array of objects with a `type` in each.
    pub fn parse_all(json: &str) -> Result<Vec<Self>, AuthorizationDetailsError> {
        let value = serde_json::from_str(json).map_err(|_| AuthorizationDetailsError::NotAnArray)?;
        Self::from_value(&value)
    }

    /// Reads a JSON array of details.
    ///
    /// # Errors
    /// As [`parse_all`](Self::parse_all).
    pub fn from_value(value: &Value) -> Result<Vec<Self>, AuthorizationDetailsError> {
        let items = value.as_array().ok_or(AuthorizationDetailsError::NotAnArray)?;
        items
            .iter()
            .map(|item| match item {
                Value::Object(members) => Self::try_from(members.clone()),
                _ => Err(AuthorizationDetailsError::NotAnObject),
            })
            .collect()
    }

    /// The details as the JSON array that goes into a request (RFC 9396 §2).
    ///
    /// # Errors
    /// [`AuthorizationDetailsError::NoType`] if one has an empty type.
    pub fn to_parameter(details: &[Self]) -> Result<String, AuthorizationDetailsError> {
        if details.iter().any(|detail| detail.detail_type().is_empty()) {
            return Err(AuthorizationDetailsError::NoType);
        }
        // Nothing in it can fail to be JSON: maps have texts as keys, and numbers are finite.
        Ok(serde_json::to_string(details).unwrap_or_default())
    }

    /// What was granted, among the further members of an answer (RFC 9396 §7). `None` if the server says nothing of it, or not in a
    /// way that can be read, of which there is a warning then.
    pub fn granted_in(extra: &ExtraMembers) -> Option<Vec<Self>> {
        Some(Granted::read(extra.get(AUTHORIZATION_DETAILS)?).ok()?.details)
    }
}

impl TryFrom<Map<String, Value>> for AuthorizationDetail {
    type Error = AuthorizationDetailsError;

    fn try_from(members: Map<String, Value>) -> Result<Self, Self::Error> {
        match members.get("type").and_then(Value::as_str) {
            Some(detail_type) if !detail_type.is_empty() => Ok(Self(members)),
            _ => Err(AuthorizationDetailsError::NoType),
        }
    }
}

impl fmt::Debug for AuthorizationDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.keys().map(String::as_str).filter(|name| *name != "type").collect();
        f.debug_struct("AuthorizationDetail")
            .field("type", &self.detail_type())
            .field("members", &names)
            .finish()
    }
}

/// The details of an answer, and how they were spelled.
pub(crate) struct Granted {
    pub(crate) details: Vec<AuthorizationDetail>,
    /// As JSON in a string: the spelling of requests.
    pub(crate) is_string: bool,
}

impl Granted {
    pub(crate) fn read(value: &Value) -> Result<Self, AuthorizationDetailsError> {
        match value {
            Value::String(json) => {
                Ok(Self { details: AuthorizationDetail::parse_all(json)?, is_string: true })
            }
            value => Ok(Self { details: AuthorizationDetail::from_value(value)?, is_string: false }),
        }
    }
}

/// Why something is no list of authorization details (RFC 9396 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizationDetailsError {
    /// It is no JSON array.
    #[error("authorization details must be a JSON array of objects (RFC 9396 §2)")]
    NotAnArray,
    /// One of them is no JSON object.
    #[error("each authorization detail must be a JSON object (RFC 9396 §2)")]
    NotAnObject,
    /// One of them has no `type`.
    #[error("each authorization detail must have a `type` that is a string (RFC 9396 §2)")]
    NoType,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a24_the_parameter_is_a_json_array_with_a_type_in_each() {
        let details = [
            AuthorizationDetail::new("account_information").actions(["list_accounts"]).identifier("a-1"),
            AuthorizationDetail::new("x")
                .datatypes(["photos"])
                .privileges(["admin"])
                .locations(["https://a.example"]),
        ];
        let parameter = AuthorizationDetail::to_parameter(&details).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&parameter).unwrap(),
            json!([
                { "type": "account_information", "actions": ["list_accounts"], "identifier": "a-1" },
                { "type": "x", "datatypes": ["photos"], "privileges": ["admin"], "locations": ["https://a.example"] },
            ])
        );
        assert_eq!(AuthorizationDetail::parse_all(&parameter).unwrap(), details);
        let untyped = [AuthorizationDetail::new("")];
        assert_eq!(AuthorizationDetail::to_parameter(&untyped), Err(AuthorizationDetailsError::NoType));
    }

    #[test]
    fn a24_what_is_no_list_of_details_is_refused() {
        use AuthorizationDetailsError::{NoType, NotAnArray, NotAnObject};
        for (json, error) in [
            ("", NotAnArray),
            ("{}", NotAnArray),
            (r#"{"type":"a"}"#, NotAnArray),
            ("[1]", NotAnObject),
            ("[{}]", NoType),
            (r#"[{"type":""}]"#, NoType),
            (r#"[{"type":7}]"#, NoType),
            (r#"[{"type":"a"},{"Type":"b"}]"#, NoType),
            (r#"[{"type":"a"},"#, NotAnArray),
        ] {
            assert_eq!(AuthorizationDetail::parse_all(json), Err(error), "{json}");
        }
        assert_eq!(AuthorizationDetail::parse_all("[]"), Ok(Vec::new()));
    }

    #[test]
    fn a_type_stays_and_debug_shows_names_only() {
        let detail =
            AuthorizationDetail::new("payment").with("type", "other").with("iban", "DE02100100109307118603");
        assert_eq!(detail.detail_type(), "payment");
        let shown = format!("{detail:?}");
        assert!(shown.contains("payment") && shown.contains("iban") && !shown.contains("DE02"), "{shown}");
    }

    #[test]
    fn texts_of_a_member_that_is_no_array_of_strings_are_none() {
        let detail = AuthorizationDetail::new("a").actions(["read", "write"]).with("odd", json!(["x", 1]));
        assert_eq!(detail.texts("actions").collect::<Vec<_>>(), ["read", "write"]);
        assert_eq!(detail.texts("odd").collect::<Vec<_>>(), ["x"]);
        assert_eq!(detail.texts("type").count() + detail.texts("absent").count(), 0);
    }
}
