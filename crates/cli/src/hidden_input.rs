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
    use std::sync::{Arc, Mutex, PoisonError, mpsc};
    use std::thread;

    use jeton::Secret;
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
    use tokio::signal::unix::{SignalKind, signal};

    /// The exit code of a program that was ended by Ctrl-C, as shells have it.
    const INTERRUPTED: i32 = 130;
    /// The longest secret, in bytes.
    const LONGEST: u64 = 64 << 10;

    pub(super) fn ask(question: &str) -> io::Result<Secret> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        hidden.local_modes.insert(LocalModes::ECHONL);
        let hiding = Hiding(Arc::new(Mutex::new(Some((terminal.try_clone()?, before)))));
        hiding.end_at_interrupts()?;
        tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
        (&terminal).write_all(question.as_bytes())?;
        let mut line = String::new();
        let read = BufReader::new((&terminal).take(LONGEST)).read_line(&mut line)?;
        drop(hiding);
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        Ok(Secret::new(line))
    }

    /// The terminal as it was, until it is so again.
    struct Hiding(Arc<Mutex<Option<(File, Termios)>>>);

    impl Hiding {
        /// From now on a thread does what the signal did, and shows again what is typed before.
        fn end_at_interrupts(&self) -> io::Result<()> {
            let before = self.0.clone();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            let (listening, begun) = mpsc::channel();
            thread::Builder::new().name("interrupts".to_owned()).spawn(move || {
                runtime.block_on(async {
                    let interrupts = signal(SignalKind::interrupt());
                    let _ = listening.send(interrupts.as_ref().map(drop).map_err(|error| error.kind()));
                    if let Ok(mut interrupts) = interrupts {
                        interrupts.recv().await;
                        show_again(&before);
                        std::process::exit(INTERRUPTED);
                    }
                });
            })?;
            match begun.recv() {
                Ok(begun) => Ok(begun?),
                Err(_) => Err(io::Error::other("the thread for interrupts has ended")),
            }
        }
    }

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
