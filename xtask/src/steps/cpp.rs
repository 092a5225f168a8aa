//! `include/jeton.hpp`: compiles everywhere that it promises to, refuses what it promises to, and does what it says.

use std::collections::BTreeSet;

use crate::command::Cmd;
use crate::outcome::Stop;
use crate::project::Project;

use super::c_abi::{Library, WARNINGS, declared_functions, installed, write};
use super::test_server;

const STANDARDS: &[&str] = &["c++17", "c++20", "c++2b"];
/// Beyond what the C header is compiled with.
const STRICTER: &[&str] = &["-Wshadow", "-Wconversion"];
const NO_EXCEPTIONS: &[&str] = &["-fno-exceptions", "-fno-rtti"];
pub(super) const SANITIZERS: &[&str] =
    &["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g1", "-fno-omit-frame-pointer"];

/// Files of the test program.
const TESTS: &[&str] = &[
    "main",
    "callbacks_test",
    "grants_test",
    "mixed_test",
    "requests_test",
    "session_test",
    "standards_test",
    "store_test",
    "values_test",
    "support_new",
];
/// Stands in each program.
const SUPPORT: &str = "support";
/// A part of the test program that is compiled without exceptions.
const UNIT: &str = "nonthrowing_unit";
/// A program without exceptions and RTTI.
const PROGRAM: &str = "no_exceptions";
/// What a compiler has to refuse in refused.cpp; the last one only clang sees.
const REFUSED: std::ops::RangeInclusive<u32> = 1..=8;
const REFUSED_BY_CLANG_ONLY: u32 = 8;

pub(crate) fn test(project: &Project) -> Result<(), Stop> {
    if cfg!(windows) {
        return Err(Stop::Skipped("the C++ tests are built on Linux and macOS only".to_owned()));
    }
    let compilers = installed(&["g++", "clang++"])?;
    if !has_framework(project, compilers[0]) {
        return Err(Stop::without("doctest", "its header (Debian: doctest-dev)"));
    }
    covers_c(project)?;
    header_compiles(project, &compilers)?;
    refusals(project, &compilers)?;
    let library = Library::build(project)?;
    let server = test_server::build(project)?;
    // The library is not instrumented. GCC brings what sanitizers need with it, and clang is one more package.
    let sanitized = Build { name: "sanitized", compiler: compilers[0], standard: "c++17", flags: SANITIZERS };
    let plain =
        Build { name: "plain", compiler: compilers[compilers.len() - 1], standard: "c++20", flags: &[] };
    let mut programs = Vec::new();
    for build in [sanitized, plain] {
        programs.extend(build.programs(project, &library)?);
    }
    let programs: Vec<_> =
        programs.iter().map(|program| project.cmd(program).env("JETON_TEST_SERVER", &server)).collect();
    // They wait for servers most of the time; what one says stays together.
    each(&programs, |cmd| {
        let output = cmd.command().output().map_err(|error| cmd.failed(&error.to_string()))?;
        let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
        println!("$ {}\n{}", cmd.line(), said.trim_end());
        if output.status.success() { Ok(()) } else { Err(cmd.failed(&output.status.to_string())) }
    })?;
    // The next run makes them anew. What cannot be removed takes room, no more.
    drop(std::fs::remove_dir_all(project.scratch("cpp")?));
    Ok(())
}

/// What C can do, C++ can: each function of jeton.h is called in jeton.hpp.
fn covers_c(project: &Project) -> Result<(), Stop> {
    let cpp = project.read("include/jeton.hpp")?;
    let called: BTreeSet<_> = cpp.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let declared = declared_functions(&project.read("include/jeton.h")?);
    let missing: Vec<_> = declared.iter().map(String::as_str).filter(|name| !called.contains(name)).collect();
    if declared.is_empty() || !missing.is_empty() {
        return Err(Stop::failed(format!("include/jeton.hpp has nothing for [{}]", missing.join(", "))));
    }
    Ok(())
}

/// Alone and twice, in each standard, with and without exceptions; and the example in its comment.
fn header_compiles(project: &Project, compilers: &[&str]) -> Result<(), Stop> {
    let folder = project.scratch("cpp")?;
    let example = example(&project.read("include/jeton.hpp")?);
    if !example.contains("int main()") {
        return Err(Stop::failed("include/jeton.hpp does not begin with an example"));
    }
    let twice = write(&folder, "twice.cpp", "#include \"jeton.hpp\"\n#include \"jeton.hpp\"\n")?
        .display()
        .to_string();
    let example = write(&folder, "example.cpp", &example)?.display().to_string();
    let mut commands = Vec::new();
    for (compiler, standard) in compilers.iter().flat_map(|c| STANDARDS.iter().map(move |s| (c, s))) {
        for flags in [&[][..], NO_EXCEPTIONS] {
            let cmd = compile(project, compiler, standard).args(flags.iter().copied());
            commands.push(cmd.args(["-fsyntax-only", &twice]));
        }
    }
    for compiler in compilers {
        commands.push(compile(project, compiler, STANDARDS[0]).args(["-fsyntax-only", &example]));
    }
    all(&commands)
}

/// The program in the comment at a header's top, indented by four.
fn example(header: &str) -> String {
    let comment = header.lines().take_while(|line| line.starts_with("//"));
    comment.filter_map(|line| line.strip_prefix("//     ")).map(|line| format!("{line}\n")).collect()
}

/// Cases that must not compile; the same file without them must.
fn refusals(project: &Project, compilers: &[&str]) -> Result<(), Stop> {
    let case = |compiler: &str, number: u32| {
        let cmd = compile(project, compiler, STANDARDS[0]).arg(format!("-DREFUSED={number}"));
        cmd.args(["-fsyntax-only", "ffi/tests/cpp/refused.cpp"])
    };
    let mut commands = Vec::new();
    for compiler in compilers {
        case(compiler, 0).run()?;
        let seen = |number: &u32| *number != REFUSED_BY_CLANG_ONLY || compiler.contains("clang");
        commands.extend(REFUSED.filter(seen).map(|number| case(compiler, number)));
    }
    each(&commands, |cmd| {
        let output = cmd.command().output().map_err(|error| cmd.failed(&error.to_string()))?;
        if output.status.success() { Err(cmd.failed("it compiles, and must not")) } else { Ok(()) }
    })
}

/// One way to build the test programs.
struct Build<'a> {
    name: &'static str,
    compiler: &'a str,
    standard: &'static str,
    flags: &'static [&'static str],
}

impl Build<'_> {
    /// Builds the test programs, and tells where they are.
    fn programs(&self, project: &Project, library: &Library) -> Result<[String; 2], Stop> {
        let folder = project.scratch(&format!("cpp/{}", self.name))?;
        let object = |name: &str| folder.join(format!("{name}.o")).display().to_string();
        let mut commands: Vec<_> = TESTS
            .iter()
            .chain([&SUPPORT])
            .map(|name| self.compile(project, name, &object(name), &[]))
            .collect();
        // With RTTI: a unit without it, among others, gives the standard library's classes two kinds of tables.
        commands.push(self.compile(project, UNIT, &object(UNIT), &NO_EXCEPTIONS[..1]));
        let without = |name: &str| object(&format!("{name}_without"));
        for name in [PROGRAM, SUPPORT] {
            commands.push(self.compile(project, name, &without(name), NO_EXCEPTIONS));
        }
        all(&commands)?;

        let program = |name: &str| folder.join(name).display().to_string();
        let tests = TESTS.iter().copied().chain([SUPPORT, UNIT]).map(object);
        let programs = [program("tests"), program(PROGRAM)];
        self.link(project, library, tests.collect(), &programs[0])?;
        self.link(project, library, [PROGRAM, SUPPORT].map(without).to_vec(), &programs[1])?;
        Ok(programs)
    }

    fn compile(&self, project: &Project, name: &str, object: &str, more: &[&str]) -> Cmd {
        let cmd = compile(project, self.compiler, self.standard).args(self.flags.iter().copied());
        // Compiles a quarter faster; only a debugger would see a difference.
        let cmd = cmd.arg("-DDOCTEST_CONFIG_SUPER_FAST_ASSERTS");
        cmd.args(more.iter().copied()).args(["-c", &format!("ffi/tests/cpp/{name}.cpp"), "-o", object])
    }

    fn link(
        &self,
        project: &Project,
        library: &Library,
        objects: Vec<String>,
        program: &str,
    ) -> Result<(), Stop> {
        let folder = library.folder();
        let cmd = project.cmd(self.compiler).args(self.flags.iter().copied()).args(objects);
        let cmd = cmd.args([format!("-L{folder}"), "-ljeton".to_owned(), format!("-Wl,-rpath,{folder}")]);
        cmd.args(["-pthread", "-o", program]).run()
    }
}

fn compile(project: &Project, compiler: &str, standard: &str) -> Cmd {
    let cmd = project.cmd(compiler).arg(format!("-std={standard}"));
    cmd.args(WARNINGS.iter().chain(STRICTER).copied()).args(["-Iinclude", "-pthread"])
}

fn all(commands: &[Cmd]) -> Result<(), Stop> {
    each(commands, Cmd::run)
}

/// For commands that do not depend on each other: as many at a time as there are processors.
fn each(commands: &[Cmd], run: impl Fn(&Cmd) -> Result<(), Stop> + Sync) -> Result<(), Stop> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        while let Some(cmd) = commands.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            run(cmd)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| Stop::failed("a thread of xtask panicked")))
            .try_for_each(|ended| ended?)
    })
}

fn has_framework(project: &Project, compiler: &str) -> bool {
    let cmd = project.cmd(compiler).args(["-x", "c++", "-std=c++17", "-fsyntax-only", "-include"]);
    cmd.args(["doctest/doctest.h", "/dev/null"]).output().is_ok()
}
