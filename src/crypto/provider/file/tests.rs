use std::os::unix::fs::{PermissionsExt as _, symlink};

use proptest::prelude::*;

use super::*;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

fn open(path: &Path) -> FileKeyProvider {
    FileKeyProvider::open(path).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(path: &Path) -> String {
    match FileKeyProvider::open(path) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string().replace(&path.display().to_string(), "F"),
    }
}

#[test]
fn the_first_key_is_active_and_the_others_are_found() {
    let folder = Folder::new();
    let text = format!("# two keys\n\n  avrk1.00000000000000aa.{KEY}\r\navrk1.00000000000000bb.{KEY}");
    let provider = open(&folder.write("keys", &text, 0o600));
    let (a, b) = ("00000000000000aa".parse().unwrap(), "00000000000000bb".parse().unwrap());
    assert_eq!(provider.active().id(), a);
    assert_eq!(provider.ids(), [a, b]);
    assert_eq!(provider.find(b).map(|key| key.id()), Some(b));
    assert_eq!(provider.find(b).unwrap().bytes().expose()[31], 31);
    assert!(provider.find("00000000000000cc".parse().unwrap()).is_none());
}

#[test]
fn a_generated_file_is_closed_to_others_loads_and_is_never_overwritten() {
    let folder = Folder::new();
    let path = folder.path("keys");
    let id = generate_file(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(open(&path).ids(), [id]);
    let before = std::fs::read(&path).unwrap();
    let error = generate_file(&path).unwrap_err().to_string();
    assert!(error.contains("exists already"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let error = generate_file(&folder.path("no/such/folder")).unwrap_err().to_string();
    assert!(error.contains("cannot be written"), "{error}");
}

#[test]
fn a_file_that_others_can_read_is_refused_with_the_remedy() {
    let folder = Folder::new();
    let text = format!("avrk1.00000000000000aa.{KEY}\n");
    for mode in [0o644, 0o640, 0o440, 0o604, 0o660, 0o601] {
        let refusal = refusal(&folder.write("keys", &text, mode));
        assert!(
            refusal.contains(&format!("(mode {mode:04o}); run 'chmod 600'")),
            "{refusal}"
        );
    }
    for mode in [0o600, 0o400] {
        open(&folder.write("good", &text, mode));
        std::fs::remove_file(folder.path("good")).unwrap();
    }
}

/// As the kubelet lays it out.
fn volume(folder: &Folder, revision: &str, id: &str, mode: u32) {
    std::fs::create_dir(folder.path(revision)).unwrap();
    folder.write(&format!("{revision}/keys"), &format!("avrk1.{id}.{KEY}\n"), mode);
    symlink(revision, folder.path("..tmp")).unwrap();
    std::fs::rename(folder.path("..tmp"), folder.path("..data")).unwrap();
}

#[test]
fn a_mounted_secret_may_be_readable_by_the_pods_group_only() {
    for (mode, accepted) in [
        (0o440, true),
        (0o640, true),
        (0o400, true),
        (0o644, false),
        (0o660, false),
        (0o444, false),
    ] {
        let folder = Folder::new();
        volume(&folder, "..2025_1", "00000000000000aa", mode);
        symlink("..data/keys", folder.path("keys")).unwrap();
        assert_eq!(
            FileKeyProvider::open(&folder.path("keys")).is_ok(),
            accepted,
            "{mode:04o}"
        );
    }
    // Any other link stands for the file behind it.
    let folder = Folder::new();
    let file = folder.write("file", &format!("avrk1.00000000000000aa.{KEY}\n"), 0o640);
    symlink(file, folder.path("keys")).unwrap();
    assert!(FileKeyProvider::open(&folder.path("keys")).is_err());
}

#[test]
fn a_changed_file_is_read_again_and_a_broken_one_changes_nothing() {
    let folder = Folder::new();
    volume(&folder, "..2025_1", "00000000000000aa", 0o440);
    symlink("..data/keys", folder.path("keys")).unwrap();
    let provider = open(&folder.path("keys"));
    assert!(!provider.reload().unwrap());
    volume(&folder, "..2025_2", "00000000000000bb", 0o440);
    assert!(provider.reload().unwrap());
    assert!(!provider.reload().unwrap());
    assert_eq!(provider.ids(), ["00000000000000bb".parse().unwrap()]);
    volume(&folder, "..2025_3", "not an id", 0o440);
    assert!(provider.reload().is_err());
    assert_eq!(provider.ids(), ["00000000000000bb".parse().unwrap()]);
    std::fs::remove_file(folder.path("keys")).unwrap();
    assert!(provider.reload().is_err());
    assert_eq!(provider.active().id(), "00000000000000bb".parse().unwrap());
}

#[test]
fn what_is_no_key_file_is_refused_by_line_and_without_its_content() {
    let folder = Folder::new();
    let good = format!("avrk1.00000000000000aa.{KEY}");
    for (text, why) in [
        (String::new(), "holds no key"),
        ("# only a comment\n\n".into(), "holds no key"),
        (
            format!("{good}\n{good}\n"),
            "line 2: key 00000000000000aa stands in the file twice",
        ),
        (
            format!("# a\n\n{KEY}\n"),
            "line 3: not of the form 'avrk1.<id>.<base64url>'",
        ),
        (format!("avrk2.00000000000000aa.{KEY}"), "line 1: not of the form"),
        (format!("{good}.x"), "line 1: not of the form"),
        (
            format!("avrk1.main.{KEY}"),
            "line 1: the id must be 16 lower-case hex digits",
        ),
        (format!("{good}A"), "line 1: the key must be 32 bytes"),
        (format!("{good}="), "line 1: the key must be 32 bytes"),
        (good[..good.len() - 1].into(), "line 1: the key must be 32 bytes"),
        (good.replace("Hh", "+/"), "line 1: the key must be 32 bytes"),
        ("avrk1.00000000000000aa.".into(), "line 1: the key must be 32 bytes"),
        ("#".repeat(65 << 10), "is larger than 65536 bytes"),
    ] {
        let refusal = refusal(&folder.write("keys", &text, 0o600));
        assert!(refusal.starts_with(&format!("root key file F: {why}")), "{refusal}");
        assert!(!refusal.contains(&KEY[..8]), "{refusal}");
    }
}

#[test]
fn a_missing_file_a_folder_and_a_pipe_are_refused() {
    let folder = Folder::new();
    assert!(refusal(&folder.path("none")).contains("no such file; mount the one that belongs to this database"));
    assert!(refusal(folder.0.path()).ends_with("is not a file"));
    assert!(refusal(Path::new("/dev/null")).ends_with("is not a file"));
}

proptest! {
    #[test]
    fn r31_no_content_panics(text in proptest::collection::vec(any::<u8>(), 0..200), key in "[ -~]{0,60}") {
        let _ = parse(&text);
        let _ = parse(format!("avrk1.00000000000000aa.{key}").as_bytes());
    }
}
