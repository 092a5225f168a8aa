//! What strict servers ask for, through the exported functions: keys, bound tokens, ID tokens, registration, and APIs of which only
//! the URL is known.

use std::ffi::c_void;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use jeton::{Signer as _, SigningKey};
use jeton_devserver::ResourceMetadata;

use super::*;

owned_handle!(CIdToken, jeton_id_token, jeton_id_token_free);
owned_handle!(CProof, jeton_dpop_proof, jeton_dpop_proof_free);
owned_handle!(CRequest, jeton_request, jeton_request_free);
owned_handle!(CResponse, jeton_response, jeton_response_free);
owned_handle!(CResources, jeton_resource_client, jeton_resource_client_free);

fn key_client(server: &DevServer) -> Config {
    let (id, key) = DevServer::KEY_CLIENT;
    Config::for_server(server, id)
        .secret(JETON_OPTION_PRIVATE_KEY, key.as_bytes())
        .number(JETON_OPTION_CLIENT_AUTHENTICATION, i64::from(JETON_AUTHENTICATION_PRIVATE_KEY_JWT))
        .number(JETON_OPTION_GRANT, i64::from(JETON_GRANT_CLIENT_CREDENTIALS))
}

#[track_caller]
fn refused_with(config: &Config, word: &str) {
    let error = refused(config.client());
    assert_eq!(error.status(), JETON_ERROR_CONFIGURATION, "{}", error.message());
    assert!(error.message().contains(word), "{}", error.message());
}

#[test]
fn a10_a_client_authenticates_with_its_key_or_signs_with_its_secret() {
    let server = DevServer::start().unwrap();
    assert_eq!(key_client(&server).session().token().unwrap().text().len(), 43);
    let request = server.last_request(Endpoint::Token).unwrap();
    assert!(request.form_value("client_assertion").is_some() && request.header("authorization").is_none());

    let (id, secret) = DevServer::SECRET_JWT_CLIENT;
    let signs = Config::for_server(&server, id)
        .secret(JETON_OPTION_CLIENT_SECRET, secret.as_bytes())
        .number(JETON_OPTION_CLIENT_AUTHENTICATION, i64::from(JETON_AUTHENTICATION_CLIENT_SECRET_JWT))
        .number(JETON_OPTION_GRANT, i64::from(JETON_GRANT_CLIENT_CREDENTIALS));
    signs.session().token().unwrap();
    assert!(server.last_request(Endpoint::Token).unwrap().form_value("client_secret").is_none());

    // What cannot work is told, without the key.
    let by_key = i64::from(JETON_AUTHENTICATION_PRIVATE_KEY_JWT);
    let without = || Config::for_server(&server, "c").number(JETON_OPTION_CLIENT_AUTHENTICATION, by_key);
    refused_with(&without(), "JETON_OPTION_PRIVATE_KEY");
    refused_with(&without().secret(JETON_OPTION_PRIVATE_KEY, b"-----BEGIN PRIVATE KEY-----"), "ALGORITHM");
    refused_with(&without().secret(JETON_OPTION_CLIENT_SECRET, b"s"), "remove one of the two");
    let odd = without().secret(JETON_OPTION_PRIVATE_KEY, br#"{"kty":"oct","k":"c2VjcmV0LXNlY3JldA"}"#);
    let error = refused(odd.client());
    assert!(!error.message().contains("c2VjcmV0"), "{}", error.message());
    refused_with(&key_client(&server).text(JETON_OPTION_PRIVATE_KEY_ALGORITHM, "XX999"), "XX999");
    let tls = Config::for_server(&server, "c")
        .number(JETON_OPTION_CLIENT_AUTHENTICATION, i64::from(JETON_AUTHENTICATION_TLS));
    refused_with(&tls, "JETON_OPTION_CLIENT_CERTIFICATE");
    refused_with(
        &Config::for_server(&server, "c").text(JETON_OPTION_CLIENT_CERTIFICATE, "chain"),
        "JETON_OPTION_CLIENT_CERTIFICATE_KEY",
    );
}

/// A key in another place.
struct Module {
    key: SigningKey,
    result: AtomicI32,
    signed: AtomicUsize,
    destroyed: AtomicUsize,
}

unsafe extern "C" fn sign(
    userdata: *mut c_void,
    message: *const u8,
    length: usize,
    signature: *mut u8,
    capacity: usize,
    signature_length: *mut usize,
) -> i32 {
    // SAFETY: what the test handed over, and what jeton promises.
    unsafe {
        let module = &*userdata.cast::<Module>();
        let message = std::slice::from_raw_parts(message, length);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let signed = runtime.block_on(module.key.sign(message)).unwrap();
        assert!(signed.len() <= capacity);
        signature.copy_from_nonoverlapping(signed.as_ptr(), signed.len());
        signature_length.write(signed.len());
        module.signed.fetch_add(1, Ordering::SeqCst);
        module.result.load(Ordering::SeqCst)
    }
}

unsafe extern "C" fn module_is_gone(userdata: *mut c_void) {
    // SAFETY: it was made from an `Arc`, and this is called once.
    let module = unsafe { Arc::from_raw(userdata.cast_const().cast::<Module>()) };
    module.destroyed.fetch_add(1, Ordering::SeqCst);
}

fn table(module: &Arc<Module>, algorithm: &CString) -> jeton_signer {
    jeton_signer {
        struct_size: size_of::<jeton_signer>(),
        userdata: Arc::into_raw(module.clone()).cast_mut().cast(),
        algorithm: algorithm.as_ptr(),
        key_id: null(),
        public_jwk: null(),
        sign: Some(sign),
        destroy: Some(module_is_gone),
    }
}

#[test]
fn a10_a_key_in_a_module_signs_and_its_failure_is_told() {
    let server = DevServer::start().unwrap();
    let (id, key) = DevServer::KEY_CLIENT;
    let module = Arc::new(Module {
        key: SigningKey::from_jwk(&jeton::Secret::from(key)).unwrap(),
        result: AtomicI32::new(0),
        signed: AtomicUsize::new(0),
        destroyed: AtomicUsize::new(0),
    });
    let config = Config::for_server(&server, id)
        .number(JETON_OPTION_CLIENT_AUTHENTICATION, i64::from(JETON_AUTHENTICATION_PRIVATE_KEY_JWT))
        .number(JETON_OPTION_GRANT, i64::from(JETON_GRANT_CLIENT_CREDENTIALS));
    let algorithm = c("ES256");
    let set = |purpose, signer: &jeton_signer| {
        // SAFETY: a live handle and a whole struct.
        called(|error| unsafe { jeton_config_set_signer(config.0, purpose, signer, error) })
    };
    let mut good = table(&module, &algorithm);
    let odd = c("XX");
    for (purpose, wrong) in [
        (3, good),
        (JETON_SIGNER_DPOP, good),
        (JETON_SIGNER_CLIENT, jeton_signer { sign: None, ..good }),
        (JETON_SIGNER_CLIENT, jeton_signer { algorithm: null(), ..good }),
        (JETON_SIGNER_CLIENT, jeton_signer { algorithm: odd.as_ptr(), ..good }),
        (JETON_SIGNER_CLIENT, jeton_signer { public_jwk: odd.as_ptr(), ..good }),
        (JETON_SIGNER_CLIENT, jeton_signer { struct_size: 8, ..good }),
    ] {
        assert_eq!(refused(set(purpose, &wrong)).status(), JETON_ERROR_INVALID_ARGUMENT);
    }
    assert_eq!(module.destroyed.load(Ordering::SeqCst), 0);
    good.struct_size = size_of::<jeton_signer>();
    set(JETON_SIGNER_CLIENT, &good).unwrap();
    // A key beside it would be one too many.
    refused_with(&key_client_beside(&server, &config, key), "remove one of the two");

    let session = config_without_key(&server, &module, &algorithm).session();
    session.token().unwrap();
    assert_eq!(module.signed.load(Ordering::SeqCst), 1);
    module.result.store(42, Ordering::SeqCst);
    let error = refused(session.refresh());
    assert_eq!(error.status(), JETON_ERROR_CALLBACK, "{}", error.message());
    // SAFETY: a live handle.
    assert_eq!(unsafe { jeton_error_callback_result(error.0) }, 42);
    drop((session, config));
}

/// The configuration with a key of its own besides the signer.
fn key_client_beside(server: &DevServer, with_signer: &Config, key: &str) -> Config {
    with_signer.try_secret(JETON_OPTION_PRIVATE_KEY, key.as_bytes()).unwrap();
    let error = refused(with_signer.client());
    assert!(error.message().contains("remove one of the two"), "{}", error.message());
    Config::for_server(server, "c")
        .number(JETON_OPTION_CLIENT_AUTHENTICATION, i64::from(JETON_AUTHENTICATION_PRIVATE_KEY_JWT))
        .secret(JETON_OPTION_CLIENT_SECRET, b"s")
}

fn config_without_key(server: &DevServer, module: &Arc<Module>, algorithm: &CString) -> Config {
    let config = Config::for_server(server, DevServer::KEY_CLIENT.0)
        .number(JETON_OPTION_CLIENT_AUTHENTICATION, i64::from(JETON_AUTHENTICATION_PRIVATE_KEY_JWT))
        .number(JETON_OPTION_GRANT, i64::from(JETON_GRANT_CLIENT_CREDENTIALS));
    let signer = table(module, algorithm);
    // SAFETY: a live handle and a whole struct.
    called(|error| unsafe {
        jeton_config_set_signer(config.0, JETON_SIGNER_CLIENT, &raw const signer, error)
    })
    .unwrap();
    config
}

impl CSession {
    fn refresh(&self) -> Result<CToken, CError> {
        // SAFETY: a live handle.
        given(|out, error| unsafe { jeton_session_refresh(self.0, null(), out, error) }).map(CToken)
    }

    fn status_of_get(&self, url: &str) -> i32 {
        let (method, url) = (c("GET"), c(url));
        // SAFETY: live handles and strings.
        unsafe {
            let request =
                given(|out, error| jeton_session_request(self.0, method.as_ptr(), url.as_ptr(), out, error));
            let request = CRequest(request.unwrap());
            let response = given(|out, error| jeton_request_send(request.0, null(), out, error));
            jeton_response_status(CResponse(response.unwrap()).0)
        }
    }

    fn id_token(&self) -> Option<CIdToken> {
        let mut out = std::ptr::dangling_mut();
        // SAFETY: a live handle.
        called(|error| unsafe { jeton_session_id_token(self.0, null(), &raw mut out, error) }).unwrap();
        (!out.is_null()).then_some(CIdToken(out))
    }

    fn proof(&self, url: &str, token: &CToken) -> Result<Option<CProof>, CError> {
        let (method, url) = (c("GET"), c(url));
        let mut out = std::ptr::dangling_mut();
        // SAFETY: live handles and strings.
        called(|error| unsafe {
            jeton_session_dpop_proof(
                self.0,
                method.as_ptr(),
                url.as_ptr(),
                token.0,
                null(),
                &raw mut out,
                error,
            )
        })?;
        Ok((!out.is_null()).then_some(CProof(out)))
    }
}

#[test]
fn a25_tokens_are_bound_and_programs_with_an_http_library_get_proofs() {
    let server = DevServer::start().unwrap();
    let session = Config::service(&server).number(JETON_OPTION_DPOP, 1).session();
    let token = session.token().unwrap();
    // SAFETY: a live handle.
    assert_eq!(seen(unsafe { jeton_token_type(token.0) }), "DPoP");
    // SAFETY: as above.
    assert!(seen(unsafe { jeton_token_authorization(token.0) }).starts_with("DPoP "));
    assert_eq!(session.status_of_get(&server.resource_url()), 200);

    let values: Vec<String> = (0..2)
        .map(|_| {
            let proof = session.proof(&server.resource_url(), &token).unwrap().expect("a proof");
            // SAFETY: a live handle.
            seen(unsafe { jeton_dpop_proof_value(proof.0) })
        })
        .collect();
    assert!(values[0].split('.').count() == 3 && values[0] != values[1]);
    let error = refused(session.proof("https://elsewhere.example/", &token));
    assert_eq!(error.status(), JETON_ERROR_FOREIGN_ORIGIN);

    let nonce = |status, challenge: Option<&str>, nonce: Option<&str>| {
        let (url, challenge, nonce) = (c(&server.resource_url()), challenge.map(c), nonce.map(c));
        let pointer = |text: &Option<CString>| text.as_ref().map_or(null(), |text| text.as_ptr());
        let mut again = 7;
        // SAFETY: live handles and strings.
        called(|error| unsafe {
            jeton_session_dpop_nonce(
                session.0,
                url.as_ptr(),
                status,
                pointer(&challenge),
                pointer(&nonce),
                &raw mut again,
                error,
            )
        })
        .map(|()| again)
    };
    assert_eq!(nonce(200, None, Some("n1")).unwrap(), 0);
    assert_eq!(nonce(401, Some(r#"DPoP error="use_dpop_nonce""#), Some("n2")).unwrap(), 1);
    assert_eq!(nonce(401, Some(r#"DPoP error="invalid_token""#), None).unwrap(), 0);
    assert_eq!(refused(nonce(1, None, None)).status(), JETON_ERROR_INVALID_ARGUMENT);

    // A token that is not bound needs none.
    let plain = Config::service(&server).session();
    let token = plain.token().unwrap();
    assert!(plain.proof(&server.resource_url(), &token).unwrap().is_none());
}

#[test]
fn a29_the_claims_of_the_id_token_are_there_and_none_is_no_error() {
    let server = DevServer::start().unwrap();
    let session =
        Config::for_server(&server, DevServer::PUBLIC_CLIENT).text(JETON_OPTION_SCOPE, "openid").session();
    assert!(session.id_token().is_none());
    let pending = session.begin();
    let redirected = server.authorize(&pending.url()).unwrap();
    session.finish(&pending, &redirected).unwrap();
    let id_token = session.id_token().expect("somebody has logged in");
    // SAFETY: a live handle.
    let (subject, claims) =
        unsafe { (seen(jeton_id_token_subject(id_token.0)), seen(jeton_id_token_claims_json(id_token.0))) };
    let claims: serde_json::Value = serde_json::from_str(&claims).unwrap();
    assert_eq!((subject.as_str(), &claims["iss"]), ("alice", &server.issuer().into()));
    assert_eq!(claims["aud"], DevServer::PUBLIC_CLIENT);
}

const SERVICE: &str = r#"{"client_name":"S","grant_types":["client_credentials"],"response_types":[]}"#;

impl Config {
    fn register(&self) -> Result<CClient, CError> {
        // SAFETY: a live handle.
        given(|out, error| unsafe { jeton_client_register(self.0, null(), out, error) }).map(CClient)
    }

    fn resources(&self) -> Result<CResources, CError> {
        // SAFETY: a live handle.
        given(|out, error| unsafe { jeton_resource_client_new(self.0, out, error) }).map(CResources)
    }
}

fn id_of(client: &CClient) -> String {
    // SAFETY: a live handle.
    seen(unsafe { jeton_client_id(client.0) })
}

#[test]
fn a11_a_program_registers_once_and_is_found_again_in_the_store() {
    let server = DevServer::builder().initial_access_token("1nitial").start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("logins");
    let config = || {
        Config::new()
            .text(JETON_OPTION_ISSUER, server.issuer())
            .text(JETON_OPTION_CLIENT_METADATA, SERVICE)
            .number(JETON_OPTION_GRANT, i64::from(JETON_GRANT_CLIENT_CREDENTIALS))
            .number(JETON_OPTION_STORE, i64::from(JETON_STORE_FILE))
            .text(JETON_OPTION_STORE_FOLDER, folder.to_str().unwrap())
    };
    let error = refused(config().register());
    assert_eq!((error.status(), error.code().as_deref()), (JETON_ERROR_OAUTH, Some("invalid_token")));
    let allowed = config().secret(JETON_OPTION_INITIAL_ACCESS_TOKEN, b"1nitial");
    let client = allowed.register().unwrap_or_else(|error| panic!("{}", error.message()));
    client.session(None).token().unwrap();
    assert!(client.accounts() == ["default"], "the registration is no login");
    // Another run, which needs no initial access token any more.
    assert_eq!(id_of(&config().register().unwrap()), id_of(&client));
    assert_eq!(server.stats().clients_registered, 1);

    for (wrong, word) in [
        (Config::new().text(JETON_OPTION_ISSUER, server.issuer()), "JETON_OPTION_CLIENT_METADATA"),
        (Config::new().text(JETON_OPTION_CLIENT_METADATA, SERVICE), "JETON_OPTION_ISSUER"),
        (config().text(JETON_OPTION_CLIENT_ID, "mine"), "JETON_OPTION_CLIENT_ID"),
        (config().text(JETON_OPTION_CLIENT_METADATA, "[]"), "RFC 7591"),
    ] {
        let error = refused(wrong.register());
        assert_eq!(error.status(), JETON_ERROR_CONFIGURATION);
        assert!(error.message().contains(word), "{}", error.message());
    }
}

/// A person at a browser, who approves servers or not.
struct Person {
    server: DevServer,
    approves: i32,
    asked: AtomicUsize,
}

unsafe extern "C" fn open_url(userdata: *mut c_void, url: *const c_char) -> i32 {
    // SAFETY: what the test handed over and keeps; a string for the call.
    let (person, url) = unsafe { (&*userdata.cast::<Person>(), seen(url)) };
    let redirected = person.server.authorize(&url).unwrap();
    let url = jeton::Url::parse(&redirected).unwrap();
    // A browser goes on by itself: the listener answers when the callback has returned.
    std::thread::spawn(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", url.port().unwrap())).unwrap();
        let (path, query) = (url.path(), url.query().unwrap());
        write!(
            stream,
            "GET {path}?{query} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
            url.port().unwrap()
        )
        .unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    0
}

unsafe extern "C" fn approve(
    userdata: *mut c_void,
    prompt: *const jeton_server_prompt,
    approved: *mut i32,
) -> i32 {
    // SAFETY: as above.
    unsafe {
        let (person, prompt) = (&*userdata.cast::<Person>(), &*prompt);
        assert_eq!(prompt.struct_size, size_of::<jeton_server_prompt>());
        assert_eq!(seen(prompt.issuer), person.server.issuer());
        assert!(
            person.server.resource_url().starts_with(&seen(prompt.resource))
                && prompt.former_issuer.is_null()
        );
        person.asked.fetch_add(1, Ordering::SeqCst);
        approved.write(person.approves);
    }
    0
}

fn get(client: &CResources, url: &str) -> Result<i32, CError> {
    let url = c(url);
    // SAFETY: live handles and strings.
    unsafe {
        let response =
            given(|out, error| jeton_resource_client_get(client.0, url.as_ptr(), null(), out, error));
        response.map(|response| jeton_response_status(CResponse(response).0))
    }
}

#[test]
fn a28_from_a_url_alone_if_the_person_approves() {
    let ask = |approves: i32| {
        let server =
            DevServer::builder().resource_metadata(ResourceMetadata::InHeader).registration(true).start();
        let person = Person { server: server.unwrap(), approves, asked: AtomicUsize::new(0) };
        let metadata = r#"{"client_name":"A","redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none",
            "grant_types":["authorization_code","refresh_token"]}"#;
        let config = Config::new().text(JETON_OPTION_CLIENT_METADATA, metadata);
        let interaction = jeton_interaction {
            struct_size: size_of::<jeton_interaction>(),
            userdata: (&raw const person).cast_mut().cast(),
            open_url: Some(open_url),
            show_device_code: None,
            device_code_pending: None,
            login_ended: None,
            destroy: None,
            approve_authorization_server: Some(approve),
        };
        // SAFETY: live handles; the person outlives all of them.
        called(|error| unsafe { jeton_config_set_interaction(config.0, &raw const interaction, error) })
            .unwrap();
        let client = config.resources().unwrap_or_else(|error| panic!("{}", error.message()));
        let answers =
            [get(&client, &person.server.resource_url()), get(&client, &person.server.resource_url())];
        // Requests of other methods, with a body.
        let posted = approves == 1 && {
            let (method, url) = (c("POST"), c(&person.server.resource_url()));
            // SAFETY: live handles and strings.
            unsafe {
                let request = given(|out, error| {
                    jeton_resource_client_request(client.0, method.as_ptr(), url.as_ptr(), out, error)
                });
                let request = CRequest(request.unwrap());
                called(|error| jeton_request_set_body(request.0, b"x".as_ptr(), 1, error)).unwrap();
                let response = given(|out, error| jeton_request_send(request.0, null(), out, error));
                jeton_response_status(CResponse(response.unwrap()).0) == 200
            }
        };
        drop((client, config));
        (answers, posted, person.asked.load(Ordering::SeqCst), person.server.stats().clients_registered)
    };
    let (answers, posted, asked, registered) = ask(1);
    assert_eq!(answers.map(|answer| answer.map_err(|error| error.message())), [Ok(200), Ok(200)]);
    assert_eq!((posted, asked, registered), (true, 1, 1));

    let (answers, _, asked, registered) = ask(0);
    for answer in answers {
        assert_eq!(refused(answer).status(), JETON_ERROR_ANSWER);
    }
    assert!(asked >= 1);
    assert_eq!(registered, 0, "nothing is sent to a server that nobody approved");
}

#[test]
fn the_profile_of_a_provider_is_named_and_an_unknown_one_refused() {
    let with = |name: &str| {
        Config::new()
            .text(JETON_OPTION_CLIENT_ID, "c")
            .secret(JETON_OPTION_CLIENT_SECRET, b"s")
            .text(JETON_OPTION_PROVIDER, name)
    };
    assert!(with("github").client().is_ok());
    refused_with(&with("no-such-provider"), "JETON_OPTION_PROVIDER");
    refused_with(&with("shopify").text(JETON_OPTION_PROVIDER_VALUE, "shop"), "JETON_OPTION_PROVIDER_VALUE");
    assert!(with("shopify").text(JETON_OPTION_PROVIDER_VALUE, "shop=my-shop").client().is_ok());
}

#[test]
fn a22_a24_a31_what_cannot_be_asked_for_is_told() {
    let server = DevServer::start().unwrap();
    let config = || Config::for_server(&server, DevServer::PUBLIC_CLIENT);
    refused_with(&config().text(JETON_OPTION_AUTHORIZATION_DETAILS, "{}"), "RFC 9396");
    refused_with(&config().number(JETON_OPTION_SIGNED_AUTHORIZATION_REQUESTS, 1), "JETON_OPTION_PRIVATE_KEY");
    let fapi = refused(config().number(JETON_OPTION_FAPI2_SECURITY_PROFILE, 1).client());
    assert_eq!(fapi.status(), JETON_ERROR_CONFIGURATION, "{}", fapi.message());

    let pushed = config()
        .number(JETON_OPTION_PUSHED_AUTHORIZATION_REQUESTS, 1)
        .text(JETON_OPTION_SCOPE, "read")
        .session();
    let pending = pushed.begin();
    assert!(pending.url().contains("request_uri=") && !pending.url().contains("scope="), "{}", pending.url());
    let redirected = server.authorize(&pending.url()).unwrap();
    pushed.finish(&pending, &redirected).unwrap();
}
