//! Opaque tokens and one-time passwords: random, typed by people or copied by programs, stored only as hashes (R14).
//! Called by `service`.
//!
//! A token is `<prefix>_<56 characters>`: 256 random bits and a checksum of 24, in Crockford's base 32 (lower case, without i, l, o and
//! u). The prefix lets scanners find leaked tokens, the checksum lets a typing error be told from a revoked token without a look-up.

use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::random;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const RANDOM_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 3;
const BODY_CHARS: usize = (RANDOM_BYTES + CHECKSUM_BYTES) * 8 / 5;

/// A text that is no token of this kind. It says nothing about whether a token exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no token, or it was copied incompletely")]
pub struct MalformedToken;

/// What is stored of a token: its SHA-256. A token has 256 random bits, so a slow hash would add nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The stored form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares with a stored hash in constant time.
    #[must_use]
    pub fn matches(&self, stored: &[u8]) -> bool {
        self.0.as_slice().ct_eq(stored).into()
    }
}

/// Makes a token with a prefix such as `avk`, and the hash to store.
#[must_use]
pub fn generate(prefix: &str) -> (SecretString, TokenHash) {
    let mut body = Zeroizing::new([0; RANDOM_BYTES + CHECKSUM_BYTES]);
    let (secret, check) = body.split_at_mut(RANDOM_BYTES);
    random::fill(secret);
    check.copy_from_slice(&checksum(prefix, secret));
    // The exact capacity: growing would leave a copy behind.
    let mut text = String::with_capacity(prefix.len() + 1 + BODY_CHARS);
    text.push_str(prefix);
    text.push('_');
    encode(&*body, &mut text);
    let hash = TokenHash(sha256(text.as_bytes()));
    (SecretString::from(text), hash)
}

/// The hash under which a presented token is stored, if it is a token with this prefix and its checksum is right.
///
/// # Errors
/// [`MalformedToken`].
pub fn parse(prefix: &str, text: &str) -> Result<TokenHash, MalformedToken> {
    let body = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .ok_or(MalformedToken)?;
    let body = decode(body).ok_or(MalformedToken)?;
    let (secret, check) = body.split_at(RANDOM_BYTES);
    if checksum(prefix, secret) != check {
        return Err(MalformedToken);
    }
    Ok(TokenHash(sha256(text.as_bytes())))
}

/// A password for one use that a person can read and type: five groups of five characters, 125 random bits.
#[must_use]
pub fn one_time_password() -> SecretString {
    const GROUPS: usize = 5;
    const GROUP_CHARS: usize = 5;
    let mut bytes = Zeroizing::new([0; GROUPS * GROUP_CHARS]);
    random::fill(&mut *bytes);
    let mut text = String::with_capacity(GROUPS * (GROUP_CHARS + 1));
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 && at % GROUP_CHARS == 0 {
            text.push('-');
        }
        // 32 divides 256, so every character is equally likely.
        text.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    SecretString::from(text)
}

/// SHA-256, for look-ups by a token that is itself unguessable.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn checksum(prefix: &str, secret: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest: [u8; 32] = Sha256::new()
        .chain_update("av/token/1")
        .chain_update(prefix)
        .chain_update(secret)
        .finalize()
        .into();
    let [a, b, c, ..] = digest;
    [a, b, c]
}

/// Five bytes are eight characters, and 35 bytes leave nothing over.
fn encode(bytes: &[u8], text: &mut String) {
    for chunk in bytes.chunks(5) {
        let bits = chunk.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        for at in (0..8).rev() {
            let digit = usize::try_from(bits >> (5 * at) & 31).unwrap_or_default();
            text.push(char::from(ALPHABET[digit]));
        }
    }
}

fn decode(text: &str) -> Option<Zeroizing<[u8; RANDOM_BYTES + CHECKSUM_BYTES]>> {
    if text.len() != BODY_CHARS {
        return None;
    }
    let mut bytes = Zeroizing::new([0; RANDOM_BYTES + CHECKSUM_BYTES]);
    for (chunk, target) in text.as_bytes().chunks(8).zip(bytes.chunks_mut(5)) {
        let mut bits = 0_u64;
        for character in chunk {
            let digit = ALPHABET.iter().position(|known| known == character)?;
            bits = bits << 5 | u64::try_from(digit).ok()?;
        }
        let [_, _, _, five @ ..] = bits.to_be_bytes();
        target.copy_from_slice(&five);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn r14_a_token_is_found_by_its_hash_and_the_hash_is_all_that_is_stored() {
        let (token, hash) = generate("avk");
        let text = token.expose_secret();
        assert_eq!(text.len(), 4 + 56);
        assert_eq!(parse("avk", text), Ok(hash));
        assert!(hash.matches(&sha256(text.as_bytes())));
        assert!(!format!("{hash:?}{token:?}").contains(&text[4..]));
    }

    #[test]
    fn r14_hashes_are_compared_whole() {
        let (_, hash) = generate("avk");
        let mut other = *hash.as_bytes();
        other[31] ^= 1;
        assert!(!hash.matches(&other));
        assert!(!hash.matches(&hash.as_bytes()[..31]));
        assert!(!hash.matches(&[]));
    }

    #[test]
    fn a_changed_cut_or_foreign_token_is_malformed() {
        let (token, _) = generate("avk");
        let text = token.expose_secret();
        for (at, _) in text.char_indices() {
            let mut changed = text.to_owned();
            let other = if &text[at..=at] == "7" { "8" } else { "7" };
            changed.replace_range(at..=at, other);
            assert_eq!(parse("avk", &changed), Err(MalformedToken));
            assert_eq!(parse("avk", &text[..at]), Err(MalformedToken));
        }
        assert_eq!(parse("avr", text), Err(MalformedToken));
        assert_eq!(parse("avr", &text.replace("avk_", "avr_")), Err(MalformedToken));
        assert_eq!(parse("avk", &text.to_uppercase()), Err(MalformedToken));
        assert_eq!(parse("avk", &format!("{text}0")), Err(MalformedToken));
    }

    #[test]
    fn a_one_time_password_can_be_typed() {
        let (a, b) = (one_time_password(), one_time_password());
        assert_ne!(a.expose_secret(), b.expose_secret());
        let groups: Vec<&str> = a.expose_secret().split('-').collect();
        assert_eq!(groups.len(), 5);
        assert!(
            groups
                .iter()
                .all(|group| group.len() == 5 && group.bytes().all(|byte| ALPHABET.contains(&byte)))
        );
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(bytes in proptest::collection::vec(any::<u8>(), 35)) {
            let mut text = String::new();
            encode(&bytes, &mut text);
            prop_assert_eq!(decode(&text).unwrap().to_vec(), bytes);
        }

        #[test]
        fn r31_no_text_panics(text in any::<String>(), body in "\\PC{56}") {
            prop_assert!(parse("avk", &text).is_err());
            let token = format!("avk_{body}");
            prop_assert!(parse("avk", &token).is_err());
        }
    }
}
