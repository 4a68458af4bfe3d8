//! What the pool of database connections tells, looked at when the metrics are read.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

use crate::store::Pool;

/// Connections in use and idle, and how many there may be.
struct PoolCollector {
    pool: Pool,
    connections: IntGaugeVec,
    most: IntGauge,
}

/// Registers the metrics of a process's pool.
///
/// # Errors
/// If a pool is registered already.
pub fn register_pool(registry: &Registry, pool: Pool) -> Result<(), prometheus::Error> {
    let connections = IntGaugeVec::new(
        Opts::new(
            "aether_vault_store_connections",
            "Connections to the database, by whether something uses them.",
        ),
        &["state"],
    )?;
    let most = IntGauge::new(
        "aether_vault_store_connections_max",
        "Connections to the database that this process may have: database.pool_max.",
    )?;
    registry.register(Box::new(PoolCollector {
        pool,
        connections,
        most,
    }))
}

impl Collector for PoolCollector {
    fn desc(&self) -> Vec<&Desc> {
        [self.connections.desc(), self.most.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let idle = i64::try_from(self.pool.num_idle()).unwrap_or(i64::MAX);
        // Both are read one after the other while others take and return connections.
        let used = (i64::from(self.pool.size()) - idle).max(0);
        self.connections.with_label_values(&["in_use"]).set(used);
        self.connections.with_label_values(&["idle"]).set(idle);
        self.most.set(self.pool.options().get_max_connections().into());
        [self.connections.collect(), self.most.collect()].concat()
    }
}
