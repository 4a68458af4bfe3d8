//! The load: clients that write, read back and delete records, and keep a ledger.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ledger::{Intent, Ledger, Outcome};
use super::random::Random;
use super::support::client::{Answer, Client};

/// Clients at a time.
pub const CLIENTS: usize = 4;
/// Writes to a record before the client goes on to the next: fewer than versions are kept, so that each can be looked at.
const WRITES: u64 = 8;

/// Running clients, each with a ledger and records of its own.
pub struct Writers {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    ledgers: Vec<PathBuf>,
}

impl Writers {
    /// Starts the clients of a round. Their records lie below `kills/ROUND/`, and each also writes the record `k8s/NAMESPACE/live-N`.
    pub fn start(
        client: &Client,
        round: usize,
        namespace: &str,
        folder: &std::path::Path,
        random: &mut Random,
    ) -> Self {
        let stop = CancellationToken::new();
        let (mut tasks, mut ledgers) = (JoinSet::new(), Vec::new());
        for number in 0..CLIENTS {
            let file = folder.join(format!("ledger-{round}-{number}"));
            let writer = Writer {
                client: client.clone(),
                ledger: Ledger::create(&file),
                random: random.fork(),
                name: format!("{round}-{number}"),
                live: format!("k8s/{namespace}/live-{number}"),
                values: 0,
            };
            ledgers.push(file);
            tasks.spawn(writer.run(format!("kills/{round}/{number}"), stop.clone()));
        }
        Self { tasks, stop, ledgers }
    }

    /// Lets each client finish its request; answers where the ledgers are.
    pub async fn stop(mut self) -> Vec<PathBuf> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        self.ledgers
    }
}

struct Writer {
    client: Client,
    ledger: Ledger,
    random: Random,
    name: String,
    live: String,
    values: u64,
}

impl Writer {
    async fn run(mut self, folder: String, stop: CancellationToken) {
        for record in 0.. {
            let path = format!("{folder}/{record}");
            let mut current = Some(0);
            for _ in 0..WRITES {
                if stop.is_cancelled() {
                    return;
                }
                current = self.write_and_read_back(&path, current).await;
                let pause = self.random.time(Duration::from_millis(30));
                tokio::time::sleep(pause).await;
            }
            if let Some(version) = current.filter(|version| *version > 0) {
                self.delete(&path, version).await;
            }
            let live = self.live.clone();
            self.write(&live, None).await;
        }
    }

    /// Writes under check-and-set against `current`, if that is known; answers the version that is current then, if that is known.
    async fn write_and_read_back(&mut self, path: &str, current: Option<i64>) -> Option<i64> {
        let Some(current) = current else {
            // Nobody else writes here, so what there is came from a write with an unknown end.
            let answer = self.send(Method::GET, &format!("/api/v1/records/{path}"), None).await?;
            return match answer.status {
                200 => answer.body["version"].as_i64(),
                404 => Some(0),
                500.. => None,
                _ => panic!("a read of an own record was refused: {}", answer.text),
            };
        };
        let (written, value) = self.write(path, Some(current)).await?;
        assert_eq!(written, current + 1, "{path}");
        if let Some(read) = self.read(path).await {
            assert_eq!(read, value, "{path}: an acknowledged write was not read back");
        }
        Some(written)
    }

    /// Reads the current version; answers its value if there was an answer.
    async fn read(&mut self, path: &str) -> Option<String> {
        self.ledger.intend(Intent::Read { path: path.to_owned() });
        let answer = self.send(Method::GET, &format!("/api/v1/records/{path}"), None).await;
        let value = answer
            .as_ref()
            .and_then(|answer| answer.body["data"]["value"].as_str().map(str::to_owned));
        self.note(answer, |answer| answer.body["version"].as_i64().unwrap())?;
        value
    }

    /// Writes a value that is unique; answers its version if the write is acknowledged.
    async fn write(&mut self, path: &str, cas: Option<i64>) -> Option<(i64, String)> {
        self.values += 1;
        let value = format!("value-{}-{}", self.name, self.values);
        self.ledger.intend(Intent::Write {
            path: path.to_owned(),
            value: value.clone(),
        });
        let mut body = json!({"data": {"value": value}});
        if let Some(cas) = cas {
            body["cas"] = cas.into();
        }
        let answer = self
            .send(Method::PUT, &format!("/api/v1/records/{path}"), Some(body))
            .await;
        let version = self.note(answer, |answer| answer.body["version"].as_i64().unwrap())?;
        Some((version, value))
    }

    async fn delete(&mut self, path: &str, version: i64) {
        self.ledger.intend(Intent::Delete {
            path: path.to_owned(),
            version,
        });
        let answer = self
            .send(Method::DELETE, &format!("/api/v1/records/{path}"), None)
            .await;
        self.note(answer, |_| version);
    }

    fn note(&mut self, answer: Option<Answer>, version: impl Fn(&Answer) -> i64) -> Option<i64> {
        let outcome = match answer {
            Some(answer) if answer.status < 300 => Outcome::Acknowledged {
                version: version(&answer),
                request: answer.request_id,
            },
            // After a write whose end nobody knows, this one may find the record ahead of it.
            Some(answer) if answer.reason() == "CheckAndSetFailed" => Outcome::Refused,
            Some(answer) if answer.status < 500 => panic!("an outage must not look like a refusal: {}", answer.text),
            _ => Outcome::Unknown,
        };
        self.ledger.note(outcome.clone());
        match outcome {
            Outcome::Acknowledged { version, .. } => Some(version),
            _ => None,
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<serde_json::Value>) -> Option<Answer> {
        self.client.request(method, path, body.as_ref()).await.ok()
    }
}
