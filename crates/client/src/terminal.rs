//! `TerminalInteraction`: how a person at a terminal is reached. It opens the browser or asks for the redirected URL,
//! and shows device codes with a countdown.
//!
//! This is the one place of the crate that writes to the terminal: to standard error, so that a program's output stays
//! its own.

use std::fmt;
use std::io::{self, BufRead, IsTerminal as _, Read as _, Write};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use jeton_grants::{
    AuthorizationPrompt, AuthorizationReply, BackchannelPrompt, DeviceCodePrompt, Interaction,
    InteractionError, LoginOutcome, ManualRegistration, RegistrationPrompt, ServerPrompt, ServerReason,
};
use jeton_models::is_deceptive;
use tokio::sync::oneshot;
use url::Url;

/// How often a pasted text may be something else than the redirected URL.
const PASTE_TRIES: usize = 5;

/// The longest line that is taken, in bytes.
const LONGEST_LINE: u64 = 64 << 10;

/// How often the countdown is shown where lines cannot be rewritten.
const RARELY: Duration = Duration::from_secs(60);

/// Reaches a person at a terminal.
///
/// To authorize, it opens the browser (feature `browser`) and shows the URL for copying. Where there is no browser, as in
/// an SSH session, it shows the URL and asks to paste the URL to which the browser was redirected; meanwhile the listener
/// goes on waiting, so that a forwarded port works as well. For a device login it shows where to enter which code, and
/// how long that is possible; for a login that the person approves on another device (CIBA), what to compare there.
///
/// Everything is written to standard error, and lines are read from standard input on a thread of its own, from the
/// first question on. Control characters in a server's texts are replaced.
///
/// ```
/// use std::io::{Cursor, sink};
/// use jeton_client::TerminalInteraction;
///
/// let at_the_terminal = TerminalInteraction::new();
/// let over_a_serial_line = TerminalInteraction::with_io(Box::new(Cursor::new("")), Box::new(sink())).no_browser();
/// ```
pub struct TerminalInteraction {
    opens_browser: bool,
    says_how_it_ended: bool,
    screen: Mutex<Screen>,
    lines: Lines,
}

impl TerminalInteraction {
    /// Standard error and standard input.
    pub fn new() -> Self {
        let stderr = io::stderr();
        let rewrites = stderr.is_terminal();
        Self::over(Input::Stdin, Box::new(stderr)).rewrites_lines(rewrites)
    }

    /// Any input and output. Lines are not rewritten unless [`rewrites_lines`](Self::rewrites_lines) says so.
    pub fn with_io(input: Box<dyn BufRead + Send>, output: Box<dyn Write + Send>) -> Self {
        Self::over(Input::Other(input), output)
    }

    fn over(input: Input, output: Box<dyn Write + Send>) -> Self {
        let screen = Screen {
            output,
            rewrites_lines: false,
            countdown: 0,
            shown: None,
            asking: false,
            clock: String::new(),
        };
        Self {
            opens_browser: true,
            says_how_it_ended: true,
            screen: Mutex::new(screen),
            lines: Lines::new(input),
        }
    }

    /// Never opens a browser: always shows the URL and asks for the redirected one.
    #[must_use]
    pub fn no_browser(mut self) -> Self {
        self.opens_browser = false;
        self
    }

    /// Whether the countdown may be rewritten in place with a carriage return, as on a terminal, or is printed now and
    /// then, as in a log.
    #[must_use]
    pub fn rewrites_lines(mut self, rewrites_lines: bool) -> Self {
        self.screen.get_mut().unwrap_or_else(PoisonError::into_inner).rewrites_lines = rewrites_lines;
        self
    }

    /// Whether it says in a line how a login ended, as it does until set: not where the program says so itself. What the countdown
    /// wrote is removed in any case.
    #[must_use]
    pub fn says_how_it_ended(mut self, says_how_it_ended: bool) -> Self {
        self.says_how_it_ended = says_how_it_ended;
        self
    }

    /// Writes a text of the program's own, in the place of the countdown: for an [`Interaction`] that shows something in its own way and
    /// leaves the rest to this one. It is written as it is, so let no stranger's text in it steer the terminal.
    ///
    /// # Errors
    /// [`InteractionError`] if the terminal cannot be written to.
    pub fn say(&self, text: &str) -> Result<(), InteractionError> {
        self.screen().say(text)
    }

    /// Writes a line that stands until something else is said, as the countdown does; where lines are not rewritten it stays.
    ///
    /// # Errors
    /// [`InteractionError`] if the terminal cannot be written to.
    pub fn say_for_now(&self, line: &str) -> Result<(), InteractionError> {
        self.screen().say_for_now(line)
    }

    /// Shows how long the person still has: for an [`Interaction`] that waits in its own way and calls this now and then. Where lines
    /// are not rewritten it is told once a minute at most.
    ///
    /// While a question waits for its answer, the time stands before the answer; this takes a terminal that knows escape sequences.
    ///
    /// # Errors
    /// [`InteractionError`] if the terminal cannot be written to.
    pub fn count_down(&self, remaining: Duration) -> Result<(), InteractionError> {
        self.screen().count_down(remaining)
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(feature = "browser")]
    async fn browser_opened(&self, url: &Url) -> bool {
        if !self.opens_browser || !crate::browser::browser_available() {
            return false;
        }
        let opened = crate::browser::open_browser(url).await;
        if let Err(error) = &opened {
            tracing::debug!("{error}");
        }
        opened.is_ok()
    }

    #[cfg(not(feature = "browser"))]
    async fn browser_opened(&self, _: &Url) -> bool {
        let _ = self.opens_browser;
        false
    }

    /// One line; `None` for an empty one and at the end of the input.
    async fn typed(&self, question: &str) -> Result<Option<String>, InteractionError> {
        self.screen().ask(question)?;
        let line = self.lines.next().await.map_err(|error| {
            InteractionError::failed(format!("the terminal could not be read ({error}); try again"))
        })?;
        self.screen().asking = false;
        Ok(line.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()))
    }

    /// Asks until the line is the redirected URL.
    async fn pasted(&self, prompt: &AuthorizationPrompt<'_>) -> Result<AuthorizationReply, InteractionError> {
        for _ in 0..PASTE_TRIES {
            let line = self.lines.next().await.map_err(|error| unreadable(&error))?;
            self.screen().asking = false;
            let Some(line) = line else {
                if prompt.listening {
                    // Nobody types here, but a browser may still come: a script, or a forwarded port.
                    self.screen().say("Nothing can be pasted here; waiting for the browser.\n")?;
                    return Ok(AuthorizationReply::Opened);
                }
                return Err(InteractionError::unavailable(
                    "there is no browser here, and the input has ended, so that the redirected URL cannot be pasted",
                ));
            };
            match read_pasted(&line, prompt.redirect_uri) {
                Ok(url) => return Ok(AuthorizationReply::Redirected(url)),
                Err(complaint) => self.screen().ask(&format!("{complaint}\n"))?,
            }
        }
        Err(InteractionError::failed(format!(
            "the redirected URL was not pasted in {PASTE_TRIES} tries; start the login again"
        )))
    }
}

impl Default for TerminalInteraction {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TerminalInteraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TerminalInteraction")
            .field("opens_browser", &self.opens_browser)
            .field("rewrites_lines", &self.screen().rewrites_lines)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Interaction for TerminalInteraction {
    async fn open_authorization_url(
        &self,
        prompt: &AuthorizationPrompt<'_>,
    ) -> Result<AuthorizationReply, InteractionError> {
        let redirect_uri = shown(prompt.redirect_uri);
        if self.browser_opened(prompt.url).await {
            self.screen().say(&format!(
                "Your browser is open to sign in. If it shows nothing, open this address:\n\n  {}\n\n",
                prompt.url
            ))?;
            return Ok(AuthorizationReply::Opened);
        }
        // A pushed request is kept for a minute or so, and for one use (RFC 9126 §4).
        let soon = if prompt.open_before.is_some() { " (soon, and only once)" } else { "" };
        self.screen().ask(&format!(
            "To sign in, open this address in a browser{soon}:\n\n  {}\n\nThen copy the address at which the browser ends up\n\
             (it begins with {redirect_uri};\nnever mind if the page cannot be loaded), paste it here and press Enter.\n",
            prompt.url
        ))?;
        self.pasted(prompt).await
    }

    async fn show_device_code(&self, prompt: &DeviceCodePrompt<'_>) -> Result<(), InteractionError> {
        let code = shown(prompt.user_code);
        let text = match prompt.verification_uri_complete {
            // The person compares the code, so that nobody has them approve another device (RFC 8628 §3.3.1, §5.4).
            Some(complete) => format!(
                "Visit {} to authenticate, and check that the code there is {code}\n",
                shown(complete)
            ),
            None => format!("Visit {} and enter code {code}\n", shown(prompt.verification_uri)),
        };
        self.screen().say(&text)
    }

    async fn device_code_pending(
        &self,
        _: &DeviceCodePrompt<'_>,
        remaining: Duration,
    ) -> Result<(), InteractionError> {
        self.screen().count_down(remaining)
    }

    async fn show_backchannel_authentication(
        &self,
        prompt: &BackchannelPrompt<'_>,
    ) -> Result<(), InteractionError> {
        let who = prompt.login_hint.map(|hint| format!(" of {}", shown(hint))).unwrap_or_default();
        // The person compares it, so that nobody has them approve another request (CIBA Core §7.1).
        let check = prompt
            .binding_message
            .map(|message| format!(", and check that it says {}", shown(message)))
            .unwrap_or_default();
        self.screen().say(&format!("Approve the sign-in on the device{who}{check}\n"))
    }

    async fn backchannel_authentication_pending(
        &self,
        _: &BackchannelPrompt<'_>,
        remaining: Duration,
    ) -> Result<(), InteractionError> {
        self.screen().count_down(remaining)
    }

    async fn approve_authorization_server(
        &self,
        prompt: &ServerPrompt<'_>,
    ) -> Result<bool, InteractionError> {
        let (resource, issuer) = (shown(prompt.resource), shown(prompt.issuer));
        let question = match prompt.reason {
            ServerReason::Moved { from } => format!(
                "{resource} has moved its sign-in from {} to\n\n  {issuer}\n\nDo you trust that server? Type yes or no.\n",
                shown(from)
            ),
            _ => format!(
                "{resource} wants you to sign in at\n\n  {issuer}\n\nDo you trust that server? Type yes or no.\n"
            ),
        };
        let answer = self.typed(&question).await?.unwrap_or_default().to_ascii_lowercase();
        Ok(matches!(answer.as_str(), "y" | "yes"))
    }

    async fn register_client(
        &self,
        prompt: &RegistrationPrompt<'_>,
    ) -> Result<Option<ManualRegistration>, InteractionError> {
        let documentation =
            prompt.documentation.map(|page| format!(" (see {})", shown(page))).unwrap_or_default();
        let client_id = self
            .typed(&format!(
                "This program is no client of {} yet,\nand cannot register itself. Register one there{documentation}\nand type its \
                 client identifier, or nothing to give up.\n",
                shown(prompt.issuer)
            ))
            .await?;
        let Some(client_id) = client_id else { return Ok(None) };
        let secret =
            self.typed("Its client secret, if it has one (it will be seen here), or nothing.\n").await?;
        let registration = ManualRegistration::new(client_id);
        Ok(Some(match secret {
            Some(secret) => registration.with_secret(secret),
            None => registration,
        }))
    }

    async fn login_ended(&self, outcome: LoginOutcome<'_>) {
        let line = match outcome {
            _ if !self.says_how_it_ended => String::new(),
            LoginOutcome::Success => "You are signed in.\n".to_owned(),
            LoginOutcome::Denied { error, description: Some(description) } => {
                format!("The login was refused: {}: {}\n", shown(error), shown(description))
            }
            LoginOutcome::Denied { error, description: None } => {
                format!("The login was refused: {}\n", shown(error))
            }
            LoginOutcome::Failed(what) => format!("The login failed: {}\n", shown(what)),
            _ => "The login has ended.\n".to_owned(),
        };
        if let Err(error) = self.screen().say(&line) {
            tracing::debug!("{error}");
        }
    }
}

/// What is written to, and what stands in its last line.
struct Screen {
    output: Box<dyn Write + Send>,
    rewrites_lines: bool,
    /// How many columns the countdown takes up in the last line.
    countdown: usize,
    /// The time that the countdown showed last, where lines are not rewritten.
    shown: Option<Duration>,
    /// Whether the last line is a question that nobody has answered.
    asking: bool,
    /// The time that stands before answers; nothing until there is one.
    clock: String,
}

impl Screen {
    fn say(&mut self, text: &str) -> Result<(), InteractionError> {
        self.shown = None;
        // The countdown goes. Spaces do that on any terminal, also on one that knows no escape sequences.
        let blank = match std::mem::take(&mut self.countdown) {
            0 => String::new(),
            width => format!("\r{:width$}\r", ""),
        };
        let unanswered = if std::mem::take(&mut self.asking) { "\n" } else { "" };
        self.write(&format!("{blank}{unanswered}{text}"))
    }

    /// Says it and waits behind a prompt for a line.
    fn ask(&mut self, text: &str) -> Result<(), InteractionError> {
        let clock = &self.clock;
        self.say(&format!("{text}{clock}> "))?;
        self.asking = true;
        Ok(())
    }

    fn say_for_now(&mut self, line: &str) -> Result<(), InteractionError> {
        if !self.rewrites_lines {
            return self.say(&format!("{line}\n"));
        }
        let unanswered = if std::mem::take(&mut self.asking) { "\n" } else { "" };
        let width = std::mem::replace(&mut self.countdown, line.chars().count());
        self.write(&format!("{unanswered}\r{line:width$}"))
    }

    fn count_down(&mut self, remaining: Duration) -> Result<(), InteractionError> {
        if self.asking {
            return self.count_down_before_the_answer(remaining);
        }
        let line = format!("Waiting for you: {} left", clock_face(remaining));
        if self.rewrites_lines {
            return self.say_for_now(&line);
        }
        if self.shown.is_some_and(|shown| shown.saturating_sub(remaining) < RARELY) {
            return Ok(());
        }
        self.shown = Some(remaining);
        self.write(&format!("{line}\n"))
    }

    /// What is being typed stays, and the cursor behind it.
    fn count_down_before_the_answer(&mut self, remaining: Duration) -> Result<(), InteractionError> {
        if !self.rewrites_lines {
            return Ok(());
        }
        let clock = format!("{} left ", clock_face(remaining));
        let width = self.clock.len();
        let text = match width {
            // Nobody has typed anything so soon.
            0 => format!("\r{clock}> "),
            _ => format!("\u{1b}7\r{clock:width$}\u{1b}8"),
        };
        self.clock = format!("{clock:width$}");
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> Result<(), InteractionError> {
        let written = self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush());
        written.map_err(|error| {
            InteractionError::failed(format!(
                "the terminal cannot be written to ({error}); run the program where somebody sees what it says"
            ))
        })
    }
}

/// Minutes and seconds.
fn clock_face(time: Duration) -> String {
    // Rounded up: as long as there is time, it is not 0:00.
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// A server's text as it may be shown on a terminal.
fn shown(text: &str) -> String {
    text.chars().map(|character| if is_deceptive(character) { '\u{fffd}' } else { character }).collect()
}

fn unreadable(error: &io::Error) -> InteractionError {
    InteractionError::failed(format!(
        "the redirected URL could not be read from the terminal ({error}); start the login again"
    ))
}

/// The redirected URL in a pasted line, or what to tell the person.
///
/// Whether it is the answer to this very login is not decided here: `state` is checked by the grant.
fn read_pasted(line: &str, redirect_uri: &str) -> Result<Url, String> {
    let expected = || {
        format!(
            "That is not the address to which the browser was sent.\nCopy all of its address bar; it begins with {}",
            shown(redirect_uri)
        )
    };
    let pasted = Url::parse(line.trim().trim_matches(['"', '\'', '<', '>'])).map_err(|_| expected())?;
    let place = |url: &Url| {
        let path = url.path().trim_end_matches('/').to_owned();
        (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default(), path)
    };
    if Url::parse(redirect_uri).is_ok_and(|expected| place(&expected) != place(&pasted)) {
        return Err(expected());
    }
    if !pasted.query_pairs().any(|(name, _)| name == "state") {
        return Err(
            "There is no answer in that address.\nCopy all of it, with everything behind the question mark."
                .to_owned(),
        );
    }
    Ok(pasted)
}

enum Input {
    Stdin,
    Other(Box<dyn BufRead + Send>),
}

impl Input {
    /// A line, or `None` at the end. This blocks.
    fn read_line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let read = match self {
            // Locked for one line only: it is not ours alone.
            Self::Stdin => io::stdin().lock().take(LONGEST_LINE).read_until(b'\n', &mut line)?,
            Self::Other(input) => input.take(LONGEST_LINE).read_until(b'\n', &mut line)?,
        };
        Ok((read > 0).then(|| String::from_utf8_lossy(&line).into_owned()))
    }
}

type Line = io::Result<Option<String>>;

/// Lines, read on a thread that is started by the first question: a read cannot be given up, and must not hold up the
/// runtime. The thread ends when nobody can ask any more, at the latest after the line that it is reading.
struct Lines {
    /// Until the thread is started.
    input: Mutex<Option<Input>>,
    questions: mpsc::Sender<oneshot::Sender<Line>>,
    /// Until the thread is started.
    asked: Mutex<Option<mpsc::Receiver<oneshot::Sender<Line>>>>,
}

impl Lines {
    fn new(input: Input) -> Self {
        let (questions, asked) = mpsc::channel();
        Self { input: Mutex::new(Some(input)), questions, asked: Mutex::new(Some(asked)) }
    }

    /// The next line. The future may be dropped; the line then goes to the next one who asks.
    async fn next(&self) -> Line {
        self.start()?;
        let (answer, line) = oneshot::channel();
        let ended = || io::Error::other("the thread that reads the terminal has ended");
        self.questions.send(answer).map_err(|_| ended())?;
        line.await.map_err(|_| ended())?
    }

    fn start(&self) -> io::Result<()> {
        let input = self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(input), Some(asked)) = (input, asked) {
            std::thread::Builder::new()
                .name("jeton-terminal".to_owned())
                .spawn(move || answer_questions(input, &asked))?;
        }
        Ok(())
    }
}

fn answer_questions(mut input: Input, asked: &mpsc::Receiver<oneshot::Sender<Line>>) {
    while let Ok(mut question) = asked.recv() {
        if question.is_closed() {
            continue;
        }
        let mut line = input.read_line();
        // Who asked may have gone meanwhile, and somebody else may be asking.
        while let Err(unheard) = question.send(line) {
            let Ok(next) = asked.try_recv() else { break };
            (question, line) = (next, unheard);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REDIRECT_URI: &str = "http://127.0.0.1:4711/callback";

    #[test]
    fn a_pasted_url_is_taken_as_people_copy_it() {
        let url = format!("{REDIRECT_URI}?code=c&state=s");
        for pasted in [url.clone(), format!("  {url} \r\n"), format!("'{url}'\n"), format!("<{url}>")] {
            assert_eq!(read_pasted(&pasted, REDIRECT_URI).unwrap().as_str(), url, "{pasted:?}");
        }
        let custom =
            read_pasted("com.example.app:/done?error=access_denied&state=s", "com.example.app:/done");
        assert!(custom.is_ok());
    }

    #[test]
    fn anything_else_is_answered_with_what_is_expected() {
        let others = [
            "",
            "yes",
            "code=c&state=s",
            "https://as.example/authorize?client_id=app&state=s",
            "http://127.0.0.1:4712/callback?code=c&state=s",
            "http://127.0.0.1:4711/other?code=c&state=s",
        ];
        for pasted in others {
            let complaint = read_pasted(pasted, REDIRECT_URI).unwrap_err();
            assert!(
                complaint.ends_with(&format!("it begins with {REDIRECT_URI}")),
                "{pasted:?}: {complaint}"
            );
        }
        let complaint = read_pasted(REDIRECT_URI, REDIRECT_URI).unwrap_err();
        assert!(complaint.starts_with("There is no answer in that address"), "{complaint}");
    }

    #[test]
    fn the_clock_face_shows_no_zero_while_there_is_time() {
        assert_eq!(clock_face(Duration::from_secs(600)), "10:00");
        assert_eq!(clock_face(Duration::from_millis(59_001)), "1:00");
        assert_eq!(clock_face(Duration::from_millis(1)), "0:01");
    }

    #[test]
    fn the_time_stands_before_what_is_being_typed() {
        let paper = Paper::default();
        let terminal =
            TerminalInteraction::with_io(Box::new(io::empty()), Box::new(paper.clone())).rewrites_lines(true);
        terminal.screen().ask("Paste it.\n").unwrap();
        terminal.count_down(Duration::from_secs(600)).unwrap();
        terminal.count_down(Duration::from_secs(599)).unwrap();
        assert_eq!(paper.take(), "Paste it.\n> \r10:00 left > \u{1b}7\r9:59 left  \u{1b}8");
        // As after an answer that was none.
        terminal.screen().asking = false;
        terminal.screen().ask("What?\n").unwrap();
        assert_eq!(paper.take(), "What?\n9:59 left  > ");
        terminal.say_for_now("It came by itself.").unwrap();
        terminal.say_for_now("Wait.").unwrap();
        terminal.say("Done.\n").unwrap();
        assert_eq!(paper.take(), "\n\rIt came by itself.\rWait.             \r     \rDone.\n");
    }

    #[test]
    fn a_log_gets_lines_and_no_time_into_a_question() {
        let paper = Paper::default();
        let terminal = TerminalInteraction::with_io(Box::new(io::empty()), Box::new(paper.clone()));
        terminal.say_for_now("Wait.").unwrap();
        for left in [300, 299, 240] {
            terminal.count_down(Duration::from_secs(left)).unwrap();
        }
        terminal.screen().ask("Paste it.\n").unwrap();
        terminal.count_down(Duration::from_secs(100)).unwrap();
        assert_eq!(
            paper.take(),
            "Wait.\nWaiting for you: 5:00 left\nWaiting for you: 4:00 left\nPaste it.\n> "
        );
    }

    /// What is written, to be read.
    #[derive(Clone, Default)]
    struct Paper(std::sync::Arc<Mutex<Vec<u8>>>);

    impl Paper {
        fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_servers_text_cannot_steer_the_terminal() {
        assert_eq!(
            shown("a\u{1b}[2Jb\rc\u{9b}d\u{202e}e\nf"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}f"
        );
    }

    #[tokio::test]
    async fn a_line_whose_asker_has_gone_goes_to_the_next() {
        let (typed, lines) = mpsc::channel::<Vec<u8>>();
        let lines = Lines::new(Input::Other(Box::new(io::BufReader::new(Typed(lines)))));
        let mut first = Box::pin(lines.next());
        assert!(futures_util::poll!(&mut first).is_pending());
        drop(first);
        let mut second = Box::pin(lines.next());
        assert!(futures_util::poll!(&mut second).is_pending());
        typed.send(b"one\ntwo\n".to_vec()).unwrap();
        drop(typed);
        // The thread may have begun to read for the first asker or not; in any case nothing is lost or told twice.
        assert_eq!(second.await.unwrap().as_deref(), Some("one\n"));
        assert_eq!(lines.next().await.unwrap().as_deref(), Some("two\n"));
        assert_eq!(lines.next().await.unwrap(), None);
    }

    /// Input that blocks until something is typed.
    struct Typed(mpsc::Receiver<Vec<u8>>);

    impl io::Read for Typed {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Ok(typed) = self.0.recv() else { return Ok(0) };
            buffer[..typed.len()].copy_from_slice(&typed);
            Ok(typed.len())
        }
    }
}
