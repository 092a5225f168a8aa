//! A home folder with nothing in it, a devserver in the test's own process, and the binary between them. Profiles are written as
//! people write them; a person's login is made by the library, in the very store that the command uses.

#![allow(dead_code)] // Each file of tests uses some of it.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jeton::models::{ClientRegistration, Issuer};
use jeton::storage::{LoginKey, LoginRecord, StoreChoice, TokenStore};
use jeton::{Client, ClientBuilder, Registrar, Secret};
use jeton_devserver::{Builder, DevServer};
use jeton_tests::browser::PATIENCE;
use jeton_tests::person;
use serde_json::Value;
use tempfile::TempDir;

/// The scope of a person's login here.
pub(crate) const SCOPE: &str = "openid profile email read";

/// Whether these programs are here. A machine with Rust alone goes without what is tried with them; in CI they have to be.
#[allow(clippy::print_stdout, reason = "what was left out is told")]
pub(crate) fn has(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_here = |program: &&&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let missing: Vec<_> = programs.iter().filter(|program| !is_here(program)).collect();
    assert!(missing.is_empty() || std::env::var_os("CI").is_none(), "not installed: {missing:?}");
    if !missing.is_empty() {
        println!("left out, as there is no {missing:?}");
    }
    missing.is_empty()
}

/// A user of the command.
pub(crate) struct World {
    /// Asks for no page: a browser that comes is sent on at once, as alice.
    pub(crate) server: Arc<DevServer>,
    home: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// With other settings of the server.
    pub(crate) fn with(change: impl FnOnce(Builder) -> Builder) -> Self {
        let server = Arc::new(change(DevServer::builder()).start().unwrap());
        let world = Self { server, home: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(world.profiles_file().parent().unwrap()).unwrap();
        std::fs::write(world.profiles_file(), "store = \"file\"\n").unwrap();
        world
    }

    // ----- Places --------------------------------------------------------------------------------------------------------

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn profiles_file(&self) -> PathBuf {
        self.home().join("config/jeton/profiles.toml")
    }

    /// What the command keeps beside its configuration: logins, locks, the note of the store.
    pub(crate) fn state_folder(&self) -> PathBuf {
        self.home().join("state/jeton/programs/jeton")
    }

    /// A file in the home folder.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    // ----- Profiles ------------------------------------------------------------------------------------------------------

    /// Adds a profile of these lines of TOML.
    pub(crate) fn profile(&self, name: &str, lines: &str) {
        let mut text = std::fs::read_to_string(self.profiles_file()).unwrap();
        writeln!(text, "\n[profiles.{name}]\n{lines}").unwrap();
        std::fs::write(self.profiles_file(), text).unwrap();
    }

    /// Adds the profile of a person's login. The server's own API may have its token.
    pub(crate) fn person_profile(&self, name: &str) {
        self.profile(
            name,
            &format!(
                "issuer = \"{}\"\nclient_id = \"{}\"\nscope = \"{SCOPE}\"\napis = [\"{}\"]",
                self.server.issuer(),
                DevServer::PUBLIC_CLIENT,
                self.server.url(""),
            ),
        );
    }

    /// Adds the profile of a service (client credentials), and its secret to the store.
    pub(crate) fn service_profile(&self, name: &str) {
        self.service_profile_without_secret(name);
        let (client_id, secret) = DevServer::SERVICE_CLIENT;
        self.keep_secret(name, client_id, secret);
    }

    /// The profile alone.
    pub(crate) fn service_profile_without_secret(&self, name: &str) {
        let (client_id, _) = DevServer::SERVICE_CLIENT;
        self.profile(
            name,
            &format!(
                "issuer = \"{}\"\nclient_id = \"{client_id}\"\nlogin = \"client-credentials\"\n\
                 authentication = \"client_secret_basic\"\napis = [\"{}\"]",
                self.server.issuer(),
                self.server.url(""),
            ),
        );
    }

    /// Keeps a client secret where the command looks for it.
    pub(crate) fn keep_secret(&self, name: &str, client_id: &str, secret: &str) {
        let issuer: Issuer = self.server.issuer().parse().unwrap();
        let label = format!("profile {name}");
        let mut client = ClientRegistration::new(issuer.as_str(), client_id);
        client.client_secret = Some(Secret::from(secret));
        self.with_store(async move |store| {
            let registrar = Registrar::builder().shared_store(store).label(label).build().unwrap();
            registrar.keep(&issuer, client).await.unwrap();
        });
    }

    // ----- Logins --------------------------------------------------------------------------------------------------------

    /// A person's profile, logged in as alice.
    pub(crate) fn signed_in(&self, name: &str) {
        self.person_profile(name);
        self.sign_in_again(name, DevServer::PUBLIC_CLIENT, |builder| builder.scope(SCOPE));
    }

    /// Logs the account of that name in at the server, as the library does it, with the client configured further.
    pub(crate) fn sign_in_again(
        &self,
        account: &str,
        client_id: &str,
        configure: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) {
        self.with_store(async |store| {
            let builder = Client::builder(client_id).issuer(self.server.issuer()).shared_store(store);
            let client = configure(builder).build().unwrap();
            person::sign_in(&self.server, &client.account(account)).await.unwrap();
        });
    }

    /// What the store holds of the account of that name.
    pub(crate) fn record_of(&self, account: &str, client_id: &str) -> Option<LoginRecord> {
        self.with_store(async |store| store.load(&self.key(account, client_id)).await.unwrap())
    }

    /// The same for a login of [`signed_in`](Self::signed_in).
    #[track_caller]
    pub(crate) fn record(&self, account: &str) -> LoginRecord {
        self.record_of(account, DevServer::PUBLIC_CLIENT).expect("a login")
    }

    /// Changes a login of [`signed_in`](Self::signed_in) as it is stored.
    pub(crate) fn change_record(&self, account: &str, change: impl FnOnce(&mut LoginRecord)) {
        self.with_store(async |store| {
            let mut lease =
                store.lease(&self.key(account, DevServer::PUBLIC_CLIENT), PATIENCE).await.unwrap();
            let mut record = lease.load().await.unwrap().expect("a login");
            change(&mut record);
            lease.save(&record).await.unwrap();
        });
    }

    /// Lets the stored access tokens of that account be expired by the clock, at the server too.
    pub(crate) fn expire(&self, account: &str) {
        let long_ago = now_ms() - 3_600_000;
        self.change_record(account, |record| {
            for token in &mut record.tokens {
                token.received_at_ms = long_ago - 3_600_000;
                token.expires_at_ms = Some(long_ago);
            }
        });
        self.server.expire_access_tokens();
    }

    /// The access token and the refresh token of that account: what must never be shown.
    pub(crate) fn secrets(&self, account: &str) -> Vec<String> {
        let record = self.record(account);
        let tokens = record.tokens.iter().map(|token| token.access_token.expose().to_owned());
        let others = record.refresh_token.iter().chain(&record.id_token);
        tokens.chain(others.map(|secret| secret.expose().to_owned())).collect()
    }

    pub(crate) fn key(&self, account: &str, client_id: &str) -> LoginKey {
        LoginKey::new(&self.server.issuer().parse().unwrap(), client_id).with_account(account)
    }

    /// Does something with the store that the command uses.
    pub(crate) fn with_store<T>(&self, work: impl AsyncFnOnce(Arc<dyn TokenStore>) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let choice = StoreChoice::for_program("jeton").folder(self.state_folder());
            let store = choice.without_keychain().allow_unencrypted_file().choose().await.unwrap();
            work(Arc::new(store)).await
        })
    }

    // ----- The binary ----------------------------------------------------------------------------------------------------

    /// The command of these arguments, under way, with everything that it says in pipes.
    pub(crate) fn begun<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The binary with an environment that has nothing but this home.
    pub(crate) fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jeton"));
        command.args(arguments).env_clear().current_dir(self.home());
        for (name, value) in self.environment() {
            command.env(name, value);
        }
        command
    }

    /// The variables of that environment, for whoever starts the binary otherwise.
    pub(crate) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let mut variables = vec![
            ("HOME", self.home().to_owned()),
            ("XDG_CONFIG_HOME", self.home().join("config")),
            ("XDG_STATE_HOME", self.home().join("state")),
            ("LANG", "C.UTF-8".into()),
        ];
        variables.extend(std::env::var_os("PATH").map(|path| ("PATH", path.into())));
        variables
    }

    /// Runs the binary in pipes, with nothing on standard input.
    #[track_caller]
    pub(crate) fn jeton<const N: usize>(&self, arguments: [&str; N]) -> Ran {
        run(&mut self.command(arguments), b"")
    }

    /// The same with that on standard input.
    #[track_caller]
    pub(crate) fn jeton_with_input<const N: usize>(
        &self,
        arguments: [&str; N],
        input: impl AsRef<[u8]>,
    ) -> Ran {
        run(&mut self.command(arguments), input.as_ref())
    }
}

/// Runs a command to its end, which must come.
#[track_caller]
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Whoever does not read its input to the end breaks the pipe; that is not what is tested.
    let feeding = thread::spawn(move || drop(stdin.write_all(&input)));
    let (stdout, stderr) = (reading(child.stdout.take()), reading(child.stderr.take()));
    let stdout = in_time(&mut child, &stdout);
    let stderr = String::from_utf8(in_time(&mut child, &stderr)).expect("what is said is text");
    let status = child.wait().unwrap();
    feeding.join().unwrap();
    Ran { code: status.code(), status, stdout, stderr }
}

fn reading(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    let mut pipe = pipe.unwrap();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        let _ = sender.send(bytes);
    });
    receiver
}

#[track_caller]
fn in_time(child: &mut Child, receiver: &mpsc::Receiver<Vec<u8>>) -> Vec<u8> {
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let _ = child.kill();
        panic!("the command hangs");
    })
}

/// Whether a file below that folder holds the text.
pub(crate) fn holds(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => holds(&path, text),
        false => String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains(text),
    })
}

/// How the binary ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) status: std::process::ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output of a run that went well.
    #[track_caller]
    pub(crate) fn answer(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self}");
        str::from_utf8(&self.stdout).expect("text")
    }

    /// The same, as the one JSON value that it is.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.answer()).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// What was said of a run that failed with that exit code, and answered nothing.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self}");
        assert!(self.stdout.is_empty(), "a failure is no answer: {self}");
        &self.stderr
    }

    /// The JSON of a failure with that exit code (`--json`).
    #[track_caller]
    pub(crate) fn failed_json(&self, code: i32) -> Value {
        let said = self.failed(code);
        let failure: Value = serde_json::from_str(said).unwrap_or_else(|error| panic!("{error}: {self}"));
        assert_eq!(failure["error"]["exit"], code, "{self}");
        failure["error"].clone()
    }

    /// None of these stands anywhere in what was written.
    #[track_caller]
    pub(crate) fn shows_none_of(&self, secrets: &[String]) {
        assert!(!secrets.is_empty(), "there is something to look for");
        let text = self.to_string();
        for secret in secrets {
            assert!(!text.contains(secret.as_str()), "a secret is shown");
        }
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        write!(f, "{}\n--- stdout\n{stdout}\n--- stderr\n{}", self.status, self.stderr)
    }
}

pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64
}
