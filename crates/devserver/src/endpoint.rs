//! The endpoints of the server: what a path leads to. Faults, statistics and recorded requests are
//! sorted by them.

use crate::protected_resource::described_by;

/// An endpoint of the devserver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `/.well-known/oauth-authorization-server`, with the issuer's path inserted after it (RFC 8414 §3).
    Metadata,
    /// `openid-configuration`, appended to the issuer (OpenID Connect Discovery) and inserted (RFC 8414 §5).
    OpenIdConfiguration,
    /// `/authorize` (RFC 6749 §3.1).
    Authorization,
    /// `/authorize/decision`: where the consent page's buttons lead.
    Consent,
    /// `/token` (RFC 6749 §3.2).
    Token,
    /// `/par`: pushed authorization requests (RFC 9126 §2).
    PushedAuthorization,
    /// `/device_authorization` (RFC 8628 §3.1).
    DeviceAuthorization,
    /// `/device` and `/device/decision`: the verification page (RFC 8628 §3.3).
    DeviceVerification,
    /// `/bc-authorize`: backchannel authentication requests (CIBA Core §7).
    BackchannelAuthentication,
    /// `/revoke` (RFC 7009).
    Revocation,
    /// `/introspect` (RFC 7662).
    Introspection,
    /// `/jwks`: the keys that the server signs with (RFC 7517).
    Jwks,
    /// `/userinfo` (OpenID Connect Core §5.3).
    UserInfo,
    /// `/logout`: the end session endpoint (OpenID Connect RP-Initiated Logout).
    EndSession,
    /// `/register` and `/register/CLIENT_ID` (RFC 7591, RFC 7592).
    Registration,
    /// `/api/...` and `/api2/...`: the two protected resources (RFC 6750).
    Resource,
    /// The metadata of the protected resources (RFC 9728), wherever it is.
    ResourceMetadata,
    /// Everything else: the home page, and what answers 404.
    Other,
}

/// What command lines and pages call the endpoints.
const NAMES: [(&str, Endpoint); 18] = [
    ("token", Endpoint::Token),
    ("metadata", Endpoint::Metadata),
    ("openid", Endpoint::OpenIdConfiguration),
    ("authorization", Endpoint::Authorization),
    ("consent", Endpoint::Consent),
    ("par", Endpoint::PushedAuthorization),
    ("device-authorization", Endpoint::DeviceAuthorization),
    ("device", Endpoint::DeviceVerification),
    ("backchannel", Endpoint::BackchannelAuthentication),
    ("revocation", Endpoint::Revocation),
    ("introspection", Endpoint::Introspection),
    ("jwks", Endpoint::Jwks),
    ("userinfo", Endpoint::UserInfo),
    ("end-session", Endpoint::EndSession),
    ("registration", Endpoint::Registration),
    ("api", Endpoint::Resource),
    ("api-metadata", Endpoint::ResourceMetadata),
    ("other", Endpoint::Other),
];

impl Endpoint {
    /// What it is called on command lines, such as `token`, `device-authorization` or `api`.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, endpoint)| *endpoint == self).map_or("other", |(name, _)| name)
    }

    /// The endpoint of that [name](Self::name).
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, endpoint)| *endpoint)
    }

    /// All endpoints.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.into_iter().map(|(_, endpoint)| endpoint)
    }

    /// Which endpoint a path belongs to, on a server whose issuer has the path `base_path` (without `/` at
    /// its end; empty when it has none).
    pub(crate) fn of(path: &str, base_path: &str) -> Self {
        if path.strip_prefix("/.well-known/oauth-authorization-server").is_some_and(|rest| rest == base_path)
        {
            return Self::Metadata;
        }
        if path.strip_prefix("/.well-known/openid-configuration").is_some_and(|rest| rest == base_path) {
            return Self::OpenIdConfiguration;
        }
        if described_by(path).is_some() {
            return Self::ResourceMetadata;
        }
        if ["/api", "/api2"]
            .iter()
            .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        {
            return Self::Resource;
        }
        match path.strip_prefix(base_path) {
            Some("/.well-known/openid-configuration") => Self::OpenIdConfiguration,
            Some("/authorize") => Self::Authorization,
            Some("/authorize/decision") => Self::Consent,
            Some("/token") => Self::Token,
            Some("/par") => Self::PushedAuthorization,
            Some("/device_authorization") => Self::DeviceAuthorization,
            Some("/device" | "/device/decision") => Self::DeviceVerification,
            Some("/bc-authorize") => Self::BackchannelAuthentication,
            Some("/revoke") => Self::Revocation,
            Some("/introspect") => Self::Introspection,
            Some("/jwks") => Self::Jwks,
            Some("/userinfo") => Self::UserInfo,
            Some("/logout") => Self::EndSession,
            Some("/register") => Self::Registration,
            Some(path) if path.starts_with("/register/") => Self::Registration,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn rfc8414_inserts_the_issuers_path_and_openid_appends_it() {
        let of = |path| Endpoint::of(path, "/tenant1");
        assert_eq!(of("/.well-known/oauth-authorization-server/tenant1"), Endpoint::Metadata);
        assert_eq!(of("/.well-known/openid-configuration/tenant1"), Endpoint::OpenIdConfiguration);
        assert_eq!(of("/tenant1/.well-known/openid-configuration"), Endpoint::OpenIdConfiguration);
        assert_eq!(of("/.well-known/oauth-authorization-server"), Endpoint::Other);
        assert_eq!(of("/tenant1/.well-known/oauth-authorization-server"), Endpoint::Other);
        assert_eq!(of("/tenant1/token"), Endpoint::Token);
        assert_eq!(of("/token"), Endpoint::Other);
        assert_eq!(of("/api/me"), Endpoint::Resource);
        assert_eq!(of("/apis"), Endpoint::Other);
    }
}
