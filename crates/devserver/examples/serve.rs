//! Runs a devserver for people: opens its consent and device pages instead of approving by itself.
//!
//! `cargo run -p jeton-devserver --example serve`, then Enter to stop.
#![allow(clippy::print_stdout, reason = "an example talks on the terminal")]

use std::io;

use jeton_devserver::DevServer;

fn main() -> io::Result<()> {
    let server = DevServer::builder().auto_approve(false).start()?;
    println!("issuer            {}", server.issuer());
    println!("metadata          {}", server.metadata_url());
    println!("public client     {}", DevServer::PUBLIC_CLIENT);
    println!("device page       {}", server.verification_url());
    println!("protected         {}", server.resource_url());
    println!("Press Enter to stop.");
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}
