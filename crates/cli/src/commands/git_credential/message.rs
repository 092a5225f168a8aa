//! What git says to a helper: lines of `key=value`, up to an empty one (git-credential(1), "Input/output format").

use jeton::Secret;
use jeton::models::is_secure_or_loopback;
use url::Url;

use crate::plain_url::plain_url;

/// A question of git's.
#[derive(Debug, Default)]
pub(super) struct Message {
    protocol: String,
    host: String,
    path: String,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    /// In the place of the password, where git asked for another scheme than Basic.
    pub(super) credential: Option<Secret>,
    /// What this git understands beyond passwords.
    capabilities: Vec<String>,
    /// The server's `WWW-Authenticate` headers.
    challenges: Vec<String>,
}

impl Message {
    /// Reads what git said. Keys that are not known are left alone, as the protocol wants.
    pub(super) fn read(text: &str) -> Self {
        let mut message = Self::default();
        for line in text.lines().take_while(|line| !line.is_empty()) {
            let Some((key, value)) = line.split_once('=') else { continue };
            match key {
                "protocol" => message.protocol = value.to_owned(),
                "host" => message.host = value.to_owned(),
                "path" => message.path = value.to_owned(),
                "username" => message.username = Some(value.to_owned()).filter(|value| !value.is_empty()),
                "password" => message.password = Some(Secret::new(value)),
                "credential" => message.credential = Some(Secret::new(value)),
                "capability[]" => push(&mut message.capabilities, value),
                "wwwauth[]" => push(&mut message.challenges, value),
                _ => {}
            }
        }
        message
    }

    /// Where git is about to send the answer; `None` if no token may go there: it is no HTTPS (or HTTP on loopback), or no host.
    pub(super) fn url(&self) -> Option<Url> {
        // Whatever would end the host, or begin it elsewhere, is no part of one.
        let is_of_a_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if self.host.is_empty() || !self.host.chars().all(is_of_a_host) {
            return None;
        }
        let mut url = plain_url(&format!("{}://{}/", self.protocol, self.host))?;
        url.set_path(&self.path);
        is_secure_or_loopback(&url).then_some(url)
    }

    /// Whether the server takes bearer tokens and no passwords, and git can send one.
    pub(super) fn takes_bearer_only(&self) -> bool {
        let offers = |scheme: &str| {
            self.challenges.iter().any(|challenge| {
                challenge.split([' ', ',']).next().is_some_and(|word| word.eq_ignore_ascii_case(scheme))
            })
        };
        self.capabilities.iter().any(|capability| capability == "authtype")
            && offers("bearer")
            && !offers("basic")
    }
}

/// An empty value takes back those before it.
fn push(values: &mut Vec<String>, value: &str) {
    match value.is_empty() {
        true => values.clear(),
        false => values.push(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Option<String> {
        Message::read(text).url().map(|url| url.to_string())
    }

    #[test]
    fn where_the_answer_goes() {
        let table = [
            ("protocol=https\nhost=git.example\n", Some("https://git.example/")),
            (
                "protocol=https\nhost=Git.Example:8443\npath=acme/repo.git\n\n",
                Some("https://git.example:8443/acme/repo.git"),
            ),
            (
                "protocol=https\nhost=git.example\npath=acme/../other/repo\n",
                Some("https://git.example/other/repo"),
            ),
            ("protocol=https\nhost=git.example\npath=a?b#c\n", Some("https://git.example/a%3Fb%23c")),
            ("protocol=http\nhost=127.0.0.1:3000\n", Some("http://127.0.0.1:3000/")),
            ("protocol=http\nhost=localhost\n", Some("http://localhost/")),
            // In the clear.
            ("protocol=http\nhost=git.example\n", None),
            ("protocol=ftp\nhost=git.example\n", None),
            ("protocol=ssh\nhost=git.example\n", None),
            // Something else than a host.
            ("protocol=https\nhost=git.example@evil.example\n", None),
            ("protocol=https\nhost=evil.example/git.example\n", None),
            ("protocol=https\nhost=evil.example#git.example\n", None),
            ("protocol=https\nhost=evil.example?git.example\n", None),
            ("protocol=https\nhost=evil.example\\git.example\n", None),
            ("protocol=https\nhost=git.example\r\n", Some("https://git.example/")),
            ("protocol=https\nhost=git\rexample\n", None),
            // The same host to a browser, and to nobody else.
            ("protocol=https\nhost=g%69t.example\n", None),
            ("protocol=https\nhost=\u{ff47}it.example\n", None),
            ("protocol=http\nhost=0x7f.1\n", None),
            ("protocol=https\nhost=git.example:443\n", Some("https://git.example/")),
            ("protocol=https\nhost=\n", None),
            ("protocol=cert\npath=/home/x\n", None),
            ("", None),
            // Nothing counts after the empty line.
            ("protocol=https\n\nhost=git.example\n", None),
        ];
        for (text, expected) in table {
            assert_eq!(url(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_bearer_token_goes_where_nothing_else_does_and_to_a_git_that_knows_it() {
        let with = |lines: &str| Message::read(lines).takes_bearer_only();
        assert!(with("capability[]=authtype\nwwwauth[]=Bearer realm=\"x\"\n"));
        assert!(with("capability[]=authtype\ncapability[]=state\nwwwauth[]=bearer\n"));
        assert!(!with("wwwauth[]=Bearer realm=\"x\"\n"));
        assert!(!with("capability[]=authtype\nwwwauth[]=Bearer\nwwwauth[]=Basic realm=\"x\"\n"));
        assert!(!with("capability[]=authtype\nwwwauth[]=Basic realm=\"Bearer\"\n"));
        assert!(!with("capability[]=authtype\n"));
        assert!(!with("capability[]=authtype\ncapability[]=\nwwwauth[]=Bearer\n"));
    }

    #[test]
    fn a_password_is_not_shown() {
        let message = Message::read("password=hunter2\ncredential=hunter3\n");
        assert!(!format!("{message:?}").contains("hunter"));
        assert!(message.password.is_some() && message.credential.is_some());
    }
}
