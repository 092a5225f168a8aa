//! The program itself: its version, what was built into it, and what it runs on.

use super::report::Report;

pub(super) fn look(report: &mut Report) {
    let group = report.group("program");
    group.ok("version", concat!("jeton ", env!("CARGO_PKG_VERSION")));
    group.ok("platform", format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH));
    let devserver = if cfg!(feature = "devserver") { "with" } else { "without" };
    group.ok(
        "built",
        format!("with keychain, sealed files and client certificates, {devserver} the devserver"),
    );
}
