//! A scenario: how many processes share how many logins, and what is done to them, to the server and to the disk.

use std::time::{Duration, SystemTime};

use jeton_devserver::Fault;
use serde::{Deserialize, Serialize};

use super::event::Point;
use super::random::Random;
use super::store::StoreKind;

/// One row of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it is about, in a line.
    pub what: String,
    /// The store that the processes share.
    pub store: StoreKind,
    /// Processes; one that is killed is replaced.
    pub processes: usize,
    /// Callers in each.
    pub threads: usize,
    /// Logins, each shared by all callers.
    pub logins: usize,
    /// How long it goes on.
    pub seconds: u64,
    /// It goes on for longer, a minute at most, until there were so many rotations: on a machine that is very busy.
    pub at_least: usize,
    /// How long access tokens live, in seconds.
    pub token_life: u64,
    /// What a caller does between two calls, on average.
    pub pause: Duration,
    /// What the server takes before it commits, and after that before it answers.
    pub latency: Duration,
    /// Whether a used refresh token is forgiven for so long.
    pub grace: Option<Duration>,
    /// Whether tokens are refreshed ahead of their expiry.
    pub refresh_ahead: bool,
    /// Whether callers show their tokens to the resource server.
    pub uses_tokens: bool,
    /// With which probability a process kills itself at a point.
    pub kills: Vec<(Point, f64)>,
    /// How often one of the processes is killed whatever it does, on average.
    pub kill_every: Option<Duration>,
    /// With which probability a process stops itself at a point.
    pub stops: Vec<(Point, f64)>,
    /// How long it stays stopped, on average.
    pub stopped_for: Duration,
    /// What the server and the network do wrong, each as likely as the others.
    pub faults: Vec<Mishap>,
    /// How many of the token requests meet one of them.
    pub fault_share: f64,
    /// The clock is stepped to these offsets from the true time, in seconds.
    pub clock_steps: Vec<i64>,
    /// What becomes of the disk.
    pub disk: Disk,
    /// How often the keychain's daemon is killed and started again, on average; for the stores that have one.
    pub restart_keychain_every: Option<Duration>,
    /// The request timeout.
    pub request_timeout: Duration,
    /// The longest wait for a lease.
    pub lease_timeout: Duration,
}

/// What becomes of the disk under the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disk {
    /// Nothing.
    Ordinary,
    /// It is full now and then.
    Full,
    /// It is read-only now and then.
    ReadOnly,
}

impl Disk {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::Full => "full",
            Self::ReadOnly => "read-only",
        }
    }
}

impl Scenario {
    /// With nothing wrong.
    pub fn new(name: &str, what: &str) -> Self {
        Self {
            name: name.to_owned(),
            what: what.to_owned(),
            store: StoreKind::File,
            processes: 6,
            threads: 2,
            logins: 16,
            seconds: 20,
            at_least: 0,
            token_life: 1,
            pause: Duration::from_millis(8),
            latency: Duration::from_millis(2),
            grace: None,
            refresh_ahead: false,
            uses_tokens: false,
            kills: Vec::new(),
            kill_every: None,
            stops: Vec::new(),
            stopped_for: Duration::from_millis(700),
            faults: Vec::new(),
            fault_share: 0.25,
            clock_steps: Vec::new(),
            disk: Disk::Ordinary,
            restart_keychain_every: None,
            request_timeout: Duration::from_secs(2),
            lease_timeout: Duration::from_secs(5),
        }
    }

    /// Another shape: what is to be changed is changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn killed_at(self, point: Point, probability: f64) -> Self {
        self.with(|it| {
            it.kills = vec![(point, probability)];
            // Room for a kill on either side of the commit.
            if point == Point::RequestSent {
                it.latency = Duration::from_millis(10);
            }
        })
    }

    fn on(self, store: StoreKind) -> Self {
        self.with(|it| it.store = store)
    }

    fn failing(self, faults: impl IntoIterator<Item = Mishap>) -> Self {
        self.with(|it| it.faults = faults.into_iter().collect())
    }

    /// How much of a token's life it is handed out without asking anybody, in milliseconds: an earlier refresh is one too
    /// many. (A fifth is the margin before expiry; a refresh ahead comes in the last fifth of what is left.)
    pub fn fresh_ms(&self) -> u64 {
        let fresh = self.token_life * 800;
        if self.refresh_ahead { fresh - fresh / 5 } else { fresh }
    }

    /// Whether the network loses answers after the server has committed: then a login may be lost with one.
    pub fn loses_answers(&self) -> bool {
        self.faults.iter().any(|mishap| {
            matches!(mishap, Mishap::DropAfterCommit | Mishap::Truncated | Mishap::HangAfterCommit)
        })
    }

    /// Its place in the sum of all random decisions.
    pub fn random(&self, seed: u64) -> Random {
        Random::new(seed).fork(&self.name)
    }
}

/// Something that a server, a proxy or a network does to a token request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mishap {
    /// 500, 502, 503 or 504 with a page of HTML.
    ServerError,
    /// 429 with `Retry-After` in seconds.
    TooManyRequests,
    /// 503 with `Retry-After` as a date.
    RetryAfterDate,
    /// An OAuth error that says nothing of the refresh token.
    OAuthError,
    /// The connection is cut; nothing has happened.
    DropBeforeCommit,
    /// The refresh token is rotated, then the connection is cut.
    DropAfterCommit,
    /// The same in the middle of the answer.
    Truncated,
    /// No answer ever; nothing has happened.
    Hang,
    /// The refresh token is rotated, and no answer ever.
    HangAfterCommit,
    /// 200 with something that is no token answer; nothing has happened.
    Garbage,
    /// 200 with a page of HTML; nothing has happened.
    Html,
    /// A body without end; nothing has happened.
    HugeBody,
    /// 307 to elsewhere; nothing has happened.
    Redirect,
    /// A good answer under the content type of HTML.
    WrongContentType,
    /// A good answer, form-encoded.
    FormEncoded,
    /// An answer with a new refresh token and without an access token.
    NoAccessToken,
    /// A good answer after a second.
    Slow,
}

impl Mishap {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::ServerError,
        Self::TooManyRequests,
        Self::RetryAfterDate,
        Self::OAuthError,
        Self::DropBeforeCommit,
        Self::DropAfterCommit,
        Self::Truncated,
        Self::Hang,
        Self::HangAfterCommit,
        Self::Garbage,
        Self::Html,
        Self::HugeBody,
        Self::Redirect,
        Self::WrongContentType,
        Self::FormEncoded,
        Self::NoAccessToken,
        Self::Slow,
    ];

    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::ServerError => "server-error",
            Self::TooManyRequests => "too-many-requests",
            Self::RetryAfterDate => "retry-after-date",
            Self::OAuthError => "oauth-error",
            Self::DropBeforeCommit => "drop-before-commit",
            Self::DropAfterCommit => "drop-after-commit",
            Self::Truncated => "truncated",
            Self::Hang => "hang",
            Self::HangAfterCommit => "hang-after-commit",
            Self::Garbage => "garbage",
            Self::Html => "html",
            Self::HugeBody => "huge-body",
            Self::Redirect => "redirect",
            Self::WrongContentType => "wrong-content-type",
            Self::FormEncoded => "form-encoded",
            Self::NoAccessToken => "no-access-token",
            Self::Slow => "slow",
        }
    }

    /// What the devserver is told to do.
    pub(super) fn fault(self, random: &mut Random) -> Fault {
        match self {
            Self::ServerError => {
                Fault::Status { status: [500, 502, 503, 504][random.below(4)], retry_after: None }
            }
            Self::TooManyRequests => Fault::Status { status: 429, retry_after: Some("1".to_owned()) },
            Self::RetryAfterDate => {
                let soon = SystemTime::now() + Duration::from_secs(2);
                Fault::unavailable(Some(&httpdate::fmt_http_date(soon)))
            }
            Self::OAuthError => {
                Fault::oauth_error(["temporarily_unavailable", "server_error", "slow_down"][random.below(3)])
            }
            Self::DropBeforeCommit => Fault::DropBeforeCommit,
            Self::DropAfterCommit => Fault::DropAfterCommit,
            Self::Truncated => Fault::TruncateAfter(20),
            Self::Hang => Fault::Hang,
            Self::HangAfterCommit => Fault::Sequence(vec![Fault::Commit, Fault::Hang]),
            Self::Garbage => {
                let bodies =
                    ["", "{", "null", "[]", "{\"token_type\":\"Bearer\"}", "\u{1}\u{2}", "\"token\""];
                Fault::answer(200, "application/json", bodies[random.below(bodies.len())])
            }
            Self::Html => {
                Fault::answer(200, "text/html", "<!DOCTYPE html><title>Welcome to the hotel</title>")
            }
            Self::HugeBody => Fault::HugeBody(4 << 20),
            Self::Redirect => Fault::Redirect("http://127.0.0.1:9/elsewhere".to_owned()),
            Self::WrongContentType => Fault::ContentType("text/html".to_owned()),
            Self::FormEncoded => Fault::FormEncoded,
            Self::NoAccessToken => Fault::remove("access_token"),
            Self::Slow => Fault::Latency(Duration::from_secs(1)),
        }
    }
}

/// All scenarios of the matrix, in order.
pub fn matrix() -> Vec<Scenario> {
    let ms = Duration::from_millis;
    let mut all = vec![
        Scenario::new("steady", "6 processes share 16 logins; nothing goes wrong"),
        Scenario::new("crowd", "2 processes with 32 threads each").with(|it| {
            (it.processes, it.threads, it.pause) = (2, 32, ms(50));
        }),
        Scenario::new("many-processes", "24 processes of one thread").with(|it| {
            (it.processes, it.threads, it.pause) = (24, 1, ms(20));
        }),
        Scenario::new("slow-server", "the server takes 100 ms before it commits and 100 ms after")
            .with(|it| it.latency = ms(100)),
        Scenario::new("refresh-ahead", "tokens of 2 s are refreshed ahead of their expiry").with(|it| {
            (it.refresh_ahead, it.token_life, it.logins) = (true, 2, 24);
        }),
        Scenario::new("kill-at-random", "a process is killed every 150 ms, whatever it does")
            .with(|it| it.kill_every = Some(ms(150))),
    ];
    all.extend(Point::ALL.map(|point| {
        match point {
            Point::BeforeRequest => {
                Scenario::new("kill-before-request", "killed under the lease, before the request")
            }
            Point::RequestSent => Scenario::new("kill-request-sent", "killed while the request is under way"),
            Point::AnswerReceived => Scenario::new("kill-answer-received", "killed with the answer in hand"),
            Point::DuringSave => Scenario::new("kill-during-save", "killed while the answer is being saved"),
            Point::AfterSave => Scenario::new("kill-after-save", "killed once it is saved, under the lease"),
        }
        .killed_at(point, 0.15)
    }));
    all.extend([
        Scenario::new("kill-with-grace", "killed with the answer in hand; the server forgives for 10 s")
            .killed_at(Point::AnswerReceived, 0.15)
            .with(|it| it.grace = Some(Duration::from_secs(10))),
        Scenario::new("suspend", "stopped at any point while it holds the lease, and woken in time").with(
            |it| {
                it.stops = Point::ALL.map(|point| (point, 0.02)).to_vec();
            },
        ),
        Scenario::new("suspend-long", "stopped for longer than requests and others' patience last").with(
            |it| {
                it.stops = Point::ALL.map(|point| (point, 0.01)).to_vec();
                (it.request_timeout, it.lease_timeout, it.stopped_for) = (ms(600), ms(1_000), ms(2_000));
            },
        ),
        Scenario::new("clock-steps", "everybody's clock jumps by seconds and by hours, forward and back")
            .with(|it| {
                it.clock_steps = vec![2, 0, -2, 0, 3_600, 0, -3_600, 0];
                it.uses_tokens = true;
            }),
        Scenario::new(
            "server-errors",
            "a quarter of the answers: 5xx, 429 and 503 with Retry-After, OAuth errors",
        )
        .failing([
            Mishap::ServerError,
            Mishap::TooManyRequests,
            Mishap::RetryAfterDate,
            Mishap::OAuthError,
        ]),
        Scenario::new("drop-before-commit", "a quarter of the connections are cut before the server commits")
            .failing([Mishap::DropBeforeCommit]),
        Scenario::new("hang", "a tenth of the requests are never answered, and nothing has happened")
            .failing([Mishap::Hang])
            .with(|it| (it.fault_share, it.request_timeout) = (0.1, ms(1_000))),
        Scenario::new(
            "garbage",
            "a quarter of the answers are none: broken JSON, HTML, redirects, endless bodies",
        )
        .failing([Mishap::Garbage, Mishap::Html, Mishap::Redirect, Mishap::HugeBody]),
        Scenario::new(
            "odd-answers",
            "a quarter of the answers: wrong content type, form-encoded, no access token, late",
        )
        .failing([
            Mishap::WrongContentType,
            Mishap::FormEncoded,
            Mishap::NoAccessToken,
            Mishap::Slow,
        ]),
        Scenario::new("answer-lost", "a tenth of the answers get lost after the server has committed")
            .failing([Mishap::DropAfterCommit, Mishap::Truncated, Mishap::HangAfterCommit])
            .with(|it| (it.fault_share, it.request_timeout) = (0.1, ms(400))),
        Scenario::new("answer-lost-with-grace", "the same, and the server forgives for 10 s")
            .failing([Mishap::DropAfterCommit, Mishap::Truncated, Mishap::HangAfterCommit])
            .with(|it| {
                (it.fault_share, it.request_timeout) = (0.1, ms(400));
                it.grace = Some(Duration::from_secs(10));
            }),
        Scenario::new("disk-full", "the disk under the store is full half of the time")
            .with(|it| it.disk = Disk::Full),
        Scenario::new("read-only", "the disk under the store is read-only now and then")
            .with(|it| it.disk = Disk::ReadOnly),
        Scenario::new("storm", "kills at random and at every point, and every fault of the server").with(
            |it| {
                it.kill_every = Some(ms(500));
                it.kills = Point::ALL.map(|point| (point, 0.02)).to_vec();
                it.stops = vec![(Point::RequestSent, 0.01)];
                it.faults = Mishap::ALL.to_vec();
                (it.fault_share, it.request_timeout) = (0.1, ms(600));
            },
        ),
    ]);
    for store in StoreKind::ALL.into_iter().filter(|store| *store != StoreKind::File) {
        let name = |what: &str| format!("{}-{what}", store.name());
        all.extend([
            Scenario::new(&name("steady"), "the same on this store").on(store),
            Scenario::new(&name("kill-at-random"), "the same on this store")
                .on(store)
                .with(|it| it.kill_every = Some(ms(150))),
            Scenario::new(&name("kill-during-save"), "the same on this store")
                .on(store)
                .killed_at(Point::DuringSave, 0.15),
            Scenario::new(&name("kill-with-grace"), "the same on this store")
                .on(store)
                .killed_at(Point::AnswerReceived, 0.15)
                .with(|it| it.grace = Some(Duration::from_secs(10))),
        ]);
    }
    all.push(
        Scenario::new("keyring-restarts", "the keychain's daemon is killed every second, and started again")
            .on(StoreKind::Keyring)
            .with(|it| it.restart_keychain_every = Some(Duration::from_secs(1))),
    );
    all
}
