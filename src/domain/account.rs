//! Names and addresses of users, checked where they come in.

use super::policy::canonical_name;

/// Characters of a user's or a group's name.
const MAX_NAME_CHARS: usize = 64;
/// Bytes of an e-mail address (RFC 5321, section 4.5.3.1.3, less the brackets).
const MAX_EMAIL_BYTES: usize = 254;
/// Characters of what a user is called.
const MAX_DISPLAY_CHARS: usize = 128;
/// Names that stand for something else in a sentence or an audit entry, in every spelling (R15).
const RESERVED: [&str; 5] = ["anonymous", "everyone", "nobody", "system", "unknown"];

/// The canonical form of a user's or a group's name (R1).
///
/// # Errors
/// What to write instead.
pub fn parse_name(name: &str) -> Result<String, &'static str> {
    let name = canonical_name(name).into_owned();
    let chars = name.chars().count();
    let fits = (1..=MAX_NAME_CHARS).contains(&chars)
        && name.chars().all(|c| c.is_alphanumeric() || "._@+-".contains(c))
        && name.starts_with(char::is_alphanumeric);
    if !fits {
        return Err(
            "a name has 1 to 64 letters, digits, '.', '_', '@', '+' and '-', and begins with a letter or a digit",
        );
    }
    if RESERVED.contains(&name.as_str()) {
        return Err("the name is reserved; choose another");
    }
    Ok(name)
}

/// The canonical form of an e-mail address. It is written to, so only its outline is checked.
///
/// # Errors
/// What to write instead.
pub fn parse_email(email: &str) -> Result<String, &'static str> {
    let email = canonical_name(email).into_owned();
    let parts = email.split_once('@');
    let sound = parts.is_some_and(|(local, domain)| {
        !local.is_empty() && domain.len() > 2 && domain.contains('.') && !domain.contains('@')
    });
    let clean = email.chars().all(|c| !c.is_control() && !c.is_whitespace());
    if sound && clean && email.len() <= MAX_EMAIL_BYTES {
        Ok(email)
    } else {
        Err("an e-mail address looks like 'name@example.org' and has at most 254 bytes")
    }
}

/// What a user is called, for people.
///
/// # Errors
/// What to write instead.
pub fn parse_display_name(name: &str) -> Result<String, &'static str> {
    let name = name.trim();
    if (1..=MAX_DISPLAY_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        Ok(name.to_owned())
    } else {
        Err("a display name has 1 to 128 characters on one line")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn r01_every_spelling_is_one_name() {
        for spelling in ["Ann", " ANN\t", "ａｎｎ", "ann"] {
            assert_eq!(parse_name(spelling), Ok("ann".to_owned()), "{spelling:?}");
        }
        assert_eq!(parse_email(" Ann@Example.ORG "), Ok("ann@example.org".to_owned()));
    }

    #[test]
    fn r15_reserved_names_are_refused_in_every_spelling() {
        for spelling in ["system", "SYSTEM", " Ｓystem "] {
            assert_eq!(
                parse_name(spelling),
                Err("the name is reserved; choose another"),
                "{spelling:?}"
            );
        }
    }

    #[test]
    fn r23_what_does_not_fit_is_refused() {
        for name in ["", " ", "a b", "a/b", "-a", "a\0", "\u{202e}a", &"a".repeat(65)] {
            assert!(parse_name(name).is_err(), "{name:?}");
        }
        for email in [
            "",
            "a",
            "@b.c",
            "a@b",
            "a@b@c.d",
            "a b@c.de",
            &format!("{}@b.cd", "a".repeat(250)),
        ] {
            assert!(parse_email(email).is_err(), "{email:?}");
        }
        assert!(parse_display_name("").is_err() && parse_display_name("a\nb").is_err());
    }

    proptest! {
        #[test]
        fn r01_a_name_that_passes_is_its_own_canonical_form(name in any::<String>()) {
            if let Ok(parsed) = parse_name(&name) {
                prop_assert_eq!(parse_name(&parsed), Ok(parsed.clone()));
            }
        }
    }
}
