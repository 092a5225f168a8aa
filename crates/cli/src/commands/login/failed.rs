//! Why a login did not work, and what to do about it.

use jeton::Error;
use jeton::grants::{GrantError, InteractionError, ProtectedResourceError};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::printable::printable;
use crate::profile::{Authentication, LoginMethod, Profile};

/// A login of the profile of that name, which may have got as far as to choose its way.
pub(super) fn log_in(
    error: &Error,
    name: &str,
    profile: &Profile,
    way: Option<LoginMethod>,
    is_saved: bool,
) -> Failure {
    let what = format!("nobody is signed in to `{name}`");
    let mut failure = Failure::of(error, what, name);
    let doctor = doctor(name, profile, is_saved);
    failure.help = failure.help.map(|help| help.replace(&format!("`jeton doctor {name}`"), &doctor));
    let Error::Grant(grant) = error else { return failure };
    if let Some(failure) = nobody_answered(grant, name) {
        return failure;
    }
    if grant.is_invalid_client() {
        let with_secret = profile.authentication.is_some_and(Authentication::has_secret);
        return failure.help(match (profile.registration.is_some(), with_secret) {
            (true, _) => format!("the server has forgotten its client: jeton login {name} --url URL"),
            (_, true) => {
                format!("check --client-id and the secret: jeton login {name} --client-secret-stdin")
            }
            (_, false) => {
                "check --client-id; if the client has a secret, add --client-secret-stdin".to_owned()
            }
        });
    }
    if let Some(response) = grant.error_response() {
        let said = printable(&response.error);
        return match (said.as_str(), way) {
            ("access_denied", _) => failure.help(format!("to try again: jeton login {name}")),
            ("unauthorized_client", Some(LoginMethod::Device)) => failure
                .help("the client may not use codes for other devices: --login-method browser or paste"),
            ("invalid_scope", _) => failure.help("ask for another --scope"),
            ("invalid_target", _) => failure.help("name another --resource"),
            _ => failure,
        };
    }
    match &**grant {
        // The text says which endpoint is missing.
        GrantError::Metadata(_) if way == Some(LoginMethod::Device) => {
            failure.help("the server may give no codes for other devices: --login-method browser or paste")
        }
        GrantError::Metadata(_) | GrantError::Unusable { .. } => {
            failure.help(format!("check --issuer; {doctor} looks at what the server says of itself"))
        }
        GrantError::Interaction(InteractionError::Failed { what }) if what.contains("port ") => failure.help(
            "end the other program, or take another --redirect-port that is registered for this client",
        ),
        _ => failure,
    }
}

/// The command that looks into it: by the server, where a name would not be known or is not what was tried.
fn doctor(name: &str, profile: &Profile, is_saved: bool) -> String {
    match &profile.issuer {
        Some(issuer) => format!("`jeton doctor --issuer {}`", printable(issuer)),
        None if is_saved => format!("`jeton doctor {name}`"),
        None => "`jeton doctor`".to_owned(),
    }
}

/// A login for a resource of which only the URL was known.
pub(super) fn log_in_for(error: &Error, url: &str, name: &str, somebody_was_asked: bool) -> Failure {
    let failure = Failure::of(error, format!("nobody is signed in for {}", printable(url)), name);
    let Error::Grant(grant) = error else { return failure };
    if let Some(failure) = nobody_answered(grant, name) {
        return failure;
    }
    let GrantError::ProtectedResource(reason) = &**grant else {
        return match grant.error_response().is_some_and(|response| response.error == "access_denied") {
            true => failure.help(format!("to try again: jeton login --url {}", printable(url))),
            false => failure,
        };
    };
    match reason {
        ProtectedResourceError::ServerNotApproved { issuer, .. } => {
            let issuer = printable(issuer);
            let exit = if somebody_was_asked { Exit::Refused } else { Exit::Usage };
            let why = match somebody_was_asked {
                true => format!("you do not trust {issuer}, at which it wants you to sign in"),
                false => format!(
                    "it wants you to sign in at {issuer}, and nobody is here to say whether you trust that server"
                ),
            };
            Failure { exit, code: "server_not_approved", ..failure }
                .because(why)
                .help(format!("if you do trust it: --trust {issuer}"))
        }
        ProtectedResourceError::NoRegistration { issuer } => Failure {
            exit: Exit::Usage,
            code: "no_registration",
            ..failure
        }
        .because(format!("{} registers no clients by itself", printable(issuer)))
        .help(format!(
            "register one there by hand, then: jeton login {name} --issuer {} --client-id ID --resource {}",
            printable(issuer),
            printable(url)
        )),
        ProtectedResourceError::NotProtected { status, .. } => {
            Failure { exit: Exit::Usage, code: "not_protected", ..failure }
                .because(format!(
                    "it answers HTTP {status} without a token, and does not say where to sign in (RFC 9728)"
                ))
                .help("check the URL; if you know the server: jeton login NAME --issuer URL --client-id ID")
        }
        ProtectedResourceError::Metadata(_) | ProtectedResourceError::NoAuthorizationServer { .. } => {
            failure.help("if you know the server: jeton login NAME --issuer URL --client-id ID")
        }
        _ => failure,
    }
}

/// The person was away for too long.
fn nobody_answered(error: &GrantError, name: &str) -> Option<Failure> {
    let why = match error {
        GrantError::Interaction(InteractionError::TimedOut { .. }) => "nobody finished the login in time",
        GrantError::DeviceCodeExpired => "nobody entered the code in time",
        _ => return None,
    };
    let failure = Failure::new(Exit::TryLater, "timed_out", format!("nobody is signed in to `{name}`"));
    Some(failure.because(why).help(format!("to try again: jeton login {name}")))
}
