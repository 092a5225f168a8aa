//! A devserver and a client that look at the same clock, which stands still until a test moves it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jeton_client::{Client, ClientBuilder};
use jeton_devserver::{Builder, DevServer, RecordedRequest};
use jeton_grants::{Clock as _, ManualClock};

/// The lifetime of the devserver's access tokens unless a test says otherwise.
pub const LIFETIME: Duration = Duration::from_secs(3600);

/// A server, and the clock that it shares with its clients.
#[derive(Debug)]
pub struct World {
    /// The authorization server and resource server.
    pub server: Arc<DevServer>,
    /// What time it is, for both sides. Sleeps move it.
    pub clock: ManualClock,
}

impl World {
    /// With every default.
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// With other settings of the server.
    pub fn with(change: impl FnOnce(Builder) -> Builder) -> Self {
        Self::on(ManualClock::at(start()), change)
    }

    /// With a clock that moves only by [`ManualClock::advance`]: for logins that a listener waits for.
    pub fn paused() -> Self {
        Self::on(ManualClock::paused(start()), |builder| builder)
    }

    fn on(clock: ManualClock, change: impl FnOnce(Builder) -> Builder) -> Self {
        let ticking = clock.clone();
        let builder = change(DevServer::builder().clock(Arc::new(move || ticking.now())));
        Self { server: Arc::new(builder.start().expect("a loopback port")), clock }
    }

    /// A client of that server, found by discovery, that may show its tokens to the server's API.
    pub fn client(&self, client_id: &str) -> ClientBuilder {
        Client::builder(client_id)
            .issuer(self.server.issuer())
            .resource_server(self.server.url(""))
            .clock(self.clock.clone())
    }

    /// The public client of the devserver.
    pub fn public_client(&self) -> ClientBuilder {
        self.client(DevServer::PUBLIC_CLIENT)
    }

    /// Lets every access token expire.
    pub fn pass_an_expiry(&self) {
        self.clock.advance(LIFETIME);
    }

    /// How many token requests of that grant type the server has seen.
    pub fn requests_of(&self, grant_type: &str) -> u64 {
        self.server.stats().grant(grant_type).requests
    }

    /// All token requests that the server has seen, of whatever grant.
    pub fn token_requests(&self) -> Vec<RecordedRequest> {
        self.recorded(jeton_devserver::Endpoint::Token)
    }

    /// All requests to that endpoint, in order.
    pub fn recorded(&self, endpoint: jeton_devserver::Endpoint) -> Vec<RecordedRequest> {
        self.server.requests().into_iter().filter(|request| request.endpoint == endpoint).collect()
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_900_000_000)
}
