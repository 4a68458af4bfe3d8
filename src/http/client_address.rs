//! The client's address. What proxies say is believed only where they are configured (R29, CVE-2024-6468).

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use ipnet::IpNet;

/// Forwarded addresses looked at: a longer list is not a chain of our proxies.
const MAX_HOPS: usize = 16;

/// The address that the request came from: the peer's, or, as long as that is a trusted proxy, the one it names.
pub(super) fn client_address(request: &Request, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()?
        .0
        .ip()
        .to_canonical();
    if trusted.is_empty() {
        return Some(peer);
    }
    let lines: Vec<_> = request
        .headers()
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(',')).map(str::trim);
    Some(behind_proxies(peer, hops, trusted))
}

/// Walks from the peer towards the client, one hop for each proxy that is trusted.
fn behind_proxies<'a>(peer: IpAddr, hops: impl Iterator<Item = &'a str>, trusted: &[IpNet]) -> IpAddr {
    let mut address = peer;
    for hop in hops.take(MAX_HOPS) {
        if !trusted.iter().any(|network| network.contains(&address)) {
            break;
        }
        let Some(next) = parse(hop) else { break };
        address = next;
    }
    address
}

fn parse(hop: &str) -> Option<IpAddr> {
    let address = hop
        .parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, hops: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        behind_proxies(peer.parse().unwrap(), hops.iter().rev().copied(), &trusted).to_string()
    }

    #[test]
    fn r29_only_configured_proxies_are_believed() {
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1", "10.0.0.2"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1", "garbage"]), "10.0.0.1");
        assert_eq!(seen("fd00::1", &["::ffff:198.51.100.1"]), "198.51.100.1");
    }
}
