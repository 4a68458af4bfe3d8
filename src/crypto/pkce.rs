//! Proof Key for Code Exchange (RFC 7636), method S256 only: who began a flow is who ends it. Called by `service` and `oidc`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::token::sha256;

/// The challenge of a verifier: base64url(SHA-256).
#[must_use]
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()))
}

/// Whether a text can be a challenge.
#[must_use]
pub fn is_challenge(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|hash| hash.len() == 32)
}

/// Whether a verifier is well-formed (43 to 128 unreserved characters) and the one of a challenge; compared in constant time.
#[must_use]
pub fn matches(challenge_of_before: &str, verifier: &str) -> bool {
    let formed = (43..=128).contains(&verifier.len())
        && verifier
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'));
    formed & bool::from(challenge(verifier).as_bytes().ct_eq(challenge_of_before.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn r12_the_vector_of_the_specification_holds() {
        assert_eq!(challenge(VERIFIER), CHALLENGE);
        assert!(matches(CHALLENGE, VERIFIER));
        assert!(is_challenge(CHALLENGE));
    }

    #[test]
    fn r12_another_verifier_does_not_match() {
        let other = VERIFIER.replace('d', "e");
        for verifier in ["", &VERIFIER[..42], other.as_str(), CHALLENGE] {
            assert!(!matches(CHALLENGE, verifier), "{verifier}");
        }
        // Too short and out of the alphabet, though the hash is right.
        assert!(!matches(&challenge("short"), "short"));
        assert!(!matches(&challenge(&" ".repeat(43)), &" ".repeat(43)));
        assert!(
            !is_challenge("")
                && !is_challenge(VERIFIER.trim_end_matches('k'))
                && !is_challenge(&format!("{CHALLENGE}="))
        );
    }
}
