//! A valid access token for other programs to present: a bearer token. One that is bound to a key is of no use to them.

use std::time::Duration;

use jeton::AccessToken;
use jeton::models::TokenType;

use crate::context::Connection;
use crate::failure::Failure;

/// A valid access token that `program` can present by itself.
pub(crate) async fn bearer_token(connection: &Connection, program: &str) -> Result<AccessToken, Failure> {
    bearer_token_valid_for(connection, program, Duration::ZERO).await
}

/// The same, for at least so long.
pub(crate) async fn bearer_token_valid_for(
    connection: &Connection,
    program: &str,
    least: Duration,
) -> Result<AccessToken, Failure> {
    let name = &connection.name;
    let token = connection
        .session
        .token_valid_for(least)
        .await
        .map_err(|error| connection.failure(&error, format!("there is no valid token of `{name}`")))?;
    match token.token_type() {
        TokenType::Bearer => Ok(token),
        _ => Err(Failure::configuration(format!("the token of `{name}` is of no use to {program}"))
            .because("it is bound to a key (DPoP): each request needs a proof, which only jeton can make")
            .help(format!(
                "jeton request {name} GET URL, or a profile without `dpop` if the server allows it"
            ))),
    }
}
