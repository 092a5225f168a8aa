//! `Catalog`: profiles by their names, the built-in ones among them, and which of them expect what a warning is about.

use std::sync::OnceLock;

use jeton_models::Warning;
use url::Url;

use crate::error::nearest;
use crate::profile::shortened;
use crate::{Profile, ProfileError, read};

/// The table of the providers that jeton knows. There is one entry for each, and no code.
const BUILT_IN: &str = include_str!("../profiles.toml");

/// Profiles by their names.
///
/// ```
/// use jeton_profiles::Catalog;
///
/// let own = Catalog::from_toml(r#"
///     [acme]
///     token_endpoint = "https://acme.example/token"
///     [acme-test]
///     token_endpoint = "https://test.acme.example/token"
/// "#)?;
/// assert_eq!(own.get("acme-test")?.name(), "acme-test");
/// assert!(Catalog::built_in().get("github").is_ok());
/// # Ok::<(), jeton_profiles::ProfileError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Catalog(Vec<Profile>);

impl Catalog {
    /// Those that come with jeton.
    pub fn built_in() -> &'static Self {
        static BUILT_IN_CATALOG: OnceLock<Catalog> = OnceLock::new();
        // That the table is in order is a test's business; a broken one has no profiles.
        BUILT_IN_CATALOG.get_or_init(|| Self::from_toml(BUILT_IN).unwrap_or_default())
    }

    /// A table of profiles in TOML, each a table named as the profile.
    ///
    /// # Errors
    /// [`ProfileError`], which names the line or the profile and the key.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        read::profiles(text).map(Self)
    }

    /// The profile of that name.
    ///
    /// # Errors
    /// [`ProfileError::UnknownProfile`], with the name that is most like it.
    pub fn get(&self, name: &str) -> Result<&Profile, ProfileError> {
        self.0.iter().find(|profile| profile.name() == name).ok_or_else(|| ProfileError::UnknownProfile {
            name: shortened(name),
            nearest: nearest(&name.to_ascii_lowercase(), self.0.iter().map(Profile::name)),
        })
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.0.iter()
    }

    /// The profiles with which there would be no such warning. If one of them is of the server at that URL, it alone: the
    /// token endpoint tells.
    pub fn silencing(&self, warning: &Warning, endpoint: Option<&Url>) -> Vec<&Profile> {
        let silencing: Vec<&Profile> = self.0.iter().filter(|profile| profile.silences(warning)).collect();
        let host = endpoint.and_then(Url::host_str);
        let of_server = |profile: &&Profile| host.is_some_and(|host| profile.is_at(host));
        match silencing.iter().copied().find(of_server) {
            Some(profile) => vec![profile],
            None => silencing,
        }
    }
}

/// What a person can do about a warning: the names of the built-in profiles that expect it, in words. `None` if none does.
///
/// Made to be set as `GrantContext::advice`; clients of jeton-client have it there already.
pub fn advice(warning: &Warning, endpoint: &Url) -> Option<String> {
    let profiles = Catalog::built_in().silencing(warning, Some(endpoint));
    match profiles.as_slice() {
        [] => None,
        [one] => Some(format!("the provider profile `{}` expects this", one.name())),
        several => {
            let names: Vec<_> = several.iter().map(|profile| format!("`{}`", profile.name())).collect();
            Some(format!("the provider profiles {} expect this", names.join(", ")))
        }
    }
}

impl Profile {
    /// Whether one of its endpoints is on that host, whatever its placeholders stand for.
    pub(crate) fn is_at(&self, host: &str) -> bool {
        let urls = self.data.endpoints.values().chain(&self.data.issuer);
        urls.filter_map(|url| url.strip_prefix("https://")?.split('/').next()).any(|own| {
            match own.rsplit_once('}') {
                // A placeholder for the whole host fits any, so that it says nothing.
                Some((_, after)) => !after.is_empty() && host.ends_with(after),
                None => own.eq_ignore_ascii_case(host),
            }
        })
    }
}
