//! OpenSSH's formats: the private key file (PROTOCOL.key in OpenSSH's sources, unencrypted: it is the vault that keeps it) and the line of
//! an `authorized_keys` file (RFC 4253, section 6.6; RFC 8709).
//!
//! The formats are lists of length-prefixed strings; what goes into them comes out of the PKCS #8 that the library made.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::key_pair::{MadePair, NoKey, pem};
use super::random;
use crate::domain::generate::{KeyType, SshKeySpec};

/// Bytes of a block when nothing is encrypted.
const BLOCK: usize = 8;
/// Characters of a line, as `ssh-keygen` breaks them.
const LINE: usize = 70;
/// Bytes of an Ed25519 seed, and of a public key.
const ED25519: usize = 32;

/// A key pair in OpenSSH's formats.
pub struct SshPair {
    /// The private key file.
    pub private: Zeroizing<String>,
    /// The public key on one line, with its comment.
    pub public: String,
}

/// Makes a key pair.
///
/// # Errors
/// [`NoKey`].
pub fn generate(spec: &SshKeySpec) -> Result<SshPair, NoKey> {
    let made = MadePair::generate(&spec.key())?;
    let comment = spec.comment.as_deref().unwrap_or_default();
    let (name, public, private) = match spec.kind {
        KeyType::Rsa => rsa(&made.pkcs8)?,
        KeyType::Ed25519 => ed25519(&made)?,
        KeyType::EcdsaP256 => return Err(NoKey),
    };
    Ok(SshPair {
        private: private_file(&public, &private, comment),
        public: [name, &STANDARD.encode(&public.0), comment]
            .join(" ")
            .trim_end()
            .to_owned()
            + "\n",
    })
}

/// The name of the algorithm, the public blob, and the fields of the private key.
type Fields = (&'static str, Wire, Wire);

fn ed25519(made: &MadePair) -> Result<Fields, NoKey> {
    let name = "ssh-ed25519";
    // PKCS #8 version 1 ends with the seed, SubjectPublicKeyInfo with the public key.
    let seed = made.pkcs8.last_chunk::<ED25519>().ok_or(NoKey)?;
    let public = made.spki.last_chunk::<ED25519>().ok_or(NoKey)?;
    let blob = Wire::new().string(name.as_bytes()).string(public);
    let both = Zeroizing::new([seed.as_slice(), public.as_slice()].concat());
    let fields = Wire::new().string(name.as_bytes()).string(public).string(&both);
    Ok((name, blob, fields))
}

fn rsa(pkcs8: &[u8]) -> Result<Fields, NoKey> {
    let name = "ssh-rsa";
    // PrivateKeyInfo: version, algorithm, and RSAPrivateKey (RFC 8017, appendix A.1.2) as an octet string.
    let mut info = Der(Der(pkcs8).take(SEQUENCE)?);
    info.take(INTEGER)?;
    info.take(SEQUENCE)?;
    let mut key = Der(Der(info.take(OCTET_STRING)?).take(SEQUENCE)?);
    key.take(INTEGER)?;
    let (n, e, d) = (key.take(INTEGER)?, key.take(INTEGER)?, key.take(INTEGER)?);
    let (p, q) = (key.take(INTEGER)?, key.take(INTEGER)?);
    key.take(INTEGER)?;
    key.take(INTEGER)?;
    let inverse = key.take(INTEGER)?;
    let blob = Wire::new().string(name.as_bytes()).string(e).string(n);
    // An INTEGER in DER and an mpint of SSH (RFC 4251, section 5) hold the same bytes.
    let fields = [n, e, d, inverse, p, q]
        .into_iter()
        .fold(Wire::new().string(name.as_bytes()), Wire::string);
    Ok((name, blob, fields))
}

fn private_file(public: &Wire, fields: &Wire, comment: &str) -> Zeroizing<String> {
    // Twice the same number: a wrong passphrase would show by their difference. Nothing secret.
    let check: [u8; 4] = random::bytes();
    let mut section = Wire::new()
        .raw(&check)
        .raw(&check)
        .raw(&fields.0)
        .string(comment.as_bytes());
    let padding: Vec<u8> = (1..)
        .take(section.0.len().next_multiple_of(BLOCK) - section.0.len())
        .collect();
    section = section.raw(&padding);
    let file = Wire::new()
        .raw(b"openssh-key-v1\0")
        .string(b"none")
        .string(b"none")
        .string(b"")
        .raw(&1_u32.to_be_bytes())
        .string(&public.0)
        .string(&section.0);
    pem("OPENSSH PRIVATE KEY", &file.0, LINE)
}

/// What is written on the wire, wiped when dropped.
struct Wire(Zeroizing<Vec<u8>>);

impl Wire {
    fn new() -> Self {
        // Larger than the largest key, so that it does not grow.
        Self(Zeroizing::new(Vec::with_capacity(8192)))
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn string(self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.raw(&length.to_be_bytes()).raw(bytes)
    }
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// A reader of DER that was made a moment ago by the library.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, which must be of this kind.
    fn take(&mut self, kind: u8) -> Result<&'a [u8], NoKey> {
        let [found, first, rest @ ..] = self.0 else {
            return Err(NoKey);
        };
        let (length, rest) = match *first {
            short @ 0..0x80 => (usize::from(short), rest),
            long => {
                let (length, rest) = rest.split_at_checked(usize::from(long & 0x7f)).ok_or(NoKey)?;
                if length.len() > 4 {
                    return Err(NoKey);
                }
                (
                    length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)),
                    rest,
                )
            }
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(NoKey)?;
        self.0 = rest;
        if *found == kind { Ok(content) } else { Err(NoKey) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::process::Command;

    use super::*;

    fn made(spec: &str) -> SshPair {
        let spec: SshKeySpec = serde_json::from_str(spec).unwrap();
        generate(&spec).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_public_line_has_type_key_and_comment() {
        let pair = made(r#"{"comment": "deploy@shop"}"#);
        let parts: Vec<_> = pair.public.trim_end().split(' ').collect();
        assert_eq!((parts[0], parts[2], parts.len()), ("ssh-ed25519", "deploy@shop", 3));
        assert_eq!(made("{}").public.trim_end().split(' ').count(), 2);
        assert!(pair.private.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
    }

    /// `ssh-keygen` reads the private key and derives the public one from it.
    #[test]
    fn openssh_reads_what_was_made() {
        if Command::new("ssh-keygen").arg("-?").output().is_err() {
            println!("skipped: there is no ssh-keygen");
            return;
        }
        for spec in [r#"{"comment": "a b"}"#, r#"{"type": "rsa", "bits": 2048}"#] {
            let pair = made(spec);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("key");
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.create_new(true).write(true).mode(0o600).open(&path).unwrap();
            file.write_all(pair.private.as_bytes()).unwrap();
            let output = Command::new("ssh-keygen")
                .arg("-y")
                .arg("-f")
                .arg(&path)
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{spec}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            let derived = String::from_utf8(output.stdout).unwrap();
            let key = |line: &str| line.split(' ').take(2).map(str::trim_end).collect::<Vec<_>>().join(" ");
            assert_eq!(key(&derived), key(&pair.public), "{spec}");
        }
    }

    #[test]
    fn r31_cut_der_is_an_error() {
        let made = MadePair::generate(&serde_json::from_str(r#"{"type": "rsa", "bits": 2048}"#).unwrap()).unwrap();
        for length in 0..made.pkcs8.len() {
            assert!(rsa(&made.pkcs8[..length]).is_err(), "{length}");
        }
    }
}
