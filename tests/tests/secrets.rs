//! No secret is ever seen: not in logs, errors, Debug, events, output or stray files, whatever a server does.
//!
//! The test runs itself once more as a child process, in a home of its own. The child goes through every grant, well and
//! with each kind of failure, and looks at everything that it was shown and that was logged; the parent then looks at what
//! the child printed and at every file that it left outside of the store's folder.
//!
//! Secrets of the program (client secret, passwords) are planted. Those of the server and of jeton (tokens, codes,
//! verifiers, `state`) are collected from the wire, so that they are the real ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says what it expects.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::fmt::{Debug, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use jeton_client::reqwest::Url;
use jeton_client::{
    AuthorizationCode, Ciba, Client, ClientCredentials, ClientSecretBasic, ClientSecretJwt, ClientSecretPost,
    DeviceCode, Error, ExtraParameters, FileStore, GrantError, HttpOptions, JwsAlgorithm, JwtBearer, Limits,
    LoopbackRedirect, MemoryStore, PastedRedirect, PendingLogin, PrivateKeyJwt, PublicClient, Registrar,
    ReqwestTransport, ResourceClient, ResourceOwnerPasswordCredentials, SecurityToken, Session,
    SignedAssertion, SigningKey, TlsClientAuth, TokenExchange, TokenStore,
};
use jeton_devserver::{Client as Registered, DevServer, Endpoint, Fault, IdTokenFault, ResourceMetadata};
use jeton_grants::{
    AuthorizationPrompt, AuthorizationReply, EndpointRequest, GrantContext, Interaction, InteractionError,
    ManualRegistration, Operation, RedirectEndpoint as _, RefreshToken, RegistrationPrompt, ServerPrompt,
};
use jeton_models::{
    AccessTokenRequest, Answer, AuthorizationCodeAccessTokenRequest, AuthorizationRequest,
    AuthorizationResponse, AuthorizationServerMetadata, BackchannelAuthenticationResponse,
    ClientCredentialsAccessTokenRequest, ClientMetadata, DeviceAccessTokenRequest,
    DeviceAuthorizationResponse, ErrorResponse, ExtraMembers, GrantType, JwtBearerAccessTokenRequest,
    OAuth2Error, Parameters, ParseOptions, Pkce, RefreshTokenAccessTokenRequest,
    ResourceOwnerPasswordCredentialsAccessTokenRequest, Secret, Token, TokenExchangeRequest, TokenResponse,
    TokenTypeIdentifier,
};
use jeton_storage::{LoginKey, LoginRecord, StoredToken, TokenTarget};
use jeton_tests::log;
use jeton_tests::person::{Browsing, Person, REDIRECT_URI, Typing, redirect, sign_in};
use jeton_tests::world::World;

// Characters that are spelt in other ways in forms, URLs and JSON are among them.
const CLIENT_SECRET: &str = "m4rk3r cl13nt s3cr3t +&\"%\u{e9}";
const POST_SECRET: &str = "m4rk3r p0st s3cr3t +&\"%\u{e9}";
const PASSWORD: &str = "m4rk3r p4ssw0rd +&\"%\u{e9}";
const PROXY_PASSWORD: &str = "m4rk3r-pr0xy-p4ssw0rd";
const QUERY_KEY: &str = "m4rk3r-qu3ry-k3y-0f-4n-4p1";
const DEVICE_CODE: &str = "m4rk3r-d3v1c3-c0d3-0f-4-d3v1c3";
const ID_TOKEN: &str = "m4rk3r-1d-t0k3n.0f-4.p3rs0n";
/// Who logs in, as ID tokens and userinfo name them.
const PERSON: &str = "m4rk3r-n4m3-0f-4-p3rs0n";
const INITIAL: &str = "m4rk3r-1n1t14l-4cc3ss-t0k3n";
const STATEMENT: &str = "m4rk3r.s0ftw4r3.st4t3m3nt";
const EXTRA: &str = "m4rk3r-3xtr4-p4r4m3t3r";

const CHILD: &str = "JETON_TEST_SECRETS_CHILD";

#[test]
fn no_secret_is_ever_seen() {
    if let Some(report) = std::env::var_os(CHILD) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(child(Path::new(&report)));
    }
    let (home, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let report = outside.path().join("report");
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command
        .args(["no_secret_is_ever_seen", "--exact", "--nocapture", "--test-threads=1"])
        .current_dir(home.path())
        .env(CHILD, &report);
    for place in ["HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA", "TMPDIR", "TMP", "TEMP"] {
        command.env(place, home.path());
    }
    for place in ["XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
        command.env(place, home.path());
    }
    let output = command.output().unwrap();
    let printed =
        format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}");

    let secrets: Secrets = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(secrets.found_in(&printed), None, "standard output or error");
    let mut files = Vec::new();
    collect_files(home.path(), &mut files);
    let (stored, strays): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|(path, _)| path.contains("/logins/") || path.contains("\\logins\\"));
    for (path, content) in &strays {
        assert_eq!(secrets.found_in(content), None, "{path}");
    }
    // The search finds what is there: the store's own files are the place where refresh tokens are.
    assert!(
        stored.iter().any(|(_, content)| secrets.found_in(content).is_some()),
        "the store has been looked at"
    );
}

fn collect_files(folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(&path, files);
        } else {
            let content = std::fs::read(&path).unwrap();
            files.push((path.display().to_string(), String::from_utf8_lossy(&content).into_owned()));
        }
    }
}

// ----- What must not be seen -----------------------------------------------------------------------------------------------

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Secrets(BTreeSet<String>);

impl Secrets {
    /// With everything secret that ever reached the server, and what its answers have put into the store.
    fn collect(world: &World) -> Self {
        let planted = [
            CLIENT_SECRET,
            POST_SECRET,
            PASSWORD,
            PROXY_PASSWORD,
            QUERY_KEY,
            DEVICE_CODE,
            ID_TOKEN,
            PERSON,
            EXTRA,
            INITIAL,
            STATEMENT,
        ];
        let mut secrets: BTreeSet<String> = planted.into_iter().map(str::to_owned).collect();
        let names = [
            "code",
            "code_verifier",
            "state",
            "nonce",
            "id_token_hint",
            "refresh_token",
            "device_code",
            "token",
            "client_secret",
            "client_assertion",
            "password",
            "subject_token",
            "actor_token",
            "assertion",
            "auth_req_id",
            "login_hint_token",
            "id_token_hint",
        ];
        for request in world.server.requests() {
            let parameters = request.query.iter().chain(&request.form);
            secrets.extend(
                parameters.filter(|(name, _)| names.contains(&name.as_str())).map(|(_, value)| value.clone()),
            );
            let credentials = request.header("authorization").and_then(|value| value.split_once(' '));
            secrets.extend(credentials.map(|(_, credentials)| credentials.to_owned()));
            secrets.extend(request.header("dpop").map(str::to_owned));
        }
        Self(secrets)
    }

    fn add(&mut self, secret: &Secret) {
        self.0.insert(secret.expose().to_owned());
    }

    /// The surroundings of the first secret in the text, in whatever spelling; half a token is a secret, too.
    fn found_in(&self, text: &str) -> Option<String> {
        self.0.iter().flat_map(|secret| spellings(secret)).find_map(|spelling| {
            let at = text.find(&spelling)?;
            let begin = boundary(text, at.saturating_sub(200));
            Some(text[begin..boundary(text, (at + 100).min(text.len()))].to_owned())
        })
    }
}

/// The last place at or before this one where the text may be cut.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn spellings(secret: &str) -> Vec<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let form: String =
        Url::parse_with_params("http://x/", [("x", secret)]).unwrap().query().unwrap()[2..].to_owned();
    let json = serde_json::to_string(secret).unwrap();
    let mut spellings = vec![
        secret.to_owned(),
        form.replace('+', "%20"),
        form,
        json.trim_matches('"').to_owned(),
        format!("{secret:?}").trim_matches('"').to_owned(),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
    ];
    spellings.iter_mut().for_each(|spelling| {
        assert!(spelling.len() >= 16, "too short to be searched for");
        spelling.truncate(boundary(spelling, 16));
    });
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}

/// Everything that a program could have shown.
#[derive(Default)]
struct Shown(Mutex<String>);

impl Shown {
    fn debug(&self, value: &dyn Debug) {
        let mut text = self.0.lock().unwrap();
        writeln!(text, "{value:?}\n{value:#?}").unwrap();
    }

    /// With all its causes.
    fn error(&self, error: &(dyn StdError + 'static)) {
        self.debug(&error);
        let mut next = Some(error);
        while let Some(error) = next {
            writeln!(self.0.lock().unwrap(), "{error} {error:#} {error:?}").unwrap();
            next = error.source();
        }
    }

    fn failure(&self, error: &Error) {
        self.error(error);
        self.debug(&error.recovery());
        self.debug(&error.oauth_error());
        if let Some(oauth) = error.oauth_error() {
            for (name, value) in oauth.response.extra.iter() {
                writeln!(self.0.lock().unwrap(), "{name}={value}").unwrap();
            }
        }
    }
}

// ----- What servers do -----------------------------------------------------------------------------------------------------

/// Each kind of failure, of a server that repeats what it was sent wherever it can.
fn failures(echoed: &[String]) -> Vec<Fault> {
    let echo = echoed.join(" and ");
    let json =
        |status, value: serde_json::Value| Fault::answer(status, "application/json", value.to_string());
    let form = |text: &str| -> String {
        Url::parse_with_params("http://x/", [("error", "invalid_grant"), ("error_description", text)])
            .unwrap()
            .query()
            .unwrap()
            .to_owned()
    };
    let mut faults = vec![
        json(
            401,
            serde_json::json!({
                "error": "invalid_client", "error_description": echo, "error_uri": format!("https://as.example/?{echo}"),
                "request": {"body": [echo]},
            }),
        ),
        json(400, serde_json::json!({"error": "invalid_scope", "error_description": echo})),
        json(200, serde_json::json!({"error": "invalid_target", "error_description": echo})),
        json(400, serde_json::json!({"error": {"code": "bad", "message": echo}})),
        json(400, serde_json::json!({"errors": [{"errorType": "bad", "message": echo}]})),
        json(500, serde_json::json!({"message": echo, "access_token": echo})),
        json(200, serde_json::json!({"access_token": 7, "message": echo, "device_code": 7})),
        json(200, serde_json::json!([echo])),
        Fault::answer(
            200,
            "application/json",
            format!("{{\"access_token\":\"{ID_TOKEN}\",\"refresh_token\":\"{echo}"),
        ),
        Fault::answer(
            200,
            "application/json",
            format!("{{\"access_token\":\"{ID_TOKEN}\n{echo}\",\"token_type\":\"Bearer\"}}"),
        ),
        json(200, serde_json::json!({"access_token": ID_TOKEN, "token_type": "mac", "mac_key": echo})),
        Fault::answer(400, "application/x-www-form-urlencoded", form(&echo)),
        Fault::answer(502, "text/html", format!("<html><body>{echo}</body></html>")),
        Fault::answer(503, "text/plain", echo.clone()),
        Fault::Answer {
            status: 307,
            headers: vec![("location".to_owned(), format!("http://127.0.0.1:1/?{}", form(&echo)))],
            body: echo.clone().into_bytes(),
        },
        Fault::DropBeforeCommit,
        Fault::HugeBody(2 << 20),
    ];
    // Each of them as the error code itself.
    faults.extend(echoed.iter().map(|secret| json(400, serde_json::json!({"error": secret}))));
    faults
}

struct Run {
    world: World,
    shown: Arc<Shown>,
    secrets: Mutex<Secrets>,
    store: Arc<dyn TokenStore>,
}

impl Run {
    fn builder(&self, client_id: &str) -> jeton_client::ClientBuilder {
        let mut extra = ExtraParameters::default();
        for parameters in [&mut extra.token, &mut extra.refresh, &mut extra.device_authorization] {
            parameters.append("x_key", EXTRA).unwrap();
        }
        let shown = self.shown.clone();
        let builder = self.world.client(client_id).shared_store(self.store.clone()).extra_parameters(extra);
        builder.on_event(move |event| shown.debug(event))
    }

    fn confidential(&self, account: &str) -> Session {
        self.builder("basic").client_secret(CLIENT_SECRET).scope("read").build().unwrap().account(account)
    }

    /// What the store has of a login: all of it is secret from now on.
    async fn record(&self, session: &Session) -> LoginRecord {
        let record = self.store.load(session.key()).await.unwrap().expect("a login");
        let mut secrets = self.secrets.lock().unwrap();
        record.refresh_token.iter().for_each(|token| secrets.add(token));
        record.tokens.iter().for_each(|token| secrets.add(&token.access_token));
        record.id_token.iter().for_each(|token| secrets.add(token));
        if let Some(key) = &record.dpop_key {
            let key: serde_json::Value = serde_json::from_str(key.expose()).unwrap();
            secrets.add(&Secret::from(key["d"].as_str().unwrap()));
        }
        record
    }

    fn see(&self, error: &Error) {
        self.shown.failure(error);
    }
}

async fn child(report: &Path) {
    let log = log::captured();
    let clients = [
        Registered::basic("basic", CLIENT_SECRET)
            .redirect_uri(REDIRECT_URI)
            .redirect_uri("http://127.0.0.1/callback"),
        Registered::post("post", POST_SECRET).redirect_uri(REDIRECT_URI),
    ];
    let world = World::with(|server| {
        let server = server
            .user("carol", PASSWORD)
            .user(PERSON, PASSWORD)
            .initial_access_token(INITIAL)
            .software_statement(STATEMENT);
        clients.into_iter().fold(server, |s, c| s.client(c))
    });
    let folder = std::env::current_dir().unwrap().join("logins");
    let run = Run {
        world,
        shown: Arc::default(),
        secrets: Mutex::default(),
        store: Arc::new(FileStore::new(folder)),
    };
    authorization_code(&run).await;
    refresh(&run).await;
    client_credentials(&run).await;
    password(&run).await;
    device_code(&run).await;
    log_outs(&run).await;
    resources(&run).await;
    openid(&run).await;
    dpop(&run).await;
    assertions(&run).await;
    registration(&run).await;
    from_a_url_alone(&run).await;
    presented(&run).await;
    ciba(&run).await;
    certificates(&run).await;
    network(&run).await;
    storage(&run).await;
    types(&run).await;

    let mut secrets = Secrets::collect(&run.world);
    secrets.0.append(&mut run.secrets.lock().unwrap().0);
    assert!(secrets.0.len() > 100, "there was something to be hidden: {}", secrets.0.len());
    let logged = log.text();
    assert!(
        logged.contains("TRACE") && logged.contains("token request (refresh_token)"),
        "everything is logged"
    );
    assert_eq!(secrets.found_in(&logged), None, "the log");
    let shown = run.shown.0.lock().unwrap();
    assert!(shown.contains("invalid_client") && shown.contains("Refreshed"), "errors and events were shown");
    assert_eq!(secrets.found_in(&shown), None, "errors, Debug, events");
    std::fs::write(report, serde_json::to_vec(&secrets).unwrap()).unwrap();
}

/// Tokens and assertions that a grant presents: of a server that repeats them, of sources that fail.
async fn presented(run: &Run) {
    let server = &run.world.server;
    let assertion = "m4rk3r-4ss3rt10n.0f-4.p3rs0n".to_owned();
    let (subject, actor) = ("m4rk3r-subj3ct-t0k3n".to_owned(), "m4rk3r-4ct0r-t0k3n".to_owned());
    // What a request has sent, its server can repeat.
    let echoed = [vec![subject.clone(), actor.clone()], vec![assertion.clone()], vec![]];
    let subject = SecurityToken::access_token(subject);
    run.shown.debug(&subject);
    let exchange = TokenExchange::new(subject).actor(SecurityToken::id_token(actor));
    let signed =
        SignedAssertion::new(SigningKey::generate(JwsAlgorithm::Es256).unwrap(), "https://sts.example");
    let bearer = JwtBearer::new({
        let assertion = assertion.clone();
        move || {
            let assertion = Secret::new(assertion.as_str());
            async move { Ok::<_, GrantError>(assertion) }
        }
    });
    run.shown.debug(&exchange);
    run.shown.debug(&signed);
    run.shown.debug(&bearer);
    let sessions = [
        run.builder("basic").grant(exchange),
        run.builder("basic").grant(bearer),
        run.builder("basic").grant(JwtBearer::new(signed)),
    ];
    for (number, (builder, mut echoed)) in sessions.into_iter().zip(echoed).enumerate() {
        echoed.extend([CLIENT_SECRET.to_owned(), EXTRA.to_owned()]);
        let client = builder.client_secret(CLIENT_SECRET).scope("read").build().unwrap();
        for (kind, fault) in failures(&echoed).into_iter().enumerate() {
            server.fault(Endpoint::Token, fault);
            let session = client.account(format!("presenting {number} {kind}"));
            run.see(&session.token().await.unwrap_err());
        }
        // The server's own refusal.
        run.see(&client.account(format!("refused {number}")).token().await.unwrap_err());
    }
    let mut request = TokenExchangeRequest::new(Secret::new(assertion.as_str()), TokenTypeIdentifier::JWT);
    request.actor_token = Some(Secret::new(assertion.as_str()));
    run.shown.debug(&request);
    run.shown.error(&request.to_parameters().unwrap_err());
    run.shown.debug(&JwtBearerAccessTokenRequest::new(Secret::new(assertion)));
}

/// A login by CIBA: what names it is as good as a device code.
async fn ciba(run: &Run) {
    const HINT: &str = "m4rk3r-l0g1n-h1nt-t0k3n";
    const USER_CODE: &str = "m4rk3r-us3r-c0d3-0f-4l1c3";
    let server = &run.world.server;
    let asked = [HINT, USER_CODE, CLIENT_SECRET].map(str::to_owned);
    let polled = [DEVICE_CODE, CLIENT_SECRET, EXTRA].map(str::to_owned);
    run.secrets.lock().unwrap().0.extend(asked.clone());
    let grant = Ciba::login_hint_token(HINT).user_code(USER_CODE);
    run.shown.debug(&grant);
    let client =
        run.builder("basic").client_secret(CLIENT_SECRET).scope("openid").grant(grant).build().unwrap();
    for fault in failures(&asked) {
        server.fault(Endpoint::BackchannelAuthentication, fault);
        run.see(&client.session().log_in().await.unwrap_err());
    }
    for fault in failures(&polled) {
        let asked =
            serde_json::json!({ "auth_req_id": DEVICE_CODE, "expires_in": 20, "interval": 5 }).to_string();
        server.fault(Endpoint::BackchannelAuthentication, Fault::answer(200, "application/json", asked));
        server.fault(Endpoint::Token, fault);
        run.see(&client.session().log_in().await.unwrap_err());
    }
    server.clear_faults();
    let body = format!(r#"{{"auth_req_id":"{DEVICE_CODE}","expires_in":20}}"#);
    let answer = Answer::new(200, Some("application/json"), body.as_bytes());
    run.shown.debug(&BackchannelAuthenticationResponse::parse(&answer, &ParseOptions::default()).unwrap());
}

/// The private key of a client certificate, good and broken.
async fn certificates(run: &Run) {
    let (chain, key) = DevServer::self_signed_certificate("secrets").unwrap();
    let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    run.secrets.lock().unwrap().0.insert(body.clone());
    let half = format!("-----BEGIN PRIVATE KEY-----\n{body}\n");
    let other = DevServer::self_signed_certificate("another").unwrap().0;
    for (chain, key) in [(chain.clone(), key.clone()), (chain, half), (other, key), (String::new(), body)] {
        let options = HttpOptions::new().client_certificate(chain, key);
        run.shown.debug(&options);
        if let Err(error) = ReqwestTransport::new(&options) {
            run.shown.error(&error);
        }
        match run.builder("basic").http(options).authentication(TlsClientAuth).build() {
            Ok(client) => run.see(&client.session().refresh().await.unwrap_err()),
            Err(error) => run.see(&error),
        }
    }
}

async fn authorization_code(run: &Run) {
    let server = &run.world.server;
    let session = run.confidential("by code");
    let begun = || async {
        let (url, pending) = session.begin_log_in(REDIRECT_URI).await.unwrap();
        let kept = serde_json::to_value(&pending).unwrap();
        run.shown.debug(&pending);
        let verifier = kept["code_verifier"].as_str().unwrap().to_owned();
        run.secrets.lock().unwrap().0.insert(verifier.clone());
        run.secrets.lock().unwrap().add(pending.state());
        let redirected = redirect(server, &url);
        let code = redirected.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
        run.secrets.lock().unwrap().0.insert(code.clone());
        let echoed = vec![
            code,
            verifier,
            pending.state().expose().to_owned(),
            CLIENT_SECRET.to_owned(),
            EXTRA.to_owned(),
        ];
        (pending, redirected, echoed)
    };
    let kinds = failures(&vec![String::new(); 5]).len();
    for kind in 0..kinds {
        let (pending, redirected, echoed) = begun().await;
        // `state` is not sent to the token endpoint, so that no server can repeat it there.
        let state = pending.state().expose().to_owned();
        let echoed: Vec<String> = echoed
            .into_iter()
            .map(|secret| if secret == state { EXTRA.to_owned() } else { secret })
            .collect();
        server.fault(Endpoint::Token, failures(&echoed).swap_remove(kind));
        run.see(&session.finish_log_in(pending, &redirected).await.unwrap_err());
    }
    // The front channel: refusals that repeat `state`, wrong answers of all kinds, a login that is used twice or too old.
    for query in [
        "error=access_denied&error_description={state}&state={state}&iss={iss}",
        "error={state}&state={state}&iss={iss}",
        "code={code}&state=wrong-wrong-wrong-wrong",
        "code={code}",
        "code={code}&state={state}&iss=https%3A%2F%2Fx.example",
        "code={code}&code={code}&state={state}",
        "state={state}&iss={iss}",
        "error_uri=https://x.example/{state}&error=x&state={state}&iss={iss}",
    ] {
        let (pending, _, echoed) = begun().await;
        let query = query
            .replace("{state}", &echoed[2])
            .replace("{code}", &echoed[0])
            .replace("{iss}", server.issuer());
        let redirected = Url::parse(&format!("{REDIRECT_URI}?{query}")).unwrap();
        let reply = AuthorizationReply::Redirected(redirected.clone());
        run.shown.debug(&reply);
        run.see(&session.finish_log_in(pending, &redirected).await.unwrap_err());
    }
    let (pending, redirected, _) = begun().await;
    let again: PendingLogin = serde_json::from_str(&serde_json::to_string(&pending).unwrap()).unwrap();
    let foreign: PendingLogin = serde_json::from_str(&serde_json::to_string(&pending).unwrap()).unwrap();
    run.shown.debug(&session.finish_log_in(pending, &redirected).await.unwrap());
    run.see(&session.finish_log_in(again, &redirected).await.unwrap_err());
    run.see(
        &run.builder("post")
            .build()
            .unwrap()
            .session()
            .finish_log_in(foreign, &redirected)
            .await
            .unwrap_err(),
    );
    run.record(&session).await;
    let (pending, redirected, _) = begun().await;
    run.world.clock.advance(Duration::from_secs(1_000));
    run.see(&session.finish_log_in(pending, &redirected).await.unwrap_err());

    // Through the grant, pasted; and one that nobody finishes.
    let person = Person::new(server, Browsing::Pastes);
    let grant = AuthorizationCode::new(PastedRedirect::new(REDIRECT_URI));
    let session = run
        .builder("basic")
        .client_secret(CLIENT_SECRET)
        .grant(grant.clone())
        .interaction(person)
        .build()
        .unwrap()
        .account("pasted");
    run.shown.debug(&grant);
    server.deny_next_authorization();
    run.see(&session.log_in().await.unwrap_err());
    run.shown.debug(&session.log_in().await.unwrap());
    run.record(&session).await;
    let person = Person::new(server, Browsing::GoesAway);
    let grant = AuthorizationCode::new(LoopbackRedirect::new());
    let session = run
        .builder("basic")
        .client_secret(CLIENT_SECRET)
        .grant(grant)
        .interaction(person.clone())
        .build()
        .unwrap()
        .account("nobody");
    run.see(&session.log_in().await.unwrap_err());
    for seen in person.seen() {
        let state = seen.url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        run.secrets.lock().unwrap().0.insert(state);
    }
}

async fn refresh(run: &Run) {
    let server = &run.world.server;
    let kinds = failures(&vec![String::new(); 3]).len();
    for kind in 0..kinds {
        let session = run.confidential(&format!("refresh {kind}"));
        let mut events = run.builder("basic").build().unwrap().events();
        // One of the failures ends the login itself, and leaves the end that is prepared below unused.
        server.clear_faults();
        sign_in(server, &session).await.unwrap();
        let record = run.record(&session).await;
        let refresh_token = record.refresh_token.unwrap().expose().to_owned();
        let echoed = [refresh_token.clone(), CLIENT_SECRET.to_owned(), EXTRA.to_owned()];
        server.fault(Endpoint::Token, failures(&echoed).swap_remove(kind));
        run.see(&session.refresh().await.unwrap_err());
        if let Err(error) = session.token().await {
            run.see(&error);
        }
        // The reason of an ended login is stored, told by events and by later errors.
        let ended = serde_json::json!({"error": "invalid_grant", "error_description": echoed.join(" ")});
        server.fault(Endpoint::Token, Fault::answer(400, "application/json", ended.to_string()));
        run.world.clock.advance(Duration::from_secs(100_000));
        for _ in 0..2 {
            run.see(&session.token().await.unwrap_err());
        }
        let record = run.record(&session).await;
        run.shown.debug(&record.status);
        writeln!(run.shown.0.lock().unwrap(), "{}", record.status).unwrap();
        drop(session);
        run.shown.debug(&events);
        run.shown.debug(&tokio::time::timeout(Duration::ZERO, events.next()).await);
    }
    server.clear_faults();
    let session = run.confidential("refresh");
    sign_in(server, &session).await.unwrap();
    server.fault(Endpoint::Token, Fault::set("id_token", ID_TOKEN));
    let token = session.refresh().await.unwrap();
    assert_eq!(token.extra().get_str("id_token"), Some(ID_TOKEN));
    run.shown.debug(&token);
    run.shown.debug(&token.to_token());
    run.shown.debug(&run.record(&session).await);
}

async fn client_credentials(run: &Run) {
    let basic = |account: &str| {
        run.builder("basic")
            .client_secret(CLIENT_SECRET)
            .grant(ClientCredentials)
            .build()
            .unwrap()
            .account(account)
    };
    let post = |account: &str| {
        let client =
            run.builder("post").authentication(ClientSecretPost::new(POST_SECRET)).grant(ClientCredentials);
        client.build().unwrap().account(account)
    };
    for (secret, session) in [(CLIENT_SECRET, &basic as &dyn Fn(&str) -> Session), (POST_SECRET, &post)] {
        // Also the header as it was sent.
        let header = base64_of(&format!("basic:{}", form_encoded(secret)));
        run.secrets.lock().unwrap().0.insert(header.clone());
        let echoed = [
            secret.to_owned(),
            if secret == CLIENT_SECRET { header } else { EXTRA.to_owned() },
            EXTRA.to_owned(),
        ];
        for (kind, fault) in failures(&echoed).into_iter().enumerate() {
            run.world.server.fault(Endpoint::Token, fault);
            run.see(&session(&format!("service {kind}")).token().await.unwrap_err());
        }
        let session = session("service");
        run.shown.debug(&session.token().await.unwrap());
        run.record(&session).await;
    }
    let mut extra = ExtraParameters::default();
    extra.token.append("client_secret", POST_SECRET).unwrap();
    run.shown.debug(&extra);
    let session = run
        .builder("basic")
        .client_secret(CLIENT_SECRET)
        .grant(ClientCredentials)
        .extra_parameters(extra)
        .build()
        .unwrap()
        .account("two");
    run.see(&session.token().await.unwrap_err());
}

fn form_encoded(text: &str) -> String {
    Url::parse_with_params("http://x/", [("x", text)]).unwrap().query().unwrap()[2..].to_owned()
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

async fn password(run: &Run) {
    let session = |account: &str, password: &str| {
        let grant = ResourceOwnerPasswordCredentials::new("carol", password);
        run.shown.debug(&grant);
        let client = run.builder("basic").client_secret(CLIENT_SECRET).grant(grant);
        client.build().unwrap().account(account)
    };
    for (kind, fault) in
        failures(&[PASSWORD.to_owned(), CLIENT_SECRET.to_owned(), EXTRA.to_owned()]).into_iter().enumerate()
    {
        run.world.server.fault(Endpoint::Token, fault);
        run.see(&session(&format!("carol {kind}"), PASSWORD).token().await.unwrap_err());
    }
    run.see(&session("wrong", "m4rk3r wr0ng p4ssw0rd").token().await.unwrap_err());
    let session = session("carol", PASSWORD);
    run.shown.debug(&session.token().await.unwrap());
    run.record(&session).await;
}

async fn device_code(run: &Run) {
    let server = &run.world.server;
    let session = |account: &str, typing| {
        let person = Person::at_a_device(server, typing);
        let grant = DeviceCode::new().pkce(true);
        run.shown.debug(&grant);
        run.builder("basic")
            .client_secret(CLIENT_SECRET)
            .grant(grant)
            .interaction(person)
            .build()
            .unwrap()
            .account(account)
    };
    let echoed = [CLIENT_SECRET.to_owned(), EXTRA.to_owned(), DEVICE_CODE.to_owned()];
    for (kind, fault) in failures(&echoed[..2]).into_iter().enumerate() {
        server.fault(Endpoint::DeviceAuthorization, fault);
        run.see(&session(&format!("device {kind}"), Typing::Ignores).log_in().await.unwrap_err());
    }
    for (kind, fault) in failures(&echoed).into_iter().enumerate() {
        server.fault(Endpoint::DeviceAuthorization, Fault::set("device_code", DEVICE_CODE));
        // Some of these end the login; the others are followed by the refusal of a device code that nobody knows.
        server.fault(Endpoint::Token, fault);
        run.see(&session(&format!("poll {kind}"), Typing::Ignores).log_in().await.unwrap_err());
    }
    server.fault(
        Endpoint::DeviceAuthorization,
        Fault::set("verification_uri", format!("http://x.example/{EXTRA}")),
    );
    let refused = session("odd page", Typing::Ignores).log_in().await.unwrap_err();
    assert!(refused.to_string().contains("x.example"), "{refused}");
    run.see(&session("denied", Typing::Denies).log_in().await.unwrap_err());
    let session = session("device", Typing::Approves);
    run.shown.debug(&session.log_in().await.unwrap());
    run.record(&session).await;
}

async fn log_outs(run: &Run) {
    let kinds = failures(&vec![String::new(); 2]).len();
    for kind in 0..kinds {
        let session = run.confidential(&format!("log out {kind}"));
        sign_in(&run.world.server, &session).await.unwrap();
        let refresh_token = run.record(&session).await.refresh_token.unwrap().expose().to_owned();
        run.world.server.fault(
            Endpoint::Revocation,
            failures(&[refresh_token, CLIENT_SECRET.to_owned()]).swap_remove(kind),
        );
        let logged_out = session.log_out().await.unwrap();
        run.shown.debug(&logged_out);
        // A revocation whose body is odd has succeeded all the same.
        logged_out.revocation_error.iter().for_each(|error| run.see(error));
        run.see(&session.token().await.unwrap_err());
    }
}

async fn openid(run: &Run) {
    let server = &run.world.server;
    server.approve_as(PERSON);
    let builder = run.builder("basic").client_secret(CLIENT_SECRET).scope("openid profile email read");
    let session = builder.build().unwrap().account("openid");
    let log_in = async || {
        let (url, pending) = session.begin_log_in(REDIRECT_URI).await.unwrap();
        run.shown.debug(&pending);
        session.finish_log_in(pending, &redirect(server, &url)).await
    };
    let set = |name: &'static str| {
        IdTokenFault::claims(move |mut claims| {
            claims[name] = ID_TOKEN.into();
            claims
        })
    };
    let wrong = [set("iss"), set("aud"), set("nonce"), set("at_hash"), set("exp"), IdTokenFault::Forged];
    let unsigned = [IdTokenFault::Unsigned, IdTokenFault::Absent, IdTokenFault::Type(ID_TOKEN.to_owned())];
    for fault in wrong.into_iter().chain(unsigned) {
        run.shown.debug(&fault);
        server.fault_id_token(fault);
        run.see(&log_in().await.unwrap_err());
    }
    run.shown.debug(&log_in().await.unwrap());
    run.record(&session).await;
    run.shown.debug(&session.id_token().await.unwrap().unwrap());
    for kind in 0..failures(&[String::new()]).len() {
        // After a 401 it is another one.
        let access_token = session.token().await.unwrap().secret().expose().to_owned();
        server.fault(Endpoint::UserInfo, failures(&[access_token]).swap_remove(kind));
        match session.user_info().await {
            Ok(person) => run.shown.debug(&person),
            Err(error) => run.see(&error),
        }
    }
    server.fault(Endpoint::UserInfo, Fault::set("sub", ID_TOKEN));
    run.see(&session.user_info().await.unwrap_err());
    let person = session.user_info().await.unwrap();
    assert_eq!(person.sub, PERSON);
    run.shown.debug(&person);
    let end_session = session.end_session_url(Some("http://127.0.0.1/signed-out")).await.unwrap();
    run.shown.debug(&end_session);
    let elsewhere = "http://127.0.0.1/signed-out?state=another".parse().unwrap();
    run.shown.error(&end_session.pending.unwrap().finish(&elsewhere).unwrap_err());
    for fault in [set("sub"), IdTokenFault::Forged] {
        server.fault_id_token(fault);
        run.see(&session.refresh().await.unwrap_err());
        run.record(&session).await;
    }
    server.fault(Endpoint::Revocation, Fault::unavailable(None));
    run.shown.debug(&session.log_out().await.unwrap());
    server.approve_as(DevServer::ALICE.0);
}

async fn resources(run: &Run) {
    let server = &run.world.server;
    let session = run.confidential("api");
    let token = sign_in(server, &session).await.unwrap();
    run.record(&session).await;
    let secret = token.secret().expose();
    let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{secret}\"");
    let rejection = Fault::Answer {
        status: 401,
        headers: vec![("www-authenticate".to_owned(), challenge)],
        body: secret.as_bytes().to_vec(),
    };
    server.fault_times(Endpoint::Resource, rejection, 2);
    let request = session.get(&format!("{}?key={QUERY_KEY}", server.resource_url()));
    run.shown.debug(&request);
    assert_eq!(request.send().await.unwrap().status(), 401);
    run.record(&session).await;
    for url in [
        format!("https://elsewhere.example/?key={QUERY_KEY}"),
        format!("no url?key={QUERY_KEY}"),
        format!("{}?key={QUERY_KEY}", server.resource_url()),
    ] {
        server.fault(Endpoint::Resource, Fault::DropBeforeCommit);
        run.see(&session.get(&url).send().await.map(|answer| answer.status()).unwrap_err());
        server.clear_faults();
    }
    let looping = server.url(&format!("/api/redirect?key={QUERY_KEY}&to=/api/redirect%3Fkey={QUERY_KEY}"));
    if let Err(error) = session.get(&looping).send().await {
        run.see(&error);
    }
}

/// A login that is bound to a key: neither the key nor a proof is seen.
async fn registration(run: &Run) {
    let server = &run.world.server;
    let metadata = run.builder("basic").build().unwrap().metadata().await.unwrap();
    let builder = || {
        let builder = Registrar::builder().shared_store(run.store.clone()).clock(run.world.clock.clone());
        builder.initial_access_token(INITIAL).software_statement(STATEMENT)
    };
    let registrar = builder().build().unwrap();
    let mut service = ClientMetadata::new();
    service.grant_types = Some(vec!["client_credentials".to_owned()]);
    service.response_types = Some(vec![]);
    let client = registrar.registered(&metadata, &service).await.unwrap();
    let of_client =
        [client.client_secret.clone().unwrap(), client.registration_access_token.clone().unwrap()];
    of_client.iter().for_each(|secret| run.secrets.lock().unwrap().add(secret));
    run.shown.debug(&(&registrar, &builder(), &client));
    let key = LoginKey::registration(&server.issuer().parse().unwrap(), "default");
    run.shown.debug(&run.store.load(&key).await.unwrap());
    let session = registrar.client(server.issuer(), &service).await.unwrap().grant(ClientCredentials);
    run.shown.debug(&session.build().unwrap().session().token().await.unwrap());

    // The server repeats what it was sent, and what it had sent.
    let [secret, token] = of_client.each_ref().map(|secret| secret.expose().to_owned());
    let all = [INITIAL, STATEMENT, &secret, &token].join(" ");
    // Registering anew sends less.
    let fewer = [INITIAL, STATEMENT].join(" ");
    let mut other = service.clone();
    other.client_name = Some("Other".to_owned());
    for code in ["invalid_client_metadata", "odd"] {
        for echoed in [&all, &fewer] {
            let body = serde_json::json!({"error": code, "error_description": echoed}).to_string();
            server.fault(Endpoint::Registration, Fault::answer(400, "application/json", body));
        }
        run.see(&registrar.registered(&metadata, &other).await.unwrap_err());
    }
    for echoed in [&all, &fewer] {
        server.fault(Endpoint::Registration, Fault::answer(400, "text/html", format!("<html>{echoed}")));
    }
    run.see(&registrar.registered(&metadata, &other).await.unwrap_err());
    let body = serde_json::json!({ "message": all }).to_string();
    server.fault(Endpoint::Registration, Fault::answer(403, "application/json", body));
    run.see(&registrar.delete(&metadata).await.unwrap_err());
    // What stands in the store and cannot be read.
    let mut record = run.store.load(&key).await.unwrap().unwrap();
    let odd = record.registration.take().unwrap().expose().replace("\"client\"", "\"klient\"");
    record.registration = Some(Secret::new(odd));
    run.store.lease(&key, Duration::ZERO).await.unwrap().save(&record).await.unwrap();
    run.see(&registrar.registered(&metadata, &service).await.unwrap_err());
    server.clear_faults();
}

async fn dpop(run: &Run) {
    let server = &run.world.server;
    let bound = |account: &str| {
        let builder = run.builder("basic").client_secret(CLIENT_SECRET).scope("read").dpop(true);
        builder.build().unwrap().account(account)
    };
    let session = bound("dpop");
    let (url, pending) = session.begin_log_in(REDIRECT_URI).await.unwrap();
    run.shown.debug(&pending);
    let kept: serde_json::Value = serde_json::from_str(pending.dpop_key().unwrap().expose()).unwrap();
    run.secrets.lock().unwrap().add(&Secret::from(kept["d"].as_str().unwrap()));
    let redirected = server.authorize(url.as_str()).unwrap().parse().unwrap();
    let token = session.finish_log_in(pending, &redirected).await.unwrap();
    let record = run.record(&session).await;
    assert!(record.dpop_key.is_some());
    run.shown.debug(&token);
    run.shown.debug(&session);
    run.shown.debug(&record);
    let url = server.resource_url().parse().unwrap();
    let proof = session.dpop_proof(&http::Method::GET, &url, &token).await.unwrap().unwrap();
    run.secrets.lock().unwrap().add(&Secret::from(proof.to_str().unwrap()));
    run.shown.debug(&proof);
    session.get(url.as_str()).send().await.unwrap();

    let refresh_token = record.refresh_token.unwrap().expose().to_owned();
    let echoed = [refresh_token, CLIENT_SECRET.to_owned()];
    for code in ["invalid_dpop_proof", "use_dpop_nonce"] {
        let body = serde_json::json!({"error": code, "error_description": echoed.join(" ")}).to_string();
        server.fault(Endpoint::Token, Fault::answer(400, "application/json", body));
        run.see(&session.refresh().await.unwrap_err());
    }
    server.fault(Endpoint::Token, Fault::set("token_type", "Bearer"));
    run.see(&session.refresh().await.unwrap_err());
    // The login is there for others, and a client without the key is told so.
    let plain = run.confidential("dpop");
    run.see(&plain.token().await.unwrap_err());
    // A key that cannot be read.
    let mut record = run.record(&session).await;
    let odd = record.dpop_key.take().unwrap().expose().replace("P-256", "P-999");
    record.dpop_key = Some(Secret::new(odd));
    run.store.lease(session.key(), Duration::ZERO).await.unwrap().save(&record).await.unwrap();
    run.world.pass_an_expiry();
    run.see(&bound("dpop").token().await.unwrap_err());
    server.clear_faults();
}

/// A client that signs: neither its key nor an assertion is seen. (What the server repeats of an assertion is cut out as of any
/// other parameter.)
async fn assertions(run: &Run) {
    let (key_id, jwk) = DevServer::KEY_CLIENT;
    let (secret_id, secret) = DevServer::SECRET_JWT_CLIENT;
    let number: serde_json::Value = serde_json::from_str(jwk).unwrap();
    run.secrets.lock().unwrap().0.extend([number["d"].as_str().unwrap().to_owned(), secret.to_owned()]);

    let key = SigningKey::from_jwk(&jwk.into()).unwrap().with_key_id("key-1");
    let (by_key, by_secret) = (PrivateKeyJwt::new(key.clone()), ClientSecretJwt::new(secret).unwrap());
    run.shown.debug(&key);
    run.shown.debug(&by_key);
    run.shown.debug(&by_secret);
    run.shown.debug(&SigningKey::from_jwk(&format!("{jwk}}}").into()).unwrap_err());
    // Nobody but the client has the private key; a server has the secret, although it is never sent.
    let sessions = [
        (run.builder(key_id).authentication(by_key), EXTRA),
        (run.builder(secret_id).authentication(by_secret), secret),
    ];
    for (builder, known) in sessions {
        let builder = builder.grant(ClientCredentials);
        let client = builder.build().unwrap();
        run.shown.debug(&client);
        for (kind, fault) in failures(&[known.to_owned(), EXTRA.to_owned()]).into_iter().enumerate() {
            run.world.server.fault(Endpoint::Token, fault);
            run.see(&client.account(format!("signs {kind}")).token().await.unwrap_err());
        }
        let session = client.account("signs");
        run.shown.debug(&session.token().await.unwrap());
        run.record(&session).await;
    }
    // A key that the server does not know.
    let stranger = PrivateKeyJwt::new(SigningKey::generate(JwsAlgorithm::Es256).unwrap());
    let builder = run.builder(key_id).authentication(stranger).grant(ClientCredentials);
    run.see(&builder.build().unwrap().account("stranger").token().await.unwrap_err());
}

/// Somebody who approves, types a client's secret, and signs in.
struct Obliging(Arc<DevServer>);

#[jeton_grants::async_trait]
impl Interaction for Obliging {
    async fn approve_authorization_server(&self, _: &ServerPrompt<'_>) -> Result<bool, InteractionError> {
        Ok(true)
    }

    async fn register_client(
        &self,
        _: &RegistrationPrompt<'_>,
    ) -> Result<Option<ManualRegistration>, InteractionError> {
        Ok(Some(ManualRegistration::new("basic").with_secret(CLIENT_SECRET)))
    }

    async fn open_authorization_url(
        &self,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, InteractionError> {
        Ok(AuthorizationReply::Redirected(self.0.authorize(prompt.url.as_str()).unwrap().parse().unwrap()))
    }
}

/// From nothing but a URL: neither its query, nor what was typed, nor the tokens are seen, whatever the resource says of itself.
async fn from_a_url_alone(run: &Run) {
    let world = World::with(|server| {
        let client = Registered::basic("basic", CLIENT_SECRET).redirect_uri(REDIRECT_URI);
        server.client(client).resource_metadata(ResourceMetadata::InHeader)
    });
    let server = &world.server;
    let builder = || {
        ResourceClient::builder()
            .shared_store(run.store.clone())
            .redirect(PastedRedirect::new(REDIRECT_URI))
            .interaction(Obliging(server.clone()))
            .clock(world.clock.clone())
    };
    run.shown.debug(&builder());
    let client = builder().build().unwrap();
    run.shown.debug(&client);
    let url = format!("{}?key={QUERY_KEY}", server.resource_url());
    let request = client.get(&url);
    run.shown.debug(&request);
    let odd_documents = [
        serde_json::json!({ "resource": format!("https://other.example/?{QUERY_KEY}") }),
        serde_json::json!({ "resource": server.resource_identifier(), "authorization_servers": [format!("https://u:{QUERY_KEY}@as.example")] }),
        serde_json::json!({ "error": "bad", "error_description": "no metadata" }),
    ];
    for document in odd_documents {
        server
            .fault(Endpoint::ResourceMetadata, Fault::answer(200, "application/json", document.to_string()));
        run.see(&client.get(&url).send().await.map(|answer| answer.status()).unwrap_err());
    }
    assert_eq!(request.send().await.unwrap().status(), 200);
    let session = client.session(&url).await.unwrap().unwrap();
    run.shown.debug(&session);
    run.record(&session).await;
    for path in ["/api/admin", "/api/wants?acr_values=gold"] {
        assert_eq!(client.get(&server.url(path)).send().await.unwrap().status(), 200);
        run.record(&session).await;
    }
    // What the store has of the resource and of the client.
    let issuer = server.issuer().parse().unwrap();
    let registration = LoginKey::registration(&issuer, "default");
    run.shown.debug(&run.store.load(&registration).await.unwrap().expect("a registration"));
    run.secrets.lock().unwrap().0.append(&mut Secrets::collect(&world).0);
}

async fn network(run: &Run) {
    // A proxy with credentials: one that is not there, one that answers nonsense, some that are none.
    let nonsense = DevServer::recorder().unwrap();
    let proxies = [
        format!("http://proxy-user:{PROXY_PASSWORD}@127.0.0.1:1"),
        nonsense.url().replace("http://", &format!("http://proxy-user:{PROXY_PASSWORD}@")),
    ];
    for proxy in proxies {
        let options = HttpOptions::new().proxy(proxy);
        run.shown.debug(&options);
        run.shown.debug(&ReqwestTransport::new(&options).unwrap());
        let builder = Client::builder("basic")
            .issuer("https://as.invalid")
            .client_secret(CLIENT_SECRET)
            .grant(ClientCredentials)
            .resource_server("https://api.invalid")
            .http(options);
        run.shown.debug(&builder);
        let client = builder.build().unwrap();
        run.shown.debug(&client);
        run.see(&client.session().token().await.unwrap_err());
        let session = client.account("adopted");
        let mut token = Token::new(Secret::from(ID_TOKEN));
        token.refresh_token = Some(Secret::from(DEVICE_CODE));
        session.adopt(token).await.unwrap();
        run.see(&session.get(&format!("https://api.invalid/?key={QUERY_KEY}")).send().await.unwrap_err());
        run.see(&session.refresh().await.unwrap_err());
    }
    for proxy in
        ["socks5://u:{}@127.0.0.1:1", "http://u:{}@[", "{}", "u:{}@127.0.0.1", "http://u:{}@127.0.0.1/path"]
    {
        let options = HttpOptions::new().proxy(proxy.replace("{}", PROXY_PASSWORD));
        // What is not a URL at all may be anything, also a host name.
        if proxy == "{}" {
            continue;
        }
        run.shown.debug(&options);
        let error = Client::builder("c").issuer("https://as.invalid").http(options).build().unwrap_err();
        run.see(&error);
    }
    // Endpoints whose query is a key.
    let client = run
        .builder("basic")
        .client_secret(CLIENT_SECRET)
        .grant(ClientCredentials)
        .token_endpoint(format!("{}?key={QUERY_KEY}", run.world.server.token_url()));
    let session = client.build().unwrap().account("query");
    for fault in failures(&[QUERY_KEY.to_owned()]).into_iter() {
        run.world.server.fault(Endpoint::Token, fault);
        run.see(&session.refresh().await.unwrap_err());
        run.world.clock.advance(Duration::from_secs(1_000));
    }
    // Nothing secret is sent there; what stands in an odd answer is not shown all the same.
    for fault in failures(&["who are you".to_owned()]) {
        for endpoint in [Endpoint::Metadata, Endpoint::OpenIdConfiguration] {
            run.world.server.fault_always(endpoint, fault.clone());
        }
        run.see(&run.confidential("nowhere").begin_log_in(REDIRECT_URI).await.unwrap_err());
    }
    run.world.server.clear_faults();
    // A server that never answers.
    let session = run.confidential("hurried");
    sign_in(&run.world.server, &session).await.unwrap();
    run.record(&session).await;
    let mut limits = Limits::default();
    limits.timeout = Duration::from_millis(200);
    let hurried = run.builder("basic").client_secret(CLIENT_SECRET).limits(limits).build().unwrap();
    for endpoint in [Endpoint::Metadata, Endpoint::OpenIdConfiguration, Endpoint::Token] {
        run.world.server.fault_always(endpoint, Fault::Hang);
    }
    run.see(&hurried.account("hurried").refresh().await.unwrap_err());
    run.world.server.clear_faults();
}

/// Stored logins that cannot be read, and a store that cannot be written.
async fn storage(run: &Run) {
    let folder = std::env::current_dir().unwrap().join("logins").join("odd");
    let store: Arc<dyn TokenStore> = Arc::new(FileStore::new(&folder));
    let client =
        || run.builder("basic").client_secret(CLIENT_SECRET).shared_store(store.clone()).build().unwrap();
    let session = client().session();
    sign_in(&run.world.server, &session).await.unwrap();
    let whole = store.load(session.key()).await.unwrap().unwrap();
    run.shown.debug(&whole);
    run.shown.debug(&session.persist_error());
    whole.refresh_token.iter().for_each(|token| run.secrets.lock().unwrap().add(token));
    let json = whole.to_json();
    let file = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| std::fs::read(path).is_ok_and(|content| content == *json))
        .expect("the login's file");
    let text = String::from_utf8(json.to_vec()).unwrap();
    let refresh_token = whole.refresh_token.as_ref().unwrap().expose();
    for damaged in [
        text[..text.len() - 5].to_owned(),
        text.replace(&format!("\"{refresh_token}\""), &format!("[\"{refresh_token}\"]")),
        text.replace(refresh_token, &format!("{refresh_token}\\x")),
        text.replacen('{', &format!("{{\"format\":\"{refresh_token}\","), 1),
        format!("{refresh_token} {text}"),
    ] {
        std::fs::write(&file, damaged).unwrap();
        let client = client();
        for result in [client.session().token().await, client.session().refresh().await] {
            if let Err(error) = result {
                run.see(&error);
            }
        }
        if let Err(error) = client.accounts().await {
            run.see(&error);
        }
    }
    run.shown.debug(&store);
    let memory = MemoryStore::new();
    let mut lease = memory.lease(&whole.key, Duration::ZERO).await.unwrap();
    lease.save(&whole).await.unwrap();
    run.shown.debug(&lease);
    run.shown.debug(&memory);
}

/// Debug of whatever holds a secret.
async fn types(run: &Run) {
    let shown = &run.shown;
    let secret = || Secret::from(ID_TOKEN);
    let session = run.confidential("types");
    shown.debug(&session);
    shown.debug(&run.builder("basic").client_secret(CLIENT_SECRET));
    shown.debug(&session.begin_log_in(REDIRECT_URI).await.unwrap().1);
    shown.debug(&secret());
    shown.debug(&Some(vec![(secret(), 1)]));
    shown.debug(&ClientSecretBasic::new(CLIENT_SECRET));
    shown.debug(&ClientSecretPost::new(CLIENT_SECRET));
    shown.debug(&ResourceOwnerPasswordCredentials::new("carol", PASSWORD));
    shown.debug(&RefreshToken::new(secret()));

    let mut parameters = Parameters::new();
    parameters.append("code", ID_TOKEN).unwrap();
    shown.debug(&parameters);
    let mut request = EndpointRequest::new(
        Operation::named("test"),
        Url::parse(&format!("https://u:{PROXY_PASSWORD}@as.example/token?key={QUERY_KEY}")).unwrap(),
        parameters.clone(),
    );
    request.add_secret(secret());
    request.headers.insert("authorization", ID_TOKEN.parse().unwrap());
    shown.debug(&request);
    let pkce = Pkce::new();
    run.secrets.lock().unwrap().add(pkce.code_verifier());
    shown.debug(&pkce);

    let mut token = Token::new(secret());
    token.refresh_token = Some(Secret::from(DEVICE_CODE));
    token.extra.insert("id_token", ID_TOKEN);
    shown.debug(&token);
    let answer = serde_json::json!({"access_token": ID_TOKEN, "refresh_token": DEVICE_CODE, "token_type": "Bearer", "id_token": ID_TOKEN});
    let body = answer.to_string();
    let answer = Answer::new(200, Some("application/json"), body.as_bytes());
    shown.debug(&answer);
    shown.debug(&TokenResponse::parse(&answer, &ParseOptions::default()).unwrap());
    let body = serde_json::json!({"device_code": DEVICE_CODE, "user_code": "A-B", "verification_uri": "https://x.example", "expires_in": 5});
    let body = body.to_string();
    let answer = Answer::new(200, Some("application/json"), body.as_bytes());
    shown.debug(&DeviceAuthorizationResponse::parse(&answer, &ParseOptions::default()).unwrap());
    let mut extra = ExtraMembers::new();
    extra.insert("nested", serde_json::json!({"access_token": ID_TOKEN}));
    shown.debug(&extra);
    let mut error = ErrorResponse::new("invalid_grant");
    error.extra = extra;
    shown.debug(&error);
    shown.error(&OAuth2Error::new(400, error));

    let mut authorization = AuthorizationRequest::new("c");
    authorization.state = Some(secret());
    authorization.extra = parameters.clone();
    shown.debug(&authorization);
    let redirected =
        Url::parse(&format!("https://c.example/?code={ID_TOKEN}&state={DEVICE_CODE}&x={EXTRA}")).unwrap();
    shown.debug(
        &AuthorizationResponse::from_url(&redirected, &Secret::from(DEVICE_CODE), None, false).unwrap(),
    );
    let mut request = AuthorizationCodeAccessTokenRequest::new(secret(), "c");
    request.code_verifier = Some(secret());
    shown.debug(&request);
    shown.debug(&ClientCredentialsAccessTokenRequest::new("c", secret()));
    shown.debug(&ResourceOwnerPasswordCredentialsAccessTokenRequest::new("carol", secret()));
    shown.debug(&RefreshTokenAccessTokenRequest::new(secret()));
    shown.debug(&DeviceAccessTokenRequest::new(secret(), "c"));
    let mut request = AccessTokenRequest::new(GrantType::extension("urn:x"));
    request.extra = parameters;
    shown.debug(&request);

    let key = LoginKey::new(&"https://as.example".parse().unwrap(), "c");
    let mut record = LoginRecord::new(key, SystemTime::now());
    record.set_refresh_token(secret(), SystemTime::now());
    record.set_token(StoredToken::new(&token, TokenTarget::default(), SystemTime::now()));
    shown.debug(&record);

    let server = AuthorizationServerMetadata::new("https://as.example");
    let authentication = ClientSecretBasic::new(CLIENT_SECRET);
    let transport = ReqwestTransport::new(&HttpOptions::new()).unwrap();
    shown.debug(&GrantContext::new(&server, "c", &authentication, &transport, &run.world.clock));
    shown.debug(&PublicClient);
    let state = secret();
    let receiver = LoopbackRedirect::new();
    shown.debug(&receiver);
    drop(receiver.open(&state).await.unwrap());
    shown.error(&InteractionError::cancelled());
}
