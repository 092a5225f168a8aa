//! Clients that register themselves (RFC 7591), manage their registration (RFC 7592), or are described by a document of their own.

use std::time::Duration;

use jeton_devserver::{Builder, DevServer};
use serde_json::{Value, json};

use crate::http::{Reply, send};

fn start(change: impl FnOnce(Builder) -> Builder) -> DevServer {
    change(DevServer::builder().registration(true)).start().unwrap()
}

fn ask(method: &str, url: &str, token: Option<&str>, body: Option<&Value>) -> Reply {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers: Vec<(&str, &str)> =
        bearer.iter().map(|value| ("Authorization", value.as_str())).collect();
    let body = body.map(Value::to_string).unwrap_or_default();
    if !body.is_empty() {
        headers.push(("Content-Type", "application/json"));
    }
    send(method, url, &headers, body.as_bytes()).unwrap()
}

fn service() -> Value {
    json!({ "grant_types": ["client_credentials"], "response_types": [], "client_name": "Service" })
}

fn register(server: &DevServer, metadata: &Value) -> Value {
    let reply = ask("POST", &server.registration_url(), None, Some(metadata));
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    reply.json()
}

fn token(server: &DevServer, client: &Value) -> Reply {
    let text = |name: &str| client[name].as_str().unwrap().to_owned();
    let basic = format!("{}:{}", text("client_id"), text("client_secret"));
    let basic =
        format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, basic));
    let headers = [("Authorization", &*basic), ("Content-Type", "application/x-www-form-urlencoded")];
    send("POST", &server.token_url(), &headers, b"grant_type=client_credentials").unwrap()
}

#[test]
fn a11_what_is_registered_is_told_in_full_and_works() {
    let server = start(|builder| builder);
    let client = register(&server, &service());
    assert_eq!(client["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(
        (client["client_secret_expires_at"].clone(), client["application_type"].clone()),
        (0.into(), "web".into())
    );
    assert_eq!(token(&server, &client).status, 200);
    assert_eq!((server.registered_clients(), server.stats().clients_registered), (1, 1));
    let metadata = ask("GET", &server.metadata_url(), None, None).json();
    assert_eq!(metadata["registration_endpoint"], server.registration_url());
    // Off unless asked for.
    let off = DevServer::start().unwrap();
    assert_eq!(ask("POST", &off.registration_url(), None, Some(&service())).status, 404);
    assert_eq!(ask("GET", &off.metadata_url(), None, None).json()["registration_endpoint"], Value::Null);
}

#[test]
fn a11_what_no_client_may_ask_for_is_refused() {
    let server = start(|builder| builder);
    let native = |uri: &str| json!({ "redirect_uris": [uri], "application_type": "native" });
    let web = |uri: &str| json!({ "redirect_uris": [uri] });
    for (metadata, error) in [
        (json!({}), "invalid_redirect_uri"),
        (web("http://127.0.0.1/cb"), "invalid_redirect_uri"),
        (web("https://localhost/cb"), "invalid_redirect_uri"),
        (web("https://app.example/cb#f"), "invalid_redirect_uri"),
        (web("/cb"), "invalid_redirect_uri"),
        (native("http://app.example/cb"), "invalid_redirect_uri"),
        (native("app:/cb"), "invalid_redirect_uri"),
        (json!({ "redirect_uris": "https://app.example/cb" }), "invalid_client_metadata"),
        (
            json!({ "redirect_uris": ["https://app.example/cb"], "application_type": "both" }),
            "invalid_client_metadata",
        ),
        (json!({ "grant_types": ["client_credentials"] }), "invalid_client_metadata"),
        (json!({ "grant_types": ["authorization_code"], "response_types": [] }), "invalid_client_metadata"),
        (json!({ "client_secret": "mine" }), "invalid_client_metadata"),
        (json!({ "client_id": "mine" }), "invalid_client_metadata"),
        (json!({ "token_endpoint_auth_method": "magic" }), "invalid_client_metadata"),
        (json!({ "token_endpoint_auth_method": "private_key_jwt" }), "invalid_client_metadata"),
        (json!({ "scope": "read everything" }), "invalid_client_metadata"),
        (json!({ "jwks": {}, "jwks_uri": "https://app.example/k" }), "invalid_client_metadata"),
        (json!({ "software_statement": "e30.e30.x" }), "unapproved_software_statement"),
    ] {
        let reply = ask("POST", &server.registration_url(), None, Some(&metadata));
        reply.assert_refused(400, error, "A11: ");
    }
    for good in [native("http://127.0.0.1/cb"), native("com.example.app:/cb"), web("https://app.example/cb")]
    {
        register(&server, &good);
    }
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let reply = send("POST", &server.registration_url(), &form, b"client_name=x").unwrap();
    reply.assert_refused(400, "invalid_client_metadata", "A11: ");
    ask("GET", &server.registration_url(), None, None).assert_refused(405, "invalid_request", "A11: ");
    assert_eq!(server.registered_clients(), 3);
}

#[test]
fn a11_an_initial_access_token_is_needed_where_it_is() {
    let server = start(|builder| builder.initial_access_token("letmein"));
    for wrong in [None, Some("letmeout")] {
        let reply = ask("POST", &server.registration_url(), wrong, Some(&service()));
        reply.assert_refused(401, "invalid_token", "A11: ");
    }
    assert_eq!(ask("POST", &server.registration_url(), Some("letmein"), Some(&service())).status, 201);
}

#[test]
fn a11_a_registration_is_read_changed_and_deleted_with_its_own_token_which_rotates() {
    let server = start(|builder| builder.client_secret_lifetime(Duration::from_secs(100)));
    let client = register(&server, &service());
    let uri = client["registration_client_uri"].as_str().unwrap();
    let first = client["registration_access_token"].as_str().unwrap();
    for wrong in [None, Some("wrong"), client["client_secret"].as_str()] {
        ask("GET", uri, wrong, None).assert_refused(401, "invalid_token", "A11: ");
    }
    let read = ask("GET", uri, Some(first), None).json();
    assert_eq!(read["client_secret"], client["client_secret"]);
    ask("GET", uri, Some(first), None).assert_refused(401, "invalid_token", "A11: ");

    let second = read["registration_access_token"].as_str().unwrap();
    let id = client["client_id"].as_str().unwrap();
    for wrong in [
        service(),
        json!({ "client_id": "other", "grant_types": ["client_credentials"], "response_types": [] }),
        json!({ "client_id": id, "client_secret": "mine", "grant_types": ["client_credentials"], "response_types": [] }),
    ] {
        ask("PUT", uri, Some(second), Some(&wrong)).assert_refused(400, "invalid_request", "A11: ");
    }
    server.advance(Duration::from_secs(99));
    assert_eq!(token(&server, &client).status, 200);
    let mut update = service();
    update["client_id"] = id.into();
    let updated = ask("PUT", uri, Some(second), Some(&update)).json();
    assert_ne!(updated["client_secret"], client["client_secret"]);
    token(&server, &client).assert_refused(401, "invalid_client", "wrong client secret");
    assert_eq!(token(&server, &updated).status, 200);
    server.advance(Duration::from_secs(100));
    token(&server, &updated).assert_refused(401, "invalid_client", "A11: ");

    let third = updated["registration_access_token"].as_str().unwrap();
    assert_eq!(ask("DELETE", uri, Some(third), None).status, 204);
    ask("GET", uri, Some(third), None).assert_refused(401, "invalid_token", "A11: ");
    token(&server, &updated).assert_refused(401, "invalid_client", "no such client");
}

fn authorization(server: &DevServer, client_id: &str) -> String {
    let mut url = url::Url::parse(&server.authorization_url()).unwrap();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", client_id)
        .append_pair("redirect_uri", "http://127.0.0.1:7777/callback")
        .append_pair("state", "abcdefghijklmnopqrstuv")
        .append_pair("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
        .append_pair("code_challenge_method", "S256");
    url.into()
}

#[test]
fn a32_a_client_is_known_by_its_document_and_by_no_other() {
    let server = DevServer::builder().client_documents(true).start().unwrap();
    let host = DevServer::start().unwrap();
    let document = |id: &str| {
        json!({ "client_id": id, "redirect_uris": ["http://127.0.0.1/callback"],
                "token_endpoint_auth_method": "none" })
    };
    let hosted = |path: &str, change: &dyn Fn(&mut Value)| {
        let mut body = document(&host.url(path));
        change(&mut body);
        host.host_document(path, "application/json", &body.to_string())
    };
    let good = hosted("/good.json", &|_| {});
    let location = server.authorize(&authorization(&server, &good)).unwrap();
    assert!(location.contains("code="), "{location}");
    assert_eq!(server.stats().client_documents_fetched, 1);

    let refused = |client_id: &str| {
        let error = server.authorize(&authorization(&server, client_id)).unwrap_err().to_string();
        assert!(error.contains("A32: "), "{client_id}: {error}");
    };
    refused(&hosted("/other.json", &|body| body["client_id"] = "https://app.example/other.json".into()));
    refused(&hosted("/secret.json", &|body| body["client_secret"] = "s".into()));
    refused(&hosted("/basic.json", &|body| {
        body["token_endpoint_auth_method"] = "client_secret_basic".into()
    }));
    refused(&hosted("/nowhere.json", &|body| body["redirect_uris"] = json!([])));
    refused(&hosted("/large.json", &|body| body["client_name"] = "x".repeat(6 * 1024).into()));
    refused(&host.host_document("/page.json", "text/html", &document(&host.url("/page.json")).to_string()));
    refused(&host.host_document("/no.json", "application/json", "[]"));
    refused(&host.url("/absent.json"));
    refused(&host.url("/api/redirect?to=/good.json&status=302"));
    refused(&host.url("/a/../good.json"));
    refused(&format!("{good}#f"));
    refused(&good.replace("http://", "http://u:p@"));
    refused(&host.url("/"));
    refused("https://app.example/client.json");
    refused("http://app.example/client.json");
    assert_eq!(server.stats().client_documents_fetched, 1);

    // Off unless asked for.
    let off = DevServer::start().unwrap();
    assert!(off.authorize(&authorization(&off, &good)).is_err());
}
