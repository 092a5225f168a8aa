//! `cargo xtask dist` as those who install it see it: moved elsewhere, found by pkg-config, by CMake and by Go, and no larger
//! than it should be.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::command::{Cmd, is_installed};
use crate::dist;
use crate::outcome::Stop;
use crate::project::Project;

use super::c_abi::{WARNINGS, installed};
use super::test_server::{self, Server};

/// The shared library, stripped.
const MOST_BYTES: u64 = 7 << 20;
/// What it may ask of the system, on Linux.
const LINKED: &[&str] = &["libc.so", "libm.so", "libgcc_s.so", "ld-linux"];

pub(crate) fn test(project: &Project) -> Result<(), Stop> {
    if !cfg!(target_os = "linux") {
        return Err(Stop::Skipped("what was installed is tried on Linux only".to_owned()));
    }
    for (tool, probe, package) in [
        ("pkg-config", "--version", "pkg-config"),
        ("cmake", "--version", "cmake"),
        ("go", "version", "Go"),
        ("readelf", "--version", "binutils"),
    ] {
        if !is_installed(tool, probe) {
            return Err(Stop::without(tool, package));
        }
    }
    let compiler = installed(&["gcc", "clang"])?[0];
    installed(&["g++", "clang++"])?;

    let folder = project.scratch("consumers")?;
    remove(&folder);
    let moved = folder.join("moved").join("elsewhere");
    let dist = dist::run(project, Some(&text(&folder.join("made"))))?;
    let (shared, archive) = (dist.shared.clone(), dist.archive.clone());
    std::fs::create_dir_all(folder.join("moved"))
        .and_then(|()| std::fs::rename(&dist.prefix, &moved))
        .map_err(|error| Stop::failed(format!("cannot move {}: {error}", dist.prefix.display())))?;
    let now = |path: &Path| moved.join(path.strip_prefix(&dist.prefix).unwrap_or(path));
    let (shared, archive) = (now(&shared), now(&archive));

    linked(project, &shared)?;
    symbols(project, &shared, &["-D", "--defined-only"])?;
    symbols(project, &archive, &["-g", "--defined-only"])?;

    let consumers = Consumers { project, prefix: moved.clone(), folder: folder.clone(), compiler };
    let server = Server::start(project, &test_server::build(project)?, &[])?;
    let arguments = server.members(&["issuer", "service_client", "service_secret", "api"])?;
    let mut programs = consumers.by_pkg_config()?;
    programs.extend(consumers.by_cmake()?);
    programs.extend(consumers.by_go()?);
    for (program, libraries) in &programs {
        consumers.run(program, *libraries, &arguments)?;
    }
    sizes(&shared, &archive, &programs)?;
    remove(&folder);
    Ok(())
}

/// Where a program's library is found when it runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Libraries {
    /// In the prefix.
    Prefix,
    /// In the program itself, or where its build said.
    Own,
}

struct Consumers<'a> {
    project: &'a Project,
    prefix: PathBuf,
    folder: PathBuf,
    compiler: &'a str,
}

impl Consumers<'_> {
    fn pkg_config_path(&self) -> String {
        text(&self.prefix.join("lib/pkgconfig"))
    }

    /// `cc service.c $(pkg-config --cflags --libs jeton)`, and the archive.
    fn by_pkg_config(&self) -> Result<Vec<(PathBuf, Libraries)>, Stop> {
        let mut programs = Vec::new();
        for (package, libraries) in [("jeton", Libraries::Prefix), ("jeton-static", Libraries::Own)] {
            let flags = self.project.cmd("pkg-config").env("PKG_CONFIG_PATH", self.pkg_config_path());
            let flags = flags.args(["--cflags", "--libs", package]).output()?;
            let program = self.folder.join(format!("c-by-pkg-config-{package}"));
            let cmd = self.project.cmd(self.compiler).args(WARNINGS.iter().copied());
            let cmd = cmd.args(["-O2", "-s", "-Wl,--gc-sections", "ffi/tests/consumers/service.c"]);
            cmd.args(flags.split_whitespace()).args(["-o", &text(&program)]).run()?;
            programs.push((program, libraries));
        }
        Ok(programs)
    }

    /// `find_package(jeton)`, C and C++, shared and static.
    fn by_cmake(&self) -> Result<Vec<(PathBuf, Libraries)>, Stop> {
        let build = self.folder.join("cmake");
        let cmd = self.project.cmd("cmake").args(["-S", "ffi/tests/consumers", "-B", &text(&build)]);
        cmd.arg(format!("-DCMAKE_PREFIX_PATH={}", self.prefix.display())).run()?;
        self.project.cmd("cmake").args(["--build", &text(&build)]).run()?;
        let names = ["c-jeton", "c-static", "cpp-jeton", "cpp-static"];
        Ok(names.iter().map(|name| (build.join(name), Libraries::Own)).collect())
    }

    /// `go build`, with the shared library and with the archive.
    fn by_go(&self) -> Result<Vec<(PathBuf, Libraries)>, Stop> {
        let mut programs = Vec::new();
        for (tags, libraries) in [("", Libraries::Prefix), ("jeton_static", Libraries::Own)] {
            let program =
                self.folder.join(format!("go-{}", if tags.is_empty() { "shared" } else { "static" }));
            let cmd =
                Cmd::new("go", &self.project.root.join("ffi/tests/consumers/go")).env("CGO_ENABLED", "1");
            let cmd = cmd.env("PKG_CONFIG_PATH", self.pkg_config_path());
            cmd.args(["build", "-tags", tags, "-o", &text(&program), "."]).run()?;
            programs.push((program, libraries));
        }
        Ok(programs)
    }

    fn run(&self, program: &Path, libraries: Libraries, arguments: &[String]) -> Result<(), Stop> {
        let cmd = self.project.cmd(&text(program)).args(arguments.iter().cloned());
        if libraries == Libraries::Own {
            return cmd.run();
        }
        println!("in LD_LIBRARY_PATH: {}", self.prefix.join("lib").display());
        let status = cmd.command().env("LD_LIBRARY_PATH", self.prefix.join("lib")).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(cmd.failed(&status.to_string())),
            Err(error) => Err(cmd.failed(&error.to_string())),
        }
    }
}

/// What the library is called in the programs that use it, and which libraries it needs itself.
fn linked(project: &Project, shared: &Path) -> Result<(), Stop> {
    let cmd = project.cmd("readelf").args(["-d", &text(shared)]);
    let dynamic = cmd.output()?;
    let named = |what: &str| -> Vec<String> {
        let lines = dynamic.lines().filter(|line| line.contains(what));
        lines.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned())).collect()
    };
    let needed = named("(NEEDED)");
    println!("soname: {}; needs: {}", named("(SONAME)").join(", "), needed.join(", "));
    if !named("(SONAME)").iter().any(|name| name.starts_with("libjeton.so.")) {
        return Err(cmd.failed("the library has no soname with a version"));
    }
    match needed.iter().find(|name| !LINKED.iter().any(|known| name.starts_with(known))) {
        Some(stranger) => {
            Err(cmd.failed(&format!("the library needs {stranger}, which not every machine has")))
        }
        None => Ok(()),
    }
}

/// No names for the linker but jeton's.
fn symbols(project: &Project, library: &Path, flags: &[&str]) -> Result<(), Stop> {
    let cmd = project.cmd("nm").args(flags.iter().copied()).arg(text(library));
    let output = cmd.output()?;
    let names: BTreeSet<_> = output.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let strangers: Vec<_> =
        names.iter().filter(|name| !name.starts_with("jeton_")).take(5).copied().collect();
    if names.is_empty() || !strangers.is_empty() {
        return Err(cmd.failed(&format!("{} names, among them [{}]", names.len(), strangers.join(", "))));
    }
    Ok(())
}

fn sizes(shared: &Path, archive: &Path, programs: &[(PathBuf, Libraries)]) -> Result<(), Stop> {
    let bytes = |path: &Path| {
        std::fs::metadata(path)
            .map(|metadata| metadata.len())
            .map_err(|error| Stop::failed(format!("cannot look at {}: {error}", path.display())))
    };
    println!("{:>12} bytes  file", "");
    for path in [shared, archive].into_iter().chain(programs.iter().map(|(program, _)| program.as_path())) {
        println!("{:>12}        {}", bytes(path)?, path.file_name().unwrap_or_default().display());
    }
    match bytes(shared)? {
        size if size > MOST_BYTES => Err(Stop::failed(format!(
            "the shared library has {size} bytes, and {MOST_BYTES} is what it may have: look at what it has grown by"
        ))),
        _ => Ok(()),
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn remove(folder: &Path) {
    // Most often it is not there; what cannot be removed takes room, or is in the way of what comes next, which says so.
    drop(std::fs::remove_dir_all(folder));
}
