//! Replies: JSON, pages, and errors in GitHub's words.

use std::collections::HashMap;

use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// GitHub's default page size, and its largest.
const DEFAULT_PER_PAGE: usize = 30;
const MAX_PER_PAGE: usize = 100;

/// An error reply.
#[derive(Clone, Debug)]
pub(in crate::github) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    pub(in crate::github) fn new(status: StatusCode, message: &str) -> Self {
        Self { status, message: message.to_owned() }
    }

    pub(in crate::github) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(in crate::github) fn unauthorized(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    pub(in crate::github) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    pub(in crate::github) fn invalid(message: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({
            "message": self.message,
            "documentation_url": "https://docs.github.com/rest",
            "status": self.status.as_u16().to_string(),
        });
        json(self.status, &body)
    }
}

pub(in crate::github) fn json(status: StatusCode, body: &Value) -> Response {
    let content = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(header::CONTENT_TYPE, content)], body.to_string()).into_response()
}

/// Reads a request's body. GitHub accepts JSON with any content type.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            Refusal::invalid(&format!("Invalid request: {error}"))
        } else {
            Refusal::new(StatusCode::BAD_REQUEST, "Problems parsing JSON")
        }
    })
}

/// The part of a list that a caller requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    number: usize,
    per_page: usize,
}

impl Page {
    pub(super) fn asked(parameters: &HashMap<String, String>) -> Self {
        let number = |name: &str| parameters.get(name).and_then(|text| text.parse::<usize>().ok());
        Self { number: number("page").unwrap_or(1).max(1), per_page: per_page(parameters) }
    }

    pub(super) fn of<T>(self, items: Vec<T>) -> Vec<T> {
        items.into_iter().skip((self.number - 1).saturating_mul(self.per_page)).take(self.per_page).collect()
    }

    /// Returns the reply with a `link` header for the other pages of `total` items.
    pub(super) fn reply(self, body: &Value, total: usize, base: &str, uri: &Uri) -> Response {
        let mut response = json(StatusCode::OK, body);
        let last = total.div_ceil(self.per_page).max(1);
        let mut links = Vec::new();
        let mut link = |page: usize, relation: &str| {
            links.push(format!(
                "<{base}{}>; rel=\"{relation}\"",
                with_parameter(uri, "page", &page.to_string())
            ));
        };
        if self.number > 1 {
            link(self.number - 1, "prev");
        }
        if self.number < last {
            link(self.number + 1, "next");
            link(last, "last");
        }
        if self.number > 1 {
            link(1, "first");
        }
        add_link(&mut response, &links);
        response
    }
}

pub(super) fn per_page(parameters: &HashMap<String, String>) -> usize {
    let asked = parameters.get("per_page").and_then(|text| text.parse::<usize>().ok());
    asked.unwrap_or(DEFAULT_PER_PAGE).clamp(1, MAX_PER_PAGE)
}

pub(super) fn add_link(response: &mut Response, links: &[String]) {
    if !links.is_empty()
        && let Ok(value) = HeaderValue::from_str(&links.join(", "))
    {
        response.headers_mut().insert(header::LINK, value);
    }
}

/// Returns the path and query of a URI with one parameter replaced.
pub(super) fn with_parameter(uri: &Uri, name: &str, value: &str) -> String {
    let others = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && pair.split_once('=').map_or(*pair, |(key, _)| key) != name);
    let mut query: Vec<String> = others.map(str::to_owned).collect();
    query.push(format!("{name}={value}"));
    format!("{}?{}", uri.path(), query.join("&"))
}
