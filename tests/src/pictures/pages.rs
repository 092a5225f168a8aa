//! The pages that a browser shows while somebody signs in, each as a PNG file.

use std::path::Path;

use super::stage::{CLIENT, Shell, Stage};
use crate::chromium::{Browser, Settings, Tab};

/// Every page, in the order in which people meet them.
pub(super) fn draw(command: &Path, folder: &Path) {
    let browser = Browser::with(&Settings { size: (560, 400), ..Settings::default() });
    let keep = |name: &str, tab: &Tab| tab.screenshot(&folder.join(format!("page-{name}.png")), 1_000);
    let asking = |server: jeton_devserver::Builder| server.auto_approve(false).seen_page(true);

    let stage = Stage::with(command, asking);
    let mut shell = stage.shell(40, &[]);
    let tab = browser.open(&begin(&stage, &mut shell));
    tab.heading("Allow My Tool?");
    keep("consent", &tab);
    tab.press("Approve").heading("You are signed in");
    keep("signed-in", &tab);
    shell.wait_for_prompt();

    let mut shell = stage.shell(40, &[]);
    let tab = browser.open(&begin(&stage, &mut shell));
    tab.heading("Allow My Tool?").press("Deny").heading("The login was refused");
    keep("refused", &tab);
    shell.wait_for_prompt();

    let mut shell = stage.shell(60, &[]);
    shell.begin(&format!("jeton login work --login-method device {}", options(&stage)));
    let code = shell.terminal.wait_for_user_code();
    let tab = browser.open(&stage.server.verification_url());
    tab.heading("Connect a device").fill("user_code", &code);
    keep("device-code", &tab);
    tab.press("Continue").heading("Allow My Tool?");
    keep("device-confirm", &tab);
    tab.press("Approve").heading("Device connected");
    keep("device-connected", &tab);

    let tab = browser.open(&stage.server.url("/authorize?client_id=nobody"));
    tab.heading("That did not work");
    keep("problem", &tab);
    tab.open(&stage.server.url("/logout"));
    tab.heading("Signed out");
    keep("signed-out", &tab);
    tab.open(&stage.server.url("/seen"));
    tab.heading("What the server saw").size(860, 400);
    tab.screenshot(&folder.join("page-seen.png"), 620);
}

/// Starts a login, and gives the URL that it wants to be opened.
fn begin(stage: &Stage, shell: &mut Shell<'_>) -> String {
    shell.begin(&format!("jeton login work --no-open {}", options(stage)));
    shell.terminal.wait_for_word("an authorization URL", |word| word.contains("/authorize?"))
}

fn options(stage: &Stage) -> String {
    format!("--issuer {} --client-id {CLIENT} --scope 'openid profile email read'", stage.server.issuer())
}
