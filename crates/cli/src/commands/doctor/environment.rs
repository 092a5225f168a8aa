//! The environment: variables that change what jeton does, and what they mean for it.

use std::path::Path;

use jeton::Url;

use super::profiles::others_may_read;
use super::report::{Group, Report};
use crate::credentials::SECRET_VARIABLE;
use crate::printable::printable_start;

pub(super) fn look(report: &mut Report, host: Option<&str>) {
    let group = report.group("environment");
    proxies(group, host);
    certificates(group);
    browser(group);
    folders(group);
    own(group);
}

/// A variable that is set and not empty.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(|value| value.to_string_lossy().into_owned())
}

fn either(name: &str) -> Option<String> {
    variable(&name.to_uppercase()).or_else(|| variable(&name.to_lowercase()))
}

fn proxies(group: &mut Group, host: Option<&str>) {
    let (proxy, exceptions) = (either("https_proxy").or_else(|| either("all_proxy")), either("no_proxy"));
    let Some(proxy) = proxy else {
        group.ok("proxy", "none set; servers are reached directly");
        return;
    };
    let shown = without_credentials(&proxy);
    if !is_proxy(&proxy) {
        group.mend(
            "proxy",
            format!("`{shown}` is no URL of a proxy"),
            "set HTTPS_PROXY like http://proxy.example:8080, or unset it",
        );
        return;
    }
    match host {
        None => group.note("proxy", format!("servers are reached through {shown}")),
        Some(host) if is_local(host) => {
            group.note("proxy", format!("{shown} is set; {host} is this machine, which is reached directly"));
        }
        Some(host) if is_exempt(host, exceptions.as_deref().unwrap_or_default()) => {
            group.note("proxy", format!("{shown} is set; {host} is reached directly, for NO_PROXY names it"));
        }
        Some(host) => group.note_with(
            "proxy",
            format!("{host} is reached through {shown}"),
            format!("if that is wrong, add {host} to NO_PROXY"),
        ),
    }
}

fn is_proxy(text: &str) -> bool {
    // Without a scheme it is taken for one of HTTP.
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    Url::parse(&text).is_ok_and(|url| url.host_str().is_some_and(|host| !host.is_empty()))
}

/// The proxy without user name and password.
fn without_credentials(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    // A password may have slashes that somebody forgot to encode: nothing before the last @ is shown.
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let separator = if scheme.is_empty() { "" } else { "://" };
    printable_start(&format!("{scheme}{separator}{rest}"), 100)
}

fn is_local(host: &str) -> bool {
    Url::parse(&format!("http://{host}/")).is_ok_and(|url| jeton::models::is_loopback_host(&url))
}

/// Whether `NO_PROXY` names the host: itself, a domain that it is in, or all.
fn is_exempt(host: &str, exceptions: &str) -> bool {
    exceptions.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let domain = entry.trim_start_matches('.');
        entry == "*"
            || host.eq_ignore_ascii_case(domain)
            || host.to_ascii_lowercase().ends_with(&format!(".{}", domain.to_ascii_lowercase()))
    })
}

fn certificates(group: &mut Group) {
    if cfg!(any(windows, target_vendor = "apple")) {
        return;
    }
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let Some(path) = variable(name) else { continue };
        let opened = match name {
            "SSL_CERT_FILE" => std::fs::File::open(&path).map(drop),
            _ => std::fs::read_dir(&path).map(drop),
        };
        match opened {
            Ok(()) => {
                group.note(name, format!("certificate authorities come from {path}, not from the system"))
            }
            Err(error) => group.mend(
                name,
                format!("{path} cannot be read ({error}), so that no server's certificate is trusted"),
                format!("unset {name}, or name what is there"),
            ),
        }
    }
}

fn browser(group: &mut Group) {
    let ssh = variable("SSH_CONNECTION").or_else(|| variable("SSH_TTY")).is_some();
    match (ssh, jeton::browser_available()) {
        (true, _) => group.note(
            "browser",
            "this is a session over SSH: a browser here cannot be seen from there, so logins go by a pasted URL or by a \
             code on another device",
        ),
        (false, true) => {
            let own = variable("BROWSER").map(|name| format!(" (BROWSER is {name})")).unwrap_or_default();
            group.ok("browser", format!("there is one to open for a login{own}"));
        }
        (false, false) => group.note(
            "browser",
            "there is no screen to open a browser on (no DISPLAY, no WAYLAND_DISPLAY), so logins go by a pasted URL or by \
             a code on another device",
        ),
    }
}

fn folders(group: &mut Group) {
    if cfg!(unix) && variable("HOME").is_none() {
        group.mend("HOME", "it is not set, and the places of files hang on it", "set HOME");
    }
    if cfg!(any(windows, target_vendor = "apple")) {
        return;
    }
    for (name, what) in [("XDG_CONFIG_HOME", "the profiles file"), ("XDG_STATE_HOME", "logins and locks")] {
        match variable(name) {
            None => {}
            Some(path) if Path::new(&path).is_absolute() => {
                group.ok(name, format!("{what}: {path}/jeton; programs without it look elsewhere"));
            }
            Some(path) => group.mend(
                name,
                format!("{path} is no absolute path and is ignored"),
                format!("set {name} to an absolute path, or unset it"),
            ),
        }
    }
    match (variable("DBUS_SESSION_BUS_ADDRESS"), variable("XDG_RUNTIME_DIR")) {
        (Some(address), _) => group.ok("D-Bus", format!("the keychain is looked for at {address}")),
        (None, Some(folder)) => group.ok("D-Bus", format!("the keychain is looked for at {folder}/bus")),
        (None, None) => group.note(
            "D-Bus",
            "neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set, as in a job without a log-on: no keychain is found",
        ),
    }
    if variable("SUDO_USER").is_some() {
        group.note(
            "sudo",
            "this runs under sudo: profiles and logins are those of the user that it runs as, not yours",
        );
    }
}

fn own(group: &mut Group) {
    for name in ["JETON_CONFIG", "JETON_STORE"] {
        if let Some(value) = variable(name) {
            group.note(name, format!("{value}, unless an option says otherwise"));
        }
    }
    if variable(SECRET_VARIABLE).is_some() {
        group.note_with(
            SECRET_VARIABLE,
            "it is set, and used as the client secret of every profile that has one",
            format!("unset {SECRET_VARIABLE} where the stored ones are meant"),
        );
    }
    if let Some(path) = variable("JETON_PASSPHRASE_FILE") {
        match std::fs::metadata(&path) {
            Err(error) => group.mend("passphrase", format!("{path}: {error}"), "name a file that is there"),
            Ok(metadata) if others_may_read(&metadata) => group.mend(
                "passphrase",
                format!("{path} holds the passphrase of the store, and other users can read it"),
                format!("chmod 600 '{path}'"),
            ),
            Ok(_) => group.ok("passphrase", format!("read from {path}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_names_hosts_domains_or_all() {
        for exceptions in ["as.example", ".example", "example", "x, AS.example", "*"] {
            assert!(is_exempt("as.example", exceptions), "{exceptions}");
        }
        for exceptions in ["", "s.example", "as.example.org", "other"] {
            assert!(!is_exempt("as.example", exceptions), "{exceptions}");
        }
    }

    #[test]
    fn a_proxys_password_is_not_shown() {
        for text in [
            "http://user:p/4@s@proxy.example:8080/x",
            "user:p@proxy.example:8080",
            "http://u:p/4@proxy.example",
        ] {
            let shown = without_credentials(text);
            assert!(
                shown.contains("proxy.example") && !shown.contains("p/4") && !shown.contains("user"),
                "{shown}"
            );
        }
    }
}
