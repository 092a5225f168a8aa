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
    AuthorizationServerMetadata, ClientRegistration, Issuer, ProtectedResourceMetadata, ResourceChallenge,
    Scope,
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
        let LoginWanted { challenge, is_for_oauth, zone, failed } = wanted;
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
        if !(was_rejected && at_hand.is_some()) && session.token().await.is_ok() {
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
fn is_absent(error: &GrantError) -> bool {
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
