//! Why a server cannot be reached, in words, and what to do.

use jeton::Url;
use jeton::grants::{TransportError, TransportErrorKind};

use super::environment::variable;

/// What was found, and what to do.
pub(super) fn in_words(error: &TransportError, url: &Url) -> (&'static str, String, String) {
    let host = url.host_str().unwrap_or_default();
    let said = error.to_string();
    match error.kind() {
        TransportErrorKind::Tls => tls(&said, host),
        TransportErrorKind::Connect => connect(&said, host),
        TransportErrorKind::Timeout => (
            "reached",
            format!("{host} did not answer in time"),
            "try again; if it stays so, ask whether a firewall or proxy is in between".to_owned(),
        ),
        TransportErrorKind::BodyTooLarge => (
            "answer",
            format!("{url} answers with more than any document of that kind has"),
            "is the issuer right?".to_owned(),
        ),
        _ => (
            "reached",
            format!("{host}: {said}"),
            "try again; is there a proxy that breaks connections?".to_owned(),
        ),
    }
}

/// By what rustls says; whatever is not known is shown as it is.
fn tls(said: &str, host: &str) -> (&'static str, String, String) {
    let of_own_choice = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(|name| variable(name).is_some());
    let (found, help) = if said.contains("Expired") || said.contains("certificate expired") {
        (
            format!("the certificate of {host} has expired"),
            "ask whoever runs the server to renew it; if others reach it, look at this machine's clock"
                .to_owned(),
        )
    } else if said.contains("NotValidYet") || said.contains("not valid yet") {
        (format!("the certificate of {host} is not valid yet"), "look at this machine's clock".to_owned())
    } else if said.contains("NotValidForName") || said.contains("not valid for name") {
        (
            format!("the certificate that {host} shows is another server's ({})", tail(said)),
            "is the issuer spelled as in the certificate? A proxy or portal may answer in its place"
                .to_owned(),
        )
    } else if said.contains("UnknownIssuer") {
        let help = match of_own_choice {
            Some(name) => format!(
                "name the authority's file (in PEM): `jeton login NAME --certificate-authorities FILE`; or add it to what \
                 {name} names, or unset that"
            ),
            None => "name the file (in PEM) of a company's own authority: `jeton login NAME --certificate-authorities FILE`, \
                     or add it to the system's; a proxy that opens TLS has one, too"
                .to_owned(),
        };
        (format!("the certificate of {host} is of an authority that nobody here trusts"), help)
    } else if said.contains("client certificate") {
        (
            format!("{host} wants a client certificate, or another one"),
            "set `certificate` and `certificate_key` in the profile".to_owned(),
        )
    } else {
        (format!("no secure connection to {host}: {}", tail(said)), "is that a server of HTTPS?".to_owned())
    };
    ("certificate", found, help)
}

fn connect(said: &str, host: &str) -> (&'static str, String, String) {
    let said = tail(said);
    if said.contains("lookup") || said.contains("resolve") || said.contains("dns") {
        let help = "is the name spelled right, and is there a network? Inside a company a VPN may be needed";
        return ("reached", format!("nobody knows the name {host} ({said})"), help.to_owned());
    }
    if said.contains("refused") {
        let help = "is the port right, and the server running?";
        return ("reached", format!("{host} refuses connections at that port"), help.to_owned());
    }
    (
        "reached",
        format!("no connection to {host}: {said}"),
        "is there a network, or a proxy to be set?".to_owned(),
    )
}

/// What the innermost cause said.
fn tail(said: &str) -> &str {
    said.split_once(": ").map_or(said, |(_, cause)| cause)
}
