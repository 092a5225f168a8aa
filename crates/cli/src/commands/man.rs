//! `jeton man`: a man page for each command, made of its help.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Arg, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use serde_json::json;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::when::rfc3339;

const ENVIRONMENT: [(&str, &str); 5] = [
    ("JETON_CONFIG", "The profiles file, as --config."),
    ("JETON_STORE", "Where logins are kept, as --store."),
    ("JETON_PASSPHRASE_FILE", "The file with the passphrase of a sealed store."),
    ("JETON_CLIENT_SECRET", "The client secret, where none is stored."),
    ("NO_COLOR", "No colour, if it is set."),
];

const FILES: [(&str, &str); 3] = [
    ("~/.config/jeton/profiles.toml", "The profiles, on Linux ($XDG_CONFIG_HOME)."),
    ("~/Library/Application Support/jeton/profiles.toml", "The same on macOS."),
    ("%APPDATA%\\jeton\\profiles.toml", "The same on Windows."),
];

/// The user guide, whose table of the keys of a profile stands in the pages too.
const GUIDE: &str = include_str!("../../README.md");

/// The keys beside the profiles.
const KEYS: [(&str, &str); 4] = [
    ("default", "The profile of commands that name none."),
    ("store", "Where logins are kept: auto, keychain, file or sealed."),
    ("passphrase_file", "The file with the passphrase of a sealed store."),
    ("[profiles.NAME]", "A profile, a table of the keys below."),
];

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  jeton man | man -l -
  jeton man token | man -l -
  jeton man --dir ~/.local/share/man/man1")]
pub(crate) struct Args {
    /// The command whose page to print, such as token or store-move; else jeton.
    #[arg(value_name = "COMMAND")]
    page: Option<String>,
    /// Write all pages into this folder instead.
    #[arg(long, value_name = "DIR", conflicts_with = "page")]
    dir: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let mut root = without_lists(Arguments::command()).disable_help_subcommand(true);
    root.build();
    let date = date();
    if let Some(folder) = &args.dir {
        let files = write_all(&root, folder, &date)?;
        cx.output.confirm(
            format!("{} man pages are in {}", files.len(), folder.display()),
            || json!({ "files": files.iter().map(|file| file.to_string_lossy()).collect::<Vec<_>>() }),
        )?;
        return Ok(Exit::Success);
    }
    let command = match args.page.as_deref() {
        None => &root,
        Some(name) => {
            let wanted = format!("jeton-{name}");
            all(&root).into_iter().find(|command| title(command) == wanted).ok_or_else(|| {
                Failure::usage(format!("there is no command {name:?}"))
                    .help("`jeton --help` lists the commands")
            })?
        }
    };
    let page =
        page(command, &root, &date).map_err(|error| Failure::io("the page could not be made", &error))?;
    cx.output.answer(page.trim_end(), || json!({ "page": page }))?;
    Ok(Exit::Success)
}

/// What an option takes stands in its text; as lists, mandoc finds fault with it.
fn without_lists(command: Command) -> Command {
    let without = |argument: Arg| match argument.get_action().takes_values() {
        true => argument.hide_possible_values(true),
        false => argument,
    };
    command.mut_args(without).mut_subcommands(without_lists)
}

fn write_all(root: &Command, folder: &Path, date: &str) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: io::Error| {
        Failure::io(format!("no pages could be written into {}", folder.display()), &error)
    };
    fs::create_dir_all(folder).map_err(failed)?;
    let mut files = Vec::new();
    for command in all(root) {
        let file = folder.join(format!("{}.1", title(command)));
        fs::write(&file, page(command, root, date).map_err(failed)?).map_err(failed)?;
        files.push(file);
    }
    Ok(files)
}

/// The command and those below it.
fn all(root: &Command) -> Vec<&Command> {
    let below = root.get_subcommands().filter(|command| !command.is_hide_set());
    std::iter::once(root).chain(below.flat_map(all)).collect()
}

/// `jeton`, `jeton-token` or `jeton-store-move`.
fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of a command, in roff.
fn page(command: &Command, root: &Command, date: &str) -> io::Result<String> {
    let man = Man::new(command.clone())
        .title(title(command).to_uppercase())
        .date(date)
        .source(concat!("jeton ", env!("CARGO_PKG_VERSION")))
        .manual("jeton");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut roff = Roff::default();
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    push_examples(&mut roff, &help);
    push_exit_codes(&mut roff);
    push_list(&mut roff, "ENVIRONMENT", &ENVIRONMENT);
    push_list(&mut roff, "FILES", &FILES);
    if ["jeton", "jeton-login"].contains(&title(command)) {
        push_keys(&mut roff);
    }
    push_see_also(&mut roff, command, root);
    roff.to_writer(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// The help's last part: one paragraph of examples, and notes around it.
fn push_examples(roff: &mut Roff, help: &str) {
    let (examples, notes): (Vec<&str>, Vec<&str>) = help
        .split("\n\n")
        .filter(|paragraph| !paragraph.is_empty())
        .partition(|paragraph| paragraph.starts_with("Example"));
    if !notes.is_empty() {
        roff.control("SH", ["NOTES"]);
        for (index, paragraph) in notes.into_iter().enumerate() {
            if index > 0 {
                roff.control("PP", []);
            }
            push_lines(roff, paragraph, paragraph.lines().any(|line| line.starts_with("  ")));
        }
    }
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
        for paragraph in examples {
            push_lines(roff, paragraph.split_once('\n').map_or("", |(_, lines)| lines), true);
        }
    }
}

/// Lines of text: filled, or as they are.
fn push_lines(roff: &mut Roff, text: &str, as_they_are: bool) {
    if as_they_are {
        roff.control("nf", []);
    }
    for line in text.lines() {
        roff.text([roman(line)]);
    }
    if as_they_are {
        roff.control("fi", []);
    }
}

fn push_exit_codes(roff: &mut Roff) {
    let codes: Vec<(&str, &str)> =
        exit::TABLE.lines().filter_map(|line| line.strip_prefix("  ")?.split_once("  ")).collect();
    push_list(roff, "EXIT STATUS", &codes);
    // What is said beneath the table.
    for line in exit::TABLE.lines().skip(1).filter(|line| !line.starts_with("  ")) {
        roff.control("PP", []);
        roff.text([roman(line)]);
    }
}

fn push_list(roff: &mut Roff, heading: &str, items: &[(&str, &str)]) {
    roff.control("SH", [heading]);
    for (term, text) in items {
        roff.control("TP", []);
        roff.text([bold(*term)]);
        roff.text([roman(*text)]);
    }
}

/// What stands in the profiles file.
fn push_keys(roff: &mut Roff) {
    push_list(roff, "PROFILES FILE", &KEYS);
    let table = GUIDE.split("| key of a profile |").nth(1).unwrap_or_default();
    let rows = table.lines().skip(2).take_while(|row| row.starts_with('|'));
    for (keys, text) in rows.filter_map(|row| row.trim_matches(['|', ' ']).split_once(" | ")) {
        roff.control("TP", []);
        roff.text([bold(keys.replace('`', ""))]);
        roff.text([roman(text.replace('`', ""))]);
    }
}

fn push_see_also(roff: &mut Roff, command: &Command, root: &Command) {
    let others = std::iter::once(root).chain(root.get_subcommands().filter(|other| !other.is_hide_set()));
    let titles: Vec<&str> = others.map(title).filter(|other| *other != title(command)).collect();
    roff.control("SH", ["SEE ALSO"]);
    for (index, title) in titles.iter().enumerate() {
        let comma = if index + 1 < titles.len() { "," } else { "" };
        roff.text([roman(format!("{title}(1){comma}"))]);
    }
}

/// Today, or the day that whoever builds a package names so that the pages are the same each time (`SOURCE_DATE_EPOCH`).
fn date() -> String {
    let named = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
    let time = named.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    let text = rfc3339(time.unwrap_or_else(SystemTime::now)).unwrap_or_default();
    text.split('T').next().unwrap_or_default().to_owned()
}
