//! A client of the REST API, and one that writes its requests byte by byte.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

/// Talks to one API process.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    address: SocketAddr,
    token: Option<String>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// The whole answer as text, headers included, for who searches it.
    pub text: String,
    /// The body, if it is JSON.
    pub body: Value,
    pub request_id: String,
}

impl Answer {
    /// The stable reason of a problem.
    pub fn reason(&self) -> &str {
        self.body["reason"].as_str().unwrap_or_default()
    }

    /// The message of a problem.
    pub fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }

    /// Panics unless the request succeeded.
    pub fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{}", self.text);
        self
    }
}

impl Client {
    /// A client without a token.
    pub fn new(address: SocketAddr) -> Self {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(20))
            .no_proxy()
            .build()
            .unwrap();
        Self {
            http,
            address,
            token: None,
        }
    }

    /// The same, with a token of the test's own.
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self {
            token: Some(token.into()),
            ..self.clone()
        }
    }

    /// The token.
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap()
    }

    /// Logs in.
    pub async fn log_in(&self, name: &str, password: &str, new_password: Option<&str>) -> Self {
        let mut body = json!({"username": name, "password": password});
        if let Some(new) = new_password {
            body["newPassword"] = new.into();
        }
        let answer = self
            .request(Method::POST, "/api/v1/auth/login", Some(&body))
            .await
            .unwrap()
            .ok();
        self.with_token(answer.body["token"].as_str().unwrap())
    }

    /// Writes a version of a record of text values.
    pub async fn write(&self, path: &str, data: &Value) -> Answer {
        self.request(
            Method::PUT,
            &format!("/api/v1/records/{path}"),
            Some(&json!({"data": data})),
        )
        .await
        .unwrap()
    }

    /// Reads a record.
    pub async fn read(&self, path: &str) -> Answer {
        self.request(Method::GET, &format!("/api/v1/records/{path}"), None)
            .await
            .unwrap()
    }

    /// Sends a request; fails only if no whole answer came back.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> reqwest::Result<Answer> {
        let mut request = self.http.request(method, format!("http://{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let request_id = headers
            .get("x-request-id")
            .map(|id| id.to_str().unwrap().to_owned())
            .unwrap_or_default();
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer {
            status,
            text: format!("{status} {headers:?}\n{text}"),
            body,
            request_id,
        })
    }

    /// Sends a request as it stands: `GET /path`, header lines, body. Nothing is normalised, encoded or added but `Host`, the token,
    /// `Connection: close`, and `Content-Length` unless a line gives it or `Transfer-Encoding`.
    pub async fn raw(&self, request_line: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut head = format!(
            "{request_line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.address
        );
        if let Some(token) = &self.token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        let frames_itself = |line: &&str| line.starts_with("Content-Length:") || line.starts_with("Transfer-Encoding:");
        if !body.is_empty() && !headers.iter().any(frames_itself) {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for line in headers {
            head.push_str(line);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        let (address, body) = (self.address, body.to_vec());
        tokio::task::spawn_blocking(move || exchange(address, head.as_bytes(), &body))
            .await
            .unwrap()
    }
}

fn exchange(address: SocketAddr, head: &[u8], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(head).unwrap();
    // A server that refuses early closes before it has read everything; its answer counts all the same.
    let _ = stream.write_all(body);
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..read]);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_default();
    let request_id = head
        .lines()
        .find_map(|line| line.strip_prefix("x-request-id: "))
        .unwrap_or_default()
        .to_owned();
    let body = serde_json::from_str(body).unwrap_or_default();
    Answer {
        status,
        body,
        request_id,
        text,
    }
}
