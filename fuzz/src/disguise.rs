//! Puts stand-ins in the places of secrets, so that a check can ask the strongest question about leaks: does anything that
//! is printed depend on what the secret was? If two inputs that differ in nothing but a secret print the same, then no part
//! of it can be read from there, in no spelling.

/// Members whose values are never shown, whatever is wrong with the text that they stand in. (`code` is not among them: in
/// an error object it is the error's.)
const SECRET_MEMBERS: [&str; 7] =
    ["access_token", "refresh_token", "id_token", "device_code", "auth_req_id", "client_secret", "password"];

/// Two stand-ins for the same secret: of one length, and nothing else in common.
pub(crate) const STAND_INS: [&str; 2] = ["AAAAAAAAAAAAAAAA", "qqqqqqqqqqqqqqqq"];

/// The body of an answer with each secret replaced, be it JSON, half of it, or form-encoded.
pub(crate) fn body(body: &[u8], stand_in: &str) -> Vec<u8> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // The parsers take a text that begins like this for JSON or markup, and any other one for a form at the most.
    match text.trim_ascii_start().first() {
        Some(b'{' | b'[' | b'"' | b'<') => json(body, stand_in),
        _ => form(body, stand_in),
    }
}

/// A JSON text, or the beginning of one, with each secret replaced.
pub(crate) fn json(text: &[u8], stand_in: &str) -> Vec<u8> {
    let (mut disguised, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((first, after)) = rest.split_first() {
        match SECRET_MEMBERS.iter().find_map(|name| value_of(rest, name)) {
            Some(value) => {
                disguised.extend_from_slice(&rest[..rest.len() - value.len()]);
                disguised.extend_from_slice(stand_in.as_bytes());
                rest = &value[string_length(value)..];
            }
            None => {
                disguised.push(*first);
                rest = after;
            }
        }
    }
    disguised
}

/// What follows on `"name" : "` at the beginning of the text.
fn value_of<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let rest = text.strip_prefix(b"\"")?.strip_prefix(name.as_bytes())?.strip_prefix(b"\"")?;
    rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")
}

/// Up to the quote that ends the string, or to the end of the text.
fn string_length(text: &[u8]) -> usize {
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(text.len())
}

/// A form with each secret replaced.
fn form(text: &[u8], stand_in: &str) -> Vec<u8> {
    let disguised = |pair: &[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        // A byte-order mark and white space may stand before the first name.
        let name = name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name).trim_ascii_start();
        match SECRET_MEMBERS.iter().find(|secret| secret.as_bytes() == name) {
            Some(_) if pair.contains(&b'=') => {
                let head = pair.iter().position(|byte| *byte == b'=').unwrap_or_default() + 1;
                [&pair[..head], stand_in.as_bytes()].concat()
            }
            _ => pair.to_owned(),
        }
    };
    text.split(|byte| *byte == b'&').map(disguised).collect::<Vec<_>>().join(&b'&')
}
