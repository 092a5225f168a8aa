//! Mutual TLS (RFC 8705): a second port on TLS that asks for client certificates, an authority that issues them, and what a
//! certificate proves. Whatever certificate comes is let in; what it is good for is decided for each request.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};

use crate::answer::Request;
use crate::clients::{Client, Method};
use crate::refusal::Refusal;

/// The certificate that a client has shown on its connection, and has proven to hold the key of.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Presented {
    der: Vec<u8>,
    /// Whether the server's own authority issued it.
    is_issued: bool,
}

impl Presented {
    /// `x5t#S256` (RFC 8705 §3.1).
    pub(crate) fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(&self.der))
    }
}

/// Whether the certificate of a request's connection authenticates a client that is registered for one of the two methods
/// (RFC 8705 §2).
pub(crate) fn authenticate(client: &Client, request: &Request) -> Result<(), Refusal> {
    let Some(shown) = &request.certificate else {
        return Err(Refusal::invalid_client(
            "A18: this client authenticates with a certificate, and none came with the connection; use the aliases of \
             mtls_endpoint_aliases (RFC 8705 section 5)",
        ));
    };
    match client.method {
        Method::Tls if !shown.is_issued => {
            Err(Refusal::invalid_client("A18: the certificate is of no authority that this server trusts"))
        }
        Method::Tls if subject(&shown.der) != client.certificate.as_deref().and_then(subject) => {
            Err(Refusal::invalid_client(
                "A18: the certificate's subject is not the one registered for this client",
            ))
        }
        Method::SelfSignedTls if client.certificate.as_ref() != Some(&shown.der) => {
            Err(Refusal::invalid_client("A18: the certificate is not the one registered for this client"))
        }
        _ => Ok(()),
    }
}

/// What the tokens of a request are to be bound to (RFC 8705 §3): the certificate's thumbprint, for clients that authenticate with
/// it, or are registered to have bound tokens.
pub(crate) fn binding(client: &Client, request: &Request) -> Result<Option<String>, Refusal> {
    let wanted = client.certificate_bound || matches!(client.method, Method::Tls | Method::SelfSignedTls);
    match &request.certificate {
        Some(shown) if wanted => Ok(Some(shown.thumbprint())),
        None if wanted => Err(Refusal::invalid_request(
            "A18: this client's tokens are bound to its certificate, and none came with the connection (RFC 8705 section 3)",
        )),
        _ => Ok(None),
    }
}

/// The authority and the port's certificate.
pub(crate) struct MutualTls {
    authority: CertifiedIssuer<'static, KeyPair>,
    acceptor: TlsAcceptor,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl MutualTls {
    pub(crate) fn new() -> io::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "jeton devserver authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(io::Error::other)?);
        let authority = authority.map_err(io::Error::other)?;

        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).map_err(io::Error::other)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = verifier.build().map_err(io::Error::other)?;

        let key = KeyPair::generate().map_err(io::Error::other)?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).and_then(|params| params.signed_by(&key, &authority));
        let certificate = certificate.map_err(io::Error::other)?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_client_cert_verifier(Arc::new(AnyCertificate(provider)))
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { authority, acceptor: TlsAcceptor::from(Arc::new(config)), verifier })
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// The authority's certificate in PEM.
    pub(crate) fn authority_pem(&self) -> String {
        self.authority.pem()
    }

    /// What the certificates of a connection are.
    pub(crate) fn presented(&self, certificates: &[CertificateDer<'_>]) -> Option<Presented> {
        let (own, intermediates) = certificates.split_first()?;
        let is_issued = self.verifier.verify_client_cert(own, intermediates, UnixTime::now()).is_ok();
        Some(Presented { der: own.to_vec(), is_issued })
    }

    /// A certificate of the authority for that common name, and its key, in PEM.
    pub(crate) fn issue(&self, common_name: &str) -> io::Result<(String, String)> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = named(common_name).and_then(|params| params.signed_by(&key, &self.authority));
        Ok((certificate.map_err(io::Error::other)?.pem(), key.serialize_pem()))
    }
}

/// A certificate that nobody but its own key vouches for, and the key, in PEM.
pub(crate) fn self_signed(common_name: &str) -> io::Result<(String, String)> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = named(common_name).and_then(|params| params.self_signed(&key));
    Ok((certificate.map_err(io::Error::other)?.pem(), key.serialize_pem()))
}

fn named(common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

/// The first certificate of a PEM text, as DER.
pub(crate) fn first_certificate(pem: &str) -> Option<Vec<u8>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).ok().map(|der| der.to_vec())
}

/// The subject of a certificate, as it is encoded (RFC 5280 §4.1).
fn subject(certificate: &[u8]) -> Option<&[u8]> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    // version (which may be left out), serialNumber, signature, issuer, validity
    if rest.first() == Some(&0xa0) {
        rest = element(rest)?.2;
    }
    for _ in 0..4 {
        rest = element(rest)?.2;
    }
    element(rest).map(|(whole, ..)| whole)
}

/// An element of DER, what is in it, and what follows it.
fn element(input: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let first = usize::from(*input.get(1)?);
    let (length, start) = match first {
        0..0x80 => (first, 2),
        _ => {
            let bytes = input.get(2..2 + (first & 0x7f))?;
            let length = bytes.iter().try_fold(0_usize, |length, byte| {
                length.checked_mul(256).map(|length| length + usize::from(*byte))
            })?;
            (length, 2 + bytes.len())
        }
    };
    let end = start.checked_add(length)?;
    Some((input.get(..end)?, input.get(start..end)?, input.get(end..)?))
}

/// Asks for a certificate and takes any, or none: whoever shows one has to hold its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_found_and_torn_certificates_have_none() {
        let tls = MutualTls::new().unwrap();
        let der = |(pem, _): (String, String)| first_certificate(&pem).unwrap();
        let (one, again) = (der(tls.issue("a").unwrap()), der(self_signed("a").unwrap()));
        assert_eq!(subject(&one), subject(&again));
        assert!(subject(&one).is_some_and(|subject| subject.ends_with(b"a")));
        assert_ne!(subject(&one), subject(&der(tls.issue("b").unwrap())));
        for length in 0..one.len() {
            let _ = subject(&one[..length]);
        }
        assert_eq!(subject(&one[..20]), None);
        assert!(tls.presented(&[CertificateDer::from(one)]).unwrap().is_issued);
        assert!(!tls.presented(&[CertificateDer::from(again)]).unwrap().is_issued);
        assert!(tls.presented(&[]).is_none());
    }
}
