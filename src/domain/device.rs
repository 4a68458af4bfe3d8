//! Codes that a person types to let a device in (RFC 8628).

/// Consonants, so that no word comes out of it, none of which is taken for another (RFC 8628, section 6.1).
pub const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a code: 20^8 codes.
pub const CODE_CHARS: usize = 8;

/// A code in canonical form: upper case, without what stands between its halves.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode(String);

/// A text that is no such code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code has eight letters, such as WDJB-MJHT; the device shows it")]
pub struct NoUserCode;

impl UserCode {
    /// The code that random numbers stand for; those past the last multiple of the alphabet's length are passed over, so that every letter
    /// is equally likely. `None` if too few are left.
    #[must_use]
    pub fn from_random(bytes: impl IntoIterator<Item = u8>) -> Option<Self> {
        let fair = 256 - 256 % ALPHABET.len();
        let letters = bytes.into_iter().map(usize::from).filter(|byte| *byte < fair);
        let code: String = letters
            .take(CODE_CHARS)
            .map(|byte| char::from(ALPHABET[byte % ALPHABET.len()]))
            .collect();
        (code.len() == CODE_CHARS).then_some(Self(code))
    }

    /// Reads a code as people type it: in any case, with or without hyphens and spaces.
    ///
    /// # Errors
    /// [`NoUserCode`].
    pub fn parse(text: &str) -> Result<Self, NoUserCode> {
        if text.len() > 4 * CODE_CHARS {
            return Err(NoUserCode);
        }
        let code: String = text
            .chars()
            .filter(|c| !matches!(c, '-' | ' '))
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let known = |c: char| u8::try_from(c).is_ok_and(|byte| ALPHABET.contains(&byte));
        if code.len() == CODE_CHARS && code.chars().all(known) {
            Ok(Self(code))
        } else {
            Err(NoUserCode)
        }
    }

    /// The canonical form.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.0
    }

    /// The code as it is shown: `WDJB-MJHT`.
    #[must_use]
    pub fn shown(&self) -> String {
        let (left, right) = self.0.split_at(CODE_CHARS / 2);
        format!("{left}-{right}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        for text in ["WDJB-MJHT", "wdjbmjht", " wdjb mjht ", "WDJB - MJHT"] {
            assert_eq!(UserCode::parse(text).unwrap().shown(), "WDJB-MJHT", "{text:?}");
        }
        for text in [
            "",
            "WDJB-MJH",
            "WDJB-MJHTB",
            "WDJB-MJHA",
            "WDJB-MJH7",
            "ＷDJB-MJHT",
            &"-".repeat(100),
        ] {
            assert!(UserCode::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_letter_is_equally_likely() {
        let mut counts = [0; 20];
        for byte in 0..=255 {
            if let Some(code) = UserCode::from_random([byte; 8]) {
                let at = ALPHABET
                    .iter()
                    .position(|c| code.canonical().as_bytes()[0] == *c)
                    .unwrap();
                counts[at] += 1;
            }
        }
        assert_eq!(counts, [12; 20]);
        assert!(UserCode::from_random([1; 7]).is_none());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read(bytes in proptest::collection::vec(any::<u8>(), 32)) {
            if let Some(code) = UserCode::from_random(bytes) {
                let read = UserCode::parse(&code.shown()).unwrap();
                prop_assert_eq!(read.canonical(), code.canonical());
            }
        }
    }
}
