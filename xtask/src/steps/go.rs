//! The Go package in `ffi/go` at a server, as strictly as Go can be asked to look.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::command::{Cmd, is_installed};
use crate::outcome::Stop;
use crate::project::Project;

use super::c_abi::{Library, installed};
use super::test_server;

/// As in ffi/go/go.mod, whose dependency asks for it.
pub(super) const GO: &str = "Go 1.26 or newer";

pub(crate) fn test(project: &Project) -> Result<(), Stop> {
    if cfg!(windows) {
        return Err(Stop::Skipped("the Go package is tried on Linux and macOS only".to_owned()));
    }
    if !is_installed("go", "version") {
        return Err(Stop::without("go", GO));
    }
    installed(&["gcc", "clang"])?;
    formatted(project, "ffi/go")?;

    let library = Library::build(project)?.folder();
    let server = test_server::build(project)?;
    let go = |verb: &str| {
        command(project, "ffi/go", &library, verb).map(|cmd| cmd.env("JETON_TEST_SERVER", &server))
    };
    go("vet")?.arg("./...").run()?;
    // The library is no input that Go's cache of test results knows of. Benchmarks run once, and nothing is timed.
    let test = || go("test").map(|cmd| cmd.args(["-count=1", "-timeout=5m"]));
    test()?.args(["-bench=.", "-benchtime=1x", "./..."]).run()?;
    // A garbage collector that runs all the time frees what C still uses, if somebody forgot to keep it.
    test()?.env("GOGC", "1").env("GODEBUG", "cgocheck=1").arg("./...").run()
}

pub(super) fn formatted(project: &Project, folder: &str) -> Result<(), Stop> {
    let gofmt = project.cmd("gofmt").args(["-l", folder]);
    println!("$ {}", gofmt.line());
    match gofmt.output()?.trim() {
        "" => Ok(()),
        files => Err(gofmt.failed(&format!("not formatted: {files}; run `gofmt -w {folder}`"))),
    }
}

/// Go in a folder, with the library that was just built. All that is built is built in one configuration, for each has a
/// standard library of its own, which takes most of the time: data races are found, and every store of a Go pointer into
/// memory of C's.
pub(super) fn command(project: &Project, folder: &str, library: &str, verb: &str) -> Result<Cmd, Stop> {
    // Go's cache knows no header outside of the package: the same definition means the same header.
    let mut header = DefaultHasher::new();
    project.read("include/jeton.h")?.hash(&mut header);
    let cmd =
        Cmd::new("go", &project.root.join(folder)).env("CGO_ENABLED", "1").env("GOEXPERIMENT", "cgocheck2");
    let cmd = cmd.env("CGO_CFLAGS", format!("-O2 -g -DJETON_HEADER={:x}", header.finish()));
    let cmd = cmd.env("CGO_LDFLAGS", format!("-L{library} -Wl,-rpath,{library}"));
    Ok(cmd.args([verb, "-race", "-tags=jeton_repo"]))
}
