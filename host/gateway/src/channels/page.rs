//! The pages behind decision links: plain HTML, no script, nothing from elsewhere.

use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY};
use hyper::{Response, StatusCode};

use super::telling::Telling;
use crate::http::{Body, Reply};

/// Nothing is loaded, run, framed or sent elsewhere.
const POLICY: &str = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Asks once more: what the call is, and two buttons.
pub(super) fn confirmation(telling: &Telling<'_>, operator: &str) -> Reply {
    let rows: String = telling
        .facts()
        .iter()
        .map(|(name, value)| {
            format!("<tr><th align=\"left\" valign=\"top\">{name}</th><td>{}</td></tr>\n", escaped(value))
        })
        .collect();
    // No action: the form goes to the address of the page, which nobody has to write into it.
    let form = "<form method=\"post\"><p><label>Comment (optional)<br>\
                <input name=\"comment\" maxlength=\"500\" size=\"60\"></label></p>\n\
                <p><button name=\"decision\" value=\"approve\">Approve</button>\n\
                <button name=\"decision\" value=\"deny\">Deny</button></p></form>\n";
    let operator = escaped(operator);
    let body = format!(
        "<table>\n{rows}</table>\n<p>You decide as <b>{operator}</b>. The call runs with exactly the arguments that \
         this digest stands for, once. This page shows no arguments.</p>\n{form}"
    );
    page(StatusCode::OK, telling.title(), &body)
}

/// Says what became of it.
pub(super) fn notice(status: StatusCode, title: &str, text: &str) -> Reply {
    page(status, title, &format!("<p>{}</p>\n", escaped(text)))
}

fn page(status: StatusCode, title: &str, body: &str) -> Reply {
    let title = escaped(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"robots\" content=\"noindex\"><title>{title}</title></head>\n\
         <body><h1>{title}</h1>\n{body}</body></html>\n"
    );
    let mut reply = Response::new(Body::from(html.into_bytes()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("content-security-policy"), POLICY),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("x-frame-options"), "DENY"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    reply
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
