//! A devserver as a process: for tests and examples in C, C++, Go or anything else that can start a program and read a line.
//!
//! One line of JSON tells where it is, commands come by standard input, and each gets one line of JSON. It ends when its standard
//! input is closed, so that none is left over when a test dies.

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use jeton_devserver::{Builder, DevServer, Endpoint, Fault, RecordedRequest, ResourceMetadata, Rotation};
use jeton_jose::{Signer as _, SigningKey};
use jeton_models::Secret;
use lexopt::prelude::*;
use serde_json::{Value, json};
use url::Url;

use crate::browser;

const HELP: &str = "\
jeton-test-server [OPTIONS]     an authorization server and an API on a loopback port, until standard input is closed
jeton-test-server --visit URL   a browser: opens the URL and follows every redirect, also the one to a program's listener

Its first line on standard output is JSON without nested members:
  issuer, api (a resource that wants a token), api_identifier (for `resource`), second_api, second_api_identifier, metadata_url,
  authorization_endpoint, token_endpoint, device_authorization_endpoint, revocation_endpoint, introspection_endpoint,
  verification_uri, origin, port, public_client, confidential_client, confidential_secret, post_client, post_secret,
  service_client, service_secret, password_client, username, password, key_client, key_jwk (its private key, for ES256),
  redirect_uri (nobody listens there), pid
Scopes: read (the default), write, profile, email, admin, offline_access.

  --access-token-life SECONDS   3600 unless told; `never` for tokens without expiry
  --rotate                      each refresh brings a new refresh token, and an old one used again ends the login (the default)
  --grace SECONDS               a used refresh token is forgiven for so long
  --no-rotation                 the refresh token stays the same
  --no-refresh-tokens           logins come without one
  --approve                     everything is approved without a person: authorization requests are answered with a redirect
                                at once, device codes at the first poll. Without it a page waits for a person, and a device
                                code for its page or the command `approve`
  --deny                        everything is denied in the same way
  --device-interval SECONDS     1 unless told
  --latency-ms N                the token endpoint waits so long before it does anything
  --registration                clients may register themselves
  --resource-metadata           the APIs say which server they trust, and need no other announcement
  --dpop-nonces                 proofs (DPoP) need a nonce of the server's
  --fault NAME[:ENDPOINT]       for the next request there, may be given several times; NAME and ENDPOINT as below

Commands, one a line. Each is answered with one line, {\"ok\":true,...} or {\"ok\":false,\"error\":\"...\"}:
  stats                         requests by endpoint and by grant, refreshes, reuses_detected, logins_revoked, live_logins,
                                tokens_issued, api_requests, api_unauthorized, connections, token_requests_at_once,
                                clients_registered
  last ENDPOINT                 the newest request there, secrets included: method, path, query, headers, form, body_length
  expire-access-tokens          those issued so far are expired on the server, and clients do not know
  revoke-access-tokens          those issued so far answer 401
  revoke-logins                 every login is ended
  advance SECONDS               puts the server's clock forward
  approve USER_CODE             and `deny USER_CODE`; ok is false where no such code waits
  approve-as USER               alice (until told) or bob
  deny-next                     the next authorization request is denied
  authorize URL                 the URL that the server sends a browser to that opens this one, as `location`: with --approve
                                or --deny, for programs that receive the redirect themselves
  visit URL                     a browser opens the URL, in the background
  fail-next N STATUS [ENDPOINT] the next N requests are answered with that HTTP status
  fault NAME [ENDPOINT]         for the next request; `fault-always NAME [ENDPOINT]` for each that meets no other
  clear-faults                  takes back all of them, but not --latency-ms
  sign MESSAGE                  what a module with the key of key_client does: the ES256 signature of the message, a word, as
                                `signature` in hexadecimal digits
  wait-held N                   answers when N requests are held by the fault `gate`, or after 30 s with ok false
  open-gate                     lets them go on
  quit                          the same as closing standard input

ENDPOINT: token (unless told), metadata, openid, authorization, consent, par, device-authorization, device, backchannel,
      revocation, introspection, jwks, userinfo, end-session, registration, api, api-metadata, other
NAME: drop-before-commit, drop-after-commit, truncated, hang, gate, unavailable, unavailable-retry-after-1, invalid-grant,
      invalid-client, server-error, html, garbage, huge-body, redirect, form-encoded, no-access-token, slow-down";

/// What the command line asks for.
#[derive(Debug)]
struct Arguments {
    builder: Builder,
    latency: Option<Duration>,
    faults: Vec<(Endpoint, Fault)>,
}

/// The program's `main`.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let ["--visit", url] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return match visit(url) {
            Ok(page) => {
                say(&page);
                ExitCode::SUCCESS
            }
            Err(why) => complain(&why),
        };
    }
    match parse(lexopt::Parser::from_env()) {
        Ok(Some(arguments)) => match serve(arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&format!("the server cannot start: {error}")),
        },
        Ok(None) => {
            say(HELP);
            ExitCode::SUCCESS
        }
        Err(error) => complain(&format!("{error}\n`jeton-test-server --help` says what there is")),
    }
}

/// Standard output is flushed after each line: whoever reads waits for it.
fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    // Whoever closed the pipe does not want to hear more.
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

fn complain(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "jeton-test-server: {text}");
    ExitCode::from(2)
}

fn parse(mut parser: lexopt::Parser) -> Result<Option<Arguments>, lexopt::Error> {
    let mut builder = DevServer::builder().auto_approve(false).device_interval(Some(1));
    let (mut latency, mut faults) = (None, Vec::new());
    while let Some(argument) = parser.next()? {
        let Long(name) = argument else { return Err(argument.unexpected()) };
        builder = match name {
            "help" => return Ok(None),
            "registration" => builder.registration(true),
            "resource-metadata" => builder.resource_metadata(ResourceMetadata::InHeader),
            "dpop-nonces" => builder.dpop_nonces(1000),
            "access-token-life" => match parser.value()?.string()?.as_str() {
                "never" => builder.access_tokens_never_expire(),
                seconds => builder.access_token_lifetime(Duration::from_secs(number(seconds)?)),
            },
            "rotate" => builder,
            "grace" => {
                let grace = Duration::from_secs(parser.value()?.parse()?);
                builder.refresh_token_rotation(Rotation::GracePeriod(grace))
            }
            "no-rotation" => builder.refresh_token_rotation(Rotation::Off),
            "no-refresh-tokens" => builder.issue_refresh_tokens(false),
            "approve" => builder.auto_approve(true).device_auto_approve_after_polls(Some(0)),
            "deny" => builder.auto_deny(true),
            "device-interval" => builder.device_interval(Some(parser.value()?.parse()?)),
            "latency-ms" => {
                latency = Some(Duration::from_millis(parser.value()?.parse()?));
                builder
            }
            "fault" => {
                let text = parser.value()?.string()?;
                let (name, at) = text.split_once(':').map_or((text.as_str(), None), |(n, at)| (n, Some(at)));
                faults.push((endpoint(at)?, fault(name)?));
                builder
            }
            _ => return Err(argument.unexpected()),
        };
    }
    Ok(Some(Arguments { builder, latency, faults }))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number that fits here"))
}

fn endpoint(name: Option<&str>) -> Result<Endpoint, String> {
    let name = name.unwrap_or("token");
    Endpoint::named(name).ok_or_else(|| format!("no endpoint `{name}`"))
}

fn fault(name: &str) -> Result<Fault, String> {
    Fault::named(name).ok_or_else(|| format!("no fault `{name}`"))
}

fn serve(arguments: Arguments) -> std::io::Result<()> {
    let server = Arc::new(arguments.builder.start()?);
    let slow_down = || {
        if let Some(latency) = arguments.latency {
            server.fault_always(Endpoint::Token, Fault::Latency(latency));
        }
    };
    slow_down();
    for (endpoint, fault) in arguments.faults {
        server.fault(endpoint, fault);
    }
    say(&description(&server).to_string());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["quit"] {
            say(&json!({ "ok": true }).to_string());
            break;
        }
        let answer = obey(&server, &words).unwrap_or_else(|error| json!({ "ok": false, "error": error }));
        if words == ["clear-faults"] {
            slow_down();
        }
        say(&answer.to_string());
    }
    Ok(())
}

fn description(server: &DevServer) -> Value {
    let (confidential, confidential_secret) = DevServer::CONFIDENTIAL_CLIENT;
    let (post, post_secret) = DevServer::POST_CLIENT;
    let (service, service_secret) = DevServer::SERVICE_CLIENT;
    let (key_client, key_jwk) = DevServer::KEY_CLIENT;
    let (username, password) = DevServer::ALICE;
    let origin = server.url("");
    json!({
        "issuer": server.issuer(),
        "origin": origin,
        "port": Url::parse(&origin).ok().and_then(|url| url.port()),
        "api": server.resource_url(),
        "api_identifier": server.resource_identifier(),
        "second_api": server.second_resource_url(),
        "second_api_identifier": server.second_resource_identifier(),
        "metadata_url": server.metadata_url(),
        "authorization_endpoint": server.authorization_url(),
        "token_endpoint": server.token_url(),
        "device_authorization_endpoint": server.device_authorization_url(),
        "verification_uri": server.verification_url(),
        "revocation_endpoint": server.revocation_url(),
        "introspection_endpoint": server.introspection_url(),
        "public_client": DevServer::PUBLIC_CLIENT,
        "confidential_client": confidential,
        "confidential_secret": confidential_secret,
        "post_client": post,
        "post_secret": post_secret,
        "service_client": service,
        "service_secret": service_secret,
        "password_client": DevServer::PASSWORD_CLIENT,
        "username": username,
        "password": password,
        "key_client": key_client,
        "key_jwk": key_jwk,
        "redirect_uri": crate::person::REDIRECT_URI,
        "pid": std::process::id(),
    })
}

fn obey(server: &Arc<DevServer>, words: &[&str]) -> Result<Value, String> {
    let mut ok = true;
    match *words {
        ["stats"] => return Ok(stats(server)),
        ["last", at] => {
            let request = server.last_request(endpoint(Some(at))?);
            return request.as_ref().map(recorded).ok_or_else(|| format!("no request came to {at}"));
        }
        ["expire-access-tokens"] => server.expire_access_tokens(),
        ["revoke-access-tokens"] => server.revoke_access_tokens(),
        ["revoke-logins"] => server.revoke_all_logins(),
        ["advance", seconds] => server.advance(Duration::from_secs(number(seconds)?)),
        ["approve", user_code] => ok = server.approve_device(user_code),
        ["deny", user_code] => ok = server.deny_device(user_code),
        ["approve-as", user] if [DevServer::ALICE.0, DevServer::BOB.0].contains(&user) => {
            server.approve_as(user);
        }
        ["approve-as", user] => return Err(format!("no user `{user}`")),
        ["deny-next"] => server.deny_next_authorization(),
        ["authorize", url] => {
            let location = server.authorize(url).map_err(|error| error.to_string())?;
            return Ok(json!({ "ok": true, "location": location }));
        }
        ["visit", url] => {
            let url = url.to_owned();
            // The listener shows its page when the login has ended; nobody here waits for that.
            std::thread::spawn(move || visit(&url));
        }
        ["fail-next", count, status] => fail_next(server, count, status, None)?,
        ["fail-next", count, status, at] => fail_next(server, count, status, Some(at))?,
        ["fault", name] => server.fault(Endpoint::Token, fault(name)?),
        ["fault", name, at] => server.fault(endpoint(Some(at))?, fault(name)?),
        ["fault-always", name] => server.fault_always(Endpoint::Token, fault(name)?),
        ["fault-always", name, at] => server.fault_always(endpoint(Some(at))?, fault(name)?),
        ["clear-faults"] => server.clear_faults(),
        ["sign", message] => return sign(message.as_bytes()),
        ["wait-held", count] => ok = server.wait_until_held_blocking(number(count)?, browser::PATIENCE),
        ["open-gate"] => server.open_gate(),
        _ => return Err(format!("no command `{}`; --help says what there is", words.join(" "))),
    }
    Ok(json!({ "ok": ok }))
}

fn fail_next(server: &DevServer, count: &str, status: &str, at: Option<&str>) -> Result<(), String> {
    let fault = Fault::Status { status: number(status)?, retry_after: None };
    server.fault_times(endpoint(at)?, fault, number(count)?);
    Ok(())
}

/// For programs that sign with a key that they do not have.
fn sign(message: &[u8]) -> Result<Value, String> {
    let key =
        SigningKey::from_jwk(&Secret::from(DevServer::KEY_CLIENT.1)).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
    let signature = runtime.block_on(key.sign(message)).map_err(|error| error.to_string())?;
    let digits: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(json!({ "ok": true, "signature": digits }))
}

fn stats(server: &DevServer) -> Value {
    let stats = server.stats();
    let endpoints =
        Endpoint::all().map(|endpoint| (endpoint.name().to_owned(), stats.requests_to(endpoint).into()));
    let grant = |(name, counts): (&String, &jeton_devserver::GrantStats)| {
        (name.clone(), json!({ "requests": counts.requests, "successes": counts.successes }))
    };
    json!({
        "ok": true,
        "endpoints": Value::Object(endpoints.collect()),
        "grants": Value::Object(stats.grants.iter().map(grant).collect()),
        "refreshes": stats.refreshes,
        "reuses_detected": stats.refresh_reuses_detected,
        "logins_revoked": stats.logins_revoked,
        "live_logins": server.live_logins(),
        "tokens_issued": stats.tokens_issued,
        "api_requests": stats.api_requests,
        "api_unauthorized": stats.api_unauthorized,
        "connections": stats.connections,
        "token_requests_at_once": stats.max_concurrent_token_requests,
        "clients_registered": stats.clients_registered,
    })
}

fn recorded(request: &RecordedRequest) -> Value {
    json!({
        "ok": true,
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": request.headers,
        "form": request.form,
        "body_length": request.body_length,
    })
}

/// Opens a URL as a browser does, and gives the page at the end of the redirects.
pub(crate) fn visit(url: &str) -> Result<String, String> {
    let mut url = Url::parse(url).map_err(|error| format!("not a URL: {error}"))?;
    for _ in 0..10 {
        let answer =
            browser::get(&url).map_err(|error| format!("no answer from {}: {error}", url.authority()))?;
        let Some(location) = answer.header("location").filter(|_| (300..400).contains(&answer.status)) else {
            return match answer.status {
                200 => Ok(answer.body),
                status => Err(format!("the page answered {status}")),
            };
        };
        url = url.join(location).map_err(|error| format!("redirected to no URL: {error}"))?;
    }
    Err("redirected without end".to_owned())
}
