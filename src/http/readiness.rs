//! Whether the process can serve: everything that it depends on, each by name.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use futures::future::BoxFuture;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::service::Check;

type Look = dyn Fn() -> BoxFuture<'static, Vec<Check>> + Send + Sync;

/// What was found, and when.
type Answered = (Instant, Vec<Check>);

/// How long an answer holds: nobody may make the process ask its database as often as they like.
const HOLDS: Duration = Duration::from_millis(200);

/// Looks at the dependencies when asked.
#[derive(Clone)]
pub struct Readiness {
    look: Arc<Look>,
    last: Arc<Mutex<Option<Answered>>>,
}

impl Readiness {
    /// Asks `look`, once at a time.
    #[must_use]
    pub fn new(look: impl Fn() -> BoxFuture<'static, Vec<Check>> + Send + Sync + 'static) -> Self {
        Self {
            look: Arc::new(look),
            last: Arc::default(),
        }
    }

    /// 200 if nothing is wrong, 503 otherwise, with each dependency by name.
    pub(super) async fn answer(&self) -> Response<Body> {
        let mut last = self.last.lock().await;
        let checks = match last.take().filter(|(at, _)| at.elapsed() < HOLDS) {
            Some(fresh) => last.insert(fresh),
            None => {
                let checks = (self.look)().await;
                last.insert((Instant::now(), checks))
            }
        };
        let checks = &checks.1;
        let ready = checks.iter().all(|check| check.problem.is_none());
        let view = View {
            ready,
            checks: checks.iter().map(Line::of).collect(),
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

impl<'a> Line<'a> {
    fn of(check: &'a Check) -> Self {
        Self {
            name: check.name,
            problem: check.problem.as_deref(),
        }
    }
}
