//! The device authorization grant (RFC 8628), through the server's verification pages.

use std::sync::Arc;

use jeton_client::{DeviceCode, MemoryStore, Recovery, Session, TokenStore};
use jeton_tests::user_agent::UserAgent;

use crate::pages;
use crate::person::{Screen, person};
use crate::server::{SCOPE, Server, stored};
use crate::wire::Wire;

struct Device {
    session: Session,
    screen: Screen,
    wire: Wire,
    store: Arc<dyn TokenStore>,
}

fn device(server: &Server) -> Device {
    let (wire, store) = (Wire::new(), Arc::new(MemoryStore::new()) as Arc<dyn TokenStore>);
    let (person, screen) = person();
    let builder = server.builder("device").grant(DeviceCode::new()).scope(SCOPE).interaction(person);
    let client = builder.transport(wire.clone()).shared_store(store.clone()).build().unwrap();
    Device { session: client.session(), screen, wire, store }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn device_code_is_approved_at_the_complete_uri() {
    let server = Server::get();
    let Device { session, mut screen, wire, store } = device(&server);
    let elsewhere = async {
        let shown = screen.device_code().await;
        pages::approve_device(&UserAgent::new(), &shown, false, "alice").await;
    };
    let (token, ()) = tokio::join!(session.log_in(), elsewhere);
    let token = token.unwrap();
    assert_eq!(screen.ending().await, "Success");
    assert_eq!(token.scope(), Some(&SCOPE.parse().unwrap()));
    assert!(token.warnings().is_empty(), "an absent interval is nothing odd: {:?}", token.warnings());
    assert_eq!(server.who_am_i(&session).await["sub"], "alice");

    let before = stored(&store, &session).await.unwrap().refresh_token;
    assert!(before.is_some());
    assert_ne!(session.refresh().await.unwrap().secret(), token.secret());
    assert_ne!(stored(&store, &session).await.unwrap().refresh_token, before, "this server rotates");
    assert_eq!(server.who_am_i(&session).await["client_id"], "jeton-device");
    assert_eq!(wire.token_requests("refresh_token"), 1);
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn device_code_is_typed_in_by_somebody_who_takes_their_time() {
    let server = Server::get();
    let Device { session, mut screen, wire, .. } = device(&server);
    let elsewhere = async {
        let shown = screen.device_code().await;
        wire.until(|exchange| exchange.is_error("authorization_pending")).await;
        pages::approve_device(&UserAgent::new(), &shown, true, "bob").await;
    };
    let (token, ()) = tokio::join!(session.log_in(), elsewhere);
    token.unwrap();
    assert!(wire.token_requests("urn:ietf:params:oauth:grant-type:device_code") >= 2);
    assert_eq!(server.who_am_i(&session).await["sub"], "bob");
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn device_code_refused_by_the_person_is_told() {
    let server = Server::get();
    let Device { session, mut screen, wire, store } = device(&server);
    let elsewhere = async {
        let shown = screen.device_code().await;
        pages::refuse_device(&UserAgent::new(), &shown).await;
    };
    let (result, ()) = tokio::join!(session.log_in(), elsewhere);
    let error = result.unwrap_err();
    assert_eq!(error.oauth_error().map(|error| error.code()), Some("access_denied"), "{error}");
    assert_eq!(error.recovery(), Recovery::LogIn);
    assert!(screen.ending().await.starts_with("Denied"));
    assert_eq!(stored(&store, &session).await, None);
    // Nobody asks on.
    let last = wire.exchanges().pop().unwrap();
    assert!(last.parameter("device_code").is_some() && last.is_error("access_denied"), "{last:?}");
}
