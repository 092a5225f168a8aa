//! Opening the person's own browser (RFC 8252 §6 asks for it, not for a window inside the program), and telling whether
//! there is one.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::oneshot;
use url::Url;

/// A command of `BROWSER` that has not failed within that time has taken the URL.
const SOON: Duration = Duration::from_secs(1);

/// Browsers that draw in the terminal itself, which is the program's.
const IN_THE_TERMINAL: [&str; 7] = ["www-browser", "lynx", "w3m", "links", "links2", "elinks", "browsh"];

/// Opens a URL in the person's browser: with the commands of `BROWSER` (see [`browser_available`]) if there are any, else with the
/// platform's launcher.
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
            let _ = done.send(match browsers(|name| std::env::var_os(name)) {
                own if own.is_empty() => open::that_detached(url),
                own => open_with(&own, &url),
            });
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

/// Hands the URL to the first command that takes it.
fn open_with(browsers: &[String], url: &str) -> io::Result<()> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for browser in browsers {
        let mut words = browser.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words.map(|word| word.replace("%s", url)));
        if !browser.contains("%s") {
            command.arg(url);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        match child.and_then(taken) {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether the command does not fail at once.
fn taken(mut child: Child) -> io::Result<()> {
    let (ended, end) = mpsc::channel();
    // It waits for as long as the browser runs, so that the process does not stay behind as a zombie.
    std::thread::Builder::new().name("jeton-browser".to_owned()).spawn(move || {
        let _ = ended.send(child.wait());
    })?;
    match end.recv_timeout(SOON) {
        Ok(Ok(status)) if !status.success() => Err(io::Error::other("the browser's command failed")),
        Ok(Err(error)) => Err(error),
        _ => Ok(()),
    }
}

/// The commands of `BROWSER` that open a window somewhere.
fn browsers(variable: impl Fn(&str) -> Option<OsString>) -> Vec<String> {
    if cfg!(windows) {
        return Vec::new();
    }
    let list = variable("BROWSER").unwrap_or_default().to_string_lossy().into_owned();
    let draws_elsewhere = |browser: &&str| {
        let program = browser.split_whitespace().next().map(Path::new).and_then(Path::file_name);
        program.is_some_and(|name| !IN_THE_TERMINAL.iter().any(|own| name == *own))
    };
    list.split(':').filter(draws_elsewhere).map(str::to_owned).collect()
}

/// Whether this program can expect to open a browser before the eyes of its user.
///
/// # Environment
/// Read by platform convention: `BROWSER`, but on Windows (a command that opens a URL, or several with colons between them, of which
/// the first one that works is used; `%s` stands for the URL, which else is added at the end): where it is set there is a
/// browser, also in a remote session, where editors set it to a helper that opens the URL before the person's eyes. Else
/// `SSH_CONNECTION` and `SSH_TTY` (a remote session: the browser would open on the wrong
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
    if !browsers(&variable).is_empty() {
        return true;
    }
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

    #[test]
    #[cfg(unix)]
    fn a_command_that_opens_urls_is_a_browser_wherever_it_is_set() {
        use Platform::{Desktop, DisplayServer};
        let helper = ("BROWSER", "/opt/editor/bin/open-on-the-client");
        assert!(with(DisplayServer, &[helper]));
        assert!(with(Desktop, &[helper, ("SSH_TTY", "/dev/pts/0")]));
        for none in ["", " ", ":", "lynx", "/usr/bin/w3m -no-mouse:links"] {
            assert!(!with(DisplayServer, &[("BROWSER", none)]), "{none:?}");
        }
        let of = |list: &'static str| browsers(move |_| Some(list.into()));
        assert_eq!(of("w3m:firefox -new-tab %s:chromium"), ["firefox -new-tab %s", "chromium"]);
    }

    #[test]
    #[cfg(unix)]
    fn the_first_browser_that_does_not_fail_gets_the_url() {
        let folder = std::env::temp_dir().join(format!("jeton-browsers-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let touch = format!("touch {}/%s", folder.display());
        let url = "a;b$(c)";
        open_with(&["/nonexistent/browser".into(), "false".into(), touch, "touch".into()], url).unwrap();
        assert!(folder.join(url).exists(), "as one argument, which no shell reads");
        assert!(open_with(&["false".into(), "/nonexistent/browser".into()], url).is_err());
        std::fs::remove_dir_all(folder).unwrap();
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
