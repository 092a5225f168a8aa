//! Runs one scenario: a strict server, processes that share a store, and everything that is done to them. What both sides saw
//! goes into the ledger; the verdict is another file's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jeton_client::{Client, Session};
use jeton_devserver::{DevServer, Endpoint, Fault, Rotation};
use jeton_storage::{LoginStatus, TokenStore};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::clock::SteppedClock;
use super::disk::SmallDisk;
use super::event::{Event, What};
use super::keychain;
use super::ledger::{Decision, Ledger, Outcome, Stored};
use super::process::{Heard, Process};
use super::random::Random;
use super::scenario::{Disk, Scenario};
use super::store::{StoreSpec, open_store};
use super::verdict::{Row, judge};
use super::worker::{Setup, account};
use crate::person::{REDIRECT_URI, redirect};

/// How often the lab looks whether it is time for the next evil deed.
const TICK: Duration = Duration::from_millis(5);
/// So many token requests have their fate decided in advance.
const FAULTS_AHEAD: usize = 4;
/// How often a person tries to log in while the server misbehaves.
const LOGIN_TRIES: usize = 50;
/// How much longer than planned a scenario goes on at most, to come to its number of rotations.
const LONGER: Duration = Duration::from_secs(60);
/// How long processes may take to end beyond what they wait for by right.
const TO_END: Duration = Duration::from_secs(20);

/// Runs a scenario to its end and judges it. `program` is the one that this is the library of: it is started as the workers.
pub fn run(scenario: &Scenario, seed: u64, program: &Path) -> Row {
    if !scenario.store.needs_keychain() {
        return run_here(scenario, seed, program);
    }
    let row = keychain::run(scenario, seed, program);
    row.unwrap_or_else(|why| Row::skipped(scenario, why))
}

/// The same in a session that has a keychain already.
pub(super) fn run_here(scenario: &Scenario, seed: u64, program: &Path) -> Row {
    let row = Lab::open(scenario, seed, program).map(Lab::run);
    row.unwrap_or_else(|why| Row::skipped(scenario, why))
}

struct Lab<'a> {
    scenario: &'a Scenario,
    program: &'a Path,
    random: Random,
    server: Arc<DevServer>,
    decisions: Arc<Mutex<Vec<Decision>>>,
    clock: SteppedClock,
    clock_file: PathBuf,
    store: StoreSpec,
    people: Arc<People>,
    runtime: Runtime,
    heard: (mpsc::Sender<Heard>, mpsc::Receiver<Heard>),
    processes: Vec<Process>,
    started: usize,
    /// Who is stopped, and when to wake it.
    stopped: Vec<(String, Instant)>,
    ledger: Ledger,
    disk: Option<SmallDisk>,
    disk_change_failed: bool,
    clock_steps: usize,
    _folder: TempDir,
}

impl<'a> Lab<'a> {
    fn open(scenario: &'a Scenario, seed: u64, program: &'a Path) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let disk = match scenario.disk {
            Disk::Ordinary => None,
            Disk::Full | Disk::ReadOnly => Some(SmallDisk::mount(&folder.path().join("disk"))?),
        };
        let store = StoreSpec { kind: scenario.store, folder: folder.path().join("disk").join("logins") };
        let clock_file = folder.path().join("clock");
        let clock = SteppedClock::create(&clock_file).map_err(|error| error.to_string())?;

        let decisions: Arc<Mutex<Vec<Decision>>> = Arc::default();
        let told = decisions.clone();
        let mut builder = DevServer::builder()
            .access_token_lifetime(Duration::from_secs(scenario.token_life))
            .refresh_token_rotation(scenario.grace.map_or(Rotation::Strict, Rotation::GracePeriod))
            .on_refresh(move |event| {
                told.lock().unwrap_or_else(PoisonError::into_inner).extend(Decision::of(event));
            });
        for number in 0..scenario.logins {
            builder = builder.user(account(number), "not asked for");
        }
        let server = Arc::new(builder.start().map_err(|error| error.to_string())?);
        server.fault_always(Endpoint::Token, Fault::Sequence(ordinary(scenario)));

        let opened = open_store(&store);
        let people = Arc::new(People::new(scenario, &server, &opened, &clock));
        Ok(Self {
            scenario,
            program,
            random: scenario.random(seed),
            server,
            decisions,
            clock,
            clock_file,
            store,
            people,
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .map_err(|error| error.to_string())?,
            heard: mpsc::channel(),
            processes: Vec::new(),
            started: 0,
            stopped: Vec::new(),
            ledger: Ledger::default(),
            disk,
            disk_change_failed: false,
            clock_steps: 0,
            _folder: folder,
        })
    }

    fn run(mut self) -> Row {
        for number in 0..self.scenario.logins {
            self.runtime.block_on(self.people.log_in(number));
        }
        for _ in 0..self.scenario.processes {
            self.start_process();
        }
        let begun = Instant::now();
        self.disturb(begun + Duration::from_secs(self.scenario.seconds));
        let seconds = begun.elapsed().as_secs_f64();
        self.make_peace();
        self.end_processes();
        self.runtime.block_on(self.people.all_done());
        self.look_at_the_store();
        let mut ledger = std::mem::take(&mut self.ledger);
        ledger.decisions =
            std::mem::take(&mut *self.decisions.lock().unwrap_or_else(PoisonError::into_inner));
        // Told by many at once.
        ledger.trail.sort_by_key(|(_, event)| event.at_us);
        let mut row = judge(self.scenario, &ledger, seconds);
        row.broken.append(&mut self.people.complaints());
        row.disturbances = self.clock_steps + self.disk.as_ref().map_or(0, SmallDisk::disturbances);
        if row.disturbances == 0 && (self.disk.is_some() || !self.scenario.clock_steps.is_empty()) {
            row.broken.push("neither disk nor clock was changed: this run proves nothing".to_owned());
        }
        row
    }

    fn start_process(&mut self) {
        let name = format!("w{}", self.started);
        self.started += 1;
        let scenario = self.scenario;
        let setup = Setup {
            seed: self.random.fork(&name).seed(),
            name,
            issuer: self.server.issuer().to_owned(),
            client_id: DevServer::PUBLIC_CLIENT.to_owned(),
            store: self.store.clone(),
            logins: scenario.logins,
            clock: self.clock_file.clone(),
            threads: scenario.threads,
            pause: scenario.pause,
            request_timeout: scenario.request_timeout,
            lease_timeout: scenario.lease_timeout,
            refresh_ahead: scenario.refresh_ahead,
            resource: scenario.uses_tokens.then(|| self.server.resource_url()),
            kills: scenario.kills.clone(),
            stops: scenario.stops.clone(),
            way: scenario.latency * 2 + Duration::from_millis(2),
        };
        let process = Process::start(self.program, &setup, &self.heard.0);
        self.processes.push(process);
    }

    /// Does all that the scenario says, until the time is over.
    fn disturb(&mut self, until: Instant) {
        let mut kills = Timer::new(self.random.fork("kills"), self.scenario.kill_every);
        let steps = (!self.scenario.clock_steps.is_empty()).then(|| Duration::from_millis(900));
        let mut steps = Timer::new(self.random.fork("steps"), steps);
        let mut offsets = self.scenario.clock_steps.iter().cycle();
        let changes = self.disk.as_ref().map(|_| Duration::from_millis(400));
        let mut changes = Timer::new(self.random.fork("disk"), changes);
        let mut faults = self.random.fork("faults");
        while Instant::now() < until
            || (Instant::now() < until + LONGER && self.rotations() < self.scenario.at_least)
        {
            self.decide_faults(&mut faults);
            if kills.is_due() {
                let victim = kills.random.below(self.processes.len());
                self.processes[victim].kill();
            }
            if steps.is_due()
                && let Some(offset) = offsets.next()
            {
                self.clock.step_to(offset * 1_000).expect("the clock's file");
                self.clock_steps += 1;
            }
            // Making it read-only may not work at once: then at the next tick.
            if changes.is_due() || self.disk_change_failed {
                self.change_disk();
            }
            self.wake_those_who_slept_enough();
            self.hear(TICK, true);
        }
    }

    fn rotations(&self) -> usize {
        let decisions = self.decisions.lock().unwrap_or_else(PoisonError::into_inner);
        decisions.iter().filter(|decision| matches!(decision.outcome, Outcome::Granted { .. })).count()
    }

    /// Tops up the queue of what becomes of the next token requests.
    fn decide_faults(&self, random: &mut Random) {
        if self.scenario.faults.is_empty() {
            return;
        }
        while self.server.faults_waiting(Endpoint::Token) < FAULTS_AHEAD {
            let fault = match random.chance(self.scenario.fault_share) {
                true => {
                    let mishap = self.scenario.faults[random.below(self.scenario.faults.len())];
                    let before = Fault::Latency(self.scenario.latency);
                    Fault::Sequence(vec![before, mishap.fault(random)])
                }
                false => Fault::Sequence(ordinary(self.scenario)),
            };
            self.server.fault(Endpoint::Token, fault);
        }
    }

    fn change_disk(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        let was_disturbed = disk.is_disturbed();
        match (self.scenario.disk, was_disturbed) {
            (Disk::Full, false) => disk.fill(),
            (Disk::Full, true) => disk.make_room(),
            (Disk::ReadOnly, false) => disk.make_read_only(),
            (Disk::ReadOnly, true) => disk.make_writable(),
            (Disk::Ordinary, _) => {}
        }
        self.disk_change_failed = disk.is_disturbed() == was_disturbed;
    }

    fn wake_those_who_slept_enough(&mut self) {
        let now = Instant::now();
        let processes = &self.processes;
        self.stopped.retain(|(name, until)| {
            if now < *until {
                return true;
            }
            processes.iter().filter(|process| process.name == *name).for_each(Process::wake);
            false
        });
    }

    /// Listens to the processes for so long. Those that end are replaced, if they are to be.
    fn hear(&mut self, most: Duration, replace: bool) {
        let until = Instant::now() + most;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.heard.1.recv_timeout(left) {
                Ok(Heard::Event(process, event)) => self.heard_of(process, event),
                Ok(Heard::Ended(name, death)) => {
                    self.processes.iter_mut().filter(|it| it.name == name).for_each(Process::is_gone);
                    self.processes.retain(|process| process.name != name);
                    // One that ends badly again and again shall not be started a thousand times.
                    let replace = replace && death.killed;
                    self.ledger.deaths.insert(name, death);
                    if replace {
                        self.start_process();
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn heard_of(&mut self, process: String, event: Event) {
        match &event.what {
            What::Failed { kind, .. } if kind == "login-required" => {
                if let Some(number) = event.account {
                    let people = self.people.clone();
                    self.runtime.spawn(async move { people.asked_to_log_in(number).await });
                }
            }
            What::Stopping { .. } => {
                let wake_at = Instant::now() + self.random.around(self.scenario.stopped_for);
                self.stopped.push((process.clone(), wake_at));
            }
            _ => {}
        }
        self.ledger.trail.push((process, event));
    }

    /// Nothing is done any more to anybody.
    fn make_peace(&mut self) {
        self.server.clear_faults();
        self.server.fault_always(Endpoint::Token, Fault::Sequence(ordinary(self.scenario)));
        self.clock.step_to(0).expect("the clock's file");
        if let Some(disk) = self.disk.as_mut().filter(|disk| disk.is_disturbed()) {
            match self.scenario.disk {
                Disk::ReadOnly => disk.make_writable(),
                Disk::Full | Disk::Ordinary => disk.make_room(),
            }
        }
    }

    fn end_processes(&mut self) {
        self.processes.iter_mut().for_each(Process::tell_to_end);
        // Each thread may wait for a lease and a request, and then `close` for those of others.
        let patience = (self.scenario.lease_timeout + self.scenario.request_timeout) * 2 + TO_END;
        let until = Instant::now() + patience;
        while !self.processes.is_empty() && Instant::now() < until {
            // Some stop themselves even now.
            self.wake_those_who_slept_enough();
            self.hear(TICK, false);
        }
        for process in &self.processes {
            let name = &process.name;
            self.people.complain(format!("process {name} does not end"));
            process.kill();
        }
        self.hear(TICK, false);
    }

    fn look_at_the_store(&mut self) {
        for number in 0..self.scenario.logins {
            let stored = self.runtime.block_on(self.people.stored(number));
            self.ledger.stored.insert(number, stored);
        }
    }
}

/// What becomes of a token request when nothing goes wrong.
fn ordinary(scenario: &Scenario) -> Vec<Fault> {
    let latency = Fault::Latency(scenario.latency);
    vec![latency.clone(), Fault::Commit, latency]
}

/// Something that is done again and again, at random times.
pub(super) struct Timer {
    random: Random,
    every: Option<Duration>,
    next: Option<Instant>,
}

impl Timer {
    pub(super) fn new(mut random: Random, every: Option<Duration>) -> Self {
        let next = every.map(|every| Instant::now() + random.around(every));
        Self { random, every, next }
    }

    pub(super) fn is_due(&mut self) -> bool {
        let (Some(every), Some(next)) = (self.every, self.next) else { return false };
        let is_due = Instant::now() >= next;
        if is_due {
            self.next = Some(Instant::now() + self.random.around(every));
        }
        is_due
    }
}

/// The people whose logins these are: they log in, and do so again when a login is over.
struct People {
    server: Arc<DevServer>,
    store: Arc<dyn TokenStore>,
    sessions: Vec<Session>,
    /// One browser for all: the server approves as whoever sits at it.
    browser: tokio::sync::Mutex<()>,
    /// Who is about to log in.
    busy: Mutex<BTreeMap<usize, ()>>,
    complaints: Mutex<Vec<String>>,
}

impl People {
    fn new(
        scenario: &Scenario,
        server: &Arc<DevServer>,
        store: &Arc<dyn TokenStore>,
        clock: &SteppedClock,
    ) -> Self {
        let client = Client::builder(DevServer::PUBLIC_CLIENT)
            .issuer(server.issuer())
            .shared_store(store.clone())
            .clock(clock.clone())
            .build()
            .expect("a client");
        Self {
            server: server.clone(),
            store: store.clone(),
            sessions: (0..scenario.logins).map(|number| client.account(account(number))).collect(),
            browser: tokio::sync::Mutex::new(()),
            busy: Mutex::default(),
            complaints: Mutex::default(),
        }
    }

    fn complain(&self, complaint: String) {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).push(complaint);
    }

    fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.complaints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Logs in, however often it takes: the server may be misbehaving, the disk full, the lease taken.
    async fn log_in(&self, number: usize) {
        let session = &self.sessions[number];
        let mut last = String::new();
        for _ in 0..LOGIN_TRIES {
            let _alone = self.browser.lock().await;
            let begun = session.begin_log_in(REDIRECT_URI).await;
            let result = match begun {
                Ok((url, pending)) => {
                    self.server.approve_as(&account(number));
                    let redirected = redirect(&self.server, &url);
                    session.finish_log_in(pending, &redirected).await
                }
                Err(error) => Err(error),
            };
            match result {
                Ok(_) if session.persist_error().is_none() => return,
                Ok(_) => last = "it could not be stored".to_owned(),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.complain(format!("nobody can log in to {}: {last}", account(number)));
    }

    /// A process says that somebody has to log in. Is it so?
    async fn asked_to_log_in(&self, number: usize) {
        if self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(number, ()).is_some() {
            return;
        }
        match self.stored(number).await {
            // Old news.
            Stored::Live { .. } => {}
            Stored::Ended { good: true } => {
                self.complain(format!("{}: ended, and the server would take its token", account(number)));
                self.log_in(number).await;
            }
            Stored::Ended { good: false } => self.log_in(number).await,
            Stored::Nothing(why) => self.complain(format!("{}: {why}", account(number))),
        }
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    /// Waits until nobody logs in any more.
    async fn all_done(&self) {
        let until = Instant::now() + TO_END;
        while !self.busy.lock().unwrap_or_else(PoisonError::into_inner).is_empty() && Instant::now() < until {
            tokio::time::sleep(TICK).await;
        }
    }

    /// What the store has, and what the server makes of it.
    async fn stored(&self, number: usize) -> Stored {
        match self.store.load(self.sessions[number].key()).await {
            Ok(Some(record)) => {
                let token = record.refresh_token.as_ref();
                let good = token.is_some_and(|token| self.server.is_refresh_token_live(token.expose()));
                match record.status {
                    LoginStatus::Live => {
                        let refresh = token.map(jeton_models::Secret::fingerprint).unwrap_or_default();
                        Stored::Live { refresh, good }
                    }
                    _ => Stored::Ended { good },
                }
            }
            Ok(None) => Stored::Nothing("there is none".to_owned()),
            Err(error) => Stored::Nothing(error.to_string()),
        }
    }
}
