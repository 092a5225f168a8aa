//! The Rust crates' error texts name Rust functions where they say what to do; here they get their names in C.

/// What the Rust crates say, and how a program in C does that. The longer ones first where one holds another.
const WORDS: &[(&str, &str)] = &[
    ("give it one with `Client::builder().grant(..)`", "set JETON_OPTION_GRANT"),
    ("name it with `resource_server`", "name it with JETON_OPTION_RESOURCE_SERVER"),
    ("call `log_in`", "call jeton_session_log_in"),
    ("set the `issuer`, or the `token_endpoint`", "set JETON_OPTION_ISSUER, or JETON_OPTION_TOKEN_ENDPOINT"),
    (
        "the `issuer` and the issuer of the `metadata` differ",
        "JETON_OPTION_ISSUER and the issuer in JETON_OPTION_METADATA differ",
    ),
    ("or set the endpoint by hand", "or set its JETON_OPTION_.._ENDPOINT"),
    ("set `expires_at` to Some(0)", "leave \"access_token\" out"),
    (
        "no `interaction` is set that can open a browser",
        "no interaction is set that can open a browser (jeton_config_set_interaction)",
    ),
    (
        "no `interaction` is set that can show a device code",
        "no interaction with show_device_code is set (jeton_config_set_interaction)",
    ),
    (
        "build jeton-client with the feature `rustls` or `native-tls`",
        "use a libjeton that was built with the feature \"rustls\" or \"native-tls\"",
    ),
    (
        "set the `authentication` that was registered",
        "set JETON_OPTION_CLIENT_AUTHENTICATION to what was registered",
    ),
    ("use SigningKey::from_jwk_for", "set JETON_OPTION_PRIVATE_KEY_ALGORITHM"),
    (
        "use ClientSecretJwt for that",
        "set JETON_OPTION_CLIENT_AUTHENTICATION to JETON_AUTHENTICATION_CLIENT_SECRET_JWT for that",
    ),
    ("switch it on with `dpop(true)`", "switch it on with JETON_OPTION_DPOP"),
    ("have jeton make a key by `dpop(true)`", "have jeton make a key by JETON_OPTION_DPOP"),
    ("make one with `SealingKey::generate`", "make one from 32 random bytes"),
    ("say `allow_unencrypted_file`", "set JETON_OPTION_STORE_ALLOW_UNENCRYPTED_FILE"),
    (
        "build the program with the feature `sealed`, and give the key",
        "use a libjeton that was built with the feature \"sealed\", and give the key",
    ),
    ("move it with `transfer`", "move it with `jeton::storage::transfer` of the Rust library"),
    ("move them with `transfer`", "move them with `jeton::storage::transfer` of the Rust library"),
    ("`StoreChoice::move_logins`", "`jeton::StoreChoice::move_logins` of the Rust library"),
];

/// The text with what is named after Rust functions in the words of jeton.h.
pub(crate) fn in_c_words(text: &str) -> String {
    let mut text = text.to_owned();
    for (rust, c) in WORDS {
        if text.contains(rust) {
            text = text.replace(rust, c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// All sources below a folder, with strings that go over several lines in one piece.
    fn sources(folder: &Path, all: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, all);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let mut lines = text.lines();
                while let Some(line) = lines.next() {
                    let mut whole = line.to_owned();
                    while whole.ends_with('\\') {
                        whole.pop();
                        whole.push_str(lines.next().unwrap_or_default().trim_start());
                    }
                    all.push_str(&whole);
                    all.push('\n');
                }
            }
        }
    }

    #[test]
    fn what_is_put_into_other_words_is_what_the_rust_crates_say() {
        let mut all = String::new();
        for package in ["models", "jose", "grants", "storage", "client", "jeton"] {
            let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
            sources(&crates.join(package).join("src"), &mut all);
        }
        for (rust, _) in WORDS {
            assert!(all.contains(rust), "nobody says `{rust}` any more");
        }
    }

    #[test]
    fn words_of_rust_become_words_of_c() {
        assert_eq!(
            in_c_words("nobody has logged in yet; call `log_in`"),
            "nobody has logged in yet; call jeton_session_log_in"
        );
        assert_eq!(in_c_words("the server says no"), "the server says no");
    }
}
