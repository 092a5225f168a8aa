//! Prints the JSON Schema of every model, as one JSON object by the models' names:
//! `cargo run -p jeton-models --features schema --example schemas`.

use std::error::Error;
use std::io::Write;

use jeton_models::{
    AccessTokenRequest, AuthorizationCodeAccessTokenRequest, AuthorizationRequest, AuthorizationResponse,
    AuthorizationServerMetadata, ClientCredentialsAccessTokenRequest, DeviceAccessTokenRequest,
    DeviceAuthorizationRequest, DeviceAuthorizationResponse, ErrorResponse, RefreshTokenAccessTokenRequest,
    ResourceOwnerPasswordCredentialsAccessTokenRequest, Token,
};
use schemars::schema_for;

fn main() -> Result<(), Box<dyn Error>> {
    let schemas = [
        schema_for!(AccessTokenRequest),
        schema_for!(AuthorizationCodeAccessTokenRequest),
        schema_for!(ClientCredentialsAccessTokenRequest),
        schema_for!(ResourceOwnerPasswordCredentialsAccessTokenRequest),
        schema_for!(RefreshTokenAccessTokenRequest),
        schema_for!(DeviceAccessTokenRequest),
        schema_for!(AuthorizationRequest),
        schema_for!(AuthorizationResponse),
        schema_for!(DeviceAuthorizationRequest),
        schema_for!(DeviceAuthorizationResponse),
        schema_for!(Token),
        schema_for!(ErrorResponse),
        schema_for!(AuthorizationServerMetadata),
    ];
    let by_name: serde_json::Map<String, serde_json::Value> = schemas
        .into_iter()
        .map(|schema| {
            let title = schema.get("title").and_then(|title| title.as_str()).unwrap_or_default().to_owned();
            (title, schema.to_value())
        })
        .collect();
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &by_name)?;
    writeln!(out)?;
    Ok(())
}
