//! All that the server knows, behind one lock, and the way from a request to its answer as a plain function of
//! (state, now, request).

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use jsonwebtoken::Algorithm;
use serde_json::Value;

use crate::answer::{Answer, Request};
use crate::authorization::{self, Transaction};
use crate::ciba::{self, Authentications};
use crate::client_documents::ClientDocuments;
use crate::clients::Client;
use crate::codes::Codes;
use crate::device::{self, Devices};
use crate::dpop::{self, Dpop, Side};
use crate::endpoint::Endpoint;
use crate::faults::Faults;
use crate::form;
use crate::id_token::IdTokenFaults;
use crate::jwt::{Replays, ServerKeys};
use crate::mint::Mint;
use crate::par::{self, PushedRequests};
use crate::protected_resource::{self, Announcement};
use crate::record::{RecordedRequest, RequestLog};
use crate::refresh::RefreshListener;
use crate::registration::{self, RegistrationSettings, Registrations};
use crate::seen::{self, Seen};
use crate::stats::Counters;
use crate::tokens::{Rotation, Tokens};
use crate::{introspection, logout, metadata, pages, resource, revocation, token_endpoint, userinfo};

/// What does not change while the server runs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `http://127.0.0.1:PORT`
    pub(crate) origin: String,
    /// The issuer's path without `/` at its end; empty for none.
    pub(crate) base_path: String,
    /// Where the endpoints are: origin and base path.
    pub(crate) base: String,
    pub(crate) issuer: String,
    /// The default resource first.
    pub(crate) resources: Vec<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) default_scope: Vec<String>,
    pub(crate) access_token_lifetime: Option<Duration>,
    pub(crate) access_token_size: usize,
    pub(crate) issue_refresh_tokens: bool,
    pub(crate) rotation: Rotation,
    pub(crate) code_lifetime: Duration,
    pub(crate) auto_approve: bool,
    pub(crate) auto_deny: bool,
    pub(crate) advertise_iss: bool,
    pub(crate) device_auto_approve_after_polls: Option<u32>,
    pub(crate) device_interval: Option<u64>,
    pub(crate) device_code_lifetime: Duration,
    pub(crate) registration: RegistrationSettings,
    pub(crate) client_documents: bool,
    pub(crate) backchannel_auto_approve_after_polls: Option<u32>,
    /// Who is trusted to speak for people, and by which keys.
    pub(crate) trusted_issuers: Vec<(String, Value)>,
    /// Where the port on TLS is, if there is one: `https://localhost:PORT`.
    pub(crate) tls_origin: Option<String>,
    pub(crate) require_dpop: bool,
    pub(crate) require_par: bool,
    pub(crate) request_uri_lifetime: Duration,
    pub(crate) require_signed_request_object: bool,
    pub(crate) response_algorithm: Algorithm,
    pub(crate) authorization_detail_types: Vec<String>,
    pub(crate) fapi2: bool,
}

pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) clients: HashMap<String, Client>,
    /// Names and passwords, in the order of the consent page.
    pub(crate) users: Vec<(String, String)>,
    /// Who is at the keyboard when the server approves by itself.
    pub(crate) approve_as: String,
    pub(crate) deny_next_authorization: bool,
    pub(crate) mint: Mint,
    pub(crate) transactions: HashMap<String, Transaction>,
    /// `state` to challenge and back: neither may serve for two authorizations.
    pub(crate) seen_states: HashMap<String, String>,
    pub(crate) seen_challenges: HashMap<String, String>,
    pub(crate) codes: Codes,
    pub(crate) devices: Devices,
    pub(crate) pushed: PushedRequests,
    pub(crate) backchannel: Authentications,
    pub(crate) dpop: Dpop,
    pub(crate) tokens: Tokens,
    pub(crate) counters: Counters,
    pub(crate) log: RequestLog,
    pub(crate) seen: Seen,
    pub(crate) registrations: Registrations,
    pub(crate) documents: ClientDocuments,
    pub(crate) faults: Faults,
    pub(crate) id_token_faults: IdTokenFaults,
    pub(crate) refresh_listener: Option<RefreshListener>,
    /// What the protected resources say of themselves (RFC 9728).
    pub(crate) announcement: Announcement,
    /// When each person was last seen to authenticate (RFC 9470).
    pub(crate) authenticated_at: HashMap<String, SystemTime>,
    pub(crate) keys: ServerKeys,
    pub(crate) replays: Replays,
}

impl State {
    /// A person authenticates; within `max_age` the last time still counts, as the session of a browser makes it.
    pub(crate) fn authenticate(&mut self, user: &str, now: SystemTime, max_age: Option<u64>) -> SystemTime {
        let at = self.authenticated_at.entry(user.to_owned()).or_insert(now);
        let age = now.duration_since(*at).unwrap_or_default();
        if max_age.is_some_and(|seconds| age > Duration::from_secs(seconds)) {
            *at = now;
        }
        *at
    }

    pub(crate) fn endpoint(&self, request: &Request) -> Endpoint {
        Endpoint::of(&request.path, &self.settings.base_path)
    }

    /// Writes down that a request has come, before anything becomes of it; its number, if anybody wants to see what will.
    pub(crate) fn arrived(&mut self, now: SystemTime, endpoint: Endpoint, request: &Request) -> Option<u64> {
        let record = RecordedRequest::new(endpoint, request);
        let grant_type = (endpoint == Endpoint::Token).then(|| record.form_value("grant_type")).flatten();
        self.counters.arrived(endpoint, grant_type);
        let number = seen::arrived(self, now, &record);
        self.log.push(record);
        number
    }

    /// What the server makes of a request. Everything that changes, changes here.
    pub(crate) fn answer(&mut self, now: SystemTime, request: &Request) -> Answer {
        if !self.is_our_host(request) {
            return pages::wrong_host();
        }
        let endpoint = self.endpoint(request);
        let answer = match endpoint {
            Endpoint::Metadata => metadata::oauth(&self.settings, request),
            Endpoint::OpenIdConfiguration => metadata::openid(&self.settings, request),
            Endpoint::Authorization => authorization::authorize(self, now, request),
            Endpoint::Consent => authorization::decide(self, now, request),
            Endpoint::Token => {
                let answer = token_endpoint::token(self, now, request).unwrap_or_else(|no| no.into_answer());
                dpop::announce(self, Side::Authorization, request, answer)
            }
            Endpoint::PushedAuthorization => {
                let answer = par::push(self, now, request).unwrap_or_else(|no| no.into_answer());
                dpop::announce(self, Side::Authorization, request, answer)
            }
            Endpoint::DeviceAuthorization => {
                device::authorize(self, now, request).unwrap_or_else(|no| no.into_answer())
            }
            Endpoint::DeviceVerification if request.path.ends_with("/decision") => {
                device::decide_on_page(self, now, request)
            }
            Endpoint::DeviceVerification => device::verification_page(self, now, request),
            Endpoint::BackchannelAuthentication => {
                ciba::authorize(self, now, request).unwrap_or_else(|no| no.into_answer())
            }
            Endpoint::Revocation => {
                revocation::revoke(self, now, request).unwrap_or_else(|no| no.into_answer())
            }
            Endpoint::Introspection => {
                introspection::introspect(self, now, request).unwrap_or_else(|no| no.into_answer())
            }
            Endpoint::ResourceMetadata => protected_resource::metadata(self, request),
            Endpoint::Jwks => metadata::jwks(&self.keys, request),
            Endpoint::UserInfo => {
                let answer = userinfo::userinfo(self, now, request);
                dpop::announce(self, Side::Resource, request, answer)
            }
            Endpoint::EndSession => logout::end_session(self, request),
            Endpoint::Resource => {
                let answer = resource::serve(self, now, request);
                dpop::announce(self, Side::Resource, request, answer)
            }
            Endpoint::Registration if self.settings.registration.on => {
                registration::answer(self, now, request).unwrap_or_else(|no| no.into_answer())
            }
            Endpoint::Registration | Endpoint::Other => self.other(request),
        };
        tracing::debug!(?endpoint, status = answer.status.as_u16(), "answered");
        answer
    }

    fn other(&self, request: &Request) -> Answer {
        if let Some(hosted) = self.documents.serve(request) {
            return hosted;
        }
        match request.path.strip_prefix(&self.settings.base_path) {
            Some("" | "/") => pages::home(&self.settings, self.seen.form_token.is_some()),
            _ => pages::problem(StatusCode::NOT_FOUND, "There is nothing here."),
        }
    }

    /// A page of another site that had its name point to 127.0.0.1 (DNS rebinding) gets nothing.
    pub(crate) fn is_our_host(&self, request: &Request) -> bool {
        let host = request.headers.get("host").and_then(|host| host.to_str().ok());
        let origins = [Some(&self.settings.origin), self.settings.tls_origin.as_ref()];
        let mut ports = origins.into_iter().flatten().filter_map(|origin| origin.rsplit(':').next());
        let theirs =
            host.and_then(|host| host.strip_prefix("localhost:").or_else(|| host.strip_prefix("127.0.0.1:")));
        theirs.is_some_and(|theirs| ports.any(|port| port == theirs))
    }

    /// What the fault `SlowDown` does besides its answer.
    pub(crate) fn slow_device_down(&mut self, request: &Request) {
        let form = form::parse_tolerantly(&request.body);
        if let Some((_, device_code)) = form.iter().find(|(name, _)| name == "device_code") {
            self.devices.slow_down(device_code);
        }
    }
}
