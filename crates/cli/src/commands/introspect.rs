//! `jeton introspect`.

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_args: &Args, _cx: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("not built yet"))
}
