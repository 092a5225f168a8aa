//! The command line of the lab.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lexopt::prelude::*;

use super::event::Point;
use super::scenario::{Disk, Mishap, Scenario, matrix};
use super::store::StoreKind;
use super::verdict::total;
use super::{driver, report, worker};

const HELP: &str = "\
cargo xtask faults [OPTIONS]     without options: the whole matrix

  --list                 the scenarios
  --scenario NAME        this one, or all whose name begins so (may be given several times)
  --seed N               what every random decision is drawn from; printed at the start
  --seconds N            how long each scenario goes on
  --json                 one line of JSON for each scenario instead of the table
  --details              errors by kind and kills by point below each row

What a scenario is made of can be changed; without --scenario these change `steady`:
  --store NAME           file, sealed, sealed-keychain, keyring (the last two in a keychain of their own)
  --processes N  --threads N  --logins N
  --token-life SECONDS   how long access tokens live
  --latency MS           of the server, before it commits and again before it answers
  --grace SECONDS        a used refresh token is forgiven for so long
  --refresh-ahead        tokens are refreshed ahead of their expiry
  --request-timeout MS   --lease-timeout MS
  --kill-every MS        a process is killed, whatever it does
  --kill POINT=SHARE     killed at a point, with that probability: before-request, request-sent, answer-received,
                         during-save, after-save
  --stop POINT=SHARE     stopped there (SIGSTOP), and woken after --stopped-for MS
  --fault NAME           what the server does wrong (may be given several times): server-error, too-many-requests,
                         retry-after-date, oauth-error, drop-before-commit, drop-after-commit, truncated, hang,
                         hang-after-commit, garbage, html, huge-body, redirect, wrong-content-type, form-encoded,
                         no-access-token, slow
  --fault-share SHARE    how many of the token requests meet one of them
  --clock-step SECONDS   the clock is stepped to this offset and back (may be given several times; may be negative)
  --restart-keychain MS  the keychain's daemon is killed so often, and started again
  --disk NAME            ordinary, full, read-only (a small disk of its own; needs Linux and root)

It ends with an error if a promise is broken: a refresh too many, a login lost outside of the window that no client can close, a
panic, two holders of a lease.";

/// So many broken promises of a scenario are shown with their trails.
const SHOWN: usize = 3;

#[derive(Debug, Default)]
struct Arguments {
    list: bool,
    json: bool,
    details: bool,
    seed: Option<u64>,
    scenarios: Vec<Scenario>,
}

/// The program's `main`.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--worker", setup] => {
            worker::run(setup);
            return ExitCode::SUCCESS;
        }
        ["--one", scenario, seed] => {
            let scenario: Scenario = serde_json::from_str(scenario).expect("a scenario");
            let row = driver::run_here(&scenario, seed.parse().expect("a seed"), &this_program());
            say(&serde_json::to_string(&row).expect("JSON"));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    match parse(lexopt::Parser::from_env()) {
        Ok(Some(arguments)) => run(&arguments),
        Ok(None) => {
            say(HELP);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("{error}\n\n{HELP}"));
            ExitCode::from(2)
        }
    }
}

fn this_program() -> PathBuf {
    std::env::current_exe().expect("this very program")
}

fn say(text: &str) {
    // Whoever closed the pipe does not want to hear more.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What an option changes in each scenario that is run.
type Change = Box<dyn Fn(&mut Scenario)>;

fn parse(mut parser: lexopt::Parser) -> Result<Option<Arguments>, lexopt::Error> {
    let mut arguments = Arguments::default();
    let mut names: Vec<String> = Vec::new();
    let (mut changes, mut seconds): (Vec<Change>, Vec<Change>) = Default::default();
    let (mut kills, mut stops, mut faults, mut steps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    while let Some(argument) = parser.next()? {
        let Long(name) = argument else { return Err(argument.unexpected()) };
        let name = name.to_owned();
        let mut number = || -> Result<u64, lexopt::Error> { parser.value()?.parse() };
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        match name.as_str() {
            "help" => return Ok(None),
            "list" => arguments.list = true,
            "json" => arguments.json = true,
            "details" => arguments.details = true,
            "refresh-ahead" => changes.push(Box::new(|it| it.refresh_ahead = true)),
            "seed" => arguments.seed = Some(number()?),
            "seconds" => change(&mut seconds, number()?, |it, n| it.seconds = n),
            "processes" => change(&mut changes, number()?, move |it, n| it.processes = count(n).max(1)),
            "threads" => change(&mut changes, number()?, move |it, n| it.threads = count(n).max(1)),
            "logins" => change(&mut changes, number()?, move |it, n| it.logins = count(n).max(1)),
            "token-life" => change(&mut changes, number()?, |it, n| it.token_life = n.max(1)),
            "latency" => change(&mut changes, number()?, |it, n| it.latency = Duration::from_millis(n)),
            "grace" => change(&mut changes, number()?, |it, n| it.grace = Some(Duration::from_secs(n))),
            "request-timeout" => {
                change(&mut changes, number()?, |it, n| it.request_timeout = Duration::from_millis(n));
            }
            "lease-timeout" => {
                change(&mut changes, number()?, |it, n| it.lease_timeout = Duration::from_millis(n));
            }
            "kill-every" => {
                change(&mut changes, number()?, |it, n| {
                    it.kill_every = Some(Duration::from_millis(n.max(1)))
                });
            }
            "restart-keychain" => change(&mut changes, number()?, |it, n| {
                it.restart_keychain_every = Some(Duration::from_millis(n.max(1)));
            }),
            "stopped-for" => {
                change(&mut changes, number()?, |it, n| it.stopped_for = Duration::from_millis(n));
            }
            "scenario" => names.push(parser.value()?.string()?),
            "kill" => kills.push(parser.value()?.parse_with(point_and_share)?),
            "stop" => stops.push(parser.value()?.parse_with(point_and_share)?),
            "fault" => {
                faults.push(parser.value()?.parse_with(|text| named(text, &Mishap::ALL, Mishap::name))?)
            }
            "fault-share" => {
                let share: f64 = parser.value()?.parse()?;
                changes.push(Box::new(move |it| it.fault_share = share));
            }
            "clock-step" => steps.extend([parser.value()?.parse()?, 0]),
            "store" => {
                let store =
                    parser.value()?.parse_with(|text| named(text, &StoreKind::ALL, StoreKind::name))?;
                changes.push(Box::new(move |it| it.store = store));
            }
            "disk" => {
                let disks = [Disk::Ordinary, Disk::Full, Disk::ReadOnly];
                let disk = parser.value()?.parse_with(|text| named(text, &disks, Disk::name))?;
                changes.push(Box::new(move |it| it.disk = disk));
            }
            _ => return Err(format!("there is no option --{name}").into()),
        }
    }
    change_list(&mut changes, kills, |it, kills| it.kills = kills);
    change_list(&mut changes, stops, |it, stops| it.stops = stops);
    change_list(&mut changes, faults, |it, faults| it.faults = faults);
    change_list(&mut changes, steps, |it, steps| (it.clock_steps, it.uses_tokens) = (steps, true));

    let whole = names.is_empty() && (changes.is_empty() || arguments.list);
    // How long each goes on says nothing of what it is about.
    changes.extend(seconds);
    if names.is_empty() && !whole {
        names.push("steady".to_owned());
    }
    let all = matrix();
    for name in &names {
        let exact: Vec<&Scenario> = all.iter().filter(|it| it.name == *name).collect();
        let found = match exact.is_empty() {
            true => all.iter().filter(|it| it.name.starts_with(name.as_str())).collect(),
            false => exact,
        };
        if found.is_empty() {
            return Err(format!("there is no scenario `{name}`; --list names them").into());
        }
        arguments.scenarios.extend(found.into_iter().cloned());
    }
    if whole {
        arguments.scenarios = all;
    }
    for scenario in &mut arguments.scenarios {
        changes.iter().for_each(|change| change(scenario));
    }
    Ok(Some(arguments))
}

fn change(changes: &mut Vec<Change>, number: u64, change: impl Fn(&mut Scenario, u64) + 'static) {
    changes.push(Box::new(move |it| change(it, number)));
}

fn change_list<T: Clone + 'static>(
    changes: &mut Vec<Change>,
    list: Vec<T>,
    change: impl Fn(&mut Scenario, Vec<T>) + 'static,
) {
    if !list.is_empty() {
        changes.push(Box::new(move |it| change(it, list.clone())));
    }
}

fn point_and_share(text: &str) -> Result<(Point, f64), String> {
    let (point, share) = text.split_once('=').ok_or("POINT=SHARE is wanted, such as during-save=0.1")?;
    let share = share.parse().map_err(|_| format!("{share} is no number from 0 to 1"))?;
    Ok((named(point, &Point::ALL, Point::name)?, share))
}

fn named<T: Copy>(text: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Result<T, String> {
    let names = || all.iter().map(|it| name(*it)).collect::<Vec<_>>().join(", ");
    all.iter().copied().find(|it| name(*it) == text).ok_or_else(|| format!("`{text}` is none of {}", names()))
}

fn run(arguments: &Arguments) -> ExitCode {
    if arguments.list {
        for scenario in &arguments.scenarios {
            say(&format!("{:32} {}", scenario.name, scenario.what));
        }
        return ExitCode::SUCCESS;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = arguments.seed.unwrap_or(now.as_secs());
    let program = this_program();
    if !arguments.json {
        say(&format!("seed {seed}; {} scenarios\n\n{}", arguments.scenarios.len(), report::head()));
    }
    let mut rows = Vec::new();
    for scenario in &arguments.scenarios {
        let row = driver::run(scenario, seed, &program);
        if arguments.json {
            say(&serde_json::to_string(&row).expect("JSON"));
        } else {
            say(&report::line(&row));
            if arguments.details {
                report::details(&row).iter().for_each(|line| say(&format!("    {line}")));
            }
            for broken in row.broken.iter().take(SHOWN) {
                say(&format!("\n{}: {broken}\n", row.scenario));
            }
            if row.broken.len() > SHOWN {
                say(&format!("{}: and {} more\n", row.scenario, row.broken.len() - SHOWN));
            }
        }
        rows.push(row);
    }
    let total = total(&rows);
    if !arguments.json {
        say(&format!("{}\n\n{}\n", report::line(&total), report::LEGEND));
        report::windows(&rows).iter().chain(&report::details(&total)).for_each(|line| say(line));
    }
    if total.broken.is_empty() {
        return ExitCode::SUCCESS;
    }
    say(&format!("{} promises were broken; to repeat: cargo xtask faults --seed {seed}", total.broken.len()));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenarios(line: &str) -> Vec<Scenario> {
        let arguments = line.split_whitespace();
        let parsed = parse(lexopt::Parser::from_args(arguments)).expect("understood");
        parsed.expect("not the help").scenarios
    }

    #[test]
    fn scenarios_are_chosen_by_name_and_changed_by_options() {
        let all = matrix().len();
        assert_eq!(scenarios("").len(), all);
        let short = scenarios("--seconds 3 --seed 1");
        assert!(short.len() == all && short.iter().all(|it| it.seconds == 3));
        let steady = scenarios("--processes 3 --kill during-save=0.5 --fault hang --fault html");
        assert_eq!((steady.len(), steady[0].name.as_str(), steady[0].processes), (1, "steady", 3));
        assert_eq!(steady[0].kills, [(Point::DuringSave, 0.5)]);
        assert_eq!(steady[0].faults, [Mishap::Hang, Mishap::Html]);
        let kills = scenarios("--scenario kill- --store sealed");
        assert!(kills.len() > 5 && kills.iter().all(|it| it.store == StoreKind::Sealed));
        assert_eq!(scenarios("--scenario answer-lost").len(), 1, "an exact name is that one only");
        let steps = scenarios("--clock-step 5 --clock-step -7");
        assert_eq!(steps[0].clock_steps, [5, 0, -7, 0]);
    }

    #[test]
    fn names_are_unique_and_mistakes_are_named() {
        let mut names: Vec<String> = matrix().into_iter().map(|it| it.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), matrix().len());
        for (line, named) in [
            ("--scenario nothing", "nothing"),
            ("--kill nowhere=0.1", "nowhere"),
            ("--kill during-save", "POINT=SHARE"),
            ("--fault sunshine", "sunshine"),
            ("--frobnicate", "frobnicate"),
        ] {
            let error = parse(lexopt::Parser::from_args(line.split_whitespace())).expect_err(line);
            assert!(error.to_string().contains(named), "{line}: {error}");
        }
    }
}
