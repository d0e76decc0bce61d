//! The text of the page.

use ecsrunner_core::text::html_escaped as escaped;

use super::Offer;

/// A heading and a sentence.
pub(super) type Message = (&'static str, &'static str);

pub(super) const OTHER_HOST: Message =
    ("Refused", "This page is reached only by the address that <code>ecsrunner setup</code> prints.");
pub(super) const OTHER_ORIGIN: Message = ("Refused", "Another site has sent this request.");
pub(super) const OTHER_STATE: Message = (
    "Refused",
    "This answer belongs to another setup. Open the address that <code>ecsrunner setup</code> prints, and go to GitHub from there.",
);
pub(super) const STRANGER: Message = (
    "Refused",
    "Another browser has opened this page, and only that one can go on. If that was not you, stop <code>ecsrunner \
     setup</code> with Ctrl-C and start it again.",
);
pub(super) const NO_CODE: Message =
    ("Something is missing", "GitHub has sent no code. Open the first page again, and create the App there.");
pub(super) const USED: Message = (
    "Done here",
    "GitHub's answer has arrived. The terminal shows how setup goes on; you can close this tab.",
);
pub(super) const FAILED: Message = (
    "The App is made, but setup could not go on",
    "The terminal says what went wrong and how to continue. Nothing is lost unless it says so.",
);
pub(super) const UNKNOWN: Message = ("Not found", "There is no such page.");

/// `/style.css`, which the content security policy allows.
pub(super) const STYLE: &str = "\
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:4rem auto;padding:0 1.25rem}
h1{font-size:1.5rem;line-height:1.25}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.4rem 1.25rem;margin:1.5rem 0}
dt{opacity:.75}
dd{margin:0;overflow-wrap:anywhere}
button{font:inherit;font-weight:600;padding:.6rem 1.1rem;border:0;border-radius:.4rem;background:#1a7f37;color:#fff;cursor:pointer}
button:focus-visible{outline:3px solid #0969da;outline-offset:2px}
small{opacity:.75}
@media (max-width:30rem){dl{grid-template-columns:1fr}dd{margin-bottom:.5rem}}
";

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} · ecsrunner setup</title><link rel=\"stylesheet\" href=\"/style.css\"></head>\
         <body><main><h1>{title}</h1>{body}</main></body></html>\n"
    )
}

pub(super) fn message((title, text): Message) -> String {
    document(title, &format!("<p>{text}</p>"))
}

/// The form with the manifest, which the browser sends to GitHub.
pub(super) fn offer(offer: &Offer) -> String {
    let rows: String = offer
        .rows
        .iter()
        .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value)))
        .collect();
    let body = format!(
        "<p>The button leads to GitHub, which shows the name of the App and asks you to create it. Its private key and \
         its webhook's secret then go straight to this deployment; you never see them.</p>\
         <dl>{rows}</dl>\
         <form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"manifest\" value=\"{}\">\
         <button autofocus>Continue to GitHub</button></form>\
         <p><small>The form goes to {}. Nothing is created before you confirm it there.</small></p>",
        escaped(&offer.action),
        escaped(&offer.manifest),
        escaped(offer.github.trim_end_matches('/')),
    );
    document("Create the GitHub App", &body)
}
