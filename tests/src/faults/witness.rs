//! What stands between jeton and the world in a worker process: a transport, a store and a lease that tell what happens, and
//! kill or stop the process at the named points. The library itself knows nothing of the lab.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use jeton_client::ReqwestTransport;
use jeton_grants::{Clock as _, Limits, Transport, TransportError};
use jeton_models::Secret;
use jeton_storage::{LoginKey, LoginKeys, LoginRecord, StoreDescription, StoreError, TokenLease, TokenStore};
use rustix::process::{Signal, getpid, kill_process};
use url::form_urlencoded;

use super::clock::SteppedClock;
use super::event::{Event, Point, What, now_us};
use super::random::Random;
use super::worker::Setup;

/// How long a save takes as long as none was measured.
const A_SAVE: Duration = Duration::from_millis(10);

/// Tells what happens in this process, and ends or stops it where the seed says so.
#[derive(Debug)]
pub(super) struct Witness {
    setup: Setup,
    clock: SteppedClock,
    random: Mutex<Random>,
    requests: AtomicU64,
    /// Whose a refresh token is, by its fingerprint, as it was read under a lease.
    accounts: Mutex<HashMap<String, usize>>,
    /// When room was last reserved for an account, by the worker's clock: the request follows at once.
    reserved_ms: Mutex<HashMap<usize, u64>>,
    /// How long the last save took, in microseconds.
    a_save_us: AtomicU64,
}

impl Witness {
    pub(super) fn new(setup: &Setup, clock: SteppedClock) -> Arc<Self> {
        Arc::new(Self {
            clock,
            random: Mutex::new(Random::new(setup.seed).fork("points")),
            requests: AtomicU64::new(0),
            accounts: Mutex::default(),
            reserved_ms: Mutex::default(),
            a_save_us: AtomicU64::new(u64::try_from(A_SAVE.as_micros()).unwrap_or(u64::MAX)),
            setup: setup.clone(),
        })
    }

    /// Writes the line in one piece: what was told before a kill arrives whole.
    pub(super) fn tell(&self, account: Option<usize>, what: What) {
        let event = Event { at_us: now_us(), clock_ms: self.clock_ms(), account, what };
        let mut line = serde_json::to_string(&event).expect("JSON");
        line.push('\n');
        // Without a driver there is nobody to tell, and the worker is about to notice.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    }

    fn clock_ms(&self) -> u64 {
        let since = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// The process has got to that point: on to the next, or not.
    fn reach(&self, point: Point, account: Option<usize>) {
        let (dies, stops) = self.lots(point);
        if dies {
            self.die(point, account);
        }
        if stops {
            self.stop(point, account);
        }
    }

    /// The same for a point that takes its time: some other thread does it, at some moment within the span.
    fn reach_within(self: &Arc<Self>, point: Point, account: Option<usize>, span: Duration) {
        let (dies, stops) = self.lots(point);
        if !dies && !stops {
            return;
        }
        let (witness, after) = (self.clone(), locked(&self.random).up_to(span));
        std::thread::spawn(move || {
            std::thread::sleep(after);
            match dies {
                true => witness.die(point, account),
                false => witness.stop(point, account),
            }
        });
    }

    fn lots(&self, point: Point) -> (bool, bool) {
        let share = |of: &[(Point, f64)]| of.iter().find(|(at, _)| *at == point).map_or(0.0, |(_, p)| *p);
        let mut random = locked(&self.random);
        (random.chance(share(&self.setup.kills)), random.chance(share(&self.setup.stops)))
    }

    fn die(&self, point: Point, account: Option<usize>) {
        self.tell(account, What::Dying { point });
        kill_process(getpid(), Signal::KILL).expect("we may kill ourselves");
        // It does not come back, but for the time that the kernel takes.
        std::thread::sleep(Duration::from_secs(60));
    }

    fn stop(&self, point: Point, account: Option<usize>) {
        self.tell(account, What::Stopping { point });
        kill_process(getpid(), Signal::STOP).expect("we may stop ourselves");
    }

    fn account_of(&self, refresh: &str) -> Option<usize> {
        locked(&self.accounts).get(refresh).copied()
    }
}

/// The number of an account `a7`.
fn number(key: &LoginKey) -> Option<usize> {
    key.account().strip_prefix('a')?.parse().ok()
}

fn fingerprint(record: &LoginRecord) -> Option<String> {
    record.refresh_token.as_ref().map(Secret::fingerprint)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A transport whose refresh requests are told of.
pub(super) struct WitnessedTransport {
    pub(super) inner: ReqwestTransport,
    pub(super) witness: Arc<Witness>,
}

#[async_trait]
impl Transport for WitnessedTransport {
    async fn send(
        &self,
        mut request: http::Request<Bytes>,
        limits: &Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let Some(refresh) = refresh_token_of(request.body()) else {
            return self.inner.send(request, limits).await;
        };
        let witness = &self.witness;
        let account = witness.account_of(&refresh);
        witness.reach(Point::BeforeRequest, account);

        let number = witness.requests.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", witness.setup.name);
        request.headers_mut().insert("x-request-id", id.parse().expect("a header value"));
        let reserved_ms = account.and_then(|account| locked(&witness.reserved_ms).get(&account).copied());
        let asked_ms = reserved_ms.unwrap_or_else(|| witness.clock_ms());
        witness.tell(account, What::Sending { request: id.clone(), refresh, asked_ms });
        witness.reach_within(Point::RequestSent, account, witness.setup.way);
        let result = self.inner.send(request, limits).await;
        match &result {
            Ok(answer) => {
                let (refresh, access) = tokens_of(answer.body());
                let status = answer.status().as_u16();
                witness.tell(account, What::Answered { request: id, status, refresh, access });
                witness.reach(Point::AnswerReceived, account);
            }
            Err(error) => {
                witness.tell(account, What::Unanswered { request: id, why: format!("{:?}", error.kind()) });
            }
        }
        result
    }
}

/// The fingerprint of the refresh token that a refresh request presents.
fn refresh_token_of(body: &[u8]) -> Option<String> {
    let value =
        |name: &str| form_urlencoded::parse(body).find(|(own, _)| own == name).map(|(_, value)| value);
    (value("grant_type")? == "refresh_token").then_some(())?;
    Some(Secret::new(value("refresh_token")?.into_owned()).fingerprint())
}

/// The fingerprints of the refresh token and of the access token of an answer, as JSON or form-encoded.
fn tokens_of(body: &[u8]) -> (Option<String>, Option<String>) {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let value = |name: &str| {
        let member = json.as_ref().and_then(|json| json.get(name)?.as_str().map(str::to_owned));
        let pair =
            || form_urlencoded::parse(body).find(|(own, _)| own == name).map(|(_, value)| value.into_owned());
        member.or_else(pair).map(|text| Secret::new(text).fingerprint())
    };
    (value("refresh_token"), value("access_token"))
}

/// A store whose leases are told of.
pub(super) struct WitnessedStore {
    pub(super) inner: Arc<dyn TokenStore>,
    pub(super) witness: Arc<Witness>,
}

#[async_trait]
impl TokenStore for WitnessedStore {
    async fn load(&self, key: &LoginKey) -> Result<Option<LoginRecord>, StoreError> {
        self.inner.load(key).await
    }

    async fn lease(&self, key: &LoginKey, deadline: Duration) -> Result<Box<dyn TokenLease>, StoreError> {
        let inner = self.inner.lease(key, deadline).await?;
        let account = number(key);
        self.witness.tell(account, What::Leased);
        Ok(Box::new(WitnessedLease { inner, account, witness: self.witness.clone() }))
    }

    fn list(&self) -> Box<dyn LoginKeys + '_> {
        self.inner.list()
    }

    fn describe(&self) -> StoreDescription {
        self.inner.describe()
    }
}

struct WitnessedLease {
    inner: Box<dyn TokenLease>,
    account: Option<usize>,
    witness: Arc<Witness>,
}

impl Drop for WitnessedLease {
    fn drop(&mut self) {
        // Told before it is so: what is told never overlaps unless what is so does.
        self.witness.tell(self.account, What::Released);
    }
}

#[async_trait]
impl TokenLease for WitnessedLease {
    async fn load(&mut self) -> Result<Option<LoginRecord>, StoreError> {
        let record = self.inner.load().await?;
        let refresh = record.as_ref().and_then(fingerprint);
        if let (Some(refresh), Some(account)) = (refresh, self.account) {
            locked(&self.witness.accounts).insert(refresh, account);
        }
        Ok(record)
    }

    async fn reserve(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.inner.reserve(bytes).await?;
        if let Some(account) = self.account {
            locked(&self.witness.reserved_ms).insert(account, self.witness.clock_ms());
        }
        Ok(())
    }

    async fn save(&mut self, record: &LoginRecord) -> Result<(), StoreError> {
        let (witness, account, refresh) = (&self.witness, self.account, fingerprint(record));
        witness.tell(account, What::Saving { refresh: refresh.clone() });
        // A little more than the last one took: some kills shall come just after it.
        let span = Duration::from_micros(witness.a_save_us.load(Ordering::Relaxed)).mul_f64(1.2);
        witness.reach_within(Point::DuringSave, account, span);
        let begun = Instant::now();
        let result = self.inner.save(record).await;
        match &result {
            Ok(()) => {
                let took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                witness.a_save_us.store(took_us, Ordering::Relaxed);
                witness.tell(account, What::Saved { refresh, took_us });
                witness.reach(Point::AfterSave, account);
            }
            Err(error) => witness.tell(account, What::NotSaved { refresh, why: error.to_string() }),
        }
        result
    }

    async fn delete(&mut self) -> Result<(), StoreError> {
        self.inner.delete().await
    }
}
