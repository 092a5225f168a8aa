//! The profiles file: a table of TOML for each login, at the platform's place for configuration.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;
use etcetera::BaseStrategy as _;
use serde::Deserialize;
use toml_edit::DocumentMut;

use crate::failure::Failure;
use crate::own_file::Turn;
use crate::printable::printable_start;
use crate::profile::Profile;
use crate::profiles_error;
use crate::slips::meant;
use crate::store::StoreSetting;

/// The content of the file, and where it is.
#[derive(Debug)]
pub(crate) struct ProfilesFile {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Content {
    /// The profile of commands that name none.
    default: Option<String>,
    /// Where logins are kept.
    store: Option<StoreSetting>,
    /// The file that holds the passphrase of sealed files.
    passphrase_file: Option<PathBuf>,
    profiles: BTreeMap<String, Profile>,
}

impl ProfilesFile {
    /// Reads the file at that path or at the platform's place. One that is not there is empty.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, Failure> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => default_path()?,
        };
        let content = match fs::read_to_string(&path) {
            Ok(text) => parse(&path, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Content::default(),
            Err(error) => {
                return Err(Failure::configuration(format!("{} cannot be read", path.display()))
                    .because(error.to_string()));
            }
        };
        Ok(Self { path, content })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn store(&self) -> Option<StoreSetting> {
        self.content.store
    }

    /// From the environment, or the file.
    pub(crate) fn passphrase_file(&self) -> Option<PathBuf> {
        let named = std::env::var_os("JETON_PASSPHRASE_FILE").filter(|path| !path.is_empty());
        named.map(PathBuf::from).or_else(|| self.content.passphrase_file.clone())
    }

    pub(crate) fn default_name(&self) -> Option<&str> {
        self.content.default.as_deref()
    }

    /// All profiles by name, sorted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Profile)> {
        self.content.profiles.iter().map(|(name, profile)| (name.as_str(), profile))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Profile> {
        self.content.profiles.get(name)
    }

    /// The profile of that name; without a name the default one, or the only one.
    pub(crate) fn choose<'a>(&'a self, name: Option<&'a str>) -> Result<(&'a str, &'a Profile), Failure> {
        let names = || self.content.profiles.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let name = match (name.or(self.default_name()), self.content.profiles.len()) {
            (Some(name), _) => name,
            (None, 1) => self.content.profiles.keys().next().map(String::as_str).unwrap_or_default(),
            (None, 0) => {
                return Err(Failure::usage("there is no profile yet")
                    .because(format!("{} has none", self.path.display()))
                    .help("jeton login NAME --issuer URL --client-id ID"));
            }
            (None, _) => {
                return Err(Failure::usage("which profile is meant?")
                    .because(format!("there are several: {}", names()))
                    .help(format!(
                        "name one of them; to have one meant always: jeton login {} --default",
                        self.content.profiles.keys().next().map(String::as_str).unwrap_or_default()
                    )));
            }
        };
        match self.content.profiles.get_key_value(name) {
            Some((name, profile)) => Ok((name, profile)),
            None => {
                let meant = meant(name, self.content.profiles.keys().map(String::as_str));
                let shown = printable_start(name, LONGEST_NAME);
                let failure = Failure::usage(format!("there is no profile `{shown}`")).help(match meant {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    // A URL and the like would be no name.
                    None if check_name(name).is_err() => {
                        "name a profile; a new one: jeton login NAME --issuer URL --client-id ID".to_owned()
                    }
                    None => format!("jeton login {name} --issuer URL --client-id ID"),
                });
                Err(match self.content.profiles.is_empty() {
                    _ if check_name(name).is_err() => failure.because(format!("a name is {NAMES}")),
                    true => failure.because(format!("{} has none", self.path.display())),
                    false => failure.because(format!("{} has: {}", self.path.display(), names())),
                })
            }
        }
    }

    /// Writes the profile into the file, which is made if need be. What else stands there, comments too, stays.
    pub(crate) fn save(&mut self, name: &str, profile: &Profile) -> Result<(), Failure> {
        let table = toml_edit::ser::to_document(profile).map_err(|error| {
            Failure::new(crate::exit::Exit::Failure, "failed", "the profile cannot be written")
                .because(error.to_string())
        })?;
        self.edit(|document| {
            let profiles = document.entry("profiles").or_insert_with(|| {
                let mut table = toml_edit::Table::new();
                table.set_implicit(true);
                toml_edit::Item::Table(table)
            });
            let Some(profiles) = profiles.as_table_like_mut() else { return };
            let entry =
                profiles.entry(name).or_insert_with(|| toml_edit::Item::Table(toml_edit::Table::new()));
            let Some(entry) = entry.as_table_like_mut() else { return };
            let gone: Vec<String> =
                entry.iter().map(|(key, _)| key.to_owned()).filter(|key| !table.contains_key(key)).collect();
            for key in gone {
                entry.remove(&key);
            }
            for (key, item) in table.iter() {
                let mut item = item.clone();
                // What stands before the key stays too, so that the key is not set anew.
                match entry.get_mut(key) {
                    Some(own) => {
                        if let (Some(old), Some(new)) = (own.as_value(), item.as_value_mut()) {
                            *new.decor_mut() = old.decor().clone();
                        }
                        *own = item;
                    }
                    None => drop(entry.insert(key, item)),
                }
            }
        })?;
        self.content.profiles.insert(name.to_owned(), profile.clone());
        Ok(())
    }

    /// Makes the profile of that name the one of commands that name none.
    pub(crate) fn set_default(&mut self, name: &str) -> Result<(), Failure> {
        self.edit(|document| set(document, "default", name))?;
        self.content.default = Some(name.to_owned());
        Ok(())
    }

    /// Has later commands look for logins there.
    pub(crate) fn set_store(&mut self, store: StoreSetting) -> Result<(), Failure> {
        let word = store.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        self.edit(|document| set(document, "store", &word))?;
        self.content.store = Some(store);
        Ok(())
    }

    /// Removes the profile from the file.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Failure> {
        self.edit(|document| {
            if let Some(profiles) = document.get_mut("profiles").and_then(toml_edit::Item::as_table_like_mut)
            {
                profiles.remove(name);
            }
        })?;
        self.content.profiles.remove(name);
        Ok(())
    }

    /// Whether the file can be written, so that nobody signs in for nothing. Nothing is changed.
    pub(crate) fn check_writable(&self) -> Result<(), Failure> {
        Turn::wait_for(&self.path).and_then(|turn| turn.try_out()).map_err(|error| self.unwritable(&error))
    }

    /// Changes the file as it is now.
    fn edit(&self, change: impl FnOnce(&mut DocumentMut)) -> Result<(), Failure> {
        let turn = Turn::wait_for(&self.path).map_err(|error| self.unwritable(&error))?;
        let text = turn.read().map_err(|error| self.unwritable(&error))?;
        parse(&self.path, &text)?;
        let mut document: DocumentMut = text.parse().map_err(|_| {
            Failure::configuration(format!("{} is no TOML", self.path.display())).help("mend the file")
        })?;
        change(&mut document);
        let text = document.to_string();
        // Nothing is written that could not be read again.
        parse(&self.path, &text)?;
        turn.replace(&text).map_err(|error| self.unwritable(&error))
    }

    fn unwritable(&self, error: &io::Error) -> Failure {
        Failure::configuration(format!("{} cannot be written", self.path.display()))
            .because(error.to_string())
    }
}

/// What stands around an old value, such as a comment, stays.
fn set(document: &mut DocumentMut, key: &str, text: &str) {
    let mut value = toml_edit::Value::from(text);
    if let Some(old) = document.get(key).and_then(toml_edit::Item::as_value) {
        *value.decor_mut() = old.decor().clone();
    }
    match document.get_mut(key) {
        Some(item) => *item = value.into(),
        None => drop(document.insert(key, value.into())),
    }
}

/// `jeton/profiles.toml` in the user's folder for configuration.
fn default_path() -> Result<PathBuf, Failure> {
    let folder = configuration_folder().map_err(|error| {
        Failure::configuration("this user has no home folder")
            .because(error.to_string())
            .help("set HOME, or name the profiles file with --config or JETON_CONFIG")
    })?;
    Ok(folder.join("jeton").join("profiles.toml"))
}

#[cfg(windows)]
fn configuration_folder() -> Result<PathBuf, etcetera::HomeDirError> {
    Ok(etcetera::base_strategy::Windows::new()?.config_dir())
}

/// The folder for preferences is for what the system's own library writes.
#[cfg(target_vendor = "apple")]
fn configuration_folder() -> Result<PathBuf, etcetera::HomeDirError> {
    Ok(etcetera::base_strategy::Apple::new()?.data_dir())
}

#[cfg(not(any(windows, target_vendor = "apple")))]
fn configuration_folder() -> Result<PathBuf, etcetera::HomeDirError> {
    Ok(etcetera::base_strategy::Xdg::new()?.config_dir())
}

fn parse(path: &Path, text: &str) -> Result<Content, Failure> {
    let content: Content = toml::from_str(text).map_err(|error| profiles_error::of(path, text, &error))?;
    for name in content.profiles.keys() {
        check_name(name).map_err(|why| profiles_error::of_name(path, &why))?;
    }
    Ok(content)
}

/// The most letters of a profile's name.
const LONGEST_NAME: usize = 64;
/// What such a name is made of.
const NAMES: &str =
    "1 to 64 letters, digits, dots, hyphens, underscores and @, the first one a letter or digit";

/// Names are typed, and stand in commands.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    let is_short = (1..=LONGEST_NAME).contains(&name.len());
    match is_short && !name.starts_with(['-', '.']) && name.bytes().all(allowed) {
        true => Ok(()),
        false => {
            let shown = printable_start(name, LONGEST_NAME);
            Err(format!("{shown:?} cannot name a profile: take {NAMES}"))
        }
    }
}

#[cfg(test)]
#[path = "profiles_file_tests.rs"]
mod tests;
