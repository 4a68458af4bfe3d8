//! CEL rules that both kinds share. The API server evaluates them before anything is stored.
//!
//! Repetition is bounded by `maxLength` beside each rule, not in the expressions: Go's engine refuses large nested counts.

use kube::core::Rule;

/// `~/…` or at least two segments. The segments' length is a rule of its own, so that each message says what to do.
const PATH: &str = r"self.matches('^(~|[A-Za-z0-9][A-Za-z0-9._@+=~-]*)(/[A-Za-z0-9][A-Za-z0-9._@+=~-]*)+$')";

/// A resource never moves from one controller to another, each of which would take it for gone or new.
pub(super) fn class_stays() -> Rule {
    Rule::new(
        "has(self.controllerClass) == has(oldSelf.controllerClass) && \
         (!has(self.controllerClass) || self.controllerClass == oldSelf.controllerClass)",
    )
    .message("controllerClass is immutable: delete this resource and create it again with the other class")
}

/// A record's path has the alphabet of paths.
pub(super) fn path_alphabet() -> Rule {
    Rule::new(PATH).message(
        "a path is '~/name' for a record of this namespace, or an absolute one such as 'shared/pki/ca'; each segment starts with a \
         letter or a digit and holds only letters, digits and . _ @ + = ~ -",
    )
}

/// A record's path keeps to the bounds of paths.
pub(super) fn path_bounds() -> Rule {
    Rule::new("self.split('/').size() <= 16 && !self.matches('[^/]{129}')")
        .message("a path has at most 16 segments of at most 128 characters")
}

/// A key of a record or a Secret (R39).
pub(super) fn key_name() -> Rule {
    Rule::new("self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')")
        .message("a key holds only letters, digits, '-', '_' and '.', and is neither '.' nor starts with '..'")
}

/// A map whose keys are keys of a record.
pub(super) fn key_names() -> Rule {
    Rule::new("self.all(k, k.matches('^[-._a-zA-Z0-9]+$') && k != '.' && !k.startsWith('..') && k.size() <= 253)")
        .message("a key holds only letters, digits, '-', '_' and '.', at most 253 of them, and is neither '.' nor starts with '..'")
}

/// Labels or annotations that somebody else's machinery acts on cannot be set (R34, R36).
pub(super) fn not_reserved() -> Rule {
    Rule::new(
        "self.all(k, !k.startsWith('aethervault.io/') && !k.startsWith('kubernetes.io/service-account.') && \
         !(k in ['kubectl.kubernetes.io/last-applied-configuration', 'argocd.argoproj.io/tracking-id', \
         'argocd.argoproj.io/instance', 'app.kubernetes.io/managed-by']))",
    )
    .message(
        "reserved keys cannot be set: aethervault.io/*, kubernetes.io/service-account.*, app.kubernetes.io/managed-by, \
         kubectl.kubernetes.io/last-applied-configuration, argocd.argoproj.io/tracking-id and argocd.argoproj.io/instance; remove them",
    )
}

/// Keys of labels and annotations are qualified names.
pub(super) fn qualified_names() -> Rule {
    Rule::new(
        "self.all(k, k.size() <= 317 && k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))",
    )
    .message("each key is a qualified name such as 'team' or 'example.com/team'")
}

/// Values of labels.
pub(super) fn label_values() -> Rule {
    Rule::new("self.all(k, self[k].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))")
        .message("a label's value is empty, or starts and ends with a letter or a digit and holds only letters, digits, '-', '_' and '.'")
}

/// A list of keys of a record.
pub(super) fn key_list() -> Rule {
    Rule::new("self.all(k, k.matches('^[-._a-zA-Z0-9]+$') && k != '.' && !k.startsWith('..'))")
        .message("a key holds only letters, digits, '-', '_' and '.', and is neither '.' nor starts with '..'")
}

/// The name of a Secret.
pub(super) fn secret_name() -> Rule {
    Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$') && !self.contains('..') && !self.contains('.-') && !self.contains('-.')")
        .message("a Secret's name holds only lower-case letters, digits, '-' and '.', and each part starts and ends with a letter or a digit")
}

/// A length of time.
pub(super) fn length_of_time() -> Rule {
    Rule::new("self.matches('^([0-9]+[dhms])+$')")
        .message("a length of time is numbers with the units d, h, m and s, such as '720h' or '1d12h'")
}

/// Bits that an RSA key may have.
pub(super) fn rsa_bits() -> Rule {
    Rule::new("!has(self.bits) || self.bits in [2048, 3072, 4096]").message("bits is 2048, 3072 or 4096")
}

/// Bits of a key that has no choice.
pub(super) fn rsa_only() -> Rule {
    Rule::new("!has(self.bits) || (has(self.type) && self.type == 'rsa')").message("bits is for type rsa; leave it out")
}
