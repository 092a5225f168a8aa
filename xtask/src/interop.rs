//! `cargo xtask interop`: installs and starts a real authorization server, runs jeton's interop tests
//! against it, stops it, and prints which feature worked at which server. What the tests are given stands in
//! tests/interop/README.md.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::command::{Cmd, is_installed};
use crate::outcome::Stop;
use crate::project::Project;
use crate::steps::every_test;

const NODE: u32 = 20;
const START: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(5);

/// Every feature, by how the names of its tests begin, must have been tried.
const FEATURES: &[&str] = &[
    "discovery",
    "authorization_code",
    "device_code",
    "client_credentials",
    "refresh_token",
    "password",
    "revocation",
    "private_key_jwt",
    "client_secret_jwt",
    "mutual_tls",
    "par",
    "rar",
    "resource_indicators",
    "issuer_identification",
    "dpop",
    "registration",
    "ciba",
    "token_exchange",
    "jwt_bearer",
    "request_object",
    "jarm",
    "fapi",
    "openid",
    "logout",
    "introspection",
];

pub(crate) fn step(project: &Project) -> Result<(), Stop> {
    run(project, None)
}

/// Runs the tests, or those whose name contains `filter`.
pub(crate) fn run(project: &Project, filter: Option<&str>) -> Result<(), Stop> {
    let folder = project.root.join("tests/interop");
    check_node()?;
    install(&folder)?;
    let test = |last: &[&str]| every_test(project).args(["--test", "interop"]).args(last.iter().copied());
    // Compiled before the server starts, so that a mistake in the tests is told as such.
    test(&["--no-run"]).run()?;

    let scratch = project.scratch("interop")?;
    let server = Server::start(&folder, &scratch)?;
    println!("{} listens at {}", server.name, server.issuer);
    let cmd = test(&["--"]).args(filter).args(["--include-ignored", "--nocapture"]);
    let cmd = server.known_to(cmd);
    println!("$ {}", cmd.line());
    let (printed, succeeded) = echoed(&cmd)?;
    let results = TestResults::parse(&printed);
    println!("\n{}", table(&server.name, &results));
    drop(server);

    let untried: Vec<_> = FEATURES.iter().copied().filter(|feature| results.of(feature).is_none()).collect();
    if !succeeded {
        return Err(Stop::failed("a test failed; the whole: cargo xtask interop [FILTER]"));
    }
    if filter.is_none() && !untried.is_empty() {
        return Err(Stop::failed(format!("no test was run for: {}", untried.join(", "))));
    }
    if results.tests.is_empty() {
        return Err(Stop::failed("no test was run"));
    }
    Ok(())
}

pub(crate) fn check_node() -> Result<(), Stop> {
    let missing = || Stop::without("node", "Node 20 or newer with npm");
    if !is_installed("node", "--version") || !is_installed(npm(), "--version") {
        return Err(missing());
    }
    let version = Cmd::new("node", Path::new(".")).arg("--version").output()?;
    match node_major(&version) {
        Some(major) if major >= NODE => Ok(()),
        _ => Err(Stop::without(&format!("node {NODE}, only {}", version.trim()), "Node 20 or newer")),
    }
}

fn node_major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn npm() -> &'static str {
    if cfg!(windows) { "npm.cmd" } else { "npm" }
}

/// Installs what the lock file says, unless that is there already.
pub(crate) fn install(folder: &Path) -> Result<(), Stop> {
    let read = |path: PathBuf| std::fs::read_to_string(path).ok();
    let lock = read(folder.join("package-lock.json"));
    let stamp = folder.join("node_modules/.installed-from");
    if lock.is_some() && lock == read(stamp.clone()) {
        return Ok(());
    }
    Cmd::new(npm(), folder).args(["ci", "--no-audit", "--no-fund"]).run()?;
    std::fs::write(&stamp, lock.unwrap_or_default())
        .map_err(|error| Stop::failed(format!("cannot write {}: {error}", stamp.display())))
}

/// The running server. It ends when its standard input closes: when this is dropped, and, because the
/// system closes pipes, also when xtask is interrupted or killed.
pub(crate) struct Server {
    child: Child,
    name: String,
    issuer: String,
    config: PathBuf,
}

impl Server {
    /// Starts it and waits for the line that tells where it listens.
    pub(crate) fn start(folder: &Path, scratch: &Path) -> Result<Self, Stop> {
        let log = scratch.join("server.log");
        let cmd = Cmd::new("node", folder).arg("server.mjs");
        let failed = |why: String| cmd.failed(&format!("{why}; its log is {}", log.display()));
        let stderr = std::fs::File::create(&log).map_err(|error| failed(error.to_string()))?;
        println!("$ {} 2>{}", cmd.line(), log.display());
        let child = cmd.command().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).spawn();
        let child = child.map_err(|error| failed(error.to_string()))?;
        // From here on dropping it ends the process.
        let mut server =
            Self { child, name: String::new(), issuer: String::new(), config: scratch.join("config.json") };

        let line = server
            .first_line()
            .ok_or_else(|| failed("the server did not say where it listens".to_owned()))?;
        let said: Value =
            serde_json::from_str(&line).map_err(|_| failed(format!("the server said: {line}")))?;
        for (member, text) in [("issuer", &mut server.issuer), ("server", &mut server.name)] {
            let value = said[member].as_str().ok_or_else(|| failed(format!("its line has no `{member}`")))?;
            value.clone_into(text);
        }
        std::fs::write(&server.config, &line)
            .map_err(|error| Stop::failed(format!("cannot write {}: {error}", server.config.display())))?;
        Ok(server)
    }

    /// Tells a command where it is.
    pub(crate) fn known_to(&self, cmd: Cmd) -> Cmd {
        let cmd = cmd.env("JETON_INTEROP_ISSUER", &self.issuer);
        cmd.env("JETON_INTEROP_CONFIG", self.config.display().to_string())
    }

    fn first_line(&mut self) -> Option<String> {
        let stdout = self.child.stdout.take()?;
        let (sender, receiver) = mpsc::channel();
        // Ends with the server, whose output it reads to the end so that the pipe never fills up.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens for more than the first line.
                drop(sender.send(line));
            }
        });
        receiver.recv_timeout(START).ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let begun = Instant::now();
        while begun.elapsed() < END {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // It did not take the hint; there is nobody to tell if this fails.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs a command and shows its output while it comes; gives the output and whether it ended well.
fn echoed(cmd: &Cmd) -> Result<(String, bool), Stop> {
    let mut child = cmd
        .command()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| cmd.failed(&error.to_string()))?;
    let mut printed = String::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            println!("{line}");
            printed.push_str(&line);
            printed.push('\n');
        }
    }
    let status = child.wait().map_err(|error| cmd.failed(&error.to_string()))?;
    Ok((printed, status.success()))
}

/// Which tests ran, and which of them passed.
#[derive(Debug, Default)]
struct TestResults {
    tests: BTreeMap<String, bool>,
}

impl TestResults {
    /// Reads what libtest printed. With --nocapture a test's own output may come between its name and its
    /// result, so the failed ones are taken from the list at the end.
    fn parse(printed: &str) -> Self {
        let names = printed.lines().filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "));
        let mut tests: BTreeMap<_, _> = names.map(|(name, _)| (name.to_owned(), true)).collect();
        // The heading comes twice; before the list of names it stands above what the failed tests printed.
        let failed = printed.rsplit_once("\nfailures:\n").map_or("", |(_, names)| names);
        for name in failed.lines().take_while(|line| line.starts_with("    ")) {
            if let Some(passed) = tests.get_mut(name.trim()) {
                *passed = false;
            }
        }
        Self { tests }
    }

    /// How many tests of a feature passed, of how many; `None` when there was none.
    fn of(&self, feature: &str) -> Option<(usize, usize)> {
        let prefix = format!("{feature}_");
        let tests = self
            .tests
            .iter()
            .filter(|(name, _)| name.rsplit("::").next().is_some_and(|n| n.starts_with(&prefix)));
        let results: Vec<bool> = tests.map(|(_, passed)| *passed).collect();
        let passed = results.iter().filter(|passed| **passed).count();
        (!results.is_empty()).then_some((passed, results.len()))
    }
}

fn table(server: &str, results: &TestResults) -> String {
    let mut table = format!("{:22} {server}\n", "feature");
    for feature in FEATURES {
        let result = match results.of(feature) {
            None => "not tried".to_owned(),
            Some((passed, all)) if passed == all => format!("ok ({all})"),
            Some((passed, all)) => format!("FAILED ({} of {all})", all - passed),
        };
        table.push_str(&format!("{feature:22} {result}\n"));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
running 4 tests
test discovery_finds_the_endpoints ... ok
test device_code_is_verified ... waiting for the person
ok
test password_is_granted ... FAILED
test oidc::password_is_refused ... ok

failures:

---- password_is_granted stdout ----
    device_code_is_not_in_the_list

failures:
    password_is_granted

test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out
";

    #[test]
    fn results_are_counted_by_feature() {
        let results = TestResults::parse(PRINTED);
        assert_eq!(results.of("discovery"), Some((1, 1)));
        assert_eq!(results.of("device_code"), Some((1, 1)));
        assert_eq!(results.of("password"), Some((1, 2)));
        assert_eq!(results.of("refresh_token"), None);
        let table = table("a-server", &results);
        for line in [
            "device_code            ok (1)",
            "password               FAILED (1 of 2)",
            "refresh_token          not tried",
        ] {
            assert!(table.lines().any(|found| found == line), "{line} in\n{table}");
        }
    }

    #[test]
    fn node_versions() {
        assert_eq!(node_major("v22.3.0\n"), Some(22));
        assert_eq!(node_major("20"), None);
    }
}
