//! Refuses what would change something while the vault is read-only, before anything of the request is looked at.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use axum::middleware::Next;
use axum::response::IntoResponse as _;

use super::Api;
use super::problem::Problem;

/// Lets a request pass unless the vault is read-only.
pub(super) async fn refuse_in_maintenance(State(api): State<Api>, request: Request, next: Next) -> Response<Body> {
    let maintenance = api.vault().maintenance();
    if maintenance.read_only {
        return Problem::maintenance(&maintenance.notice, maintenance.retry_after_seconds).into_response();
    }
    next.run(request).await
}
