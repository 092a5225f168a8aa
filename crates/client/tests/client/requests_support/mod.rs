//! What the tests of authenticated requests share: a server, a client of its resource servers, and a body that is a stream.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use jeton_client::{Client, ClientBuilder, ResourceOwnerPasswordCredentials, Session};
use jeton_devserver::{DevServer, Endpoint, Fault};

/// A client that gets its first token by password, and the others with its refresh token.
pub(crate) fn builder(server: &DevServer) -> ClientBuilder {
    let (user, password) = DevServer::ALICE;
    Client::builder(DevServer::PASSWORD_CLIENT)
        .issuer(server.issuer())
        .grant(ResourceOwnerPasswordCredentials::new(user, password))
}

/// A session whose token may go to that server.
pub(crate) fn session(server: &DevServer) -> Session {
    builder(server).resource_server(server.url("")).build().unwrap().session()
}

/// A session that has a token already.
pub(crate) async fn signed_in(server: &DevServer) -> Session {
    let session = session(server);
    session.token().await.unwrap();
    session
}

/// A server that redirects to `to`, under its path `/api/redirect`.
pub(crate) fn redirect(server: &DevServer, to: &str, status: u16) -> String {
    let to: String = url::form_urlencoded::byte_serialize(to.as_bytes()).collect();
    server.url(&format!("/api/redirect?status={status}&to={to}"))
}

/// A 401 of the resource server with that challenge.
pub(crate) fn challenge(status: u16, challenge: Option<&str>) -> Fault {
    let headers = challenge.map(|value| ("www-authenticate".to_owned(), value.to_owned()));
    Fault::Answer { status, headers: headers.into_iter().collect(), body: Vec::new() }
}

/// The tokens that the resource server has seen, in order.
pub(crate) fn bearers(server: &DevServer) -> Vec<Option<String>> {
    let requests = server.requests();
    let resource = requests.iter().filter(|request| request.endpoint == Endpoint::Resource);
    resource.map(|request| request.bearer().map(str::to_owned)).collect()
}

/// Token requests of any kind.
pub(crate) fn token_requests(server: &DevServer) -> u64 {
    server.stats().requests_to(Endpoint::Token)
}
