//! `jeton login` in a terminal, and what it asks the person to open.

use std::process::ExitStatus;

use jeton_tests::chromium::{Look, Tab};
use jeton_tests::terminal::Terminal;
use url::Url;

use crate::world::World;

/// The command, waiting for its person.
pub(crate) struct Login {
    pub(crate) terminal: Terminal,
    /// The URL that it shows.
    pub(crate) url: String,
}

impl Login {
    /// Starts `jeton login` with these arguments, and these variables beside the world's.
    pub(crate) fn start<const N: usize>(
        world: &World,
        arguments: [&str; N],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = world.command(["login"].into_iter().chain(arguments));
        command.envs(variables.iter().copied());
        let terminal = Terminal::start(command);
        let url = terminal.wait_for_url();
        Self { terminal, url }
    }

    /// Where the browser is to be sent at the end.
    pub(crate) fn redirect_uri(&self) -> Url {
        let url = Url::parse(&self.url).unwrap();
        let redirect_uri =
            url.query_pairs().find(|(name, _)| name == "redirect_uri").expect("an authorization URL");
        Url::parse(&redirect_uri.1).unwrap()
    }

    /// Waits for the end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.terminal.ended()
    }

    /// Waits for the end, which is to have that exit code.
    #[track_caller]
    pub(crate) fn ended_with(&mut self, code: i32) {
        self.terminal.ended_with(code);
        self.terminal.no_line_wider_than(80);
    }
}

/// The page of the loopback listener has tidied up behind itself: nothing of the answer is in the address bar, behind the back
/// button, or in the page.
#[track_caller]
pub(crate) fn has_tidied_up(tab: &Tab, redirect_uri: &Url) -> Look {
    let look = tab.look();
    assert_eq!(look.url, redirect_uri.as_str());
    let (last, before) = look.history.split_last().unwrap();
    assert_eq!(last, redirect_uri.as_str());
    for url in before {
        assert!(!url.starts_with(redirect_uri.as_str()), "{:?}", look.history);
    }
    for trace in ["code=", "state="] {
        assert!(!last.contains(trace) && !look.source.contains(trace), "{look:?}");
    }
    look
}
