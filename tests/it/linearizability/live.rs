//! The history of a real vault: clients of two API processes on one database, which are killed and started again meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::checker::check;
use super::history::{Answer, Call, Moments, Operation, State};
use crate::support::client::Client;
use crate::support::database::TestDatabase;
use crate::support::process::{Installation, Process};

const RECORDS: usize = 3;
const CLIENTS: usize = 6;
/// Operations of each client between two kills.
const OPERATIONS: usize = 60;
/// Which process is killed in the middle of each round; the last round is undisturbed.
const KILLS: [usize; 4] = [0, 1, 1, 0];

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_one_register_on_two_processes_that_are_killed() {
    let database = TestDatabase::new().await;
    let first = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    let second = first.beside();
    let mut processes = [first.api().await, second.api().await];
    let token = first.administrator().await.token().to_owned();
    let clients = [&first, &second].map(|installation| installation.client().with_token(&token));
    let installations = [first, second];
    let history = Arc::new(Recorder::default());

    for killed in KILLS.into_iter().map(Some).chain([None]) {
        let load = Load::start(&clients, &history);
        if let Some(number) = killed {
            load.half_done().await;
            processes[number].kill();
            load.answers_after_the_kill().await;
            installations[number].start_again(&mut processes[number]);
        }
        load.finish().await;
        ready(&mut processes).await;
    }

    let operations = Arc::into_inner(history).unwrap().into_operations();
    let (mut acknowledged, mut refused, mut unknown, mut reads) = (0, 0, 0, 0);
    for (record, history) in operations {
        for operation in &history {
            match operation.answer {
                Answer::Written(_) => acknowledged += 1,
                Answer::CasFailed => refused += 1,
                Answer::Unknown => unknown += 1,
                Answer::Found(_) => reads += 1,
            }
        }
        if let Err(violation) = check(history) {
            panic!("record {record} was not one register: {violation:#?}");
        }
    }
    // A history without contention, or without reads, shows nothing.
    let seen = format!("{acknowledged} written, {refused} refused, {unknown} unknown, {reads} read");
    assert!(acknowledged > 100 && refused > 10 && reads > 300, "{seen}");
}

async fn ready(processes: &mut [Process; 2]) {
    for process in processes {
        process.wait_until_ready().await;
    }
}

/// Who asked what when, by record.
#[derive(Default)]
struct Recorder {
    moments: Moments,
    values: AtomicUsize,
    operations: std::sync::Mutex<BTreeMap<usize, Vec<Operation>>>,
}

impl Recorder {
    /// Performs a call and writes it down.
    async fn perform(&self, client: &Client, record: usize, call: Call) -> Answer {
        let sent = self.moments.next();
        let Some(answer) = ask(client, record, call).await else {
            return Answer::Unknown;
        };
        let operation = Operation {
            call,
            answer,
            sent,
            answered: self.moments.next(),
        };
        // A read without an answer tells nothing.
        if (call, answer) != (Call::Read, Answer::Unknown) {
            self.operations
                .lock()
                .unwrap()
                .entry(record)
                .or_default()
                .push(operation);
        }
        answer
    }

    fn fresh_value(&self) -> u64 {
        u64::try_from(self.values.fetch_add(1, Ordering::SeqCst)).unwrap() + 1
    }

    fn into_operations(self) -> BTreeMap<usize, Vec<Operation>> {
        self.operations.into_inner().unwrap()
    }
}

/// `None` if the process was not there to be asked.
async fn ask(client: &Client, record: usize, call: Call) -> Option<Answer> {
    let path = format!("/api/v1/records/shared/register-{record}");
    let answer = match call {
        Call::Read => client.request(Method::GET, &path, None).await,
        Call::Write { value, cas } => {
            let mut body = json!({"data": {"value": value.to_string()}});
            if let Some(cas) = cas {
                body["cas"] = cas.into();
            }
            client.request(Method::PUT, &path, Some(&body)).await
        }
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.is_connect() => return None,
        Err(_) => return Some(Answer::Unknown),
    };
    Some(match (call, answer.status) {
        (Call::Read, 200) => Answer::Found(State {
            version: answer.body["version"].as_i64().unwrap(),
            value: answer.body["data"]["value"].as_str().unwrap().parse().unwrap(),
        }),
        (Call::Read, 404) => Answer::Found(State::default()),
        (Call::Write { .. }, 200 | 201) => Answer::Written(answer.body["version"].as_i64().unwrap()),
        (Call::Write { .. }, 409) => {
            assert_eq!(answer.reason(), "CheckAndSetFailed", "{}", answer.text);
            Answer::CasFailed
        }
        (_, 500..) => Answer::Unknown,
        _ => panic!("{}", answer.text),
    })
}

/// Clients at work.
struct Load {
    tasks: JoinSet<()>,
    performed: Arc<AtomicUsize>,
}

impl Load {
    fn start(clients: &[Client; 2], recorder: &Arc<Recorder>) -> Self {
        let performed = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for number in 0..CLIENTS {
            let (clients, recorder, performed) = (clients.clone(), Arc::clone(recorder), Arc::clone(&performed));
            tasks.spawn(async move {
                for turn in 0..OPERATIONS {
                    turn_of(&clients, &recorder, number, turn).await;
                    performed.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        Self { tasks, performed }
    }

    /// Waits until half of the operations are performed.
    async fn half_done(&self) {
        self.performed(CLIENTS * OPERATIONS / 2).await;
    }

    /// Waits for some operations while a process is down.
    async fn answers_after_the_kill(&self) {
        self.performed(CLIENTS * OPERATIONS * 2 / 3).await;
    }

    async fn performed(&self, count: usize) {
        while self.performed.load(Ordering::SeqCst) < count {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }

    async fn finish(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

/// What a client does in one turn: it reads by one process and writes by the other, so that what the cache of one holds is as old as it
/// can be; every third write does not say what it expects.
async fn turn_of(clients: &[Client; 2], recorder: &Recorder, number: usize, turn: usize) {
    let record = (number + turn / 4) % RECORDS;
    let (reader, writer) = (&clients[(number + turn) % 2], &clients[(number + turn + 1) % 2]);
    let Answer::Found(seen) = recorder.perform(reader, record, Call::Read).await else {
        return;
    };
    let value = recorder.fresh_value();
    let cas = (!turn.is_multiple_of(3)).then_some(seen.version);
    recorder.perform(writer, record, Call::Write { value, cas }).await;
    recorder.perform(reader, record, Call::Read).await;
}
