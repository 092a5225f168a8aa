//! The pages of oidc-provider, gone through as a person would. tests/interop/README.md lists them request by request.

use jeton_tests::user_agent::{Page, UserAgent};
use url::Url;

use crate::person::DeviceCodeShown;

/// What the person met.
#[derive(Debug)]
pub(crate) struct Visit {
    /// What the pages asked for, in order: `login`, `consent`.
    pub(crate) prompts: Vec<String>,
    /// Where it ended.
    pub(crate) page: Page,
}

/// Signs in and agrees to whatever is asked, beginning at that page, until the server has no more questions.
pub(crate) async fn agree(browser: &UserAgent, mut page: Page, person: &str) -> Visit {
    let mut prompts = Vec::new();
    while let Some(form) = page.form().ok().filter(|form| form.value("prompt").is_some()) {
        let prompt = form.value("prompt").unwrap_or_default().to_owned();
        let form = match prompt.as_str() {
            "login" => form.fill("login", person).unwrap().fill("password", "any will do").unwrap(),
            "consent" => form,
            other => panic!("a page for {other:?}"),
        };
        prompts.push(prompt);
        assert!(prompts.len() < 5, "the server asks on and on: {prompts:?}");
        page = browser.submit(&form).await.unwrap();
    }
    Visit { prompts, page }
}

/// Signs in, and cancels at the page that asks for `prompt`.
pub(crate) async fn cancel_at(browser: &UserAgent, prompt: &str, mut page: Page, person: &str) -> Page {
    if prompt == "consent" {
        let form = page.form().unwrap().fill("login", person).unwrap().fill("password", "x").unwrap();
        page = browser.submit(&form).await.unwrap();
    }
    assert_eq!(page.form().unwrap().value("prompt"), Some(prompt));
    let cancel = page.link("[ Cancel ]").unwrap();
    browser.open(&cancel).await.unwrap()
}

/// The redirect URI with which the server answers an authorization request, after the person has agreed.
pub(crate) async fn redirected(browser: &UserAgent, authorization_url: &Url, person: &str) -> Url {
    let visit = agree(browser, browser.open(authorization_url).await.unwrap(), person).await;
    visit.page.leads_to().unwrap_or_else(|| panic!("no redirect: {:?}", visit.page)).clone()
}

/// The page on which the person confirms that the device before them shows the code.
pub(crate) async fn device_confirmation(browser: &UserAgent, shown: &DeviceCodeShown, by_hand: bool) -> Page {
    let page = if by_hand {
        let page = browser.open(&shown.verification_uri).await.unwrap();
        let form = page.form().unwrap().fill("user_code", &shown.user_code).unwrap();
        return browser.submit(&form).await.unwrap();
    } else {
        let complete = shown.verification_uri_complete.as_ref().expect("this server gives one");
        browser.open(complete).await.unwrap()
    };
    // A script would send it.
    let form = page.form().unwrap();
    assert_eq!(form.value("user_code"), Some(shown.user_code.as_str()));
    browser.submit(&form).await.unwrap()
}

/// Approves a device login; the page at the end says so.
pub(crate) async fn approve_device(
    browser: &UserAgent,
    shown: &DeviceCodeShown,
    by_hand: bool,
    person: &str,
) {
    let page = device_confirmation(browser, shown, by_hand).await;
    let form = page.form().unwrap();
    assert_eq!(form.value("confirm"), Some("yes"));
    let visit = agree(browser, browser.submit(&form).await.unwrap(), person).await;
    assert_eq!(visit.prompts, ["login", "consent"]);
    assert_eq!((visit.page.status(), visit.page.heading().as_deref()), (200, Some("Sign-in Success")));
}

/// Refuses a device login.
pub(crate) async fn refuse_device(browser: &UserAgent, shown: &DeviceCodeShown) {
    let page = device_confirmation(browser, shown, false).await;
    let form = page.form().unwrap().press("abort", "yes").unwrap();
    let page = browser.submit(&form).await.unwrap();
    assert!(page.leads_to().is_none());
}
