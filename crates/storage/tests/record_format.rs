//! The record format: version 1 stands in golden files that no later version may fail to read; what is unknown
//! survives; what is damaged, newer or another's is told apart; no message shows a secret.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jeton_models::{Secret, Token, Warning};
use jeton_storage::{
    LoginKey, LoginRecord, LoginStatus, RecordError, RefreshHold, StoreError, StoredToken, TokenTarget,
    unix_ms,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const GOLDEN: &str = include_str!("golden/login-v1.json");
const GOLDEN_ENDED: &str = include_str!("golden/login-v1-ended.json");
const GOLDEN_DPOP: &str = include_str!("golden/login-v1-dpop.json");
const GOLDEN_ID_TOKEN: &str = include_str!("golden/login-v1-id-token.json");
const GOLDEN_REGISTRATION: &str = include_str!("golden/registration-v1.json");
const GOLDEN_HELD: &str = include_str!("golden/login-v1-held.json");

fn key() -> LoginKey {
    LoginKey::new(&"https://as.example/tenant".parse().unwrap(), "my-client").with_account("work")
}

fn at(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

fn golden_record() -> LoginRecord {
    let mut record = LoginRecord::new(key(), at(1_700_000_000_123));
    record.generation = 7;
    record.updated_at_ms = 1_700_003_600_456;
    record.scope = Some("openid offline_access read".parse().unwrap());
    record.set_refresh_token(Secret::from("r3fr3sh-Ω"), at(1_700_003_600_456));
    let mut token = Token::new(Secret::from("acc3ss"));
    token.expires_in = Some(3_600);
    token.scope = Some("read".parse().unwrap());
    token.warnings = vec![Warning::ExpiresInString];
    token.extra.insert("id_token", "e30.e30.");
    let target = TokenTarget {
        resource: Some("https://api.example/".to_owned()),
        scope: Some("read".parse().unwrap()),
    };
    record.set_token(StoredToken::new(&token, target, at(1_700_003_600_456)));
    let plain = Token::new(Secret::from("pl4in"));
    record.set_token(StoredToken::new(&plain, TokenTarget::default(), at(1_700_000_000_123)));
    record
}

/// The golden record with a change.
fn golden_with(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut json: Value = serde_json::from_str(GOLDEN).unwrap();
    change(&mut json);
    serde_json::to_vec(&json).unwrap()
}

fn rewritten(json: &[u8]) -> Value {
    let record = LoginRecord::from_json(json, &key()).unwrap();
    serde_json::from_slice(&record.to_json()).unwrap()
}

#[test]
fn version_1_is_read_and_written_to_the_byte() {
    let record = golden_record();
    assert_eq!(LoginRecord::from_json(GOLDEN.as_bytes(), &key()).unwrap(), record);
    assert_eq!(std::str::from_utf8(&record.to_json()).unwrap(), GOLDEN);

    let ended_key = LoginKey::new(&"https://as.example".parse().unwrap(), "my-client");
    let ended = LoginRecord::from_json(GOLDEN_ENDED.as_bytes(), &ended_key).unwrap();
    assert!(!ended.is_live());
    let reason = "invalid_grant: the refresh token was revoked".to_owned();
    assert_eq!(ended.status, LoginStatus::Ended { reason, at_ms: 1_700_003_600_456 });
    assert_eq!(ended.refresh_token, None);

    let mut held = LoginRecord::new(ended_key.clone(), at(1_700_000_000_123));
    held.set_refresh_token(Secret::from("r3fr3sh"), at(1_700_000_000_123));
    let mut hold = RefreshHold::new(1_700_003_600_456, "429 too_many");
    hold.asked_until_ms = Some(1_700_003_630_456);
    held.refresh_hold = Some(hold);
    assert_eq!(LoginRecord::from_json(GOLDEN_HELD.as_bytes(), &ended_key).unwrap(), held);
    assert_eq!(std::str::from_utf8(&held.to_json()).unwrap(), GOLDEN_HELD);

    let mut known = LoginRecord::new(ended_key.clone(), at(1_700_000_000_123));
    known.id_token = Some(Secret::from("eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmVk"));
    assert_eq!(LoginRecord::from_json(GOLDEN_ID_TOKEN.as_bytes(), &ended_key).unwrap(), known);
    assert_eq!(std::str::from_utf8(&known.to_json()).unwrap(), GOLDEN_ID_TOKEN);
    assert!(!format!("{known:?}").contains("eyJ"));

    // Which member of the status comes first depends on a feature of serde_json, and does not matter.
    let again: Value = serde_json::from_slice(&ended.to_json()).unwrap();
    assert_eq!(again, serde_json::from_str::<Value>(GOLDEN_ENDED).unwrap());
}

#[test]
fn what_a_later_version_wrote_survives_a_rewrite_at_every_level() {
    let later = golden_with(|json| {
        json["binding"] = json!({ "jkt": "0ZcOCORZNYy", "key": { "kty": "OKP" } });
        json["key"]["tenant"] = json!(5);
        json["status"]["since"] = json!([1, 2]);
        json["tokens"][0]["jkt"] = json!("x");
        json["tokens"][0]["warnings"] = json!(["from_the_future"]);
        json["tokens"].as_array_mut().unwrap().extend([
            json!({"access_token":"d","token_type":"future","target":{"scope":"read"},"received_at_ms":1,"k":{"n":null}}),
            json!({"access_token":"a","token_type":"N_A","target":{"scope":"read"},"received_at_ms":1}),
            json!({"access_token":"n","token_type":"Bearer","target":{"scope":"read","details":[{"type":"pay"}]},
                   "received_at_ms":1}),
        ]);
    });
    let original: Value = serde_json::from_slice(&later).unwrap();
    assert_eq!(rewritten(&later), original);

    // The tokens that this version cannot present, or whose target it cannot compare, are not offered.
    let mut record = LoginRecord::from_json(&later, &key()).unwrap();
    assert_eq!(record.tokens.len(), 2);
    let read = TokenTarget { scope: Some("read".parse().unwrap()), ..TokenTarget::default() };
    assert!(record.token(&read).is_none());

    // A refresh in this version keeps them.
    record.set_refresh_token(Secret::from("next"), at(1_700_009_000_000));
    record.set_token(StoredToken::new(&Token::new(Secret::from("fresh")), read, at(1_700_009_000_000)));
    let refreshed: Value = serde_json::from_slice(&record.to_json()).unwrap();
    assert_eq!(refreshed["tokens"].as_array().unwrap().len(), 6);
    assert_eq!(refreshed["tokens"].as_array().unwrap()[3..], original["tokens"].as_array().unwrap()[2..]);
    assert_eq!(refreshed["binding"], original["binding"]);

    record.clear_tokens();
    let cleared: Value = serde_json::from_slice(&record.to_json()).unwrap();
    assert_eq!(cleared["tokens"], json!([]));
}

#[test]
fn an_unknown_state_is_not_usable_and_survives() {
    let later =
        golden_with(|json| json["status"] = json!({"state":"paused","until_ms":5,"reason":{"code":1}}));
    let mut record = LoginRecord::from_json(&later, &key()).unwrap();
    assert!(!record.is_live());
    assert_eq!(record.status, LoginStatus::Unknown { state: "paused".to_owned() });
    assert_eq!(rewritten(&later)["status"], json!({"state":"paused","until_ms":5,"reason":{"code":1}}));

    // Its members are its own: they do not follow into another state.
    record.status = LoginStatus::Ended { reason: "invalid_grant".to_owned(), at_ms: 9 };
    let ended: Value = serde_json::from_slice(&record.to_json()).unwrap();
    assert_eq!(ended["status"], json!({"state":"ended","reason":"invalid_grant","at_ms":9}));
}

#[test]
fn newer_is_neither_damaged_nor_readable() {
    for newer in [
        golden_with(|json| json["version"] = json!(2)),
        // Of a later version nothing but the head need be as it is now.
        br#"{"format":"jeton-login","version":2,"everything":"else"}"#.to_vec(),
        golden_with(|json| json["critical"] = json!(["binding"])),
        golden_with(|json| json["format"] = json!("jeton-sealed-login")),
    ] {
        let error = LoginRecord::from_json(&newer, &key()).unwrap_err();
        assert!(matches!(error, RecordError::NewerFormat { .. }), "{error:?}");
        assert!(error.to_string().contains("newer jeton"), "{error}");
        assert!(matches!(LoginRecord::key_in_json(&newer), Err(RecordError::NewerFormat { .. })));
    }
    // The name is out of a file: it neither garbles a terminal nor turns a text around.
    let odd = golden_with(|json| json["critical"] = json!(["\u{1b}[2J\u{202e}binding"]));
    let error = LoginRecord::from_json(&odd, &key()).unwrap_err().to_string();
    assert!(error.contains("`[2Jbinding`"), "{error}");
    // Nothing critical is nothing to refuse.
    assert!(LoginRecord::from_json(&golden_with(|json| json["critical"] = json!([])), &key()).is_ok());
}

#[test]
fn a25_a_record_has_the_key_that_its_tokens_are_bound_to_and_no_older_jeton_uses_it_without() {
    let key = LoginKey::new(&"https://as.example".parse().unwrap(), "my-client");
    let mut bound = LoginRecord::new(key.clone(), at(1_700_000_000_123));
    bound.set_refresh_token(Secret::from("r3fr3sh"), at(1_700_000_000_123));
    bound.dpop_key = Some(Secret::from(r#"{"kty":"EC","crv":"P-256","x":"X","y":"Y","d":"pr1vate"}"#));
    let mut token = Token::new(Secret::from("acc3ss"));
    token.token_type = jeton_models::TokenType::DPoP;
    bound.set_token(StoredToken::new(&token, TokenTarget::default(), at(1_700_000_000_123)));
    let read = LoginRecord::from_json(GOLDEN_DPOP.as_bytes(), &key).unwrap();
    assert_eq!(read, bound);
    assert_eq!(std::str::from_utf8(&bound.to_json()).unwrap(), GOLDEN_DPOP);
    assert!(!format!("{read:?}").contains("pr1vate"));

    // What makes an older jeton leave it alone stands in it as long as the key does.
    let json: Value = serde_json::from_str(GOLDEN_DPOP).unwrap();
    assert_eq!(json["critical"], json!(["dpop_key"]));
    bound.dpop_key = None;
    let json: Value = serde_json::from_slice(&bound.to_json()).unwrap();
    assert_eq!((json.get("critical"), json.get("dpop_key")), (None, None));

    // A key that was cut out is told before the refresh token goes out without it.
    let cut = GOLDEN_DPOP.replace("\"dpop_key\":\"{", "\"dpop_kez\":\"{");
    let error = LoginRecord::from_json(cut.as_bytes(), &key).unwrap_err();
    assert!(matches!(&error, RecordError::Damaged { what } if what.contains("dpop_key")), "{error}");
    assert!(!error.to_string().contains("pr1vate"));
    // Beside a member that this version does not know, the one that it knows does not make the record readable.
    let newer = GOLDEN_DPOP.replace(r#"["dpop_key"]"#, r#"["dpop_key","binding"]"#);
    let error = LoginRecord::from_json(newer.as_bytes(), &key).unwrap_err();
    assert!(matches!(&error, RecordError::NewerFormat { found } if found.contains("binding")), "{error}");
    // A key that is no text is none.
    let odd = GOLDEN_DPOP.replace(r#""{\"kty"#, r#"5,"x":"{\"kty"#);
    assert!(matches!(LoginRecord::from_json(odd.as_bytes(), &key), Err(RecordError::Damaged { .. })));
}

#[test]
fn a11_a_registration_is_a_record_that_no_older_jeton_touches() {
    let key = LoginKey::registration(&"https://as.example".parse().unwrap(), "my-app");
    let mut record = LoginRecord::new(key.clone(), at(1_700_000_000_123));
    record.registration = Some(Secret::from(r#"{"client_id":"c","client_secret":"s3cr3t"}"#));
    assert_eq!(LoginRecord::from_json(GOLDEN_REGISTRATION.as_bytes(), &key).unwrap(), record);
    assert_eq!(std::str::from_utf8(&record.to_json()).unwrap(), GOLDEN_REGISTRATION);
    assert!(!format!("{record:?}").contains("s3cr3t"));

    let json: Value = serde_json::from_str(GOLDEN_REGISTRATION).unwrap();
    assert_eq!(json["critical"], json!(["registration"]));
    // Another server's registration is not taken for this one's.
    let elsewhere = LoginKey::registration(&"https://other.example".parse().unwrap(), "my-app");
    let error = LoginRecord::from_json(GOLDEN_REGISTRATION.as_bytes(), &elsewhere).unwrap_err();
    assert!(matches!(error, RecordError::WrongKey { .. }), "{error}");
    let cut = GOLDEN_REGISTRATION.replace("\"registration\":\"{", "\"registratiom\":\"{");
    let error = LoginRecord::from_json(cut.as_bytes(), &key).unwrap_err();
    assert!(matches!(&error, RecordError::Damaged { what } if what.contains("registration")), "{error}");

    record.dpop_key = Some(Secret::from("{}"));
    let json: Value = serde_json::from_slice(&record.to_json()).unwrap();
    assert_eq!(json["critical"], json!(["dpop_key", "registration"]));
}

#[test]
fn the_record_of_another_login_is_refused() {
    let other = key().with_account("home");
    match LoginRecord::from_json(GOLDEN.as_bytes(), &other) {
        Err(RecordError::WrongKey { expected, found }) => assert_eq!((*expected, *found), (other, key())),
        other => panic!("{other:?}"),
    }
    assert_eq!(LoginRecord::key_in_json(GOLDEN.as_bytes()).unwrap(), key());
}

#[test]
fn the_damaged_is_told_without_its_secrets() {
    let mut damaged: Vec<Vec<u8>> = vec![
        Vec::new(),
        b" \n".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        vec![0; 4_096],
        [GOLDEN.as_bytes(), b"}"].concat(),
        [GOLDEN.as_bytes(), b"\0\0"].concat(),
        [GOLDEN.as_bytes(), GOLDEN.as_bytes()].concat(),
        GOLDEN.replace("jeton-login", "another-program").into_bytes(),
        GOLDEN.replace("\"version\":1", "\"version\":0").into_bytes(),
        GOLDEN.replace("\"generation\":7", "\"generation\":7,\"generation\":8").into_bytes(),
    ];
    for cut in (0..GOLDEN.len()).step_by(7) {
        damaged.push(GOLDEN.as_bytes()[..cut].to_vec());
    }
    for member in [
        "format",
        "version",
        "key",
        "status",
        "generation",
        "created_at_ms",
        "updated_at_ms",
        "scope",
        "refresh_token",
        "refresh_token_received_at_ms",
        "tokens",
    ] {
        damaged.push(golden_with(|json| json[member] = json!({ "wrong": "r3fr3sh-Ω" })));
        damaged.push(golden_with(|json| json[member] = json!(-1)));
        if !["scope", "refresh_token", "refresh_token_received_at_ms"].contains(&member) {
            damaged.push(golden_with(|json| drop(json.as_object_mut().unwrap().remove(member))));
        }
    }
    for (pointer, value) in [
        ("/generation", json!("r3fr3sh-Ω")),
        ("/tokens/0/expires_at_ms", json!("acc3ss")),
        ("/tokens/0/access_token", json!(["acc3ss"])),
        ("/tokens/0/target", json!("acc3ss")),
        ("/tokens/1/target", json!({"resource":"https://api.example/","scope":"read"})),
        ("/key/issuer", json!("acc3ss")),
        ("/status", json!({"state":"ended"})),
    ] {
        damaged.push(golden_with(|json| *json.pointer_mut(pointer).unwrap() = value));
    }
    for json in damaged {
        let error = match LoginRecord::from_json(&json, &key()) {
            Err(error @ RecordError::Damaged { .. }) => error,
            other => panic!("{}: {other:?}", String::from_utf8_lossy(&json)),
        };
        let text = format!("{error} {error:?} {}", StoreError::from_record(error.clone(), "/place"));
        assert!(!text.contains("acc3ss") && !text.contains("r3fr3sh"), "{text}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let mut record = golden_record();
    record.tokens[0].extra.insert("nested", json!({"t": "n3sted"}));
    let later = golden_with(|json| {
        json["binding"] = json!("b1nding");
        json["status"]["x"] = json!("st4tus");
        json["tokens"][0]["token_type"] = json!("future");
    });
    let shown = format!("{record:?} {:?}", LoginRecord::from_json(&later, &key()).unwrap());
    for secret in ["r3fr3sh", "acc3ss", "pl4in", "e30", "n3sted", "b1nding", "st4tus"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn an_extra_member_too_deep_to_be_read_again_is_left_out_and_told() {
    let deep = |depth: usize| (0..depth).fold(json!(1), |value, _| json!([value]));
    let mut record = golden_record();
    record.tokens[0].extra.insert("deep", deep(100));
    assert_eq!(LoginRecord::from_json(&record.to_json(), &key()).unwrap(), record);
    record.tokens[0].extra.insert("too_deep", deep(124));
    let read = LoginRecord::from_json(&record.to_json(), &key()).unwrap();
    assert_eq!(read.tokens[0].extra.get("deep"), Some(&deep(100)));
    assert_eq!(read.tokens[0].extra.get("too_deep"), None);
    assert!(read.tokens[0].warnings.iter().any(|warning| warning.code() == "extra_member_too_deep"));
}

#[test]
fn tokens_are_kept_by_target() {
    let mut record = LoginRecord::new(key(), at(0));
    let target = |scope: &str| TokenTarget { scope: Some(scope.parse().unwrap()), ..TokenTarget::default() };
    let token = |text: &str, target| StoredToken::new(&Token::new(Secret::from(text)), target, at(0));
    assert!(record.set_token(token("1", target("a b"))).is_none());
    assert!(record.set_token(token("2", target("a"))).is_none());
    let replaced = record.set_token(token("3", target("b a"))).unwrap();
    assert_eq!(replaced.access_token.expose(), "1");
    assert_eq!(record.token(&target("a b")).unwrap().access_token.expose(), "3");
    assert_eq!(record.remove_token(&target("a b")).unwrap().access_token.expose(), "3");
    assert!(record.remove_token(&target("a b")).is_none());
    assert_eq!(record.tokens.len(), 1);
}

/// Any JSON whose numbers are integers: the fractions that JSON keeps to the last bit are not our affair.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn any_scope() -> impl Strategy<Value = Option<jeton_models::Scope>> {
    prop::option::of(prop::collection::vec("[!#-\\[\\]-~]{1,6}", 1..4))
        .prop_map(|names| names.map(|names| jeton_models::Scope::from_names(names).unwrap()))
}

prop_compose! {
    fn any_token()(
        text in any::<String>(),
        resource in prop::option::of(any::<String>()),
        scope in any_scope(),
        granted in any_scope(),
        expires_in in prop::option::of(any::<u64>()),
        expires_at in prop::option::of(any::<u64>()),
        received in 0..4_000_000_000_000_u64,
        warnings in prop::collection::vec("[a-z_]{1,20}", 0..3),
        extra in prop::collection::btree_map(any::<String>(), any_json(), 0..4),
    ) -> StoredToken {
        let mut token = Token::new(Secret::new(text));
        token.scope = granted;
        token.expires_in = expires_in;
        token.expires_at = expires_at;
        token.warnings = warnings.iter().map(|code| Warning::from_code(code)).collect();
        for (name, value) in extra {
            token.extra.insert(name, value);
        }
        StoredToken::new(&token, TokenTarget { resource, scope }, at(received))
    }
}

prop_compose! {
    fn any_record()(
        client in any::<String>(),
        account in any::<String>(),
        refresh in prop::option::of(any::<String>()),
        dpop_key in prop::option::of(any::<String>()),
        id_token in prop::option::of(any::<String>()),
        registration in prop::option::of(any::<String>()),
        scope in any_scope(),
        tokens in prop::collection::vec(any_token(), 0..5),
        ended in prop::option::of((any::<String>(), any::<u64>())),
        generation in any::<u64>(),
        created in 0..4_000_000_000_000_u64,
        updated in any::<u64>(),
    ) -> LoginRecord {
        let key = LoginKey::new(&"https://as.example".parse().unwrap(), client).with_account(account);
        let mut record = LoginRecord::new(key, at(created));
        if let Some(refresh) = refresh {
            record.set_refresh_token(Secret::new(refresh), at(created));
        }
        record.dpop_key = dpop_key.map(Secret::new);
        record.id_token = id_token.map(Secret::new);
        record.registration = registration.map(Secret::new);
        record.scope = scope;
        for token in tokens {
            record.set_token(token);
        }
        if let Some((reason, at_ms)) = ended {
            record.status = LoginStatus::Ended { reason, at_ms };
        }
        record.generation = generation;
        record.updated_at_ms = updated;
        record
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_record_comes_back_as_it_was(record in any_record()) {
        let json = record.to_json();
        let read = LoginRecord::from_json(&json, &record.key).unwrap();
        prop_assert_eq!(&read, &record);
        prop_assert_eq!(&*read.to_json(), &*json);
        prop_assert_eq!(json.len(), json.capacity(), "the buffer never grew, so no copy was left behind");
    }

    #[test]
    fn any_unknown_members_survive(
        record in any_record(),
        members in prop::collection::btree_map("[A-Z][a-z]{0,8}", any_json(), 1..5),
    ) {
        let mut json: Value = serde_json::from_slice(&record.to_json()).unwrap();
        let pointers = ["", "/key", "/status", "/tokens/0", "/tokens/0/target", "/tokens/1"];
        for object in pointers {
            if let Some(Value::Object(object)) = json.pointer_mut(object) {
                object.extend(members.clone());
            }
        }
        let read = LoginRecord::from_json(&serde_json::to_vec(&json).unwrap(), &record.key).unwrap();
        let mut again: Value = serde_json::from_slice(&read.to_json()).unwrap();
        // A token whose target has unknown members is put behind the others.
        for json in [&mut json, &mut again] {
            json["tokens"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
        }
        prop_assert_eq!(again, json);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(LoginRecord::from_json(&bytes, &key()).is_err());
    }

    #[test]
    fn no_flipped_byte_makes_another_login(position in 0..GOLDEN.len(), byte in any::<u8>()) {
        let mut json = GOLDEN.as_bytes().to_vec();
        json[position] = byte;
        if let Ok(record) = LoginRecord::from_json(&json, &key()) {
            prop_assert_eq!(record.key, key());
        }
    }
}

#[test]
fn unix_time_is_in_milliseconds() {
    assert_eq!(unix_ms(at(1_700_000_000_123)), 1_700_000_000_123);
}

#[test]
fn a_hold_goes_with_its_refresh_token_and_with_a_clock_that_was_set_back() {
    let mut hold = RefreshHold::new(1_000, "the connection broke");
    assert_eq!(hold.remaining(1_000), None, "no reason to wait");
    hold.spared_until_ms = Some(5_000);
    assert_eq!(hold.remaining_as_asked(1_000), None);
    hold.asked_until_ms = Some(3_000);
    assert_eq!(hold.remaining_as_asked(1_000), Some(Duration::from_secs(2)));
    assert_eq!(hold.remaining_as_asked(3_000), None);
    assert_eq!(hold.remaining(1_000), Some(Duration::from_secs(4)));
    assert_eq!(hold.remaining(4_999), Some(Duration::from_millis(1)));
    assert_eq!(hold.remaining(5_000), None, "it is over");
    assert_eq!(hold.remaining(999), None, "the clock was set back");

    let mut record = golden_record();
    record.refresh_hold = Some(hold);
    record.set_refresh_token(Secret::from("another"), at(2_000));
    assert_eq!(record.refresh_hold, None);

    for bad in [json!("soon"), json!({"since_ms":1,"asked_until_ms":2}), json!({"since_ms":-1,"reason":""})] {
        let damaged = golden_with(|json| json["refresh_hold"] = bad.clone());
        let error = LoginRecord::from_json(&damaged, &key()).unwrap_err();
        assert!(matches!(error, RecordError::Damaged { .. }), "{bad}: {error}");
    }
}
