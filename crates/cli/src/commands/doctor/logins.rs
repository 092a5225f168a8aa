//! Where logins are kept, whether a better place is there, and how the login of a profile is.

use std::time::SystemTime;

use jeton::Client;
use jeton::storage::{LoginKey, LoginStatus, StoreKind, unix_ms};

use super::report::{Group, Report};
use crate::client::{client_of, issuer_of};
use crate::commands::store::{Content, better_store, option_for};
use crate::context::Context;
use crate::credentials::SecretPlace;
use crate::failure::in_words_of_the_command;
use crate::profile::Profile;
use crate::profiles_file::ProfilesFile;
use crate::store::OpenStore;

/// Opens the store that the commands use.
pub(super) async fn look(
    report: &mut Report,
    cx: &Context,
    file: Option<&ProfilesFile>,
) -> Option<OpenStore> {
    let group = report.group("store");
    let Some(file) = file else {
        group.note("chosen", "not looked at: the profiles file, which may name it, cannot be read");
        return None;
    };
    let store = match cx.store(file).await {
        Ok(store) => store,
        Err(failure) => {
            let why = failure.why.map(|why| format!(": {why}")).unwrap_or_default();
            // That it says to run this command helps nobody here.
            let help = failure.help.filter(|help| !help.contains("jeton doctor"));
            let help = help.unwrap_or_else(|| "see above, or what it says".to_owned());
            group.mend("chosen", format!("{}{why}", failure.what), help);
            return None;
        }
    };
    let description = store.describe();
    let why = in_words_of_the_command(&briefly(&description.why));
    group.ok("chosen", format!("{}: {}, because {why}", store.kind(), description.location));
    if let Some(better) = better_store(store.kind()).await {
        let command = format!("jeton {}store move", option_for(better));
        group.note_with("better", format!("{better} is there, too"), command);
    } else if store.kind() == StoreKind::UnencryptedFile {
        group.note_with(
            "encrypted",
            "no: whoever can read your files, a backup too, can read the tokens",
            "start a keychain, or `jeton --store sealed store move` (a passphrase)",
        );
    }
    let content = Content::of(&*store.shared()).await;
    group.ok("holds", content.to_string());
    for error in &content.unreadable {
        group.mend("unreadable", in_words_of_the_command(&error.to_string()), "log in to that profile again");
    }
    Some(store)
}

/// Without what the keychain lacks, which was said above.
fn briefly(why: &str) -> String {
    const NONE: &str = "there is no keychain";
    match (why.find(NONE), why.rfind("), and ")) {
        (Some(start), Some(end)) if start + NONE.len() < end => {
            format!("{}{}", &why[..start + NONE.len()], &why[end + 1..])
        }
        _ => why.to_owned(),
    }
}

/// The login of one profile.
pub(super) async fn look_at(report: &mut Report, store: &OpenStore, name: &str, profile: &Profile) {
    let group = report.group("login");
    let (Ok(issuer), Some(client_id)) = (issuer_of(name, profile), &profile.client_id) else { return };
    let client = match client_of(name, profile, &store.shared()).map(jeton::ClientBuilder::build) {
        Ok(Ok(client)) => Some(client),
        Ok(Err(error)) => {
            group.mend(name, format!("the profile cannot work: {error}"), "change it in the profiles file");
            None
        }
        Err(failure) => {
            let why = failure.why.map(|why| format!(": {why}")).unwrap_or_default();
            let help = failure.help.unwrap_or_else(|| "change the profile".to_owned());
            group.mend(name, format!("{}{why}", failure.what), help);
            None
        }
    };
    secret(group, store, name, profile, &issuer).await;
    let key = LoginKey::new(&issuer, client_id).with_account(profile.account(name));
    let record = match store.shared().load(&key).await {
        Ok(Some(record)) => record,
        Ok(None) => return group.note_with(name, "nobody has logged in yet", format!("jeton login {name}")),
        Err(error) => {
            let help = format!("jeton login {name}");
            return group.mend(name, in_words_of_the_command(&error.to_string()), help);
        }
    };
    match &record.status {
        LoginStatus::Live => {
            let with = if record.refresh_token.is_some() { "with" } else { "without" };
            group.ok(name, format!("logged in, {with} a refresh token"));
        }
        LoginStatus::Ended { reason, .. } => {
            group.mend(name, format!("the login has ended: {reason}"), format!("jeton login {name}"));
        }
        _ => group.mend(
            name,
            "the login is in a state that this version does not know",
            "update jeton, or log in again",
        ),
    }
    if let Some(hold) = &record.refresh_hold
        && let Some(left) = hold.remaining(unix_ms(SystemTime::now()))
    {
        let found =
            format!("nothing is asked of the server for another {} s: {}", left.as_secs(), hold.reason);
        group.note_with(name, found, format!("`jeton refresh {name}` asks all the same"));
    }
    let warnings = record.tokens.iter().flat_map(|token| &token.warnings);
    for warning in warnings {
        odd_answer(group, client.as_ref(), warning);
    }
}

/// The server's answers were not what the RFC says.
fn odd_answer(group: &mut Group, client: Option<&Client>, warning: &jeton::Warning) {
    let found = format!("the server's answer was odd: {warning}");
    let known = client.map(|client| client.profiles_expecting(warning)).unwrap_or_default();
    match known[..] {
        [] => group.note("answers", found),
        _ => group.note_with(
            "answers",
            found,
            format!("set `provider` to {} in the profile", known.join(" or ")),
        ),
    }
}

async fn secret(
    group: &mut Group,
    store: &OpenStore,
    name: &str,
    profile: &Profile,
    issuer: &jeton::models::Issuer,
) {
    if !profile.authentication.is_some_and(|authentication| authentication.has_secret()) {
        return;
    }
    let stored = match SecretPlace::new(name, issuer.clone(), store.shared()) {
        Ok(place) => place.secret().await,
        Err(error) => Err(error),
    };
    match stored {
        Ok(Some(_)) => group.ok("client secret", "it is in the store"),
        Ok(None) if super::environment::variable(crate::credentials::SECRET_VARIABLE).is_some() => {
            group.ok("client secret", "it comes from the environment");
        }
        Ok(None) => group.mend(
            "client secret",
            "the profile has one, and it is not in the store",
            format!("jeton login {name} --client-secret-stdin"),
        ),
        Err(error) => group.mend(
            "client secret",
            format!("it cannot be read: {}", in_words_of_the_command(&error.to_string())),
            "see what is said of the store",
        ),
    }
}
