//! The vectors of the RFCs: RFC 7515 Appendix A, RFC 7517 Appendix A, RFC 7638 §3.1, RFC 8037 Appendix A.
// Tests may unwrap: a failure is what they are there to show.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jeton_jose::{Jwk, JwkSet, JwsAlgorithm, JwtError, Signer, SigningKey, UnverifiedJwt, half_hash};
use jeton_models::Secret;

/// RFC 7515 A.1 to A.3 sign these claims.
const CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

const A1_HEADER: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
const A1_SIGNATURE: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const A1_KEY: &str = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;

const A2_HEADER: &str = "eyJhbGciOiJSUzI1NiJ9";
const A2_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const A2_KEY: &str = r#"{"kty":"RSA",
    "n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "e":"AQAB",
    "d":"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
    "p":"4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
    "q":"uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
    "dp":"BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
    "dq":"h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
    "qi":"IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U"}"#;

const A3_HEADER: &str = "eyJhbGciOiJFUzI1NiJ9";
const A3_SIGNATURE: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const A3_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

const ED25519_KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn keys(of: &SigningKey) -> JwkSet {
    of.public_jwk().cloned().into_iter().collect()
}

fn parse(header: &str, signature: &str) -> UnverifiedJwt {
    UnverifiedJwt::parse(&format!("{header}.{CLAIMS}.{signature}")).unwrap()
}

/// The signature by that key, in base64url.
async fn signed(key: &SigningKey, message: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).await.unwrap())
}

#[tokio::test]
async fn rfc7515_a1_hmac() {
    let key = SigningKey::from_jwk_for(&A1_KEY.into(), JwsAlgorithm::Hs256).unwrap();
    assert_eq!(signed(&key, &format!("{A1_HEADER}.{CLAIMS}")).await, A1_SIGNATURE);
    assert!(key.public_jwk().is_none() && key.to_jwk().is_none());
    // The bytes of that key are no text, so that only another secret can be tried here.
    let jwt = parse(A1_HEADER, A1_SIGNATURE);
    assert_eq!(jwt.header().typ.as_deref(), Some("JWT"));
    let wrong = jwt.verify_with_secret(&"x".repeat(64).into(), &[JwsAlgorithm::Hs256]);
    assert_eq!(wrong.unwrap_err(), JwtError::Signature { key_id: None });
}

#[tokio::test]
async fn rfc7515_a2_rsa() {
    let key = SigningKey::from_jwk_for(&A2_KEY.into(), JwsAlgorithm::Rs256).unwrap();
    assert_eq!(signed(&key, &format!("{A2_HEADER}.{CLAIMS}")).await, A2_SIGNATURE);
    let jwt = parse(A2_HEADER, A2_SIGNATURE).verify(&keys(&key), &[JwsAlgorithm::Rs256]).unwrap();
    assert_eq!((jwt.claims().issuer(), jwt.claims().expires_at()), (Some("joe"), Some(1_300_819_380)));
    assert_eq!(jwt.claims().get("http://example.com/is_root"), Some(&true.into()));
    let refused = parse(A2_HEADER, A2_SIGNATURE).verify(&keys(&key), &[JwsAlgorithm::Ps256]);
    assert_eq!(refused.unwrap_err(), JwtError::Algorithm { algorithm: "RS256".into() });
}

#[tokio::test]
async fn rfc7515_a3_ecdsa() {
    let key = SigningKey::from_jwk(&A3_KEY.into()).unwrap();
    let jwt = parse(A3_HEADER, A3_SIGNATURE).verify(&keys(&key), &[JwsAlgorithm::Es256]).unwrap();
    assert_eq!(jwt.claims().issuer(), Some("joe"));
    // Each signature of ECDSA is another one.
    let own = signed(&key, &format!("{A3_HEADER}.{CLAIMS}")).await;
    assert_ne!(own, A3_SIGNATURE);
    assert!(parse(A3_HEADER, &own).verify(&keys(&key), &[JwsAlgorithm::Es256]).is_ok());
}

#[test]
fn rfc7515_a4_and_a5_are_refused_by_name() {
    // A.4: ES512. A.5: `none`.
    let a4 = UnverifiedJwt::parse(&format!("eyJhbGciOiJFUzUxMiJ9.{CLAIMS}.AAAA")).unwrap_err();
    assert_eq!(a4, JwtError::Algorithm { algorithm: "ES512".into() });
    let a5 = UnverifiedJwt::parse(&format!("eyJhbGciOiJub25lIn0.{CLAIMS}.")).unwrap_err();
    assert_eq!(a5, JwtError::Unsigned);
}

#[test]
fn rfc7517_a1_a_set_of_two_keys_of_which_one_encrypts() {
    let set = JwkSet::parse(
        br#"{"keys":[
            {"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"},
            {"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}
        ]}"#,
    )
    .unwrap();
    let [ec, rsa] = set.keys() else { panic!("{set:?}") };
    assert_eq!((ec.key_id(), ec.fits(JwsAlgorithm::Es256)), (Some("1"), false));
    assert_eq!(rsa.key_id(), Some("2011-04-29"));
    assert!(
        rsa.fits(JwsAlgorithm::Rs256) && !rsa.fits(JwsAlgorithm::Ps256) && !rsa.fits(JwsAlgorithm::Hs256)
    );

    // RFC 7638 §3.1 is about the second one.
    assert_eq!(rsa.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    // What is written is read again.
    let written = serde_json::to_vec(&set).unwrap();
    assert_eq!(JwkSet::parse(&written).unwrap(), set);
}

#[tokio::test]
async fn rfc8037_a_ed25519() {
    for algorithm in [JwsAlgorithm::EdDsa, JwsAlgorithm::Ed25519] {
        let key = SigningKey::from_jwk_for(&ED25519_KEY.into(), algorithm).unwrap();
        // A.4: the payload is no JSON, which is signed all the same.
        let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature =
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(signed(&key, message).await, signature);
        // A.3.
        assert_eq!(key.public_jwk().unwrap().thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        // A.5: the signature is right, and what was signed are no claims.
        let jwt = UnverifiedJwt::parse(&format!("{message}.{signature}")).unwrap();
        let refused = jwt.verify(&keys(&key), &[algorithm]).unwrap_err();
        assert!(matches!(refused, JwtError::Malformed(what) if what.contains("claims")), "{refused}");
    }
}

#[test]
fn rfc9449_the_thumbprint_of_its_example_key() {
    let jwk = Jwk::parse(
        r#"{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}"#,
    );
    assert_eq!(jwk.unwrap().thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
}

#[test]
fn openid_half_hashes() {
    // OpenID Connect Core, Appendix A.4 and A.6; for the other hash functions the lengths of their halves.
    let (token, code) = (
        "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
        "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk",
    );
    assert_eq!(half_hash(JwsAlgorithm::Rs256, token), "77QmUPtjPfzWtF2AnpK9RQ");
    assert_eq!(half_hash(JwsAlgorithm::Es256, code), "LDktKdoQak3Pk0cnXxCltA");
    assert_eq!(half_hash(JwsAlgorithm::Es384, token).len(), 32);
    assert_eq!(half_hash(JwsAlgorithm::EdDsa, token).len(), 43);
}

#[test]
fn no_private_number_is_ever_shown() {
    for (json, algorithm, secret) in [
        (A1_KEY, JwsAlgorithm::Hs256, "AyM1Sys"),
        (A2_KEY, JwsAlgorithm::Rs256, "Eq5xpGn"),
        (A3_KEY, JwsAlgorithm::Es256, "jpsQnnG"),
        (ED25519_KEY, JwsAlgorithm::EdDsa, "nWGxne_"),
    ] {
        let key = SigningKey::from_jwk_for(&json.into(), algorithm).unwrap();
        assert!(!format!("{key:?}").contains(secret));
        let public = serde_json::to_string(&keys(&key)).unwrap();
        assert!(!public.contains(secret) && !public.contains(r#""d""#), "{public}");
        // A broken one is not quoted either.
        for broken in [
            json.replace("kty", "kt"),
            json.replace('}', ""),
            json.replace(secret, "!!!!!!!"),
            json.replace("\":\"", "\":[\""),
        ] {
            let error = SigningKey::from_jwk_for(&Secret::from(broken), algorithm).unwrap_err();
            assert!(!error.to_string().contains(secret) && !format!("{error:?}").contains(secret), "{error}");
        }
    }
}
