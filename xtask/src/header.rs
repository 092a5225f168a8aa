//! `cargo xtask header`: generates include/jeton.h from the crate ffi with cbindgen, and tells whether the
//! committed one is still what the sources say.

use crate::outcome::Stop;
use crate::project::Project;

const PATH: &str = "include/jeton.h";

/// Writes the header, if it is not already as it should be.
pub(crate) fn write(project: &Project) -> Result<(), Stop> {
    let fresh = generate(project)?;
    let path = project.root.join(PATH);
    if std::fs::read_to_string(&path).is_ok_and(|committed| committed == fresh) {
        println!("{PATH} is up to date");
        return Ok(());
    }
    std::fs::create_dir_all(project.root.join("include"))
        .and_then(|()| std::fs::write(&path, fresh))
        .map_err(|error| Stop::failed(format!("cannot write {PATH}: {error}")))?;
    println!("{PATH} is written");
    Ok(())
}

/// Fails, with the first lines that differ, unless the committed header is what the sources say.
pub(crate) fn check(project: &Project) -> Result<(), Stop> {
    // A checkout on Windows may have turned the line ends around.
    let committed = project.read(PATH)?.replace("\r\n", "\n");
    let fresh = generate(project)?;
    match first_difference(&committed, &fresh) {
        None => {
            println!("{PATH} is up to date");
            Ok(())
        }
        Some(hint) => Err(Stop::failed(format!(
            "{PATH} is not what the sources in ffi/src say:\n{hint}run `cargo xtask header` and commit the result"
        ))),
    }
}

fn generate(project: &Project) -> Result<String, Stop> {
    let folder = project.root.join("ffi");
    let mut config = cbindgen::Config::from_file(folder.join("cbindgen.toml"))
        .map_err(|error| Stop::failed(format!("ffi/cbindgen.toml: {error}")))?;
    let version = project.metadata.member("jeton-ffi").map(|package| package.version.as_str());
    let macros = version.and_then(version_macros);
    config.after_includes =
        Some(macros.ok_or_else(|| Stop::failed("the crate jeton-ffi has no version of the form X.Y.Z"))?);
    let bindings = cbindgen::Builder::new()
        .with_crate(folder)
        .with_config(config)
        .generate()
        .map_err(|error| Stop::failed(format!("cbindgen: {error}")))?;
    let mut header = Vec::new();
    bindings.write(&mut header);
    let header =
        String::from_utf8(header).map_err(|_| Stop::failed("cbindgen made a header that is not UTF-8"))?;
    let header = finish(&header);
    match first_undocumented(&header) {
        None => Ok(header),
        Some(function) => Err(Stop::failed(format!(
            "the comment of {function} in ffi/src lacks \"Threads:\" or \"Errors:\"; say both"
        ))),
    }
}

/// The first function whose comment does not say which threads may call it and how it fails.
fn first_undocumented(header: &str) -> Option<&str> {
    header.split("\n\n").find_map(|block| {
        let item = block.lines().find(|line| !line.starts_with("//"))?;
        let declaration = item.split_once('(').map(|(declaration, _)| declaration)?;
        let name = declaration.rsplit([' ', '*']).next().filter(|name| name.starts_with("jeton_"))?;
        let is_function = !item.starts_with(['#', '/', ' ']) && !item.starts_with("typedef");
        let is_whole = ["Threads:", "Errors:"].iter().all(|word| block.contains(word));
        (is_function && !is_whole).then_some(name)
    })
}

/// Headings of the groups of the header, each above the item that is first in its group.
const HEADINGS: [(&str, &str); 27] = [
    ("#define JETON_OK", "Statuses: what every function that can fail returns"),
    ("#define JETON_RECOVERY_RETRY", "What to do about an error: jeton_error_recovery"),
    ("#define JETON_NEVER", "Points in time and waits that are not known"),
    ("#define JETON_OPTION_ISSUER", "Options: the authorization server"),
    ("#define JETON_OPTION_CLIENT_ID", "Options: the client"),
    ("#define JETON_OPTION_GRANT", "Options: how a first token is obtained, and for what"),
    ("#define JETON_OPTION_STORE", "Options: where logins are kept"),
    ("#define JETON_OPTION_PROXY", "Options: HTTP"),
    ("#define JETON_OPTION_STRICT", "Options: behaviour"),
    ("#define JETON_AUTHENTICATION_BASIC", "Values of JETON_OPTION_CLIENT_AUTHENTICATION"),
    ("#define JETON_GRANT_AUTHORIZATION_CODE", "Values of JETON_OPTION_GRANT"),
    ("#define JETON_STORE_MEMORY", "Values of JETON_OPTION_STORE"),
    ("#define JETON_REQUEST_AUTHORIZATION", "Kinds of requests: jeton_config_add_parameter"),
    ("#define JETON_EVENT_LOGGED_IN", "Kinds of events"),
    ("#define JETON_LOG_ERROR", "Levels of the log"),
    ("#define JETON_STORE_BUSY", "What try_lock of a store answers"),
    ("const char *jeton_version(", "The library"),
    ("const char *jeton_status_name(", "Errors"),
    ("jeton_cancel *jeton_cancel_new(", "Cancelling blocking calls"),
    ("jeton_config *jeton_config_new(", "Configuration"),
    ("int32_t jeton_client_new(", "Client"),
    ("int32_t jeton_session_for_resource(", "Session: one login"),
    ("const char *jeton_pending_login_url(", "Logins whose redirect the program receives itself"),
    ("const char *jeton_token_access_token(", "Token"),
    ("int32_t jeton_introspection_is_active(", "Introspection (RFC 7662)"),
    ("int32_t jeton_session_request(", "Authenticated requests"),
    ("int32_t jeton_sink_write(", "A store of the program's own"),
];

/// What cbindgen made, as C programmers expect it.
fn finish(header: &str) -> String {
    // A heading that rustdoc wants; to C programmers its text is one more sentence on the argument.
    let header = header.replace("// # Safety\n//\n", "");
    let mut blocks: Vec<String> = Vec::new();
    // Items stand apart by empty lines, each with its comment.
    for block in header.split("\n\n") {
        let item = block.lines().find(|line| !line.starts_with("//")).unwrap_or_default();
        let is_first = |(first, _): &&(&str, &str)| {
            plain(item).strip_prefix(*first).is_some_and(|rest| first.ends_with('(') || rest.starts_with(' '))
        };
        if let Some((_, heading)) = HEADINGS.iter().find(is_first) {
            blocks.push(format!("/* ---- {heading} ---- */"));
        }
        blocks.push(block.lines().map(plain).collect::<Vec<_>>().join("\n"));
    }
    let mut header = blocks.join("\n\n");
    if !header.ends_with('\n') {
        header.push('\n');
    }
    header
}

/// A line without what C programmers do not write: `struct` before a type that has a name of its own, and negative
/// constants without parentheses.
fn plain(line: &str) -> String {
    let defines = line.strip_prefix("#define ").and_then(|rest| rest.split_once(" -"));
    if let Some((name, number)) = defines {
        return format!("#define {name} (-{number})");
    }
    if line.starts_with("typedef ") || line.starts_with("//") {
        return line.to_owned();
    }
    line.replace("struct jeton_", "jeton_")
}

/// The macros that tell which version a header is of; cbindgen does not carry string constants over.
fn version_macros(version: &str) -> Option<String> {
    let numbers: Vec<u32> =
        version.split(['-', '+']).next()?.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    let &[major, minor, patch] = numbers.as_slice() else { return None };
    let number = (major << 16) | (minor << 8) | patch;
    Some(format!(
        "
// The version of this header. The version of the library that is loaded: jeton_version().
#define JETON_VERSION \"{version}\"
#define JETON_VERSION_MAJOR {major}
#define JETON_VERSION_MINOR {minor}
#define JETON_VERSION_PATCH {patch}
// major << 16 | minor << 8 | patch, for comparisons in the preprocessor too.
#define JETON_VERSION_NUMBER {number:#08x}
"
    ))
}

/// The first line that differs, in the manner of a diff, with the line before it; `None` if none does.
fn first_difference(committed: &str, fresh: &str) -> Option<String> {
    if committed == fresh {
        return None;
    }
    let (old, new): (Vec<_>, Vec<_>) = (committed.lines().collect(), fresh.lines().collect());
    let at = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let mut hint = format!("@@ line {} @@\n", at + 1);
    if let Some(before) = at.checked_sub(1).and_then(|before| old.get(before)) {
        hint.push_str(&format!("  {before}\n"));
    }
    for (sign, lines) in [("-", &old), ("+", &new)] {
        match lines.get(at) {
            Some(line) => hint.push_str(&format!("{sign} {line}\n")),
            None => hint.push_str(&format!("{sign} (the file ends here)\n")),
        }
    }
    Some(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_carry_the_version_whole_and_in_parts() {
        let macros = version_macros("1.2.3-rc.1").unwrap();
        for line in [
            "#define JETON_VERSION \"1.2.3-rc.1\"",
            "#define JETON_VERSION_MAJOR 1",
            "#define JETON_VERSION_NUMBER 0x010203",
        ] {
            assert!(macros.lines().any(|found| found == line), "{line} in {macros}");
        }
        assert_eq!(version_macros("1.2"), None);
        assert_eq!(version_macros("one.two.three"), None);
    }

    #[test]
    fn groups_have_headings_and_types_go_by_their_names() {
        let made = "// One.\n#define JETON_OK 0\n\n#define JETON_NEVER -1\n\n// A type.\ntypedef struct jeton_cancel \
                    jeton_cancel;\n\n// Makes one.\n//\n// # Safety\n//\n// Any.\nstruct jeton_cancel \
                    *jeton_cancel_new(void);\n";
        assert_eq!(
            finish(made),
            "/* ---- Statuses: what every function that can fail returns ---- */\n\n// One.\n#define JETON_OK 0\n\n\
             /* ---- Points in time and waits that are not known ---- */\n\n#define JETON_NEVER (-1)\n\n// A type.\n\
             typedef struct jeton_cancel jeton_cancel;\n\n/* ---- Cancelling blocking calls ---- */\n\n// Makes one.\n//\n\
             // Any.\njeton_cancel *jeton_cancel_new(void);\n"
        );
    }

    #[test]
    fn a_function_says_threads_and_errors() {
        let good = "// A.\n//\n// Threads: any. Errors: none.\nint32_t jeton_a(void);\n\n\
                    typedef void (*jeton_b)(void);\n";
        assert_eq!(first_undocumented(good), None);
        let bad = format!(
            "{good}\n// C.\n//\n// Threads: any.\nconst char *jeton_c(const jeton_d *d,\n    int32_t e);\n"
        );
        assert_eq!(first_undocumented(&bad), Some("jeton_c"));
    }

    #[test]
    fn a_difference_is_shown_where_it_begins() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\nc\n", "a\nx\nc\n").unwrap(), "@@ line 2 @@\n  a\n- b\n+ x\n");
        let longer = first_difference("a\n", "a\nb\n").unwrap();
        assert!(longer.contains("- (the file ends here)\n+ b"), "{longer}");
        assert!(first_difference("a\n", "a").is_some(), "a line end at the end of the file counts");
    }
}
