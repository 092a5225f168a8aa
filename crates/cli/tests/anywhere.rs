//! The `jeton` command on every platform: a service's token, fetched once and stored, and a failure that scripts can read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says what it expects.

use std::path::Path;
use std::process::{Command, Output};

use jeton_devserver::DevServer;
use serde_json::Value;

fn jeton(home: &Path, arguments: &[&str], secret: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jeton"));
    command.args(arguments).env("JETON_CLIENT_SECRET", secret).env("JETON_STORE", "file");
    for place in ["HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME", "XDG_STATE_HOME"] {
        command.env(place, home);
    }
    command.env("JETON_CONFIG", home.join("profiles.toml")).output().unwrap()
}

#[test]
fn a_service_has_its_token_fetched_once() {
    let server = DevServer::start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let (client_id, secret) = DevServer::SERVICE_CLIENT;
    let profile = format!(
        "[profiles.robot]\nissuer = \"{}\"\nclient_id = \"{client_id}\"\nlogin = \"client-credentials\"\n\
         authentication = \"client_secret_basic\"\n",
        server.issuer(),
    );
    std::fs::write(home.path().join("profiles.toml"), profile).unwrap();
    for _ in 0..2 {
        let output = jeton(home.path(), &["token", "robot"], secret);
        let token = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(server.is_access_token_live(token.trim_end()));
    }
    assert_eq!(server.stats().tokens_issued, 1);

    let output = jeton(home.path(), &["status", "--json"], "");
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["logins"][0]["profile"], "robot");
}

#[test]
fn a_failure_is_json_for_scripts() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [&["token", "nobody", "--json"][..], &["tokn", "--json"]] {
        let output = jeton(home.path(), arguments, "");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
        let failure: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(failure["error"]["exit"], 2);
    }
    assert!(jeton(home.path(), &["--version"], "").status.success());
}
