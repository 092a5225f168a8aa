//! `cargo xtask dist`: libjeton as each ecosystem expects it, in a folder that may be moved: shared and static library,
//! headers, pkg-config, CMake.
//!
//! Own code rather than cargo-c: that would be one more tool to install, brings neither a CMake package nor jeton.hpp, and leaves
//! all of Rust's symbols in the archive, so that two such archives do not fit into one program.

use std::path::{Path, PathBuf};

use crate::command::is_installed;
use crate::outcome::Stop;
use crate::project::Project;

/// As in Cargo.toml.
const PROFILE: &str = "dist";
const HEADERS: &[&str] = &["include/jeton.h", "include/jeton.hpp"];
const TEXTS: &[&str] = &["ffi/README.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// What was laid out.
#[derive(Debug)]
pub(crate) struct Dist {
    pub(crate) prefix: PathBuf,
    /// The files themselves, no links to them.
    pub(crate) shared: PathBuf,
    pub(crate) archive: PathBuf,
}

/// What files are called, and what the linker is told, on the system that builds.
struct Platform {
    /// As cargo makes it, and as it is installed.
    shared: String,
    /// Other names of it: the one that programs carry in them, and the one that the linker looks for.
    links: Vec<String>,
    archive: &'static str,
    linker: Vec<String>,
    /// What the archive needs of the system.
    system: &'static [&'static str],
}

impl Platform {
    fn here(version: &Version<'_>) -> Self {
        let abi = version.abi();
        if cfg!(windows) {
            let system =
                &["-lws2_32", "-lntdll", "-luserenv", "-lbcrypt", "-lcrypt32", "-ladvapi32", "-lsecur32"];
            let archive = if cfg!(target_env = "msvc") { "jeton.lib" } else { "libjeton.a" };
            return Self { shared: "jeton.dll".to_owned(), links: vec![], archive, linker: vec![], system };
        }
        if cfg!(target_vendor = "apple") {
            let name = format!("libjeton.{abi}.dylib");
            return Self {
                shared: format!("libjeton.{}.dylib", version.text),
                linker: vec![format!("-Wl,-install_name,@rpath/{name}")],
                links: vec![name, "libjeton.dylib".to_owned()],
                archive: "libjeton.a",
                system: &[
                    "-framework",
                    "Security",
                    "-framework",
                    "CoreFoundation",
                    "-framework",
                    "SystemConfiguration",
                    "-liconv",
                ],
            };
        }
        let name = format!("libjeton.so.{abi}");
        Self {
            shared: format!("libjeton.so.{}", version.text),
            linker: vec![format!("-Wl,-soname,{name}")],
            links: vec![name, "libjeton.so".to_owned()],
            archive: "libjeton.a",
            system: &["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"],
        }
    }
}

/// A version `X.Y.Z`, and what follows from it.
struct Version<'a> {
    text: &'a str,
    major: &'a str,
    minor: &'a str,
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut numbers = text.split(['-', '+']).next()?.split('.');
        let (major, minor) = (numbers.next()?, numbers.next()?);
        let number = |text: &str| text.parse::<u32>().is_ok();
        (number(major) && number(minor)).then_some(Self { text, major, minor })
    }

    /// What stays the same as long as programs need not be built again: before 1.0 the minor version, too.
    fn abi(&self) -> String {
        if self.major == "0" { format!("0.{}", self.minor) } else { self.major.to_owned() }
    }
}

/// Builds the library and lays it out under `prefix`, which is made anew; unless given, below the target folder.
pub(crate) fn run(project: &Project, prefix: Option<&str>) -> Result<Dist, Stop> {
    let prefix = match prefix {
        Some(prefix) => project.root.join(prefix),
        None => project.metadata.target_directory.join("prefix"),
    };
    let version = project.metadata.member("jeton-ffi").map_or("", |package| package.version.as_str());
    let version = Version::parse(version)
        .ok_or_else(|| Stop::failed("the crate jeton-ffi has no version of the form X.Y.Z"))?;
    let platform = Platform::here(&version);
    let built = build(project, &platform)?;

    let lib = prefix.join("lib");
    for name in
        [&platform.shared, platform.archive].into_iter().chain(platform.links.iter().map(String::as_str))
    {
        remove(&lib.join(name))?;
    }
    let dist = Dist { shared: lib.join(&platform.shared), archive: lib.join(platform.archive), prefix };
    copy(&built.shared, &dist.shared)?;
    for name in &platform.links {
        link(&platform.shared, &lib.join(name))?;
    }
    if let Some(import) = &built.import {
        copy(import, &lib.join("jeton.dll.lib"))?;
    }
    archive(project, &built.archive, &dist.archive)?;

    for (paths, folder) in [(HEADERS, "include"), (TEXTS, "share/doc/jeton")] {
        for path in paths {
            let name = Path::new(path).file_name().unwrap_or_default();
            copy(&project.root.join(path), &dist.prefix.join(folder).join(name))?;
        }
    }
    for (template, folder) in [
        ("jeton.pc", "lib/pkgconfig"),
        ("jeton-static.pc", "lib/pkgconfig"),
        ("jetonConfig.cmake", "lib/cmake/jeton"),
        ("jetonConfigVersion.cmake", "lib/cmake/jeton"),
    ] {
        let text = filled(&project.read(&format!("ffi/package/{template}.in"))?, &version, &platform);
        write(&dist.prefix.join(folder).join(template), &text)?;
    }
    println!("libjeton {} is in {}", version.text, dist.prefix.display());
    Ok(dist)
}

/// What cargo built.
struct Built {
    shared: PathBuf,
    archive: PathBuf,
    /// Windows: what a program is linked with to find the shared one.
    import: Option<PathBuf>,
}

fn build(project: &Project, platform: &Platform) -> Result<Built, Stop> {
    let mut cmd =
        project.cargo().args(["rustc", "-p", "jeton-ffi", "--lib", "--profile", PROFILE, "--locked", "--"]);
    for argument in &platform.linker {
        cmd = cmd.args(["-C", &format!("link-arg={argument}")]);
    }
    cmd.run()?;
    let folder = project.metadata.target_directory.join(PROFILE);
    let shared = format!("{}jeton{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let found = |name: &str| {
        let path = folder.join(name);
        if path.is_file() { Ok(path) } else { Err(cmd.failed(&format!("there is no {}", path.display()))) }
    };
    let import = if cfg!(windows) { Some(found("jeton.dll.lib")?) } else { None };
    Ok(Built { shared: found(&shared)?, archive: found(platform.archive)?, import })
}

/// The archive without debug information and, on Linux, with no names for the linker but jeton's own: whatever else of
/// Rust is in the program, be it another such archive, does not clash with it.
fn archive(project: &Project, built: &Path, archive: &Path) -> Result<(), Stop> {
    if !cfg!(target_os = "linux") {
        return copy(built, archive);
    }
    for tool in ["ld", "objcopy", "ar"] {
        if !is_installed(tool, "--version") {
            return Err(Stop::without(tool, "binutils"));
        }
    }
    let scratch = project.scratch("dist")?;
    let (whole, object) = (scratch.join("whole.o"), scratch.join("jeton.o"));
    let text = |path: &Path| path.display().to_string();
    project.cmd("ld").args(["-r", "-o", &text(&whole), "--whole-archive", &text(built)]).run()?;
    // The standard library brings bitcode for the compiler, which an `ar` with plugins chokes on.
    let bitcode = ["--remove-section=.llvmbc", "--remove-section=.llvmcmd"];
    let objcopy =
        project.cmd("objcopy").args(["--wildcard", "--keep-global-symbol=jeton_*", "--strip-unneeded"]);
    objcopy.args(bitcode).args([text(&whole), text(&object)]).run()?;
    remove(archive)?;
    project.cmd("ar").args(["crs", &text(archive), &text(&object)]).run()?;
    remove(&whole)?;
    remove(&object)
}

fn filled(template: &str, version: &Version<'_>, platform: &Platform) -> String {
    let system = platform.system.join(" ");
    // CMake's lists; `-framework X` is one item there.
    let system_cmake =
        system.replace("-framework ", "-framework\u{0}").replace(' ', ";").replace('\u{0}', " ");
    let shared = match platform.links.first() {
        None => format!(
            "IMPORTED_LOCATION \"${{_jeton_prefix}}/lib/{}\"\n    IMPORTED_IMPLIB \"${{_jeton_prefix}}/lib/jeton.dll.lib\"",
            platform.shared
        ),
        Some(name) => {
            let rpath = if cfg!(target_vendor = "apple") { "@rpath/" } else { "" };
            format!(
                "IMPORTED_LOCATION \"${{_jeton_prefix}}/lib/{name}\"\n    IMPORTED_SONAME \"{rpath}{name}\""
            )
        }
    };
    template
        .replace("@VERSION@", version.text)
        .replace("@MAJOR@", version.major)
        .replace("@MINOR@", version.minor)
        .replace("@POINTER_SIZE@", &size_of::<usize>().to_string())
        .replace("@ARCHIVE@", platform.archive)
        .replace("@SYSTEM@", &system)
        .replace("@SYSTEM_CMAKE@", &system_cmake)
        .replace("@SHARED_PROPERTIES@", &shared)
}

fn copy(from: &Path, to: &Path) -> Result<(), Stop> {
    make_folder_of(to)?;
    std::fs::copy(from, to)
        .map(drop)
        .map_err(|error| Stop::failed(format!("cannot copy {} to {}: {error}", from.display(), to.display())))
}

fn write(path: &Path, text: &str) -> Result<(), Stop> {
    make_folder_of(path)?;
    std::fs::write(path, text)
        .map_err(|error| Stop::failed(format!("cannot write {}: {error}", path.display())))
}

fn make_folder_of(path: &Path) -> Result<(), Stop> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)
        .map_err(|error| Stop::failed(format!("cannot make {}: {error}", folder.display())))
}

fn remove(path: &Path) -> Result<(), Stop> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Stop::failed(format!("cannot remove {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn link(target: &str, at: &Path) -> Result<(), Stop> {
    std::os::unix::fs::symlink(target, at)
        .map_err(|error| Stop::failed(format!("cannot link {} to {target}: {error}", at.display())))
}

/// Windows knows one name only.
#[cfg(not(unix))]
fn link(_target: &str, _at: &Path) -> Result<(), Stop> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_one_the_abi_has_the_minor_version() {
        let abi = |text| Version::parse(text).map(|version| version.abi());
        assert_eq!(abi("0.1.0").as_deref(), Some("0.1"));
        assert_eq!(abi("0.12.3-rc.1").as_deref(), Some("0.12"));
        assert_eq!(abi("1.4.2").as_deref(), Some("1"));
        assert_eq!(abi("one.two"), None);
    }

    #[test]
    fn templates_are_filled_to_the_end() {
        let version = Version::parse("0.1.0").unwrap();
        let platform = Platform::here(&version);
        for template in ["jeton.pc", "jeton-static.pc", "jetonConfig.cmake", "jetonConfigVersion.cmake"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../ffi/package/{template}.in"));
            let text = filled(&std::fs::read_to_string(path).unwrap(), &version, &platform);
            let left = text.replace("@rpath", "");
            assert!(!left.contains('@'), "{template}: {text}");
            assert!(text.contains("0.1.0") || text.contains("libjeton"), "{template}: {text}");
        }
    }
}
