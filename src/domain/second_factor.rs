//! What people type as a second factor: its form, checked before anything else looks at it (R4).

use zeroize::Zeroizing;

/// Digits of an authenticator's code.
const CODE_DIGITS: usize = 6;
/// Characters of a recovery code, without the hyphens between them.
pub const RECOVERY_CHARS: usize = 16;
/// Characters of one group of a recovery code, as it is shown.
pub const RECOVERY_GROUP: usize = 4;
/// Crockford's base 32, lower case: no i, l, o and u.
pub const RECOVERY_ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A text that is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedCode {
    /// Not an authenticator's.
    #[error("a code of an authenticator has six digits, and nothing else")]
    Totp,
    /// Not a recovery code.
    #[error("a recovery code has 16 letters and digits, in four groups")]
    Recovery,
}

/// A code of an authenticator: `^[0-9]{6}$`.
pub struct TotpCode(Zeroizing<String>);

impl TotpCode {
    /// Reads a code. Nothing is trimmed or converted: digits of other scripts, signs and spaces are no code.
    ///
    /// # Errors
    /// [`MalformedCode::Totp`].
    pub fn parse(text: &str) -> Result<Self, MalformedCode> {
        if text.len() != CODE_DIGITS || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(MalformedCode::Totp);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The six digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A recovery code, in the one spelling that is hashed.
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    /// Reads a code as a person copies it: capitals, spaces and hyphens do not matter, and what looks like a 1 or a 0 is one.
    ///
    /// # Errors
    /// [`MalformedCode::Recovery`].
    pub fn parse(text: &str) -> Result<Self, MalformedCode> {
        // A text far longer than any spelling of a code is none, and is not read.
        if text.len() > 4 * RECOVERY_CHARS {
            return Err(MalformedCode::Recovery);
        }
        let mut code = Zeroizing::new(String::with_capacity(RECOVERY_CHARS + 1));
        for character in text.chars().filter(|character| !matches!(character, '-' | ' ')) {
            let character = match character.to_ascii_lowercase() {
                'o' => '0',
                'i' | 'l' => '1',
                other => other,
            };
            let known = u8::try_from(character).is_ok_and(|byte| RECOVERY_ALPHABET.contains(&byte));
            if !known || code.len() == RECOVERY_CHARS {
                return Err(MalformedCode::Recovery);
            }
            code.push(character);
        }
        if code.len() != RECOVERY_CHARS {
            return Err(MalformedCode::Recovery);
        }
        Ok(Self(code))
    }

    /// The sixteen characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn r04_a_code_is_six_ascii_digits_and_nothing_else() {
        assert_eq!(
            TotpCode::parse("012345").map(|code| code.as_str().to_owned()),
            Ok("012345".to_owned())
        );
        for text in [
            "",
            "12345",
            "1234567",
            " 12345",
            "123456 ",
            "123456\n",
            "12345\0",
            "+12345",
            "-12345",
            "１２３４５６",
            "٠١٢٣٤٥",
            "12 456",
            "0x1234",
            "12345a",
        ] {
            assert_eq!(TotpCode::parse(text).err(), Some(MalformedCode::Totp), "{text:?}");
        }
    }

    #[test]
    fn a_recovery_code_is_read_as_people_copy_it() {
        for text in [
            "0abc-d1fg-hjkm-npqr",
            "0ABC D1FG HJKM NPQR",
            "oabcdlfghjkmnpqr",
            " Oabc-dIfg - hjkm-npqr ",
        ] {
            assert_eq!(
                RecoveryCode::parse(text).map(|code| code.as_str().to_owned()),
                Ok("0abcd1fghjkmnpqr".to_owned()),
                "{text:?}"
            );
        }
        for text in [
            "",
            "0abc-d1fg-hjkm-npq",
            "0abc-d1fg-hjkm-npqrs",
            "0abc-d1fg-hjkm-npqu",
            "0abc_d1fg_hjkm_npqr",
            "０abc-d1fg-hjkm-npqr",
        ] {
            assert_eq!(
                RecoveryCode::parse(text).err(),
                Some(MalformedCode::Recovery),
                "{text:?}"
            );
        }
        assert!(RecoveryCode::parse(&"-".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn r04_what_passes_is_what_the_pattern_says(text in "\\PC{0,8}|[0-9]{5,7}|[0-9+ ]{6}") {
            let fits = text.len() == 6 && text.chars().all(|c| c.is_ascii_digit());
            prop_assert_eq!(TotpCode::parse(&text).is_ok(), fits);
        }

        #[test]
        fn r31_no_text_panics(text in any::<String>()) {
            let _ = TotpCode::parse(&text);
            if let Ok(code) = RecoveryCode::parse(&text) {
                prop_assert_eq!(RecoveryCode::parse(code.as_str()).map(|again| again.as_str().to_owned()), Ok(code.as_str().to_owned()));
            }
        }
    }
}
