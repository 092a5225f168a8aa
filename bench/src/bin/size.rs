//! What `cargo xtask bench size` builds with each feature, to see what it adds to a program: a service that gets a token, and
//! with the features `use-..` of this package the first things that a program does with the feature of that name.

use std::env::args;

use jeton::{Client, ClientBuilder, ClientCredentials, Session};

type Failed = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    // What the compiler knows it leaves out.
    let text = args().nth(1).ok_or("usage: size TEXT")?;
    let mut builder = Client::builder(text.as_str()).issuer(text.as_str()).client_secret(text.as_str());
    builder = builder.grant(ClientCredentials).resource_server(text.as_str());
    builder = configured(builder, &text)?;
    let session = builder.build()?.session();
    println!("{}", session.get(&text).send().await?.status());
    used(&session, &text).await
}

/// What a program configures with the feature.
fn configured(builder: ClientBuilder, text: &str) -> Result<ClientBuilder, Failed> {
    #[cfg(feature = "use-jose")]
    let builder = {
        use jeton::{JwsAlgorithm, PrivateKeyJwt, SigningKey};
        builder
            .authentication(PrivateKeyJwt::new(SigningKey::from_pem(text, JwsAlgorithm::Es256)?))
            .dpop(true)
    };
    #[cfg(feature = "use-mtls")]
    let builder = {
        let http = jeton::HttpOptions::new().client_certificate(text.as_bytes(), text);
        builder.authentication(jeton::TlsClientAuth).http(http)
    };
    #[cfg(feature = "use-profiles")]
    let builder = builder.provider(jeton::Profile::named(text)?);
    // Not all features have something to configure.
    let _ = text;
    Ok(builder)
}

/// What a program calls with the feature.
async fn used(session: &Session, text: &str) -> Result<(), Failed> {
    #[cfg(feature = "use-openid")]
    {
        println!("{:?} {:?}", session.id_token().await?, session.user_info().await?);
        println!("{:?}", session.end_session_url(Some(text)).await?.url);
    }
    #[cfg(feature = "use-registration")]
    println!("{}", jeton::ResourceClient::builder().build()?.get(text).send().await?.status());
    // Not all features have something to call.
    let _ = (session, text);
    Ok(())
}
