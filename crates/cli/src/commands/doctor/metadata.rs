//! What a server says of itself, beside what the profile wants of it: in words, with what to do.

use jeton::models::{AuthorizationServerMetadata, MetadataError};

use super::report::{Group, Report};
use crate::printable::printable_start;
use crate::profile::{LoginMethod, Profile};

pub(super) fn look(report: &mut Report, server: &AuthorizationServerMetadata, profile: Option<&Profile>) {
    let group = report.group("server");
    endpoints(group, server, profile);
    login(group, server, profile);
    client(group, server, profile);
    standards(group, server, profile);
}

/// What an endpoint is needed for, where somebody needs it.
const ENDPOINTS: [(&str, &str); 9] = [
    ("token_endpoint", "tokens"),
    ("authorization_endpoint", "login in a browser"),
    ("device_authorization_endpoint", "login by a code on another device"),
    ("pushed_authorization_request_endpoint", "pushed requests"),
    ("revocation_endpoint", "revoking at log-out"),
    ("introspection_endpoint", "introspection"),
    ("registration_endpoint", "registering clients"),
    ("userinfo_endpoint", "userinfo"),
    ("jwks_uri", "the server's keys"),
];

fn endpoints(group: &mut Group, server: &AuthorizationServerMetadata, profile: Option<&Profile>) {
    let (mut offered, mut absent) = (Vec::new(), Vec::new());
    for (name, what) in ENDPOINTS {
        match server.endpoint(name) {
            Ok(url) => {
                offered.push(what);
                let own = server.issuer.parse::<jeton::Url>().ok();
                if own.is_some_and(|own| own.host_str() != url.host_str()) {
                    let host = url.host_str().unwrap_or_default();
                    group.note(name, format!("is on another host, {host}; that is allowed, if it is meant"));
                }
            }
            Err(MetadataError::EndpointInvalid { what: wrong, .. }) => group.mend(
                name,
                format!("{wrong} and is not used, so that there is no {what}"),
                "ask whoever runs the server; an endpoint in the profile wins over the server's",
            ),
            Err(_) => absent.push(what),
        }
    }
    if server.token_endpoint.is_none() && profile.is_none_or(|profile| profile.token_endpoint.is_none()) {
        group.mend(
            "token_endpoint",
            "the server names none",
            "set `token_endpoint` in the profile, if there is one",
        );
    }
    group.ok("offers", offered.join(", "));
    if !absent.is_empty() {
        group.ok("offers not", absent.join(", "));
    }
}

fn lists(list: Option<&Vec<String>>, wanted: &str) -> Option<bool> {
    list.map(|list| list.iter().any(|own| own == wanted))
}

/// What the way of login needs.
fn login(group: &mut Group, server: &AuthorizationServerMetadata, profile: Option<&Profile>) {
    let method = profile.and_then(|profile| profile.login);
    let by_browser = matches!(method, Some(LoginMethod::Browser | LoginMethod::Paste));
    let by_code = method == Some(LoginMethod::Device);
    let has_browser = server.authorization_endpoint.is_some()
        || profile.is_some_and(|profile| profile.authorization_endpoint.is_some());
    let has_device = server.device_authorization_endpoint.is_some()
        || profile.is_some_and(|profile| profile.device_authorization_endpoint.is_some());
    if by_browser && !has_browser {
        group.mend(
            "login",
            "the profile logs in by a browser, and the server has no such login",
            other_login(has_device),
        );
    }
    if by_code && !has_device {
        group.mend(
            "login",
            "the profile logs in by a code, and the server has no device authorization endpoint (RFC 8628)",
            other_login(false),
        );
    }
    if method.is_none() && !has_browser && !has_device && profile.is_some() {
        group.mend(
            "login",
            "the server has no login for people, neither by a browser nor by a code",
            "for a program's own credentials set `login = \"client-credentials\"`",
        );
    }
    let wanted = match method {
        Some(LoginMethod::ClientCredentials) => vec!["client_credentials"],
        Some(LoginMethod::Device) => vec!["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
        _ => vec!["authorization_code", "refresh_token"],
    };
    for grant_type in wanted.into_iter().filter(|grant_type| server.refuses_grant_type(grant_type)) {
        match grant_type {
            "refresh_token" => group.note(
                "grant types",
                "the server lists no `refresh_token`: a login may last as long as its access token only",
            ),
            _ => group.mend(
                "grant types",
                format!("the server does not list `{grant_type}`, which this login needs"),
                "choose another `login`, or ask whoever runs the server",
            ),
        }
    }
    if method != Some(LoginMethod::ClientCredentials) && has_browser {
        browser(group, server);
    }
}

fn other_login(has_device: bool) -> &'static str {
    if has_device { "set `login = \"device\"` in the profile" } else { "set another `login` in the profile" }
}

/// What makes a login in a browser safe.
fn browser(group: &mut Group, server: &AuthorizationServerMetadata) {
    if lists(server.response_types_supported.as_ref(), "code") == Some(false) {
        group.mend(
            "response type",
            "the server does not list `code`, the only safe one",
            "ask whoever runs the server",
        );
    }
    match lists(server.code_challenge_methods_supported.as_ref(), "S256") {
        Some(true) => group.ok("PKCE", "S256"),
        Some(false) => group.mend(
            "PKCE",
            "the server does not list S256; a stolen code may work for the thief",
            "ask whoever runs the server; jeton sends S256 all the same",
        ),
        None => {
            group.note("PKCE", "the server does not say whether it knows S256; jeton sends it all the same")
        }
    }
    match server.authorization_response_iss_parameter_supported {
        Some(true) => group.ok("iss", "the server names itself in its answers, which are checked (RFC 9207)"),
        _ => group.note(
            "iss",
            "the server does not promise to name itself in its answers (RFC 9207); with several servers, one could take \
             another's code",
        ),
    }
    if server.require_signed_request_object == Some(true) {
        group.mend(
            "requests",
            "the server takes signed requests only (RFC 9101), which this command does not send",
            "use the library (`request_object`)",
        );
    }
}

/// What the client of the profile needs.
fn client(group: &mut Group, server: &AuthorizationServerMetadata, profile: Option<&Profile>) {
    let Some(profile) = profile else { return };
    let method = profile.authentication.map_or("none", |authentication| authentication.name());
    let supported = server.token_endpoint_auth_methods_supported.as_ref();
    match lists(supported, method) {
        Some(true) => group.ok("authentication", format!("`{method}`, which the server lists")),
        // Most servers take public clients without saying so.
        Some(false) if method == "none" => {
            group.note(
                "authentication",
                format!(
                    "the server does not list `none`: does the client have a secret? It lists {}",
                    joined(supported)
                ),
            );
        }
        Some(false) => group.mend(
            "authentication",
            format!("the profile has `{method}`, and the server lists {}", joined(supported)),
            "set `authentication` to what the client was registered with",
        ),
        None => {}
    }
    let unknown: Vec<&str> = match (&profile.scope, &server.scopes_supported) {
        (Some(scope), Some(supported)) => {
            scope.split_whitespace().filter(|name| !supported.iter().any(|own| own == name)).collect()
        }
        _ => Vec::new(),
    };
    if !unknown.is_empty() {
        group.note("scope", format!("the server does not list {}; it need not list all", unknown.join(", ")));
    }
    if profile.scope.as_deref().is_some_and(|scope| scope.split_whitespace().any(|name| name == "openid"))
        && server.jwks_uri.is_none()
    {
        group.mend(
            "keys",
            "the profile asks for `openid`, and the server names no keys to check ID tokens with",
            "leave `openid` out of the scope, or ask whoever runs the server",
        );
    }
    if profile.dpop && server.dpop_signing_alg_values_supported.is_none() {
        group.mend(
            "DPoP",
            "the profile binds tokens to a key, and the server does not say that it can",
            "remove `dpop` from the profile, or ask whoever runs the server",
        );
    }
    if profile.certificate.is_some() && server.mtls_endpoint_aliases.is_none() {
        group.note(
            "certificate",
            "the server has no endpoints of their own for client certificates (RFC 8705 §5)",
        );
    }
}

fn joined(list: Option<&Vec<String>>) -> String {
    printable_start(&list.map(|list| list.join(", ")).unwrap_or_default(), 200)
}

/// What else it offers, for who wonders.
fn standards(group: &mut Group, server: &AuthorizationServerMetadata, profile: Option<&Profile>) {
    let yes = |flag: Option<bool>| flag == Some(true);
    let mut known = Vec::new();
    if yes(server.require_pushed_authorization_requests) {
        known.push("pushed requests only (RFC 9126)");
    }
    if server.dpop_signing_alg_values_supported.is_some() && profile.is_none_or(|profile| !profile.dpop) {
        known.push("tokens bound to a key (DPoP)");
    }
    if yes(server.tls_client_certificate_bound_access_tokens) {
        known.push("tokens bound to a certificate");
    }
    if yes(server.client_id_metadata_document_supported) {
        known.push("client identifiers that are URLs");
    }
    if server.backchannel_authentication_endpoint.is_some() {
        known.push("login on the person's own device (CIBA)");
    }
    if !known.is_empty() {
        group.ok("beyond that", known.join(", "));
    }
}
