//! From a URL alone: a resource that says which server is its own (RFC 9728), the way to a login there, and what it asks for
//! afterwards (RFC 6750 §3.1, RFC 9470). Each sentence of the Model Context Protocol's part of standards.md is a test here.
#![cfg(feature = "registration")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jeton_client::models::{ClientMetadata, MetadataError, ProtectedResourceMetadata};
use jeton_client::{
    ClientSecretBasic, Error, GrantError, LoginKey, PublicClient, Recovery, ResourceClient,
    ResourceClientBuilder, TokenStore,
};
use jeton_devserver::{Builder, DevServer, Endpoint, Fault, RecordedRequest, ResourceMetadata};
use jeton_grants::{
    AuthorizationPrompt, AuthorizationReply, Clock, Interaction, InteractionError, ManualClock,
    ManualRegistration, PastedRedirect, ProtectedResourceError, RegistrationPrompt, ServerPrompt,
    ServerReason, async_trait,
};
use jeton_models::{AuthorizationResponseError, ResourceMetadataError};
use jeton_storage::{FileStore, MemoryStore};

use crate::support::{REDIRECT, soon};

/// A person in front of a browser, who remembers what they were asked.
#[derive(Clone)]
struct Person {
    servers: Arc<Vec<Arc<DevServer>>>,
    approves: bool,
    /// Whether the person pastes what this makes of the redirected URL.
    redirected: Arc<dyn Fn(String) -> String + Send + Sync>,
    registers: Option<ManualRegistration>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Person {
    fn at(servers: &[&Arc<DevServer>]) -> Self {
        Self {
            servers: Arc::new(servers.iter().map(|server| Arc::clone(server)).collect()),
            approves: true,
            redirected: Arc::new(|url| url),
            registers: None,
            asked: Arc::default(),
        }
    }

    /// The questions since the last look, each once as `approve ISSUER`, `register ISSUER`, `log in ISSUER`.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn note(&self, question: String) {
        self.asked.lock().unwrap().push(question);
    }
}

#[async_trait]
impl Interaction for Person {
    async fn approve_authorization_server(
        &self,
        prompt: &ServerPrompt<'_>,
    ) -> Result<bool, InteractionError> {
        self.note(match prompt.reason {
            ServerReason::Moved { from } => format!("approve {} instead of {from}", prompt.issuer),
            _ => format!("approve {}", prompt.issuer),
        });
        assert!(prompt.resource.starts_with("http://127.0.0.1:"), "{}", prompt.resource);
        Ok(self.approves)
    }

    async fn register_client(
        &self,
        prompt: &RegistrationPrompt<'_>,
    ) -> Result<Option<ManualRegistration>, InteractionError> {
        self.note(format!("register at {}", prompt.issuer));
        Ok(self.registers.clone())
    }

    async fn open_authorization_url(
        &self,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, InteractionError> {
        let server =
            self.servers.iter().find(|server| prompt.url.as_str().starts_with(&server.url(""))).unwrap();
        self.note(format!("log in at {}", server.issuer()));
        let redirected = server.authorize(prompt.url.as_str()).unwrap();
        Ok(AuthorizationReply::Redirected((self.redirected)(redirected).parse().unwrap()))
    }
}

/// A resource with its server, and a person.
struct World {
    server: Arc<DevServer>,
    person: Person,
    store: Arc<dyn TokenStore>,
    clock: ManualClock,
}

impl World {
    fn with(change: impl FnOnce(Builder) -> Builder) -> Self {
        let clock = ManualClock::at(std::time::UNIX_EPOCH + Duration::from_secs(1_900_000_000));
        let server = start(&clock, change);
        let person = Person::at(&[&server]);
        Self { server, person, store: Arc::new(MemoryStore::new()), clock }
    }

    fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// A client that nobody knows anywhere: it registers itself.
    fn builder(&self) -> ResourceClientBuilder {
        let mut metadata = ClientMetadata::public([REDIRECT]);
        metadata.client_name = Some("Anywhere".to_owned());
        ResourceClient::builder()
            .redirect(PastedRedirect::new(REDIRECT))
            .interaction(self.person.clone())
            .shared_store(self.store.clone())
            .client_metadata(metadata)
            .clock(self.clock.clone())
    }

    fn client(&self) -> ResourceClient {
        self.builder().build().unwrap()
    }

    fn url(&self) -> String {
        self.server.resource_url()
    }

    fn requests(&self, endpoint: Endpoint) -> Vec<RecordedRequest> {
        of_endpoint(&self.server, endpoint)
    }

    fn issuer(&self) -> String {
        self.server.issuer().to_owned()
    }

    fn everything(&self) -> [String; 2] {
        [format!("approve {}", self.issuer()), format!("log in at {}", self.issuer())]
    }
}

fn start(clock: &ManualClock, change: impl FnOnce(Builder) -> Builder) -> Arc<DevServer> {
    let servers = clock.clone();
    let builder = DevServer::builder()
        .clock(Arc::new(move || servers.now()))
        .resource_metadata(ResourceMetadata::InHeader)
        .registration(true);
    Arc::new(change(builder).start().unwrap())
}

fn of_endpoint(server: &DevServer, endpoint: Endpoint) -> Vec<RecordedRequest> {
    server.requests().into_iter().filter(|request| request.endpoint == endpoint).collect()
}

async fn status(client: &ResourceClient, url: &str) -> u16 {
    soon(client.get(url).send()).await.unwrap().status().as_u16()
}

async fn error(client: &ResourceClient, url: &str) -> GrantError {
    match soon(client.get(url).send()).await {
        Err(Error::Grant(error)) => (*error).clone(),
        other => panic!("{other:?}"),
    }
}

async fn no_login(client: &ResourceClient, url: &str) -> ProtectedResourceError {
    match soon(client.log_in(url)).await {
        Err(Error::Grant(error)) => resource_error((*error).clone()),
        other => panic!("{other:?}"),
    }
}

fn resource_error(error: GrantError) -> ProtectedResourceError {
    match error {
        GrantError::ProtectedResource(error) => error,
        other => panic!("{other:?}"),
    }
}

// ----- The way to a login --------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a28_from_a_url_alone_to_an_answer() {
    let world = World::new();
    let client = world.client();
    let answer = soon(client.get(&world.url()).send()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let said: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(said["sub"], "alice");
    assert_eq!(world.person.asked(), world.everything());

    // Once: then the token is there, also below the resource.
    assert_eq!(status(&client, &world.server.url("/api/notes/7?draft=yes")).await, 200);
    assert!(world.person.asked().is_empty());
    assert_eq!(world.server.stats().api_unauthorized, 1);
}

#[tokio::test]
async fn a28_the_metadata_is_found_in_the_header_at_the_path_and_at_the_root() {
    for (place, resource) in [
        (ResourceMetadata::InHeader, "/api"),
        (ResourceMetadata::AtPath, "/api"),
        (ResourceMetadata::AtRoot, ""),
    ] {
        let world = World::with(|builder| builder.resource_metadata(place));
        let client = world.client();
        // Without a header the well-known path is that of the requested URL.
        let url = world.server.url("/api");
        assert_eq!(status(&client, &url).await, 200, "{place:?}");
        let session = client.session(&url).await.unwrap().unwrap();
        assert_eq!(session.key().account(), world.server.url(resource));
        let tried: Vec<_> =
            world.requests(Endpoint::ResourceMetadata).into_iter().map(|request| request.path).collect();
        assert_eq!(
            tried,
            match place {
                ResourceMetadata::InHeader => vec!["/resource-metadata/api"],
                ResourceMetadata::AtPath => vec!["/.well-known/oauth-protected-resource/api"],
                _ =>
                    vec!["/.well-known/oauth-protected-resource/api", "/.well-known/oauth-protected-resource"],
            }
        );
    }
}

#[tokio::test]
async fn a15_server_metadata_of_an_issuer_with_a_path_is_found_at_each_of_its_places() {
    let missing = || Fault::Status { status: 404, retry_after: None };
    for faults in [
        vec![],
        vec![(Endpoint::Metadata, 1)],
        vec![(Endpoint::Metadata, 1), (Endpoint::OpenIdConfiguration, 1)],
    ] {
        let world = World::with(|builder| builder.issuer_path("/tenant1"));
        for (endpoint, times) in &faults {
            world.server.fault_times(*endpoint, missing(), *times);
        }
        assert_eq!(status(&world.client(), &world.url()).await, 200, "{faults:?}");
        let places = [
            "/.well-known/oauth-authorization-server/tenant1",
            "/.well-known/openid-configuration/tenant1",
            "/tenant1/.well-known/openid-configuration",
        ];
        let is_metadata = |request: &RecordedRequest| {
            matches!(request.endpoint, Endpoint::Metadata | Endpoint::OpenIdConfiguration)
        };
        let asked: Vec<_> =
            world.server.requests().into_iter().filter(is_metadata).map(|request| request.path).collect();
        assert_eq!(asked[..=faults.len()], places[..=faults.len()]);
    }
}

#[tokio::test]
async fn a28_metadata_of_another_resource_is_rejected_and_nobody_is_asked() {
    let world = World::new();
    for other in ["https://api.example", &world.server.url("/api2"), &world.server.url("/api/me/deeper"), ""]
    {
        let body =
            serde_json::json!({ "resource": other, "authorization_servers": [world.issuer()] }).to_string();
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        world
            .server
            .fault(Endpoint::ResourceMetadata, Fault::Answer { status: 200, headers, body: body.into() });
        let error = resource_error(error(&world.client(), &world.url()).await);
        assert!(
            matches!(error, ProtectedResourceError::Metadata(ResourceMetadataError::ResourceMismatch { .. })),
            "{error}"
        );
    }
    assert!(world.person.asked().is_empty());
    assert!(world.requests(Endpoint::Metadata).is_empty());
}

#[tokio::test]
async fn a15_server_metadata_of_another_issuer_is_rejected_before_anything_is_registered() {
    let world = World::new();
    world.server.fault_always(
        Endpoint::Metadata,
        Fault::Rewrite(rewritten(|document| {
            document["issuer"] = "https://other.example".into();
        })),
    );
    let error = error(&world.client(), &world.url()).await;
    assert!(matches!(error, GrantError::Metadata(MetadataError::IssuerMismatch { .. })), "{error}");
    assert!(world.requests(Endpoint::Registration).is_empty());
}

fn rewritten(change: impl Fn(&mut serde_json::Value) + Send + Sync + 'static) -> jeton_devserver::RewriteFn {
    Arc::new(move |mut body: serde_json::Value| {
        change(&mut body);
        body
    })
}

#[tokio::test]
async fn a_server_that_nobody_named_is_asked_about_before_anything_goes_there() {
    let mut world = World::new();
    world.person.approves = false;
    let client = world.client();
    let declined = error(&client, &world.url()).await;
    assert_eq!(declined.recovery(), Recovery::LogIn);
    assert!(matches!(resource_error(declined), ProtectedResourceError::ServerNotApproved { .. }));
    assert_eq!(world.person.asked(), [format!("approve {}", world.issuer())]);
    for endpoint in
        [Endpoint::Metadata, Endpoint::OpenIdConfiguration, Endpoint::Registration, Endpoint::Token]
    {
        assert!(world.requests(endpoint).is_empty(), "{endpoint:?}");
    }
    // A no counts for a while, so that nobody is asked for each request.
    assert!(matches!(
        resource_error(error(&client, &world.url()).await),
        ProtectedResourceError::ServerNotApproved { .. }
    ));
    assert!(world.person.asked().is_empty());
    world.clock.advance(Duration::from_secs(61));
    error(&client, &world.url()).await;
    assert_eq!(world.person.asked().len(), 1);
    // Whoever cannot be asked says no.
    let silent = ResourceClient::builder().redirect(PastedRedirect::new(REDIRECT)).build().unwrap();
    let error = resource_error(error(&silent, &world.url()).await);
    assert!(matches!(error, ProtectedResourceError::ServerNotApproved { .. }));
}

#[tokio::test]
async fn a_login_is_begun_anew_whether_there_is_one_or_not() {
    let world = World::new();
    let client = world.client();
    let login = client.log_in(&world.url()).await.unwrap();
    assert_eq!(world.person.asked(), world.everything());
    assert_eq!(login.resource, world.server.resource_identifier());
    assert_eq!(login.session.key().issuer(), world.issuer());
    let first = login.session.token().await.unwrap();

    // The token works still, and the person logs in all the same: in this process and in a later one.
    let again = client.log_in(&world.url()).await.unwrap();
    assert_eq!(world.person.asked(), [format!("log in at {}", world.issuer())]);
    assert_eq!(again.session.key(), login.session.key());
    let later = world.client().log_in(&world.url()).await.unwrap();
    assert_eq!(world.person.asked(), [format!("log in at {}", world.issuer())]);
    let newest = later.session.token().await.unwrap();
    assert_ne!(newest.secret().expose(), first.secret().expose());
    assert_eq!(world.server.registered_clients(), 1);

    // Requests go on with that login.
    let status = world.client().get(&world.url()).send().await.unwrap().status();
    assert_eq!(status, 200);
    assert!(world.person.asked().is_empty());
}

#[tokio::test]
async fn a_path_that_is_open_to_all_leads_to_a_login_where_the_resource_has_metadata() {
    let world = World::with(|builder| builder.resource_metadata(ResourceMetadata::AtRoot));
    world.server.fault(Endpoint::Resource, Fault::answer(200, "text/plain", "welcome"));
    world.client().log_in(&world.url()).await.unwrap();
    assert_eq!(world.person.asked(), world.everything());
}

#[tokio::test]
async fn a_login_where_nothing_asks_for_one_is_told_so() {
    let world = World::new();
    world.server.fault_always(Endpoint::ResourceMetadata, Fault::answer(404, "text/plain", "nothing here"));
    world.server.fault_always(Endpoint::Resource, Fault::answer(200, "text/plain", "welcome"));
    let error = no_login(&world.client(), &world.url()).await;
    assert!(matches!(error, ProtectedResourceError::NotProtected { status: 200, .. }), "{error}");

    // One that says no more than 401 is no OAuth resource, and its redirects lead to nobody's server.
    world.server.fault_always(Endpoint::Resource, Fault::answer(401, "text/plain", "no"));
    assert!(world.client().log_in(&world.url()).await.is_err());
    let other = DevServer::start().unwrap();
    world.server.clear_faults();
    world.server.fault(Endpoint::Resource, Fault::Redirect(other.resource_url()));
    let error = no_login(&world.client(), &world.url()).await;
    assert!(matches!(&error, ProtectedResourceError::LeadsElsewhere { .. }), "{error}");
    assert!(world.person.asked().is_empty());
    let insecure = world.client().log_in("http://api.example/").await.unwrap_err();
    assert!(matches!(insecure, Error::InvalidRequest(_)), "{insecure}");
}

#[tokio::test]
async fn nobody_is_sent_to_log_in_over_and_over() {
    let world = World::new();
    let client = world.client();
    for _ in 0..3 {
        client.log_in(&world.url()).await.unwrap();
    }
    let error = no_login(&client, &world.url()).await;
    assert!(matches!(error, ProtectedResourceError::TooManyLogins { .. }), "{error}");
    assert!(matches!(GrantError::from(error).recovery(), Recovery::Retry { .. }));
}

#[tokio::test]
async fn a_server_that_the_program_named_needs_no_question() {
    let world = World::new();
    let client = world.builder().trusted_server(world.issuer()).build().unwrap();
    assert_eq!(status(&client, &world.url()).await, 200);
    assert_eq!(world.person.asked(), [format!("log in at {}", world.issuer())]);
}

#[tokio::test]
async fn a12_no_login_without_s256_also_where_the_server_says_nothing() {
    for listed in [None, Some(serde_json::json!(["plain"])), Some(serde_json::json!([]))] {
        let world = World::new();
        let (shown, listed) = (format!("{listed:?}"), listed);
        world.server.fault_always(
            Endpoint::Metadata,
            Fault::Rewrite(rewritten(move |document| {
                let document = document.as_object_mut().unwrap();
                document.remove("code_challenge_methods_supported");
                if let Some(listed) = &listed {
                    document.insert("code_challenge_methods_supported".to_owned(), listed.clone());
                }
            })),
        );
        let error = error(&world.client(), &world.url()).await;
        assert!(matches!(error, GrantError::NoS256 { .. }), "{shown}: {error}");
        assert!(world.requests(Endpoint::Registration).is_empty(), "{shown}");
        assert_eq!(world.person.asked(), [format!("approve {}", world.issuer())]);
    }
}

#[tokio::test]
async fn a23_iss_is_compared_even_when_not_advertised_and_nothing_of_a_mixed_up_answer_is_shown() {
    let mut world = World::with(|builder| builder.advertise_iss(false));
    world.person.redirected = Arc::new(|url| {
        let (before, _) = url.split_once('?').unwrap();
        let state = url.split('&').find(|part| part.contains("state=")).unwrap();
        format!(
            "{before}?error=mallory&error_description=call+0900+666&{state}&iss=https%3A%2F%2Fmallory.example"
        )
    });
    let error = error(&world.client(), &world.url()).await;
    assert!(
        matches!(error, GrantError::AuthorizationResponse(AuthorizationResponseError::IssuerMismatch { .. })),
        "{error:?}"
    );
    let text = format!("{error} {error:?} {:?}", error.error_response());
    assert!(!text.contains("0900") && !text.contains("error=mallory"), "{text}");
    assert!(world.requests(Endpoint::Token).is_empty());
}

#[tokio::test]
async fn a19_the_resource_goes_with_authorization_and_token_requests() {
    let world = World::new();
    let client = world.client();
    assert_eq!(status(&client, &world.url()).await, 200);
    let session = client.session(&world.url()).await.unwrap().unwrap();
    soon(session.refresh()).await.unwrap();
    let resource = world.server.resource_identifier();
    for request in world.requests(Endpoint::Authorization) {
        assert_eq!(request.query_value("resource"), Some(resource.as_str()));
    }
    let token_requests = world.requests(Endpoint::Token);
    assert_eq!(token_requests.len(), 2);
    for request in token_requests {
        assert_eq!(request.form_value("resource"), Some(resource.as_str()));
    }
}

#[tokio::test]
async fn a8_the_token_goes_to_the_resources_own_origin_only() {
    let world = World::new();
    let client = world.client();
    assert_eq!(status(&client, &world.url()).await, 200);
    let elsewhere = DevServer::recorder().unwrap();
    assert_eq!(status(&client, elsewhere.url()).await, 200);
    assert!(elsewhere.requests().iter().all(|request| request.header("authorization").is_none()));
    // The neighbour on the same origin is another resource, with a token of its own.
    assert_eq!(status(&client, &world.server.second_resource_url()).await, 200);
    let tokens = world.requests(Endpoint::Token);
    assert_eq!(tokens[1].form_value("resource"), Some(world.server.second_resource_identifier().as_str()));
}

#[tokio::test]
async fn a8_what_another_origin_says_after_a_redirect_is_not_believed() {
    let world = World::new();
    let other = start(&world.clock, |builder| builder);
    let client = world.client();
    assert_eq!(status(&client, &world.url()).await, 200);
    world.person.asked();
    let redirecting = format!("{}?to={}", world.server.url("/api/redirect"), other.resource_url());
    assert_eq!(status(&client, &redirecting).await, 401);
    assert!(world.person.asked().is_empty());
    assert!(of_endpoint(&other, Endpoint::ResourceMetadata).is_empty());
    assert!(
        of_endpoint(&other, Endpoint::Resource)
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
    // Nor without a token.
    world.server.fault(Endpoint::Other, Fault::Redirect(other.resource_url()));
    assert_eq!(status(&client, &world.server.url("/elsewhere")).await, 401);
    assert!(world.person.asked().is_empty());
}

// ----- As which client -----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn the_programs_own_client_comes_before_its_document_and_a_registration() {
    let world = World::with(|builder| builder.client_documents(true));
    let client = world
        .builder()
        .client_id_document("https://app.example/client.json")
        .preregistered(world.issuer(), DevServer::PUBLIC_CLIENT, PublicClient)
        .build()
        .unwrap();
    assert_eq!(status(&client, &world.url()).await, 200);
    let authorization = &world.requests(Endpoint::Authorization)[0];
    assert_eq!(authorization.query_value("client_id"), Some(DevServer::PUBLIC_CLIENT));
    assert!(world.requests(Endpoint::Registration).is_empty());
    // Named by the program: nobody was asked.
    assert_eq!(world.person.asked(), [format!("log in at {}", world.issuer())]);
}

#[tokio::test]
async fn a32_the_programs_metadata_document_comes_before_a_registration_where_it_is_taken() {
    let world = World::with(|builder| builder.client_documents(true));
    let documents = DevServer::builder().client_documents(true).start().unwrap();
    let url = documents.url("/client.json");
    let mut document: serde_json::Value =
        serde_json::from_str(&ClientMetadata::public([REDIRECT]).to_json()).unwrap();
    document["client_id"] = url.clone().into();
    let hosted = documents.host_document("/client.json", "application/json", &document.to_string());
    assert_eq!(hosted, url);
    let client = world.builder().client_id_document(&url).build().unwrap();
    assert_eq!(status(&client, &world.url()).await, 200);
    assert_eq!(world.requests(Endpoint::Authorization)[0].query_value("client_id"), Some(url.as_str()));
    assert!(world.requests(Endpoint::Registration).is_empty());

    // Where it is not taken, the client registers.
    let world = World::new();
    let client = world.builder().client_id_document(&url).build().unwrap();
    assert_eq!(status(&client, &world.url()).await, 200);
    assert_eq!(world.requests(Endpoint::Registration).len(), 1);
}

#[tokio::test]
async fn a11_a_client_registers_itself_with_its_application_type() {
    let world = World::new();
    assert_eq!(status(&world.client(), &world.url()).await, 200);
    assert_eq!(world.requests(Endpoint::Registration).len(), 1);
    // One that the program did not say follows from the redirect URIs.
    let mut metadata = ClientMetadata::new();
    metadata.redirect_uris = vec![REDIRECT.to_owned()];
    metadata.token_endpoint_auth_method = Some("none".to_owned());
    metadata.grant_types = Some(vec!["authorization_code".to_owned(), "refresh_token".to_owned()]);
    let other_store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let client = world.builder().shared_store(other_store.clone()).client_metadata(metadata);
    assert_eq!(status(&client.build().unwrap(), &world.url()).await, 200);
    // It stands there as the server registered it.
    let issuer = world.issuer().parse().unwrap();
    for store in [&world.store, &other_store] {
        let record = store.load(&LoginKey::registration(&issuer, "default")).await.unwrap().unwrap();
        let kept: serde_json::Value = serde_json::from_str(record.registration.unwrap().expose()).unwrap();
        let registered: serde_json::Value = serde_json::from_str(kept["client"].as_str().unwrap()).unwrap();
        assert_eq!(registered["application_type"], "native");
    }
}

#[tokio::test]
async fn who_cannot_register_asks_for_a_client_that_was_registered_by_hand() {
    let mut world = World::with(|builder| builder.registration(false));
    let missing = error(&world.client(), &world.url()).await;
    assert_eq!(missing.recovery(), Recovery::FixConfiguration);
    assert!(matches!(resource_error(missing), ProtectedResourceError::NoRegistration { .. }));

    let (id, secret) = DevServer::CONFIDENTIAL_CLIENT;
    world.person.registers = Some(ManualRegistration::new(id).with_secret(secret));
    world.person.asked();
    world.store = Arc::new(MemoryStore::new());
    assert_eq!(status(&world.client(), &world.url()).await, 200);
    let issuer = world.issuer();
    assert_eq!(
        world.person.asked(),
        [format!("approve {issuer}"), format!("register at {issuer}"), format!("log in at {issuer}")]
    );
    // A later run needs nobody, also when the token has to be refreshed.
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(status(&world.client(), &world.url()).await, 200);
    assert!(world.person.asked().is_empty());
}

// ----- Which scope ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn the_scope_is_the_challenges_else_the_resources_else_none() {
    let asked =
        |world: &World| world.requests(Endpoint::Authorization)[0].query_value("scope").map(str::to_owned);
    let world = World::with(|builder| builder.challenge_scope("write").resource_scopes(["read", "admin"]));
    assert_eq!(status(&world.client(), &world.url()).await, 200);
    assert_eq!(asked(&world).as_deref(), Some("write offline_access"));

    let world =
        World::with(|builder| builder.resource_scopes(["read", "no good", "write", "offline_access"]));
    assert_eq!(status(&world.client(), &world.url()).await, 200);
    assert_eq!(asked(&world).as_deref(), Some("read write offline_access"));

    let world = World::new();
    assert_eq!(status(&world.client(), &world.url()).await, 200);
    assert_eq!(asked(&world), None);
}

#[tokio::test]
async fn offline_access_is_asked_for_only_where_it_is_advertised() {
    let world = World::with(|builder| builder.challenge_scope("read offline_access"));
    world.server.fault_always(
        Endpoint::Metadata,
        Fault::Rewrite(rewritten(|document| {
            document["scopes_supported"] = serde_json::json!(["read"]);
        })),
    );
    assert_eq!(status(&world.client(), &world.url()).await, 200);
    let request = &world.requests(Endpoint::Authorization)[0];
    assert_eq!(request.query_value("scope"), Some("read"));
}

// ----- More, and otherwise -------------------------------------------------------------------------------------------------

#[tokio::test]
async fn step_up_asks_for_the_union_and_sends_the_request_again() {
    let world = World::with(|builder| builder.challenge_scope("read"));
    let client = world.client();
    assert_eq!(status(&client, &world.url()).await, 200);
    let admin = world.server.url("/api/admin");
    let posted = client.post(&admin).form([("text", "x")]).send();
    assert_eq!(soon(posted).await.unwrap().status(), 200);
    let scopes: Vec<_> = world
        .requests(Endpoint::Authorization)
        .iter()
        .map(|request| request.query_value("scope").unwrap_or_default().to_owned())
        .collect();
    assert_eq!(scopes, ["read offline_access", "read offline_access admin"]);
    // Approved once; and what was granted stays after a restart and a refresh.
    assert_eq!(world.person.asked().iter().filter(|asked| asked.starts_with("approve")).count(), 1);
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(status(&world.client(), &admin).await, 200);
    assert!(world.person.asked().is_empty());
}

#[tokio::test]
async fn a_body_that_cannot_be_sent_again_has_its_first_answer() {
    let world = World::new();
    let client = world.client();
    let body =
        jeton_client::reqwest::Body::wrap(http_body_util::Full::<jeton_grants::bytes::Bytes>::from("x"));
    let answer = soon(client.post(&world.url()).body(body).send()).await.unwrap();
    assert_eq!(answer.status(), 401);
    assert!(world.person.asked().is_empty());
}

#[tokio::test]
async fn after_a_few_tries_the_403_is_the_answer_until_some_time_has_passed() {
    let world = World::with(|builder| builder.challenge_scope("read"));
    let client = world.client();
    assert_eq!(status(&client, &world.url()).await, 200);
    world.person.asked();
    // It says that it wants more, whatever it gets.
    let wants = |scope: &str| {
        let header = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
        let headers = vec![("www-authenticate".to_owned(), header)];
        Fault::Answer { status: 403, headers, body: b"{}".to_vec() }
    };
    world.server.fault_always(Endpoint::Resource, wants("read admin profile email"));
    assert_eq!(status(&client, &world.url()).await, 403);
    // What it asks for was granted; to ask again would not help.
    assert_eq!(world.person.asked().len(), 1);
    for (scope, logins) in [("write", 1), ("admin", 0), ("offline_access write read", 0)] {
        world.server.fault_always(Endpoint::Resource, wants(scope));
        assert_eq!(status(&client, &world.url()).await, 403);
        assert_eq!(world.person.asked().len(), logins, "{scope}");
    }
    // That was the third login within ten minutes, with the first one.
    let scopeless = world.server.url("/api/wants?acr_values=gold");
    world.server.clear_faults();
    assert_eq!(status(&client, &scopeless).await, 401);
    assert!(world.person.asked().is_empty());
    world.clock.advance(Duration::from_secs(601));
    assert_eq!(status(&client, &scopeless).await, 200);
    assert_eq!(world.person.asked().len(), 1);
}

#[tokio::test]
async fn a26_another_authentication_is_asked_for_with_its_acr_values_and_max_age() {
    let world = World::with(|builder| builder.challenge_scope("read"));
    let client = world.client();
    assert_eq!(status(&client, &world.url()).await, 200);
    assert_eq!(status(&client, &world.server.url("/api/wants?acr_values=gold+silver")).await, 200);
    let gold = world.requests(Endpoint::Authorization).pop().unwrap();
    assert_eq!(gold.query_value("acr_values"), Some("gold silver"));
    assert_eq!(gold.query_value("max_age"), None);
    assert_eq!(gold.query_value("scope"), Some("read offline_access"));

    world.clock.advance(Duration::from_secs(900));
    assert_eq!(status(&client, &world.server.url("/api/wants?max_age=60")).await, 200);
    let fresh = world.requests(Endpoint::Authorization).pop().unwrap();
    assert_eq!(fresh.query_value("max_age"), Some("60"));
    assert_eq!(world.requests(Endpoint::Authorization).len(), 3);
}

#[tokio::test]
async fn a8_answers_that_ask_for_nothing_are_answers() {
    let world = World::new();
    let client = world.client();
    assert_eq!(status(&client, &world.url()).await, 200);
    world.person.asked();
    for (status_code, challenge) in [
        (401, "Bearer error=\"something_else\""),
        (401, "Bearer error=\"insufficient_user_authentication\""),
        (403, "Bearer error=\"insufficient_scope\""),
        (403, "Bearer"),
        (404, "Bearer error=\"insufficient_scope\", scope=\"admin\""),
        (500, ""),
    ] {
        let headers = vec![("www-authenticate".to_owned(), challenge.to_owned())];
        world
            .server
            .fault(Endpoint::Resource, Fault::Answer { status: status_code, headers, body: Vec::new() });
        assert_eq!(status(&client, &world.url()).await, status_code, "{challenge}");
        assert_eq!(world.server.faults_waiting(Endpoint::Resource), 0);
    }
    assert!(world.person.asked().is_empty());
    // A server that knows nothing of OAuth means its 401.
    let other = DevServer::recorder().unwrap();
    assert_eq!(status(&client, other.url()).await, 200);
}

#[tokio::test]
async fn a_server_that_knows_nothing_of_oauth_means_its_401() {
    let world = World::with(|builder| builder.resource_metadata(ResourceMetadata::None));
    let basic = || {
        let headers = vec![("www-authenticate".to_owned(), "Basic realm=\"x\"".to_owned())];
        Fault::Answer { status: 401, headers, body: Vec::new() }
    };
    world.server.fault(Endpoint::Resource, basic());
    assert_eq!(status(&world.client(), &world.url()).await, 401);
    // One that says Bearer and no more leaves the program without a way: that is told.
    let error = error(&world.client(), &world.url()).await;
    assert!(matches!(error, GrantError::Unusable { .. }), "{error}");
    assert!(error.to_string().starts_with("resource metadata at "), "{error}");
}

// ----- Moving --------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_resource_that_moves_is_asked_about_again_and_nothing_of_the_old_server_is_used_at_the_new() {
    let mut world = World::new();
    let new = start(&world.clock, |builder| builder);
    world.person = Person::at(&[&world.server, &new]);
    let client = world.client();
    assert_eq!(status(&client, &world.url()).await, 200);
    world.person.asked();
    let old_client = world.requests(Endpoint::Authorization)[0].query_value("client_id").unwrap().to_owned();
    let secrets = secrets_of(&world).await;

    world.server.entrust_resources_to(&new);
    assert_eq!(status(&client, &world.url()).await, 200);
    assert_eq!(
        world.person.asked(),
        [
            format!("approve {} instead of {}", new.issuer(), world.issuer()),
            format!("log in at {}", new.issuer())
        ]
    );
    assert_eq!(of_endpoint(&new, Endpoint::Registration).len(), 1);
    for request in new.requests() {
        assert_ne!(request.query_value("client_id"), Some(old_client.as_str()));
        assert_ne!(request.form_value("client_id"), Some(old_client.as_str()));
        let sent = format!("{:?} {:?} {:?}", request.query, request.headers, request.form);
        assert!(secrets.iter().all(|secret| !sent.contains(secret)));
    }
    // A later run finds the new one.
    assert_eq!(status(&world.client(), &world.url()).await, 200);
    assert!(world.person.asked().is_empty());
}

async fn secrets_of(world: &World) -> Vec<String> {
    let session = world.client().session(&world.url()).await.unwrap().unwrap();
    let record = world.store.load(session.key()).await.unwrap().unwrap();
    let refresh_token = record.refresh_token.unwrap().expose().to_owned();
    vec![refresh_token, record.tokens[0].access_token.expose().to_owned()]
}

#[tokio::test]
async fn a_move_is_noticed_when_the_old_server_gives_no_tokens_any_more() {
    let mut world = World::new();
    let new = start(&world.clock, |builder| builder);
    world.person = Person::at(&[&world.server, &new]);
    let client = world.client();
    assert_eq!(status(&client, &world.url()).await, 200);
    world.person.asked();
    world.clock.advance(Duration::from_secs(3600));
    world.server.fault_always(Endpoint::Token, Fault::Status { status: 500, retry_after: None });
    // As long as it is the resource's own server, that is what is told.
    let unavailable = error(&client, &world.url()).await;
    assert!(matches!(unavailable, GrantError::Unusable { .. }), "{unavailable}");
    assert!(world.person.asked().is_empty());
    world.server.entrust_resources_to(&new);
    assert_eq!(status(&client, &world.url()).await, 200);
    assert_eq!(world.person.asked().len(), 2);
}

#[tokio::test]
async fn a_move_that_nobody_approves_changes_nothing() {
    let mut world = World::new();
    let new = start(&world.clock, |builder| builder);
    assert_eq!(status(&world.client(), &world.url()).await, 200);
    world.person = Person { approves: false, ..Person::at(&[&world.server, &new]) };
    world.server.entrust_resources_to(&new);
    let client = world.client();
    assert!(matches!(
        resource_error(error(&client, &world.url()).await),
        ProtectedResourceError::ServerNotApproved { .. }
    ));
    assert!(new.requests().is_empty());
}

// ----- Together, and again -------------------------------------------------------------------------------------------------

#[tokio::test]
async fn requests_at_once_make_one_login() {
    let world = World::new();
    let client = world.client();
    let url = world.url();
    let requests = (0..20).map(|number| {
        let url = format!("{url}/{number}");
        let client = client.clone();
        async move { status(&client, &url).await }
    });
    assert_eq!(futures_util::future::join_all(requests).await, [200; 20]);
    assert_eq!(world.person.asked(), world.everything());
    assert_eq!(world.requests(Endpoint::Registration).len(), 1);

    let admin = world.server.url("/api/admin");
    let requests = (0..20).map(|_| status(&client, &admin));
    assert_eq!(futures_util::future::join_all(requests).await, [200; 20]);
    assert_eq!(world.person.asked(), [format!("log in at {}", world.issuer())]);
}

#[tokio::test]
async fn two_clients_that_start_at_once_on_one_store_register_one_client() {
    start_at_once(&World::new(), None).await;
    // As two processes do: each opens the folder by itself.
    let folder = tempfile::tempdir().unwrap();
    let open = || -> Arc<dyn TokenStore> { Arc::new(FileStore::new(folder.path().join("logins"))) };
    start_at_once(&World { store: open(), ..World::new() }, Some(open())).await;
}

async fn start_at_once(world: &World, other_store: Option<Arc<dyn TokenStore>>) {
    let other_store = other_store.unwrap_or_else(|| world.store.clone());
    let (one, two) = (world.client(), world.builder().shared_store(other_store).build().unwrap());
    let url = world.url();
    assert_eq!(tokio::join!(status(&one, &url), status(&two, &url)), (200, 200));
    assert_eq!(world.requests(Endpoint::Registration).len(), 1);
    let clients: std::collections::HashSet<_> = world
        .requests(Endpoint::Authorization)
        .iter()
        .map(|request| request.query_value("client_id").unwrap().to_owned())
        .collect();
    assert_eq!(clients.len(), 1);
    // From here on they share the login.
    world.clock.advance(Duration::from_secs(3600));
    world.person.asked();
    assert_eq!(tokio::join!(status(&one, &url), status(&two, &url)), (200, 200));
    assert!(world.person.asked().is_empty());
}

#[tokio::test]
async fn a_restart_finds_everything_without_a_person_and_without_a_question_to_anybody() {
    let world = World::new();
    assert_eq!(status(&world.client(), &world.url()).await, 200);
    world.person.asked();
    let before = world.server.requests().len();
    assert_eq!(status(&world.client(), &world.url()).await, 200);
    let since: Vec<_> = world.server.requests()[before..].iter().map(|request| request.endpoint).collect();
    assert_eq!(since, [Endpoint::Resource]);
    // Also when the token is dead.
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(status(&world.client(), &world.url()).await, 200);
    assert!(world.person.asked().is_empty());
}

#[tokio::test]
async fn an_ended_login_is_begun_again_without_asking_about_the_server() {
    let world = World::new();
    let client = world.client();
    assert_eq!(status(&client, &world.url()).await, 200);
    world.person.asked();
    world.server.revoke_all_logins();
    assert_eq!(status(&client, &world.url()).await, 200);
    assert_eq!(world.person.asked(), [format!("log in at {}", world.issuer())]);
    assert_eq!(world.requests(Endpoint::Registration).len(), 1);
}

#[tokio::test]
async fn accounts_never_meet() {
    let world = World::new();
    let (alice, bob) = (world.client(), world.builder().account("bob").build().unwrap());
    assert_eq!(status(&alice, &world.url()).await, 200);
    world.server.approve_as("bob");
    let answer = soon(bob.get(&world.url()).send()).await.unwrap();
    let said: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(said["sub"], "bob");
    let answer = soon(world.client().get(&world.url()).send()).await.unwrap();
    let said: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(said["sub"], "alice");
}

// ----- Refused beforehand --------------------------------------------------------------------------------------------------

#[tokio::test]
async fn what_cannot_work_is_told_before_anything_is_sent() {
    let world = World::new();
    let client = world.client();
    for wrong in ["/api", "http://api.example/", "ftp://api.example/", "https://user:s3cr3t@127.0.0.1/"] {
        let error = soon(client.get(wrong).send()).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{wrong}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("s3cr3t"));
    }
    let own = client.get(&world.url()).header(
        jeton_grants::http::header::AUTHORIZATION,
        jeton_grants::http::HeaderValue::from_static("Bearer own"),
    );
    assert!(matches!(soon(own.send()).await.unwrap_err(), Error::InvalidRequest(_)));
    assert!(world.server.requests().is_empty());

    for builder in [
        world.builder().trusted_server("http://as.example"),
        world.builder().client_id_document("https://app.example"),
        world.builder().preregistered(world.issuer(), "", PublicClient),
        world.builder().preregistered(world.issuer(), "a", PublicClient).preregistered(
            world.issuer(),
            "b",
            ClientSecretBasic::new("s"),
        ),
    ] {
        assert!(matches!(builder.build().unwrap_err(), Error::Configuration(_)));
    }
    let nowhere = ResourceClient::builder()
        .trusted_server(world.issuer())
        .client_metadata(ClientMetadata::public([REDIRECT]));
    let error = soon(nowhere.build().unwrap().get(&world.url()).send()).await.unwrap_err();
    assert!(matches!(&error, Error::Configuration(text) if text.contains("redirect")), "{error}");
}

#[tokio::test]
async fn a_resource_without_a_server_that_could_be_asked_is_told() {
    let world = World::new();
    for servers in
        [serde_json::json!([]), serde_json::json!(["http://as.example", 7]), serde_json::json!(null)]
    {
        world.server.fault(
            Endpoint::ResourceMetadata,
            Fault::Rewrite(rewritten(move |document| {
                document["authorization_servers"] = servers.clone();
            })),
        );
        let error = resource_error(error(&world.client(), &world.url()).await);
        assert!(matches!(error, ProtectedResourceError::NoAuthorizationServer { .. }), "{error}");
    }
    assert!(world.person.asked().is_empty());
}

#[tokio::test]
async fn an_odd_document_is_read_tolerantly() {
    let body = br#"{"resource":"https://api.example","authorization_servers":["https://as.example"],"x":[[[1e400]]]}"#;
    let url = "https://api.example/".parse().unwrap();
    let expected = jeton_models::ExpectedResource::Covering(&url);
    assert_eq!(ProtectedResourceMetadata::parse(body, &expected).unwrap().issuers().len(), 1);
}
