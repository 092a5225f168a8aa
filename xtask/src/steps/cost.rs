//! `cargo xtask bench ffi`: what the C ABI costs C and Go programs, beside what they would use else. The step `cost` of
//! `cargo xtask test` runs the same programs for a moment, without timing anything.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use crate::command::{Cmd, is_installed};
use crate::dist;
use crate::outcome::Stop;
use crate::project::Project;

use super::c_abi::{Library, STATIC_NEEDS, WARNINGS, installed};
use super::go;

/// How often each is measured, and how much is done each time.
struct Plan {
    rounds: u32,
    reads: u32,
    requests: u32,
}

/// Many short rounds: on a machine with other work most of them are not interrupted.
const MEASURED: Plan = Plan { rounds: 201, reads: 50_000, requests: 50 };
const TRIED: Plan = Plan { rounds: 1, reads: 1000, requests: 5 };

/// The programs give the right results with the library as tests have it; nothing is timed.
pub(crate) fn step(project: &Project) -> Result<(), Stop> {
    if !cfg!(target_os = "linux") {
        return Err(Stop::Skipped("memory is read on Linux only".to_owned()));
    }
    let library = Library::build(project)?.folder();
    let folder = project.scratch("cost")?;
    let server = Server::start()?;
    let link = [format!("-L{library}"), format!("-Wl,-rpath,{library}"), "-ljeton".to_owned()];
    let mut samples = in_c(project, &folder, &link, &server, &TRIED)?;
    if is_installed("go", "version") {
        let program = folder.join("cost-go").display().to_string();
        go::formatted(project, "ffi/bench/go")?;
        go::command(project, "ffi/bench/go", &library, "vet")?.arg("./...").run()?;
        go::command(project, "ffi/bench/go", &library, "build")?.args(["-o", &program]).run()?;
        samples.extend(in_go(project, &program, &server, &TRIED)?);
    } else {
        println!("the program in Go is left out: install {}", go::GO);
    }
    drop(std::fs::remove_dir_all(&folder));
    if samples.values().flatten().any(|value| *value <= 0.0) {
        return Err(Stop::failed(format!("something took no time at all: {samples:?}")));
    }
    Ok(())
}

/// With the library as it is installed.
pub(crate) fn run(project: &Project) -> Result<(), Stop> {
    if !cfg!(target_os = "linux") {
        return Err(Stop::failed(
            "`bench ffi` reads the memory of processes as Linux tells it: run it there",
        ));
    }
    let folder = project.scratch("cost")?;
    let dist = dist::run(project, Some(&folder.join("prefix").display().to_string()))?;
    let lib = dist.prefix.join("lib").display().to_string();
    let server = Server::start()?;
    let link = [format!("-L{lib}"), format!("-Wl,-rpath,{lib}"), "-ljeton".to_owned()];
    let mut samples = in_c(project, &folder, &link, &server, &MEASURED)?;
    let program = folder.join("cost-go").display().to_string();
    let cmd = Cmd::new("go", &project.root.join("ffi/bench/go")).env("CGO_ENABLED", "1");
    let cmd = cmd.env("PKG_CONFIG_PATH", format!("{lib}/pkgconfig"));
    let cmd = cmd.env("CGO_LDFLAGS", format!("-Wl,-rpath,{lib}"));
    cmd.args(["build", "-o", &program]).run()?;
    samples.extend(in_go(project, &program, &server, &MEASURED)?);
    let program = static_program(project, &folder, &dist.archive)?;
    report(
        &samples,
        &[("shared library, stripped", &dist.shared), ("examples/c/service.c, static", &program)],
    )?;
    drop(std::fs::remove_dir_all(&folder));
    Ok(())
}

/// What a program printed: values by name, in the order of the rounds.
type Samples = BTreeMap<String, Vec<f64>>;

fn in_c(
    project: &Project,
    folder: &Path,
    link: &[String],
    server: &Server,
    plan: &Plan,
) -> Result<Samples, Stop> {
    let compiler = installed(&["gcc", "clang"])?[0];
    let build = |name: &str, more: &[&str]| {
        let program = folder.join(name).display().to_string();
        let cmd =
            project.cmd(compiler).args(["-std=c11", "-O2", "-pthread", "-Iinclude", "ffi/bench/cost.c"]);
        let cmd = cmd.args(WARNINGS.iter().copied()).args(link.iter().cloned()).args(more.iter().copied());
        cmd.args(["-o", &program]).run().map(|()| program)
    };
    // What libcurl brings with it would be counted, too.
    let program = build("cost-c", &[])?;
    let has_curl = is_installed("pkg-config", "--version")
        && project.cmd("pkg-config").args(["--exists", "libcurl"]).output().is_ok();
    let beside_curl = if has_curl {
        build("cost-c-curl", &["-DWITH_CURL", "-lcurl"])?
    } else {
        println!("libcurl is left out: install libcurl4-openssl-dev");
        program.clone()
    };
    let (rounds, reads, requests) =
        (plan.rounds.to_string(), plan.reads.to_string(), plan.requests.to_string());
    let mut samples = Samples::new();
    for (program, arguments) in [
        (&program, vec!["empty"]),
        (&program, vec!["memory", &server.token_endpoint]),
        (&program, vec!["cached", &server.token_endpoint, &rounds, &reads]),
        (&beside_curl, vec!["request", &server.token_endpoint, &server.api, &rounds, &requests]),
    ] {
        samples.extend(printed(&project.cmd(program).args(arguments))?);
    }
    Ok(samples)
}

fn in_go(project: &Project, program: &str, server: &Server, plan: &Plan) -> Result<Samples, Stop> {
    let cmd = project.cmd(program).args([&server.token_endpoint, &server.api]);
    printed(&cmd.args([plan.rounds, plan.reads, plan.requests].map(|number| number.to_string())))
}

fn printed(cmd: &Cmd) -> Result<Samples, Stop> {
    println!("$ {}", cmd.line());
    let mut samples = Samples::new();
    for line in cmd.output()?.lines() {
        let sample = line.split_once('\t').and_then(|(name, value)| Some((name, value.parse().ok()?)));
        let (name, value) = sample.ok_or_else(|| cmd.failed(&format!("it printed `{line}`")))?;
        samples.entry(name.to_owned()).or_default().push(value);
    }
    Ok(samples)
}

/// A program that needs no libjeton to run, as small as the usual options make it.
fn static_program(project: &Project, folder: &Path, archive: &Path) -> Result<PathBuf, Stop> {
    let compiler = installed(&["gcc", "clang"])?[0];
    let program = folder.join("service-static");
    let cmd = project.cmd(compiler).args(["-std=c99", "-Os", "-s", "-Iinclude", "ffi/examples/c/service.c"]);
    let cmd = cmd.arg(archive.display().to_string()).args(STATIC_NEEDS.iter().copied());
    cmd.args(["-Wl,--gc-sections", "-o", &program.display().to_string()]).run()?;
    Ok(program)
}

/// Rows of a table: what is measured, and what the same round's other contestant is.
const CACHED: &[&str] = &[
    "C: cached token, 1 thread",
    "C: cached token, 2 threads",
    "Go: cached token, jeton's TokenSource, 1 thread",
    "Go: cached token, oauth2's own, 1 thread",
    "Go: cached token, jeton's TokenSource, 2 threads",
    "Go: cached token, oauth2's own, 2 threads",
];
const REQUESTS: &[(&str, &str)] = &[
    ("C: request, libcurl", "C: request, libcurl"),
    ("C: request, jeton", "C: request, libcurl"),
    ("Go: request, net/http", "Go: request, net/http"),
    ("Go: request, jeton", "Go: request, net/http"),
];
/// Below these.
const GOALS: &[(&str, f64)] =
    &[(CACHED[0], 100.0), (CACHED[1], 100.0), (CACHED[2], 300.0), (CACHED[4], 300.0)];
const GOAL_SIZE: f64 = 6.0;
const MIB: f64 = 1_048_576.0;

fn report(samples: &Samples, files: &[(&str, &Path)]) -> Result<(), Stop> {
    let values = |name: &str| {
        let values = samples.get(name).cloned().filter(|values| !values.is_empty());
        values.ok_or_else(|| Stop::failed(format!("nothing measured `{name}`")))
    };
    println!("\n{:<50} {:>12} {:>10} {:>10}", "cached token", "median [ns]", "low [ns]", "high [ns]");
    for name in CACHED {
        let summary = Summary::of(values(name)?);
        println!("{name:<50} {:>12.1} {:>10.1} {:>10.1}", summary.median, summary.low, summary.high);
    }
    println!(
        "\n{:<50} {:>12} {:>10} {:>10} {:>8}",
        "authenticated GET", "median [us]", "low [us]", "high [us]", "ratio"
    );
    for (name, base) in
        REQUESTS.iter().filter(|(name, base)| [name, base].iter().all(|name| samples.contains_key(**name)))
    {
        let (of, base) = (values(name)?, values(base)?);
        let ratio = Summary::of(of.iter().zip(&base).map(|(value, base)| value / base).collect()).median;
        let summary = Summary::of(of);
        println!(
            "{name:<50} {:>12.1} {:>10.1} {:>10.1} {ratio:>8.2}",
            summary.median, summary.low, summary.high
        );
    }
    println!("\n{:<50} {:>12} {:>12}", "memory", "resident [KiB]", "its own [KiB]");
    let of = |name: &str| {
        Ok::<_, Stop>((values(&format!("{name}, resident"))?[0], values(&format!("{name}, its own"))?[0]))
    };
    let (client, empty) = (of("client")?, of("empty")?);
    for (name, (resident, written)) in [
        ("a client, a session, a token", client),
        ("the same program, the library only loaded", empty),
        ("difference", (client.0 - empty.0, client.1 - empty.1)),
    ] {
        println!("{name:<50} {resident:>12.0} {written:>12.0}");
    }
    println!("\n{:<50} {:>12}", "size", "[MiB]");
    let mut sizes = Vec::new();
    for (name, file) in files {
        let bytes = std::fs::metadata(file).map_err(|error| Stop::failed(error.to_string()))?.len();
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let size = bytes as f64 / MIB;
        println!("{name:<50} {size:>12.2}");
        sizes.push(((*name).to_owned(), size));
    }
    println!("\ngoals");
    for (name, goal) in GOALS {
        verdict(name, Summary::of(values(name)?).median, *goal, "ns");
    }
    verdict(&sizes[0].0, sizes[0].1, GOAL_SIZE, "MiB");
    Ok(())
}

fn verdict(name: &str, value: f64, goal: f64, unit: &str) {
    println!("{} {name} < {goal:.0} {unit}: {value:.2}", if value < goal { "met   " } else { "MISSED" });
}

struct Summary {
    median: f64,
    low: f64,
    high: f64,
}

impl Summary {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Self { median: at(values.len() / 2), low: at(0), high: at(values.len().saturating_sub(1)) }
    }
}

/// The least that a token endpoint and an API can be, so that the clients are what is measured: kept connections, and
/// answers made beforehand.
struct Server {
    token_endpoint: String,
    api: String,
}

/// As long as the signed tokens of common servers are.
const TOKEN_LENGTH: usize = 900;

impl Server {
    fn start() -> Result<Self, Stop> {
        let failed = |error: io::Error| Stop::failed(format!("no server on loopback: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up has what it wanted.
                std::thread::spawn(move || drop(answer(&stream)));
            }
        });
        Ok(Self { token_endpoint: format!("http://{address}/token"), api: format!("http://{address}/api") })
    }
}

fn answer(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let token = "t0k3n".repeat(TOKEN_LENGTH / 5);
    let whole = |status: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let issued = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600}}"#);
    let (issued, good) =
        (whole("200 OK", &issued), whole("200 OK", &format!(r#"{{"notes":"{}"}}"#, "n".repeat(1000))));
    let (bad, presented) = (whole("401 Unauthorized", "{}"), format!("Bearer {token}"));
    let mut reader = BufReader::new(stream);
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let asks_for_token = line.starts_with("POST /token ");
        let (mut length, mut authorized) = (0, false);
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            } else if name.eq_ignore_ascii_case("authorization") {
                authorized = value.trim() == presented;
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        let answer = match (asks_for_token, authorized) {
            (true, _) => &issued,
            (false, true) => &good,
            (false, false) => &bad,
        };
        (&mut &*stream).write_all(answer.as_bytes())?;
    }
}
