//! What holds for any input: no parser panics, whatever a server or a browser sends; and what is written reads back.
// A test says what it expects; a failed expectation is its result.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jeton_models::{
    Answer, AuthorizationRequest, AuthorizationResponse, AuthorizationServerMetadata, Challenge,
    DeviceAuthorizationResponse, Issuer, Parameters, ParseOptions, Scope, Secret, Token, TokenResponse,
    parse_www_authenticate,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use url::{Url, form_urlencoded};

/// Bytes of any kind, and texts that come close to an answer: there the parsers have the most to decide.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "\\",
        "\\u",
        "\\ud800",
        "null",
        "true",
        "-",
        "1e400",
        "3600",
        "\"3600\"",
        "0.5",
        "\"access_token\":",
        "\"token_type\":",
        "\"Bearer\"",
        "\"expires_in\":",
        "\"expires_at\":",
        "\"scope\":",
        "\"error\":",
        "\"errors\":",
        "\"refresh_token\":",
        "\"device_code\":",
        "\"user_code\":",
        "\"verification_uri\":",
        "\"interval\":",
        "\"issuer\":",
        "\"https://as.example\"",
        "access_token=",
        "error=",
        "&",
        "=",
        "%",
        "%f",
        "%ff",
        "+",
        "<html>",
        "\u{feff}",
        " ",
        "é",
        "\0",
    ]);
    // A well-formed object of our members, each with any of these values.
    let name = prop::sample::select(vec![
        "access_token",
        "token_type",
        "expires_in",
        "expires_at",
        "refresh_token",
        "scope",
        "error",
        "errors",
        "error_description",
        "device_code",
        "user_code",
        "verification_uri",
        "verification_url",
        "interval",
        "issuer",
        "message",
        "token_endpoint",
        "scopes_supported",
    ]);
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("\"Bearer\"".to_owned()),
        Just("\"https://as.example\"".to_owned()),
        Just("{\"code\":\"x\"}".to_owned()),
        Just("[{\"errorType\":\"x\"},1]".to_owned()),
        any::<f64>().prop_filter("JSON has finite numbers", |n| n.is_finite()).prop_map(|n| n.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    prop_oneof![
        vec(any::<u8>(), 0..200),
        vec(pieces, 0..30).prop_map(|pieces| pieces.concat().into_bytes()),
        vec((name, value), 0..12).prop_map(|members| {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{{}}}", members.join(",")).into_bytes()
        }),
    ]
}

fn content_types() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        Just(Some("application/json".to_owned())),
        Just(Some(";".to_owned())),
        any::<String>().prop_map(Some),
    ]
}

fn statuses() -> impl Strategy<Value = u16> {
    prop_oneof![Just(200_u16), Just(400), any::<u16>()]
}

/// Header values: any text, and pieces of challenges.
fn headers() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "Bearer",
        "Basic",
        "DPoP",
        "Negotiate",
        " ",
        "\t",
        ",",
        "=",
        "==",
        "\"",
        "\\",
        "\\\"",
        "realm",
        "error",
        "abc",
        "é",
        "\u{1f600}",
        "=\"a\"",
        "x=y",
    ]);
    prop_oneof![any::<String>(), vec(pieces, 0..25).prop_map(|pieces| pieces.concat())]
}

fn urls() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "http://127.0.0.1:1/callback",
        "https://as.example",
        "mailto:a@b",
        "data:x",
        "?",
        "#",
        "&",
        "=",
        "code",
        "state",
        "iss",
        "error",
        "error_description",
        "right",
        "https%3A%2F%2Fas.example",
        "%",
        "%ff",
        "+",
        "é",
        "/",
    ]);
    prop_oneof![
        any::<String>().prop_map(|query| format!("http://127.0.0.1:1/callback?{query}")),
        vec(pieces, 0..20).prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(Config { cases: 2_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_token_or_device_answer_makes_a_parser_panic_and_strict_takes_no_more_than_tolerant(
        body in bodies(), content_type in content_types(), status in statuses(),
    ) {
        let answer = Answer::new(status, content_type.as_deref(), &body);
        let (tolerant, strict) = (ParseOptions::default(), ParseOptions::strict());

        let read = TokenResponse::parse(&answer, &tolerant);
        let strictly = TokenResponse::parse(&answer, &strict);
        match &strictly {
            // What strict takes, tolerant takes without a warning, and alike.
            Ok(response) => {
                prop_assert!(response.warnings.is_empty());
                prop_assert_eq!(Some(response), read.as_ref().ok());
            }
            Err(error) => {
                let _ = format!("{error} {error:?}");
                prop_assert!(read.as_ref().map_or(true, |response| !response.warnings.is_empty()));
            }
        }
        let _ = format!("{read:?}");

        let read = DeviceAuthorizationResponse::parse(&answer, &tolerant);
        if let Ok(response) = DeviceAuthorizationResponse::parse(&answer, &strict) {
            prop_assert_eq!(Some(&response), read.as_ref().ok());
        }
        if let Ok(response) = &read {
            prop_assert!(response.interval > 0 && response.expires_in > 0);
        }
        let _ = answer.error(&tolerant).to_string();
    }

    #[test]
    fn no_metadata_document_makes_the_parser_panic_and_what_it_takes_reads_back(body in bodies()) {
        let issuer: Issuer = "https://as.example".parse().unwrap();
        match AuthorizationServerMetadata::parse(&body, &issuer) {
            Ok(metadata) => {
                let kept = serde_json::to_string(&metadata).unwrap();
                prop_assert_eq!(serde_json::from_str::<AuthorizationServerMetadata>(&kept).unwrap(), metadata.clone());
                let _ = metadata.endpoint("token_endpoint");
            }
            Err(error) => { let _ = error.to_string(); }
        }
    }

    #[test]
    fn no_text_makes_a_deserializer_panic(body in bodies()) {
        let _ = serde_json::from_slice::<Token>(&body).map(|token| format!("{token:?}"));
        let _ = serde_json::from_slice::<AuthorizationRequest>(&body).map(|request| request.to_parameters());
        let _ = serde_json::from_slice::<Parameters>(&body);
    }

    #[test]
    fn no_issuer_or_scope_text_makes_a_parser_panic(text in urls()) {
        if let Err(error) = text.parse::<Issuer>() {
            let _ = error.to_string();
        }
        if let Ok(scope) = text.parse::<Scope>() {
            prop_assert_eq!(scope.to_string().parse::<Scope>().unwrap(), scope);
        }
    }

    #[test]
    fn no_redirected_url_makes_the_parser_panic_or_passes_without_the_state(text in urls(), required: bool) {
        let Ok(url) = Url::parse(&text) else { return Ok(()) };
        let state = Secret::from("right");
        let read = AuthorizationResponse::from_url(&url, &state, Some("https://as.example"), required);
        match read {
            Ok(response) => {
                prop_assert!(AuthorizationResponse::has_state(&url, &state));
                prop_assert!(!response.code.is_empty());
                prop_assert!(response.iss.as_deref().map_or(!required, |iss| iss == "https://as.example"));
            }
            Err(error) => { let _ = format!("{error} {error:?}"); }
        }
    }

    #[test]
    fn form_encoding_reads_back(pairs in vec((any::<String>(), any::<String>()), 0..8)) {
        let mut parameters = Parameters::new();
        let mut expected: Vec<(String, String)> = Vec::new();
        for (name, value) in pairs {
            let taken = expected.iter().any(|(own, _)| *own == name);
            let repeatable = name == "resource" || name == "audience";
            let appended = parameters.append(name.clone(), value.clone());
            prop_assert_eq!(appended.is_err(), taken && !repeatable && !value.is_empty());
            if appended.is_ok() && !value.is_empty() {
                expected.push((name, value));
            }
        }
        let form = parameters.to_form();
        prop_assert!(form.is_ascii());
        let read: Vec<(String, String)> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn an_authorization_url_reads_back(client_id in any::<String>(), state in any::<String>(), hint in any::<String>()) {
        prop_assume!(!client_id.is_empty());
        let mut request = AuthorizationRequest::new(client_id.as_str());
        request.state = Some(Secret::from(state.as_str()));
        request.extra.append("login_hint", hint.as_str()).unwrap();
        let url = request.to_url(&Url::parse("https://as.example/authorize?tenant=1").unwrap()).unwrap();
        let read: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let of = |name: &str| read.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
        prop_assert_eq!(of("tenant"), Some("1".to_owned()));
        prop_assert_eq!(of("client_id"), Some(client_id));
        prop_assert_eq!(of("state").unwrap_or_default(), state);
        prop_assert_eq!(of("login_hint").unwrap_or_default(), hint);
    }

    #[test]
    fn no_www_authenticate_header_makes_the_parser_panic(value in headers()) {
        let challenges = parse_www_authenticate(&value);
        // Whatever was understood can be written and is understood the same way.
        let written = challenges.iter().map(Challenge::to_string).collect::<Vec<_>>().join(", ");
        let printable = |c: &Challenge| c.parameters.iter().all(|(_, value)| !value.contains(char::is_control));
        if challenges.iter().all(printable) {
            prop_assert_eq!(parse_www_authenticate(&written), challenges);
        }
    }

    #[test]
    fn challenges_are_written_and_read_back(
        challenges in vec(
            ("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", vec(("[!#$%&'*+.^_`|~0-9a-z-]{1,12}", "\\PC{0,30}"), 0..4)),
            0..5,
        )
    ) {
        let challenges: Vec<Challenge> = challenges
            .into_iter()
            .map(|(scheme, parameters)| {
                parameters.into_iter().fold(Challenge::new(scheme), |challenge, (name, value)| challenge.with(&name, value))
            })
            .collect();
        let written = challenges.iter().map(Challenge::to_string).collect::<Vec<_>>().join(", ");
        prop_assert_eq!(parse_www_authenticate(&written), challenges);
    }
}
