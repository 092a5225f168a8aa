//! `Context`: what every command has at hand: the output, the profiles, the store, and a client made of them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jeton::models::is_secure_or_loopback;
use jeton::storage::{LoginRecord, TokenStore};
use jeton::{ClientBuilder, Event, EventKind, Secret, Session, Url};

use crate::arguments::Global;
use crate::client::client_with_secret;
use crate::exit::Exit;
use crate::failure::{Failure, in_words_of_the_command};
use crate::output::Output;
use crate::profile::Profile;
use crate::profiles_file::ProfilesFile;
use crate::store::{OpenStore, StoreSetting};

/// The surroundings of a command.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) output: Output,
    global: Global,
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        let output = Output::new(global.json, global.quiet, global.color);
        Self { output, global }
    }

    /// The profiles file that was named, if it is not at the platform's place.
    pub(crate) fn config_option(&self) -> Option<&Path> {
        self.global.config.as_deref()
    }

    /// The profiles file, read anew; an empty one where there is none.
    pub(crate) fn profiles(&self) -> Result<ProfilesFile, Failure> {
        ProfilesFile::read(self.global.config.as_deref())
    }

    /// The store that the arguments, else the file, else the platform suggest.
    pub(crate) async fn store(&self, profiles: &ProfilesFile) -> Result<OpenStore, Failure> {
        OpenStore::open(self.store_setting(profiles), profiles.passphrase_file().as_deref()).await
    }

    /// Which store is wanted: the arguments say, else the file.
    pub(crate) fn store_setting(&self, profiles: &ProfilesFile) -> StoreSetting {
        self.global.store.or(profiles.store()).unwrap_or(StoreSetting::Auto)
    }

    /// The profile of that name, or the default one, with its client. Nothing is sent.
    pub(crate) async fn connect(&self, name: Option<&str>) -> Result<Connection, Failure> {
        self.connect_with(name, |builder| builder).await
    }

    /// The same, with something added to the client.
    pub(crate) async fn connect_with(
        &self,
        name: Option<&str>,
        configure: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Connection, Failure> {
        let profiles = self.profiles()?;
        let (name, profile) = profiles.choose(name)?;
        let (name, profile) = (name.to_owned(), profile.clone());
        let store = self.store(&profiles).await?;
        Connection::new(name, profile, store, configure)
    }
}

/// A profile, and the client that it describes.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) name: String,
    pub(crate) profile: Profile,
    pub(crate) store: OpenStore,
    pub(crate) session: Session,
}

impl Connection {
    pub(crate) fn new(
        name: String,
        profile: Profile,
        store: OpenStore,
        configure: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, Failure> {
        Self::with_secret(name, profile, store, None, configure)
    }

    /// The same with a client secret that is tried before it is stored.
    pub(crate) fn with_secret(
        name: String,
        profile: Profile,
        store: OpenStore,
        secret: Option<Secret>,
        configure: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, Failure> {
        let shared: Arc<dyn TokenStore> = store.shared();
        let client = configure(client_with_secret(&name, &profile, &shared, secret)?)
            .on_event(warn_unless_stored(&name))
            .build()
            .map_err(|error| Failure::of(&error, format!("the profile `{name}` cannot work"), &name))?;
        let session = client.account(profile.account(&name));
        Ok(Self { name, profile, store, session })
    }

    /// The login as the store has it.
    pub(crate) async fn record(&self) -> Result<Option<LoginRecord>, Failure> {
        let loaded = self.store.shared().load(self.session.key()).await;
        loaded.map_err(|error| Failure::store(&error, format!("the login of `{}` cannot be read", self.name)))
    }

    /// The token is not for that origin, whose URL was asked for.
    pub(crate) fn foreign_origin(&self, origin: &str, url: &Url) -> Failure {
        let name = &self.name;
        let what = format!("the token of `{name}` is not sent to {origin}");
        let failure = Failure::new(Exit::Usage, "foreign_origin", what);
        match url.scheme() == "http" && !is_secure_or_loopback(url) {
            true => failure.because("a token is sent over HTTPS, and without it to this machine only"),
            false => failure
                .because("the profile does not name that origin as one of its APIs; nothing was sent")
                .help(format!("if it is to have the token: jeton login {name} --api {origin}")),
        }
    }

    /// An error of the library, met while `what` was tried with this profile.
    pub(crate) fn failure(&self, error: &jeton::Error, what: impl Into<String>) -> Failure {
        Failure::of(error, what, &self.name)
    }
}

/// A token that could not be stored serves this command and no later one, which is told in whatever command it happens.
fn warn_unless_stored(name: &str) -> impl Fn(&Event) + Send + Sync + 'static {
    let (name, is_told) = (name.to_owned(), AtomicBool::new(false));
    move |event| {
        if let EventKind::PersistFailed(error) = &event.kind
            && !is_told.swap(true, Ordering::Relaxed)
        {
            let why = in_words_of_the_command(&error.to_string());
            Output::warning(format_args!("the login of `{name}` could not be stored: {why}"));
        }
    }
}
