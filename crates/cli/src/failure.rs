//! `Failure`: what a command says when it does not work: what happened, why, what to do.

use std::fmt::Write as _;

use jeton::grants::{GrantError, Recovery};
use jeton::storage::StoreError;
use jeton::{Error, LoginRequired};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::printable::printable;
use crate::wrap::wrapped;

/// What went wrong, in three parts, each a sentence without a full stop. Holds no secret.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// A stable word for scripts, such as `login_required`.
    pub(crate) code: &'static str,
    /// What happened.
    pub(crate) what: String,
    /// Why, as the server, the system or the library put it.
    pub(crate) why: Option<String>,
    /// What to do.
    pub(crate) help: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: &'static str, what: impl Into<String>) -> Self {
        Self { exit, code, what: what.into(), why: None, help: None }
    }

    /// Wrong arguments.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", what)
    }

    /// A wrong profile or profiles file.
    pub(crate) fn configuration(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "configuration", what)
    }

    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Something of the operating system.
    pub(crate) fn io(what: impl Into<String>, error: &std::io::Error) -> Self {
        Self::new(Exit::Failure, "io", what).because(error.to_string())
    }

    /// An error of the library, met while `what` was tried for the profile of that name.
    pub(crate) fn of(error: &Error, what: impl Into<String>, profile: &str) -> Self {
        let what = what.into();
        let log_in = format!("jeton login {profile}");
        if let Error::LoginRequired(reason) = error {
            let (what, why) = match reason {
                LoginRequired::NeverLoggedIn => (format!("nobody is logged in to `{profile}`"), None),
                LoginRequired::LoggedOut => (format!("`{profile}` was logged out"), None),
                LoginRequired::Ended(reason) => {
                    (format!("the login of `{profile}` has ended"), Some(reason.clone()))
                }
                LoginRequired::NoRefreshToken => (
                    format!("the access token of `{profile}` has expired"),
                    Some("the server gave no refresh token to get another one with".to_owned()),
                ),
                other => {
                    (format!("`{profile}` needs a login"), Some(in_words_of_the_command(&other.to_string())))
                }
            };
            let failure = Self::new(Exit::LoginRequired, "login_required", what).help(log_in);
            return Self { why, ..failure };
        }
        if let Error::Store(error) = error
            && matches!(**error, StoreError::NoSpace { .. } | StoreError::Io { .. })
        {
            return Self::store(error, what);
        }
        let recovery = error.recovery();
        let text = error.to_string();
        // Some texts end with what to do, which has a line of its own here.
        let why = text.strip_suffix(&format!("; {recovery}")).unwrap_or(&text);
        let (exit, code) = match kind(error) {
            // As rustls says it. Trying again does not mend that.
            (_, "network") if why.contains("UnknownIssuer") => (Exit::Usage, "untrusted_certificate"),
            kind => kind,
        };
        let failure = Self::new(exit, code, what).because(in_words_of_the_command(why));
        match (code, recovery) {
            (_, Recovery::LogIn) => failure.help(log_in),
            (_, Recovery::Retry { after: Some(after) }) => {
                failure.help(format!("try again in {} s", after.as_secs_f64().ceil()))
            }
            ("untrusted_certificate", _) => failure.help(format!(
                "if the authority of that certificate is to be trusted: --certificate-authorities FILE (in PEM) of \
                 `jeton login`; `jeton doctor {profile}` looks into it"
            )),
            ("network", _) => failure.help(format!(
                "check the address and the network, then try again; `jeton doctor {profile}` looks into it"
            )),
            _ if why.len() < text.len() => failure.help(recovery.to_string()),
            _ => failure,
        }
    }

    /// An error of the store.
    pub(crate) fn store(error: &StoreError, what: impl Into<String>) -> Self {
        let text = in_words_of_the_command(&error.to_string());
        let failure = Self::new(Exit::Store, "store", what);
        // Some texts hold what to do, which has a line of its own here.
        match error {
            StoreError::NoSpace { path, .. } => failure
                .because(format!("there is no room at {}; what was stored is untouched", path.display()))
                .help("free some space and try again"),
            StoreError::Io { .. } => match text.rsplit_once("; mend that, or ") {
                Some((why, rest)) => failure.because(why).help(format!("mend that, or {rest}")),
                None => failure.because(text),
            },
            _ => failure.because(text),
        }
    }

    /// For a person: what, why, what to do, broken into lines of so many columns. A command that stands in its own line stays in one.
    pub(crate) fn to_text(&self, columns: usize) -> String {
        let parts =
            [("jeton: ", Some(&self.what)), ("  why: ", self.why.as_ref()), ("  do:  ", self.help.as_ref())];
        let mut text = String::new();
        for (label, part) in parts {
            if let Some(part) = part {
                // Names and texts of others may be in it, and lines of its own.
                for (index, line) in part.split('\n').map(printable).enumerate() {
                    let label = if index == 0 { label } else { "       " };
                    let _ = match index > 0 && line.starts_with("jeton ") {
                        true => writeln!(text, "  {line}"),
                        false => writeln!(text, "{label}{}", wrapped(&line, label.len(), columns)),
                    };
                }
            }
        }
        text
    }

    /// For a program.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "error": {
            "code": self.code,
            "exit": self.exit as u8,
            "what": self.what,
            "why": self.why,
            "do": self.help,
        }})
    }
}

/// The exit code of an error, and its stable word.
fn kind(error: &Error) -> (Exit, &'static str) {
    match error {
        Error::LoginRequired(_) => (Exit::LoginRequired, "login_required"),
        Error::Store(_) => (Exit::Store, "store"),
        Error::BackingOff { .. } | Error::FailedElsewhere(_) => (Exit::TryLater, "try_later"),
        Error::Configuration(_) => (Exit::Usage, "configuration"),
        Error::ForeignOrigin { .. } | Error::InvalidRequest(_) => (Exit::Usage, "usage"),
        Error::Cancelled => (Exit::Refused, "cancelled"),
        Error::Request(_) => (Exit::TryLater, "network"),
        Error::Grant(grant) => match &**grant {
            GrantError::Transport { .. } => (Exit::TryLater, "network"),
            GrantError::OAuth { .. } | GrantError::AuthorizationResponse(_) => match error.recovery() {
                Recovery::Retry { .. } => (Exit::TryLater, "try_later"),
                _ => (Exit::Refused, "refused"),
            },
            _ => match error.recovery() {
                Recovery::Retry { .. } => (Exit::TryLater, "try_later"),
                Recovery::LogIn => (Exit::Refused, "refused"),
                Recovery::FixConfiguration | Recovery::FixRequest => (Exit::Usage, "configuration"),
                _ => (Exit::Failure, "failed"),
            },
        },
        _ => (Exit::Failure, "failed"),
    }
}

/// The library's texts name its functions; here the commands that call them.
pub(crate) fn in_words_of_the_command(text: &str) -> String {
    const WORDS: [(&str, &str); 12] = [
        ("call `log_in`", "run `jeton login`"),
        (
            "bring them together with `StoreChoice::move_logins`",
            "bring them together with `jeton store move`",
        ),
        ("`StoreChoice::move_logins` moves them", "`jeton store move` moves them"),
        ("`StoreChoice::move_logins`", "`jeton store move`"),
        (
            "do not leave the keychain out, or move them with `transfer`",
            "run `jeton --store keychain store move`, or leave the setting `store` out",
        ),
        (
            "say `allow_unencrypted_file`, or move them with `transfer`",
            "take `--store file` for now, or move them with `jeton store move`",
        ),
        ("the program allows a file that is not encrypted", "a file that is not encrypted is allowed"),
        ("give their key or passphrase", "take `--store sealed`"),
        ("the program leaves the keychain out", "the setting `store` leaves the keychain out"),
        ("set it with `Profile::with`", "add --provider-value NAME=VALUE"),
        ("name it with `resource_server`", "name it in the profile's `apis`"),
        ("`allow_unencrypted_file`", "`--store file`"),
    ];
    WORDS.iter().fold(text.to_owned(), |text, (function, command)| text.replace(function, command))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn failed(error: &Error) -> Failure {
        Failure::of(error, "it did not work", "work")
    }

    #[test]
    fn what_to_do_stands_in_its_own_line_and_only_there() {
        let error =
            Error::BackingOff { after: Duration::from_millis(1_500), last: Box::new(Error::Cancelled) };
        let failure = failed(&error);
        assert_eq!((failure.exit, failure.code), (Exit::TryLater, "try_later"));
        assert_eq!(failure.help.as_deref(), Some("try again in 2 s"));

        let error = Error::from(GrantError::other("the coupon is not known"));
        let failure = failed(&error);
        assert_eq!(failure.why.as_deref(), Some("the coupon is not known"));
        assert!(failure.help.is_some(), "{failure:?}");
    }

    #[test]
    fn what_a_full_disk_asks_for_is_no_reason() {
        let source = || std::sync::Arc::new(std::io::Error::from(std::io::ErrorKind::StorageFull));
        let full = StoreError::NoSpace { path: "/logins".into(), source: source() };
        let io = StoreError::Io { operation: "sync", path: "/logins".into(), source: source() };
        for (error, why, help) in [
            (full, "there is no room at /logins; what was stored is untouched", "free some space"),
            (io, "could not sync /logins: ", "mend that, or keep logins in another place"),
        ] {
            for failure in [Failure::store(&error, "x"), failed(&error.clone().into())] {
                assert_eq!((failure.exit, failure.code), (Exit::Store, "store"));
                assert!(failure.why.as_deref().is_some_and(|said| said.starts_with(why)), "{failure:?}");
                assert!(failure.why.as_deref().is_some_and(|said| !said.contains("mend")), "{failure:?}");
                assert!(failure.help.is_some_and(|said| said.starts_with(help)), "{:?}", failure.why);
            }
        }
    }

    #[test]
    fn each_reason_for_a_login_names_the_command() {
        for reason in [
            LoginRequired::NeverLoggedIn,
            LoginRequired::LoggedOut,
            LoginRequired::Ended("invalid_grant".to_owned()),
            LoginRequired::NoRefreshToken,
        ] {
            let failure = failed(&Error::LoginRequired(reason));
            assert_eq!((failure.exit, failure.code), (Exit::LoginRequired, "login_required"));
            assert_eq!(failure.help.as_deref(), Some("jeton login work"));
            assert!(!failure.to_text(80).contains("log_in"), "{}", failure.to_text(80));
        }
    }

    #[test]
    fn json_has_the_same_as_the_text() {
        let failure = Failure::usage("a").because("b").help("c");
        assert_eq!(failure.to_text(80), "jeton: a\n  why: b\n  do:  c\n");
        let json = failure.to_json();
        assert_eq!(json, json!({"error": {"code": "usage", "exit": 2, "what": "a", "why": "b", "do": "c"}}));
    }

    #[test]
    fn a_command_in_its_own_line_can_be_copied() {
        let command = format!("jeton login x --scope 'a  b' --issuer https://{}", "a ".repeat(40));
        let text = Failure::usage("a").help(format!("to try again:\n{command}")).to_text(40);
        assert_eq!(text, format!("jeton: a\n  do:  to try again:\n  {command}\n"));
    }

    #[test]
    fn nothing_in_it_steers_the_terminal() {
        let text = Failure::usage("no profile `\u{1b}[31mX`").because("a\nb\u{9b}").to_text(80);
        assert_eq!(text, "jeton: no profile `\u{fffd}[31mX`\n  why: a\n       b\u{fffd}\n");
    }

    #[test]
    fn functions_of_the_library_become_commands() {
        let text = in_words_of_the_command("nobody has logged in yet; call `log_in`");
        assert_eq!(text, "nobody has logged in yet; run `jeton login`");
    }
}
