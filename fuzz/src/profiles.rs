//! Provider profiles in TOML: somebody's own file, which may have come from anywhere.

use jeton_grants::RequestDialect;
use jeton_models::{Parameters, Url, is_secure_or_loopback};
use jeton_profiles::{Catalog, Profile, Provider};

use super::property::{in_proportion, is_fit_to_be_shown};

/// Checks one input: the text.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match in_proportion(text.as_bytes(), || Catalog::from_toml(&text)) {
        Ok(catalog) => catalog.iter().for_each(is_harmless),
        Err(error) => is_fit_to_be_shown(&error),
    }
}

fn is_harmless(profile: &Profile) {
    if let Err(error) = profile.provider() {
        is_fit_to_be_shown(&error);
    }
    // Whatever fits a placeholder's kind may stand in its place.
    for value in ["a", "a-1", "evil.example", "a.b:80", "..", "@", "x/y", "?#", "0"] {
        let mut filled = profile.clone();
        for placeholder in profile.placeholders() {
            let with = filled.clone().with(&placeholder.name, value);
            filled = match with
                .or_else(|_| filled.clone().with(&placeholder.name, placeholder.example.as_str()))
            {
                Ok(filled) => filled,
                Err(error) => panic!("the example does not fit: {error}"),
            };
        }
        match filled.provider() {
            Ok(provider) => is_secure(&provider),
            Err(error) => panic!("everything is set: {error}"),
        }
    }
    // The same from its own data.
    let again = profile.to_builder().build().expect("what was read can be built");
    assert_eq!(again, *profile);
}

fn is_secure(provider: &Provider) {
    let server = &provider.server;
    let endpoints = [
        &server.authorization_endpoint,
        &server.token_endpoint,
        &server.device_authorization_endpoint,
        &server.revocation_endpoint,
        &server.introspection_endpoint,
        &server.userinfo_endpoint,
        &server.end_session_endpoint,
        &server.jwks_uri,
        &provider.requests.refresh_endpoint,
    ];
    for endpoint in endpoints.into_iter().flatten() {
        let url = Url::parse(endpoint).expect("an endpoint is a URL");
        assert!(is_secure_or_loopback(&url), "{endpoint}");
        assert!(
            url.username().is_empty() && url.password().is_none() && url.fragment().is_none(),
            "{endpoint}"
        );
    }
    let requests = &provider.requests;
    let omitted = &requests.omitted;
    let lists = [
        &omitted.all,
        &omitted.authorization,
        &omitted.token,
        &omitted.refresh,
        &omitted.device_authorization,
    ];
    let extra = &requests.extra;
    let added = [&extra.authorization, &extra.token, &extra.refresh, &extra.device_authorization];
    let named = requests.renamed.iter().flat_map(|(ours, theirs)| [ours.as_str(), theirs.as_str()]);
    let named = named.chain(lists.into_iter().flatten().map(String::as_str));
    let mut named = named.chain(added.into_iter().flat_map(Parameters::iter).map(|(name, _)| name));
    assert!(!named.any(RequestDialect::is_protected), "what no profile changes: {requests:?}");
    assert!(!requests.headers.contains_key("authorization") && !requests.headers.contains_key("dpop"));
}
