//! Authorization server metadata (RFC 8414), and the same as OpenID Connect Discovery spells it.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::answer::{Answer, Request};
use crate::clients::{
    AUTHORIZATION_CODE, CIBA, CLIENT_CREDENTIALS, DEVICE_CODE, JWT_BEARER, PASSWORD, REFRESH_TOKEN,
    TOKEN_EXCHANGE,
};
use crate::dpop;
use crate::fapi;
use crate::jwt::{self, ServerKeys};
use crate::state::Settings;

pub(crate) fn oauth(settings: &Settings, request: &Request) -> Answer {
    only_get(request, &document(settings))
}

/// With the member that OpenID Connect Discovery §3 requires besides.
pub(crate) fn openid(settings: &Settings, request: &Request) -> Answer {
    let mut document = document(settings);
    document["subject_types_supported"] = json!(["public"]);
    only_get(request, &document)
}

pub(crate) fn jwks(keys: &ServerKeys, request: &Request) -> Answer {
    only_get(request, &keys.jwks())
}

fn only_get(request: &Request, document: &Value) -> Answer {
    match request.method {
        Method::GET => Answer::json(StatusCode::OK, document),
        _ => Answer::empty(StatusCode::METHOD_NOT_ALLOWED).with_header("allow", "GET"),
    }
}

fn document(settings: &Settings) -> Value {
    let endpoint = |path: &str| format!("{}{path}", settings.base);
    let authentication =
        json!(["none", "client_secret_basic", "client_secret_post", "private_key_jwt", "client_secret_jwt"]);
    let assertions = [jwt::ASYMMETRIC, jwt::SYMMETRIC].concat();
    let id_tokens = [jwt::SIGNING, &["HS256"]].concat();
    let mut document = json!({
        "issuer": settings.issuer,
        "authorization_endpoint": endpoint("/authorize"),
        "token_endpoint": endpoint("/token"),
        "token_endpoint_auth_methods_supported": authentication,
        "token_endpoint_auth_signing_alg_values_supported": assertions,
        "pushed_authorization_request_endpoint": endpoint("/par"),
        "request_parameter_supported": true,
        "request_object_signing_alg_values_supported": settings.client_algorithms(),
        "authorization_signing_alg_values_supported": jwt::SIGNING,
        "device_authorization_endpoint": endpoint("/device_authorization"),
        "revocation_endpoint": endpoint("/revoke"),
        "revocation_endpoint_auth_methods_supported": authentication,
        "revocation_endpoint_auth_signing_alg_values_supported": assertions,
        "introspection_endpoint": endpoint("/introspect"),
        "introspection_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "private_key_jwt", "client_secret_jwt"],
        "introspection_endpoint_auth_signing_alg_values_supported": assertions,
        "jwks_uri": endpoint("/jwks"),
        "userinfo_endpoint": endpoint("/userinfo"),
        "userinfo_signing_alg_values_supported": jwt::SIGNING,
        "end_session_endpoint": endpoint("/logout"),
        "id_token_signing_alg_values_supported": id_tokens,
        "introspection_signing_alg_values_supported": jwt::SIGNING,
        "scopes_supported": settings.scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "jwt", "query.jwt"],
        "grant_types_supported":
            [AUTHORIZATION_CODE, CLIENT_CREDENTIALS, DEVICE_CODE, PASSWORD, REFRESH_TOKEN, TOKEN_EXCHANGE, JWT_BEARER, CIBA],
        "backchannel_authentication_endpoint": endpoint("/bc-authorize"),
        "backchannel_token_delivery_modes_supported": ["poll"],
        "backchannel_user_code_parameter_supported": true,
        "backchannel_authentication_request_signing_alg_values_supported": jwt::ASYMMETRIC,
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": dpop::ALGORITHMS.map(|(name, _)| name),
    });
    for (name, yes) in [
        ("require_pushed_authorization_requests", settings.require_par),
        ("require_signed_request_object", settings.require_signed_request_object),
    ] {
        if yes {
            document[name] = true.into();
        }
    }
    if !settings.authorization_detail_types.is_empty() {
        document["authorization_details_types_supported"] = json!(settings.authorization_detail_types);
    }
    if settings.fapi2 {
        fapi::narrow_metadata(&mut document);
    }
    if settings.registration.on {
        document["registration_endpoint"] = endpoint("/register").into();
    }
    if settings.client_documents {
        document["client_id_metadata_document_supported"] = true.into();
    }
    if let Some(tls_origin) = &settings.tls_origin {
        let alias = |path: &str| format!("{tls_origin}{}{path}", settings.base_path);
        document["mtls_endpoint_aliases"] = json!({
            "token_endpoint": alias("/token"),
            "device_authorization_endpoint": alias("/device_authorization"),
            "revocation_endpoint": alias("/revoke"),
            "introspection_endpoint": alias("/introspect"),
            "pushed_authorization_request_endpoint": alias("/par"),
            "backchannel_authentication_endpoint": alias("/bc-authorize"),
            "userinfo_endpoint": alias("/userinfo"),
        });
        document["tls_client_certificate_bound_access_tokens"] = true.into();
        for name in [
            "token_endpoint_auth_methods_supported",
            "revocation_endpoint_auth_methods_supported",
            "introspection_endpoint_auth_methods_supported",
        ] {
            if let Some(methods) = document[name].as_array_mut() {
                methods.extend(["tls_client_auth".into(), "self_signed_tls_client_auth".into()]);
            }
        }
    }
    if settings.advertise_iss {
        document["authorization_response_iss_parameter_supported"] = true.into();
    }
    document
}
