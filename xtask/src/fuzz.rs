//! `cargo xtask fuzz`: builds the fuzz targets with libFuzzer and runs them for a while each. On the stable toolchain: the
//! instrumentation is LLVM's, asked for by flags that every rustc takes; no sanitizer, which would need a nightly one.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::command::{Cmd, is_installed};
use crate::outcome::Stop;
use crate::project::Project;

/// What a target gets where nobody says anything else.
pub(crate) const SECONDS: u64 = 60;
/// Long enough for each target to go through its corpus and some ten thousand inputs near to it.
const SECONDS_OF_THE_STEP: u64 = 3;
/// The longest that one input may take, in seconds: what takes longer does not end, or is quadratic.
const TIMEOUT: u64 = 10;
/// What libFuzzer looks at: a counter at each edge of the control flow, and the operands of comparisons.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0";

/// What to do with the targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// Run each for so many seconds.
    Search { seconds: u64 },
    /// Put into the corpus what was found, and take out of it what adds nothing.
    Minimise,
}

/// Every target, briefly: a step of `cargo xtask test`.
pub(crate) fn step(project: &Project) -> Result<(), Stop> {
    project.cargo().args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]).run()?;
    run(project, None, Aim::Search { seconds: SECONDS_OF_THE_STEP })
}

/// Runs the target of that name, or all of them.
pub(crate) fn run(project: &Project, only: Option<&str>, aim: Aim) -> Result<(), Stop> {
    if cfg!(windows) {
        return Err(Stop::without("libFuzzer for Rust on Windows", "Linux or macOS"));
    }
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    if !is_installed(&compiler, "--version") {
        return Err(Stop::without("C++ compiler (libFuzzer is C++)", "g++ or clang"));
    }
    let targets = Target::all(project)?;
    let chosen: Vec<&Target> =
        targets.iter().filter(|target| only.is_none_or(|name| target.name == name)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        return Err(Stop::failed(format!("there is no such target; there are: {}", names.join(", "))));
    }
    build(project)?;
    match aim {
        Aim::Minimise => chosen.iter().try_for_each(|target| target.minimise(project)),
        Aim::Search { seconds } => search(project, &chosen, seconds),
    }
}

fn build(project: &Project) -> Result<(), Stop> {
    let cargo = project.cargo().args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--bins"]);
    // With a target named, the flags are not for build scripts and macros, which are no part of what is looked at.
    cargo.args(["--target", &project.host()?]).env("RUSTFLAGS", INSTRUMENTATION).run()
}

fn search(project: &Project, targets: &[&Target], seconds: u64) -> Result<(), Stop> {
    let (mut table, mut findings) = (Figures::HEAD.to_owned(), Vec::new());
    // As many at a time as there are processors: each takes one.
    let at_a_time = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    for group in targets.chunks(at_a_time) {
        let results = std::thread::scope(|scope| {
            let searches: Vec<_> =
                group.iter().map(|target| scope.spawn(|| target.search(project, seconds))).collect();
            searches.into_iter().map(ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        for result in results {
            let (figures, finding) = result.map_err(|_| Stop::failed("a search panicked"))??;
            table.push_str(&format!("\n{figures}"));
            findings.extend(finding);
        }
    }
    println!("\n{table}");
    match findings.as_slice() {
        [] => Ok(()),
        _ => Err(Stop::Failed(findings.join("\n\n"))),
    }
}

/// A binary of the package fuzz.
#[derive(Debug)]
struct Target {
    name: String,
    binary: PathBuf,
    /// The inputs that are committed.
    corpus: PathBuf,
    /// Those that were found since.
    found: PathBuf,
    /// Where an input is put that fails.
    artifacts: PathBuf,
}

impl Target {
    fn all(project: &Project) -> Result<Vec<Self>, Stop> {
        let cmd = project.cargo().args(["metadata", "--manifest-path", "fuzz/Cargo.toml"]);
        let json = cmd.args(["--no-deps", "--format-version", "1"]).output()?;
        let (names, target_directory) =
            binaries(&json).ok_or_else(|| Stop::failed("cannot read what `cargo metadata` says of fuzz"))?;
        let binaries = target_directory.join(project.host()?).join("release");
        let fuzz = project.root.join("fuzz");
        Ok(names
            .into_iter()
            .map(|name| Self {
                binary: binaries.join(&name),
                corpus: fuzz.join("corpus").join(&name),
                found: target_directory.join("found").join(&name),
                artifacts: fuzz.join("artifacts").join(&name),
                name,
            })
            .collect())
    }

    /// Runs it, and gives what came of it, with what there is to say about a finding.
    fn search(&self, project: &Project, seconds: u64) -> Result<(Figures, Option<String>), Stop> {
        make(&self.found)?;
        make(&self.artifacts)?;
        let artifacts = format!("{}{}", self.artifacts.display(), std::path::MAIN_SEPARATOR);
        let cmd = self
            .fuzzer(project)
            .args([&self.found, &self.corpus].map(|folder| folder.display().to_string()))
            .arg(format!("-dict=fuzz/dictionaries/{}.dict", self.name))
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-timeout={TIMEOUT}"))
            .arg(format!("-artifact_prefix={artifacts}"))
            .arg("-print_final_stats=1");
        println!("$ {}", cmd.line());
        let output =
            cmd.command().output().map_err(|error| cmd.failed(&format!("could not start: {error}")))?;
        // libFuzzer says everything on its standard error.
        let said = String::from_utf8_lossy(&output.stderr);
        let figures = Figures::read(&self.name, &said);
        if output.status.success() {
            return Ok((figures, None));
        }
        let artifact = said.lines().rev().find_map(|line| line.split("Test unit written to ").nth(1));
        let repeat = match artifact {
            Some(input) => format!("to repeat: {}", self.fuzzer(project).arg(input).line()),
            None => "libFuzzer kept no input".to_owned(),
        };
        Ok((figures, Some(format!("{}: {}\n{repeat}", self.name, finding(&said)))))
    }

    /// Keeps the fewest inputs that reach every edge that is known.
    fn minimise(&self, project: &Project) -> Result<(), Stop> {
        make(&self.found)?;
        let before = count(&self.corpus);
        let fresh = project.scratch(&format!("fuzz-{}", self.name))?;
        empty(&fresh)?;
        let folders = [&fresh, &self.corpus, &self.found].map(|folder| folder.display().to_string());
        let cmd = self.fuzzer(project).args(["-set_cover_merge=1", "-use_counters=0"]).args(folders);
        println!("$ {}", cmd.line());
        let output =
            cmd.command().output().map_err(|error| cmd.failed(&format!("could not start: {error}")))?;
        if !output.status.success() {
            return Err(cmd.failed(&finding(&String::from_utf8_lossy(&output.stderr))));
        }
        empty(&self.corpus)?;
        for file in files(&fresh) {
            let Some(name) = file.file_name() else { continue };
            std::fs::copy(&file, self.corpus.join(name))
                .map_err(|error| Stop::failed(format!("cannot copy {}: {error}", file.display())))?;
        }
        println!("{}: {before} inputs became {}", self.name, count(&self.corpus));
        Ok(())
    }

    fn fuzzer(&self, project: &Project) -> Cmd {
        project.cmd(&self.binary.display().to_string())
    }
}

/// The binaries of a package and its target directory, from what `cargo metadata` says.
fn binaries(json: &str) -> Option<(Vec<String>, PathBuf)> {
    let json: Value = serde_json::from_str(json).ok()?;
    let targets = json["packages"][0]["targets"].as_array()?;
    let mut names: Vec<String> = targets
        .iter()
        .filter(|target| target["kind"][0] == "bin")
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    Some((names, json["target_directory"].as_str()?.into()))
}

/// What the check that failed says, from all that libFuzzer printed.
fn finding(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let panicked = lines.iter().position(|line| line.contains("panicked at"));
    // Without a panic: libFuzzer's own words, such as those about a timeout.
    let from = panicked.or_else(|| lines.iter().position(|line| line.contains("ERROR: libFuzzer")));
    let from = from.unwrap_or(lines.len().saturating_sub(6));
    lines[from..].iter().take(6).copied().collect::<Vec<_>>().join("\n")
}

/// What one run came to.
#[derive(Debug, Default, PartialEq)]
struct Figures {
    target: String,
    executions: u64,
    per_second: u64,
    /// Edges of the control flow that were reached, and all that there are in the binary.
    reached: u64,
    edges: u64,
    corpus: u64,
    time: Duration,
}

impl Figures {
    const HEAD: &str =
        "target                  executions  per second  edges reached      of   inputs   seconds";

    fn read(target: &str, said: &str) -> Self {
        // `#1363262	REDUCE cov: 3783 ft: 12491 corp: 3074/263Kb lim: ..`
        let last = said.lines().rev().find(|line| line.starts_with('#') && line.contains(" cov: "));
        let after = |name: &str| last.and_then(|line| line.split(name).nth(1)).map_or(0, number);
        let statistic = |name: &str| {
            said.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)).map_or(0, number)
        };
        let (executions, per_second) =
            (statistic("number_of_executed_units:"), statistic("average_exec_per_sec:"));
        Self {
            target: target.to_owned(),
            executions,
            per_second,
            reached: after(" cov: "),
            edges: said.split("inline 8-bit counters): ").nth(1).map_or(0, number),
            corpus: after(" corp: "),
            time: Duration::from_secs(executions.checked_div(per_second).unwrap_or_default()),
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { target, executions, per_second, reached, edges, corpus, time } = self;
        let seconds = time.as_secs();
        write!(
            f,
            "{target:22} {executions:>11} {per_second:>11} {reached:>14} {edges:>7} {corpus:>8} {seconds:>9}"
        )
    }
}

/// The number that a text begins with, after white space.
fn number(text: &str) -> u64 {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().unwrap_or_default()
}

fn make(folder: &Path) -> Result<(), Stop> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Stop::failed(format!("cannot make {}: {error}", folder.display())))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| path.is_file()).collect()
}

fn count(folder: &Path) -> usize {
    files(folder).len()
}

fn empty(folder: &Path) -> Result<(), Stop> {
    files(folder)
        .iter()
        .try_for_each(std::fs::remove_file)
        .map_err(|error| Stop::failed(format!("cannot remove the files in {}: {error}", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
INFO: Seed: 980123242
INFO: Loaded 1 modules   (10945 inline 8-bit counters): 10945 [0x55706ebb25d8, 0x55706ebb5099),
#2	INITED cov: 237 ft: 237 corp: 1/1b exec/s: 0 rss: 28Mb
#1363262	REDUCE cov: 3783 ft: 12491 corp: 3074/263Kb lim: 956 exec/s: 8163 rss: 34Mb L: 93/915 MS: 1 EraseBytes-
#1363300	DONE   cov: 3784 ft: 12491 corp: 3075/263Kb lim: 956 exec/s: 8163 rss: 34Mb
Done 1363300 runs in 100 second(s)
stat::number_of_executed_units: 1363300
stat::average_exec_per_sec:     13633
";

    #[test]
    fn figures_are_read_from_what_libfuzzer_says() {
        let figures = Figures::read("scope", SAID);
        assert_eq!((figures.executions, figures.per_second), (1_363_300, 13_633));
        assert_eq!((figures.reached, figures.edges, figures.corpus), (3_784, 10_945, 3_075));
        assert_eq!(figures.time, Duration::from_secs(100));
        // The columns stand under their heads.
        assert_eq!(figures.to_string().len(), Figures::HEAD.len());
        assert_eq!(Figures::read("scope", ""), Figures { target: "scope".to_owned(), ..Figures::default() });
    }

    #[test]
    fn a_finding_is_what_the_check_says() {
        let said =
            "#1\nthread '<unnamed>' (1) panicked at src/scope.rs:7:9:\nassertion failed\nstack backtrace:\n";
        assert!(finding(said).starts_with("thread") && finding(said).contains("assertion failed"));
        assert!(finding("x\n==1== ERROR: libFuzzer: timeout after 10 seconds\ny").contains("timeout"));
        assert_eq!(finding("all is lost"), "all is lost");
    }

    #[test]
    fn binaries_are_what_cargo_says() {
        let json = r#"{"packages":[{"targets":[{"kind":["lib"],"name":"l"},{"kind":["bin"],"name":"b"},
            {"kind":["bin"],"name":"a"}]}],"target_directory":"t"}"#;
        assert_eq!(binaries(json), Some((vec!["a".to_owned(), "b".to_owned()], PathBuf::from("t"))));
        assert_eq!(binaries("{}"), None);
    }
}
