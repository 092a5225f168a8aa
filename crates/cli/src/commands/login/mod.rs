//! `jeton login`: signs somebody in, by the way that the surroundings allow, and keeps the profile once that has worked.
//!
//! mod.rs is the arguments and the happy path, changes.rs what options make of a profile, way.rs the choice of the way, person.rs and
//! qr_code.rs what the person sees, client_secret.rs the client's secret, resource.rs the login of an API of which only the URL is
//! known, waiting.rs what passes meanwhile, providers.rs the list of providers, failed.rs why it did not work, again.rs the command to
//! try again with, former.rs the login that a changed profile leaves behind, summary.rs what is said at the end.

mod again;
mod changes;
mod client_secret;
mod failed;
mod former;
mod person;
mod providers;
mod qr_code;
mod resource;
mod summary;
mod waiting;
mod way;

use std::time::Duration;

use jeton::grants::{Grant, Interaction};
use jeton::{Error, LoginOptions};

use crate::client::issuer_of;
use crate::context::{Connection, Context};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::profile::{LoginMethod, Profile};
use crate::profiles_file::{ProfilesFile, check_name};
use changes::Changes;
use person::Person;
use summary::Summary;
use way::{ChosenWay, WayGrant, Wish};

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a browser (over SSH, in a container) a code for another device is shown
if the server gives one, else the address to open. Nothing is saved before the
login has worked.

Examples:
  jeton login work --issuer https://as.example --client-id my-tool --scope read
  jeton login gh --provider github --client-id ID --scope repo
  jeton login --url https://api.example.com
  jeton login job --client-secret-stdin < secret.txt
  jeton login work --login-method device
  jeton login work
  jeton login work --api https://api.example.com")]
pub(crate) struct Args {
    /// The name of the profile; with --url the host, unless given.
    name: Option<String>,
    /// Sign in for an API of which only the URL is known (RFC 9728, RFC 7591).
    #[arg(
        long,
        value_name = "URL",
        conflicts_with_all =
            ["issuer", "provider", "client_id", "scope", "resource", "account", "token_endpoint", "authentication"]
    )]
    url: Option<String>,
    /// A server that may be trusted with --url; else somebody is asked.
    #[arg(long, value_name = "ISSUER", requires = "url")]
    trust: Vec<String>,
    /// How to sign in: browser, paste, device; or client-credentials, which is kept.
    #[arg(long, value_name = "WAY", value_enum, hide_possible_values = true)]
    login_method: Option<LoginMethod>,
    /// Open no browser: show the address, and take the one at which it ends up.
    #[arg(long, conflicts_with = "login_method")]
    no_open: bool,
    /// Read the client secret from standard input; at a terminal it is asked for.
    #[arg(long, conflicts_with = "url")]
    client_secret_stdin: bool,
    /// Whether and what the person is asked: login, consent, select_account.
    #[arg(long, value_name = "PROMPT")]
    prompt: Option<String>,
    /// Who is going to sign in.
    #[arg(long, value_name = "HINT")]
    login_hint: Option<String>,
    /// Authentication classes to ask for, the preferred first.
    #[arg(long, value_name = "ACR", value_delimiter = ' ')]
    acr_values: Vec<String>,
    /// The longest time since the person authenticated, such as 10m.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    max_age: Option<Duration>,
    /// Have commands that name no profile mean this one.
    #[arg(long, conflicts_with = "url")]
    default: bool,
    /// List the providers that --provider knows, and sign nobody in.
    #[arg(long, conflicts_with_all = ["name", "url", "default"])]
    list_providers: bool,
    #[command(flatten)]
    changes: Changes,
}

impl Args {
    /// The way that was asked for.
    fn way(&self) -> Option<LoginMethod> {
        self.login_method.or(self.no_open.then_some(LoginMethod::Paste))
    }

    fn options(&self) -> LoginOptions {
        let mut options = LoginOptions::new().acr_values(&self.acr_values);
        options.prompt.clone_from(&self.prompt);
        options.login_hint.clone_from(&self.login_hint);
        options.max_age = self.max_age;
        options
    }

    /// Whether a login that there is may stay as it is.
    fn say_only_where_the_token_may_go(&self) -> bool {
        self.changes.are_about_targets_alone()
            && self.way().is_none()
            && !self.client_secret_stdin
            && !self.needs_browser()
    }

    /// Whether something is asked for that only a login in a browser can give.
    fn needs_browser(&self) -> bool {
        self.prompt.is_some()
            || self.login_hint.is_some()
            || !self.acr_values.is_empty()
            || self.max_age.is_some()
    }
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    if args.list_providers {
        return providers::list(cx);
    }
    let mut profiles = cx.profiles()?;
    if let Some(url) = &args.url {
        return resource::run(url, args, cx, profiles).await;
    }
    let (name, before) = chosen(args, &profiles)?;
    let mut profile = before.clone().unwrap_or_default();
    args.changes.apply(&mut profile)?;
    if let Some(url) = profile.url.clone().filter(|_| profile.client_id.is_none()) {
        // Somebody wrote down no more than the URL.
        let exit = resource::run(&url, args, cx, profiles).await?;
        if args.default {
            cx.profiles()?.set_default(&name)?;
        }
        return Ok(exit);
    }
    if args.login_method == Some(LoginMethod::ClientCredentials) {
        // It is what the client is, and not how somebody signs in today.
        profile.login = args.login_method;
    }
    issuer_of(&name, &profile)?;
    if profile.client_id.is_none() {
        return Err(failed::without_client_id(&name));
    }
    if args.default || before.as_ref() != Some(&profile) {
        profiles.check_writable()?;
    }
    if before.is_some() && args.say_only_where_the_token_may_go() {
        let (name, profile) = (name.clone(), profile.clone());
        if let Some(exit) =
            without_signing_in(name, before.as_ref(), profile, args, cx, &mut profiles).await?
        {
            return Ok(exit);
        }
    }
    let wish = Wish::of(args.way(), &profile, args.needs_browser())?;
    // A store that is locked is met before anybody is bothered.
    let store = cx.store(&profiles).await?;
    let secret = client_secret::given(args.client_secret_stdin, &name, &mut profile, &store).await?;

    let (way, person) = (ChosenWay::default(), Person::new(wish.opens_browser()));
    let connection = Connection::with_secret(
        name.clone(),
        profile.clone(),
        store,
        secret.clone(),
        |builder| match wish {
            Wish::This(LoginMethod::ClientCredentials) => builder,
            _ => builder
                .grant(WayGrant::new(wish, &profile, cx.output, way.clone(), &person))
                .interaction(person),
        },
    )?;
    if wish == Wish::This(LoginMethod::ClientCredentials) {
        way.set(LoginMethod::ClientCredentials);
    }
    // One that cannot be read is not new, and its replacing is for the library.
    let is_new = matches!(connection.record().await, Ok(None));
    let token = connection.session.log_in_with(args.options()).await;
    let token =
        token.map_err(|error| failed::log_in(&error, &name, &profile, way.get(), before.is_some()))?;

    if let Some(secret) = secret {
        client_secret::keep(&connection, secret).await?;
    }
    let saved = before.as_ref() != Some(&profile);
    if saved {
        profiles.save(&name, &profile)?;
    }
    if args.default {
        profiles.set_default(&name)?;
    }
    let written = saved.then(|| profiles.path());
    Summary::of(&connection, &token, way.get(), written, is_new).await.tell(cx)?;
    if let Some(before) = before {
        former::end(before, &connection, &profiles, cx).await;
    }
    Ok(Exit::Success)
}

/// Saves a profile of which no more has changed than where the token may go, if its login lives; `None` if somebody has to sign in.
async fn without_signing_in(
    name: String,
    before: Option<&Profile>,
    profile: Profile,
    args: &Args,
    cx: &Context,
    profiles: &mut ProfilesFile,
) -> Result<Option<Exit>, Failure> {
    let store = cx.store(profiles).await?;
    let connection = Connection::new(name, profile, store, |builder| builder)?;
    let token = match connection.session.token().await {
        Ok(token) => token,
        Err(Error::LoginRequired(_)) => return Ok(None),
        Err(error) => return Err(connection.failure(&error, "whether the login still works is not known")),
    };
    let saved = before != Some(&connection.profile);
    if saved {
        profiles.save(&connection.name, &connection.profile)?;
    }
    if args.default {
        profiles.set_default(&connection.name)?;
    }
    let written = saved.then(|| profiles.path());
    Summary::of(&connection, &token, None, written, false).await.still_signed_in().tell(cx)?;
    Ok(Some(Exit::Success))
}

/// How `jeton login NAME` has somebody sign in, for whoever does the same otherwise; `None` for a client that needs nobody.
pub(crate) fn by_a_person(
    profile: &Profile,
    output: Output,
) -> Result<Option<(impl Grant + use<>, impl Interaction + use<>)>, Failure> {
    let wish = Wish::of(None, profile, false)?;
    let needs_nobody = wish == Wish::This(LoginMethod::ClientCredentials);
    Ok((!needs_nobody).then(|| {
        let person = Person::new(wish.opens_browser());
        (WayGrant::new(wish, profile, output, ChosenWay::default(), &person), person)
    }))
}

/// The profile to log in to, and what the file has of it.
fn chosen(args: &Args, profiles: &ProfilesFile) -> Result<(String, Option<Profile>), Failure> {
    match &args.name {
        Some(name) if args.changes.name_a_server() && profiles.get(name).is_none() => {
            check_name(name).map_err(|why| {
                let (what, rule) = why.rsplit_once(": take ").unwrap_or((&why, "another one"));
                Failure::usage(what).help(format!("take {rule}"))
            })?;
            Ok((name.clone(), None))
        }
        None if args.changes.name_a_server() => Err(Failure::usage("the login has no name")
            .help("jeton login NAME, and the options; later commands call it by that name")),
        name => {
            let (name, profile) = profiles.choose(name.as_deref())?;
            Ok((name.to_owned(), Some(profile.clone())))
        }
    }
}
