//! A18: mutual TLS (RFC 8705) end to end: the handshake, client authentication by certificate, tokens that are bound to one at the
//! authorization server and at the resource server, and what is told when the certificate is not right.
#![cfg(feature = "mtls")]

use std::sync::Arc;

use jeton_client::{
    Client, ClientAuthentication, ClientBuilder, ClientCredentials, Error, GrantError, HttpOptions,
    MemoryStore, Recovery, ReqwestTransport, SelfSignedTlsClientAuth, Session, TlsClientAuth, TokenStore,
};
use jeton_devserver::{Client as Registered, DevServer, Endpoint};
use jeton_grants::{Limits, Transport, TransportErrorKind, bytes::Bytes, http::Request};
use rcgen::KeyPair;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

const ID: &str = "my-service";

type Certificate = (String, String);

fn server() -> DevServer {
    DevServer::builder().mutual_tls(true).start().unwrap()
}

fn options(server: &DevServer) -> HttpOptions {
    HttpOptions::new().root_certificates(server.certificate_authority().unwrap())
}

fn builder(
    server: &DevServer,
    authentication: impl ClientAuthentication + 'static,
    (chain, key): &Certificate,
) -> ClientBuilder {
    Client::builder(ID)
        .issuer(server.issuer())
        .authentication(authentication)
        .grant(ClientCredentials)
        .http(options(server).client_certificate(chain.as_str(), key.as_str()))
        .resource_server(server.tls_url("").unwrap())
        .resource_server(server.url(""))
}

fn session(server: &DevServer, by: impl ClientAuthentication + 'static, own: &Certificate) -> Session {
    builder(server, by, own).build().unwrap().session()
}

async fn status(session: &Session, url: &str) -> u16 {
    session.get(url).send().await.unwrap().status().as_u16()
}

async fn refused(session: &Session) -> GrantError {
    match session.token().await.unwrap_err() {
        Error::Grant(error) => (*error).clone(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a18_the_same_certificate_authenticates_the_client_and_goes_with_its_tokens() {
    for self_signed in [false, true] {
        let server = server();
        let certificate = match self_signed {
            false => server.client_certificate(ID).unwrap(),
            true => DevServer::self_signed_certificate(ID).unwrap(),
        };
        let session = match self_signed {
            false => {
                server.register(Registered::tls(ID, &certificate.0));
                session(&server, TlsClientAuth, &certificate)
            }
            true => {
                server.register(Registered::self_signed_tls(ID, &certificate.0));
                session(&server, SelfSignedTlsClientAuth, &certificate)
            }
        };
        let token = session.token().await.unwrap();
        let request = server.last_request(Endpoint::Token).unwrap();
        assert_eq!(request.form_value("client_id"), Some(ID));
        assert!(request.header("authorization").is_none());
        // The alias, not the ordinary endpoint.
        assert!(server.tls_url("").unwrap().ends_with(request.header("host").unwrap()));

        assert_eq!(status(&session, &server.tls_url("/api/me").unwrap()).await, 200);
        let introspection = session.introspect().await.unwrap();
        let cnf = introspection.extra.get("cnf").expect("it is bound");
        assert_eq!(cnf["x5t#S256"].as_str().map(str::len), Some(43));

        // Whoever has the token and not the key of the certificate has nothing.
        let thief = Client::builder("thief")
            .issuer(server.issuer())
            .http(options(&server))
            .resource_server(server.tls_url("").unwrap())
            .resource_server(server.url(""))
            .build()
            .unwrap()
            .session();
        thief.adopt(token.to_token()).await.unwrap();
        for url in [server.tls_url("/api/me").unwrap(), server.resource_url()] {
            let answer = thief.get(&url).send().await;
            assert!(answer.is_err() || answer.unwrap().status() == 401, "{url}");
        }
    }
}

#[tokio::test]
async fn a18_another_certificate_is_refused() {
    let server = server();
    let (own, another) =
        (server.client_certificate(ID).unwrap(), server.client_certificate("another").unwrap());
    // Of the same name, and signed by nobody.
    let self_made = DevServer::self_signed_certificate(ID).unwrap();
    server.register(Registered::tls(ID, &own.0));
    for (certificate, why) in [(&another, "subject"), (&self_made, "no authority")] {
        let error = refused(&session(&server, TlsClientAuth, certificate)).await;
        assert_eq!(error.oauth_error().unwrap().code(), "invalid_client");
        assert!(error.to_string().contains("A18: ") && error.to_string().contains(why), "{error}");
        assert_eq!(error.recovery(), Recovery::FixConfiguration);
    }
    // A new certificate of the same name and authority is as good as the old one.
    let renewed = server.client_certificate(ID).unwrap();
    session(&server, TlsClientAuth, &renewed).token().await.unwrap();

    // A self-signed one has to be the very one.
    server.register(Registered::self_signed_tls(ID, &self_made.0));
    let of_the_same_name = DevServer::self_signed_certificate(ID).unwrap();
    for certificate in [&of_the_same_name, &own] {
        let error = refused(&session(&server, SelfSignedTlsClientAuth, certificate)).await;
        assert!(error.to_string().contains("not the one registered"), "{error}");
    }
    session(&server, SelfSignedTlsClientAuth, &self_made).token().await.unwrap();
}

#[tokio::test]
async fn a18_without_a_certificate_it_is_told_before_or_after_the_request() {
    let server = server();
    let own = server.client_certificate(ID).unwrap();
    server.register(Registered::tls(ID, &own.0));
    let without = || Client::builder(ID).issuer(server.issuer()).authentication(TlsClientAuth);
    let error = without().build().unwrap_err();
    assert!(
        matches!(error, Error::Configuration(_)) && error.to_string().contains("client_certificate"),
        "{error}"
    );

    // A transport of one's own may have one that nobody knows of; this one has none.
    let transport = ReqwestTransport::new(&options(&server)).unwrap();
    let client = without().grant(ClientCredentials).transport(transport).build().unwrap();
    let error = refused(&client.session()).await;
    assert!(error.to_string().contains("A18: this client authenticates with a certificate"), "{error}");

    // On the ordinary endpoint there is no TLS, and so no certificate.
    let elsewhere = builder(&server, TlsClientAuth, &own).token_endpoint(server.token_url()).build().unwrap();
    let error = refused(&elsewhere.session()).await;
    assert!(error.to_string().contains("mtls_endpoint_aliases"), "{error}");
}

#[tokio::test]
async fn a18_a_renewed_certificate_goes_on_with_the_login_that_is_stored() {
    let server = server();
    let old = server.client_certificate(ID).unwrap();
    server.register(Registered::tls(ID, &old.0));
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let before = builder(&server, TlsClientAuth, &old).shared_store(store.clone()).build().unwrap();
    let bound_to_old = before.session().token().await.unwrap();
    drop(before);

    let renewed = server.client_certificate(ID).unwrap();
    let after = builder(&server, TlsClientAuth, &renewed).shared_store(store).build().unwrap().session();
    assert_eq!(after.token().await.unwrap().secret(), bound_to_old.secret(), "it is there, and not expired");
    assert_eq!(status(&after, &server.tls_url("/api/me").unwrap()).await, 200);
    assert_ne!(after.token().await.unwrap().secret(), bound_to_old.secret());
    assert_eq!(server.stats().api_unauthorized, 1);
}

#[tokio::test]
async fn a18_a_public_clients_refresh_token_works_with_its_certificate_only() {
    let server = server();
    let (own, another) = (
        DevServer::self_signed_certificate("phone").unwrap(),
        DevServer::self_signed_certificate("another phone").unwrap(),
    );
    let registered =
        Registered::public("phone-app").redirect_uri("http://127.0.0.1/callback").certificate_bound();
    server.register(registered);
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let session = |(chain, key): &Certificate| {
        Client::builder("phone-app")
            .issuer(server.issuer())
            .http(options(&server).client_certificate(chain.as_str(), key.as_str()))
            .shared_store(store.clone())
            .build()
            .unwrap()
            .session()
    };
    let phone = session(&own);
    crate::support::log_in(&server, &phone).await;
    phone.refresh().await.unwrap();
    let stolen = session(&another);
    let error = stolen.refresh().await.unwrap_err();
    assert!(error.is_login_required() && error.to_string().contains("A18: "), "{error}");
}

/// A server that lets nobody in without a certificate of an authority that issued none.
async fn demanding() -> (u16, String) {
    let provider = Arc::new(ring::default_provider());
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.unwrap())
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Once more what the client has sent is read, so that the alert is not lost in a reset of the connection.
                let failed = acceptor.accept(stream).into_fallible().await;
                let Err((_, mut stream)) = failed else { return };
                let _ = stream.shutdown().await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    (port, authority.pem())
}

#[tokio::test]
async fn a18_a_server_that_wants_a_certificate_is_named_as_such() {
    let (port, authority) = demanding().await;
    let (chain, key) = DevServer::self_signed_certificate("stranger").unwrap();
    let trusting = || HttpOptions::new().root_certificates(authority.as_str());
    for (options, expected) in [
        (trusting(), "the server wants a client certificate, and got none"),
        (trusting().client_certificate(chain, key), "the server does not take the client certificate"),
    ] {
        let transport = ReqwestTransport::new(&options).unwrap();
        let request =
            Request::post(format!("https://localhost:{port}/token")).body(Bytes::from("secret=1")).unwrap();
        let error = transport.send(request, &Limits::default()).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Tls, "{error}");
        assert!(!error.may_have_reached_server());
        assert!(error.to_string().contains(expected), "{error}");
    }
}
