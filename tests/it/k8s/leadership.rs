//! One of several replicas works; the next takes over.

use serde_json::json;

use crate::support::cluster::eventually;
use crate::support::controller::Stage;

#[tokio::test]
async fn one_leads_and_the_next_takes_over_when_it_ends() {
    let mut stage = Stage::set().await;
    let mut settings = stage.settings();
    settings.identity = "second".to_owned();
    let leads = |name: &'static str| {
        move |controller: &crate::support::controller::Controller| {
            let leader = controller.metric("aether_vault_controller_leader", &[]);
            if leader > 0.5 {
                Ok(())
            } else {
                Err(format!("{name} does not lead"))
            }
        }
    };
    eventually("the first leads", || async { leads("first")(stage.controller()) }).await;
    let second = stage.controller_with(stage.cluster.client.clone(), settings).await;
    stage.write(&stage.own("a"), &[("k", "one")]).await;
    stage
        .cluster
        .create_vault_secret(&stage.shop, "a", json!({}))
        .await
        .unwrap();
    stage.cluster.ready(&stage.shop, "a").await;
    assert!(leads("second")(&second).is_err());

    // As kill -9 would: nobody releases the Lease, and it runs out.
    stage.kill();
    eventually("the second leads", || async { leads("second")(&second) }).await;
    stage.write(&stage.own("a"), &[("k", "two")]).await;
    stage.cluster.holds(&stage.shop, "a", &[("k", "two")]).await;
    second.stop().await;
}
