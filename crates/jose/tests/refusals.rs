//! What is not taken: tampered, unsigned, confused, malformed and oversized JWTs, weak and foreign keys.
// Tests may unwrap: a failure is what they are there to show.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jeton_jose::{
    Claims, Jwk, JwkSet, JwsAlgorithm, JwtError, JwtHeader, KeyError, SignError, Signer, SigningKey,
    UnverifiedJwt, VerifiedJwt, sign_jwt,
};
use jeton_models::Secret;
use serde_json::json;

const ALGORITHMS: [JwsAlgorithm; 4] =
    [JwsAlgorithm::Es256, JwsAlgorithm::Es384, JwsAlgorithm::EdDsa, JwsAlgorithm::Ed25519];

fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn keys(of: &SigningKey) -> JwkSet {
    of.public_jwk().cloned().into_iter().collect()
}

async fn jwt_of(key: &SigningKey) -> String {
    let jwt = sign_jwt(key, JwtHeader::default(), &Claims::new().with("sub", "alice")).await.unwrap();
    jwt.expose().to_owned()
}

fn verify(jwt: &str, keys: &JwkSet) -> Result<VerifiedJwt, JwtError> {
    UnverifiedJwt::parse(jwt)?.verify(keys, JwsAlgorithm::ASYMMETRIC)
}

#[tokio::test]
async fn each_character_counts() {
    for algorithm in ALGORITHMS {
        let key = SigningKey::generate(algorithm).unwrap();
        let (jwt, keys) = (jwt_of(&key).await, keys(&key));
        assert!(verify(&jwt, &keys).is_ok());
        for place in 0..jwt.len() {
            let mut bytes = jwt.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(bytes).unwrap();
            assert!(verify(&tampered, &keys).is_err(), "{algorithm}, character {place}");
        }
        for cut in 0..jwt.len() {
            assert!(verify(&jwt[..cut], &keys).is_err(), "{algorithm}, {cut} characters");
        }
    }
}

#[tokio::test]
async fn parts_do_not_mix() {
    let key = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let one = jwt_of(&key).await;
    let two = sign_jwt(&key, JwtHeader::default(), &Claims::new().with("sub", "bob")).await.unwrap();
    let (one, two): (Vec<&str>, Vec<&str>) = (one.split('.').collect(), two.expose().split('.').collect());
    let mixed = [one[0], two[1], one[2]].join(".");
    assert_eq!(verify(&mixed, &keys(&key)).unwrap_err(), JwtError::Signature { key_id: None });
}

#[test]
fn none_is_never_an_algorithm() {
    let set = JwkSet::default();
    for name in ["none", "None", "NONE", "nOnE"] {
        for signature in ["", "AA"] {
            let jwt = format!("{}.{}.{signature}", encode(json!({"alg": name}).to_string()), encode("{}"));
            assert_eq!(verify(&jwt, &set).unwrap_err(), JwtError::Unsigned, "{name}");
        }
        assert!(name.parse::<JwsAlgorithm>().is_err());
    }
    // An empty signature under a real algorithm.
    let key = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let jwt = format!("{}.{}.", encode(r#"{"alg":"ES256"}"#), encode("{}"));
    assert_eq!(verify(&jwt, &keys(&key)).unwrap_err(), JwtError::Signature { key_id: None });
}

#[tokio::test]
async fn a_public_key_is_no_shared_secret() {
    let victim = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let public = serde_json::to_string(victim.public_jwk().unwrap()).unwrap();
    let forged =
        jwt_of(&SigningKey::from_secret(&Secret::from(public.clone()), JwsAlgorithm::Hs256).unwrap()).await;
    let everything = JwsAlgorithm::ALL;
    let refused = JwtError::Algorithm { algorithm: "HS256".into() };
    let jwt = UnverifiedJwt::parse(&forged).unwrap();
    assert_eq!(jwt.verify(&keys(&victim), everything).unwrap_err(), refused);
    assert_eq!(jwt.verify_with_secret(&public.into(), &[JwsAlgorithm::Es256]).unwrap_err(), refused);
    // Nor the other way round.
    let jwt = jwt_of(&victim).await;
    let jwt = UnverifiedJwt::parse(&jwt).unwrap();
    let error = jwt.verify_with_secret(&"x".repeat(32).into(), everything).unwrap_err();
    assert_eq!(error, JwtError::Algorithm { algorithm: "ES256".into() });
    // A set that holds the secret itself has no key in it.
    assert!(JwkSet::parse(br#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#).unwrap().keys().is_empty());
}

#[tokio::test]
async fn a_key_verifies_only_what_its_type_can_have_signed_and_it_says_it_is_for() {
    let key = SigningKey::generate(JwsAlgorithm::Es256).unwrap().with_key_id("1");
    let jwt = jwt_of(&key).await;
    let with = |name: &str, value: serde_json::Value| {
        let mut jwk = serde_json::to_value(key.public_jwk().unwrap()).unwrap();
        jwk[name] = value;
        JwkSet::from_value(&json!({ "keys": [jwk] })).unwrap()
    };
    assert!(verify(&jwt, &with("use", json!("sig"))).is_ok());
    assert!(verify(&jwt, &with("key_ops", json!(["verify", "sign"]))).is_ok());
    for unfit in [
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("key_ops", json!("verify")),
        with("alg", json!("ES384")),
        with("alg", json!("of the future")),
        keys(&SigningKey::generate(JwsAlgorithm::Es384).unwrap().with_key_id("1")),
        keys(&SigningKey::generate(JwsAlgorithm::EdDsa).unwrap().with_key_id("1")),
    ] {
        assert_eq!(verify(&jwt, &unfit).unwrap_err(), JwtError::UnknownKey { key_id: Some("1".into()) });
    }
    // The header names an algorithm of another family than the key that signed.
    let header = encode(r#"{"alg":"RS256","kid":"1"}"#);
    let rest = jwt.split_once('.').unwrap().1;
    assert!(matches!(verify(&format!("{header}.{rest}"), &keys(&key)), Err(JwtError::UnknownKey { .. })));
    let not_allowed = UnverifiedJwt::parse(&jwt).unwrap().verify(&keys(&key), &[JwsAlgorithm::EdDsa]);
    assert_eq!(not_allowed.unwrap_err(), JwtError::Algorithm { algorithm: "ES256".into() });
    assert!(UnverifiedJwt::parse(&jwt).unwrap().verify(&keys(&key), &[]).is_err());
}

#[tokio::test]
async fn names_of_keys_may_repeat() {
    let [old, new, other] =
        [(); 3].map(|()| SigningKey::generate(JwsAlgorithm::Es256).unwrap().with_key_id("1"));
    let set: JwkSet = [&old, &new].map(|key| key.public_jwk().unwrap().clone()).into_iter().collect();
    assert!(verify(&jwt_of(&old).await, &set).is_ok());
    assert!(verify(&jwt_of(&new).await, &set).is_ok());
    let error = verify(&jwt_of(&other).await, &set).unwrap_err();
    assert_eq!(error, JwtError::Signature { key_id: Some("1".into()) });
    assert!(!error.may_have_a_newer_key());
}

#[tokio::test]
async fn a_key_in_the_header_is_not_believed() {
    let stranger = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let header = JwtHeader::default().with_jwk(stranger.public_jwk().unwrap());
    let jwt = sign_jwt(&stranger, header, &Claims::new()).await.unwrap();
    let read = URL_SAFE_NO_PAD.decode(jwt.expose().split('.').next().unwrap()).unwrap();
    let read: serde_json::Value = serde_json::from_slice(&read).unwrap();
    // The key alone, as RFC 9449 §4.2 has it.
    assert_eq!(read["jwk"].as_object().unwrap().keys().collect::<Vec<_>>(), ["crv", "kty", "x", "y"]);
    assert!(verify(jwt.expose(), &JwkSet::default()).is_err());
}

#[test]
fn headers_are_read_strictly() {
    let parse = |header: &str| UnverifiedJwt::parse(&format!("{}.{}.AAAA", encode(header), encode("{}")));
    assert!(parse(r#"{"alg":"ES256","x5c":["..."],"unknown":{"deep":[1]}}"#).is_ok());
    let malformed = |header: &str| matches!(parse(header), Err(JwtError::Malformed(_)));
    for header in [
        "",
        "{",
        "[]",
        "null",
        "\"ES256\"",
        "{}",
        r#"{"typ":"JWT"}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["ES256"]}"#,
        r#"{"alg":"ES256","kid":5}"#,
        r#"{"alg":"ES256","typ":{}}"#,
        r#"{"alg":"ES256"} x"#,
        "\u{feff}{\"alg\":\"ES256\"}",
        r#"{"alg":"ES256","alg":"ES256"}"#,
        r#"{"alg":"none","alg":"ES256"}"#,
        r#"{"alg":"ES256","\u0061lg":"ES256"}"#,
    ] {
        assert!(malformed(header), "{header}");
    }
    assert!(malformed(&format!(r#"{{"alg":"ES256","x":{}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000))));
    for header in [
        r#"{"alg":"ES256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"ES256","crit":[]}"#,
        r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
    ] {
        assert_eq!(parse(header).unwrap_err(), JwtError::Critical);
    }
    for name in ["ES512", "ES256K", "es256", "RS1", "HS256 ", "ES256\\n", "dir", "RSA-OAEP"] {
        let error = parse(&format!(r#"{{"alg":"{name}"}}"#)).unwrap_err();
        assert!(matches!(error, JwtError::Algorithm { .. }), "{name}: {error}");
        assert!(!error.to_string().contains('\n'));
    }
    // What is shown is bounded, and harmless to a terminal.
    let long = format!(r#"{{"alg":"{}\u001b[31m\u202e"}}"#, "x".repeat(10_000));
    assert!(parse(&long).unwrap_err().to_string().len() < 500);
    let odd = parse(r#"{"alg":"\u001b[31m\u202e"}"#).unwrap_err().to_string();
    assert!(!odd.contains(['\u{1b}', '\u{202e}']), "{odd}");
}

#[test]
fn the_compact_form_and_nothing_else() {
    let (header, claims) = (encode(r#"{"alg":"ES256"}"#), encode("{}"));
    let is_malformed = |jwt: &str| matches!(UnverifiedJwt::parse(jwt), Err(JwtError::Malformed(_)));
    for jwt in [
        String::new(),
        ".".into(),
        "..".into(),
        "a.b.c.d".into(),
        format!("{header}.{claims}"),
        format!("{header}=.{claims}.AAAA"),
        format!(" {header}.{claims}.AAAA"),
        format!("{header}.{claims}.AAAA\n"),
        format!("{header}.{claims}.AAA="),
        // The last character has bits that are no part of the last byte.
        format!("{header}.{claims}.AAB"),
        // The other alphabet of base64.
        format!("{header}.{claims}.A+/A"),
        format!("{header}.{claims}.A\u{e9}AA"),
        format!(r#"{{"payload":"{claims}","protected":"{header}","signature":"AAAA"}}"#),
    ] {
        assert!(is_malformed(&jwt), "{jwt:?}");
    }
    assert_eq!(UnverifiedJwt::parse(&format!("{header}.a.b.c.d")).unwrap_err(), JwtError::Encrypted);
    assert!(is_malformed(&format!("{header}.{}.AAAA", "A".repeat(300 * 1024))));
    let long = encode(format!(r#"{{"alg":"ES256","x":"{}"}}"#, "x".repeat(40 * 1024)));
    assert!(is_malformed(&format!("{long}.{claims}.AAAA")));
}

#[tokio::test]
async fn claims_are_one_object_in_which_nothing_stands_twice() {
    let key = SigningKey::generate(JwsAlgorithm::EdDsa).unwrap();
    for claims in [
        "",
        "[]",
        "null",
        "5",
        "{",
        r#"{"sub":"a","sub":"b"}"#,
        r#"{"sub":"a"} "#,
        "\u{e9}",
        r#"{"sub":"a"}x"#,
    ] {
        let message = format!("{}.{}", encode(r#"{"alg":"EdDSA"}"#), encode(claims));
        let jwt = format!("{message}.{}", encode(key.sign(message.as_bytes()).await.unwrap()));
        let read = verify(&jwt, &keys(&key));
        // White space at the end is JSON.
        assert_eq!(read.is_ok(), claims.ends_with(' '), "{claims}: {read:?}");
    }
    let message = format!("{}.{}", encode(r#"{"alg":"EdDSA"}"#), "!!");
    let jwt = format!("{message}.{}", encode(key.sign(message.as_bytes()).await.unwrap()));
    assert!(matches!(verify(&jwt, &keys(&key)), Err(JwtError::Malformed(_))));
}

#[tokio::test]
async fn points_off_the_curve_verify_nothing() {
    let key = SigningKey::generate(JwsAlgorithm::Es256).unwrap();
    let jwt = jwt_of(&key).await;
    let jwk = serde_json::to_value(key.public_jwk().unwrap()).unwrap();
    let with = |name: &str, value: &[u8]| {
        let mut jwk = jwk.clone();
        jwk[name] = encode(value).into();
        Jwk::from_value(&jwk)
    };
    for wrong in [with("x", &[0; 32]), with("y", &[1; 32]), with("y", &[0xff; 32])] {
        let set: JwkSet = wrong.into_iter().collect();
        assert_eq!(set.keys().len(), 1);
        assert_eq!(verify(&jwt, &set).unwrap_err(), JwtError::Signature { key_id: None });
    }
    for length in [0, 31, 33, 64] {
        assert!(with("x", &vec![1; length]).is_err(), "{length}");
    }
    // Nor can anybody sign with a private number that belongs to another point.
    let private = key.to_jwk().unwrap();
    let other = SigningKey::generate(JwsAlgorithm::Es256).unwrap().to_jwk().unwrap();
    let number = |json: &Secret, name: &str| {
        let jwk: serde_json::Value = serde_json::from_str(json.expose()).unwrap();
        jwk[name].as_str().unwrap().to_owned()
    };
    let mixed = private.expose().replace(&number(&private, "d"), &number(&other, "d"));
    assert!(matches!(SigningKey::from_jwk(&mixed.into()), Err(KeyError::Rejected(_))));
}

#[test]
fn keys_are_public_of_a_known_kind_and_strong() {
    let refused = |json: &str| Jwk::parse(json).unwrap_err().to_string();
    for (json, why) in [
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
        ("{}", "type"),
        (r#"{"kty":"AKP"}"#, "type"),
        (r#"{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}"#, "curve"),
        (r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#, "curve"),
        (r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#, "length"),
        (r#"{"kty":"OKP","crv":"Ed25519"}"#, "absent"),
        (r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="}"#, "base64url"),
        (
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"AA"}"#,
            "private",
        ),
        (r#"{"kty":"oct","k":"AA"}"#, "symmetric"),
        (r#"{"kty":"RSA","n":"AA","e":"AQAB"}"#, "2048"),
    ] {
        assert!(refused(json).contains(why), "{json}: {}", refused(json));
    }
    let rsa = |bits: usize| {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] >>= (8 - bits % 8) % 8;
        Jwk::parse(&format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, encode(n)))
    };
    assert!(rsa(1024).is_err() && rsa(2047).is_err() && rsa(8193).is_err());
    assert!(rsa(2048).is_ok() && rsa(4096).is_ok() && rsa(8192).is_ok());
    // A zero in front, as some servers write it, changes neither strength nor thumbprint.
    let modulus = [&[0x80][..], &[1; 255]].concat();
    let of = |n: Vec<u8>| Jwk::parse(&format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, encode(n)));
    assert_eq!(of([&[0][..], &modulus].concat()).unwrap().thumbprint(), of(modulus).unwrap().thumbprint());
    assert!(of([&[0; 200][..], &[0xff; 100]].concat()).is_err());
}

#[test]
fn sets_pass_over_what_they_cannot_read_and_are_bounded() {
    let good = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":7}"#;
    let set =
        JwkSet::parse(format!(r#"{{"keys":[null,5,{{}},{{"kty":"EC"}},{good}],"x":1}}"#).as_bytes()).unwrap();
    assert_eq!((set.keys().len(), set.keys()[0].key_id()), (1, None));
    for broken in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":null}"#] {
        assert!(JwkSet::parse(broken.as_bytes()).is_err(), "{broken}");
    }
    let many =
        |count: usize| JwkSet::parse(format!(r#"{{"keys":[{}]}}"#, vec![good; count].join(",")).as_bytes());
    assert_eq!(many(200).unwrap().keys().len(), 200);
    assert!(many(201).is_err());
    let large = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(512 * 1024));
    assert!(JwkSet::parse(large.as_bytes()).is_err());
}

const KEYS: [(&str, JwsAlgorithm); 6] = [
    (include_str!("keys/rsa-pkcs1.pem"), JwsAlgorithm::Ps256),
    (include_str!("keys/rsa-pkcs1.pem"), JwsAlgorithm::Rs512),
    (include_str!("keys/ec-sec1.pem"), JwsAlgorithm::Es256),
    (include_str!("keys/ec-pkcs8.pem"), JwsAlgorithm::Es256),
    (include_str!("keys/p384.pem"), JwsAlgorithm::Es384),
    (include_str!("keys/ed25519.pem"), JwsAlgorithm::EdDsa),
];

#[tokio::test]
async fn pem_files_are_for_the_algorithms_of_their_kind() {
    for (pem, own) in KEYS {
        let key = SigningKey::from_pem(pem, own).unwrap_or_else(|error| panic!("{own}: {error}"));
        assert!(verify(&jwt_of(&key).await, &keys(&key)).is_ok(), "{own}");
        for algorithm in JwsAlgorithm::ALL {
            let fits = key.public_jwk().unwrap().fits(*algorithm)
                || (own.as_str().ends_with("512") || own.as_str().starts_with("PS"))
                    && ["RS", "PS"].contains(&&algorithm.as_str()[..2]);
            let read = SigningKey::from_pem(pem, *algorithm);
            assert_eq!(read.is_ok(), fits, "{own} as {algorithm}: {read:?}");
        }
    }
    // Both spellings of one key are one key.
    let of = |place: usize| SigningKey::from_pem(KEYS[place].0, JwsAlgorithm::Es256).unwrap();
    assert!(of(2).public_jwk().unwrap().is_same_key(of(3).public_jwk().unwrap()));
    // There are comments and other sections around many a key.
    let around = format!(
        "of the client\n{}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        KEYS[3].0
    );
    assert!(SigningKey::from_pem(around, JwsAlgorithm::Es256).is_ok());
}

#[test]
fn unusable_pem_files_are_told_apart() {
    let read = |pem: &str| SigningKey::from_pem(pem, JwsAlgorithm::Es256).unwrap_err();
    assert_eq!(read(include_str!("keys/ec-encrypted.pem")), KeyError::Encrypted);
    assert_eq!(read(include_str!("keys/ec-without-public.pem")), KeyError::PublicKeyAbsent);
    assert_eq!(read(include_str!("keys/p384.pem")), KeyError::Type { algorithm: JwsAlgorithm::Es256 });
    for none in [
        "",
        "no key",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ] {
        assert_eq!(read(none), KeyError::Pem, "{none}");
    }
    let weak = SigningKey::from_pem(include_str!("keys/rsa-1024.pem"), JwsAlgorithm::Rs256).unwrap_err();
    assert!(weak.to_string().contains("2048"), "{weak}");
    let agreement = SigningKey::from_pem(include_str!("keys/x25519.pem"), JwsAlgorithm::EdDsa).unwrap_err();
    assert!(matches!(agreement, KeyError::Type { .. }), "{agreement}");
}

#[test]
fn any_cut_of_a_private_key_is_an_error() {
    use base64::engine::general_purpose::STANDARD;
    for (pem, algorithm) in KEYS {
        let body: String = pem.lines().filter(|line| !line.starts_with('-') && line.len() > 12).collect();
        let Ok(der) = STANDARD.decode(body) else { continue };
        for cut in 0..der.len() {
            assert!(SigningKey::from_pkcs8_der(&der[..cut], algorithm).is_err(), "{algorithm}, {cut} bytes");
        }
    }
}

#[test]
fn private_jwks_are_for_what_they_say() {
    let ec = SigningKey::generate(JwsAlgorithm::Es256).unwrap().to_jwk().unwrap();
    assert!(SigningKey::from_jwk_for(&ec, JwsAlgorithm::Es256).is_ok());
    for algorithm in [JwsAlgorithm::Es384, JwsAlgorithm::EdDsa, JwsAlgorithm::Rs256, JwsAlgorithm::Hs256] {
        assert!(
            matches!(SigningKey::from_jwk_for(&ec, algorithm), Err(KeyError::Type { .. })),
            "{algorithm}"
        );
    }
    let eddsa = SigningKey::generate(JwsAlgorithm::EdDsa).unwrap().to_jwk().unwrap();
    assert!(SigningKey::from_jwk_for(&eddsa, JwsAlgorithm::Ed25519).is_ok(), "two names of one algorithm");
    let symmetric =
        |length: usize| Secret::from(format!(r#"{{"kty":"oct","k":"{}"}}"#, encode(vec![7; length])));
    assert_eq!(SigningKey::from_jwk(&symmetric(32)).unwrap_err(), KeyError::AlgorithmAbsent);
    for (algorithm, least) in
        [(JwsAlgorithm::Hs256, 32), (JwsAlgorithm::Hs384, 48), (JwsAlgorithm::Hs512, 64)]
    {
        assert!(SigningKey::from_jwk_for(&symmetric(least), algorithm).is_ok());
        assert_eq!(
            SigningKey::from_jwk_for(&symmetric(least - 1), algorithm).unwrap_err(),
            KeyError::Short { algorithm, least }
        );
        assert!(SigningKey::from_secret(&"x".repeat(least - 1).into(), algorithm).is_err());
    }
    let unknown = ec.expose().replace("ES256", "ES999");
    assert!(matches!(SigningKey::from_jwk(&unknown.into()), Err(KeyError::Jwk(_))));
    let three_primes = r#"{"kty":"RSA","alg":"RS256","n":"AA","e":"AQAB","d":"AA","p":"AA","q":"AA","dp":"AA","dq":"AA","qi":"AA","oth":[]}"#;
    assert!(SigningKey::from_jwk(&three_primes.into()).is_err());
}

#[test]
fn times_are_checked_from_both_sides() {
    let claims = |exp: serde_json::Value| Claims::new().with("exp", exp);
    let at = |claims: &Claims, now: u64, leeway: u64| claims.check_times(now, leeway);
    assert!(at(&claims(json!(100)), 99, 0).is_ok());
    assert_eq!(at(&claims(json!(100)), 100, 0).unwrap_err(), JwtError::Expired { expired_at: 100, now: 100 });
    assert!(at(&claims(json!(100)), 109, 10).is_ok() && at(&claims(json!(100)), 110, 10).is_err());
    assert!(at(&claims(json!(100.5)), 99, 0).is_ok());
    for odd in [json!(null), json!("100"), json!(-1), json!(1e300), json!([100])] {
        assert!(matches!(at(&claims(odd.clone()), 0, 0), Err(JwtError::Claim { name: "exp", .. })), "{odd}");
        for name in ["nbf", "iat"] {
            let claims = claims(json!(100)).with(name, odd.clone());
            assert!(matches!(at(&claims, 0, 0), Err(JwtError::Claim { .. })), "{name} {odd}");
        }
    }
    assert!(matches!(at(&Claims::new(), 0, 0), Err(JwtError::Claim { name: "exp", .. })));
    for name in ["nbf", "iat"] {
        let claims = claims(json!(100)).with(name, 50);
        assert!(at(&claims, 50, 0).is_ok() && at(&claims, 45, 5).is_ok());
        assert!(matches!(at(&claims, 44, 5), Err(JwtError::NotYetValid { .. })));
    }
}

#[test]
fn an_audience_is_a_text_or_a_list_of_texts() {
    let of = |aud: serde_json::Value| Claims::new().with("aud", aud);
    assert!(of(json!("a")).is_sole_audience("a") && of(json!(["a"])).is_sole_audience("a"));
    assert_eq!(of(json!(["a", "b"])).audiences(), ["a", "b"]);
    for other in [
        json!(["a", "b"]),
        json!(["a", "a"]),
        json!([]),
        json!(["a", 1]),
        json!({"a": "a"}),
        json!(null),
        json!("A"),
    ] {
        assert!(!of(other.clone()).is_sole_audience("a"), "{other}");
    }
    assert!(of(json!(["a", 1])).audiences().is_empty() && Claims::new().audiences().is_empty());
}

/// A signer as many a hardware module is: its signatures are DER.
struct Module(SigningKey);

#[async_trait::async_trait]
impl Signer for Module {
    fn algorithm(&self) -> JwsAlgorithm {
        self.0.algorithm()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok([&[0x30, 0x44], &*self.0.sign(message).await?].concat())
    }
}

#[tokio::test]
async fn a_signature_in_another_form_is_not_sent() {
    for algorithm in ALGORITHMS {
        let module = Module(SigningKey::generate(algorithm).unwrap());
        let error = sign_jwt(&module, JwtHeader::default(), &Claims::new()).await.unwrap_err();
        assert!(matches!(error, SignError::Form { .. }) && error.to_string().contains("not DER"), "{error}");
    }
}
