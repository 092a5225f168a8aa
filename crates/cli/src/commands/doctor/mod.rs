//! `jeton doctor`: looks whether everything is in order, and says in words what is not and what to do.

mod clock;
mod environment;
mod folder;
mod keychain;
mod logins;
mod metadata;
mod profiles;
mod program;
mod report;
mod server;
mod transport;

use jeton::models::Issuer;

use self::keychain::Lock;
use self::report::Report;
use crate::client::{http_of, issuer_of, provider_of};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::profile::Profile;
use crate::profiles_file::ProfilesFile;
use crate::store::StoreSetting;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each line begins with `ok`, `note` (nothing to mend, but good to know) or
`mend`. Nothing is changed: what is written to try the keychain and the folder
is removed again. With nothing to mend the exit code is 0, else 8.

Examples:
  jeton doctor
  jeton doctor work
  jeton doctor --issuer https://as.example
  jeton doctor work --offline --json")]
pub(crate) struct Args {
    /// The profile whose server and login are looked at as well; or the server's URL.
    name: Option<String>,
    /// A server to look at, for which there need be no profile.
    #[arg(long, value_name = "URL", conflicts_with = "name")]
    issuer: Option<String>,
    /// Ask no server.
    #[arg(long)]
    offline: bool,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let mut report = Report::default();
    program::look(&mut report);
    let (file, problem) = match cx.profiles() {
        Ok(file) => (Some(file), None),
        // The rest is looked at all the same.
        Err(failure) => (None, Some(failure)),
    };
    let subject = Subject::of(args, file.as_ref())?;
    profiles::look(&mut report, file.as_ref(), problem.as_ref(), subject.name.as_deref());
    environment::look(&mut report, subject.host());
    let setting = file.as_ref().map(|file| cx.store_setting(file)).unwrap_or_default();
    let keychain_matters = matches!(setting, StoreSetting::Auto | StoreSetting::Keychain);
    let lock = keychain::look(&mut report, keychain_matters).await;
    let store = match keychain_matters && lock == Lock::Locked {
        // To open it would ask the person for a password.
        true => {
            report.group("store").note("chosen", "not looked at, for the keychain is locked");
            None
        }
        false => logins::look(&mut report, cx, file.as_ref()).await,
    };
    folder::look(&mut report).await;
    if let (Some(store), Some(name), Some(profile)) = (&store, &subject.name, &subject.profile) {
        logins::look_at(&mut report, store, name, profile).await;
    }
    if args.offline {
        report.group("server").note("network", "not asked, for --offline was given");
    } else if subject.is_there() {
        server::look(&mut report, &subject).await;
    }
    cx.output.answer(report.to_text(cx.output.columns()), || report.to_json(&subject))?;
    Ok(if report.findings() == 0 { Exit::Success } else { Exit::Findings })
}

/// The server that is looked at, by a profile or by itself.
#[derive(Debug, Default)]
struct Subject {
    name: Option<String>,
    profile: Option<Profile>,
    issuer: Option<Issuer>,
    /// Why there is no issuer.
    problem: Option<Failure>,
    /// Whether the server's metadata say where everything is; otherwise the profile does.
    discovers: bool,
}

impl Subject {
    fn of(args: &Args, file: Option<&ProfilesFile>) -> Result<Self, Failure> {
        // No profile has a name with a colon.
        let url = args.name.as_ref().filter(|name| name.contains("://"));
        if let Some(issuer) = args.issuer.as_ref().or(url) {
            let issuer = issuer.parse().map_err(|error: jeton::models::IssuerError| {
                Failure::usage("that is no issuer").because(error.to_string()).help(
                    "take an https URL, such as https://as.example; plain http is for this machine only",
                )
            })?;
            return Ok(Self { issuer: Some(issuer), discovers: true, ..Self::default() });
        }
        let Some(file) = file else { return Ok(Self::default()) };
        let (name, profile) = match (&args.name, file.default_name()) {
            (Some(name), _) => file.choose(Some(name))?,
            (None, Some(name)) if file.get(name).is_some() => file.choose(Some(name))?,
            (None, None) if file.iter().count() == 1 => file.choose(None)?,
            _ => return Ok(Self::default()),
        };
        let mut subject =
            Self { name: Some(name.to_owned()), profile: Some(profile.clone()), ..Self::default() };
        match issuer_of(name, profile) {
            Ok(issuer) => subject.issuer = Some(issuer),
            // The URL of a resource is all that is known before the first login.
            Err(_) if profile.url.is_some() => {}
            Err(failure) => subject.problem = Some(failure),
        }
        subject.discovers = profile.issuer.is_some()
            || matches!(provider_of(name, profile), Ok(Some(provider)) if provider.provider().is_ok_and(|provider| provider.discovers));
        Ok(subject)
    }

    /// Whether there is something to ask.
    fn is_there(&self) -> bool {
        self.issuer.is_some() || self.problem.is_some()
    }

    fn host(&self) -> Option<&str> {
        self.issuer.as_ref()?.url().host_str()
    }

    /// How the network is reached.
    fn http(&self) -> Result<jeton::HttpOptions, Failure> {
        match (&self.name, &self.profile) {
            (Some(name), Some(profile)) => http_of(name, profile),
            _ => http_of("", &Profile::default()),
        }
    }
}
