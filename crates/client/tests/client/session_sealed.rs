//! Sessions over a sealed store: everything works as over plain files, and a key that does not open the login is told before
//! anybody is asked to log in.
#![cfg(feature = "sealed")]

use crate::support::World;
use jeton_client::{ClientCredentials, Error, Recovery, SealedStore, SealingKey, StoreError};

#[tokio::test]
async fn a_session_lives_in_a_sealed_store_and_another_key_neither_reads_nor_replaces_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("sealed");
    let key = SealingKey::generate().unwrap();
    let world = World::over(SealedStore::with_key(&place, key.clone()), |builder| builder);
    {
        let (_client, session) = world.signed_in().await;
        world.expire();
        session.token().await.unwrap();
        assert_eq!(world.refresh_requests(), 1);
    }
    let file = std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path());
    let file = file.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "json")).unwrap();
    let before = std::fs::read(&file).unwrap();

    let stranger = SealedStore::with_key(&place, SealingKey::generate().unwrap());
    let client = world.builder().store(stranger).grant(ClientCredentials).build().unwrap();
    let session = client.session();
    let is_wrong_key = |error: &Error| matches!(error, Error::Store(error) if matches!(**error, StoreError::WrongSealingKey { .. }));
    for error in [
        session.token().await.unwrap_err(),
        session.refresh().await.unwrap_err(),
        session.log_in().await.unwrap_err(),
        session.log_out().await.unwrap_err(),
        client.accounts().await.unwrap_err(),
    ] {
        assert!(is_wrong_key(&error), "{error}");
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
    }
    // A person who logs in all the same is signed in, and told that it cannot be kept.
    world.log_in(&session).await;
    assert!(is_wrong_key(&session.persist_error().unwrap()));
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert_eq!(world.refresh_requests(), 1);
    assert_eq!(world.server.stats().grant("client_credentials").requests, 0);

    // Whoever has the key goes on.
    let client = world.builder().store(SealedStore::with_key(&place, key)).build().unwrap();
    world.expire();
    client.session().token().await.unwrap();
    world.assert_sound(&client.session()).await;
}
