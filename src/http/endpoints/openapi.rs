//! `GET /openapi.json` and `/docs`: the description of this API, and a page to read and try it. Nothing here needs a token; the page
//! asks for one to try a call.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{self, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::get;
use utoipa_swagger_ui::{Config, serve};

use crate::http::openapi::Operation;
use crate::http::openapi_json;
use crate::http::problem::{Problem, Result};
use crate::http::routes::{Access, Endpoint};

/// The page is made of scripts and styles of its own, and calls this server alone.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "GET",
            "/openapi.json",
            Access::Anyone,
            get(description),
            Operation::new("The description of this API, OpenAPI 3.1").answers_text(StatusCode::OK, "application/json"),
        ),
        Endpoint::new(
            "GET",
            "/docs",
            Access::Anyone,
            get(async || Redirect::permanent("/docs/index.html")),
            Operation::new("A page to read and try this API").answers_text(StatusCode::PERMANENT_REDIRECT, "text/html"),
        ),
        Endpoint::new(
            "GET",
            "/docs/{*file}",
            Access::Anyone,
            get(page),
            Operation::new("A file of that page").answers_text(StatusCode::OK, "text/html"),
        ),
    ]
}

async fn description() -> Response<Body> {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(openapi_json).as_str();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn page(Path(file): Path<String>) -> Result<Response<Body>> {
    // The files are those of the library, looked up by name in a table: no path reaches a disk.
    let config = Arc::new(Config::from("/openapi.json"));
    let found = serve(&file, config)
        .ok()
        .flatten()
        .ok_or_else(Problem::route_not_found)?;
    let mut response = Response::new(Body::from(found.bytes.into_owned()));
    let headers = response.headers_mut();
    if let Ok(media_type) = HeaderValue::from_str(&found.content_type) {
        headers.insert(header::CONTENT_TYPE, media_type);
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    Ok(response)
}
