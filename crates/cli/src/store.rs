//! Where this command keeps logins: the keychain, else a file; the same as last time.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use jeton::storage::{FileStore, StoreChoice, StoreDescription, StoreError, StoreKind, TokenStore};
use jeton::{ChosenStore, Secret};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::{Failure, in_words_of_the_command};
use crate::hidden_input::ask_hidden;
use crate::interrupts::Uninterrupted;
use crate::output::Output;

/// The name under which the logins are kept: programs that choose their store for this name share them.
pub(crate) const PROGRAM: &str = "jeton";

/// Which store is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StoreSetting {
    /// The keychain, or a file where there is none.
    #[default]
    Auto,
    /// The operating system's keychain and nothing else.
    Keychain,
    /// A file that is not encrypted, readable by this user only.
    File,
    /// Files sealed with a passphrase.
    Sealed,
}

/// The store of this run.
#[derive(Clone, Debug)]
pub(crate) struct OpenStore(Arc<ChosenStore>);

impl OpenStore {
    /// Opens the store. The passphrase of sealed files is read from that file, or asked for.
    pub(crate) async fn open(setting: StoreSetting, passphrase_file: Option<&Path>) -> Result<Self, Failure> {
        let is_typed = setting == StoreSetting::Sealed && passphrase_file.is_none();
        let mut tries = if is_typed { PASSPHRASE_TRIES } else { 1 };
        loop {
            tries -= 1;
            match choice(setting, passphrase_file)?.choose().await {
                Ok(store) => return Ok(Self(Arc::new(store))),
                Err(StoreError::WrongSealingKey { .. }) if tries > 0 => {
                    Output::notice("That is not the passphrase.");
                }
                Err(error) => return Err(unavailable(&error)),
            }
        }
    }

    /// For clients: no signal comes between the spending of a refresh token and the saving of the next one.
    pub(crate) fn shared(&self) -> Arc<dyn TokenStore> {
        Arc::new(Uninterrupted(self.0.clone()))
    }

    pub(crate) fn kind(&self) -> StoreKind {
        self.0.kind()
    }

    pub(crate) fn describe(&self) -> StoreDescription {
        self.0.describe()
    }

    /// For programs; the same in each answer that tells of the store.
    pub(crate) fn to_json(&self) -> Value {
        let description = self.describe();
        json!({
            "kind": word_of(self.kind()),
            "location": description.location,
            "encrypted": description.encrypted,
            "persistent": description.persistent,
            "shared_with": description.shared_with.to_string(),
            "why": in_words_of_the_command(&description.why),
        })
    }
}

/// The word of a kind for programs: the setting that chooses it.
pub(crate) fn word_of(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::Keychain => "keychain",
        StoreKind::Sealed => "sealed",
        _ => "file",
    }
}

/// Why the logins are kept there, in short: how a keychain could be had is for `jeton store` and `jeton doctor`.
pub(crate) fn short_why(description: &StoreDescription) -> String {
    let why = in_words_of_the_command(&description.why);
    if let Some((_, since)) =
        why.split_once(" are there since ").filter(|_| why.starts_with("the logins of "))
    {
        let (day, rest) = since.split_once(' ').unwrap_or((since, ""));
        let better = rest.split_once("; ").map(|(_, better)| format!("; {better}")).unwrap_or_default();
        return format!("the first login was put there on {day}{better}");
    }
    match (why.find("there is no keychain ("), why.find("), and ")) {
        (Some(start), Some(end)) => {
            let start = start + "there is no keychain".len();
            if start < end { format!("{}{}", &why[..start], &why[end + 1..]) } else { why }
        }
        _ => why,
    }
}

/// What is chosen from for that setting.
pub(crate) fn choice(setting: StoreSetting, passphrase_file: Option<&Path>) -> Result<StoreChoice, Failure> {
    let choice = StoreChoice::for_program(PROGRAM);
    Ok(match setting {
        StoreSetting::Auto => choice.allow_unencrypted_file(),
        StoreSetting::Keychain => choice,
        StoreSetting::File => choice.without_keychain().allow_unencrypted_file(),
        StoreSetting::Sealed => {
            choice.without_keychain().or_sealed_with_passphrase(passphrase(passphrase_file)?)
        }
    })
}

/// The same, with every lesser store as one that logins may come from.
pub(crate) fn choice_of_all(
    setting: StoreSetting,
    passphrase_file: Option<&Path>,
) -> Result<StoreChoice, Failure> {
    let choice = choice(setting, passphrase_file)?.allow_unencrypted_file();
    match (setting, passphrase_file) {
        // Logins in sealed files come along if their passphrase can be had without a question.
        (StoreSetting::Auto | StoreSetting::Keychain, Some(file)) => {
            Ok(choice.or_sealed_with_passphrase(passphrase(Some(file))?))
        }
        _ => Ok(choice),
    }
}

fn unavailable(error: &StoreError) -> Failure {
    if let StoreError::WrongSealingKey { place, .. } = error {
        let folder = Path::new(place).parent().unwrap_or(Path::new(place));
        return Failure::new(Exit::Store, "store", "the passphrase of the store is wrong")
            .because(format!("the logins in {} are sealed with another one", folder.display()))
            .help("try again; if it is forgotten, these logins are lost: move that folder away, and sign in anew");
    }
    let failure = Failure::store(error, "the logins cannot be reached");
    let why = failure.why.clone().unwrap_or_default();
    // What to do has a line of its own, and nobody is led to delete logins.
    let elsewhere = why.strip_suffix(" to begin anew").and_then(|why| why.rsplit_once("; or remove "));
    if let Some((place, help)) = elsewhere.and_then(|(why, _)| why.rsplit_once(": ")) {
        let help = match help {
            "take `--store sealed`" => {
                "take `--store sealed`, or write `store = \"sealed\"` at the top of the profiles file"
            }
            help => help,
        };
        return failure.because(place).help(help);
    }
    match error {
        StoreError::Locked { .. } => failure.help("unlock the keychain and try again, or see `jeton doctor`"),
        _ => failure.help("see `jeton doctor`"),
    }
}

/// The longest passphrase, in bytes.
const LONGEST_PASSPHRASE: u64 = 64 << 10;
/// How often a wrong one may be typed.
const PASSPHRASE_TRIES: u32 = 3;

fn passphrase(file: Option<&Path>) -> Result<Secret, Failure> {
    let (passphrase, place) = if let Some(path) = file {
        (in_file(path)?, format!("nothing is in {}", path.display()))
    } else if std::io::stdin().is_terminal() {
        (typed()?, "nothing was typed".to_owned())
    } else {
        return Err(Failure::usage("the store is sealed with a passphrase, and nobody is here to type it")
            .help("set JETON_PASSPHRASE_FILE, or `passphrase_file` in the profiles file, to a file that holds it"));
    };
    // A secret that was not mounted must not become the key.
    match passphrase.is_empty() {
        true => Err(Failure::usage("the passphrase of the store is empty").because(place)),
        false => Ok(passphrase),
    }
}

fn in_file(path: &Path) -> Result<Secret, Failure> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST_PASSPHRASE).read_to_string(&mut text))
        .map_err(|error| {
            Failure::configuration(format!("the passphrase file {} cannot be read", path.display()))
                .because(error.to_string())
                .help("write the passphrase there, or name its file in JETON_PASSPHRASE_FILE or as `passphrase_file`")
        })?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

/// Twice where it is made up now: a slip would lock the logins up for ever.
fn typed() -> Result<Secret, Failure> {
    let ask = |question| {
        ask_hidden(question)
            .map_err(|error| Failure::io("the passphrase of the store could not be read", &error))
    };
    if is_sealed_already() {
        return ask("Passphrase of the store: ");
    }
    let passphrase = ask("New passphrase for sealed files: ")?;
    if passphrase.is_empty() || ask("Once more: ")?.expose() == passphrase.expose() {
        return Ok(passphrase);
    }
    Err(Failure::usage("the two passphrases are not the same")
        .because("a new one is asked for twice, as nothing opens the logins without it"))
}

/// Whether there are sealed files, with the passphrase that they have.
fn is_sealed_already() -> bool {
    // Where that cannot be known, opening the store says why.
    state_folder()
        .is_ok_and(|state| state.join("programs").join(PROGRAM).join("sealed").join("sealing.json").exists())
}

/// `jeton` in the user's folder for state.
pub(crate) fn state_folder() -> Result<PathBuf, StoreError> {
    let logins = FileStore::at_default_place()?;
    Ok(logins.path().parent().unwrap_or(logins.path()).to_owned())
}
