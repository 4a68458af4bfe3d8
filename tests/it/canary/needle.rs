//! A canary: random letters that stand nowhere else, looked for as they are and in every form that a log or a dump may give them.

use std::collections::HashMap;

use aether_vault::crypto::random::bytes;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Needle {
    /// What it was, for whoever has to find the leak.
    pub label: String,
    bytes: Vec<u8>,
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Needle {
    /// A new canary: 24 letters and digits.
    pub fn new(label: &str) -> Self {
        let random: [u8; 24] = bytes();
        let alphabet = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        let text: Vec<u8> = random
            .iter()
            .map(|byte| alphabet[usize::from(*byte) % alphabet.len()])
            .collect();
        Self::of(label, text)
    }

    /// A secret that exists already.
    pub fn of(label: &str, secret: impl Into<Vec<u8>>) -> Self {
        let bytes = secret.into();
        assert!(bytes.len() >= 16, "{label} is too short to be told from chance");
        let forms = forms(&bytes);
        Self {
            label: label.to_owned(),
            bytes,
            forms,
        }
    }

    /// The canary.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }
}

/// A needle in one encoding: the encoding's name, and the bytes.
type Form<'a> = &'a (&'static str, Vec<u8>);

/// All needles in all forms, to be looked for in one pass.
pub struct Finder<'a> {
    by_start: HashMap<[u8; START], Vec<(&'a Needle, Form<'a>)>>,
    /// Whether a form begins with these two bytes: almost every place is passed over by this alone.
    begins: Vec<bool>,
}

/// Bytes by which forms are told apart; each has more.
const START: usize = 8;

impl<'a> Finder<'a> {
    pub fn new(needles: impl IntoIterator<Item = &'a Needle>) -> Self {
        let mut finder = Self {
            by_start: HashMap::new(),
            begins: vec![false; 1 << 16],
        };
        for needle in needles {
            for form in &needle.forms {
                let start: [u8; START] = form.1[..START].try_into().unwrap();
                finder.begins[pair(&start)] = true;
                finder.by_start.entry(start).or_default().push((needle, form));
            }
        }
        finder
    }

    /// Every needle in `place`, with the form in which it stands there first and what stands around it.
    pub fn find(&self, place: &[u8]) -> Vec<(&'a Needle, String)> {
        let mut found: Vec<(&Needle, String)> = Vec::new();
        for (at, window) in place.windows(START).enumerate() {
            if !self.begins[pair(window)] {
                continue;
            }
            for (needle, (form, bytes)) in self.by_start.get(window).into_iter().flatten() {
                if place[at..].starts_with(bytes) && !found.iter().any(|(known, _)| std::ptr::eq(*known, *needle)) {
                    let around = &place[at.saturating_sub(80)..place.len().min(at + bytes.len() + 40)];
                    found.push((
                        needle,
                        format!("{form}: …{}…", String::from_utf8_lossy(around).escape_debug()),
                    ));
                }
            }
        }
        found
    }
}

fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

fn forms(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let percent = |upper: bool| -> Vec<u8> {
        text.iter()
            .flat_map(|byte| {
                if upper {
                    format!("%{byte:02X}")
                } else {
                    format!("%{byte:02x}")
                }
                .into_bytes()
            })
            .collect()
    };
    let mut forms = vec![
        ("raw", text.to_vec()),
        ("hex", hex::encode(text).into_bytes()),
        ("upper-case hex", hex::encode_upper(text).into_bytes()),
        ("URL-encoded", percent(true)),
        ("lower-case URL-encoded", percent(false)),
    ];
    // Base64 depends on where the text begins in what was encoded; what its neighbours decide is left out.
    for shift in 0..3 {
        let shifted = [vec![0; shift], text.to_vec()].concat();
        let whole = shifted.len() / 3 * 4;
        let skipped = if shift == 0 { 0 } else { 4 };
        forms.push((
            "base64",
            STANDARD_NO_PAD.encode(&shifted).into_bytes()[skipped..whole].to_vec(),
        ));
        forms.push((
            "URL-safe base64",
            URL_SAFE_NO_PAD.encode(&shifted).into_bytes()[skipped..whole].to_vec(),
        ));
    }
    forms
}

#[test]
fn a_needle_is_found_in_every_form() {
    let needle = Needle::new("test");
    let text = needle.text();
    for hidden in [
        text.to_owned(),
        hex::encode(format!("x{text}")),
        hex::encode_upper(text),
        STANDARD_NO_PAD.encode(text),
        STANDARD_NO_PAD.encode(format!("{{\"k\":\"{text}\"}}")),
        URL_SAFE_NO_PAD.encode(format!("??{text}~")),
        text.bytes().map(|byte| format!("%{byte:02X}")).collect(),
    ] {
        let found = Finder::new([&needle]).find(format!("some {hidden} hay").as_bytes());
        assert_eq!(found.len(), 1, "{hidden}");
    }
    assert!(
        Finder::new([&needle])
            .find(Needle::new("other").text().as_bytes())
            .is_empty()
    );
}
