//! How long whole commands take that print a stored token: from the start of the process to its end, as a script that calls
//! them has it. They take turns within each round, so that whatever disturbs the machine disturbs all of them alike.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::keychain::{ADDRESS_VARIABLE, Keychain};
use crate::report::{Column, Row, Table};
use crate::server::{Server, access_token};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What everything else is compared with: a process that does nothing.
const NOTHING: &str = "/bin/true";
const FILE_STORE: &str = "jeton token, file store";
const SECRET_TOOL: [&str; 2] = ["service", "jeton-bench"];
const GIT_ASKS: &[u8] = b"protocol=https\nhost=api.example\n\n";

/// A command that is timed.
pub struct Case {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    stdin: &'static [u8],
    /// What it has to print; of a command that prints no token, nothing is asked.
    expected: Option<String>,
    /// What a file has to hold before each run.
    before: Option<(PathBuf, Vec<u8>)>,
}

/// One that is not to be had on this machine, and why.
pub struct Missing {
    name: &'static str,
    why: String,
}

/// Where things are.
pub struct Places<'a> {
    /// The command `jeton`.
    pub jeton: &'a Path,
    /// A folder to write in.
    pub folder: &'a Path,
}

/// All that can be timed here, each with its token stored.
pub fn cases(
    places: &Places<'_>,
    server: &Server,
    keychain: Option<&Keychain>,
) -> Result<(Vec<Case>, Vec<Missing>)> {
    let (mut cases, mut missing) = (Vec::new(), Vec::new());
    cases.push(case(NOTHING, NOTHING, &[]));
    cases.push(case("jeton --version", places.jeton, &["--version"]));
    cases.push(stored(FILE_STORE, "file", places, server, &[])?);
    let passphrase = places.folder.join("passphrase");
    std::fs::write(&passphrase, "correct horse battery staple")?;
    let passphrase = [("JETON_PASSPHRASE_FILE", passphrase.display().to_string())];
    cases.push(stored("jeton token, sealed store", "sealed", places, server, &passphrase)?);
    let mut expired = stored("jeton token, file store, expired", "file", places, server, &[])?;
    expired.before = Some(expired_record(&expired)?);
    cases.push(expired);
    match keychain {
        None => missing.push(Missing { name: "jeton token, keychain", why: NO_KEYCHAIN.to_owned() }),
        Some(keychain) => {
            let address = [(ADDRESS_VARIABLE, keychain.address().to_owned())];
            cases.push(stored("jeton token, keychain", "keychain", places, server, &address)?);
            match secret_tool(keychain) {
                Ok(case) => cases.push(case),
                Err(error) => {
                    missing.push(Missing { name: "secret-tool lookup, keychain", why: error.to_string() })
                }
            }
        }
    }
    match github(places.folder) {
        Ok(case) => cases.push(case),
        Err(error) => missing.push(Missing { name: "gh auth token", why: error.to_string() }),
    }
    match git(places.folder) {
        Ok(case) => cases.push(case),
        Err(error) => missing.push(Missing { name: "git credential-store get", why: error.to_string() }),
    }
    Ok((cases, missing))
}

const NO_KEYCHAIN: &str = "dbus-daemon or gnome-keyring-daemon is not installed";

fn case(name: &'static str, program: impl Into<PathBuf>, arguments: &[&str]) -> Case {
    Case {
        name,
        program: program.into(),
        arguments: arguments.iter().map(ToString::to_string).collect(),
        environment: Vec::new(),
        stdin: b"",
        expected: None,
        before: None,
    }
}

/// `jeton token` with a home of its own, in whose store a token is.
fn stored(
    name: &'static str,
    store: &str,
    places: &Places<'_>,
    server: &Server,
    environment: &[(&'static str, String)],
) -> Result<Case> {
    let home = places.folder.join(name.replace([' ', ','], "-"));
    let config = home.join("config/jeton");
    std::fs::create_dir_all(&config)?;
    std::fs::write(
        config.join("profiles.toml"),
        format!(
            "store = \"{store}\"\n\n[profiles.work]\ntoken_endpoint = \"{}\"\nclient_id = \"bench-client\"\n\
             scope = \"read write\"\nlogin = \"client-credentials\"\n",
            server.token_endpoint()
        ),
    )?;
    let mut case = case(name, places.jeton, &["token", "work"]);
    let folder = |name: &str| home.join(name).display().to_string();
    case.environment = vec![
        ("HOME", home.display().to_string()),
        ("XDG_CONFIG_HOME", folder("config")),
        ("XDG_STATE_HOME", folder("state")),
    ];
    case.environment.extend_from_slice(environment);
    case.expected = Some(access_token());
    // Gets the token, and stores it.
    case.run()?;
    Ok(case)
}

/// The file of that case's login, and what is in it when its token has expired.
fn expired_record(case: &Case) -> Result<(PathBuf, Vec<u8>)> {
    let state = case.environment.iter().find(|(name, _)| *name == "XDG_STATE_HOME");
    let logins = Path::new(&state.ok_or("a state folder")?.1).join("jeton/programs/jeton/logins");
    let is_login = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let mut files = std::fs::read_dir(&logins)?.filter_map(|entry| Some(entry.ok()?.path()));
    let path = files.find(is_login).ok_or_else(|| format!("there is no login in {}", logins.display()))?;
    let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    let token = record.pointer_mut("/tokens/0").ok_or("the record has no token")?;
    token["received_at_ms"] = 1_000_000_000_000_u64.into();
    token["expires_at_ms"] = 1_000_003_600_000_u64.into();
    Ok((path, serde_json::to_vec(&record)?))
}

/// libsecret's tool, with the same keychain.
fn secret_tool(keychain: &Keychain) -> Result<Case> {
    let environment = vec![(ADDRESS_VARIABLE, keychain.address().to_owned())];
    let mut store = case("secret-tool store", "secret-tool", &["store", "--label=jeton-bench"]);
    store.arguments.extend(SECRET_TOOL.map(str::to_owned));
    store.environment.clone_from(&environment);
    store.pipe(access_token().as_bytes()).map_err(|error| format!("secret-tool: {error}"))?;
    let mut case = case("secret-tool lookup, keychain", "secret-tool", &["lookup"]);
    case.arguments.extend(SECRET_TOOL.map(str::to_owned));
    case.environment = environment;
    case.expected = Some(access_token());
    Ok(case)
}

/// GitHub's command, whose token stands in a file.
fn github(folder: &Path) -> Result<Case> {
    let config = folder.join("gh");
    std::fs::create_dir_all(&config)?;
    let hosts = format!("github.com:\n    user: bench\n    oauth_token: {}\n", access_token());
    std::fs::write(config.join("hosts.yml"), hosts)?;
    let mut case = case("gh auth token", "gh", &["auth", "token"]);
    case.environment =
        vec![("GH_CONFIG_DIR", config.display().to_string()), ("HOME", folder.display().to_string())];
    case.expected = Some(access_token());
    case.run().map_err(|error| format!("gh: {error}"))?;
    Ok(case)
}

/// git's own helper, which keeps passwords in a file.
fn git(folder: &Path) -> Result<Case> {
    let file = folder.join("git-credentials");
    std::fs::write(&file, format!("https://bench:{}@api.example\n", access_token()))?;
    let file = format!("--file={}", file.display());
    let mut case = case("git credential-store get", "git", &["credential-store", &file, "get"]);
    case.environment = vec![("HOME", folder.display().to_string())];
    case.stdin = GIT_ASKS;
    case.expected = Some(format!("username=bench\npassword={}", access_token()));
    case.run().map_err(|error| format!("git: {error}"))?;
    Ok(case)
}

impl Case {
    /// Runs it once, in milliseconds; fails unless it prints what it has to.
    fn run(&self) -> Result<f64> {
        if let Some((path, content)) = &self.before {
            std::fs::write(path, content)?;
        }
        let begun = Instant::now();
        let output = self.pipe(self.stdin)?;
        let took = begun.elapsed().as_secs_f64() * 1e3;
        let said = String::from_utf8_lossy(&output.stdout);
        match &self.expected {
            Some(expected) if said.trim_end() != expected => {
                Err(format!("{}: it printed {:.80}", self.name, said).into())
            }
            _ => Ok(took),
        }
    }

    fn pipe(&self, stdin: &[u8]) -> Result<Output> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(self.environment.iter().cloned());
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.stdin(if stdin.is_empty() { Stdio::null() } else { Stdio::piped() });
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(stdin)?;
        }
        let output = child.wait_with_output()?;
        match output.status.success() {
            true => Ok(output),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(format!("{}: {}: {}", self.name, output.status, said.trim_end()).into())
            }
        }
    }
}

/// What came of it: the table, and the median of `jeton token` with a file store.
pub fn measure(cases: &[Case], missing: &[Missing], rounds: usize, size: u64) -> Result<(Table, f64)> {
    let mut times = vec![Vec::with_capacity(rounds); cases.len()];
    for round in 0..=rounds {
        // Nobody always comes after the same one.
        for place in 0..cases.len() {
            let index = (round + place) % cases.len();
            let took = cases[index].run()?;
            // In the first round caches get warm.
            if round > 0 {
                times[index].push(took);
            }
        }
    }
    let nothing = times[0].clone();
    let mut rows = Vec::new();
    for (case, times) in cases.iter().zip(&times) {
        let over = times.iter().zip(&nothing).map(|(time, nothing)| time - nothing).collect();
        let at = |part| quantile(times.clone(), part);
        let values = [at(0.0), at(0.5), at(0.95), quantile(over, 0.5)].map(Some).to_vec();
        rows.push(Row { name: case.name.to_owned(), values, not_here: None });
    }
    for missing in missing {
        let not_here = Some(missing.why.clone());
        rows.push(Row { name: missing.name.to_owned(), values: Vec::new(), not_here });
    }
    let ours = cases.iter().zip(&times).find(|(case, _)| case.name == FILE_STORE);
    let ours = quantile(ours.ok_or("jeton is timed")?.1.clone(), 0.5);
    let column = |name| Column { name, unit: "ms", digits: 2 };
    let note = format!(
        "Whole processes, {rounds} rounds in turns. Over: the median of the differences to {NOTHING} in the same round. jeton has {:.1} MiB. \
         Keychain: a gnome-keyring daemon of its own. Expired: with a request to a server on loopback, and the new token saved.",
        size as f64 / f64::from(1 << 20)
    );
    let columns = vec![column("min"), column("median"), column("p95"), column("over")];
    Ok((Table { title: "a stored token, printed", columns, rows, note }, ours))
}

/// Of at least one value.
fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part).round() as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.95].map(|part| quantile(values.clone(), part)), [0.0, 50.0, 95.0]);
        assert_eq!(quantile(vec![3.0], 0.95), 3.0);
    }

    #[test]
    fn a_command_that_prints_something_else_is_no_result() {
        let mut wrong = case("echo", "echo", &["another"]);
        wrong.expected = Some("token".to_owned());
        assert!(wrong.run().unwrap_err().to_string().contains("another"));
        wrong.arguments = vec!["token".to_owned()];
        assert!(wrong.run().is_ok());
        assert!(case("false", "false", &[]).run().is_err());
    }
}
