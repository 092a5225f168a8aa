//! `jeton kubectl` with the real kubectl, which sends the token to the devserver's API over TLS.

use std::path::Path;
use std::process::Command;

use jeton_devserver::DevServer;
use serde_json::Value;

use crate::world::{Ran, World, has, run};

/// What kubectl says when it asks.
fn exec_info(version: &str) -> String {
    format!(
        r#"{{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/{version}","spec":{{"interactive":false}}}}"#
    )
}

/// `jeton kubectl` as kubectl calls it.
fn asked(world: &World, version: &str, arguments: &[&str]) -> Ran {
    let mut command = world.command([&["kubectl", "work"], arguments].concat());
    run(command.env("KUBERNETES_EXEC_INFO", exec_info(version)), b"")
}

/// The user's kubectl, which finds the binary by its name.
fn kubectl(world: &World, arguments: &[&str]) -> Ran {
    let mut command = Command::new("kubectl");
    command.args(arguments).env_clear().current_dir(world.home());
    for (name, value) in world.environment() {
        command.env(name, value);
    }
    let binaries = Path::new(env!("CARGO_BIN_EXE_jeton")).parent().unwrap().to_owned();
    let folders = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect::<Vec<_>>();
    command.env("PATH", std::env::join_paths([vec![binaries], folders].concat()).unwrap());
    run(&mut command, b"")
}

/// A kubeconfig file made of what `jeton kubectl --kubeconfig` says, for a cluster that is the devserver.
fn kubeconfig(world: &World, version: &str) {
    world.file("authority.pem", world.server.certificate_authority().unwrap());
    let users = world.jeton(["kubectl", "work", "--kubeconfig"]);
    let users = users.answer().replace("k8s.io/v1\n", &format!("k8s.io/{version}\n"));
    let server = world.server.tls_url("").unwrap();
    world.file(
        "kubeconfig",
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: it\n\
             clusters:\n- name: it\n  cluster: {{server: \"{server}\", certificate-authority: authority.pem}}\n\
             contexts:\n- name: it\n  context: {{cluster: it, user: work}}\n{users}"
        ),
    );
}

/// The versions in which the kubectl that is here asks: `v1` came with 1.22.
fn versions(world: &World) -> Vec<&'static str> {
    let version = kubectl(world, &["version", "--client", "--output", "json"]).json();
    let minor =
        version["clientVersion"]["minor"].as_str().unwrap().trim_end_matches(|c: char| !c.is_ascii_digit());
    let minor: u32 = minor.parse().unwrap();
    if minor < 22 { vec!["v1beta1"] } else { vec!["v1beta1", "v1"] }
}

#[test]
fn kubectl_sends_the_token_and_an_expired_one_is_refreshed_before() {
    if !has(&["kubectl"]) {
        return;
    }
    let world = World::with(|builder| builder.mutual_tls(true));
    world.signed_in("work");
    for (round, version) in (1..).zip(versions(&world)) {
        kubeconfig(&world, version);
        let get = ["--kubeconfig", "kubeconfig", "get", "--raw", "/api/me"];
        assert_eq!(kubectl(&world, &get).json()["sub"], "alice", "{version}");
        world.expire("work");
        assert_eq!(kubectl(&world, &get).json()["sub"], "alice", "{version}");
        assert_eq!(world.server.stats().refreshes, round, "{version}");
    }
}

#[test]
fn who_is_not_logged_in_hears_it_through_kubectl() {
    if !has(&["kubectl"]) {
        return;
    }
    let world = World::with(|builder| builder.mutual_tls(true));
    world.person_profile("work");
    kubeconfig(&world, versions(&world)[0]);
    let refused = kubectl(&world, &["--kubeconfig", "kubeconfig", "get", "--raw", "/api/me"]);
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("jeton login work"), "{refused}");
}

#[test]
fn the_answer_is_in_the_version_of_the_question_and_ends_before_the_token_does() {
    let world = World::new();
    world.signed_in("work");
    let token = world.record("work").tokens[0].clone();
    for version in ["v1", "v1beta1"] {
        let answer = asked(&world, version, &[]).json();
        assert_eq!(answer["apiVersion"], format!("client.authentication.k8s.io/{version}"));
        assert_eq!(answer["kind"], "ExecCredential");
        assert_eq!(answer["status"]["token"], token.access_token.expose());
        let until = answer["status"]["expirationTimestamp"].as_str().unwrap();
        let until = humantime::parse_rfc3339(until).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(until.as_secs(), token.expires_at_ms.unwrap() / 1_000 - 30);
    }
    assert!(asked(&world, "v1alpha1", &[]).failed(2).contains("v1beta1"));
    let unreadable = run(world.command(["kubectl", "work"]).env("KUBERNETES_EXEC_INFO", "{"), b"");
    assert!(unreadable.failed(2).contains("KUBERNETES_EXEC_INFO"));
}

#[test]
fn a_token_without_expiry_has_no_timestamp() {
    let world = World::new();
    world.signed_in("work");
    // Beyond the year 9999 there is no text for it.
    for expires_at_ms in [None, Some(u64::MAX), Some(300_000_000_000_000)] {
        world.change_record("work", |record| record.tokens[0].expires_at_ms = expires_at_ms);
        let answer = asked(&world, "v1", &[]).json();
        assert!(answer["status"]["token"].is_string());
        assert_eq!(answer["status"].get("expirationTimestamp"), None);
    }
}

/// The claims of a JWT.
fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn the_id_token_is_renewed_when_it_is_about_to_expire() {
    let world = World::new();
    world.signed_in("work");
    let status = || asked(&world, "v1", &["--id-token"]).json()["status"].clone();
    let first = status();
    let token = first["token"].as_str().unwrap();
    assert_eq!(world.record("work").id_token.unwrap().expose(), token);
    let (about, expires_at) = (claims(token), claims(token)["exp"].as_u64().unwrap());
    assert_eq!((&about["sub"], &about["aud"]), (&"alice".into(), &DevServer::PUBLIC_CLIENT.into()));
    let until = humantime::parse_rfc3339(first["expirationTimestamp"].as_str().unwrap()).unwrap();
    assert_eq!(until.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), expires_at - 30);
    assert_eq!(world.server.stats().refreshes, 0);
    // As it would be a day later, and 20 s before its end.
    let to_its_end = expires_at - crate::world::now_ms() / 1_000;
    for (round, seconds) in (1..).zip([86_400, to_its_end - 20]) {
        let old = made_earlier(token, seconds);
        world.change_record("work", |record| record.id_token = Some(old.clone().into()));
        let new = status()["token"].as_str().unwrap().to_owned();
        assert!(claims(&new)["exp"].as_u64().unwrap() > claims(&old)["exp"].as_u64().unwrap());
        assert_eq!(world.server.stats().refreshes, round, "{seconds}");
    }
}

/// The same token, had it been made so much earlier. Nobody looks at the signature of what the store holds.
fn made_earlier(token: &str, seconds: u64) -> String {
    use base64::Engine as _;
    let mut claims = claims(token);
    for name in ["iat", "exp"] {
        claims[name] = (claims[name].as_u64().unwrap() - seconds).into();
    }
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[1] = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims.to_string());
    parts.join(".")
}

#[test]
fn a_login_without_an_id_token_says_what_to_ask_for() {
    let world = World::new();
    world.service_profile("work");
    let asked = asked(&world, "v1", &["--id-token"]);
    assert!(asked.failed(2).contains("openid"), "{asked}");
    assert_eq!(world.server.stats().refreshes, 0);
}

#[test]
fn the_kubeconfig_is_json_too_and_carries_what_was_said() {
    let world = World::new();
    world.person_profile("work");
    let config = world.profiles_file();
    let answer = world.jeton([
        "--json",
        "--config",
        config.to_str().unwrap(),
        "kubectl",
        "--kubeconfig",
        "--id-token",
    ]);
    let exec = &answer.json()["users"][0]["user"]["exec"];
    assert_eq!(exec["args"], serde_json::json!(["--config", config, "kubectl", "work", "--id-token"]));
    assert_eq!(exec["apiVersion"], "client.authentication.k8s.io/v1");
    world.jeton(["kubectl", "nobody", "--kubeconfig"]).failed(2);
}
