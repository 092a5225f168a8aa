//! What the options make of the server.

use std::time::Duration;

use jeton_devserver::{Builder, Client, DevServer, Endpoint, Fault, ResourceMetadata, Rotation};

use crate::failure::Failure;
use crate::when;

/// Where `jeton` and most other native apps wait for the browser.
const LOOPBACK: [&str; 2] = ["http://127.0.0.1/callback", "http://[::1]/callback"];

#[derive(Debug, clap::Args)]
pub(super) struct Settings {
    /// Know this client: public, or with a secret for HTTP Basic. Others on this
    /// machine can read the command line, so let it be a secret for tests.
    #[arg(long, value_name = "ID[=SECRET]")]
    pub(super) client: Vec<String>,
    /// Where those clients may be sent back to; until set, /callback on any port
    /// of 127.0.0.1 and [::1].
    #[arg(long, value_name = "URI", requires = "client")]
    redirect_uri: Vec<String>,
    /// Know this person, beside alice and bob; the password is the name unless set.
    #[arg(long, value_name = "NAME[=PASSWORD]")]
    user: Vec<String>,
    /// Know this scope, beside read, write, openid, profile, email, admin and
    /// offline_access.
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// How long access tokens live, such as 60s or 1h, or never; 1h until set.
    #[arg(long, value_name = "TIME")]
    access_token_life: Option<Life>,
    /// Leave refresh tokens as they are. Else each refresh brings a new one, and
    /// the login of one that is used twice ends.
    #[arg(long, conflicts_with = "grace")]
    no_rotation: bool,
    /// Take a used refresh token for so long.
    #[arg(long, value_name = "TIME", value_parser = when::typed)]
    grace: Option<Duration>,
    /// Ask nobody: approve everything, as alice or that person.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = DevServer::ALICE.0, require_equals = true)]
    approve: Option<String>,
    /// Ask nobody: deny everything.
    #[arg(long, conflicts_with = "approve")]
    deny: bool,
    /// Let clients register themselves (RFC 7591).
    #[arg(long)]
    registration: bool,
    /// Let the API say which server it trusts (RFC 9728); with --registration,
    /// `jeton login --url` needs nothing else.
    #[arg(long)]
    pub(super) resource_metadata: bool,
    /// Take pushed authorization requests only (RFC 9126).
    #[arg(long)]
    require_par: bool,
    /// Want a nonce in DPoP proofs (RFC 9449).
    #[arg(long)]
    dpop_nonces: bool,
    /// Be as strict as the FAPI 2.0 Security Profile.
    #[arg(long)]
    pub(super) fapi2: bool,
    /// Let the next request fail, at the token endpoint unless another is named;
    /// several faults wait for one request each. The names are below.
    #[arg(long, value_name = "NAME[:ENDPOINT]")]
    fault: Vec<String>,
}

/// How long access tokens live; `None` is for ever.
#[derive(Clone, Copy, Debug)]
struct Life(Option<Duration>);

impl std::str::FromStr for Life {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self(None)),
            text => match when::typed(text) {
                Ok(life) if life >= Duration::from_secs(1) => Ok(Self(Some(life))),
                Ok(_) => Err("at least one second, or never".to_owned()),
                Err(error) => Err(format!("{error}, or never")),
            },
        }
    }
}

impl Settings {
    pub(super) fn builder(&self) -> Result<Builder, Failure> {
        let mut builder = DevServer::builder()
            .auto_approve(self.approve.is_some())
            .device_auto_approve_after_polls(self.approve.is_some().then_some(0))
            .auto_deny(self.deny)
            .registration(self.registration)
            .require_par(self.require_par);
        for text in &self.client {
            builder = builder.client(self.client(text)?);
        }
        for text in &self.user {
            let (name, password) = text.split_once('=').unwrap_or((text, text));
            if name.is_empty() || password.is_empty() {
                return Err(Failure::usage("--user wants a name, or name=password"));
            }
            builder = builder.user(name, password);
        }
        for scope in &self.scope {
            builder = builder.scope(scope);
        }
        builder = match self.access_token_life {
            None => builder,
            Some(Life(Some(life))) => builder.access_token_lifetime(life),
            Some(Life(None)) => builder.access_tokens_never_expire(),
        };
        builder = match (self.no_rotation, self.grace) {
            (true, _) => builder.refresh_token_rotation(Rotation::Off),
            (false, Some(grace)) => builder.refresh_token_rotation(Rotation::GracePeriod(grace)),
            (false, None) => builder,
        };
        if self.resource_metadata {
            builder = builder.resource_metadata(ResourceMetadata::InHeader);
        }
        if self.dpop_nonces {
            builder = builder.dpop_nonces(1000);
        }
        if self.fapi2 {
            builder = builder.fapi2();
        }
        Ok(builder)
    }

    fn client(&self, text: &str) -> Result<Client, Failure> {
        let (id, secret) = text.split_once('=').map_or((text, None), |(id, secret)| (id, Some(secret)));
        if id.is_empty() || secret == Some("") {
            return Err(Failure::usage("--client wants an identifier, or identifier=secret"));
        }
        let client = secret.map_or_else(|| Client::public(id), |secret| Client::basic(id, secret));
        Ok(match self.redirect_uri.is_empty() {
            true => LOOPBACK.iter().fold(client, |client, uri| client.redirect_uri(*uri)),
            false => self.redirect_uri.iter().fold(client, |client, uri| client.redirect_uri(uri)),
        })
    }

    /// Who approves, where nobody is asked.
    pub(super) fn approver(&self) -> Result<Option<&str>, Failure> {
        let Some(name) = self.approve.as_deref() else { return Ok(None) };
        let mut known = [DevServer::ALICE.0, DevServer::BOB.0].into_iter();
        let mut added =
            self.user.iter().map(|text| text.split_once('=').map_or(text.as_str(), |(name, _)| name));
        if known.any(|user| user == name) || added.any(|user| user == name) {
            return Ok(Some(name));
        }
        Err(Failure::usage(format!("--approve={name}: the server knows nobody of that name"))
            .help(format!("add --user {name}")))
    }

    pub(super) fn faults(&self) -> Result<Vec<(Endpoint, Fault)>, Failure> {
        self.fault.iter().map(|text| fault(text)).collect()
    }
}

fn fault(text: &str) -> Result<(Endpoint, Fault), Failure> {
    let (name, at) = text.split_once(':').unwrap_or((text, Endpoint::Token.name()));
    let fault = Fault::named(name).ok_or_else(|| {
        let names: Vec<_> = Fault::names().collect();
        Failure::usage(format!("there is no fault `{name}`"))
            .help(format!("take one of {}", names.join(", ")))
    })?;
    let endpoint = Endpoint::named(at).ok_or_else(|| {
        let names: Vec<_> = Endpoint::all().map(Endpoint::name).collect();
        Failure::usage(format!("there is no endpoint `{at}`"))
            .help(format!("take one of {}", names.join(", ")))
    })?;
    Ok((endpoint, fault))
}
