//! The profiles file is somebody's own: what a person wrote stays, what cannot be understood is told by line and never shown.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says what it expects.

use super::*;
use crate::profile::{Authentication, LoginMethod};

const WRITTEN: &str = "\
# mine
default = \"work\" # the one at work
store = \"file\"

[profiles.work] # since May
issuer = \"https://as.example\" # the old one
client_id = \"my-tool\"
scope = \"read\"

[profiles.home]
provider = \"github\"
client_id = \"abc\"
";

fn file_with(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profiles.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn read(path: &Path) -> ProfilesFile {
    ProfilesFile::read(Some(path)).unwrap()
}

#[test]
fn saving_a_profile_leaves_everything_else_as_it_was_written() {
    let (_folder, path) = file_with(WRITTEN);
    let mut file = read(&path);
    let mut work = file.get("work").unwrap().clone();
    work.issuer = Some("https://new.example".to_owned());
    work.scope = None;
    work.dpop = true;
    file.save("work", &work).unwrap();

    let text = fs::read_to_string(&path).unwrap();
    let expected = WRITTEN
        .replace("\"https://as.example\"", "\"https://new.example\"")
        .replace("scope = \"read\"\n", "dpop = true\n");
    assert_eq!(text, expected);
    assert_eq!(read(&path).get("work"), Some(&work));
}

#[test]
fn a_first_profile_makes_the_file_and_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/profiles.toml");
    let profile = Profile {
        issuer: Some("https://as.example".to_owned()),
        client_id: Some("my-tool".to_owned()),
        resource: vec!["https://api.example".to_owned()],
        login: Some(LoginMethod::ClientCredentials),
        authentication: Some(Authentication::ClientSecretBasic),
        provider_values: [("tenant".to_owned(), "acme".to_owned())].into(),
        ..Profile::default()
    };
    let mut file = read(&path);
    file.save("my.tool@work", &profile).unwrap();
    assert_eq!(read(&path).get("my.tool@work"), Some(&profile));
    assert_eq!(read(&path).choose(None).unwrap().0, "my.tool@work");
    file.remove("my.tool@work").unwrap();
    assert_eq!(read(&path).iter().count(), 0);
}

#[test]
fn two_who_save_at_once_lose_nothing() {
    let (_folder, path) = file_with(WRITTEN);
    std::thread::scope(|scope| {
        for number in 0..16 {
            let path = &path;
            scope.spawn(move || {
                let client_id = Some(format!("client-{number}"));
                let profile = Profile { client_id, ..Profile::default() };
                read(path).save(&format!("profile-{number}"), &profile).unwrap();
            });
        }
    });
    let file = read(&path);
    assert_eq!(file.iter().count(), 18);
    assert!((0..16).all(|number| file.get(&format!("profile-{number}")).is_some()));
}

#[cfg(unix)]
#[test]
fn a_link_to_the_file_stays_a_link() {
    let (folder, path) = file_with(WRITTEN);
    let link = folder.path().join("link.toml");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    read(&link).remove("home").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(read(&path).get("home").is_none());
}

#[cfg(unix)]
#[test]
fn the_file_keeps_its_permissions_and_a_new_one_is_private() {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (folder, path) = file_with(WRITTEN);
    for own in [0o600, 0o640] {
        fs::set_permissions(&path, fs::Permissions::from_mode(own)).unwrap();
        read(&path).save("new", &Profile::default()).unwrap();
        assert_eq!(mode(&path), own);
    }
    let path = folder.path().join("new/profiles.toml");
    read(&path).save("new", &Profile::default()).unwrap();
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(mode(&folder.path().join("new/profiles.toml.lock")), 0o600);
    let left: Vec<_> = fs::read_dir(folder.path().join("new")).unwrap().collect();
    assert_eq!(left.len(), 2, "the file and its lock: {left:?}");
}

#[test]
fn whether_it_can_be_saved_is_told_beforehand() {
    let (folder, path) = file_with(WRITTEN);
    read(&path).check_writable().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), WRITTEN);
    let no_folder = folder.path().join("profiles.toml/below.toml");
    let file = ProfilesFile { path: no_folder, content: Content::default() };
    assert!(file.check_writable().unwrap_err().what.ends_with("cannot be written"));
}

#[test]
fn whoever_holds_the_lock_for_long_is_not_waited_for() {
    let (folder, path) = file_with(WRITTEN);
    let lock = fs::File::create(folder.path().join("profiles.toml.lock")).unwrap();
    lock.lock().unwrap();
    let failure = read(&path).save("new", &Profile::default()).unwrap_err();
    assert!(failure.why.unwrap().contains("another program"));
    assert_eq!(fs::read_to_string(&path).unwrap(), WRITTEN);
}

#[test]
fn what_cannot_be_understood_is_told_by_its_line_and_not_shown() {
    for (text, line, expected) in [
        ("[profiles.work]\nissuer = 5\n", 2, "invalid type"),
        ("[profiles.work]\nisuer = \"https://as.example\"\n", 2, "a profile has no key `isuer`"),
        ("store = \"paper\"\n", 1, "unknown value, expected one of `auto`"),
        ("[profiles.work]\ndpop = \"yes, \\\"please\\\"\"\n", 2, "invalid type: string, expected a boolean"),
        ("\n\n[profiles.work\n", 3, ""),
    ] {
        let (_folder, path) = file_with(text);
        let failure = ProfilesFile::read(Some(&path)).unwrap_err();
        assert!(
            failure.what.contains(&format!("profiles.toml, line {line} cannot be understood")),
            "{failure:?}"
        );
        assert!(failure.why.as_deref().unwrap().contains(expected), "{failure:?}");
        assert_eq!(failure.exit, crate::exit::Exit::Usage);
    }
}

#[test]
fn a_key_that_nobody_knows_is_compared_with_those_that_there_are() {
    for (text, why, help) in [
        ("[profiles.a]\nclientid = \"x\"\n", "a profile has no key `clientid`", "did you mean `client_id`? "),
        (
            "[profiles.a]\nclient-id = \"x\"\n",
            "a profile has no key `client-id`",
            "did you mean `client_id`? ",
        ),
        ("[profile.a]\nclient_id = \"x\"\n", "the file has no key `profile`", "did you mean `profiles`? "),
        ("[profiles.a]\ncolour = true\n", "a profile has no key `colour`", "mend that line; "),
        (
            "[profiles.a]\nlogin = \"brwser\"\n",
            "`login`: unknown value, expected one of `browser`",
            "mend that line; ",
        ),
        (
            "[profiles.a]\nissuer = 5\n",
            "`issuer`: invalid type: integer, expected a string",
            "mend that line; ",
        ),
        ("[profiles.a]\napis = [\n  5,\n]\n", "invalid type: integer", "mend the file there"),
        ("[profiles.\"a b\"]\n", "\"a b\" cannot name a profile", "give that profile another name"),
    ] {
        let (_folder, path) = file_with(text);
        let failure = ProfilesFile::read(Some(&path)).unwrap_err();
        assert!(failure.why.as_deref().unwrap().starts_with(why), "{failure:?}");
        let said = failure.help.as_deref().unwrap();
        assert!(said.starts_with(help), "{failure:?}");
        assert_eq!(said.contains("`jeton man login`"), help.ends_with(' '), "{failure:?}");
        assert!(failure.why.unwrap().len() < 200, "no list of thirty keys");
    }
}

#[test]
fn what_cannot_be_a_name_is_told_so_and_shortened() {
    let (_folder, path) = file_with(WRITTEN);
    let long = "x".repeat(20_000);
    for name in ["ünï", "a b", long.as_str()] {
        let failure = read(&path).choose(Some(name)).unwrap_err();
        assert!(failure.why.as_deref().unwrap().starts_with("a name is 1 to 64 letters"), "{failure:?}");
        assert!(failure.to_text(80).len() < 500 && !failure.help.unwrap().contains(name), "{name}");
    }
}

#[test]
fn a_client_secret_in_the_file_is_refused_and_never_shown() {
    let (_folder, path) =
        file_with("[profiles.work]\nclient_id = \"a\"\nclient_secret = \"m4rk3r s3cr3t\"\n");
    let failure = ProfilesFile::read(Some(&path)).unwrap_err();
    assert!(failure.what.contains("line 3"), "{failure:?}");
    assert!(failure.why.as_deref().unwrap().contains("in the store"), "{failure:?}");
    assert!(!format!("{failure:?}{}{}", failure.to_text(80), failure.to_json()).contains("m4rk3r"));
    // Nor is one under another key.
    for line in [
        "dpop = \"m4rk3r\"",
        "redirect_path = 4711",
        "redirect_port = 471147114711",
        "authentication = \"m4rk3r\"",
        "store = \"m4rk3r`, expected one of `x\"",
        "redirect_port = \"m4rk3r\\\", expected x\"",
    ] {
        let (_folder, path) = file_with(&format!("[profiles.work]\n{line}\n"));
        let failure = ProfilesFile::read(Some(&path)).unwrap_err();
        assert!(!failure.to_text(80).contains("m4rk3r"), "{failure:?}");
        assert!(!failure.why.unwrap().contains("4711"), "{line}");
    }
    // Nor is what stands before the sign of a value that is none.
    for text in [
        "[profiles.work]\nclient_id = \"\nmarker = \"x\"\n",
        "[profiles.work]\napis = [\"marker = ",
        "marker ==\n",
    ] {
        let (_folder, path) = file_with(text);
        let failure = ProfilesFile::read(Some(&path)).unwrap_err();
        assert!(!failure.to_text(80).contains("marker"), "{failure:?}");
    }
    // Nor is it when the file is no TOML at that very place.
    let (_folder, path) = file_with("[profiles.work]\nclient_secret = \"m4rk3r\ns3cr3t\"\n");
    let failure = ProfilesFile::read(Some(&path)).unwrap_err();
    assert!(!failure.to_text(80).contains("m4rk3r"), "{failure:?}");
}

#[test]
fn a_file_that_somebody_broke_is_not_written_over() {
    let (_folder, path) = file_with(WRITTEN);
    let mut file = read(&path);
    fs::write(&path, "[[[").unwrap();
    file.save("new", &Profile::default()).unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "[[[");
}

#[test]
fn without_a_name_it_is_the_default_one_or_the_only_one() {
    let (_folder, path) = file_with(WRITTEN);
    let file = read(&path);
    assert_eq!(file.choose(None).unwrap().0, "work");
    assert_eq!(file.choose(Some("home")).unwrap().0, "home");
    let failure = file.choose(Some("hom")).unwrap_err();
    assert!(failure.why.unwrap().ends_with("has: home, work"));

    let (_folder, path) = file_with(&WRITTEN.replace("default = \"work\"", ""));
    let failure = read(&path).choose(None).unwrap_err();
    assert!(failure.why.unwrap().contains("home, work"));

    let folder = tempfile::tempdir().unwrap();
    let failure = read(&folder.path().join("none.toml")).choose(None).unwrap_err();
    assert!(failure.help.unwrap().starts_with("jeton login"));
}

#[test]
fn names_are_such_as_can_be_typed() {
    for good in ["work", "a", "my.tool@work-2", "A_b"] {
        check_name(good).unwrap();
    }
    let long = "a".repeat(65);
    for bad in ["", "-work", ".work", "a b", "a/b", "wörk", "a\n", long.as_str()] {
        check_name(bad).unwrap_err();
    }
    let (_folder, path) = file_with("[profiles.\"a b\"]\nclient_id = \"x\"\n");
    ProfilesFile::read(Some(&path)).unwrap_err();
}

#[test]
fn default_and_store_are_set_and_all_else_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profiles.toml");
    let before = "# mine\ndefault = \"a\" # this one\n\n[profiles.a]\nissuer = \"https://as.example\"\n";
    fs::write(&path, before).unwrap();
    let mut file = ProfilesFile::read(Some(&path)).unwrap();
    file.set_default("b").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), before.replace("\"a\"", "\"b\""));
    file.set_store(StoreSetting::Sealed).unwrap();
    let again = ProfilesFile::read(Some(&path)).unwrap();
    assert_eq!((again.default_name(), again.store()), (Some("b"), Some(StoreSetting::Sealed)));
    assert!(again.get("a").is_some() && fs::read_to_string(&path).unwrap().contains("# this one"));
}
