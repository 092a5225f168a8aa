//! What an API answered: its body as it comes, to standard output or into a file; what it says of a token that it refused.

use jeton::Url;
use jeton::models::{Challenge, is_deceptive, parse_www_authenticate};
use jeton::reqwest::header::{LOCATION, WWW_AUTHENTICATE};
use jeton::reqwest::{Response, StatusCode};
use serde_json::{Map, Value};

use super::answer_file::AnswerFile;
use crate::context::{Connection, Context};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::printable::printable_start;

/// The largest body that `--json` puts into its answer.
const LARGEST: usize = 16 * 1024 * 1024;

/// Writes the answer down, and says what a 4xx or 5xx means, or a redirect that was not followed.
pub(super) async fn write(
    response: Response,
    with_head: bool,
    file: Option<AnswerFile>,
    connection: &Connection,
    cx: &Context,
) -> Result<Exit, Failure> {
    let refusal = unfollowed(&response).or_else(|| refusal(&response, connection));
    let file = file.filter(|_| refusal.is_none());
    let written = match cx.output.is_json() {
        true => as_json(response, file, connection, cx.output).await,
        false => as_it_comes(response, with_head, file, connection, cx.output).await,
    };
    match (written, refusal) {
        (Err(failure), _) | (Ok(()), Some(failure)) => Err(failure),
        (Ok(()), None) => Ok(Exit::Success),
    }
}

async fn as_it_comes(
    mut response: Response,
    with_head: bool,
    file: Option<AnswerFile>,
    connection: &Connection,
    output: Output,
) -> Result<(), Failure> {
    let mut screen = output.stdout_is_terminal().then(Screen::default);
    if with_head {
        let head = head(&response);
        let head = if screen.is_some() { Screen::default().harmless(&head)? } else { head };
        if !output.answer_bytes(&head)? {
            return Ok(());
        }
    }
    if let Some(file) = file {
        into_file(response, file, connection).await?;
        return Ok(());
    }
    while let Some(piece) = next(&mut response, connection).await? {
        let goes_on = match &mut screen {
            Some(screen) => output.answer_bytes(&screen.harmless(&piece)?)?,
            None => output.answer_bytes(&piece)?,
        };
        if !goes_on {
            break;
        }
    }
    Ok(())
}

async fn as_json(
    mut response: Response,
    file: Option<AnswerFile>,
    connection: &Connection,
    output: Output,
) -> Result<(), Failure> {
    let mut answer = Map::new();
    answer.insert("profile".to_owned(), connection.name.as_str().into());
    answer.insert("status".to_owned(), response.status().as_u16().into());
    answer.insert("headers".to_owned(), headers(&response));
    if let Some(file) = file {
        answer.insert("file".to_owned(), file.path().display().to_string().into());
        let length = into_file(response, file, connection).await?;
        answer.insert("length".to_owned(), length.into());
        return output.answer("", || Value::Object(answer));
    }
    let mut body = Vec::new();
    while let Some(piece) = next(&mut response, connection).await? {
        body.extend_from_slice(&piece);
        if body.len() > LARGEST {
            return Err(Failure::usage("the answer is too large for --json").help("--output FILE"));
        }
    }
    let body = match String::from_utf8(body) {
        Ok(text) if text.is_empty() => Value::Null,
        Ok(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Err(_) => {
            return Err(
                Failure::usage("the answer is binary, and has no place in JSON").help("--output FILE")
            );
        }
    };
    answer.insert("body".to_owned(), body);
    output.answer("", || Value::Object(answer))
}

/// The next piece of the body.
async fn next(response: &mut Response, connection: &Connection) -> Result<Option<Vec<u8>>, Failure> {
    let piece = response.chunk().await;
    let piece = piece.map_err(|error| connection.failure(&error.into(), "the answer broke off"))?;
    Ok(piece.map(|piece| piece.to_vec()))
}

async fn into_file(
    mut response: Response,
    mut file: AnswerFile,
    connection: &Connection,
) -> Result<u64, Failure> {
    file.begin()?;
    let mut length = 0;
    loop {
        match next(&mut response, connection).await {
            Ok(Some(piece)) => {
                file.write(&piece)?;
                length += piece.len() as u64;
            }
            Ok(None) => return Ok(length),
            Err(failure) => {
                let path = file.path().display();
                return Err(failure.help(format!("try again; {path} has the beginning only")));
            }
        }
    }
}

/// The status line and the headers, as they came.
fn head(response: &Response) -> Vec<u8> {
    let mut head = format!("{:?} {}\n", response.version(), response.status()).into_bytes();
    for (name, value) in response.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.push(b'\n');
    }
    head.push(b'\n');
    head
}

/// The headers by name; several of one name are an array.
fn headers(response: &Response) -> Value {
    let mut all = Map::new();
    for name in response.headers().keys() {
        let values: Vec<Value> = response
            .headers()
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into())
            .collect();
        let value = if let [one] = &values[..] { one.clone() } else { Value::Array(values) };
        all.insert(name.to_string(), value);
    }
    Value::Object(all)
}

/// What the API says of the token.
pub(super) fn challenge(response: &Response) -> Option<Challenge> {
    let values = response.headers().get_all(WWW_AUTHENTICATE).iter();
    let challenges: Vec<Challenge> = values
        .flat_map(|value| parse_www_authenticate(&String::from_utf8_lossy(value.as_bytes())))
        .filter(|challenge| challenge.is("Bearer") || challenge.is("DPoP"))
        .collect();
    let with_error = challenges.iter().find(|challenge| challenge.get("error").is_some());
    with_error.or(challenges.first()).cloned()
}

/// What to say of a redirect that leads to another origin and is the answer, since it was not followed.
fn unfollowed(response: &Response) -> Option<Failure> {
    if ![301, 302, 303, 307, 308].contains(&response.status().as_u16()) {
        return None;
    }
    let from = response.url();
    let to = from.join(response.headers().get(LOCATION)?.to_str().ok()?).ok()?;
    if to.origin() == from.origin() {
        return None;
    }
    let failure = |to: &str| {
        let what = format!("the API sends the request on to {to}, where it was not sent");
        Failure::new(Exit::HttpStatus, "foreign_redirect", what)
    };
    Some(match to.origin().is_tuple() {
        false => failure(&printable_start(to.scheme(), 40)).because("no request can go there"),
        true if is_in_the_clear(from, &to) => failure(&to.origin().ascii_serialization())
            .because("a redirect from HTTPS to what is not HTTPS is not followed"),
        true => failure(&to.origin().ascii_serialization())
            .because("body and headers go to the API that was named")
            .help("if that origin may have them: --location; it does not get the token"),
    })
}

fn is_in_the_clear(from: &Url, to: &Url) -> bool {
    from.scheme() == "https" && to.scheme() != "https"
}

/// What to say of a 4xx or 5xx.
fn refusal(response: &Response, connection: &Connection) -> Option<Failure> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    let name = &connection.name;
    let failure = Failure::new(Exit::HttpStatus, "http_status", format!("the API answered {status}"));
    let Some(challenge) = challenge(response) else { return Some(failure) };
    let said = |part| challenge.get(part).map(|text| printable_start(text, 200));
    let failure = match (said("error"), said("error_description")) {
        (Some(error), Some(description)) => failure.because(format!("{error}: {description}")),
        (Some(one), None) | (None, Some(one)) => failure.because(one),
        (None, None) => failure,
    };
    Some(match (challenge.get("error"), challenge.get("scope")) {
        (Some("insufficient_scope"), Some(scope)) if can_be_typed(scope) => failure.help(format!(
            "if you may have it, log in with that scope too: jeton login {name} --scope \"{scope}\""
        )),
        (Some("insufficient_scope"), _) => failure.help(format!("jeton login {name} --scope \"...\"")),
        _ if status == StatusCode::UNAUTHORIZED => failure
            .help(format!("jeton status {name} says what the login has; jeton login {name} begins anew")),
        _ => failure,
    })
}

/// Whether a stranger's text may stand in a command that somebody copies.
fn can_be_typed(text: &str) -> bool {
    text.len() <= 400
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" .:/_+-*,@~".contains(&byte))
}

/// A terminal obeys what it is sent: of an answer it gets what can be read.
#[derive(Debug, Default)]
struct Screen {
    has_begun: bool,
    /// The beginning of a character whose end is in the next piece.
    held: Vec<u8>,
}

impl Screen {
    const MARK: char = '\u{fffd}';

    fn harmless(&mut self, piece: &[u8]) -> Result<Vec<u8>, Failure> {
        if !std::mem::replace(&mut self.has_begun, true) && piece.contains(&0) {
            return Err(Failure::usage("the answer is binary, and was not written to the terminal")
                .help("--output FILE, or pipe it into another program"));
        }
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(piece);
        let mut text = String::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.extend(chunk.valid().chars().filter_map(|character| match character {
                '\n' | '\t' => Some(character),
                // At the end of a line it does nothing, and within it hides what was there.
                '\r' => None,
                _ if is_deceptive(character) => Some(Self::MARK),
                _ => Some(character),
            }));
            let is_cut = chunks.peek().is_none()
                && str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
            match is_cut {
                true => self.held = chunk.invalid().to_vec(),
                false if chunk.invalid().is_empty() => {}
                false => text.push(Self::MARK),
            }
        }
        Ok(text.into_bytes())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_what_can_be_read_however_it_is_cut() {
        let text = "Größe名\t\u{a0}1\r\n\u{1b}[2J\u{9b}2J\u{202e}\u{7}";
        let expected = "Größe名\t\u{a0}1\n\u{fffd}[2J\u{fffd}2J\u{fffd}\u{fffd}\u{fffd}x";
        // And what is no UTF-8.
        let bytes = &[text.as_bytes(), b"\x9bx"].concat();
        for cut in 0..bytes.len() {
            let mut screen = Screen::default();
            let mut shown = screen.harmless(&bytes[..cut]).unwrap();
            shown.extend(screen.harmless(&bytes[cut..]).unwrap());
            assert_eq!(String::from_utf8(shown).unwrap(), expected, "{cut}");
        }
        assert!(Screen::default().harmless(b"\x89PNG\0").is_err());
    }

    #[test]
    fn only_a_plain_scope_stands_in_a_command() {
        assert!(can_be_typed("openid https://www.example.com/auth/drive.readonly repo:status"));
        for tricky in ["a\";rm -rf ~\"", "$(id)", "`id`", "a\nb", "a'b", "\u{202e}"] {
            assert!(!can_be_typed(tricky), "{tricky}");
        }
    }
}
