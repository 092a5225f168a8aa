//! The logins of the store beside the profiles that they belong to. Reads only; nothing is sent.

use jeton::storage::{LoginKey, LoginRecord, StoreError, TokenStore};

use crate::client::issuer_of;
use crate::failure::Failure;
use crate::profile::Profile;
use crate::profiles_file::ProfilesFile;

/// A profile, a login, or both.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The profile's name; the account of a login that has none.
    pub(crate) name: String,
    pub(crate) profile: Option<Profile>,
    pub(crate) login: Kept,
}

/// What the store has of it.
#[derive(Debug)]
pub(crate) enum Kept {
    /// A login.
    Login(LoginKey, Box<LoginRecord>),
    /// None.
    Nothing(LoginKey),
    /// Something that cannot be read.
    Unreadable(LoginKey, StoreError),
    /// The profile does not say which login is its.
    NoKey(Failure),
}

/// What a profile's login is kept under.
pub(crate) fn key_of(name: &str, profile: &Profile) -> Result<LoginKey, Failure> {
    let issuer = issuer_of(name, profile)?;
    let client_id = profile.client_id.as_deref().ok_or_else(|| {
        Failure::configuration(format!("the profile `{name}` has no `client_id`"))
            .help(format!("jeton login {name} --client-id ID"))
    })?;
    Ok(LoginKey::new(&issuer, client_id).with_account(profile.account(name)))
}

/// The profile of that name with its login.
pub(crate) async fn entry_of(name: &str, profile: &Profile, store: &dyn TokenStore) -> Entry {
    let login = match key_of(name, profile) {
        Ok(key) => kept(key, store).await,
        Err(failure) => Kept::NoKey(failure),
    };
    Entry { name: name.to_owned(), profile: Some(profile.clone()), login }
}

/// Every profile by name, then every login without one; and what could not be read at all.
pub(crate) async fn all(
    profiles: &ProfilesFile,
    store: &dyn TokenStore,
) -> Result<(Vec<Entry>, Vec<StoreError>), Failure> {
    let mut entries = Vec::new();
    for (name, profile) in profiles.iter() {
        entries.push(entry_of(name, profile, store).await);
    }
    let (mut without_profile, mut unreadable) = (Vec::new(), Vec::new());
    let mut keys = store.list();
    while let Some(key) = keys.next().await {
        match key {
            Ok(key) if key.is_registration() || entries.iter().any(|entry| entry.key() == Some(&key)) => {}
            Ok(key) => without_profile.push(key),
            Err(error @ (StoreError::Damaged { .. } | StoreError::NewerFormat { .. })) => {
                unreadable.push(error);
            }
            Err(error) => return Err(Failure::store(&error, "the logins cannot be listed")),
        }
    }
    // A profile's own is told there.
    let told: Vec<String> = entries.iter().filter_map(Entry::error).map(ToString::to_string).collect();
    unreadable.retain(|error| !told.contains(&error.to_string()));
    without_profile.sort();
    for key in without_profile {
        let name = key.account().to_owned();
        let login = kept(key, store).await;
        // One that somebody has removed meanwhile is none.
        if !matches!(login, Kept::Nothing(_)) {
            entries.push(Entry { name, profile: None, login });
        }
    }
    Ok((entries, unreadable))
}

async fn kept(key: LoginKey, store: &dyn TokenStore) -> Kept {
    match store.load(&key).await {
        Ok(Some(record)) => Kept::Login(key, Box::new(record)),
        Ok(None) => Kept::Nothing(key),
        Err(error) => Kept::Unreadable(key, error),
    }
}

impl Entry {
    pub(crate) fn key(&self) -> Option<&LoginKey> {
        match &self.login {
            Kept::Login(key, _) | Kept::Nothing(key) | Kept::Unreadable(key, _) => Some(key),
            Kept::NoKey(_) => None,
        }
    }

    fn error(&self) -> Option<&StoreError> {
        match &self.login {
            Kept::Unreadable(_, error) => Some(error),
            _ => None,
        }
    }

    /// The profile; for a login without one, what is known of it.
    pub(crate) fn profile_or_guess(&self) -> Profile {
        self.profile.clone().unwrap_or_else(|| Profile {
            issuer: self.key().map(|key| key.issuer().to_owned()),
            client_id: self.key().map(|key| key.client_id().to_owned()),
            account: self.key().map(|key| key.account().to_owned()),
            ..Profile::default()
        })
    }
}
