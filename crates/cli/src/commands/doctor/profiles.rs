//! The profiles file: where it is, whether it can be read, who else may write it, and what its profiles point to.

use std::path::Path;

use super::report::{Group, Report};
use crate::client::issuer_of;
use crate::failure::Failure;
use crate::profile::{Authentication, Profile};
use crate::profiles_file::ProfilesFile;

pub(super) fn look(
    report: &mut Report,
    file: Option<&ProfilesFile>,
    problem: Option<&Failure>,
    only: Option<&str>,
) {
    let group = report.group("profiles");
    if let Some(failure) = problem {
        let why = failure.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let help = failure.help.as_deref().unwrap_or("mend the file");
        group.mend("file", format!("{}{why}", failure.what), help);
    }
    let Some(file) = file else { return };
    if !file.path().exists() {
        group.note_with(
            "file",
            format!("{} is not there yet", file.path().display()),
            "jeton login NAME --issuer URL --client-id ID",
        );
        return;
    }
    let count = file.iter().count();
    let profiles = if count == 1 { "profile" } else { "profiles" };
    group.ok("file", format!("{}, {count} {profiles}", file.path().display()));
    others_may_write(group, file.path());
    if let Some(name) = file.default_name()
        && file.get(name).is_none()
    {
        group.mend("default", format!("`default` names `{name}`, and there is no such profile"), "change it");
    }
    for (name, profile) in file.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        look_at(group, name, profile);
    }
}

fn look_at(group: &mut Group, name: &str, profile: &Profile) {
    let problems = problems_of(name, profile);
    if problems.is_empty() {
        let server = issuer_of(name, profile).map(|issuer| issuer.as_str().to_owned());
        let server = server.ok().or_else(|| profile.url.clone()).unwrap_or_default();
        group.ok(name, format!("for {server}"));
    }
    for (found, help) in problems {
        group.mend(name, found, help);
    }
}

/// What is wrong with a profile, and what to do; nothing of it is shown that may be a secret.
fn problems_of(name: &str, profile: &Profile) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let mut add = |found: String, help: &str| problems.push((found, help.to_owned()));
    if profile.url.is_none() {
        if let Err(failure) = issuer_of(name, profile) {
            let why = failure.why.map(|why| format!(": {why}")).unwrap_or_default();
            add(format!("{}{why}", failure.what), failure.help.as_deref().unwrap_or("mend it there"));
        }
        if profile.client_id.is_none() {
            add("it has no `client_id`".to_owned(), "set the one that the server gave you");
        }
    }
    for parameter in profile.parameters.keys().filter(|name| may_be_secret(name)) {
        add(
            format!("the parameter `{parameter}` looks like a secret, and the file keeps none"),
            "remove it; a client secret is given to `jeton login NAME --client-secret-stdin`",
        );
    }
    let signs = profile.authentication == Some(Authentication::PrivateKeyJwt);
    if signs && profile.signing_key.is_none() {
        add("it signs (`private_key_jwt`) and has no `signing_key`".to_owned(), "set the file of the key");
    }
    for (key, path, is_secret) in [
        ("signing_key", &profile.signing_key, true),
        ("certificate_key", &profile.certificate_key, true),
        ("certificate", &profile.certificate, false),
        ("certificate_authorities", &profile.certificate_authorities, false),
    ] {
        let Some(path) = path else { continue };
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                add(format!("`{key}` names {}: {error}", path.display()), "name a file that is there");
                continue;
            }
        };
        if is_secret && others_may_read(&metadata) {
            add(
                format!("`{key}` is {}, which other users can read", path.display()),
                &format!("chmod 600 '{}'", path.display()),
            );
        }
    }
    problems
}

fn may_be_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["secret", "password", "passwd", "token", "assertion"].iter().any(|part| name.contains(part))
}

/// Whoever may write the file may send the next login to a server of theirs.
#[cfg(unix)]
fn others_may_write(group: &mut Group, path: &Path) {
    use std::os::unix::fs::MetadataExt as _;

    for path in [Some(path), path.parent()].into_iter().flatten() {
        let Ok(metadata) = std::fs::metadata(path) else { continue };
        // In a folder like /tmp nobody removes what is another's.
        let is_sticky = metadata.mode() & 0o1000 != 0;
        if metadata.mode() & 0o022 != 0 && !is_sticky {
            group.mend(
                "permissions",
                format!(
                    "other users may write {} (mode {:03o}) and send your next login to a server of theirs",
                    path.display(),
                    metadata.mode() & 0o777
                ),
                format!("chmod go-w '{}'", path.display()),
            );
        }
    }
}

#[cfg(not(unix))]
fn others_may_write(_group: &mut Group, _path: &Path) {}

#[cfg(unix)]
pub(super) fn others_may_read(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    metadata.mode() & 0o044 != 0
}

#[cfg(not(unix))]
pub(super) fn others_may_read(_metadata: &std::fs::Metadata) -> bool {
    false
}
