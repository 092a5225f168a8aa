//! `--help` of every command: there is an example, and 80 columns are enough.

use crate::world::World;

/// The commands, as `jeton --help` lists them.
pub(crate) fn commands(world: &World) -> Vec<String> {
    let help = world.jeton(["--help"]);
    let lines = help.answer().lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    // What is set in further is the rest of the line above.
    let names =
        lines.filter(|line| !line.starts_with("    ")).map(|line| line.split_whitespace().next().unwrap());
    let names: Vec<String> = names.filter(|name| *name != "help").map(str::to_owned).collect();
    assert!(names.len() > 15, "{names:?}");
    names
}

#[test]
fn the_help_of_every_command_has_an_example_and_fits_into_80_columns() {
    let world = World::new();
    let mut wrong = Vec::new();
    for arguments in std::iter::once(vec![]).chain(commands(&world).iter().map(|name| vec![name.clone()])) {
        for flag in ["-h", "--help"] {
            let line = [arguments.iter().map(String::as_str).collect(), vec![flag]].concat();
            let help = crate::world::run(&mut world.command(line.iter().copied()), b"");
            let text = help.answer();
            if !text.contains("Example") || !text.contains("  jeton ") {
                wrong.push(format!("{line:?} has no example"));
            }
            let wide = text.lines().filter(|line| line.chars().count() > 80);
            wrong.extend(wide.map(|wide| format!("{line:?} is too wide: {wide}")));
            if text.lines().any(|line| line.trim() == "Arguments") {
                wrong.push(format!("{line:?} says nothing of its arguments"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_long_help_has_the_exit_codes() {
    let world = World::new();
    let help = world.jeton(["--help"]);
    for code in 0..=8 {
        assert!(help.answer().lines().any(|line| line.starts_with(&format!("  {code}  "))), "{code}");
    }
}
