//! The canonical form of the names of users, groups and roles.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

/// The one spelling of a name: NFKC, trimmed, lower case (R1, R15, CVE-2025-5999, CVE-2025-6004). Applying it again changes nothing.
#[must_use]
pub fn canonical_name(name: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_graphic() && !b.is_ascii_uppercase();
    if name.bytes().all(plain) {
        return Cow::Borrowed(name);
    }
    let mut name = Cow::Borrowed(name);
    // Lowering a letter can leave a sequence that composes anew, so this goes on until nothing changes. It ends after two rounds or
    // three; the bound is for the reader.
    for _ in 0..4 {
        let next = name
            .nfkc()
            .collect::<String>()
            .to_lowercase()
            .nfkc()
            .collect::<String>()
            .trim()
            .to_owned();
        if next == *name {
            break;
        }
        name = Cow::Owned(next);
    }
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn r15_every_spelling_is_one_name() {
        for spelling in ["admin", "Admin", " ADMIN\t", "ａｄｍｉｎ", "\u{2003}Ａdmin", "ⓐdmin"] {
            assert_eq!(canonical_name(spelling), "admin", "{spelling:?}");
        }
        assert_eq!(canonical_name("e\u{301}va"), canonical_name("ÉVA"));
        assert_eq!(canonical_name(" \u{a0} "), "");
    }

    proptest! {
        #[test]
        fn r15_the_canonical_form_is_its_own(name in any::<String>()) {
            let once = canonical_name(&name).into_owned();
            prop_assert_eq!(canonical_name(&once), once.as_str());
        }
    }
}
