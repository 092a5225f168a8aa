//! The C programs of `ffi/tests/c`, against a server of their own: with two compilers, with the shared and the static library,
//! under valgrind, with sanitizers, and with a panic inside of every function.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::{Cmd, is_installed};
use crate::outcome::Stop;
use crate::project::Project;

use super::c_abi::{Library, STATIC_NEEDS, WARNINGS, installed};
use super::c_sweep;
use super::test_server;

/// Each is a program with lab.c beside it.
const PROGRAMS: &[&str] = &["sweep", "handles", "callbacks", "store", "threads"];
/// Whoever hangs is told of, not waited for.
const LIMIT: Duration = Duration::from_secs(300);

/// One way to build the programs.
struct Build<'a> {
    name: &'static str,
    compiler: &'a str,
    flags: &'static [&'static str],
    linking: Linking,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Linking {
    Shared,
    Static,
}

/// What the programs are built of and run with.
struct Bench<'a> {
    project: &'a Project,
    library: Library,
    server: String,
    swept: PathBuf,
}

impl<'a> Bench<'a> {
    fn new(project: &'a Project) -> Result<Self, Stop> {
        if !cfg!(unix) {
            return Err(Stop::Skipped(
                "the C programs are built on Unix only: they use its threads".to_owned(),
            ));
        }
        let swept = project.scratch("c")?.join("swept.inc");
        std::fs::write(&swept, c_sweep::source(&project.read("include/jeton.h")?)?)
            .map_err(|error| Stop::failed(format!("cannot write {}: {error}", swept.display())))?;
        Ok(Self { project, library: Library::build(project)?, server: test_server::build(project)?, swept })
    }

    /// Builds a program and gives its path.
    fn build(&self, build: &Build<'_>, program: &str, folder: &Path) -> Result<String, Stop> {
        let output = folder.join(format!("{program}-{}", build.name)).display().to_string();
        let cmd = self.project.cmd(build.compiler).args(["-std=c11", "-g1", "-pthread"]);
        let cmd = cmd.args(WARNINGS.iter().chain(build.flags).copied()).arg("-Iinclude");
        let cmd = cmd.arg(format!("-DSWEPT_FILE=\"{}\"", self.swept.display()));
        let cmd = cmd.args([format!("ffi/tests/c/{program}.c"), "ffi/tests/c/lab.c".to_owned()]);
        self.linked(cmd, build.linking).args(["-o", &output]).run()?;
        Ok(output)
    }

    fn linked(&self, cmd: Cmd, linking: Linking) -> Cmd {
        match linking {
            Linking::Shared => {
                let folder = self.library.folder();
                cmd.args([format!("-L{folder}"), "-ljeton".to_owned(), format!("-Wl,-rpath,{folder}")])
            }
            Linking::Static => {
                cmd.arg(self.library.archive.display().to_string()).args(STATIC_NEEDS.iter().copied())
            }
        }
    }

    fn run(&self, cmd: Cmd, short: bool) -> Result<(), Stop> {
        let cmd = cmd.env("JETON_TEST_SERVER", self.server.clone());
        if short { cmd.env("JETON_LAB_SHORT", "1") } else { cmd }.limit(LIMIT).run()
    }

    /// Builds and runs all programs, and removes them.
    fn try_all(&self, build: &Build<'_>, short: bool) -> Result<(), Stop> {
        let folder = self.project.scratch(&format!("c/{}", build.name))?;
        for program in PROGRAMS {
            let program = self.build(build, program, &folder)?;
            self.run(self.project.cmd(&program), short)?;
            remove_file(&program);
        }
        Ok(())
    }
}

/// The linkers of other systems name what a static library needs in other ways.
fn linkings() -> &'static [Linking] {
    if cfg!(target_os = "linux") { &[Linking::Shared, Linking::Static] } else { &[Linking::Shared] }
}

/// Two compilers and two ways to link, each at least once.
pub(crate) fn test(project: &Project) -> Result<(), Stop> {
    let compilers = installed(&["gcc", "clang"])?;
    let bench = Bench::new(project)?;
    for (at, linking) in linkings().iter().enumerate() {
        let compiler = compilers[at % compilers.len()];
        let name = if *linking == Linking::Shared { "shared" } else { "static" };
        bench.try_all(&Build { name, compiler, flags: &["-O1"], linking: *linking }, false)?;
    }
    Ok(())
}

/// No access that is not one, and nothing lost: neither handles nor what the library made behind them.
pub(crate) fn valgrind(project: &Project) -> Result<(), Stop> {
    if !is_installed("valgrind", "--version") {
        return Err(Stop::without("valgrind", "its package (Debian: valgrind)"));
    }
    let compiler = installed(&["gcc", "clang"])?[0];
    let bench = Bench::new(project)?;
    let folder = project.scratch("c/valgrind")?;
    let build = Build { name: "valgrind", compiler, flags: &["-O1"], linking: Linking::Shared };
    for program in PROGRAMS {
        let program = bench.build(&build, program, &folder)?;
        let cmd = project.cmd("valgrind").args([
            "--quiet",
            "--error-exitcode=9",
            "--leak-check=full",
            "--show-leak-kinds=definite,indirect",
            "--errors-for-leak-kinds=definite,indirect",
            // One thread after the other is all that valgrind can do; without this, the others may starve.
            "--fair-sched=try",
        ]);
        bench.run(cmd.arg(&program), true)?;
        remove_file(&program);
    }
    Ok(())
}

/// The programs are instrumented, the library is not: what they read and write across the border is watched, what is allocated
/// on either side is counted.
pub(crate) fn sanitizers(project: &Project) -> Result<(), Stop> {
    const FLAGS: &[&str] =
        &["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"];
    let compilers = installed(&["gcc", "clang"])?;
    let compilers: Vec<_> =
        compilers.into_iter().filter(|compiler| has_runtime(project, compiler, FLAGS)).collect();
    if compilers.is_empty() {
        return Err(Stop::without("runtime for sanitizers", "libasan, or libclang-rt-dev for clang"));
    }
    let bench = Bench::new(project)?;
    for compiler in compilers {
        // The static library with clang, whose runtime is static too.
        let linking = if compiler == "clang" { linkings()[linkings().len() - 1] } else { Linking::Shared };
        let name = if compiler == "clang" { "sanitized-clang" } else { "sanitized-gcc" };
        bench.try_all(&Build { name, compiler, flags: FLAGS, linking }, true)?;
    }
    Ok(())
}

fn has_runtime(project: &Project, compiler: &str, flags: &[&str]) -> bool {
    let Ok(folder) = project.scratch("c") else { return false };
    let (source, program) = (folder.join("runtime.c"), folder.join("runtime"));
    let written = std::fs::write(&source, "int main(void) { return 0; }\n").is_ok();
    let cmd = project.cmd(compiler).args(flags.iter().copied()).arg(source.display().to_string());
    let built = written && cmd.args(["-o", &program.display().to_string()]).output().is_ok();
    remove_file(&program.display().to_string());
    if !built {
        println!("{compiler} has no runtime for sanitizers here");
    }
    built
}

/// A panic inside of each function, in a library that is built to have them.
pub(crate) fn panics(project: &Project) -> Result<(), Stop> {
    let compiler = installed(&["gcc", "clang"])?[0];
    let bench = Bench::new(project)?;
    // No other copy of the dependencies: the same target folder, and the ordinary library is made again afterwards.
    let folder = project.scratch("c/panics")?;
    let cmd = project.cargo().args(["rustc", "-p", "jeton-ffi", "--lib", "--crate-type", "cdylib"]);
    cmd.args(["--features", "panic-tests"]).run()?;
    let name = bench.library.shared.file_name().unwrap_or_default();
    let library = folder.join(name);
    std::fs::copy(&bench.library.shared, &library)
        .map_err(|error| Stop::failed(format!("cannot copy the library: {error}")))?;
    let tried = (|| {
        let program = folder.join("sweep").display().to_string();
        let cmd = project.cmd(compiler).args(["-std=c11", "-g1", "-pthread", "-DSWEEP_PANICS", "-Iinclude"]);
        let cmd = cmd.args(WARNINGS.iter().copied());
        let cmd = cmd.arg(format!("-DSWEPT_FILE=\"{}\"", bench.swept.display()));
        let cmd = cmd.args(["ffi/tests/c/sweep.c", "ffi/tests/c/lab.c"]).arg(library.display().to_string());
        cmd.args([format!("-Wl,-rpath,{}", folder.display()), "-o".to_owned(), program.clone()]).run()?;
        bench.run(project.cmd(&program).env("RUST_BACKTRACE", "0"), true)
    })();
    drop(std::fs::remove_dir_all(&folder));
    Library::build(project)?;
    tried
}

/// What cannot be removed takes room, no more.
fn remove_file(path: &str) {
    drop(std::fs::remove_file(path));
}
