//! The pages that the loopback listener shows in the person's browser: how the login ended, and what a stray request is
//! told. Nothing is loaded from anywhere, everything from outside is escaped, and no page says anything of the code.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use jeton_grants::LoginOutcome;
use jeton_models::random_token;

/// Texts from outside are cut after so many characters.
const LONGEST_DETAIL: usize = 1_000;

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Takes code and state out of the address bar and the history.
const SCRIPT: &str = "history.replaceState(null,'',location.pathname)";

const STYLE: &str = "\
:root{color-scheme:light dark;--ground:#f3f1ec;--card:#fffefb;--ink:#23211d;--soft:#6d675c;--line:#e2ddd2;\
--good:#1f6f5c;--bad:#a8362a;--calm:#6d675c;--on:#fff}\
@media(prefers-color-scheme:dark){:root{--ground:#171614;--card:#211f1c;--ink:#efece5;--soft:#a39c8f;--line:#38342e;\
--good:#5cc3a6;--bad:#f08a7c;--calm:#a39c8f;--on:#171614}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;min-height:100dvh;padding:2rem 1rem;display:flex;align-items:center;\
justify-content:center;background:var(--ground);color:var(--ink);\
font:16px/1.55 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",sans-serif}\
main{width:100%;max-width:26rem;padding:2.5rem 2rem 2rem;background:var(--card);border:1px solid var(--line);\
border-radius:18px;box-shadow:0 12px 40px rgb(0 0 0/8%);text-align:center}\
svg{display:block;width:3.5rem;height:3.5rem;margin:0 auto 1.25rem}\
.good{color:var(--good)}.bad{color:var(--bad)}.calm{color:var(--calm)}\
svg circle{fill:currentColor}svg path{fill:none;stroke:var(--on);stroke-width:2.5;stroke-linecap:round;\
stroke-linejoin:round}\
h1,p{text-wrap:balance}.detail{text-wrap:wrap}\
h1{margin:0 0 .5rem;font-size:1.5rem;line-height:1.25;font-weight:650;letter-spacing:-.01em}\
p{margin:0 0 .75rem;color:var(--soft);overflow-wrap:anywhere}p:last-child{margin-bottom:0}\
.detail{margin:1.25rem 0;padding:.75rem 1rem;border:1px solid var(--line);border-radius:12px;background:var(--ground);\
color:var(--ink);text-align:left;white-space:pre-wrap}\
code{font:600 .9em ui-monospace,\"SF Mono\",Menlo,Consolas,monospace}";

#[derive(Clone, Copy, Debug)]
enum Mark {
    Check,
    Cross,
    /// Neither well nor ill: something that is not meant for this page.
    Note,
}

impl Mark {
    fn svg(self) -> String {
        let (class, path) = match self {
            Self::Check => ("good", "M7.5 12.5l3 3 6-6.5"),
            Self::Cross => ("bad", "M8.5 8.5l7 7M15.5 8.5l-7 7"),
            Self::Note => ("calm", "M12 7v6M12 16.5v.01"),
        };
        format!(
            "<svg class=\"{class}\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><circle cx=\"12\" cy=\"12\" r=\"12\"/>\
             <path d=\"{path}\"/></svg>"
        )
    }
}

/// A page, before it becomes an answer.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    status: StatusCode,
    mark: Mark,
    title: &'static str,
    /// HTML.
    detail: Option<String>,
    advice: &'static str,
    /// Whether the address holds a code that is to leave the address bar.
    tidies_address: bool,
}

impl Page {
    fn stray(status: StatusCode, title: &'static str, advice: &'static str) -> Self {
        Self { status, mark: Mark::Note, title, detail: None, advice, tidies_address: false }
    }

    /// How the login ended.
    pub(crate) fn outcome(outcome: LoginOutcome<'_>) -> Self {
        const AGAIN: &str = "You can close this tab, go back to the program and start the login again.";
        let (mark, title, detail, advice) = match outcome {
            LoginOutcome::Success => {
                let advice = "You can close this tab and go back to the program.";
                (Mark::Check, "You are signed in", None, advice)
            }
            LoginOutcome::Denied { error, description } => {
                let mut detail = format!("<code>{}</code>", escaped(error));
                if let Some(description) = description.filter(|description| !description.trim().is_empty()) {
                    detail.push_str("<br>");
                    detail.push_str(&escaped(description));
                }
                (Mark::Cross, "The login was refused", Some(detail), AGAIN)
            }
            LoginOutcome::Failed(what) => (Mark::Cross, "The login failed", Some(escaped(what)), AGAIN),
            _ => (Mark::Note, "The login has ended", None, "Go back to the program: it says how."),
        };
        Self { status: StatusCode::OK, mark, title, detail, advice, tidies_address: true }
    }

    /// The program has stopped waiting.
    pub(crate) fn abandoned() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            mark: Mark::Cross,
            title: "The login was not finished",
            detail: None,
            advice: "The program no longer waits for it. Go back to the program and start the login again.",
            tidies_address: true,
        }
    }

    /// The right path with another `state`, or none.
    pub(crate) fn wrong_state() -> Self {
        let advice = "It may belong to a login that was started before, or to another program. \
                      The login that is waiting goes on waiting: use its newest browser tab.";
        Self {
            tidies_address: true,
            ..Self::stray(StatusCode::BAD_REQUEST, "This is not the login that is waiting", advice)
        }
    }

    pub(crate) fn not_found() -> Self {
        let advice =
            "This address is only used for a moment, while a program signs in. You can close this tab.";
        Self::stray(StatusCode::NOT_FOUND, "There is nothing here", advice)
    }

    pub(crate) fn wrong_host() -> Self {
        let advice = "A login is finished under the address of this very machine only.";
        Self::stray(StatusCode::MISDIRECTED_REQUEST, "Wrong address", advice)
    }

    pub(crate) fn wrong_method() -> Self {
        let advice = "The answer to a login is expected as a plain visit of this address (GET).";
        Self::stray(StatusCode::METHOD_NOT_ALLOWED, "Wrong method", advice)
    }

    /// The answer to a HEAD request, which changes nothing.
    pub(crate) fn head() -> Self {
        Self::stray(StatusCode::OK, "A login waits here", "Open this address in a browser.")
    }

    /// The answer with its headers. Each has a nonce of its own for its style and its script.
    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let nonce = random_token(16);
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            nonce = nonce.expose()
        );
        let mut response = Response::new(Full::new(Bytes::from(self.html(nonce.expose()))));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        // A nonce is base64url, so that this cannot fail.
        if let Ok(policy) = HeaderValue::try_from(policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    fn html(&self, nonce: &str) -> String {
        let Self { mark, title, detail, advice, .. } = self;
        let mark = mark.svg();
        let detail = detail
            .as_ref()
            .map(|detail| format!("<p class=\"detail\" dir=\"auto\">{detail}</p>"))
            .unwrap_or_default();
        let script = if self.tidies_address {
            format!("<script nonce=\"{nonce}\">{SCRIPT}</script>")
        } else {
            String::new()
        };
        format!(
            "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <meta name=\"robots\" content=\"noindex\"><link rel=\"icon\" href=\"data:,\">\
             <style nonce=\"{nonce}\">{STYLE}</style></head>\
             <body><main role=\"status\">{mark}<h1>{title}</h1>{detail}<p>{advice}</p></main>{script}</body></html>\n"
        )
    }
}

/// The text as HTML text: markup escaped, characters that show nothing or turn the text around replaced, cut when long.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        if index == LONGEST_DETAIL {
            html.push('…');
            break;
        }
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\n' => html.push('\n'),
            character if jeton_models::is_deceptive(character) => html.push('\u{fffd}'),
            character => html.push(character),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied() -> Page {
        Page::outcome(LoginOutcome::Denied {
            error: "<img src=x onerror=alert(1)>",
            description: Some("\"'&\u{202e}\u{7}<script>alert(1)</script>"),
        })
    }

    #[test]
    fn a14_everything_from_the_url_is_escaped() {
        let html = denied().html("n");
        assert!(!html.contains("<img") && !html.contains("<script>"), "{html}");
        assert!(html.contains("<code>&lt;img src=x onerror=alert(1)&gt;</code>"), "{html}");
        let description = "&quot;&#39;&amp;\u{fffd}\u{fffd}&lt;script&gt;alert(1)&lt;/script&gt;";
        assert!(html.contains(description), "{html}");
        let failed = Page::outcome(LoginOutcome::Failed("</p><b>x")).html("n");
        assert!(failed.contains("&lt;/p&gt;&lt;b&gt;x") && !failed.contains("<b>"), "{failed}");
    }

    #[test]
    fn a_text_without_end_is_cut() {
        let html = Page::outcome(LoginOutcome::Failed(&"<".repeat(100_000))).html("n");
        assert_eq!(html.matches("&lt;").count(), LONGEST_DETAIL);
    }

    #[test]
    fn each_answer_is_kept_by_nobody_and_runs_its_own_script_only() {
        let response = denied().into_response();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("connection"), "close");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'nonce-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_ne!(policy, denied().into_response().headers()["content-security-policy"].to_str().unwrap());
    }

    #[test]
    fn a_page_is_accessible_and_loads_nothing() {
        let pages = [
            Page::outcome(LoginOutcome::Success),
            denied(),
            Page::abandoned(),
            Page::wrong_state(),
            Page::not_found(),
        ];
        for page in pages {
            let html = page.html("n");
            assert!(
                html.contains("<html lang=\"en\">")
                    && html.contains(&format!("<title>{}</title>", page.title))
            );
            assert!(
                html.contains("<main role=\"status\">") && html.contains(&format!("<h1>{}</h1>", page.title))
            );
            assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("url("), "{html}");
        }
    }
}
