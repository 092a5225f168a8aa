//! The JSON Schemas of the models against those of the reference system, whose facts stand here as a table typed in
//! by hand. Every difference that is meant stands in `INTENDED` with its reason; one that is not there, or one that
//! is there and has vanished, fails the test.
// A test says what it expects; a failed expectation is its result.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use jeton_models::{
    AccessTokenRequest, AuthorizationCodeAccessTokenRequest, AuthorizationRequest, AuthorizationResponse,
    AuthorizationServerMetadata, BackchannelAccessTokenRequest, BackchannelAuthenticationRequest,
    BackchannelAuthenticationResponse, ClientCredentialsAccessTokenRequest, DeviceAccessTokenRequest,
    DeviceAuthorizationRequest, DeviceAuthorizationResponse, ErrorResponse, JwtBearerAccessTokenRequest,
    RefreshTokenAccessTokenRequest, ResourceOwnerPasswordCredentialsAccessTokenRequest, Token,
    TokenExchangeRequest,
};
use schemars::{JsonSchema, Schema, schema_for};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// A member's name, its type, whether it is required, and its default as JSON text ("" for none).
type Member = (&'static str, &'static str, Required, &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Required {
    Yes,
    No,
}
use Required::{No, Yes};

const TEXT: &str = "string";
const TEXT_OR_NULL: &str = "string or null";
const INTEGER: &str = "integer";
const INTEGER_OR_NULL: &str = "integer or null";

/// What the reference system's page says of one model.
struct Fact {
    title: &'static str,
    /// `additionalProperties`: whether members that the model does not name are kept.
    extras: bool,
    members: &'static [Member],
}

/// All the schemas of the reference system's page on models, in its order.
const FACTS: &[Fact] = &[
    Fact { title: "AccessTokenRequest", extras: true, members: &[("grant_type", TEXT, Yes, "")] },
    Fact {
        title: "AuthorizationCodeAccessTokenRequest",
        extras: true,
        members: &[
            ("grant_type", TEXT, No, r#""authorization_code""#),
            ("code", TEXT, Yes, ""),
            ("redirect_uri", TEXT_OR_NULL, No, "null"),
            ("client_id", TEXT, Yes, ""),
        ],
    },
    Fact {
        title: "AuthorizationRequest",
        extras: false,
        members: &[
            ("response_type", TEXT, No, r#""code""#),
            ("client_id", TEXT, Yes, ""),
            ("redirect_uri", TEXT_OR_NULL, No, "null"),
            ("scope", TEXT_OR_NULL, No, "null"),
            ("state", TEXT_OR_NULL, No, "null"),
        ],
    },
    Fact {
        title: "AuthorizationRequestPKCE",
        extras: false,
        members: &[
            ("response_type", TEXT, No, r#""code""#),
            ("client_id", TEXT, Yes, ""),
            ("redirect_uri", TEXT_OR_NULL, No, "null"),
            ("scope", TEXT_OR_NULL, No, "null"),
            ("state", TEXT_OR_NULL, No, "null"),
            ("code_challenge", TEXT, Yes, ""),
            ("code_challenge_method", TEXT, Yes, ""),
        ],
    },
    Fact {
        title: "ClientCredentialsAccessTokenRequest",
        extras: true,
        members: &[
            ("grant_type", TEXT, No, r#""client_credentials""#),
            ("client_id", TEXT, Yes, ""),
            ("client_secret", TEXT, Yes, ""),
            ("scope", TEXT_OR_NULL, No, "null"),
        ],
    },
    Fact {
        title: "DeviceAccessTokenRequest",
        extras: true,
        members: &[
            ("grant_type", TEXT, No, r#""urn:ietf:params:oauth:grant-type:device_code""#),
            ("device_code", TEXT, Yes, ""),
            ("client_id", TEXT, Yes, ""),
        ],
    },
    Fact {
        title: "DeviceAuthorizationRequest",
        extras: false,
        members: &[("client_id", TEXT, Yes, ""), ("scope", TEXT_OR_NULL, No, "null")],
    },
    Fact {
        title: "DeviceAuthorizationRequestPKCE",
        extras: false,
        members: &[
            ("client_id", TEXT, Yes, ""),
            ("scope", TEXT_OR_NULL, No, "null"),
            ("code_challenge", TEXT, Yes, ""),
            ("code_challenge_method", TEXT, Yes, ""),
        ],
    },
    Fact {
        title: "RefreshTokenAccessTokenRequest",
        extras: true,
        members: &[
            ("grant_type", TEXT, No, r#""refresh_token""#),
            ("refresh_token", TEXT, Yes, ""),
            ("scope", TEXT_OR_NULL, No, "null"),
        ],
    },
    Fact {
        title: "ResourceOwnerPasswordCredentialsAccessTokenRequest",
        extras: true,
        members: &[
            ("grant_type", TEXT, No, r#""password""#),
            ("username", TEXT, Yes, ""),
            ("password", TEXT, Yes, ""),
            ("scope", TEXT_OR_NULL, No, "null"),
        ],
    },
    Fact {
        title: "AuthorizationResponse",
        extras: false,
        members: &[("code", TEXT, Yes, ""), ("state", TEXT_OR_NULL, No, "null")],
    },
    Fact {
        title: "DeviceAuthorizationResponse",
        extras: false,
        members: &[
            ("device_code", TEXT, Yes, ""),
            ("user_code", TEXT, Yes, ""),
            ("verification_uri", TEXT, Yes, ""),
            ("verification_uri_complete", TEXT_OR_NULL, No, "null"),
            ("expires_in", INTEGER, Yes, ""),
            ("interval", INTEGER, No, "5"),
        ],
    },
    Fact {
        title: "ErrorResponse",
        extras: false,
        members: &[
            ("error", TEXT, Yes, ""),
            ("error_description", TEXT_OR_NULL, No, "null"),
            ("error_uri", TEXT_OR_NULL, No, "null"),
        ],
    },
    Fact {
        title: "Token",
        extras: true,
        members: &[
            ("access_token", TEXT, Yes, ""),
            ("token_type", TEXT, Yes, ""),
            ("expires_in", INTEGER_OR_NULL, No, "null"),
            ("refresh_token", TEXT_OR_NULL, No, "null"),
            ("scope", TEXT_OR_NULL, No, "null"),
            ("expires_at", INTEGER, Yes, ""),
        ],
    },
];

const EXTRAS_ARE_TEXTS: &str = "a form has texts only, so that a further parameter is a text, or several under a name that may be repeated";
const EXTRAS_KEPT: &str = "further members are kept everywhere; the reference drops them here";
const PKCE_IS_AN_OPTION: &str =
    "the variants with and without PKCE are one model, in which the challenge is an option";
const ONE_METHOD: &str = "S256 is the only method that jeton ever sends (RFC 7636 §4.2, RFC 9700 §2.1.1)";
const VERIFIER: &str =
    "the code verifier has a name and the type of a secret; the reference sends it as a further member";
const NOT_NEGATIVE: &str =
    "a number of seconds is never negative; a tolerant parser deals with servers that say so";

/// Every difference from the reference that is meant, with its reason.
const INTENDED: &[(&str, &str)] = &[
    ("AccessTokenRequest: extras any -> texts", EXTRAS_ARE_TEXTS),
    ("AuthorizationCodeAccessTokenRequest: extras any -> texts", EXTRAS_ARE_TEXTS),
    ("ClientCredentialsAccessTokenRequest: extras any -> texts", EXTRAS_ARE_TEXTS),
    ("DeviceAccessTokenRequest: extras any -> texts", EXTRAS_ARE_TEXTS),
    ("RefreshTokenAccessTokenRequest: extras any -> texts", EXTRAS_ARE_TEXTS),
    ("ResourceOwnerPasswordCredentialsAccessTokenRequest: extras any -> texts", EXTRAS_ARE_TEXTS),
    ("AuthorizationRequest: extras none -> texts", EXTRAS_KEPT),
    ("AuthorizationRequestPKCE: extras none -> texts", EXTRAS_KEPT),
    ("DeviceAuthorizationRequest: extras none -> texts", EXTRAS_KEPT),
    ("DeviceAuthorizationRequestPKCE: extras none -> texts", EXTRAS_KEPT),
    ("AuthorizationResponse: extras none -> any", EXTRAS_KEPT),
    ("DeviceAuthorizationResponse: extras none -> any", EXTRAS_KEPT),
    ("ErrorResponse: extras none -> any", EXTRAS_KEPT),
    ("AuthorizationRequestPKCE: title -> AuthorizationRequest", PKCE_IS_AN_OPTION),
    ("DeviceAuthorizationRequestPKCE: title -> DeviceAuthorizationRequest", PKCE_IS_AN_OPTION),
    (
        "AuthorizationRequest.code_challenge: absent -> string or null, optional, default null",
        PKCE_IS_AN_OPTION,
    ),
    (
        "AuthorizationRequest.code_challenge_method: absent -> string or null in [\"S256\",null], optional, default null",
        PKCE_IS_AN_OPTION,
    ),
    (
        "DeviceAuthorizationRequest.code_challenge: absent -> string or null, optional, default null",
        PKCE_IS_AN_OPTION,
    ),
    (
        "DeviceAuthorizationRequest.code_challenge_method: absent -> string or null in [\"S256\",null], optional, default null",
        PKCE_IS_AN_OPTION,
    ),
    (
        "AuthorizationRequestPKCE.code_challenge: string, required -> string or null, optional, default null",
        PKCE_IS_AN_OPTION,
    ),
    (
        "AuthorizationRequestPKCE.code_challenge_method: string, required -> string or null in [\"S256\",null], optional, default null",
        ONE_METHOD,
    ),
    (
        "DeviceAuthorizationRequestPKCE.code_challenge: string, required -> string or null, optional, default null",
        PKCE_IS_AN_OPTION,
    ),
    (
        "DeviceAuthorizationRequestPKCE.code_challenge_method: string, required -> string or null in [\"S256\",null], optional, default null",
        ONE_METHOD,
    ),
    (
        "AuthorizationCodeAccessTokenRequest.code_verifier: absent -> string or null, optional, default null",
        VERIFIER,
    ),
    ("DeviceAccessTokenRequest.code_verifier: absent -> string or null, optional, default null", VERIFIER),
    (
        "AuthorizationResponse.iss: absent -> string or null, optional, default null",
        "the issuer that answered is checked against mix-up (RFC 9207)",
    ),
    ("DeviceAuthorizationResponse.expires_in: integer, required -> integer from 0, required", NOT_NEGATIVE),
    (
        "DeviceAuthorizationResponse.interval: integer, optional, default 5 -> integer from 0, optional, default 5",
        NOT_NEGATIVE,
    ),
    (
        "Token.expires_in: integer or null, optional, default null -> integer or null from 0, optional, default null",
        NOT_NEGATIVE,
    ),
    (
        "Token.expires_at: integer, required -> integer or null from 0, optional, default null",
        "a token whose server names no expiry has none, and never expires by time",
    ),
    (
        "Token.token_type: string, required -> string, optional, default \"Bearer\"",
        "real servers leave it out; Bearer is then assumed, with a warning",
    ),
];

/// Our model for each of the reference's.
fn ours(title: &str) -> Schema {
    match title {
        "AccessTokenRequest" => schema_for!(AccessTokenRequest),
        "AuthorizationCodeAccessTokenRequest" => schema_for!(AuthorizationCodeAccessTokenRequest),
        "AuthorizationRequest" | "AuthorizationRequestPKCE" => schema_for!(AuthorizationRequest),
        "ClientCredentialsAccessTokenRequest" => schema_for!(ClientCredentialsAccessTokenRequest),
        "DeviceAccessTokenRequest" => schema_for!(DeviceAccessTokenRequest),
        "DeviceAuthorizationRequest" | "DeviceAuthorizationRequestPKCE" => {
            schema_for!(DeviceAuthorizationRequest)
        }
        "RefreshTokenAccessTokenRequest" => schema_for!(RefreshTokenAccessTokenRequest),
        "ResourceOwnerPasswordCredentialsAccessTokenRequest" => {
            schema_for!(ResourceOwnerPasswordCredentialsAccessTokenRequest)
        }
        "AuthorizationResponse" => schema_for!(AuthorizationResponse),
        "DeviceAuthorizationResponse" => schema_for!(DeviceAuthorizationResponse),
        "ErrorResponse" => schema_for!(ErrorResponse),
        "Token" => schema_for!(Token),
        other => panic!("{other} has no counterpart"),
    }
}

/// A member of the reference in words.
fn in_words((_, kind, required, default): &Member) -> String {
    describe(kind, *required == Yes, (!default.is_empty()).then(|| (*default).to_owned()))
}

fn describe(kind: &str, required: bool, default: Option<String>) -> String {
    let presence = if required { "required" } else { "optional" };
    match default {
        Some(default) => format!("{kind}, {presence}, default {default}"),
        None => format!("{kind}, {presence}"),
    }
}

/// The members of one of our schemas in the same words.
fn members_in_words(schema: &Value) -> BTreeMap<String, String> {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap()).collect();
    let in_words = |(name, member): (&String, &Value)| {
        let mut kind = match &member["type"] {
            Value::String(kind) => kind.clone(),
            Value::Array(kinds) => {
                kinds.iter().map(|kind| kind.as_str().unwrap()).collect::<Vec<_>>().join(" or ")
            }
            other => panic!("{name} has the type {other}"),
        };
        if let Some(least) = member.get("minimum") {
            kind = format!("{kind} from {least}");
        }
        if let Some(values) = member.get("enum") {
            kind = format!("{kind} in {values}");
        }
        // Whatever else a schema can say of a member would be a difference that these words do not show.
        let shown = ["type", "minimum", "enum", "default", "description", "format"];
        let unshown: Vec<&String> =
            member.as_object().unwrap().keys().filter(|key| !shown.contains(&key.as_str())).collect();
        assert!(unshown.is_empty(), "{name} says {unshown:?}, which this test does not compare");
        let words =
            describe(&kind, required.contains(&name.as_str()), member.get("default").map(Value::to_string));
        (name.clone(), words)
    };
    schema["properties"].as_object().unwrap().iter().map(in_words).collect()
}

fn extras_in_words(schema: &Value) -> &'static str {
    match schema.get("additionalProperties") {
        None | Some(Value::Bool(false)) => "none",
        Some(Value::Bool(true)) => "any",
        Some(texts)
            if *texts
                == json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}) =>
        {
            "texts"
        }
        Some(other) => panic!("additionalProperties is {other}"),
    }
}

/// Each difference between the reference's model and ours, one line each.
fn differences(fact: &Fact, schema: &Value) -> Vec<String> {
    let title = fact.title;
    let mut found = Vec::new();
    if schema["title"] != title {
        found.push(format!("{title}: title -> {}", schema["title"].as_str().unwrap()));
    }
    let (theirs, own) = (if fact.extras { "any" } else { "none" }, extras_in_words(schema));
    if theirs != own {
        found.push(format!("{title}: extras {theirs} -> {own}"));
    }
    let theirs: BTreeMap<String, String> =
        fact.members.iter().map(|member| (member.0.to_owned(), in_words(member))).collect();
    let own = members_in_words(schema);
    let names: BTreeSet<&String> = theirs.keys().chain(own.keys()).collect();
    for name in names {
        let absent = || "absent".to_owned();
        let before = theirs.get(name).cloned().unwrap_or_else(absent);
        let after = own.get(name).cloned().unwrap_or_else(absent);
        if before != after {
            found.push(format!("{title}.{name}: {before} -> {after}"));
        }
    }
    found
}

#[test]
fn our_schemas_differ_from_the_reference_only_where_it_is_meant() {
    assert_eq!(FACTS.len(), 14, "the reference has 14 schemas");
    let found: BTreeSet<String> =
        FACTS.iter().flat_map(|fact| differences(fact, &ours(fact.title).to_value())).collect();
    let intended: BTreeSet<String> =
        INTENDED.iter().map(|(difference, _)| (*difference).to_owned()).collect();
    assert_eq!(intended.len(), INTENDED.len(), "a difference is listed twice");
    let unlisted: Vec<_> = found.difference(&intended).collect();
    let vanished: Vec<_> = intended.difference(&found).collect();
    assert!(unlisted.is_empty() && vanished.is_empty(), "unlisted: {unlisted:#?}\nvanished: {vanished:#?}");
    assert!(INTENDED.iter().all(|(_, reason)| !reason.is_empty()));
}

#[test]
fn the_comparison_sees_each_kind_of_difference() {
    type Change = dyn Fn(&mut Value);
    let fact = FACTS.iter().find(|fact| fact.title == "ErrorResponse").unwrap();
    let same = ours("ErrorResponse").to_value();
    let known = differences(fact, &same);
    let changed = |change: &Change| {
        let mut schema = same.clone();
        change(&mut schema);
        differences(fact, &schema).into_iter().filter(|found| !known.contains(found)).collect::<Vec<_>>()
    };
    assert_eq!(changed(&|_| {}), [""; 0]);
    let cases: [(&str, &Change); 6] = [
        ("ErrorResponse: title -> Other", &|schema| schema["title"] = json!("Other")),
        ("ErrorResponse.error: string, required -> string, optional", &|schema| {
            schema["required"] = json!([])
        }),
        ("ErrorResponse.error: string, required -> absent", &|schema| {
            schema["properties"].as_object_mut().unwrap().remove("error");
        }),
        ("ErrorResponse.more: absent -> string, optional", &|schema| {
            schema["properties"]["more"] = json!({"type": "string"});
        }),
        (
            "ErrorResponse.error_uri: string or null, optional, default null -> string or null, optional, default 1",
            &|schema| schema["properties"]["error_uri"]["default"] = json!(1),
        ),
        ("ErrorResponse.error: string, required -> integer, required", &|schema| {
            schema["properties"]["error"]["type"] = json!("integer");
        }),
    ];
    for (expected, change) in cases {
        assert_eq!(changed(change), [expected]);
    }
}

/// What the schema calls required is what the reader requires, and nothing else.
fn reads_as_its_schema_says<T: JsonSchema + DeserializeOwned>() {
    let schema = schema_for!(T).to_value();
    let title = &schema["title"];
    let least: Map<String, Value> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|name| name.as_str().unwrap())
        .map(|name| {
            let value = if schema["properties"][name]["type"] == "integer" { json!(1) } else { json!("x") };
            (name.to_owned(), value)
        })
        .collect();
    let read = |members: &Map<String, Value>| serde_json::from_value::<T>(Value::Object(members.clone()));
    assert!(read(&least).is_ok(), "{title} with its required members: {:?}", read(&least).err());
    for name in least.keys() {
        let mut less = least.clone();
        less.remove(name);
        assert!(read(&less).is_err(), "{title} without {name}");
    }
    for (name, member) in schema["properties"].as_object().unwrap() {
        if let Some(default) = member.get("default") {
            let mut more = least.clone();
            more.insert(name.clone(), default.clone());
            assert!(read(&more).is_ok(), "{title} with the default of {name}: {:?}", read(&more).err());
        }
    }
    let mut more = least.clone();
    more.insert("a_member_that_nobody_knows".to_owned(), json!("x"));
    assert!(read(&more).is_ok(), "{title} with a further member");
}

#[test]
fn each_schema_says_what_the_reader_requires() {
    reads_as_its_schema_says::<AccessTokenRequest>();
    reads_as_its_schema_says::<AuthorizationCodeAccessTokenRequest>();
    reads_as_its_schema_says::<AuthorizationRequest>();
    reads_as_its_schema_says::<AuthorizationResponse>();
    reads_as_its_schema_says::<AuthorizationServerMetadata>();
    reads_as_its_schema_says::<BackchannelAccessTokenRequest>();
    reads_as_its_schema_says::<BackchannelAuthenticationRequest>();
    reads_as_its_schema_says::<BackchannelAuthenticationResponse>();
    reads_as_its_schema_says::<JwtBearerAccessTokenRequest>();
    reads_as_its_schema_says::<TokenExchangeRequest>();
    reads_as_its_schema_says::<ClientCredentialsAccessTokenRequest>();
    reads_as_its_schema_says::<DeviceAccessTokenRequest>();
    reads_as_its_schema_says::<DeviceAuthorizationRequest>();
    reads_as_its_schema_says::<DeviceAuthorizationResponse>();
    reads_as_its_schema_says::<ErrorResponse>();
    reads_as_its_schema_says::<RefreshTokenAccessTokenRequest>();
    reads_as_its_schema_says::<ResourceOwnerPasswordCredentialsAccessTokenRequest>();
    reads_as_its_schema_says::<Token>();
}

#[test]
fn server_metadata_which_the_reference_does_not_have_requires_the_issuer_only() {
    let schema = schema_for!(AuthorizationServerMetadata).to_value();
    assert_eq!(schema["required"], json!(["issuer"]));
    assert_eq!(extras_in_words(&schema), "any");
    let lists = members_of_type(&schema, "array");
    assert!(lists.len() > 10 && lists.iter().all(|name| name.ends_with("_supported")), "{lists:?}");
}

fn members_of_type<'a>(schema: &'a Value, wanted: &str) -> Vec<&'a String> {
    let is = |member: &Value| member["type"].as_array().is_some_and(|kinds| kinds.contains(&json!(wanted)));
    schema["properties"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, member)| is(member))
        .map(|(name, _)| name)
        .collect()
}
