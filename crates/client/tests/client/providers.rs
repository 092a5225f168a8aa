//! Each provider of the table, by what it sends: a login, a refresh and a refusal with the provider's profile, over real
//! sockets and in strict mode, and every request to the last parameter. What a profile forgives stays with its client.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use jeton_client::{
    AccessToken, Client, ClientBuilder, ClientSecretBasic, DeviceCode, Error, HttpOptions, Interaction,
    MemoryStore, Profile, Recovery, ReqwestTransport, Session, Transport, Url, Warning,
};
use jeton_grants::{
    DeviceCodePrompt, InteractionError, Limits, ManualClock, TransportError, redirected_by_form_post,
};
use jeton_profiles::Catalog;

use crate::support::soon;

const REDIRECT: &str = "https://app.example/callback";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// An answer as it came from a provider: status, content type, body.
type Replayed = (u16, &'static str, &'static str);

/// What a provider is asked, and answers.
#[derive(Clone)]
struct Case {
    profile: &'static str,
    placeholders: &'static [(&'static str, &'static str)],
    /// The authorization URL without `state` and `code_challenge`: endpoint, parameters in alphabetical order, fragment.
    authorization: &'static str,
    /// Parameters of the redirected URL beside `state`.
    callback: &'static str,
    /// Endpoint and parameters of the token request in alphabetical order, without `redirect_uri` and `code_verifier` as they
    /// always are; and of a refresh.
    token_request: &'static str,
    refresh_request: &'static str,
    /// The header `Authorization` of both begins so; empty for none.
    authenticates: &'static str,
    answer: Replayed,
    /// What of the token is seen: lifetime, scope, refresh token, one further member as `name=value`.
    gives: (Option<u64>, Option<&'static str>, Option<&'static str>, &'static str),
    refreshed: Replayed,
    /// The refresh token after the refresh.
    then: &'static str,
    refusal: Replayed,
    refused: (&'static str, Recovery),
    /// What would be seen without the profile: codes of warnings, or that there is no token at all.
    without: &'static [&'static str],
}

const UNUSABLE: &[&str] = &["unusable"];

/// A provider that does nothing of its own.
const PLAIN: Case = Case {
    profile: "",
    placeholders: &[],
    authorization: "",
    callback: "code=c0de",
    token_request: "",
    refresh_request: "",
    authenticates: "Basic ",
    answer: (
        200,
        JSON,
        r#"{"access_token":"t1","token_type":"bearer","expires_in":3600,"refresh_token":"r1","scope":"a b"}"#,
    ),
    gives: (Some(3600), Some("a b"), Some("r1"), ""),
    refreshed: (
        200,
        JSON,
        r#"{"access_token":"t2","token_type":"bearer","expires_in":3600,"refresh_token":"r2"}"#,
    ),
    then: "r2",
    refusal: (400, JSON, r#"{"error":"invalid_grant","error_description":"gone"}"#),
    refused: ("invalid_grant", Recovery::LogIn),
    without: &[],
};

const S256: &str = "code_challenge_method=S256";

fn cases() -> Vec<Case> {
    vec![
        Case {
            profile: "amazon-selling-partner",
            placeholders: &[("application_id", "amzn1.sp.solution.1")],
            authorization: "https://sellercentral.amazon.com/apps/authorize/consent application_id=amzn1.sp.solution.1 redirect_uri response_type=code",
            callback: "spapi_oauth_code=c0de&selling_partner_id=A1",
            token_request: "https://api.amazon.com/auth/o2/token client_id=app client_secret=S3CR3T code=c0de grant_type=authorization_code redirect_uri",
            refresh_request: "https://api.amazon.com/auth/o2/token client_id=app client_secret=S3CR3T grant_type=refresh_token refresh_token=r1",
            authenticates: "",
            gives: (Some(3600), Some("a b"), Some("r1"), "selling_partner_id=A1"),
            ..PLAIN
        },
        Case {
            profile: "douban",
            authorization: "https://www.douban.com/service/auth2/auth client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a,b",
            token_request: "https://www.douban.com/service/auth2/token client_id=app client_secret=S3CR3T code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://www.douban.com/service/auth2/token client_id=app client_secret=S3CR3T grant_type=refresh_token refresh_token=r1",
            authenticates: "",
            answer: (
                200,
                JSON,
                r#"{"access_token":"t1","expires_in":3920,"refresh_token":"r1","douban_user_id":"1221"}"#,
            ),
            gives: (Some(3920), None, Some("r1"), "douban_user_id=1221"),
            refreshed: (
                200,
                JSON,
                r#"{"access_token":"t2","expires_in":3920,"refresh_token":"r2","douban_user_id":"1221"}"#,
            ),
            without: &["token_type_absent"],
            ..PLAIN
        },
        Case {
            profile: "ebay",
            placeholders: &[("ru_name", "Acme-App-PRD")],
            authorization: "https://auth.ebay.com/oauth2/authorize client_id=app code_challenge_method=S256 redirect_uri=Acme-App-PRD response_type=code scope=a+b",
            token_request: "https://api.ebay.com/identity/v1/oauth2/token code=c0de code_verifier grant_type=authorization_code redirect_uri=Acme-App-PRD",
            refresh_request: "https://api.ebay.com/identity/v1/oauth2/token grant_type=refresh_token refresh_token=r1",
            answer: (
                200,
                JSON,
                r#"{"access_token":"t1","expires_in":7200,"refresh_token":"r1","refresh_token_expires_in":47304000,"token_type":"User Access Token"}"#,
            ),
            gives: (Some(7200), None, Some("r1"), ""),
            refreshed: (
                200,
                JSON,
                r#"{"access_token":"t2","expires_in":7200,"token_type":"User Access Token"}"#,
            ),
            then: "r1",
            without: UNUSABLE,
            ..PLAIN
        },
        Case {
            profile: "entra",
            placeholders: &[("tenant", "contoso.onmicrosoft.com")],
            authorization: "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/authorize client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a+b",
            token_request: "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token client_id=app client_secret=S3CR3T code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token client_id=app client_secret=S3CR3T grant_type=refresh_token refresh_token=r1",
            authenticates: "",
            answer: (
                200,
                JSON,
                r#"{"token_type":"Bearer","scope":"a b","expires_in":3599,"ext_expires_in":3599,"access_token":"t1","refresh_token":"r1"}"#,
            ),
            gives: (Some(3599), Some("a b"), Some("r1"), ""),
            refusal: (
                400,
                JSON,
                r#"{"error":"invalid_grant","error_description":"AADSTS700082: The refresh token has expired","error_codes":[700082],"timestamp":"2026-01-01 00:00:00Z","trace_id":"x","correlation_id":"y"}"#,
            ),
            ..PLAIN
        },
        Case {
            profile: "facebook",
            authorization: "https://www.facebook.com/dialog/oauth client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a,b",
            token_request: "https://graph.facebook.com/oauth/access_token client_id=app client_secret=S3CR3T code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "",
            authenticates: "",
            answer: (200, TEXT, "access_token=t1&expires=5183999"),
            gives: (Some(5_183_999), None, None, ""),
            refusal: (
                400,
                JSON,
                r#"{"error":{"message":"This authorization code has been used.","type":"OAuthException","code":100,"fbtrace_id":"x"}}"#,
            ),
            refused: ("OAuthException", Recovery::GiveUp),
            without: &["form_encoded", "token_type_absent", "expires_in_alias"],
            ..PLAIN
        },
        Case {
            profile: "fitbit",
            authorization: "https://www.fitbit.com/oauth2/authorize client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a+b",
            token_request: "https://api.fitbit.com/oauth2/token code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://api.fitbit.com/oauth2/token grant_type=refresh_token refresh_token=r1",
            answer: (
                200,
                JSON,
                r#"{"access_token":"t1","expires_in":28800,"refresh_token":"r1","scope":"a b","token_type":"Bearer","user_id":"22P4"}"#,
            ),
            gives: (Some(28_800), Some("a b"), Some("r1"), "user_id=22P4"),
            refusal: (
                400,
                JSON,
                r#"{"errors":[{"errorType":"invalid_grant","message":"Refresh token invalid: r2."}],"success":false}"#,
            ),
            ..PLAIN
        },
        Case {
            profile: "github",
            authorization: "https://github.com/login/oauth/authorize client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a+b",
            token_request: "https://github.com/login/oauth/access_token client_id=app client_secret=S3CR3T code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://github.com/login/oauth/access_token client_id=app client_secret=S3CR3T grant_type=refresh_token refresh_token=r1",
            authenticates: "",
            answer: (
                200,
                FORM,
                "access_token=t1&expires_in=28800&refresh_token=r1&refresh_token_expires_in=15811200&scope=a%2Cb&token_type=bearer",
            ),
            gives: (Some(28_800), Some("a b"), Some("r1"), ""),
            refreshed: (
                200,
                JSON,
                r#"{"access_token":"t2","expires_in":28800,"refresh_token":"r2","scope":"","token_type":"bearer"}"#,
            ),
            refusal: (
                200,
                JSON,
                r#"{"error":"bad_refresh_token","error_description":"The refresh token passed is incorrect or expired.","error_uri":"https://docs.github.com"}"#,
            ),
            without: &["form_encoded"],
            ..PLAIN
        },
        Case {
            profile: "google",
            authorization: "https://accounts.google.com/o/oauth2/v2/auth access_type=offline client_id=app code_challenge_method=S256 prompt=consent redirect_uri response_type=code scope=a+b",
            token_request: "https://oauth2.googleapis.com/token client_id=app client_secret=S3CR3T code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://oauth2.googleapis.com/token client_id=app client_secret=S3CR3T grant_type=refresh_token refresh_token=r1",
            authenticates: "",
            answer: (
                200,
                JSON,
                r#"{"access_token":"t1","expires_in":3599,"refresh_token":"r1","scope":"a b","token_type":"Bearer"}"#,
            ),
            gives: (Some(3599), Some("a b"), Some("r1"), ""),
            refreshed: (
                200,
                JSON,
                r#"{"access_token":"t2","expires_in":3599,"scope":"a b","token_type":"Bearer"}"#,
            ),
            then: "r1",
            refusal: (
                400,
                JSON,
                r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#,
            ),
            ..PLAIN
        },
        Case {
            profile: "linkedin",
            authorization: "https://www.linkedin.com/oauth/v2/authorization client_id=app redirect_uri response_type=code scope=a+b",
            token_request: "https://www.linkedin.com/oauth/v2/accessToken client_id=app client_secret=S3CR3T code=c0de grant_type=authorization_code redirect_uri",
            refresh_request: "",
            authenticates: "",
            answer: (200, JSON, r#"{"access_token":"t1","expires_in":5184000,"scope":"a,b"}"#),
            gives: (Some(5_184_000), Some("a b"), None, ""),
            refusal: (
                401,
                JSON,
                r#"{"error":"invalid_client","error_description":"Client authentication failed"}"#,
            ),
            refused: ("invalid_client", Recovery::FixConfiguration),
            without: &["token_type_absent"],
            ..PLAIN
        },
        Case {
            profile: "mailchimp",
            authorization: "https://login.mailchimp.com/oauth2/authorize client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a+b",
            token_request: "https://login.mailchimp.com/oauth2/token client_id=app client_secret=S3CR3T code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "",
            authenticates: "",
            answer: (200, JSON, r#"{"access_token":"t1","expires_in":0,"scope":null,"token_type":"bearer"}"#),
            gives: (None, None, None, ""),
            without: &["expires_in_not_positive"],
            ..PLAIN
        },
        Case {
            profile: "notion",
            authorization: "https://api.notion.com/v1/oauth/authorize client_id=app owner=user redirect_uri response_type=code scope=a+b",
            token_request: r#"https://api.notion.com/v1/oauth/token {"grant_type":"authorization_code","code":"c0de","redirect_uri":"https://app.example/callback"}"#,
            refresh_request: r#"https://api.notion.com/v1/oauth/token {"grant_type":"refresh_token","refresh_token":"r1"}"#,
            answer: (
                200,
                JSON,
                r#"{"access_token":"t1","token_type":"bearer","refresh_token":"r1","bot_id":"b","workspace_name":"w","owner":{"type":"user"},"duplicated_template_id":null}"#,
            ),
            gives: (None, None, Some("r1"), "workspace_name=w"),
            ..PLAIN
        },
        Case {
            profile: "paypal",
            authorization: "https://www.paypal.com/signin/authorize client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a+b",
            token_request: "https://api-m.paypal.com/v1/oauth2/token code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://api-m.paypal.com/v1/oauth2/token grant_type=refresh_token refresh_token=r1",
            answer: (
                200,
                JSON,
                r#"{"scope":"a b","access_token":"t1","token_type":"Bearer","app_id":"APP","expires_in":"28800","refresh_token":"r1","nonce":"n"}"#,
            ),
            gives: (Some(28_800), Some("a b"), Some("r1"), "app_id=APP"),
            refreshed: (200, JSON, r#"{"access_token":"t2","token_type":"Bearer","expires_in":"28800"}"#),
            then: "r1",
            without: &["expires_in_string"],
            ..PLAIN
        },
        Case {
            profile: "plentymarkets",
            authorization: "https://shop.example/authorize client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a+b",
            token_request: "https://shop.example/token code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://shop.example/token grant_type=refresh_token refresh_token=r1",
            answer: (
                200,
                JSON,
                r#"{"tokenType":"Bearer","expiresIn":86400,"accessToken":"t1","refreshToken":"r1"}"#,
            ),
            gives: (Some(86_400), None, Some("r1"), ""),
            refreshed: (
                200,
                JSON,
                r#"{"tokenType":"Bearer","expiresIn":86400,"accessToken":"t2","refreshToken":"r2"}"#,
            ),
            without: UNUSABLE,
            ..PLAIN
        },
        Case {
            profile: "quickbooks",
            authorization: "https://appcenter.intuit.com/connect/oauth2 client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a+b",
            callback: "code=c0de&realmId=4620816365",
            token_request: "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer grant_type=refresh_token refresh_token=r1",
            answer: (
                200,
                JSON,
                r#"{"token_type":"bearer","expires_in":3600,"refresh_token":"r1","x_refresh_token_expires_in":8726400,"access_token":"t1"}"#,
            ),
            gives: (Some(3600), None, Some("r1"), "realmId=4620816365"),
            ..PLAIN
        },
        Case {
            profile: "reddit",
            placeholders: &[("user_agent", "linux:com.example.app:v1 (by /u/me)")],
            authorization: "https://www.reddit.com/api/v1/authorize client_id=app code_challenge_method=S256 duration=permanent redirect_uri response_type=code scope=a+b",
            token_request: "https://www.reddit.com/api/v1/access_token code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://www.reddit.com/api/v1/access_token grant_type=refresh_token refresh_token=r1",
            answer: (
                200,
                JSON,
                r#"{"access_token":"t1","token_type":"bearer","expires_in":86400,"refresh_token":"r1","scope":"a b"}"#,
            ),
            gives: (Some(86_400), Some("a b"), Some("r1"), ""),
            refusal: (401, JSON, r#"{"message":"Unauthorized","error":401}"#),
            refused: ("invalid_client", Recovery::FixConfiguration),
            ..PLAIN
        },
        Case {
            profile: "salesforce",
            placeholders: &[("host", "acme.my.salesforce.com")],
            authorization: "https://acme.my.salesforce.com/services/oauth2/authorize client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a+b",
            token_request: "https://acme.my.salesforce.com/services/oauth2/token client_id=app client_secret=S3CR3T code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://acme.my.salesforce.com/services/oauth2/token client_id=app client_secret=S3CR3T grant_type=refresh_token refresh_token=r1",
            authenticates: "",
            answer: (
                200,
                JSON,
                r#"{"access_token":"t1","refresh_token":"r1","signature":"s","scope":"a b","instance_url":"https://acme.my.salesforce.com","id":"https://login.salesforce.com/id/1","token_type":"Bearer","issued_at":"1558553873237"}"#,
            ),
            gives: (None, Some("a b"), Some("r1"), "instance_url=https://acme.my.salesforce.com"),
            refreshed: (
                200,
                JSON,
                r#"{"access_token":"t2","signature":"s","scope":"a b","instance_url":"https://acme.my.salesforce.com","token_type":"Bearer","issued_at":"1558553973237"}"#,
            ),
            then: "r1",
            refusal: (
                400,
                JSON,
                r#"{"error":"invalid_grant","error_description":"expired access/refresh token"}"#,
            ),
            ..PLAIN
        },
        Case {
            profile: "shopify",
            placeholders: &[("shop", "my-shop")],
            authorization: "https://my-shop.myshopify.com/admin/oauth/authorize client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a,b",
            token_request: "https://my-shop.myshopify.com/admin/oauth/access_token client_id=app client_secret=S3CR3T code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://my-shop.myshopify.com/admin/oauth/access_token client_id=app client_secret=S3CR3T grant_type=refresh_token refresh_token=r1",
            authenticates: "",
            answer: (
                200,
                JSON,
                r#"{"access_token":"t1","scope":"a,b","expires_in":3600,"refresh_token":"r1"}"#,
            ),
            refreshed: (
                200,
                JSON,
                r#"{"access_token":"t2","scope":"a,b","expires_in":3600,"refresh_token":"r2"}"#,
            ),
            without: &["token_type_absent"],
            ..PLAIN
        },
        Case {
            profile: "slack",
            authorization: "https://slack.com/oauth/v2/authorize client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a,b",
            token_request: "https://slack.com/api/oauth.v2.access code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://slack.com/api/oauth.v2.access grant_type=refresh_token refresh_token=r1",
            answer: (
                200,
                JSON,
                r#"{"ok":true,"app_id":"A1","authed_user":{"id":"U1","scope":"a,b","access_token":"t1","token_type":"user","expires_in":43200,"refresh_token":"r1"},"team":{"id":"T1"},"enterprise":null}"#,
            ),
            gives: (Some(43_200), Some("a b"), Some("r1"), "app_id=A1"),
            refreshed: (
                200,
                JSON,
                r#"{"ok":true,"access_token":"t2","expires_in":43200,"refresh_token":"r2","token_type":"user","scope":"a,b"}"#,
            ),
            refusal: (200, JSON, r#"{"ok":false,"error":"invalid_refresh_token"}"#),
            without: UNUSABLE,
            ..PLAIN
        },
        Case {
            profile: "spotify",
            authorization: "https://accounts.spotify.com/authorize client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a+b",
            token_request: "https://accounts.spotify.com/api/token code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://accounts.spotify.com/api/token grant_type=refresh_token refresh_token=r1",
            refreshed: (
                200,
                JSON,
                r#"{"access_token":"t2","token_type":"Bearer","expires_in":3600,"scope":"a b"}"#,
            ),
            then: "r1",
            refusal: (400, JSON, r#"{"error":"invalid_grant","error_description":"Refresh token revoked"}"#),
            ..PLAIN
        },
        Case {
            profile: "strava",
            authorization: "https://www.strava.com/oauth/authorize client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a,b",
            token_request: "https://www.strava.com/oauth/token client_id=app client_secret=S3CR3T code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://www.strava.com/oauth/token client_id=app client_secret=S3CR3T grant_type=refresh_token refresh_token=r1",
            authenticates: "",
            answer: (
                200,
                JSON,
                r#"{"token_type":"Bearer","expires_at":1900021600,"expires_in":21600,"refresh_token":"r1","access_token":"t1","athlete":{"id":1}}"#,
            ),
            gives: (Some(21_600), None, Some("r1"), ""),
            refusal: (
                400,
                JSON,
                r#"{"message":"Bad Request","errors":[{"resource":"RefreshToken","field":"refresh_token","code":"invalid"}]}"#,
            ),
            ..PLAIN
        },
        Case {
            profile: "tiktok",
            authorization: "https://www.tiktok.com/v2/auth/authorize/ client_key=app code_challenge_method=S256 redirect_uri response_type=code scope=a,b",
            token_request: "https://open.tiktokapis.com/v2/oauth/token/ client_key=app client_secret=S3CR3T code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://open.tiktokapis.com/v2/oauth/token/ client_key=app client_secret=S3CR3T grant_type=refresh_token refresh_token=r1",
            authenticates: "",
            answer: (
                200,
                JSON,
                r#"{"access_token":"t1","expires_in":86400,"open_id":"o","refresh_expires_in":31536000,"refresh_token":"r1","scope":"a,b","token_type":"Bearer"}"#,
            ),
            gives: (Some(86_400), Some("a b"), Some("r1"), "open_id=o"),
            refusal: (
                200,
                JSON,
                r#"{"error":"invalid_grant","error_description":"Refresh token is invalid or expired.","log_id":"2"}"#,
            ),
            ..PLAIN
        },
        Case {
            profile: "twitch",
            authorization: "https://id.twitch.tv/oauth2/authorize client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a+b",
            token_request: "https://id.twitch.tv/oauth2/token client_id=app client_secret=S3CR3T code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://id.twitch.tv/oauth2/token client_id=app client_secret=S3CR3T grant_type=refresh_token refresh_token=r1",
            authenticates: "",
            answer: (
                200,
                JSON,
                r#"{"access_token":"t1","expires_in":14124,"refresh_token":"r1","scope":["a","b"],"token_type":"bearer"}"#,
            ),
            gives: (Some(14_124), Some("a b"), Some("r1"), ""),
            refreshed: (
                200,
                JSON,
                r#"{"access_token":"t2","expires_in":14124,"refresh_token":"r2","scope":["a","b"],"token_type":"bearer"}"#,
            ),
            refusal: (400, JSON, r#"{"error":"Bad Request","status":400,"message":"Invalid refresh token"}"#),
            without: &["scope_array"],
            ..PLAIN
        },
        Case {
            profile: "wechat",
            authorization: "https://open.weixin.qq.com/connect/qrconnect appid=app code_challenge_method=S256 redirect_uri response_type=code scope=a,b #wechat_redirect",
            token_request: "https://api.weixin.qq.com/sns/oauth2/access_token appid=app code=c0de code_verifier grant_type=authorization_code redirect_uri secret=S3CR3T",
            refresh_request: "https://api.weixin.qq.com/sns/oauth2/refresh_token appid=app grant_type=refresh_token refresh_token=r1 secret=S3CR3T",
            authenticates: "",
            answer: (
                200,
                TEXT,
                r#"{"access_token":"t1","expires_in":7200,"refresh_token":"r1","openid":"o","scope":"a,b","unionid":"u"}"#,
            ),
            gives: (Some(7200), Some("a b"), Some("r1"), "openid=o"),
            refreshed: (
                200,
                TEXT,
                r#"{"access_token":"t2","expires_in":7200,"refresh_token":"r2","openid":"o","scope":"a,b"}"#,
            ),
            refusal: (200, TEXT, r#"{"errcode":42002,"errmsg":"refresh_token expired"}"#),
            without: &["content_type", "token_type_absent"],
            ..PLAIN
        },
        Case {
            profile: "weibo",
            authorization: "https://api.weibo.com/oauth2/authorize client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a,b",
            token_request: "https://api.weibo.com/oauth2/access_token client_id=app client_secret=S3CR3T code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "",
            authenticates: "",
            answer: (
                200,
                TEXT,
                r#"{"access_token":"t1","remind_in":"157679999","expires_in":157679999,"uid":"5"}"#,
            ),
            gives: (Some(157_679_999), None, None, "uid=5"),
            refusal: (
                400,
                JSON,
                r#"{"error":"invalid_grant","error_code":21325,"request":"/oauth2/access_token","error_uri":"/oauth2/access_token","error_description":"miss authorization code"}"#,
            ),
            without: &["content_type", "token_type_absent"],
            ..PLAIN
        },
        Case {
            profile: "zoom",
            authorization: "https://zoom.us/oauth/authorize client_id=app code_challenge_method=S256 redirect_uri response_type=code scope=a+b",
            token_request: "https://zoom.us/oauth/token code=c0de code_verifier grant_type=authorization_code redirect_uri",
            refresh_request: "https://zoom.us/oauth/token grant_type=refresh_token refresh_token=r1",
            refusal: (400, JSON, r#"{"reason":"Invalid Token!","error":"invalid_request"}"#),
            refused: ("invalid_request", Recovery::FixRequest),
            ..PLAIN
        },
    ]
}

// ----- The stage -----------------------------------------------------------------------------------------------------------

/// A request as it left jeton.
struct Seen {
    url: String,
    headers: http::HeaderMap,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Endpoint and parameters in alphabetical order; of what is always the same only the name, of JSON the text.
    fn words(&self) -> String {
        if self.header("content-type") == JSON {
            return format!("{} {}", self.url, self.body);
        }
        assert_eq!(self.header("content-type"), "application/x-www-form-urlencoded");
        format!("{} {}", self.url, words(url::form_urlencoded::parse(self.body.as_bytes())))
    }
}

fn words<'a>(pairs: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>) -> String {
    let mut words: Vec<String> = pairs
        .map(|(name, value)| match &*name {
            "code_verifier" => {
                assert!(value.len() >= 43, "{value}");
                name.into_owned()
            }
            "redirect_uri" if value == REDIRECT => name.into_owned(),
            _ => format!("{name}={}", value.replace(' ', "+")),
        })
        .collect();
    words.sort();
    words.join(" ")
}

/// A transport that notes each request and sends it over a real connection to a server on loopback, which replays answers.
#[derive(Clone)]
struct Stage {
    inner: Arc<ReqwestTransport>,
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    answers: Arc<Mutex<VecDeque<Replayed>>>,
}

impl Stage {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let replayed = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { break };
                answer(stream, &replayed);
            }
        });
        let inner = Arc::new(ReqwestTransport::new(&HttpOptions::new().no_proxy()).unwrap());
        Self { inner, port, seen: Arc::default(), answers }
    }

    fn will_answer(&self, answer: Replayed) {
        self.answers.lock().unwrap().push_back(answer);
    }

    fn seen(&self) -> Seen {
        let mut seen = self.seen.lock().unwrap();
        assert!(!seen.is_empty(), "no request was sent");
        let last = seen.pop().unwrap();
        seen.clear();
        last
    }
}

/// What Google says of itself, as far as it is used here.
const GOOGLE: Replayed = (
    200,
    JSON,
    r#"{"issuer":"https://accounts.google.com","authorization_endpoint":"https://accounts.google.com/o/oauth2/v2/auth",
        "device_authorization_endpoint":"https://oauth2.googleapis.com/device/code","token_endpoint":"https://oauth2.googleapis.com/token",
        "code_challenge_methods_supported":["plain","S256"]}"#,
);

fn answer(mut stream: TcpStream, answers: &Mutex<VecDeque<Replayed>>) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        request.push(byte[0]);
    }
    let head = String::from_utf8(request).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    let is_metadata = head.lines().next().is_some_and(|line| line.contains("/.well-known/"));
    let next = if is_metadata {
        GOOGLE
    } else {
        answers.lock().unwrap().pop_front().unwrap_or((500, TEXT, "no answer left"))
    };
    let (status, content_type, body) = next;
    let head = format!(
        "HTTP/1.1 {status} .\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

#[async_trait]
impl Transport for Stage {
    async fn send(
        &self,
        mut request: http::Request<Bytes>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let mut url = Url::parse(&request.uri().to_string()).unwrap();
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        self.seen.lock().unwrap().push(Seen {
            url: url.to_string(),
            headers: request.headers().clone(),
            body,
        });
        url.set_scheme("http").unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        *request.uri_mut() = url.as_str().parse().unwrap();
        self.inner.send(request, limits).await
    }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_900_000_000)
}

fn clock() -> ManualClock {
    ManualClock::at(now())
}

fn profile(case: &Case) -> Profile {
    let mut profile = Profile::named(case.profile).unwrap();
    for (name, value) in case.placeholders {
        profile = profile.with(name, *value).unwrap();
    }
    profile
}

/// A client at that provider, strict, without its endpoints where the profile has none.
fn builder(case: &Case, stage: &Stage) -> ClientBuilder {
    let builder = Client::builder("app").transport(stage.clone()).clock(clock()).strict(true).scope("a b");
    match case.profile {
        "plentymarkets" => builder
            .authorization_endpoint("https://shop.example/authorize")
            .token_endpoint("https://shop.example/token"),
        _ => builder,
    }
}

async fn logged_in(session: &Session, stage: &Stage, case: &Case) -> Result<AccessToken, Error> {
    let (_, pending) = soon(session.begin_log_in(REDIRECT)).await?;
    let redirected = format!("{REDIRECT}?{}&state={}", case.callback, pending.state().expose());
    stage.will_answer(case.answer);
    soon(session.finish_log_in(pending, &Url::parse(&redirected).unwrap())).await
}

// ----- With the profile ----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn each_provider_is_asked_in_its_own_words_and_understood_in_strict_mode() {
    for case in cases() {
        let name = case.profile;
        let stage = Stage::new();
        let store = MemoryStore::new();
        let client = builder(&case, &stage)
            .provider(profile(&case))
            .client_secret("S3CR3T")
            .resource("https://api.example")
            .store(store)
            .build()
            .unwrap();
        // Only Entra refuses `resource`; whoever wants it gets it.
        let resource = if name == "entra" { "" } else { " resource=https://api.example" };
        let with_resource = |expected: &str| match expected.split_once(' ') {
            Some((endpoint, rest)) if rest.starts_with('{') => {
                let rest = rest.strip_suffix('}').unwrap();
                format!(r#"{endpoint} {rest},"resource":"https://api.example"}}"#)
            }
            _ => sorted(&format!("{expected}{resource}")),
        };
        let session = client.session();

        let (url, _) =
            soon(session.begin_log_in(REDIRECT)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            front_channel(&url, case.authorization.contains(S256), name == "tiktok"),
            with_resource(case.authorization),
            "{name}"
        );

        let token =
            logged_in(&session, &stage, &case).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let seen = stage.seen();
        assert_eq!(seen.words(), with_resource(case.token_request), "{name}");
        assert!(seen.header("authorization").starts_with(case.authenticates), "{name}");
        assert_eq!(seen.header("authorization").is_empty(), case.authenticates.is_empty(), "{name}");
        assert_eq!(seen.header("accept"), JSON, "{name}");
        if name == "reddit" {
            assert_eq!(seen.header("user-agent"), "linux:com.example.app:v1 (by /u/me)");
        }
        assert_eq!(token.secret().expose(), "t1", "{name}");
        assert!(token.warnings().is_empty(), "{name}: {:?}", token.warnings());
        let (expires_in, scope, refresh_token, further) = case.gives;
        let expires_at = expires_in.map(|seconds| now() + Duration::from_secs(seconds));
        assert_eq!(token.expires_at(), expires_at, "{name}");
        assert_eq!(token.scope().map(ToString::to_string).as_deref(), scope.or(Some("a b")), "{name}");
        if let Some((member, value)) = further.split_once('=') {
            assert_eq!(token.extra().get_str(member), Some(value), "{name}");
        }

        if refresh_token.is_some() {
            stage.will_answer(case.refreshed);
            let token = soon(session.refresh()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(stage.seen().words(), with_resource(case.refresh_request), "{name}");
            assert_eq!((token.secret().expose(), token.warnings()), ("t2", &[][..]), "{name}");

            stage.will_answer(case.refusal);
            let error = soon(session.refresh()).await.unwrap_err();
            assert_refused(&case, &error);
            let sent = stage.seen().body;
            assert!(
                sent.contains(&format!("refresh_token={}", case.then))
                    || sent.contains(&format!(r#""{}""#, case.then)),
                "{name}: {sent}"
            );
            // A verdict ends the login; anything else leaves it.
            let ended = matches!(case.refused.1, Recovery::LogIn);
            assert_eq!(matches!(error, Error::LoginRequired(..)), ended, "{name}: {error:?}");
        } else {
            let (_, pending) = soon(session.begin_log_in(REDIRECT)).await.unwrap();
            let redirected = format!("{REDIRECT}?{}&state={}", case.callback, pending.state().expose());
            stage.will_answer(case.refusal);
            let error =
                soon(session.finish_log_in(pending, &Url::parse(&redirected).unwrap())).await.unwrap_err();
            assert_refused(&case, &error);
        }
    }
}

fn sorted(expected: &str) -> String {
    let (fragment, plain): (Vec<&str>, Vec<&str>) =
        expected.split(' ').partition(|word| word.starts_with('#'));
    let Some((endpoint, words)) = plain.split_first() else { return String::new() };
    let mut words = words.to_vec();
    words.sort_unstable();
    [&[*endpoint], &*words, &*fragment].concat().join(" ")
}

/// The authorization URL in words, without what is new each time.
fn front_channel(url: &Url, pkce: bool, hex: bool) -> String {
    let of = |name: &str| url.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned());
    assert!(of("state").unwrap().len() >= 43);
    match of("code_challenge") {
        Some(challenge) if hex => {
            assert!(challenge.len() == 64 && challenge.bytes().all(|b| b.is_ascii_hexdigit()))
        }
        Some(challenge) => assert!(pkce && challenge.len() == 43, "{challenge}"),
        None => assert!(!pkce),
    }
    let mut endpoint = url.clone();
    endpoint.set_query(None);
    endpoint.set_fragment(None);
    let words = words(url.query_pairs().filter(|(name, _)| !matches!(&**name, "state" | "code_challenge")));
    let fragment = url.fragment().map(|fragment| format!(" #{fragment}")).unwrap_or_default();
    format!("{endpoint} {words}{fragment}")
}

fn assert_refused(case: &Case, error: &Error) {
    let (code, recovery) = case.refused;
    let text = error.to_string();
    assert!(text.contains(code), "{}: {text}", case.profile);
    assert_eq!(error.recovery(), recovery, "{}: {text}", case.profile);
    assert!(!format!("{error:?} {text}").contains("S3CR3T"), "{}: {text}", case.profile);
}

#[test]
fn every_built_in_profile_is_replayed() {
    let mut replayed: Vec<&str> = cases().iter().map(|case| case.profile).collect();
    // Apple's secret is signed: see below.
    replayed.push("apple");
    replayed.sort_unstable();
    let built_in: Vec<&str> = Catalog::built_in().iter().map(Profile::name).collect();
    assert_eq!(replayed, built_in);
}

// ----- Without it ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn without_the_profile_there_is_a_warning_that_names_it() {
    for case in cases() {
        let name = case.profile;
        let stage = Stage::new();
        let provider = profile(&case).provider().unwrap();
        let endpoint = provider.server.token_endpoint.unwrap_or_else(|| "https://as.example/token".into());
        let client = Client::builder("app")
            .transport(stage.clone())
            .token_endpoint(endpoint)
            .authorization_endpoint("https://as.example/authorize")
            .authentication(ClientSecretBasic::new("S3CR3T"))
            .build()
            .unwrap();
        let (_, pending) = client.session().begin_log_in(REDIRECT).await.unwrap();
        let redirected = format!("{REDIRECT}?code=c0de&state={}", pending.state().expose());
        stage.will_answer(case.answer);
        let result = soon(client.session().finish_log_in(pending, &Url::parse(&redirected).unwrap())).await;
        if case.without == UNUSABLE {
            assert!(result.is_err(), "{name}");
            continue;
        }
        let token = result.unwrap_or_else(|error| panic!("{name}: {error}"));
        let codes: Vec<&str> = token.warnings().iter().map(Warning::code).collect();
        assert_eq!(codes, case.without, "{name}");
        for warning in token.warnings() {
            assert_eq!(client.profiles_expecting(warning), [name], "{warning}");
        }
    }
}

#[tokio::test]
async fn a_profiles_leniency_stays_with_its_client() {
    let case = cases().into_iter().find(|case| case.profile == "paypal").unwrap();
    let stage = Stage::new();
    let with = builder(&case, &stage).provider(profile(&case)).client_secret("S3CR3T").build().unwrap();
    let without = builder(&case, &stage)
        .token_endpoint("https://api-m.paypal.com/v1/oauth2/token")
        .authorization_endpoint("https://www.paypal.com/signin/authorize")
        .client_secret("S3CR3T")
        .build()
        .unwrap();
    // In turns, over the same connection and the same threads.
    for _ in 0..3 {
        assert!(logged_in(&with.session(), &stage, &case).await.is_ok());
        let error = logged_in(&without.session(), &stage, &case).await.unwrap_err();
        assert!(error.to_string().contains("`expires_in` was a string"), "{error}");
        assert!(stage.seen().words().contains("code_verifier"));
    }
    // Nor does one profile's leniency help another one's client.
    let github = Profile::named("github").unwrap();
    let other = builder(&case, &stage).provider(github).client_secret("S3CR3T").build().unwrap();
    assert!(logged_in(&other.session(), &stage, &case).await.is_err());
}

// ----- What the builder is told itself -------------------------------------------------------------------------------------

#[tokio::test]
async fn what_the_builder_is_told_itself_wins() {
    let case = cases().into_iter().find(|case| case.profile == "wechat").unwrap();
    let stage = Stage::new();
    let mut extra = jeton_client::ExtraParameters::default();
    extra.authorization.set("prompt", "login");
    let google = Client::builder("app")
        .provider(Profile::named("google").unwrap())
        .extra_parameters(extra)
        .authentication(ClientSecretBasic::new("S3CR3T"))
        .token_endpoint("https://other.example/token")
        .transport(stage.clone())
        .scope("a b")
        .build()
        .unwrap();
    let session = google.session();
    let (url, pending) = soon(session.begin_log_in(REDIRECT)).await.unwrap();
    let pairs: Vec<_> =
        url.query_pairs().filter(|(name, _)| name == "prompt" || name == "access_type").collect();
    assert_eq!(pairs, [("prompt".into(), "login".into()), ("access_type".into(), "offline".into())]);
    stage.will_answer(PLAIN.answer);
    let redirected = format!("{REDIRECT}?code=c&state={}", pending.state().expose());
    soon(session.finish_log_in(pending, &Url::parse(&redirected).unwrap())).await.unwrap();
    let seen = stage.seen();
    assert_eq!(seen.url, "https://other.example/token");
    assert!(seen.header("authorization").starts_with("Basic "));

    // A refresh token never goes to a server that the program did not name.
    let client = builder(&case, &stage)
        .provider(profile(&case))
        .token_endpoint("https://mine.example/token")
        .client_secret("S3CR3T")
        .build()
        .unwrap();
    let session = client.session();
    logged_in(&session, &stage, &case).await.unwrap();
    stage.will_answer(case.refreshed);
    soon(session.refresh()).await.unwrap();
    assert_eq!(stage.seen().url, "https://mine.example/token");
}

#[tokio::test]
async fn an_issuer_of_ones_own_leaves_none_of_the_profiles_endpoints() {
    let stage = Stage::new();
    let client = Client::builder("app")
        .provider(Profile::named("quickbooks").unwrap())
        .issuer("https://accounts.google.com")
        .client_secret("S3CR3T")
        .transport(stage)
        .build()
        .unwrap();
    let metadata = soon(client.metadata()).await.unwrap();
    assert_eq!(metadata.token_endpoint.as_deref(), Some("https://oauth2.googleapis.com/token"));
    assert_eq!(metadata.revocation_endpoint, None);
}

#[test]
fn a_client_that_cannot_be_told_from_others_does_not_go_without_pkce() {
    let linkedin = || Client::builder("app").provider(Profile::named("linkedin").unwrap());
    for public in [linkedin().build(), linkedin().authentication(jeton_client::PublicClient).build()] {
        let error = public.unwrap_err().to_string();
        assert!(error.contains("refuses PKCE") && error.contains("RFC 9700"), "{error}");
    }
    assert!(linkedin().client_secret("S3CR3T").build().is_ok());
}

#[test]
fn what_a_profile_leaves_open_is_asked_for() {
    let of = |name: &str| {
        Client::builder("app").provider(Profile::named(name).unwrap()).client_secret("s").build()
    };
    let error = of("shopify").unwrap_err().to_string();
    assert!(
        error.contains("`shop`") && error.contains("my-shop") && error.contains("Profile::with"),
        "{error}"
    );
    // One without endpoints says which server is missing.
    assert!(of("plentymarkets").unwrap_err().to_string().contains("token_endpoint"));
    assert!(of("apple").unwrap_err().to_string().contains("SignedClientSecret"));
}

#[tokio::test]
async fn reddits_public_clients_send_an_empty_secret() {
    let case = cases().into_iter().find(|case| case.profile == "reddit").unwrap();
    let stage = Stage::new();
    let client = builder(&case, &stage).provider(profile(&case)).build().unwrap();
    logged_in(&client.session(), &stage, &case).await.unwrap();
    assert_eq!(stage.seen().header("authorization"), "Basic YXBwOg==");
}

#[tokio::test]
async fn a_renamed_code_changes_nothing_about_state() {
    let case = cases().into_iter().find(|case| case.profile == "amazon-selling-partner").unwrap();
    let stage = Stage::new();
    let client = builder(&case, &stage).provider(profile(&case)).client_secret("S3CR3T").build().unwrap();
    let session = client.session();
    for wrong in
        ["spapi_oauth_code=c", "spapi_oauth_code=c&state=wrong", "spapi_oauth_code=c&code=d&state=STATE"]
    {
        let (_, pending) = session.begin_log_in(REDIRECT).await.unwrap();
        let query = wrong.replace("STATE", pending.state().expose());
        let redirected = Url::parse(&format!("{REDIRECT}?{query}")).unwrap();
        let error = session.finish_log_in(pending, &redirected).await.unwrap_err();
        assert_eq!(error.recovery(), Recovery::LogIn, "{wrong}: {error}");
        assert!(stage.seen.lock().unwrap().is_empty(), "{wrong}: nothing is sent");
    }
}

#[tokio::test]
async fn a_callback_by_form_post_is_finished_like_any_other() {
    let case = cases().into_iter().find(|case| case.profile == "spotify").unwrap();
    let stage = Stage::new();
    let client = builder(&case, &stage).provider(profile(&case)).client_secret("S3CR3T").build().unwrap();
    let session = client.session();
    let (_, pending) = session.begin_log_in(REDIRECT).await.unwrap();
    let form = format!("state={}&code=c0de", pending.state().expose());
    let redirected = redirected_by_form_post(REDIRECT, form.as_bytes()).unwrap();
    stage.will_answer(case.answer);
    soon(session.finish_log_in(pending, &redirected)).await.unwrap();
    // One that was made up elsewhere is not.
    let (_, pending) = session.begin_log_in(REDIRECT).await.unwrap();
    let redirected = redirected_by_form_post(REDIRECT, form.as_bytes()).unwrap();
    assert!(session.finish_log_in(pending, &redirected).await.is_err());
}

/// Whoever waits at a device.
struct Waiting;

#[async_trait]
impl Interaction for Waiting {
    async fn show_device_code(&self, prompt: &DeviceCodePrompt<'_>) -> Result<(), InteractionError> {
        assert_eq!(prompt.verification_uri, "https://www.google.com/device");
        Ok(())
    }
}

#[tokio::test]
async fn googles_device_waits_under_428_and_names_its_page_in_its_own_way() {
    let stage = Stage::new();
    let client = Client::builder("app")
        .provider(Profile::named("google").unwrap())
        .client_secret("S3CR3T")
        .transport(stage.clone())
        .clock(clock())
        .strict(true)
        .interaction(Waiting)
        .grant(DeviceCode::new())
        .scope("a b")
        .build()
        .unwrap();
    let device = r#"{"device_code":"d","user_code":"GQVQ-JKEC","verification_url":"https://www.google.com/device","expires_in":1800,"interval":5}"#;
    stage.will_answer((200, JSON, device));
    stage.will_answer((
        428,
        JSON,
        r#"{"error":"authorization_pending","error_description":"Precondition Required"}"#,
    ));
    stage.will_answer((403, JSON, r#"{"error":"slow_down","error_description":"Forbidden"}"#));
    stage.will_answer(PLAIN.answer);
    let token = soon(client.session().log_in()).await.unwrap();
    assert_eq!(token.secret().expose(), "t1");
    let requests = stage.seen.lock().unwrap();
    assert_eq!(requests.iter().filter(|seen| seen.url.ends_with("/token")).count(), 3);
}

#[tokio::test]
async fn what_a_provider_repeats_of_a_secret_is_cut_out_whatever_it_is_called_and_however_it_was_sent() {
    const SECRET: &str = "S3CR3T \"\\ S3CR3T";
    for (name, answer) in [
        // Under its own name, as a form.
        ("wechat", r#"{"errcode":1,"errmsg":"secret=S3CR3T+%22%5C+S3CR3T&refresh_token=r1-S3CR3T+%22"}"#),
        // As the JSON that was sent.
        (
            "notion",
            r#"{"error":"invalid_request","error_description":"{\"refresh_token\":\"r1-S3CR3T \\\"\"}"}"#,
        ),
        // In the place of a code.
        ("twitch", r#"{"status":400,"message":"S3CR3T \"\\ S3CR3T"}"#),
        ("strava", r#"{"errors":[{"resource":"r1-S3CR3T \"","code":"x"}]}"#),
    ] {
        let case = cases().into_iter().find(|case| case.profile == name).unwrap();
        let stage = Stage::new();
        let client = builder(&case, &stage).provider(profile(&case)).client_secret(SECRET).build().unwrap();
        let session = client.session();
        let (_, pending) = session.begin_log_in(REDIRECT).await.unwrap();
        let redirected = format!("{REDIRECT}?{}&state={}", case.callback, pending.state().expose());
        stage.will_answer((
            200,
            if name == "wechat" { TEXT } else { JSON },
            r#"{"access_token":"t1","token_type":"bearer","expires_in":60,"refresh_token":"r1-S3CR3T \""}"#,
        ));
        soon(session.finish_log_in(pending, &Url::parse(&redirected).unwrap())).await.unwrap();
        stage.will_answer((400, JSON, answer));
        let error = soon(session.refresh()).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains("[redacted]") && !text.contains("S3CR3T"), "{name}: {text}");
    }
}

// ----- A secret that the client signs --------------------------------------------------------------------------------------

#[cfg(feature = "jose")]
#[tokio::test]
async fn apples_client_secret_is_signed_for_each_request() {
    use jeton_grants::SignedClientSecret;
    use jeton_jose::{JwkSet, JwsAlgorithm, Signer, SigningKey, UnverifiedJwt};

    let key = SigningKey::generate(JwsAlgorithm::Es256).unwrap().with_key_id("ABC123DEFG");
    let keys: JwkSet = key.public_jwk().cloned().into_iter().collect();
    let apple = Profile::named("apple").unwrap();
    let audience = apple.signed_secret_audience().unwrap().to_owned();
    let stage = Stage::new();
    let client = Client::builder("com.example.app")
        .provider(apple)
        .authentication(SignedClientSecret::new("TEAM123456", audience, key))
        .transport(stage.clone())
        .clock(clock())
        .strict(true)
        .scope("name email")
        .build()
        .unwrap();
    let session = client.session();
    let (url, pending) = session.begin_log_in(REDIRECT).await.unwrap();
    assert_eq!(
        front_channel(&url, true, false),
        "https://appleid.apple.com/auth/authorize client_id=com.example.app code_challenge_method=S256 redirect_uri \
         response_mode=form_post response_type=code scope=name+email"
    );
    // The browser brings the answer by POST, with the person's name once.
    let form =
        format!(r#"state={}&code=c0de&user={{"name":{{"firstName":"Ada"}}}}"#, pending.state().expose());
    let redirected = redirected_by_form_post(REDIRECT, form.as_bytes()).unwrap();
    stage.will_answer((
        200,
        JSON,
        r#"{"access_token":"t1","token_type":"Bearer","expires_in":3600,"refresh_token":"r1"}"#,
    ));
    let token = soon(session.finish_log_in(pending, &redirected)).await.unwrap();
    assert_eq!(token.extra().get_str("user"), Some(r#"{"name":{"firstName":"Ada"}}"#));

    let secret_of = |seen: &Seen| {
        let pairs: Vec<_> = url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect();
        let of = |name: &str| pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
        assert_eq!(of("client_id").as_deref(), Some("com.example.app"));
        of("client_secret").unwrap()
    };
    let first = stage.seen();
    assert_eq!(first.url, "https://appleid.apple.com/auth/token");
    let first = secret_of(&first);
    let jwt = UnverifiedJwt::parse(&first).unwrap().verify(&keys, &[JwsAlgorithm::Es256]).unwrap();
    let claims = jwt.claims();
    assert_eq!((claims.issuer(), claims.subject()), (Some("TEAM123456"), Some("com.example.app")));
    assert!(claims.is_sole_audience("https://appleid.apple.com"));
    assert_eq!(claims.expires_at().unwrap() - claims.issued_at().unwrap(), 300);

    stage.will_answer((400, JSON, r#"{"error":"invalid_client","error_description":"CLIENT"}"#));
    let error = soon(session.refresh()).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::FixConfiguration);
    let second = secret_of(&stage.seen());
    assert_ne!(first, second, "each request has a secret of its own");
    assert!(!format!("{error} {error:?}").contains(&second));
}
