//! `ffi/examples` against a server: each program in C, C++ and Go, when all goes well and when it does not.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::command::{Cmd, is_installed};
use crate::outcome::Stop;
use crate::project::Project;

use super::c_abi::{Library, WARNINGS, installed, write};
use super::cpp::SANITIZERS;
use super::go;
use super::test_server::{self, Server};

const NAMES: &[&str] = &["device", "browser", "service"];
/// One has to see all of a program at once.
const SCREEN: usize = 60;
/// Whoever hangs is told of, not waited for.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn test(project: &Project) -> Result<(), Stop> {
    if !cfg!(target_os = "linux") {
        return Err(Stop::Skipped(
            "the examples are run on Linux only: elsewhere no other browser can be put in the place of the system's".to_owned(),
        ));
    }
    let c = installed(&["gcc", "clang"])?;
    let cpp = installed(&["g++", "clang++"])?;
    let library = Library::build(project)?;
    let server = test_server::build(project)?;
    // Nobody is logged in yet: a run that failed leaves its logins.
    drop(std::fs::remove_dir_all(project.scratch("examples")?));
    let folder = project.scratch("examples")?;
    let lab = Lab { project, server: &server, folder: &folder };
    lab.pose_as_browser()?;
    for (compilers, standard, language) in [(&c, "c99", "c"), (&cpp, "c++17", "cpp")] {
        for name in NAMES {
            let source = format!("ffi/examples/{language}/{name}.{language}");
            lab.fits_on_a_screen(&source)?;
            let program = lab.build(&library, compilers, standard, &source)?;
            lab.run(&format!("{language}-{name}"), &program)?;
        }
    }
    if is_installed("go", "version") {
        let of_go = |verb: &str| go::command(project, "ffi/examples/go", &library.folder(), verb);
        go::formatted(project, "ffi/examples/go")?;
        of_go("vet")?.arg("./...").run()?;
        of_go("build")?.args(["-o", &format!("{}/", folder.display())]).arg("./...").run()?;
        for name in NAMES {
            lab.fits_on_a_screen(&format!("ffi/examples/go/{name}/main.go"))?;
            lab.run(&format!("go-{name}"), &folder.join(name))?;
        }
    } else {
        println!("the examples in Go are left out: install {}", go::GO);
    }
    // What cannot be removed takes room, no more.
    drop(std::fs::remove_dir_all(&folder));
    Ok(())
}

/// Where the examples run.
struct Lab<'a> {
    project: &'a Project,
    server: &'a str,
    folder: &'a Path,
}

impl Lab<'_> {
    fn server(&self, option: &str) -> Result<Server, Stop> {
        Server::start(self.project, self.server, &[option])
    }

    /// jeton asks the desktop to open a browser. Here the desktop is a script, and the browser the test server's.
    fn pose_as_browser(&self) -> Result<(), Stop> {
        let script = format!("#!/bin/sh\nexec '{}' --visit \"$1\"\n", self.server);
        let opener = write(&self.desktop()?, "xdg-open", &script)?.display().to_string();
        self.project.cmd("chmod").args(["+x", &opener]).run()
    }

    fn desktop(&self) -> Result<PathBuf, Stop> {
        self.project.scratch("examples/desktop")
    }

    fn fits_on_a_screen(&self, source: &str) -> Result<(), Stop> {
        match self.project.read(source)?.lines().count() {
            0..=SCREEN => Ok(()),
            lines => Err(Stop::failed(format!("{source} has {lines} lines; {SCREEN} fit on a screen"))),
        }
    }

    /// With sanitizers where there are any, so that what is not freed is found; the other compiler reads it, too.
    fn build(
        &self,
        library: &Library,
        compilers: &[&str],
        standard: &str,
        source: &str,
    ) -> Result<PathBuf, Stop> {
        let compile = |compiler: &str| {
            let cmd = self.project.cmd(compiler).arg(format!("-std={standard}"));
            cmd.args(WARNINGS.iter().copied()).args(["-Iinclude", source])
        };
        for compiler in &compilers[1..] {
            compile(compiler).arg("-fsyntax-only").run()?;
        }
        let program = self.folder.join(source.rsplit('/').next().unwrap_or_default().replace('.', "-"));
        // What they need at run time comes with GCC.
        let sanitizers = if compilers[0].starts_with('g') { SANITIZERS } else { &[] };
        let folder = library.folder();
        let cmd = compile(compilers[0]).args(sanitizers.iter().copied()).arg(format!("-L{folder}"));
        let cmd = cmd.args(["-ljeton".to_owned(), format!("-Wl,-rpath,{folder}"), "-o".to_owned()]);
        cmd.arg(program.display().to_string()).run()?;
        Ok(program)
    }

    fn run(&self, name: &str, program: &Path) -> Result<(), Stop> {
        let example = Example { lab: self, name, program };
        example.usage()?;
        match name.rsplit('-').next() {
            Some("device") => example.person("/device and enter "),
            Some("browser") => {
                example.person("")?;
                example.without_browser()
            }
            _ => example.service(),
        }
    }
}

/// A program, tried with a folder of its own for its logins.
struct Example<'a> {
    lab: &'a Lab<'a>,
    name: &'a str,
    program: &'a Path,
}

impl Example<'_> {
    fn usage(&self) -> Result<(), Stop> {
        let ended = self.command("no arguments", &[])?.ended()?;
        ended.failed()?.complains("usage: ").map(drop)
    }

    /// A login with a person: once, kept, denied, without a server. `prompt` is what the person is shown, if anything.
    fn person(&self, prompt: &str) -> Result<(), Stop> {
        let mut server = self.lab.server("--approve")?;
        let arguments = server.members(&["issuer", "public_client", "api"])?;
        let run = |state: &str| self.command(state, &[])?.args(&arguments).ended();
        run("kept")?.worked()?.says(prompt)?.says("200 {")?.says("\"sub\":\"alice\"")?;
        let asked = server.logins()?;
        let again = run("kept")?.worked()?.says("200 {")?;
        if server.logins()? != asked || (!prompt.is_empty() && again.stdout.contains(prompt)) {
            return Err(again.wrong("the second run asked the person again"));
        }
        server.stop()?;
        run("kept")?.failed()?.complains("onnect")?;
        run("never")?.failed()?.complains("discovery at ")?.complains("try again later")?;

        let denying = self.lab.server("--deny")?;
        let arguments = denying.members(&["issuer", "public_client", "api"])?;
        let denied = self.command("denied", &[])?.args(&arguments).ended()?.failed()?;
        denied.says(prompt)?.complains("access_denied")?.complains("log in again")?;
        denying.stop()
    }

    fn without_browser(&self) -> Result<(), Stop> {
        let server = self.lab.server("--approve")?;
        let arguments = server.members(&["issuer", "public_client", "api"])?;
        let ended = self.command("nobody", &[("DISPLAY", "")])?.args(&arguments).ended()?;
        ended.failed()?.complains("there is no browser here")?;
        server.stop()
    }

    fn service(&self) -> Result<(), Stop> {
        let mut server = self.lab.server("--approve")?;
        let arguments = server.members(&["issuer", "service_client", "api"])?;
        let secret = server.member("service_secret")?;
        let run = |secret: &str| {
            self.command("with a secret", &[("CLIENT_SECRET", secret)])?.args(&arguments).ended()
        };
        run(&secret)?.worked()?.says("200 {")?.says("\"sub\":\"service-app\"")?;
        let refused = run("0ld-pa55word")?.failed()?;
        refused.complains("invalid_client")?.complains("check the configuration")?.keeps("0ld-pa55word")?;
        server.tell("fail-next 1 503 api")?;
        run(&secret)?.failed()?.says("503 ")?;
        server.stop()?;
        run(&secret)?.failed()?.complains("discovery at ")?.complains("try again later")?;
        Ok(())
    }

    fn command(&self, state: &str, variables: &[(&str, &str)]) -> Result<Run, Stop> {
        // The whole line is told if it goes wrong.
        println!("{}, {state}", self.name);
        let state =
            self.lab.project.scratch(&format!("examples/{}-{}", self.name, state.replace(' ', "-")))?;
        let mut path = self.lab.desktop()?.into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let cmd = self.lab.project.cmd(&self.program.display().to_string());
        let cmd = cmd.env("XDG_STATE_HOME", state.display().to_string()).env("PATH", path.to_string_lossy());
        let cmd = cmd
            .env("DISPLAY", ":0")
            .env("SSH_CONNECTION", "")
            .env("SSH_TTY", "")
            .env("WAYLAND_DISPLAY", "")
            .env("BROWSER", "");
        Ok(Run(variables.iter().fold(cmd, |cmd, (name, value)| cmd.env(name, *value))))
    }
}

/// A program that is about to run.
struct Run(Cmd);

impl Run {
    fn args(self, arguments: &[String]) -> Self {
        Self(self.0.args(arguments.iter().cloned()))
    }

    fn ended(self) -> Result<Ended, Stop> {
        let not_started = |error: std::io::Error| self.0.failed(&error.to_string());
        let mut command = self.0.command();
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(not_started)?;
        let begun = Instant::now();
        // The little that it says fits into the pipes.
        while child.try_wait().map_err(not_started)?.is_none() {
            if begun.elapsed() > LIMIT {
                // Already ended by itself: nothing to kill, and the answer is the same.
                drop(child.kill());
                drop(child.wait());
                return Err(self.0.failed(&format!("took more than {} s", LIMIT.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let output = child.wait_with_output().map_err(not_started)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ended {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            cmd: self.0,
        })
    }
}

/// How a program ended, and what it said.
struct Ended {
    cmd: Cmd,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn worked(self) -> Result<Self, Stop> {
        if self.code == Some(0) && self.stderr.is_empty() {
            Ok(self)
        } else {
            Err(self.wrong("it did not work"))
        }
    }

    /// In the way of a program that noticed: not a crash, and not what a sanitizer says (its exit code is 1 as well).
    fn failed(self) -> Result<Self, Stop> {
        let noticed = matches!(self.code, Some(1 | 2)) && !self.stderr.contains("Sanitizer");
        if noticed { Ok(self) } else { Err(self.wrong("it had to fail, and to say so")) }
    }

    fn says(self, what: &str) -> Result<Self, Stop> {
        if self.stdout.contains(what) {
            Ok(self)
        } else {
            Err(self.wrong(&format!("no `{what}` in its output")))
        }
    }

    fn complains(self, what: &str) -> Result<Self, Stop> {
        if self.stderr.contains(what) {
            Ok(self)
        } else {
            Err(self.wrong(&format!("no `{what}` in its errors")))
        }
    }

    /// A secret is shown nowhere.
    fn keeps(self, secret: &str) -> Result<Self, Stop> {
        let shown = self.stdout.contains(secret) || self.stderr.contains(secret);
        if shown { Err(self.wrong("it shows a secret")) } else { Ok(self) }
    }

    fn wrong(&self, how: &str) -> Stop {
        let (code, stdout, stderr) = (self.code, &self.stdout, &self.stderr);
        self.cmd.failed(&format!("{how}\nexit code {code:?}\noutput: {stdout}\nerrors: {stderr}"))
    }
}
