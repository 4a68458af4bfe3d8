//! `GET /device`: where a person comes who reads the address on a device. It says what to do with the code; it asks for nothing.

use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::http::openapi::Operation;
use crate::http::routes::{Access, Endpoint};

const PAGE: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<title>Let a device in</title>
<h1>Let a device in</h1>
<p>A device or a command shows a code such as WDJB-MJHT. Where you are logged in, look at what it would let in, then say yes or no:</p>
<pre>aether-vault devices show WDJB-MJHT
aether-vault devices approve WDJB-MJHT
aether-vault devices deny WDJB-MJHT</pre>
<p>Say yes only to a device that you have before you. Whoever sends you a code wants to be let in as you.</p>
</html>
";

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/device",
        Access::Anyone,
        get(page),
        Operation::new("A page that says what to do with a device's code").answers_text(StatusCode::OK, "text/html"),
    )
}

async fn page() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], PAGE)
}
