//! Quotas and shredding.

use std::time::Duration;

use aether_vault::domain::path::PathPrefix;
use aether_vault::domain::record::{Expect, Retention, Version};
use aether_vault::service::error::Reason;
use aether_vault::service::roots::Quota;

use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record};

/// What the quota counts, beside what is there.
async fn counted(database: &TestDatabase, root: &str) -> [(i64, i64); 2] {
    let number = async |sql: String| database.count(&sql).await;
    let quota = format!("FROM root_quotas q JOIN roots r ON r.id = q.root_id WHERE r.path = '{root}'");
    let there = format!(
        "FROM roots r LEFT JOIN secrets s ON s.root_id = r.id LEFT JOIN secret_versions v ON v.secret_id = s.id WHERE r.path = '{root}'"
    );
    [
        (
            number(format!("SELECT q.records {quota}")).await,
            number(format!("SELECT q.bytes {quota}")).await,
        ),
        (
            number(format!("SELECT count(DISTINCT s.id) {there}")).await,
            number(format!(
                "SELECT COALESCE(sum(octet_length(v.ciphertext)), 0)::bigint {there}"
            ))
            .await,
        ),
    ]
}

#[tokio::test]
async fn a_quota_counts_whatever_happens_to_the_records() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let (records, roots) = (process.vault.records(), process.vault.roots());
    let a = path("shared/a");
    for name in ["shared/a", "shared/b", "other/c"] {
        records
            .write(&admin, &path(name), &record(&[("n", "before")]), Expect::Any)
            .await
            .unwrap();
    }
    for root in ["shared", "other"] {
        roots.set_quota(&admin, root, Some(&Quota::default())).await.unwrap();
    }
    let check = async |what: &str| {
        for root in ["shared", "other"] {
            let [counts, there] = counted(&database, root).await;
            assert_eq!(counts, there, "{root} after {what}");
        }
    };
    check("the quota was set").await;
    for n in 0..12 {
        records
            .write(&admin, &a, &record(&[("n", &"x".repeat(n * 10))]), Expect::Any)
            .await
            .unwrap();
    }
    check("writes that drop old versions").await;
    records
        .write(&admin, &path("shared/new"), &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    check("a new record").await;
    records.delete(&admin, &a, None).await.unwrap();
    check("a soft deletion").await;
    records
        .destroy(&admin, &a, &[Version::new(10).unwrap(), Version::new(11).unwrap()])
        .await
        .unwrap();
    check("a destruction").await;
    records.rename(&admin, &a, &path("other/moved")).await.unwrap();
    check("a move to another root").await;
    records
        .rename(&admin, &path("other/moved"), &path("other/again"))
        .await
        .unwrap();
    check("a move within a root").await;
    records
        .copy(&admin, &path("shared/b"), None, &path("other/copy"), Expect::Any)
        .await
        .unwrap();
    check("a copy").await;
    records.remove(&admin, &path("other/again"), None).await.unwrap();
    check("the deletion of a record").await;
    records.purge(&admin, &path("other/again")).await.unwrap();
    check("its removal for good").await;
}

#[tokio::test]
async fn a_quota_refuses_growth_and_nothing_else() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let (records, roots) = (process.vault.records(), process.vault.roots());
    let data = record(&[("n", "1")]);
    for name in ["shared/a", "shared/b"] {
        records.write(&admin, &path(name), &data, Expect::Any).await.unwrap();
    }
    let two = Quota {
        records: Some(2),
        ..Quota::default()
    };
    roots.set_quota(&admin, "shared", Some(&two)).await.unwrap();
    let error = records
        .write(&admin, &path("shared/c"), &data, Expect::Any)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::QuotaExceeded);
    let error = records
        .copy(&admin, &path("shared/a"), None, &path("shared/c"), Expect::Any)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::QuotaExceeded);
    records
        .write(&admin, &path("other/c"), &data, Expect::Any)
        .await
        .unwrap();
    let error = records
        .rename(&admin, &path("other/c"), &path("shared/c"))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::QuotaExceeded);
    records
        .write(&admin, &path("shared/a"), &data, Expect::Any)
        .await
        .unwrap();
    records.purge(&admin, &path("shared/b")).await.unwrap();
    records
        .write(&admin, &path("shared/c"), &data, Expect::Any)
        .await
        .unwrap();

    // Less than there is: nothing grows, everything else goes on.
    let bytes = Quota {
        bytes: Some(1),
        ..Quota::default()
    };
    roots.set_quota(&admin, "shared", Some(&bytes)).await.unwrap();
    let error = records
        .write(&admin, &path("shared/a"), &data, Expect::Any)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::QuotaExceeded);
    records.read(&admin, &path("shared/a"), None).await.unwrap();
    records
        .destroy(&admin, &path("shared/a"), &[Version::FIRST])
        .await
        .unwrap();
    records
        .rename(&admin, &path("shared/c"), &path("other/d"))
        .await
        .unwrap();
    roots.set_quota(&admin, "shared", None).await.unwrap();
    records
        .write(&admin, &path("shared/a"), &data, Expect::Any)
        .await
        .unwrap();
    let audit = database.audit().await;
    assert!(
        audit
            .iter()
            .any(|entry| entry == "record.write fail QuotaExceeded shared/c"),
        "{audit:#?}"
    );

    for (root, quota, reason) in [
        ("nowhere", Quota::default(), Reason::PathNotFound),
        (".system", Quota::default(), Reason::PathNotFound),
        (
            "shared",
            Quota {
                records: Some(-1),
                ..Quota::default()
            },
            Reason::InvalidRequest,
        ),
        (
            "shared",
            Quota {
                bytes: Some(i64::MIN),
                ..Quota::default()
            },
            Reason::InvalidRequest,
        ),
        (
            "shared",
            Quota {
                writes_per_second: Some(0),
                ..Quota::default()
            },
            Reason::InvalidRequest,
        ),
    ] {
        let error = roots.set_quota(&admin, root, Some(&quota)).await.unwrap_err();
        assert_eq!(error.reason(), reason, "R23: {root} {quota:?}");
    }
}

#[tokio::test]
async fn parallel_writes_of_many_processes_do_not_exceed_a_quota() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let two = one.replica(&database).await;
    let admin = one.admin().await;
    one.vault
        .records()
        .write(&admin, &path("shared/first"), &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    let quota = Quota {
        records: Some(5),
        ..Quota::default()
    };
    one.vault
        .roots()
        .set_quota(&admin, "shared", Some(&quota))
        .await
        .unwrap();
    let writes = (0..20).map(|n| {
        let vault = if n % 2 == 0 { &one } else { &two }.vault.clone();
        let admin = admin.clone();
        tokio::spawn(async move {
            let written = vault
                .records()
                .write(
                    &admin,
                    &path(&format!("shared/r{n}")),
                    &record(&[("n", "1")]),
                    Expect::Any,
                )
                .await;
            written.map(|_| ()).map_err(|error| error.reason())
        })
    });
    let outcomes: Vec<_> = futures::future::join_all(writes)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        4,
        "{outcomes:?}"
    );
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Ok(()) | Err(Reason::QuotaExceeded))),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn writes_a_second_are_bounded_over_all_processes() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let two = one.replica(&database).await;
    let admin = one.admin().await;
    let (a, data) = (path("shared/a"), record(&[("n", "1")]));
    one.vault.records().write(&admin, &a, &data, Expect::Any).await.unwrap();
    let quota = Quota {
        writes_per_second: Some(3),
        ..Quota::default()
    };
    one.vault
        .roots()
        .set_quota(&admin, "shared", Some(&quota))
        .await
        .unwrap();
    // A second that does not end.
    database
        .execute("UPDATE root_quotas SET window_start = now() + interval '1 hour', window_writes = 0")
        .await;
    for process in [&one, &two, &one] {
        process
            .vault
            .records()
            .write(&admin, &a, &data, Expect::Any)
            .await
            .unwrap();
    }
    for process in [&one, &two] {
        let error = process
            .vault
            .records()
            .write(&admin, &a, &data, Expect::Any)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), Reason::WriteRateExceeded);
    }
    // It ended.
    database
        .execute("UPDATE root_quotas SET window_start = now() - interval '2 seconds'")
        .await;
    two.vault.records().write(&admin, &a, &data, Expect::Any).await.unwrap();
}

#[tokio::test]
async fn a_shredded_root_gives_nothing_back_in_any_process() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let two = one.replica(&database).await;
    let admin = one.admin().await;
    let (a, data) = (path("shared/a"), record(&[("n", "1")]));
    for name in ["shared/a", "shared/b", "other/c"] {
        one.vault
            .records()
            .write(&admin, &path(name), &data, Expect::Any)
            .await
            .unwrap();
    }
    let wrapped = one.vault.records().wrap(&admin, &a, None, None, 60).await.unwrap();
    // The other process has value and keys in memory.
    two.vault.records().read(&admin, &a, None).await.unwrap();
    database
        .execute("CREATE TABLE backup_secrets AS TABLE secrets; CREATE TABLE backup_versions AS TABLE secret_versions;")
        .await;
    one.vault.roots().shred(&admin, "shared").await.unwrap();
    for process in [&two, &one] {
        let records = process.vault.records();
        for error in [
            records.read(&admin, &a, None).await.err(),
            records.write(&admin, &a, &data, Expect::Any).await.err(),
            records
                .write(&admin, &path("shared/new"), &data, Expect::Absent)
                .await
                .err(),
            records
                .copy(&admin, &path("other/c"), None, &path("shared/c"), Expect::Any)
                .await
                .err(),
            records.rename(&admin, &path("other/c"), &path("shared/c")).await.err(),
        ] {
            let reason = error.unwrap().reason();
            assert!(
                matches!(reason, Reason::RootShredded | Reason::PathNotFound),
                "{reason:?}"
            );
        }
        use secrecy::ExposeSecret as _;
        let error = records
            .unwrap(&admin, wrapped.token.expose_secret())
            .await
            .err()
            .unwrap();
        assert_eq!(error.reason(), Reason::WrapGone);
        records.read(&admin, &path("other/c"), None).await.unwrap();
    }
    let left = "SELECT count(*) FROM keks k JOIN roots r ON r.id = k.root_id WHERE r.path = 'shared'";
    assert_eq!(database.count(left).await, 0);
    assert_eq!(database.count("SELECT count(*) FROM secrets").await, 1);
    // The change feed tells the other process to drop the keys that it has in memory.
    let told = two.metric("aether_vault_feed_changes_total");
    one.vault
        .roots()
        .set_path_settings(&admin, &PathPrefix::all(), Retention::default())
        .await
        .unwrap();
    for _ in 0..100 {
        if two.metric("aether_vault_feed_changes_total") > told {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The rows come back, as from a backup of these tables alone: nothing opens them, even in a process that says the root is in use.
    database
        .execute(
            "INSERT INTO secrets SELECT * FROM backup_secrets ON CONFLICT DO NOTHING;
             INSERT INTO secret_versions SELECT * FROM backup_versions ON CONFLICT DO NOTHING;
             UPDATE roots SET state = 'active' WHERE path = 'shared'; UPDATE policy_epoch SET epoch = epoch + 1",
        )
        .await;
    for process in [&two, &one] {
        let error = process.vault.records().read(&admin, &a, None).await.err().unwrap();
        assert_eq!(error.reason(), Reason::KeyUnavailable);
    }
    let audit = database.audit().await;
    assert!(
        audit.iter().any(|entry| entry == "root.shred allow shared"),
        "{audit:#?}"
    );
    for root in [".system", "nowhere"] {
        assert_eq!(
            one.vault.roots().shred(&admin, root).await.unwrap_err().reason(),
            Reason::PathNotFound
        );
    }
}
