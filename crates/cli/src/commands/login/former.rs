//! The login that a profile meant before it was changed: no command would find it any more.

use jeton::storage::LoginKey;

use crate::client::issuer_of;
use crate::context::{Connection, Context};
use crate::failure::Failure;
use crate::printable::printable;
use crate::profile::Profile;
use crate::profiles_file::ProfilesFile;

/// Logs the former login out, if the profile meant another one before. One that somebody else may use stays, and is told.
pub(super) async fn end(before: Profile, now: &Connection, profiles: &ProfilesFile, cx: &Context) {
    // A profile that could not work had no login.
    let Ok(former) = Connection::new(now.name.clone(), before, now.store.clone(), |builder| builder) else {
        return;
    };
    let key = former.session.key();
    if key == now.session.key() || !matches!(now.store.shared().load(key).await, Ok(Some(_))) {
        return;
    }
    let (client_id, issuer) = (printable(key.client_id()), printable(key.issuer()));
    let what = format!("The former login of `{}` (client {client_id} at {issuer})", now.name);
    // Programs share a login by its label.
    let is_shared =
        former.profile.account.is_some() || profiles.iter().any(|(name, other)| means(name, other, key));
    if is_shared {
        return cx.output.note(format_args!("\n{what} is kept: others may use it."));
    }
    match former.session.log_out().await {
        Ok(_) => cx.output.note(format_args!("\n{what} was logged out.")),
        Err(error) => {
            let failure = Failure::of(&error, "", &now.name);
            cx.output
                .warn(format_args!("{what} could not be logged out: {}", failure.why.unwrap_or_default()));
        }
    }
}

fn means(name: &str, profile: &Profile, key: &LoginKey) -> bool {
    let (Ok(issuer), Some(client_id)) = (issuer_of(name, profile), &profile.client_id) else { return false };
    LoginKey::new(&issuer, client_id).with_account(profile.account(name)) == *key
}
