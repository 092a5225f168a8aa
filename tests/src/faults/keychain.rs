//! A keychain of its own for a scenario. A process has one session for all its life, so that the lab starts itself again in a
//! session that it has made: a bus and a gnome-keyring daemon, in folders of their own.

use std::path::Path;

use super::scenario::Scenario;
use super::verdict::Row;

/// Runs the scenario in such a session. `program` is the lab; the error says why it cannot be.
#[cfg(target_os = "linux")]
pub(super) fn run(scenario: &Scenario, seed: u64, program: &Path) -> Result<Row, String> {
    use std::io::Read as _;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::driver::Timer;
    use super::secret_service::Session;

    for tool in ["dbus-daemon", "gnome-keyring-daemon"] {
        let tried = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if tried.is_err() {
            return Err(format!("no {tool}: install dbus and gnome-keyring"));
        }
    }
    let mut session = Session::unlocked();
    let mut command = Command::new(program);
    command.arg("--one").arg(serde_json::to_string(scenario).expect("JSON")).arg(seed.to_string());
    session.set_environment(&mut command);
    // What it complains about is seen at the terminal.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let begun = Instant::now();
    let mut lab = command.spawn().map_err(|error| error.to_string())?;
    let mut stdout = lab.stdout.take().expect("piped");
    let said = std::thread::spawn(move || {
        let mut said = String::new();
        stdout.read_to_string(&mut said).map(|_| said)
    });
    let mut restarts = Timer::new(scenario.random(seed).fork("restarts"), scenario.restart_keychain_every);
    let mut restarted = 0;
    let status = loop {
        if let Some(status) = lab.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        // When the time is over, the lab looks at what is stored.
        if begun.elapsed() < Duration::from_secs(scenario.seconds) && restarts.is_due() {
            session.kill_daemon();
            session.start_unlocked();
            restarted += 1;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let said = said.join().map_err(|_| "the lab could not be heard")?.map_err(|error| error.to_string())?;
    let mut row: Row = serde_json::from_str(&said).map_err(|_| format!("the lab ended with {status}"))?;
    row.disturbances += restarted;
    Ok(row)
}

/// Runs the scenario in such a session.
#[cfg(not(target_os = "linux"))]
pub(super) fn run(_: &Scenario, _: u64, _: &Path) -> Result<Row, String> {
    Err("a keychain of the lab's own is to be had on Linux only".to_owned())
}
