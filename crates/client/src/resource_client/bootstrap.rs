//! The way from a challenge to a login: whose resource it is, which server it trusts, whether that one may be trusted, as which
//! client, with which scope. And the way to more, where there is a login.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jeton_grants::{
    GrantError, Limits, LoginOptions, ManualRegistration, ProtectedResourceError, RegistrationPrompt,
    ServerPrompt, ServerReason, Transport, discover, protected_resource_metadata,
};
use jeton_models::{
    AuthorizationServerMetadata, ClientRegistration, Issuer, MetadataError, ProtectedResourceMetadata,
    ResourceChallenge, Scope,
};
use tokio::task::JoinHandle;
use url::Url;

use super::answer::{LoginWanted, Want};
use super::memory::{Client as ClientOf, Flight, Known, Remembered};
use super::{Inner, LARGEST_METADATA, METADATA_TIMEOUT, OwnClient};
use crate::reach::{GuardedTransport, Zone};
use crate::{Client, ClientBuilder, Error, Registrar, Session};

/// The longest scope that is put together of a resource's list, in bytes.
const LONGEST_SCOPE: usize = 4096;

impl Inner {
    /// Does what a resource wants, or waits for somebody who is doing so. `false` if nothing came of it and the resource's answer
    /// stands.
    pub(super) async fn satisfied(
        self: &Arc<Self>,
        url: &Url,
        seen: Option<Arc<Known>>,
        want: Want,
    ) -> Result<bool, Error> {
        let flight = {
            let mut origins = self.origins();
            let origin = origins.of(url);
            match origin.flight_under_way() {
                Some(flight) => flight,
                None => {
                    // Somebody has logged in since this request was sent.
                    let is_seen = |now: &Arc<Known>| seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, now));
                    if origin.find(url).is_some_and(|now| !is_seen(&now)) {
                        return Ok(true);
                    }
                    let flight = self.take_off(url.clone(), seen, want);
                    origin.set_flight(&flight);
                    flight
                }
            }
        };
        flight.await
    }

    /// On jeton's own runtime, as all requests to authorization servers; given up when nobody waits any more.
    fn take_off(self: &Arc<Self>, url: Url, seen: Option<Arc<Known>>, want: Want) -> Flight {
        let inner = self.clone();
        let mut task = GivenUp(self.background.spawn(async move {
            match (want, seen) {
                (Want::Login(wanted), seen) => inner.bootstrap(&url, seen, *wanted).await,
                (Want::Scope(scope), Some(known)) => {
                    inner.step_up(&url, &known, Some(scope), LoginOptions::new()).await
                }
                (Want::Authentication { acr_values, max_age }, Some(known)) => {
                    let mut options = LoginOptions::new().acr_values(acr_values);
                    options.max_age = max_age.map(Duration::from_secs);
                    inner.step_up(&url, &known, None, options).await
                }
                (_, None) => Ok(false),
            }
        }));
        async move { (&mut task.0).await.unwrap_or(Err(Error::Panicked)) }.boxed().shared()
    }

    /// Logs in once more: with the scope that was asked for so far and the one that is wanted now, or with another authentication
    /// of the person.
    async fn step_up(
        &self,
        url: &Url,
        known: &Known,
        wanted: Option<Scope>,
        mut options: LoginOptions,
    ) -> Result<bool, Error> {
        let granted = known.session.cached().and_then(|token| token.scope().cloned());
        if let Some(wanted) = &wanted
            && granted.as_ref().is_some_and(|granted| wanted.is_subset(granted))
        {
            // It has what it asks for.
            return Ok(false);
        }
        if !self.may_try(url, &known.remembered.resource) {
            return Ok(false);
        }
        let scopes = [known.remembered.scope.clone(), granted, wanted];
        let scope = scopes.into_iter().flatten().reduce(|all, more| all.union(&more));
        let remembered = Remembered { scope: scope.clone(), ..known.remembered.clone() };
        options.scope = scope;
        self.log_in(url, remembered, known.session.clone(), options).await
    }

    async fn log_in(
        &self,
        url: &Url,
        remembered: Remembered,
        session: Session,
        options: LoginOptions,
    ) -> Result<bool, Error> {
        session.log_in_with(options).await?;
        self.remember(url, &remembered).await;
        self.publish(url, remembered, session);
        Ok(true)
    }

    async fn bootstrap(
        &self,
        url: &Url,
        seen: Option<Arc<Known>>,
        wanted: LoginWanted,
    ) -> Result<bool, Error> {
        let LoginWanted { challenge, is_for_oauth, zone, failed, anew } = wanted;
        let transport = self.guarded(zone)?;
        let announced = challenge.resource_metadata.as_ref();
        let limits = self.metadata_limits();
        let metadata = protected_resource_metadata(&transport, &*self.clock, url, announced, &limits).await;
        let metadata = match metadata {
            Ok(metadata) => metadata,
            Err(error) if failed.is_none() && !is_for_oauth && is_absent(&error) => {
                // Some other kind of server, whose 401 means what it means.
                tracing::debug!(%error, "no OAuth resource");
                return Ok(false);
            }
            Err(error) => return Err(failed.unwrap_or_else(|| error.into())),
        };
        let resource = metadata.resource.clone();
        let of_resource = seen.as_ref().filter(|seen| seen.remembered.resource == resource);
        let before = match of_resource {
            Some(seen) => Some(seen.remembered.clone()),
            None => self.stored(url, &resource).await?,
        };
        let issuer = self.chosen(&metadata, before.as_ref())?;
        let same = before.as_ref().filter(|before| is_same(&before.issuer, &issuer));
        let was_rejected = failed.is_none();
        if let (Some(_), Some(error)) = (same, failed.filter(|error| !error.is_login_required())) {
            // The server is the resource's own still: this is what is wrong with it.
            return Err(error);
        }
        if !self.may_try(url, &resource) {
            return Ok(false);
        }
        // Somebody who shares the store may have approved the server meanwhile.
        let same = match same {
            Some(same) => Some(same.clone()),
            None => self.stored(url, &resource).await?.filter(|stored| is_same(&stored.issuer, &issuer)),
        };
        if same.is_none() {
            self.approve(url, &resource, &issuer, before.as_ref()).await?;
        }
        let server = discover(&transport, &*self.clock, &issuer, &limits).await?;
        check_pkce(&server)?;
        check_browser(&server, zone)?;
        let mut remembered = match same {
            Some(same) => Remembered { zone, ..same },
            None => {
                let client = self.client_at(&issuer, &server, &resource, zone).await?;
                let issuer = issuer.as_str().to_owned();
                Remembered { resource: resource.clone(), issuer, client, zone, scope: None }
            }
        };
        let asked = remembered.scope.take();
        remembered.scope = scope(asked, &challenge, &metadata, &server);
        if let Some(seen) = seen.as_ref().filter(|seen| seen.remembered.resource != resource) {
            // The resource has another name now.
            self.forget(url, &seen.remembered.resource).await;
        }
        self.remember(url, &remembered).await;
        let at_hand = of_resource.filter(|seen| {
            let own = &seen.remembered;
            is_same(&own.issuer, &issuer) && own.client == remembered.client && own.zone == remembered.zone
        });
        let session = match at_hand {
            Some(seen) => seen.session.clone(),
            None => self.session_of(&remembered).await?,
        };
        // Another process may have logged in meanwhile, or an earlier run. What the resource has just rejected is no login.
        let is_wanted_anew = anew || (was_rejected && at_hand.is_some());
        if !is_wanted_anew && session.token().await.is_ok() {
            self.publish(url, remembered, session);
            return Ok(true);
        }
        let mut options = LoginOptions::new();
        options.scope = remembered.scope.clone();
        self.log_in(url, remembered, session, options).await
    }

    /// Which of the resource's servers: the one at which the login is, one that the program knows, or else the first.
    fn chosen(
        &self,
        metadata: &ProtectedResourceMetadata,
        before: Option<&Remembered>,
    ) -> Result<Issuer, Error> {
        let issuers = metadata.issuers();
        let of_before = issuers.iter().find(|own| before.is_some_and(|before| is_same(&before.issuer, own)));
        let known = || issuers.iter().find(|own| self.own_client(own).is_some());
        let trusted = || issuers.iter().find(|own| self.trusted.contains(own));
        let chosen = of_before.or_else(known).or_else(trusted).or(issuers.first()).cloned();
        chosen.ok_or_else(|| {
            let resource = metadata.resource.clone();
            GrantError::from(ProtectedResourceError::NoAuthorizationServer { resource }).into()
        })
    }

    fn own_client(&self, issuer: &Issuer) -> Option<&OwnClient> {
        self.own_clients.iter().find(|own| own.issuer == *issuer)
    }

    /// Asks whether the server may be trusted, unless the program has named it. Nothing was sent there so far.
    async fn approve(
        &self,
        url: &Url,
        resource: &str,
        issuer: &Issuer,
        before: Option<&Remembered>,
    ) -> Result<(), Error> {
        if self.trusted.contains(issuer) || self.own_client(issuer).is_some() {
            return Ok(());
        }
        let reason = match before {
            Some(before) => ServerReason::Moved { from: &before.issuer },
            None => ServerReason::Named,
        };
        let prompt = ServerPrompt::new(resource, issuer.as_str(), reason);
        if !self.was_declined(url, resource, issuer.as_str())
            && self.interaction.approve_authorization_server(&prompt).await.map_err(GrantError::from)?
        {
            return Ok(());
        }
        self.note_declined(url, resource, issuer.as_str());
        let (resource, issuer) = (resource.to_owned(), issuer.as_str().to_owned());
        Err(GrantError::from(ProtectedResourceError::ServerNotApproved { resource, issuer }).into())
    }

    /// As which client to log in: the program's own, its metadata document, a registered one, one that somebody registers by hand.
    async fn client_at(
        &self,
        issuer: &Issuer,
        server: &AuthorizationServerMetadata,
        resource: &str,
        zone: Zone,
    ) -> Result<ClientOf, Error> {
        if self.own_client(issuer).is_some() {
            return Ok(ClientOf::Preregistered);
        }
        if self.client_id_document.is_some() && server.client_id_metadata_document_supported == Some(true) {
            return Ok(ClientOf::Document);
        }
        let registrar = self.registrar(zone)?;
        let refused = match &self.client_metadata {
            Some(metadata) if server.registration_endpoint.is_some() => {
                match registrar.registered(server, metadata).await {
                    Ok(_) => return Ok(ClientOf::Registered),
                    // A server that registers others, but not everybody.
                    Err(error) if error.oauth_error().is_some() => Some(error),
                    Err(error) => return Err(error),
                }
            }
            _ => None,
        };
        if registrar.stored(issuer).await?.is_some() {
            return Ok(ClientOf::ByHand);
        }
        let documentation = server.service_documentation.as_deref();
        let prompt = RegistrationPrompt::new(resource, issuer.as_str(), documentation);
        let by_hand = self.interaction.register_client(&prompt).await.map_err(GrantError::from)?;
        let Some(ManualRegistration { client_id, client_secret, .. }) = by_hand else {
            let issuer = issuer.as_str().to_owned();
            return Err(refused.unwrap_or_else(|| {
                GrantError::from(ProtectedResourceError::NoRegistration { issuer }).into()
            }));
        };
        if client_id.is_empty() {
            return Err(Error::configuration(
                "the client identifier that was typed is empty; register again",
            ));
        }
        let mut registration = ClientRegistration::new(issuer.as_str(), client_id);
        registration.client_secret = client_secret;
        registrar.keep(issuer, registration).await?;
        Ok(ClientOf::ByHand)
    }

    /// The session of a resource, as its client at its server.
    pub(super) async fn session_of(&self, remembered: &Remembered) -> Result<Session, Error> {
        let issuer: Issuer = remembered.issuer.parse()?;
        let missing = |what: &str| {
            Error::configuration(format!("the program has no {what} for {issuer} any more; begin anew"))
        };
        let builder = match remembered.client {
            ClientOf::Preregistered => {
                let own = self.own_client(&issuer).ok_or_else(|| missing("client"))?;
                Client::builder(&own.client_id).shared_authentication(own.authentication.clone())
            }
            ClientOf::Document => Client::builder(
                self.client_id_document.clone().ok_or_else(|| missing("client metadata document"))?,
            ),
            ClientOf::Registered => {
                let metadata = self.client_metadata.as_ref().ok_or_else(|| missing("client metadata"))?;
                self.registrar(remembered.zone)?.client(&remembered.issuer, metadata).await?
            }
            ClientOf::ByHand => {
                let stored = self.registrar(remembered.zone)?.stored(&issuer).await?;
                Client::of_registration(&stored.ok_or_else(|| missing("client"))?)
            }
        };
        let grant = self.grant.clone().ok_or_else(|| {
            Error::configuration(
                "there is no place where the browser could bring the answer to a login; give the client one with `redirect`",
            )
        })?;
        let client = self
            .configured(builder)
            .issuer(&remembered.issuer)
            .resource(&remembered.resource)
            .grant(grant)
            .shared_store(self.store.clone())
            .shared_interaction(self.interaction.clone())
            .transport(self.guarded(remembered.zone)?)
            .http(self.http.clone())
            .clock(self.clock.clone())
            .limits(self.limits.clone())
            .build()?;
        Ok(client.account(self.account_of(&remembered.resource)))
    }

    fn configured(&self, builder: ClientBuilder) -> ClientBuilder {
        match &self.configure {
            Some(configure) => configure(builder),
            None => builder,
        }
    }

    fn registrar(&self, zone: Zone) -> Result<Registrar, Error> {
        Registrar::builder()
            .shared_store(self.store.clone())
            .transport(self.guarded(zone)?)
            .clock(self.clock.clone())
            .limits(self.limits.clone())
            .build()
    }

    /// What sends requests to wherever a resource in that zone may lead.
    fn guarded(&self, zone: Zone) -> Result<Arc<dyn Transport>, Error> {
        Ok(Arc::new(match &self.transport {
            Some(transport) => GuardedTransport::over(transport.clone(), zone),
            None => GuardedTransport::new(&self.http, zone)
                .map_err(|error| Error::configuration(error.to_string()))?,
        }))
    }

    fn metadata_limits(&self) -> Limits {
        let mut limits = self.limits.clone();
        limits.timeout = limits.timeout.min(METADATA_TIMEOUT);
        limits.max_body = limits.max_body.min(LARGEST_METADATA);
        limits
    }
}

/// A task that ends when nobody waits for it.
struct GivenUp(JoinHandle<Result<bool, Error>>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether there is simply no such document.
pub(super) fn is_absent(error: &GrantError) -> bool {
    match error {
        GrantError::Unusable { answer, .. } => answer.status < 500 && answer.status != 429,
        GrantError::OAuth { error, .. } => error.status < 500 && error.status != 429,
        GrantError::Redirected { .. } => true,
        _ => false,
    }
}

fn is_same(spelling: &str, issuer: &Issuer) -> bool {
    spelling.parse::<Issuer>().is_ok_and(|own| own == *issuer)
}

/// The server has to say that it does PKCE with S256: one that is met by chance and says nothing cannot be taken at its word.
fn check_pkce(server: &AuthorizationServerMetadata) -> Result<(), GrantError> {
    let listed = server.code_challenge_methods_supported.clone().unwrap_or_default();
    match listed.iter().any(|method| method == "S256") {
        true => Ok(()),
        false => Err(GrantError::NoS256 { issuer: server.issuer.clone(), listed }),
    }
}

/// The person's browser is led to no address either to which the resource must not lead: what is there may take its word for theirs.
fn check_browser(server: &AuthorizationServerMetadata, zone: Zone) -> Result<(), GrantError> {
    let name = "authorization_endpoint";
    let url = server.endpoint(name)?;
    match Zone::of_host(&url) {
        Some(place) if !zone.may_lead_to(place) => {
            let what = "is on a private address, to which the resource must not lead,";
            Err(MetadataError::EndpointInvalid { issuer: server.issuer.clone(), name, what }.into())
        }
        _ => Ok(()),
    }
}

/// What to ask for: what the challenge says, or else what the resource lists, or else nothing; and whatever was asked for before.
/// `offline_access` only where the server has it, and never alone: then its own default scope would be lost.
fn scope(
    asked: Option<Scope>,
    challenge: &ResourceChallenge,
    metadata: &ProtectedResourceMetadata,
    server: &AuthorizationServerMetadata,
) -> Option<Scope> {
    const OFFLINE_ACCESS: &str = "offline_access";
    let wanted = challenge.scope.clone().or_else(|| listed(metadata.scopes_supported.as_deref()?));
    let all = [asked, wanted].into_iter().flatten().reduce(|all, more| all.union(&more))?;
    let offers = |name: &str| server.scopes_supported.iter().flatten().any(|own| own == name);
    let mut names: Vec<&str> = all.iter().filter(|name| *name != OFFLINE_ACCESS).collect();
    if offers(OFFLINE_ACCESS) && !names.is_empty() {
        names.push(OFFLINE_ACCESS);
    }
    Scope::from_names(names).ok().filter(|scope| !scope.is_empty())
}

/// The names of a list that can be names, up to a length that a URL can hold.
fn listed(names: &[String]) -> Option<Scope> {
    let mut room = LONGEST_SCOPE;
    let good = names.iter().filter(|name| Scope::from_names([name.as_str()]).is_ok());
    let fitting = good.take_while(|name| {
        let fits = name.len() < room;
        room = room.saturating_sub(name.len() + 1);
        fits
    });
    Scope::from_names(fitting.map(String::as_str)).ok().filter(|scope| !scope.is_empty())
}

#[cfg(test)]
mod tests {
    //! Where a public resource may lead; everything else is tested with a server (tests/client/resource_client.rs), which is on
    //! this very machine.

    use std::sync::Mutex;

    use async_trait::async_trait;
    use bytes::Bytes;
    use jeton_grants::{
        AuthorizationPrompt, AuthorizationReply, Interaction, InteractionError, PastedRedirect, PublicClient,
        TransportError,
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::ResourceClient;

    const RESOURCE: &str = "https://api.example/v1";
    const PUBLIC: &str = "https://as.example";

    /// Servers that say what a test wants, by URL; everybody else has nothing.
    #[derive(Clone, Default)]
    struct Internet(Arc<Mutex<Hosted>>);

    #[derive(Default)]
    struct Hosted {
        documents: Vec<(String, Value)>,
        asked: Vec<String>,
    }

    impl Internet {
        fn has(&self, url: &str, document: Value) {
            self.0.lock().unwrap().documents.push((url.to_owned(), document));
        }

        fn has_server(&self, issuer: &str, change: impl FnOnce(&mut Value)) {
            let mut document = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "code_challenge_methods_supported": ["S256"],
            });
            change(&mut document);
            self.has(&format!("{issuer}/.well-known/oauth-authorization-server"), document);
        }

        fn asked(&self) -> Vec<String> {
            self.0.lock().unwrap().asked.clone()
        }
    }

    #[async_trait]
    impl Transport for Internet {
        async fn send(
            &self,
            request: ::http::Request<Bytes>,
            _: &Limits,
        ) -> Result<::http::Response<Bytes>, TransportError> {
            let url = request.uri().to_string();
            let mut internet = self.0.lock().unwrap();
            internet.asked.push(url.clone());
            let found = internet
                .documents
                .iter()
                .find(|(own, _)| *own == url)
                .map(|(_, document)| document.to_string());
            let status = if found.is_some() { 200 } else { 404 };
            let response =
                ::http::Response::builder().status(status).header("content-type", "application/json");
            Ok(response.body(found.unwrap_or_default().into()).unwrap())
        }
    }

    struct Obliging;

    #[async_trait]
    impl Interaction for Obliging {
        async fn approve_authorization_server(&self, _: &ServerPrompt<'_>) -> Result<bool, InteractionError> {
            Ok(true)
        }

        async fn open_authorization_url(
            &self,
            prompt: &AuthorizationPrompt<'_>,
        ) -> Result<AuthorizationReply, InteractionError> {
            let state = prompt.url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
            let url = format!("{}?code=c0de&state={state}", prompt.redirect_uri);
            Ok(AuthorizationReply::Redirected(url.parse().unwrap()))
        }
    }

    /// What becomes of a challenge that came from that zone.
    async fn led(internet: &Internet, zone: Zone, announced: Option<&str>) -> Result<bool, Error> {
        let mut builder = ResourceClient::builder()
            .transport(internet.clone())
            .interaction(Obliging)
            .redirect(PastedRedirect::new("http://127.0.0.1:7777/callback"));
        for issuer in [PUBLIC, "https://10.0.0.5"] {
            builder = builder.preregistered(issuer, "app", PublicClient);
        }
        let client = builder.build().unwrap();
        let mut challenge = ResourceChallenge::default();
        challenge.resource_metadata = announced.map(|url| url.parse().unwrap());
        let wanted = LoginWanted { challenge, is_for_oauth: true, zone, failed: None, anew: false };
        client.0.bootstrap(&RESOURCE.parse().unwrap(), None, wanted).await
    }

    fn names(servers: &[&str]) -> Value {
        json!({ "resource": RESOURCE, "authorization_servers": servers })
    }

    const AT_PATH: &str = "https://api.example/.well-known/oauth-protected-resource/v1";

    /// Nothing was sent to a host that does not end so.
    fn asked_only(internet: &Internet, hosts: &[&str]) {
        for url in internet.asked() {
            let url: Url = url.parse().unwrap();
            assert!(hosts.contains(&url.host_str().unwrap()), "{url}");
        }
    }

    #[tokio::test]
    async fn a_public_resource_leads_to_no_metadata_on_a_private_address() {
        for place in [
            "http://127.0.0.1:8080/m",
            "http://localhost/m",
            "https://[::1]/m",
            "https://10.0.0.5/m",
            "https://169.254.169.254/latest/meta-data",
            "https://[::ffff:192.168.0.1]/m",
            "https://[64:ff9b::a00:1]/m",
            "https://100.64.0.1/m",
            "https://2130706433/m",
        ] {
            let internet = Internet::default();
            let error = led(&internet, Zone::Public, Some(place)).await.unwrap_err();
            assert!(error.to_string().contains("private address"), "{place}: {error}");
            assert!(internet.asked().is_empty(), "{place}");
        }
    }

    #[tokio::test]
    async fn a_public_resource_leads_to_no_server_on_a_private_address() {
        for issuer in
            ["http://127.0.0.1:8080", "https://169.254.169.254", "https://10.0.0.5", "https://[fd00::1]"]
        {
            let internet = Internet::default();
            internet.has(AT_PATH, names(&[issuer]));
            internet.has_server(issuer, |_| {});
            let error = led(&internet, Zone::Public, None).await.unwrap_err();
            assert!(error.to_string().contains("private address"), "{issuer}: {error}");
            asked_only(&internet, &["api.example"]);
        }
    }

    #[tokio::test]
    async fn a_public_server_leads_to_no_endpoint_on_a_private_address() {
        for endpoint in
            ["http://127.0.0.1:8080/token", "https://169.254.169.254/token", "https://192.168.1.1/token"]
        {
            let internet = Internet::default();
            internet.has(AT_PATH, names(&[PUBLIC]));
            internet.has_server(PUBLIC, |document| document["token_endpoint"] = endpoint.into());
            let error = led(&internet, Zone::Public, None).await.unwrap_err();
            assert!(error.to_string().contains("private address"), "{endpoint}: {error}");
            asked_only(&internet, &["api.example", "as.example"]);
        }
    }

    #[tokio::test]
    async fn a_public_server_leads_no_browser_to_a_private_address() {
        let internet = Internet::default();
        internet.has(AT_PATH, names(&[PUBLIC]));
        internet.has_server(PUBLIC, |document| {
            document["authorization_endpoint"] = "http://127.0.0.1:8080/authorize".into();
        });
        let error = led(&internet, Zone::Public, None).await.unwrap_err();
        assert!(error.to_string().contains("private address"), "{error}");
    }

    #[tokio::test]
    async fn a_resource_at_home_may_lead_to_a_server_at_home() {
        let internet = Internet::default();
        internet.has(AT_PATH, names(&["https://10.0.0.5"]));
        internet.has_server("https://10.0.0.5", |document| {
            document["token_endpoint"] = "https://10.0.0.5/token".into();
        });
        internet.has("https://10.0.0.5/token", json!({ "access_token": "t0k3n", "token_type": "Bearer" }));
        assert!(led(&internet, Zone::Private, None).await.unwrap());
        // But not to this machine, nor to where a cloud keeps its credentials.
        for issuer in ["http://127.0.0.1:8080", "https://169.254.169.254"] {
            let internet = Internet::default();
            internet.has(AT_PATH, names(&[issuer]));
            let error = led(&internet, Zone::Private, None).await.unwrap_err();
            assert!(error.to_string().contains("private address"), "{issuer}: {error}");
        }
    }

    #[tokio::test]
    async fn the_number_of_documents_that_are_read_is_bounded() {
        let internet = Internet::default();
        let servers: Vec<String> = (0..1000).map(|number| format!("https://as{number}.example")).collect();
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        internet.has("https://api.example/.well-known/oauth-protected-resource", {
            let mut document = names(&servers);
            document["resource"] = "https://api.example".into();
            document
        });
        led(&internet, Zone::Public, None).await.unwrap_err();
        // Two for the resource, two for the first of its servers.
        assert_eq!(internet.asked().len(), 4);
    }

    #[test]
    fn which_scope_is_asked_for() {
        let of = |challenge: Option<&str>, listed: Option<&[&str]>, server: &[&str], asked: Option<&str>| {
            let scope_of = |text: &str| text.parse::<Scope>().unwrap();
            let mut wanted = ResourceChallenge::default();
            wanted.scope = challenge.map(scope_of);
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            let mut metadata = ProtectedResourceMetadata::default();
            metadata.scopes_supported = listed.map(names);
            let mut metadata_of_server = AuthorizationServerMetadata::new(PUBLIC);
            metadata_of_server.scopes_supported = Some(names(server));
            let scope = scope(asked.map(scope_of), &wanted, &metadata, &metadata_of_server);
            scope.map(|scope| scope.to_string())
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(of(Some("a"), Some(&["b"]), &[], None), text("a"));
        assert_eq!(of(None, Some(&["b", "c"]), &[], None), text("b c"));
        assert_eq!(of(None, None, &["a", "offline_access"], None), None);
        assert_eq!(of(None, Some(&[]), &[], None), None);
        assert_eq!(of(Some("a"), None, &["offline_access"], None), text("a offline_access"));
        assert_eq!(of(Some("a offline_access"), None, &["a"], None), text("a"));
        assert_eq!(of(Some("offline_access"), None, &["a"], None), None);
        assert_eq!(of(Some("a"), None, &[], Some("b")), text("b a"));
        let long = "x".repeat(3000);
        assert_eq!(of(None, Some(&[&long, &long.replace('x', "y"), "z"]), &[], None), Some(long));
        assert_eq!(of(None, Some(&["\u{1b}[2J", "good"]), &[], None), text("good"));
    }
}
