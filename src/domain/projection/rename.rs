//! Rules by which the names of keys change on their way into a Secret.

/// Characters that a name may have between two rules: a rule that makes names grow without end makes no key.
const MAX_NAME: usize = 1024;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenameRule {
    /// Takes a prefix off names that have it.
    StripPrefix(String),
    /// Replaces a text wherever it stands.
    Replace {
        /// What is replaced.
        from: String,
        /// What stands there instead.
        with: String,
    },
    /// Makes ASCII letters capitals.
    Upper,
    /// Makes ASCII letters small.
    Lower,
}

impl RenameRule {
    fn apply(&self, name: &str) -> String {
        match self {
            Self::StripPrefix(prefix) => name.strip_prefix(prefix.as_str()).unwrap_or(name).to_owned(),
            Self::Replace { from, with } => name.replace(from.as_str(), with),
            Self::Upper => name.to_ascii_uppercase(),
            Self::Lower => name.to_ascii_lowercase(),
        }
    }
}

/// The name after all rules, one after the other; what comes out may not be a name. `None` if it grows out of bounds.
pub(super) fn renamed(rules: &[RenameRule], name: &str) -> Option<String> {
    rules.iter().try_fold(name.to_owned(), |name, rule| {
        Some(rule.apply(&name)).filter(|name| name.len() <= MAX_NAME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace(from: &str, with: &str) -> RenameRule {
        RenameRule::Replace {
            from: from.to_owned(),
            with: with.to_owned(),
        }
    }

    #[test]
    fn rules_apply_one_after_the_other() {
        let rules = [
            RenameRule::StripPrefix("db-".to_owned()),
            replace("-", "_"),
            RenameRule::Upper,
        ];
        assert_eq!(renamed(&rules, "db-user-name").as_deref(), Some("USER_NAME"));
        assert_eq!(renamed(&rules, "other").as_deref(), Some("OTHER"));
        assert_eq!(renamed(&[], "a").as_deref(), Some("a"));
        assert_eq!(renamed(&[RenameRule::Lower], "Ä-A").as_deref(), Some("Ä-a"));
    }

    #[test]
    fn r27_names_do_not_grow_without_end() {
        let rules = vec![replace("a", &"a".repeat(128)); 8];
        assert_eq!(renamed(&rules, "aaaa"), None);
    }
}
