//! URLs that every program reads alike. Who asks for a token to send it there has a parser of its own, and what that one takes for
//! the host must be what was looked at here.

use url::Url;

/// The URL, unless another program could read another host in that text: `http://good.example\@evil.example` has `good.example` in
/// a browser's eyes (WHATWG), and `evil.example` in those of RFC 3986.
pub(crate) fn plain_url(text: &str) -> Option<Url> {
    // Browsers leave out tabs and newlines, and turn backslashes.
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let origin = url.origin().ascii_serialization();
    let port = url.port_or_known_default()?;
    let with_port = format!("{}://{}:{port}", url.scheme(), url.host_str()?);
    let spelled = |origin: &str| {
        let start = text.get(..origin.len()).is_some_and(|start| start.eq_ignore_ascii_case(origin));
        start && matches!(text.as_bytes().get(origin.len()), None | Some(b'/'))
    };
    (spelled(&origin) || spelled(&with_port)).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_one_reading_is_taken() {
        for text in [
            "https://api.example",
            "https://API.example/x?y=z#w",
            "https://api.example:443/x",
            "https://api.example:8443/@other.example/x",
            "http://127.0.0.1:18080/a%20b",
            "http://[::1]:1/",
            "https://xn--bcher-kva.example/",
        ] {
            assert!(plain_url(text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_has_two_is_not() {
        for text in [
            "http://127.0.0.1:18080\\@evil.example/x",
            "http://127.0.0.1:18080\\evil.example/x",
            "http:\\\\127.0.0.1:18080/x",
            "http://127.0.0.1:18080@evil.example/x",
            "http://evil.example@127.0.0.1:18080/x",
            "http://127.0.0.1:18080#@evil.example/",
            "http://127.0.0.1:18080?@evil.example/",
            "http://127.0.0.1\t:18080/x",
            "http://127.0.0.1:18080/\nx",
            " http://127.0.0.1:18080/x",
            "http:/127.0.0.1:18080/x",
            "http:127.0.0.1:18080/x",
            "http:///127.0.0.1:18080/x",
            "http://0x7f.1:18080/x",
            "http://2130706433:18080/x",
            "http://127.0.0.1:018080/x",
            "https://api%2eexample/x",
            "https://\u{ff41}pi.example/x",
            "https://b\u{fc}cher.example/x",
            "https://api.example/b\u{fc}cher",
            "https://api.example\u{0}/",
            "/x",
            "data:text/plain,x",
            "",
        ] {
            assert!(plain_url(text).is_none(), "{text:?}");
        }
    }
}
