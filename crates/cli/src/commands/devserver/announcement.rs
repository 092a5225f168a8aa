//! What is said when the server has started: where it is, whom it knows, and commands to begin with.

use std::fmt::Write as _;

use jeton_devserver::DevServer;
use serde_json::{Value, json};

use super::CLIENTS;
use super::settings::Settings;
use crate::output::{FAINT, STRONG};
use crate::printable::printable;

/// For people.
pub(super) fn announcement(server: &DevServer, settings: &Settings) -> String {
    let mut text = format!("A server for tests is at {STRONG}{}{STRONG:#}.\n\n", server.issuer());
    let places = [
        ("what it saw", server.seen_url()),
        ("devices", server.verification_url()),
        ("an API", server.resource_url()),
        ("metadata", server.metadata_url()),
    ];
    for (name, url) in places {
        let _ = writeln!(text, "  {name:<12} {url}");
    }
    let _ = writeln!(text, "\nClients               {FAINT}authentication        secret{FAINT:#}");
    for (id, method, secret) in CLIENTS {
        let line = format!("  {id:<19} {method:<21} {}", secret.unwrap_or_default());
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for client in &settings.client {
        let (id, method) = own(client);
        let line = format!(
            "  {:<19} {method:<21} {}",
            printable(id),
            if method == "none" { "" } else { "as you said" }
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = write!(text, "\nTry\n");
    for command in commands(server, settings) {
        let _ = write!(text, "\n  {}\n", command.join(" \\\n    "));
    }
    text.truncate(text.trim_end().len());
    text
}

/// For programs.
pub(super) fn to_json(server: &DevServer, settings: &Settings) -> Value {
    let known = CLIENTS.map(
        |(id, method, secret)| json!({ "client_id": id, "client_secret": secret, "authentication": method }),
    );
    let own = settings.client.iter().map(|text| {
        let (id, method) = own(text);
        // The secret is whoever's that started the server.
        json!({ "client_id": id, "client_secret": null, "authentication": method })
    });
    let commands: Vec<String> =
        commands(server, settings).into_iter().map(|command| command.join(" ")).collect();
    json!({
        "issuer": server.issuer(),
        "seen": server.seen_url(),
        "metadata": server.metadata_url(),
        "authorization_endpoint": server.authorization_url(),
        "token_endpoint": server.token_url(),
        "device_authorization_endpoint": server.device_authorization_url(),
        "verification_uri": server.verification_url(),
        "revocation_endpoint": server.revocation_url(),
        "introspection_endpoint": server.introspection_url(),
        "api": server.resource_url(),
        "resource": server.resource_identifier(),
        "clients": known.into_iter().chain(own).collect::<Vec<_>>(),
        "commands": commands,
        "pid": std::process::id(),
    })
}

/// A client that was asked for by an option: its identifier, and how it authenticates.
fn own(text: &str) -> (&str, &'static str) {
    text.split_once('=').map_or((text, "none"), |(id, _)| (id, "client_secret_basic"))
}

/// Commands to begin with, in parts that fit a line.
fn commands(server: &DevServer, settings: &Settings) -> Vec<Vec<String>> {
    let issuer = server.issuer();
    if settings.resource_metadata {
        return vec![
            vec![format!("jeton login --url {} dev", server.resource_url())],
            vec![format!("jeton request dev GET {}", server.resource_url())],
        ];
    }
    let service = vec![
        format!("curl -u {}:service-secret%2F2", DevServer::SERVICE_CLIENT.0),
        format!("-d grant_type=client_credentials {}", server.token_url()),
    ];
    if settings.fapi2 {
        // None of the clients whose secrets are shared may do anything there.
        return vec![vec![format!("jeton doctor --issuer {issuer}")]];
    }
    let client = settings.client.iter().map(|text| own(text)).find(|(_, method)| *method == "none");
    let client = client.map_or(DevServer::PUBLIC_CLIENT, |(id, _)| id);
    vec![
        vec![
            format!("jeton login dev --issuer {issuer}"),
            format!("--client-id {} --api {issuer}", quoted(client)),
        ],
        vec![format!("jeton request dev GET {}", server.resource_url())],
        service,
    ]
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.:/@".contains(character);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", printable(text).replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_the_shell_stays_one() {
        assert_eq!(quoted("https://app.example/id"), "https://app.example/id");
        assert_eq!(quoted("my app"), "'my app'");
        assert_eq!(quoted("a'b;rm"), r"'a'\''b;rm'");
        assert_eq!(quoted(""), "''");
    }
}
