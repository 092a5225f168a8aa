//! Answers of real token and device authorization endpoints, replayed: what jeton makes of each member in each shape, the
//! warning for each leniency, and the error that the strict switch makes of it.
//!
//! Every secret in these answers has `S3CR3T` in it, so that each row also shows that no secret reaches a `Debug` or a
//! `Display` text. Bodies over the cap and compressed bombs never get here: whoever sends the request bounds them.
// A test says what it expects; a failed expectation is its result.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Debug;
use std::time::{Duration, UNIX_EPOCH};

use jeton_models::{
    Answer, AnswerError, DeviceAuthorizationResponse, ParseOptions, Scope, TokenResponse, TokenType,
    UnusableReason, Warning,
};

const JSON: Option<&str> = Some("application/json;charset=UTF-8");
const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
const HTML: Option<&str> = Some("text/html; charset=utf-8");
const LARGEST: u64 = i64::MAX as u64;

/// One answer and what must come of it.
struct Row<T> {
    id: &'static str,
    status: u16,
    content_type: Option<&'static str>,
    body: Vec<u8>,
    want: Want<T>,
}

enum Want<T> {
    /// The answer is used, with these values; each warning is an error under the strict switch.
    Used(T),
    /// An OAuth error of this code, tolerant and strict alike.
    OAuth(&'static str),
    /// Not usable, tolerant and strict alike.
    Unusable(UnusableReason),
}

/// What is expected of a token besides its access token, which is the same in each row, and its type, which is Bearer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Of {
    expires_in: Option<u64>,
    refresh_token: Option<&'static str>,
    scope: Option<&'static str>,
    warnings: &'static [Warning],
}

const TOKEN: &str = "S3CR3T-access";

/// A row with a good token and these further members, under JSON and 200.
fn member(id: &'static str, members: &str, of: Of) -> Row<Of> {
    let rest = if members.is_empty() { String::new() } else { format!(",{members}") };
    let body = format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer"{rest}}}"#);
    Row { id, status: 200, content_type: JSON, body: body.into_bytes(), want: Want::Used(of) }
}

fn row(
    id: &'static str,
    status: u16,
    content_type: Option<&'static str>,
    body: impl Into<Vec<u8>>,
    want: Want<Of>,
) -> Row<Of> {
    Row { id, status, content_type, body: body.into(), want }
}

fn lifetime(expires_in: impl Into<Option<u64>>, warnings: &'static [Warning]) -> Of {
    Of { expires_in: expires_in.into(), warnings, ..Of::default() }
}

fn scope(scope: impl Into<Option<&'static str>>, warnings: &'static [Warning]) -> Of {
    Of { scope: scope.into(), warnings, ..Of::default() }
}

fn refresh(refresh_token: impl Into<Option<&'static str>>, warnings: &'static [Warning]) -> Of {
    Of { refresh_token: refresh_token.into(), warnings, ..Of::default() }
}

fn warned(warnings: &'static [Warning]) -> Want<Of> {
    Want::Used(Of { warnings, ..Of::default() })
}

fn no_member<T>(name: &'static str) -> Want<T> {
    Want::Unusable(UnusableReason::Member(name))
}

fn expires_in_rows() -> Vec<Row<Of>> {
    use Warning::{ExpiresInFraction, ExpiresInInvalid, ExpiresInNotPositive, ExpiresInString};
    vec![
        member("expires_in 3600", r#""expires_in":3600"#, lifetime(3600, &[])),
        member("expires_in string", r#""expires_in":"3600""#, lifetime(3600, &[ExpiresInString])),
        member("expires_in string, spaced", r#""expires_in":" 3600 ""#, lifetime(3600, &[ExpiresInString])),
        member("expires_in float", r#""expires_in":3599.5"#, lifetime(3599, &[ExpiresInFraction])),
        member("expires_in whole float", r#""expires_in":3600.0"#, lifetime(3600, &[])),
        member(
            "expires_in float string",
            r#""expires_in":"3599.5""#,
            lifetime(3599, &[ExpiresInString, ExpiresInFraction]),
        ),
        member("expires_in absent", "", lifetime(None, &[])),
        member("expires_in null", r#""expires_in":null"#, lifetime(None, &[])),
        member("expires_in false", r#""expires_in":false"#, lifetime(None, &[ExpiresInInvalid])),
        member("expires_in object", r#""expires_in":{}"#, lifetime(None, &[ExpiresInInvalid])),
        member("expires_in array", r#""expires_in":[3600]"#, lifetime(None, &[ExpiresInInvalid])),
        member("expires_in zzz", r#""expires_in":"zzz""#, lifetime(None, &[ExpiresInInvalid])),
        member("expires_in empty string", r#""expires_in":"""#, lifetime(None, &[ExpiresInInvalid])),
        member("expires_in NaN", r#""expires_in":"NaN""#, lifetime(None, &[ExpiresInInvalid])),
        member("expires_in infinity", r#""expires_in":"infinity""#, lifetime(None, &[ExpiresInInvalid])),
        member("expires_in 1e400", r#""expires_in":1e400"#, lifetime(None, &[ExpiresInInvalid])),
        member("expires_in string 1e400", r#""expires_in":"1e400""#, lifetime(None, &[ExpiresInInvalid])),
        member("expires_in 0", r#""expires_in":0"#, lifetime(None, &[ExpiresInNotPositive])),
        member("expires_in -1", r#""expires_in":-1"#, lifetime(None, &[ExpiresInNotPositive])),
        member("expires_in -1e300", r#""expires_in":-1e300"#, lifetime(None, &[ExpiresInNotPositive])),
        member(
            "expires_in 0.5",
            r#""expires_in":0.5"#,
            lifetime(None, &[ExpiresInFraction, ExpiresInNotPositive]),
        ),
        member("expires_in 2^31", r#""expires_in":2147483648"#, lifetime(1 << 31, &[])),
        member("expires_in 2^32", r#""expires_in":4294967296"#, lifetime(1 << 32, &[])),
        member("expires_in 2^53+1", r#""expires_in":9007199254740993"#, lifetime((1 << 53) + 1, &[])),
        member("expires_in 2^64-1", r#""expires_in":18446744073709551615"#, lifetime(LARGEST, &[])),
        member("expires_in 1e300", r#""expires_in":1e300"#, lifetime(LARGEST, &[])),
        member(
            "expires_in many digits",
            r#""expires_in":"99999999999999999999999999""#,
            lifetime(LARGEST, &[ExpiresInString]),
        ),
    ]
}

fn token_type_rows() -> Vec<Row<Of>> {
    let of = |id, token_type: &str, want| {
        row(id, 200, JSON, format!(r#"{{"access_token":"{TOKEN}"{token_type}}}"#), want)
    };
    let unusable =
        |name: &str| Want::Unusable(UnusableReason::TokenType(name.parse::<TokenType>().unwrap_err()));
    vec![
        of("token_type Bearer", r#","token_type":"Bearer""#, warned(&[])),
        of("token_type bearer", r#","token_type":"bearer""#, warned(&[])),
        of("token_type BEARER", r#","token_type":"BEARER""#, warned(&[])),
        of("token_type absent", "", warned(&[Warning::TokenTypeAbsent])),
        of("token_type null", r#","token_type":null"#, warned(&[Warning::TokenTypeAbsent])),
        of("token_type empty", r#","token_type":"""#, warned(&[Warning::TokenTypeAbsent])),
        of("token_type mac", r#","token_type":"mac""#, unusable("mac")),
        of("token_type unknown", r#","token_type":"urn:example:new""#, unusable("urn:example:new")),
        of("token_type number", r#","token_type":1"#, no_member("token_type")),
    ]
}

fn scope_rows() -> Vec<Row<Of>> {
    use Warning::{ScopeArray, ScopeCharacters, ScopeEmpty, ScopeInvalid};
    vec![
        member("scope string", r#""scope":"read write""#, scope("read write", &[])),
        member("scope twice the same name", r#""scope":"read read""#, scope("read", &[])),
        member("scope absent", "", scope(None, &[])),
        member("scope null", r#""scope":null"#, scope(None, &[])),
        member("scope array", r#""scope":["read","write"]"#, scope("read write", &[ScopeArray])),
        member("scope array with spaces", r#""scope":["read write"]"#, scope("read write", &[ScopeArray])),
        member("scope empty array", r#""scope":[]"#, scope("", &[ScopeArray, ScopeEmpty])),
        member("scope a,b", r#""scope":"a,b""#, scope("a,b", &[])),
        member("scope empty", r#""scope":"""#, scope("", &[ScopeEmpty])),
        member("scope blank", r#""scope":"  ""#, scope("", &[ScopeEmpty])),
        member("scope quoted", r#""scope":"\"read\"""#, scope("\"read\"", &[ScopeCharacters])),
        member("scope escape", r#""scope":"\u001b[2Jread""#, scope("\u{1b}[2Jread", &[ScopeCharacters])),
        member(
            "scope array \u{e9}",
            r#""scope":["\u00e9"]"#,
            scope("\u{e9}", &[ScopeArray, ScopeCharacters]),
        ),
        member("scope number", r#""scope":7"#, scope(None, &[ScopeInvalid])),
        // Whoever asked for `read write` sees here that it got less.
        member("scope changed", r#""scope":"read""#, scope("read", &[])),
    ]
}

fn refresh_token_rows() -> Vec<Row<Of>> {
    vec![
        member("refresh_token absent", "", refresh(None, &[])),
        member("refresh_token null", r#""refresh_token":null"#, refresh(None, &[])),
        member("refresh_token empty", r#""refresh_token":"""#, refresh(None, &[Warning::RefreshTokenEmpty])),
        member(
            "refresh_token number",
            r#""refresh_token":5"#,
            refresh(None, &[Warning::RefreshTokenInvalid]),
        ),
        member("refresh_token new", r#""refresh_token":"S3CR3T-new""#, refresh("S3CR3T-new", &[])),
    ]
}

fn authorization_details_rows() -> Vec<Row<Of>> {
    use Warning::{AuthorizationDetailsInvalid, AuthorizationDetailsString};
    vec![
        member(
            "authorization_details array",
            r#""authorization_details":[{"type":"a"}]"#,
            refresh(None, &[]),
        ),
        member("authorization_details null", r#""authorization_details":null"#, refresh(None, &[])),
        member(
            "authorization_details string",
            r#""authorization_details":"[{\"type\":\"a\"}]""#,
            refresh(None, &[AuthorizationDetailsString]),
        ),
        member(
            "authorization_details object",
            r#""authorization_details":{"type":"a"}"#,
            refresh(None, &[AuthorizationDetailsInvalid]),
        ),
        member(
            "authorization_details without a type",
            r#""authorization_details":[{"actions":["read"]}]"#,
            refresh(None, &[AuthorizationDetailsInvalid]),
        ),
    ]
}

fn access_token_rows() -> Vec<Row<Of>> {
    let bad = UnusableReason::AccessTokenCharacters;
    vec![
        row("access_token absent", 200, JSON, r#"{"token_type":"Bearer"}"#, no_member("access_token")),
        row("access_token null", 200, JSON, r#"{"access_token":null}"#, no_member("access_token")),
        row("access_token number", 200, JSON, r#"{"access_token":12345}"#, no_member("access_token")),
        row("access_token 1e400", 200, JSON, r#"{"access_token":1e400}"#, no_member("access_token")),
        row("access_token empty", 200, JSON, r#"{"access_token":""}"#, no_member("access_token")),
        row(
            "access_token object",
            200,
            JSON,
            r#"{"access_token":{"value":"S3CR3T"}}"#,
            no_member("access_token"),
        ),
        row(
            "access_token nested elsewhere",
            200,
            JSON,
            r#"{"ok":true,"authed_user":{"access_token":"S3CR3T"},"refresh_token":"S3CR3T"}"#,
            no_member("access_token"),
        ),
        row(
            "access_token with a line end",
            200,
            JSON,
            r#"{"access_token":"S3CR3T\r\nX-Injected: 1","token_type":"Bearer"}"#,
            Want::Unusable(bad.clone()),
        ),
        row(
            "access_token with a control character",
            200,
            JSON,
            r#"{"access_token":"S3CR3T\u0007","token_type":"Bearer"}"#,
            Want::Unusable(bad.clone()),
        ),
        row(
            "access_token outside of ASCII",
            200,
            JSON,
            r#"{"access_token":"S3CR3Té","token_type":"Bearer"}"#,
            Want::Unusable(bad.clone()),
        ),
        row(
            "access_token not UTF-8 in a form",
            200,
            FORM,
            "access_token=S3CR3T%FF&token_type=bearer",
            // The form itself is refused first under the strict switch: see `check`.
            Want::Unusable(bad),
        ),
    ]
}

fn error_rows() -> Vec<Row<Of>> {
    let error = r#"{"error":"invalid_grant","error_description":"gone","access_token":null}"#;
    let oauth = || Want::OAuth("invalid_grant");
    vec![
        row("error under 400", 400, JSON, error, oauth()),
        row("error under 401", 401, JSON, error, oauth()),
        row(
            "error under 428",
            428,
            JSON,
            r#"{"error":"authorization_pending"}"#,
            Want::OAuth("authorization_pending"),
        ),
        row("error under 503", 503, JSON, error, oauth()),
        row("error under 302", 302, JSON, error, oauth()),
        row("error under 200", 200, JSON, error, oauth()),
        row("error under 200, token absent", 200, JSON, r#"{"ok":false,"error":"invalid_grant"}"#, oauth()),
        row(
            "error under 200, token a number",
            200,
            JSON,
            r#"{"error":"invalid_grant","access_token":1}"#,
            oauth(),
        ),
        row(
            "error under 200 in a form",
            200,
            FORM,
            "error=invalid_grant&error_description=S%20gone",
            oauth(),
        ),
        row("error under 400 in a form", 400, FORM, "error=invalid_grant", oauth()),
        row("error as text/plain form", 200, Some("text/plain"), "error=invalid_grant", oauth()),
        row("error under an odd content type", 200, HTML, error, oauth()),
        row("error without a content type", 400, None, error, oauth()),
        row("error after a byte-order mark", 200, JSON, format!("\u{feff}{error}"), oauth()),
        row(
            "error described in Latin-1",
            400,
            JSON,
            b"{\"error\":\"invalid_grant\",\"error_description\":\"r\xe9voqu\xe9\"}".as_slice(),
            oauth(),
        ),
        row("error beside a repeated member", 200, JSON, r#"{"error":"invalid_grant","x":1,"x":2}"#, oauth()),
        row(
            "error as errors[]",
            400,
            JSON,
            r#"{"errors":[{"errorType":"invalid_grant","message":"old"}],"success":false}"#,
            oauth(),
        ),
        row(
            "error as an object",
            400,
            JSON,
            r#"{"error":{"type":"OAuthException","message":"bad","code":190}}"#,
            Want::OAuth("OAuthException"),
        ),
        row(
            "error with secrets beside it",
            400,
            JSON,
            r#"{"error":"invalid_grant","refresh_token":"S3CR3T","request":{"code":"S3CR3T"}}"#,
            oauth(),
        ),
        row(
            "error text in message",
            400,
            JSON,
            r#"{"status":400,"message":"invalid client"}"#,
            Want::Unusable(UnusableReason::Status),
        ),
        row("error null, no token", 200, JSON, r#"{"error":null}"#, no_member("access_token")),
    ]
}

fn body_rows() -> Vec<Row<Of>> {
    let good = format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer"}}"#);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let with = |members: &str| format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer",{members}}}"#);
    let form = format!("access_token={TOKEN}&token_type=bearer");
    let latin1 = [good.trim_end_matches('}').as_bytes(), b",\"name\":\"Ren\xe9\"}"].concat();
    let not_json = || Want::Unusable(UnusableReason::NotJson);
    vec![
        row("body form", 200, FORM, form.clone(), warned(&[Warning::FormEncoded])),
        row(
            "body form as text/plain",
            200,
            Some("text/plain"),
            form.clone(),
            warned(&[Warning::FormEncoded]),
        ),
        row(
            "body form with all of it",
            200,
            FORM,
            format!("{form}&expires_in=3600&refresh_token=S3CR3T%2Br&scope=a+b"),
            Want::Used(Of {
                expires_in: Some(3600),
                refresh_token: Some("S3CR3T+r"),
                scope: Some("a b"),
                warnings: &[Warning::FormEncoded],
            }),
        ),
        row(
            "body form with expires",
            200,
            Some("text/plain"),
            format!("access_token={TOKEN}&expires=5183999"),
            Want::Used(lifetime(
                5_183_999,
                &[Warning::FormEncoded, Warning::TokenTypeAbsent, Warning::ExpiresInAlias],
            )),
        ),
        row(
            "body form with a repeated member",
            200,
            FORM,
            format!("access_token=S3CR3T-first&{form}"),
            warned(&[Warning::FormEncoded, Warning::MemberRepeated]),
        ),
        row("body BOM", 200, JSON, format!("\u{feff}{good}"), warned(&[Warning::ByteOrderMark])),
        row("body surrounded by white space", 200, JSON, format!("\r\n {good}\n"), warned(&[])),
        row("body JSON as text/html", 200, HTML, good.clone(), warned(&[Warning::ContentType])),
        row(
            "body JSON as text/plain",
            200,
            Some("text/plain"),
            good.clone(),
            warned(&[Warning::ContentType]),
        ),
        row("body JSON without content type", 200, None, good.clone(), warned(&[Warning::ContentType])),
        row("body JSON in upper case", 200, Some("Application/JSON"), good.clone(), warned(&[])),
        row("body JSON as +json", 200, Some("application/token+json"), good.clone(), warned(&[])),
        row(
            "body with a repeated member",
            200,
            JSON,
            r#"{"access_token":"S3CR3T-first","token_type":"Bearer","access_token":"S3CR3T-access"}"#,
            warned(&[Warning::MemberRepeated]),
        ),
        row("body with deep nesting in a member", 200, JSON, with(&format!(r#""x":{deep}"#)), warned(&[])),
        row("body with 1e400 in a member", 200, JSON, with(r#""x":[1e400]"#), warned(&[])),
        row("body with half a surrogate pair in a member", 200, JSON, with(r#""x":"\ud800""#), warned(&[])),
        row(
            "body HTML 502",
            502,
            HTML,
            "<!DOCTYPE html><html>S3CR3T</html>",
            Want::Unusable(UnusableReason::Markup),
        ),
        row("body HTML 200", 200, HTML, "<html>S3CR3T</html>", Want::Unusable(UnusableReason::Markup)),
        row("body empty", 200, JSON, "", Want::Unusable(UnusableReason::Empty)),
        row("body empty 500", 500, None, "", Want::Unusable(UnusableReason::Empty)),
        row("body blank", 200, JSON, " \r\n\t", Want::Unusable(UnusableReason::Empty)),
        row("body a mark only", 500, JSON, "\u{feff}", Want::Unusable(UnusableReason::Empty)),
        row("body truncated", 200, JSON, &good[..good.len() - 1], not_json()),
        row("body truncated in a token", 200, JSON, r#"{"access_token":"S3CR3"#.to_owned() + "T", not_json()),
        row("body two objects", 200, JSON, format!("{good}{good}"), not_json()),
        row("body Latin-1", 200, JSON, latin1, warned(&[Warning::NotUtf8])),
        row(
            "body not UTF-8 in the token",
            200,
            JSON,
            b"{\"access_token\":\"S3CR3T\xff\"}".as_slice(),
            no_member("access_token"),
        ),
        row(
            "body not UTF-8 and cut off",
            200,
            JSON,
            b"{\"access_token\":\"S3CR3T\xff".as_slice(),
            not_json(),
        ),
        row(
            "body not UTF-8, like a form",
            200,
            FORM,
            b"\x1f\x8b\xff&access_token=S3CR3T".as_slice(),
            not_json(),
        ),
        row("body deep nesting", 200, JSON, deep, Want::Unusable(UnusableReason::NotAnObject)),
        row("body array", 200, JSON, r#"["S3CR3T"]"#, Want::Unusable(UnusableReason::NotAnObject)),
        row("body string", 200, JSON, r#""S3CR3T""#, Want::Unusable(UnusableReason::NotAnObject)),
        row("body plain text", 503, Some("text/plain"), "try again later", not_json()),
        row("body a token under an error status", 400, JSON, good, Want::Unusable(UnusableReason::Status)),
    ]
}

/// Parses one row in both modes and compares; `seen` turns what was read into what the table says.
fn check<T: Debug, Seen: Debug + PartialEq>(
    row: &Row<Seen>,
    parse: impl Fn(&Answer<'_>, &ParseOptions) -> Result<T, AnswerError>,
    seen: impl Fn(&T) -> Seen,
    warnings: impl Fn(&T) -> Vec<Warning>,
    expected_warnings: impl Fn(&Seen) -> &'static [Warning],
) {
    let id = row.id;
    let answer = Answer::new(row.status, row.content_type, &row.body);
    assert!(!format!("{answer:?}").contains("S3CR3T"), "{id}: Debug of the answer");
    for strict in [false, true] {
        let options = if strict { ParseOptions::strict() } else { ParseOptions::default() };
        let got = parse(&answer, &options);
        let shown = match &got {
            Ok(read) => format!("{read:?}"),
            Err(error) => format!("{error:?} {error}"),
        };
        assert!(!shown.contains("S3CR3T"), "{id}, strict {strict}: a secret is shown: {shown}");

        match (&row.want, got) {
            (Want::Used(want), Ok(read)) => {
                assert_eq!(&seen(&read), want, "{id}, strict {strict}");
                let expected = expected_warnings(want);
                assert_eq!(warnings(&read), expected, "{id}, strict {strict}");
                assert!(!strict || expected.is_empty(), "{id}: strict must refuse {expected:?}");
            }
            (Want::Used(want), Err(AnswerError::Unusable(error))) if strict => match &error.reason {
                UnusableReason::Strict(warning) => {
                    assert!(expected_warnings(want).contains(warning), "{id}, strict: refused for {warning}");
                }
                other => panic!("{id}, strict: {other:?}"),
            },
            (Want::OAuth(code), Err(AnswerError::OAuth(error))) => {
                assert_eq!(error.code(), *code, "{id}, strict {strict}");
                assert_eq!(error.status, row.status, "{id}, strict {strict}");
            }
            (Want::Unusable(reason), Err(AnswerError::Unusable(error))) => {
                // What is no usable answer either way is refused as a form, or for its charset, under the strict switch.
                let as_odd = [Warning::FormEncoded, Warning::NotUtf8].map(UnusableReason::Strict);
                let as_odd = strict && as_odd.contains(&error.reason);
                assert!(error.reason == *reason || as_odd, "{id}, strict {strict}: {:?}", error.reason);
                let text = error.to_string();
                assert!(text.contains(&format!("HTTP {}", row.status)), "{id}: no status in {text}");
                let content_type = row.content_type.unwrap_or("no content type");
                assert!(text.contains(content_type), "{id}: no content type in {text}");
            }
            (_, got) => panic!("{id}, strict {strict}: {got:?}"),
        }
    }
}

#[test]
fn every_token_answer_of_the_table() {
    let groups = [
        expires_in_rows(),
        token_type_rows(),
        scope_rows(),
        refresh_token_rows(),
        authorization_details_rows(),
        access_token_rows(),
        error_rows(),
        body_rows(),
    ];
    let mut ids = std::collections::HashSet::new();
    for row in groups.iter().flatten() {
        assert!(ids.insert(row.id), "two rows are called {}", row.id);
        let want = match &row.want {
            Want::Used(want) => *want,
            Want::OAuth(_) | Want::Unusable(_) => Of::default(),
        };
        check(
            row,
            TokenResponse::parse,
            |read| {
                assert_eq!(read.access_token.expose(), TOKEN, "{}", row.id);
                assert_eq!(read.token_type, TokenType::Bearer, "{}", row.id);
                let same = |got: Option<&str>, want: Option<&'static str>| {
                    assert_eq!(got, want, "{}", row.id);
                    want
                };
                let scope = read.scope.as_ref().map(Scope::to_string);
                Of {
                    expires_in: read.expires_in,
                    refresh_token: same(
                        read.refresh_token.as_ref().map(|token| token.expose()),
                        want.refresh_token,
                    ),
                    scope: same(scope.as_deref(), want.scope),
                    warnings: want.warnings,
                }
            },
            |read| read.warnings.clone(),
            |want| want.warnings,
        );
    }
}

#[derive(Debug, Clone, PartialEq)]
struct DeviceOf {
    verification_uri: &'static str,
    interval: u64,
    expires_in: u64,
    warnings: &'static [Warning],
}

fn device_rows() -> Vec<Row<DeviceOf>> {
    const URI: &str = "https://as.example/device";
    let row = |id, status, content_type, body: String, want| Row {
        id,
        status,
        content_type,
        body: body.into_bytes(),
        want,
    };
    let used = |interval, expires_in, warnings| {
        Want::Used(DeviceOf { verification_uri: URI, interval, expires_in, warnings })
    };
    let of = |id, members: &str, want| {
        let body = format!(r#"{{"device_code":"S3CR3T-device","user_code":"WDJB-MJHT"{members}}}"#);
        row(id, 200, JSON, body, want)
    };
    let uri = r#","verification_uri":"https://as.example/device""#;
    let with = |id, members: &str, want| of(id, &format!("{uri}{members}"), want);
    vec![
        with("device as the RFC says", r#","expires_in":1800,"interval":7"#, used(7, 1800, &[])),
        of(
            "device verification_url",
            r#","verification_url":"https://as.example/device","expires_in":1800"#,
            used(5, 1800, &[Warning::VerificationUrl]),
        ),
        with(
            "device interval string",
            r#","expires_in":60,"interval":"5""#,
            used(5, 60, &[Warning::IntervalString]),
        ),
        with(
            "device interval string 9",
            r#","expires_in":60,"interval":"9""#,
            used(9, 60, &[Warning::IntervalString]),
        ),
        with("device interval absent", r#","expires_in":60"#, used(5, 60, &[])),
        with("device interval null", r#","expires_in":60,"interval":null"#, used(5, 60, &[])),
        with("device interval whole float", r#","expires_in":60,"interval":6.0"#, used(6, 60, &[])),
        with(
            "device interval float",
            r#","expires_in":60,"interval":6.5"#,
            used(7, 60, &[Warning::IntervalFraction]),
        ),
        with(
            "device interval 0",
            r#","expires_in":60,"interval":0"#,
            used(5, 60, &[Warning::IntervalInvalid]),
        ),
        with(
            "device interval -3",
            r#","expires_in":60,"interval":-3"#,
            used(5, 60, &[Warning::IntervalInvalid]),
        ),
        with(
            "device interval zzz",
            r#","expires_in":60,"interval":"zzz""#,
            used(5, 60, &[Warning::IntervalInvalid]),
        ),
        with(
            "device interval 1e400",
            r#","expires_in":60,"interval":1e400"#,
            used(5, 60, &[Warning::IntervalInvalid]),
        ),
        with(
            "device interval huge",
            r#","expires_in":60,"interval":18446744073709551615"#,
            used(LARGEST, 60, &[]),
        ),
        with("device expires_in string", r#","expires_in":"900""#, used(5, 900, &[Warning::ExpiresInString])),
        with("device expires_in absent", "", used(5, 600, &[Warning::DeviceExpiresInAbsent])),
        with(
            "device expires_in 0",
            r#","expires_in":0"#,
            used(5, 600, &[Warning::ExpiresInNotPositive, Warning::DeviceExpiresInAbsent]),
        ),
        row(
            "device form",
            200,
            FORM,
            format!("device_code=S3CR3T&user_code=A&verification_uri={URI}&expires_in=900&interval=3"),
            used(3, 900, &[Warning::FormEncoded]),
        ),
        of("device without URI", r#","expires_in":60"#, no_member("verification_uri")),
        of(
            "device URI with a control character",
            r#","verification_uri":"https://as.example/\u001b[2J","expires_in":60"#,
            no_member("verification_uri"),
        ),
        row(
            "device without code",
            200,
            JSON,
            format!(r#"{{"user_code":"A"{uri}}}"#),
            no_member("device_code"),
        ),
        row(
            "device user code with a control character",
            200,
            JSON,
            format!(r#"{{"device_code":"S3CR3T","user_code":"\u001b[2J"{uri}}}"#),
            no_member("user_code"),
        ),
        row("device error", 400, JSON, r#"{"error":"invalid_client"}"#.into(), Want::OAuth("invalid_client")),
        row(
            "device error under 200",
            200,
            JSON,
            r#"{"error":"invalid_scope"}"#.into(),
            Want::OAuth("invalid_scope"),
        ),
        row(
            "device error under an odd content type",
            200,
            HTML,
            r#"{"error":"invalid_scope"}"#.into(),
            Want::OAuth("invalid_scope"),
        ),
        row("device error in a form", 200, FORM, "error=invalid_scope".into(), Want::OAuth("invalid_scope")),
        row("device HTML 502", 502, HTML, "<html>S3CR3T".into(), Want::Unusable(UnusableReason::Markup)),
        row("device empty", 200, JSON, String::new(), Want::Unusable(UnusableReason::Empty)),
    ]
}

#[test]
fn every_device_answer_of_the_table() {
    for row in device_rows() {
        let want = match &row.want {
            Want::Used(want) => Some(want.clone()),
            Want::OAuth(_) | Want::Unusable(_) => None,
        };
        check(
            &row,
            DeviceAuthorizationResponse::parse,
            |read| {
                let want = want.clone().expect(row.id);
                assert_eq!(read.verification_uri, want.verification_uri, "{}", row.id);
                assert!(read.device_code.expose().starts_with("S3CR3T"), "{}", row.id);
                DeviceOf { interval: read.interval, expires_in: read.expires_in, ..want }
            },
            |read| read.warnings.clone(),
            |want| want.warnings,
        );
    }
}

fn read(body: &str) -> TokenResponse {
    TokenResponse::parse(&Answer::new(200, JSON, body.as_bytes()), &ParseOptions::default()).unwrap()
}

#[test]
fn expires_at_is_counted_from_receipt_and_saturates() {
    let received = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for (expires_in, expires_at) in [
        ("3600", Some(1_700_003_600)),
        ("2147483648", Some(1_700_000_000 + (1 << 31))),
        ("9223372036854775807", Some(LARGEST)),
        ("18446744073709551615", Some(LARGEST)),
        ("1e300", Some(LARGEST)),
        ("1e400", None),
        ("0", None),
        ("null", None),
    ] {
        let body = format!(r#"{{"access_token":"a","token_type":"Bearer","expires_in":{expires_in}}}"#);
        let token = read(&body).into_token(received);
        assert_eq!(token.expires_at, expires_at, "{expires_in}");
        assert!(!token.is_expired_at(received, Duration::from_secs(30)), "{expires_in}");
        let end_of_time = Duration::MAX;
        assert_eq!(token.is_expired_at(received, end_of_time), expires_at.is_some(), "{expires_in}");
    }
}

#[test]
fn a_supplied_expires_at_is_kept_if_it_can_be_a_unix_time() {
    use Warning::ExpiresAtInvalid;
    for (supplied, expires_at, warnings) in [
        ("1700009999", Some(1_700_009_999), &[][..]),
        ("\"1700009999\"", Some(1_700_009_999), &[]),
        ("4294967296", Some(1 << 32), &[]),
        ("null", Some(1_700_003_600), &[]),
        // Milliseconds, a date, nothing: the lifetime still counts.
        ("1700009999000", Some(1_700_003_600), &[ExpiresAtInvalid]),
        ("\"2026-01-01T00:00:00Z\"", Some(1_700_003_600), &[ExpiresAtInvalid]),
        ("0", Some(1_700_003_600), &[ExpiresAtInvalid]),
        ("1e400", Some(1_700_003_600), &[ExpiresAtInvalid]),
    ] {
        let body = format!(
            r#"{{"access_token":"a","token_type":"Bearer","expires_in":3600,"expires_at":{supplied}}}"#
        );
        let token = read(&body).into_token(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        assert_eq!((token.expires_at, token.warnings.as_slice()), (expires_at, warnings), "{supplied}");
    }
}

#[test]
fn the_servers_words_are_shown_without_what_was_sent_to_it() {
    let body = br#"{"message":"no such code: S3CR3T/1 (S3CR3T%2F1)"}"#;
    let error = Answer::new(400, JSON, body).error(&ParseOptions::default());
    let AnswerError::Unusable(mut unusable) = error else { panic!("{error:?}") };
    unusable.redact("S3CR3T/1");
    assert!(
        unusable.to_string().ends_with("the server says: no such code: [redacted] ([redacted])"),
        "{unusable}"
    );

    // Also where the shown text ends in the middle of it.
    let body = format!(r#"{{"message":"{}S3CR3T"}}"#, "x".repeat(397));
    let error = Answer::new(400, JSON, body.as_bytes()).error(&ParseOptions::default());
    let AnswerError::Unusable(mut unusable) = error else { panic!("{error:?}") };
    unusable.redact("S3CR3T");
    assert!(!unusable.to_string().contains("S3C"), "{unusable}");

    let body = br#"{"error":"invalid_grant","error_description":"S3CR3T is old","sent":["S3CR3T"]}"#;
    let error = Answer::new(400, JSON, body).error(&ParseOptions::default());
    let AnswerError::OAuth(mut error) = error else { panic!("{error:?}") };
    error.response.redact("S3CR3T");
    assert!(
        !format!("{error} {error:?} {}", serde_json::to_string(&error.response).unwrap()).contains("S3CR3T")
    );
}

#[test]
fn what_was_sent_is_cut_out_of_every_place_that_is_shown() {
    // Found by fuzzing. `Debug` shows the names of further members.
    let body = br#"{"error":"x","S3CR3T":1,"sent":[{"refresh_token=S3CR3T":null}]}"#;
    let error = Answer::new(400, JSON, body).error(&ParseOptions::default());
    let AnswerError::OAuth(mut error) = error else { panic!("{error:?}") };
    error.response.redact("S3CR3T");
    let shown = format!("{error:?} {}", serde_json::to_string(&error.response).unwrap());
    assert!(shown.contains("[redacted]") && !shown.contains("S3CR3T"), "{shown}");

    // Texts that are shown shortened are cut before they are shortened.
    let content_type = format!("text/html; {}S3CR3T", "x".repeat(66));
    let token_type = format!(r#"{{"access_token":"a","token_type":"{}S3CR3T"}}"#, "x".repeat(37));
    for (content_type, body) in [(content_type.as_str(), "<html>"), ("application/json", &token_type)] {
        let answer = Answer::new(200, Some(content_type), body.as_bytes());
        let error = TokenResponse::parse(&answer, &ParseOptions::default()).unwrap_err();
        let AnswerError::Unusable(mut unusable) = error else { panic!("{error:?}") };
        assert!(unusable.to_string().contains('…') && !unusable.to_string().contains("S3CR3T"), "{unusable}");
        unusable.redact("S3CR3T");
        let shown = format!("{unusable} {unusable:?}");
        assert!(shown.contains("[re") && !shown.contains("S3C"), "{shown}");
    }
}

#[test]
fn further_members_are_kept_and_not_shown() {
    let response = read(
        r#"{"access_token":"a","token_type":"Bearer","id_token":"S3CR3T","authed_user":{"access_token":"S3CR3T"},"issued_at":"1"}"#,
    );
    let token = response.into_token(UNIX_EPOCH);
    assert_eq!(token.extra.get_str("id_token"), Some("S3CR3T"));
    assert_eq!(token.extra.get("authed_user"), Some(&serde_json::json!({"access_token": "S3CR3T"})));
    let shown = format!("{token:?}");
    assert!(shown.contains("id_token") && !shown.contains("S3CR3T"), "{shown}");
}

#[test]
fn the_refresh_token_of_an_answer_that_cannot_be_used_is_not_lost() {
    let of = |status, body: &str, options: &ParseOptions| {
        let answer = Answer::new(status, Some("application/json"), body.as_bytes());
        match TokenResponse::parse(&answer, options) {
            Err(AnswerError::Unusable(unusable)) => {
                assert!(!format!("{unusable} {unusable:?}").contains("r0tated"));
                unusable.refresh_token.map(|token| token.expose().to_owned())
            }
            other => panic!("{body}: {other:?}"),
        }
    };
    let (lenient, strict) = (ParseOptions::default(), ParseOptions::strict());
    let kept = Some("r0tated".to_owned());
    for body in [
        r#"{"access_token":"a","token_type":"mac","refresh_token":"r0tated"}"#,
        r#"{"access_token":"two\nlines","token_type":"Bearer","refresh_token":"r0tated"}"#,
        r#"{"token_type":"Bearer","refresh_token":"r0tated"}"#,
    ] {
        assert_eq!(of(200, body, &lenient), kept, "{body}");
    }
    let body = r#"{"access_token":"a","token_type":"Bearer","expires_in":"1","refresh_token":"r0tated"}"#;
    assert_eq!(of(200, body, &strict), kept);
    // Nothing to keep, and nothing that an error page says.
    assert_eq!(of(200, r#"{"access_token":"a","token_type":"mac","refresh_token":""}"#, &lenient), None);
    assert_eq!(of(500, body, &lenient), None);
    assert_eq!(of(200, r#"{"refresh_token":"r0tated","access_tok"#, &lenient), None);
}
