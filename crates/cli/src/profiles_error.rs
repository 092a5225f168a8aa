//! Why a profiles file cannot be understood: the line, the key and what is wrong with it, and never a value, which may be a secret
//! at the wrong place.

use std::path::Path;

use crate::failure::Failure;
use crate::slips::meant;

/// Where all keys are listed.
const KEYS: &str = "`jeton man login` lists the keys";

/// What the reader of TOML found at fault in this text.
pub(crate) fn of(path: &Path, text: &str, error: &toml::de::Error) -> Failure {
    let start = error.span().map(|span| span.start.min(text.len()));
    let line = start.map(|start| format!(", line {}", 1 + text[..start].matches('\n').count()));
    let failure = wrong(path, &line.unwrap_or_default());
    let message = error.message();
    if let Some((key, known)) = unknown_key(message) {
        return match key {
            "client_secret" => failure
                .because("client secrets are not kept in this file but in the store")
                .help("remove it there, and give it to `jeton login NAME --client-secret-stdin`"),
            _ => of_unknown_key(failure, key, &known),
        };
    }
    let said = without_value(message);
    match start.and_then(|start| key_before(text, start)).filter(|_| is_about_a_value(message)) {
        Some(key) => failure.because(format!("`{key}`: {said}")).help(format!("mend that line; {KEYS}")),
        None => failure.because(said).help("mend the file there"),
    }
}

/// The same of a name that is none.
pub(crate) fn of_name(path: &Path, why: &str) -> Failure {
    wrong(path, "").because(why).help("give that profile another name")
}

fn wrong(path: &Path, line: &str) -> Failure {
    Failure::configuration(format!("{}{line} cannot be understood", path.display()))
}

fn of_unknown_key(failure: Failure, key: &str, known: &[&str]) -> Failure {
    let whose = if known.contains(&"issuer") { "a profile" } else { "the file" };
    let failure = failure.because(format!("{whose} has no key `{key}`"));
    match meant(key, known.iter().copied()) {
        Some(meant) => failure.help(format!("did you mean `{meant}`? {KEYS}")),
        None => failure.help(format!("mend that line; {KEYS}")),
    }
}

/// The key that nobody knows, and those that are known.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let (key, known) = message.strip_prefix("unknown field `")?.rsplit_once("`, expected ")?;
    Some((key, known.split('`').skip(1).step_by(2).collect()))
}

/// Texts of serde, which come of values in a file that is TOML.
fn is_about_a_value(message: &str) -> bool {
    ["unknown variant", "invalid type", "invalid value"].iter().any(|start| message.starts_with(start))
}

/// The key whose value begins there, if it stands before it on its line and is spelled as keys are.
fn key_before(text: &str, start: usize) -> Option<&str> {
    let line = text[..start].rsplit('\n').next()?;
    let key = line.trim_end().strip_suffix('=')?.trim();
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_key.then_some(key)
}

/// What a person wrote may be a secret at the wrong place; the line tells where to look.
fn without_value(message: &str) -> String {
    const WITH_VALUE: [(&str, &str); 6] = [
        ("unknown variant", "unknown value"),
        ("invalid type: string", "invalid type: string"),
        ("invalid type: integer", "invalid type: integer"),
        ("invalid type: floating point", "invalid type: floating point"),
        ("invalid type: boolean", "invalid type: boolean"),
        ("invalid value", "invalid value"),
    ];
    let told = WITH_VALUE.iter().find(|(start, _)| message.starts_with(start));
    match (told, message.rsplit_once(", expected ")) {
        (Some((_, what)), Some((_, expected))) => {
            format!("{what}, expected {}", expected.replace("struct Profile", "a table"))
        }
        (Some((_, what)), None) => (*what).to_owned(),
        (None, _) => message.to_owned(),
    }
}
