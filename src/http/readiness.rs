//! Whether the process can serve: everything that it depends on, each by name.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use futures::future::BoxFuture;
use serde::Serialize;

use crate::service::Check;

type Look = dyn Fn() -> BoxFuture<'static, Vec<Check>> + Send + Sync;

/// Looks at the dependencies when asked.
#[derive(Clone)]
pub struct Readiness(Arc<Look>);

impl Readiness {
    /// Asks `look` each time.
    #[must_use]
    pub fn new(look: impl Fn() -> BoxFuture<'static, Vec<Check>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }

    /// 200 if nothing is wrong, 503 otherwise, with each dependency by name.
    pub(super) async fn answer(&self) -> Response<Body> {
        let checks = (self.0)().await;
        let ready = checks.iter().all(|check| check.problem.is_none());
        let view = View {
            ready,
            checks: checks
                .iter()
                .map(|check| Line {
                    name: check.name,
                    problem: check.problem.as_deref(),
                })
                .collect(),
        };
        let status = if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (status, axum::Json(view)).into_response()
    }
}

#[derive(Serialize)]
struct View<'a> {
    ready: bool,
    checks: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}
