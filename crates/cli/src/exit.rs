//! Exit codes: documented in `jeton --help`, and the same in every version.

use std::process::ExitCode;

/// How the command ended. The numbers never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well.
    Success = 0,
    /// Something else went wrong.
    Failure = 1,
    /// Wrong arguments, or a wrong configuration.
    Usage = 2,
    /// Somebody has to log in.
    LoginRequired = 3,
    /// The server, or the person, said no.
    Refused = 4,
    /// It may work later: the network, a server that is down, a limit.
    TryLater = 5,
    /// The store of logins: locked, no permission, damaged, full.
    Store = 6,
    /// The API answered 4xx or 5xx, or with a redirect that was not followed (`jeton request`).
    HttpStatus = 7,
    /// `jeton doctor` found something to mend.
    Findings = 8,
    /// `jeton run`: the command is there and cannot be executed, as shells count.
    CommandNotExecutable = 126,
    /// `jeton run`: there is no such command, as shells count.
    CommandNotFound = 127,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The table of `jeton --help`.
pub(crate) const TABLE: &str = "\
Exit codes:
  0  it worked
  1  something else went wrong
  2  wrong arguments or configuration
  3  a login is needed: run `jeton login NAME`
  4  the server, or the person, said no
  5  it may work later (network, server down, too many requests)
  6  the store of logins: locked, damaged, full, no permission
  7  the API answered 4xx, 5xx, or sent the request elsewhere (`jeton request`)
  8  `jeton doctor` found something to mend
`jeton run` ends as its command does; 126: it cannot be executed, 127: not found";
