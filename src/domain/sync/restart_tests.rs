use proptest::prelude::*;

use super::*;
use crate::domain::policy::TimeWindow;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn id(name: &str) -> WorkloadId {
    WorkloadId {
        kind: "Deployment".into(),
        name: name.into(),
    }
}

fn used(hash: &str, changed: Option<i64>) -> Use {
    Use {
        hash: hash.into(),
        changed_at: changed.map(at),
        cooldown: SignedDuration::from_secs(60),
        window: None,
    }
}

fn workload(uses: &[(&str, Use)]) -> Workload {
    let uses: BTreeMap<_, _> = uses
        .iter()
        .map(|(name, used)| ((*name).to_owned(), used.clone()))
        .collect();
    let wanted_mark = uses.values().map(|used| used.hash.as_str()).collect();
    Workload {
        created_at: at(0),
        opted_out: false,
        mark: None,
        wanted_mark,
        health: Health::Available,
        uses,
    }
}

fn carrying(carried: &[(&str, &str)]) -> Remembered {
    Remembered {
        carried: carried
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        seen_at: at(100),
        restarted_at: None,
        gating: false,
    }
}

/// A namespace that is looked at again and again.
#[derive(Default)]
struct Namespace {
    workloads: BTreeMap<WorkloadId, Workload>,
    memory: BTreeMap<WorkloadId, Remembered>,
}

impl Namespace {
    fn of(workloads: &[(&str, Workload)]) -> Self {
        Self {
            workloads: workloads.iter().map(|(name, it)| (id(name), it.clone())).collect(),
            memory: BTreeMap::new(),
        }
    }

    /// Looks once, does what is decided, and answers it.
    fn look(&mut self, second: i64) -> Plan {
        let plan = plan(&self.workloads, &self.memory, at(second));
        for (id, workload) in &mut self.workloads {
            let restarted = plan.restart.as_ref() == Some(id);
            let next = remember(workload, self.memory.get(id), restarted, at(second));
            self.memory.insert(id.clone(), next);
            if restarted {
                workload.mark = Some(workload.wanted_mark.clone());
                workload.health = Health::Rolling;
            }
        }
        plan
    }

    fn change(&mut self, secret: &str, hash: &str, second: i64) {
        for workload in self.workloads.values_mut() {
            if let Some(used) = workload.uses.get_mut(secret) {
                used.hash = hash.to_owned();
                used.changed_at = Some(at(second));
            }
            workload.wanted_mark = workload.uses.values().map(|used| used.hash.as_str()).collect();
        }
    }

    fn is(&mut self, name: &str, health: Health) {
        self.workloads.get_mut(&id(name)).unwrap().health = health;
    }
}

fn restarted(plan: &Plan) -> Option<&str> {
    plan.restart.as_ref().map(|id| id.name.as_str())
}

#[test]
fn what_is_seen_first_is_not_restarted_unless_the_data_is_newer() {
    let mut young = Namespace::of(&[("a", workload(&[("db", used("1", None))]))]);
    assert_eq!(restarted(&young.look(10)), None);
    let mut after = Namespace::of(&[("a", workload(&[("db", used("1", Some(-5)))]))]);
    assert_eq!(restarted(&after.look(10)), None);
    let mut before = Namespace::of(&[("a", workload(&[("db", used("1", Some(5)))]))]);
    assert_eq!(restarted(&before.look(10)), Some("a"));
}

#[test]
fn a_change_restarts_once_however_many_secrets_changed_and_however_often_it_is_asked() {
    let mut shop = Namespace::of(&[("a", workload(&[("db", used("1", None)), ("smtp", used("1", None))]))]);
    shop.look(10);
    shop.change("db", "2", 20);
    shop.change("smtp", "2", 20);
    assert_eq!(restarted(&shop.look(22)), Some("a"));
    shop.is("a", Health::Available);
    for second in [23, 100, 100_000] {
        assert_eq!(restarted(&shop.look(second)), None);
    }
    // Written again with the same data: nothing to restart for.
    shop.change("db", "2", 100_001);
    assert_eq!(restarted(&shop.look(100_002)), None);
}

#[test]
fn a_restart_that_was_not_remembered_is_not_made_again() {
    let mut shop = Namespace::of(&[("a", workload(&[("db", used("2", Some(20)))]))]);
    shop.memory.insert(id("a"), carrying(&[("db", "1")]));
    shop.workloads.get_mut(&id("a")).unwrap().mark = Some("2".into());
    assert_eq!(restarted(&shop.look(30)), None);
    assert_eq!(shop.memory[&id("a")].carried["db"], "2");
}

#[test]
fn they_go_one_by_one_and_the_next_waits_for_health() {
    let one = || workload(&[("db", used("1", None))]);
    let mut shop = Namespace::of(&[("a", one()), ("b", one()), ("c", one())]);
    shop.look(10);
    shop.change("db", "2", 20);
    let first = shop.look(22);
    assert_eq!(restarted(&first), Some("a"));
    assert_eq!(first.waiting[&id("b")], Hold::Turn);
    let waiting = shop.look(25);
    assert_eq!((restarted(&waiting), waiting.gate.clone()), (None, Some(id("a"))));
    assert_eq!(waiting.waiting[&id("c")], Hold::Gate);
    shop.is("a", Health::Degraded);
    assert_eq!(
        restarted(&shop.look(9_000)),
        None,
        "broken by the new data: it breaks one"
    );
    shop.is("a", Health::Available);
    assert_eq!(restarted(&shop.look(9_001)), Some("b"));
    shop.is("b", Health::Available);
    assert_eq!(restarted(&shop.look(9_002)), Some("c"));
    shop.is("c", Health::Available);
    assert_eq!(restarted(&shop.look(9_003)), None);
}

#[test]
fn what_was_down_before_goes_first_and_holds_nobody() {
    let one = || workload(&[("db", used("1", None))]);
    let mut shop = Namespace::of(&[("a", one()), ("b", one())]);
    shop.look(10);
    shop.is("b", Health::Degraded);
    shop.change("db", "2", 20);
    assert_eq!(restarted(&shop.look(22)), Some("b"));
    assert_eq!(restarted(&shop.look(23)), Some("a"));
}

#[test]
fn who_opted_out_is_never_touched() {
    let mut shop = Namespace::of(&[("a", workload(&[("db", used("1", None))]))]);
    shop.workloads.get_mut(&id("a")).unwrap().opted_out = true;
    shop.look(10);
    shop.change("db", "2", 20);
    assert_eq!(restarted(&shop.look(22)), None);
    // Whoever opts in again is not restarted for what happened meanwhile.
    shop.workloads.get_mut(&id("a")).unwrap().opted_out = false;
    assert_eq!(restarted(&shop.look(24)), None);
    shop.change("db", "3", 25);
    assert_eq!(restarted(&shop.look(26)), Some("a"));
}

#[test]
fn a_pause_lies_between_two_restarts() {
    let mut shop = Namespace::of(&[("a", workload(&[("db", used("1", None))]))]);
    shop.look(10);
    shop.change("db", "2", 20);
    assert_eq!(restarted(&shop.look(22)), Some("a"));
    shop.is("a", Health::Available);
    shop.change("db", "3", 30);
    let held = shop.look(32);
    assert_eq!(restarted(&held), None);
    assert_eq!(held.waiting[&id("a")], Hold::Cooldown { until: at(82) });
    shop.change("db", "4", 40);
    assert_eq!(restarted(&shop.look(82)), Some("a"), "two changes, one restart");
    shop.is("a", Health::Available);
    assert_eq!(restarted(&shop.look(1000)), None);
}

#[test]
fn outside_the_window_it_waits() {
    let mut shop = Namespace::of(&[("a", workload(&[("db", used("1", None))]))]);
    // 1_700_000_000 is 22:13:20 UTC.
    let window = Window::compile(&TimeWindow {
        days: None,
        from: "23:00".into(),
        to: "24:00".into(),
        time_zone: None,
    })
    .unwrap();
    for used in shop.workloads.get_mut(&id("a")).unwrap().uses.values_mut() {
        used.window = Some(window.clone());
    }
    shop.look(10);
    shop.change("db", "2", 20);
    assert_eq!(shop.look(22).waiting[&id("a")], Hold::Window);
    assert_eq!(restarted(&shop.look(3_600)), Some("a"));
}

#[test]
fn while_pods_are_replaced_anyway_it_waits() {
    let mut shop = Namespace::of(&[("a", workload(&[("db", used("1", None))]))]);
    shop.look(10);
    shop.change("db", "2", 20);
    shop.is("a", Health::Rolling);
    assert_eq!(shop.look(22).waiting[&id("a")], Hold::Rollout);
    shop.is("a", Health::Available);
    assert_eq!(restarted(&shop.look(23)), Some("a"));
}

#[test]
fn a_change_seen_for_a_secret_that_was_not_known_is_not_forgotten_while_it_waits() {
    let mut shop = Namespace::of(&[("a", workload(&[("db", used("2", Some(5)))]))]);
    shop.is("a", Health::Rolling);
    assert_eq!(shop.look(10).waiting[&id("a")], Hold::Rollout);
    assert_eq!(shop.look(20).waiting[&id("a")], Hold::Rollout);
    shop.is("a", Health::Available);
    assert_eq!(restarted(&shop.look(30)), Some("a"));
}

#[test]
fn pauses_are_read_and_bounded() {
    assert_eq!(parse_cooldown("15m"), Some(SignedDuration::from_mins(15)));
    assert_eq!(parse_cooldown("0s"), Some(SignedDuration::ZERO));
    assert_eq!(parse_cooldown("7d"), Some(LONGEST_COOLDOWN));
    for text in ["", "m", "8d", "-1m", "1.5h", "99999999s", "1 m", "1M", "é"] {
        assert_eq!(parse_cooldown(text), None, "{text}");
    }
}

proptest! {
    /// Whatever changes, in whatever order and health: at most one workload goes at a time, never twice for the same data, and in the end
    /// each carries what its Secrets hold.
    #[test]
    fn each_is_restarted_at_most_once_for_its_data_and_in_the_end_all_are_current(
        changes in prop::collection::vec((0..3_usize, 0..4_u8, 0..120_i64), 0..20),
    ) {
        let names = ["a", "b", "c"];
        let uses = |n: usize| -> Vec<(&str, Use)> {
            ["x", "y", "z"].into_iter().take(n + 1).map(|secret| (secret, used("0", None))).collect()
        };
        let mut shop = Namespace::of(&[("a", workload(&uses(0))), ("b", workload(&uses(1))), ("c", workload(&uses(2)))]);
        shop.look(1);
        let mut now = 10;
        let mut last: BTreeMap<WorkloadId, String> = BTreeMap::new();
        let mut settle = |shop: &mut Namespace, now: i64, steps: usize| {
            for step in 0..steps {
                let moment = now + i64::try_from(step).unwrap() * 61;
                let plan = shop.look(moment);
                if let Some(id) = &plan.restart {
                    let rolling = shop.workloads.values().filter(|it| it.health == Health::Rolling).count();
                    assert_eq!(rolling, 1, "one at a time");
                    let mark = shop.workloads[id].wanted_mark.clone();
                    assert_ne!(last.insert(id.clone(), mark.clone()), Some(mark), "twice for the same data");
                    let name = id.name.clone();
                    shop.is(&name, Health::Available);
                }
            }
        };
        for (secret, hash, pause) in changes {
            now += pause;
            shop.change(["x", "y", "z"][secret], &hash.to_string(), now);
            settle(&mut shop, now, 1);
        }
        settle(&mut shop, now + 100, 12);
        for name in names {
            let workload = &shop.workloads[&id(name)];
            for (secret, used) in &workload.uses {
                prop_assert_eq!(&shop.memory[&id(name)].carried[secret], &used.hash);
            }
        }
    }
}
