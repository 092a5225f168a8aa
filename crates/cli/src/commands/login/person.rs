//! How `jeton login` reaches the person: as the library does at a terminal, with a QR code for another device, and asking nothing
//! where nobody could answer.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jeton::grants::{
    AuthorizationPrompt, AuthorizationReply, DeviceCodePrompt, Interaction, InteractionError, LoginOutcome,
    ManualRegistration, RegistrationPrompt, ServerPrompt, async_trait,
};
use jeton::{LoopbackRedirect, OpenBrowserError, TerminalInteraction, browser_available, open_browser};

use super::qr_code;
use super::waiting::{Told, Waiting};
use crate::hidden_input::ask_hidden;
use crate::output::STRONG;
use crate::printable::printable;

/// Rows that stand beneath a QR code: what to do, the code, the countdown.
const ROWS_BENEATH: usize = 5;
/// A code may be as wide as that.
const COLUMNS: usize = 80;

/// So begins what is said of a browser that was wanted and cannot be had.
pub(super) const NO_BROWSER: &str = "no browser could be opened";

/// The person who logs in.
#[derive(Debug)]
pub(super) struct Person {
    waiting: Arc<Waiting>,
    opens_browser: bool,
    /// Whether what was shown last goes on in the next line: an empty one sets the end apart.
    goes_on: AtomicBool,
}

impl Person {
    /// `opens_browser`: else the address is shown, and the one at which the browser ends up is asked for.
    pub(super) fn new(opens_browser: bool) -> Self {
        // A browser is opened here, to be able to say why if that does not work.
        let terminal = TerminalInteraction::new().says_how_it_ended(false).no_browser();
        Self { waiting: Waiting::at(terminal), opens_browser, goes_on: AtomicBool::new(false) }
    }

    /// The place to which the browser comes back, which tells this person so.
    pub(super) fn told_by(&self, redirect: LoopbackRedirect) -> Told<LoopbackRedirect> {
        Told { redirect, waiting: self.waiting.clone() }
    }

    fn terminal(&self) -> &TerminalInteraction {
        &self.waiting.terminal
    }

    fn wait_for_browser(&self, prompt: &AuthorizationPrompt<'_>) -> AuthorizationReply {
        self.waiting.count_down(prompt.expires_at);
        AuthorizationReply::Opened
    }
}

#[async_trait]
impl Interaction for Person {
    async fn open_authorization_url(
        &self,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, InteractionError> {
        if self.opens_browser {
            match opened(prompt.url).await {
                Ok(()) => {
                    self.terminal().say(&format!(
                        "Your browser is open to sign in. If it shows nothing, open this address:\n\n  {}\n\n",
                        prompt.url
                    ))?;
                    return Ok(self.wait_for_browser(prompt));
                }
                // Nobody would see an address, nor paste one.
                Err(why) if !io::stdin().is_terminal() => return Err(InteractionError::failed(why)),
                Err(why) => self.terminal().say(&format!("But {why}.\n\n"))?,
            }
        }
        let pasted = self.terminal().open_authorization_url(prompt);
        let reply = self.waiting.count_down_while(prompt.expires_at, pasted).await?;
        match reply {
            AuthorizationReply::Redirected(_) => self.goes_on.store(true, Ordering::Relaxed),
            _ => return Ok(self.wait_for_browser(prompt)),
        }
        Ok(reply)
    }

    async fn show_device_code(&self, prompt: &DeviceCodePrompt<'_>) -> Result<(), InteractionError> {
        self.goes_on.store(true, Ordering::Relaxed);
        self.terminal().say(&device_prompt(prompt, &Look::of_stderr()))
    }

    async fn device_code_pending(
        &self,
        prompt: &DeviceCodePrompt<'_>,
        remaining: Duration,
    ) -> Result<(), InteractionError> {
        self.terminal().device_code_pending(prompt, remaining).await
    }

    async fn approve_authorization_server(
        &self,
        prompt: &ServerPrompt<'_>,
    ) -> Result<bool, InteractionError> {
        // Else whoever called finds out that nobody was asked.
        match io::stdin().is_terminal() {
            true => self.terminal().approve_authorization_server(prompt).await,
            false => Ok(false),
        }
    }

    async fn register_client(
        &self,
        prompt: &RegistrationPrompt<'_>,
    ) -> Result<Option<ManualRegistration>, InteractionError> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let see = prompt.documentation.map(|page| format!(" (see {})", printable(page))).unwrap_or_default();
        self.terminal().say(&format!(
            "{} does not register clients by itself.\nRegister one there{see}, and type its client identifier, or \
             nothing to give up.\n> ",
            printable(prompt.issuer)
        ))?;
        // A read cannot be given up, and must not hold up the library's thread.
        let typed = tokio::task::spawn_blocking(typed_client).await;
        typed.map_err(InteractionError::other)?.map_err(|error| {
            InteractionError::failed(format!("the terminal could not be read ({error}); try again"))
        })
    }

    async fn login_ended(&self, outcome: LoginOutcome<'_>) {
        self.waiting.end();
        self.terminal().login_ended(outcome).await;
        if self.goes_on.load(Ordering::Relaxed) {
            // There is nobody to tell when standard error is closed.
            let _ = self.terminal().say("\n");
        }
    }
}

/// Opens the browser, or says why not.
async fn opened(url: &jeton::Url) -> Result<(), String> {
    if !browser_available() {
        return Err(format!("{NO_BROWSER}: there is none here"));
    }
    let why = match open_browser(url).await {
        Ok(()) => return Ok(()),
        Err(OpenBrowserError::Launch { kind: io::ErrorKind::NotFound }) => "there is no such program",
        Err(OpenBrowserError::Launch { kind: io::ErrorKind::PermissionDenied }) => "it may not be run",
        Err(OpenBrowserError::Scheme { .. }) => "the address is none for a browser",
        Err(_) => "it failed",
    };
    let own = std::env::var("BROWSER").ok().filter(|own| !own.trim().is_empty());
    Err(match own {
        Some(own) => format!("{NO_BROWSER}: `{}` (the variable BROWSER): {why}", printable(&own)),
        None => format!("{NO_BROWSER}: {why}"),
    })
}

/// A client identifier and its secret, of which nothing is shown.
fn typed_client() -> io::Result<Option<ManualRegistration>> {
    let mut client_id = String::new();
    io::stdin().read_line(&mut client_id)?;
    let client = ManualRegistration::new(client_id.trim());
    if client.client_id.is_empty() {
        return Ok(None);
    }
    let secret = ask_hidden("Its client secret (it is not shown), or nothing if it has none: ")?;
    Ok(Some(if secret.is_empty() { client } else { client.with_secret(secret) }))
}

/// What the terminal can show.
struct Look {
    styled: bool,
    columns: usize,
    /// Columns and rows for a QR code; none where it could not be drawn.
    room: Option<(usize, usize)>,
}

impl Look {
    fn of_stderr() -> Self {
        let stderr = io::stderr();
        let styled = anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never;
        let size = terminal_size::terminal_size_of(&stderr)
            .map(|(columns, rows)| (usize::from(columns.0), usize::from(rows.0)));
        let columns = size.map_or(COLUMNS, |(columns, _)| columns.min(COLUMNS));
        let draws = styled && understands_utf8(|name| std::env::var(name).ok());
        let room = size.filter(|_| draws).map(|(_, rows)| (columns, rows.saturating_sub(ROWS_BENEATH)));
        Self { styled, columns, room }
    }
}

/// Whether the terminal shows more than ASCII: its locale says so, or nobody set one, as in containers.
fn understands_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    if cfg!(windows) {
        return true;
    }
    let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set);
    locale.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// The QR code, where there is room for it; in any case address and code, to be read and typed.
fn device_prompt(prompt: &DeviceCodePrompt<'_>, look: &Look) -> String {
    let (address, code) = (printable(prompt.verification_uri), printable(prompt.user_code));
    let scanned = prompt.verification_uri_complete.unwrap_or(prompt.verification_uri);
    let drawing = look.room.and_then(|(columns, rows)| qr_code::drawn(scanned, columns, rows));
    let style = if look.styled { STRONG } else { anstyle::Style::new() };
    let scans = drawing.is_some();
    let begin = if scans { "Scan it, or open" } else { "To sign in, open" };
    let mut text = drawing.unwrap_or_default();
    let short = begin.len() + address.chars().count() + 3 < look.columns;
    let between = if short { "  " } else { "\n  " };
    let _ = writeln!(text, "{begin}{between}{style}{address}{style:#}");
    let _ = writeln!(text, "and enter the code  {style}{code}{style:#}");
    if scans && prompt.verification_uri_complete.is_some() {
        // The person compares the code, so that nobody has them approve another device (RFC 8628 §3.3.1, §5.4).
        text.push_str("(after a scan it may be there already: compare it)\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_says_what_a_terminal_shows() {
        let with = |set: &'static [(&str, &str)]| {
            understands_utf8(|name| {
                set.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(with(&[]) && with(&[("LANG", "de_DE.UTF-8")]) && with(&[("LC_ALL", ""), ("LANG", "C.utf8")]));
        if cfg!(not(windows)) {
            assert!(
                !with(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]) && !with(&[("LANG", "de_DE.ISO-8859-1")])
            );
        }
    }
}
