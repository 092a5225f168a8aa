//! Why a login did not work, and what to do about it.

use jeton::Error;
use jeton::grants::{GrantError, InteractionError, ProtectedResourceError};

use super::again::again;
use super::person::NO_BROWSER;
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
    let doctor = doctor(name, profile, is_saved);
    let failure = without_the_profile(Failure::of(error, what, name), name, &doctor);
    let Error::Grant(grant) = error else { return failure };
    if let Some(failure) = nobody_answered(grant, name) {
        return failure;
    }
    if grant.is_invalid_client() {
        let with_secret = profile.authentication.is_some_and(Authentication::has_secret);
        return failure.help(match (profile.registration.is_some(), with_secret) {
            (true, _) => format!("the server has forgotten its client: jeton login {name} --url URL"),
            (_, true) => again("check --client-id and the secret, then", &["--client-secret-stdin"]),
            (_, false) => {
                "check --client-id; if the client has a secret, add --client-secret-stdin".to_owned()
            }
        });
    }
    if let Some(response) = grant.error_response() {
        let said = printable(&response.error);
        return match (said.as_str(), way) {
            ("access_denied", _) => failure.help(again(TO_TRY_AGAIN, &[])),
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
        GrantError::Interaction(InteractionError::Failed { what }) if what.starts_with(NO_BROWSER) => {
            without_browser(failure).help(
                "have BROWSER name a command that opens a URL; or add --login-method device, or paste, which need none here",
            )
        }
        GrantError::Interaction(InteractionError::Failed { what }) if what.contains("port ") => failure.help(
            "end the other program, or take another --redirect-port that is registered for this client",
        ),
        _ => failure,
    }
}

const TO_TRY_AGAIN: &str = "to try again";

/// Until a login has worked nothing is saved, so that no command would know the profile.
fn without_the_profile(mut failure: Failure, name: &str, doctor: &str) -> Failure {
    failure.help = failure.help.map(|help| match help == format!("jeton login {name}") {
        true => again(TO_TRY_AGAIN, &[]),
        false => help.replace(&format!("`jeton doctor {name}`"), doctor),
    });
    failure
}

/// A browser that was wanted and cannot be had.
fn without_browser(failure: Failure) -> Failure {
    Failure { exit: Exit::Usage, code: "no_browser", ..failure }
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
    let what = format!("nobody is signed in for {}", printable(url));
    let failure = without_the_profile(Failure::of(error, what, name), name, "`jeton doctor`");
    let Error::Grant(grant) = error else { return failure };
    if let Some(failure) = nobody_answered(grant, name) {
        return failure;
    }
    let reason = match &**grant {
        GrantError::ProtectedResource(reason) => reason,
        GrantError::Interaction(InteractionError::Failed { what }) if what.starts_with(NO_BROWSER) => {
            return without_browser(failure).help(
                "have BROWSER name a command that opens a URL; or add --login-method paste, which needs none here",
            );
        }
        other => {
            return match other.error_response().is_some_and(|response| response.error == "access_denied") {
                true => failure.help(again(TO_TRY_AGAIN, &[])),
                false => failure,
            };
        }
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
                .help(again("if you do trust it", &["--trust", &issuer]))
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

/// A new profile whose client is not said.
pub(super) fn without_client_id(name: &str) -> Failure {
    Failure::configuration(format!("the profile `{name}` has no `client_id`"))
        .because("nobody has said which client this is at the server")
        .help(again("register one there, then", &["--client-id", "ID"]))
}

/// The person was away for too long.
fn nobody_answered(error: &GrantError, name: &str) -> Option<Failure> {
    let why = match error {
        GrantError::Interaction(InteractionError::TimedOut { .. }) => "nobody finished the login in time",
        GrantError::DeviceCodeExpired => "nobody entered the code in time",
        _ => return None,
    };
    let failure = Failure::new(Exit::TryLater, "timed_out", format!("nobody is signed in to `{name}`"));
    Some(failure.because(why).help(again(TO_TRY_AGAIN, &[])))
}
