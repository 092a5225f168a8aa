//! The server that programs in other languages are tried against: `jeton-test-server` of the package jeton-tests.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::Value;

use crate::command::is_installed;
use crate::outcome::Stop;
use crate::project::Project;

/// Builds it, and says where it is.
pub(super) fn build(project: &Project) -> Result<String, Stop> {
    const NAME: &str = "jeton-test-server";
    let cmd = project.cargo().args(["build", "-p", "jeton-tests", "--bin", NAME]);
    cmd.run()?;
    let program = project
        .metadata
        .target_directory
        .join("debug")
        .join(NAME)
        .with_extension(std::env::consts::EXE_EXTENSION);
    match is_installed(&program.display().to_string(), "--help") {
        true => Ok(program.display().to_string()),
        false => Err(cmd.failed(&format!("there is no {}", program.display()))),
    }
}

/// One that runs. It ends with its standard input, at the latest when this is dropped.
pub(super) struct Server {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    about: Value,
}

impl Server {
    pub(super) fn start(project: &Project, program: &str, options: &[&str]) -> Result<Self, Stop> {
        let cmd = project.cmd(program).args(options.iter().copied());
        let child = cmd.command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| cmd.failed(&error.to_string()))?;
        let (commands, Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(cmd.failed("its pipes are not there"));
        };
        let mut server = Self { child, commands, answers: BufReader::new(answers), about: Value::Null };
        server.about = server.line()?;
        Ok(server)
    }

    fn line(&mut self) -> Result<Value, Stop> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).map_err(|error| Stop::failed(error.to_string()));
        read.and_then(|_| {
            serde_json::from_str(&line).map_err(|_| Stop::failed(format!("the server said `{line}`")))
        })
    }

    pub(super) fn tell(&mut self, command: &str) -> Result<Value, Stop> {
        let Some(commands) = &mut self.commands else { return Err(Stop::failed("the server was stopped")) };
        writeln!(commands, "{command}").map_err(|error| Stop::failed(error.to_string()))?;
        let answer = self.line()?;
        match answer["ok"] == true {
            true => Ok(answer),
            false => Err(Stop::failed(format!("the server did not take `{command}`: {answer}"))),
        }
    }

    /// What the server says of itself under that name.
    pub(super) fn member(&self, name: &str) -> Result<String, Stop> {
        let member = self.about[name].as_str().filter(|text| !text.is_empty());
        member.map(str::to_owned).ok_or_else(|| Stop::failed(format!("the server does not tell its {name}")))
    }

    pub(super) fn members(&self, names: &[&str]) -> Result<Vec<String>, Stop> {
        names.iter().map(|name| self.member(name)).collect()
    }

    /// How often a login with a person began.
    pub(super) fn logins(&mut self) -> Result<u64, Stop> {
        let endpoints = &self.tell("stats")?["endpoints"];
        let asked = ["authorization", "device-authorization"].map(|name| endpoints[name].as_u64());
        asked
            .into_iter()
            .sum::<Option<u64>>()
            .ok_or_else(|| Stop::failed("the server's statistics are others"))
    }

    pub(super) fn stop(mut self) -> Result<(), Stop> {
        drop(self.commands.take());
        self.child.wait().map(drop).map_err(|error| Stop::failed(error.to_string()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whoever hangs although its input has ended is ended. After `stop` there is nobody left.
        drop(self.commands.take());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
