//! The authorization code grant with PKCE (RFC 6749 section 4.1, RFC 7636, RFC 9207), through the server's own pages.

use std::sync::Arc;

use jeton_client::{
    AuthorizationCode, Error, GrantError, LoopbackRedirect, MemoryStore, PendingLogin, Recovery, TokenStore,
};
use jeton_models::AuthorizationResponseError;
use jeton_tests::user_agent::UserAgent;
use url::Url;

use crate::pages;
use crate::server::{SCOPE, Server, asking_for_consent, log_in, stored};
use crate::wire::Wire;

/// Where the web application's browsers are sent; nothing listens there.
const CALLBACK: &str = "https://app.example/callback";

/// A login through the loopback listener, from the first request to the API's answer.
async fn signs_in_through_the_listener(client: &str, authenticates_in_body: bool) {
    let server = Server::get();
    let (wire, store) = (Wire::new(), Arc::new(MemoryStore::new()) as Arc<dyn TokenStore>);
    let (builder, mut screen) = server.with_browser(client);
    let session = builder.transport(wire.clone()).shared_store(store.clone()).build().unwrap().session();
    assert!(session.token().await.unwrap_err().is_login_required());

    let visit = log_in(&session, &mut screen, &UserAgent::new(), "alice").await;
    assert_eq!(visit.prompts, ["login", "consent"]);
    assert_eq!(visit.page.url().host_str(), Some("127.0.0.1"));
    assert_eq!((visit.page.status(), visit.page.heading().as_deref()), (200, Some("You are signed in")));
    assert_eq!(screen.ending().await, "Success");

    let token = session.token().await.unwrap();
    assert_eq!(token.scope(), Some(&SCOPE.parse().unwrap()));
    assert!(token.extra().get_str("id_token").is_some(), "`openid` was asked for");
    assert!(token.warnings().is_empty(), "{:?}", token.warnings());
    assert!(stored(&store, &session).await.unwrap().refresh_token.is_some());
    let caller = server.who_am_i(&session).await;
    assert_eq!(caller["client_id"], server.client_id(client));
    assert_eq!(caller["sub"], "alice");
    assert_eq!(wire.token_requests("authorization_code"), 1);
    let request = wire.exchanges().into_iter().find(|e| e.parameter("code").is_some()).unwrap();
    assert_eq!(request.parameter("client_secret").is_some(), authenticates_in_body);
    assert!(request.parameter("code_verifier").is_some_and(|verifier| verifier.len() >= 43));

    let again = session.refresh().await.unwrap();
    assert_ne!(again.secret(), token.secret());
    assert_eq!(server.who_am_i(&session).await["sub"], "alice");
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn authorization_code_of_a_native_client() {
    signs_in_through_the_listener("native", false).await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn authorization_code_of_a_confidential_client_by_basic() {
    signs_in_through_the_listener("basic", false).await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn authorization_code_of_a_confidential_client_by_post() {
    signs_in_through_the_listener("post", true).await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn authorization_code_of_a_web_application_in_two_halves() {
    let server = Server::get();
    let client =
        || server.builder("web").scope(SCOPE).extra_parameters(asking_for_consent()).build().unwrap();

    let (url, pending) = client().session().begin_log_in(CALLBACK).await.unwrap();
    // The web application keeps it in the session of that browser, and may have been restarted meanwhile.
    let kept = serde_json::to_string(&pending).unwrap();
    drop(pending);
    let redirected = pages::redirected(&UserAgent::new(), &url, "bob").await;
    assert!(redirected.as_str().starts_with(CALLBACK), "{redirected}");

    let pending: PendingLogin = serde_json::from_str(&kept).unwrap();
    assert!(pending.matches(&redirected));
    let session = client().account("bob");
    session.finish_log_in(pending, &redirected).await.unwrap();
    let caller = server.who_am_i(&session).await;
    assert_eq!((&caller["client_id"], &caller["sub"]), (&"jeton-web".into(), &"bob".into()));
    session.refresh().await.unwrap();

    let error = session.finish_log_in(serde_json::from_str(&kept).unwrap(), &redirected).await.unwrap_err();
    assert!(matches!(&error, Error::Grant(e) if matches!(**e, GrantError::PendingLoginUsed)), "{error:?}");
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn authorization_code_redeemed_twice_ends_the_login() {
    let server = Server::get();
    let client =
        || server.builder("web").scope(SCOPE).extra_parameters(asking_for_consent()).build().unwrap();
    let session = client().session();
    let (url, pending) = session.begin_log_in(CALLBACK).await.unwrap();
    let kept = serde_json::to_string(&pending).unwrap();
    let redirected = pages::redirected(&UserAgent::new(), &url, "alice").await;
    session.finish_log_in(pending, &redirected).await.unwrap();
    server.who_am_i(&session).await;

    // Another process of the application that does not know that the pending login was used.
    let other = client().session();
    let error = other.finish_log_in(serde_json::from_str(&kept).unwrap(), &redirected).await.unwrap_err();
    assert_eq!(error.oauth_error().map(|error| error.code()), Some("invalid_grant"), "{error}");
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert!(other.token().await.unwrap_err().is_login_required());

    // The server takes that for theft, and so does jeton when it hears of it (RFC 6749 section 4.1.2).
    let error = session.get(&server.resource).send().await.unwrap_err();
    assert!(error.is_login_required(), "{error}");
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn authorization_code_refused_by_the_person_is_told() {
    let server = Server::get();
    for prompt in ["login", "consent"] {
        let store = Arc::new(MemoryStore::new()) as Arc<dyn TokenStore>;
        let (builder, mut screen) = server.with_browser("native");
        let session = builder.shared_store(store.clone()).build().unwrap().session();
        let browser = UserAgent::new();
        let in_the_browser = async {
            let page = browser.open(&screen.authorization_url().await).await.unwrap();
            let page = pages::cancel_at(&browser, prompt, page, "alice").await;
            browser.open(page.leads_to().expect("the redirect back to jeton")).await.unwrap()
        };
        let (result, page) = tokio::join!(session.log_in(), in_the_browser);

        let error = result.unwrap_err();
        let Error::Grant(grant_error) = &error else { panic!("{error:?}") };
        let GrantError::AuthorizationResponse(AuthorizationResponseError::Denied(response)) = &**grant_error
        else {
            panic!("{error:?}")
        };
        assert_eq!(response.error, "access_denied");
        assert_eq!(error.recovery(), Recovery::LogIn);
        for text in ["access_denied", "End-User aborted interaction", "log in again"] {
            assert!(error.to_string().contains(text), "{error}");
        }
        assert_eq!(page.heading().as_deref(), Some("The login was refused"));
        assert!(page.html().contains("End-User aborted interaction"), "{}", page.html());
        assert!(screen.ending().await.starts_with("Denied"));
        assert_eq!(stored(&store, &session).await, None);

        // Refusing once is not refusing for ever: the same session signs in through the same browser.
        log_in(&session, &mut screen, &browser, "alice").await;
        assert_eq!(server.who_am_i(&session).await["sub"], "alice");
    }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn authorization_code_refused_to_a_web_application_is_told() {
    let server = Server::get();
    let session = server.builder("web").build().unwrap().session();
    let browser = UserAgent::new();
    let (url, pending) = session.begin_log_in(CALLBACK).await.unwrap();
    let page = pages::cancel_at(&browser, "login", browser.open(&url).await.unwrap(), "alice").await;
    let redirected = page.leads_to().unwrap();
    assert!(redirected.query_pairs().any(|(name, value)| name == "error" && value == "access_denied"));
    let error = session.finish_log_in(pending, redirected).await.unwrap_err();
    assert!(error.to_string().contains("access_denied"), "{error}");
    assert_eq!(error.recovery(), Recovery::LogIn);
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn authorization_code_of_another_issuer_or_login_is_rejected() {
    type Expected = fn(&AuthorizationResponseError) -> bool;
    let tampered: [(&str, Option<&str>, Expected); 5] = [
        ("iss", Some("https://evil.example"), |e| {
            matches!(e, AuthorizationResponseError::IssuerMismatch { .. })
        }),
        ("iss", Some("{issuer}/"), |e| matches!(e, AuthorizationResponseError::IssuerMismatch { .. })),
        ("iss", None, |e| matches!(e, AuthorizationResponseError::IssuerAbsent { .. })),
        ("state", Some("somebody-else's"), |e| matches!(e, AuthorizationResponseError::StateMismatch)),
        ("state", None, |e| matches!(e, AuthorizationResponseError::StateAbsent)),
    ];
    let server = Server::get();
    let wire = Wire::new();
    let builder = server.builder("web").transport(wire.clone()).extra_parameters(asking_for_consent());
    let session = builder.scope(SCOPE).build().unwrap().session();
    let browser = UserAgent::new();
    for (name, value, is_expected) in tampered {
        let (url, pending) = session.begin_log_in(CALLBACK).await.unwrap();
        let genuine = pages::redirected(&browser, &url, "alice").await;
        assert_eq!(parameter(&genuine, "iss").as_deref(), Some(server.issuer.as_str()));
        let value = value.map(|value| value.replace("{issuer}", &server.issuer));
        let redirected = with_parameter(&genuine, name, value.as_deref());
        let error = session.finish_log_in(pending, &redirected).await.unwrap_err();
        let Error::Grant(error) = &error else { panic!("{error:?}") };
        let GrantError::AuthorizationResponse(error) = &**error else { panic!("{error:?}") };
        assert!(is_expected(error), "{name}={value:?}: {error:?}");
    }
    assert_eq!(wire.token_requests("authorization_code"), 0, "no code goes anywhere");

    // As the server sent it, it is taken.
    let (url, pending) = session.begin_log_in(CALLBACK).await.unwrap();
    let genuine = pages::redirected(&browser, &url, "alice").await;
    session.finish_log_in(pending, &genuine).await.unwrap();
    assert_eq!(wire.token_requests("authorization_code"), 1);
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
}

/// The URL with another value of that parameter, or without it.
fn with_parameter(url: &Url, name: &str, value: Option<&str>) -> Url {
    let others = url.query_pairs().filter(|(own, _)| own != name);
    let mut changed = url.clone();
    changed.query_pairs_mut().clear().extend_pairs(others).extend_pairs(value.map(|value| (name, value)));
    changed
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn authorization_code_of_two_people_makes_two_logins() {
    let server = Server::get();
    let (builder, mut screen) = server.with_browser("native");
    let client = builder.build().unwrap();
    for person in ["alice", "bob"] {
        log_in(&client.account(person), &mut screen, &UserAgent::new(), person).await;
        screen.ending().await;
    }
    for person in ["alice", "bob"] {
        let session = client.account(person);
        session.refresh().await.unwrap();
        assert_eq!(server.who_am_i(&session).await["sub"], person);
    }
    assert_eq!(client.accounts().await.unwrap(), ["alice", "bob"]);
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn authorization_code_of_a_known_browser_skips_the_login_page() {
    let server = Server::get();
    let (builder, mut screen) = server.with_browser("native");
    let session = builder.build().unwrap().session();
    let browser = UserAgent::new();
    log_in(&session, &mut screen, &browser, "alice").await;
    screen.ending().await;
    assert!(browser.cookies_for(&Url::parse(&server.issuer).unwrap()).contains(&"_session".to_owned()));

    let first = session.token().await.unwrap();
    let visit = log_in(&session, &mut screen, &browser, "nobody is asked").await;
    assert_eq!(visit.prompts, ["consent"]);
    assert_ne!(
        session.token().await.unwrap().secret(),
        first.secret(),
        "a new login takes the old one's place"
    );
    assert_eq!(server.who_am_i(&session).await["sub"], "alice");
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn authorization_code_for_an_unregistered_redirect_uri_never_leaves_the_server() {
    let server = Server::get();
    let grant = AuthorizationCode::new(LoopbackRedirect::new().path("/not/registered"));
    let (builder, mut screen) = server.with_browser("native");
    let session = builder.grant(grant).build().unwrap().session();
    let browser = UserAgent::new();
    let (page, url) = {
        let log_in = session.log_in();
        let see = async {
            let url = screen.authorization_url().await;
            (browser.open(&url).await.unwrap(), url)
        };
        // The person sees an error page, and gives up: the program drops the login.
        tokio::select! {
            result = log_in => panic!("the login ended by itself: {result:?}"),
            seen = see => seen,
        }
    };
    assert_eq!((page.status(), page.leads_to()), (400, None), "{page:?}");
    assert!(page.html().contains("redirect_uri"), "{}", page.html());
    // The listener went with the login.
    let redirect_uri = Url::parse(&parameter(&url, "redirect_uri").unwrap()).unwrap();
    let begun = std::time::Instant::now();
    while browser.open(&redirect_uri).await.is_ok() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "the listener is still there");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
