//! The pages that people see: consent, device verification, and what went wrong. Plain HTML and CSS, no script;
//! whatever comes from a request or a registration is escaped.

use hyper::StatusCode;

use crate::answer::Answer;
use crate::authorization::AuthorizationRequest;
use crate::scope::Scope;
use crate::state::{Settings, State};

const STYLE: &str = include_str!("pages.css");

/// A small page for one question or one message. `title` is text, `content` is HTML.
fn page(status: StatusCode, title: &str, content: &str) -> Answer {
    // No form-action: browsers apply it to the redirect back to the app as well.
    whole_page(status, title, "", "", &format!("<main>\n{content}</main>"), "")
}

/// A page for lists. `head` is HTML, `style` is CSS beside that of all pages.
pub(crate) fn wide_page(title: &str, head: &str, style: &str, content: &str) -> Answer {
    let content = format!("<main class=\"wide\">\n{content}</main>");
    whole_page(StatusCode::OK, title, head, style, &content, "; form-action 'self'")
        .with_header("cross-origin-resource-policy", "same-origin")
}

fn whole_page(status: StatusCode, title: &str, head: &str, style: &str, body: &str, policy: &str) -> Answer {
    // Beside other tabs a title says whose it is.
    let title = plain(title);
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n{head}\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}{style}</style>\n</head>\n<body>\n\
         {body}\n<footer>jeton devserver &middot; for tests, not for secrets</footer>\n</body>\n</html>\n"
    );
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'{policy}"
    );
    Answer::new(status, "text/html; charset=utf-8", html)
        .no_store()
        .with_header("content-security-policy", &policy)
        .with_header("referrer-policy", "no-referrer")
        .with_header("x-content-type-options", "nosniff")
}

/// A text for people to read: escaped, without characters that show nothing or turn the text around, and apart from what stands
/// beside it, which a text from right to left would mix up.
pub(crate) fn shown(text: &str) -> String {
    format!("<bdi>{}</bdi>", plain(text))
}

/// The same for where no element can be.
fn plain(text: &str) -> String {
    escape(
        &text
            .chars()
            .map(|character| if is_deceptive(character) { '\u{fffd}' } else { character })
            .collect::<String>(),
    )
}

fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// Text that may stand in an element or in a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

/// Something went wrong that no client can be told.
pub(crate) fn problem(status: StatusCode, text: &str) -> Answer {
    let content = format!(
        "<div class=\"mark bad\" aria-hidden=\"true\">!</div>\n<h1>That did not work</h1>\n<p>{}</p>\n",
        shown(text)
    );
    Answer { problem: Some(text.to_owned()), ..page(status, "That did not work", &content) }
}

/// The name in the URL is not this server's.
pub(crate) fn wrong_host() -> Answer {
    problem(StatusCode::MISDIRECTED_REQUEST, "The Host header does not name this server.")
}

/// Shall this app have that?
pub(crate) fn consent(state: &State, request: &AuthorizationRequest, transaction: &str) -> Answer {
    let name = client_name(state, &request.client_id);
    let content = format!(
        "{header}<p class=\"fine\">You will go back to <b>{destination}</b></p>\n{form}",
        header = asks(name, &request.scope, &request.resources),
        destination = shown(&destination(&request.redirect_uri)),
        form = decision_form(state, "/authorize/decision", transaction),
    );
    page(StatusCode::OK, &format!("Allow {name}?"), &content)
}

/// Shall this device have that? Also shown when the code came with the URL: whoever sent the link may not be the
/// one who holds the device.
pub(crate) fn confirm_device(
    state: &State,
    client_id: &str,
    scope: &Scope,
    resources: &[String],
    user_code: &str,
    transaction: &str,
) -> Answer {
    let name = client_name(state, client_id);
    let content = format!(
        "{header}<p>Go on only if the device in front of you shows this code:</p>\n<p class=\"code\">{code}</p>\n{form}",
        header = asks(name, scope, resources),
        code = shown(user_code),
        form = decision_form(state, "/device/decision", transaction),
    );
    page(StatusCode::OK, &format!("Allow {name}?"), &content)
}

pub(crate) fn enter_user_code(status: StatusCode, complaint: Option<&str>) -> Answer {
    let said = complaint
        .map(|text| format!("<p id=\"complaint\" class=\"complaint\" role=\"alert\">{}</p>\n", shown(text)));
    let content = format!(
        "<div class=\"mark\" aria-hidden=\"true\">&#8942;</div>\n<h1>Connect a device</h1>\n<p>Enter the code that your device shows.</p>\n\
         {said}<form method=\"post\">\n<label for=\"user_code\">Code</label>\n\
         <input id=\"user_code\" name=\"user_code\" class=\"code\" placeholder=\"XXXX-XXXX\" required autofocus \
         autocomplete=\"off\"{invalid} autocapitalize=\"characters\" spellcheck=\"false\" maxlength=\"20\">\n\
         <div class=\"buttons\"><button class=\"yes\">Continue</button></div>\n</form>\n",
        invalid = if said.is_some() { " aria-invalid=\"true\" aria-describedby=\"complaint\"" } else { "" },
        said = said.unwrap_or_default(),
    );
    Answer { problem: complaint.map(str::to_owned), ..page(status, "Connect a device", &content) }
}

pub(crate) fn device_decided(approved: bool) -> Answer {
    let (mark, title, text) = match approved {
        true => (
            "<div class=\"mark good\" aria-hidden=\"true\">&#10003;</div>",
            "Device connected",
            "Your device is signed in.",
        ),
        false => (
            "<div class=\"mark bad\" aria-hidden=\"true\">&#215;</div>",
            "Device refused",
            "Nothing was given to the device.",
        ),
    };
    let content = format!("{mark}\n<h1>{title}</h1>\n<p>{text} You can close this window.</p>\n");
    page(StatusCode::OK, title, &content)
}

pub(crate) fn signed_out() -> Answer {
    let title = "Signed out";
    let content = format!(
        "<div class=\"mark good\" aria-hidden=\"true\">&#10003;</div>\n<h1>{title}</h1>\n<p>You can close this window.</p>\n"
    );
    page(StatusCode::OK, title, &content)
}

pub(crate) fn home(settings: &Settings, has_seen_page: bool) -> Answer {
    let base = escape(&settings.base);
    let seen = match has_seen_page {
        true => format!(
            "<li><b>What it saw</b> <a href=\"{base}/seen\">Every request, and what became of it</a></li>\n"
        ),
        false => String::new(),
    };
    let content = format!(
        "<div class=\"mark\" aria-hidden=\"true\">j</div>\n<h1>jeton devserver</h1>\n<p>An authorization server and a \
         resource server to test against.</p>\n<ul>\n<li><b>Issuer</b> {}</li>\n<li><b>Resource</b> {}</li>\n\
         <li><b>Connect a device</b> <a href=\"{base}/device\">Enter the code that it shows</a></li>\n{seen}</ul>\n",
        shown(&settings.issuer),
        shown(&settings.resources[0]),
    );
    page(StatusCode::OK, "jeton devserver", &content)
}

/// What people call a client.
pub(crate) fn client_name<'a>(state: &'a State, client_id: &'a str) -> &'a str {
    state.clients.get(client_id).map_or(client_id, |client| client.name.as_str())
}

fn asks(name: &str, scope: &Scope, resources: &[String]) -> String {
    let initial = name.chars().find(|character| character.is_alphanumeric()).unwrap_or('?');
    let name = shown(name);
    let scopes: String = scope
        .tokens()
        .iter()
        .map(|token| format!("<li><b>{}</b> {}</li>\n", escape(token), meaning(token)))
        .collect();
    let resources: Vec<String> = resources.iter().map(|resource| shown(resource)).collect();
    format!(
        "<div class=\"mark\" aria-hidden=\"true\">{initial}</div>\n<h1>Allow <span>{name}</span>?</h1>\n<p>It asks for:</p>\n<ul>\n\
         {scopes}</ul>\n<p class=\"fine\">at {}</p>\n",
        resources.join(" and "),
    )
}

fn meaning(scope: &str) -> &'static str {
    match scope {
        "openid" => "know who you are",
        "read" => "see your data",
        "write" => "change your data",
        "profile" => "see your name and picture",
        "email" => "see your e-mail address",
        "admin" => "administer everything",
        "offline_access" => "stay signed in",
        _ => "",
    }
}

/// Scheme and host of a redirect URI: what a person can judge.
fn destination(redirect_uri: &str) -> String {
    match url::Url::parse(redirect_uri) {
        Ok(url) if url.has_host() => url.origin().ascii_serialization(),
        _ => redirect_uri.to_owned(),
    }
}

fn decision_form(state: &State, action: &str, transaction: &str) -> String {
    let options: String = state
        .users
        .iter()
        .map(|(name, _)| {
            let selected = if *name == state.approve_as { " selected" } else { "" };
            format!("<option value=\"{name}\"{selected}>{name}</option>", name = escape(name))
        })
        .collect();
    format!(
        "<form method=\"post\" action=\"{base}{action}\">\n\
         <input type=\"hidden\" name=\"transaction\" value=\"{transaction}\">\n\
         <label for=\"user\">You are</label>\n<select id=\"user\" name=\"user\">{options}</select>\n\
         <div class=\"buttons\"><button class=\"no\" name=\"decision\" value=\"deny\">Deny</button>\n\
         <button class=\"yes\" name=\"decision\" value=\"approve\">Approve</button></div>\n</form>\n",
        base = escape(&state.settings.base_path),
        transaction = escape(transaction),
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn everything_that_means_something_in_html_is_escaped() {
        assert_eq!(
            super::escape(r#"<a href="x" b='y'>&"#),
            "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;"
        );
    }
}
