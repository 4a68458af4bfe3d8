//! R24: secret canaries through every door, and then they are nowhere; identifiers only where they belong.
//!
//! The processes log everything they can, and the Postgres of the test's own logs every statement with its parameters.

mod needle;
mod people;
mod places;
mod requests;
mod resources;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sqlx::PgPool;

use crate::support::cluster::kubeconfig;
use crate::support::collector::Collector;
use crate::support::process::{ADMIN_PASSWORD, Installation};
use crate::support::servers::OwnPostgres;
use needle::Needle;
use places::Places;
use requests::Sent;
use resources::Resources;

const NEW_PASSWORD_TOO_LONG: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r24_secrets_are_nowhere_and_identifiers_only_in_their_columns() {
    let postgres = tokio::task::spawn_blocking(OwnPostgres::up).await.unwrap();
    let superuser = PgPool::connect_lazy(&postgres.dsn("superuser")).unwrap();
    for sql in [
        "ALTER SYSTEM SET log_statement = 'all'",
        "ALTER SYSTEM SET log_min_messages = 'debug1'",
        "SELECT pg_reload_conf()",
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&superuser)
            .await
            .unwrap();
    }
    let mut sent = Sent::default();
    let conflict = Needle::new("value of a foreign Secret");
    let mut cluster = Resources::create(&conflict).await;
    let namespace = cluster.namespace.clone();
    sent.secrets.push(conflict);

    let mut installation = Installation::new(&postgres.dsn("runtime"), &postgres.dsn("owner"));
    let collector = Collector::start().await;
    for (key, value) in [
        ("traces.endpoint", collector.endpoint().as_str()),
        ("traces.sample_one_in", "1"),
        ("log.filter", "trace"),
        ("controller.operator_namespace", namespace.as_str()),
        ("controller.watch_namespaces", &format!("[\"{namespace}\"]")),
    ] {
        installation.set(key, value);
    }
    installation.use_cluster(&kubeconfig());
    installation.migrate();
    let mut api = installation.api().await;
    let mut controller = installation.controller().await;
    let credentials = exercise_first_log_in(&installation, &mut sent).await;
    let (admin, nobody) = (installation.administrator().await, installation.client());
    sent.secrets.push(Needle::of(
        "access token",
        admin.token().rsplit('.').next().unwrap().to_owned(),
    ));
    sent.secrets.extend(credentials);
    for role in ["runtime", "owner"] {
        let dsn = postgres.dsn(role);
        let password = dsn.split(':').nth(2).and_then(|rest| rest.split('@').next()).unwrap();
        sent.secrets
            .push(Needle::of(&format!("password of the {role} role"), password));
    }

    requests::store_values(&admin, &mut sent).await;
    requests::fail_to_log_in(&nobody, ADMIN_PASSWORD, &mut sent).await;
    requests::fail_to_authenticate(&nobody, admin.token(), &mut sent).await;
    requests::send_malformed(&admin, &mut sent).await;
    requests::send_garbage(&nobody, &mut sent).await;
    people::live_a_day(&admin, &nobody, &mut sent).await;
    let sealing_key = people::sealing_key(&nobody).await;
    resources::apply_all(&mut cluster, &admin, &namespace, &mut sent.secrets).await;
    resources::apply_sources(&mut cluster, &sealing_key, &mut sent.secrets).await;
    cluster.settle().await;
    let by_hand = Needle::new("value put into a Secret by hand");
    cluster.damage("synced", by_hand.text()).await;
    sent.secrets.push(by_hand);
    sent.secrets.push(generated(&cluster.secret("generated").await));
    for name in ["sealed", "imported"] {
        assert!(cluster.secret(name).await["data"]["value"].is_string(), "{name}");
    }

    let mut places = Places::default();
    places.add("metrics of the API", installation.metrics(&api).await);
    places.add("metrics of the controller", installation.metrics(&controller).await);
    cluster.collect(&mut places).await;
    api.stop().await;
    controller.stop().await;
    places.add("traces", collector.bytes());
    places.add("log of the API", api.log());
    places.add("log of the controller", controller.log());
    for (number, answer) in sent.refusals.iter().enumerate() {
        places.add(format!("refusal {number}"), answer.text.clone());
    }
    places.add_dump(&postgres);
    sqlx::raw_sql("CHECKPOINT").execute(&superuser).await.unwrap();
    places.add_folder("Postgres", &postgres.data_folder());
    places.add("Postgres's log", std::fs::read(postgres.log()).unwrap());

    let logs = ["log of the API", "log of the controller", "Postgres's log"];
    places.assert_filled(&logs);
    places.assert_filled(&[
        "metrics of the API",
        "metrics of the controller",
        "status of",
        "Postgres/pg_wal/",
        "events",
        "traces",
    ]);
    places.assert_filled(&["table audit_entries", "table secret_versions"]);
    check(&places, &sent);
}

fn check(places: &Places, sent: &Sent) {
    let mut leaks = Vec::new();
    let mut leak =
        |(needle, place, how): &(&Needle, &str, String)| leaks.push(format!("{} in {place}: {how}", needle.label));
    places.search(&sent.secrets).iter().for_each(&mut leak);
    let names = places.search(&sent.names);
    names
        .iter()
        .filter(|(_, place, _)| *place != "Postgres's log")
        .for_each(&mut leak);

    let identifiers = places.search(&sent.identifiers);
    for found in &identifiers {
        let (needle, place, _) = found;
        let is_path = needle.label == "path segment";
        // The database logs its statements here.
        let belongs = place.starts_with("table audit_entries")
            || place.starts_with("Postgres")
            // Sums of what the audit log says.
            || *place == "table access_daily"
            || (is_path && ["table secrets", "table changes"].contains(place));
        if !belongs {
            leak(found);
        }
    }
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    // What can be found was found, so that finding nothing else means something.
    for wanted in [
        "table audit_entries",
        "table secrets",
        "table changes",
        "Postgres/pg_wal/",
        "Postgres/base/",
        "Postgres's log",
    ] {
        assert!(
            identifiers.iter().any(|(_, place, _)| place.starts_with(wanted)),
            "no identifier was found in {wanted}"
        );
    }
    for needle in &sent.identifiers {
        let is_audited = |(found, place, _): &(&Needle, &str, _)| {
            found.label == needle.label && place.starts_with("table audit_entries")
        };
        assert!(
            identifiers.iter().any(is_audited),
            "the {} is not in the audit",
            needle.label
        );
    }
}

/// Tries wrong replacements of the one-time password; answers what was secret so far.
async fn exercise_first_log_in(installation: &Installation, sent: &mut Sent) -> Vec<Needle> {
    let one_time = std::fs::read_to_string(installation.folder().join("admin-credential"))
        .unwrap()
        .trim()
        .to_owned();
    let long = Needle::new("new password that is too long");
    let too_long = long.text().repeat(NEW_PASSWORD_TOO_LONG);
    let body = serde_json::json!({"username": "admin", "password": one_time, "newPassword": too_long});
    let headers = ["Content-Type: application/json"];
    let answer = installation
        .client()
        .raw("POST /api/v1/auth/login", &headers, body.to_string().as_bytes())
        .await;
    assert_eq!(answer.reason(), "PasswordTooWeak", "{}", answer.text);
    sent.refusals.push(answer);
    vec![
        long,
        Needle::of("one-time password", one_time),
        Needle::of("administrator's password", ADMIN_PASSWORD.to_owned()),
        root_key(&std::fs::read_to_string(installation.folder().join("root.key")).unwrap()),
    ]
}

/// The bytes of the first root key; base64 of them, which the file holds, is one of the forms that are looked for.
fn root_key(file: &str) -> Needle {
    let line = file.lines().find(|line| line.starts_with("avrk1.")).unwrap();
    Needle::of(
        "root key",
        URL_SAFE_NO_PAD.decode(line.rsplit('.').next().unwrap()).unwrap(),
    )
}

fn generated(secret: &serde_json::Value) -> Needle {
    let password = secret["data"]["password"].as_str().unwrap();
    Needle::of("generated password", STANDARD.decode(password).unwrap())
}
