//! `AuthorizationPolicy`: how a client asks for authorization at all: in the browser's URL, pushed, signed.

#[cfg(feature = "jose")]
use crate::RequestObject;
use crate::SecurityProfile;

/// How a client makes its authorization requests. The defaults suit most servers.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AuthorizationPolicy {
    /// When the request is pushed to the server instead of standing in the browser's URL (RFC 9126).
    pub pushed: PushedRequests,
    /// Rules that are kept as a whole, such as those of FAPI 2.0.
    pub security_profile: Option<SecurityProfile>,
    /// Signs the request (RFC 9101).
    #[cfg(feature = "jose")]
    pub request_object: Option<RequestObject>,
    /// Asks for an answer that the server signs (JARM), and takes no other.
    #[cfg(feature = "jose")]
    pub signed_response: bool,
}

impl AuthorizationPolicy {
    /// What RFC 6749 asks for, and pushed requests where the server requires them.
    pub const fn new() -> Self {
        Self {
            pushed: PushedRequests::WhenRequired,
            security_profile: None,
            #[cfg(feature = "jose")]
            request_object: None,
            #[cfg(feature = "jose")]
            signed_response: false,
        }
    }
}

/// When an authorization request is pushed to the server before the browser opens (RFC 9126).
///
/// A pushed request is authenticated, and nobody can read or change it on its way through the browser. It costs one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushedRequests {
    /// If the server's metadata says `require_pushed_authorization_requests`.
    #[default]
    WhenRequired,
    /// Always: a server without the endpoint is an error.
    Always,
    /// Never: a server that requires them is an error.
    Never,
}
