//! Passwords that were stolen elsewhere, as a file of their hashes: looked up by binary search, never loaded, for such lists have
//! tens of gigabytes. Called by `service`, off the threads that serve.
//!
//! The file has one hash a line in the order of hashes, SHA-1 or SHA-256 in hexadecimal, with or without `:COUNT` behind it, as Have I
//! Been Pwned publishes it ("ordered by hash"). It may be replaced while the process runs.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{self, Algorithm};

/// Bytes of a line at most: a SHA-256 in hexadecimal and a count.
const MAX_LINE: usize = 128;
/// Places of the file that are compared with each other when it is opened.
const SAMPLES: u64 = 64;

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BreachedListError {
    /// The file cannot be read.
    #[error("the list of breached passwords cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file does not begin with a hash.
    #[error("the list of breached passwords does not begin with a SHA-1 or a SHA-256 in hexadecimal")]
    Form,
    /// The hashes are not in order.
    #[error("the list of breached passwords is not in the order of hashes; sort it, such as with 'LC_ALL=C sort -u'")]
    Unsorted,
}

/// A list of hashes of breached passwords.
#[derive(Debug)]
pub struct BreachedList {
    file: PathBuf,
}

impl BreachedList {
    /// Opens a list and looks at places all over it: an unsorted list would find nothing, and nobody would notice.
    ///
    /// # Errors
    /// [`BreachedListError`].
    pub fn open(file: &Path) -> Result<Self, BreachedListError> {
        let mut reader = File::open(file)?;
        let size = reader.seek(SeekFrom::End(0))?;
        check(&mut reader, size)?;
        Ok(Self { file: file.to_owned() })
    }

    /// Whether the password is in the list.
    ///
    /// # Errors
    /// If the list cannot be read any more, or a line of it is none.
    pub fn contains(&self, password: &str) -> Result<bool, BreachedListError> {
        let mut reader = File::open(&self.file)?;
        let size = reader.seek(SeekFrom::End(0))?;
        find(&mut reader, size, password)
    }
}

fn find(reader: &mut (impl Read + Seek), size: u64, password: &str) -> Result<bool, BreachedListError> {
    let Some(algorithm) = algorithm(reader)? else {
        return Err(BreachedListError::Form);
    };
    let wanted = digest::digest(algorithm, password.as_bytes());
    // A line that begins in low..high may be the one.
    let (mut low, mut high) = (0, size);
    while low < high {
        let middle = low + (high - low) / 2;
        let Some((start, line)) = line_from(reader, low, middle)?.filter(|(start, _)| *start < high) else {
            high = middle;
            continue;
        };
        match hash_of(&line, algorithm)?.as_slice().cmp(wanted.as_ref()) {
            Ordering::Equal => return Ok(true),
            Ordering::Less => low = start + line.len() as u64,
            Ordering::Greater => high = start,
        }
    }
    Ok(false)
}

fn check(reader: &mut (impl Read + Seek), size: u64) -> Result<(), BreachedListError> {
    let Some(algorithm) = algorithm(reader)? else {
        return Err(BreachedListError::Form);
    };
    let mut before = Vec::new();
    for sample in 0..=SAMPLES {
        let Some((_, line)) = line_from(reader, 0, size / SAMPLES * sample)? else {
            break;
        };
        let hash = hash_of(&line, algorithm)?;
        if hash < before {
            return Err(BreachedListError::Unsorted);
        }
        before = hash;
    }
    Ok(())
}

/// Which hashes these are, by the length of the first.
fn algorithm(reader: &mut (impl Read + Seek)) -> io::Result<Option<&'static Algorithm>> {
    let first = chunk(reader, 0)?;
    let digits = first.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    Ok(match digits {
        40 => Some(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        64 => Some(&digest::SHA256),
        _ => None,
    })
}

/// The first line that begins at `at` or after it, with its end; `low` is known to begin one.
fn line_from(reader: &mut (impl Read + Seek), low: u64, at: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
    let mut start = at;
    if at > low {
        // The byte before tells whether a line begins just here.
        let before = chunk(reader, at - 1)?;
        let Some(end) = before.iter().position(|b| *b == b'\n') else {
            return if before.len() < MAX_LINE {
                Ok(None)
            } else {
                Err(no_line())
            };
        };
        start = at + end as u64;
    }
    let mut line = chunk(reader, start)?;
    match line.iter().position(|b| *b == b'\n') {
        Some(end) => line.truncate(end + 1),
        None if line.len() == MAX_LINE => return Err(no_line()),
        None => {}
    }
    Ok((!line.is_empty()).then_some((start, line)))
}

fn chunk(reader: &mut (impl Read + Seek), at: u64) -> io::Result<Vec<u8>> {
    reader.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::with_capacity(MAX_LINE);
    reader.take(MAX_LINE as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn hash_of(line: &[u8], algorithm: &'static Algorithm) -> io::Result<Vec<u8>> {
    let digits = algorithm.output_len() * 2;
    let (hash, rest) = line.split_at_checked(digits).ok_or_else(no_line)?;
    if rest.first().is_some_and(u8::is_ascii_hexdigit) {
        return Err(no_line());
    }
    hex::decode(hash).map_err(|_| no_line())
}

fn no_line() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a line of it is not one hash of the kind of the first",
    )
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn list(passwords: &[String], algorithm: &'static Algorithm, form: impl Fn(usize, String) -> String) -> Vec<u8> {
        let mut hashes: Vec<_> = passwords
            .iter()
            .map(|password| hex::encode(digest::digest(algorithm, password.as_bytes())))
            .collect();
        hashes.sort();
        let lines = hashes.into_iter().enumerate().map(|(at, hash)| form(at, hash));
        lines.collect::<String>().into_bytes()
    }

    fn contains(list: &[u8], password: &str) -> Result<bool, BreachedListError> {
        find(&mut Cursor::new(list), list.len() as u64, password)
    }

    fn opens(list: &[u8]) -> Result<(), BreachedListError> {
        check(&mut Cursor::new(list), list.len() as u64)
    }

    /// The first line of SHA-1 hashes as Have I Been Pwned publishes them, and one that everybody knows.
    #[test]
    fn a_list_as_it_is_published_is_read() {
        let list =
            b"000000005AD76BD555C1D6D771DE417A4B87E4B4:10\r\n5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:9659365\r\n";
        assert!(opens(list).is_ok());
        assert!(contains(list, "password").unwrap());
        assert!(!contains(list, "Password").unwrap());
    }

    #[test]
    fn what_is_no_sorted_list_is_refused() {
        let (low, high) = ("0".repeat(40), "f".repeat(40));
        assert!(matches!(opens(b"password\n"), Err(BreachedListError::Form)));
        assert!(matches!(opens(b""), Err(BreachedListError::Form)));
        let backwards = format!("{high}\n{low}\n").into_bytes();
        assert!(matches!(opens(&backwards), Err(BreachedListError::Unsorted)));
        let mixed = format!("{low}\n{}\n", "f".repeat(64)).into_bytes();
        assert!(matches!(opens(&mixed), Err(BreachedListError::Io(_))));
        let endless = format!("{low}:{}\n", "1".repeat(500)).into_bytes();
        assert!(opens(&endless).is_err());
    }

    proptest! {
        #[test]
        fn everything_in_a_list_is_found_and_nothing_else(
            passwords in proptest::collection::btree_set("[a-z]{1,6}", 1..60), other in "[A-Z]{1,6}", sha256: bool, counted: bool, last: bool,
        ) {
            let passwords: Vec<_> = passwords.into_iter().collect();
            let algorithm = if sha256 { &digest::SHA256 } else { &digest::SHA1_FOR_LEGACY_USE_ONLY };
            let mut list = list(&passwords, algorithm, |at, hash| match counted {
                true => format!("{}:{}\r\n", hash.to_uppercase(), at * 7919),
                false => format!("{hash}\n"),
            });
            if last {
                list.pop();
            }
            prop_assert!(opens(&list).is_ok());
            for password in &passwords {
                prop_assert!(contains(&list, password).unwrap(), "{}", password);
            }
            prop_assert!(!contains(&list, &other).unwrap());
        }

        #[test]
        fn r31_no_bytes_panic(bytes: Vec<u8>, password: String) {
            let _ = opens(&bytes);
            let _ = contains(&bytes, &password);
        }
    }
}
