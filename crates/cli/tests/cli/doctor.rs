//! `jeton doctor`: each thing that can be wrong is made so, found, and told with what to do; where nothing is, nothing is said.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jeton::storage::LoginStatus;
use jeton_devserver::{Endpoint, Fault};
use serde_json::{Value, json};

use crate::world::{Ran, World, run};

/// The check of that name, as `--json` has it.
#[track_caller]
pub(crate) fn check<'a>(report: &'a Value, group: &str, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().expect("checks");
    let found = checks.iter().find(|check| check["group"] == group && check["check"] == name);
    found.unwrap_or_else(|| panic!("no {group} {name} in {report:#}"))
}

/// The report of a run with that exit code.
#[track_caller]
pub(crate) fn report(ran: &Ran, code: i32) -> Value {
    assert_eq!(ran.code, Some(code), "{ran}");
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"));
    let marks = report["checks"].as_array().expect("checks").iter().map(|check| &check["mark"]);
    let to_mend = marks.filter(|mark| **mark == "mend").count();
    assert_eq!(report["findings"], to_mend, "{report:#}");
    assert_eq!(code == 8, to_mend > 0, "the exit code says whether there is something to mend: {report:#}");
    report
}

/// Finds that one thing to mend, with something to do about it.
#[track_caller]
fn mends(ran: &Ran, group: &str, name: &str, found: &str) {
    let report = report(ran, 8);
    let check = check(&report, group, name);
    assert_eq!(check["mark"], "mend", "{report:#}");
    let said = check["found"].as_str().expect("what was found");
    assert!(said.contains(found), "{said:?} does not say {found:?}");
    assert!(check["do"].as_str().is_some_and(|help| !help.is_empty()), "nothing to do: {check:#}");
}

/// All files and folders below.
fn tree(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        }
        found.insert(path);
    }
    found
}

#[test]
fn where_all_is_well_it_says_so_leaves_nothing_behind_and_shows_no_secret() {
    let world = World::new();
    world.signed_in("work");
    let before = (tree(world.home()), std::fs::read(world.profiles_file()).unwrap());
    let requests = world.server.requests().len();
    let ran = world.jeton(["doctor", "work", "--json"]);
    let found = report(&ran, 0);
    assert_eq!((&found["profile"], &found["issuer"]), (&json!("work"), &json!(world.server.issuer())));
    for (group, name, says) in [
        ("program", "version", env!("CARGO_PKG_VERSION")),
        ("profiles", "file", "1 profile"),
        ("profiles", "work", world.server.issuer()),
        ("store", "holds", "1 login"),
        ("folder", "permissions", "nobody but this user"),
        ("folder", "locks", "keeps others out"),
        ("login", "work", "with a refresh token"),
        ("server", "clock", "agrees"),
        ("server", "discovery", "/.well-known/oauth-authorization-server"),
        ("server", "PKCE", "S256"),
        ("server", "offers", "login by a code on another device"),
        ("server", "keys", "/jwks"),
    ] {
        let check = check(&found, group, name);
        assert_eq!(check["mark"], "ok", "{check:#}");
        assert!(check["found"].as_str().unwrap().contains(says), "{check:#}");
    }
    ran.shows_none_of(&world.secrets("work"));
    // The metadata and the keys, each once.
    assert_eq!(world.server.requests().len(), requests + 2);
    assert_eq!(before, (tree(world.home()), std::fs::read(world.profiles_file()).unwrap()));
}

#[test]
fn offline_asks_no_server_and_the_only_profile_need_not_be_named() {
    let world = World::new();
    world.person_profile("work");
    let found = report(&world.jeton(["doctor", "--offline", "--json"]), 0);
    assert_eq!(found["profile"], "work");
    assert!(check(&found, "login", "work")["do"].as_str().unwrap().contains("jeton login work"));
    assert_eq!(world.server.requests().len(), 0);
    assert!(world.jeton(["doctor", "nobody"]).failed(2).contains("there is no profile `nobody`"));
    world.jeton(["doctor", "work", "--issuer", "https://as.example"]).failed(2);
    assert!(world.jeton(["doctor", "--issuer", "as.example"]).failed(2).contains("do:  take an https URL"));
    // A URL is no profile's name.
    let found = report(&world.jeton(["doctor", world.server.issuer(), "--offline", "--json"]), 0);
    assert_eq!((&found["profile"], &found["issuer"]), (&Value::Null, &json!(world.server.issuer())));
}

#[test]
fn a_person_reads_it_in_80_columns_and_without_colour() {
    let world = World::new();
    world.person_profile("work");
    let plain = Fault::set("code_challenge_methods_supported", json!(["plain"]));
    world.server.fault_always(Endpoint::Metadata, plain);
    let ran = world.jeton(["doctor", "work"]);
    assert_eq!(ran.code, Some(8), "{ran}");
    let text = String::from_utf8(ran.stdout.clone()).unwrap();
    assert!(!text.contains('\u{1b}'), "{text}");
    for line in text.lines() {
        // A path or URL stays whole, so that it can be copied.
        let longest_word = line.split(' ').map(str::len).max().unwrap();
        assert!(line.chars().count() <= 80 || longest_word > 40, "{line}");
    }
    assert!(text.lines().any(|line| line.starts_with("  mend PKCE ")), "{text}");
    assert!(text.ends_with("1 thing to mend: server PKCE\n"), "{text}");
    let coloured = world.jeton(["doctor", "work", "--color", "always"]);
    assert!(coloured.stdout.contains(&0x1b), "{coloured}");
}

/// What is wrong with a server's metadata, and under which name it is found.
#[test]
fn what_is_odd_in_a_servers_metadata_is_told() {
    let world = World::new();
    world.profile(
        "work",
        &format!(
            "issuer = \"{}\"\nclient_id = \"c\"\nscope = \"openid\"\nlogin = \"browser\"\n\
             authentication = \"client_secret_post\"\ndpop = true",
            world.server.issuer()
        ),
    );
    world.keep_secret("work", "c", "a secret");
    assert_eq!(world.jeton(["doctor", "work"]).code, Some(0), "nothing is wrong yet");
    for (fault, name, says) in [
        (Fault::set("issuer", "https://other.example"), "issuer", "calls itself https://other.example;"),
        (Fault::set("issuer", "x\u{1b}[2J"), "issuer", "calls itself x\u{fffd}[2J"),
        (Fault::remove("token_endpoint"), "token_endpoint", "names none"),
        (Fault::set("token_endpoint", "http://as.example/t"), "token_endpoint", "neither HTTPS"),
        (
            Fault::set("token_endpoint", "https://u:p4ss@as.example/t"),
            "token_endpoint",
            "a user name or a password",
        ),
        (Fault::remove("authorization_endpoint"), "login", "no such login"),
        (Fault::set("code_challenge_methods_supported", json!(["plain"])), "PKCE", "does not list S256"),
        (Fault::set("response_types_supported", json!(["token"])), "response_type", "does not list `code`"),
        (Fault::set("grant_types_supported", json!(["implicit"])), "grant_types", "`authorization_code`"),
        (
            Fault::set("token_endpoint_auth_methods_supported", json!(["private_key_jwt"])),
            "authentication",
            "the server lists private_key_jwt",
        ),
        (Fault::remove("dpop_signing_alg_values_supported"), "DPoP", "does not say that it can"),
        (Fault::remove("jwks_uri"), "keys", "names no keys"),
        (Fault::set("require_signed_request_object", true), "requests", "signed requests only"),
    ] {
        world.server.fault(Endpoint::Metadata, fault);
        let ran = world.jeton(["doctor", "work", "--json"]);
        mends(&ran, "server", name, says);
        assert_eq!(report(&ran, 8)["findings"], 1, "{says}: {ran}");
        ran.shows_none_of(&["p4ss".to_owned(), "\u{1b}".to_owned(), "a secret".to_owned()]);
    }
    for (fault, name, says) in [
        (Fault::ContentType("text/plain".to_owned()), "content_type", "text/plain instead"),
        (Fault::remove("code_challenge_methods_supported"), "PKCE", "does not say"),
        (Fault::remove("authorization_response_iss_parameter_supported"), "iss", "does not promise"),
        (Fault::set("scopes_supported", json!(["x"])), "scope", "openid"),
        (
            Fault::set("revocation_endpoint", "https://other.example/r"),
            "revocation_endpoint",
            "other.example",
        ),
    ] {
        world.server.fault(Endpoint::Metadata, fault);
        let found = report(&world.jeton(["doctor", "work", "--json"]), 0);
        let check = check(&found, "server", name);
        assert_eq!(check["mark"], "note", "{check:#}");
        assert!(check["found"].as_str().unwrap().contains(says), "{check:#}");
    }
}

#[test]
fn what_comes_instead_of_metadata_is_told() {
    for (fault, says) in [
        (Fault::answer(200, "text/html", "<html>Log in to the network</html>"), "a web page instead of JSON"),
        (Fault::answer(200, "application/json", "[]"), "no JSON object"),
        (Fault::answer(200, "application/json", "{}"), "JSON without `issuer`"),
        (Fault::answer(200, "application/json", ""), "an empty answer"),
        (Fault::unavailable(None), "status 503"),
        (
            Fault::Redirect("https://elsewhere.example/x?code=s3cr3t#y".to_owned()),
            "a redirect to https://elsewhere.example/x (status 307), which is not followed",
        ),
        (Fault::HugeBody(3 << 20), "more than any document"),
    ] {
        let world = World::new();
        world.server.fault_always(Endpoint::Metadata, fault.clone());
        // Elsewhere there are some: that is told, and is no finding.
        let found = report(&world.jeton(["doctor", "--issuer", world.server.issuer(), "--json"]), 0);
        let discovery = check(&found, "server", "discovery")["found"].as_str().unwrap().to_owned();
        assert!(discovery.contains("/.well-known/openid-configuration (not at "), "{discovery}");
        assert!(discovery.contains(says), "{discovery}");
        world.server.fault_always(Endpoint::OpenIdConfiguration, fault);
        let ran = world.jeton(["doctor", "--issuer", world.server.issuer(), "--json"]);
        mends(&ran, "server", "discovery", says);
        ran.shows_none_of(&["s3cr3t".to_owned()]);
    }
}

#[test]
fn a_clock_that_is_wrong_is_told_with_what_comes_of_it() {
    let world = World::new();
    let hour = Duration::from_secs(3_600);
    for (date, says) in [
        (SystemTime::now() - hour, "ahead of the server: signatures"),
        (SystemTime::now() + hour, "behind the server: ID tokens"),
    ] {
        world.server.fault(
            Endpoint::Metadata,
            Fault::Answer {
                status: 200,
                headers: vec![
                    ("content-type".to_owned(), "application/json".to_owned()),
                    ("date".to_owned(), httpdate::fmt_http_date(date)),
                ],
                body: b"{}".to_vec(),
            },
        );
        mends(&world.jeton(["doctor", "--issuer", world.server.issuer(), "--json"]), "server", "clock", says);
    }
    // Half a minute is nobody's fault.
    let near = SystemTime::now() - Duration::from_secs(20);
    let headers = vec![("date".to_owned(), httpdate::fmt_http_date(near))];
    world.server.fault(Endpoint::Metadata, Fault::Answer { status: 404, headers, body: Vec::new() });
    let found = report(&world.jeton(["doctor", "--issuer", world.server.issuer(), "--json"]), 0);
    assert_eq!(check(&found, "server", "clock")["mark"], "ok");
}

#[test]
fn keys_that_are_not_there_are_told() {
    let world = World::new();
    world.server.fault(Endpoint::Jwks, Fault::unavailable(None));
    mends(
        &world.jeton(["doctor", "--issuer", world.server.issuer(), "--json"]),
        "server",
        "keys",
        "status 503",
    );
}

#[test]
fn a_server_that_is_not_there_is_told_and_asked_once() {
    let world = World::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let issuer = format!("http://127.0.0.1:{port}");
    mends(
        &world.jeton(["doctor", "--issuer", &issuer, "--json"]),
        "server",
        "reached",
        "refuses connections",
    );
    mends(
        &world.jeton(["doctor", "--issuer", "https://as.invalid", "--json"]),
        "server",
        "reached",
        "nobody knows the name as.invalid",
    );
}

#[test]
fn certificates_that_nobody_can_trust_are_told_apart() {
    let world = World::with(|builder| builder.mutual_tls(true));
    let issuer = world.server.tls_url("").unwrap();
    let unknown = world.jeton(["doctor", "--issuer", &issuer, "--json"]);
    mends(&unknown, "server", "certificate", "is of an authority that nobody here trusts");
    let mut own = world.command(["doctor", "--issuer", &issuer, "--json"]);
    let own = run(own.env("SSL_CERT_FILE", world.file("none.pem", serve_tls(Certificate::Expired).1)), b"");
    for ran in [&unknown, &own] {
        let help = check(&report(ran, 8), "server", "certificate")["do"].to_string();
        assert!(help.contains("`jeton login NAME --certificate-authorities FILE`"), "{ran}");
    }
    for (kind, says) in [
        (Certificate::Expired, "has expired"),
        (Certificate::NotYet, "is not valid yet"),
        (Certificate::OtherName, "is another server's"),
    ] {
        let (issuer, authority) = serve_tls(kind);
        let file = world.file("authority.pem", authority);
        let mut command = world.command(["doctor", "--issuer", &issuer, "--json"]);
        command.env("SSL_CERT_FILE", &file).env_remove("SSL_CERT_DIR");
        let ran = run(&mut command, b"");
        mends(&ran, "server", "certificate", says);
        assert_eq!(check(&report(&ran, 8), "environment", "SSL_CERT_FILE")["mark"], "note");
    }
}

#[test]
fn a_login_names_the_option_for_an_authority_that_nobody_here_trusts() {
    let (issuer, _) = serve_tls(Certificate::OtherAuthority);
    let world = World::new();
    let login =
        ["login", "new", "--issuer", &issuer, "--client-id", "x", "--login-method", "device", "--json"];
    let failure = world.jeton(login).failed_json(2);
    assert_eq!(failure["code"], "untrusted_certificate");
    let help = failure["do"].as_str().unwrap();
    assert!(help.contains("--certificate-authorities FILE") && help.contains("`jeton doctor"), "{help}");
    assert!(!help.contains("jeton doctor new"), "it is not saved: {help}");
    // A server of which the certificate is trusted, and that is none of OAuth, is another matter.
    let (issuer, authority) = serve_tls(Certificate::OtherAuthority);
    let file = world.file("authority.pem", authority);
    let with_file = ["--certificate-authorities", file.to_str().unwrap()];
    let login =
        ["login", "new", "--issuer", &issuer, "--client-id", "x", "--login-method", "device", "--json"];
    let ran = run(&mut world.command(login.into_iter().chain(with_file)), b"");
    assert_eq!(ran.failed_json(5)["code"], "network", "the connection breaks");
}

enum Certificate {
    /// A good one.
    OtherAuthority,
    Expired,
    NotYet,
    OtherName,
}

/// A server that shakes hands with such a certificate, and the authority of it in PEM. It ends with the test program.
fn serve_tls(kind: Certificate) -> (String, String) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::{ServerConfig, ServerConnection, crypto::ring};

    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let name = if matches!(kind, Certificate::OtherName) { "other.example" } else { "localhost" };
    let mut own = CertificateParams::new(vec![name.to_owned()]).unwrap();
    match kind {
        Certificate::Expired => {
            (own.not_before, own.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        Certificate::NotYet => {
            (own.not_before, own.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
        }
        Certificate::OtherName | Certificate::OtherAuthority => {}
    }
    let key = KeyPair::generate().unwrap();
    let own = own.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    let config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let config = std::sync::Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (mut stream, mut connection) = (stream, ServerConnection::new(config.clone()).unwrap());
            // The client ends it.
            while connection.complete_io(&mut stream).is_ok() && connection.is_handshaking() {}
        }
    });
    (issuer, pem)
}

#[test]
fn a_profiles_file_that_cannot_be_read_is_told_and_the_rest_is_looked_at_all_the_same() {
    let world = World::new();
    world.profile(
        "work",
        "issuer = \"https://as.example\"\nclient_id = \"c\"\nclient_secret = \"s3cr3t-marker\"",
    );
    let ran = world.jeton(["doctor", "--json"]);
    mends(&ran, "profiles", "file", "client secrets are not kept in this file");
    ran.shows_none_of(&["s3cr3t-marker".to_owned()]);
    assert_eq!(check(&report(&ran, 8), "folder", "locks")["mark"], "ok");
    std::fs::write(world.profiles_file(), "[profiles.work]\nisuer = \"x\"\n").unwrap();
    let ran = world.jeton(["doctor", "--json"]);
    mends(&ran, "profiles", "file", "line 2");
    assert!(ran.to_string().contains("a profile has no key `isuer`"), "{ran}");
}

#[test]
fn what_a_profile_lacks_or_should_not_have_is_told() {
    let world = World::new();
    world.profile(
        "keyless",
        "issuer = \"https://as.example\"\nclient_id = \"c\"\nauthentication = \"private_key_jwt\"",
    );
    world.profile(
        "fileless",
        "issuer = \"https://as.example\"\nclient_id = \"c\"\nsigning_key = \"/nowhere/key.pem\"",
    );
    world.profile("serverless", "client_id = \"c\"");
    world.profile("clientless", "issuer = \"https://as.example\"");
    world.profile(
        "talkative",
        "issuer = \"https://as.example\"\nclient_id = \"c\"\nparameters = { password = \"s3cr3t-marker\" }",
    );
    let ran = world.jeton(["doctor", "--json"]);
    for (name, says) in [
        ("keyless", "has no `signing_key`"),
        ("fileless", "`signing_key` names /nowhere/key.pem"),
        ("serverless", "does not say which server"),
        ("clientless", "no `client_id`"),
        ("talkative", "`password` looks like a secret"),
    ] {
        mends(&ran, "profiles", name, says);
    }
    ran.shows_none_of(&["s3cr3t-marker".to_owned()]);
}

#[test]
fn the_environment_is_told_without_its_passwords() {
    let world = World::new();
    let missing = world.home().join("none.pem");
    let mut command = world.command(["doctor", "--issuer", "https://as.invalid", "--json"]);
    command
        .env("HTTPS_PROXY", "http://user:s3cr3t@proxy.invalid:8080")
        .env("SSL_CERT_FILE", &missing)
        .env("SSH_CONNECTION", "1 2 3 4")
        .env("JETON_CLIENT_SECRET", "s3cr3t-too");
    let ran = run(&mut command, b"");
    let found = report(&ran, 8);
    ran.shows_none_of(&["s3cr3t".to_owned()]);
    for (name, mark, says) in [
        ("proxy", "note", "as.invalid is reached through http://proxy.invalid:8080"),
        ("SSL_CERT_FILE", "mend", "cannot be read"),
        ("browser", "note", "SSH"),
        ("JETON_CLIENT_SECRET", "note", "every profile"),
    ] {
        let check = check(&found, "environment", name);
        assert_eq!(check["mark"], mark, "{check:#}");
        assert!(check["found"].as_str().unwrap().contains(says), "{check:#}");
    }
    // The proxy's name is the one that nobody knows.
    assert_eq!(check(&found, "server", "reached")["mark"], "mend");

    let mut command = world.command(["doctor", "--offline", "--issuer", "https://as.invalid", "--json"]);
    command.env("ALL_PROXY", "proxy.invalid:1").env("NO_PROXY", ".invalid").env("XDG_STATE_HOME", "relative");
    let ran = run(&mut command, b"");
    mends(&ran, "environment", "XDG_STATE_HOME", "no absolute path");
    let found = report(&ran, 8);
    assert!(check(&found, "environment", "proxy")["found"].as_str().unwrap().contains("reached directly"));
}

#[test]
fn a_login_that_has_ended_or_is_damaged_or_odd_is_told() {
    let world = World::new();
    world.signed_in("work");
    world.change_record("work", |record| {
        record.tokens[0].warnings = vec![jeton::Warning::ExpiresInString];
    });
    let found = report(&world.jeton(["doctor", "work", "--offline", "--json"]), 0);
    assert!(
        check(&found, "login", "answers")["found"].as_str().unwrap().contains("`expires_in` was a string")
    );

    world.change_record("work", |record| {
        record.status = LoginStatus::Ended { reason: "the server said so\u{1b}[2J".to_owned(), at_ms: 1 };
    });
    let ran = world.jeton(["doctor", "work", "--offline"]);
    assert!(ran.to_string().contains("the login has ended: the server said so"), "{ran}");
    assert!(!ran.stdout.contains(&0x1b), "{ran}");
    mends(&world.jeton(["doctor", "work", "--offline", "--json"]), "login", "work", "has ended");

    let logins = world.state_folder().join("logins");
    let record = tree(&logins).into_iter().find(|path| path.extension().is_some_and(|kind| kind == "json"));
    std::fs::write(record.unwrap(), "{").unwrap();
    let ran = world.jeton(["doctor", "work", "--offline", "--json"]);
    mends(&ran, "store", "unreadable", "damaged");
    mends(&ran, "login", "work", "damaged");
}

#[test]
fn a_client_secret_that_is_not_in_the_store_is_told() {
    let world = World::new();
    world.service_profile("job");
    let found = report(&world.jeton(["doctor", "job", "--offline", "--json"]), 0);
    assert_eq!(check(&found, "login", "client_secret")["mark"], "ok");
    world.profile(
        "other",
        "issuer = \"https://as.example\"\nclient_id = \"c\"\nauthentication = \"client_secret_basic\"",
    );
    let ran = world.jeton(["doctor", "other", "--offline", "--json"]);
    mends(&ran, "login", "client_secret", "not in the store");
    let mut command = world.command(["doctor", "other", "--offline", "--json"]);
    let found = report(&run(command.env("JETON_CLIENT_SECRET", "s"), b""), 0);
    assert!(check(&found, "login", "client_secret")["found"].as_str().unwrap().contains("environment"));
}

#[cfg(unix)]
#[test]
fn what_others_can_read_or_write_is_told() {
    use std::os::unix::fs::PermissionsExt as _;

    let set =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let world = World::new();
    world.signed_in("work");
    let logins = world.state_folder().join("logins");
    set(&logins, 0o755);
    let ran = world.jeton(["doctor", "work", "--offline", "--json"]);
    mends(&ran, "folder", "permissions", "logins can be accessed by other users (mode 755)");
    set(&logins, 0o700);
    let record = tree(&logins).into_iter().find(|path| path.extension().is_some_and(|kind| kind == "json"));
    let record = record.unwrap();
    set(&record, 0o644);
    mends(&world.jeton(["doctor", "--offline", "--json"]), "folder", "permissions", "(mode 644)");
    set(&record, 0o600);
    assert_eq!(world.jeton(["doctor", "--offline"]).code, Some(0));

    let key = world.file("key.pem", "no key");
    set(&key, 0o644);
    world.profile(
        "signing",
        &format!("issuer = \"https://as.example\"\nclient_id = \"c\"\nsigning_key = \"{}\"", key.display()),
    );
    mends(&world.jeton(["doctor", "--offline", "--json"]), "profiles", "signing", "other users can read");
    set(&key, 0o600);
    set(&world.profiles_file(), 0o666);
    mends(&world.jeton(["doctor", "--offline", "--json"]), "profiles", "permissions", "may write");
}

#[test]
fn what_was_set_aside_is_told() {
    let world = World::new();
    world.signed_in("work");
    let logins = world.state_folder().join("logins");
    let put = |name: &str| {
        let path = logins.join(name);
        std::fs::write(&path, "x").unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    };
    put("login-0000.damaged-1700000000");
    let note = put("login-0000.holder");
    let earlier = SystemTime::now() - Duration::from_secs(3_600);
    std::fs::File::options().write(true).open(note).unwrap().set_modified(earlier).unwrap();
    let found = report(&world.jeton(["doctor", "--offline", "--json"]), 0);
    assert!(check(&found, "folder", "set_aside")["found"].as_str().unwrap().starts_with("1 damaged"));
    assert!(check(&found, "folder", "lock_notes")["found"].as_str().unwrap().starts_with("1 of holders"));
    put("login-0000.damaged");
    mends(&world.jeton(["doctor", "--offline", "--json"]), "folder", "damaged", "login-0000.damaged");
}

/// On a disk of 64 KiB in memory, in a mount namespace of its own, where this system lets somebody make one.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_without_room_is_told() {
    let world = World::new();
    let disk = world.home().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let in_namespace = |command: &str| {
        let mut unshare = std::process::Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
        unshare.arg(format!("mount -t tmpfs -o size=64k,mode=700 none \"$0\" && {command}")).arg(&disk);
        unshare.arg(env!("CARGO_BIN_EXE_jeton")).env_clear().envs(world.environment());
        unshare.env("XDG_STATE_HOME", &disk);
        unshare
    };
    if !in_namespace("true").output().is_ok_and(|output| output.status.success()) {
        return;
    }
    let ran = run(&mut in_namespace("exec \"$1\" doctor --offline --json"), b"");
    mends(&ran, "folder", "room", "0 MiB free");
    assert!(check(&report(&ran, 8), "folder", "disk")["found"].as_str().unwrap().contains("in memory"));
}

#[cfg(unix)]
#[test]
fn at_a_terminal_the_marks_have_colours_and_words() {
    use jeton_tests::terminal::Terminal;

    let world = World::new();
    world.person_profile("work");
    let plain = Fault::set("code_challenge_methods_supported", json!(["plain"]));
    world.server.fault_always(Endpoint::Metadata, plain);
    let look = |without_colour: bool| {
        let mut command = world.command(["doctor", "work"]);
        if without_colour {
            command.env("NO_COLOR", "1");
        }
        let mut terminal = Terminal::start_in((60, 80), command);
        terminal.wait_for("1 thing to mend: server PKCE");
        terminal.ended_with(8);
        terminal
    };
    let terminal = look(false);
    let of = |text: &str| terminal.cells(text)[0].fgcolor();
    assert_ne!(of("mend PKCE"), of("ok   offers"), "a finding has a colour of its own");
    let terminal = look(true);
    assert_eq!(terminal.cells("mend PKCE")[0].fgcolor(), vt100::Color::Default);
    let text = terminal.text();
    assert!(text.contains("ok   offers") && text.contains("do: ask whoever runs the server"), "{text}");
}
