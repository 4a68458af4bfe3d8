//! One-time passwords of authenticators (TOTP, RFC 6238: SHA-1, six digits, thirty seconds, as every authenticator takes them), and recovery
//! codes. Called by `service`.
//!
//! Time comes in from the caller. That a code is used once is for the store to say: what is answered here is the step that a code belongs to.

use jiff::Timestamp;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use totp_rs::{Algorithm, Builder, Secret, Totp};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::random;
use crate::domain::second_factor::{RECOVERY_ALPHABET, RECOVERY_CHARS, RECOVERY_GROUP, RecoveryCode, TotpCode};

/// Bytes of a secret (RFC 4226, section 4: 160 bits).
const SECRET_BYTES: usize = 20;
/// Seconds of a step.
const STEP_SECONDS: u64 = 30;
/// Steps before and after the one of now whose codes count too: clocks differ, and people type slowly (RFC 6238, section 5.2: one at most).
const SKEW_STEPS: u16 = 1;

/// A secret or its description that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret of an authenticator cannot be used")]
pub struct BadTotp;

/// The secret that an authenticator and the vault share.
pub struct TotpSecret(Zeroizing<[u8; SECRET_BYTES]>);

/// What an authenticator is set up with. Shown once.
pub struct Enrolment {
    /// The secret in base 32, to be typed.
    pub secret: SecretString,
    /// The `otpauth` URI.
    pub uri: SecretString,
    /// The URI as a QR code, in SVG.
    pub qr_svg: SecretString,
}

impl TotpSecret {
    /// A fresh secret.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        random::fill(&mut *bytes);
        Self(bytes)
    }

    /// Reads what [`TotpSecret::as_bytes`] gave.
    ///
    /// # Errors
    /// [`BadTotp`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadTotp> {
        bytes
            .try_into()
            .map(|bytes| Self(Zeroizing::new(bytes)))
            .map_err(|_| BadTotp)
    }

    /// The secret itself; it goes nowhere but into an envelope.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &*self.0
    }

    /// What an authenticator is set up with.
    ///
    /// # Errors
    /// [`BadTotp`] if issuer or account hold a `:`.
    pub fn enrolment(&self, issuer: &str, account: &str) -> Result<Enrolment, BadTotp> {
        let totp = self
            .builder()
            .with_issuer(Some(issuer))
            .with_account_name(account)
            .build()
            .map_err(|_| BadTotp)?;
        let uri = totp.to_url().map_err(|_| BadTotp)?;
        let qr = qrcode::QrCode::new(&uri).map_err(|_| BadTotp)?;
        let qr_svg = qr
            .render::<qrcode::render::svg::Color<'_>>()
            .min_dimensions(256, 256)
            .build();
        Ok(Enrolment {
            secret: SecretString::from(totp.secret().to_base32()),
            uri: SecretString::from(uri),
            qr_svg: SecretString::from(qr_svg),
        })
    }

    /// The step that a code belongs to, if it is one of those that count now.
    ///
    /// # Errors
    /// [`BadTotp`]; never in practice.
    pub fn step_of(&self, code: &TotpCode, now: Timestamp) -> Result<Option<i64>, BadTotp> {
        let totp = self.totp()?;
        let seconds = u64::try_from(now.as_second()).map_err(|_| BadTotp)?;
        Ok(totp
            .check(code.as_str(), seconds)
            .and_then(|step| i64::try_from(step).ok()))
    }

    /// The code of a time, as an authenticator shows it.
    ///
    /// # Errors
    /// [`BadTotp`]; never in practice.
    pub fn code_at(&self, time: Timestamp) -> Result<String, BadTotp> {
        let seconds = u64::try_from(time.as_second()).map_err(|_| BadTotp)?;
        Ok(self.totp()?.generate(seconds).to_string())
    }

    fn totp(&self) -> Result<Totp, BadTotp> {
        self.builder().build().map_err(|_| BadTotp)
    }

    fn builder(&self) -> Builder {
        Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_step_duration(STEP_SECONDS)
            .with_skew(SKEW_STEPS)
            .with_secret(Secret::new_stack(*self.0))
    }
}

/// Makes a recovery code as it is shown: four groups of four characters, 80 random bits.
#[must_use]
pub fn recovery_code() -> SecretString {
    let mut bytes = Zeroizing::new([0; RECOVERY_CHARS]);
    random::fill(&mut *bytes);
    let mut text = String::with_capacity(RECOVERY_CHARS + RECOVERY_CHARS / RECOVERY_GROUP);
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 && at % RECOVERY_GROUP == 0 {
            text.push('-');
        }
        // 32 divides 256, so every character is equally likely.
        text.push(char::from(RECOVERY_ALPHABET[usize::from(byte % 32)]));
    }
    SecretString::from(text)
}

/// What is stored of a recovery code: a SHA-256 that is the user's own. A code has 80 random bits, so a slow hash would add nothing.
#[must_use]
pub fn recovery_hash(user: Uuid, code: &RecoveryCode) -> [u8; 32] {
    Sha256::new()
        .chain_update("av/recovery-code/1")
        .chain_update(user.as_bytes())
        .chain_update(code.as_str())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn code(text: &str) -> TotpCode {
        TotpCode::parse(text).unwrap()
    }

    /// RFC 6238, appendix B, the last six of the eight digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let secret = TotpSecret::from_bytes(b"12345678901234567890").unwrap();
        for (time, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret.code_at(at(time)), Ok(expected.to_owned()));
            assert_eq!(secret.step_of(&code(expected), at(time)), Ok(Some(time / 30)));
        }
    }

    #[test]
    fn r05_a_code_counts_one_step_before_and_after_its_own() {
        let secret = TotpSecret::generate();
        let now = 1_800_000_000;
        let shown = code(&secret.code_at(at(now)).unwrap());
        let own = now / 30;
        for (shift, counts) in [
            (-60, false),
            (-30, true),
            (0, true),
            (29, true),
            (30, true),
            (59, true),
            (60, false),
            (90, false),
        ] {
            // Another step may have the same code by chance, once in a hundred thousand runs; that step is then the answer.
            let found = secret.step_of(&shown, at(now + shift)).unwrap();
            assert_eq!(found == Some(own), counts, "{shift}");
        }
    }

    #[test]
    fn an_enrolment_holds_the_secret_as_uri_and_picture() {
        let secret = TotpSecret::from_bytes(b"12345678901234567890").unwrap();
        let enrolment = secret.enrolment("Aether Vault", "ann@example.org").unwrap();
        assert_eq!(enrolment.secret.expose_secret(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let uri = enrolment.uri.expose_secret();
        assert!(
            uri.starts_with("otpauth://totp/Aether%20Vault:ann%40example.org?"),
            "{uri}"
        );
        assert!(
            uri.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ") && uri.contains("issuer=Aether%20Vault"),
            "{uri}"
        );
        assert_eq!(Totp::from_url(uri).unwrap().generate(59).to_string(), "287082");
        let svg = enrolment.qr_svg.expose_secret();
        assert!(svg.contains("<svg") && svg.contains("</svg>"));
        assert!(secret.enrolment("a:b", "ann").is_err());
    }

    #[test]
    fn r14_recovery_codes_differ_and_are_hashed_for_their_user() {
        let shown = recovery_code();
        assert_eq!(shown.expose_secret().len(), 19);
        assert_ne!(shown.expose_secret(), recovery_code().expose_secret());
        let code = RecoveryCode::parse(shown.expose_secret()).unwrap();
        let (ann, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(recovery_hash(ann, &code), recovery_hash(ann, &code));
        assert_ne!(recovery_hash(ann, &code), recovery_hash(bob, &code));
        assert!(TotpSecret::from_bytes(&[0; 19]).is_err());
    }
}
