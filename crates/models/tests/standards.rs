//! The lines of the standards that this crate keeps, one test each, by their ids; and the RFCs' own vectors.
//!
//! A3: token requests. A6: token answers. A12: PKCE. A23: the issuer in the authorization response.
// A test says what it expects; a failed expectation is its result.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::time::UNIX_EPOCH;

use jeton_models::{
    AccessTokenRequest, Answer, AnswerError, AuthorizationCodeAccessTokenRequest, AuthorizationRequest,
    AuthorizationResponse, AuthorizationResponseError, ClientCredentialsAccessTokenRequest,
    CodeChallengeMethod, CodeVerifierError, DeviceAccessTokenRequest, DeviceAuthorizationRequest, GrantType,
    ParameterError, Parameters, ParseOptions, Pkce, RefreshTokenAccessTokenRequest,
    ResourceOwnerPasswordCredentialsAccessTokenRequest, Secret, TokenResponse, TokenType, UnusableReason,
    create_code_challenge,
};
use url::{Url, form_urlencoded};

/// Each request model with an extra parameter, and the parameter in it that would be sent twice if an extra had its name.
fn requests_with(name: &str, value: &str) -> Vec<(&'static str, Result<Parameters, ParameterError>)> {
    macro_rules! with_extra {
        ($model:ident $($argument:expr),*) => {{
            let mut request = $model::new($($argument),*);
            request.extra.append(name, value).unwrap();
            (stringify!($model), request.to_parameters())
        }};
    }
    let secret = || Secret::from("s");
    vec![
        with_extra!(AccessTokenRequest GrantType::extension("urn:example:coupon")),
        with_extra!(AuthorizationCodeAccessTokenRequest secret(), "app"),
        with_extra!(ClientCredentialsAccessTokenRequest "app", secret()),
        with_extra!(ResourceOwnerPasswordCredentialsAccessTokenRequest "ada", secret()),
        with_extra!(RefreshTokenAccessTokenRequest secret()),
        with_extra!(DeviceAccessTokenRequest secret(), "app"),
    ]
}

#[test]
fn a3_no_token_request_repeats_a_parameter() {
    for (model, parameters) in requests_with("grant_type", "other") {
        assert_eq!(parameters, Err(ParameterError::Repeated { name: "grant_type".into() }), "{model}");
    }
    for (model, parameters) in requests_with("audience", "api") {
        let parameters = parameters.unwrap();
        let names: Vec<&str> = parameters.iter().map(|(name, _)| name).collect();
        let distinct: HashSet<&&str> = names.iter().collect();
        assert_eq!(names.len(), distinct.len(), "{model}: {names:?}");
        assert_eq!((names[0], parameters.get("audience")), ("grant_type", Some("api")), "{model}");
    }
}

#[test]
fn a3_no_token_request_has_an_empty_parameter() {
    let mut request = AuthorizationCodeAccessTokenRequest::new(Secret::from("c"), "app");
    request.redirect_uri = Some(String::new());
    request.code_verifier = Some(Secret::from(""));
    request.extra.append("login_hint", "").unwrap();
    assert_eq!(request.to_parameters().unwrap().to_form(), "grant_type=authorization_code&code=c");

    let mut request = RefreshTokenAccessTokenRequest::new(Secret::from("r"));
    request.scope = Some("".parse().unwrap());
    assert_eq!(request.to_parameters().unwrap().to_form(), "grant_type=refresh_token&refresh_token=r");

    // What is required is never left out in silence.
    let empty = |name: &str| Err(ParameterError::Empty { name: name.into() });
    assert_eq!(RefreshTokenAccessTokenRequest::new(Secret::from("")).to_parameters(), empty("refresh_token"));
    assert_eq!(
        AuthorizationCodeAccessTokenRequest::new(Secret::from(""), "app").to_parameters(),
        empty("code")
    );
    assert_eq!(DeviceAccessTokenRequest::new(Secret::from(""), "app").to_parameters(), empty("device_code"));
    assert_eq!(
        ResourceOwnerPasswordCredentialsAccessTokenRequest::new("", Secret::from("p")).to_parameters(),
        empty("username")
    );
    assert_eq!(AccessTokenRequest::new(GrantType::extension("")).to_parameters(), empty("grant_type"));
    assert_eq!(AuthorizationRequest::new("").to_parameters(), empty("client_id"));
}

fn parse(body: &str) -> Result<TokenResponse, AnswerError> {
    TokenResponse::parse(
        &Answer::new(200, Some("application/json"), body.as_bytes()),
        &ParseOptions::strict(),
    )
}

#[test]
fn a6_token_type_is_read_in_any_case_and_sent_as_registered() {
    for token_type in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let response = parse(&format!(r#"{{"access_token":"t","token_type":"{token_type}"}}"#)).unwrap();
        assert_eq!(response.token_type, TokenType::Bearer);
        assert_eq!(response.into_token(UNIX_EPOCH).authorization().expose(), "Bearer t");
    }
}

#[test]
fn a25_a_token_is_bound_exactly_where_a_key_was_proven() {
    let answer = |token_type: &str| {
        format!(r#"{{"access_token":"t0k3n","token_type":"{token_type}","refresh_token":"r0tated"}}"#)
    };
    for (token_type, proven, ends_well) in
        [("Bearer", false, true), ("dpop", true, true), ("bearer", true, false), ("DPoP", false, false)]
    {
        let body = answer(token_type);
        let answer = Answer::new(200, Some("application/json"), body.as_bytes());
        let response = TokenResponse::parse(&answer, &ParseOptions::strict()).unwrap();
        match response.check_binding(&answer, proven) {
            Ok(response) => {
                assert!(ends_well, "{token_type}, {proven}");
                let scheme = if proven { "DPoP t0k3n" } else { "Bearer t0k3n" };
                assert_eq!(response.into_token(UNIX_EPOCH).authorization().expose(), scheme);
            }
            Err(AnswerError::Unusable(error)) => {
                assert!(!ends_well, "{token_type}, {proven}");
                assert!(matches!(error.reason, UnusableReason::Binding(_)), "{error}");
                // The server has rotated: what it gave instead is not lost, and not shown.
                assert_eq!(error.refresh_token.as_ref().unwrap().expose(), "r0tated");
                let shown = format!("{error} {error:?}");
                assert!(shown.contains("DPoP") && !shown.contains("r0tated") && !shown.contains("t0k3n"));
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a6_a_token_of_unknown_type_is_unusable() {
    for token_type in ["mac", "N_A", "Bearer ", "Bearer,mac", "urn:example:new"] {
        for options in [ParseOptions::default(), ParseOptions::strict()] {
            let body = format!(r#"{{"access_token":"t","token_type":"{token_type}"}}"#);
            let answer = Answer::new(200, Some("application/json"), body.as_bytes());
            let AnswerError::Unusable(error) = TokenResponse::parse(&answer, &options).unwrap_err() else {
                panic!("{token_type}")
            };
            assert!(matches!(error.reason, UnusableReason::TokenType(_)), "{token_type}: {error}");
            assert!(error.to_string().contains(token_type), "{error}");
        }
    }
}

#[test]
fn a6_unknown_members_are_kept() {
    let token = parse(r#"{"access_token":"t","token_type":"Bearer","id_token":"i","n":{"m":[1]}}"#)
        .unwrap()
        .into_token(UNIX_EPOCH);
    assert_eq!(token.extra.len(), 2);
    assert_eq!(token.extra.get_str("id_token"), Some("i"));
    assert_eq!(token.extra.get("n"), Some(&serde_json::json!({"m": [1]})));
}

#[test]
fn a6_an_absent_scope_means_as_requested_and_an_answered_one_is_recorded() {
    assert_eq!(parse(r#"{"access_token":"t","token_type":"Bearer"}"#).unwrap().scope, None);
    let narrower = parse(r#"{"access_token":"t","token_type":"Bearer","scope":"read"}"#).unwrap();
    assert_eq!(narrower.scope, Some("read".parse().unwrap()));
}

#[test]
fn a12_the_verifier_has_43_to_128_unreserved_characters_from_256_random_bits() {
    let mut seen = HashSet::new();
    for _ in 0..200 {
        let pkce = Pkce::new();
        let verifier = pkce.code_verifier().expose();
        // 43 characters of base64url hold 256 bits and two bits that are zero.
        assert_eq!(verifier.len(), 43);
        assert!(verifier.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)), "{verifier}");
        assert!(seen.insert(verifier.to_owned()), "a verifier came twice");
        assert_eq!(pkce.code_challenge(), create_code_challenge(pkce.code_verifier()));
    }
    let of = |text: String| Pkce::from_code_verifier(Secret::new(text)).map(|_| ());
    assert_eq!(of("a".repeat(42)), Err(CodeVerifierError::Length(42)));
    assert_eq!(of("a".repeat(43)), Ok(()));
    assert_eq!(of("a".repeat(128)), Ok(()));
    assert_eq!(of("a".repeat(129)), Err(CodeVerifierError::Length(129)));
    for bad in ["+", "/", "=", " ", "%", "é"] {
        assert_eq!(of("a".repeat(43) + bad), Err(CodeVerifierError::Character), "{bad}");
    }
}

#[test]
fn a12_the_challenge_is_s256_and_never_plain() {
    let pkce = Pkce::new();
    let mut request = AuthorizationRequest::new("app");
    request.code_challenge = Some(pkce.code_challenge().to_owned());
    request.code_challenge_method = Some(pkce.code_challenge_method());
    assert_eq!(request.to_parameters().unwrap().get("code_challenge_method"), Some("S256"));

    // A challenge without a method would count as `plain` (RFC 7636 §4.3): the method goes along all the same.
    request.code_challenge_method = None;
    assert_eq!(request.to_parameters().unwrap().get("code_challenge_method"), Some("S256"));
    request.extra.append("code_challenge_method", "plain").unwrap();
    assert!(request.to_parameters().is_err());

    let mut request = DeviceAuthorizationRequest::new("app");
    request.code_challenge = Some(pkce.code_challenge().to_owned());
    assert_eq!(request.to_parameters().unwrap().get("code_challenge_method"), Some("S256"));
    request.code_challenge = None;
    request.code_challenge_method = Some(CodeChallengeMethod::S256);
    assert!(request.to_parameters().unwrap().is_empty());

    assert!(serde_json::from_str::<CodeChallengeMethod>(r#""plain""#).is_err());
}

#[test]
fn a12_rfc_7636_appendix_b() {
    let verifier = Secret::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    let pkce = Pkce::from_code_verifier(verifier).unwrap();
    assert_eq!(pkce.code_challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    assert_eq!(pkce.code_challenge_method().as_str(), "S256");
}

fn redirected(
    query: &str,
    issuer: Option<&str>,
    required: bool,
) -> Result<AuthorizationResponse, AuthorizationResponseError> {
    let url = Url::parse(&format!("http://127.0.0.1:1/callback?state=s&{query}")).unwrap();
    AuthorizationResponse::from_url(&url, &Secret::from("s"), issuer, required)
}

const ISSUER: Option<&str> = Some("https://as.example/a+b");

#[test]
fn a23_iss_is_compared_as_a_plain_string_after_form_decoding() {
    assert!(redirected("code=c&iss=https%3A%2F%2Fas.example%2Fa%2Bb", ISSUER, true).is_ok());
    assert!(redirected("code=c&iss=https://as.example/a%2Bb", ISSUER, true).is_ok());
    for other in [
        "https://as.example/a+b", // a bare `+` decodes to a space
        "https%3A%2F%2Fas.example%2Fa%2Bb%2F",
        "https%3A%2F%2FAS.example%2Fa%2Bb",
        "https%3A%2F%2Fas.example%3A443%2Fa%2Bb",
        "https%3A%2F%2Fas.example%2Fa%252Bb",
        "",
    ] {
        // Whether it is advertised or not.
        for required in [false, true] {
            assert!(
                matches!(
                    redirected(&format!("code=c&iss={other}"), ISSUER, required),
                    Err(AuthorizationResponseError::IssuerMismatch { .. })
                ),
                "{other}"
            );
        }
    }
}

#[test]
fn a23_an_advertised_but_absent_iss_is_rejected() {
    let absent = |query, issuer| {
        matches!(redirected(query, issuer, true), Err(AuthorizationResponseError::IssuerAbsent { .. }))
    };
    assert!(absent("code=c", ISSUER));
    assert!(absent("code=c", None), "also if the caller does not say what to compare with");
    assert!(redirected("code=c", ISSUER, false).is_ok());
}

#[test]
fn a23_errors_are_checked_too_and_shown_only_when_the_issuer_is_right() {
    let error = "error=access_denied&error_description=planted";
    let absent = redirected(error, ISSUER, true).unwrap_err();
    assert!(matches!(absent, AuthorizationResponseError::IssuerAbsent { .. }));
    let mismatch = redirected(&format!("{error}&iss=https://evil.example"), ISSUER, false).unwrap_err();
    assert!(matches!(mismatch, AuthorizationResponseError::IssuerMismatch { .. }));
    for shown in [format!("{absent} {absent:?}"), format!("{mismatch} {mismatch:?}")] {
        assert!(!shown.contains("planted") && !shown.contains("evil"), "{shown}");
    }
    let denied =
        redirected(&format!("{error}&iss=https%3A%2F%2Fas.example%2Fa%2Bb"), ISSUER, true).unwrap_err();
    let AuthorizationResponseError::Denied(response) = denied else { panic!("{denied}") };
    assert!(response.is("access_denied"));
}

#[test]
fn vector_rfc_6749_appendix_b_form_encoding() {
    let mut parameters = Parameters::new();
    parameters.append("v", " %&+£€").unwrap();
    assert_eq!(parameters.to_form(), "v=+%25%26%2B%C2%A3%E2%82%AC");
    let read: Vec<_> = form_urlencoded::parse(b"v=+%25%26%2B%C2%A3%E2%82%AC").into_owned().collect();
    assert_eq!(read, [("v".to_owned(), " %&+£€".to_owned())]);
}
