//! How often a client may ask, decided before a body is read (R27).
//!
//! Each bound is GCRA: a burst, and the rate at which it is earned back. Counts are kept in this process; what guesses of passwords and
//! codes need is counted in Postgres, by the account. Memory is bounded by construction: a key is one of [`PLACES`] places, found with a
//! hash that nobody outside can foresee.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use axum::middleware::Next;
use axum::response::IntoResponse as _;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::Api;
use super::problem::Problem;
use crate::domain::actor::Actor;
use crate::service::auth::RequestInfo;

/// Places that keys share. Two clients meet in one by a chance of one in as many.
const PLACES: u64 = 1 << 16;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// A rate and a burst; a rate of 0 is no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second, earned continuously.
    pub per_second: u32,
    /// Requests at once.
    pub burst: u32,
}

/// The rates of each bound.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// Of a client address, at the endpoints that change something for nobody in particular: logins.
    pub login: Rate,
    /// Of a client address, everywhere.
    pub address: Rate,
    /// Of a credential, counted before it is verified.
    pub token: Rate,
    /// Of an account, whichever of its credentials it uses.
    pub account: Rate,
}

/// The bounds in force.
pub(super) struct RateLimits {
    login: Option<Bound>,
    address: Option<Bound>,
    token: Option<Bound>,
    account: Option<Bound>,
}

impl RateLimits {
    pub(super) fn new(rates: &Rates) -> Self {
        Self {
            login: Bound::new("logins from this address", rates.login),
            address: Bound::new("requests from this address", rates.address),
            token: Bound::new("requests with this token", rates.token),
            account: Bound::new("requests of this account", rates.account),
        }
    }

    /// Counts a login from an address.
    pub(super) fn login(&self, client: Option<IpAddr>) -> Result<Option<Allowance>, Problem> {
        admit(self.login.as_ref(), client.map(network).as_ref())
    }

    /// Counts a request from an address.
    pub(super) fn address(&self, client: Option<IpAddr>) -> Result<Option<Allowance>, Problem> {
        admit(self.address.as_ref(), client.map(network).as_ref())
    }

    /// Counts a request with a credential.
    pub(super) fn token(&self, token: &str) -> Result<Option<Allowance>, Problem> {
        admit(self.token.as_ref(), Some(&token))
    }

    /// Counts a request of an account.
    pub(super) fn account(&self, actor: &Actor) -> Result<Option<Allowance>, Problem> {
        let Some(bound) = &self.account else { return Ok(None) };
        bound.admit(&(actor.kind(), actor.id())).map(Some)
    }
}

fn admit<K: std::hash::Hash>(bound: Option<&Bound>, key: Option<&K>) -> Result<Option<Allowance>, Problem> {
    bound.zip(key).map(|(bound, key)| bound.admit(key)).transpose()
}

/// Whoever has one IPv6 address has the 64 bits below it as well.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

type Cells = RateLimiter<u64, DashMapStateStore<u64>, DefaultClock, StateInformationMiddleware>;

struct Bound {
    what: &'static str,
    rate: Rate,
    cells: Cells,
    clock: DefaultClock,
    hasher: RandomState,
}

impl Bound {
    fn new(what: &'static str, rate: Rate) -> Option<Self> {
        let per_second = NonZeroU32::new(rate.per_second)?;
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Some(Self {
            what,
            rate,
            cells: RateLimiter::dashmap(quota).with_middleware(),
            clock: DefaultClock::default(),
            hasher: RandomState::new(),
        })
    }

    fn admit(&self, key: &impl std::hash::Hash) -> Result<Allowance, Problem> {
        let place = self.hasher.hash_one(key) % PLACES;
        match self.cells.check_key(&place) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let missing = self.rate.burst.saturating_sub(remaining);
                Ok(Allowance {
                    limit: self.rate.burst,
                    remaining,
                    reset: missing.div_ceil(self.rate.per_second),
                })
            }
            Err(until) => {
                let wait = whole_seconds(until.wait_time_from(self.clock.now()));
                let allowance = Allowance {
                    limit: self.rate.burst,
                    remaining: 0,
                    reset: wait,
                };
                Err(Problem::rate_limited(self.what, allowance))
            }
        }
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.what, self.rate)
    }
}

/// Rounded up, and at least one: whoever comes back then is admitted.
fn whole_seconds(wait: Duration) -> u32 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}

/// What is left of a bound, as the answer's headers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    limit: u32,
    remaining: u32,
    reset: u32,
}

impl Allowance {
    /// Seconds until all of it is back; of a refusal, until the next request is admitted.
    pub(super) fn reset(self) -> u32 {
        self.reset
    }

    pub(super) fn write(self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(self.reset));
    }
}

/// Travels in the request's extensions: what a bound behind the entrance has left, for the entrance to tell. Of several, the one with
/// the least.
#[derive(Debug, Clone, Default)]
pub(super) struct Noted(Arc<Mutex<Option<Allowance>>>);

impl Noted {
    /// Notes an allowance, unless one with less was noted.
    pub(super) fn note(&self, allowance: Option<Allowance>) {
        let mut noted = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *noted = noted
            .into_iter()
            .chain(allowance)
            .min_by_key(|allowance| allowance.remaining);
    }

    /// What was noted.
    pub(super) fn get(&self) -> Option<Allowance> {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Bounds logins by the client's address, before anything of a body is read.
pub(super) async fn bound_logins(State(api): State<Api>, request: Request, next: Next) -> Response<Body> {
    let client = request.extensions().get::<RequestInfo>().and_then(|info| info.client);
    match api.0.rate_limits.login(client) {
        Ok(allowance) => {
            if let Some(noted) = request.extensions().get::<Noted>() {
                noted.note(allowance);
            }
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(per_second: u32, burst: u32) -> Bound {
        Bound::new("requests of a test", Rate { per_second, burst }).unwrap()
    }

    #[test]
    fn r27_a_burst_is_admitted_and_the_next_told_when_to_come_back() {
        let bound = bound(1, 3);
        for remaining in [2, 1, 0] {
            assert_eq!(bound.admit(&"one").unwrap().remaining, remaining);
        }
        let problem = bound.admit(&"one").unwrap_err();
        assert_eq!(problem.reason(), "RateLimited");
        assert!(bound.admit(&"another").is_ok());
    }

    #[test]
    fn a_rate_of_nought_is_no_bound() {
        assert!(Bound::new("", Rate::default()).is_none());
        let limits = RateLimits::new(&Rates::default());
        assert_eq!(limits.token("x").unwrap(), None);
        assert_eq!(limits.login(None).unwrap(), None);
    }

    #[test]
    fn r27_memory_is_bounded_whatever_the_number_of_clients() {
        let bound = bound(1, 1);
        for client in 0..200_000_u32 {
            let _ = bound.admit(&client);
        }
        assert!(bound.cells.len() as u64 <= PLACES, "{}", bound.cells.len());
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("203.0.113.9"), "203.0.113.9");
    }

    #[test]
    fn waits_are_rounded_up() {
        for (milliseconds, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(milliseconds)), seconds);
        }
    }
}
