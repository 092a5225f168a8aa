//! The page that lists what the server saw, and who is told of exchanges.

use std::sync::{Arc, Mutex};

use jeton_devserver::{Client, DevServer, Endpoint, Exchange, Fault, Outcome};

use crate::http::{FORM, Reply, encode, get, get_with_token, post, post_basic, send, try_post};
use crate::login::{
    Attempt, REDIRECT_URI, authorization_url, code, exchange, member, refresh, sign_in, with,
};

fn watched() -> DevServer {
    DevServer::builder().seen_page(true).start().unwrap()
}

fn seen(server: &DevServer) -> String {
    let page = get(&server.seen_url());
    assert_eq!(page.status, 200, "{}", page.text());
    page.text().to_owned()
}

fn form_token(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"form_token\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

fn press(server: &DevServer, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
    let headers = [&[FORM], headers].concat();
    send("POST", &format!("{}/do", server.seen_url()), &headers, encode(form).as_bytes()).unwrap()
}

/// Presses a button as a browser does on the page, and gives the page afterwards.
fn press_on_page(server: &DevServer, form: &[(&str, &str)]) -> String {
    let token = form_token(&seen(server));
    let form = [form, &[("form_token", &*token)]].concat();
    let reply = press(server, &form, &[("Sec-Fetch-Site", "same-origin"), ("Origin", "null")]);
    assert_eq!(reply.status, 303, "{}", reply.text());
    get(&server.url(reply.header("location").unwrap())).text().to_owned()
}

#[test]
fn it_is_off_unless_asked_for() {
    let server = DevServer::start().unwrap();
    for path in ["/seen", "/seen/1", "/seen/do"] {
        assert_eq!(get(&server.url(path)).status, 404, "{path}");
    }
    sign_in(&server);
    let reply = press(&server, &[("button", "revoke-logins"), ("form_token", "")], &[]);
    assert_eq!((reply.status, server.live_logins()), (404, 1));
    assert!(!get(&server.url("/")).text().contains("/seen"));
}

#[test]
fn it_says_what_came_who_asked_and_which_rule_was_broken() {
    let server = watched();
    assert!(seen(&server).contains("Nothing yet."));
    let tokens = sign_in(&server);
    let old = member(&tokens, "refresh_token");
    refresh(&server, old, &[]);
    refresh(&server, old, &[]).assert_refused(400, "invalid_grant", "A27: ");
    get_with_token(&server.resource_url(), "never-issued");
    let page = seen(&server);
    for text in [
        "<span><bdi>POST</bdi></span> <bdi>/token</bdi>",
        "<bdi>authorization_code</bdi>",
        "<bdi>refresh_token</bdi>",
        "<bdi>public-app</bdi>",
        "400 <bdi>invalid_grant</bdi>",
        "A27: a refresh token was used again",
        "401 <bdi>invalid_token</bdi>",
        "<i class=\"bad\">ended</i>",
        "<dt>tokens used twice</dt><dd>1</dd>",
        "<dt>requests</dt><dd>5</dd>",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    // Newest first.
    assert!(page.find("401 <bdi>").unwrap() < page.find("400 <bdi>").unwrap());
    assert!(get(&server.url("/")).text().contains(&server.seen_url()));
    // Whoever looks is not seen.
    assert!(seen(&server).contains("<dt>requests</dt><dd>6</dd>"), "the home page, and not this one");
    assert_eq!(get(&format!("{}/99", server.seen_url())).status, 404);
    assert_eq!(get(&server.url("/seenx")).status, 404);
}

#[test]
fn a_redirect_tells_its_error_and_a_page_its_problem() {
    let server = watched();
    get(&authorization_url(&server, &with(Attempt::new().parameters(), "code_challenge", None)));
    get(&authorization_url(&server, &with(Attempt::new().parameters(), "client_id", Some("nobody"))));
    post(&server.verification_url(), &[("user_code", "XXXX-XXXX")]);
    let page = seen(&server);
    for text in [
        "302 <bdi>invalid_request</bdi>",
        "A12: code_challenge_method without code_challenge",
        "not registered here",
        "There is no such code",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
}

#[test]
fn what_people_press_is_told_with_the_client_and_the_person() {
    let server = DevServer::builder().seen_page(true).auto_approve(false).start().unwrap();
    let press = |page: &Reply, path: &str| {
        let (_, rest) = page.text().split_once("name=\"transaction\" value=\"").unwrap();
        let transaction = rest.split('"').next().unwrap();
        post(&server.url(path), &[("transaction", transaction), ("user", "bob"), ("decision", "approve")])
    };
    let consent = get(&Attempt::new().url(&server));
    assert_eq!(press(&consent, "/authorize/decision").status, 303);
    let told = "<bdi>public-app</bdi><small>for <bdi>bob</bdi></small>";
    assert_eq!(seen(&server).matches(told).count(), 1);
    let device = post(&server.device_authorization_url(), &[("client_id", "public-app")]).json();
    let page = post(&server.verification_url(), &[("user_code", member(&device, "user_code"))]);
    assert_eq!(press(&page, "/device/decision").status, 200);
    let page = seen(&server);
    assert_eq!(page.matches(told).count(), 2, "{page}");
    // The consent page, its button, and three steps of the device.
    assert_eq!(page.matches("<bdi>public-app</bdi>").count(), 5, "{page}");
}

#[test]
fn no_secret_is_on_any_page() {
    let server = DevServer::builder().seen_page(true).user("dora", "MARKER-password").start().unwrap();
    let attempt = Attempt::new();
    let code = code(&server, &attempt);
    let tokens = post(&server.token_url(), &exchange(&code, &attempt)).json();
    let (access, refresh_token) = (member(&tokens, "access_token"), member(&tokens, "refresh_token"));
    get_with_token(&server.resource_url(), access);
    let renewed = refresh(&server, refresh_token, &[]).json();
    post(
        &server.revocation_url(),
        &[("client_id", "public-app"), ("token", member(&renewed, "access_token"))],
    );
    let device = post(&server.device_authorization_url(), &[("client_id", "public-app")]).json();
    post(&server.verification_url(), &[("user_code", member(&device, "user_code"))]);
    let login = [
        ("grant_type", "password"),
        ("client_id", "password-app"),
        ("username", "dora"),
        ("password", "MARKER-password"),
    ];
    assert_eq!(post(&server.token_url(), &login).status, 200);
    let service = ("service-app", "MARKER/client secret");
    post_basic(&server.token_url(), service, &[("grant_type", "client_credentials")]);
    let by_post = [("client_id", "post-app"), ("client_secret", "MARKER-by-post-and-rather-long")];
    post(&server.token_url(), &[&by_post[..], &[("grant_type", "client_credentials")]].concat());
    // Where nobody expects it: as a name, in a header, in a query, under a scheme that nobody knows.
    send("POST", &server.token_url(), &[FORM, ("X-Key", "MARKER-header")], b"MARKERNAME=x&markername==")
        .unwrap();
    send("GET", &server.resource_url(), &[("Authorization", "MARKER-scheme MARKER")], b"").unwrap();
    send("GET", &server.resource_url(), &[("Cookie", "MARKER"), ("Referer", "http://x/?code=MARKER")], b"")
        .unwrap();
    get(&server.url("/api/me?access_token=MARKER-in-query"));

    let mut pages = vec![seen(&server)];
    let numbers = 1..=server.requests().len();
    pages.extend(numbers.map(|number| get(&format!("{}/{number}", server.seen_url())).text().to_owned()));
    assert!(pages.len() > 14 && pages.iter().all(|page| page.starts_with("<!DOCTYPE html>")));
    let all = pages.concat();
    let secrets = [
        access,
        refresh_token,
        &code,
        &attempt.verifier,
        &attempt.state,
        member(&renewed, "refresh_token"),
        member(&device, "device_code"),
        member(&device, "user_code"),
        "MARKER",
    ];
    for secret in secrets {
        assert!(!all.contains(secret), "{secret} is shown");
    }
    // Yet one can follow it: the refresh token that was issued is the one that came back.
    let fingerprint = |text: &str| {
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(text.as_bytes());
        digest[..4].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert!(all.contains(&format!("[fingerprint {}, 43 characters]", fingerprint(refresh_token))));
    assert!(
        !all.contains(&fingerprint("MARKER-by-post-and-rather-long")),
        "a chosen secret could be guessed"
    );
}

#[test]
fn what_clients_and_people_are_called_is_escaped() {
    let evil = "<script>alert(1)</script>\"'&\u{202e}\u{1b}[2J";
    let server = DevServer::builder()
        .seen_page(true)
        .client(Client::public(evil).name(evil).redirect_uri(REDIRECT_URI))
        .user(evil, "x")
        .start()
        .unwrap();
    server.approve_as(evil);
    let attempt = Attempt::new();
    let parameters = with(attempt.parameters(), "client_id", Some(evil));
    let location = get(&authorization_url(&server, &parameters)).header("location").unwrap().to_owned();
    let code = crate::login::parameter(&location, "code").unwrap();
    let form: Vec<_> = exchange(&code, &attempt)
        .into_iter()
        .map(|(name, value)| (name, if name == "client_id" { evil } else { value }))
        .collect();
    assert_eq!(post(&server.token_url(), &form).status, 200);
    send(
        "GET",
        &server.url("/api/<b>?<b>=<b>"),
        &[("User-Agent", "<img src=x>"), ("Accept", "'\"><svg>")],
        b"",
    )
    .unwrap();
    post(&server.token_url(), &[("grant_type", "<u>")]);
    let pages: String = ["", "/1", "/2", "/3", "/4"]
        .map(|path| get(&format!("{}{path}", server.seen_url())).text().to_owned())
        .concat();
    for markup in ["<script", "<img", "<svg", "<b>?", "<u>", "\u{202e}", "\u{1b}"] {
        assert!(!pages.contains(markup), "{markup:?}");
    }
    assert!(pages.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;\u{fffd}\u{fffd}[2J"));
    assert!(pages.contains("&lt;img src=x&gt;") && pages.contains("&lt;u&gt;"));
    // What a URL says of itself is not repeated.
    let page = get(&format!("{}?done=%3Cb%3Eowned&follow=1", server.seen_url())).text().to_owned();
    assert!(!page.contains("owned") && !page.contains("role=\"status\""));
    assert!(page.contains("http-equiv=\"refresh\""));
    assert!(!seen(&server).contains("http-equiv"));
}

#[test]
fn nothing_is_loaded_and_no_other_site_can_have_it() {
    let server = watched();
    let page = get(&server.seen_url());
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert_eq!(page.header("cross-origin-resource-policy"), Some("same-origin"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("access-control-allow-origin"), None);
    assert!(!page.text().contains("<script"));
    // DNS rebinding: a foreign name that points here.
    for host in ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1.evil.example:1"] {
        for path in ["", "/1"] {
            let reply = send("GET", &format!("{}{path}", server.seen_url()), &[("Host", host)], b"").unwrap();
            assert_eq!(reply.status, 421, "{host}");
            assert!(!reply.text().contains("form_token"));
        }
    }
}

#[test]
fn a_button_is_pressed_on_the_page_and_nowhere_else() {
    let server = watched();
    sign_in(&server);
    let token = form_token(&seen(&server));
    let revoke = ("button", "revoke-logins");
    for form in [&[revoke][..], &[revoke, ("form_token", "guessed")], &[revoke, ("form_token", "")]] {
        let status = press(&server, form, &[]).status;
        assert!([400, 403].contains(&status), "{status}");
    }
    let form = [revoke, ("form_token", &*token)];
    for site in ["cross-site", "same-site"] {
        assert_eq!(press(&server, &form, &[("Sec-Fetch-Site", site)]).status, 403, "{site}");
    }
    assert_eq!(press(&server, &form, &[("Host", "evil.example")]).status, 421);
    assert_eq!(press(&server, &[("button", "format-disk"), ("form_token", &token)], &[]).status, 400);
    let by_get = format!("{}/do?{}", server.seen_url(), encode(&form));
    assert_eq!(get(&by_get).status, 405);
    assert_eq!(send("DELETE", &server.seen_url(), &[], b"").unwrap().status, 405);
    assert_eq!(server.live_logins(), 1, "nothing of this did anything");
    // Each server has a form of its own.
    assert_ne!(token, form_token(&seen(&watched())));
    assert_eq!(press(&server, &form, &[]).status, 303);
    assert_eq!(server.live_logins(), 0);
}

#[test]
fn the_buttons_do_what_they_say() {
    let server = watched();
    let access = |answer: &serde_json::Value| member(answer, "access_token").to_owned();
    let first = access(&sign_in(&server));
    assert!(press_on_page(&server, &[("button", "expire-access-tokens")]).contains("have expired"));
    assert!(!server.is_access_token_live(&first));
    let second = access(&sign_in(&server));
    press_on_page(&server, &[("button", "revoke-access-tokens")]);
    assert!(!server.is_access_token_live(&second));
    assert_eq!(server.live_logins(), 2);
    press_on_page(&server, &[("button", "revoke-logins")]);
    assert_eq!(server.live_logins(), 0);
    let (before, keys) = (server.now(), server.jwks());
    press_on_page(&server, &[("button", "advance-hour")]);
    assert!(server.now().duration_since(before).unwrap().as_secs() >= 3600);
    press_on_page(&server, &[("button", "rotate-keys")]);
    assert_ne!(server.jwks(), keys);
    press_on_page(&server, &[("button", "deny-next")]);
    let denied = get(&Attempt::new().url(&server));
    assert_eq!(crate::login::redirected(&denied, "error").as_deref(), Some("access_denied"));
    let fault = [("button", "fault"), ("fault", "unavailable"), ("endpoint", "metadata")];
    assert!(press_on_page(&server, &fault).contains("1 fault waits"));
    assert_eq!(get(&server.metadata_url()).status, 503);
    assert!(seen(&server).contains("fault: <bdi>status 503"));
    press_on_page(&server, &fault);
    press_on_page(&server, &[("button", "clear-faults")]);
    assert_eq!(get(&server.metadata_url()).status, 200);
    assert!(press_on_page(&server, &[("button", "clear-list")]).contains("Nothing yet."));
    server.fault(Endpoint::Jwks, Fault::Gate);
    std::thread::scope(|scope| {
        let held = scope.spawn(|| get(&server.url("/jwks")).status);
        assert!(server.wait_until_held_blocking(1, std::time::Duration::from_secs(20)));
        assert!(seen(&server).contains("under way"));
        press_on_page(&server, &[("button", "open-gate")]);
        assert_eq!(held.join().unwrap(), 200);
    });
}

#[test]
fn the_list_is_bounded() {
    let server = DevServer::builder().seen_page(true).keep_requests(3).start().unwrap();
    let long = "x".repeat(20_000);
    for _ in 0..505 {
        get(&server.url(&format!("/api/me?scope={long}")));
    }
    let page = seen(&server);
    assert_eq!(page.matches("<tr><td>").count(), 500);
    assert!(page.contains("/seen/505\"") && page.contains("/seen/6\"") && !page.contains("/seen/5\""));
    let one = get(&format!("{}/505", server.seen_url()));
    assert!(one.text().len() < 30_000, "{}", one.text().len());
    assert_eq!(server.requests().len(), 3);
    assert_eq!(get(&format!("{}/5", server.seen_url())).status, 404);
}

#[test]
fn a_listener_is_told_of_each_exchange_once_it_has_ended() {
    let told: Arc<Mutex<Vec<Exchange>>> = Arc::default();
    let listener = Arc::clone(&told);
    let server = DevServer::builder()
        .on_exchange(move |exchange| listener.lock().unwrap().push(exchange.clone()))
        .start()
        .unwrap();
    let tokens = sign_in(&server);
    get_with_token(&server.resource_url(), member(&tokens, "access_token"));
    server.fault(Endpoint::Token, Fault::DropAfterCommit);
    let form = [("grant_type", "client_credentials"), ("client_id", "nobody")];
    try_post(&server.token_url(), &form).unwrap_err();
    post(&server.token_url(), &form).assert_refused(401, "invalid_client", "no such client");
    server.authorize(&Attempt::new().url(&server)).unwrap();
    let told = told.lock().unwrap().clone();
    let shown: Vec<_> = told.iter().map(|exchange| (exchange.number, exchange.endpoint)).collect();
    use Endpoint::{Authorization, Resource, Token};
    assert_eq!(
        shown,
        [(1, Authorization), (2, Token), (3, Resource), (4, Token), (5, Token), (6, Authorization)]
    );
    assert_eq!(told[1].grant_type.as_deref(), Some("authorization_code"));
    assert_eq!(told[1].client_id.as_deref(), Some("public-app"));
    assert_eq!((told[2].client_id.as_deref(), told[2].user.as_deref()), (Some("public-app"), Some("alice")));
    assert_eq!(
        (&told[3].outcome, told[3].fault.as_deref()),
        (&Outcome::Cut, Some("connection closed after the commit"))
    );
    let refused = Outcome::Answered {
        status: 401,
        error: Some("invalid_client".to_owned()),
        reason: Some("no such client".to_owned()),
    };
    assert_eq!((&told[4].outcome, told[4].outcome.is_good()), (&refused, false));
    assert!(told[0].outcome.is_good() && told[5].outcome.is_good());
}

#[test]
fn a_client_that_goes_away_is_noted() {
    let (sender, told) = std::sync::mpsc::channel();
    let server = DevServer::builder()
        .on_exchange(move |exchange| sender.send(exchange.outcome.clone()).unwrap())
        .start()
        .unwrap();
    server.fault(Endpoint::Jwks, Fault::Gate);
    let authority = server.issuer().trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(authority).unwrap();
    std::io::Write::write_all(
        &mut stream,
        format!("GET /jwks HTTP/1.1\r\nHost: {authority}\r\n\r\n").as_bytes(),
    )
    .unwrap();
    assert!(server.wait_until_held_blocking(1, std::time::Duration::from_secs(20)));
    drop(stream);
    assert_eq!(told.recv_timeout(std::time::Duration::from_secs(20)).unwrap(), Outcome::Abandoned);
}

#[test]
fn endpoints_and_faults_have_names_that_lead_back_to_them() {
    for endpoint in Endpoint::all() {
        assert_eq!(Endpoint::named(endpoint.name()), Some(endpoint));
    }
    for name in Fault::names() {
        assert!(Fault::named(name).is_some(), "{name}");
    }
    assert!(Endpoint::named("nowhere").is_none() && Fault::named("none").is_none());
}
