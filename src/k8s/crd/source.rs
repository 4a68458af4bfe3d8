//! Where a `VaultSecret`'s record comes from: `spec.source`.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cel;

/// Where a record's content comes from; exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.generate), has(self.sealed), has(self.importFrom)].filter(x, x).size() == 1")
        .message("source needs exactly one of: generate, sealed, importFrom")
)]
pub struct Source {
    /// Values that are made once, by check-and-set, and kept in the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
    /// Values that were encrypted on their author's machine; the record holds exactly these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// A Secret of this namespace whose data is taken into the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import_from: Option<ImportFrom>,
}

/// Sealed values.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sealed {
    /// A sealed value for each key, as `aether-vault seal` makes it for this cluster, namespace, resource and key.
    #[schemars(with = "BTreeMap<String, super::bounded::SealedText>", extend("minProperties" = 1, "maxProperties" = 64))]
    #[x_kube(
        validation = cel::key_names(),
        validation = Rule::new("self.all(k, self[k].startsWith('avs1.'))")
            .message("a sealed value begins with 'avs1.'; make it with 'aether-vault seal'")
    )]
    pub keys: BTreeMap<String, String>,
}

/// A Secret that exists.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportFrom {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = cel::secret_name())]
    pub secret_name: String,
    /// Once (the default): the record is made of it, and is everybody's then. Follow: the record holds what the Secret holds, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ImportMode>,
}

/// How long a record keeps to a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ImportMode {
    /// When the record is made.
    #[default]
    Once,
    /// Always.
    Follow,
}

/// Generated values.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Generate {
    /// A generator for each key. A key that exists is never made again; adding one here adds it to the record.
    // Boxed: a map keeps room for eleven, and the controller keeps every resource.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 64))]
    #[x_kube(
        validation = cel::key_names(),
        validation = Rule::new("self.all(k, !(has(self[k].sshKey) || has(self[k].keyPair)) || !((k + '.pub') in self))")
            .message("an sshKey or keyPair at key K also makes K.pub, and another generator has that key; rename one"),
        validation = Rule::new("self.all(k, !has(self[k].certificate) || !((k + '.key') in self || (k + '.crt') in self || (k + '.ca') in self))")
            .message("a certificate at key K makes K.key, K.crt and K.ca, and another generator has one of these keys; rename one")
    )]
    pub keys: BTreeMap<String, Box<Generator>>,
    /// When the values are made anew; absent means never, unless the annotation `aethervault.io/rotate-now` asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
}

/// When generated values are made anew, and what becomes of the old ones.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.schedule) != has(self.every)").message("rotation needs exactly one of: schedule, every"),
    validation = Rule::new("!has(self.timeZone) || has(self.schedule)").message("timeZone is for schedule; leave it out with every"),
    validation = Rule::new("!has(self.overlap) || (has(self.keepPrevious) && self.keepPrevious == 1)")
        .message("overlap says how long the previous value stays; set keepPrevious to 1, or leave overlap out")
)]
pub struct Rotation {
    /// At the times of a cron expression: minute, hour, day of month, month, day of week, such as `0 3 1 * *`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 128))]
    #[x_kube(
        validation = Rule::new("self.matches('^[^ @]+( +[^ @]+){4}$')")
            .message("schedule is a cron expression of five fields (minute, hour, day of month, month, day of week), such as '0 3 1 * *'")
    )]
    pub schedule: Option<String>,
    /// The time zone of the schedule by its IANA name, such as `Europe/Zurich`; absent means UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// So long after the last time, such as `720h` or `30d`; at least `1m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32))]
    #[x_kube(validation = cel::length_of_time())]
    pub every: Option<String>,
    /// Which of the generated keys; absent means all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<super::bounded::KeyText>>", length(min = 1, max = 64), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = cel::key_list())]
    pub keys: Option<Vec<String>>,
    /// 1: the value before stays in the record as `<key>_previous`. 0 or absent: it goes at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub keep_previous: Option<u8>,
    /// How long it stays, such as `24h`; absent means until the next rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32))]
    #[x_kube(validation = cel::length_of_time())]
    pub overlap: Option<String>,
}

/// How one value is made; exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "[has(self.password), has(self.bytes), has(self.uuid), has(self.sshKey), has(self.keyPair), \
         has(self.certificate)].filter(x, x).size() == 1"
    )
    .message("a generated key needs exactly one of: password, bytes, uuid, sshKey, keyPair, certificate")
)]
pub struct Generator {
    /// Random characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordGenerator>,
    /// Random bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<BytesGenerator>,
    /// A random UUID (version 4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<UuidGenerator>,
    /// A key pair for SSH: the private key at the key itself, the public one at `<key>.pub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_key: Option<SshKeyGenerator>,
    /// A key pair in PEM: the private key at the key itself, the public one at `<key>.pub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pair: Option<KeyPairGenerator>,
    /// A certificate: `<key>.crt`, its private key `<key>.key`, and whom to trust `<key>.ca`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Box<CertificateGenerator>>,
}

/// Random characters, of each chosen class at least one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.symbolSet) || (has(self.symbols) && self.symbols)")
        .message("symbolSet is given but symbols is not true; set it, or leave symbolSet out"),
    validation = Rule::new(
        "!has(self.lower) || self.lower || !has(self.upper) || self.upper || !has(self.digits) || self.digits || \
         (has(self.symbols) && self.symbols)"
    )
    .message("a password needs at least one of lower, upper, digits, symbols")
)]
pub struct PasswordGenerator {
    /// How many; absent means 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 1024))]
    pub length: Option<u32>,
    /// Lower-case letters; absent means yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<bool>,
    /// Upper-case letters; absent means yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<bool>,
    /// Digits; absent means yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<bool>,
    /// Symbols; absent means no, because they need escaping in URLs and configuration files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbols: Option<bool>,
    /// Which symbols: ASCII punctuation, each once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub symbol_set: Option<String>,
    /// Leaves out `0 O 1 I l |`; absent means no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_ambiguous: Option<bool>,
}

/// Random bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BytesGenerator {
    /// How many, before they are encoded; absent means 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub length: Option<u32>,
    /// How they are written; absent means hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<BytesEncoding>,
}

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BytesEncoding {
    /// Lower-case hexadecimal text.
    Hex,
    /// Base64 text with padding.
    Base64,
    /// Base64 text for URLs and file names, without padding.
    Base64url,
    /// The bytes themselves.
    Raw,
}

/// A random UUID; it has no options.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UuidGenerator {}

/// An algorithm for SSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SshKeyType {
    /// Ed25519.
    Ed25519,
    /// RSA.
    Rsa,
}

/// An algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum KeyType {
    /// Ed25519.
    Ed25519,
    /// ECDSA over P-256.
    EcdsaP256,
    /// RSA.
    Rsa,
}

/// A key pair for SSH, in OpenSSH's formats.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = cel::rsa_bits(), validation = cel::rsa_only())]
pub struct SshKeyGenerator {
    /// ed25519 (if absent) or rsa.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "type")]
    pub kind: Option<SshKeyType>,
    /// Bits of an RSA key: 2048, 3072 (if absent) or 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
    /// What stands behind the public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub comment: Option<String>,
}

/// A key pair in PEM: PKCS #8, and the public key as SubjectPublicKeyInfo.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = cel::rsa_bits(), validation = cel::rsa_only())]
pub struct KeyPairGenerator {
    /// ed25519 (if absent), ecdsaP256 or rsa.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "type")]
    pub kind: Option<KeyType>,
    /// Bits of an RSA key: 2048, 3072 (if absent) or 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
}

/// A certificate and its key. It is renewed before its end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.commonName) || has(self.dnsNames) || has(self.ipAddresses) || has(self.uris)")
        .message("a certificate needs a commonName or at least one of: dnsNames, ipAddresses, uris")
)]
pub struct CertificateGenerator {
    /// The subject's common name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub common_name: Option<String>,
    /// The subject's organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub organization: Option<String>,
    /// DNS names; the first label may be `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<super::bounded::KeyText>>", length(min = 1, max = 64), extend("x-kubernetes-list-type" = "set"))]
    pub dns_names: Option<Vec<String>>,
    /// IP addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<super::bounded::KeyText>>", length(min = 1, max = 64), extend("x-kubernetes-list-type" = "set"))]
    pub ip_addresses: Option<Vec<String>>,
    /// URIs, such as SPIFFE ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<super::bounded::UriText>>", length(min = 1, max = 64), extend("x-kubernetes-list-type" = "set"))]
    pub uris: Option<Vec<String>>,
    /// What it may be used for; absent means servers and clients, and for an authority neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub usages: Option<Vec<CertificateUsage>>,
    /// Whether it may issue certificates; absent means no.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "isCA")]
    pub is_ca: Option<bool>,
    /// How long it is good for, such as `90d` (if absent); at least `5m`, and never longer than its issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32))]
    #[x_kube(validation = cel::length_of_time())]
    pub duration: Option<String>,
    /// How long before its end it is renewed; absent means a third of its lifetime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32))]
    #[x_kube(validation = cel::length_of_time())]
    pub renew_before: Option<String>,
    /// Its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyPairGenerator>,
    /// Who issues it; absent means itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<CertificateIssuer>,
}

/// What a certificate may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CertificateUsage {
    /// Proving a server to its clients.
    ServerAuth,
    /// Proving a client to a server.
    ClientAuth,
    /// Signing programs.
    CodeSigning,
    /// Signing and encrypting mail.
    EmailProtection,
}

/// A certificate authority that a record holds. The namespace needs `read` on it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateIssuer {
    /// The record.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = cel::path_alphabet(), validation = cel::path_bounds())]
    pub path: String,
    /// The key with the certificate; absent means `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = cel::key_name())]
    pub certificate: Option<String>,
    /// The key with the private key; absent means `ca.key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = cel::key_name())]
    pub private_key: Option<String>,
}
