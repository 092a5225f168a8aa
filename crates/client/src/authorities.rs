//! `Authorities`: the certificate authorities of a Unix machine, which are read from its files when the first certificate of a
//! server is to be verified. That takes milliseconds, and a program that finds a valid token never needs them.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

/// Verifies certificates by the machine's authorities and the program's own.
#[derive(Debug)]
pub(crate) struct Authorities {
    own: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    /// Or why there is none.
    verifier: OnceLock<Result<Verifier, Error>>,
}

impl Authorities {
    /// With the program's own ones, which have been parsed already. Nothing is read.
    pub(crate) fn new(own: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Self {
        Self { own, provider, verifier: OnceLock::new() }
    }

    fn verifier(&self) -> Result<&Verifier, Error> {
        let read = || {
            let verifier = Verifier::new_with_extra_roots(self.own.iter().cloned(), self.provider.clone());
            verifier.map_err(|error| {
                tracing::warn!("HTTPS does not work: {error}");
                none()
            })
        };
        self.verifier.get_or_init(read).as_ref().map_err(Clone::clone)
    }
}

/// A bare container has no certificate authorities at all. Plain HTTP on loopback works there nevertheless.
fn none() -> Error {
    let what = "this machine has no certificate authorities; install them (the package is mostly called \
                ca-certificates), name their file in SSL_CERT_FILE, or set HttpOptions::root_certificates";
    Error::General(what.to_owned())
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    // The signatures of a handshake are verified with the key of a certificate that has passed above.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_are_none_nothing_passes_and_the_error_says_what_to_do() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authorities = Authorities::new(Vec::new(), provider);
        authorities.verifier.set(Err(none())).unwrap();
        let name = ServerName::try_from("as.example").unwrap();
        let certificate = CertificateDer::from(vec![0x30, 0x00]);
        let result = authorities.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now());
        assert!(result.unwrap_err().to_string().contains("ca-certificates"));
    }

    #[test]
    fn what_is_offered_to_a_server_is_known_before_anything_is_read() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authorities = Authorities::new(Vec::new(), Arc::clone(&provider));
        assert!(!authorities.supported_verify_schemes().is_empty());
        assert!(authorities.verifier.get().is_none());
        // What the verifier itself would offer.
        if let Ok(verifier) = authorities.verifier() {
            assert_eq!(authorities.supported_verify_schemes(), verifier.supported_verify_schemes());
        }
    }
}
