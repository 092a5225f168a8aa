//! Secrets that a person types: nothing is shown of them, and the terminal shows again what is typed whatever happens.

use std::io;

use jeton::Secret;

/// Asks at the terminal for something that nobody is to see. Whether there is a terminal is for the caller to look at.
pub(crate) fn ask_hidden(question: &str) -> io::Result<Secret> {
    #[cfg(unix)]
    let typed = unix::ask(question);
    // A console gives a program that was interrupted its old settings back.
    #[cfg(not(unix))]
    let typed = rpassword::prompt_password(question).map(Secret::new);
    typed
}

#[cfg(unix)]
mod unix {
    //! rpassword asks before it hides, so that what comes quickly is seen, and lets Ctrl-C end the program while the terminal still
    //! hides what is typed.

    use std::fs::File;
    use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
    use std::sync::{Arc, Mutex, PoisonError};

    use jeton::Secret;
    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

    use crate::interrupts::before_the_end;

    /// A key that does nothing (POSIX, `_POSIX_VDISABLE`).
    const NO_KEY: u8 = if cfg!(any(target_os = "linux", target_os = "android")) { 0 } else { 0xff };
    /// The longest secret, in bytes.
    const LONGEST: u64 = 64 << 10;

    pub(super) fn ask(question: &str) -> io::Result<Secret> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        hidden.local_modes.insert(LocalModes::ECHONL);
        // Whoever stopped the program and went on would see what they type.
        hidden.special_codes[SpecialCodeIndex::VSUSP] = NO_KEY;
        let hiding = Hiding(Arc::new(Mutex::new(Some((terminal.try_clone()?, before)))));
        let before = hiding.0.clone();
        let showing = before_the_end(move || show_again(&before));
        tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
        (&terminal).write_all(question.as_bytes())?;
        let mut line = String::new();
        let read = BufReader::new((&terminal).take(LONGEST)).read_line(&mut line)?;
        drop(hiding);
        drop(showing);
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        Ok(Secret::new(line))
    }

    /// The terminal as it was, until it is so again.
    struct Hiding(Arc<Mutex<Option<(File, Termios)>>>);

    impl Drop for Hiding {
        fn drop(&mut self) {
            show_again(&self.0);
        }
    }

    fn show_again(before: &Mutex<Option<(File, Termios)>>) {
        if let Some((terminal, before)) = before.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // There is nobody to tell.
            let _ = tcsetattr(&terminal, OptionalActions::Now, &before);
        }
    }
}
