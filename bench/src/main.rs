//! `cargo xtask bench`: runs the benchmarks and prints one table for each kind. README.md says what they mean.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use jeton_bench::cases::Group;
use jeton_bench::contestants::{Contestant, Name};
use jeton_bench::keychain::{ADDRESS_VARIABLE, Keychain};
use jeton_bench::paired::{self, Plan, Throughput};
use jeton_bench::plot::{self, Bar};
use jeton_bench::report::{Column, Goal, Machine, Report, Row, Table};
use jeton_bench::server::{self, Server};
use jeton_bench::timing::{Allocated, TIMINGS, Timing};
use jeton_bench::waiters::{self, Waits};

const HELP: &str = "\
jeton-bench [FILTER] [--quick] [--json] [--plot PATH]

  FILTER       only what has this in its name
  --quick      fewer rounds: about a minute instead of five
  --json       JSON instead of tables
  --plot PATH  writes the plot of the client credentials ratios (SVG)
  --smoke      everything once, not timed: fails if a result is wrong";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What all contestants came to in one way of asking, which the first names.
type Measured = (String, Vec<Throughput>);

/// How much is done.
#[derive(Clone, Copy)]
struct Effort {
    /// Milliseconds for each small case: to warm up, and to measure.
    micro: (u64, u64),
    /// Ten thousand tasks, or fewer, so many times.
    tasks: (usize, usize),
    /// Fifty processes, or fewer, so many times.
    processes: (usize, usize),
    /// Rounds, requests in a turn, and those of the turns with many under way.
    throughput: (usize, u64, u64),
    /// Whether times mean anything.
    timed: bool,
}

const FULL: Effort = Effort {
    micro: (1_000, 3_000),
    tasks: (10_000, 20),
    processes: (50, 10),
    throughput: (150, 400, 800),
    timed: true,
};
const QUICK: Effort = Effort {
    micro: (200, 700),
    tasks: (10_000, 5),
    processes: (50, 2),
    throughput: (40, 250, 500),
    timed: true,
};
const SMOKE: Effort =
    Effort { micro: (0, 0), tasks: (200, 1), processes: (3, 1), throughput: (1, 3, 32), timed: false };

/// So many requests are under way at a time where it is more than one.
const WIDTH: u64 = 16;

struct Options {
    filter: String,
    effort: Effort,
    json: bool,
    plot: Option<PathBuf>,
    command: String,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // What this program is to itself, in other processes.
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve"] => return ended(server::serve().map_err(Into::into)),
        ["waiter", setup] => {
            jeton_bench::install_cryptography();
            waiters::wait(setup);
            return ExitCode::SUCCESS;
        }
        ["--help" | "-h"] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    match Options::parse(arguments) {
        Ok(options) => ended(run(&options)),
        Err(error) => {
            eprintln!("{error}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn ended(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn parse(arguments: Vec<String>) -> Result<Self> {
        use lexopt::{Arg, ValueExt};

        let mut options = Self {
            filter: String::new(),
            effort: FULL,
            json: false,
            plot: None,
            command: "cargo xtask bench".to_owned(),
        };
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("quick") => {
                    options.effort = QUICK;
                    options.command.push_str(" --quick");
                }
                Arg::Long("smoke") => options.effort = SMOKE,
                Arg::Long("json") => options.json = true,
                Arg::Long("plot") => options.plot = Some(parser.value()?.into()),
                Arg::Value(filter) if options.filter.is_empty() => {
                    options.filter = filter.string()?;
                    options.command.push_str(&format!(" {:?}", options.filter));
                }
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        name.to_lowercase().contains(&self.filter.to_lowercase())
    }
}

fn run(options: &Options) -> Result<()> {
    jeton_bench::install_cryptography();
    let program = std::env::current_exe()?;
    let folder = tempfile::Builder::new()
        .prefix("jeton-bench-")
        // Beside the program and not in the system's folder for temporary files, which may be in memory: a save is measured.
        .tempdir_in(program.parent().unwrap_or(Path::new(".")))?;
    let bench = Bench { options, program: &program, folder: folder.path() };

    let mut report =
        Report { machine: Machine::this(options.command.clone()), tables: Vec::new(), goals: Vec::new() };
    let allocated = bench.allocations()?;
    bench.micro(&allocated, &mut report)?;
    bench.waiters(&mut report)?;
    let throughput = bench.throughput(&allocated, &mut report)?;

    if report.tables.is_empty() {
        return Err(format!("there is no benchmark with `{}` in its name", options.filter).into());
    }
    if let Some(path) = &options.plot {
        let groups = throughput.ok_or("the plot is of client credentials, which the filter leaves out")?;
        std::fs::write(path, plot(&groups, &report.machine))?;
    }
    match (options.effort.timed, options.json) {
        (false, _) => println!("every benchmark ran once with the right results"),
        (true, false) => print!("{}", report.text()),
        (true, true) => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(())
}

struct Bench<'a> {
    options: &'a Options,
    program: &'a Path,
    folder: &'a Path,
}

impl Bench<'_> {
    fn effort(&self) -> Effort {
        self.options.effort
    }

    /// Tells whoever waits what is going on.
    fn progress(&self, what: &str) {
        eprintln!("{what} ..");
    }

    /// A program that was built together with this one.
    fn beside(&self, name: &str) -> Command {
        Command::new(self.program.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
    }

    // ----- What is allocated -------------------------------------------------------------------------------------------

    fn allocations(&self) -> Result<BTreeMap<String, Allocated>> {
        self.progress("allocations");
        let mut command = self.beside("allocations");
        let output = command
            .arg(self.program)
            .arg(self.folder)
            .arg(&self.options.filter)
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("counting allocations: {}", output.status).into());
        }
        let allocated: BTreeMap<String, Allocated> = serde_json::from_slice(&output.stdout)?;
        for (name, allocated) in &allocated {
            if name.contains("borrowed") && allocated.count > 0.0 {
                return Err(format!("{name}: {} allocations, and there must be none", allocated.count).into());
            }
        }
        Ok(allocated)
    }

    // ----- Small cases -------------------------------------------------------------------------------------------------

    fn micro(&self, allocated: &BTreeMap<String, Allocated>, report: &mut Report) -> Result<()> {
        self.progress("cached tokens, protocol, stores");
        let keychain = Keychain::start();
        let (warm_up, measure) = self.effort().micro;
        let mut command = self.beside("micro");
        if let Ok(keychain) = &keychain {
            command.env(ADDRESS_VARIABLE, keychain.address());
        }
        let output = command
            .arg(self.folder)
            .args([keychain.is_ok().to_string(), warm_up.to_string(), measure.to_string()])
            .arg(&self.options.filter)
            .output()?;
        if !output.status.success() {
            // Else criterion talks a lot.
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("timing the small cases: {}\n{said}", output.status).into());
        }
        let timings = std::fs::read_to_string(self.folder.join(TIMINGS))?;
        let timings: Vec<Timing> =
            timings.lines().map(serde_json::from_str).collect::<serde_json::Result<_>>()?;

        for (group, title, unit, scale, digits) in [
            (Group::Cached, "cached token", "ns", 1.0, 1),
            (Group::Protocol, "protocol", "us", 1e3, 2),
            (Group::Store, "stores", "us", 1e3, 1),
        ] {
            let column = |name| Column { name, unit, digits };
            let rows = timings.iter().filter(|timing| timing.group == group).map(|timing| {
                let nanoseconds = |index: usize| {
                    timing.nanoseconds.map(|[low, median, high]| [median, low, high][index] / scale)
                };
                let allocated = allocated.get(&timing.id);
                let mut values: Vec<_> = (0..3).map(nanoseconds).collect();
                values.extend([allocated.map(|a| a.count), allocated.map(|a| a.bytes)]);
                Row { name: timing.id.clone(), values, not_here: timing.not_here.clone() }
            });
            let rows: Vec<Row> = rows.collect();
            if rows.is_empty() {
                continue;
            }
            let mut columns = vec![column("median"), column("low"), column("high")];
            if group != Group::Store {
                columns.push(Column { name: "allocations", unit: "", digits: 1 });
                columns.push(Column { name: "allocated", unit: "bytes", digits: 0 });
            }
            let note = match group {
                Group::Cached => "Time of each thread; all threads read the same session.",
                Group::Protocol => "",
                Group::Store => {
                    "A record of 1.4 KB. File: two synced writes on the disk of the build folder. Keychain: a gnome-keyring \
                     daemon of its own, over D-Bus."
                }
            };
            report.tables.push(Table { title, columns, rows, note: note.to_owned() });
        }
        for timing in timings.iter().filter(|timing| timing.id.contains("borrowed")) {
            if let Some([_, median, _]) = timing.nanoseconds {
                report.goals.push(Goal {
                    what: format!("{} < 20 ns", timing.id),
                    measured: median,
                    met: median < 20.0,
                });
            }
        }
        Ok(())
    }

    // ----- Waiters -----------------------------------------------------------------------------------------------------

    fn waiters(&self, report: &mut Report) -> Result<()> {
        let effort = self.effort();
        let (tasks, processes) = (effort.tasks.0, effort.processes.0);
        let names = [
            format!("waiters: {tasks} tasks of one process"),
            format!("waiters: {processes} processes, one file store"),
        ];
        let wanted = names.each_ref().map(|name| self.options.wants(name));
        if wanted == [false, false] {
            return Ok(());
        }
        self.progress("waiters");
        let server = Server::start(self.program)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let mut rows = Vec::new();
        for (index, name) in names.into_iter().enumerate().filter(|(index, _)| wanted[*index]) {
            let waits = runtime.block_on(async {
                match index {
                    0 => waiters::tasks(&server, tasks, effort.tasks.1).await,
                    _ => {
                        waiters::processes(self.program, &server, self.folder, processes, effort.processes.1)
                            .await
                    }
                }
            });
            if waits.requests.iter().any(|requests| *requests != 1) {
                return Err(format!("{name}: {:?} requests, and there must be one", waits.requests).into());
            }
            let limit = server::DELAY.as_secs_f64() * 1.5e3;
            let p99 = milliseconds(waits.quantile(0.99));
            report.goals.push(Goal {
                what: format!("{name}, p99 < {limit} ms"),
                measured: p99,
                met: p99 < limit,
            });
            rows.push(waits_row(name, &waits));
        }
        let column = |name| Column { name, unit: "ms", digits: 1 };
        let columns = vec![
            column("p50"),
            column("p99"),
            column("max"),
            Column { name: "requests", unit: "", digits: 0 },
            Column { name: "rounds", unit: "", digits: 0 },
        ];
        let note = format!(
            "One expired token; the server takes {} ms. Requests: the most in any round.",
            server::DELAY.as_millis()
        );
        report.tables.push(Table { title: "waiters", columns, rows, note });
        Ok(())
    }

    // ----- Client credentials ------------------------------------------------------------------------------------------

    fn throughput(
        &self,
        allocated: &BTreeMap<String, Allocated>,
        report: &mut Report,
    ) -> Result<Option<Vec<Measured>>> {
        let mut names: Vec<_> = Name::matching(&self.options.filter).collect();
        if names.is_empty() {
            return Ok(None);
        }
        if !names.contains(&Name::Reqwest) {
            names.push(Name::Reqwest);
        }
        self.progress("client credentials");
        let server = Server::start(self.program)?;
        // One thread, so that the client is what is measured, and the server has the other core.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (rounds, one, many) = self.effort().throughput;
        let plans = [
            ("one request at a time".to_owned(), Plan { rounds, requests: one, width: 1 }),
            (format!("{WIDTH} requests at a time"), Plan { rounds, requests: many, width: WIDTH }),
        ];
        let mut found = Vec::new();
        for (title, plan) in plans {
            let measured = runtime.block_on(async {
                let mut contestants = Vec::new();
                for name in &names {
                    contestants.push(Contestant::new(*name, &server).await);
                }
                paired::measure(&contestants, Name::Reqwest, plan).await
            });
            found.push((title, measured));
        }
        for ((title, measured), head) in
            found.iter().zip(["client credentials, one at a time", "client credentials, 16 at a time"])
        {
            let rows = measured.iter().map(|throughput| {
                let (rate, ratio) = (throughput.rate, throughput.ratio);
                let allocated = allocated.get(throughput.name.text());
                let mut values: Vec<_> = [rate.median, ratio.median, ratio.low, ratio.high].map(Some).into();
                values.extend([allocated.map(|a| a.count), allocated.map(|a| a.bytes)]);
                Row { name: throughput.name.text().to_owned(), values, not_here: None }
            });
            report.tables.push(Table {
                title: head,
                columns: vec![
                    Column { name: "rate", unit: "requests/s", digits: 0 },
                    Column { name: "ratio", unit: "", digits: 3 },
                    Column { name: "low", unit: "", digits: 3 },
                    Column { name: "high", unit: "", digits: 3 },
                    Column { name: "allocations", unit: "", digits: 1 },
                    Column { name: "allocated", unit: "bytes", digits: 0 },
                ],
                rows: rows.collect(),
                note: "Over kept connections, HTTP/1.1, no TLS, one thread. Ratio: to bare reqwest in the same round; median and \
                       its 95 % interval."
                    .to_owned(),
            });
            report.goals.extend(goals(title, measured));
        }
        Ok(Some(found))
    }
}

fn waits_row(name: String, waits: &Waits) -> Row {
    let times = [waits.quantile(0.5), waits.quantile(0.99), waits.quantile(1.0)].map(milliseconds);
    let most = waits.requests.iter().max().copied().unwrap_or_default();
    let counts = [most as f64, waits.requests.len() as f64];
    Row { name, values: times.into_iter().chain(counts).map(Some).collect(), not_here: None }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn goals(title: &str, measured: &[Throughput]) -> Vec<Goal> {
    let ratio = |name: Name| measured.iter().find(|found| found.name == name).map(|found| found.ratio.median);
    let Some(ours) = ratio(Name::Jeton) else { return Vec::new() };
    let mut goals = vec![Goal {
        what: format!("{title}: jeton >= 0.95 of bare reqwest"),
        measured: ours,
        met: ours >= 0.95,
    }];
    for peer in [Name::OAuth2, Name::Huskarl] {
        if let Some(theirs) = ratio(peer) {
            let what = format!("{title}: jeton ahead of {} ({theirs:.2})", peer.text());
            goals.push(Goal { what, measured: ours, met: ours > theirs });
        }
    }
    goals
}

/// What README shows.
fn plot(groups: &[Measured], machine: &Machine) -> String {
    let shown = [Name::Reqwest, Name::Jeton, Name::OAuth2, Name::Huskarl];
    let groups = groups.iter().map(|(title, measured)| plot::Group {
        title: title.clone(),
        bars: shown
            .iter()
            .filter_map(|name| measured.iter().find(|found| found.name == *name))
            .map(|found| Bar {
                name: match found.name {
                    Name::Reqwest => "bare reqwest".to_owned(),
                    other => other.text().to_owned(),
                },
                ratio: found.ratio.median,
                interval: (found.name != Name::Reqwest).then_some((found.ratio.low, found.ratio.high)),
                ours: found.name == Name::Jeton,
            })
            .collect(),
    });
    plot::svg(
        "Client credentials over a kept connection",
        "requests per second, as a part of bare reqwest's in the same run",
        &groups.collect::<Vec<_>>(),
        machine,
    )
}
