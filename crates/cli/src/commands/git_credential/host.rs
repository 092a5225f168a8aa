//! Which profile serves a git server: the one that names it, the longest path first.

use jeton::models::is_secure_or_loopback;
use url::Url;

use super::message::Message;
use crate::context::Context;
use crate::failure::Failure;
use crate::profile::Profile;
use crate::profiles_file::ProfilesFile;

/// A git server, as a profile serves it.
#[derive(Debug)]
pub(super) struct Server {
    /// Goes with the token, where git has not been told another one.
    pub(super) username: String,
}

/// How well a profile fits: by the length of the path that it names, and then one of `git` before one of `apis`.
type Fit = (usize, bool);

/// The profile for that URL, or the one of that name if it names the URL. `None` if none does.
pub(super) fn profile_for(
    profiles: &ProfilesFile,
    name: Option<&str>,
    url: &Url,
    message: &Message,
    cx: &Context,
) -> Result<Option<(String, Server)>, Failure> {
    let candidates: Vec<(&str, &Profile)> = match name {
        Some(name) => vec![profiles.choose(Some(name))?],
        None => profiles.iter().collect(),
    };
    let mut best: Option<Fit> = None;
    let mut found: Vec<(&str, &Profile)> = Vec::new();
    for (name, profile) in candidates {
        let fit = match fit(name, profile, url) {
            Ok(fit) => fit,
            // One that is wrong must not keep the others from their work.
            Err(wrong) => {
                cx.output.warn(wrong.what);
                None
            }
        };
        let Some(fit) = fit else { continue };
        if best.is_none_or(|best| fit > best) {
            best = Some(fit);
            found.clear();
        }
        if best == Some(fit) {
            found.push((name, profile));
        }
    }
    if found.len() > 1
        && let Some(username) = &message.username
    {
        found.retain(|(name, profile)| {
            [profile.git_username.as_deref(), Some(profile.account(name)), Some(name)]
                .contains(&Some(username))
        });
    }
    match found.as_slice() {
        [] => Ok(None),
        [(name, profile)] => Ok(Some(((*name).to_owned(), Server { username: username(profile, url) }))),
        several => {
            let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
            Err(Failure::usage(format!("several profiles serve {}", url.origin().ascii_serialization()))
                .because(names.join(", "))
                .help("give each a path in `git` (and git `credential.useHttpPath`), or name one with --profile"))
        }
    }
}

/// The URLs in a profile's `git`, and those that its provider implies.
pub(super) fn servers(name: &str, profile: &Profile) -> Result<Vec<Url>, Failure> {
    let implied = match profile.provider.as_deref() {
        Some("github") if profile.git.is_empty() => Some("https://github.com"),
        _ => None,
    };
    profile.git.iter().map(String::as_str).chain(implied).map(|text| parsed(name, text)).collect()
}

fn parsed(name: &str, text: &str) -> Result<Url, Failure> {
    let absolute = match text.contains("://") {
        true => text.to_owned(),
        false => format!("https://{text}"),
    };
    let url = Url::parse(&absolute).ok().filter(|url| {
        is_secure_or_loopback(url)
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
    });
    url.ok_or_else(|| {
        Failure::configuration(format!("`git` of the profile `{name}` names no git server"))
            .because("it takes URLs such as https://git.example or https://git.example/team (http on loopback only)")
            .help("mend it in the profiles file")
    })
}

fn fit(name: &str, profile: &Profile, url: &Url) -> Result<Option<Fit>, Failure> {
    let by_git = servers(name, profile)?
        .iter()
        .filter(|server| server.origin() == url.origin() && is_below(url.path(), server.path()))
        .map(|server| (server.path().trim_end_matches('/').len(), true))
        .max();
    let named = |text: &String| Url::parse(text).is_ok_and(|api| api.origin() == url.origin());
    Ok(by_git.or_else(|| profile.apis.iter().any(named).then_some((0, false))))
}

/// Whether the path is that one or below it, by whole segments. A repository's name may end with `.git` or not.
fn is_below(path: &str, above: &str) -> bool {
    match path.strip_prefix(above.trim_end_matches('/')) {
        Some(rest) => rest.is_empty() || rest == ".git" || rest.starts_with('/'),
        None => false,
    }
}

/// The user name that goes with a token at that server.
fn username(profile: &Profile, url: &Url) -> String {
    if let Some(username) = &profile.git_username {
        return username.clone();
    }
    match url.host_str().unwrap_or_default() {
        "github.com" => "x-access-token",
        host if host.ends_with(".ghe.com") => "x-access-token",
        "bitbucket.org" => "x-token-auth",
        // GitLab asks for this one; Gitea, Forgejo and Azure DevOps take any.
        _ => "oauth2",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(git: &[&str], apis: &[&str]) -> Profile {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Profile { git: owned(git), apis: owned(apis), ..Profile::default() }
    }

    fn fits(profile: &Profile, url: &str) -> Option<Fit> {
        fit("x", profile, &Url::parse(url).unwrap()).unwrap()
    }

    #[test]
    fn a_profile_serves_what_it_names_and_nothing_beside_it() {
        let named = profile(&["https://git.example/acme/", "code.example:8443"], &["https://api.example/v1"]);
        assert_eq!(fits(&named, "https://git.example/acme"), Some((5, true)));
        assert_eq!(fits(&named, "https://git.example/acme.git"), Some((5, true)));
        assert_eq!(fits(&named, "https://git.example/acme/repo.git"), Some((5, true)));
        assert_eq!(fits(&named, "https://code.example:8443/any/repo"), Some((0, true)));
        assert_eq!(fits(&named, "https://api.example/git/repo"), Some((0, false)));
        for other in [
            "https://git.example/",
            "https://git.example/acmecorp/repo",
            "https://git.example/other",
            "https://git.example:8443/acme/repo",
            "http://git.example/acme/repo",
            "https://code.example/any/repo",
            "https://git.example.evil.example/acme/repo",
            "https://sub.git.example/acme/repo",
        ] {
            assert_eq!(fits(&named, other), None, "{other}");
        }
        assert_eq!(fits(&Profile::default(), "https://git.example/"), None);
    }

    #[test]
    fn what_names_no_server_is_told() {
        for wrong in [
            "http://git.example",
            "ssh://git.example",
            "https://",
            "https://user@git.example",
            "git.example?x",
        ] {
            assert!(servers("x", &profile(&[wrong], &[])).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_provider_implies_its_server_until_another_one_is_named() {
        let mut github = Profile { provider: Some("github".to_owned()), ..Profile::default() };
        assert_eq!(fits(&github, "https://github.com/x/y.git"), Some((0, true)));
        github.git = vec!["https://github.example".to_owned()];
        assert_eq!(fits(&github, "https://github.com/x/y.git"), None);
    }

    #[test]
    fn the_user_name_is_what_the_host_wants() {
        let of = |profile: &Profile, url: &str| username(profile, &Url::parse(url).unwrap());
        assert_eq!(of(&Profile::default(), "https://github.com/"), "x-access-token");
        assert_eq!(of(&Profile::default(), "https://acme.ghe.com/"), "x-access-token");
        assert_eq!(of(&Profile::default(), "https://bitbucket.org/"), "x-token-auth");
        assert_eq!(of(&Profile::default(), "https://gitlab.com/"), "oauth2");
        let own = Profile { git_username: Some("bot".to_owned()), ..Profile::default() };
        assert_eq!(of(&own, "https://github.com/"), "bot");
    }
}
