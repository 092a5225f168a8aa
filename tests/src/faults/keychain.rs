//! A keychain of its own for a scenario. A process has one session for all its life, so that the lab starts itself again in a
//! session that it has made: a bus and a gnome-keyring daemon, in folders of their own.

use std::path::Path;

use super::scenario::Scenario;
use super::verdict::Row;

/// Runs the scenario in such a session. `program` is the lab; the error says why it cannot be.
#[cfg(target_os = "linux")]
pub(super) fn run(scenario: &Scenario, seed: u64, program: &Path) -> Result<Row, String> {
    use std::process::{Command, Stdio};

    use super::secret_service::Session;

    for tool in ["dbus-daemon", "gnome-keyring-daemon"] {
        let tried = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if tried.is_err() {
            return Err(format!("no {tool}: install dbus and gnome-keyring"));
        }
    }
    let session = Session::unlocked();
    let mut command = Command::new(program);
    command.arg("--one").arg(serde_json::to_string(scenario).expect("JSON")).arg(seed.to_string());
    session.set_environment(&mut command);
    // What it complains about is seen at the terminal.
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| error.to_string())?;
    serde_json::from_slice(&output.stdout).map_err(|_| format!("the lab ended with {}", output.status))
}

/// Runs the scenario in such a session.
#[cfg(not(target_os = "linux"))]
pub(super) fn run(_: &Scenario, _: u64, _: &Path) -> Result<Row, String> {
    Err("a keychain of the lab's own is to be had on Linux only".to_owned())
}
