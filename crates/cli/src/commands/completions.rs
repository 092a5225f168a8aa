//! `jeton completions`: a completion script for a shell. Commands and options are in it; the names of profiles are asked for each
//! time, since they change.

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  jeton completions bash > ~/.local/share/bash-completion/completions/jeton
  jeton completions zsh > ~/.zfunc/_jeton
  jeton completions fish > ~/.config/fish/completions/jeton.fish
  jeton completions powershell >> $PROFILE

Zsh looks into ~/.zfunc with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc.")]
pub(crate) struct Args {
    /// The shell: bash, zsh, fish, powershell or elvish; else that of $SHELL.
    #[arg(hide_possible_values = true)]
    shell: Option<Shell>,
    /// Print the names of the profiles, for those scripts.
    #[arg(long, hide = true)]
    profiles: bool,
}

/// Stands in the generated script where the names of profiles belong.
const PLACE: &str = "NAMES_OF_PROFILES";

/// What the scripts call.
const NAMES: &str = "jeton completions --profiles 2>/dev/null";

pub(crate) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    if args.profiles {
        let profiles = cx.profiles()?;
        let names: Vec<&str> = profiles.iter().map(|(name, _)| name).collect();
        cx.output.answer(names.join("\n"), || json!({ "profiles": names }))?;
        return Ok(Exit::Success);
    }
    let shell = args.shell.or_else(Shell::from_env).ok_or_else(|| {
        Failure::usage("which shell is meant?")
            .because("the variable SHELL names none that there are completions for")
            .help("jeton completions bash, or zsh, fish, powershell, elvish")
    })?;
    let script = script(shell);
    cx.output.answer(script.trim_end(), || json!({ "shell": shell.to_string(), "script": script }))?;
    Ok(Exit::Success)
}

fn script(shell: Shell) -> String {
    let mut command = with_places(Arguments::command());
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "jeton", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => script.replace(PLACE, &format!("$({NAMES})")),
        Shell::Zsh => with_zsh_names(&script),
        Shell::Fish => with_fish_names(&script, &command),
        // These complete no values of arguments.
        _ => script.replace(PLACE, ""),
    }
}

/// The commands, with a mark at each argument that is the name of a profile.
fn with_places(command: Command) -> Command {
    let marked = |argument: Arg| match is_profile(&argument) {
        true => argument.value_parser([PLACE]),
        false => argument,
    };
    command.mut_subcommands(|command| command.mut_args(marked))
}

fn is_profile(argument: &Arg) -> bool {
    ["name", "profile"].contains(&argument.get_id().as_str()) && argument.get_action().takes_values()
}

fn with_zsh_names(script: &str) -> String {
    let function = format!(
        "\
_jeton_profiles() {{
    local -a names
    names=(${{(f)\"$({NAMES})\"}})
    compadd -a names
}}

"
    );
    let script = script.replace(&format!("({PLACE})"), "_jeton_profiles");
    match script.find("_jeton() {") {
        Some(place) => format!("{}{function}{}", &script[..place], &script[place..]),
        None => script,
    }
}

/// Fish's generator leaves out positional arguments.
fn with_fish_names(script: &str, command: &Command) -> String {
    let mut script = script.replace(&format!("{PLACE}\\t''"), &format!("({NAMES})"));
    for command in command.get_subcommands() {
        if command.get_positionals().any(is_profile) {
            let name = command.get_name();
            script.push_str(&format!(
                "complete -c jeton -n \"__fish_jeton_using_subcommand {name}\" -f -a \"({NAMES})\"\n"
            ));
        }
    }
    script
}
