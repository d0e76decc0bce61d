//! Serves the page from this executable: no network is needed.

use std::future::ready;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of `crates/web/page`.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! asset {
    ($name:literal, $content_type:expr) => {
        asset!($name, $content_type, concat!("/", $name))
    };
    ($name:literal, $content_type:expr, $path:expr) => {
        Asset { path: $path, content_type: $content_type, content: include_str!(concat!("../page/", $name)) }
    };
}

/// All files of the page. Any other path is answered with 404.
static ASSETS: &[Asset] = &[
    asset!("index.html", HTML, "/"),
    asset!("page.css", CSS),
    asset!("sections.css", CSS),
    asset!("start.css", CSS),
    asset!("icon.svg", SVG),
    asset!("first-paint.js", JAVASCRIPT),
    asset!("main.js", JAVASCRIPT),
    asset!("actions.js", JAVASCRIPT),
    asset!("api.js", JAVASCRIPT),
    asset!("bars.js", JAVASCRIPT),
    asset!("clock.js", JAVASCRIPT),
    asset!("connection.js", JAVASCRIPT),
    asset!("budgets.js", JAVASCRIPT),
    asset!("cost-chart.js", JAVASCRIPT),
    asset!("costs.js", JAVASCRIPT),
    asset!("deployment.js", JAVASCRIPT),
    asset!("detail-parts.js", JAVASCRIPT),
    asset!("details.js", JAVASCRIPT),
    asset!("dom.js", JAVASCRIPT),
    asset!("events.js", JAVASCRIPT),
    asset!("figures.js", JAVASCRIPT),
    asset!("filters.js", JAVASCRIPT),
    asset!("format.js", JAVASCRIPT),
    asset!("job-details.js", JAVASCRIPT),
    asset!("job.js", JAVASCRIPT),
    asset!("keyboard.js", JAVASCRIPT),
    asset!("last-hour.js", JAVASCRIPT),
    asset!("list.js", JAVASCRIPT),
    asset!("loading.js", JAVASCRIPT),
    asset!("log.js", JAVASCRIPT),
    asset!("matching.js", JAVASCRIPT),
    asset!("peaks.js", JAVASCRIPT),
    asset!("pool-table.js", JAVASCRIPT),
    asset!("pools.js", JAVASCRIPT),
    asset!("preferences.js", JAVASCRIPT),
    asset!("reading.js", JAVASCRIPT),
    asset!("records.js", JAVASCRIPT),
    asset!("redraw.js", JAVASCRIPT),
    asset!("rows.js", JAVASCRIPT),
    asset!("runner-details.js", JAVASCRIPT),
    asset!("runner.js", JAVASCRIPT),
    asset!("sections.js", JAVASCRIPT),
    asset!("segments.js", JAVASCRIPT),
    asset!("selection.js", JAVASCRIPT),
    asset!("state.js", JAVASCRIPT),
    asset!("status.js", JAVASCRIPT),
    asset!("summary.js", JAVASCRIPT),
    asset!("theme.js", JAVASCRIPT),
    asset!("timeline.js", JAVASCRIPT),
    asset!("token-panel.js", JAVASCRIPT),
    asset!("token.js", JAVASCRIPT),
    asset!("toolbar.js", JAVASCRIPT),
    asset!("wait.js", JAVASCRIPT),
    asset!("webhook-help.js", JAVASCRIPT),
    asset!("words.js", JAVASCRIPT),
];

pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS
        .iter()
        .fold(Router::new(), |router, asset| router.route(asset.path, get(move || ready(response(asset)))))
}

fn response(asset: &Asset) -> Response {
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // A newer release of the server has a newer page.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, asset.content).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn each_file_of_the_page_is_served() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let is_asset = |name: &String| [".html", ".css", ".svg", ".js"].iter().any(|end| name.ends_with(end));
        let files: BTreeSet<String> = names.filter(is_asset).collect();
        let served = ASSETS.iter().map(|asset| match asset.path {
            "/" => "index.html".to_owned(),
            path => path[1..].to_owned(),
        });
        assert_eq!(served.collect::<BTreeSet<_>>(), files);
    }

    #[test]
    fn each_module_that_another_one_imports_is_served() {
        for asset in ASSETS.iter().filter(|asset| asset.content_type == JAVASCRIPT) {
            for import in asset.content.split(" from './").skip(1) {
                let name = import.split('\'').next().unwrap();
                assert!(ASSETS.iter().any(|other| other.path[1..] == *name), "{} imports {name}", asset.path);
            }
        }
    }
}
