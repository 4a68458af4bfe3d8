//! Refusals of senders that nobody knows: beyond a rate for each network and minute, one counted entry stands for all, so that a flood fills
//! neither the log nor the disk.

use std::collections::HashMap;
use std::net::IpAddr;

/// Networks and accounts that are told apart at a time; beyond it all others are one.
const MAX_KEYS: usize = 10_000;

/// What was left out of the log, to be told by one entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suppressed {
    /// The network that it came from.
    pub network: String,
    /// The account that was tried, or `unknown`.
    pub account: String,
    /// How often.
    pub count: u64,
}

/// Counts by network, account and minute.
#[derive(Debug, Default)]
pub struct Noise {
    minute: i64,
    counts: HashMap<(String, String), u64>,
    told: u64,
    over: Vec<Suppressed>,
}

impl Noise {
    /// Whether a refusal at this second gets an entry of its own; otherwise it is counted.
    pub fn admit(&mut self, second: i64, client: Option<IpAddr>, account: &str, limit: u32) -> bool {
        self.turn(second);
        let mut key = (network(client), account.to_owned());
        if self.counts.len() >= MAX_KEYS && !self.counts.contains_key(&key) {
            key = ("other".to_owned(), "unknown".to_owned());
        }
        self.told = limit.into();
        let count = self.counts.entry(key).or_default();
        *count += 1;
        *count <= u64::from(limit)
    }

    /// What was counted in minutes that are over.
    pub fn take(&mut self, second: i64) -> Vec<Suppressed> {
        self.turn(second);
        std::mem::take(&mut self.over)
    }

    /// What was counted until now.
    pub fn take_all(&mut self) -> Vec<Suppressed> {
        self.turn(i64::MAX);
        std::mem::take(&mut self.over)
    }

    fn turn(&mut self, second: i64) {
        let minute = second.div_euclid(60);
        if minute <= self.minute {
            return;
        }
        self.minute = minute;
        let told = self.told;
        let over = self.counts.drain().filter(|(_, count)| *count > told);
        self.over.extend(over.map(|((network, account), count)| Suppressed {
            network,
            account,
            count: count - told,
        }));
        self.over.sort();
    }
}

/// The network that an address is counted under: whoever has one address has its neighbours as well.
#[must_use]
pub fn network(client: Option<IpAddr>) -> String {
    match client {
        None => "unknown".to_owned(),
        Some(IpAddr::V4(address)) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn beyond_the_rate_one_entry_stands_for_all() {
        let mut noise = Noise::default();
        let admitted = (0..100)
            .filter(|_| noise.admit(60, client("192.0.2.7"), "unknown", 10))
            .count();
        assert_eq!(admitted, 10);
        // A neighbour is of the same network; another network and another account are not.
        assert!(!noise.admit(61, client("192.0.2.8"), "unknown", 10));
        assert!(noise.admit(61, client("192.0.3.7"), "unknown", 10));
        assert!(noise.admit(61, client("192.0.2.7"), "ann", 10));
        assert_eq!(noise.take(119), []);
        let expected = Suppressed {
            network: "192.0.2.0/24".into(),
            account: "unknown".into(),
            count: 91,
        };
        assert_eq!(noise.take(120), [expected]);
        assert_eq!(noise.take(121), []);
        assert!(
            noise.admit(121, client("192.0.2.7"), "unknown", 10),
            "another minute, another rate"
        );
    }

    #[test]
    fn nothing_counted_is_lost_at_the_end() {
        let mut noise = Noise::default();
        for _ in 0..5 {
            noise.admit(60, None, "unknown", 2);
        }
        assert_eq!(noise.take_all().iter().map(|over| over.count).sum::<u64>(), 3);
    }

    #[test]
    fn r27_memory_is_bounded_whatever_the_number_of_networks() {
        let mut noise = Noise::default();
        for n in 0..50_000_u32 {
            noise.admit(60, Some(IpAddr::V4((n << 8).into())), "unknown", 1);
        }
        assert!(noise.counts.len() <= MAX_KEYS + 1);
        let over = noise.take_all();
        assert_eq!(
            over.iter().map(|over| over.count).sum::<u64>(),
            50_000 - MAX_KEYS as u64 - 1
        );
    }

    #[test]
    fn a_network_is_named_by_its_prefix() {
        assert_eq!(network(client("2001:db8:1:2:3:4:5:6")), "2001:db8:1:2::/64");
        assert_eq!(network(client("203.0.113.9")), "203.0.113.0/24");
        assert_eq!(network(None), "unknown");
    }
}
