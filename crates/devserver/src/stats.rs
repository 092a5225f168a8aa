//! What the server has counted, for assertions.

use std::collections::BTreeMap;

use crate::endpoint::Endpoint;

/// A snapshot of what the server has seen since it started. Requests are counted when they arrive, also those that
/// a fault then spoils.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests by endpoint.
    pub endpoints: BTreeMap<Endpoint, u64>,
    /// Token requests by `grant_type`.
    pub grants: BTreeMap<String, GrantStats>,
    /// Refreshes that the server has committed, whether or not the answer arrived.
    pub refreshes: u64,
    /// How often a rotated refresh token was used again, after its grace period if there is one.
    pub refresh_reuses_detected: u64,
    /// Logins that ended: by reuse, by revocation, by [`revoke_all_logins`](crate::DevServer::revoke_all_logins).
    pub logins_revoked: u64,
    /// Clients that registered themselves (RFC 7591).
    pub clients_registered: u64,
    /// Documents of clients that describe themselves, fetched and found to be good.
    pub client_documents_fetched: u64,
    /// Access tokens issued.
    pub tokens_issued: u64,
    /// Requests to the protected resources.
    pub api_requests: u64,
    /// Requests to the protected resources answered with 401.
    pub api_unauthorized: u64,
    /// DPoP proofs that were found in order, at the token endpoint and at the protected resources.
    pub dpop_proofs: u64,
    /// How often a DPoP nonce was demanded (`use_dpop_nonce`).
    pub dpop_nonces_demanded: u64,
    /// The most token requests that were ever under way at once.
    pub max_concurrent_token_requests: usize,
    /// Connections accepted.
    pub connections: u64,
}

/// Token requests of one grant type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantStats {
    /// Requests that arrived.
    pub requests: u64,
    /// Requests that the server granted, whether or not the answer arrived.
    pub successes: u64,
}

impl Stats {
    /// How many requests came to an endpoint.
    pub fn requests_to(&self, endpoint: Endpoint) -> u64 {
        self.endpoints.get(&endpoint).copied().unwrap_or_default()
    }

    /// Token requests with a `grant_type`, such as `refresh_token`.
    pub fn grant(&self, grant_type: &str) -> GrantStats {
        self.grants.get(grant_type).copied().unwrap_or_default()
    }
}

/// The running counts behind the snapshots.
#[derive(Default)]
pub(crate) struct Counters {
    stats: Stats,
    token_requests: usize,
}

impl Counters {
    pub(crate) fn snapshot(&self) -> Stats {
        self.stats.clone()
    }

    pub(crate) fn arrived(&mut self, endpoint: Endpoint, grant_type: Option<&str>) {
        *self.stats.endpoints.entry(endpoint).or_default() += 1;
        if endpoint == Endpoint::Resource {
            self.stats.api_requests += 1;
        }
        if let Some(grant_type) = grant_type {
            self.stats.grants.entry(grant_type.to_owned()).or_default().requests += 1;
        }
    }

    pub(crate) fn grant_succeeded(&mut self, grant_type: &str) {
        self.stats.grants.entry(grant_type.to_owned()).or_default().successes += 1;
    }

    pub(crate) fn token_request_begins(&mut self) {
        self.token_requests += 1;
        self.stats.max_concurrent_token_requests =
            self.stats.max_concurrent_token_requests.max(self.token_requests);
    }

    pub(crate) fn token_request_ends(&mut self) {
        self.token_requests -= 1;
    }
}

impl std::ops::Deref for Counters {
    type Target = Stats;
    fn deref(&self) -> &Stats {
        &self.stats
    }
}

impl std::ops::DerefMut for Counters {
    fn deref_mut(&mut self) -> &mut Stats {
        &mut self.stats
    }
}
