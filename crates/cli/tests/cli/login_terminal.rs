//! `jeton login` as a person sees it: the QR code that a camera reads, the countdown, the pasted address, Ctrl-C.

use fast_qr::{ECL, QRBuilder};
use jeton_devserver::{Builder, DevServer, Endpoint, Fault};
use jeton_tests::browser::PATIENCE;
use jeton_tests::terminal::Terminal;
use vt100::Color;

use crate::login::{Browser, arguments, visit};
use crate::world::World;

const DARK: Color = Color::Idx(16);
const LIGHT: Color = Color::Idx(231);

fn device_world() -> World {
    World::with(|builder: Builder| builder.device_interval(Some(1)))
}

/// Starts a first login of that world in a terminal.
fn login(world: &World, size: (u16, u16), further: &[&str], environment: &[(&str, &str)]) -> Terminal {
    let mut command = world.command(arguments(world, further));
    command.envs(environment.iter().copied());
    Terminal::start_in(size, command)
}

fn code_of(terminal: &Terminal) -> String {
    terminal.wait_for("Waiting for you: ");
    let text = terminal.text();
    let line = text.lines().find_map(|line| line.strip_prefix("and enter the code  ")).unwrap();
    line.trim().to_owned()
}

/// The dark modules of the code on the screen, with its border, as a camera sees them: by their colours.
fn seen(terminal: &Terminal) -> Vec<Vec<bool>> {
    let screen = terminal.screen();
    let (rows, columns) = (screen.size().0.get(), screen.size().1.get());
    let mut modules = Vec::new();
    for row in 0..rows {
        let cells: Vec<_> = (0..columns).filter_map(|column| screen.cell(row, column)).collect();
        let paper: Vec<_> = cells.into_iter().filter(|cell| cell.bgcolor() == LIGHT).collect();
        if paper.is_empty() {
            continue;
        }
        assert!(paper.iter().all(|cell| cell.fgcolor() == DARK), "black on white on any terminal");
        let halves = |upper: bool| {
            let dark = |contents: &str| match contents {
                "█" => true,
                "▀" => upper,
                "▄" => !upper,
                " " | "" => false,
                other => panic!("{other:?} is no part of a code"),
            };
            paper.iter().map(|cell| dark(cell.contents())).collect::<Vec<_>>()
        };
        modules.push(halves(true));
        modules.push(halves(false));
    }
    modules
}

#[test]
fn the_code_on_the_screen_is_the_address_with_the_code_in_it() {
    for size in [(24, 80), (50, 120)] {
        let world = device_world();
        let mut terminal = login(&world, size, &[], &[]);
        let code = code_of(&terminal);
        let address = format!("{}?user_code={code}", world.server.verification_url());
        let expected = QRBuilder::new(address.as_str()).ecl(ECL::L).build().unwrap();
        let seen = seen(&terminal);
        let quiet = (seen[0].len() - expected.size) / 2;
        assert!((2..=4).contains(&quiet), "a white border of {quiet}");
        for (y, row) in seen.iter().enumerate() {
            assert_eq!(row.len(), expected.size + 2 * quiet, "each row is as wide");
            for (x, dark) in row.iter().enumerate() {
                let inside = |at: usize| at.checked_sub(quiet).filter(|at| *at < expected.size);
                let wanted = inside(x).zip(inside(y)).is_some_and(|(x, y)| expected[y][x].value());
                assert_eq!(*dark, wanted, "module {x}, {y}");
            }
        }
        assert!(seen.len() >= expected.size + 2 * quiet);
        // All of it is on the screen at once, with what to do beneath it.
        let rows = terminal.rows();
        let on_screen = |part: &str| rows.iter().position(|row| row.contains(part));
        let order = ["▀", "Scan it, or open", "and enter the code", "Waiting for you"].map(on_screen);
        assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?} in {rows:?}");
        assert!(terminal.cells(&code).iter().all(vt100::Cell::bold));
        terminal.no_line_wider_than(80);
        assert!(world.server.approve_device(&code));
        terminal.ended_with(0);
        terminal.wait_for("Signed in to work.");
    }
}

#[test]
fn the_countdown_is_rewritten_in_place_and_gone_at_the_end() {
    let world = device_world();
    let mut terminal = login(&world, (24, 80), &[], &[]);
    let code = code_of(&terminal);
    terminal.wait_for("Waiting for you: 9:58 left");
    let lines = terminal.text();
    assert_eq!(lines.matches("Waiting for you").count(), 1, "{lines}");
    assert!(world.server.approve_device(&code));
    terminal.ended_with(0);
    assert!(!terminal.text().contains("Waiting for you"), "{}", terminal.text());
    assert!(terminal.rows().windows(2).any(|rows| rows[0].is_empty() && rows[1] == "Signed in to work."));
    terminal.no_line_wider_than(80);
}

#[test]
fn the_time_is_shown_while_a_browser_is_out_and_a_word_when_it_is_back() {
    let world = World::new();
    world.server.fault(Endpoint::Token, Fault::Gate);
    let mut terminal = login(&world, (24, 80), &[], &[("BROWSER", "true")]);
    terminal.wait_for("Waiting for you: 4:58 left");
    let text = terminal.text();
    assert_eq!(text.matches("Waiting for you").count(), 1, "{text}");
    let address = text.lines().find(|line| line.contains("/authorize?")).unwrap().trim().to_owned();
    let visiting = {
        let server = world.server.clone();
        std::thread::spawn(move || visit(&server, &address).status)
    };
    terminal.wait_for("The browser is back; asking the server.");
    assert!(!terminal.text().contains("Waiting for you"), "{}", terminal.text());
    assert!(world.server.wait_until_held_blocking(1, PATIENCE));
    // Time for a countdown that goes on to show itself.
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    assert!(terminal.text().trim_end().ends_with("asking the server."), "{}", terminal.text());
    world.server.open_gate();
    terminal.ended_with(0);
    let text = terminal.text();
    assert!(text.contains("\n\nSigned in to work.") && !text.contains("browser is back"), "{text}");
    assert_eq!(visiting.join().unwrap(), 200);
}

#[test]
fn the_time_stands_before_what_is_pasted() {
    let world = World::new();
    let mut terminal = login(&world, (24, 80), &["--no-open"], &[]);
    terminal.wait_for("left > ");
    terminal.type_line("what now?");
    terminal.wait_until("it asked again", |text| text.matches("left > ").count() == 2);
    let text = terminal.text();
    assert!(text.lines().any(|line| line == "5:00 left > what now?"), "{text}");
    let address = text.lines().find(|line| line.contains("/authorize?")).unwrap().trim().to_owned();
    terminal.type_line(&world.server.authorize(&address).unwrap());
    terminal.ended_with(0);
    terminal.wait_for("Signed in to work.");

    // Where nothing can be rewritten there is no time in the line.
    let mut terminal = login(&world, (24, 80), &["--no-open"], &[("NO_COLOR", "1")]);
    terminal.wait_for("press Enter.\n>");
    terminal.type_line("what now?");
    terminal.wait_for("That is not the address");
    assert!(!terminal.text().contains("left"), "{}", terminal.text());
    terminal.press_ctrl_c();
    assert!(!terminal.ended().success());
}

#[test]
fn there_is_no_picture_where_it_would_not_be_one() {
    for (size, environment) in [
        ((10, 80), &[][..]),
        ((24, 30), &[]),
        ((24, 80), &[("NO_COLOR", "1")]),
        ((24, 80), &[("LC_ALL", "POSIX")]),
    ] {
        let world = device_world();
        let mut terminal = login(&world, size, &[], environment);
        let code = code_of(&terminal);
        let text = terminal.text();
        assert!(!text.contains(['█', '▀', '▄']), "{text}");
        assert!(text.contains("To sign in, open") && !text.contains("scan"), "{text}");
        assert!(world.server.approve_device(&code));
        terminal.ended_with(0);
    }
}

#[test]
fn a_denied_code_is_told_once() {
    let world = device_world();
    let mut terminal = login(&world, (24, 80), &[], &[]);
    assert!(world.server.deny_device(&code_of(&terminal)));
    terminal.ended_with(4);
    let text = terminal.text();
    assert_eq!(text.matches("access_denied").count(), 1, "{text}");
    assert!(text.contains("jeton: nobody is signed in to `work`"), "{text}");
}

#[test]
fn an_address_is_pasted_over_ssh_and_a_wrong_one_is_answered() {
    let world = World::new();
    world.server.fault_always(Endpoint::Metadata, Fault::remove("device_authorization_endpoint"));
    let ssh = [("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22"), ("DISPLAY", ":0")];
    let mut terminal = login(&world, (24, 80), &[], &ssh);
    terminal.wait_for("paste it here and press Enter.");
    let text = terminal.text();
    assert!(text.starts_with("Signing in by an address that you paste: this is an SSH session"), "{text}");
    let address = text.lines().find(|line| line.contains("/authorize?")).unwrap().trim().to_owned();
    terminal.type_line("what now?");
    terminal.wait_for("That is not the address to which the browser was sent.");
    terminal.no_line_wider_than(80);
    terminal.type_line(&world.server.authorize(&address).unwrap());
    terminal.ended_with(0);
    terminal.wait_for("Signed in to work.");
}

#[test]
fn a_forwarded_port_ends_the_question() {
    let world = World::new();
    let mut terminal = login(&world, (24, 80), &["--no-open"], &[]);
    terminal.wait_for("paste it here and press Enter.");
    let text = terminal.text();
    let address = text.lines().find(|line| line.contains("/authorize?")).unwrap().trim().to_owned();
    assert_eq!(visit(&world.server, &address).status, 200);
    terminal.ended_with(0);
}

#[test]
fn over_ssh_a_code_is_better_and_an_editors_browser_is_best() {
    let ssh = ("SSH_TTY", "/dev/pts/9");
    let world = device_world();
    let mut terminal = login(&world, (24, 80), &[], &[ssh]);
    let code = code_of(&terminal);
    assert!(terminal.text().contains("Signing in by a code on another device: this is an SSH session"));
    assert!(world.server.approve_device(&code));
    terminal.ended_with(0);

    let world = device_world();
    let browser = Browser::of(&world);
    let mut terminal = login(&world, (24, 80), &[], &[ssh, ("BROWSER", browser.program.to_str().unwrap())]);
    terminal.ended_with(0);
    terminal.wait_for("Signing in in the browser");
    assert_eq!(browser.page().status, 200);

    // A browser that fails is as good as none.
    let world = device_world();
    let mut terminal = login(&world, (24, 80), &[], &[("BROWSER", "/bin/false")]);
    terminal.wait_for("But no browser could be opened: `/bin/false` (the variable BROWSER): it failed.");
    terminal.wait_for("paste it here and press Enter.");
    terminal.press_ctrl_c();
    assert!(!terminal.ended().success());
}

#[test]
fn a_client_without_codes_is_asked_to_paste() {
    let app = jeton_devserver::Client::public("pages-only").grant_types(["authorization_code"]);
    let world = World::with(|builder| builder.client(app));
    let mut command = world.command(["login", "work", "--issuer", world.server.issuer()]);
    command.args(["--client-id", "pages-only"]);
    let mut terminal = Terminal::start(command);
    terminal.wait_for("the server gives this client no codes");
    terminal.wait_for("paste it here and press Enter.");
    terminal.press_ctrl_c();
    assert!(!terminal.ended().success());
}

#[test]
fn a_secret_is_typed_unseen_and_is_nowhere() {
    let world = World::new();
    let (client_id, secret) = DevServer::SERVICE_CLIENT;
    let mut command = world.command(["login", "job", "--issuer", world.server.issuer()]);
    command.args(["--client-id", client_id, "--login-method", "client-credentials", "--client-secret-stdin"]);
    let mut terminal = Terminal::start(command);
    terminal.wait_for("Client secret of job (it is not shown): ");
    let arguments = std::fs::read(format!("/proc/{}/cmdline", terminal.pid())).unwrap();
    assert!(!String::from_utf8_lossy(&arguments).contains(secret));
    terminal.type_line(secret);
    terminal.ended_with(0);
    assert!(!terminal.text().contains(secret), "{}", terminal.text());
    assert!(!String::from_utf8_lossy(&terminal.history()).contains(secret));
    assert!(!std::fs::read_to_string(world.profiles_file()).unwrap().contains(secret));
    world.jeton(["token", "job"]).answer();
}

#[test]
fn a_client_is_typed_where_the_server_registers_none_and_its_secret_is_not_seen() {
    let world = World::with(|builder| builder.resource_metadata(jeton_devserver::ResourceMetadata::InHeader));
    let (client_id, secret) = DevServer::CONFIDENTIAL_CLIENT;
    let url = world.server.resource_url();
    let trust = world.server.issuer().to_owned();
    let browser = Browser::of(&world);
    let mut command = world.command(["login", "--url", &url, "api", "--trust", &trust]);
    command.env("BROWSER", &browser.program);
    let mut terminal = Terminal::start(command);
    terminal.wait_for("type its client identifier, or nothing to give up.");
    terminal.type_line(client_id);
    terminal.wait_for("Its client secret (it is not shown), or nothing if it has none: ");
    terminal.type_line(secret);
    terminal.ended_with(0);
    terminal.wait_for("Signed in to api.");
    assert!(!String::from_utf8_lossy(&terminal.history()).contains(secret));
    world.jeton(["refresh", "api"]).answer();
}

#[test]
fn ctrl_c_and_other_signals_leave_the_terminal_as_it_was_and_nothing_behind() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let world = World::new();
        let before = std::fs::read_to_string(world.profiles_file()).unwrap();
        // A shell that tells how the terminal is, before and after.
        let command = world.command([]);
        let program = command.get_program().to_str().unwrap().to_owned();
        let mut shell = std::process::Command::new("/bin/sh");
        shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let login = format!(
            "'{program}' login job --issuer {} --client-id c --login-method client-credentials --client-secret-stdin",
            world.server.issuer()
        );
        shell.args(["-c", &format!("trap : INT; stty -g; {login}; echo \"ended $?\"; stty -g")]);
        let mut terminal = Terminal::start(shell);
        terminal.wait_for("(it is not shown): ");
        if signal == "INT" {
            terminal.press_ctrl_c();
        } else {
            let shell = terminal.pid();
            let child = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
            let sent = std::process::Command::new("kill")
                .args([&format!("-{signal}"), child.trim()])
                .status()
                .unwrap();
            assert!(sent.success());
        }
        terminal.ended_with(0);
        let text = terminal.text();
        assert!(text.contains(&format!("ended {code}")), "{text}");
        let settings: Vec<&str> = text.lines().filter(|line| line.matches(':').count() > 10).collect();
        assert_eq!(settings.len(), 2, "{text}");
        assert_eq!(settings[0], settings[1], "echo is on again");
        assert_eq!(std::fs::read_to_string(world.profiles_file()).unwrap(), before);
    }
}
