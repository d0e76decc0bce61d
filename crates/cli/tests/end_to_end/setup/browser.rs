//! A browser without scripts: it follows links and forms as a person does.

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, Url};

pub(crate) struct Browser {
    client: Client,
    cookie: Option<String>,
}

/// A page's form: where it goes, and its fields.
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
}

/// The address to which GitHub sends the browser, with the code and the state.
pub(crate) struct Return(pub(crate) String);

impl Browser {
    pub(crate) fn new() -> Self {
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { client, cookie: None }
    }

    fn with_cookie(&self, request: RequestBuilder) -> RequestBuilder {
        self.cookie.iter().fold(request, |request, cookie| request.header("cookie", cookie))
    }

    pub(crate) fn get(&self, address: &str) -> RequestBuilder {
        self.with_cookie(self.client.get(address))
    }

    /// Opens setup's page, and returns its form.
    pub(crate) async fn open(&mut self, page: &str) -> Form {
        let answer = self.get(page).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        if let Some(cookie) = answer.headers().get("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
            self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
        }
        Form::read(&answer.text().await.unwrap())
    }

    async fn submit(&self, address: &str, fields: &[(String, String)]) -> Response {
        let encoded = Url::parse_with_params("http://form", fields).unwrap();
        let request = self.client.post(address).header("content-type", "application/x-www-form-urlencoded");
        request.body(encoded.query().unwrap_or_default().to_owned()).send().await.unwrap()
    }

    /// Brings the manifest to GitHub and creates the App. Returns the way back.
    pub(crate) async fn create(&self, form: &Form) -> Return {
        let answer = self.submit(&form.action, &form.fields).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 200, "{text}");
        let confirmation = Form::read(&text);
        let origin = Url::parse(&form.action).unwrap().origin().ascii_serialization();
        let made = self.submit(&format!("{origin}{}", confirmation.action), &confirmation.fields).await;
        assert_eq!(made.status(), 302);
        Return(made.headers()["location"].to_str().unwrap().to_owned())
    }

    /// Comes back to setup's page. Returns the status, and where it sends the browser.
    pub(crate) async fn come_back(&self, back: &Return) -> (u16, String) {
        let answer = self.get(&back.0).send().await.unwrap();
        let location = answer.headers().get("location").map(|it| it.to_str().unwrap().to_owned());
        (answer.status().as_u16(), location.unwrap_or_default())
    }

    /// Opens the page, creates the App and comes back. Returns the address of its installation.
    pub(crate) async fn go_through(&mut self, page: &str) -> String {
        let form = self.open(page).await;
        let back = self.create(&form).await;
        let (status, location) = self.come_back(&back).await;
        assert_eq!(status, 303);
        location
    }

    /// Installs the App on these repositories of `acme`.
    pub(crate) async fn install(&self, address: &str, repositories: &[&str]) {
        let mut fields = vec![("target", "acme"), ("selection", "selected")];
        fields.extend(repositories.iter().map(|name| ("repository", *name)));
        let fields: Vec<(String, String)> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(self.submit(address, &fields).await.status(), 302);
    }
}

impl Form {
    fn read(page: &str) -> Self {
        let action = between(page, "<form method=\"post\" action=\"", "\"").expect("a form");
        let inputs = page.split("<input").skip(1).filter_map(|input| {
            let input = input.split('>').next()?;
            Some((between(input, "name=\"", "\"")?, between(input, "value=\"", "\"")?))
        });
        Self { action, fields: inputs.collect() }
    }

    /// Returns the manifest of setup's page.
    pub(crate) fn manifest(&self) -> serde_json::Value {
        let (_, text) = self.fields.iter().find(|(name, _)| name == "manifest").unwrap();
        serde_json::from_str(text).unwrap()
    }
}

impl Return {
    pub(crate) fn code(&self) -> String {
        between(&format!("{}&", self.0), "code=", "&").unwrap()
    }
}

/// Returns what stands between two texts, without HTML's escapes.
fn between(text: &str, start: &str, end: &str) -> Option<String> {
    let (_, rest) = text.split_once(start)?;
    let (found, _) = rest.split_once(end)?;
    let plain = found.replace("&quot;", "\"").replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">");
    Some(plain.replace("&amp;", "&"))
}
