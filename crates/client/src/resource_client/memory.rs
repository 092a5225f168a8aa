//! What is remembered of resources: which server each one trusts, and as which client the program is known there. In the process
//! with the session, in the store for later runs and other processes.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, Shared, WeakShared};
use jeton_models::{Issuer, Scope, Secret, resource_covers};
use jeton_storage::{LoginKey, LoginRecord, StoreError, unix_ms};
use serde::{Deserialize, Serialize};
use url::Url;

use super::Inner;
use super::answer::origin_of;
use crate::reach::Zone;
use crate::{Error, Session};

/// So many resources of one origin are remembered in the store; the oldest goes first.
const MOST_RESOURCES: usize = 256;
/// So many origins without a login are remembered, in order not to look into the store again.
const MOST_EMPTY: usize = 1024;
/// So many logins for a resource are begun within [`TRIES_WITHIN_MS`].
const MOST_TRIES: usize = 3;
const TRIES_WITHIN_MS: u64 = 10 * 60 * 1000;
/// For so long a no of the person counts for all who wait.
const NO_COUNTS_MS: u64 = 60 * 1000;
const LEASE_TIMEOUT: Duration = Duration::from_secs(15);

/// A resource and the server that it trusts, with the person's leave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) resource: String,
    /// In the server's own spelling.
    pub(super) issuer: String,
    pub(super) client: Client,
    /// From where the resource answered, and so to where it may lead.
    pub(super) zone: Zone,
    /// What the person was asked for last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<Scope>,
}

/// As which client the program is known at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Client {
    /// As the one that the program brought.
    Preregistered,
    /// By its metadata document.
    Document,
    /// As the one that the server registered (RFC 7591).
    Registered,
    /// As the one that somebody registered by hand.
    ByHand,
}

#[derive(Default, Serialize, Deserialize)]
struct Stored {
    resources: Vec<Remembered>,
}

/// A resource with its login. Another login for it is another one of these.
pub(super) struct Known {
    pub(super) remembered: Remembered,
    pub(super) session: Session,
}

pub(super) type Flight = Shared<BoxFuture<'static, Result<bool, Error>>>;

/// What is known in this process, by origin.
#[derive(Default)]
pub(crate) struct Origins(HashMap<String, Origin>);

#[derive(Default)]
pub(super) struct Origin {
    known: Vec<Arc<Known>>,
    /// What the store had; `None` if it was not looked at.
    stored: Option<Vec<Remembered>>,
    /// The login under way.
    flight: Option<WeakShared<BoxFuture<'static, Result<bool, Error>>>>,
    /// When logins were begun, by resource in its [`one_spelling`].
    tries_ms: HashMap<String, Vec<u64>>,
    /// Resource, likewise, and server that the person did not approve, and when.
    declined_ms: HashMap<(String, String), u64>,
}

impl Origins {
    pub(super) fn of(&mut self, url: &Url) -> &mut Origin {
        if self.0.len() > MOST_EMPTY {
            self.0.retain(|_, origin| !origin.is_empty());
        }
        self.0.entry(origin_of(url)).or_default()
    }
}

impl Origin {
    fn is_empty(&self) -> bool {
        self.known.is_empty()
            && self.flight_under_way().is_none()
            && self.tries_ms.is_empty()
            && self.stored.as_ref().is_none_or(Vec::is_empty)
    }

    /// The resource with the longest path that covers the URL.
    pub(super) fn find(&self, url: &Url) -> Option<Arc<Known>> {
        let covering = self.known.iter().filter(|known| resource_covers(&known.remembered.resource, url));
        covering.max_by_key(|known| known.remembered.resource.len()).cloned()
    }

    fn find_stored(&self, url: &Url) -> Option<&Remembered> {
        let covering =
            self.stored.iter().flatten().filter(|remembered| resource_covers(&remembered.resource, url));
        covering.max_by_key(|remembered| remembered.resource.len())
    }

    pub(super) fn flight_under_way(&self) -> Option<Flight> {
        self.flight.as_ref()?.upgrade().filter(|flight| flight.peek().is_none())
    }

    pub(super) fn set_flight(&mut self, flight: &Flight) {
        self.flight = flight.downgrade();
    }

    fn publish(&mut self, known: Arc<Known>) {
        self.known.retain(|own| own.remembered.resource != known.remembered.resource);
        self.known.push(known);
    }

    /// Counts one more login for the resource; `false` if there were too many.
    fn may_try(&mut self, resource: &str, now_ms: u64) -> bool {
        // One in the future is from before the clock was set back.
        let is_recent = |at_ms: &u64| now_ms.checked_sub(*at_ms).is_some_and(|age| age < TRIES_WITHIN_MS);
        self.tries_ms.retain(|_, tries| {
            tries.retain(is_recent);
            !tries.is_empty()
        });
        let tries = self.tries_ms.entry(one_spelling(resource)).or_default();
        let may = tries.len() < MOST_TRIES;
        if may {
            tries.push(now_ms);
        }
        may
    }
}

impl Inner {
    pub(super) fn origins(&self) -> MutexGuard<'_, Origins> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now_ms(&self) -> u64 {
        unix_ms(self.clock.now())
    }

    /// The login for that URL: the one in use, or what the store has.
    pub(super) async fn known(&self, url: &Url) -> Result<Option<Arc<Known>>, Error> {
        let remembered = {
            let mut origins = self.origins();
            let origin = origins.of(url);
            let found = origin.find(url);
            match (&found, &origin.stored) {
                (None, None) => None,
                _ => {
                    let stored = origin.find_stored(url);
                    let longer = stored.filter(|stored| {
                        found.as_ref().is_none_or(|own| own.remembered.resource.len() < stored.resource.len())
                    });
                    match longer {
                        Some(stored) => Some(stored.clone()),
                        None => return Ok(found),
                    }
                }
            }
        };
        let remembered = match remembered {
            Some(remembered) => remembered,
            None => {
                let stored = self.load(url).await?;
                let mut origins = self.origins();
                let origin = origins.of(url);
                origin.stored = Some(stored);
                match origin.find_stored(url) {
                    Some(remembered) => remembered.clone(),
                    None => return Ok(origin.find(url)),
                }
            }
        };
        let session = match self.session_of(&remembered).await {
            Ok(session) => session,
            // The program was changed since: it begins anew.
            Err(error @ Error::Configuration(_)) => {
                tracing::info!(resource = %remembered.resource, %error, "a remembered resource is not used");
                self.forget_stored(url, &remembered);
                return Ok(self.origins().of(url).find(url));
            }
            Err(error) => return Err(error),
        };
        let mut origins = self.origins();
        let origin = origins.of(url);
        // Somebody else may have been faster; there is one login in a process.
        let same = |known: &&Arc<Known>| known.remembered.resource == remembered.resource;
        if !origin.known.iter().any(|known| same(&known)) {
            origin.publish(Arc::new(Known { remembered, session }));
        }
        Ok(origin.find(url))
    }

    fn forget_stored(&self, url: &Url, forgotten: &Remembered) {
        if let Some(stored) = &mut self.origins().of(url).stored {
            stored.retain(|own| own != forgotten);
        }
    }

    /// What the store says of that very resource now: another process may have come to know it.
    pub(super) async fn stored(&self, url: &Url, resource: &str) -> Result<Option<Remembered>, Error> {
        Ok(self.load(url).await?.into_iter().find(|own| own.resource == resource))
    }

    async fn load(&self, url: &Url) -> Result<Vec<Remembered>, Error> {
        match self.store.load(&self.key(url)?).await {
            Ok(record) => Ok(record.map(|record| read(&record)).unwrap_or_default()),
            Err(StoreError::Damaged { what, .. }) => {
                tracing::warn!(what, "what was remembered of a resource is damaged and passed over");
                Ok(Vec::new())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down which server the resource trusts, for later runs and other processes. That it cannot be written is no error:
    /// then somebody is asked again.
    pub(super) async fn remember(&self, url: &Url, remembered: &Remembered) {
        if let Err(error) = self.rewrite(url, |all| put(all, remembered)).await {
            tracing::warn!(resource = %remembered.resource, %error, "the server of a resource could not be stored");
        }
        if let Some(stored) = &mut self.origins().of(url).stored {
            put(stored, remembered);
        }
    }

    /// Forgets a resource that calls itself otherwise now.
    pub(super) async fn forget(&self, url: &Url, resource: &str) {
        {
            let mut origins = self.origins();
            let origin = origins.of(url);
            origin.known.retain(|known| known.remembered.resource != resource);
            origin.stored.iter_mut().for_each(|stored| stored.retain(|own| own.resource != resource));
        }
        if let Err(error) = self.rewrite(url, |all| all.retain(|own| own.resource != resource)).await {
            tracing::warn!(resource, %error, "a resource could not be removed from the store");
        }
    }

    /// Forgets every resource of that URL's origin, and what was decided about it.
    pub(super) async fn forget_origin(&self, url: &Url) -> Result<(), Error> {
        *self.origins().of(url) = Origin::default();
        let mut lease = self.store.lease(&self.key(url)?, LEASE_TIMEOUT).await?;
        Ok(lease.delete().await?)
    }

    /// Changes what the store has of an origin, under its lease.
    async fn rewrite(&self, url: &Url, change: impl FnOnce(&mut Vec<Remembered>)) -> Result<(), Error> {
        let key = self.key(url)?;
        let mut lease = self.store.lease(&key, LEASE_TIMEOUT).await?;
        let record = match lease.load().await {
            Err(StoreError::Damaged { .. }) => None,
            record => record?,
        };
        let mut record = record.unwrap_or_else(|| LoginRecord::new(key, self.clock.now()));
        let mut resources = read(&record);
        change(&mut resources);
        let json = serde_json::to_string(&Stored { resources })
            .map_err(|error| Error::configuration(error.to_string()))?;
        record.registration = Some(Secret::from(json));
        record.generation += 1;
        record.updated_at_ms = self.now_ms();
        Ok(lease.save(&record).await?)
    }

    /// Makes a login for a resource the one that is used.
    pub(super) fn publish(&self, url: &Url, remembered: Remembered, session: Session) {
        self.origins().of(url).publish(Arc::new(Known { remembered, session }));
    }

    pub(super) fn may_try(&self, url: &Url, resource: &str) -> bool {
        let now_ms = self.now_ms();
        self.origins().of(url).may_try(resource, now_ms)
    }

    pub(super) fn was_declined(&self, url: &Url, resource: &str, issuer: &str) -> bool {
        let now_ms = self.now_ms();
        let declined = (one_spelling(resource), issuer.to_owned());
        let at_ms = self.origins().of(url).declined_ms.get(&declined).copied();
        at_ms.and_then(|at_ms| now_ms.checked_sub(at_ms)).is_some_and(|age| age < NO_COUNTS_MS)
    }

    pub(super) fn note_declined(&self, url: &Url, resource: &str, issuer: &str) {
        let now_ms = self.now_ms();
        let mut origins = self.origins();
        let declined = &mut origins.of(url).declined_ms;
        declined.retain(|_, at_ms| now_ms.checked_sub(*at_ms).is_some_and(|age| age < NO_COUNTS_MS));
        declined.insert((one_spelling(resource), issuer.to_owned()), now_ms);
    }

    /// Whose login is meant: one for each resource, as its tokens are for that alone.
    pub(super) fn account_of(&self, resource: &str) -> String {
        match self.account.as_str() {
            jeton_storage::DEFAULT_ACCOUNT => resource.to_owned(),
            account => format!("{account} {resource}"),
        }
    }

    /// The record of an origin stands beside the registrations, for which no listing of logins has an eye.
    fn key(&self, url: &Url) -> Result<LoginKey, Error> {
        let origin: Issuer = origin_of(url).parse()?;
        Ok(LoginKey::registration(&origin, format!("⟨resources⟩ {}", self.account)))
    }
}

/// What is counted of a resource is counted for all spellings of its URL: it chooses its name itself, and could choose another
/// one each time (`https://API.example`, `https://api.example:443`).
fn one_spelling(resource: &str) -> String {
    Url::parse(resource).map_or_else(|_| resource.to_owned(), String::from)
}

fn read(record: &LoginRecord) -> Vec<Remembered> {
    let stored = record.registration.as_ref().and_then(|json| serde_json::from_str(json.expose()).ok());
    stored.map(|Stored { resources }| resources).unwrap_or_default()
}

fn put(resources: &mut Vec<Remembered>, remembered: &Remembered) {
    resources.retain(|own| own.resource != remembered.resource);
    if resources.len() >= MOST_RESOURCES {
        resources.remove(0);
    }
    resources.push(remembered.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ResourceClient;

    const SPELLINGS: [&str; 4] =
        ["https://api.example/", "https://API.example", "https://api.example:443", "https://aPi.example/"];

    #[test]
    fn a_resource_that_spells_itself_anew_gets_no_further_logins() {
        let mut origin = Origin::default();
        assert_eq!(SPELLINGS.map(|resource| origin.may_try(resource, 1_000)), [true, true, true, false]);
        assert!(origin.may_try("https://api.example/v1", 1_000), "that is another resource");
        // What is over is not kept.
        assert!(origin.may_try(SPELLINGS[0], 1_000 + TRIES_WITHIN_MS));
        assert_eq!(origin.tries_ms.len(), 1);
    }

    #[test]
    fn a_no_counts_for_every_spelling_of_the_resource() {
        let client = ResourceClient::builder().build().unwrap();
        let (url, issuer) = ("https://api.example/x".parse().unwrap(), "https://as.example");
        client.0.note_declined(&url, SPELLINGS[0], issuer);
        assert!(SPELLINGS.iter().all(|resource| client.0.was_declined(&url, resource, issuer)));
        assert!(!client.0.was_declined(&url, "https://api.example/v1", issuer));
        assert!(!client.0.was_declined(&url, SPELLINGS[0], "https://other.example"));
    }
}
