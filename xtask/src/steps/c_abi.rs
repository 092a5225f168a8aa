//! The C ABI as C, C++ and Go see it: the header compiles, the library exports what it declares, programs run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::is_installed;
use crate::outcome::Stop;
use crate::project::Project;

const C_STANDARDS: &[&str] = &["c99", "c11", "c2x"];
const CPP_STANDARDS: &[&str] = &["c++17", "c++20"];
pub(super) const WARNINGS: &[&str] = &["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// What a Rust static library wants from the system on Linux.
pub(super) const STATIC_NEEDS: &[&str] = &["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"];

/// What the README's programs take for granted.
const IN_C: &str = "#include <stdio.h>
void readme(jeton_config *config, jeton_client *client, jeton_session *session, jeton_token *token, jeton_error *error,
            const uint8_t *secret, size_t secret_length);
void readme(jeton_config *config, jeton_client *client, jeton_session *session, jeton_token *token, jeton_error *error,
            const uint8_t *secret, size_t secret_length)
";
const IN_CPP: &str = "#include <iostream>\nvoid readme();\nvoid readme()\n";

/// The first block of that language in a text in Markdown.
fn snippet_of(markdown: &str, language: &str) -> Option<String> {
    let (_, rest) = markdown.split_once(&format!("\n```{language}\n"))?;
    rest.split_once("\n```").map(|(snippet, _)| format!("{snippet}\n"))
}

/// A whole source file: what the snippet includes, then the rest as the body of a function.
fn in_a_function(snippet: &str, before: &str) -> String {
    let (includes, body): (Vec<_>, Vec<_>) = snippet.lines().partition(|line| line.starts_with("#include"));
    format!("{}\n{before}{{\n{}\n}}\n", includes.join("\n"), body.join("\n"))
}

pub(crate) fn header_compiles(project: &Project) -> Result<(), Stop> {
    let folder = project.scratch("header")?;
    // No compiler must be able to live off an include that came before: the header stands first and alone.
    let alone = write(&folder, "alone.c", "#include \"jeton.h\"\n")?;
    let twice = write(&folder, "twice.c", "#include \"jeton.h\"\n#include \"jeton.h\"\n")?;
    let example = example_of(&project.read("include/jeton.h")?)
        .ok_or_else(|| Stop::failed("include/jeton.h does not begin with an example any more"))?;
    let example = write(&folder, "example.c", &example)?;
    let readme = project.read("README.md")?;
    let snippet = |language: &str, name: &str, before: &str| {
        let snippet = snippet_of(&readme, language)
            .ok_or_else(|| Stop::failed(format!("README.md shows no {language} program any more")))?;
        write(&folder, name, &in_a_function(&snippet, before))
    };
    let in_c = snippet("c", "readme.c", IN_C)?;
    let in_cpp = snippet("cpp", "readme.cpp", IN_CPP)?;
    for (language, compilers, standards) in [
        ("c", installed(&["gcc", "clang"])?, C_STANDARDS),
        ("c++", installed(&["g++", "clang++"])?, CPP_STANDARDS),
    ] {
        for (compiler, standard) in compilers.iter().flat_map(|c| standards.iter().map(move |s| (c, s))) {
            let shown = if language == "c" { vec![&example, &in_c] } else { vec![&in_cpp] };
            for file in [&alone, &twice].into_iter().chain(shown) {
                let cmd =
                    project.cmd(compiler).arg(format!("-std={standard}")).args(WARNINGS.iter().copied());
                cmd.args(["-Iinclude", "-fsyntax-only", "-x", language])
                    .arg(file.display().to_string())
                    .run()?;
            }
        }
    }
    Ok(())
}

/// The program in the comment at the top of the header.
fn example_of(header: &str) -> Option<String> {
    let code = header.lines().skip_while(|line| !line.starts_with(" *     #include"));
    let code = code.take_while(|line| *line == " *" || line.starts_with(" *     "));
    let code: Vec<&str> = code.map(|line| line.strip_prefix(" *     ").unwrap_or_default()).collect();
    code.iter().any(|line| line.starts_with("int main(")).then(|| code.join("\n") + "\n")
}

pub(crate) fn symbols(project: &Project) -> Result<(), Stop> {
    if cfg!(windows) {
        return Err(Stop::Skipped("export tables are read with nm, on Linux and macOS only".to_owned()));
    }
    if !is_installed("nm", "--version") {
        return Err(Stop::without("nm", "binutils"));
    }
    let library = Library::build(project)?.shared;
    let flags: &[&str] = if cfg!(target_vendor = "apple") { &["-gU"] } else { &["-D", "--defined-only"] };
    let cmd = project.cmd("nm").args(flags.iter().copied()).arg(library.display().to_string());
    println!("$ {}", cmd.line());
    let exported = exported_symbols(&cmd.output()?);
    let declared = declared_functions(&project.read("include/jeton.h")?);
    let extra: Vec<_> = exported.difference(&declared).map(String::as_str).collect();
    let missing: Vec<_> = declared.difference(&exported).map(String::as_str).collect();
    if declared.is_empty() || !extra.is_empty() || !missing.is_empty() {
        return Err(cmd.failed(&format!(
            "exported but not declared: [{}]; declared but not exported: [{}]",
            extra.join(", "),
            missing.join(", ")
        )));
    }
    println!("{} symbols: {}", declared.len(), declared.into_iter().collect::<Vec<_>>().join(", "));
    Ok(())
}

pub(crate) fn smoke_c(project: &Project) -> Result<(), Stop> {
    smoke(project, &["gcc", "clang"], "version.c", C_STANDARDS)
}

pub(crate) fn smoke_cpp(project: &Project) -> Result<(), Stop> {
    smoke(project, &["g++", "clang++"], "version.cpp", CPP_STANDARDS)
}

/// Builds a program against the shared library, on Linux against the static one too, and runs it.
fn smoke(project: &Project, compilers: &[&str], source: &str, standards: &[&str]) -> Result<(), Stop> {
    if cfg!(windows) {
        return Err(Stop::Skipped("the smoke programs are built on Linux and macOS only".to_owned()));
    }
    let compilers = installed(compilers)?;
    let library = Library::build(project)?;
    let scratch = project.scratch("smoke")?;
    let folder = library.folder();
    let shared = vec![format!("-L{folder}"), "-ljeton".to_owned(), format!("-Wl,-rpath,{folder}")];
    let mut statically = vec![library.archive.display().to_string()];
    statically.extend(STATIC_NEEDS.iter().copied().map(str::to_owned));
    let links = if cfg!(target_os = "linux") { vec![shared, statically] } else { vec![shared] };
    for (compiler, standard) in compilers.iter().flat_map(|c| standards.iter().map(move |s| (c, s))) {
        for link in &links {
            let program = scratch.join(source.replace('.', "-")).display().to_string();
            let cmd = project.cmd(compiler).arg(format!("-std={standard}")).args(WARNINGS.iter().copied());
            let cmd = cmd.args(["-Iinclude", &format!("ffi/smoke/{source}")]).args(link.iter().cloned());
            cmd.args(["-o", &program]).run()?;
            project.cmd(&program).run()?;
        }
    }
    Ok(())
}

/// The freshly built library, where cargo says that it is.
pub(super) struct Library {
    pub(super) shared: PathBuf,
    pub(super) archive: PathBuf,
}

impl Library {
    pub(super) fn build(project: &Project) -> Result<Self, Stop> {
        let cmd =
            project.cargo().args(["build", "-p", "jeton-ffi", "--message-format=json-render-diagnostics"]);
        println!("$ {}", cmd.line());
        let files = built_files(&cmd.output()?);
        let find = |extensions: &[&str]| {
            let mut found = files.iter().filter(|file| {
                file.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
            });
            found.next().cloned().ok_or_else(|| cmd.failed("cargo names no such library among what it built"))
        };
        Ok(Self { shared: find(&["so", "dylib", "dll"])?, archive: find(&["a", "lib"])? })
    }

    pub(super) fn folder(&self) -> String {
        self.shared.parent().unwrap_or(Path::new(".")).display().to_string()
    }
}

/// The files of the target `jeton` of the crate `jeton-ffi` in cargo's messages.
fn built_files(messages: &str) -> Vec<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = messages.filter(|message| {
        message["reason"] == "compiler-artifact"
            && message["target"]["crate_types"]
                .as_array()
                .is_some_and(|types| types.contains(&"cdylib".into()))
    });
    ours.filter_map(|message| message["filenames"].as_array().cloned())
        .flatten()
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .collect()
}

pub(super) fn installed<'a>(compilers: &[&'a str]) -> Result<Vec<&'a str>, Stop> {
    let found: Vec<_> =
        compilers.iter().copied().filter(|compiler| is_installed(compiler, "--version")).collect();
    match found.is_empty() {
        true => Err(Stop::without(&compilers.join(" or "), "one of them")),
        false => Ok(found),
    }
}

pub(super) fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, Stop> {
    let path = folder.join(name);
    std::fs::write(&path, text)
        .map_err(|error| Stop::failed(format!("cannot write {}: {error}", path.display())))?;
    Ok(path)
}

/// The functions that a header declares: names with our prefix that are followed by a parenthesis, outside
/// of comments and of the preprocessor's lines.
pub(super) fn declared_functions(header: &str) -> BTreeSet<String> {
    let code = header.lines().filter(|line| !line.trim_start().starts_with(['/', '*', '#']));
    let words = code.flat_map(|line| line.split_inclusive('(').filter_map(|part| part.strip_suffix('(')));
    let names = words.filter_map(|part| part.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next());
    names.filter(|name| name.starts_with("jeton_")).map(str::to_owned).collect()
}

/// The names in the output of `nm`. Apple's linker puts an underscore before each.
fn exported_symbols(nm: &str) -> BTreeSet<String> {
    let names = nm.lines().filter_map(|line| line.split_whitespace().nth(2));
    names
        .map(|name| {
            if cfg!(target_vendor = "apple") { name.trim_start_matches('_') } else { name }.to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_read_from_declarations_only() {
        let header = "\
#define JETON_VERSION \"1\"
// see jeton_commented(NULL)
 * jeton_in_block()
const char *jeton_version(void);
int32_t jeton_has_feature(const char *name);
void jeton_set(jeton_client *client, void (*jeton_callback)(void *userdata));
";
        let functions: Vec<_> = declared_functions(header).into_iter().collect();
        assert_eq!(functions, ["jeton_has_feature", "jeton_set", "jeton_version"]);
    }

    #[test]
    fn a_snippet_becomes_a_source_file() {
        let markdown = "text\n```c\n#include <a.h> /* why */\nf();\n```\n```c\nother\n```\n";
        let snippet = snippet_of(markdown, "c").unwrap();
        assert_eq!(
            in_a_function(&snippet, "void g(void)\n"),
            "#include <a.h> /* why */\nvoid g(void)\n{\nf();\n}\n"
        );
        assert_eq!(snippet_of(markdown, "cpp"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn symbols_are_the_third_word() {
        let nm = "0000000000001130 T jeton_version\n0000000000001140 T other\n";
        assert_eq!(exported_symbols(nm).into_iter().collect::<Vec<_>>(), ["jeton_version", "other"]);
    }

    #[test]
    fn the_library_is_where_cargo_says() {
        let messages = r#"{"reason":"compiler-artifact","target":{"crate_types":["lib"]},"filenames":["/t/libserde.rlib"]}
{"reason":"compiler-artifact","target":{"crate_types":["cdylib","staticlib"]},"filenames":["/t/libjeton.so","/t/libjeton.a"]}
{"reason":"build-finished","success":true}"#;
        assert_eq!(built_files(messages), [PathBuf::from("/t/libjeton.so"), PathBuf::from("/t/libjeton.a")]);
    }
}
