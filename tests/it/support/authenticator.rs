//! An authenticator: what a person's telephone does with the secret that it was shown.

use std::time::Duration;

use aether_vault::service::auth::{Enrolment, ShownFactor};
use aether_vault::service::context::Clock as _;
use secrecy::{ExposeSecret as _, SecretString};
use totp_rs::Totp;

use super::vault::TestVault;

/// Knows one secret.
pub struct Authenticator(Totp);

impl Authenticator {
    /// Reads the URI as the camera does.
    pub fn set_up(enrolment: &Enrolment) -> Self {
        Self::of_uri(enrolment.uri.expose_secret())
    }

    /// Reads the URI.
    pub fn of_uri(uri: &str) -> Self {
        Self(Totp::from_url(uri).unwrap())
    }

    /// The code that it shows by the clock of a process.
    pub fn code(&self, process: &TestVault) -> String {
        self.0.generate(seconds(process)).to_string()
    }

    /// The code that it shows by this machine's clock, `ahead` steps of half a minute from now.
    #[expect(clippy::disallowed_methods, reason = "an authenticator goes by the clock")]
    pub fn code_ahead(&self, ahead: i64) -> String {
        let at = jiff::Timestamp::now().as_second() + 30 * ahead;
        self.0.generate(u64::try_from(at).unwrap()).to_string()
    }

    /// A code that it does not show, neither now nor in the steps around now.
    pub fn wrong_code(&self, process: &TestVault) -> String {
        let now = seconds(process);
        let shown: Vec<_> = (0..7)
            .map(|step| self.0.generate(now + 30 * step - 90).to_string())
            .collect();
        (0..1_000_000)
            .map(|number| format!("{number:06}"))
            .find(|code| !shown.contains(code))
            .unwrap()
    }

    /// The code as it is sent.
    pub fn shown(&self, process: &TestVault) -> ShownFactor {
        factor(&self.code(process))
    }

    /// A wrong code as it is sent.
    pub fn shown_wrong(&self, process: &TestVault) -> ShownFactor {
        factor(&self.wrong_code(process))
    }
}

/// A code as it is sent.
pub fn factor(code: &str) -> ShownFactor {
    ShownFactor::parse(Some(&SecretString::from(code.to_owned())), None).unwrap()
}

/// A recovery code as it is sent.
pub fn recovery(code: &SecretString) -> ShownFactor {
    ShownFactor::parse(None, Some(code)).unwrap()
}

/// Lets the step pass whose code was used.
pub fn next_step(processes: &[&TestVault]) {
    for process in processes {
        process.clock.advance(Duration::from_secs(30));
    }
}

fn seconds(process: &TestVault) -> u64 {
    u64::try_from(process.clock.now().as_second()).unwrap()
}
