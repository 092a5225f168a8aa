//! The command `jeton` as people get it: by `cargo install`, and as one static file that runs on any Linux.

use std::path::{Path, PathBuf};

use crate::command::{Cmd, is_installed};
use crate::outcome::Stop;
use crate::project::Project;

use super::test_server::{self, Server};

/// The static program, stripped.
const MOST_BYTES: u64 = 24 << 20;

pub(crate) fn test(project: &Project) -> Result<(), Stop> {
    if !cfg!(target_os = "linux") {
        return Err(Stop::Skipped("what was installed is tried on Linux only".to_owned()));
    }
    for (tool, probe, package) in
        [("musl-gcc", "--version", "musl-tools"), ("readelf", "--version", "binutils")]
    {
        if !is_installed(tool, probe) {
            return Err(Stop::without(tool, package));
        }
    }
    let target = musl_target(project)?;
    let folder = project.scratch("install")?;
    // What an earlier run has left, if it was broken off.
    drop(std::fs::remove_dir_all(&folder));

    let installed = by_cargo_install(project, &folder.join("root"))?;
    let musl = folder.join("jeton-static");
    with_musl(project, &target, &musl)?;
    is_static(project, &musl)?;

    let server = Server::start(project, &test_server::build(project)?, &[])?;
    for (name, program) in [("installed", &installed), ("static", &musl)] {
        let home = folder.join(name);
        gets_a_token(project, program, &server, &home)?;
    }
    let size = size(&musl)?;
    drop(std::fs::remove_dir_all(&folder));
    println!("the static program has {size} bytes, {:.1} MiB", size as f64 / f64::from(1 << 20));
    match size > MOST_BYTES {
        true => Err(Stop::failed(format!(
            "{MOST_BYTES} bytes are what it may have: look at what it has grown by"
        ))),
        false => Ok(()),
    }
}

/// What this machine would be with musl.
fn musl_target(project: &Project) -> Result<String, Stop> {
    let target = project.host()?.replace("-gnu", "-musl");
    let sysroot = project.cmd("rustc").args(["--print", "sysroot"]).output()?;
    match Path::new(sysroot.trim()).join("lib/rustlib").join(&target).is_dir() {
        true => Ok(target),
        false => {
            Err(Stop::without(&format!("Rust for {target}"), &format!("it: rustup target add {target}")))
        }
    }
}

/// As whoever has the sources installs it, but for the optimisation, which the other build has and which takes minutes.
fn by_cargo_install(project: &Project, root: &Path) -> Result<PathBuf, Stop> {
    let target = project.metadata.target_directory.display().to_string();
    let cmd = project.cargo().args(["install", "--path", "crates/cli", "--locked", "--debug", "--force"]);
    cmd.args(["--target-dir", &target, "--root", &root.display().to_string()]).run()?;
    Ok(root.join("bin/jeton"))
}

fn with_musl(project: &Project, target: &str, stripped: &Path) -> Result<(), Stop> {
    let cmd = project.cargo().args(["build", "--release", "--locked", "-p", "jeton-cli", "--bin", "jeton"]);
    // Optimising across crates takes half of the time of this build, and changes its size by a few percent.
    cmd.args(["--target", target]).env("CARGO_PROFILE_RELEASE_LTO", "off").run()?;
    let built = project.metadata.target_directory.join(target).join("release/jeton").display().to_string();
    // This is what one downloads.
    project.cmd("strip").args(["-o", &stripped.display().to_string(), &built]).run()
}

/// It names no interpreter and no library.
fn is_static(project: &Project, program: &Path) -> Result<(), Stop> {
    let program = program.display().to_string();
    let cmd = project.cmd("readelf").args(["--wide", "--program-headers", "--dynamic", &program]);
    let output = cmd.output()?;
    match output.lines().find(|line| line.contains("(NEEDED)") || line.contains("INTERP")) {
        Some(line) => Err(cmd.failed(&format!("the program is not static: {}", line.trim()))),
        None if output.contains("LOAD") => Ok(()),
        None => Err(cmd.failed("this is no program")),
    }
}

/// The version is ours, and a service's token is had from a server, stored, and had from the store.
fn gets_a_token(project: &Project, program: &Path, server: &Server, home: &Path) -> Result<(), Stop> {
    let [issuer, client_id, secret] =
        ["issuer", "service_client", "service_secret"].map(|name| server.member(name));
    let (issuer, client_id, secret) = (issuer?, client_id?, secret?);
    let profiles = home.join("config/jeton/profiles.toml");
    let written = std::fs::create_dir_all(home.join("config/jeton")).and_then(|()| {
        let profile = format!(
            "store = \"file\"\n\n[profiles.robot]\nissuer = \"{issuer}\"\nclient_id = \"{client_id}\"\n\
             login = \"client-credentials\"\nauthentication = \"client_secret_basic\"\n"
        );
        std::fs::write(&profiles, profile)
    });
    written.map_err(|error| Stop::failed(format!("cannot write {}: {error}", profiles.display())))?;
    let jeton = |arguments: &[&str]| -> Cmd {
        let folder = |name: &str| home.join(name).display().to_string();
        let cmd = project.cmd(&program.display().to_string()).args(arguments.iter().copied());
        cmd.env("HOME", folder(""))
            .env("XDG_CONFIG_HOME", folder("config"))
            .env("XDG_STATE_HOME", folder("state"))
    };

    let cmd = jeton(&["--version"]);
    let version = cmd.output()?;
    let ours = project.metadata.member("jeton-cli").map_or("", |package| package.version.as_str());
    if version.trim() != format!("jeton {ours}") {
        return Err(cmd.failed(&format!("it says {version:?}")));
    }
    let first = jeton(&["token", "robot"]).env("JETON_CLIENT_SECRET", secret).output()?;
    // Without the secret there is nothing but the store.
    let cmd = jeton(&["token", "robot"]);
    let second = cmd.output()?;
    if first != second || first.trim().is_empty() {
        return Err(cmd.failed("the token is not the stored one"));
    }
    println!(
        "{}: {}, {} bytes, gets a token and keeps it",
        program.display(),
        version.trim(),
        size(program)?
    );
    Ok(())
}

fn size(program: &Path) -> Result<u64, Stop> {
    let metadata = std::fs::metadata(program);
    metadata
        .map(|metadata| metadata.len())
        .map_err(|error| Stop::failed(format!("cannot look at {}: {error}", program.display())))
}
