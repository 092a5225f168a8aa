//! Where the metadata is and what it says (RFC 8414, OpenID Connect Discovery).

use jeton_devserver::{DevServer, Endpoint};

use crate::http::{get, post, send};

#[test]
fn both_documents_name_the_issuer_and_every_endpoint() {
    let server = DevServer::start().unwrap();
    let oauth = get(&server.metadata_url());
    assert_eq!((oauth.status, oauth.header("content-type")), (200, Some("application/json")));
    let document = oauth.json();
    assert_eq!(document["issuer"], server.issuer());
    assert_eq!(server.issuer(), server.url(""));
    for (member, url) in [
        ("authorization_endpoint", server.authorization_url()),
        ("token_endpoint", server.token_url()),
        ("device_authorization_endpoint", server.device_authorization_url()),
        ("revocation_endpoint", server.revocation_url()),
        ("introspection_endpoint", server.introspection_url()),
    ] {
        assert_eq!(document[member], url, "{member}");
    }
    assert_eq!(document["code_challenge_methods_supported"], serde_json::json!(["S256"]));
    assert_eq!(document["response_types_supported"], serde_json::json!(["code"]));
    assert_eq!(document["authorization_response_iss_parameter_supported"], true);

    let openid = get(&server.url("/.well-known/openid-configuration")).json();
    assert_eq!(openid["issuer"], document["issuer"]);
    assert_eq!(openid["subject_types_supported"], serde_json::json!(["public"]));
    let keys = get(openid["jwks_uri"].as_str().unwrap()).json();
    let keys = keys["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| key["kid"].is_string() && key.get("d").is_none()));
    assert_eq!(server.stats().requests_to(Endpoint::Metadata), 1);
    assert_eq!(server.stats().requests_to(Endpoint::OpenIdConfiguration), 1);
    assert_eq!(post(&server.metadata_url(), &[]).status, 405);
}

#[test]
fn a15_an_issuer_with_a_path() {
    let server = DevServer::builder().issuer_path("/tenant1").advertise_iss(false).start().unwrap();
    assert_eq!(server.issuer(), server.url("/tenant1"));
    assert_eq!(server.metadata_url(), server.url("/.well-known/oauth-authorization-server/tenant1"));
    for path in [
        "/.well-known/oauth-authorization-server/tenant1",
        "/.well-known/openid-configuration/tenant1",
        "/tenant1/.well-known/openid-configuration",
    ] {
        let document = get(&server.url(path)).json();
        assert_eq!(document["issuer"], server.issuer(), "{path}");
        assert_eq!(document["token_endpoint"], server.url("/tenant1/token"));
        assert!(document.get("authorization_response_iss_parameter_supported").is_none());
    }
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/tenant1/.well-known/oauth-authorization-server",
        "/token",
    ] {
        assert_eq!(get(&server.url(path)).status, 404, "{path}");
    }
    // A login goes all the way, and the resource server stays where it was.
    let token = crate::login::sign_in(&server);
    let access = crate::login::member(&token, "access_token");
    assert_eq!(crate::http::get_with_token(&server.url("/api/me"), access).status, 200);
}

#[test]
fn a15_a_slash_at_the_issuers_end_is_kept_in_its_name_only() {
    let server = DevServer::builder().issuer_path("/tenant1/").start().unwrap();
    assert_eq!(server.issuer(), server.url("/tenant1/"));
    let document = get(&server.url("/.well-known/oauth-authorization-server/tenant1")).json();
    assert_eq!(document["issuer"], server.url("/tenant1/"));
    assert_eq!(document["token_endpoint"], server.url("/tenant1/token"));
}

#[test]
fn dns_rebinding_gets_nothing() {
    let server = DevServer::start().unwrap();
    let port = server.issuer().rsplit(':').next().unwrap();
    let ask = |host: &str| send("GET", &server.metadata_url(), &[("Host", host)], b"").unwrap().status;
    assert_eq!(ask(&format!("127.0.0.1:{port}")), 200);
    assert_eq!(ask(&format!("localhost:{port}")), 200);
    assert_eq!(ask(&format!("evil.example:{port}")), 421);
    assert_eq!(ask("127.0.0.1"), 421);
}
