//! `SecurityProfile`: a set of rules that a client keeps as a whole, and refuses to work without (FAPI 2.0 Security Profile).

use jeton_models::GrantType;

use crate::{ClientAuthentication, GrantContext, Recovery};

/// Rules that a client keeps as a whole. What is missing is found out before anything is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecurityProfile {
    /// The FAPI 2.0 Security Profile, §5.3.3 (what clients do) and §5.4 (algorithms): requests are pushed, PKCE is S256, the client
    /// authenticates with a key (`private_key_jwt`) or a certificate, tokens are bound to a key (DPoP) or a certificate, the
    /// server names itself in its answers, and signatures are PS256, ES256 or EdDSA.
    Fapi2,
}

/// What a client or a server lacks for a security profile. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecurityProfileError {
    /// The client authenticates by something that can be replayed.
    #[error(
        "FAPI 2.0 asks for client authentication by `private_key_jwt` or mutual TLS, and the client has `{method}` (FAPI 2.0 Security \
         Profile §5.3.3.1); set another authentication"
    )]
    Authentication {
        /// The method that is configured.
        method: String,
    },
    /// A signature is of an algorithm that is not good enough.
    #[error(
        "FAPI 2.0 takes signatures by PS256, ES256 and EdDSA only, and the {what} has {algorithm} (FAPI 2.0 Security Profile §5.4); use \
         another key"
    )]
    Algorithm {
        /// What is signed.
        what: &'static str,
        /// The algorithm, or "one that it does not name".
        algorithm: String,
    },
    /// Tokens would be good for whoever has them.
    #[error(
        "FAPI 2.0 asks for tokens that are bound to the client, and neither DPoP nor mutual TLS is on (FAPI 2.0 Security Profile \
         §5.3.3.1); switch one on"
    )]
    Unbound,
    /// The server does not say that it binds tokens to certificates.
    #[error(
        "FAPI 2.0 asks for tokens that are bound to the client, and {issuer} does not say \
         `tls_client_certificate_bound_access_tokens` (RFC 8705 §3.3); use DPoP there"
    )]
    ServerUnbound {
        /// The server.
        issuer: String,
    },
    /// The server does not name itself in its answers.
    #[error(
        "FAPI 2.0 asks for `iss` in authorization responses, and {issuer} does not say \
         `authorization_response_iss_parameter_supported` (RFC 9207 §3); it has no FAPI 2.0"
    )]
    NoIss {
        /// The server.
        issuer: String,
    },
    /// It is not known who the server is.
    #[error(
        "FAPI 2.0 asks for the server's metadata, and only endpoints are set (FAPI 2.0 Security Profile §5.3.3.1); set the `issuer`"
    )]
    NoIssuer,
    /// A grant that the profile forbids.
    #[error(
        "FAPI 2.0 forbids the grant `{grant_type}` (FAPI 2.0 Security Profile §5.3.2.1); use authorization code"
    )]
    Grant {
        /// Which.
        grant_type: String,
    },
    /// A provider's dialect takes PKCE out of the request, or spells it in a way of its own.
    #[error(
        "FAPI 2.0 asks for PKCE with S256, and the provider's dialect has none, or another one; leave out the profile of the \
         provider, or FAPI 2.0 (FAPI 2.0 Security Profile §5.3.3.2)"
    )]
    NoPkce,
}

impl SecurityProfileError {
    pub(crate) fn recovery(&self) -> Recovery {
        match self {
            Self::NoIss { .. } => Recovery::GiveUp,
            Self::Grant { .. } => Recovery::FixRequest,
            _ => Recovery::FixConfiguration,
        }
    }
}

/// Client authentication that proves a key (FAPI 2.0 Security Profile §5.3.3.1).
const METHODS: [&str; 3] = ["private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"];

impl SecurityProfile {
    /// Checks how a client authenticates, for which no server is needed.
    ///
    /// # Errors
    /// [`SecurityProfileError::Authentication`] or [`SecurityProfileError::Algorithm`].
    pub fn check_authentication(
        self,
        authentication: &dyn ClientAuthentication,
    ) -> Result<(), SecurityProfileError> {
        let method = authentication.method();
        if !METHODS.contains(&method) {
            return Err(SecurityProfileError::Authentication { method: method.to_owned() });
        }
        let algorithm = authentication.signing_algorithm();
        match algorithm {
            Some(algorithm) => check_algorithm("client assertion", algorithm),
            None if method == "private_key_jwt" => {
                check_algorithm("client assertion", "one that it does not name")
            }
            None => Ok(()),
        }
    }

    /// Checks a grant, for which no server is needed.
    ///
    /// # Errors
    /// [`SecurityProfileError::Grant`].
    pub fn check_grant(self, grant_type: &GrantType) -> Result<(), SecurityProfileError> {
        match grant_type {
            GrantType::ResourceOwnerPasswordCredentials => {
                Err(SecurityProfileError::Grant { grant_type: grant_type.as_str().to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Checks whatever concerns each request: the client, its keys, and what the server says of itself.
    pub(crate) fn check(self, cx: &GrantContext<'_>) -> Result<(), SecurityProfileError> {
        self.check_authentication(cx.authentication)?;
        if cx.issuer.is_none() {
            return Err(SecurityProfileError::NoIssuer);
        }
        #[cfg(feature = "jose")]
        if let Some(dpop) = cx.dpop {
            return check_algorithm("DPoP proof", dpop.algorithm().as_str());
        }
        if !cx.mutual_tls {
            return Err(SecurityProfileError::Unbound);
        }
        match cx.server.tls_client_certificate_bound_access_tokens {
            Some(true) => Ok(()),
            _ => Err(SecurityProfileError::ServerUnbound { issuer: cx.server.issuer.clone() }),
        }
    }

    /// Checks whatever concerns an authorization request besides.
    pub(crate) fn check_authorization(self, cx: &GrantContext<'_>) -> Result<(), SecurityProfileError> {
        self.check(cx)?;
        #[cfg(feature = "jose")]
        if let Some(request_object) = &cx.authorization.request_object {
            check_algorithm("request object", request_object.algorithm().as_str())?;
        }
        match cx.server.authorization_response_iss_parameter_supported {
            Some(true) => Ok(()),
            _ => Err(SecurityProfileError::NoIss { issuer: cx.server.issuer.clone() }),
        }
    }
}

fn check_algorithm(what: &'static str, algorithm: &str) -> Result<(), SecurityProfileError> {
    match algorithm {
        "PS256" | "ES256" | "EdDSA" | "Ed25519" => Ok(()),
        other => Err(SecurityProfileError::Algorithm { what, algorithm: other.to_owned() }),
    }
}

/// Whether a signature of that algorithm is good enough.
#[cfg(feature = "jose")]
pub(crate) fn allows(algorithm: jeton_jose::JwsAlgorithm) -> bool {
    check_algorithm("", algorithm.as_str()).is_ok()
}
