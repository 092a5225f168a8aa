//! Choosing a store for a program: the keychain, else sealed files, else plain ones if the program allows that by name.
//! Never a silent downgrade, and never a second set of logins.

mod chosen;
mod marker;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "sealed")]
use jeton_models::Secret;

pub use self::chosen::ChosenStore;
use self::marker::Marker;
#[cfg(feature = "keyring")]
use crate::KeyringStore;
#[cfg(feature = "keyring")]
use crate::keyring::keychain::Keychain;
use crate::login_folder::LoginFolder;
use crate::private_folder::PrivateFolder;
use crate::time::readable;
use crate::transfer::{Transfer, Transferred, listed};
use crate::{FileStore, StoreError, TokenStore, blocking, place};
#[cfg(feature = "sealed")]
use crate::{SealedStore, SealingKey};

/// Chooses the store of a program: the best one that is there, and the same one as last time.
///
/// # Which store do I take?
///
/// | your program | store |
/// |---|---|
/// | a tool or desktop application that people run on machines of all kinds | this chooser |
/// | the same, but only ever where a keychain is | `KeyringStore` (feature `keyring`) |
/// | many or large logins, and a keychain for one small key | `SealedStore::with_keychain` (features `sealed`, `keyring`) |
/// | a server that gets secrets from its surroundings | `SealedStore::with_key` (feature `sealed`) |
/// | a container or CI job, on an encrypted disk, for one user | [`FileStore`] |
/// | a service with client credentials, which can always get a new token | `MemoryStore` (feature `memory`) |
///
/// # What it does
///
/// 1. **The keychain**, with the feature `keyring`. If there is *none* (no D-Bus session, no secret service, no support
///    on this platform) the next one is looked at. A keychain that is locked, does not answer or fails is an error and no reason
///    to go on: the login that is in it would be missed, and a second one begun elsewhere. One that can ask the
///    person for its password does.
/// 2. **Sealed files**, if the program gives a key (`or_sealed_with_key`) or a passphrase (`or_sealed_with_passphrase`;
///    both with the feature `sealed`).
/// 3. **A plain file**, only if the program says [`allow_unencrypted_file`](Self::allow_unencrypted_file).
///
/// Before the first login is written it is noted, in the program's folder, in which store. From then on that store is
/// chosen, and if it is not to be had today, that is an error which names what to do, instead of a
/// program that has forgotten everybody. If a better one is there than last time, the logins stay where they are, `describe()`
/// says so, and [`move_logins`](Self::move_logins) moves them.
///
/// # Places
///
/// Logins chosen so belong to one program, by its name: the keychain's service of that name, and the folder
/// `programs/<name>` in `jeton`'s state folder (see [`FileStore::at_default_place`]). Programs that are to share
/// logins take the same name.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use jeton_storage::{StoreChoice, TokenStore};
///
/// let store = StoreChoice::for_program("com.example.my-tool").allow_unencrypted_file().choose().await?;
/// // file at /home/me/.local/state/jeton/programs/com.example.my-tool/logins (kept across restarts, not encrypted, shared
/// // with the programs of this user), because there is no keychain (...), and the program allows a file that is not encrypted
/// println!("logins are kept in: {}", store.describe());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct StoreChoice {
    name: String,
    folder: Option<PathBuf>,
    keychain: bool,
    #[cfg(feature = "sealed")]
    seal: Option<Seal>,
    unencrypted: bool,
    #[cfg(all(test, feature = "keyring", feature = "sealed"))]
    keychain_of_tests: Option<(crate::keyring::fake::FakeKeychain, std::time::Duration)>,
}

#[cfg(feature = "sealed")]
#[derive(Clone)]
enum Seal {
    Key(SealingKey),
    Passphrase(Secret),
}

/// The kinds of store that are chosen from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreKind {
    /// The operating system's keychain.
    Keychain,
    /// Encrypted files.
    Sealed,
    /// Plain files.
    UnencryptedFile,
}

impl StoreKind {
    const ALL: [Self; 3] = [Self::Keychain, Self::Sealed, Self::UnencryptedFile];

    /// As the marker has it.
    fn name(self) -> &'static str {
        match self {
            Self::Keychain => "keychain",
            Self::Sealed => "sealed",
            Self::UnencryptedFile => "unencrypted-file",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether its folder within the program's holds logins; a keychain has none. Blocks.
    fn has_files(self, folder: &PrivateFolder) -> Result<bool, StoreError> {
        let name = match self {
            Self::Keychain => return Ok(false),
            Self::Sealed => SEALED,
            Self::UnencryptedFile => PLAIN,
        };
        LoginFolder::new(&folder.path_of(name)).has_logins()
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keychain => "the keychain",
            Self::Sealed => "sealed files",
            Self::UnencryptedFile => "a file that is not encrypted",
        })
    }
}

/// A kind of store as it is today.
struct Candidate {
    kind: StoreKind,
    /// Or why it is not to be had.
    store: Result<Arc<dyn TokenStore>, Absent>,
}

enum Absent {
    /// It is not there today.
    Missing(String),
    /// The program did not ask for it. What would be needed.
    NotAsked(&'static str),
}

impl StoreChoice {
    /// A choice for the program of that name: 1 to 100 ASCII letters, digits, dots, hyphens and underscores, a dot not
    /// first. A name under a domain of yours (`com.example.my-tool`) is nobody else's.
    pub fn for_program(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            folder: None,
            keychain: true,
            #[cfg(feature = "sealed")]
            seal: None,
            unencrypted: false,
            #[cfg(all(test, feature = "keyring", feature = "sealed"))]
            keychain_of_tests: None,
        }
    }

    /// Another folder than the platform's for what is kept in files, for the marker, and for locks.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Leaves the keychain out, even where there is one.
    #[must_use]
    pub fn without_keychain(mut self) -> Self {
        self.keychain = false;
        self
    }

    /// Sealed files with that key, where there is no keychain.
    #[cfg(feature = "sealed")]
    #[must_use]
    pub fn or_sealed_with_key(mut self, key: SealingKey) -> Self {
        self.seal = Some(Seal::Key(key));
        self
    }

    /// Sealed files with a key from that passphrase, where there is no keychain.
    #[cfg(feature = "sealed")]
    #[must_use]
    pub fn or_sealed_with_passphrase(mut self, passphrase: Secret) -> Self {
        self.seal = Some(Seal::Passphrase(passphrase));
        self
    }

    /// A file that everybody can read who can read the user's files, a backup too, where there is nothing better. Tell the
    /// person.
    #[must_use]
    pub fn allow_unencrypted_file(mut self) -> Self {
        self.unencrypted = true;
        self
    }

    /// Looks what is there, and chooses.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::TimedOut`] and others of the keychain; [`StoreError::WrongSealingKey`] for
    /// a passphrase that is not the folder's; [`StoreError::Unavailable`] if nothing that is allowed is there, or if the logins
    /// of this program are in a store that is not: it says in which, and what to do.
    pub async fn choose(&self) -> Result<ChosenStore, StoreError> {
        let folder = self.own_folder()?;
        let marker = Marker::read(&folder).await?;
        let candidates = self.candidates(&folder).await?;
        let kind = match &marker {
            Some(marker) => self.where_they_are(marker, &candidates, &folder).await?,
            None => self.where_none_is_noted(&candidates, &folder).await?,
        };
        let (kind, why) = match kind {
            Some(decision) => decision,
            None => self.best(&candidates)?,
        };
        let store = candidates.into_iter().find(|candidate| candidate.kind == kind).map(|found| found.store);
        let Some(Ok(store)) = store else { return Err(self.nothing("")) };
        // Better now than after a person has logged in.
        if kind == StoreKind::Sealed
            && let Some(Err(error)) = store.list().next().await
            && matches!(error, StoreError::WrongSealingKey { .. } | StoreError::SealingKeyLost { .. })
        {
            return Err(error);
        }
        Ok(ChosenStore::new(store, kind, why, folder, marker))
    }

    /// Moves the logins of this program from wherever they are to the best store that is there today, with
    /// [`transfer`](crate::transfer), and chooses that. End other processes of the program first.
    ///
    /// If one of them cannot even be read, none is moved: repair or remove it first. If some could not be moved, the store
    /// stays chosen in which they were, and calling again goes on.
    ///
    /// # Errors
    /// As [`choose`](Self::choose), but that logins in several stores are none, unless some could not be moved and none
    /// of the stores was noted. What was moved, and what was not, stands in the error then.
    pub async fn move_logins(&self) -> Result<(ChosenStore, Transferred), StoreError> {
        let folder = self.own_folder()?;
        let marker = Marker::read(&folder).await?;
        let candidates = self.candidates(&folder).await?;
        let (best, _) = self.best(&candidates)?;
        for candidate in &candidates {
            let holds_logins = marker.as_ref().is_some_and(|marker| marker.kind == candidate.kind);
            if candidate.store.is_err() && (holds_logins || self.has_logins(candidate, &folder).await?) {
                return Err(self.elsewhere(candidate, marker.as_ref(), &folder));
            }
        }
        let store_of = |kind: StoreKind| {
            candidates
                .iter()
                .find(|candidate| candidate.kind == kind)
                .and_then(|found| found.store.as_ref().ok())
        };
        let Some(to) = store_of(best) else { return Err(self.nothing("")) };
        let sources = || candidates.iter().filter(|from| from.kind != best);
        let mut listings = Vec::new();
        for from in sources().filter_map(|from| from.store.as_ref().ok()) {
            listings.push((from, listed(&**from).await));
        }
        let mut all = Transferred::default();
        if listings.iter().flat_map(|(_, listing)| listing).any(Result::is_err) {
            // It could not come along, and the program would see either it or the others.
            let errors = listings.into_iter().flat_map(|(_, listing)| listing).filter_map(Result::err);
            all.failed.extend(errors.map(|error| (None, error)));
        } else {
            for (from, listing) in listings {
                all.add(Transfer::new(&**from, &**to).move_listed(listing).await);
            }
        }
        if all.is_complete() {
            for from in sources() {
                if self.has_logins(from, &folder).await.map_err(|error| with_what_was_moved(error, &all))? {
                    let what = format!(
                        "another process has stored a login in {} meanwhile: end it, and call `StoreChoice::move_logins` \
                         again",
                        from.kind
                    );
                    all.failed.push((None, StoreError::Unavailable { what }));
                }
            }
        }
        let noted = match all.is_complete() {
            true => Marker::write(&folder, best, marker.as_ref()).await,
            false => Ok(()),
        };
        let chosen = match noted {
            Ok(()) => self.choose().await,
            Err(error) => Err(error),
        };
        match chosen {
            Ok(chosen) => Ok((chosen, all)),
            Err(error) => Err(with_what_was_moved(error, &all)),
        }
    }

    fn own_folder(&self) -> Result<PrivateFolder, StoreError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let name = &self.name;
        if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.bytes().all(allowed) {
            return Err(StoreError::Unavailable {
                what: format!(
                    "{name:?} cannot name a program: take 1 to 100 ASCII letters, digits, dots, hyphens and underscores, \
                     a dot not first"
                ),
            });
        }
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => place::state_folder()?.join("programs").join(name),
        };
        Ok(PrivateFolder::new(&folder))
    }

    /// All kinds, the best first.
    async fn candidates(&self, folder: &PrivateFolder) -> Result<Vec<Candidate>, StoreError> {
        let keychain = Candidate { kind: StoreKind::Keychain, store: self.keychain().await? };
        let sealed = Candidate { kind: StoreKind::Sealed, store: self.sealed(folder).await? };
        let file = match self.unencrypted {
            true => Ok(Arc::new(FileStore::new(folder.path_of(PLAIN))) as Arc<dyn TokenStore>),
            false => Err(Absent::NotAsked("say `allow_unencrypted_file`, or move them with `transfer`")),
        };
        Ok(vec![keychain, sealed, Candidate { kind: StoreKind::UnencryptedFile, store: file }])
    }

    #[cfg(not(feature = "keyring"))]
    async fn keychain(&self) -> Result<Result<Arc<dyn TokenStore>, Absent>, StoreError> {
        Ok(Err(match self.keychain {
            true => Absent::Missing("this program was built without support for it".to_owned()),
            false => Absent::NotAsked(KEYCHAIN_LEFT_OUT),
        }))
    }

    #[cfg(feature = "keyring")]
    async fn keychain(&self) -> Result<Result<Arc<dyn TokenStore>, Absent>, StoreError> {
        if !self.keychain {
            return Ok(Err(Absent::NotAsked(KEYCHAIN_LEFT_OUT)));
        }
        let (store, keychain) = self.open_keychain()?;
        let ready = match store.check().await {
            // It would ask the person: let it. What is asked for does not matter.
            Err(StoreError::Locked { .. }) => keychain.get("unlock").await.map(drop),
            checked => checked,
        };
        match ready {
            Ok(()) => Ok(Ok(Arc::new(store))),
            Err(StoreError::NoKeychain { what }) => Ok(Err(Absent::Missing(what))),
            Err(error) => Err(error),
        }
    }

    #[cfg(feature = "keyring")]
    fn open_keychain(&self) -> Result<(KeyringStore, Keychain), StoreError> {
        #[cfg(all(test, feature = "sealed"))]
        if let Some((fake, deadline)) = &self.keychain_of_tests {
            let locks = self.own_folder()?.path_of("locks");
            return fake.open_store(
                KeyringStore::builder().service(&self.name).lock_folder(locks).deadline(*deadline),
            );
        }
        let builder = KeyringStore::builder().service(&self.name);
        // A folder that was named is where everybody who names it locks, too.
        let builder = match &self.folder {
            Some(_) => builder.lock_folder(self.own_folder()?.path_of("locks")),
            None => builder,
        };
        Ok((builder.open()?, Keychain::open(&self.name)?))
    }

    #[cfg(not(feature = "sealed"))]
    async fn sealed(
        &self,
        _folder: &PrivateFolder,
    ) -> Result<Result<Arc<dyn TokenStore>, Absent>, StoreError> {
        Ok(Err(Absent::NotAsked("build the program with the feature `sealed`, and give the key")))
    }

    #[cfg(feature = "sealed")]
    async fn sealed(
        &self,
        folder: &PrivateFolder,
    ) -> Result<Result<Arc<dyn TokenStore>, Absent>, StoreError> {
        let path = folder.path_of(SEALED);
        let store = match &self.seal {
            None => return Ok(Err(Absent::NotAsked("give their key or passphrase"))),
            Some(Seal::Key(key)) => SealedStore::with_key(path, key.clone()),
            Some(Seal::Passphrase(passphrase)) => SealedStore::with_passphrase(path, passphrase.clone()),
        };
        Ok(Ok(Arc::new(store)))
    }

    /// The store that the marker names, or `None` if nothing is in it and a better one is there.
    async fn where_they_are(
        &self,
        marker: &Marker,
        candidates: &[Candidate],
        folder: &PrivateFolder,
    ) -> Result<Option<(StoreKind, String)>, StoreError> {
        let Some(noted) = candidates.iter().find(|candidate| candidate.kind == marker.kind) else {
            return Err(self.nothing(""));
        };
        if noted.store.is_err() {
            // Files can be looked for even so; what may be in a keychain that is not there cannot.
            if noted.kind != StoreKind::Keychain && !self.has_logins(noted, folder).await? {
                return Ok(None);
            }
            return Err(self.elsewhere(noted, Some(marker), folder));
        }
        let why = format!("the logins of {:?} are there since {}", self.name, readable(marker.since_ms));
        self.stay_or_go(noted, candidates, why, folder).await
    }

    /// The store in which logins are found, if there are any.
    async fn where_none_is_noted(
        &self,
        candidates: &[Candidate],
        folder: &PrivateFolder,
    ) -> Result<Option<(StoreKind, String)>, StoreError> {
        let mut found = Vec::new();
        for candidate in candidates {
            if self.has_logins(candidate, folder).await? {
                found.push(candidate);
            }
        }
        match found[..] {
            [] => Ok(None),
            [found] if found.store.is_err() => Err(self.elsewhere(found, None, folder)),
            [found] => {
                let why = format!("logins of {:?} were found there", self.name);
                self.stay_or_go(found, candidates, why, folder).await
            }
            _ => {
                let kinds: Vec<String> = found.iter().map(|found| found.kind.to_string()).collect();
                Err(StoreError::Unavailable {
                    what: format!(
                        "logins of {:?} are in {}, and {} does not say which counts: bring them together with \
                         `StoreChoice::move_logins`",
                        self.name,
                        kinds.join(" and in "),
                        folder.path_of(marker::NAME).display()
                    ),
                })
            }
        }
    }

    /// That store, unless a better one is there and this one is empty.
    async fn stay_or_go(
        &self,
        at: &Candidate,
        candidates: &[Candidate],
        why: String,
        folder: &PrivateFolder,
    ) -> Result<Option<(StoreKind, String)>, StoreError> {
        let better = candidates.iter().take_while(|candidate| candidate.kind != at.kind);
        let Some(better) = better.into_iter().find(|candidate| candidate.store.is_ok()) else {
            return Ok(Some((at.kind, why)));
        };
        match self.has_logins(at, folder).await? {
            true => Ok(Some((
                at.kind,
                format!("{why}; {} would be better, and `StoreChoice::move_logins` moves them", better.kind),
            ))),
            false => Ok(None),
        }
    }

    /// The best one that is there, and what the better ones lack.
    fn best(&self, candidates: &[Candidate]) -> Result<(StoreKind, String), StoreError> {
        let mut lacking = Vec::new();
        for candidate in candidates {
            match &candidate.store {
                Ok(_) => {
                    lacking.push(match candidate.kind {
                        StoreKind::Keychain => "there is a keychain".to_owned(),
                        StoreKind::Sealed => "the program gives a key or passphrase".to_owned(),
                        StoreKind::UnencryptedFile => {
                            "the program allows a file that is not encrypted".to_owned()
                        }
                    });
                    return Ok((candidate.kind, lacking.join(", and ")));
                }
                Err(Absent::Missing(what)) => lacking.push(format!("there is no keychain ({what})")),
                Err(Absent::NotAsked(_)) if candidate.kind == StoreKind::Keychain => {
                    lacking.push("the program leaves the keychain out".to_owned());
                }
                Err(Absent::NotAsked(_)) => {}
            }
        }
        Err(self.nothing(&lacking.join(", and ")))
    }

    /// Whether a store of that kind holds logins, as far as can be seen without a key.
    async fn has_logins(&self, candidate: &Candidate, folder: &PrivateFolder) -> Result<bool, StoreError> {
        if candidate.kind != StoreKind::Keychain {
            let (kind, folder) = (candidate.kind, folder.clone());
            return blocking::run(move || kind.has_files(&folder)).await;
        }
        let Ok(store) = &candidate.store else { return Ok(false) };
        match store.list().next().await {
            None => Ok(false),
            Some(Ok(_) | Err(StoreError::Damaged { .. } | StoreError::NewerFormat { .. })) => Ok(true),
            Some(Err(StoreError::WrongKey { .. })) => Ok(true),
            Some(Err(error)) => Err(error),
        }
    }

    /// The logins are where they cannot be reached.
    fn elsewhere(&self, at: &Candidate, marker: Option<&Marker>, folder: &PrivateFolder) -> StoreError {
        let since = marker.map(|marker| format!(" since {}", readable(marker.since_ms))).unwrap_or_default();
        let help = match &at.store {
            Err(Absent::NotAsked(help)) => (*help).to_owned(),
            Err(Absent::Missing(what)) => {
                format!("there is none now ({what}). Run the program where it is, as last time")
            }
            Ok(_) => String::new(),
        };
        let begin_anew = match at.kind {
            StoreKind::Keychain => folder.path_of(marker::NAME),
            StoreKind::Sealed => folder.path_of(SEALED),
            StoreKind::UnencryptedFile => folder.path_of(PLAIN),
        };
        StoreError::Unavailable {
            what: format!(
                "the logins of {:?} are in {}{since}: {help}; or remove {} to begin anew",
                self.name,
                at.kind,
                begin_anew.display()
            ),
        }
    }

    fn nothing(&self, lacking: &str) -> StoreError {
        let lacking = if lacking.is_empty() { "nothing is there" } else { lacking };
        StoreError::Unavailable {
            what: format!(
                "there is no place to keep the logins of {:?}: {lacking}. Give a key or passphrase for sealed files, or \
                 allow a file that is not encrypted",
                self.name
            ),
        }
    }
}

/// An error after logins were moved, or could not be: it says what became of them.
fn with_what_was_moved(error: StoreError, all: &Transferred) -> StoreError {
    let what = match error {
        error if all.moved.is_empty() && all.failed.is_empty() => return error,
        StoreError::Unavailable { what } => what,
        // Its kind is worth more, and a next call tells the rest.
        error if all.moved.is_empty() => return error,
        error => error.to_string(),
    };
    StoreError::Unavailable { what: format!("{what}. Of the logins to be moved: {all}") }
}

/// The folders within the program's.
const SEALED: &str = "sealed";
const PLAIN: &str = "logins";
const KEYCHAIN_LEFT_OUT: &str = "do not leave the keychain out, or move them with `transfer`";

impl fmt::Debug for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreChoice").field("name", &self.name).finish_non_exhaustive()
    }
}
