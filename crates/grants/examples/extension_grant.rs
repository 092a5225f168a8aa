//! An extension grant (RFC 6749 §4.5) written outside of jeton-grants: a token for a coupon.
//!
//! ```text
//! cargo run -p jeton-grants --example extension_grant
//! ```
//!
//! The grant is the first half of this file. The second half is a server of one page that knows it, because the devserver
//! does not.
// An example talks to whoever runs it.
#![allow(clippy::print_stdout)]

#[path = "common/plain_http.rs"]
mod plain_http;
#[path = "common/system_clock.rs"]
mod system_clock;

use std::error::Error;
use std::time::SystemTime;

use jeton_grants::{ClientSecretBasic, Grant, GrantContext, GrantError, async_trait};
use jeton_models::{
    AccessTokenRequest, AuthorizationServerMetadata, GrantType, Scope, Secret, TokenResponse,
};
use plain_http::PlainHttp;
use system_clock::SystemClock;

/// The identifier of the grant: an absolute URI.
const COUPON_GRANT: GrantType = GrantType::extension("urn:example:params:oauth:grant-type:coupon");

/// Obtains a token for a coupon.
#[derive(Clone, Debug)]
struct Coupon {
    // A `Secret`, so that `Debug` does not show it. What the server repeats of it is cut out of errors by itself.
    coupon: Secret,
}

#[async_trait]
impl Grant for Coupon {
    fn grant_type(&self) -> GrantType {
        COUPON_GRANT
    }

    // Nobody has to click: a session may run this grant whenever it needs a token.
    fn needs_person(&self) -> bool {
        false
    }

    async fn obtain(&self, cx: &GrantContext<'_>) -> Result<TokenResponse, GrantError> {
        let mut request = AccessTokenRequest::new(COUPON_GRANT);
        request.extra.append_required("coupon", self.coupon.expose())?;
        if let Some(scope) = cx.scope {
            request.extra.append("scope", scope.to_string())?;
        }
        // Adds the client's identity, `resource` and the extra parameters; sends; reads answer or error.
        cx.token_request(&COUPON_GRANT, request.to_parameters()?).await
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let serving = tokio::spawn(coupon_server(listener));
    println!("A server that takes coupons runs at {origin}.");

    // A server without discovery: what is known of it is set by hand.
    let mut server = AuthorizationServerMetadata::new(&origin);
    server.token_endpoint = Some(format!("{origin}/token"));
    let authentication = ClientSecretBasic::new("shop secret");
    let mut cx = GrantContext::new(&server, "shop", &authentication, &PlainHttp, &SystemClock);
    let scope: Scope = "cinema".parse()?;
    cx.scope = Some(&scope);

    let grant = Coupon { coupon: Secret::from("SUMMER-26") };
    let token = grant.obtain(&cx).await?.into_token(SystemTime::now());
    println!(
        "{grant:?} gave a token (fingerprint {}) for the scope {}.",
        token.access_token.fingerprint(),
        token.scope.map(|scope| scope.to_string()).unwrap_or_default(),
    );

    let used = Coupon { coupon: Secret::from("WINTER-25") };
    match used.obtain(&cx).await {
        Err(error) => println!("A used coupon: {error}.\nWhat to do: {}.", error.recovery()),
        Ok(_) => return Err("the server took a used coupon".into()),
    }
    serving.abort();
    Ok(())
}

/// A server that knows one coupon, and repeats in its error what it was sent, as servers do.
async fn coupon_server(listener: tokio::net::TcpListener) -> std::io::Result<()> {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

    loop {
        let (stream, _) = listener.accept().await?;
        let mut stream = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while stream.read_line(&mut line).await? > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0).min(4096);
            }
            line.clear();
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let body = String::from_utf8_lossy(&body).into_owned();
        let (status, answer) = if body.contains("coupon=SUMMER-26&") {
            (
                "200 OK",
                r#"{"access_token":"t0k3n","token_type":"Bearer","expires_in":60,"scope":"cinema"}"#
                    .to_owned(),
            )
        } else {
            ("400 Bad Request", format!(r#"{{"error":"invalid_grant","error_description":"used: {body}"}}"#))
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await?;
    }
}
