//! What is another text at each run, replaced by one that stays. Random values keep their lengths, so that lines break where they
//! broke.

/// The port that stands for whichever one was free.
const ANY_PORT: &str = "49152";

/// What is known of a recording.
pub(super) struct Known<'a> {
    /// The home folder, which is shown as `~`.
    pub(super) home: &'a str,
    /// The socket of the session's bus, which is shown where it usually is.
    pub(super) bus: &'a str,
    /// The server's port, which stays.
    pub(super) port: u16,
}

/// The recording as it would have been on another day.
pub(super) fn normal(recorded: &str, known: &Known<'_>) -> String {
    let text = recorded.replace(known.home, "~").replace(known.bus, "unix:path=/run/user/1000/bus");
    let text = each_value(&text, &["process "], |id| {
        id.bytes().all(|byte| byte.is_ascii_digit()).then(|| "4711".to_owned()).filter(|_| !id.is_empty())
    });
    let text = each_value(&text, &["127.0.0.1:", "127.0.0.1%3A", "[::1]:"], |port| {
        let is_free_one = port.len() == 5
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && *port != known.port.to_string();
        is_free_one.then(|| ANY_PORT.to_owned())
    });
    let random = ["state=", "code_challenge=", "nonce="];
    let text = random
        .iter()
        .fold(text, |text, name| each_value(&text, &[name], |value| Some(lasting(name.len(), value.len()))));
    // How long there is left, how long something took, and how much room there is.
    let text = each_number_before(&text, " left", "9:58");
    let text = each_number_before(&text, " ms", "2");
    let text = each_number_before(&text, " MiB free", "48000");
    let text = each_value(&text, &["expires in "], |time| {
        (time.len() == 4 && time.bytes().all(|byte| byte.is_ascii_digit())).then(|| "3599".to_owned())
    });
    let text = each_rest_of_line(&text, "date: ", "Fri, 02 Jan 2026 03:04:05 GMT");
    each_fingerprint(&each_time(&text))
}

/// Puts that in place of what stands behind these words in their line.
fn each_rest_of_line(text: &str, words: &str, other: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| match line.split_once(words) {
        Some((before, rest)) => {
            let end = rest.trim_start_matches(|letter| !matches!(letter, '\r' | '\n'));
            format!("{before}{words}{other}{end}")
        }
        None => line.to_owned(),
    });
    lines.collect()
}

/// Numbers the fingerprints of secrets in the order in which they come: each run has a key of its own for them.
fn each_fingerprint(text: &str) -> String {
    let seen = std::cell::RefCell::new(Vec::new());
    each_value(text, &["<secret ", "<personal "], |fingerprint| {
        let mut seen = seen.borrow_mut();
        let known = seen.iter().position(|known| known == fingerprint);
        let number = known.unwrap_or_else(|| {
            seen.push(fingerprint.to_owned());
            seen.len() - 1
        });
        let look: u32 = 0x5eed_0001_u32.wrapping_mul(2 * u32::try_from(number).unwrap_or_default() + 3);
        Some(format!("{look:08x}"))
    })
}

/// Puts one time in place of each of the form `2026-11-23 05:56:12`, and one day in place of each that stands alone.
fn each_time(text: &str) -> String {
    let text = each_of_form(text, "0000-00-00 00:00:00", "2026-01-02 03:04:05");
    each_of_form(&text, "0000-00-00", "2026-01-02")
}

/// Puts that in place of each text that has digits where the form has noughts, and else what the form has.
fn each_of_form(text: &str, form: &str, one: &str) -> String {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let fits = rest.get(..form.len()).is_some_and(|time| {
            time.bytes()
                .zip(form.bytes())
                .all(|(byte, form)| if form == b'0' { byte.is_ascii_digit() } else { byte == form })
        });
        let taken = if fits { form.len() } else { next.len_utf8() };
        done.push_str(if fits { one } else { &rest[..taken] });
        rest = &rest[taken..];
    }
    done
}

/// Puts that in place of each number, or time of a clock, before these words.
fn each_number_before(text: &str, words: &str, number: &str) -> String {
    let pieces: Vec<&str> = text.split(words).collect();
    let Some((last, before)) = pieces.split_last() else { return String::new() };
    let replaced = before.iter().map(|piece| {
        let rest =
            piece.trim_end_matches(|letter: char| letter.is_ascii_digit() || matches!(letter, ':' | '.'));
        if rest.len() == piece.len() {
            return format!("{piece}{words}");
        }
        // In a column of numbers it stays as wide as it was with the blanks before it.
        let before = rest.trim_end_matches(' ');
        let width = if rest.len() > before.len() + 1 { piece.len() - before.len() } else { 0 };
        let before = if width > 0 { before } else { rest };
        format!("{before}{number:>width$}{words}")
    });
    replaced.collect::<String>() + last
}

/// Puts another text in place of each word that follows one of these.
fn each_value(text: &str, names: &[&str], other: impl Fn(&str) -> Option<String>) -> String {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, name)) = names.iter().filter_map(|name| Some((rest.find(name)?, *name))).min() {
        let (before, value) = rest.split_at(at + name.len());
        let end = value
            .find(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '-' | '_'))
            .unwrap_or(value.len());
        done.push_str(before);
        done.push_str(&other(&value[..end]).unwrap_or_else(|| value[..end].to_owned()));
        rest = &value[end..];
    }
    done + rest
}

/// Letters that look like a random value, as many as are wanted, always the same; others for another seed.
fn lasting(seed: usize, length: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut number = u32::try_from(seed).unwrap_or_default();
    let letter = |_| {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(LETTERS[(number >> 26) as usize])
    };
    (0..length).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_replaced_and_nothing_else() {
        let known = Known { home: "/tmp/home-1", bus: "unix:path=/tmp/b", port: 8750 };
        let recorded = "see /tmp/home-1/.config: http://127.0.0.1:8750/a?state=Xy_-9&r=http%3A%2F%2F127.0.0.1%3A40111%2Fcallback \
                        http://127.0.0.1:40111/callback, estate";
        let first = normal(recorded, &known);
        let again = normal(
            &recorded.replace("Xy_-9", "12345").replace("40111", "50222").replace("home-1", "home-2"),
            &Known { home: "/tmp/home-2", bus: "unix:path=/tmp/b", port: 8750 },
        );
        assert_eq!(first, again);
        assert!(first.starts_with("see ~/.config: http://127.0.0.1:8750/a?state="), "{first}");
        assert!(first.ends_with(
            "&r=http%3A%2F%2F127.0.0.1%3A49152%2Fcallback http://127.0.0.1:49152/callback, estate"
        ));
        assert_eq!(first.len(), recorded.len() - "/tmp/home-1".len() + 1);
        let column = normal("\n    3.5 ms a, 1.5 ms\n  433.5 ms b\r\n date: today\r\n", &known);
        assert_eq!(column, "\n      2 ms a, 2 ms\n      2 ms b\r\n date: Fri, 02 Jan 2026 03:04:05 GMT\r\n");
        let [first, again] = [
            "<secret 0123abcd, 4 long> <secret 99999999> <secret 0123abcd>",
            "<secret ffff0000, 4 long> <secret 1> <secret ffff0000>",
        ]
        .map(|text| normal(text, &known));
        assert_eq!(first, again);
        let words: Vec<&str> =
            first.split(['<', ',', '>']).filter(|word| word.starts_with("secret")).collect();
        assert_eq!((words.len(), words[0] == words[2], words[0] == words[1]), (3, true, false), "{first}");
        let process = normal("unix:path=/tmp/b, process 31, a process has", &known);
        assert_eq!(process, "unix:path=/run/user/1000/bus, process 4711, a process has");
        let dates = normal("since 2031-12-23 15:56:12 UTC, 2031-12-2 é", &known);
        assert_eq!(dates, "since 2026-01-02 03:04:05 UTC, 2031-12-2 é");
        assert_eq!(normal("there on 2031-12-23", &known), "there on 2026-01-02");
        assert_eq!(
            normal("expires in 3581 s, expires in 59 min", &known),
            "expires in 3599 s, expires in 59 min"
        );
        let times = normal("\r10:00 left, 9:59 left, nothing left; took 13 ms, items", &known);
        assert_eq!(times, "\r9:58 left, 9:58 left, nothing left; took 2 ms, items");
    }
}
