//! The FAPI 2.0 Security Profile, as the server's side of it (§5.3.2): what it refuses besides.

use serde_json::{Value, json};

use crate::clients::{Client, Method, PASSWORD};
use crate::jwt;
use crate::refusal::Refusal;
use crate::state::{Settings, State};

/// The algorithms that are good enough (FAPI 2.0 Security Profile §5.4.1).
const ALGORITHMS: &[&str] = &["PS256", "ES256", "EdDSA", "Ed25519"];

impl Settings {
    /// The algorithms that clients may sign by with keys of their own.
    pub(crate) fn client_algorithms(&self) -> &'static [&'static str] {
        if self.fapi2 { ALGORITHMS } else { jwt::ASYMMETRIC }
    }
}

/// Whether that client may have a token that way at all. `is_bound`: whether it proved a key to bind it to.
pub(crate) fn check_token_request(
    state: &State,
    grant_type: &str,
    client: &Client,
    is_bound: bool,
) -> Result<(), Refusal> {
    if !state.settings.fapi2 {
        return Ok(());
    }
    if matches!(client.method, Method::None | Method::Basic | Method::Post | Method::SecretJwt) {
        return Err(Refusal::invalid_client(
            "A31: client authentication by private_key_jwt or mutual TLS only (FAPI 2.0 Security Profile section 5.3.2.1)",
        ));
    }
    if grant_type == PASSWORD {
        return Err(Refusal::new(
            "unauthorized_client",
            "A31: no resource owner password credentials grant (FAPI 2.0 Security Profile section 5.3.2.1)",
        ));
    }
    if !is_bound {
        return Err(Refusal::invalid_request(
            "A31: sender-constrained access tokens only; send a DPoP proof (FAPI 2.0 Security Profile section 5.3.2.1)",
        ));
    }
    Ok(())
}

/// Takes out of the metadata what the profile forbids.
pub(crate) fn narrow_metadata(document: &mut Value) {
    document["token_endpoint_auth_methods_supported"] = json!(["private_key_jwt"]);
    document["token_endpoint_auth_signing_alg_values_supported"] = json!(ALGORITHMS);
    document["dpop_signing_alg_values_supported"] = json!(ALGORITHMS);
    if let Some(grants) = document["grant_types_supported"].as_array_mut() {
        grants.retain(|grant| grant != PASSWORD);
    }
}
