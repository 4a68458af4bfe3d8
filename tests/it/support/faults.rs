//! A client of the API server that counts its requests, and that a test can make fail or wait.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::sync::watch;
use tower::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub watch: bool,
    /// Whether the answer is to be metadata alone.
    pub metadata: bool,
}

impl Seen {
    /// Namespaces are read by name once a minute where they may not be watched.
    fn is_a_namespace(&self) -> bool {
        let name = self.path.strip_prefix("/api/v1/namespaces/");
        name.is_some_and(|name| !name.contains('/'))
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is passed on.
    Passes,
    /// The API server answers with this status.
    Answered(u16),
    /// Nobody answers.
    Unanswered,
    /// It waits until the test lets it go.
    Waits,
}

type Rule = Box<dyn Fn(&Seen) -> Fate + Send>;

/// The middle between a controller and the API server.
#[derive(Clone)]
pub struct Middle {
    state: Arc<Mutex<State>>,
    open: watch::Sender<bool>,
}

struct State {
    seen: Vec<Seen>,
    rule: Rule,
}

impl Middle {
    pub fn new() -> Self {
        let state = State {
            seen: Vec::new(),
            rule: Box::new(|_| Fate::Passes),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            open: watch::Sender::new(true),
        }
    }

    /// A client whose requests pass here.
    pub fn client(&self, client: &Client) -> Client {
        let service = Passing {
            client: client.clone(),
            middle: self.clone(),
        };
        Client::new(service, "default")
    }

    /// What becomes of requests from now on.
    pub fn rule(&self, rule: impl Fn(&Seen) -> Fate + Send + 'static) {
        self.state.lock().unwrap().rule = Box::new(rule);
    }

    /// From now on, requests that are to wait do.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    /// Lets those that wait go.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Forgets what was seen.
    pub fn forget(&self) {
        self.state.lock().unwrap().seen.clear();
    }

    /// The requests so far, but for watches, events, the lease and namespaces: those that the work itself takes.
    pub fn work(&self) -> Vec<Seen> {
        let seen = self.state.lock().unwrap().seen.clone();
        seen.into_iter()
            .filter(|seen| !seen.watch && !seen.path.contains("/events") && !seen.path.contains("/leases"))
            .filter(|seen| !seen.is_a_namespace())
            .collect()
    }

    /// How many of them write or read a kind.
    pub fn count(&self, method: &Method, part: &str) -> usize {
        let work = self.work();
        work.iter()
            .filter(|seen| seen.method == *method && seen.path.contains(part))
            .count()
    }

    fn judge(&self, seen: Seen) -> Fate {
        let mut state = self.state.lock().unwrap();
        let fate = (state.rule)(&seen);
        state.seen.push(seen);
        fate
    }
}

#[derive(Clone)]
struct Passing {
    client: Client,
    middle: Middle,
}

impl Service<Request<Body>> for Passing {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { client, middle } = self.clone();
        let uri = request.uri();
        let fate = middle.judge(Seen {
            method: request.method().clone(),
            path: uri.path().to_owned(),
            watch: uri.query().is_some_and(|query| query.contains("watch=true")),
            metadata: request.headers().get("accept").is_some_and(|accept| {
                accept
                    .to_str()
                    .is_ok_and(|accept| accept.contains("PartialObjectMetadata"))
            }),
        });
        Box::pin(async move {
            match fate {
                Fate::Passes => {}
                Fate::Unanswered => return Err("nobody answers".into()),
                Fate::Answered(code) => return Ok(status(code)),
                Fate::Waits => {
                    // What a stopped process has sent arrives, whatever becomes of the process.
                    let sent = tokio::spawn(async move {
                        let _ = middle.open.subscribe().wait_for(|open| *open).await;
                        client.send(request).await
                    });
                    return Ok(sent.await??);
                }
            }
            Ok(client.send(request).await?)
        })
    }
}

fn status(code: u16) -> Response<Body> {
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason });
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string().into_bytes()))
        .unwrap()
}
