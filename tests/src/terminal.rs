//! A program in a pseudo-terminal, and what a person would see on its screen.
//!
//! The program believes in the terminal: it has a size, colours, a keyboard, and Ctrl-C. A thread feeds the screen with
//! all that the program writes; a test waits for what it expects to see there, and never for time to pass.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::Pty;
use vt100::{Cell, Parser, Screen};

use crate::browser::PATIENCE;

/// Rows and columns of a terminal that nobody resized.
pub const USUAL: (u16, u16) = (24, 80);

/// So many lines that left the screen at its top can still be read.
const SCROLLBACK: usize = 2_000;

/// A program that runs in a pseudo-terminal. Dropping it kills the program.
pub struct Terminal {
    child: Child,
    keyboard: Arc<Pty>,
    shown: Arc<Shown>,
}

/// What the program wrote, shared with the thread that reads it.
struct Shown {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    parser: Parser,
    history: Vec<u8>,
    /// Nobody holds the terminal any more: the program and all that it started have ended.
    closed: bool,
}

impl Shown {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new((rows, columns): (u16, u16)) -> Self {
        let size = |number| NonZeroU16::new(number).expect("a terminal has rows and columns");
        let parser = Parser::new(size(rows), size(columns), SCROLLBACK);
        Self { parser, history: Vec::new(), closed: false }
    }

    fn see(&mut self, bytes: &[u8]) {
        self.history.extend_from_slice(bytes);
        self.parser.process(bytes);
    }

    /// All lines from the first one that was ever shown. What the terminal broke for being too long is whole again.
    fn text(&mut self) -> String {
        let screen = self.parser.screen_mut();
        // Only one screenful can be read at a time: from the oldest one down.
        let (rows, columns) = (usize::from(screen.size().0.get()), screen.size().1.get());
        let hidden = screen.scrollback_len();
        let mut text = String::new();
        let mut above = hidden;
        let mut first = 0;
        loop {
            screen.set_scrollback(above);
            let lines: Vec<String> = screen.rows(0, columns).collect();
            for (row, line) in lines.iter().enumerate().skip(first) {
                text.push_str(line);
                let row = u16::try_from(row).unwrap_or(u16::MAX);
                if !screen.row_wrapped(row) {
                    text.push('\n');
                }
            }
            if above == 0 {
                break;
            }
            let next = above.saturating_sub(rows);
            // The last screenful overlaps the one before it.
            first = rows - (above - next);
            above = next;
        }
        text.truncate(text.trim_end_matches('\n').len());
        text
    }
}

impl Terminal {
    /// Starts the program in a terminal of the usual size.
    pub fn start(command: Command) -> Self {
        Self::start_in(USUAL, command)
    }

    /// Starts the program in a terminal of so many rows and columns. Its environment is the command's, and a `TERM`.
    pub fn start_in(size: (u16, u16), command: Command) -> Self {
        let (pty, inside) = pty_process::blocking::open().expect("a pseudo-terminal");
        pty.resize(Size::new(size.0, size.1)).expect("a terminal can be resized");
        let command = pty_process::blocking::Command::from(command)
            .env("TERM", "xterm-256color")
            .env_remove("COLUMNS")
            .env_remove("LINES");
        let child = command.spawn(inside).expect("the program starts");
        let keyboard = Arc::new(pty);
        let shown = Arc::new(Shown { state: Mutex::new(State::new(size)), changed: Condvar::new() });
        std::thread::spawn({
            let (pty, shown) = (keyboard.clone(), shown.clone());
            move || watch(&pty, &shown)
        });
        Self { child, keyboard, shown }
    }

    /// Waits until that text stands on the screen, or in what left it at the top.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(&format!("it showed `{text}`"), |shown| shown.contains(text));
    }

    /// Waits until what is shown is as it is to be; `what` is for the failure.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let ended = |state: &mut State| state.closed.then_some("the program ended before");
        self.wait(what, |state| is_so(&state.text()), ended);
    }

    /// Waits until the program has written those bytes, such as a prompt with its colours, for the `times`th time.
    pub fn wait_for_bytes(&self, bytes: &[u8], times: usize) {
        let what = format!("it wrote `{}` for the {times}. time", bytes.escape_ascii());
        let count =
            |state: &mut State| state.history.windows(bytes.len()).filter(|seen| *seen == bytes).count();
        let ended = |state: &mut State| state.closed.then_some("the program ended before");
        self.wait(&what, |state| count(state) >= times, ended);
    }

    /// Waits for a word of that kind, such as a URL, until all of it is there.
    pub fn wait_for_word(&self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let mut found = None;
        let ended = |state: &mut State| state.closed.then_some("the program ended before");
        let look = |state: &mut State| {
            let mut text = state.text();
            if state.parser.screen().cursor_position().1 == 0 {
                text.push('\n');
            }
            // The last word may still be growing.
            text.truncate(text.rfind(char::is_whitespace).unwrap_or(0));
            found = text.split_whitespace().find(|word| is_it(word)).map(str::to_owned);
            found.is_some()
        };
        self.wait(&format!("it showed {what}"), look, ended);
        found.unwrap_or_default()
    }

    /// Waits for the URL of a server on this machine that a person is to open.
    pub fn wait_for_url(&self) -> String {
        self.wait_for_word("a URL", |word| word.starts_with("http://127.0.0.1"))
    }

    /// Waits for a user code of the form `WDJB-MJHT`.
    pub fn wait_for_user_code(&self) -> String {
        self.wait_for_word("a user code", |word| {
            let fits =
                |(at, byte): (usize, u8)| if at == 4 { byte == b'-' } else { byte.is_ascii_uppercase() };
            word.len() == 9 && word.bytes().enumerate().all(fits)
        })
    }

    fn wait(
        &self,
        what: &str,
        mut is_so: impl FnMut(&mut State) -> bool,
        hopeless: impl Fn(&mut State) -> Option<&'static str>,
    ) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shown.lock();
        while !is_so(&mut state) {
            let left = deadline.saturating_duration_since(Instant::now());
            let why = if left.is_zero() { Some("waited in vain until") } else { hopeless(&mut state) };
            if let Some(why) = why {
                let text = state.text();
                drop(state);
                panic!("{why} {what}; the terminal shows:\n{text}\n(end)");
            }
            let waited = self.shown.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Types a line and presses Enter.
    pub fn type_line(&self, line: &str) {
        self.type_text(&format!("{line}\r"));
    }

    /// Types something, control characters included.
    pub fn type_text(&self, text: &str) {
        (&*self.keyboard).write_all(text.as_bytes()).expect("the terminal takes what is typed");
    }

    /// Presses Ctrl-C: the program is interrupted.
    pub fn press_ctrl_c(&self) {
        self.type_text("\u{3}");
    }

    /// Presses Ctrl-D: the input ends.
    pub fn press_ctrl_d(&self) {
        self.type_text("\u{4}");
    }

    /// Makes the window another size, as dragging its corner does.
    pub fn resize(&self, (rows, columns): (u16, u16)) {
        self.keyboard.resize(Size::new(rows, columns)).expect("a terminal can be resized");
        let size = |number| NonZeroU16::new(number).expect("a terminal has rows and columns");
        self.shown.lock().parser.set_size(size(rows), size(columns));
    }

    /// All that was shown, from the first line on. Lines that the terminal broke for being too long are whole.
    pub fn text(&self) -> String {
        self.shown.lock().text()
    }

    /// The screen as it is now, with its cells, colours and cursor.
    pub fn screen(&self) -> Screen {
        let mut state = self.shown.lock();
        let screen = state.parser.screen_mut();
        screen.set_scrollback(0);
        screen.clone()
    }

    /// The rows of the screen as text, without trailing blanks.
    pub fn rows(&self) -> Vec<String> {
        let screen = self.screen();
        screen.rows(0, screen.size().1.get()).map(|row| row.trim_end().to_owned()).collect()
    }

    /// The cells of the first place on the screen where that text stands: their colours, and whether they are bold.
    pub fn cells(&self, text: &str) -> Vec<Cell> {
        let screen = self.screen();
        let columns = screen.size().1.get();
        let found = (0..screen.size().0.get()).find_map(|row| {
            let cell = |column| screen.cell(row, column);
            let at = (0..columns).find(|at| reads(*at, columns, text, cell).is_some())?;
            reads(at, columns, text, cell)
        });
        found.unwrap_or_else(|| panic!("`{text}` is not on the screen:\n{}", self.rows().join("\n")))
    }

    /// Every byte that the program wrote.
    pub fn history(&self) -> Vec<u8> {
        self.shown.lock().history.clone()
    }

    /// Fails if a line is wider than that. A word that is too wide by itself, such as a URL, may stand alone in a line.
    pub fn no_line_wider_than(&self, columns: usize) {
        let text = self.text();
        let wide: Vec<&str> = too_wide(&text, columns).collect();
        assert!(wide.is_empty(), "wider than {columns} columns:\n{}\nin:\n{text}", wide.join("\n"));
    }

    /// The program's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the program has ended and all that it wrote is shown.
    pub fn ended(&mut self) -> ExitStatus {
        self.wait("the program ended", |state| state.closed, |_| None);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the program closed its terminal and does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits as [`ended`](Self::ended) and fails unless the exit code is that one.
    pub fn ended_with(&mut self, code: i32) {
        let status = self.ended();
        assert_eq!(status.code(), Some(code), "{status}; the terminal shows:\n{}\n(end)", self.text());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("pid", &self.child.id()).finish_non_exhaustive()
    }
}

/// Reads until nobody holds the terminal, which Linux tells as an error and others as the end.
fn watch(mut pty: &Pty, shown: &Shown) {
    let mut buffer = [0; 4096];
    loop {
        let read = match pty.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        let mut state = shown.lock();
        state.see(&buffer[..read]);
        state.closed = read == 0;
        shown.changed.notify_all();
        if read == 0 {
            return;
        }
    }
}

/// The cells from there on, if they read like that text.
fn reads<'a>(at: u16, columns: u16, text: &str, cell: impl Fn(u16) -> Option<&'a Cell>) -> Option<Vec<Cell>> {
    let mut rest = text;
    let mut cells = Vec::new();
    for column in at..columns {
        let cell = cell(column)?;
        if cell.is_wide_continuation() {
            continue;
        }
        let shown = if cell.has_contents() { cell.contents() } else { " " };
        rest = rest.strip_prefix(shown)?;
        cells.push(cell.clone());
        if rest.is_empty() {
            return Some(cells);
        }
    }
    None
}

/// The lines that are wider, but for words that cannot be broken and stand alone.
fn too_wide(text: &str, columns: usize) -> impl Iterator<Item = &str> {
    text.lines().filter(move |line| line.chars().count() > columns && line.split_whitespace().count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_has_a_terminal_with_a_size_and_a_keyboard() {
        let script =
            "test -t 0 && test -t 1 && test -t 2 && stty size && echo $TERM; read line; echo \"got $line\"";
        let mut terminal = Terminal::start_in((10, 40), shell(script));
        terminal.wait_for("10 40\nxterm-256color");
        terminal.type_line("something");
        terminal.ended_with(0);
        assert_eq!(terminal.rows()[2..4], ["something", "got something"]);
    }

    #[test]
    fn what_left_the_screen_is_read_too_and_once() {
        let mut terminal =
            Terminal::start_in((3, 10), shell("for i in 1 2 3 4 5 6 7 8; do echo line $i; done"));
        terminal.ended_with(0);
        let lines: Vec<String> = (1..=8).map(|i| format!("line {i}")).collect();
        assert_eq!(terminal.text(), lines.join("\n"));
        assert_eq!(terminal.rows(), ["line 7", "line 8", ""]);
    }

    #[test]
    fn what_the_terminal_broke_is_whole() {
        let mut terminal = Terminal::start_in((3, 10), shell("echo; echo 0123456789abcdef; echo end"));
        terminal.ended_with(0);
        assert_eq!(terminal.text(), "\n0123456789abcdef\nend");
    }

    #[test]
    fn colours_are_told_by_the_cells() {
        let mut terminal = Terminal::start(shell("printf 'plain \\033[1;31mred\\033[0m again\\n'"));
        terminal.ended_with(0);
        let red = terminal.cells("red");
        assert_eq!(red.len(), 3);
        assert!(red.iter().all(|cell| cell.bold() && cell.fgcolor() == vt100::Color::Idx(1)));
        assert!(terminal.cells("plain red a").first().is_some_and(|cell| !cell.bold()));
        assert_eq!(terminal.history(), b"plain \x1b[1;31mred\x1b[0m again\r\n");
    }

    #[test]
    fn a_word_is_whole_when_something_follows_it() {
        let mut terminal =
            Terminal::start(shell("printf 'see http://127.0.0.1:1/'; read line; printf 'abc\\n'; read line"));
        terminal.wait_for("see");
        terminal.type_line("");
        assert_eq!(terminal.wait_for_url(), "http://127.0.0.1:1/");
        terminal.type_line("");
        terminal.ended_with(0);
        let mut terminal =
            Terminal::start(shell("printf 'http://127.0.0.1:1/\\n'; read line; echo WDJB-MJHT. WDJB-MJHT"));
        assert_eq!(terminal.wait_for_url(), "http://127.0.0.1:1/");
        terminal.type_line("");
        assert_eq!(terminal.wait_for_user_code(), "WDJB-MJHT");
        terminal.ended_with(0);
    }

    #[test]
    fn ctrl_c_interrupts() {
        let mut terminal = Terminal::start(shell(
            "trap 'echo interrupted; exit 7' INT; echo ready; while :; do read x; done",
        ));
        terminal.wait_for("ready");
        terminal.press_ctrl_c();
        terminal.ended_with(7);
        terminal.wait_for("interrupted");
    }

    #[test]
    #[should_panic(
        expected = "the program ended before it showed `never`; the terminal shows:\nsomething else"
    )]
    fn a_failure_shows_the_screen_at_once() {
        Terminal::start(shell("echo something else")).wait_for("never");
    }

    #[test]
    #[should_panic(expected = "3; the terminal shows:\nno")]
    fn another_exit_code_is_a_failure() {
        Terminal::start(shell("echo no; exit 3")).ended_with(0);
    }

    #[test]
    fn a_wide_word_may_stand_alone() {
        let wide = "x".repeat(20);
        let text = format!("short\n  {wide}\nand {wide}\n0123456789");
        assert_eq!(too_wide(&text, 10).collect::<Vec<_>>(), [format!("and {wide}")]);
    }
}
