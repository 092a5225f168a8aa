//! `jeton login --list-providers`: the providers that `--provider` takes, and the values that they need.

use std::fmt::Write as _;

use jeton::profiles::Catalog;
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::STRONG;
use crate::wrap::wrapped;

/// Where the titles begin, behind the names.
const TITLES: usize = 24;

pub(super) fn list(cx: &Context) -> Result<Exit, Failure> {
    let columns = cx.output.columns();
    let mut text = String::new();
    for provider in Catalog::built_in().iter() {
        let title = wrapped(provider.title(), TITLES, columns);
        let _ = writeln!(text, "{STRONG}{:width$}{STRONG:#} {title}", provider.name(), width = TITLES - 1);
        for value in provider.placeholders() {
            let needed = format!("needs --provider-value {}=.., such as {}", value.name, value.example);
            let _ = writeln!(text, "{:TITLES$}{}", "", wrapped(&needed, TITLES, columns));
        }
    }
    cx.output.answer(text.trim_end(), || {
        let all = Catalog::built_in().iter().map(|provider| {
            json!({
                "name": provider.name(),
                "title": provider.title(),
                "values": provider.placeholders().iter().map(|value| &value.name).collect::<Vec<_>>(),
            })
        });
        json!({ "providers": all.collect::<Vec<_>>() })
    })?;
    Ok(Exit::Success)
}
