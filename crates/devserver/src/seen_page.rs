//! The page that lists what the server saw, one page for each exchange, and buttons for what a test would do behind a client's
//! back. Off unless a program asks for it. Plain HTML without scripts; nothing of a request is shown unescaped, and no secret.

use std::time::{Duration, SystemTime};

use hyper::{Method, StatusCode};

use crate::answer::{Answer, Request};
use crate::clock::unix_seconds;
use crate::endpoint::Endpoint;
use crate::exchange::{Exchange, Outcome};
use crate::faults::Fault;
use crate::form::Parameters;
use crate::pages::{self, escape, shown};
use crate::refusal::Refusal;
use crate::server::Shared;
use crate::state::State;

const STYLE: &str = include_str!("seen.css");

/// So many logins are listed.
const LOGINS: usize = 20;

/// How many of the buttons are for what happens behind a client's back, and how many of the others are for faults.
const BEHIND: usize = 6;
const FAULTS: usize = 2;

/// A button: its name in the form, its label, and what is said when it was pressed.
const BUTTONS: [(&str, &str, &str); 9] = [
    ("expire-access-tokens", "Expire access tokens", "The access tokens issued so far have expired."),
    (
        "revoke-access-tokens",
        "Revoke access tokens",
        "The access tokens issued so far answer 401 from now on.",
    ),
    ("revoke-logins", "End all logins", "Every login has ended: refreshing answers invalid_grant."),
    ("deny-next", "Deny the next login", "The next authorization request will be denied."),
    ("advance-hour", "Clock: one hour on", "The server's clock was put forward by one hour."),
    ("rotate-keys", "Change signing keys", "The server signs with other keys from now on."),
    ("open-gate", "Open the gate", "Requests that the fault gate held go on."),
    ("clear-faults", "Take back faults", "No fault waits any more."),
    ("clear-list", "Empty the list", "The list begins anew."),
];

/// What the button beside the choice of faults is called, and what is said.
const FAULT: (&str, &str) = ("fault", "The next request there will meet the fault.");

/// The answer if the request is for these pages, and they are asked for.
pub(crate) fn answer(shared: &Shared, request: &Request) -> Option<Answer> {
    let mut state = shared.state();
    let form_token = state.seen.form_token.clone()?;
    let path = request.path.strip_prefix(&state.settings.base_path)?.strip_prefix("/seen")?;
    if !path.is_empty() && !path.starts_with('/') {
        return None;
    }
    if !state.is_our_host(request) {
        return Some(pages::wrong_host());
    }
    let answer = match (path, &request.method) {
        ("/do", &Method::POST) => match pressed(shared, &mut state, request, &form_token) {
            Ok(button) => {
                let location = format!("{}/seen?done={button}", state.settings.base_path);
                Answer::redirect(StatusCode::SEE_OTHER, &location)
            }
            Err(refusal) => pages::problem(refusal.status, &refusal.description),
        },
        ("/do", _) => pages::problem(StatusCode::METHOD_NOT_ALLOWED, "A button is pressed with POST.")
            .with_header("allow", "POST"),
        (_, &Method::GET) => page(shared, &state, request, path, &form_token),
        _ => pages::problem(StatusCode::METHOD_NOT_ALLOWED, "This page is opened with GET.")
            .with_header("allow", "GET"),
    };
    Some(answer)
}

fn page(shared: &Shared, state: &State, request: &Request, path: &str, form_token: &str) -> Answer {
    let number = path.strip_prefix('/').filter(|rest| !rest.is_empty());
    match number.map(|number| number.parse().ok().and_then(|number| state.seen.get(number))) {
        Some(Some(exchange)) => one(state, exchange),
        Some(None) => pages::problem(
            StatusCode::NOT_FOUND,
            "There is no such request, or it is too long ago and forgotten.",
        ),
        None => list(shared, state, request, form_token),
    }
}

/// Does what a button says, if it was pressed on this server's own page: the form names a secret that only the page knows, and a
/// browser must not say that the form came from elsewhere.
fn pressed(
    shared: &Shared,
    state: &mut State,
    request: &Request,
    form_token: &str,
) -> Result<&'static str, Refusal> {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let foreign =
        Refusal::invalid_request("This button belongs to another page. Open /seen and press it there.")
            .with_status(StatusCode::FORBIDDEN);
    if header("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(foreign);
    }
    let parameters = Parameters::of_post(request)?;
    if parameters.get("form_token") != Some(form_token) {
        return Err(foreign);
    }
    let unknown = || Refusal::invalid_request("There is no such button.");
    let wanted = parameters.get("button").ok_or_else(unknown)?;
    if wanted == FAULT.0 {
        let fault = parameters.get("fault").and_then(Fault::named).ok_or_else(unknown)?;
        let endpoint = parameters.get("endpoint").and_then(Endpoint::named).ok_or_else(unknown)?;
        state.faults.push(endpoint, fault);
        return Ok(FAULT.0);
    }
    let (button, ..) = BUTTONS.into_iter().find(|(name, ..)| *name == wanted).ok_or_else(unknown)?;
    match button {
        "expire-access-tokens" => state.tokens.expire_access_tokens(shared.clock.now()),
        "revoke-access-tokens" => state.tokens.revoke_access_tokens(),
        "revoke-logins" => state.tokens.revoke_all_logins(&mut state.counters),
        "deny-next" => state.deny_next_authorization = true,
        "advance-hour" => shared.clock.advance(Duration::from_secs(3600)),
        "rotate-keys" => state.keys.rotate(),
        "open-gate" => shared.gate.open(),
        "clear-faults" => state.faults.clear(),
        "clear-list" => state.seen.clear(),
        _ => return Err(unknown()),
    }
    Ok(button)
}

fn list(shared: &Shared, state: &State, request: &Request, form_token: &str) -> Answer {
    let parameters = Parameters::of_query(request).ok();
    let parameter = |name: &str| parameters.as_ref().and_then(|all| all.get(name));
    let follows = parameter("follow").is_some();
    let done = parameter("done")
        .and_then(said)
        .map(|text| format!("<p class=\"done\" role=\"status\">{text}</p>\n"));
    let base = escape(&state.settings.base_path);
    let follow = match follows {
        true => format!("<a href=\"{base}/seen\">Stop following</a>"),
        false => format!("<a href=\"{base}/seen?follow=1\">Follow</a>"),
    };
    let rows: String = state.seen.newest_first().map(|exchange| row(state, exchange)).collect();
    let requests = match rows.is_empty() {
        true => "<p class=\"fine\">Nothing yet. What clients ask this server appears here.</p>\n".to_owned(),
        false => format!(
            "<table class=\"requests\">\n<thead><tr><th scope=\"col\">Time</th><th scope=\"col\">Request</th>\
             <th scope=\"col\">Client</th><th scope=\"col\">Outcome</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
        ),
    };
    let content = format!(
        "<header>\n<h1>What the server saw</h1>\n<p class=\"fine\">{issuer} &middot; its clock: {now} UTC</p>\n\
         <nav>{follow} <a href=\"{base}/seen\">Reload</a> <a href=\"#logins\">Logins and buttons</a> <a href=\"{base}/\">Home</a>\
         </nav>\n</header>\n{done}{counts}<div class=\"columns\">\n<section>\n<h2>Requests</h2>\n{requests}</section>\n\
         <aside>\n{logins}{buttons}</aside>\n</div>\n",
        issuer = shown(&state.settings.issuer),
        now = time_of_day(shared.clock.now()),
        done = done.unwrap_or_default(),
        counts = counts(state),
        logins = logins(state),
        buttons = buttons(state, form_token, &base),
    );
    let refresh =
        follows.then(|| format!("<meta http-equiv=\"refresh\" content=\"2; url={base}/seen?follow=1\">\n"));
    pages::wide_page("What the server saw", &refresh.unwrap_or_default(), STYLE, &content)
}

/// What is said when a button was pressed. The address names the button; any other text in it is not shown.
fn said(button: &str) -> Option<&'static str> {
    let known = BUTTONS.into_iter().find(|(name, ..)| *name == button).map(|(_, _, text)| text);
    known.or_else(|| (button == FAULT.0).then_some(FAULT.1))
}

fn counts(state: &State) -> String {
    let stats = &state.counters;
    let tiles = [
        ("requests", state.seen.count()),
        ("tokens issued", stats.tokens_issued),
        ("refreshes", stats.refreshes),
        ("live logins", state.tokens.live_logins() as u64),
        ("API: 401", stats.api_unauthorized),
        ("tokens used twice", stats.refresh_reuses_detected),
    ];
    let tiles: String =
        tiles.iter().map(|(name, count)| format!("<div><dt>{name}</dt><dd>{count}</dd></div>\n")).collect();
    format!("<dl class=\"counts\">\n{tiles}</dl>\n")
}

fn logins(state: &State) -> String {
    let rows: String = state
        .tokens
        .newest_logins(LOGINS)
        .into_iter()
        .map(|(login, live)| {
            let mark = if live { "<i class=\"good\">signed in</i>" } else { "<i class=\"bad\">ended</i>" };
            format!(
                "<li><b>{user}</b> {mark}<br>{client}: {scope}</li>\n",
                user = shown(&login.subject),
                client = shown(pages::client_name(state, &login.client_id)),
                scope = shown(&login.scope.text()),
            )
        })
        .collect();
    match rows.is_empty() {
        true => "<h2 id=\"logins\">Logins</h2>\n<p class=\"fine\">Nobody is signed in.</p>\n".to_owned(),
        false => format!("<h2 id=\"logins\">Logins</h2>\n<ul>\n{rows}</ul>\n"),
    }
}

fn buttons(state: &State, form_token: &str, base: &str) -> String {
    let row = |buttons: &[(&str, &str, &str)]| -> String {
        buttons
            .iter()
            .map(|(name, label, _)| format!("<button name=\"button\" value=\"{name}\">{label}</button>\n"))
            .collect()
    };
    let (behind, others) = BUTTONS.split_at(BEHIND);
    let (for_faults, for_list) = others.split_at(FAULTS);
    let option = |name: &str| format!("<option>{name}</option>");
    let faults: String = Fault::names().map(option).collect();
    let endpoints: String = Endpoint::all().map(|endpoint| option(endpoint.name())).collect();
    let waiting: usize = Endpoint::all().map(|endpoint| state.faults.waiting(endpoint)).sum();
    let waiting = match waiting {
        0 => String::new(),
        1 => "<p class=\"fine\">1 fault waits for a request.</p>\n".to_owned(),
        more => format!("<p class=\"fine\">{more} faults wait for a request.</p>\n"),
    };
    let hidden = format!("<input type=\"hidden\" name=\"form_token\" value=\"{}\">\n", escape(form_token));
    format!(
        "<h2>Behind the client&#39;s back</h2>\n<form method=\"post\" action=\"{base}/seen/do\" class=\"actions\">\n\
         {hidden}{behind}</form>\n<h2>Break the next request</h2>\n{waiting}\
         <form method=\"post\" action=\"{base}/seen/do\">\n{hidden}<label for=\"endpoint\">To</label>\n\
         <select id=\"endpoint\" name=\"endpoint\">{endpoints}</select>\n<label for=\"fault\">Fault</label>\n\
         <select id=\"fault\" name=\"fault\">{faults}</select>\n\
         <div class=\"actions\"><button name=\"button\" value=\"{fault}\">Break it</button>\n{for_faults}</div>\n</form>\n\
         <h2>This list</h2>\n<form method=\"post\" action=\"{base}/seen/do\" class=\"actions\">\n{hidden}{for_list}</form>\n",
        behind = row(behind),
        for_faults = row(for_faults),
        for_list = row(for_list),
        fault = FAULT.0,
    )
}

fn row(state: &State, exchange: &Exchange) -> String {
    let client = exchange.client_id.as_deref().map(shown).unwrap_or_default();
    let user = exchange.user.as_deref().map(|user| format!("<small>for {}</small>", shown(user)));
    let grant = exchange.grant_type.as_deref().map(|grant| format!("<small>{}</small>", shown(short(grant))));
    format!(
        "<tr><td>{time}</td><td><a href=\"{base}/seen/{number}\"><span>{method}</span> {path}</a>{grant}</td>\
         <td>{client}{user}</td><td>{outcome}</td></tr>\n",
        time = time_of_day(exchange.at),
        base = escape(&state.settings.base_path),
        number = exchange.number,
        method = shown(&exchange.method),
        path = shown(&exchange.path),
        grant = grant.unwrap_or_default(),
        user = user.unwrap_or_default(),
        outcome = outcome(exchange),
    )
}

/// Long grant types are URNs whose last part says it all.
fn short(grant_type: &str) -> &str {
    grant_type.rsplit(':').next().unwrap_or(grant_type)
}

fn outcome(exchange: &Exchange) -> String {
    let class = if exchange.outcome.is_good() { "good" } else { "bad" };
    let (head, reason) = match &exchange.outcome {
        Outcome::UnderWay => ("under way".to_owned(), None),
        Outcome::Cut => ("closed without an answer".to_owned(), None),
        Outcome::Abandoned => ("the client went away".to_owned(), None),
        Outcome::Answered { status, error, reason } => {
            let error = error.as_deref().map(|error| format!(" {}", shown(error))).unwrap_or_default();
            (format!("{status}{error}"), reason.as_deref())
        }
    };
    let reason = reason.map(|reason| format!("<small>{}</small>", shown(reason))).unwrap_or_default();
    let fault = exchange.fault.as_deref().map(|fault| format!("<small>fault: {}</small>", shown(fault)));
    format!("<i class=\"{class}\">{head}</i>{reason}{}", fault.unwrap_or_default())
}

/// The page of one exchange.
fn one(state: &State, exchange: &Exchange) -> Answer {
    let fact = |name: &str, value: Option<&str>| {
        value.map(|value| format!("<dt>{name}</dt><dd>{}</dd>\n", shown(value))).unwrap_or_default()
    };
    let at = format!("{} UTC, on the server's clock", time_of_day(exchange.at));
    let length = format!("{} bytes", exchange.body_length);
    let facts = [
        fact("Time", Some(&at)),
        fact("Endpoint", Some(exchange.endpoint.name())),
        fact("Client", exchange.client_id.as_deref()),
        fact("Person", exchange.user.as_deref()),
        fact("Grant", exchange.grant_type.as_deref()),
        fact("Body", (exchange.body_length > 0).then_some(&*length)),
    ]
    .concat();
    let tables: String = [
        ("Parameters in the URL", &exchange.query),
        ("Parameters in the body", &exchange.form),
        ("Headers", &exchange.headers),
    ]
    .into_iter()
    .map(|(title, pairs)| table(title, pairs))
    .collect();
    let title = format!("{} {}", exchange.method, exchange.path);
    let content = format!(
        "<header>\n<h1>{heading}</h1>\n<nav><a href=\"{base}/seen\">All requests</a></nav>\n</header>\n\
         <dl class=\"facts\">\n{facts}<dt>Outcome</dt><dd>{outcome}</dd>\n</dl>\n{tables}",
        heading = shown(&title),
        base = escape(&state.settings.base_path),
        outcome = outcome(exchange),
    );
    pages::wide_page(&title, "", STYLE, &content)
}

fn table(title: &str, pairs: &[(String, String)]) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let rows: String = pairs
        .iter()
        .map(|(name, value)| {
            format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", shown(name), shown(value))
        })
        .collect();
    format!("<h2>{title}</h2>\n<table class=\"pairs\">\n<tbody>\n{rows}</tbody>\n</table>\n")
}

fn time_of_day(time: SystemTime) -> String {
    let seconds = unix_seconds(time) % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
