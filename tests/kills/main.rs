//! Parts of a running vault are killed (SIGKILL) at random moments under load. Afterwards everything that was acknowledged is there, with
//! its audit entry; nothing is there that nobody asked for; and every VaultSecret is Ready again without a restart of anything else. Meanwhile
//! it becomes midnight by the database's clock, and one client asks again and again for what cannot be audited.
//!
//! `hack/test integration` runs it after the other integration tests; alone it is `cargo test --test kills`, or
//! `cargo test --test kills -- postgres` for one part. It brings up a Postgres and a control plane of its own. `AETHER_VAULT_KILLS` is how
//! often each part is killed (2), `AETHER_VAULT_KILLS_SEED` repeats the choices of an earlier run.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test program, though without #[test] functions"
)]

mod ledger;
mod midnight;
mod poison;
mod random;
mod resources;
mod sealed;
#[path = "../it/support/separate.rs"]
#[expect(dead_code, reason = "each test program uses a part of it")]
mod support;
mod vault_state;
mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aether_vault::crypto::random::bytes;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use random::Random;
use resources::Resources;
use support::client::Client;
use support::process::{Installation, Process};
use support::servers::{OwnCluster, OwnPostgres, project};
use writers::Writers;

const NAMESPACE: &str = "kills";

/// What can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Api,
    Controller,
    Postgres,
    ApiServer,
}

impl Part {
    const ALL: [Self; 4] = [Self::Api, Self::Controller, Self::Postgres, Self::ApiServer];

    fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Controller => "controller",
            Self::Postgres => "postgres",
            Self::ApiServer => "apiserver",
        }
    }
}

#[tokio::main]
async fn main() {
    let wanted = std::env::args()
        .nth(1)
        .filter(|argument| !argument.starts_with('-'))
        .unwrap_or_default();
    let parts: Vec<_> = Part::ALL
        .into_iter()
        .filter(|part| part.name().contains(&wanted))
        .collect();
    let each = number("AETHER_VAULT_KILLS").unwrap_or(2);
    let mut kills: Vec<_> = parts.iter().flat_map(|part| (0..each).map(|_| *part)).collect();
    if kills.is_empty() {
        return;
    }
    if !OwnCluster::can_be_made() {
        println!(
            "kills: skipped, since there is no Kubernetes API server to kill and no 'go' in PATH to build one: install Go"
        );
        println!("checks: 0 passed, 0 failed, {} skipped", kills.len());
        return;
    }
    let seed = number("AETHER_VAULT_KILLS_SEED").unwrap_or_else(|| u64::from_be_bytes(bytes()));
    let mut random = Random::new(seed);
    random.shuffle(&mut kills);
    println!("kills: {each} of each of {parts:?}; AETHER_VAULT_KILLS_SEED={seed} repeats the choices");

    // A task, so that its servers are taken down whether it ends, panics or is interrupted.
    let (wanted, passed) = (kills.len(), Arc::new(AtomicUsize::new(0)));
    let mut run = tokio::spawn(run(kills, random, Arc::clone(&passed)));
    let ended = tokio::select! {
        ended = &mut run => ended.is_ok(),
        _ = tokio::signal::ctrl_c() => {
            run.abort();
            let _ = run.await;
            false
        }
    };
    let passed = passed.load(Ordering::SeqCst);
    println!(
        "checks: {passed} passed, {} failed, {} skipped",
        u8::from(!ended),
        wanted - passed - usize::from(!ended)
    );
    if !ended {
        std::process::exit(1);
    }
}

async fn run(kills: Vec<Part>, mut random: Random, passed: Arc<AtomicUsize>) {
    let mut world = World::new().await;
    for (round, part) in kills.into_iter().enumerate() {
        world.kill(round, part, random.fork()).await;
        passed.fetch_add(1, Ordering::SeqCst);
    }
    midnight::check(&world.superuser).await;
    sealed::check(&world.installation, &world.superuser).await;
}

/// A whole vault: two processes on a Postgres and a cluster that nobody else uses. Fields drop in this order.
struct World {
    api: Process,
    controller: Process,
    installation: Installation,
    resources: Resources,
    client: Client,
    superuser: PgPool,
    generated: Vec<serde_json::Value>,
    postgres: OwnPostgres,
    cluster: OwnCluster,
}

impl World {
    async fn new() -> Self {
        let started = Instant::now();
        let (postgres, cluster) = tokio::task::spawn_blocking(|| (midnight::postgres(), OwnCluster::up()))
            .await
            .unwrap();
        cluster.kubectl(&[
            "apply",
            "--server-side",
            "--filename",
            project("crds").to_str().unwrap(),
        ]);
        cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all"]);
        cluster.kubectl(&["create", "namespace", "aether-vault-system"]);

        let mut installation = Installation::new(&postgres.dsn("runtime"), &postgres.dsn("owner"));
        installation.use_cluster(&cluster.kubeconfig());
        installation.migrate();
        let (api, controller) = (installation.api().await, installation.controller().await);
        let client = installation.administrator().await;
        let resources = Resources::create(&cluster.kubeconfig(), NAMESPACE).await;
        for number in 0..writers::CLIENTS {
            let path = format!("k8s/{NAMESPACE}/live-{number}");
            client.write(&path, &serde_json::json!({"value": "first"})).await.ok();
        }
        resources.settle(&client).await;
        let generated = resources.generated_values(&client).await;
        let superuser = PgPool::connect_lazy(&postgres.dsn("superuser")).unwrap();
        poison::prepare(&client, &superuser).await;
        println!("kills: a vault of its own is up after {:.1?}", started.elapsed());
        Self {
            api,
            controller,
            installation,
            resources,
            client,
            superuser,
            generated,
            postgres,
            cluster,
        }
    }

    async fn kill(&mut self, round: usize, part: Part, mut random: Random) {
        let writers = Writers::start(&self.client, round, NAMESPACE, self.installation.folder(), &mut random);
        let stop = CancellationToken::new();
        let disturbed = self.resources.disturb(round, random.fork(), stop.clone());
        let poisoned = poison::read_it(&self.client, stop.clone());

        let load = Duration::from_millis(300) + random.time(Duration::from_millis(2500));
        tokio::time::sleep(load).await;
        self.kill_part(part);
        tokio::time::sleep(random.time(Duration::from_millis(1500))).await;
        self.start_part(part).await;
        // Under load again, as clients do not wait for anybody's recovery.
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop.cancel();
        disturbed.await.unwrap();
        let poisoned = poisoned.await.unwrap();
        let ledger = ledger::read(&writers.stop().await);

        self.client_answers().await;
        let tally = vault_state::check(&self.client, &self.superuser, round, &ledger).await;
        let settled = self.resources.settle(&self.client).await;
        assert_eq!(
            self.resources.generated_values(&self.client).await,
            self.generated,
            "values were generated again"
        );
        // Nothing else was restarted, and nothing else ended.
        self.api.assert_running();
        self.controller.assert_running();
        println!(
            "kill {}: {} after {load:.1?} of load: {} acknowledged, {} unknown, {} refused, {poisoned} poisoned; VaultSecrets right after {settled:.1?}",
            round + 1,
            part.name(),
            tally.acknowledged,
            tally.unknown,
            tally.refused,
        );
        assert!(tally.acknowledged > 0 && poisoned > 0, "there was no load");
    }

    fn kill_part(&mut self, part: Part) {
        match part {
            Part::Api => self.api.kill(),
            Part::Controller => self.controller.kill(),
            Part::Postgres => tokio::task::block_in_place(|| self.postgres.kill()),
            Part::ApiServer => tokio::task::block_in_place(|| self.cluster.kill("apiserver")),
        }
    }

    async fn start_part(&mut self, part: Part) {
        match part {
            Part::Api => {
                self.installation.start_again(&mut self.api);
                self.api.wait_until_ready().await;
            }
            Part::Controller => self.installation.start_again(&mut self.controller),
            Part::Postgres => tokio::task::block_in_place(|| self.postgres.start()),
            Part::ApiServer => tokio::task::block_in_place(|| self.cluster.start("apiserver")),
        }
    }

    /// Waits until the API serves again by itself.
    async fn client_answers(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.api.is_ready().await {
            assert!(
                Instant::now() < deadline,
                "the API is not ready 30 s after everything runs again"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for process in [&self.api, &self.controller] {
                println!("--- last lines of a process's log\n{}", process.log_tail());
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by the environment how much to do"
)]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} takes a number, and is '{text}'")),
    )
}
