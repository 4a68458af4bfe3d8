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

/// Names that a policy cannot have: they are those of other things in explanations and addresses.
const RESERVED: [&str; 10] = [
    "admin",
    "administrator",
    "built-in",
    "default",
    "everyone",
    "explain",
    "none",
    "preview",
    "root",
    "system",
];
/// Bytes of a policy's name.
const MAX_POLICY_NAME_BYTES: usize = 128;

/// The canonical name of a policy that is written by REST; `None` if it cannot be one. A resource's policy has a name with `/`, and
/// can be neither written nor mimicked here (R15).
#[must_use]
pub fn policy_name(name: &str) -> Option<String> {
    // Whatever is longer does not become shorter than this.
    if name.len() > 8 * MAX_POLICY_NAME_BYTES {
        return None;
    }
    let name = canonical_name(name).into_owned();
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let fits = begins && name.len() <= MAX_POLICY_NAME_BYTES && name.bytes().all(inner);
    (fits && !RESERVED.contains(&name.as_str())).then_some(name)
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

    #[test]
    fn r15_reserved_names_of_policies_are_refused_in_every_spelling() {
        assert_eq!(policy_name(" Team-A.v2 ").as_deref(), Some("team-a.v2"));
        for reserved in RESERVED {
            for spelling in [
                reserved.to_owned(),
                reserved.to_uppercase(),
                format!(" {reserved}\u{a0}"),
                reserved
                    .chars()
                    .map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap())
                    .collect(),
            ] {
                assert_eq!(policy_name(&spelling), None, "{spelling:?}");
            }
        }
        let long = "a".repeat(129);
        for bad in [
            "",
            " ",
            "a/b",
            "k8s/shop/p",
            "-a",
            ".",
            "..",
            "a b",
            "a\0",
            "é",
            "built-in: administrator",
            &long,
        ] {
            assert_eq!(policy_name(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn r15_a_policys_name_is_its_own_canonical_form(name in any::<String>(), like in "[ A-Za-zａ-ｚ._-]{0,12}") {
            for name in [name, like] {
                if let Some(canonical) = policy_name(&name) {
                    prop_assert_eq!(policy_name(&canonical), Some(canonical));
                }
            }
        }

        #[test]
        fn r15_the_canonical_form_is_its_own(name in any::<String>()) {
            let once = canonical_name(&name).into_owned();
            prop_assert_eq!(canonical_name(&once), once.as_str());
        }
    }
}
