//! `cargo xtask pictures`: what people see of the command, as it is today. The real program runs in a terminal, typed into a real
//! shell, against a devserver; the screens become SVG files, and the pages that a browser shows become PNG files.
//!
//! What is another text at each run (a free port, a random value, the time) is replaced by one that stays; nothing is added.

mod normal;
mod pages;
mod scenes;
mod stage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
pictures --command JETON --folder FOLDER [--only NAME] [--pages]

  --command JETON   the program that is shown
  --folder FOLDER   where the pictures go
  --only NAME       this picture alone
  --pages           the pages in the browser instead (needs Chromium and Node)";

/// The program's `main`.
pub fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let ["--visit", url] = words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // A browser without a screen: it goes where it is sent, to the page of the command at the end.
        return if crate::test_server::visit(url).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let Some(arguments) = Arguments::parse(words) else {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "{HELP}");
        return ExitCode::from(2);
    };
    std::fs::create_dir_all(&arguments.folder).expect("the folder can be made");
    if arguments.pages {
        pages::draw(&arguments.command, &arguments.folder);
        return ExitCode::SUCCESS;
    }
    for scene in
        scenes::SCENES.iter().filter(|scene| arguments.only.as_deref().is_none_or(|only| only == scene.name))
    {
        let picture = (scene.play)(&stage::Stage::new(&arguments.command));
        let path = arguments.folder.join(format!("{}.svg", scene.name));
        std::fs::write(&path, picture.svg()).expect("the picture can be written");
    }
    ExitCode::SUCCESS
}

struct Arguments {
    command: PathBuf,
    folder: PathBuf,
    only: Option<String>,
    pages: bool,
}

impl Arguments {
    fn parse(words: Vec<String>) -> Option<Self> {
        let (mut command, mut folder, mut only, mut pages) = (None, None, None, false);
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--command" => command = words.next(),
                "--folder" => folder = words.next(),
                "--only" => only = Some(words.next()?),
                "--pages" => pages = true,
                _ => return None,
            }
        }
        let absolute = |path: String| std::path::absolute(Path::new(&path)).ok();
        Some(Self { command: absolute(command?)?, folder: absolute(folder?)?, only, pages })
    }
}
