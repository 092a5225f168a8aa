//! The table of providers: all of them are there, what is read from strangers is refused in words that help, and nothing in a
//! profile reaches what a login's safety hangs on.

// A test says what it expects; a failed expectation is its result.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use jeton_models::{
    Answer, AnswerError, DeviceAuthorizationResponse, ParseOptions, Secret, TokenResponse, Warning,
};
use jeton_profiles::{
    AuthenticationMethod, Catalog, Placeholder, PlaceholderKind, Profile, ProfileError, advice,
};
use url::Url;

const JSON: Option<&str> = Some("application/json");

/// The providers that a client is known to meet (the project's list of quirks), by the names of their profiles.
const WANTED: [&str; 26] = [
    "amazon-selling-partner",
    "apple",
    "douban",
    "ebay",
    "entra",
    "facebook",
    "fitbit",
    "github",
    "google",
    "linkedin",
    "mailchimp",
    "notion",
    "paypal",
    "plentymarkets",
    "quickbooks",
    "reddit",
    "salesforce",
    "shopify",
    "slack",
    "spotify",
    "strava",
    "tiktok",
    "twitch",
    "wechat",
    "weibo",
    "zoom",
];

#[test]
fn every_provider_of_the_list_is_there_and_each_stands_for_itself() {
    let names: Vec<&str> = Catalog::built_in().iter().map(Profile::name).collect();
    assert_eq!(names, WANTED);
    // The table is read in one piece, so that one mistake would empty it.
    Catalog::from_toml(include_str!("../profiles.toml")).unwrap();
    for profile in Catalog::built_in().iter() {
        assert!(!profile.title().is_empty() && profile.about().ends_with('.'), "{}", profile.name());
        assert_eq!(profile.answers().name, profile.name());
        assert_eq!(profile.requests().name, profile.name());
        for placeholder in profile.placeholders() {
            assert_ne!(placeholder.about, placeholder.name, "{}: say what it is", profile.name());
        }
    }
}

/// What `PROVIDERS.md` says, made of the table.
fn providers_page() -> String {
    let mut page = String::from(
        "\n# Providers\n\nMade of `profiles.toml` by a test of this crate. *Without it* are the warnings that the profile silences; *to set* is what it \
         leaves open.\n\n| profile | provider | what there is to know | without it | to set |\n|---|---|---|---|---|\n",
    );
    for profile in Catalog::built_in().iter() {
        let silenced = Warning::known().filter(|warning| profile.silences(warning));
        let silenced: Vec<String> = silenced.map(|warning| format!("`{}`", warning.code())).collect();
        let mut open: Vec<String> = Vec::new();
        for placeholder in profile.placeholders() {
            let default = placeholder.default.as_ref().map(|default| format!(" (`{default}` unless set)"));
            let optional = placeholder.optional.then(|| " (if needed)".to_owned());
            open.push(format!("`{}`{}", placeholder.name, default.or(optional).unwrap_or_default()));
        }
        if !profile.has_server() {
            open.push("endpoints".to_owned());
        }
        page.push_str(&format!(
            "| `{}` | {} | {} | {} | {} |\n",
            profile.name(),
            profile.title(),
            profile.about(),
            silenced.join(", "),
            open.join(", ")
        ));
    }
    page
}

#[test]
fn the_page_of_providers_is_made_of_the_table() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/PROVIDERS.md");
    let page = providers_page();
    if std::env::var_os("JETON_WRITE_PROVIDERS").is_some() {
        std::fs::write(file, &page).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap();
    assert_eq!(written, page, "run this test once with JETON_WRITE_PROVIDERS=1");
}

// ----- Reading TOML --------------------------------------------------------------------------------------------------------

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_known_one_that_is_most_like_it() {
    let of = |text: &str| Profile::from_toml(text).unwrap_err().to_string();
    assert_eq!(
        of("[acme]\ntitle = 'Acme'\ntoken_endpiont = 'https://acme.example/token'"),
        "line 3: the profile `acme` has the unknown key `token_endpiont`; did you mean `token_endpoint`?"
    );
    assert_eq!(
        of("[acme.parameters.authorisation]\nprompt = 'login'"),
        "line 1: the profile `acme` has the unknown key `parameters.authorisation`; did you mean `authorization`?"
    );
    assert_eq!(
        of("[acme.placeholders.shop]\nkind = 'label'\nexampel = 'x'"),
        "line 3: the profile `acme` has the unknown key `placeholders.shop.exampel`; did you mean `example`?"
    );
    // What is like nothing has no near miss: there is no key for these at all.
    for key in ["verify_state", "check_issuer", "skip_signature", "insecure", "allow_http", "iss"] {
        let text = of(&format!("[acme]\n{key} = false"));
        assert!(
            text.starts_with(&format!("line 2: the profile `acme` has the unknown key `{key}`")),
            "{text}"
        );
        assert!(!text.contains("did you mean `iss`"), "{text}");
    }
}

#[test]
fn wrong_values_are_told_with_what_would_be_right() {
    for (text, says) in [
        ("pkce = 'none'", "`pkce` is `none`, which is none of `standard`, `hex`, `omitted`"),
        ("client_authentication = 'client_secret_bsic'", "did you mean `client_secret_basic`?"),
        ("tolerates = ['expires_in_strng']", "did you mean `expires_in_string`?"),
        ("tolerates = 'expires_in_string'", "is not an array of strings"),
        ("members = { accessToken = 'acces_token' }", "did you mean `access_token`?"),
        ("members = { id = 'id_token' }", "is no member of an answer"),
        ("zero_is_never = 'yes'", "is neither true nor false"),
        ("scope_separator = ', '", "is not one character"),
        ("scope_separator = 'a'", "is a letter"),
        ("bearer_types = ['DPoP']", "is not Bearer"),
        ("bearer_types = ['mac']", "is not Bearer"),
        ("error_codes = { a = 'Invalid Grant' }", "is no registered error code"),
        ("title = 7", "is not a string"),
        ("headers = { \"a b\" = 'x' }", "is no header's name"),
        ("headers = { a = \"x\\ny\" }", "no header with a value that can be sent"),
    ] {
        let error = Profile::from_toml(&format!("[acme]\n{text}")).unwrap_err().to_string();
        assert!(error.contains("`acme`") && error.contains(says), "{text}: {error}");
    }
}

#[test]
fn what_is_no_table_of_profiles_is_told() {
    let of = |text: &str| Profile::from_toml(text).unwrap_err();
    assert!(matches!(of("[acme]\ntitle = "), ProfileError::Syntax { line: 2, .. }));
    assert!(matches!(of("[acme]\n[acme]"), ProfileError::Syntax { .. }));
    assert_eq!(of(""), ProfileError::NotOne { found: 0 });
    assert_eq!(of("[a]\n[b]\n[c]"), ProfileError::NotOne { found: 3 });
    assert!(of("token_endpoint = 'https://a.example'").to_string().contains("begin with `[name]`"));
    assert!(matches!(of(&"#".repeat(300_000)), ProfileError::TooLong { .. }));
    let deep = format!("[acme]\ntitle = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(of(&deep), ProfileError::Syntax { .. }));
    for name in ["'A'", "'a b'", "\"\"", "'a.b'", "\"é\""] {
        assert!(matches!(of(&format!("[{name}]")), ProfileError::Value { .. }), "{name}");
    }
    let long = format!("[acme]\n{} = 1", "k".repeat(10_000));
    assert!(of(&long).to_string().len() < 300);
}

#[test]
fn a_name_that_is_not_there_is_told_with_the_nearest() {
    let error = Profile::named("GitHub").unwrap_err().to_string();
    assert_eq!(error, "there is no profile `GitHub`; did you mean `github`?");
    assert_eq!(
        Profile::named("nothing-like-it").unwrap_err().to_string(),
        "there is no profile `nothing-like-it`"
    );
}

// ----- What a profile cannot do --------------------------------------------------------------------------------------------

#[test]
fn no_profile_reaches_what_a_logins_safety_hangs_on() {
    let protected = [
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "code_verifier",
        "request",
        "request_uri",
        "iss",
        "client_assertion",
        "dpop_jkt",
        "response_type",
    ];
    for name in protected {
        for text in [
            format!("omits = ['{name}']"),
            format!("omits = {{ authorization = ['{name}'] }}"),
            format!("renames = {{ {name} = 'x' }}"),
            format!("renames = {{ x = '{name}' }}"),
            format!("parameters = {{ authorization = {{ {name} = 'fixed' }} }}"),
        ] {
            let error = Profile::from_toml(&format!("[acme]\n{text}")).unwrap_err().to_string();
            assert!(error.contains("safety hangs"), "{text}: {error}");
        }
    }
    for (text, says) in [
        ("omits = ['refresh_token']", "without which there is no request"),
        ("parameters = { token = { client_secret = 'x' } }", "each request's own"),
        ("parameters = { token = { grant_type = 'x' } }", "each request's own"),
        ("headers = { Authorization = 'Basic x' }", "not a profile's business"),
        ("headers = { host = 'evil.example' }", "not a profile's business"),
        ("headers = { dpop = 'x' }", "not a profile's business"),
        ("code_parameter = 'state'", "a meaning of its own"),
        ("code_parameter = 'iss'", "a meaning of its own"),
        ("keeps = ['code']", "a meaning of its own"),
        ("members = { x = 'error' }", "is no member of an answer"),
    ] {
        let error = Profile::from_toml(&format!("[acme]\n{text}")).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn endpoints_are_https_whatever_stands_in_the_placeholders() {
    let keys =
        ["token_endpoint", "authorization_endpoint", "refresh_endpoint", "revocation_endpoint", "jwks_uri"];
    let wrong = [
        "http://acme.example/t",
        "ftp://acme.example/t",
        "acme.example/t",
        "https://u:p@acme.example/t",
        "https://acme.example/t#f",
        "javascript:alert(1)",
        "https://{nothing}.example/t",
        "https://acme.example/{",
        "https://acme.example/}",
    ];
    for key in keys {
        for url in wrong {
            let error = Profile::from_toml(&format!("[acme]\n{key} = '{url}'"));
            assert!(matches!(error, Err(ProfileError::Value { .. })), "{key} {url}: {error:?}");
        }
        Profile::from_toml(&format!("[acme]\n{key} = 'http://127.0.0.1:8080/t'")).unwrap();
    }
    let issuer = Profile::from_toml("[acme]\nissuer = 'http://acme.example'").unwrap_err().to_string();
    assert!(issuer.contains("HTTPS"), "{issuer}");
}

#[test]
fn placeholders_stand_only_where_their_kind_cannot_make_another_host() {
    let of = |kind: PlaceholderKind, url: &str| {
        let example = if kind == PlaceholderKind::Host { "a.example" } else { "a" };
        Profile::builder("acme").placeholder(Placeholder::new("x", kind, example)).token_endpoint(url).build()
    };
    use PlaceholderKind::{Host, Label, Segment, Text};
    for (kind, url) in [
        (Label, "https://{x}.example/t"),
        (Label, "https://a.{x}.example/t"),
        (Label, "https://a.example/{x}/t"),
        (Host, "https://{x}/t"),
        (Segment, "https://a.example/{x}/t"),
    ] {
        assert!(of(kind, url).is_ok(), "{kind:?} {url}");
    }
    for (kind, url) in [
        (Label, "https://a{x}.example/t"),
        (Label, "{x}://a.example/t"),
        (Host, "https://a.{x}/t"),
        (Host, "https://a.example/{x}"),
        (Segment, "https://{x}.example/t"),
        (Segment, "https://a.example{x}/t"),
        (Segment, "{x}"),
        (Text, "https://a.example/{x}"),
        (Text, "https://{x}/"),
    ] {
        assert!(of(kind, url).is_err(), "{kind:?} {url}");
    }
}

#[test]
fn no_value_of_a_placeholder_leads_to_another_host() {
    let evil = [
        "evil.example",
        "evil.example/",
        "evil.example#",
        "evil.example?",
        "a@evil.example",
        "a\\evil",
        "..",
        "a/../b",
        "",
        "a b",
        "a\r\nb",
        "%2f",
        "é",
        "a:1",
    ];
    for value in evil {
        let error = Profile::named("shopify").unwrap().with("shop", value).unwrap_err();
        assert!(matches!(error, ProfileError::PlaceholderValue { .. }), "{value}");
        // A secret pasted into the wrong place is not shown.
        assert!(value.len() < 3 || !error.to_string().contains(value), "{error}");
    }
    for value in ["a/b", "..", "a?b", "a#b", "", "a%2fb"] {
        assert!(Profile::named("entra").unwrap().with("tenant", value).is_err(), "{value}");
    }
    let provider = Profile::named("entra").unwrap().with("tenant", "common").unwrap().provider().unwrap();
    let host = Url::parse(provider.server.token_endpoint.as_deref().unwrap()).unwrap();
    assert_eq!(host.host_str(), Some("login.microsoftonline.com"));
    let error = Profile::named("shopify").unwrap().with("shp", "x").unwrap_err().to_string();
    assert!(error.contains("did you mean `shop`?"), "{error}");
}

#[test]
fn without_a_secret_nobody_goes_without_pkce() {
    let linkedin = Profile::named("linkedin").unwrap().provider().unwrap();
    assert!(linkedin.refuses_pkce());
    assert!(matches!(linkedin.authentication(None), Err(ProfileError::Authentication { .. })));
    assert_eq!(linkedin.authentication(Some(Secret::from("s"))).unwrap().method(), "client_secret_post");
    let reddit = Profile::named("reddit").unwrap().with("user_agent", "mine").unwrap().provider().unwrap();
    assert_eq!(reddit.authentication(None).unwrap().method(), "client_secret_basic");
    let github = Profile::named("github").unwrap().provider().unwrap();
    assert_eq!(github.authentication(None).unwrap().method(), "none");
    assert!(
        Profile::named("apple").unwrap().provider().unwrap().authentication(Some(Secret::from("s"))).is_err()
    );
}

#[test]
fn a_profile_from_the_builder_and_one_from_toml_are_the_same() {
    let read = Profile::from_toml(
        "[acme]\ntoken_endpoint = 'https://{region}.acme.example/token'\nclient_authentication = 'client_secret_post'\n\
         scope_separator = ','\ntolerates = ['scope_array']\nrenames = { client_id = 'client_key' }\n\
         placeholders = { region = { kind = 'label', about = 'region', example = 'eu' } }",
    )
    .unwrap();
    let built = Profile::builder("acme")
        .placeholder(Placeholder::new("region", PlaceholderKind::Label, "eu"))
        .token_endpoint("https://{region}.acme.example/token")
        .client_authentication(AuthenticationMethod::ClientSecretPost)
        .requests(|requests| {
            requests.scope_separator = Some(',');
            requests.renamed.push(("client_id".into(), "client_key".into()));
        })
        .answers(|answers| {
            answers.scope_separator = Some(',');
            answers.tolerated.push(Warning::ScopeArray);
        })
        .title("")
        .build()
        .unwrap();
    assert_eq!(read.to_builder().title("").build().unwrap(), built);
    assert!(built.provider().is_err(), "the region is open");
}

// ----- The answers that jeton has to make something of ---------------------------------------------------------------------

fn options(profile: Option<&Profile>) -> ParseOptions {
    let mut options = ParseOptions::default();
    options.dialect = profile.map(|profile| Arc::new(profile.answers().clone()));
    options
}

/// Rows of the list of answers: what stands beside a good access token, the warnings without a profile, and the profiles with
/// which there are none.
const ROWS: &[(&str, &[&str], &[&str])] = &[
    (r#""token_type":"Bearer","expires_in":3600"#, &[], &[]),
    (r#""token_type":"BEARER","expires_in":null"#, &[], &[]),
    (r#""token_type":"bearer","expires_in":"3600""#, &["expires_in_string"], &["paypal"]),
    (r#""token_type":"bearer","expires_in":3599.5"#, &["expires_in_fraction"], &[]),
    (r#""token_type":"bearer","expires_in":"3599.5""#, &["expires_in_string", "expires_in_fraction"], &[]),
    (r#""token_type":"bearer","expires_in":false"#, &["expires_in_invalid"], &[]),
    (r#""token_type":"bearer","expires_in":{}"#, &["expires_in_invalid"], &[]),
    (r#""token_type":"bearer","expires_in":"zzz""#, &["expires_in_invalid"], &[]),
    (r#""token_type":"bearer","expires_in":0"#, &["expires_in_not_positive"], &["mailchimp"]),
    (r#""token_type":"bearer","expires_in":-5"#, &["expires_in_not_positive"], &[]),
    (r#""token_type":"bearer","expires_in":99999999999"#, &[], &[]),
    (
        r#""expires_in":3600"#,
        &["token_type_absent"],
        &["douban", "facebook", "linkedin", "shopify", "wechat", "weibo"],
    ),
    (
        r#""token_type":null"#,
        &["token_type_absent"],
        &["douban", "facebook", "linkedin", "shopify", "wechat", "weibo"],
    ),
    (r#""token_type":"bearer","scope":null"#, &[], &[]),
    (r#""token_type":"bearer","scope":["a","b"]"#, &["scope_array"], &["twitch"]),
    (r#""token_type":"bearer","scope":"a,b""#, &[], &[]),
    (r#""token_type":"bearer","scope":"""#, &["scope_empty"], &["github"]),
    (r#""token_type":"bearer","refresh_token":null"#, &[], &[]),
    (r#""token_type":"bearer","refresh_token":"""#, &["refresh_token_empty"], &[]),
];

fn codes(warnings: &[Warning]) -> Vec<&str> {
    warnings.iter().map(Warning::code).collect()
}

#[test]
fn each_row_of_the_list_of_answers_with_and_without_each_profile() {
    for (members, without, silenced_by) in ROWS {
        let body = format!(r#"{{"access_token":"t",{members}}}"#);
        let answer = Answer::new(200, JSON, body.as_bytes());
        let plain = TokenResponse::parse(&answer, &options(None)).unwrap();
        assert_eq!(codes(&plain.warnings), *without, "{members}");
        let mut silent = Vec::new();
        for profile in Catalog::built_in().iter() {
            let name = profile.name();
            let read = TokenResponse::parse(&answer, &options(Some(profile))).unwrap();
            if read.warnings.is_empty() {
                silent.push(name);
            }
            // A profile changes what is a warning, and never what is read, but for the scopes that it separates.
            assert_eq!(
                (&read.access_token, read.expires_in),
                (&plain.access_token, plain.expires_in),
                "{name}: {members}"
            );
            assert_eq!(read.refresh_token, plain.refresh_token, "{name}: {members}");
            let comma = profile.answers().scope_separator == Some(',') && members.contains("a,b");
            let scope = if comma { Some("a b".parse().unwrap()) } else { plain.scope.clone() };
            assert_eq!(read.scope, scope, "{name}: {members}");
            // Strict mode refuses what is a warning, and nothing else.
            let mut strict = options(Some(profile));
            strict.strict = true;
            assert_eq!(
                TokenResponse::parse(&answer, &strict).is_ok(),
                read.warnings.is_empty(),
                "{name}: {members}"
            );
        }
        if !without.is_empty() {
            assert_eq!(silent, *silenced_by, "{members}");
        }
    }
}

#[test]
fn what_is_refused_without_a_profile_is_refused_with_each() {
    let bodies = [
        r#"{"access_token":"t","token_type":"mac"}"#,
        r#"{"access_token":"t","token_type":"unknown"}"#,
        r#"{"access_token":null,"token_type":"bearer"}"#,
        r#"{"access_token":7,"token_type":"bearer"}"#,
        r#"{"access_token":"","token_type":"bearer"}"#,
        r#"{"access_token":"a\nb","token_type":"bearer"}"#,
        r#"{"token_type":"bearer"}"#,
        r#"{"access_token":"t","error":"invalid_grant"}"#,
        r#"{"error":"invalid_grant"}"#,
        "<html>502</html>",
        "",
        r#"{"access_token":"t","#,
        "[]",
    ];
    for body in bodies {
        for profile in Catalog::built_in().iter() {
            let error =
                TokenResponse::parse(&Answer::new(200, JSON, body.as_bytes()), &options(Some(profile)))
                    .expect_err(&format!("{}: {body}", profile.name()));
            let is_oauth = matches!(&error, AnswerError::OAuth(error) if error.code() == "invalid_grant");
            assert_eq!(is_oauth, body.contains("error"), "{}: {body}: {error}", profile.name());
        }
    }
}

#[test]
fn device_answers_with_and_without_a_profile() {
    let of = |members: &str| format!(r#"{{"device_code":"d","user_code":"U","expires_in":600,{members}}}"#);
    for (members, interval, warnings) in [
        (r#""verification_uri":"https://a.example""#, 5, &[][..]),
        (r#""verification_url":"https://a.example""#, 5, &["verification_url"]),
        (r#""verification_uri":"https://a.example","interval":"5""#, 5, &["interval_string"]),
    ] {
        let body = of(members);
        let answer = Answer::new(200, JSON, body.as_bytes());
        let read = DeviceAuthorizationResponse::parse(&answer, &options(None)).unwrap();
        assert_eq!((read.interval, codes(&read.warnings)), (interval, warnings.to_vec()), "{members}");
        let google = Profile::named("google").unwrap();
        let read = DeviceAuthorizationResponse::parse(&answer, &options(Some(&google))).unwrap();
        assert!(!read.warnings.contains(&Warning::VerificationUrl), "{members}");
        assert_eq!(read.interval, interval);
    }
}

// ----- Warnings name the profile -------------------------------------------------------------------------------------------

#[test]
fn a_warning_names_the_profile_of_its_server_or_all_that_expect_it() {
    let of = |warning: &Warning, url: &str| advice(warning, &Url::parse(url).unwrap());
    let github = "https://github.com/login/oauth/access_token";
    assert_eq!(of(&Warning::FormEncoded, github).unwrap(), "the provider profile `github` expects this");
    let elsewhere = of(&Warning::FormEncoded, "https://as.example/token").unwrap();
    assert_eq!(elsewhere, "the provider profiles `facebook`, `github` expect this");
    assert_eq!(of(&Warning::ByteOrderMark, github), None);
    // The shop's host is known by its end, and a host that only looks like it is not.
    let shop = of(&Warning::TokenTypeAbsent, "https://x.myshopify.com/admin/oauth/access_token").unwrap();
    assert_eq!(shop, "the provider profile `shopify` expects this");
    let other = of(&Warning::TokenTypeAbsent, "https://myshopify.com.evil.example/t").unwrap();
    assert!(other.contains("`weibo`"), "{other}");
}

#[test]
fn what_is_said_to_be_silenced_is() {
    // Each profile that claims to expect a warning is given an answer that has it, and says nothing.
    let bodies: &[(Warning, &str)] = &[
        (Warning::ExpiresInString, r#"{"access_token":"t","token_type":"bearer","expires_in":"1"}"#),
        (Warning::ExpiresInNotPositive, r#"{"access_token":"t","token_type":"bearer","expires_in":0}"#),
        (Warning::TokenTypeAbsent, r#"{"access_token":"t"}"#),
        (Warning::ScopeArray, r#"{"access_token":"t","token_type":"bearer","scope":["a"]}"#),
        (Warning::ScopeEmpty, r#"{"access_token":"t","token_type":"bearer","scope":""}"#),
        (Warning::FormEncoded, "access_token=t&token_type=bearer"),
        (Warning::ExpiresInAlias, "access_token=t&token_type=bearer&expires=1"),
    ];
    let mut seen = 0;
    for (warning, body) in bodies {
        for profile in Catalog::built_in().silencing(warning, None) {
            let read =
                TokenResponse::parse(&Answer::new(200, JSON, body.as_bytes()), &options(Some(profile)))
                    .unwrap();
            assert!(!read.warnings.contains(warning), "{}: {warning:?}", profile.name());
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen}");
}
