//! The Rust crates' error texts name Rust functions where they say what to do; here they get their names in C.

/// What the Rust crates say, and what it is called in C. The longer ones first where one holds another.
const WORDS: [(&str, &str); 19] = [
    ("give it one with `Client::builder().grant(..)`", "set JETON_OPTION_GRANT"),
    ("name it with `resource_server`", "name it with JETON_OPTION_RESOURCE_SERVER"),
    ("call `log_in`", "call jeton_session_log_in"),
    ("set the `issuer`, or the `token_endpoint`", "set JETON_OPTION_ISSUER, or JETON_OPTION_TOKEN_ENDPOINT"),
    (
        "the `issuer` and the issuer of the `metadata` differ",
        "JETON_OPTION_ISSUER and the issuer in JETON_OPTION_METADATA differ",
    ),
    ("set `expires_at` to Some(0)", "let its \"expires_at\" be 1"),
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
        "use a libjeton that was built with TLS",
    ),
    ("hand over what it gives to `with_passphrase`", "set it as JETON_OPTION_STORE_PASSPHRASE"),
    ("make one with `SealingKey::generate`", "make one from 32 random bytes"),
    ("say `allow_unencrypted_file`", "set JETON_OPTION_STORE_ALLOW_UNENCRYPTED_FILE"),
    (
        "build the program with the feature `sealed`",
        "use a libjeton that was built with the feature \"sealed\"",
    ),
    (
        "build the program with the feature `keyring`",
        "use a libjeton that was built with the feature \"keyring\"",
    ),
    ("`or_sealed_with_key`", "JETON_OPTION_STORE_KEY"),
    ("`or_sealed_with_passphrase`", "JETON_OPTION_STORE_PASSPHRASE"),
    ("`StoreChoice::move_logins`", "the Rust function `StoreChoice::move_logins`"),
    ("move it with `transfer`", "move it with the Rust function `jeton::storage::Transfer`"),
    ("move them with `transfer`", "move them with the Rust function `jeton::storage::Transfer`"),
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
