//! `jeton trace`: shows every request that the server saw, in order, and no secret of any of them in whatever spelling.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use jeton_devserver::{DevServer, Endpoint, Fault};
use serde_json::{Value, json};

use crate::world::{Ran, World, run};

/// The secret as somebody may spell it: plain, encoded for a URL or a form, in base64 by itself or behind other bytes, and the parts
/// of a JWT.
fn spellings(secret: &str) -> Vec<String> {
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let mut spellings = vec![secret.to_owned(), form.replace('+', "%20"), form];
    for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
        spellings.push(engine.encode(secret));
    }
    for behind in 1..3 {
        // Without the ends, which hang on what stands beside it.
        let encoded = STANDARD_NO_PAD.encode(format!("{}{secret}", "x".repeat(behind)));
        spellings.push(encoded[4..encoded.len() - 4].to_owned());
    }
    spellings.extend(secret.split('.').filter(|part| part.len() >= 16).map(str::to_owned));
    // What a JWT says of the person, as one text. (Its header is shown.)
    let claims = secret.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
    spellings.extend(claims.and_then(|claims| String::from_utf8(claims).ok()));
    spellings
}

#[track_caller]
fn shows_none(ran: &Ran, secrets: &[String]) {
    assert!(!secrets.is_empty() && secrets.iter().all(|secret| secret.len() > 5));
    let text = ran.to_string();
    for spelling in secrets.iter().flat_map(|secret| spellings(secret)) {
        assert!(!text.contains(&spelling), "{spelling} is shown in {text}");
    }
}

/// The trace of a run with that exit code.
#[track_caller]
fn trace(ran: &Ran, code: i32) -> Value {
    assert_eq!(ran.code, Some(code), "{ran}");
    let trace: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"));
    assert_eq!(trace["outcome"]["ok"], code == 0, "{trace:#}");
    trace
}

/// The entries of that kind.
fn entries<'a>(trace: &'a Value, kind: &str) -> Vec<&'a Value> {
    trace["entries"].as_array().expect("entries").iter().filter(|entry| entry["kind"] == kind).collect()
}

/// The value of that name in an entry.
fn detail<'a>(entry: &'a Value, name: &str) -> Option<&'a Value> {
    entry["details"].as_array()?.iter().find(|detail| detail["name"] == name).map(|detail| &detail["value"])
}

#[track_caller]
fn said<'a>(trace: &'a Value, kind: &str, what: &str) -> &'a Value {
    let found = entries(trace, kind).into_iter().find(|entry| entry["what"].as_str().unwrap().contains(what));
    found.unwrap_or_else(|| panic!("no {kind} {what:?} in {trace:#}"))
}

#[test]
fn a_stored_token_is_traced_without_a_request() {
    let world = World::new();
    world.signed_in("work");
    let requests = world.server.requests().len();
    let ran = world.jeton(["trace", "work", "--json"]);
    let trace = trace(&ran, 0);
    assert_eq!((&trace["profile"], &trace["requests"]), (&json!("work"), &json!(0)));
    assert_eq!(trace["configuration"]["issuer"], world.server.issuer());
    let read = said(&trace, "store", "login read");
    assert!(detail(read, "refresh_token").unwrap().as_str().unwrap().starts_with("<secret "), "{read:#}");
    shows_none(&ran, &world.secrets("work"));
    assert_eq!(world.server.requests().len(), requests);
}

#[test]
fn a_refresh_is_real_each_request_is_shown_and_a_secret_has_one_fingerprint() {
    let world = World::new();
    world.signed_in("work");
    let before = world.record("work");
    let mut secrets = world.secrets("work");
    let requests = world.server.requests().len();
    let ran = world.jeton(["trace", "work", "--refresh", "--json"]);
    let trace = trace(&ran, 0);
    // What the server saw, and nothing else.
    let seen: Vec<String> = world.server.requests()[requests..]
        .iter()
        .map(|request| format!("{} {}", request.method, world.server.url(&request.path)))
        .collect();
    let shown: Vec<&str> =
        entries(&trace, "request").iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(shown, seen);
    assert_eq!(trace["requests"], seen.len());
    assert_eq!(entries(&trace, "answer").len(), seen.len());

    // The refresh token is spent, and its successor is stored.
    let after = world.record("work");
    assert_ne!(before.refresh_token, after.refresh_token);
    assert!(world.server.is_refresh_token_live(after.refresh_token.as_ref().unwrap().expose()));
    secrets.extend(world.secrets("work"));
    assert_eq!(world.jeton(["token", "work"]).answer().trim(), after.tokens[0].access_token.expose());
    // A reader can follow it: from the store into the request, and from the answer into the store.
    let of = |entry: &Value| detail(entry, "refresh_token").expect("a refresh token").clone();
    let spent = of(said(&trace, "store", "login read under the lease"));
    assert_eq!(of(said(&trace, "request", "POST")), spent);
    let answers = entries(&trace, "answer");
    let answer = answers.into_iter().find(|answer| detail(answer, "refresh_token").is_some()).unwrap();
    assert_eq!(of(said(&trace, "store", "login saved")), of(answer));
    assert_ne!(of(answer), spent);
    assert_eq!(detail(answer, "token_type").unwrap(), "Bearer");
    assert_eq!(detail(said(&trace, "request", "POST"), "grant_type").unwrap(), "refresh_token");
    said(&trace, "event", "this process has a new access token");
    shows_none(&ran, &secrets);

    let ran = world.jeton(["trace", "work", "--refresh"]);
    secrets.extend(world.secrets("work"));
    shows_none(&ran, &secrets);
    assert!(ran.answer().contains("grant_type: refresh_token"), "{ran}");
    for line in ran.answer().lines() {
        let longest_word = line.split(' ').map(|word| word.chars().count()).max().unwrap();
        assert!(line.chars().count() <= 80 || longest_word > 40, "{line}");
    }
}

#[test]
fn who_the_person_is_stays_hidden_unless_it_is_asked_for() {
    let world = World::new();
    world.signed_in("work");
    let id_token = world.record("work").id_token.expect("an ID token");
    let claims = id_token.expose().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let subject = claims["sub"].as_str().unwrap().to_owned();
    let hidden = world.jeton(["trace", "work", "--refresh", "--json"]);
    let shown = world.jeton(["trace", "work", "--refresh", "--show-claims", "--json"]);
    let claims_of = |ran: &Ran| {
        let trace = trace(ran, 0);
        let answer = entries(&trace, "answer").into_iter().rfind(|entry| detail(entry, "id_token").is_some());
        detail(answer.expect("an ID token"), "id_token").unwrap()["claims"].clone()
    };
    let (hidden, shown) = (claims_of(&hidden), claims_of(&shown));
    assert_eq!(hidden["iss"], world.server.issuer());
    assert!(hidden["exp"].is_u64());
    assert!(hidden["sub"].as_str().unwrap().starts_with("<personal "), "{hidden:#}");
    assert!(!hidden.to_string().contains(&format!("\"{subject}\"")), "{hidden:#}");
    assert_eq!(shown["sub"], subject);
    shows_none(&world.jeton(["trace", "work", "--show-claims"]), &world.secrets("work"));
}

#[test]
fn what_a_server_puts_into_its_answers_is_hidden_too() {
    let world = World::new();
    world.signed_in("work");
    let nested = "nested-marker-of-a-session";
    let random = "Zx81kQ0pLm37VbNc55TyRe";
    let shorts = ["hunter2pass", "s3cr3t", "zzTOPs", "abcd1234", "qwertyui"];
    world.server.fault(
        Endpoint::Token,
        Fault::rewrite(move |mut answer| {
            answer["session"] = json!({ "private_key": nested, "x-own": random, "team": "teamred" });
            answer["message"] = "red\u{1b}[2J".into();
            answer["incoming-webhook"] =
                json!({ "url": "https://hooks.example/T0aaaa/B0bbbb/whoever-has-it" });
            for (name, short) in ["key", "pass", "bearer", "api-key", "own"].into_iter().zip(shorts) {
                answer[name] = short.into();
            }
            answer["aZ09bY18cX27dW36"] = 1.into();
            answer["email"] = "alice-marker@example.com".into();
            answer["note"] = format!("see {random} and mail bob-marker@example.com").into();
            answer["back"] = format!("https://app.example/?code={nested}&state={nested}").into();
            answer
        }),
    );
    let mut secrets = world.secrets("work");
    let ran = world.jeton(["trace", "work", "--refresh", "--json"]);
    let text = trace(&ran, 0).to_string();
    secrets.extend(world.secrets("work"));
    let others = ["alice-marker", "bob-marker", "teamred", "whoever-has-it", "aZ09bY18cX27dW36"];
    secrets.extend([nested, random].iter().chain(&others).chain(&shorts).map(|text| (*text).to_owned()));
    shows_none(&ran, &secrets);
    assert!(text.contains("red") && !ran.stdout.contains(&0x1b), "{text}");
}

#[test]
fn an_error_that_repeats_the_refresh_token_shows_it_in_no_spelling() {
    let world = World::new();
    world.signed_in("work");
    let token = world.record("work").refresh_token.unwrap().expose().to_owned();
    let description = format!("unknown token {token}, {}", STANDARD.encode(&token));
    world.server.fault(
        Endpoint::Token,
        Fault::answer(
            400,
            "application/json",
            json!({ "error": "invalid_grant", "error_description": description }).to_string(),
        ),
    );
    let secrets = world.secrets("work");
    let ran = world.jeton(["trace", "work", "--refresh", "--json"]);
    let trace = trace(&ran, 3);
    shows_none(&ran, &secrets);
    let answer = *entries(&trace, "answer").last().unwrap();
    assert_eq!(detail(answer, "error").unwrap(), "invalid_grant");
    said(&trace, "event", "the login has ended");
    // The trace is the answer; why it did not work is said as ever.
    let failure: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(failure["error"]["code"], "login_required");
}

#[test]
fn a_client_secret_is_hidden_in_basic_and_in_the_form() {
    let world = World::new();
    world.service_profile("basic");
    let (client_id, secret) = DevServer::SERVICE_CLIENT;
    let ran = world.jeton(["trace", "basic", "--json"]);
    let found = trace(&ran, 0);
    let authorization = detail(said(&found, "request", "POST"), "authorization").unwrap().as_str().unwrap();
    assert!(authorization.starts_with(&format!("Basic {client_id}:<secret ")), "{authorization}");
    assert_eq!(found["store"]["kind"], "file");
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let pair = STANDARD.encode(format!("{client_id}:{encoded}"));
    shows_none(&ran, &[secret.to_owned(), pair]);

    let (client_id, secret) = DevServer::SECRET_JWT_CLIENT;
    world.profile(
        "signed",
        &format!(
            "issuer = \"{}\"\nclient_id = \"{client_id}\"\nlogin = \"client-credentials\"\n\
             authentication = \"client_secret_jwt\"",
            world.server.issuer()
        ),
    );
    let mut command = world.command(["trace", "signed", "--json"]);
    let ran = run(command.env("JETON_CLIENT_SECRET", secret), b"");
    let found = trace(&ran, 0);
    let assertion = detail(said(&found, "request", "POST"), "client_assertion").unwrap();
    assert_eq!(assertion["claims"]["iss"], client_id);
    assert!(assertion["claims"]["jti"].as_str().unwrap().starts_with("<secret "), "{assertion:#}");
    let sent = world.server.last_request(Endpoint::Token).unwrap();
    let sent = sent.form_value("client_assertion").unwrap();
    shows_none(&ran, &[secret.to_owned(), sent.rsplit('.').next().unwrap().to_owned()]);
    assert!(!ran.to_string().contains(sent));
}

#[test]
fn a_request_to_an_api_is_traced_with_the_refresh_that_it_needed() {
    let world = World::new();
    world.signed_in("work");
    let mut secrets = world.secrets("work");
    world.server.revoke_access_tokens();
    let requests = world.server.requests().len();
    let url = world.server.url("/api/hook/T0a1B2c3D4e5F6g7H8i9?api_key=query-marker&page=2");
    let ran = world.jeton(["trace", "work", "--request", "get", &url, "--json"]);
    let code = ran.code.unwrap();
    assert!(code == 0 || code == 7, "{ran}");
    let found = trace(&ran, code);
    let seen = &world.server.requests()[requests..];
    assert_eq!(found["requests"], seen.len());
    let paths: Vec<&str> = seen.iter().map(|request| request.path.split('/').nth(1).unwrap()).collect();
    assert_eq!(paths, ["api", ".well-known", "token", "jwks", "api"]);
    said(&found, "event", "the API refused the token");
    let first = entries(&found, "request")[0];
    assert!(first["what"].as_str().unwrap().contains("&page=<hidden "), "{first:#}");
    let authorization = |index: usize| {
        let request = entries(&found, "request")[index];
        detail(request, "authorization").unwrap().as_str().unwrap().to_owned()
    };
    assert!(authorization(0).starts_with("Bearer <secret "));
    assert_ne!(authorization(0), authorization(4), "another token");
    secrets.extend(world.secrets("work"));
    secrets.extend(["query-marker".to_owned(), "T0a1B2c3D4e5F6g7H8i9".to_owned()]);
    shows_none(&ran, &secrets);
    // The token goes to no stranger, and nothing is sent.
    let requests = world.server.requests().len();
    let stranger = world.jeton(["trace", "work", "--request", "GET", "https://stranger.example/", "--json"]);
    let found = trace(&stranger, 2);
    assert_eq!(found["requests"], 0);
    assert_eq!(world.server.requests().len(), requests);
}

#[test]
fn proofs_are_shown_by_their_claims() {
    let world = World::with(|builder| builder.dpop_nonces(1));
    world.profile(
        "bound",
        &format!(
            "issuer = \"{}\"\nclient_id = \"{}\"\nlogin = \"client-credentials\"\ndpop = true\n\
             authentication = \"client_secret_basic\"\napis = [\"{}\"]",
            world.server.issuer(),
            DevServer::SERVICE_CLIENT.0,
            world.server.url(""),
        ),
    );
    world.keep_secret("bound", DevServer::SERVICE_CLIENT.0, DevServer::SERVICE_CLIENT.1);
    let url = world.server.resource_url();
    let requests = world.server.requests().len();
    let ran = world.jeton(["trace", "bound", "--request", "GET", &url, "--json"]);
    let found = trace(&ran, 0);
    let seen = world.server.requests().split_off(requests);
    assert_eq!(found["requests"], seen.len());
    let last = *entries(&found, "request").last().unwrap();
    let proof = detail(last, "dpop").unwrap();
    assert_eq!((&proof["claims"]["htm"], &proof["claims"]["htu"]), (&json!("GET"), &json!(url)));
    assert_eq!(proof["header"]["typ"], "dpop+jwt");
    assert!(detail(last, "authorization").unwrap().as_str().unwrap().starts_with("DPoP <secret "));
    let record = world.record_of("bound", DevServer::SERVICE_CLIENT.0).unwrap();
    let key: Value = serde_json::from_str(record.dpop_key.unwrap().expose()).unwrap();
    let mut secrets =
        vec![key["d"].as_str().unwrap().to_owned(), record.tokens[0].access_token.expose().to_owned()];
    for request in &seen {
        secrets.extend(request.header("dpop").map(|proof| proof.rsplit('.').next().unwrap().to_owned()));
    }
    shows_none(&ran, &secrets);
}

#[test]
fn what_does_not_work_is_traced_and_fails_as_ever() {
    let world = World::new();
    world.person_profile("work");
    let never = world.jeton(["trace", "work", "--json"]);
    let found = trace(&never, 3);
    said(&found, "store", "no login there");
    assert_eq!(found["outcome"]["code"], "login_required");

    world.sign_in_again("work", DevServer::PUBLIC_CLIENT, |builder| builder.scope(crate::world::SCOPE));
    world.server.fault(Endpoint::Token, Fault::DropAfterCommit);
    let ran = world.jeton(["trace", "work", "--refresh", "--json"]);
    let found = trace(&ran, 5);
    let answer = *entries(&found, "answer").last().unwrap();
    assert_eq!(detail(answer, "so").unwrap(), "the server may have acted on it");
    shows_none(&ran, &world.secrets("work"));

    world.jeton(["trace", "nobody"]).failed(2);
    world.jeton(["trace", "work", "--refresh", "--request", "GET", "https://x.example"]).failed(2);
}

#[cfg(unix)]
#[test]
fn a_login_is_traced_from_the_browser_to_the_store() {
    let world = World::new();
    world.person_profile("work");
    let requests = world.server.requests().len();
    let browser = crate::login::Browser::of(&world);
    let mut command = world.command(["trace", "work", "--login", "--json"]);
    let ran = run(command.env("BROWSER", &browser.program), b"");
    let found = trace(&ran, 0);
    browser.page();
    let sent = said(&found, "event", "the person is sent to");
    assert_eq!(detail(sent, "code_challenge_method").unwrap(), "S256");
    assert!(detail(sent, "state").unwrap().as_str().unwrap().starts_with("<secret "), "{sent:#}");
    let exchange = said(&found, "request", "POST");
    assert_eq!(detail(exchange, "grant_type").unwrap(), "authorization_code");
    said(&found, "store", "login saved");
    said(&found, "event", "somebody logged in");
    let seen = world.server.requests().split_off(requests);
    // The browser's own are not among them.
    let own = seen.iter().filter(|request| !request.path.starts_with("/authorize")).count();
    assert_eq!(found["requests"], own);
    let mut secrets = world.secrets("work");
    for request in &seen {
        for name in ["state", "nonce", "code", "code_verifier"] {
            let values = [request.query_value(name), request.form_value(name)];
            secrets.extend(values.into_iter().flatten().map(str::to_owned));
        }
    }
    assert!(secrets.len() > 6, "state, nonce, code and verifier are among them");
    // The address that the person may have to open stands on standard error, and in no trace.
    shows_none(&Ran { stderr: String::new(), ..ran }, &secrets);
    assert!(world.jeton(["token", "work"]).answer().trim().len() > 5);
}
