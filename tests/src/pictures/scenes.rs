//! The scenes: what is typed, and what it is a picture of.

use super::stage::{CLIENT, PORT, Stage};
use crate::picture::Picture;
use crate::test_server::visit;

/// One picture.
pub(super) struct Scene {
    /// The file's name, without its ending.
    pub(super) name: &'static str,
    pub(super) play: fn(&Stage) -> Picture,
}

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "login", play: login },
    Scene { name: "device", play: device },
    Scene { name: "status", play: status },
    Scene { name: "doctor", play: doctor },
    Scene { name: "trace", play: trace },
    Scene { name: "error", play: error },
];

fn first_login() -> String {
    format!(
        "jeton login work --issuer http://127.0.0.1:{PORT} --client-id {CLIENT} \\\n  \
         --scope \"openid profile email read\" --api http://127.0.0.1:{PORT}"
    )
}

fn login(stage: &Stage) -> Picture {
    // A browser that opens, and its person takes the time to read what the terminal says.
    let mut shell = stage.shell(60, &[("BROWSER", "true".to_owned())]);
    shell.begin(&first_login());
    let url = shell.terminal.wait_for_word("an authorization URL", |word| word.contains("/authorize?"));
    visit(&url).expect("the person is sent back");
    shell.wait_for_prompt();
    shell.run("jeton token work");
    shell.run(&format!("jeton request work GET http://127.0.0.1:{PORT}/api/me; echo"));
    shell.picture(
        "sign in once",
        "jeton login opens the browser and says who has signed in, for how long, and where the login is kept. After that jeton token \
         prints a valid access token, and jeton request calls an API with it.",
    )
}

fn device(stage: &Stage) -> Picture {
    let mut shell = stage.shell(60, &[("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22".to_owned())]);
    shell.begin(&first_login());
    let code = shell.terminal.wait_for_user_code();
    shell.terminal.wait_for("left");
    // As it is while it waits; the countdown goes away when somebody has signed in.
    let waiting = shell.picture(
        "sign in over SSH",
        "Over SSH, jeton login shows a QR code, an address and a code to enter on another device, and counts down.",
    );
    assert!(stage.server.approve_device(&code), "the server knows the code");
    shell.wait_for_prompt();
    waiting
}

fn status(stage: &Stage) -> Picture {
    stage.prepare(&first_login());
    let mut shell = stage.shell(60, &[]);
    shell.run("jeton status");
    shell.picture(
        "jeton status",
        "jeton status lists the logins: whose they are, how long they are valid, and where they are kept.",
    )
}

fn doctor(stage: &Stage) -> Picture {
    stage.prepare(&first_login());
    let mut shell = stage.shell(80, &[]);
    shell.run("jeton doctor work");
    shell.picture(
        "jeton doctor",
        "jeton doctor looks at profiles, environment, keychain and server, and says what to do.",
    )
}

fn trace(stage: &Stage) -> Picture {
    stage.prepare(&first_login().replace("openid profile email ", ""));
    let mut shell = stage.shell(60, &[]);
    // Without the server's long description of itself.
    shell.run("jeton trace work --refresh | sed -n '/POST/,$p'");
    shell.picture(
        "jeton trace",
        "jeton trace shows the exchange with the server, with fingerprints in place of secrets, fit for a bug report.",
    )
}

fn error(stage: &Stage) -> Picture {
    stage.prepare(&first_login());
    stage.server.revoke_all_logins();
    let mut shell = stage.shell(40, &[]);
    shell.run("jeton refresh work").run("echo $?").run("jeton tokne work");
    shell.picture(
        "what happened, why, what to do",
        "A login that the server has ended: jeton says what happened, why, and what to do, and ends with exit code 3.",
    )
}
