//! `jeton store`: where logins are kept and why; `jeton store move` brings them to a better place.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::time::Duration;

use jeton::storage::{
    KeyringStore, LoginKey, Moved, StoreDescription, StoreError, StoreKind, TokenStore, Transferred,
};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, in_words_of_the_command};
use crate::output::{BAD, STRONG};
use crate::printable::printable;
use crate::store::{OpenStore, PROGRAM, StoreSetting, choice, choice_of_all, word_of};
use crate::wrap::wrapped;

/// How long the keychain is waited for when it is only looked at.
const MOMENT: Duration = Duration::from_secs(5);

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  jeton store
  jeton store move
  jeton --store sealed store move --yes")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Move the logins to the best store that is there: the keychain, or the one that --store names.
    #[command(after_help = "\
Each login is copied, read back and compared before it is deleted where it was.
End other programs that use these logins first.

Examples:
  jeton store move
  jeton --store sealed store move --yes")]
    Move(MoveArgs),
}

#[derive(Debug, clap::Args)]
struct MoveArgs {
    /// Do not ask first.
    #[arg(long, short)]
    yes: bool,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    match &args.action {
        None => show(cx).await,
        Some(Action::Move(args)) => move_logins(args, cx).await,
    }
}

async fn show(cx: &Context) -> Result<Exit, Failure> {
    let profiles = cx.profiles()?;
    let store = cx.store(&profiles).await?;
    let content = Content::of(&*store.shared()).await;
    let better = better_store(store.kind()).await;
    let description = store.describe();
    cx.output.answer(to_text(&store, &description, &content, better, cx.output.columns()), || {
        json!({
            "store": store.to_json(),
            "logins": content.logins.len(),
            "registrations": content.registrations.len(),
            "unreadable": content.unreadable.len(),
            "better": better.map(word_of),
        })
    })?;
    for error in &content.unreadable {
        cx.output.warn(wrapped(&in_words_of_the_command(&error.to_string()), 9, cx.output.columns()));
    }
    Ok(if content.unreadable.is_empty() { Exit::Success } else { Exit::Store })
}

fn to_text(
    store: &OpenStore,
    description: &StoreDescription,
    content: &Content,
    better: Option<StoreKind>,
    columns: usize,
) -> String {
    let encrypted = match store.kind() {
        StoreKind::Keychain => "yes, by the keychain",
        StoreKind::Sealed => "yes, with a passphrase",
        _ => "no: whoever can read your files can read the tokens",
    };
    let mut text = format!("Logins are kept in {STRONG}{}{STRONG:#}.", store.kind());
    let mut row = |name: &str, value: &str| {
        let _ = write!(text, "\n  {name:<10} {}", wrapped(&printable(value), 13, columns));
    };
    row("where", &format!("{}, {}", description.backend, description.location));
    row("encrypted", encrypted);
    row("used by", &description.shared_with.to_string());
    row("why", &in_words_of_the_command(&description.why));
    row("holds", &content.to_string());
    if let Some(better) = better {
        row("better", &format!("{better}: run `jeton {}store move`", option_for(better)));
    } else if !description.encrypted {
        row("better", "files sealed with a passphrase: `jeton --store sealed store move`");
        row("", "a keychain, if you start one: `jeton doctor` says what it lacks");
    }
    text
}

/// A store that is better than this one and could be used now.
pub(crate) async fn better_store(than: StoreKind) -> Option<StoreKind> {
    match than != StoreKind::Keychain && keychain_is_there().await.is_ok() {
        true => Some(StoreKind::Keychain),
        false => None,
    }
}

/// Whether logins could be kept in the keychain. A locked one is there: it asks for its password when it is written to.
async fn keychain_is_there() -> Result<(), StoreError> {
    let keychain = KeyringStore::builder().service(PROGRAM).deadline(MOMENT).open()?;
    match keychain.check().await {
        Err(StoreError::Locked { .. }) => Ok(()),
        checked => checked,
    }
}

/// What `jeton store move` needs to hear to go there whatever the profiles file says.
pub(crate) fn option_for(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::Keychain => "--store keychain ",
        StoreKind::Sealed => "--store sealed ",
        _ => "",
    }
}

/// The same for the setting itself.
fn option_of(setting: StoreSetting) -> &'static str {
    match setting {
        StoreSetting::Keychain => option_for(StoreKind::Keychain),
        StoreSetting::Sealed => option_for(StoreKind::Sealed),
        StoreSetting::Auto | StoreSetting::File => "",
    }
}

async fn move_logins(args: &MoveArgs, cx: &Context) -> Result<Exit, Failure> {
    let mut profiles = cx.profiles()?;
    let setting = cx.store_setting(&profiles);
    let passphrase_file = profiles.passphrase_file();
    if setting == StoreSetting::File {
        return Err(Failure::usage("logins are not moved to a file that is not encrypted")
            .because("that is what --store or the setting `store` names, and there is no lesser store")
            .help("say where to: `jeton --store keychain store move`, or `--store sealed`"));
    }
    let keychain = keychain_is_there().await;
    if let (StoreSetting::Keychain, Err(error)) = (setting, &keychain) {
        return Err(
            Failure::store(error, "the logins cannot be moved to the keychain").help("see `jeton doctor`")
        );
    }
    // Without a keychain, sealed files would be the best store, and they are for who asks for them.
    let may_be_sealed = setting == StoreSetting::Sealed || keychain.is_ok();
    // Where they are now, as far as one place can be named; what is to be said if not, the move says.
    let before = match choice(StoreSetting::Auto, None)?.choose().await {
        Ok(store) => Some((store.kind(), Content::of(&store).await)),
        Err(_) => None,
    };
    // Before a passphrase is asked for.
    if !args.yes {
        ask(before.as_ref(), setting)?;
    }
    let all = choice_of_all(setting, passphrase_file.as_deref().filter(|_| may_be_sealed))?;
    let (chosen, transferred) = all
        .move_logins()
        .await
        .map_err(|error| Failure::store(&error, "the logins were not moved").help("see `jeton doctor`"))?;
    let text = moved_to_text(chosen.kind(), &transferred, cx.output.columns());
    let json = || {
        json!({
            "from": before.as_ref().map(|(kind, _)| word_of(*kind)),
            "to": word_of(chosen.kind()),
            "moved": transferred.moved.iter().map(|(key, how)| {
                let mut entry = key_to_json(key);
                entry["how"] = how_moved(how).into();
                entry
            }).collect::<Vec<_>>(),
            "failed": transferred.failed.iter().map(|(key, error)| json!({
                "login": key.as_ref().map(key_to_json),
                "why": in_words_of_the_command(&error.to_string()),
            })).collect::<Vec<_>>(),
        })
    };
    match transferred.is_complete() {
        true => cx.output.confirm(text, json)?,
        // What is left is told in any case.
        false => cx.output.answer(text, json)?,
    }
    let settled = setting == StoreSetting::Auto || profiles.store() == Some(setting);
    let is_free = matches!(profiles.store(), None | Some(StoreSetting::Auto));
    if !settled && !is_free {
        let warning = format!(
            "{} sets another `store`: change it there, or the next command looks in the old place",
            profiles.path().display()
        );
        // Behind the word that a warning begins with.
        cx.output.warn(wrapped(&warning, 9, cx.output.columns()));
    } else if !settled && chosen.kind() == StoreKind::Sealed && transferred.is_complete() {
        // Sealed files are for who asks for them: no later command would find the logins by itself.
        profiles.set_store(StoreSetting::Sealed)?;
        let note = format!("`store = \"sealed\"` is written to {}.", profiles.path().display());
        cx.output.note(wrapped(&note, 0, cx.output.columns()));
    }
    Ok(if transferred.is_complete() { Exit::Success } else { Exit::Store })
}

/// Asks the person, who has to be there.
fn ask(before: Option<&(StoreKind, Content)>, to: StoreSetting) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("nobody is here to say whether the logins are to be moved")
            .help(format!("jeton {}store move --yes", option_of(to))));
    }
    let mut stderr = anstream::stderr().lock();
    let question = match before {
        Some((kind, content)) => format!("Move {content} out of {kind}?"),
        None => "Move all logins to the best store that is there?".to_owned(),
    };
    let asked = io::Write::write_fmt(&mut stderr, format_args!("{question} [y/N] "))
        .and_then(|()| io::Write::flush(&mut stderr));
    let mut answer = String::new();
    asked
        .and_then(|()| io::stdin().lock().read_line(&mut answer))
        .map_err(|error| Failure::io("the answer could not be read", &error))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Refused, "cancelled", "nothing was moved")),
    }
}

fn moved_to_text(to: StoreKind, transferred: &Transferred, columns: usize) -> String {
    let count = transferred.moved.len();
    let mut text = match (count, transferred.failed.len()) {
        (0, 0) => format!("Nothing had to be moved: logins are kept in {STRONG}{to}{STRONG:#}."),
        (_, 0) => format!("{count} moved to {STRONG}{to}{STRONG:#}."),
        (_, left) => format!("{count} moved to {STRONG}{to}{STRONG:#}, {BAD}{left} left{BAD:#}."),
    };
    for (key, how) in &transferred.moved {
        let _ = write!(text, "\n  {}", wrapped(&format!("{key}: {how}"), 4, columns));
    }
    for (key, error) in &transferred.failed {
        let key = key.as_ref().map_or_else(|| "a login".to_owned(), ToString::to_string);
        let why = in_words_of_the_command(&error.to_string());
        let _ = write!(text, "\n  {}", wrapped(&format!("{key}: left, for {why}"), 4, columns));
    }
    text
}

/// What a store holds.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) logins: Vec<LoginKey>,
    pub(crate) registrations: Vec<LoginKey>,
    pub(crate) unreadable: Vec<StoreError>,
}

impl Content {
    pub(crate) async fn of(store: &dyn TokenStore) -> Self {
        let (mut keys, mut content) = (store.list(), Self::default());
        while let Some(key) = keys.next().await {
            match key {
                Ok(key) if key.is_registration() => content.registrations.push(key),
                Ok(key) => content.logins.push(key),
                Err(error) => content.unreadable.push(error),
            }
        }
        content
    }
}

impl std::fmt::Display for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", counted(self.logins.len(), "login"))?;
        if !self.registrations.is_empty() {
            write!(f, ", {}", counted(self.registrations.len(), "client secret or registration"))?;
        }
        if !self.unreadable.is_empty() {
            write!(f, ", {} that cannot be read", self.unreadable.len())?;
        }
        Ok(())
    }
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn how_moved(how: &Moved) -> &'static str {
    match how {
        Moved::Copied => "moved",
        Moved::WasThere => "was_there",
        Moved::ReplacedOlder { .. } => "replaced_older",
        Moved::GaveWayToNewer { .. } => "gave_way_to_newer",
        _ => "other",
    }
}

fn key_to_json(key: &LoginKey) -> Value {
    let client_id = (!key.is_registration()).then(|| key.client_id());
    json!({
        "issuer": key.issuer(),
        "client_id": client_id,
        "account": key.account(),
        "registration": key.is_registration(),
    })
}
