//! Client authentication by the certificate of the connection (RFC 8705 §2). The proof is made by the transport, in the TLS
//! handshake; what stands in the request is the client's identifier, by which the server finds what to compare it with.

use async_trait::async_trait;

use crate::{AuthenticationContext, ClientAuthentication, EndpointRequest, GrantError, PublicClient};

/// `tls_client_auth`: a certificate of an authority that the server trusts, whose subject is registered for the client
/// (RFC 8705 §2.1).
///
/// The transport has to connect with the certificate: with jeton-client, set `HttpOptions::client_certificate`. Requests go to
/// the server's `mtls_endpoint_aliases` where it has such (RFC 8705 §5).
#[derive(Clone, Copy, Debug, Default)]
pub struct TlsClientAuth;

/// `self_signed_tls_client_auth`: a certificate that the client made itself, which is registered for the client or stands in
/// its keys (RFC 8705 §2.2).
///
/// The transport has to connect with the certificate: with jeton-client, set `HttpOptions::client_certificate`. Requests go to
/// the server's `mtls_endpoint_aliases` where it has such (RFC 8705 §5).
#[derive(Clone, Copy, Debug, Default)]
pub struct SelfSignedTlsClientAuth;

#[async_trait]
impl ClientAuthentication for TlsClientAuth {
    fn method(&self) -> &str {
        "tls_client_auth"
    }

    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        cx: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError> {
        // RFC 8705 §2: `client_id` in every request, as with a public client.
        PublicClient.authenticate(request, cx).await
    }

    fn uses_mutual_tls(&self) -> bool {
        true
    }
}

#[async_trait]
impl ClientAuthentication for SelfSignedTlsClientAuth {
    fn method(&self) -> &str {
        "self_signed_tls_client_auth"
    }

    async fn authenticate(
        &self,
        request: &mut EndpointRequest,
        cx: &AuthenticationContext<'_>,
    ) -> Result<(), GrantError> {
        PublicClient.authenticate(request, cx).await
    }

    fn uses_mutual_tls(&self) -> bool {
        true
    }
}
