//! House rules that no compiler checks: where `unsafe` may stand, nothing unfinished, nothing of the machine
//! that a file was written on, a few lines at the head of each file that say what it is for.

use crate::command::is_installed;
use crate::outcome::Stop;
use crate::project::Project;

/// ARCHITECTURE.md is for reading in one sitting.
const ARCHITECTURE_LINES: usize = 200;

pub(crate) fn scan(project: &Project) -> Result<(), Stop> {
    if !is_installed("git", "--version") {
        return Err(Stop::without("git", "git"));
    }
    let files =
        project.cmd("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).output()?;
    let places = places_of_this_machine(project);
    let (mut scanned, mut found) = (0, Vec::new());
    for path in files.split('\0').filter(|path| !path.is_empty()) {
        // Deleted and not yet committed, or not text: nothing to read.
        let Ok(text) = std::fs::read_to_string(project.root.join(path)) else { continue };
        scanned += 1;
        found.extend(findings(path, &text, &places));
    }
    let crates = project.metadata.crates().filter(|package| !package.folder.join("README.md").is_file());
    found.extend(crates.map(|package| format!("{}: has no README.md", package.name)));
    println!("{scanned} files");
    if found.is_empty() { Ok(()) } else { Err(Stop::Failed(found.join("\n"))) }
}

/// Where this machine keeps the project and its user's files.
fn places_of_this_machine(project: &Project) -> Vec<String> {
    let mut places = vec![project.root.display().to_string()];
    places
        .extend(std::env::home_dir().map(|home| format!("{}{}", home.display(), std::path::MAIN_SEPARATOR)));
    // A root as short as `/` would be found everywhere.
    places.retain(|place| place.len() > 3);
    places
}

fn findings(path: &str, text: &str, places: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut find = |line: usize, what: &str| found.push(format!("{path}:{line}: {what}"));
    if path.ends_with(".rs") {
        if !text.trim_start_matches('\u{feff}').starts_with("//!") {
            find(1, "opens without `//!` lines that say what the file is for");
        }
        for (number, line) in code_only(text).lines().enumerate() {
            if words(line).any(|word| word == "unsafe") && !path.starts_with("ffi/") {
                find(number + 1, "`unsafe` outside of ffi");
            }
            for unfinished in ["todo!", "unimplemented!"] {
                if line.contains(unfinished) {
                    find(number + 1, unfinished);
                }
            }
        }
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(place) = places.iter().find(|place| line.contains(place.as_str())) {
            find(number + 1, &format!("names a place of one machine, {place}"));
        }
        if let Some(host) = registry_hosts().into_iter().find(|host| line.contains(host)) {
            find(number + 1, &format!("names a package registry's host, {host}"));
        }
        if path.ends_with("package-lock.json") && line.contains("\"resolved\"") {
            find(
                number + 1,
                "tells where a package was downloaded; npm's omit-lockfile-registry-resolved keeps that out",
            );
        }
    }
    if path == "ARCHITECTURE.md" && text.lines().count() >= ARCHITECTURE_LINES {
        find(ARCHITECTURE_LINES, "has 200 lines or more");
    }
    found
}

/// In pieces, so that this file does not name them itself.
fn registry_hosts() -> Vec<String> {
    let hosts = [
        ["index", "crates.io"],
        ["static", "crates.io"],
        ["registry", "npmjs.org"],
        ["registry", "yarnpkg.com"],
        ["pypi", "org/simple"],
        ["files", "pythonhosted.org"],
        ["proxy", "golang.org"],
        ["deb", "debian.org"],
        ["repo1", "maven.org"],
    ];
    hosts.iter().map(|pieces| pieces.join(".")).collect()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// Rust source with comments, strings and characters blanked; the lines stay where they are.
fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let hidden = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            string(rest)
        } else if let Some(length) = raw_string(rest) {
            // A name that ends in `r` cannot stand before a quote in code that compiles.
            length
        } else if first == '\'' {
            character(rest)
        } else {
            0
        };
        let (blanked, shown) = match hidden {
            0 => ("", first.len_utf8()),
            _ => (&rest[..hidden], hidden),
        };
        match hidden {
            0 => code.push(first),
            _ => code.extend(blanked.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
        }
        rest = &rest[shown..];
    }
    code
}

/// The length of the block comment, which may hold others, at the start of `text`.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - body.len();
    Some(body.find(&end).map_or(text.len(), |at| start + at + end.len()))
}

/// The length of a character literal; 0 for a lifetime, which begins the same way.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            // Skips what is escaped, which may be a quote.
            chars.next();
            chars.find(|(_, c)| *c == '\'').map_or(text.len(), |(at, _)| at + 1)
        }
        Some(_) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_no_code() {
        let source = "a /* b /* c */ d */ e // f\n\"g \\\" h\" i r#\"j \" k\"# l b\"m\" '\"' n '\\'' o <'p> \"q\nr\" s";
        let code = code_only(source);
        let seen: Vec<_> = words(&code).filter(|word| !word.is_empty()).collect();
        assert_eq!(seen, ["a", "e", "i", "l", "b", "n", "o", "p", "s"]);
        assert_eq!(code.lines().count(), source.lines().count());
    }

    #[test]
    fn each_rule_is_found_with_its_line() {
        let source = "//! What for.\nfn f() { unsafe { g() } }\nfn h() { todo!() }\n// unsafe in a comment\n";
        assert_eq!(
            findings("crates/x/src/lib.rs", source, &[]),
            ["crates/x/src/lib.rs:2: `unsafe` outside of ffi", "crates/x/src/lib.rs:3: todo!"]
        );
        assert_eq!(findings("ffi/src/lib.rs", source, &[]), ["ffi/src/lib.rs:3: todo!"]);
        assert!(findings("x.rs", "//! What for.\n#![deny(unsafe_code)]\n", &[]).is_empty());
        assert_eq!(findings("x.rs", "use a;\n", &[]).len(), 1);
    }

    #[test]
    fn nothing_of_one_machine() {
        let places = ["/home/somebody/".to_owned()];
        assert_eq!(findings("README.md", "ok\ncd /home/somebody/jeton\n", &places).len(), 1);
        let host = registry_hosts().remove(0);
        assert_eq!(findings("README.md", &format!("see https://{host}/x"), &[]).len(), 1);
        assert_eq!(findings("tests/package-lock.json", "  \"resolved\": \"\"\n", &[]).len(), 1);
        assert!(
            findings("Cargo.lock", "registry+https://github.com/rust-lang/crates.io-index", &[]).is_empty()
        );
    }

    #[test]
    fn architecture_stays_short() {
        assert!(findings("ARCHITECTURE.md", &"line\n".repeat(199), &[]).is_empty());
        assert_eq!(findings("ARCHITECTURE.md", &"line\n".repeat(200), &[]).len(), 1);
    }
}
