//! Client certificates (RFC 8705): authentication by one of a known authority and by a registered one, and tokens bound to them.
//! The server's `mtls_endpoint_aliases` have another host, so that a client that does not look there fails.

use bytes::Bytes;
use http::Request;
use jeton_client::{
    Client, ClientBuilder, ClientCredentials, HttpOptions, Limits, ReqwestTransport, SelfSignedTlsClientAuth,
    TlsClientAuth, Transport,
};

use crate::server::Server;

const AUTHORITY: &str = include_str!("../../interop/tls/ca.pem");
const CERTIFICATE: (&str, &str) =
    (include_str!("../../interop/tls/client.pem"), include_str!("../../interop/tls/client.key"));
const SELF_SIGNED: (&str, &str) =
    (include_str!("../../interop/tls/self-signed.pem"), include_str!("../../interop/tls/self-signed.key"));

fn http(certificate: Option<(&str, &str)>) -> HttpOptions {
    let options = HttpOptions::new().root_certificates(AUTHORITY);
    match certificate {
        Some((certificate, key)) => options.client_certificate(certificate, key),
        None => options,
    }
}

fn builder(server: &Server, client: &str, certificate: Option<(&str, &str)>) -> ClientBuilder {
    let tls = server.tls();
    Client::builder(tls.client_id(client))
        .issuer(&tls.issuer)
        .resource_server(&tls.resource)
        .grant(ClientCredentials)
        .scope("api:read")
        .http(http(certificate))
}

/// A token by that certificate; it is of use with the same certificate only.
async fn is_granted_and_bound(builder: ClientBuilder, client_id: &str, other: Option<(&str, &str)>) {
    let server = Server::get();
    let tls = server.tls();
    let session = builder.build().unwrap().session();
    let response = session.get(&tls.resource).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let caller: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!((&caller["client_id"], &caller["bound"]), (&client_id.into(), &"certificate".into()));

    // Whoever finds the token has not the key.
    let token = session.token().await.unwrap();
    for certificate in [None, other] {
        let transport = ReqwestTransport::new(&http(certificate)).unwrap();
        let request = Request::get(&tls.resource)
            .header("authorization", format!("Bearer {}", token.secret().expose()))
            .body(Bytes::new())
            .unwrap();
        assert_eq!(transport.send(request, &Limits::default()).await.unwrap().status(), 401);
    }
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn mutual_tls_by_a_certificate_of_an_authority() {
    let server = Server::get();
    let builder = builder(&server, "certificate", Some(CERTIFICATE)).authentication(TlsClientAuth);
    is_granted_and_bound(builder, "jeton-certificate", Some(SELF_SIGNED)).await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn mutual_tls_by_a_self_signed_certificate() {
    let server = Server::get();
    let builder = builder(&server, "self_signed", Some(SELF_SIGNED)).authentication(SelfSignedTlsClientAuth);
    is_granted_and_bound(builder, "jeton-self-signed", Some(CERTIFICATE)).await;
}

#[tokio::test]
#[ignore = "needs a server: cargo xtask interop"]
async fn mutual_tls_by_another_certificate_is_refused() {
    let server = Server::get();
    let by_other = [
        builder(&server, "certificate", Some(SELF_SIGNED)).authentication(TlsClientAuth),
        builder(&server, "self_signed", Some(CERTIFICATE)).authentication(SelfSignedTlsClientAuth),
    ];
    for builder in by_other {
        let error = builder.build().unwrap().session().token().await.unwrap_err();
        assert_eq!(error.oauth_error().map(|error| error.code()), Some("invalid_client"), "{error}");
    }
}
