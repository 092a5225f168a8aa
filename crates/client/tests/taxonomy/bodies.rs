//! Bodies under status 200 that are of no use. The server thinks that it has done its part, so that the refresh token may be
//! spent; if a new one is among what came, that one is kept.

use jeton_devserver::Fault;

use crate::row::{FIX_CONFIGURATION, GIVE_UP, RETRY, check, lost};

const JSON: &str = "application/json";

fn json(body: impl Into<Vec<u8>>) -> Fault {
    Fault::answer(200, JSON, body)
}

#[tokio::test]
async fn what_is_no_json_object() {
    let token = r#"{"access_token":"S3CR3T","token_type":"Bearer","#;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    check(vec![
        lost("empty", json(""), RETRY, "without a body"),
        lost("blank", json(" \r\n\t"), RETRY, "without a body"),
        lost("a byte-order mark and nothing", json("\u{feff}"), RETRY, "without a body"),
        lost("cut off", json(token), RETRY, "not JSON, or was cut off"),
        lost("cut off in the token", json(r#"{"access_token":"S3CR3T"#), RETRY, "was cut off"),
        lost("two objects", json(r#"{"x":1}{"x":2}"#), RETRY, "not JSON"),
        lost("NaN", json(format!(r#"{token}"expires_in":NaN}}"#)), RETRY, "not JSON"),
        lost("an unquoted name", json("{access_token:1}"), RETRY, "not JSON"),
        lost(
            "not UTF-8 in the token",
            json(b"{\"access_token\":\"S3CR3T\xff\"}".as_slice()),
            FIX_CONFIGURATION,
            "no usable",
        ),
        lost("not UTF-8 in a name", json(b"{\"\xff\":1}".as_slice()), RETRY, "not JSON"),
        lost("compressed", json(b"\x1f\x8b\x08\x00S3CR3T\xff".as_slice()), RETRY, "not JSON"),
        lost("plain words", Fault::answer(200, "text/plain", "S3CR3T"), RETRY, "content type text/plain"),
        lost("XML", Fault::answer(200, "text/xml", "<x>S3CR3T</x>"), FIX_CONFIGURATION, "a page of markup"),
        lost("an array", json(r#"["S3CR3T"]"#), FIX_CONFIGURATION, "not an object"),
        lost("a string", json(r#""S3CR3T""#), FIX_CONFIGURATION, "not an object"),
        lost("null", json("null"), FIX_CONFIGURATION, "not an object"),
        lost("nested 100,000 deep", json(deep), FIX_CONFIGURATION, "not an object"),
        lost("no content type", bare("S3CR3T"), RETRY, "no content type"),
        lost("a form without a token", Fault::answer(200, "text/plain", "a=S3CR3T&b=c"), RETRY, "not JSON"),
    ])
    .await;
}

fn bare(body: &str) -> Fault {
    Fault::Answer { status: 200, headers: Vec::new(), body: body.into() }
}

#[tokio::test]
async fn more_than_a_mebibyte() {
    check(vec![
        lost("a byte more", Fault::HugeBody((1 << 20) + 1), FIX_CONFIGURATION, "larger than the limit"),
        lost("64 times as much", Fault::HugeBody(64 << 20), FIX_CONFIGURATION, "larger than the limit"),
        // The cap is not a byte too low: this one is read, and has no token.
        lost("a mebibyte", Fault::HugeBody(1 << 20), FIX_CONFIGURATION, "no usable `access_token`"),
    ])
    .await;
}

#[tokio::test]
async fn an_object_without_a_usable_token() {
    check(vec![
        lost("nothing in it", json("{}"), FIX_CONFIGURATION, "no usable `access_token`"),
        lost("error: null", json(r#"{"error":null}"#), FIX_CONFIGURATION, "no usable `access_token`"),
        lost("null", json(r#"{"access_token":null}"#), FIX_CONFIGURATION, "no usable `access_token`"),
        lost("a number", json(r#"{"access_token":12345}"#), FIX_CONFIGURATION, "no usable `access_token`"),
        lost("1e400", json(r#"{"access_token":1e400}"#), FIX_CONFIGURATION, "no usable `access_token`"),
        lost("empty", json(r#"{"access_token":""}"#), FIX_CONFIGURATION, "no usable `access_token`"),
        lost(
            "nested elsewhere (Slack)",
            json(r#"{"ok":true,"authed_user":{"access_token":"S3CR3T"}}"#),
            FIX_CONFIGURATION,
            "no usable `access_token`",
        ),
        lost(
            "camel case (Plentymarkets)",
            json(r#"{"accessToken":"S3CR3T","tokenType":"Bearer"}"#),
            FIX_CONFIGURATION,
            "no usable `access_token`",
        ),
        lost(
            "mac",
            json(r#"{"access_token":"S3CR3T","token_type":"mac"}"#),
            GIVE_UP,
            "only Bearer and DPoP can",
        ),
        lost(
            "a token type that is a number",
            json(r#"{"access_token":"S3CR3T","token_type":1}"#),
            FIX_CONFIGURATION,
            "no usable `token_type`",
        ),
        lost(
            "a line end in the token",
            json(r#"{"access_token":"S3CR3T\r\nX-Injected: 1","token_type":"Bearer"}"#),
            GIVE_UP,
            "no header can carry",
        ),
        lost(
            "words in message",
            json(r#"{"message":"no token for you","code":"S3CR3T"}"#),
            FIX_CONFIGURATION,
            "the server says: no token for you",
        ),
    ])
    .await;
}

/// The server has rotated, and takes a second use of the old refresh token for a theft.
#[tokio::test]
async fn what_comes_with_a_new_refresh_token() {
    let strict = |name, fault, says| lost(name, fault, FIX_CONFIGURATION, says).rotates().strict();
    check(vec![
        lost("no token", Fault::remove("access_token"), FIX_CONFIGURATION, "no usable").rotates(),
        lost("a number", Fault::set("access_token", 1), FIX_CONFIGURATION, "no usable").rotates(),
        lost("DPoP", Fault::set("token_type", "DPoP"), FIX_CONFIGURATION, "proved none").rotates(),
        lost("a line end", Fault::set("access_token", "a\nb"), GIVE_UP, "no header can carry").rotates(),
        strict("strict: a string of seconds", Fault::set("expires_in", "3600"), "strict mode refuses"),
        strict("strict: no token type", Fault::remove("token_type"), "strict mode refuses"),
        strict("strict: a scope array", Fault::set("scope", ["read"].as_slice()), "strict mode refuses"),
        strict("strict: as text", Fault::ContentType("text/plain".to_owned()), "strict mode refuses"),
        strict("strict: form-encoded", Fault::FormEncoded, "strict mode refuses"),
    ])
    .await;
}
