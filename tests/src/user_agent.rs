//! `UserAgent`: a browser without a screen, for the login and consent pages of authorization servers on loopback. It keeps
//! cookies, follows redirects, fills in forms, and runs no scripts.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

use crate::html::{Tag, tags};

/// The longest that one exchange may take. A loopback listener answers only when the login has ended.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The largest page.
const LARGEST_PAGE: usize = 1 << 20;

/// How many redirects are followed.
const REDIRECTS: usize = 20;

/// A browser without a screen: one person's cookies.
///
/// Redirects are followed within the server; one to another origin ends in [`Page::leads_to`], so that a test sees where
/// it goes (a web application's callback, at which nobody listens) and opens it if it wants to.
#[derive(Debug, Default)]
pub struct UserAgent {
    cookies: Mutex<CookieJar>,
}

impl UserAgent {
    /// Without any cookie.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a URL.
    ///
    /// # Errors
    /// [`UserAgentError`] if there is no answer, or too many redirects.
    pub async fn open(&self, url: &Url) -> Result<Page, UserAgentError> {
        self.visit(url.clone(), None).await
    }

    /// Sends a form.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn submit(&self, form: &Form) -> Result<Page, UserAgentError> {
        if form.method == Method::POST {
            return self.visit(form.action.clone(), Some(form.encoded())).await;
        }
        let mut url = form.action.clone();
        url.set_query(Some(&form.encoded()));
        self.visit(url, None).await
    }

    /// The names of the cookies that would be sent to that URL.
    pub fn cookies_for(&self, url: &Url) -> Vec<String> {
        self.jar().matching(url).map(|cookie| cookie.name.clone()).collect()
    }

    async fn visit(&self, mut url: Url, mut form: Option<String>) -> Result<Page, UserAgentError> {
        for _ in 0..=REDIRECTS {
            let (status, headers, body) = self.exchange(&url, form.take()).await?;
            self.jar().take(&url, &headers);
            let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
            let Some(location) = location.filter(|_| status.is_redirection()) else {
                return Ok(Page { url, status, body, leads_to: None });
            };
            let next = url.join(location).map_err(|error| {
                UserAgentError(format!("{} redirects to what is no URL: {error}", shown(&url)))
            })?;
            if next.origin() != url.origin() {
                return Ok(Page { url, status, body, leads_to: Some(next) });
            }
            url = next;
        }
        Err(UserAgentError(format!("more than {REDIRECTS} redirects, the last one to {}", shown(&url))))
    }

    /// One request and its whole answer, on a connection of its own.
    async fn exchange(
        &self,
        url: &Url,
        form: Option<String>,
    ) -> Result<(StatusCode, HeaderMap, String), UserAgentError> {
        let failed = |error: &dyn fmt::Display| UserAgentError(format!("{}: {error}", shown(url)));
        let exchange = async {
            let request = self.request(url, form).map_err(|error| failed(&error))?;
            let (host, port) = match (url.scheme(), url.host_str(), url.port_or_known_default()) {
                ("http", Some(host), Some(port)) => (host, port),
                _ => return Err(failed(&"this user agent speaks plain HTTP only")),
            };
            let stream =
                TcpStream::connect(format!("{host}:{port}")).await.map_err(|error| failed(&error))?;
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
            let connection = tokio::spawn(connection);
            let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, LARGEST_PAGE).collect().await.map_err(|error| failed(&error))?;
            connection.abort();
            let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
            Ok((head.status, head.headers, body))
        };
        match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(failed(&"no answer in time")),
        }
    }

    fn request(&self, url: &Url, form: Option<String>) -> Result<Request<Full<Bytes>>, http::Error> {
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let mut request = Request::builder().uri(target).header(HOST, authority);
        let cookies: Vec<String> =
            self.jar().matching(url).map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        match form {
            Some(form) => request
                .method(Method::POST)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Full::from(form)),
            None => request.body(Full::default()),
        }
    }

    fn jar(&self) -> MutexGuard<'_, CookieJar> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the person sees.
#[derive(Clone)]
pub struct Page {
    url: Url,
    status: StatusCode,
    body: String,
    leads_to: Option<Url>,
}

impl Page {
    /// Where it stands, after redirects.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The HTTP status code.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The HTML.
    pub fn html(&self) -> &str {
        &self.body
    }

    /// The other origin to which the server sends the browser: the redirect URI with code or error.
    pub fn leads_to(&self) -> Option<&Url> {
        self.leads_to.as_ref()
    }

    /// The text of the first heading.
    pub fn heading(&self) -> Option<String> {
        tags(&self.body).into_iter().find(|tag| tag.name == "h1").map(|tag| tag.text)
    }

    /// The page's only form.
    ///
    /// # Errors
    /// [`UserAgentError`] if there is none, or more than one, or its `action` is no URL.
    pub fn form(&self) -> Result<Form, UserAgentError> {
        let mut forms = self.forms()?;
        match (forms.pop(), forms.len()) {
            (Some(form), 0) => Ok(form),
            (_, others) => {
                Err(self.error(&format!("{} forms instead of one", others + usize::from(others > 0))))
            }
        }
    }

    /// The target of the link with that text.
    ///
    /// # Errors
    /// [`UserAgentError`] if there is none.
    pub fn link(&self, text: &str) -> Result<Url, UserAgentError> {
        let tags = tags(&self.body);
        let link = tags.iter().find(|tag| tag.name == "a" && tag.text == text);
        let target = link
            .and_then(|tag| tag.attribute("href"))
            .ok_or_else(|| self.error(&format!("no link {text:?}")))?;
        self.url.join(target).map_err(|error| self.error(&format!("a link to what is no URL: {error}")))
    }

    fn forms(&self) -> Result<Vec<Form>, UserAgentError> {
        let mut forms: Vec<Form> = Vec::new();
        // The form in which the tag stands; a control outside of it may belong to it by its name.
        let mut open = None;
        let mut select: Option<Control> = None;
        for tag in tags(&self.body) {
            match tag.name.as_str() {
                "form" => {
                    open = Some(forms.len());
                    forms.push(self.new_form(&tag)?);
                }
                "/form" => open = None,
                "input" | "button" | "textarea" => {
                    if let Some((form, control)) =
                        Control::of(&tag).and_then(|c| Some((c.form(&forms, open)?, c)))
                    {
                        control.enter(&mut forms[form], &tag);
                    }
                }
                "select" => select = Control::of(&tag),
                "option" => {
                    // The first one counts unless another is selected.
                    if let Some(select) = &mut select
                        && (select.value.is_none() || tag.attribute("selected").is_some())
                    {
                        select.value = Some(tag.attribute("value").unwrap_or(&tag.text).to_owned());
                    }
                }
                "/select" => {
                    if let Some((form, select)) = select.take().and_then(|s| Some((s.form(&forms, open)?, s)))
                    {
                        forms[form].fields.push((select.name, select.value.unwrap_or_default()));
                    }
                }
                _ => {}
            }
        }
        Ok(forms)
    }

    fn new_form(&self, tag: &Tag) -> Result<Form, UserAgentError> {
        let action = match tag.attribute("action") {
            Some(action) => self.url.join(action),
            None => Ok(self.url.clone()),
        };
        let action = action.map_err(|error| self.error(&format!("a form to what is no URL: {error}")))?;
        let is_post = tag.attribute("method").is_some_and(|method| method.eq_ignore_ascii_case("post"));
        Ok(Form {
            id: tag.attribute("id").map(str::to_owned),
            action,
            method: if is_post { Method::POST } else { Method::GET },
            fields: Vec::new(),
            buttons: Vec::new(),
        })
    }

    fn error(&self, what: &str) -> UserAgentError {
        UserAgentError(format!(
            "{} [HTTP {}] has {what}:\n{}",
            shown(&self.url),
            self.status.as_u16(),
            self.body
        ))
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("url", &shown(&self.url))
            .field("status", &self.status.as_u16())
            .field("heading", &self.heading())
            .field("leads_to", &self.leads_to.as_ref().map(shown))
            .finish()
    }
}

/// A named control of a form, while a page is read.
struct Control {
    name: String,
    value: Option<String>,
    form_id: Option<String>,
}

impl Control {
    /// `None` for a control without a name: it is never sent.
    fn of(tag: &Tag) -> Option<Self> {
        let name = tag.attribute("name").filter(|name| !name.is_empty())?;
        let owned = |attribute| tag.attribute(attribute).map(str::to_owned);
        Some(Self { name: name.to_owned(), value: owned("value"), form_id: owned("form") })
    }

    fn form(&self, forms: &[Form], open: Option<usize>) -> Option<usize> {
        match &self.form_id {
            Some(id) => forms.iter().position(|form| form.id.as_ref() == Some(id)),
            None => open,
        }
    }

    fn enter(self, form: &mut Form, tag: &Tag) {
        let kind = tag.attribute("type").unwrap_or_default().to_ascii_lowercase();
        let value = self.value.unwrap_or_default();
        match (tag.name.as_str(), kind.as_str()) {
            ("button", "" | "submit") | ("input", "submit") => form.buttons.push((self.name, value)),
            ("button", _) | ("input", "button" | "reset" | "image" | "file") => {}
            ("input", "checkbox" | "radio") if tag.attribute("checked").is_none() => {}
            _ => form.fields.push((self.name, value)),
        }
    }
}

/// A form, to be filled in and sent.
#[derive(Clone, Debug)]
pub struct Form {
    id: Option<String>,
    action: Url,
    method: Method,
    fields: Vec<(String, String)>,
    buttons: Vec<(String, String)>,
}

impl Form {
    /// Where it goes.
    pub fn action(&self) -> &Url {
        &self.action
    }

    /// The value of a field as it stands.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Fills in a field.
    ///
    /// # Errors
    /// [`UserAgentError`] if the form has no such field.
    pub fn fill(mut self, name: &str, value: &str) -> Result<Self, UserAgentError> {
        match self.fields.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => value.clone_into(own),
            None => {
                return Err(UserAgentError(format!(
                    "the form to {} has no field {name:?}",
                    self.action.path()
                )));
            }
        }
        Ok(self)
    }

    /// Chooses the button with that name and value; the form is sent with it.
    ///
    /// # Errors
    /// [`UserAgentError`] if the form has no such button.
    pub fn press(mut self, name: &str, value: &str) -> Result<Self, UserAgentError> {
        let button = (name.to_owned(), value.to_owned());
        if !self.buttons.contains(&button) {
            let what = format!(
                "the form to {} has no button {button:?}, only {:?}",
                self.action.path(),
                self.buttons
            );
            return Err(UserAgentError(what));
        }
        self.fields.push(button);
        Ok(self)
    }

    fn encoded(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.fields).finish()
    }
}

/// Why there is no page, or not the one that was expected.
#[derive(Debug)]
pub struct UserAgentError(String);

impl fmt::Display for UserAgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UserAgentError {}

/// A URL without its query, in which codes stand.
fn shown(url: &Url) -> &str {
    &url[..url::Position::AfterPath]
}

/// Cookies as RFC 6265 has them, for hosts and paths. `Domain`, `Secure` and `SameSite` are not looked at: each cookie goes
/// back to the very host that set it.
#[derive(Debug, Default)]
struct CookieJar(Vec<Cookie>);

#[derive(Debug)]
struct Cookie {
    host: String,
    path: String,
    name: String,
    value: String,
}

impl CookieJar {
    /// Takes the cookies of an answer in; one that has expired removes its namesake (RFC 6265 §5.3).
    fn take(&mut self, url: &Url, headers: &HeaderMap) {
        for header in headers.get_all(SET_COOKIE).iter().filter_map(|header| header.to_str().ok()) {
            let mut parts = header.split(';').map(|part| part.split_once('=').unwrap_or((part, "")));
            let Some((name, value)) = parts.next() else { continue };
            let (name, value) = (name.trim(), value.trim());
            let attributes: Vec<(String, &str)> =
                parts.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim())).collect();
            let attribute =
                |name: &str| attributes.iter().find(|(own, _)| own == name).map(|(_, value)| *value);
            let path =
                attribute("path").filter(|path| path.starts_with('/')).unwrap_or_else(|| default_path(url));
            let expired = match attribute("max-age").map(str::parse::<i64>) {
                Some(Ok(seconds)) => seconds <= 0,
                _ => attribute("expires")
                    .and_then(|date| httpdate::parse_http_date(date).ok())
                    .is_some_and(|date| date <= SystemTime::now()),
            };
            let host = url.host_str().unwrap_or_default();
            self.0.retain(|own| {
                (own.host.as_str(), own.path.as_str(), own.name.as_str()) != (host, path, name)
            });
            if !expired {
                let [host, path, name, value] = [host, path, name, value].map(str::to_owned);
                self.0.push(Cookie { host, path, name, value });
            }
        }
        // Longer paths go first (RFC 6265 §5.4).
        self.0.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
    }

    fn matching(&self, url: &Url) -> impl Iterator<Item = &Cookie> {
        self.0.iter().filter(|cookie| {
            url.host_str() == Some(&cookie.host)
                && url.path().strip_prefix(cookie.path.as_str()).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with('/') || cookie.path.ends_with('/')
                })
        })
    }
}

/// RFC 6265 §5.1.4.
fn default_path(url: &Url) -> &str {
    match url.path().rfind('/') {
        None | Some(0) => "/",
        Some(end) => &url.path()[..end],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn answer(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|cookie| (SET_COOKIE, cookie.parse().unwrap())).collect()
    }

    fn sent(jar: &CookieJar, to: &str) -> Vec<String> {
        jar.matching(&url(to)).map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect()
    }

    #[test]
    fn cookies_go_to_their_path_and_host_and_expire() {
        let mut jar = CookieJar::default();
        let at = url("http://127.0.0.1:1/auth/1");
        jar.take(
            &at,
            &answer(&[
                "s=1; path=/; HttpOnly",
                "i=2; Path=/interaction/1",
                "d=3",
                "old=4; max-age=0",
                "i=5; path=/interaction/2",
            ]),
        );
        assert_eq!(sent(&jar, "http://127.0.0.1:2/"), ["s=1"], "ports do not tell cookies apart");
        assert_eq!(sent(&jar, "http://127.0.0.1:1/interaction/1"), ["i=2", "s=1"]);
        assert_eq!(sent(&jar, "http://127.0.0.1:1/interaction/1/abort"), ["i=2", "s=1"]);
        assert_eq!(sent(&jar, "http://127.0.0.1:1/interaction/12"), ["s=1"]);
        assert_eq!(sent(&jar, "http://127.0.0.1:1/auth/2"), ["d=3", "s=1"]);
        assert!(sent(&jar, "http://localhost:1/").is_empty());

        jar.take(
            &at,
            &answer(&["i=; path=/interaction/1; expires=Thu, 01 Jan 1970 00:00:00 GMT", "s=9; path=/"]),
        );
        assert_eq!(sent(&jar, "http://127.0.0.1:1/interaction/1"), ["s=9"]);
    }

    fn page(body: &str) -> Page {
        Page {
            url: url("http://127.0.0.1:1/a/b"),
            status: StatusCode::OK,
            body: body.to_owned(),
            leads_to: None,
        }
    }

    #[test]
    fn forms_are_filled_in_and_sent_with_the_button_that_was_pressed() {
        let page = page(
            "<h1>Hello &amp; welcome</h1><form id='f' method=post action='c?x=1&amp;y=2'><input type=hidden name=h value='1 &amp; 2'>\
             <input type=text name=login><input type=checkbox name=no><button>Go</button>\
             <select name=user><option>alice</option><option value=b selected>Bob</option></select>\
             </form><button type=submit form=f name=abort value=yes>Abort</button><a href='/x'>[ Cancel ]</a>",
        );
        let form = page.form().unwrap();
        assert_eq!(form.action().as_str(), "http://127.0.0.1:1/a/c?x=1&y=2");
        assert_eq!(form.value("h"), Some("1 & 2"));
        assert!(form.clone().fill("password", "x").is_err());
        let form = form.fill("login", "ä b").unwrap();
        assert_eq!(form.encoded(), "h=1+%26+2&login=%C3%A4+b&user=b");
        assert!(form.clone().press("abort", "no").is_err());
        assert_eq!(
            form.press("abort", "yes").unwrap().encoded(),
            "h=1+%26+2&login=%C3%A4+b&user=b&abort=yes"
        );
        assert_eq!(page.link("[ Cancel ]").unwrap().as_str(), "http://127.0.0.1:1/x");
        assert!(page.link("Cancel").is_err());
        assert_eq!(page.heading().as_deref(), Some("Hello & welcome"));
        assert!(self::page("").form().is_err());
        assert!(self::page("<form></form><form></form>").form().is_err());
    }
}
