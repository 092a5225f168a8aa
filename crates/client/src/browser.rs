//! Opening the person's own browser (RFC 8252 §6 asks for it, not for a window inside the program), and telling whether
//! there is one.

use std::ffi::OsString;
use std::io;

use tokio::sync::oneshot;
use url::Url;

/// Opens a URL in the person's browser.
///
/// It never blocks: launchers may take their time, so they run on a thread of their own. `Ok` means that a launcher has
/// taken the URL, not that a page is seen; so show the URL as well.
///
/// # Errors
/// [`OpenBrowserError::Scheme`] for anything but `http` and `https` (a launcher would open files and programs, too),
/// [`OpenBrowserError::Launch`] when no launcher takes it.
///
/// ```no_run
/// # async fn example() -> Result<(), jeton_client::OpenBrowserError> {
/// let url = url::Url::parse("https://as.example/authorize").expect("a URL");
/// jeton_client::open_browser(&url).await
/// # }
/// ```
pub async fn open_browser(url: &Url) -> Result<(), OpenBrowserError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(OpenBrowserError::Scheme { scheme: url.scheme().to_owned() });
    }
    let launch = |error: &io::Error| OpenBrowserError::Launch { kind: error.kind() };
    let (done, opened) = oneshot::channel();
    let url = url.as_str().to_owned();
    std::thread::Builder::new()
        .name("jeton-browser".to_owned())
        .spawn(move || {
            // Nobody may be waiting any more.
            let _ = done.send(open::that_detached(url));
        })
        .map_err(|error| launch(&error))?;
    match opened.await {
        Ok(opened) => opened.map_err(|error| launch(&error)),
        // The thread has panicked.
        Err(_) => Err(OpenBrowserError::Launch { kind: io::ErrorKind::Other }),
    }
}

/// Why no browser was opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenBrowserError {
    /// The URL is not one for a browser.
    #[error("a URL with the scheme `{scheme}` is not opened in a browser; only http and https are")]
    Scheme {
        /// The URL's scheme.
        scheme: String,
    },
    /// No launcher could open it.
    // The launcher's own error quotes its command line, and that holds the URL with `state`.
    #[error("no browser could be opened ({kind}); open the URL by hand")]
    Launch {
        /// What kind of error the launcher met.
        kind: io::ErrorKind,
    },
}

/// Whether this program can expect to open a browser before the eyes of its user.
///
/// # Environment
/// Read by platform convention: `SSH_CONNECTION` and `SSH_TTY` (a remote session: the browser would open on the wrong
/// machine); on Linux and other free Unixes also `DISPLAY` and `WAYLAND_DISPLAY` (one must be there), and `WSL_INTEROP`
/// and `WSL_DISTRO_NAME` (Windows opens the browser).
pub fn browser_available() -> bool {
    let platform = if cfg!(any(windows, target_os = "macos", target_os = "ios", target_os = "android")) {
        Platform::Desktop
    } else {
        Platform::DisplayServer
    };
    available(platform, |name| std::env::var_os(name))
}

#[derive(Clone, Copy, Debug)]
enum Platform {
    /// There is a desktop whenever there is a person.
    Desktop,
    /// There is a desktop when a display server says so.
    DisplayServer,
}

fn available(platform: Platform, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let any =
        |names: [&str; 2]| names.iter().any(|name| variable(name).is_some_and(|value| !value.is_empty()));
    if any(["SSH_CONNECTION", "SSH_TTY"]) {
        return false;
    }
    match platform {
        Platform::Desktop => true,
        Platform::DisplayServer => {
            any(["DISPLAY", "WAYLAND_DISPLAY"]) || any(["WSL_INTEROP", "WSL_DISTRO_NAME"])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(platform: Platform, variables: &[(&str, &str)]) -> bool {
        available(platform, |name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn there_is_a_browser_where_there_is_a_desktop_and_it_is_not_remote() {
        use Platform::{Desktop, DisplayServer};
        assert!(with(Desktop, &[]));
        assert!(!with(Desktop, &[("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")]));
        assert!(!with(DisplayServer, &[]));
        assert!(!with(DisplayServer, &[("DISPLAY", "")]));
        assert!(with(DisplayServer, &[("DISPLAY", ":0")]));
        assert!(with(DisplayServer, &[("WAYLAND_DISPLAY", "wayland-0")]));
        assert!(with(DisplayServer, &[("WSL_INTEROP", "/run/WSL/8_interop")]));
        // A forwarded display is still a remote session.
        assert!(!with(DisplayServer, &[("DISPLAY", "localhost:10.0"), ("SSH_TTY", "/dev/pts/0")]));
    }

    #[tokio::test]
    async fn a14_only_web_addresses_are_opened() {
        for url in ["file:///etc/passwd", "javascript:alert(1)", "mailto:a@b.example", "data:text/html,x"] {
            let url = Url::parse(url).unwrap();
            let error = open_browser(&url).await.unwrap_err();
            assert_eq!(error, OpenBrowserError::Scheme { scheme: url.scheme().to_owned() });
        }
    }
}
